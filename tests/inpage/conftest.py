"""The page's JavaScript, run by deno: one process for all tests, which sends arrays to and fro."""

import base64
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from browsers import firefox, live, tab

__all__ = ["firefox", "live", "tab"]

ROOT = Path(__file__).parents[2]


class Deno:
    """``deno(code, **arguments)`` runs ``code``, the body of an async function, and gives what it returns.

    Arrays travel as float64. The modules of the page are in scope under their names, as in
    ``network.layout(12)``, the arguments under theirs, and the bytes of kernel.wasm as ``wasm``.
    RuntimeError with the stack where the code throws.
    """

    def __init__(self) -> None:
        program = Path(sys.executable).with_name("deno")
        command = [str(program) if program.exists() else shutil.which("deno") or "deno", "run", "--quiet"]
        command += ["--no-remote", f"--allow-read={ROOT}", str(Path(__file__).with_name("serve.js"))]
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, cwd=ROOT)

    def __call__(self, code: str, **arguments: object) -> object:
        assert self.process.stdin and self.process.stdout
        self.process.stdin.write(json.dumps({"code": code, "arguments": _pack(arguments)}) + "\n")
        self.process.stdin.flush()
        answer = json.loads(self.process.stdout.readline())
        if "error" in answer:
            raise RuntimeError(answer["error"])
        return _unpack(answer["value"])


def _pack(value: object) -> object:
    if hasattr(value, "detach"):
        value = value.detach().double().numpy()
    if isinstance(value, np.ndarray):
        return {"float64": base64.b64encode(np.ascontiguousarray(value, dtype="<f8").tobytes()).decode()}
    if isinstance(value, dict):
        return {name: _pack(item) for name, item in value.items()}
    return [_pack(item) for item in value] if isinstance(value, list | tuple) else value


def _unpack(value: object) -> object:
    if isinstance(value, dict):
        if set(value) == {"float64"}:
            return np.frombuffer(base64.b64decode(value["float64"]), "<f8")
        return {name: _unpack(item) for name, item in value.items()}
    return [_unpack(item) for item in value] if isinstance(value, list) else value


@pytest.fixture(scope="session")
def deno():
    server = Deno()
    yield server
    server.process.stdin.close()
    server.process.wait(timeout=10)
    server.process.stdout.close()
