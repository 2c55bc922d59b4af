"""What theory says of every point of the book's sweeps: counts, ranks, conditioning, what is to be expected.

    python benchmarks/sweeps_theory.py runs.jsonl                    # an hour; can be stopped and resumed
    python benchmarks/sweeps_theory.py runs.jsonl --only small
    python benchmarks/sweeps_theory.py runs.jsonl --collect          # stores them for the book

Victims, networks and seeds are those of the sweeps in leaklib/results/sweeps.py. One thread; run two parts
beside each other, each with its own file of runs, to use two cores.
"""

import json
import time
from datetime import date
from functools import partial
from pathlib import Path

import torch
from extremes import extremes
from runs import Case, Runs, Witness, begun, command_line, ends, execute, numbers, read
from torch import Tensor, nn

from leaklib.attacks.gauss_newton import GaussNewton
from leaklib.attacks.search.jacobian import GradientMap
from leaklib.client import FedSGD, share
from leaklib.data import Photos
from leaklib.identifiability.counting import counting_bounds
from leaklib.identifiability.spectrum import identifiability
from leaklib.mechanisms.quantize import Quantize
from leaklib.mechanisms.top_k import TopK
from leaklib.metrics import score
from leaklib.models.lenet import LeNet
from leaklib.models.parts.build import Architecture
from leaklib.named import flatten
from leaklib.results.sweeps import MECHANISMS, NETWORKS, SIZES
from leaklib.rng import generator
from leaklib.types import Batch, Update

TARGET = Path(__file__).parent.parent / "leaklib" / "results" / "theory.json"
PRIOR = 0.25  # standard deviation of a pixel around mid-gray
RESOLVED = 1e-7  # singular values below this share of the largest are lost in the square of J in float64
MEMORY = 10 << 30  # bytes of J that are held


def shared(model: Architecture, size: int) -> tuple[nn.Module, Update, Batch]:
    net, batch = model.build(0), Photos().batch(0, size)
    return net, share(net, batch, FedSGD()), batch


def counted(model: Architecture, size: int) -> Case:
    """What counting allows for a batch, and how badly conditioned it is at least."""
    net, update, batch = shared(model, size)
    found = extremes(net, update, batch.inputs, batch.labels, generator=generator(0, "extremes"), steps=60)
    return {
        "unknowns": batch.inputs.numel(),
        "equations": sum(tensor.numel() for tensor in update.tensors.values()),
        "counting bound": counting_bounds(net, update)[-1].rank,
        "condition at least": found.condition_at_least,
    }


def small_one(size: int, seed: int) -> tuple[nn.Module, Update, Batch]:
    """A batch of small gray pictures, with its network."""
    net = LeNet(input_shape=(1, 16, 16)).build(seed).double()
    batch = Photos(16, gray=True).batch(seed, size)
    return net, share(net, batch, FedSGD(), reveal_labels=True), batch


def small_begun(size: int) -> Witness:
    """What witnesses the analysis, and Gauss-Newton's first losses where its Jacobian takes no minute."""
    net, update, batch = small_one(size, 0)
    begins = begun(GaussNewton(restarts=1), net, update, 0)[:2] if size <= 2 else []
    return ends(net, update, batch) + begins


def small_batch(size: int, attacked: bool) -> Case:
    """The whole analysis of a batch of small gray pictures, and Gauss-Newton's answer."""
    net, update, batch = small_one(size, 0)
    found = identifiability(net, update, batch.inputs, batch.labels)
    row: Case = {
        "unknowns": found.unknowns,
        "equations": found.equations,
        "counting bound": found.counting_bound,
        "rank": found.rank,
        "gap": found.gap,
        "condition number": (found.singular_values[0] / found.singular_values[-1]).item(),
    }
    if attacked:
        start, row["psnr"] = time.process_time(), []
        for seed in range(2):
            net, update, batch = small_one(size, seed)
            guess = GaussNewton(restarts=1)(net, update, generator=generator(seed, "attack"))
            row["psnr"] += [round(value, 1) for value in score(guess, batch).psnr.tolist()]
        row["seconds"] = round((time.process_time() - start) / 2, 1)
    return row


def compressed(model: Architecture) -> Case:
    """Behind every compressor: bits and kept entries per unknown, their rank, the linear-Gaussian optimum."""
    net, update, batch = shared(model, 1)
    unknowns = batch.inputs.numel()
    order = flatten(update.tensors).abs().argsort(descending=True, stable=True)
    held = order[: MEMORY // (8 * unknowns)]
    jacobian = rows_of_jacobian(GradientMap(net, update, batch.labels), batch.inputs, held)
    ranks, optima = kept_ranks(jacobian, len(order)), {}
    if len(held) == len(order):
        optima = noisy(jacobian, order.argsort(), update)
    points = []
    for name, mechanism in MECHANISMS.items():
        kept = mechanism.kept(len(order)) if isinstance(mechanism, TopK) else len(order)
        point = {"mechanism": name, "bits per unknown": round(mechanism.bits_sent(update) / unknowns, 3)}
        points.append(point | {"kept": kept, "rank": ranks[kept], "linear-Gaussian psnr": optima.get(name)})
    return {"unknowns": unknowns, "equations": len(order), "points": points}


def sent(model: Architecture) -> Witness:
    """The bits behind every compressor, and what witnesses the Jacobian."""
    net, update, batch = shared(model, 1)
    return ends(net, update, batch) + numbers([m.bits_sent(update) for m in MECHANISMS.values()])


def rows_of_jacobian(gradient: GradientMap, inputs: Tensor, rows: Tensor) -> Tensor:
    """Some rows of J as columns, unknowns × rows."""
    stored, first = torch.empty(inputs.numel(), len(rows), dtype=torch.float64), 0
    for some in gradient.columns(inputs):
        stored[first : first + len(some)] = some[:, rows]
        first += len(some)
    return stored


def kept_ranks(jacobian: Tensor, entries: int) -> dict[int, int | None]:
    """The rank of J's rows for the largest entries: how many are kept -> rank, None where too many to hold.

    ``jacobian`` has its rows from the largest entry on, so that JᵀJ grows with the fraction that is kept.
    """
    fractions = [mechanism.fraction for mechanism in MECHANISMS.values() if isinstance(mechanism, TopK)]
    square, ranks, first, rank = torch.zeros(len(jacobian), len(jacobian), dtype=torch.float64), {}, 0, None
    for last in [*sorted(TopK(fraction).kept(entries) for fraction in fractions), entries]:
        if rank != len(jacobian):  # a full rank stays full
            rank = None
            if last <= jacobian.shape[1]:
                piece = jacobian[:, first:last]
                square += piece @ piece.T
                values = torch.linalg.eigvalsh(square).clamp_min(0).sqrt()
                rank, first = int((values > RESOLVED * values[-1]).sum()), last
        ranks[last] = rank
    return ranks


def noisy(jacobian: Tensor, places: Tensor, update: Update) -> dict[str, float]:
    """The linear-Gaussian optimum in dB for rounding errors as large as each number of bits makes them.

    ``places`` says where in ``jacobian`` the row of each entry of the update stands.
    """
    parts = places.split([tensor.numel() for tensor in update.tensors.values()])
    squares = [piece @ piece.T for piece in (jacobian[:, part] for part in parts)]
    optima = {}
    for name, mechanism in MECHANISMS.items():
        if isinstance(mechanism, Quantize):
            steps = [2 * tensor.abs().max().item() / mechanism.gaps for tensor in update.tensors.values()]
            precision = torch.zeros_like(squares[0])
            for square, step in zip(squares, steps, strict=True):
                precision += square * (12 / step**2)
            values = torch.linalg.eigvalsh(precision).clamp_min(0) + PRIOR**-2
            optima[name] = round(-10 * values.reciprocal().mean().log10().item(), 2)
    return optima


def batches() -> Runs:
    """Several pictures in one plaintext update."""
    for size in SIZES:
        for network in ("LeNet", "ConvNet 64"):
            case = {"network": network, "batch": size, "client": 0}
            model = NETWORKS[network]
            yield case, partial(counted, model, size), lambda m=model, n=size: ends(*shared(m, n))


def small() -> Runs:
    """Batches of 16 × 16 gray pictures."""
    for size in (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 36):
        attacked = size <= 8
        yield {"batch": size}, partial(small_batch, size, attacked), partial(small_begun, size)


def compressors() -> Runs:
    """One picture behind every compressor."""
    for network, model in NETWORKS.items():
        yield {"network": network, "client": 0}, partial(compressed, model), partial(sent, model)


def entries(row: Case) -> list[Case]:
    """What is stored of a run: one entry, or one for each compressor."""
    rest = {name: value for name, value in row.items() if name not in ("part", "case", "points")}
    return [row["case"] | rest | point for point in row.get("points", [{}])]


PARTS = {part.__name__: part for part in (batches, small, compressors)}


def main() -> None:
    parser = command_line(__doc__, PARTS, TARGET)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    rows = read(*arguments.runs)
    if arguments.collect:
        made = {"torch": torch.__version__.split("+")[0], "date": date.today().isoformat()}
        parts = {
            part: [entry for row in rows if row["part"] == part for entry in entries(row)] for part in PARTS
        }
        TARGET.write_text(json.dumps({"made": made} | parts, separators=(",", ":")) + "\n")
        return
    for part in arguments.only or list(PARTS):
        execute(part, PARTS[part](), rows, arguments.runs[0])


if __name__ == "__main__":
    main()
