"""The filter's answers, worked out as the kernel would, for both kinds of processor."""

import ctypes
import errno
import os
import sys

import pytest

from stoat_ferret.media import seccomp
from stoat_ferret.media.seccomp import ARCHITECTURES, Architecture, instructions, refused

ALLOWED = 0x7FFF0000
OWN_PID = 4711
COMMON = {
    "x86_64": {"read": 0, "write": 1, "mmap": 9, "mprotect": 10, "futex": 202, "exit_group": 231, "fstat": 5},
    "aarch64": {"read": 63, "write": 64, "mmap": 222, "mprotect": 226, "futex": 98, "exit_group": 94, "fstat": 80},
}


def decide(architecture: Architecture, number: int, *arguments: int, audit: int | None = None) -> int:
    """Run the filter over one call, and give 0 if it is allowed, else the errno that it fails with."""
    data = b"".join(
        value.to_bytes(size, "little")
        for value, size in [
            (number, 4),
            (architecture.audit if audit is None else audit, 4),
            (0, 8),
            *((argument, 8) for argument in (*arguments, 0, 0, 0, 0, 0, 0)[:6]),
        ]
    )
    program = instructions(architecture, OWN_PID)
    held, position = 0, 0
    while True:
        code, if_true, if_false, operand = program[position]
        position += 1
        if code == 0x20:
            held = int.from_bytes(data[operand : operand + 4], "little")
        elif code == 0x06:
            return 0 if operand == ALLOWED else operand - 0x00050000
        else:
            truth = {0x15: held == operand, 0x25: held > operand, 0x45: held & operand != 0}[code]
            position += if_true if truth else if_false


@pytest.fixture(params=sorted(ARCHITECTURES))
def machine(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


def test_what_reading_needs_is_allowed(machine: str) -> None:
    """Reading, memory, waiting, answering, ending."""
    architecture = ARCHITECTURES[machine]
    assert {name: decide(architecture, number) for name, number in COMMON[machine].items()} == dict.fromkeys(
        COMMON[machine], 0
    )
    assert decide(architecture, architecture.openat, 0, 0, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC) == 0
    assert decide(architecture, architecture.openat, 0, 0, os.O_RDONLY | os.O_DIRECTORY) == 0


def test_what_it_does_not_need_fails_and_does_not_kill(machine: str) -> None:
    """Sockets, programs, processes, and all that changes something."""
    architecture = ARCHITECTURES[machine]
    calls = refused(architecture)
    assert {name for name, number in calls.items() if decide(architecture, number) != errno.EPERM} == set()
    wanted = "socket connect bind execve execveat ptrace process_vm_readv mount bpf io_uring_setup keyctl userfaultfd"
    assert set(wanted.split()) | {"perf_event_open", "unlinkat", "renameat2"} <= set(calls)
    assert len(set(calls.values())) == len(calls)
    assert ("fork" in calls) == (machine == "x86_64")


@pytest.mark.parametrize("flag", [os.O_WRONLY, os.O_RDWR, os.O_CREAT, os.O_TRUNC, os.O_TMPFILE])
def test_files_are_opened_for_reading_only(machine: str, flag: int) -> None:
    """By whichever call."""
    architecture = ARCHITECTURES[machine]
    assert decide(architecture, architecture.openat, 0, 0, flag | os.O_CLOEXEC) == errno.EPERM
    if architecture.open is not None:
        assert decide(architecture, architecture.open, 0, flag) == errno.EPERM
        assert decide(architecture, architecture.open, 0, os.O_RDONLY) == 0
    assert decide(architecture, seccomp._OPENAT2) == errno.ENOSYS


def test_threads_may_be_started_and_processes_not(machine: str) -> None:
    """The C library asks by clone3 first, whose flags lie in memory, and takes ENOSYS for an older kernel."""
    architecture = ARCHITECTURES[machine]
    as_glibc_does = 0x3D0F00
    assert decide(architecture, architecture.clone, as_glibc_does) == 0
    assert decide(architecture, architecture.clone, 0x1200011) == errno.EPERM
    assert decide(architecture, seccomp._CLONE3) == errno.ENOSYS


def test_signals_go_to_the_process_itself_only(machine: str) -> None:
    """As abort() sends one."""
    architecture = ARCHITECTURES[machine]
    for call in (architecture.kill, architecture.tgkill):
        assert decide(architecture, call, OWN_PID, OWN_PID, 6) == 0
        for other in (1, 0, OWN_PID + 1, (1 << 64) - 1):
            assert decide(architecture, call, other) == errno.EPERM


def test_limits_may_be_asked_for_and_not_set(machine: str) -> None:
    """Wherever in memory the new ones would lie."""
    architecture = ARCHITECTURES[machine]
    assert decide(architecture, architecture.prlimit64, 0, 9, 0, 0x7FFF00000000) == 0
    for new in (0x1000, 0x7FFF00000000):
        assert decide(architecture, architecture.prlimit64, 0, 9, new) == errno.EPERM


def test_devices_are_asked_for_nothing(machine: str) -> None:
    """Only whether something is a terminal, and the like."""
    architecture = ARCHITECTURES[machine]
    assert decide(architecture, architecture.ioctl, 3, 0x5401) == 0
    assert decide(architecture, architecture.ioctl, 3, 0x5412) == errno.EPERM  # TIOCSTI types into the terminal
    assert decide(architecture, architecture.ioctl, 3, 0xC0185500) == errno.EPERM


def test_calls_by_other_numbers_do_not_pass(machine: str) -> None:
    """Of 32-bit programs, of x32, and of kernels that are still to be written."""
    architecture = ARCHITECTURES[machine]
    assert decide(architecture, 3, audit=0x40000003) == errno.EPERM
    assert decide(architecture, 0x40000000 | 41) == errno.ENOSYS
    assert decide(architecture, seccomp._NEWEST_CALL + 1) == errno.ENOSYS


def test_other_processors_have_no_filter(monkeypatch: pytest.MonkeyPatch) -> None:
    """Their calls have other numbers, and so have those of 32-bit programs on the same processor."""
    uname = os.uname()
    monkeypatch.setattr(os, "uname", lambda: os.uname_result((*uname[:4], "riscv64")))
    with pytest.raises(OSError, match="no filter for riscv64"):
        seccomp.restrict()
    monkeypatch.setattr(os, "uname", lambda: os.uname_result((*uname[:4], "x86_64")))
    monkeypatch.setattr(sys, "maxsize", (1 << 31) - 1)
    with pytest.raises(OSError, match="no filter"):
        seccomp.restrict()


def test_a_kernel_that_refuses_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """And never passed over."""

    class Libc:
        def __init__(self, *_args: object, **_options: object) -> None:
            ctypes.set_errno(errno.EINVAL)

        def syscall(self, *_args: object) -> int:
            return -1

    monkeypatch.setattr(ctypes, "CDLL", Libc)
    with pytest.raises(OSError, match="seccomp"):
        seccomp.restrict()
