"""Tests of what a machine reaches, and where it lies there."""

import pytest

from stoat_ferret.errors import ConfigurationError
from stoat_ferret.places import Root, Roots, parse_roots, place_of

NAS = parse_roots(["/footage=/mnt/nas/footage", "/footage/2024=/fast/2024", "/home/ann"])


def test_without_roots_everything_is_reached_where_it_is() -> None:
    """As on the one machine of most people."""
    roots = parse_roots([])
    assert roots == Roots()
    assert roots.reaches("/anything")
    assert roots.here(b"/anything") == roots.everywhere(b"/anything") == b"/anything"
    assert roots.places() is None


@pytest.mark.parametrize(
    ("place", "reached"),
    [
        ("/footage", True),
        ("/footage/a/b", True),
        ("/footage2", False),
        ("/", False),
        ("/home", False),
        ("/home/ann", True),
        ("/mnt/nas/footage", False),
    ],
)
def test_a_place_is_reached_at_or_below_a_root(place: str, reached: bool) -> None:
    """By the path that all know, whatever it is called here."""
    assert NAS.reaches(place) is reached


def test_a_path_is_found_where_it_lies_here_and_back() -> None:
    """The innermost root decides."""
    for path, here in [
        (b"/footage", b"/mnt/nas/footage"),
        (b"/footage/a/b.mov", b"/mnt/nas/footage/a/b.mov"),
        (b"/footage/2024/c.mov", b"/fast/2024/c.mov"),
        (b"/footage/2024x", b"/mnt/nas/footage/2024x"),
        (b"/home/ann/d.mov", b"/home/ann/d.mov"),
    ]:
        assert NAS.here(path) == here
        assert NAS.everywhere(here) == path
    assert NAS.here(b"/elsewhere") is None
    assert NAS.everywhere(b"/footage/a") is None
    assert NAS.places() == ("/footage", "/footage/2024", "/home/ann")


def test_the_root_of_a_file_system_can_be_one() -> None:
    """No slash is doubled or lost."""
    roots = parse_roots(["/=/mnt/all"])
    assert roots.reaches("/anything")
    assert roots.here(b"/a/b") == b"/mnt/all/a/b"
    assert roots.everywhere(b"/mnt/all/a/b") == b"/a/b"
    assert parse_roots(["/all=/"]).here(b"/all/a") == b"/a"


def test_paths_that_are_not_utf8_stay_what_they_are() -> None:
    """Settings bring their bytes as lone surrogates."""
    roots = parse_roots(["/caf\udce9"])
    assert roots.roots == (Root(b"/caf\xe9", b"/caf\xe9"),)
    assert place_of(b"/caf\xe9") == "/caf\\xe9"
    assert roots.reaches(place_of(b"/caf\xe9/a"))
    assert not roots.reaches(place_of(b"/caf\xe8/a"))


def test_an_equals_sign_within_a_name_is_part_of_it() -> None:
    """Only one that a slash follows is not; slashes too many are left out."""
    assert parse_roots(["/a=b//c/=/d/../e/"]).roots == (Root(b"/a=b/c", b"/e"),)
    assert parse_roots(["/a=b"]).roots == (Root(b"/a=b", b"/a=b"),)


@pytest.mark.parametrize("text", ["footage", "footage=/mnt", "=/mnt", ""])
def test_a_path_that_is_not_absolute_is_refused(text: str) -> None:
    """It would mean another folder for each process."""
    with pytest.raises(ConfigurationError, match="not an absolute path"):
        parse_roots([text])


def test_a_root_that_is_given_twice_is_refused() -> None:
    """Which of the two would be meant?"""
    with pytest.raises(ConfigurationError, match="/a is given twice"):
        parse_roots(["/a=/b", "/a/=/c"])
