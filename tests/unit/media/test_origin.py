"""What tags tell of a recording."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stoat_ferret.media.info import Location
from stoat_ferret.media.origin import iso_6709, location, origin, without_location

PHONE = {
    "creation_time": "2024-01-22T10:47:52.000000Z",
    "com.apple.quicktime.location.accuracy.horizontal": "6.540345",
    "com.apple.quicktime.location.ISO6709": "+51.3714-000.1977+033.130/",
    "com.apple.quicktime.make": "Apple",
    "com.apple.quicktime.model": "iPhone 14 Pro",
    "com.apple.quicktime.creationdate": "2024-01-22T11:47:18+0100",
}


def test_a_phone_says_what_it_is_and_when_it_filmed() -> None:
    """The time of filming goes before the time at which the file was made."""
    assert origin(PHONE) == {
        "camera_make": "Apple",
        "camera_model": "iPhone 14 Pro",
        "created_at_in_camera": "2024-01-22T10:47:18Z",
        "location": Location(latitude=51.3714, longitude=-0.1977, altitude=33.13),
    }


@pytest.mark.parametrize(
    ("tags", "make", "model"),
    [
        ({"com.android.manufacturer": "Google", "com.android.model": "Pixel 8"}, "Google", "Pixel 8"),
        ({"make": "Canon", "model": "EOS R5"}, "Canon", "EOS R5"),
        ({"MAKE": " GoPro ", "MODEL": ""}, "GoPro", None),
        ({"make": " ", "com.apple.quicktime.make": "Apple"}, "Apple", None),
        ({}, None, None),
    ],
)
def test_cameras_name_themselves_in_many_ways(tags: dict[str, str], make: str | None, model: str | None) -> None:
    """Blanks are no name."""
    found = origin(tags)
    assert (found["camera_make"], found["camera_model"]) == (make, model)


@pytest.mark.parametrize(
    ("tags", "time"),
    [
        ({"com.apple.quicktime.creationdate": "soon", "creation_time": "2024-05-06T07:08:09Z"}, "2024-05-06T07:08:09Z"),
        ({"com.apple.quicktime.creationdate": "1904-01-01T00:00:00Z"}, None),
        ({"creation_time": "1970-01-01T00:00:00.000000Z"}, None),
        ({"CREATION_TIME": "2024-05-06T09:08:09+02:00"}, "2024-05-06T07:08:09Z"),
        ({"creation_time": "2024-05-06 07:08:09"}, None),
    ],
)
def test_a_clock_that_was_never_set_says_nothing(tags: dict[str, str], time: str | None) -> None:
    """Nor does one without a zone."""
    assert origin(tags)["created_at_in_camera"] == time


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("+51.3714-000.1977+033.130/", (51.3714, -0.1977, 33.13)),
        ("+40.6800-074.5000/", (40.68, -74.5, None)),
        ("+40.6800-074.5000", (40.68, -74.5, None)),
        ("-33.8568+151.2153-002.5CRSWGS_84/", (-33.8568, 151.2153, -2.5)),
        ("+4030-07415/", (40.5, -74.25, None)),
        ("+403000.0-0741500.0/", (40.5, -74.25, None)),
        ("+48.8577+002.2950/Paris/", (48.8577, 2.295, None)),
        ("-00.5000-000.2500/", (-0.5, -0.25, None)),
        ("+91.0000+000.0000/", None),
        ("+10.0000+181.0000/", None),
        ("+123.0000+0101.0000/", None),
        ("40.68, -74.5", None),
        ("somewhere", None),
        ("", None),
    ],
)
def test_places_are_written_by_iso_6709(text: str, place: tuple[float, float, float | None] | None) -> None:
    """In degrees, in minutes, in seconds; what is no place on Earth is none."""
    found = iso_6709(text)
    assert (found and (found.latitude, found.longitude, found.altitude)) == place


def test_the_place_is_taken_from_the_tag_that_says_it_best() -> None:
    """Translated ones come last, and what cannot be read is passed over."""
    assert location({"location-eng": "+01.0000+001.0000/", "location": "+02.0000+002.0000/"}) == Location(
        latitude=2.0, longitude=2.0
    )
    assert location({"location-eng": "+01.0000+001.0000/", "location": "home"}) == Location(latitude=1.0, longitude=1.0)
    assert location({"title": "+01.0000+001.0000/"}) is None


@pytest.mark.parametrize(
    "key",
    [
        "location", "location-eng", "LOCATION", "com.apple.quicktime.location.ISO6709", "\xa9xyz", "xyz", "GPSLatitude",
        "com.apple.quicktime.location.accuracy.horizontal", "com.apple.quicktime.location.name", "gps_coordinates",
        "RECORDING_LOCATION", "Longitude", "GeoTag",
    ],
)  # fmt: skip
def test_no_tag_that_tells_where_is_left(key: str) -> None:
    """Whoever writes it, and in whatever form: where a film was made is private."""
    assert without_location({key: "home", "title": "A title"}) == {"title": "A title"}


@given(st.text())
def test_any_text_is_read(text: str) -> None:
    """Tags are written by anybody."""
    iso_6709(text)
    iso_6709("+51.3714-000.1977" + text)
    origin({"location": text, "creation_time": text})
