"""The cache of pictures: whole or not there, and why there is none."""

import errno
import os
import time
from pathlib import Path

import pytest

from stoat_ferret.errors import StorageError, StorageFullError
from stoat_ferret.media import cache as cache_module
from stoat_ferret.media.cache import UNFINISHED_SECONDS, PictureCache


@pytest.fixture
def cache(tmp_path: Path) -> PictureCache:
    """A cache whose folder is not there yet."""
    return PictureCache(tmp_path / "data" / "thumbnails")


def test_a_picture_is_kept_by_content_width_and_format(cache: PictureCache) -> None:
    """Each for itself."""
    assert not cache.has("abc", 320, "webp")
    assert cache.read("abc", 320, "webp") is None
    cache.keep("abc", 320, "webp", b"picture")
    assert cache.has("abc", 320, "webp")
    assert cache.read("abc", 320, "webp") == b"picture"
    assert not any((cache.has("abd", 320, "webp"), cache.has("abc", 640, "webp"), cache.has("abc", 320, "jpeg")))


def test_an_empty_file_is_no_picture(cache: PictureCache, tmp_path: Path) -> None:
    """A power cut may leave one."""
    cache.keep("abc", 320, "webp", b"picture")
    [kept] = tmp_path.rglob("*.webp")
    kept.write_bytes(b"")
    assert not cache.has("abc", 320, "webp")
    assert cache.read("abc", 320, "webp") is None


def test_why_there_is_none_is_known_to_the_version_that_found_it_out(
    cache: PictureCache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another may know better, and a note that was cut off says nothing."""
    assert cache.why_none("abc") is None
    cache.note_none("abc", "It is damaged\udcff.")
    assert cache.why_none("abc") == "It is damaged\\udcff."
    monkeypatch.setattr(cache_module, "__version__", "99")
    assert cache.why_none("abc") is None
    [note] = tmp_path.rglob("*.none")
    note.write_text("99")
    assert cache.why_none("abc") is None


@pytest.mark.parametrize(
    ("number", "kind"), [(errno.ENOSPC, StorageFullError), (errno.EDQUOT, StorageFullError), (errno.EIO, StorageError)]
)
def test_what_cannot_be_kept_leaves_nothing_behind(
    cache: PictureCache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, kind: type[StorageError]
) -> None:
    """And is said with the folder."""
    cache.keep("abc", 320, "webp", b"picture")

    def fail(_path: str, _to: str) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(kind, match="thumbnails cannot be written") as raised:
        cache.keep("abc", 640, "webp", b"picture")
    assert type(raised.value) is kind
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["abc-320-webp.webp"]


def test_only_what_was_begun_long_ago_is_swept_away(cache: PictureCache, tmp_path: Path) -> None:
    """Another process may be writing just now."""
    cache.sweep()
    cache.keep("abc", 320, "webp", b"picture")
    [kept] = tmp_path.rglob("*.webp")
    old, young = kept.with_name(".old.webp.1"), kept.with_name(".young.webp.2")
    for path in (kept, old, young):
        path.write_bytes(b"half a pic")
    past = time.time() - UNFINISHED_SECONDS - 60
    for path in (kept, old):
        os.utime(path, (past, past))
    (kept.parent.parent / "stray").write_bytes(b"")
    cache.sweep()
    assert sorted(path.name for path in kept.parent.iterdir()) == [".young.webp.2", kept.name]
