"""When a file was made, which Linux tells by statx(2) and Python 3.11 does not."""

import ctypes
import functools
import os

_AT_FDCWD = -100
_AT_SYMLINK_NOFOLLOW = 0x100
_AT_EMPTY_PATH = 0x1000
_STATX_BTIME = 0x800
_BUFFER_BYTES = 256
_MASK = slice(0, 4)
_SECONDS = slice(80, 88)
_NANOSECONDS = slice(88, 92)
"""Where `struct statx` has its mask and the birth time (linux/stat.h)."""
_LARGEST = (1 << 63) - 1


def birth_ns(path: bytes | int, *, follow_symlink: bool = False) -> int | None:
    """Give the moment in nanoseconds since 1970 UTC at which a file, or an open one, was made; None where nobody knows.

    A rename keeps it, a copy does not; an inode that is used again has a new one.
    """
    statx = _statx()
    if statx is None:
        return None
    buffer = ctypes.create_string_buffer(_BUFFER_BYTES)
    if isinstance(path, int):
        failed = statx(path, b"", _AT_EMPTY_PATH, _STATX_BTIME, buffer)
    else:
        failed = statx(_AT_FDCWD, path, 0 if follow_symlink else _AT_SYMLINK_NOFOLLOW, _STATX_BTIME, buffer)
    if failed or not int.from_bytes(buffer.raw[_MASK], "little") & _STATX_BTIME:
        return None
    seconds = int.from_bytes(buffer.raw[_SECONDS], "little", signed=True)
    moment = seconds * 1_000_000_000 + int.from_bytes(buffer.raw[_NANOSECONDS], "little")
    return moment if 0 < moment <= _LARGEST else None


@functools.cache
def _statx() -> "ctypes._FuncPointer | None":
    if os.uname().sysname != "Linux":
        return None
    try:
        function = ctypes.CDLL(None).statx
    except AttributeError:  # a C library older than 2018
        return None
    function.argtypes = [ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_uint, ctypes.c_char_p]
    function.restype = ctypes.c_int
    return function
