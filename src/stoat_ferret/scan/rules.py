"""Which names a scan looks at: none that an ignore rule matches, and of the files only those with a video's ending.

Rules have gitignore's syntax and meaning. The defaults come first, then the library's own list, then each folder's
`.stoatignore` on the way down. The last rule that matches decides, `!` takes a name in again, and below a folder that
is left out nothing is looked at. Git matches bytes, so here each byte counts as one character.
"""

import os
import re
from collections.abc import Callable, Iterable, Sequence, Set
from dataclasses import dataclass
from functools import cached_property

import xxhash
from pathspec.patterns.gitignore import GitIgnorePatternError
from pathspec.patterns.gitignore.spec import GitIgnoreSpecPattern

from stoat_ferret import paths
from stoat_ferret.scan.links import Links

IGNORE_FILE = b".stoatignore"

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

USUAL_ENDING = len(".mp4")


@dataclass(frozen=True, slots=True)
class IgnoreRule:
    """A line that leaves names out, or takes them in again."""

    source: str
    """`default`, `library`, or the path of a `.stoatignore`."""
    line: int
    """Counted from 1."""
    pattern: str

    def __str__(self) -> str:
        """Say it for a person."""
        where = {"default": "the default rules", "library": "the library's list"}.get(self.source, self.source)
        return f"line {self.line} of {where}: {self.pattern}"


@dataclass(frozen=True, slots=True)
class _Pattern:
    rule: IgnoreRule
    ignores: bool
    """False for one that takes names in again."""
    expression: re.Pattern[str]

    def may_match(self, endings: Sequence[bytes]) -> bool:
        """Tell whether it might match a file with one of these endings, in small letters; True if unsure."""
        pattern = self.rule.pattern.rstrip()
        if pattern.endswith("/") and not pattern.endswith("\\/"):
            return False  # folders only
        plain = re.fullmatch(r"\*(\.[A-Za-z0-9!_-]+)", pattern)
        return plain is None or any(ending.decode("latin-1").endswith(plain[1].lower()) for ending in endings)

    @property
    def head(self) -> str | None:
        """What the names of all files begin with that it matches, as far as that is plain to see."""
        plain = re.fullmatch(r"([A-Za-z0-9._@$ -]+)\*?", self.rule.pattern.rstrip())
        return None if plain is None else plain[1]

    def matches(self, path: str) -> bool:
        return self.expression.fullmatch(path) is not None


def _either(patterns: Iterable[_Pattern]) -> re.Pattern[str]:
    either = "|".join(f"(?:{pattern.expression.pattern})" for pattern in patterns)
    return re.compile(either or "(?!)", re.DOTALL)


class _Level:
    """The rules of one source, relative to one folder."""

    def __init__(self, folder: bytes | None, source: str, lines: Iterable[str], endings: Sequence[bytes]) -> None:
        self.folder = folder
        """None: of every folder, so that names are matched alone."""
        self.patterns = tuple(
            pattern for number, line in enumerate(lines, 1) if (pattern := _pattern(source, number, line)) is not None
        )
        # One expression instead of a dozen: this runs for every name of a tree that may hold millions.
        self.any = _either(self.patterns)
        self.on_videos = [pattern for pattern in self.patterns if pattern.may_match(endings)]
        self.any_of_video = _either(self.on_videos)
        """Of those that may match a file with a video's ending: of the default ones, which name other endings, few."""
        heads = [pattern.head for pattern in self.on_videos]
        self._heads = None if None in heads else [f"/{head}" for head in heads]

    def may_concern(self, names: str) -> bool:
        """Tell whether any of these names of videos' files might be matched; before each of them stands a slash."""
        return self._heads is None or any(head in names for head in self._heads)

    def prefix(self, folder: bytes | None) -> str:
        """Give what a name in a folder has before it in the eyes of these rules."""
        if self.folder is None or folder is None or folder == self.folder:
            return ""
        return folder[len(self.folder.rstrip(b"/")) + 1 :].decode("latin-1") + "/"


def _pattern(source: str, number: int, line: str) -> _Pattern | None:
    line = line.removesuffix("\r")
    # pathspec takes `name/**/` for the folder too, where git means the folders in it only.
    stripped = line.rstrip(" ")
    if not stripped.removeprefix("!").strip("/"):  # for git, slashes alone match nothing
        return None
    folders_inside = stripped.endswith("/**/") and not stripped.endswith("\\")
    try:
        pattern = GitIgnoreSpecPattern(stripped[:-1] if folders_inside else line)
    except GitIgnorePatternError:  # git takes such a line for one that matches nothing
        return None
    if pattern.include is None or pattern.regex is None:
        return None
    rule = IgnoreRule(source, number, line.encode("latin-1", "replace").decode("utf-8", "replace"))
    whole = _whole(pattern.regex.pattern) + ("/" if folders_inside else "")
    return _Pattern(rule, bool(pattern.include), re.compile(whole, re.DOTALL))


def _whole(expression: str) -> str:
    """Turn an expression of pathspec, which matches whatever is in a folder with it, into one for a path as a whole.

    What lies in a folder that is left out is not looked at anyway; and where the folder is taken in again, git asks of
    each path in it anew.
    """
    # A name for a group may stand in an expression only once, and several are put together.
    plain = re.sub(r"\(\?P<\w+>", "(?:", expression)
    # A set of characters that is turned round does not reach beyond a name, and `$` would leave out a last line break.
    plain = plain.replace("[^", "[^/").replace("[^//", "[^/").replace("|$)", r"|\Z)")
    if plain == ".":
        return ".+"
    if plain in ("(?:/)", "/"):  # any folder; all that lies in any folder
        return ".*/" if plain == "(?:/)" else ".+/.+"
    return plain + ".+" if plain.endswith("/") else plain  # `name/**`: all that lies in a folder, and not the folder


def as_it_is(path: bytes) -> bytes:
    """Give a path back: on a machine where all lies where the catalogue says."""
    return path


class Rules:
    """The rules in force in one folder; immutable. Names are bytes."""

    def __init__(
        self,
        extensions: Iterable[str],
        patterns: Sequence[str] = DEFAULT_IGNORE,
        *,
        here: Callable[[bytes], bytes] = as_it_is,
        media_roots: Iterable[bytes] = (),
    ) -> None:
        self.here = here
        """Tells where a path of the catalogue lies on this machine; to be sent to other processes, no lambda."""
        self.media_roots = tuple(media_roots)
        """Real paths of the folders that symbolic links may lead into; none: anywhere."""
        self.links: Links | None = None
        """Where symbolic links are followed; None where they are not."""
        extensions = sorted(extensions)
        self._endings = tuple(os.fsencode("." + extension) for extension in extensions)
        self.longest_ending = max(map(len, self._endings), default=1)
        """In bytes, of videos' names."""
        self._levels: tuple[_Level, ...] = (_Level(None, "default", patterns, self._endings),)
        self._folder: bytes | None = None
        self.digest = xxhash.xxh3_64_digest("\0".join([*extensions, "", *patterns]).encode())
        """Changes whenever the rules do."""

    def of_library(self, folder: bytes, ignore: Sequence[str], *, follow_symlinks: bool = False) -> "Rules":
        """Give the rules of a library, with its own list, for its folder; its `.stoatignore` comes on top."""
        if not ignore:
            rules = self._with((), folder, b"")
        else:
            lines = [line.encode().decode("latin-1") for line in ignore]
            level = _Level(folder, "library", lines, self._endings)
            rules = self._with((level,), folder, "\0".join(ignore).encode())
        if follow_symlinks:
            rules.links = Links(self.here(folder), self.media_roots)
            rules.digest = xxhash.xxh3_64_digest(rules.digest + b"links")
        return rules

    def inside(self, folder: bytes, ignore_file: bytes | None) -> "Rules":
        """Give the rules in force inside a folder.

        Args:
            folder: one that lies directly in the folder of these rules, or that one itself.
            ignore_file: what its `.stoatignore` holds; None where there is none.
        """
        if ignore_file is None:
            return self if len(self._levels) == 1 else self._with((), folder, b"")
        lines = ignore_file.removeprefix(b"\xef\xbb\xbf").decode("latin-1").split("\n")
        source = paths.display(folder.rstrip(b"/") + b"/" + IGNORE_FILE)
        return self._with((_Level(folder, source, lines, self._endings),), folder, ignore_file)

    def _with(self, levels: tuple[_Level, ...], folder: bytes, content: bytes) -> "Rules":
        rules = object.__new__(Rules)
        rules.here = self.here
        rules.media_roots = self.media_roots
        rules.links = self.links
        rules._endings = self._endings
        rules.longest_ending = self.longest_ending
        rules._levels = self._levels + levels
        rules._folder = folder
        rules.digest = xxhash.xxh3_64_digest(self.digest + content) if levels else self.digest
        return rules

    @cached_property
    def _prefixed(self) -> tuple[tuple[_Level, str], ...]:
        """The levels, the strongest first, with what a name here has before it."""
        return tuple((level, level.prefix(self._folder)) for level in reversed(self._levels))

    def decision(self, name: bytes, *, is_folder: bool) -> IgnoreRule | None:
        """Give the rule that leaves out a name in this folder; None where none does."""
        return self._decision(name.decode("latin-1") + ("/" if is_folder else ""), of_video=False)

    def decision_on_video(self, name: bytes) -> IgnoreRule | None:
        """Give the rule that leaves out a file in this folder whose name has a video's ending; None where none does."""
        return self._decision(name.decode("latin-1"), of_video=True)

    def _decision(self, plain: str, *, of_video: bool) -> IgnoreRule | None:
        for level, prefix in self._prefixed:
            path = prefix + plain
            if (level.any_of_video if of_video else level.any).match(path) is None:
                continue
            for pattern in reversed(level.patterns):
                if pattern.matches(path):
                    return pattern.rule if pattern.ignores else None
        return None

    def videos_among(self, names: Sequence[str]) -> tuple[Set[str] | None, Set[str]]:
        """Tell which files in this folder may be videos.

        In steps over all names this takes a fraction of what it takes to ask of one after another.

        Args:
            names: of files, each byte as one character.

        Returns:
            The ends, as long as `longest_ending`, of those names that have a video's ending, or None where all have;
            and those of all names that a rule might leave out: of a video's file that is not among these, none does.
        """
        joined = "/" + "/".join(names)
        doubtful: set[str] = set()
        for level, prefix in self._prefixed:
            if level.on_videos and level.may_concern(joined):
                may_match = level.any_of_video.match
                doubtful.update(name for name in names if may_match(prefix + name))
        # Where the ends that most videos have do for all, there are few to look at; longer ones differ by numbers.
        for length in (USUAL_ENDING, self.longest_ending):
            tails = {name[-length:] for name in names}
            of_videos = {tail for tail in tails if self.is_video_name(tail.encode("latin-1"))}
            if len(of_videos) == len(tails):
                return None, doubtful
        return of_videos, doubtful

    def is_video_name(self, name: bytes) -> bool:
        """Tell whether a file of this name has a video's ending."""
        return name.lower().endswith(self._endings)

    def wants_file(self, name: bytes) -> bool:
        """Tell whether a file of this name may be a video."""
        return self.is_video_name(name) and self.decision_on_video(name) is None

    def wants_folder(self, name: bytes) -> bool:
        """Tell whether a folder of this name is to be looked into."""
        return self.decision(name, is_folder=True) is None
