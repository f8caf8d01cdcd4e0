"""Answers of probe processes, which may have been taken over by what they read."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stoat_ferret.media.info import MediaInfo, StreamInfo
from stoat_ferret.media.process import WorkerLiedError
from stoat_ferret.media.tasks import Answer, FileStat, MediaFailure, read_answer

PLAIN: dict[str, Any] = {
    "stat": {"size": 1, "mtime_ns": 2, "inode": 3, "device": 4, "birth_ns": None},
    "fingerprint": "f" * 32,
    "info": {"container": "mov", "streams": [{"index": 0, "kind": "video", "disposition": ["default"]}], "tags": {}},
    "error": None,
    "bytes_read": 5,
    "seconds": 0.5,
    "image": False,
    "retiring": False,
}


def test_an_answer_is_read() -> None:
    """Lists become tuples, and what lacks is not known."""
    answer = read_answer(json.dumps(PLAIN).encode())
    stream = StreamInfo(index=0, kind="video", disposition=("default",))
    assert answer == Answer(
        stat=FileStat(1, 2, 3, 4),
        fingerprint="f" * 32,
        info=MediaInfo(container="mov", streams=(stream,)),
        error=None,
        bytes_read=5,
        seconds=0.5,
    )
    failed = read_answer(json.dumps(PLAIN | {"error": {"code": "A", "message": "b", "passing": True}}).encode())
    assert failed.error == MediaFailure("A", "b", passing=True)


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"bytes_read": "5"}, "bytes_read"),
        ({"seconds": None}, "seconds"),
        ({"fingerprint": 7}, "fingerprint"),
        ({"stat": {"size": 1}}, "stat"),
        ({"error": "none"}, "error"),
        ({"info": {"container": "mov", "width": "wide"}}, "info.width"),
        ({"info": {"container": "mov", "hdr": "super"}}, "info.hdr"),
        ({"info": {"container": "mov", "streams": [{"index": 0, "kind": "smell"}]}}, r"info.streams.0.kind"),
        ({"info": {"container": "mov", "tags": {"a": ["b"]}}}, "info.tags.a"),
    ],
)
def test_what_is_not_of_the_agreed_shape_is_a_lie(change: dict[str, Any], where: str) -> None:
    """It is said what; every field is of the type that whoever asked relies on."""
    with pytest.raises(WorkerLiedError, match=where):
        read_answer(json.dumps(PLAIN | change).encode())


@pytest.mark.parametrize("message", [b"", b"[]", b"null", b"{", b"\xff", b"[" * 100_000, b'{"stat": "\\ud800"}'])
def test_what_is_no_answer_at_all_is_a_lie(message: bytes) -> None:
    """Whatever the bytes are."""
    with pytest.raises(WorkerLiedError):
        read_answer(message)


@given(st.binary(max_size=60))
def test_no_bytes_do_anything_else(message: bytes) -> None:
    """Nothing but an answer or a lie comes of them."""
    with pytest.raises(WorkerLiedError):
        read_answer(message)
