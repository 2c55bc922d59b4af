"""What secure aggregation costs, and when it holds on random graphs: rows of the book's tables and curves.

    python benchmarks/secure_aggregation.py runs.jsonl                # can be stopped and resumed
    python benchmarks/secure_aggregation.py runs.jsonl --only clients
    python benchmarks/secure_aggregation.py runs.jsonl --table        # the tables of what is there
    python benchmarks/secure_aggregation.py runs.jsonl --collect      # stores what the book shows

One thread. Seconds are processor time, a client's the mean over clients. Every run is one line of the file.
"""

import math
from collections.abc import Callable
from datetime import date
from functools import cache
from pathlib import Path

import numpy as np
import torch
from runs import Case, Runs, command_line, execute, read, store
from scipy.stats import binom, hypergeom

from leaklib.aggregation.ccesa import CCESA, recommended_probability, recommended_threshold, reliable
from leaklib.aggregation.crypto.fixed_point import decode, encode
from leaklib.aggregation.masking.graph import Graph, complete, components, edges, erdos_renyi, ring
from leaklib.aggregation.masking.parameters import (
    opened,
    private,
    recommended_graph,
    recommended_random_graph,
)
from leaklib.aggregation.masking.phases import Drop, Phase
from leaklib.aggregation.masking.round import majorities
from leaklib.aggregation.parts.traffic import count
from leaklib.aggregation.secagg import SecAgg
from leaklib.client import FedSGD
from leaklib.plots import table
from leaklib.rng import generator
from leaklib.types import Update

TARGET = Path(__file__).parent.parent / "leaklib" / "results" / "protocols.json"

LENET = 15_826  # entries of an update of DLG's LeNet with ten classes
DROPPED = (2, 7)
PROTOCOLS = {
    "complete": SecAgg(dropped=DROPPED),
    "ring of 6": SecAgg(dropped=DROPPED, neighbors=6),
    "CCESA": CCESA(dropped=DROPPED, dropout=0.1),
}
SIZES = (100, 300, 1000)
GRAPHS = 1000
DROPOUT = 0.1  # of clients, before a phase that is drawn for each
COLLUDING, DROPPING = 1 / 3, 0.05  # of clients, for the recommended parameters


def updates(clients: int, entries: int) -> tuple[Update, ...]:
    g = generator(clients, "updates")
    return tuple(
        Update({"w": torch.randn(entries, generator=g)}, FedSGD(), 1, (3, 32, 32), client=c)
        for c in range(clients)
    )


def one_round(protocol: str, clients: int, entries: int) -> Case:
    """The time and the traffic of one round, and whether its sum is exact."""
    sent = updates(clients, entries)
    view = PROTOCOLS[protocol](sent, generator=generator(0, "aggregation"))
    (mean,), cost = view.updates, view.cost
    assert cost is not None
    words = [encode(sent[c].tensors["w"], 20, clients) for c in mean.clients]
    total = decode(np.sum(words, 0, dtype=np.uint32), 20) / len(words)
    return {
        "survivors": len(mean.clients),
        "exact": torch.equal(mean.tensors["w"], total.float()),
        "client ms": 1e3 * cost.client_seconds,
        "server ms": 1e3 * cost.server_seconds,
        "messages": cost.messages,
        "up": cost.client_up,
        "down": cost.client_down,
    }


def rounds(cases: list[tuple[str, int, int]]) -> Runs:
    for protocol, clients, entries in cases:
        case = {"protocol": protocol, "clients": clients, "entries": entries}
        yield case, lambda p=protocol, n=clients, d=entries: one_round(p, n, d)


def clients() -> Runs:
    """One round with two dropouts, updates of LeNet's size: time and traffic over the number of clients."""
    return rounds([(protocol, n, LENET) for protocol in PROTOCOLS for n in (10, 20, 50, 100, 200)])


def entries() -> Runs:
    """One round of 200 clients on the complete graph: time over the size of the update."""
    return rounds([("complete", 200, d) for d in (12_500, 25_000, 50_000, 100_000)])


def traffic_of(graph: Graph, entries: int, drops: list[Drop]) -> dict[str, int]:
    phases = count(graph, entries, dropped=drops).values()
    return {
        "messages": sum(traffic.messages for traffic in phases),
        "bytes": sum(traffic.up + traffic.down for traffic in phases),
    }


def counted(clients: int, dropout: float) -> Case:
    """Edges, messages and bytes of CCESA, the mean over 20 graphs, and those of the complete graph."""
    p, drops = recommended_probability(clients, dropout), dropouts(clients, dropout, 0)
    everyone = complete(range(clients))
    whole = {"edges": edges(everyone)} | traffic_of(everyone, LENET, drops)
    whole["overhead"] = traffic_of(everyone, 0, drops)["bytes"]
    sparse = dict.fromkeys(whole, 0.0)
    for seed in range(20):
        graph = erdos_renyi(range(clients), p, generator=generator(seed, "graph"))
        here = {"edges": edges(graph)} | traffic_of(graph, LENET, drops)
        here["overhead"] = traffic_of(graph, 0, drops)["bytes"]
        sparse = {name: value + here[name] / 20 for name, value in sparse.items()}
    return {"p": p, "SecAgg": whole, "CCESA": sparse}


def traffic() -> Runs:
    """CCESA's edges, messages and bytes against SecAgg's, counted on the graphs."""
    for n in SIZES:
        for dropout in (0.0, DROPOUT):
            yield {"clients": n, "dropout": dropout}, lambda n=n, q=dropout: counted(n, q)


def dropouts(clients: int, dropout: float, seed: int) -> list[Drop]:
    """Each client drops out with this probability, before one of the phases."""
    draw = np.random.default_rng([seed, clients])
    phases = [Phase.ADVERTISE_KEYS, Phase.SHARE_KEYS, Phase.MASKED_INPUT, Phase.UNMASK]
    gone = np.flatnonzero(draw.random(clients) < dropout).tolist()
    return [Drop(client, phases[draw.integers(4)]) for client in gone]


def events(clients: int, p: float) -> Case:
    """On random graphs: connected, private among the survivors, reliable with either threshold.

    And with a third of the clients colluding: how many others they open, and how often those who are left
    hang together. On a third of the graphs where these are large.
    """
    number = GRAPHS if clients < 1000 else GRAPHS // 3
    names = ("connected", "private", "reliable", "reliable, one threshold", "opened", "honest connected")
    seen = dict.fromkeys(names, 0)
    for seed in range(number):
        graph = erdos_renyi(range(clients), p, generator=generator(seed, "graph"))
        drops = dropouts(clients, DROPOUT, seed)
        survivors = set(range(clients)) - {d.client for d in drops if d.before <= Phase.MASKED_INPUT}
        one = recommended_threshold(clients, p)
        thresholds = majorities(graph)
        seen["connected"] += private(graph, thresholds, range(clients))
        seen["private"] += private(graph, thresholds, survivors)
        order = np.random.default_rng([seed, clients, 1]).permutation(clients).tolist()
        colluders = set(order[: round(COLLUDING * clients)])
        seen["opened"] += len(opened(graph, thresholds, survivors - colluders, colluders))
        seen["honest connected"] += len(components(graph, survivors - colluders)) == 1
        seen["reliable"] += reliable(graph, thresholds, drops)
        seen["reliable, one threshold"] += reliable(graph, majorities(graph, one), drops)
    return {name: total / number for name, total in seen.items()} | {"graphs": number}


def graphs() -> Runs:
    """How often a random graph is connected, and a round on it private and reliable."""
    for n in SIZES:
        for times in (0.5, 0.75, 1.0, 1.25, 1.5, 2.0, 3.0, 4.0, 6.0, None):
            p = recommended_probability(n, DROPOUT) if times is None else times * math.log(n) / n
            case = {"clients": n, "times": times, "p": p, "dropout": DROPOUT}
            yield case, lambda n=n, p=p: events(n, p)


def connected_in_theory(clients: int, p: float) -> float:
    """exp(−e^−c) for p = (ln n + c)/n: the limit for many clients."""
    return math.exp(-math.exp(math.log(clients) - p * clients))


def reliable_in_theory(clients: int, p: float, dropout: float) -> float:
    """If clients failed independently: nobody has as many holders gone as a majority cannot do without.

    A client with D neighbors has D + 1 holders; each is there at the end with probability 1 − dropout.
    """
    degrees = np.arange(clients)
    holders = degrees + 1
    failing = binom.cdf(holders // 2, holders, 1 - dropout)
    return math.exp(-clients * float(binom.pmf(degrees, clients - 1, p) @ failing))


def opened_in_theory(clients: int, p: float) -> float:
    """How many survivors a third of the clients opens, on average, if majorities are the thresholds.

    Of the D + 1 holders of a client's shares more than half have to be among the D neighbors that collude.
    Three of the four phases before which clients drop out come before their update.
    """
    degrees, bad = np.arange(clients), round(COLLUDING * clients)
    chance = hypergeom.sf((degrees + 1) // 2, clients - 1, bad, degrees)
    honest = (clients - bad) * (1 - 0.75 * DROPOUT)
    return honest * float(binom.pmf(degrees, clients - 1, p) @ chance)


@cache
def choices(clients: int) -> dict[str, tuple[Callable[[int], Graph], int | None]]:
    """Ways to choose graph and threshold, None for majorities: each makes a graph of a seed."""
    logarithm, everyone = math.log(clients), range(clients)
    neighbors, threshold, _ = recommended_graph(clients, COLLUDING, DROPPING)

    def circle(k: int) -> Callable[[int], Graph]:
        return lambda seed: ring(everyone, k, generator=generator(seed, "graph"))

    def random(p: float) -> Callable[[int], Graph]:
        return lambda seed: erdos_renyi(everyone, p, generator=generator(seed, "graph"))

    return {
        "ring, 2 log2 n neighbors": (circle(2 * math.ceil(math.log2(clients))), None),
        "ring, recommended": (circle(neighbors), threshold),
        "random, 4 ln n / n": (random(4 * logarithm / clients), None),
        "random, p*": (random(recommended_probability(clients, DROPPING)), None),
        "random, recommended": (random(recommended_random_graph(clients, COLLUDING, DROPPING)), None),
    }


def mishaps(clients: int, choice: str) -> Case:
    """A third colluding, some dropping out: who is opened, how many rounds are cut or lost.

    On so many graphs, a tenth of that on dense ones.
    """
    draw_graph, threshold = choices(clients)[choice]
    number = GRAPHS if len(draw_graph(0)[0]) < 150 else GRAPHS // 10
    bad, gone = round(COLLUDING * clients), round(DROPPING * clients)
    seen = dict.fromkeys(("opened", "rounds with one opened", "cut", "lost"), 0)
    for seed in range(number):
        graph, draw = draw_graph(seed), np.random.default_rng([seed, clients, 2])
        order = draw.permutation(clients).tolist()
        colluders, honest = set(order[:bad]), set(order[bad + gone :])
        drops = [Drop(c, Phase(int(draw.choice([0, 1, 2, 4])))) for c in order[bad : bad + gone]]
        honest |= {drop.client for drop in drops if drop.before == Phase.UNMASK}
        thresholds = majorities(graph, threshold)
        found = opened(graph, thresholds, honest, colluders)
        seen["opened"] += len(found)
        seen["rounds with one opened"] += bool(found)
        seen["cut"] += len(components(graph, honest)) > 1
        seen["lost"] += not reliable(graph, thresholds, drops)
    degree = sum(map(len, graph.values())) / clients
    cost = {"threshold": threshold, "neighbors": degree} | traffic_of(graph, LENET, [])
    return seen | {"opened": seen["opened"] / number, "graphs": number} | cost


def parameters() -> Runs:
    """What a third of the clients can do on sparse graphs, and what the graphs cost."""
    n = 1000
    yield {"clients": n, "graph": "complete"}, lambda: traffic_of(complete(range(n)), LENET, [])
    for choice in choices(n):
        yield {"clients": n, "graph": choice}, lambda choice=choice: mishaps(n, choice)


PARTS = {part.__name__: part for part in (clients, entries, traffic, graphs, parameters)}


def power(rows: list[Case], value: str) -> float:
    """The exponent of a power law through ``value`` over the number of clients."""
    n, values = [row["case"]["clients"] for row in rows], [row[value] for row in rows]
    return float(np.polyfit(np.log(n), np.log(values), 1)[0])


def line(rows: list[Case], value: str) -> tuple[float, float, float]:
    """Of a straight line: at no entries, for each 100,000 of them, and its largest relative miss."""
    d = np.array([row["case"]["entries"] for row in rows]) / 1e5
    values = np.array([row[value] for row in rows])
    slope, start = np.polyfit(d, values, 1)
    return float(start), float(slope), float(np.max(np.abs(slope * d + start - values) / values))


def time_table(rows: list[Case]) -> str:
    heads = [
        "graph",
        "clients",
        "entries",
        "sum exact",
        "client ms",
        "server ms",
        "messages",
        "kB up",
        "kB down",
    ]
    lines = [
        [
            row["case"]["protocol"],
            row["case"]["clients"],
            f"{row['case']['entries']:,}",
            "yes" if row["exact"] else "**no**",
            f"{row['client ms']:.1f}",
            f"{row['server ms']:.0f}",
            f"{row['messages']:,}",
            f"{row['up'] / 1e3:.1f}",
            f"{row['down'] / 1e3:.1f}",
        ]
        for row in rows
    ]
    return table(heads, lines)


def clients_table(rows: list[Case]) -> str:
    fitted = []
    for protocol in PROTOCOLS:
        theirs = [row for row in rows if row["case"]["protocol"] == protocol]
        exponents = [f"{name} n^{power(theirs, name):.2f}" for name in ("client ms", "server ms", "messages")]
        fitted.append(f"{protocol}: {', '.join(exponents)}")
    return time_table(rows) + "\n\nFitted over all sizes: " + "; ".join(fitted) + "."


def entries_table(rows: list[Case]) -> str:
    start, slope, miss = line(rows, "client ms")
    straight = f"{start:.1f} ms and {slope:.1f} ms more for each 100,000 entries, within {100 * miss:.0f} %"
    return f"{time_table(rows)}\n\nA straight line through a client's time: {straight}."


def traffic_table(rows: list[Case]) -> str:
    heads = ["clients", "dropout", "p*", "edges", "messages", "MB without the updates", "MB"]

    def versus(row: Case, name: str) -> str:
        ours, theirs = row["CCESA"][name], row["SecAgg"][name]
        percent = 100 * ours / theirs
        if name in ("bytes", "overhead"):
            return f"{ours / 1e6:,.1f} of {theirs / 1e6:,.1f} ({percent:.0f} %)"
        return f"{ours:,.0f} of {theirs:,} ({percent:.0f} %)"

    return table(
        heads,
        (
            [row["case"]["clients"], f"{100 * row['case']['dropout']:.0f} %", f"{row['p']:.3f}"]
            + [versus(row, name) for name in ("edges", "messages", "overhead", "bytes")]
            for row in rows
        ),
    )


def graphs_table(rows: list[Case]) -> str:
    heads = [
        "clients",
        "p",
        "n p / ln n",
        "connected",
        "exp(−e^−c)",
        "private",
        "reliable",
        "theory",
        "one threshold",
        "opened",
        "theory",
    ]
    lines = []
    for row in rows:
        n, p = row["case"]["clients"], row["case"]["p"]
        shares = [row["connected"], connected_in_theory(n, p), row["private"], row["reliable"]]
        shares += [reliable_in_theory(n, p, DROPOUT), row["reliable, one threshold"]]
        shares += [row["opened"], opened_in_theory(n, p)]
        star = " (p*)" if row["case"]["times"] is None else ""
        lines.append(
            [n, f"{p:.4f}{star}", f"{n * p / math.log(n):.2f}", *(f"{share:.3f}" for share in shares)]
        )
    return table(heads, lines)


def parameters_table(rows: list[Case]) -> str:
    heads = ["graph", "neighbors", "threshold", "opened", "cut", "lost", "graphs", "messages", "MB"]
    lines = []
    for row in rows:
        threshold = row.get("threshold") or "majority"
        events = [row.get(name, "") for name in ("opened", "cut", "lost", "graphs")]
        degree = row.get("neighbors", row["case"]["clients"] - 1)
        cost = [f"{row['messages']:,}", f"{row['bytes'] / 1e6:.0f}"]
        lines.append([row["case"]["graph"], f"{degree:.0f}", threshold, *events, *cost])
    return table(heads, lines)


TABLES = {
    "clients": clients_table,
    "entries": entries_table,
    "traffic": traffic_table,
    "graphs": graphs_table,
    "parameters": parameters_table,
}


def collect(rows: list[Case]) -> None:
    """Store what the book shows, with the version and the date of the runs."""
    made = {"torch": torch.__version__.split("+")[0], "date": date.today().isoformat()}

    def of(part: str) -> list[Case]:
        return [
            row["case"] | {k: v for k, v in row.items() if k not in ("part", "case")}
            for row in rows
            if row["part"] == part
        ]

    theory = [
        row
        | {
            "connected in theory": connected_in_theory(row["clients"], row["p"]),
            "reliable in theory": reliable_in_theory(row["clients"], row["p"], DROPOUT),
            "opened in theory": opened_in_theory(row["clients"], row["p"]),
        }
        for row in of("graphs")
    ]
    store(TARGET, "secagg", {"made": made, "clients": of("clients"), "entries": of("entries")})
    sparse = {"traffic": of("traffic"), "graphs": theory, "parameters": of("parameters")}
    store(TARGET, "ccesa", {"made": made} | sparse)


def main() -> None:
    parser = command_line(__doc__, PARTS, TARGET)
    parser.add_argument("--table", action="store_true", help="print the tables and run nothing")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    rows = read(*arguments.runs)
    if arguments.table:
        for part, tabulate in TABLES.items():
            print(f"\n{PARTS[part].__doc__}\n\n{tabulate([row for row in rows if row['part'] == part])}")
    elif arguments.collect:
        collect(rows)
    else:
        one_round("complete", 10, 1)  # the first round is slow, whatever it is
        for part in arguments.only or list(PARTS):
            execute(part, PARTS[part](), rows, arguments.runs[0])


if __name__ == "__main__":
    main()
