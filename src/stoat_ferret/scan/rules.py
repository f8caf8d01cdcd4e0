"""Which names a scan looks at: none that the ignore rules match, and of the files only those with a video's ending.

The rules have gitignore's syntax and meaning, as `pathspec` reads them; the ones here match a name wherever it stands.
"""

import os
import re
from collections.abc import Callable, Iterable

import xxhash
from pathspec import GitIgnoreSpec

DEFAULT_IGNORE = (
    ".*/",  # dot folders: caches, trash (.Trash-1000), version control, snapshots (.snapshot, .zfs)
    "._*",  # resource forks that macOS leaves on foreign disks
    "@eaDir/",  # Synology's indexes
    r"\#recycle/",  # Synology's bin
    "@Recycle/",  # QNAP's bin
    "$RECYCLE.BIN/",
    "System Volume Information/",
    "lost+found/",
    "*.part",
    "*.partial",
    "*.crdownload",
    "*.download",
    "*.!qB",
    "*.aria2",
)


class Rules:
    """Decides about one name at a time. Names are bytes; what is not UTF-8 matches as `?` and `*` do."""

    def __init__(
        self,
        extensions: Iterable[str],
        patterns: Iterable[str] = DEFAULT_IGNORE,
        *,
        here: Callable[[bytes], bytes] = lambda path: path,
    ) -> None:
        self.here = here
        """Tells where a path of the catalogue lies on this machine."""
        extensions, patterns = sorted(extensions), tuple(patterns)
        spec = GitIgnoreSpec.from_lines(patterns)
        # One expression instead of a dozen: this runs for every name of a tree that may hold millions. None of the
        # patterns is a negation, so their order does not matter.
        expressions = [pattern.regex.pattern for pattern in spec.patterns if pattern.regex]
        # pathspec names a group in each, and a name may stand in an expression only once.
        unnamed = [re.sub(r"\(\?P<\w+>", "(?:", expression) for expression in expressions]
        self._ignored = re.compile("|".join(f"(?:{expression})" for expression in unnamed))
        self._endings = tuple(os.fsencode("." + extension) for extension in extensions)
        self.digest = xxhash.xxh3_64_digest("\0".join([*extensions, "", *patterns]).encode())
        """Changes whenever the rules do."""

    def wants_file(self, name: bytes) -> bool:
        """Tell whether a file of this name may be a video."""
        return name.lower().endswith(self._endings) and not self._ignored.match(os.fsdecode(name))

    def wants_folder(self, name: bytes) -> bool:
        """Tell whether a folder of this name is to be looked into."""
        return not self._ignored.match(os.fsdecode(name) + "/")
