"""Asks the judging process, one answer at a time, and starts it anew where an answer breaks it."""

import json
import select
import struct
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path

PROGRAM = Path(__file__).with_name("judging.py")


@dataclass(frozen=True)
class Verdict:
    """``fault`` is empty, or says to the instructor why there was nothing to judge."""

    points: float
    fault: str = ""


class Judges:
    """All judges of one assignment; a context. A judge limits its own time; ``seconds`` are a last resort."""

    def __init__(self, assignment: Path, seconds: float = 900) -> None:
        self.assignment, self.seconds = assignment, seconds
        self.lock, self.process = threading.Lock(), None

    def __enter__(self) -> "Judges":
        return self

    def __exit__(self, *_) -> None:
        self._stop()

    def __call__(self, task: str, answers: bytes) -> Verdict:
        """The points for ``answers``, the bytes of a safetensors file from a submission."""
        with self.lock:
            if self.process is None:
                words = [sys.executable, "-B", str(PROGRAM), str(self.assignment)]
                pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
                self.process = subprocess.Popen(words, **pipes, bufsize=0)
                if self._line(self.process) != b"ready\n":
                    raise RuntimeError("the judging process does not start: see what it says above")
            line = self._ask(self.process, task.encode(), answers)
            if not line.endswith(b"\n"):
                self._stop()
                return Verdict(0.0, "the judge came to no end with it")
            return Verdict(**json.loads(line))

    def _ask(self, process: subprocess.Popen, task: bytes, answers: bytes) -> bytes:
        """What comes back, a line; or less, where the time is up or the process has ended."""
        try:
            for part in (struct.pack(">II", len(task), len(answers)), task, answers):
                view = memoryview(part)
                while view:
                    view = view[process.stdin.write(view) :]
        except BrokenPipeError:
            return b""
        return self._line(process)

    def _line(self, process: subprocess.Popen) -> bytes:
        line, until = b"", time.monotonic() + self.seconds
        while not line.endswith(b"\n") and (left := until - time.monotonic()) > 0:
            if select.select([process.stdout], [], [], left)[0]:
                piece = process.stdout.read(1 << 16)
                if not piece:
                    break
                line += piece
        return line

    def _stop(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.communicate()
            self.process = None
