"""Symbolic links in a library that has them followed: what one leads to counts as if it lay there.

A link is followed only into folders that may be catalogued at all. The way down ends where it would come into a folder
that it is in already, told by (device, inode), and after so many links: folders that link to each other would make a
tree without an end. It is checked when a folder is listed; what a link is made to lead to between that and the moment
when its file is read, is read.
"""

import errno
import os
import stat
from dataclasses import dataclass

from stoat_ferret import paths
from stoat_ferret.scan.listing import FolderProblem, Oddity, join

MOST_LINKS = 8
"""So many links may lie on the way from a library's folder to one of its files."""


@dataclass(frozen=True, slots=True)
class Links:
    """Where links may lead from a library."""

    root: bytes
    """The library's folder, on this machine."""
    within: tuple[bytes, ...] = ()
    """Real paths of folders; none: anywhere."""

    def allow(self, place: bytes) -> bool:
        """Tell whether what lies at a path, links resolved, may be catalogued."""
        real = os.path.realpath(place)
        return not self.within or any(paths.is_below(real, folder) for folder in self.within)


def look_through(place: bytes, name: bytes, links: Links, *, for_folder: bool = False) -> os.stat_result | Oddity:
    """Look at what a link leads to; or say why it is not followed.

    Args:
        place: the link, on this machine.
        name: of the link, as it stands in its folder.
        links: where links may lead.
        for_folder: nobody wants it unless it leads to a folder, so that only of one it is asked where that lies.
    """
    try:
        status = os.stat(place)  # noqa: PTH116 - a path of bytes
    except OSError as error:
        # A disk that is not mounted looks like this too, so that it proves nothing about what is known.
        return Oddity(name, "LINK_BROKEN", f"It is a symbolic link that leads nowhere ({_why(error)}).", unproven=True)
    if for_folder and not stat.S_ISDIR(status.st_mode):
        return status
    if not links.allow(place):
        target = paths.display(os.path.realpath(place))
        reason = f"It is a symbolic link to {target}, which lies outside the folders of STOAT_MEDIA_ROOTS."
        return Oddity(name, "LINK_OUTSIDE", reason)
    return status


def _why(error: OSError) -> str:
    return "round in a circle" if error.errno == errno.ELOOP else error.strerror or str(error)


def way_problem(path: bytes, place: bytes, status: os.stat_result, links: Links) -> FolderProblem | None:
    """Say why a folder is not looked into: it is one that it lies in, or lies behind too many links.

    Args:
        path: the folder, as the catalogue calls it.
        place: where it lies on this machine; in or below the library's folder.
        status: of the folder itself.
        links: of the library.

    Raises:
        OSError: a folder on the way is no longer there.
    """
    count = 0
    above: set[tuple[int, int]] = set()
    way = links.root
    for name in place[len(links.root) :].split(b"/"):
        if not name:
            continue
        on_the_way = os.stat(way)  # noqa: PTH116 - likewise
        above.add((on_the_way.st_dev, on_the_way.st_ino))
        way = join(way, name)
        count += stat.S_ISLNK(os.lstat(way).st_mode)
    shown = paths.display(path)
    if (status.st_dev, status.st_ino) in above:
        return FolderProblem(path, "LINK_LOOP", f"The folder {shown} is, by a symbolic link, one that it lies in.")
    if count > MOST_LINKS:
        reason = f"The folder {shown} lies behind more than {MOST_LINKS} symbolic links, so it was not looked into."
        return FolderProblem(path, "LINK_DEPTH", reason)
    return None


def is_link(place: bytes) -> bool:
    """Tell whether there is a link at a path."""
    return os.path.islink(place)  # noqa: PTH114 - a path of bytes
