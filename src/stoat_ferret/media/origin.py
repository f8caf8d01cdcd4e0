"""With what, when and where something was filmed, as its tags say: pure functions over tags.

Cameras and phones write the same under many names. Where it was filmed is nobody's business but the owner's, who may
show the catalogue to others: what tells it is taken out of the tags.
"""

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

from stoat_ferret.media import timing
from stoat_ferret.media.info import Location

_MAKES = ("com.apple.quicktime.make", "com.android.manufacturer", "make")
_MODELS = ("com.apple.quicktime.model", "com.android.model", "model")
_TIMES = ("com.apple.quicktime.creationdate", "creation_time")
"""The first says when it was filmed, in the zone of the place; the other when the file was made, by a clock in UTC."""
_PLACES = ("com.apple.quicktime.location.iso6709", "location")
_TELLS_WHERE = re.compile(r"location|gps|latitude|longitude|coordinate|geotag|iso ?6709|^.?xyz", re.IGNORECASE)
_SHORT_KEY = 64
_ISO_6709 = re.compile(
    r"(?P<latitude>[+-]\d{2,6}(?:\.\d+)?)(?P<longitude>[+-]\d{3,7}(?:\.\d+)?)(?P<altitude>[+-]\d+(?:\.\d+)?)?"
    r"(?:CRS\w*)?(?:/|$)"
)


def origin(tags: Mapping[str, str]) -> dict[str, Any]:
    """Give the fields of `MediaInfo` that tell of the recording, out of all the tags of a file."""
    named = {key.lower(): value for key, value in tags.items()}
    times = (timing.camera_time(named.get(name)) for name in _TIMES)
    return {
        "camera_make": _first(named, _MAKES),
        "camera_model": _first(named, _MODELS),
        "created_at_in_camera": next((time for time in times if time), None),
        "location": location(tags),
    }


def _first(named: Mapping[str, str], names: Iterable[str]) -> str | None:
    return next((value for name in names if (value := named.get(name, "").strip())), None)


def without_location(tags: Mapping[str, str]) -> dict[str, str]:
    """Leave out every tag that tells where something was filmed: coordinates, their accuracy, names of places."""
    return {key: value for key, value in tags.items() if not _tells_where(key)}


def _tells_where(key: str) -> bool:
    return _known_to_tell(key) if len(key) <= _SHORT_KEY else _TELLS_WHERE.search(key) is not None


@lru_cache(maxsize=512)
def _known_to_tell(key: str) -> bool:
    """Tell of a key that is short enough to be remembered; nearly all files have the same."""
    return _TELLS_WHERE.search(key) is not None


def location(tags: Mapping[str, str]) -> Location | None:
    """Give the place that the tags tell, by ISO 6709; None where none does or two contradict each other.

    Translated ones, such as `location-eng`, count where there is no other.
    """
    named = {key.lower(): value for key, value in tags.items() if _tells_where(key)}
    if not named:
        return None
    others = sorted(key for key in named if key.startswith(("location-", "xyz", "\xa9xyz")))
    found = (iso_6709(named[key]) for key in (*_PLACES, *others) if key in named)
    return next((place for place in found if place is not None), None)


def iso_6709(text: str) -> Location | None:
    """Read `+51.3714-000.1977+033.130/` (ISO 6709, annex H); a name may follow. None where it is no place on Earth."""
    found = _ISO_6709.match(text)
    if found is None:
        return None
    latitude, longitude = _degrees(found["latitude"], 2), _degrees(found["longitude"], 3)
    if latitude is None or longitude is None or abs(latitude) > 90 or abs(longitude) > 180:
        return None
    altitude = None if found["altitude"] is None else float(found["altitude"])
    return Location(latitude=latitude, longitude=longitude, altitude=altitude)


def _degrees(written: str, digits: int) -> float | None:
    """Read degrees, degrees and minutes, or degrees, minutes and seconds: it is the number of digits that tells."""
    sign, (whole, _, part) = (-1 if written[0] == "-" else 1), written[1:].partition(".")
    match len(whole) - digits:
        case 0:
            degrees = float(f"{whole}.{part or 0}")
        case 2:
            degrees = int(whole[:digits]) + float(f"{whole[digits:]}.{part or 0}") / 60
        case 4:
            minutes, seconds = int(whole[digits : digits + 2]), float(f"{whole[digits + 2 :]}.{part or 0}")
            degrees = int(whole[:digits]) + minutes / 60 + seconds / 3600
        case _:
            return None
    return sign * round(degrees, 7)
