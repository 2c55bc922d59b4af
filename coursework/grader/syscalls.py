"""Which doors of the kernel stay shut in the sandbox: a seccomp filter, written out.

What no notebook needs and what has most often let a process out: sockets, new namespaces and mounts, other
processes' memory, the kernel's keys, the clock, and memory that no limit counts. These calls give "operation
not permitted"; a call in another machine's numbering ends the process. Numbers from Linux's
``asm/unistd_64.h`` and ``asm-generic/unistd.h``, the layout from ``linux/seccomp.h`` and ``linux/filter.h``.
"""

import platform
import struct

# By name: the number on x86_64 and on aarch64.
SHUT = {
    "socket": (41, 198),
    # other processes
    "ptrace": (101, 117), "process_vm_readv": (310, 270), "process_vm_writev": (311, 271),
    "pidfd_getfd": (438, 438), "kcmp": (312, 272),
    # namespaces and mounts
    "unshare": (272, 97), "setns": (308, 268), "mount": (165, 40), "umount2": (166, 39),
    "pivot_root": (155, 41), "chroot": (161, 51), "open_tree": (428, 428), "move_mount": (429, 429),
    "fsopen": (430, 430), "fsconfig": (431, 431), "fsmount": (432, 432), "fspick": (433, 433),
    "mount_setattr": (442, 442), "open_by_handle_at": (304, 265), "name_to_handle_at": (303, 264),
    "fanotify_init": (300, 262),
    # programs and rings inside the kernel
    "bpf": (321, 280), "perf_event_open": (298, 241), "userfaultfd": (323, 282),
    "io_uring_setup": (425, 425), "io_uring_enter": (426, 426), "io_uring_register": (427, 427),
    # keys, and memory that is no process's own
    "add_key": (248, 217), "request_key": (249, 218), "keyctl": (250, 219), "memfd_create": (319, 279),
    "memfd_secret": (447, 447), "shmget": (29, 194), "msgget": (68, 186), "semget": (64, 190),
    "mq_open": (240, 180),
    # the machine: only root may anyway
    "clock_settime": (227, 112), "settimeofday": (164, 170), "adjtimex": (159, 171),
    "clock_adjtime": (305, 266), "init_module": (175, 105), "finit_module": (313, 273),
    "delete_module": (176, 106), "kexec_load": (246, 104), "kexec_file_load": (320, 294),
    "swapon": (167, 224), "reboot": (169, 142), "syslog": (103, 116), "acct": (163, 89),
    "quotactl": (179, 60), "personality": (135, 92),
}  # fmt: skip
CLONE, CLONE3 = (56, 220), (435, 435)
MACHINES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}  # the column above, and AUDIT_ARCH
NEW_NAMESPACES = 0x7E020000  # the flags CLONE_NEWNS, CGROUP, UTS, IPC, USER, PID and NET
EPERM, ENOSYS = 1, 38
ALLOW, ERRNO, KILL = 0x7FFF0000, 0x00050000, 0x80000000
LOAD, EQUAL, AT_LEAST, ANY_BIT, RETURN = 0x20, 0x15, 0x35, 0x45, 0x06


def program(machine: str | None = None) -> bytes:
    """The filter for a machine, this one by default. ValueError where it is not known."""
    machine = machine or platform.machine()
    if machine not in MACHINES:
        raise ValueError(
            f"the sandbox knows the processors {' and '.join(MACHINES)}, and this one is {machine}"
        )
    column, arch = MACHINES[machine]
    lines = [
        _line(LOAD, 4), _line(EQUAL, arch, 1, 0), _line(RETURN, KILL),
        _line(LOAD, 0), _line(AT_LEAST, 0x40000000, 0, 1), _line(RETURN, KILL),  # the numbers of x32
    ]  # fmt: skip
    for numbers in SHUT.values():
        lines += [_line(EQUAL, numbers[column], 0, 1), _line(RETURN, ERRNO | EPERM)]
    # The flags of clone3 lie in memory, out of a filter's sight; at "no such call" the C library takes clone.
    lines += [_line(EQUAL, CLONE3[column], 0, 1), _line(RETURN, ERRNO | ENOSYS)]
    lines += [_line(EQUAL, CLONE[column], 0, 3), _line(LOAD, 16), _line(ANY_BIT, NEW_NAMESPACES, 0, 1)]
    lines += [_line(RETURN, ERRNO | EPERM), _line(RETURN, ALLOW)]
    return b"".join(lines)


def _line(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    """One instruction: ``struct sock_filter``."""
    return struct.pack("=HBBI", code, if_true, if_false, value)
