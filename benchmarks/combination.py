"""Clipping, rounding, shared noise and a finite ring: what each costs, and when the ring is too small.

    python benchmarks/combination.py runs.jsonl              # five minutes; can be stopped and resumed
    python benchmarks/combination.py runs.jsonl --collect    # stores it for the book

The updates are gradients of an untrained LeNet, one photograph that comes with the package per client, each
clipped to norm 16. They go through `Skellam` and a sum modulo 2^bits, which is what a masking protocol
decodes. One thread.
"""

import json
from datetime import date
from functools import cache, partial
from pathlib import Path
from statistics import median

from runs import Case, Runs, Witness, command_line, execute, numbers, read

from leaklib.client import FedSGD, share
from leaklib.data import Photos
from leaklib.mechanisms.discrete import Skellam
from leaklib.models.lenet import LeNet
from leaklib.results.combination import Round, play
from leaklib.types import Update

TARGET = Path(__file__).parent.parent / "leaklib" / "results" / "combination.json"
MAX_NORM = 16.0
CLIENTS, FRACTION_BITS, NOISE = (10, 60, 240), tuple(range(0, 15, 2)), (0.0, 0.3, 1.0)
BITS, SEEDS = tuple(range(8, 29)), range(3)


@cache
def gradients(step: FedSGD) -> tuple[Update, ...]:
    """One update for every photograph."""
    model = LeNet().build(0).double()
    return tuple(share(model, Photos().batch(c, 1), step, client=c) for c in range(max(CLIENTS)))


def sweep() -> Runs:
    for clients in CLIENTS:
        for multiplier in NOISE:
            for fraction_bits in FRACTION_BITS:
                for seed in SEEDS:
                    case = {"clients": clients, "noise_multiplier": multiplier,
                            "fraction_bits": fraction_bits, "seed": seed}  # fmt: skip
                    yield case, partial(measure, **case), partial(witness, **case)


def one_round(clients: int, noise_multiplier: float, fraction_bits: int, seed: int) -> Round:
    exact, clipped = (gradients(step)[:clients] for step in (FedSGD(), FedSGD(max_grad_norm=MAX_NORM)))
    return play(exact, clipped, Skellam(noise_multiplier, clients, fraction_bits), seed=seed)


def witness(**case) -> Witness:
    """The size of the sum that the ring must hold, and which rings that takes."""
    result = one_round(**case)
    return numbers([result.total.abs().sum().item(), result.enough(), result.sure(), result.likely()])


def measure(**case) -> Case:
    """The error budget of one round over all rings."""
    result = one_round(**case)
    budgets = [result.budget(bits) for bits in BITS]
    return {
        "clipping": budgets[0].clipping,
        "rounding": budgets[0].rounding,
        "noise": budgets[0].noise,
        "wrapping": [budget.wrapping for budget in budgets],
        "total": [budget.total for budget in budgets],
        "wrapped": [budget.wrapped for budget in budgets],
        "enough": result.enough(),
        "sure": result.sure(),
        "likely": result.likely(),
    }


def collect(rows: list[Case]) -> None:
    """Medians over the seeds, and the lowest and highest of what is a single number."""
    groups: dict[str, list[Case]] = {}
    for row in rows:
        case = {name: value for name, value in row["case"].items() if name != "seed"}
        groups.setdefault(json.dumps(case), []).append(row)
    found = []
    for case, same in groups.items():
        single = {name: middle([row[name] for row in same]) for name in ("clipping", "rounding", "noise")}
        curves = {
            name: [float(f"{median(values):.4g}") for values in zip(*(r[name] for r in same), strict=True)]
            for name in ("wrapping", "total", "wrapped")
        }
        onset = {name: [row[name] for row in same] for name in ("enough", "sure", "likely")}
        runs = [{"seed": r["case"]["seed"], "witness": r["witness"], "commit": r["commit"]} for r in same]
        found.append(json.loads(case) | single | curves | onset | {"runs": runs})
    about = {
        "max_norm": MAX_NORM,
        "entries": sum(t.numel() for t in gradients(FedSGD())[0].tensors.values()),
        "seeds": len(SEEDS),
        "bits": BITS,
        "measured": date.today().isoformat(),
    }
    lines = ",\n".join(json.dumps(row) for row in found)
    TARGET.write_text(f'{{"about": {json.dumps(about)},\n"rows": [\n{lines}\n]}}\n')


def middle(values: list[float]) -> list[float]:
    """Median, lowest and highest, four digits each."""
    return [float(f"{value:.4g}") for value in (median(values), min(values), max(values))]


def main() -> None:
    arguments = command_line(__doc__, ["sweep"], TARGET).parse_args()
    rows = read(*arguments.runs)
    if arguments.collect:
        collect(rows)
    else:
        execute("sweep", sweep(), rows, arguments.runs[0])


if __name__ == "__main__":
    main()
