"""What a library's folder lies on: which volumes begin where, and which of them are not what they were.

A folder whose disk is not mounted is an empty folder, or shows what lies under the mount. So wherever a volume begins,
in the library's folder or below it, it is remembered which one; where it is another now, or none, what is there says
nothing about what was there before. Names of volumes change without need, too: then a sample of the files decides.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from stoat_ferret import paths
from stoat_ferret.errors import LibraryOfflineError
from stoat_ferret.library import traces
from stoat_ferret.library.models import Library
from stoat_ferret.library.repository import LibraryRepository
from stoat_ferret.library.traces import VolumeRow
from stoat_ferret.scan.disk import Disk
from stoat_ferret.scan.listing import FolderProblem
from stoat_ferret.scan.volume import SAMPLE, Mounts, Volume, identify, is_alike
from stoat_ferret.scan.walk import folder_problem

Here = Callable[[bytes], bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """The volumes of one library."""

    volumes: Mapping[bytes, Volume] = field(default_factory=dict)
    """Which begins where, as far as it may be scanned: the library's folder, and folders below it."""
    recorded: Mapping[bytes, Volume] = field(default_factory=dict)
    """Which did when that was last recorded."""
    dropped: frozenset[bytes] = frozenset()
    """Folders at which one was recorded and begins no longer."""
    refused: Mapping[bytes, FolderProblem] = field(default_factory=dict)
    """Folders that are not to be looked into."""
    renamed: frozenset[bytes] = frozenset()
    """Where a volume goes by another name than before: its inodes may be others too."""

    def may_renumber(self, folder: bytes) -> bool:
        """Tell whether a folder's files may have other inodes than before, though nothing happened to them."""
        point = innermost(folder, self.volumes)
        return point is not None and (point in self.renamed or self.volumes[point].renumbers)

    def news(self) -> dict[bytes, VolumeRow]:
        """Give what is to be recorded; a volume that nothing can be said of is not."""
        new = {point: volume for point, volume in self.volumes.items() if self.recorded.get(point) != volume}
        return {point: _row(volume) for point, volume in new.items() if volume.source}


def innermost(path: bytes, points: Iterable[bytes]) -> bytes | None:
    """Give the innermost of some folders that a path lies in."""
    return max((point for point in points if paths.is_below(path, point)), key=len, default=None)


def look(
    library: Library,
    exclude: frozenset[bytes],
    repository: LibraryRepository,
    here: Here,
    disk: Disk,
    *,
    accept_loss: bool,
) -> Ground:
    """Hold the volumes that a library lies on now against those that are recorded.

    Args:
        library: whose.
        exclude: folders below it that belong to other libraries.
        repository: what is recorded.
        here: tells where a path of the catalogue lies on this machine.
        disk: looks at the volumes.
        accept_loss: whatever lies there now is meant to be there.

    Raises:
        LibraryOfflineError: the library's own folder lies on another volume, and its files are not there.
    """
    mounts = Mounts()
    root = library.path_bytes
    recorded = {
        point: Volume(row.source, row.kind, row.name, row.root)
        for point, row in traces.recorded_volumes(repository.database).items()
        if paths.is_below(point, root) and innermost(point, exclude) is None
    }
    begins = [_catalogued(point, here(root), root) for point in mounts.points_below(here(root))]
    begins = [point for point in begins if innermost(point, exclude) is None]
    ground = _Ground(repository, here, disk, recorded, accept_loss)
    ground.look_at(root, root, mounts_here=True)
    for point in sorted({*begins, *recorded} - {root}):
        ground.look_at(point, root, mounts_here=point in begins)
    return Ground(
        volumes=ground.volumes,
        recorded=recorded,
        dropped=frozenset(recorded) - frozenset(ground.volumes) - frozenset(ground.refused),
        refused=ground.refused,
        renamed=frozenset(ground.renamed),
    )


class _Ground:
    def __init__(
        self,
        repository: LibraryRepository,
        here: Here,
        disk: Disk,
        recorded: Mapping[bytes, Volume],
        accept_loss: bool,
    ) -> None:
        self._repository = repository
        self._here = here
        self._disk = disk
        self._recorded = recorded
        self._accept_loss = accept_loss
        self.volumes: dict[bytes, Volume] = {}
        self.refused: dict[bytes, FolderProblem] = {}
        self.renamed: set[bytes] = set()

    def look_at(self, point: bytes, root: bytes, *, mounts_here: bool) -> None:
        """Decide about one folder at which a volume begins, or began."""
        if innermost(point, self.refused) is not None:
            return
        try:
            self._look_at(point, root, mounts_here=mounts_here)
        except TimeoutError as error:
            problem = folder_problem(point, error)
            if point == root:
                raise LibraryOfflineError(problem.reason) from error
            self.refused[point] = problem

    def _look_at(self, point: bytes, root: bytes, *, mounts_here: bool) -> None:
        volume = self._disk.call(identify, self._here(point))
        before = self._recorded.get(innermost(point, self._recorded) or b"")
        if before is None or volume.same_as(before):
            if mounts_here:
                self.volumes[point] = volume
            return
        if self._accept_loss or self._is_as_known(point):
            self.renamed.add(point)
            self.volumes[point] = volume
            return
        if point == root:
            raise LibraryOfflineError(_other(point, before, volume))
        reason = _other(point, before, volume) if mounts_here else _unmounted(point, before)
        self.refused[point] = FolderProblem(point, "OTHER_VOLUME", reason)

    def _is_as_known(self, point: bytes) -> bool:
        known = traces.sample_below(self._repository.database, point, SAMPLE)
        return self._disk.call(is_alike, [(self._here(path), key.size, key.mtime_ns) for path, key in known])


def _catalogued(path: bytes, here: bytes, root: bytes) -> bytes:
    """Give the path by which the catalogue knows a folder of this machine."""
    return root.rstrip(b"/") + path[len(here.rstrip(b"/")) :]


def _row(volume: Volume) -> VolumeRow:
    return VolumeRow(volume.source, volume.kind, volume.name, volume.root)


def _other(point: bytes, before: Volume, volume: Volume) -> str:
    return (
        f"The folder {paths.display(point)} lies on another volume than before ({volume.kind} {volume.source} instead "
        f"of {before.kind} {before.source}), and what is in it is not what is known. Nothing in it was changed. Mount "
        "the right one and scan again; if this is what is meant to be there now, scan with accept_loss."
    )


def _unmounted(point: bytes, before: Volume) -> str:
    return (
        f"The volume that lay at {paths.display(point)} ({before.kind} {before.source}) is not mounted. Nothing in it "
        "was changed. Mount it and scan again; if it is gone for good, scan with accept_loss."
    )
