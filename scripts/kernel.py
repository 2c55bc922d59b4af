"""Compiles the kernel of the attack in the page, leaklib/widgets/live/kernel.c, to kernel.wasm beside it.

``--check`` writes nothing and fails unless that is what is there already. The compiler, Zig's clang, is a
requirement like others.
"""

import argparse
import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "leaklib" / "widgets" / "live" / "kernel.c"
CACHE = ROOT / ".cache" / "zig"
# Room for the search's history, 100 pairs of points of two pictures (10 MB), and for all else (below 3 MB).
MEMORY = 16 * 2**20
OPTIONS = [
    *("-target", "wasm32-freestanding", "-nostdlib"),
    *("-O3", "-msimd128", "-mbulk-memory"),
    "-ffp-contract=off",  # a product is rounded before it is added, in every browser
    *("-std=gnu11", "-Wall", "-Wextra", "-Werror"),
    "-s",  # no names of files or functions: the same bytes from every folder
    f"-Wl,--no-entry,--initial-memory={MEMORY},--max-memory={MEMORY}",
]


def compiled(source: Path) -> bytes:
    """The WebAssembly module of ``source``. SystemExit where it does not compile."""
    # Zig would keep its caches in the home folder.
    caches = {"ZIG_GLOBAL_CACHE_DIR": str(CACHE / "global"), "ZIG_LOCAL_CACHE_DIR": str(CACHE / "local")}
    with TemporaryDirectory() as folder:
        target = Path(folder) / "kernel.wasm"
        command = [sys.executable, "-m", "ziglang", "cc", *OPTIONS, "-o", target, source.name]
        if subprocess.run(command, cwd=source.parent, env=os.environ | caches).returncode:
            raise SystemExit(f"{source.name} does not compile: the compiler says above why.")
        return target.read_bytes()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="compare with the committed file, write nothing")
    check, target, module = parser.parse_args().check, SOURCE.with_suffix(".wasm"), compiled(SOURCE)
    if not check:
        target.write_bytes(module)
    elif not target.exists() or target.read_bytes() != module:
        sys.exit("kernel.wasm is not what kernel.c compiles to: run scripts/kernel.py and commit it.")


if __name__ == "__main__":
    main()
