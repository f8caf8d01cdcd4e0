"""Which folders this machine reaches, and where they lie here: the same footage may be mounted elsewhere on another.

A *place* is what a job names: the path of a library's root, as those who share the database call it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from stoat_ferret.errors import ConfigurationError
from stoat_ferret.paths import absolute, display, is_below


@dataclass(frozen=True, slots=True)
class Root:
    """A folder that is reached, with all below it. Both paths are absolute, and equal unless it lies elsewhere here."""

    path: bytes
    """As all call it."""
    here: bytes
    """Where it lies on this machine."""


@dataclass(frozen=True, slots=True)
class Roots:
    """The folders that a machine reaches. Without any, it reaches every folder, under the path that all call it by."""

    roots: tuple[Root, ...] = ()

    def reaches(self, place: str) -> bool:
        """Tell whether a job of this place (see `place_of`) can be run here."""
        return not self.roots or any(is_below(place.encode(), place_of(root.path).encode()) for root in self.roots)

    def here(self, path: bytes) -> bytes | None:
        """Give where a path that all know lies on this machine; None where it is not reached."""
        return self._moved(path, [(root.path, root.here) for root in self.roots])

    def here_or_same(self, path: bytes) -> bytes:
        """Give where a path that all know lies on this machine; the path itself where it is not reached."""
        return self.here(path) or path

    def everywhere(self, path: bytes) -> bytes | None:
        """Reverse `here`: give the path by which all know one of this machine; None where it lies below no root."""
        return self._moved(path, [(root.here, root.path) for root in self.roots])

    def places(self) -> tuple[str, ...] | None:
        """Give the folders by the names that all know, as places; None without any, since then all are reached."""
        return tuple(place_of(root.path) for root in self.roots) or None

    def _moved(self, path: bytes, pairs: list[tuple[bytes, bytes]]) -> bytes | None:
        if not self.roots:
            return path
        fitting = [(source, target) for source, target in pairs if is_below(path, source)]
        if not fitting:
            return None
        # The innermost one, as a mount point below another hides what that has there.
        source, target = max(fitting, key=lambda pair: len(pair[0]))
        rest = path[len(source) :].lstrip(b"/")
        return target.rstrip(b"/") + b"/" + rest if rest else target


def place_of(path: bytes) -> str:
    """Give a path as a job's place: text that any database takes, and different for different paths of one tree."""
    return path.decode("utf-8", "backslashreplace")


def parse_roots(texts: Sequence[str]) -> Roots:
    """Read folders, each as `PATH` or, where it lies elsewhere on this machine, as `PATH=HERE`.

    `HERE` begins at the first `=` that a slash follows, so that a `=` within a name does no harm.

    Raises:
        ConfigurationError: a path is not absolute, or given twice.
    """
    roots = tuple(_parse_root(text) for text in texts)
    for number, root in enumerate(roots):
        if root.path in {earlier.path for earlier in roots[:number]}:
            raise ConfigurationError(f"The worker's root {display(root.path)} is given twice.")
    return Roots(roots)


def _parse_root(text: str) -> Root:
    given = text.encode("utf-8", "surrogateescape")
    path, equals, here = given.partition(b"=/")
    here = b"/" + here if equals else path
    if not path.startswith(b"/"):
        msg = (
            f"The worker's root {display(given)!r} is not an absolute path. "
            "Write it as /footage, or, where it lies elsewhere on this machine, as /footage=/mnt/nas/footage."
        )
        raise ConfigurationError(msg)
    return Root(absolute(path), absolute(here))
