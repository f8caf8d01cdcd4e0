"""The style sheet, the scripts and the icon: read once, known by name, so that no request ever becomes a path."""

import hashlib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

MEDIA_TYPES = {
    "app.css": "text/css; charset=utf-8",
    "app.js": "text/javascript; charset=utf-8",
    "favicon.svg": "image/svg+xml",
    "watch.js": "text/javascript; charset=utf-8",
}


@dataclass(frozen=True, slots=True)
class Asset:
    """A file that pages refer to."""

    name: str
    data: bytes
    media_type: str
    version: str
    """Changes with the content."""

    @property
    def url(self) -> str:
        """Where it is served. With the version in it, so that browsers may keep it for ever."""
        return f"/static/{self.name}?v={self.version}"


@cache
def assets() -> dict[str, Asset]:
    """Give every asset by its name."""
    folder = files("stoat_ferret.web") / "static"
    found = {}
    for name, media_type in MEDIA_TYPES.items():
        data = (folder / name).read_bytes()
        found[name] = Asset(name, data, media_type, hashlib.blake2b(data, digest_size=8).hexdigest())
    return found
