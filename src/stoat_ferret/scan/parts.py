"""Parts of a scan: files to be examined that are handed to other jobs, and what such a job does.

The scan itself stores what it can tell from a listing. A part carries files of one or more folders with what is known
of them; whoever takes it examines them, stores the outcomes in the scan's own ledger, and closes each folder that lies
wholly within the part. A folder too large for one part is closed by the scan, without a digest, so that the next scan
compares it file by file.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from stoat_ferret import paths
from stoat_ferret.library import absence
from stoat_ferret.library.batch import ensure_folders
from stoat_ferret.library.models import FileKey, KnownFile, KnownFolder, Outcome
from stoat_ferret.library.repository import LibraryRepository
from stoat_ferret.media.pool import ProbePool
from stoat_ferret.scan.compare import FolderChanges, Seen
from stoat_ferret.scan.disk import Disk
from stoat_ferret.scan.examine import Examiner, OpenFolder
from stoat_ferret.scan.job import Distributor, ScanJob
from stoat_ferret.scan.listing import FileEntry, join
from stoat_ferret.scan.moves import Tracer
from stoat_ferret.scan.rules import Rules
from stoat_ferret.scan.sight import Sight
from stoat_ferret.scan.store import Writer

PART_FILES = 200
"""Files of one part: some tenths of a second's work, so that little is lost with a worker."""
POLL_SECONDS = 0.05


Waiting = tuple[OpenFolder, Sequence[Seen]]


class Parting:
    """The scan's side: gathers what is to be examined, and hands it on in parts."""

    def __init__(self, distributor: Distributor, job: ScanJob, writer: Writer) -> None:
        self._distributor = distributor
        self._job = job
        self._writer = writer
        self._waiting: list[Waiting] = []
        self._gathered = 0
        self._handed_on = 0

    def add(self, folder: OpenFolder, files: Sequence[Seen]) -> None:
        """Take a folder's files on."""
        self._waiting.append((folder, files))
        self._gathered += len(files)
        if self._gathered >= PART_FILES:
            self._hand_on()

    def rest(self) -> Iterator[Waiting]:
        """At the end: hand on what is left; where nothing was handed on, give it back, to be examined at once."""
        waiting, self._waiting = self._waiting, []
        self._gathered = 0
        if self._handed_on:
            self._waiting = waiting
            self._hand_on()
        else:
            yield from waiting

    def done(self) -> int:
        """Estimate how many of the files that were handed on are done."""
        if not self._handed_on:
            return 0
        ended, parts = self._distributor.counts()
        return self._handed_on * ended // max(1, parts)

    def _hand_on(self) -> None:
        waiting, self._waiting = _by_folder(self._waiting), []
        self._gathered = 0
        if not waiting:
            return
        pks = self._prepare(waiting)
        for part in _pack(waiting, pks):
            self._distributor.submit(part)
            self._handed_on += sum(len(piece["files"]) for piece in part["folders"])

    def _prepare(self, waiting: Sequence[Waiting]) -> dict[bytes, int]:
        """Make the folders known, so that none is taken for absent, and store what the scan knows of them."""
        folders = [folder for folder, _ in waiting]
        for folder, seen in waiting:
            if not _is_whole(folder, seen):
                folder.digest = None
                self._writer.close(folder)
        self._writer.flush()
        with self._job.transaction() as connection:
            pks = ensure_folders(connection, [folder.batch for folder in folders])
            for folder in folders:
                absence.note(connection, self._job.job_id, folder.changes.gone)
        self._writer.visited.update(pks.values())
        return pks


def _by_folder(waiting: Sequence[Waiting]) -> list[Waiting]:
    """Put together what was added of each folder: files that had to wait come one by one."""
    found: dict[int, tuple[OpenFolder, list[Seen]]] = {}
    for folder, seen in waiting:
        found.setdefault(id(folder), (folder, []))[1].extend(seen)
    return list(found.values())


def _is_whole(folder: OpenFolder, seen: Sequence[Seen]) -> bool:
    """Tell whether these are all files of a folder that are to be examined, so that whoever does that may close it."""
    return len(seen) == folder.remaining <= PART_FILES


def _pack(waiting: Sequence[Waiting], pks: dict[bytes, int]) -> Iterator[dict[str, Any]]:
    pieces: list[dict[str, Any]] = []
    files = 0
    for folder, seen in waiting:
        whole = _is_whole(folder, seen)
        if files and (not whole or files + len(seen) > PART_FILES):
            yield {"folders": pieces}
            pieces, files = [], 0
        for start in range(0, len(seen), PART_FILES):
            piece = seen[start : start + PART_FILES]
            pieces.append(_piece(folder, pks[folder.path], piece, whole=whole))
            files += len(piece)
            if not whole:
                yield {"folders": pieces}
                pieces, files = [], 0
    if pieces:
        yield {"folders": pieces}


def _piece(folder: OpenFolder, pk: int, seen: Sequence[Seen], *, whole: bool) -> dict[str, Any]:
    digest = None if folder.digest is None or folder.changes.gone else folder.digest.hex()
    return {
        "path": paths.encode_base64(folder.path),
        "pk": pk,
        "library_id": folder.library_id,
        "whole": whole,
        "digest": digest,
        "unchanged": folder.changes.unchanged,
        "newly_counted": folder.changes.newly_counted,
        "usable": folder.usable,
        "rejects": folder.rejects,
        "files": [_file_to_json(each) for each in seen],
    }


def _file_to_json(seen: Seen) -> list[Any]:
    key, known = seen.entry.key, seen.known
    return [
        paths.encode_base64(seen.entry.name),
        [key.size, key.mtime_ns, key.inode, key.device],
        *(_known_to_json(each) for each in (known, seen.origin, seen.twin)),
    ]


def _known_to_json(known: KnownFile | None) -> list[Any] | None:
    if known is None:
        return None
    path, key = paths.encode_base64(known.path), known.key
    stat = [key.size, key.mtime_ns, key.inode, key.device]
    return [path, stat, known.video_pk, known.video_id, known.state, known.outdated]


def _known_from_json(values: list[Any] | None) -> KnownFile | None:
    if values is None:
        return None
    path, key, pk, video_id, state, *further = values
    return KnownFile(
        path=paths.decode_base64(path),
        key=FileKey(*key),
        video_pk=pk,
        video_id=video_id,
        state=state,
        outdated=further == [True],  # a part that was made by an earlier version does not say
    )


def _file_from_json(folder: bytes, values: list[Any]) -> Seen:
    name, key, known, origin, twin = values
    entry = FileEntry(paths.decode_base64(name), FileKey(*key))
    return Seen(join(folder, entry.name), entry, *map(_known_from_json, (known, origin, twin)))


def part_files(payload: dict[str, Any]) -> Iterator[tuple[int, bytes]]:
    """Give the files of a part: the key of the folder, and the path."""
    for piece in payload["folders"]:
        folder = paths.decode_base64(piece["path"])
        for name, *_ in piece["files"]:
            yield piece["pk"], join(folder, paths.decode_base64(name))


@dataclass(frozen=True, slots=True)
class _Opened:
    folder: OpenFolder
    files: list[Seen] = field(default_factory=list)


def _open(piece: dict[str, Any]) -> _Opened:
    path = paths.decode_base64(piece["path"])
    files = [_file_from_json(path, values) for values in piece["files"]]
    folder = OpenFolder(
        path=path,
        library_id=piece["library_id"],
        known=KnownFolder(pk=piece["pk"], path=path, digest=None, unchanged_count=-1, reject_count=-1),
        digest=bytes.fromhex(piece["digest"]) if piece["digest"] else None,
        changes=FolderChanges(
            probe=tuple(files),
            restored=(),
            rejected=(),
            unchanged=piece["unchanged"],
            newly_counted=piece["newly_counted"],
            gone=(),
        ),
        # One file more than there is: a folder of which this is only a piece is never closed here.
        remaining=len(files) if piece["whole"] else len(files) + 1,
    )
    folder.usable, folder.rejects = piece["usable"], piece["rejects"]
    return _Opened(folder, files)


def run_part(
    payload: dict[str, Any],
    scan_id: str,
    job: ScanJob,
    repository: LibraryRepository,
    rules: Rules,
    pool: Callable[[], ProbePool],
    disk: Disk,
) -> dict[str, int]:
    """Examine the files of a part and store what comes of them; blocks until it is done.

    Args:
        payload: the part, as the scan submitted it.
        scan_id: the scan, in whose ledger the outcomes are written.
        job: the job that does the part; its transactions check the scan's right to write too.
        repository: the catalogue.
        rules: where paths lie on this machine.
        pool: gives probe processes.
        disk: looks at files.

    Raises:
        StorageError: the catalogue could not be written.
    """
    sight = Sight(rules.here, repository.libraries(), disk)
    examiner = Examiner(pool, sight)
    tracer = Tracer(repository, sight)
    writer = Writer(job.transaction, scan_id, dry_run=False, tracer=tracer, at_once=True, timed=False)
    outcomes: dict[str, int] = dict.fromkeys(Outcome, 0)
    total = 0
    for opened in map(_open, payload["folders"]):
        examiner.add(opened.folder, opened.files)
        total += len(opened.files)
    while not examiner.idle:
        try:
            job.raise_if_cancelled()
        except BaseException:
            writer.flush()  # what was examined is kept
            raise
        for folder, result in examiner.step(POLL_SECONDS):
            writer.add(folder, result)
            outcomes[result.outcome] += 1
        writer.flush_if_due()
        job.progress("probe", sum(outcomes.values()), total)
    writer.flush()
    return {"files": total, **{str(name): count for name, count in outcomes.items() if count}}
