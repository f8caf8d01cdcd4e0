"""What the permissions of files mean to a test that root runs: nothing, unless root does without its powers."""

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager

_VERSION_3 = 0x20080522
_OVERRIDE = 1 << 1 | 1 << 2
"""CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH, as `linux/capability.h` numbers them: both are in the first word."""


class _Header(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _Word(ctypes.Structure):
    _fields_ = (("effective", ctypes.c_uint32), ("permitted", ctypes.c_uint32), ("inheritable", ctypes.c_uint32))


_libc = ctypes.CDLL(None, use_errno=True)


def _call(name: str, words: "ctypes.Array[_Word]") -> None:
    if getattr(_libc, name)(ctypes.byref(_Header(_VERSION_3, 0)), words) != 0:
        raise OSError(ctypes.get_errno(), name)


@contextmanager
def bound_by_permissions() -> Iterator[None]:
    """Let this thread, and those that it starts meanwhile, read and write only what permissions allow."""
    words = (_Word * 2)()
    _call("capget", words)
    before = words[0].effective
    words[0].effective = before & ~_OVERRIDE
    _call("capset", words)
    try:
        yield
    finally:
        words[0].effective = before
        _call("capset", words)
