"""A process of the grader's own that judges answers: started as ``judging.py ASSIGNMENT.json``.

It never sees a submission's code, only tensors. It is apart so that an answer over which a judge breaks, or
never comes to an end, costs this answer's points and nothing else. In come messages, the task's number and
its answers; out go a line once it is ready, and a line of JSON for each, the points or what was wrong.
"""

import json
import math
import os
import resource
import signal
import struct
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from grader.answers import check
from grader.assignment import Task, read_assignment

# What one answer may cost a judge, which a strange shape can drive high: bytes, seconds of processor time.
MEMORY, SECONDS = 4 << 30, 60


def main() -> None:
    import torch

    channel = os.dup(1)
    os.dup2(2, 1)  # what a judge prints is no verdict
    torch.set_num_threads(1)
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))
    tasks = {task.task: task for task in read_assignment(Path(sys.argv[1])).tasks}
    signal.signal(signal.SIGPROF, too_long)
    os.write(channel, b"ready\n")
    while len(lengths := sys.stdin.buffer.read(8)) == 8:
        name, body = struct.unpack(">II", lengths)
        task = tasks[sys.stdin.buffer.read(name).decode()]
        os.write(channel, json.dumps(verdict(task, sys.stdin.buffer.read(body))).encode() + b"\n")


def too_long(*_) -> None:
    raise TimeoutError("the judge came to no end")


def verdict(task: Task, data: bytes) -> dict:
    """``points``, and ``fault`` where the answer could not be judged: a sentence for the instructor."""
    import torch
    from safetensors.torch import load

    try:
        check(data)
        answers = load(data)
        scope = {"__name__": "judge"}
        exec(compile(task.judge, f"judge {task.task}", "exec"), scope)
        torch.manual_seed(0)
        signal.setitimer(signal.ITIMER_PROF, SECONDS)
        points = float(scope[f"judge_{task.ending}"](answers))
    except Exception as error:
        return {"points": 0.0, "fault": f"{type(error).__name__}: {str(error)[:300]}"}
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
    if not (math.isfinite(points) and 0 <= points <= task.points):
        return {"points": 0.0, "fault": f"the judge gave {points} of {task.points:g} points"}
    return {"points": points, "fault": ""}


if __name__ == "__main__":
    main()
