"""What looks for violations finds them: a proof that could not fail would prove nothing."""

from pathlib import Path
from typing import Any

import httpx2
import pytest

from stoat_ferret.library.models import Change
from torture.audit import catalogue_differences, feed_violations
from torture.client import Promises, improper
from torture.keys import KeyedSubmit, Keys

Entry = tuple[str, str, bytes, str]
ADDED: Entry = ("added", "1", b"/a", "available")
GONE: Entry = ("missing", "1", b"/a", "missing")
BACK: Entry = ("restored", "1", b"/a", "available")


def feed(*entries: Entry) -> list[Change]:
    """Give a feed of these changes."""
    return [
        Change(seq=seq, kind=kind, video_id=video_id, path_bytes=path, state=state, at=seq)
        for seq, (kind, video_id, path, state) in enumerate(entries, 1)
    ]


def test_a_feed_that_can_have_happened_is_in_order() -> None:
    """Added, gone, back, removed, and the path free for another."""
    removed = ("removed", "1", b"/a", "available")
    assert feed_violations(feed(ADDED, GONE, BACK, removed, ("added", "2", b"/a", "available"))) == []


@pytest.mark.parametrize(
    ("entries", "words"),
    [
        ((ADDED, ADDED), "was added before"),
        ((ADDED, ("added", "2", b"/a", "available")), "the path belongs to 1"),
        ((GONE,), "nothing with this id is there"),
        ((ADDED, GONE, GONE), "it was missing already"),
        ((ADDED, BACK), "it was not missing"),
    ],
)
def test_a_feed_that_cannot_have_happened_is_found_out(entries: tuple[Entry, ...], words: str) -> None:
    """Each effect that was there twice, or without its cause."""
    [violation] = feed_violations(feed(*entries))
    assert words in violation


def test_a_number_given_twice_is_found_out() -> None:
    """The feed's numbers only grow."""
    [violation] = feed_violations([*feed(ADDED), *feed(("updated", "1", b"/a", "available"))])
    assert "follows 1" in violation


def video(state: str = "available", **fields: Any) -> dict[str, Any]:
    """Give what a catalogue says of a video."""
    return {"state": state, "size": 1, **fields}


def test_a_catalogue_with_a_history_may_hold_what_is_missing_and_what_is_broken() -> None:
    """The one of the undisturbed scan cannot know these."""
    disturbed = {"/a": video(), "/gone": video("missing"), "/bad": video("broken")}
    assert catalogue_differences(disturbed, {"/a": video()}, [Path("/a"), Path("/bad")]) == []


@pytest.mark.parametrize(
    ("disturbed", "words"),
    [
        ({}, "/a is not in the catalogue"),
        ({"/a": video("missing")}, "/a is there, and the catalogue says that it is missing"),
        ({"/a": video("broken")}, "/a is no broken video"),
        ({"/a": video(), "/b": video()}, "/b is in the catalogue, and should not be"),
        ({"/a": video(size=2)}, "/a differs: [('size', 2, 1)]"),
    ],
)
def test_a_catalogue_that_differs_is_found_out(disturbed: dict[str, dict[str, Any]], words: str) -> None:
    """Whatever is lost, left over or otherwise than it should be."""
    assert words in catalogue_differences(disturbed, {"/a": video()}, [Path("/a")])


def test_a_job_that_ends_twice_is_found_out() -> None:
    """A terminal state never changes."""
    promises = Promises()
    promises.note({"job_id": "1", "status": "complete", "attempt": 1})
    promises.note({"job_id": "1", "status": "complete", "attempt": 1})
    assert promises.violations == []
    promises.note({"job_id": "1", "status": "failed", "attempt": 1})
    promises.note({"job_id": "1", "status": "running", "attempt": 2})
    assert len(promises.violations) == 2


def submit(job_id: str | None = "1") -> KeyedSubmit:
    """Give what was sent under a key, and answered with a job."""
    return KeyedSubmit("k", "whole", {"path": "/films"}, "http://before", sent_before=True, job_id=job_id)


def test_a_key_may_be_answered_with_its_job_again_or_with_trouble() -> None:
    """A submit that was cut off, or met a busy database, has no job yet, and gets one later."""
    keys, cut_off = Keys(), submit(None)
    assert keys.answered(submit(), "http://after", 202, "1") is None
    assert keys.answered(submit(), "http://after", 503, None) is None
    assert keys.answered(cut_off, "http://after", 400, None) is None
    assert keys.answered(cut_off, "http://after", 202, "2") is None
    assert cut_off.job_id == "2"


@pytest.mark.parametrize(("status", "job_id"), [(202, "2"), (404, None), (422, None)])
def test_a_key_that_has_another_job_or_none_any_more_is_found_out(status: int, job_id: str | None) -> None:
    """The same body under the same key names the same job for as long as that is kept."""
    assert Keys().answered(submit(), "http://after", status, job_id) is not None


def test_repeats_after_a_restart_are_counted_apart() -> None:
    """Only these show that a key outlives the server that took it."""
    keys, sent = Keys(), submit()
    keys.submits["k"] = sent
    assert keys.elsewhere("http://after") == [sent]
    for _ in range(2):
        keys.answered(sent, "http://after", 202, "1")
    assert (keys.repeats, keys.repeats_after_restart) == (2, 1)
    assert keys.elsewhere("http://after") == []


def answer(status: int, **fields: Any) -> httpx2.Response:
    """Give an answer to a request."""
    return httpx2.Response(status, request=httpx2.Request("GET", "http://here/api/v1/jobs"), **fields)


PROBLEM = {"content-type": "application/problem+json"}


@pytest.mark.parametrize(
    "given",
    [
        answer(202, json={}),
        answer(409, json={"code": "CONFLICT"}, headers=PROBLEM),
        answer(503, json={"code": "STORAGE_BUSY"}, headers=PROBLEM | {"retry-after": "1"}),
    ],
)
def test_an_answer_that_helps_is_proper(given: httpx2.Response) -> None:
    """A success, or a problem with a code that says when to try again."""
    assert improper(given) is None


@pytest.mark.parametrize(
    "given",
    [
        answer(500, text="Internal Server Error"),
        answer(500, json={"code": "INTERNAL_ERROR"}, headers=PROBLEM),
        answer(503, json={"code": "STORAGE_BUSY"}, headers=PROBLEM),
        answer(400, json={}, headers=PROBLEM),
    ],
)
def test_an_answer_that_does_not_help_is_found_out(given: httpx2.Response) -> None:
    """A bare 500, a problem without a code, a 503 that does not say when."""
    assert improper(given) is not None
