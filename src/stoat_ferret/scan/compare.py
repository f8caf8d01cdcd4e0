"""One folder's listing against what the catalogue knows of it: a pure function."""

from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass, field

import xxhash

from stoat_ferret.library.models import KnownFile
from stoat_ferret.media.info import PROBE_VERSION
from stoat_ferret.scan.listing import FileEntry, FolderListing, FolderProblem, join
from stoat_ferret.scan.rules import Rules
from stoat_ferret.scan.walk import list_folder

MTIME_GRANULARITY_NS = 3_000_000_000
"""FAT keeps times to 2 s: a file may change again within it and look the same. Such a folder gets no digest yet."""


@dataclass(frozen=True, slots=True)
class Seen:
    """A file that was listed, with what is known of it."""

    path: bytes
    entry: FileEntry
    known: KnownFile | None
    origin: KnownFile | None = None
    """What is known of it from where it was before."""
    twin: KnownFile | None = None
    """Another known file that is this very one, by another name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderChanges:
    """What a folder's listing means."""

    probe: tuple[Seen, ...]
    """New or changed, or last examined by a probe that said less: to be examined."""
    restored: tuple[Seen, ...]
    """Were missing, are there again as they were: nothing needs to be read."""
    rejected: tuple[Seen, ...]
    """Known to be no usable video, and unchanged since: reported again, not examined again."""
    refreshed: tuple[Seen, ...] = ()
    """Of the unchanged ones, those whose inode is another one than is known."""
    unchanged: int
    newly_counted: int
    """Of the unchanged ones, those that this job did not itself store earlier."""
    gone: tuple[KnownFile, ...]
    ignored: Mapping[bytes, str] = field(default_factory=dict)
    """Why some of what is gone counts so though its file is there, by path: a rule leaves it out."""


def digest(listing: FolderListing, rules: Rules) -> bytes:
    """Give 16 bytes that are equal exactly as long as the folder's files look the same under the same rules.

    Args:
        listing: of the folder.
        rules: those of the listing, unless it brings its own.
    """
    state = xxhash.xxh3_128((listing.rules or rules).digest + PROBE_VERSION.to_bytes(4, "big"))
    for part in listing.files.state:
        state.update(len(part).to_bytes(8, "big"))
        state.update(part)
    return state.digest()


def list_unless_same(
    path: bytes, rules: Rules, known: bytes, goes_on: Callable[[], None] = lambda: None
) -> FolderListing | FolderProblem:
    """List a folder as `list_folder` does; without its files where its digest is the one that is known."""
    listing = list_folder(path, rules, goes_on)
    if isinstance(listing, FolderListing) and digest(listing, rules) == known:
        return listing.without_files(known)
    return listing


def settled(listing: FolderListing, now_ns: int) -> bool:
    """Tell whether every file is old enough for its times to prove that it was not changed since."""
    newest = listing.files.newest_ns
    if any(oddity.unproven for oddity in listing.oddities):
        return False  # what is known of those is not in the digest
    return newest is None or newest < now_ns - MTIME_GRANULARITY_NS


def compare(
    listing: FolderListing,
    known: Mapping[bytes, KnownFile],
    *,
    force: bool,
    done: Set[bytes] = frozenset(),
    any_inode: bool = False,
) -> FolderChanges:
    """Sort a folder's files by what is to be done about them.

    Args:
        listing: the complete listing.
        known: all that the catalogue has directly in the folder, by path, missing ones included.
        force: examine again what is unchanged.
        done: paths that this job has stored already, in an attempt that was cut off.
        any_inode: the volume was mounted anew, so that other inodes mean no change.
    """
    probe: list[Seen] = []
    restored: list[Seen] = []
    rejected: list[Seen] = []
    refreshed: list[Seen] = []
    unchanged = newly_counted = 0
    present = {join(listing.path, oddity.name) for oddity in listing.oddities if oddity.unproven}
    rules = listing.rules
    for entry in listing.files:
        path = join(listing.path, entry.name)
        present.add(path)
        seen = Seen(path, entry, known.get(path))
        if seen.known is None or not _is_as_known(seen, any_inode=any_inode) or (force and path not in done):
            probe.append(seen)
            continue
        if not seen.known.key.same_file(entry.key):
            refreshed.append(seen)
        if seen.known.state == "missing":
            restored.append(seen)
        elif seen.known.reject_outcome is not None:
            rejected.append(seen)
        else:
            unchanged += 1
            newly_counted += path not in done
    gone = tuple(file for path, file in known.items() if path not in present and file.state != "missing")
    ignored = {} if rules is None else _ignored(gone, rules)
    return FolderChanges(
        probe=tuple(probe),
        restored=tuple(restored),
        rejected=tuple(rejected),
        refreshed=tuple(refreshed),
        unchanged=unchanged,
        newly_counted=newly_counted,
        gone=gone,
        ignored=ignored,
    )


def _is_as_known(seen: Seen, *, any_inode: bool) -> bool:
    assert seen.known is not None  # noqa: S101  # the caller has looked
    if seen.known.outdated:
        return False
    key = seen.known.key
    return key.same_content(seen.entry.key) if any_inode else key.same_file(seen.entry.key)


def _ignored(gone: Sequence[KnownFile], rules: Rules) -> dict[bytes, str]:
    """Say of files that are not listed why they are left out, where a rule does that."""
    found = {}
    for file in gone:
        rule = rules.decision(file.path.rpartition(b"/")[2], is_folder=False)
        if rule is not None:
            found[file.path] = f"An ignore rule leaves the file out ({rule})."
    return found
