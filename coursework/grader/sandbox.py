"""The walls: what a submission sees of this machine, built with bubblewrap; and the refusal where that fails.

Inside are the system's programs, this environment and leaklib, all read-only, and one folder in memory. There
is no network, no home folder, no other submission, no judge, no device but sources of zeros and of
randomness, no other process, and no way up: no capabilities, no new privileges, the filter of `syscalls.py`.
Root becomes a user of no rights inside; anyone else gets a user namespace, and is nobody there.
"""

import importlib.util
import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from grader.syscalls import program

INSIDE = Path(__file__).with_name("inside.py")
DEVICES = ["/dev/null", "/dev/zero", "/dev/urandom", "/dev/random"]
LIBRARY = "/library"  # where leaklib lies inside
AWAY = (
    "No submission was run: {reason}. Submissions run only in a sandbox, which needs Linux with bubblewrap "
    "(Debian, Ubuntu: apt install bubblewrap) and user namespaces; elsewhere open this project in the dev "
    "container .devcontainer/grading, or in a virtual machine with Linux."
)


class NoSandbox(RuntimeError):
    """The sandbox cannot be set up here. The sentence says why, and what to do."""

    def __init__(self, reason: str) -> None:
        super().__init__(AWAY.format(reason=reason))


@dataclass(frozen=True)
class Limits:
    """What all processes of a submission together may use: ``seconds`` of processor time, sizes in bytes."""

    seconds: float = 300
    memory: int = 3 << 30
    disk: int = 256 << 20
    files: int = 20_000
    processes: int = 64
    printed: int = 8 << 20
    answers: int = 64 << 20
    slack: float = 10

    @property
    def wall(self) -> float:
        """Seconds on the clock: three times as many, since others use the processors, too, and a start."""
        return 3 * self.seconds + self.slack

    def inside(self, user: int | None) -> dict:
        """What ``inside.py`` sets for each process, the first line of defense; the watch is the second."""
        return {
            "CPU": int(self.seconds) + 5, "DATA": self.memory, "AS": 2 * self.memory + (32 << 30),
            "FSIZE": self.disk, "NOFILE": 256, "NPROC": self.processes, "user": user,
            "piece": self.seconds / 3, "library": LIBRARY,
        }  # fmt: skip


def command(limits: Limits, filter_at: int) -> list[str]:
    """How to start ``inside.py`` behind the walls. From the descriptor ``filter_at`` comes the filter."""
    bwrap = shutil.which("bwrap")
    if sys.platform != "linux" or bwrap is None:
        raise NoSandbox(
            "bubblewrap (bwrap) is not installed" if sys.platform == "linux" else "this is not Linux"
        )
    tmp = ["--perms", "1777", "--size", str(limits.disk), "--tmpfs", "/tmp"]
    return [
        # Should the machine run out of memory, its kernel ends a submission first.
        "/bin/sh", "-c", 'echo 1000 2>/dev/null >/proc/self/oom_score_adj; exec "$@"', "sh",
        bwrap, "--unshare-ipc", "--unshare-pid", "--unshare-net", "--unshare-uts", "--unshare-cgroup-try",
        "--die-with-parent", "--new-session", "--hostname", "sandbox", "--seccomp", str(filter_at),
        *identity(), *folders(), "--dir", "/dev", *_bound("--dev-bind", DEVICES),
        "--dir", "/proc", *_bound("--ro-bind", ["/proc/cpuinfo", "/proc/meminfo"]),
        "--ro-bind", str(INSIDE), "/inside.py", *tmp, "--remount-ro", "/", "--clearenv", *environment(),
        "--chdir", "/tmp", sys.executable, "-I", "-B", "-X", "utf8", "/inside.py",
    ]  # fmt: skip


def identity() -> list[str]:
    """Root needs no user namespace, and becomes someone else in ``inside.py``; anyone else gets one."""
    if os.geteuid() == 0:
        return ["--cap-drop", "ALL", "--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID"]
    return ["--unshare-user", "--uid", "65534", "--gid", "65534"]


def visible() -> list[Path]:
    """The folders of this machine that a submission can read: programs and packages."""
    python = Path(sys.executable).resolve().parents[1]
    prefixes = {Path("/usr"), Path(sys.prefix), Path(sys.base_prefix), python}
    return sorted(p for p in prefixes if not any(q in p.parents for q in prefixes))


def leaklib() -> Path:
    spec = importlib.util.find_spec("leaklib")
    if spec is None or not spec.submodule_search_locations:
        raise NoSandbox("leaklib is not installed in this environment")
    return Path(next(iter(spec.submodule_search_locations))).resolve()


def folders() -> list[str]:
    made, words = set[Path](), list[str]()
    for folder in visible():
        for parent in reversed(folder.parents[:-1]):
            if parent not in made:
                words += ["--perms", "0755", "--dir", str(parent)]  # bubblewrap would let only root pass
                made.add(parent)
        words += ["--ro-bind", str(folder), str(folder)]
    for name in ("bin", "sbin", "lib", "lib32", "lib64"):
        path = Path("/", name)
        if path.is_symlink():
            words += ["--symlink", os.readlink(path), str(path)]
        elif path.is_dir():
            words += ["--ro-bind", str(path), str(path)]
    words += ["--perms", "0755", "--dir", LIBRARY, "--ro-bind", str(leaklib()), f"{LIBRARY}/leaklib"]
    return [
        *words,
        "--perms",
        "0755",
        "--dir",
        "/etc",
        *_bound("--ro-bind", ["/etc/ld.so.cache", "/etc/fonts"]),
    ]


def _bound(how: str, paths: list[str]) -> list[str]:
    return [word for path in paths if os.path.exists(path) for word in (how, path, path)]


def environment() -> list[str]:
    values = {
        "HOME": "/tmp", "USER": "student", "LANG": "C.UTF-8", "PATH": "/usr/bin:/bin", "MPLBACKEND": "agg",
        "MPLCONFIGDIR": "/tmp", "PYTHONHASHSEED": "0", "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "",
    }  # fmt: skip
    return [word for name, value in values.items() for word in ("--setenv", name, value)]


def check_outside(paths: list[Path]) -> None:
    """NoSandbox if one of ``paths``, which no submission may see, lies where submissions can read."""
    for path in paths:
        for folder in [*visible(), leaklib()]:
            if path.resolve().is_relative_to(folder.resolve()):
                raise NoSandbox(f"{path} lies in {folder}, which submissions can read: move it elsewhere")


def filter_pipe() -> int:
    """The reading end of a pipe that holds the filter of calls."""
    try:
        data = program()
    except ValueError as error:
        raise NoSandbox(str(error)) from error
    reading, writing = os.pipe()
    os.write(writing, data)
    os.close(writing)
    return reading
