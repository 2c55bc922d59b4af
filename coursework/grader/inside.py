"""What runs in the sandbox: the cells of one submission in order, then each task's probe.

It shares its process with the submission, so all that it says is taken as this submission's own answer and
no further. In come two messages: the cells, and once these have run the probes. Out go one when the limits
hold, one after the cells and one after each probe: two lengths, big-endian, a head in JSON, a body in
safetensors.
"""

import builtins
import contextlib
import json
import linecache
import os
import re
import resource
import signal
import struct
import sys
import types
import warnings

MAGIC = re.compile(r"(\s*)(?:[\w.,\s\[\]]+=\s*)?[%!?].*|(\s*)[\w.]+\?{1,2}\s*")
KEEPS_BODY = {"%%time", "%%timeit", "%%capture", "%%prun"}
LONGEST = 300  # characters of an error's text


def main() -> None:
    channel, orders = os.dup(1), os.dup(0)
    os.dup2(2, 1)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    job, me = receive(orders), os.getpid()
    confine(job["limits"])
    send(channel, {"ready": True})
    module = types.ModuleType("__main__")
    sys.modules["__main__"] = module
    module.__dict__.update(display=lambda *_, **__: None, get_ipython=lambda: None)
    notes = []
    for number, source in enumerate(job["cells"], 1):
        notes += run_cell(number, source, module.__dict__, job["limits"]["piece"])
        if os.getpid() != me:
            os._exit(0)  # a child that the cell left behind
    send(channel, {"notes": notes})
    for task, source in receive(orders).items():
        error, body = run_probe(task, source, module.__dict__, job["limits"]["piece"])
        if os.getpid() != me:
            os._exit(0)
        send(channel, {"task": task, "error": error}, body)
    os._exit(0)


def receive(orders: int) -> dict:
    with open(os.dup(orders), "rb", buffering=0) as file:
        size = struct.unpack(">I", _exactly(file, 4))[0]
        return json.loads(_exactly(file, size))


def _exactly(file, size: int) -> bytes:
    data = b""
    while len(data) < size:
        piece = file.read(size - len(data))
        if not piece:
            os._exit(1)  # the grader is gone
        data += piece
    return data


def send(channel: int, head: dict, body: bytes = b"") -> None:
    text = json.dumps(head).encode()
    data = memoryview(struct.pack(">II", len(text), len(body)) + text + body)
    while data:
        data = data[os.write(channel, data) :]


def confine(limits: dict) -> None:
    """Limits that cannot be raised again; then another user without any right, where root started this."""
    for name in ("CPU", "DATA", "AS", "FSIZE", "NOFILE"):
        _limit(name, limits[name])
    for name in ("CORE", "MEMLOCK", "MSGQUEUE", "RTPRIO"):
        _limit(name, 0)
    _limit("NPROC", limits["NPROC"])
    if limits["user"] is not None:
        os.setgroups([])
        os.setresgid(*[limits["user"]] * 3)
        os.setresuid(*[limits["user"]] * 3)
    os.umask(0o077)
    sys.path.insert(0, limits["library"])
    sys.argv = ["notebook"]
    signal.signal(signal.SIGPROF, too_long)


def _limit(name: str, value: int) -> None:
    kind = getattr(resource, f"RLIMIT_{name}")
    most = resource.getrlimit(kind)[1]
    value = value if most == resource.RLIM_INFINITY else min(value, most)
    resource.setrlimit(kind, (value, value))


class TooLong(BaseException):
    """Not an Exception: a cell that goes on after any of these must still come to its end."""


def too_long(*_) -> None:
    raise TooLong


# ---- the cells ----


def run_cell(number: int, source: str, names: dict, seconds: float) -> list[str]:
    """Run one cell. What there is to say of it: lines left out, and what it raised."""
    notes = []
    try:
        code, left_out = compiled(source, f"cell {number}")
        if left_out:
            notes.append(f"cell {number}: left out {left_out} lines that only a notebook understands")
        signal.setitimer(signal.ITIMER_PROF, seconds)
        exec(code, names)
    except BaseException as error:
        notes.append(f"cell {number} raised {': '.join(described(error))}")
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        with contextlib.suppress(BaseException):
            sys.stdout.flush()
    return notes


def compiled(source: str, name: str) -> tuple[types.CodeType, int]:
    """The code, and how many lines were left out: only where Python cannot read it as it stands."""
    linecache.cache[name] = (len(source), None, source.splitlines(keepends=True), name)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return compile(source, name, "exec"), 0
        except SyntaxError:
            lines, left_out = plain(source)
            if not left_out:
                raise
            return compile(lines, name, "exec"), left_out


def plain(source: str) -> tuple[str, int]:
    """Without magics: each line becomes ``pass``, so that blocks keep a body and lines their numbers."""
    lines = source.splitlines()
    first = next((i for i, line in enumerate(lines) if line.strip()), 0)
    if lines and lines[first].startswith("%%") and lines[first].split()[0] not in KEEPS_BODY:
        return "pass", len(lines)
    found = [MAGIC.fullmatch(line) for line in lines]
    kept = [f"{(m[1] or m[2] or '')}pass" if m else line for line, m in zip(lines, found, strict=True)]
    return "\n".join(kept), sum(m is not None for m in found)


def described(error: BaseException) -> tuple[str, str]:
    """The kind of an error, and what it says. Its words are the submission's."""
    if isinstance(error, TooLong):
        return "TimeoutError", "it took too much processor time"
    try:
        kind = type(error)
        known = getattr(builtins, kind.__name__, None) is kind
        text = str(error.args[0]) if isinstance(error, KeyError) and error.args else str(error)
        return (kind.__name__ if known else f"{kind.__module__}.{kind.__name__}"), text[:LONGEST]
    except BaseException:
        return "an error", "that cannot be described"


# ---- the probes ----


def run_probe(task: str, source: str, names: dict, seconds: float) -> tuple[tuple[str, str] | None, bytes]:
    """The answers of one task in safetensors, or what was raised instead."""
    try:
        scope = {"__name__": "probe"}
        exec(compile(source, "probe", "exec"), scope)
        if "torch" in sys.modules or "torch" in source:
            steady()  # before the clock runs: its import takes seconds
        signal.setitimer(signal.ITIMER_PROF, seconds)
        return None, encoded(scope[f"probe_{task.replace('.', '_')}"](names))
    except BaseException as error:
        return described(error), b""
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)


def steady() -> None:
    """The same start for every probe, whatever cells or another probe left behind."""
    import torch

    torch.manual_seed(0)
    torch.set_default_dtype(torch.float32)
    torch.set_grad_enabled(True)


def encoded(answers: dict) -> bytes:
    """In safetensors: tensors, or whatever torch makes one of. Arrays of numpy need no torch."""
    if not answers:
        return b""
    numpy = sys.modules.get("numpy")
    if numpy and all(type(value) is numpy.ndarray for value in answers.values()):
        from safetensors.numpy import save as save_arrays

        return save_arrays({str(name): numpy.ascontiguousarray(value) for name, value in answers.items()})
    import torch
    from safetensors.torch import save

    tensors = {str(name): torch.as_tensor(value).detach().cpu() for name, value in answers.items()}
    return save({name: tensor.clone().contiguous() for name, tensor in tensors.items()})


if __name__ == "__main__":
    main()
