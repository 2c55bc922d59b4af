"""What ByzSecAgg gets right and what it costs: rows of the book's tables and curves.

    python benchmarks/byzantine.py runs.jsonl                # can be stopped and resumed
    python benchmarks/byzantine.py runs.jsonl --only clients
    python benchmarks/byzantine.py runs.jsonl --table        # the tables of what is there
    python benchmarks/byzantine.py runs.jsonl --collect      # stores what the book shows

One thread. Seconds are processor time, a client's the mean over clients. Every run is one line of the file.
"""

from dataclasses import replace
from pathlib import Path
from time import process_time

import numpy as np
import torch
from runs import Case, Runs, collected, command_line, execute, read, store

from leaklib.aggregation.byzantine.round import quantized
from leaklib.aggregation.byzsecagg import ByzSecAgg
from leaklib.aggregation.masking.graph import complete
from leaklib.aggregation.parts.traffic import Traffic, count, count_byzantine
from leaklib.client import FedSGD
from leaklib.plots import table
from leaklib.rng import generator
from leaklib.types import Update

TARGET = Path(__file__).parent.parent / "leaklib" / "results" / "protocols.json"

LENET = 15_826  # entries of an update of DLG's LeNet with ten classes
STATED = ByzSecAgg(byzantine=2, blocks=3, colluders=2, dropouts=1, selected=4)


def sized(clients: int) -> ByzSecAgg:
    """An eighth may be Byzantine, an eighth collude, a sixteenth drop out; as many blocks as that leaves."""
    byzantine, dropouts = clients // 8, clients // 16
    blocks = (clients - 4 * byzantine - dropouts + 1) // 2
    return ByzSecAgg(byzantine, blocks, byzantine, dropouts, clients // 4)


def updates(clients: int, outliers: tuple[int, ...], seed: int) -> tuple[Update, ...]:
    g = generator(seed, "updates")
    vectors = [0.3 * torch.randn(LENET, generator=g) + 5.0 * (c in outliers) for c in range(clients)]
    return tuple(Update({"w": v}, FedSGD(), 1, (3, 32, 32), client=c) for c, v in enumerate(vectors))


def one_round(protocol: ByzSecAgg, clients: int, seed: int) -> Case:
    """As many outliers as Byzantine clients, who also lie in answers, and as many dropouts as allowed."""
    order = torch.randperm(clients, generator=generator(seed, "roles")).tolist()
    bad = tuple(sorted(order[: protocol.byzantine]))
    gone = tuple(sorted(order[protocol.byzantine :][: protocol.dropouts]))
    sent = updates(clients, bad, seed)
    start = process_time()
    view = replace(protocol, liars=bad, dropped=gone)(sent, generator=generator(seed, "aggregation"))
    seconds = process_time() - start
    cost, selected, squares = view.cost, view.leaks["selected"], view.leaks["squared distances"]
    assert cost is not None
    rows = [quantized(update.tensors, 16, protocol.square) for update in sent]
    scale, accepted = 2**16, [rows[client] for client in view.leaks["accepted"]]
    exact = [[int(np.square((a - b).astype(object)).sum()) / scale**2 for b in accepted] for a in accepted]
    mean = torch.from_numpy(np.sum([rows[c] for c in selected], 0)).double() / (scale * len(selected))
    return {
        "distances exact": squares.tolist() == exact,
        "outliers rejected": not set(bad) & set(selected),
        "liars found": view.leaks["liars"] == bad,
        "sum exact": torch.equal(view.updates[0].tensors["w"], mean.float()),
        "seconds": seconds,
        "client ms": 1e3 * cost.client_seconds,
        "server ms": 1e3 * cost.server_seconds,
        "messages": cost.messages,
        "up": cost.client_up,
        "down": cost.client_down,
    }


def stated() -> Runs:
    """The bound: N = 16, K = 3, T = 2, A = 2, D = 1, at most 5 seconds in total, in five rounds."""
    for seed in range(5):
        yield {"clients": 16, "seed": seed}, lambda seed=seed: one_round(STATED, 16, seed)


def clients() -> Runs:
    """A round over the number of clients, with an eighth of them Byzantine."""
    for n in (8, 16, 24, 32, 48):
        case = {"clients": n, "blocks": sized(n).blocks, "byzantine": sized(n).byzantine}
        yield case, lambda n=n: one_round(sized(n), n, 0)


def whole(traffic: dict, clients: int) -> Case:
    """Messages, and kilobytes up and down per client, over all phases."""
    each: list[Traffic] = list(traffic.values())
    return {
        "messages": sum(t.messages for t in each),
        "up": sum(t.up for t in each) / clients / 1e3,
        "down": sum(t.down for t in each) / clients / 1e3,
    }


def traffic() -> Runs:
    """Messages and bytes by formula, next to those of secure aggregation on the complete graph."""
    for n in (8, 16, 32, 100, 300, 1000):
        row = {
            "ByzSecAgg": whole(count_byzantine(sized(n), n, LENET), n),
            "SecAgg": whole(count(complete(range(n)), LENET), n),
        }
        yield {"clients": n, "blocks": sized(n).blocks}, lambda row=row: row


PARTS = {part.__name__: part for part in (stated, clients, traffic)}


def rounds_table(rows: list[Case]) -> str:
    checks = ["distances exact", "outliers rejected", "liars found", "sum exact"]
    heads = ["clients", "seed or blocks", *checks, "seconds", "client ms", "server ms", "MB up", "MB down"]
    lines = [
        [
            row["case"]["clients"],
            f"seed {row['case']['seed']}" if "seed" in row["case"] else f"K = {row['case']['blocks']}",
            *("yes" if row[check] else "**no**" for check in checks),
            f"{row['seconds']:.2f}",
            f"{row['client ms']:.0f}",
            f"{row['server ms']:.0f}",
            f"{row['up'] / 1e6:.2f}",
            f"{row['down'] / 1e6:.2f}",
        ]
        for row in rows
    ]
    return table(heads, lines)


def traffic_table(rows: list[Case]) -> str:
    heads = ["clients", "blocks", "messages", "kB up", "kB down", "SecAgg: messages", "kB up", "kB down"]
    lines = [
        [row["case"]["clients"], row["case"]["blocks"]]
        + [
            f"{row[name][value]:,.0f}"
            for name in ("ByzSecAgg", "SecAgg")
            for value in ("messages", "up", "down")
        ]
        for row in rows
    ]
    return table(heads, lines)


def main() -> None:
    parser = command_line(__doc__, PARTS, TARGET)
    parser.add_argument("--table", action="store_true", help="print the tables and run nothing")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    rows = read(*arguments.runs)
    if arguments.table:
        for part, function in PARTS.items():
            tabulate = traffic_table if part == "traffic" else rounds_table
            print(f"\n{function.__doc__}\n\n{tabulate([row for row in rows if row['part'] == part])}")
    elif arguments.collect:
        store(TARGET, "byzsecagg", collected(rows, PARTS))
    else:
        for part in arguments.only or list(PARTS):
            execute(part, PARTS[part](), rows, arguments.runs[0])


if __name__ == "__main__":
    main()
