"""Compiles the kernel of the attack in the page, leaklib/widgets/live/kernel.c, to kernel.wasm beside it.

With --check it compiles elsewhere and fails unless the bytes are the committed ones.
"""

import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "leaklib" / "widgets" / "live" / "kernel.c"
TARGET = SOURCE.with_suffix(".wasm")
# Room for the search's history, 100 pairs of vectors at two pictures (10 MB), and all else (below 4 MB).
MEMORY = 16 * 2**20
OPTIONS = "-target wasm32-freestanding -std=gnu11 -O3 -msimd128 -mbulk-memory -ffp-contract=off -nostdlib -s -Wall -Wextra -Werror".split()
LINK = f"--no-entry,--initial-memory={MEMORY},--max-memory={MEMORY}"


def build(source: Path, target: Path) -> None:
    """The same source gives the same bytes, in whatever folder it lies."""
    caches = {f"ZIG_{kind}_CACHE_DIR": str(ROOT / ".cache" / "zig" / kind.lower()) for kind in ("GLOBAL", "LOCAL")}
    command = [sys.executable, "-m", "ziglang", "cc", *OPTIONS, f"-Wl,{LINK}", "-o", str(target), source.name]
    subprocess.run(command, check=True, cwd=source.parent, env=os.environ | caches)


def main() -> int | str:
    if "--check" not in sys.argv[1:]:
        return build(SOURCE, TARGET) or 0
    with TemporaryDirectory() as folder:
        fresh = Path(folder) / "kernel.wasm"
        build(SOURCE, fresh)
        if fresh.read_bytes() == TARGET.read_bytes():
            return 0
    return "kernel.wasm is not what kernel.c compiles to: run `python scripts/kernel.py` and commit it."


if __name__ == "__main__":
    sys.exit(main())
