"""A tree of real clips that changes as people change theirs: files come, go, get other names and other content."""

import os
import random
import shutil
import threading
import time
from pathlib import Path

from tools.trees import make_tree, unique_clip

YEAR_NS = 365 * 86_400 * 10**9
LAST_CHANGE_NS = 1_700_000_000 * 10**9
"""Old enough that a folder's digest is stored: of a file changed just now it could not be told whether it is done."""
SETTLE_SECONDS = 4.0
"""For so long a file counts as being written, in the libraries of these runs: longer than it takes a worker to start
and its scan to come by, so that there are such files for it."""
YOUNG = 0.4
"""Of the changes that write files, those that leave them as young as they are."""
MARK_BYTES = 24
MOST_LOST = 0.25
"""Of the files of the last whole scan. Where more than half are gone the next one rightly stops and asks."""
SCANS = ("whole", "part", "flat", "force", "force part", "dry run")


class LivingTree:
    """A library's folder with `count` clips and some more, a few of them damaged, in folders of up to three levels.

    Half of it never goes at once; nor does half of a folder that was pinned, or any folder that is one or lies in one.
    """

    def __init__(self, root: Path, count: int, rng: random.Random, *, a_folder: int = 50) -> None:
        self.root = root
        self._rng = rng
        self._next = count
        self._a_folder = a_folder
        self.changes = 0
        self._lock = threading.Lock()
        self._pinned: set[Path] = set()
        self._youngest = 0.0
        make_tree(root, count, a_folder=a_folder)
        inner = self.folders()[0] / "inner"
        inner.mkdir()
        for _ in range(a_folder // 2):
            self._new_clip(inner / f"clip {self._next:07d}.mp4")
        for number, folder in enumerate(self.folders()[:3]):
            (folder / f"damaged {number}.mp4").write_bytes(b"no video at all " * (number + 1))
        (root / "notes.txt").write_text("not a video's name")
        for path in self.files():
            self._age(path)
        self._known = set(self.files())
        self._lost: set[Path] = set()

    def folders(self) -> list[Path]:
        """Give the folders below the root."""
        return sorted(path for path in self.root.rglob("*") if path.is_dir())

    def files(self) -> list[Path]:
        """Give the files that have a video's name."""
        return sorted(self.root.rglob("*.mp4"))

    def good_files(self) -> list[Path]:
        """Give those of them that are videos: a clip ends in the mark that makes it unlike any other."""
        return [path for path in self.files() if path.read_bytes()[-MARK_BYTES:-16].startswith(b"\0\0\0")]

    def pin(self, folder: Path) -> bool:
        """Let a folder stay where it is from now on, under its name; False if it is not there. Any thread may ask."""
        with self._lock:
            if folder.is_dir():
                self._pinned.add(folder)
            return folder.is_dir()

    def change(self) -> None:
        """Make one change."""
        with self._lock:
            self._change()

    def await_written(self) -> None:
        """Wait until no file counts as being written any more."""
        time.sleep(max(0.0, self._youngest + SETTLE_SECONDS + 0.5 - time.time()))

    def _change(self) -> None:
        kinds = [self._add, self._add_folder, self._overwrite, self._overwrite, self._damage, self._touch]
        if self._may_lose(self.root):
            kinds += [self._remove, self._remove_folder, self._rename, self._rename_folder]
        self._rng.choice(kinds)()
        self._lost = self._known.difference(self.files())
        self.changes += 1

    def settled(self) -> None:
        """Take in that a scan of the whole tree, as it is now, came to its end."""
        self._known, self._lost = set(self.files()), set()

    def renew(self, count: int) -> None:
        """Give many files other content, so that the next scan has something to do."""
        good = self.good_files()
        for path in self._rng.sample(good, min(count, len(good))):
            self._new_clip(path)
        self.changes += 1

    def scan(self, rng: random.Random) -> tuple[str, Path, dict[str, bool]]:
        """Draw a scan: its name, its folder and its options."""
        kind = rng.choices(SCANS, (4, 3, 1, 1, 2, 2))[0]
        options: dict[str, dict[str, bool]] = {
            "whole": {},
            "part": {},
            "flat": {"recursive": False},
            "force": {"force": True},
            "force part": {"force": True},
            "dry run": {"dry_run": True},
        }
        folder = rng.choice(self.folders()) if "part" in kind or kind == "flat" else self.root
        return kind, folder, options[kind]

    def _new_clip(self, path: Path) -> None:
        path.write_bytes(unique_clip(self._next))
        self._next += 1
        self._age(path)

    def _write_clips(self, *paths: Path) -> None:
        """Write some files; now and then they stay as young as they are."""
        young = self._rng.random() < YOUNG
        for path in paths:
            self._new_clip(path)
            if young:
                os.utime(path)
                self._youngest = time.time()

    def _age(self, path: Path) -> None:
        moment = LAST_CHANGE_NS - self._rng.randrange(YEAR_NS)
        os.utime(path, ns=(moment, moment))

    def _some_files(self) -> list[Path]:
        folder = self._rng.choice(self.folders())
        here = sorted(folder.glob("*.mp4"))
        return self._rng.sample(here, min(len(here), self._rng.randint(1, 10)))

    def _add(self) -> None:
        folder = self._rng.choice(self.folders())
        some = range(self._next, self._next + self._rng.randint(1, 20))
        self._write_clips(*(folder / f"clip {number:07d}.mp4" for number in some))

    def _add_folder(self) -> None:
        folder = self._rng.choice([self.root, *self.folders()[:5]]) / f"folder {self._next:07d}"
        folder.mkdir()
        some = range(self._next, self._next + self._a_folder)
        self._write_clips(*(folder / f"clip {number:07d}.mp4" for number in some))

    def _may_lose(self, folder: Path) -> bool:
        """Tell whether so little of a library is gone that some more may go."""
        lost, known = (sum(path.is_relative_to(folder) for path in paths) for paths in (self._lost, self._known))
        return lost < known * MOST_LOST

    def _files_to_lose(self) -> list[Path]:
        files = self._some_files()
        around = [folder for folder in self._pinned if files and files[0].is_relative_to(folder)]
        return files if all(map(self._may_lose, around)) else []

    def _loose_folders(self) -> list[Path]:
        """Give the folders that may go: none that is pinned, nor one above or below."""

        def is_loose(folder: Path) -> bool:
            return not any(folder.is_relative_to(pin) or pin.is_relative_to(folder) for pin in self._pinned)

        return [folder for folder in self.folders()[5:] if is_loose(folder)]

    def _remove(self) -> None:
        for path in self._files_to_lose():
            path.unlink()

    def _remove_folder(self) -> None:
        if folders := self._loose_folders():
            shutil.rmtree(self._rng.choice(folders))

    def _rename(self) -> None:
        for path in self._files_to_lose():
            path.rename(path.with_name(f"renamed {self._next:07d}.mp4"))
            self._next += 1

    def _rename_folder(self) -> None:
        if folders := self._loose_folders():
            folder = self._rng.choice(folders)
            folder.rename(folder.with_name(f"folder {self._next:07d}"))
            self._next += 1

    def _overwrite(self) -> None:
        """Half of them in place, half of them replaced by another file."""
        files = self._some_files()
        others = {path.with_suffix(".new"): path for path in files[::2]}
        self._write_clips(*files[1::2], *others)
        for other, path in others.items():
            other.replace(path)

    def _damage(self) -> None:
        for path in self._some_files()[:3]:
            path.write_bytes(b"damaged " * self._rng.randint(1, 100))
            self._age(path)

    def _touch(self) -> None:
        for path in self._some_files():
            self._age(path)
