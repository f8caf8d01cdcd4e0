"""Trees of many small playable videos, made quickly, for tests and benchmarks."""

import tempfile
from functools import cache
from pathlib import Path

from tools.clips import make_clip

KINDS = (("libx264", (160, 90)), ("libx264", (64, 64)), ("libx265", (128, 72)))


@cache
def masters() -> tuple[bytes, ...]:
    """Give a few MP4 files of some 10 KiB."""
    made = []
    with tempfile.TemporaryDirectory() as scratch:
        for number, (codec, size) in enumerate(KINDS):
            path = Path(scratch) / f"{number}.mp4"
            make_clip(path, codec=codec, size=size, frames=12)
            made.append(path.read_bytes())
    return tuple(made)


def unique_clip(number: int) -> bytes:
    """Give the content of a playable clip that no other number has: a free box, which players pass over, ends it."""
    mark = b"%016d" % number
    box = (8 + len(mark)).to_bytes(4, "big") + b"free" + mark
    return masters()[number % len(masters())] + box


def make_tree(root: Path, count: int, *, a_folder: int = 100) -> None:
    """Fill a new folder with `count` clips, no two alike, `a_folder` of them in each sub-folder."""
    root.mkdir(parents=True)
    for number in range(count):
        folder = root / f"folder {number // a_folder:05d}"
        if number % a_folder == 0:
            folder.mkdir()
        (folder / f"clip {number:07d}.mp4").write_bytes(unique_clip(number))
