"""Before the first submission: do the walls hold here? A notebook of our own tries them."""

from dataclasses import replace
from pathlib import Path

from grader.sandbox import Limits, NoSandbox, visible
from grader.watch import Watch

TRIES = """\
import ctypes, os, resource, socket
assert os.getuid() not in (0, {uid}) and os.getuid() == os.geteuid(), "it keeps the user"
assert os.getppid() == 1 and os.getpid() < 5, "other processes are in sight"
assert not [name for name in os.listdir("/proc") if name.isdigit()], "other processes are in sight"
for path in {hidden}:
    assert not os.path.exists(path), f"{{path}} is in sight"
for folder in {visible} + ["/", "/library"]:
    assert os.statvfs(folder).f_flag & os.ST_RDONLY, f"{{folder}} can be written to"
try:
    socket.socket()
    assert False, "a socket can be opened"
except OSError:
    pass
libc = ctypes.CDLL(None)
assert libc.prctl(39, 0, 0, 0, 0) == 1, "new privileges are possible"
assert libc.prctl(21, 0, 0, 0, 0) == 2, "calls of the kernel are not filtered"
assert libc.unshare(0x10000000) == -1, "a user namespace of its own is possible"
assert resource.getrlimit(resource.RLIMIT_NPROC)[1] == {processes}, "processes are not limited"
assert os.statvfs("/tmp").f_blocks * os.statvfs("/tmp").f_frsize <= {disk}, "the disk is not limited"
"""


def trial(limits: Limits, user: int | None, uid: int, hidden: list[Path]) -> None:
    """NoSandbox, with what is possible inside and should not be. ``hidden`` are paths to be out of sight."""
    code = TRIES.format(
        uid=uid,
        hidden=[str(path.resolve()) for path in hidden],
        visible=[str(path) for path in visible()],
        processes=limits.processes,
        disk=limits.disk,
    )
    run = Watch([code], {}, replace(limits, seconds=min(limits.seconds, 60)), user).run()
    if run.ended or run.notes:
        raise NoSandbox(f"the sandbox does not hold here ({run.ended or run.notes[0]})")
