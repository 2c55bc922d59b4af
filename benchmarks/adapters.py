"""Sentences from the gradients of adapters: where the border lies over their rank, against counting.

    python benchmarks/adapters.py            # about 5 minutes on one core

Victims are beginnings of the package's sentences 0-39, each with its next word as label, drawn so that a
batch has exactly so many different prefixes. Counted: with B zero a batch comes back whose prefixes are fewer
than the rank, with another B as many as the rank. The border of a case is the largest number of prefixes,
among those around that, from which every sentence and label came back. B is zero, or where one step of SGD
(learning rate 0.1) or 20 of Adam (0.001) on batches of 32 beginnings of sentences 40-79 have brought it. The
backbone is untrained, or trained on the same for 400 steps. A seed draws weights, adapters and victims.
"""

import argparse
import itertools
import time
from collections import Counter

import torch
from text import TEXTS, learn, network, prefixes, word_by_word

from leaklib.attacks.tokens import TokenRecovery
from leaklib.client import FedSGD, share
from leaklib.metrics import score
from leaklib.models.lora import Lora
from leaklib.models.transformer import TinyTransformer, Transformer
from leaklib.rng import generator
from leaklib.types import Batch

POOL = word_by_word(TEXTS.batch(0, 40))
WIDTH = 128
RANKS = (4, 8, 16, 32, 64)
STATES = {"zero": 0, "1 step of SGD": 1, "20 steps of Adam": 20}


def victim(count: int, seed: int) -> Batch:
    """Beginnings of sentences with exactly ``count`` different prefixes."""
    draw, rows, have = generator(seed, f"victim {count}"), [], 0
    for tries in itertools.count(1):
        rows.append(int(torch.randint(len(POOL), (1,), generator=draw)))
        batch = Batch(POOL.inputs[rows], POOL.labels[rows])
        if have < prefixes(batch) <= count:
            have = prefixes(batch)
        else:
            rows.pop()
        if have == count:
            return Batch(POOL.inputs[rows], POOL.labels[rows])
        if tries % 1000 == 0:  # a first choice that nothing completes
            rows, have = [], 0
    raise AssertionError


def client(rank: int, state: str, training: int, seed: int) -> Transformer:
    """The network that the server sends out."""
    model = Lora(TinyTransformer(len(TEXTS.vocabulary), WIDTH), rank).build(seed)
    model.load_state_dict(network(WIDTH, False, training, seed).state_dict(), strict=False)
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    sgd = STATES[state] == 1
    optimizer = torch.optim.SGD(weights, lr=0.1) if sgd else torch.optim.Adam(weights, lr=1e-3)
    return learn(model, STATES[state], optimizer)


def outcome(model: Transformer, batch: Batch) -> str:
    update = share(model, batch, FedSGD())
    try:
        found = TokenRecovery()(model, update, generator=generator(0, "attack"))
    except ValueError as refusal:
        return "by chance" if "beginnings fit" in str(refusal) else "refused"
    result = score(found, batch)
    return "exact" if (result.token_accuracy == 1).all() and result.label_accuracy == 1 else "wrong"


def measure(rank: int, state: str, training: int, seeds: int) -> None:
    """Print one line of the table."""
    counted, start = rank - (state == "zero"), time.process_time()
    borders, others = [], Counter()
    for seed in range(seeds):
        model = client(rank, state, training, seed)
        counts = range(max(2, counted - 2), counted + 2)  # a sentence has at least two prefixes
        around = {count: outcome(model, victim(count, seed)) for count in counts}
        borders.append(max((count for count, how in around.items() if how == "exact"), default=0))
        others.update(how for count, how in around.items() if count <= counted and how != "exact")
        others["wrong"] += around[counted + 1] == "wrong"
    met = f"{min(borders)} to {max(borders)}" if len(set(borders)) > 1 else f"{borders[0]}"
    exact = sum(border == counted for border in borders)
    notes = ", ".join(f"{number} {how}" for how, number in others.items() if number)
    state, seconds = f"{state} | {training or 'no'}", time.process_time() - start
    print(
        f"| {rank} | {state} | {counted} | {met} | {exact} of {seeds} | {notes} | {seconds:.0f} |", flush=True
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=5)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    print(f"torch {torch.__version__}, width {WIDTH}, {arguments.seeds} seeds\n")
    print("| rank | B | backbone trained | counted | measured | exactly there | within reach, but | CPU s |")
    print(f"|{'---|' * 8}")
    for training in (0, 400):
        for state in STATES:
            for rank in RANKS:
                measure(rank, state, training, arguments.seeds)


if __name__ == "__main__":
    main()
