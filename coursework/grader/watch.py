"""Runs one submission behind the walls and watches what it uses and says. What comes out of it is data."""

import contextlib
import json
import os
import selectors
import struct
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from grader.sandbox import Limits, NoSandbox, command, filter_pipe
from grader.usage import end, usage

EVERY = 0.2  # seconds between two looks at what is used
KEPT = 20_000  # bytes of print output that are kept
HEAD = 1 << 20  # bytes of a message's head
NOTES, NOTE = 50, 400  # how many notes of a submission are kept, and how long


@dataclass
class Run:
    """What a submission gave. ``notes`` came out before the first probe went in: they know no hidden input.

    ``ended`` is the sentence for a submission that was stopped, or that stopped before its last probe.
    """

    notes: list[str] = field(default_factory=list)
    answers: dict[str, bytes] = field(default_factory=dict)
    errors: dict[str, tuple[str, str]] = field(default_factory=dict)
    printed: bytes = b""
    ended: str = ""


class Watch:
    """One submission at work."""

    def __init__(self, cells: list[str], probes: dict[str, str], limits: Limits, user: int | None) -> None:
        self.probes, self.limits, self.found = probes, limits, Run()
        self.ready = self.asked = False
        self.received, self.written, self.buffer = 0, 0, bytearray()
        self.outgoing = _message({"cells": cells, "limits": limits.inside(user)})
        filter_at = filter_pipe()
        try:
            pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
            words = command(limits, filter_at)
            self.process = subprocess.Popen(words, **pipes, env={}, cwd="/", bufsize=0, pass_fds=[filter_at])
        finally:
            os.close(filter_at)
        self.until = time.monotonic() + limits.wall

    def run(self) -> Run:
        with self.process, selectors.DefaultSelector() as selector:
            try:
                self._register(selector)
                self._loop(selector)
            finally:
                end(self.process.pid)
        if not self.ready:
            said = self.found.printed.decode(errors="replace").strip().partition("\n")[0]
            raise NoSandbox(f"it could not be set up ({said or self.found.ended})")
        return self.found

    def _register(self, selector: selectors.BaseSelector) -> None:
        for stream, does in ((self.process.stdout, self._answer), (self.process.stderr, self._print)):
            os.set_blocking(stream.fileno(), False)
            selector.register(stream, selectors.EVENT_READ, does)
        os.set_blocking(self.process.stdin.fileno(), False)
        selector.register(self.process.stdin, selectors.EVENT_WRITE, self._feed)

    def _loop(self, selector: selectors.BaseSelector) -> None:
        look_at = 0.0
        while not self.found.ended and not self._complete():
            for key, _ in selector.select(EVERY / 4):
                does: Callable[[], bool] = key.data
                if not does():
                    selector.unregister(key.fileobj)
            if self.asked and self.outgoing and self.process.stdin not in _registered(selector):
                selector.register(self.process.stdin, selectors.EVENT_WRITE, self._feed)
            if not self.found.ended and time.monotonic() > look_at:
                self.found.ended, look_at = self._over(), time.monotonic() + EVERY
            if self.process.stdout not in _registered(selector) and not self._complete():
                self.found.ended = self.found.ended or self._stopped()

    def _complete(self) -> bool:
        return self.asked and len(self.found.answers) + len(self.found.errors) == len(self.probes)

    def _stopped(self) -> str:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(2)
        return f"ended before its checks were through (exit status {self.process.poll()})"

    # Each of these says whether its pipe is still of use.

    def _feed(self) -> bool:
        try:
            self.outgoing = self.outgoing[os.write(self.process.stdin.fileno(), self.outgoing) :]
        except OSError:
            self.outgoing = b""  # it has ended, or does not want to be asked
        return bool(self.outgoing)

    def _print(self) -> bool:
        data = os.read(self.process.stderr.fileno(), 1 << 16)
        self.written += len(data)
        self.found.printed += data[: KEPT - len(self.found.printed)]
        if self.written > self.limits.printed:
            self.found.ended = f"printed more than {self.limits.printed:,} bytes"
        return bool(data)

    def _answer(self) -> bool:
        data = os.read(self.process.stdout.fileno(), 1 << 20)
        self.received += len(data)
        self.buffer += data
        if self.received > self.limits.answers:
            self.found.ended = f"answered with more than {self.limits.answers:,} bytes"
        while not self.found.ended and not self._complete() and len(self.buffer) >= 8:
            head, body = struct.unpack(">II", self.buffer[:8])
            if head > HEAD or body > self.limits.answers:
                self.found.ended = "wrote into the channel of its answers"
            if len(self.buffer) < 8 + head + body:
                break
            self._take(bytes(self.buffer[8 : 8 + head]), bytes(self.buffer[8 + head : 8 + head + body]))
            del self.buffer[: 8 + head + body]
        return bool(data)

    def _take(self, head: bytes, body: bytes) -> None:
        """One message: that all is set, what there is to say of the cells, or the answers of one task."""
        try:
            said = json.loads(head)
            if not self.ready:
                self.ready = said["ready"] is True
            elif not self.asked:
                self.found.notes = [str(note)[:NOTE] for note in list(said["notes"])[:NOTES]]
                self.asked, self.outgoing = True, _message(self.probes)
            elif said["task"] in self.probes and said["task"] not in self.found.answers | self.found.errors:
                if said["error"] is None:
                    self.found.answers[said["task"]] = body
                else:
                    kind, text = said["error"]
                    self.found.errors[said["task"]] = str(kind)[:NOTE], str(text)[:NOTE]
        except (ValueError, TypeError, KeyError, RecursionError):
            self.found.ended = "wrote into the channel of its answers"

    def _over(self) -> str:
        """Which limit is passed, if one is."""
        used = usage(self.process.pid, self.limits.memory)
        if used.seconds > self.limits.seconds:
            return f"took more than {self.limits.seconds:g} s of processor time"
        if used.memory > self.limits.memory:
            return f"took more than {self.limits.memory >> 20:,} MB of memory"
        if used.files > self.limits.files:
            return f"made more than {self.limits.files:,} files"
        return f"took more than {self.limits.wall:g} s on the clock" if time.monotonic() > self.until else ""


def _registered(selector: selectors.BaseSelector) -> list:
    return [key.fileobj for key in selector.get_map().values()]


def _message(content: dict) -> bytes:
    data = json.dumps(content).encode()
    return struct.pack(">I", len(data)) + data
