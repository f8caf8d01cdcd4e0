"""What a probe process gives up before it sees the first file: it may read any file, think, and answer; nothing else.

The list of formats in `formats` is what keeps FFmpeg from opening what a file names; this is for the day on which a
file finds a way round it, or takes the process over. Each step is tried for itself, and the process says which worked:
what the kernel does not have is done without.
"""

import ctypes
import os
import resource
import struct
from collections.abc import Callable, Collection

import psutil

from stoat_ferret.media import seccomp

STEPS = {
    "nice": "low priority for the processor",
    "idle_io": "low priority for the disk",
    "memory_limit": "a limit on memory",
    "no_core_dump": "no core dumps",
    "log_limit": "a limit on what it logs",
    "no_new_privileges": "no new privileges",
    "landlock_read_only": "no writing and no running of files (Landlock)",
    "landlock_no_tcp": "no TCP (Landlock)",
    "landlock_isolated": "no signals and abstract sockets to others (Landlock)",
    "seccomp": "no sockets, programs, processes or changed files (seccomp)",
}
"""The steps in the order in which they are taken, by name, and what each gives in words."""
_COVERED = {"landlock_no_tcp", "landlock_isolated"}
"""What seccomp forbids as well; only newer kernels' Landlock does (Linux 6.7 and 6.12)."""

LOG_LIMIT_BYTES = 16 * 1024 * 1024
"""The process writes no file but its log, which a noisy library must not fill the disk with."""
_NICENESS = 10
_PR_SET_NO_NEW_PRIVS = 38

_CREATE_RULESET, _RESTRICT_SELF = 444, 446
"""Landlock's system calls, the same everywhere."""
_VERSION = 1
_EXECUTE, _WRITE_FILE, _REMOVE_AND_MAKE = 1 << 0, 1 << 1, 0b1_1111_1111 << 4
_LATER_RIGHTS = {2: 1 << 13, 3: 1 << 14, 5: 1 << 15}
"""By the version of Landlock that brought them: renaming between folders, truncating, requests to devices."""
_TCP = 1 << 0 | 1 << 1
_ABSTRACT_SOCKETS_AND_SIGNALS = 1 << 0 | 1 << 1
"""All of `linux/landlock.h`; what a domain handles is forbidden unless a rule allows it, and there is no rule."""


def lock_down(memory_limit: int, leave_out: Collection[str] = ()) -> dict[str, bool]:
    """Give up what reading files does not need, as far as the system allows; say what worked.

    Landlock and seccomp bind the thread that calls, and those that it starts later: call this before there are others.

    Args:
        memory_limit: address space in bytes.
        leave_out: steps not to take, by name; for tests of what holds without them.
    """
    steps: dict[str, Callable[[], object]] = {
        "nice": lambda: os.nice(_NICENESS),
        "idle_io": lambda: psutil.Process().ionice(psutil.IOPRIO_CLASS_IDLE),
        "memory_limit": lambda: resource.setrlimit(resource.RLIMIT_AS, (memory_limit, memory_limit)),
        "no_core_dump": lambda: resource.setrlimit(resource.RLIMIT_CORE, (0, 0)),
        "log_limit": lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (LOG_LIMIT_BYTES, LOG_LIMIT_BYTES)),
        "no_new_privileges": _no_new_privileges,
        "landlock_read_only": lambda: _landlock(files=_changing_rights()),
        "landlock_no_tcp": lambda: _landlock(network=_TCP),
        "landlock_isolated": lambda: _landlock(scopes=_ABSTRACT_SOCKETS_AND_SIGNALS),
        "seccomp": seccomp.restrict,
    }
    return {name: name not in leave_out and _worked(step) for name, step in steps.items()}


def lacking(controls: dict[str, bool]) -> list[str]:
    """Say in words what a process does without, of what its hello said; what another step gives too is not lacking."""
    covered = _COVERED if controls.get("seccomp") else set()
    return [in_words(name) for name, works in controls.items() if not works and name not in covered]


def in_words(name: str) -> str:
    """Say what a step gives."""
    return STEPS.get(name, name)


def _worked(step: Callable[[], object]) -> bool:
    try:
        step()
    except (OSError, ValueError, AttributeError, psutil.Error):
        return False
    return True


def _no_new_privileges() -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl")


def _changing_rights() -> int:
    """Give all ways to change or run files that the kernel's Landlock knows.

    Raises:
        OSError: the kernel has no Landlock, or it is turned off.
    """
    version = _call(_CREATE_RULESET, None, ctypes.c_size_t(0), _VERSION)
    later = sum(right for since, right in _LATER_RIGHTS.items() if version >= since)
    return _EXECUTE | _WRITE_FILE | _REMOVE_AND_MAKE | later


def _landlock(*, files: int = 0, network: int = 0, scopes: int = 0) -> None:
    """Enter a domain of Landlock's in which all that is named is forbidden.

    Raises:
        OSError: the kernel does not know it.
    """
    attributes = struct.pack("=QQQ", files, network, scopes)
    ruleset = _call(_CREATE_RULESET, attributes, ctypes.c_size_t(len(attributes)), 0)
    try:
        _call(_RESTRICT_SELF, ruleset, 0)
    finally:
        os.close(ruleset)


def _call(number: int, *arguments: object) -> int:
    result = ctypes.CDLL(None, use_errno=True).syscall(ctypes.c_long(number), *arguments)
    if result < 0:
        raise OSError(ctypes.get_errno(), "landlock")
    return int(result)
