"""Sentences from a gradient: how often exactly, how often refused, how long it takes.

    python benchmarks/text.py                 # about 20 minutes on one core
    python benchmarks/text.py --cases 20

Victims are the package's own sentences. An untrained row has a network per case; in a trained one three take
turns, which saw sentences 40-79, word by word, so half of the victims are ones that they know. A case counts
as within reach if the batch has fewer than width - 1 different prefixes. The second table shows what the
defaults of TokenRecovery stand on: singular values as shares of the largest, and how far true and wrong
continuations of true prefixes are outside the span.
"""

import argparse
import copy
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import lru_cache
from itertools import groupby
from statistics import median

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from leaklib.attacks.tokens import TokenRecovery, outside, tokens_present
from leaklib.client import FedAvg, FedSGD, share
from leaklib.data import Sentences
from leaklib.metrics import score
from leaklib.models.transformer import PAD, TinyTransformer, Transformer
from leaklib.rng import generator
from leaklib.types import Batch, ClientStep

TEXTS = Sentences()
NEXT = TEXTS.vocabulary.index("<next>")
COARSE = TokenRecovery(tolerance=1e-4, threshold=3e-2)  # for 16-bit numbers
DIFFERENCES = TokenRecovery(tolerance=1e-5, threshold=1e-2)  # for differences of weights


def half(tensor: Tensor) -> Tensor:
    return tensor.half().float()


@dataclass(frozen=True)
class Row:
    """One kind of case. ``size`` 0 is the batch of the eight sentences that fill all positions."""

    width: int
    size: int
    tied: bool = False
    training: int = 0
    step: ClientStep = field(default_factory=FedSGD)
    rounding: Callable[[Tensor], Tensor] | None = None
    attack: TokenRecovery = field(default_factory=TokenRecovery)
    share_of_cases: float = 1.0

    def __str__(self) -> str:
        state = f"{self.training} steps" if self.training else "no"
        sent = "16 bits" if self.rounding else "FedSGD" if self.step == FedSGD() else str(self.step)
        size = str(self.size) if self.size else "8, full"
        return f"{self.width} | {size} | {'yes' if self.tied else 'no'} | {state} | {sent}"


ROWS = (
    *(Row(width, 1, tied) for width in (32, 64, 128) for tied in (False, True)),
    *(Row(width, 8, tied) for width in (64, 96, 128, 192) for tied in (False, True)),
    *(Row(width, 0, tied, share_of_cases=0.2) for width in (192, 320) for tied in (False, True)),
    *(Row(128, size, tied, steps) for steps in (100, 400) for size in (1, 8) for tied in (False, True)),
    *(Row(128, size, training=1000) for size in (1, 8)),
    *(Row(128, 8, False, steps, rounding=half, attack=COARSE) for steps in (0, 400)),
    *(
        Row(128, size, step=step, attack=DIFFERENCES)
        for step in (FedAvg(lr=0.01), FedAvg(lr=0.01, epochs=2), FedAvg(lr=0.01, epochs=5))
        for size in (1, 8)
    ),
)


def word_by_word(batch: Batch) -> Batch:
    """One example for each word of each sentence after its first."""
    inputs, labels = [], []
    for row, label in zip(batch.inputs.tolist(), batch.labels.tolist(), strict=True):
        words = [*(token for token in row if token not in (PAD, NEXT)), label]
        for end in range(1, len(words)):
            inputs.append([*words[:end], NEXT, *[PAD] * (len(row) - end - 1)])
            labels.append(words[end])
    return Batch(torch.tensor(inputs), torch.tensor(labels))


@lru_cache(maxsize=24)
def network(width: int, tied: bool, training: int, seed: int) -> Transformer:
    """Adam, learning rate 1e-3, batches of 32."""
    model = TinyTransformer(len(TEXTS.vocabulary), width, tied=tied).build(seed)
    return learn(model, training, torch.optim.Adam(model.parameters(), lr=1e-3))


def learn(model: Transformer, steps: int, optimizer: torch.optim.Optimizer) -> Transformer:
    """The model after ``steps`` on batches of 32 examples of sentences 40-79."""
    examples, draw = word_by_word(TEXTS.batch(1, 40)), generator(0, "train")
    for _ in range(steps):
        some = torch.randint(len(examples), (32,), generator=draw)
        optimizer.zero_grad()
        cross_entropy(model(examples.inputs[some]), examples.labels[some]).backward()
        optimizer.step()
    optimizer.zero_grad()
    return model


def victim(row: Row, case: int) -> Batch:
    if row.size:
        return TEXTS.batch(case % (len(TEXTS) // row.size), row.size)
    everything = TEXTS.batch(0, len(TEXTS))
    full = (everything.inputs != PAD).all(1)
    return Batch(everything.inputs[full], everything.labels[full])


def prefixes(batch: Batch) -> int:
    rows = [[token for token in row if token != PAD] for row in batch.inputs.tolist()]
    return len({tuple(row[:end]) for row in rows for end in range(1, len(row) + 1)})


def examine(row: Row, model: Transformer, batch: Batch) -> tuple[str, float]:
    """The outcome of one case, and its time as a multiple of the client's."""
    start = time.process_time()
    update = share(model, batch, row.step)
    step = time.process_time() - start
    if row.rounding:
        update = replace(update, tensors={n: row.rounding(t) for n, t in update.tensors.items()})
    if not row.tied:
        truth = set(batch.inputs[batch.inputs != PAD].tolist())
        if set(tokens_present(update).tolist()) != truth:
            return "other tokens", 0.0
    start = time.process_time()
    try:
        found = row.attack(model, update, generator=generator(0, "attack"))
    except ValueError as refusal:
        return "rank" if "rank at most" in str(refusal) else "refused", 0.0
    result = score(found, batch)
    exact = (result.token_accuracy == 1).all() and result.label_accuracy == 1
    return "exact" if exact else "wrong", (time.process_time() - start) / step


def measure(row: Row, cases: int) -> None:
    """Print one line of the first table."""
    inside, beyond, times = Counter(), Counter(), []
    for case in range(max(10, round(cases * row.share_of_cases))):
        model = network(row.width, row.tied, row.training, case % 3 if row.training else case)
        batch = victim(row, case)
        outcome, multiple = examine(row, model, batch)
        (inside if prefixes(batch) < row.width - 1 else beyond)[outcome] += 1
        times += [multiple] if outcome == "exact" else []
    cells = [
        f"{counts[good]} of {counts.total()}" if counts else ""
        for counts, good in ((inside, "exact"), (beyond, "rank"))
    ]
    rest = {name: n for name, n in (inside + beyond).items() if name not in ("exact", "rank")}
    rest |= {"refused for its rank": inside["rank"], "exact beyond": beyond["exact"]}
    others = ", ".join(f"{n} {name}" for name, n in rest.items() if n)
    speed = f"{median(times):.0f}" if times else ""
    print(f"| {row} | {' | '.join(cells)} | {speed} | {others} |", flush=True)


def margins(width: int, training: int, number: Callable[[Tensor], Tensor]) -> None:
    """Print one line of the second table, for the batches of eight that are well within reach."""
    columns: list[list[float]] = [[], [], [], []]
    for case in range(10):
        model, batch = network(width, False, training, case % 3), TEXTS.batch(case, 8)
        if prefixes(batch) > width - 10:
            continue
        update = share(model, batch, FedSGD())
        gradient = number(update.tensors["blocks.0.expand.weight"]).double()
        _, values, rows = torch.linalg.svd(gradient, full_matrices=False)
        values, basis = values / values[0], rows[: prefixes(batch)]
        true, wrong = continuations(copy.deepcopy(model).double(), batch, tokens_present(update), basis)
        for column, value in zip(
            columns, (values[len(basis) - 1], values[len(basis)], true.max(), wrong.min()), strict=True
        ):
            column.append(value.item())
    lowest = [pick(column) for pick, column in zip((min, max, max, min), columns, strict=True)]
    sent = "16 bits" if number is half else "32 bits"
    print(
        f"| {width} | {training or 'no'} | {sent} | {' | '.join(f'{value:.0e}' for value in lowest)} |",
        flush=True,
    )


@torch.no_grad()
def continuations(model: Transformer, batch: Batch, tokens: Tensor, basis: Tensor) -> tuple[Tensor, Tensor]:
    """How far outside the span each true prefix is when its last token is the true one, and another."""
    block, shares = model.block(0), []
    rows = {tuple(row[row != PAD].tolist()) for row in batch.inputs}
    known = {row[:end] for row in rows for end in range(1, len(row) + 1)}
    guesses = sorted({(*prefix[:-1], token) for prefix in known for token in tokens.tolist()}, key=len)
    for _, same in groupby(guesses, len):
        received = block.norm2(block.attend(model.embed(torch.tensor(list(same)))))[:, -1]
        shares.append(outside(received, basis))
    fits = torch.tensor([guess in known for guess in guesses])
    return torch.cat(shares)[fits], torch.cat(shares)[~fits]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cases", type=int, default=100, help="per row; a fifth for the full batches")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    print(f"torch {torch.__version__}, {arguments.cases} cases per row\n")
    print("| width | sentences | tied | training | sent | exact within reach | refused for its rank beyond | "
          "time / training step | other |")  # fmt: skip
    print(f"|{'---|' * 9}")
    for row in ROWS:
        measure(row, arguments.cases)
    print("\n| width | training | sent | true singular values | noise | true tokens | wrong tokens |")
    print(f"|{'---|' * 7}")
    for width, training in ((128, 0), (128, 400), (128, 1000), (320, 0)):
        for number in (Tensor.float, half):
            margins(width, training, number)


if __name__ == "__main__":
    main()
