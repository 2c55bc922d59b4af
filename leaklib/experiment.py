"""The straight line that every result of the book follows, from a batch to the score of its reconstruction.

    batch -> share -> mechanism -> aggregation -> view -> attack -> reconstruction -> score

Chapter: 1.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch

from leaklib.aggregation.plain import Plain
from leaklib.client import share
from leaklib.data import Data
from leaklib.fields import Checked, Count, Natural
from leaklib.mechanisms.identity import Identity
from leaklib.metrics import Score, score
from leaklib.models.parts.build import Architecture
from leaklib.rng import generator
from leaklib.types import (
    Aggregation,
    Attack,
    Batch,
    Callback,
    ClientStep,
    Mechanism,
    Reconstruction,
    Update,
    View,
)


@dataclass(frozen=True)
class Experiment(Checked):
    """One row of a result table: everything that decides it, and nothing else.

    ``clients`` take part, from ``first_client`` on: each holds other examples of the data.
    """

    data: Data
    model: Architecture
    step: ClientStep
    attack: Attack
    mechanism: Mechanism = Identity()
    aggregation: Aggregation = Plain()
    clients: Count = 1
    first_client: Natural = 0
    batch_size: Count = 1
    reveal_labels: bool = False
    reveal_statistics: bool = False
    seed: int = 0


@dataclass(frozen=True)
class Result:
    """What happened: the private batch, what the server saw of it, what the attack made of that.

    ``update`` is the one of ``view`` that was attacked, and ``batch`` holds the examples of all its clients.
    """

    experiment: Experiment
    batch: Batch
    update: Update
    reconstruction: Reconstruction
    score: Score
    view: View


def run(
    experiment: Experiment,
    *,
    device: torch.device | str = "cpu",
    callback: Callback | None = None,
    before: Callable[[Batch], object] | None = None,
) -> Result:
    """Run one experiment. The same experiment gives the same result.

    ``callback`` watches the attack; ``before`` is shown the private batch before the attack begins.
    """
    e = experiment
    model = e.model.build(e.seed).to(device)
    clients = range(e.first_client, e.first_client + e.clients)
    batches = {client: e.data.batch(client, e.batch_size).to(device) for client in clients}
    labels, statistics = e.reveal_labels, e.reveal_statistics
    updates = [
        share(model, batch, e.step, client=client, reveal_labels=labels, reveal_statistics=statistics)
        for client, batch in batches.items()
    ]
    noise = generator(e.seed, "mechanism")
    sent = tuple(e.mechanism(update, generator=noise) for update in updates)
    view = e.aggregation(sent, generator=generator(e.seed, "aggregation"))
    update = view.smallest()
    theirs = [batches[client] for client in update.clients]
    batch = Batch(torch.cat([b.inputs for b in theirs]), torch.cat([b.labels for b in theirs]))
    if before is not None:
        before(batch)
    reconstruction = e.attack(model, update, generator=generator(e.seed, "attack"), callback=callback)
    return Result(e, batch, update, reconstruction, score(reconstruction, batch), view)
