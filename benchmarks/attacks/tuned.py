"""Batches of 1, 4, 8 and 16: the attacks of this book and of ``breaching``, as shipped and tuned alike.

    python benchmarks/attacks/tuned.py pictures.npz --tool leaklib
    breaching-env/bin/python benchmarks/attacks/tuned.py pictures.npz --tool breaching
    python benchmarks/attacks/tuned.py pictures.npz --collect

The first command also writes the victims, as files that the second reads. Each run is a process of its own
with one thread, forked from one that has loaded the tool. Its result is added to the results file as it ends,
and a run that is there already is not repeated: interrupt it and go on later.

The attack of Inverting Gradients is tuned, in both tools, by trying each weight of GRID for its prior on
total variation on one batch of 4 *other* pictures and keeping the best by PSNR: help that no attacker has,
and both get alike. A tuned run uses that weight on every size of batch. Labels are given, networks are fresh
for each batch.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from typing import Any

import torch
from measure import GOOD, Victim

HERE = Path(__file__).parent
TARGET = HERE.parent.parent / "leaklib" / "results" / "tuned.json"
GRID = (0.1, 0.01, 1e-3, 1e-4)
CELLS = (*(("ConvNet", size) for size in (1, 4, 8, 16)), *(("LeNet default", size) for size in (1, 4)))
NETWORKS = tuple(dict.fromkeys(network for network, _ in CELLS))
OTHER = 400  # the first picture that only tuning sees
TUNED_AT = 4  # pictures
ATTACKS = {
    "leaklib": ("DLG", "InvertingGradients"),
    "breaching": ("deepleakage", "invertinggradients", "modern"),
}
TUNED = ("InvertingGradients", "invertinggradients")  # modern has two more priors than its weight
Result = dict[str, Any]
KEY = ("network", "tool", "attack", "batch", "number", "weight", "asked")


def jobs(tool: str, batches: int) -> Iterator[Result]:
    """What is run: a network's tries before its batches, small ones first."""
    for network, size in CELLS:
        for number in range(batches):
            for attack in ATTACKS[tool]:
                about = {"network": network, "attack": attack}
                for weight in GRID if attack in TUNED else ():
                    yield about | {"batch": TUNED_AT, "number": -1, "weight": weight}
                for weight in ("shipped", "tuned") if attack in TUNED else ("shipped",):
                    yield about | {"batch": size, "number": number, "weight": weight}


def place(folder: Path, job: Result) -> Path:
    return folder / f"{job['network']}, {job['batch']}, {job['number']}.npz".replace(" ", "_")


def export_all(pictures: str, folder: Path, batches: int) -> None:
    """Every victim as a file."""
    from leaklib_runner import export

    from leaklib.data import ImageFile

    data = ImageFile(pictures)
    for job in jobs("leaklib", batches):
        path = place(folder, job)
        if not path.exists():
            batch, seed = victim_of(data, job)
            export(batch, job["network"], seed, path)


def victim_of(data: Any, job: Result) -> tuple[Any, int]:
    """The batch of a job, of those that only tuning sees or the others, and the seed of its network."""
    size, number = job["batch"], job["number"]
    return data.batch(OTHER // size if number < 0 else number, size), number + 1


def chosen(job: Result, asked: int, weight: float | None) -> Any:
    """One of this book's attacks. ``weight`` None is the shipped one."""
    from leaklib.attacks.dlg import DLG, INNER
    from leaklib.attacks.inverting_gradients import InvertingGradients

    if job["attack"] == "DLG":
        return DLG(asked // INNER, known_labels=True)
    prior = {} if weight is None else {"total_variation": weight}
    return InvertingGradients(asked, **prior)


def witness(model: Any, update: Any, attack: Any, seed: int) -> list[float]:
    """The first losses of one of this book's attacks."""
    from leaklib.rng import generator
    from leaklib.sweep.witness import FirstLosses

    first = FirstLosses(stop=True)
    return list(first.witness(attack(model, update, generator=generator(seed, "attack"), callback=first)))


def ours(job: Result, asked: int, weight: float | None) -> Callable[[Victim], Result]:
    """A run of one of this book's attacks."""
    import leaklib_runner as runner

    attack, seed = chosen(job, asked, weight), job["number"] + 1

    def run(victim: Victim) -> Result:
        result = runner.attack(victim, attack, asked, seed)
        first = witness(runner.model_of(victim), runner.update_of(victim), attack, seed)
        return result | {"witness": first}

    return run


def theirs(job: Result, asked: int, weight: float | None) -> Callable[[Victim], Result]:
    """A run of one of breaching's."""
    import breaching_runner as runner

    name = job["attack"] + (", label known" if job["attack"] == "deepleakage" else "")
    config = runner.configuration(name, asked, weight)
    return lambda victim: runner.attack(victim, config)


def forked(run: Callable[[], Result]) -> Result:
    """What ``run`` returns in a process of its own, whose memory is its own; a crash is a result too."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        try:
            text = json.dumps(run())
        except Exception as error:
            text = json.dumps({"crashed": f"{type(error).__name__}: {error}"})
        with os.fdopen(writer, "w") as pipe:
            pipe.write(text)
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as pipe:
        text = pipe.read()
    os.waitpid(child, 0)
    return json.loads(text) if text else {"crashed": "the process died"}


def best_weight(results: list[Result], job: Result, tool: str, asked: int) -> float:
    """The weight that did best in the tries."""
    tries = [
        r
        for r in results
        if (r["tool"], r["network"], r["attack"], r["number"], r["asked"])
        == (tool, job["network"], job["attack"], -1, asked)
    ]
    return max(tries, key=lambda r: r.get("decibel", 0.0))["weight"]


def measure(tool: str, folder: Path, results: Path, batches: int, asked: int) -> None:
    torch.set_num_threads(1)
    make = {"leaklib": ours, "breaching": theirs}[tool]
    head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=HERE, capture_output=True, text=True)
    done = read(results)
    known = {tuple(result[name] for name in KEY) for result in done}
    for job in jobs(tool, batches):
        about = {"tool": tool, "asked": asked, **job}
        name = tuple(about[part] for part in KEY)
        if name in known:
            continue
        known.add(name)
        weight = None if job["weight"] == "shipped" else job["weight"]
        if weight == "tuned":
            weight = best_weight(done, job, tool, asked)
            about["tuned"] = weight
        victim = Victim.load(place(folder, job))
        torch.manual_seed(job["number"] + 1)
        run = make(job, asked, weight)
        start = time.monotonic()
        result = forked(lambda run=run, victim=victim: run(victim))
        if tool == "breaching":
            result |= {"witness": None, "why": "computed by breaching, which is not part of the project"}
        done.append(about | {"day": date.today().isoformat(), "commit": head.stdout.strip()[:12]} | result)
        with results.open("a") as file:
            file.write(json.dumps(done[-1]) + "\n")
        told = result.get("decibel", result.get("crashed", result.get("refused")))
        print(*about.values(), told, f"{time.monotonic() - start:.0f} s", flush=True)


def read(results: Path) -> list[Result]:
    return [json.loads(line) for line in results.read_text().splitlines()] if results.exists() else []


def table(results: list[Result]) -> str:
    """Markdown: a row for each tool, attack and weight of the prior, a column for each size of batch."""
    text = ""
    for network in NETWORKS:
        if not any(r["network"] == network for r in results):
            continue
        sizes = sorted(size for name, size in CELLS if name == network)
        text += f"\n**{network}**\n\n| tool, attack | prior | {' | '.join(map(str, sizes))} |\n"
        text += "|" + "---|" * (len(sizes) + 2) + "\n"
        rows: dict[tuple[str, str, str], dict[int, list[Result]]] = {}
        for r in results:
            if r["network"] == network and r["number"] >= 0:
                name = r["tool"], r["attack"], str(r["weight"])
                rows.setdefault(name, {}).setdefault(r["batch"], []).append(r)
        for (tool, attack, weight), cells in rows.items():
            prior = f"{next(iter(cells.values()))[0].get('tuned', weight)}"
            told = (cell(cells.get(size, [])) for size in sizes)
            text += f"| {tool} {attack} | {prior} | {' | '.join(told)} |\n"
    return text


def cell(runs: list[Result]) -> str:
    """Median and range over all pictures, how many are above 30 dB, evaluations, cost and memory."""
    ran = [r for r in runs if "decibels" in r]
    if not ran:
        return "–" if not runs else "; ".join({r.get("crashed") or r.get("refused", "") for r in runs})
    values = sorted(v for r in ran for v in r["decibels"])
    spent = statistics.median(r["evaluations"] for r in ran)
    each = statistics.median(r["seconds"] / r["evaluations"] / r["training_step"] for r in ran)
    memory = max(r["memory"] for r in ran)
    return (
        f"{statistics.median(values):.1f} ({values[0]:.1f} to {values[-1]:.1f}), "
        f"{sum(v > GOOD for v in values)} of {len(values)}; {spent:.0f}; {each:.1f}; {memory:.0f}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("pictures", help="arrays `images` uint8 N×32×32×3 and `labels`, at least 404")
    parser.add_argument("--tool", choices=ATTACKS)
    parser.add_argument("--batches", type=int, default=3, help="of each size")
    parser.add_argument("--evaluations", type=int, default=300, help="gradients of the matching loss a run")
    parser.add_argument("--folder", type=Path, default=Path("batches"), help="victims and results")
    parser.add_argument("--collect", action="store_true", help=f"write {TARGET.name} and run nothing")
    arguments = parser.parse_args()
    arguments.folder.mkdir(exist_ok=True)
    results = arguments.folder / "results.jsonl"
    if arguments.collect:
        TARGET.write_text(json.dumps(read(results), indent=1) + "\n")
        print(table(read(results)))
        return
    if arguments.tool == "leaklib":
        export_all(arguments.pictures, arguments.folder, arguments.batches)
    if arguments.tool is None:
        sys.exit("name a --tool, or --collect")
    measure(arguments.tool, arguments.folder, results, arguments.batches, arguments.evaluations)


if __name__ == "__main__":
    main()
