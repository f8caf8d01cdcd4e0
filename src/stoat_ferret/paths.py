"""Paths as the file system has them, bytes, and as people and JSON see them, text."""

import base64
import binascii
import os

from stoat_ferret.errors import InvalidPathError


def display(path: bytes) -> str:
    """Give the path as text that any encoder accepts; bytes that are not UTF-8 become U+FFFD, so this is one-way."""
    return path.decode("utf-8", "replace")


def encoded(text: str) -> bytes:
    """Give the bytes of a path that is given as text.

    Raises:
        InvalidPathError: it holds half of a surrogate pair.
    """
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError as error:
        msg = "The path holds half of a surrogate pair. Give its bytes as path_bytes, in base64."
        raise InvalidPathError(msg) from error


def encode_base64(path: bytes) -> str:
    """Give the exact bytes of a path as ASCII text, for JSON."""
    return base64.b64encode(path).decode("ascii")


def decode_base64(text: str) -> bytes:
    """Reverse `encode_base64`.

    Raises:
        InvalidPathError: the text is not base64.
    """
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        msg = f"path_bytes is not base64: {text[:80]!r}. Give the path's bytes in standard base64, with padding."
        raise InvalidPathError(msg) from error


def is_below(path: bytes, folder: bytes) -> bool:
    """Tell whether `path` is `folder` or lies anywhere under it; both absolute and without a trailing slash."""
    return path == folder or path.startswith(folder.rstrip(b"/") + b"/")


def with_ancestors(path: bytes) -> list[bytes]:
    """Give an absolute path and every folder above it, the root first."""
    parts = path.strip(b"/").split(b"/") if path != b"/" else []
    return [b"/", *(b"/" + b"/".join(parts[:end]) for end in range(1, len(parts) + 1))]


def is_folder(path: bytes) -> bool:
    """Tell whether a path is that of a folder, symbolic links followed."""
    return os.path.isdir(path)  # noqa: PTH112 - bytes, which pathlib does not take


def absolute(path: bytes) -> bytes:
    """Normalise an absolute path: no `.`, `..`, doubled or trailing slash. Symbolic links are left alone."""
    return os.path.normpath(b"/" + path.lstrip(b"/"))  # POSIX lets two leading slashes mean something else


def exact_if_needed(path: bytes) -> str | None:
    """Give the path in base64 where `display` loses something, else None."""
    try:
        path.decode("utf-8")
    except UnicodeDecodeError:
        return encode_base64(path)
    return None
