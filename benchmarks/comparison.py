"""The comparison table's costs, accuracies and picked candidates, and how the protocols scale.

    python benchmarks/comparison.py runs.jsonl                 # about twenty minutes on one core; resumes
    python benchmarks/comparison.py runs.jsonl --only costs
    python benchmarks/comparison.py runs.jsonl --collect       # writes leaklib/results/comparison.json

The attacks of the table are a sweep: `python benchmarks/sweeps.py`. Costs come from the same experiments with
an attack of one step. Memory is the peak of what numpy and Python hold while all parties of a round work in
one process.
"""

import json
import statistics
import tracemalloc
from collections.abc import Mapping
from dataclasses import asdict, replace
from functools import partial
from importlib.resources import files
from pathlib import Path

import picking
import torch
from runs import Case, Runs, Witness, collected, command_line, execute, numbers, read, weights

from leaklib.aggregation.byzsecagg import ByzSecAgg
from leaklib.aggregation.ccesa import CCESA
from leaklib.aggregation.enclave import Enclave
from leaklib.aggregation.secagg import SecAgg
from leaklib.attacks.dlg import DLG
from leaklib.client import FedSGD
from leaklib.experiment import Experiment, run
from leaklib.results.contenders import CONTENDERS, LARGER
from leaklib.rng import generator
from leaklib.training import Training, train
from leaklib.types import Aggregation, Update

TARGET = Path(str(files("leaklib"))) / "results" / "comparison.json"
SEEDS = range(3)
REPEATS = 3
PROTOCOLS: Mapping[str, Aggregation] = {
    "SecAgg": SecAgg(),
    "SecAgg, ring of 6": SecAgg(neighbors=6),
    "CCESA": CCESA(),
    "ByzSecAgg": ByzSecAgg(),
    "enclave (stand-in)": Enclave(),
}


def costs() -> Runs:
    """What one round of every mechanism takes."""
    rows = {name: contender.attacked for name, contender in CONTENDERS.items()}
    for name, experiment in (rows | LARGER).items():
        look = replace(experiment, attack=DLG(steps=1, known_labels=True))
        yield {"mechanism": name}, partial(cost, look), partial(counts, look)


def cost(experiment: Experiment) -> Case:
    """Bytes, messages and trips, and the median processor times of a few rounds."""
    found = [run(experiment).view.cost for _ in range(REPEATS)]
    assert all(c is not None and c == found[0] for c in found)
    seconds = {
        name: round(statistics.median(getattr(c, name) for c in found), 5)
        for name in ("client_seconds", "server_seconds")
    }
    return asdict(found[0]) | seconds


def counts(experiment: Experiment) -> Witness:
    """Bytes, messages and trips of one round."""
    return numbers(asdict(run(experiment).view.cost))


def accuracies() -> Runs:
    """What is left of the accuracy on digits that no client holds."""
    for name, contender in CONTENDERS.items():
        for seed in SEEDS:
            training = replace(contender.trained, seed=seed)
            yield {"mechanism": name, "seed": seed}, partial(accuracy, training), partial(weights, training)


def accuracy(training: Training) -> Case:
    return {"accuracy": round(train(training).accuracy[-1], 4)}


def picked() -> Runs:
    """How often the truth is picked among 64 candidates, from one round of the attacked system."""
    for name in picking.PICKED:
        for seed in range(picking.NETWORKS):
            case = {"mechanism": name, "network": seed}
            few = partial(picking.one_round, name, seed, 3)
            yield case, partial(picking.one_round, name, seed), lambda few=few: numbers(few())


def followed() -> Runs:
    """The same over all rounds of the trained system: of an example, and of a client's whole data."""
    for name in picking.PICKED:
        for seed in range(picking.TRAININGS):
            case = {"mechanism": name, "training": seed}
            few = partial(picking.many_rounds, name, seed, 2)
            yield case, partial(picking.many_rounds, name, seed), lambda few=few: numbers(few())


def scaling() -> Runs:
    """Processor time and memory of a round over clients and entries."""
    for name, protocol in PROTOCOLS.items():
        for clients, entries in [
            (8, 10_000),
            (16, 10_000),
            (32, 10_000),
            (64, 10_000),
            (16, 100_000),
            (16, 1_000_000),
        ]:
            if isinstance(protocol, ByzSecAgg) and clients * clients * entries > 30e6:
                continue  # minutes, and gigabytes
            case = {"protocol": name, "clients": clients, "entries": entries}
            yield (
                case,
                partial(one_round, protocol, clients, entries),
                partial(once, protocol, clients, entries),
            )


def drawn(clients: int, entries: int) -> tuple[Update, ...]:
    draw = generator(0, "updates")
    return tuple(
        Update({"w": torch.randn(entries, generator=draw) / 100}, FedSGD(), 1, (1,), client=c)
        for c in range(clients)
    )


def once(protocol: Aggregation, clients: int, entries: int) -> Witness:
    """Bytes, messages and trips of a round, and the size of what the server reads."""
    view = protocol(drawn(clients, entries), generator=generator(0, "round"))
    return numbers(asdict(view.cost)) + numbers([view.updates[0].tensors["w"].abs().sum().item()])


def one_round(protocol: Aggregation, clients: int, entries: int) -> Case:
    updates = drawn(clients, entries)
    found = protocol(updates, generator=generator(0, "round")).cost
    tracemalloc.start()
    protocol(updates, generator=generator(0, "round"))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found is not None
    return asdict(found) | {"peak_bytes": peak}


PARTS = {
    "costs": costs,
    "accuracies": accuracies,
    "picked": picked,
    "followed": followed,
    "scaling": scaling,
}


def main() -> None:
    arguments = command_line(__doc__, PARTS, TARGET).parse_args()
    torch.set_num_threads(1)
    rows = read(*arguments.runs)
    if arguments.collect:
        TARGET.write_text(json.dumps(collected(rows, PARTS), indent=1) + "\n")
    else:
        for part in arguments.only or list(PARTS):
            execute(part, PARTS[part](), rows, arguments.runs[0])


if __name__ == "__main__":
    main()
