"""A place in a library, as request bodies name one."""

from stoat_ferret import paths
from stoat_ferret.errors import InvalidPathError


def place_given(path: str | None, path_bytes: str | None) -> bytes | None:
    """Give an absolute place, normalised; None where none is named.

    Raises:
        InvalidPathError: it cannot be a path, or is named twice.
    """
    if path is None and path_bytes is None:
        return None
    if path is not None and path_bytes is not None:
        raise InvalidPathError("Give only one of path and path_bytes.")
    place = paths.encoded(path) if path is not None else paths.decode_base64(path_bytes or "")
    if not place.startswith(b"/") or b"\0" in place:
        raise InvalidPathError(f"The path {paths.display(place)!r} is not absolute.")
    return paths.absolute(place)
