"""The filter that the kernel asks before each system call of a probe process: what a process that only reads may do.

A refused call fails with EPERM and the process lives on, so that a file which makes FFmpeg try costs that file, and no
more. Numbers are those of `asm/unistd_64.h` (x86_64) and `asm-generic/unistd.h` (aarch64) of Linux 7.0.
"""

import ctypes
import errno
import os
import struct
import sys
from dataclasses import dataclass

_REFUSED = """
socket:41:198 socketpair:53:199 connect:42:203 bind:49:200 listen:50:201 accept:43:202 accept4:288:242 sendto:44:206
sendmsg:46:211 sendmmsg:307:269

execve:59:221 execveat:322:281 fork:57:- vfork:58:- unshare:272:97 setns:308:268

ptrace:101:117 process_vm_readv:310:270 process_vm_writev:311:271 process_madvise:440:440 process_mrelease:448:448
kcmp:312:272 pidfd_open:434:434 pidfd_getfd:438:438 pidfd_send_signal:424:424 tkill:200:130 rt_sigqueueinfo:129:138
rt_tgsigqueueinfo:297:240 migrate_pages:256:238 move_pages:279:239 setpriority:141:140 ioprio_set:251:30
sched_setaffinity:203:122 sched_setattr:314:274 sched_setparam:142:118 sched_setscheduler:144:119

creat:85:- truncate:76:45 ftruncate:77:46 fallocate:285:47 mkdir:83:- mkdirat:258:34 mknod:133:- mknodat:259:33
rmdir:84:- unlink:87:- unlinkat:263:35 rename:82:- renameat:264:38 renameat2:316:276 link:86:- linkat:265:37
symlink:88:- symlinkat:266:36 chmod:90:- fchmod:91:52 fchmodat:268:53 fchmodat2:452:452 chown:92:- fchown:93:55
lchown:94:- fchownat:260:54 utime:132:- utimes:235:- futimesat:261:- utimensat:280:88 setxattr:188:5 lsetxattr:189:6
fsetxattr:190:7 setxattrat:463:463 removexattr:197:14 lremovexattr:198:15 fremovexattr:199:16 removexattrat:466:466
file_setattr:469:469 memfd_create:319:279 memfd_secret:447:447 open_by_handle_at:304:265

mount:165:40 umount2:166:39 pivot_root:155:41 chroot:161:51 open_tree:428:428 open_tree_attr:467:467 move_mount:429:429
fsopen:430:430 fsconfig:431:431 fsmount:432:432 fspick:433:433 mount_setattr:442:442 swapon:167:224 swapoff:168:225
quotactl:179:60 quotactl_fd:443:443

bpf:321:280 io_uring_setup:425:425 io_uring_enter:426:426 io_uring_register:427:427 io_setup:206:0 io_submit:209:2
keyctl:250:219 add_key:248:217 request_key:249:218 userfaultfd:323:282 perf_event_open:298:241 fanotify_init:300:262
init_module:175:105 finit_module:313:273 delete_module:176:106 kexec_load:246:104 kexec_file_load:320:294
reboot:169:142 acct:163:89 settimeofday:164:170 clock_settime:227:112 clock_adjtime:305:266 adjtimex:159:171
sethostname:170:161 setdomainname:171:162 syslog:103:116 iopl:172:- ioperm:173:- modify_ldt:154:- personality:135:92
setrlimit:160:164 setuid:105:146 setgid:106:144 setreuid:113:145 setregid:114:143 setresuid:117:147 setresgid:119:149
setgroups:116:159 setfsuid:122:151 setfsgid:123:152 capset:126:91
"""
"""Calls that are always refused, with their numbers on x86_64 and aarch64: sockets; programs and processes; other
processes and priorities; files that would be changed; mounts; the rest of what an attacker reaches the kernel by."""
_NEWEST_CALL = 471
"""Later ones do not exist for the process, as on an older kernel (ENOSYS), since nobody looked at them yet. The calls
of x86_64's x32 mode, which would pass by their other numbers, lie beyond it too."""

_CHANGING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | (os.O_TMPFILE & ~os.O_DIRECTORY)
_CLONE_THREAD = 0x10000
_HARMLESS_IOCTLS = (0x5401, 0x5413, 0x541B, 0x5421, 0x5450, 0x5451)
"""TCGETS, TIOCGWINSZ, FIONREAD, FIONBIO, FIONCLEX, FIOCLEX: what the C library and Python ask of what they open."""

_LOAD, _EQUAL, _ABOVE, _ANY_BIT, _RETURN = 0x20, 0x15, 0x25, 0x45, 0x06
"""Instructions, as `linux/bpf_common.h` numbers them: BPF_LD|W|ABS, BPF_JMP|JEQ, |JGT and |JSET with K, BPF_RET|K."""
_ALLOW = 0x7FFF0000
_FAIL = 0x00050000
"""SECCOMP_RET_ALLOW and SECCOMP_RET_ERRNO of `linux/seccomp.h`."""
_REFUSE = _FAIL | errno.EPERM
_UNKNOWN = _FAIL | errno.ENOSYS
_NUMBER, _ARCHITECTURE, _ARGUMENTS = 0, 4, 16
"""Where `struct seccomp_data` has them; each argument takes 8 bytes, the low half first."""
_SET_MODE_FILTER = 1
_SPECULATION_ALLOWED = 1 << 2
"""SECCOMP_FILTER_FLAG_SPEC_ALLOW: without it older kernels slow the whole process down, to protect secrets from code
that it runs for others. It has none, and runs none."""

Instruction = tuple[int, int, int, int]


@dataclass(frozen=True, slots=True)
class Architecture:
    """A processor family as the kernel's interface knows it."""

    audit: int
    """AUDIT_ARCH_… of `linux/audit.h`."""
    column: int
    """Of the numbers above."""
    seccomp: int
    open: int | None
    openat: int
    clone: int
    kill: int
    tgkill: int
    prlimit64: int
    ioctl: int


ARCHITECTURES = {
    "x86_64": Architecture(0xC000003E, 1, 317, 2, 257, 56, 62, 234, 302, 16),
    "aarch64": Architecture(0xC00000B7, 2, 277, None, 56, 220, 129, 131, 261, 29),
}
_OPENAT2, _CLONE3 = 437, 435


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p))


def restrict() -> None:
    """Put the filter on this thread, and on those that it starts from now on. It cannot be taken off.

    Raises:
        OSError: the processor's calls are not known here, or the kernel refuses; without `no_new_privs` it does.
    """
    machine = os.uname().machine
    architecture = ARCHITECTURES.get(machine) if sys.maxsize > 1 << 32 else None
    if architecture is None:
        raise OSError(errno.ENOSYS, f"no filter for {machine}")
    code = b"".join(struct.pack("=HBBI", *instruction) for instruction in instructions(architecture, os.getpid()))
    program = _Program(len(code) // 8, code)
    libc = ctypes.CDLL(None, use_errno=True)
    number = ctypes.c_long(architecture.seccomp)
    if libc.syscall(number, _SET_MODE_FILTER, _SPECULATION_ALLOWED, ctypes.byref(program)) != 0:
        raise OSError(ctypes.get_errno(), "seccomp")


def instructions(architecture: Architecture, own_pid: int) -> list[Instruction]:
    """Give the filter; of each instruction the code, the jumps if true and if false, the operand (`sock_filter`)."""
    program = [
        (_LOAD, 0, 0, _ARCHITECTURE),
        *_unless(_EQUAL, architecture.audit, _REFUSE),
        (_LOAD, 0, 0, _NUMBER),
        *_when(_ABOVE, _NEWEST_CALL, _UNKNOWN),
        # Their arguments lie in memory, where no filter may look; callers fall back on the older calls.
        *_when(_EQUAL, _OPENAT2, _UNKNOWN),
        *_when(_EQUAL, _CLONE3, _UNKNOWN),
    ]
    for number in refused(architecture).values():
        program += _when(_EQUAL, number, _REFUSE)
    if architecture.open is not None:
        program += _by_argument(architecture.open, 1, _when(_ANY_BIT, _CHANGING, _REFUSE))
    program += _by_argument(architecture.openat, 2, _when(_ANY_BIT, _CHANGING, _REFUSE))
    program += _by_argument(architecture.clone, 0, _unless(_ANY_BIT, _CLONE_THREAD, _REFUSE))
    for number in (architecture.kill, architecture.tgkill):  # abort() sends the process a signal of its own
        program += _by_argument(number, 0, _unless(_EQUAL, own_pid, _REFUSE))
    nothing_to_set = [*_unless(_EQUAL, 0, _REFUSE), _argument(2, high=True), *_unless(_EQUAL, 0, _REFUSE)]
    program += _by_argument(architecture.prlimit64, 2, nothing_to_set)
    harmless = [step for request in _HARMLESS_IOCTLS for step in _when(_EQUAL, request, _ALLOW)]
    program += _by_argument(architecture.ioctl, 1, [*harmless, (_RETURN, 0, 0, _REFUSE)])
    return [*program, (_RETURN, 0, 0, _ALLOW)]


def refused(architecture: Architecture) -> dict[str, int]:
    """Give the calls that are refused whatever their arguments, by name, with their numbers there."""
    rows = [entry.split(":") for entry in _REFUSED.split()]
    return {row[0]: int(row[architecture.column]) for row in rows if row[architecture.column] != "-"}


def _when(test: int, operand: int, verdict: int) -> list[Instruction]:
    return [(test, 0, 1, operand), (_RETURN, 0, 0, verdict)]


def _unless(test: int, operand: int, verdict: int) -> list[Instruction]:
    return [(test, 1, 0, operand), (_RETURN, 0, 0, verdict)]


def _by_argument(number: int, argument: int, checks: list[Instruction]) -> list[Instruction]:
    """Let checks of one argument decide about one call; what none of them refuses is allowed."""
    body = [_argument(argument), *checks, (_RETURN, 0, 0, _ALLOW)]
    return [(_EQUAL, 0, len(body), number), *body]


def _argument(index: int, *, high: bool = False) -> Instruction:
    return (_LOAD, 0, 0, _ARGUMENTS + 8 * index + 4 * high)
