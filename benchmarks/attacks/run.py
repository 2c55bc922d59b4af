"""The attacks of this book next to the package ``breaching``: same pictures, weights, gradients and budget.

    python benchmarks/attacks/run.py pictures.npz --breaching-python path/to/other/bin/python
    python benchmarks/attacks/run.py pictures.npz --pictures 3 --evaluations 2400

``pictures.npz`` holds `images`, uint8 N×32×32×3, and `labels`. Each run is a process of its own with one
thread. Its result is added to the results file as it ends, and a run that is there already is not repeated:
interrupt it and go on later. At the end the table is printed. Without --breaching-python only ours run.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

from leaklib_runner import NETWORKS, attacks, export
from measure import GOOD

from leaklib.data import ImageFile

HERE = Path(__file__).parent
BREACHING = ("deepleakage", "deepleakage, label known", "invertinggradients", "modern")
MANY = 100  # evaluations from which on the time of one is not that of getting started
TARGET = HERE.parent.parent / "leaklib" / "results" / "attacks.json"
Result = dict[str, Any]


def jobs(pictures: int, breaching: bool) -> Iterator[tuple[str, str, str, int]]:
    """Network, tool, attack, picture: all attacks on the first picture before the second."""
    tools = [("leaklib", tuple(attacks(20))), *([("breaching", BREACHING)] if breaching else [])]
    for index in range(pictures):
        for network in NETWORKS:
            for tool, names in tools:
                for name in names:
                    yield network, tool, name, index


def key(result: Result) -> tuple[Any, ...]:
    return tuple(result[name] for name in ("network", "tool", "attack", "picture", "asked"))


def run(python: str, tool: str, attack: str, victim: Path, asked: int, seed: int, out: Path) -> Result:
    """One run in a process of its own; a crash is a result too."""
    out.unlink(missing_ok=True)
    options = ["--evaluations", str(asked), "--seed", str(seed), "--out", str(out)]
    done = subprocess.run(
        [python, str(HERE / f"{tool}_runner.py"), str(victim), attack, *options],
        env=os.environ | {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""},
        capture_output=True,
        text=True,
    )
    if done.returncode == 0:
        return json.loads(out.read_text())
    return {"crashed": done.stderr.strip().rsplit("\n", 1)[-1]}


def number(values: list[float], digits: int = 1) -> str:
    return f"{statistics.median(values):.{digits}f}" if values else "–"


def line(results: list[Result]) -> str:
    """The row of one attack on one network, from its runs."""
    ran = [result for result in results if "decibel" in result]
    if not ran:
        reasons = {result.get("refused") or f"crashed: {result.get('crashed')}" for result in results}
        return f"refused: {'; '.join(sorted(reasons))} | | | | | | | |"
    decibels = [result["decibel"] for result in ran]
    reached = [result["reached"] for result in ran if result["reached"] is not None]
    ratios = [r["seconds"] / r["evaluations"] / r["training_step"] for r in ran if r["evaluations"] >= MANY]
    whole = [result["seconds"] / result["training_step"] for result in ran]
    cells = (
        f"{sum(decibel > GOOD for decibel in decibels)} of {len(results)}",
        f"{number(decibels)}, {min(decibels):.1f} to {max(decibels):.1f}",
        f"{number(reached, 0)} ({len(reached)})" if reached else "–",
        number([result["evaluations"] for result in ran], 0),
        number(ratios, 2),
        number(whole, 0),
        number([result["seconds"] for result in ran]),
        number([result["memory"] for result in ran], 0),
    )
    return " | ".join(cells) + " |"


def table(results: list[Result]) -> str:
    """Markdown: one table per network, the rows in the order in which they first ran."""
    versions = sorted({f"{name} {r[name]}" for r in results for name in ("torch", "breaching") if name in r})
    days = sorted({result["day"] for result in results})
    asked = sorted({result["asked"] for result in results})
    text = f"{', '.join(days)}; Python {platform.python_version()}; {', '.join(versions)}; "
    text += f"budget {', '.join(map(str, asked))} evaluations; one thread\n"
    for network in NETWORKS:
        rows: dict[tuple[str, str], list[Result]] = {}
        for result in results:
            if result["network"] == network:
                rows.setdefault((result["tool"], result["attack"]), []).append(result)
        text += (
            f"\n**{network}**\n\n| tool | attack | above 30 dB | PSNR in dB: median, range | evaluations to "
            "30 dB (in how many) | evaluations | one evaluation / training step | whole run / training step "
            "| CPU seconds | peak memory above training, MiB |\n|" + "---|" * 10 + "\n"
        )
        for (tool, attack), some in rows.items():
            text += f"| {tool} | {attack} | {line(some)}\n"
    return text


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("pictures_file", metavar="pictures.npz")
    parser.add_argument("--breaching-python", help="the Python of an environment with breaching in it")
    parser.add_argument("--pictures", type=int, default=3, help="how many, from picture 0")
    parser.add_argument("--evaluations", type=int, default=2400, help="gradients of the matching loss a run")
    parser.add_argument("--results", type=Path, default=Path("attacks.jsonl"))
    parser.add_argument("--collect", action="store_true", help=f"write {TARGET.name} and run nothing")
    arguments = parser.parse_args()
    data, asked = ImageFile(arguments.pictures_file), arguments.evaluations
    old = arguments.results.read_text().splitlines() if arguments.results.exists() else []
    results: list[Result] = [json.loads(text) for text in old]
    if arguments.collect:
        TARGET.write_text(json.dumps(results, indent=1) + "\n")
        print(table(results))
        return
    known = {key(result) for result in results}
    head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=HERE, capture_output=True, text=True)
    commit = head.stdout.strip()[:12]
    pythons = {"leaklib": sys.executable, "breaching": arguments.breaching_python}
    with tempfile.TemporaryDirectory() as folder:
        victim, out = Path(folder) / "victim.npz", Path(folder) / "result.json"
        for network, tool, attack, index in jobs(arguments.pictures, bool(pythons["breaching"])):
            about = {
                "network": network, "tool": tool, "attack": attack, "picture": index, "asked": asked,
                "day": date.today().isoformat(), "commit": commit,
            }  # fmt: skip
            if key(about) in known:
                continue
            if tool == "breaching":
                about |= {"witness": None, "why": "computed by breaching, which is not part of the project"}
            export(data.batch(index, 1), network, index, victim)
            results.append(about | run(pythons[tool], tool, attack, victim, asked, index, out))
            with arguments.results.open("a") as file:
                file.write(json.dumps(results[-1]) + "\n")
            print(json.dumps(results[-1]), flush=True)
    print("\n" + table([result for result in results if result["asked"] == asked]))


if __name__ == "__main__":
    main()
