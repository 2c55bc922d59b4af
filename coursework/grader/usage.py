"""What a sandbox uses, read from outside: nothing that runs in it can say otherwise. And how it is ended."""

import contextlib
import os
import signal
from dataclasses import dataclass
from pathlib import Path

PAGE, TICKS = os.sysconf("SC_PAGE_SIZE"), os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Usage:
    """Of some processes together: processor seconds, resident bytes, and files in their ``/tmp``."""

    seconds: float
    memory: int
    files: int


def usage(root: int, memory: int) -> Usage:
    """Of the process ``root`` and all below it. Above ``memory``, pages that they share are counted once."""
    own = family(root)
    ticks = sum(int(word) for words in own.values() for word in words[11:15])
    resident = sum(int(words[21]) for words in own.values()) * PAGE
    if resident > memory:
        resident = sum(_proportional(pid, int(words[21]) * PAGE) for pid, words in own.items())
    return Usage(ticks / TICKS, resident, _files(list(own)))


def end(root: int) -> None:
    """End ``root`` and all below it: also where it was about to build the sandbox, and nobody else would."""
    for pid in family(root):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def family(root: int) -> dict[int, list[str]]:
    """The process ``root`` and all below it, with the words of their ``/proc/PID/stat`` from the third on."""
    stats, below = {}, dict[int, list[int]]()
    for folder in os.listdir("/proc"):
        with contextlib.suppress(OSError, ValueError):  # no process, or one that has just ended
            pid = int(folder)
            stats[pid] = Path("/proc", folder, "stat").read_text(errors="replace").rpartition(")")[2].split()
            below.setdefault(int(stats[pid][1]), []).append(pid)
    own = [root] if root in stats else []
    for pid in own:
        own += below.get(pid, [])
    return {pid: stats[pid] for pid in own}


def _proportional(pid: int, resident: int) -> int:
    """The bytes of a process, of shared pages its share; ``resident`` where the system does not tell."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        text = Path("/proc", str(pid), "smaps_rollup").read_text()
        return int(text.partition("\nPss:")[2].split()[0]) << 10
    return resident


def _files(own: list[int]) -> int:
    """The files that the last process, which is surely inside, sees in ``/tmp``."""
    if len(own) > 2:
        with contextlib.suppress(OSError):
            disk = os.statvfs(f"/proc/{own[-1]}/root/tmp")
            return disk.f_files - disk.f_ffree
    return 0
