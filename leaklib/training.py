"""Federated training, in which every round goes the way of the experiments: share, mechanism, aggregation.

    w ← w − lr · (1/qn) Σ_k∈round g_k

Each of n clients takes part in a round with probability q, by itself (Poisson sampling). The sum is divided
by the expected number qn, never by how many came: leaving a client out would change that number, with it
everybody else's weight, and move the result by more than its own clipped part. With the constant qn it moves
it by at most C/(qn), and noise of z C on the sum is what the accountant counts, however many came:

* ``CentralDP`` adds z C/m to the mean over the m who came; times m/(qn) that is z C/(qn). If nobody came, the
  noise is published all the same, since its absence would tell. Against readers of all the models, with a
  trusted server: a client that contributes zeros (zero out) and one that is not there look alike, so the
  accountant's ε holds for add or remove one as well, qn being constant and public.
* ``GaussianNoise`` is added by each client to its own update, z C each. Whoever reads the updates sees who
  came, so sampling hides nothing from that reader, and the adjacency is zero out alone.

With examples as units and q < 1, those of one client come and go together, and the accountant's amplification
by sampling does not hold: let everyone take part, or give each client one example.

Source: McMahan, Ramage, Talwar, Zhang, "Learning Differentially Private Recurrent Language Models", ICLR
2018, Algorithm 1 with the fixed-denominator estimator.
Chapters: 10, 12, 15.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

import torch
from torch import nn

from leaklib.aggregation.plain import Plain
from leaklib.client import share
from leaklib.data import Data
from leaklib.fields import Checked, Count, Positive, Proportion
from leaklib.mechanisms.identity import Identity
from leaklib.models.parts.build import Architecture
from leaklib.rng import generator
from leaklib.types import Aggregation, Batch, ClientStep, Mechanism, Update, View


@runtime_checkable
class Tested(Data, Protocol):
    """Data with examples that no client holds."""

    def test(self) -> Batch: ...


@dataclass(frozen=True)
class Training(Checked):
    """One federated training: everything that decides it, and nothing else.

    ``clients`` hold ``batch_size`` examples each. Each takes part in a round with probability
    ``sampling_rate``.
    """

    data: Tested
    model: Architecture
    step: ClientStep
    mechanism: Mechanism = Identity()
    aggregation: Aggregation = Plain()
    clients: Count = 100
    batch_size: Count = 15
    rounds: Count = 30
    lr: Positive = 1.0
    sampling_rate: Proportion = 1.0
    seed: int = 0


@dataclass(frozen=True, eq=False)
class Trained:
    """The model after the last round, and after each round its accuracy on the test examples.

    ``took_part`` counts the clients of each round.
    """

    training: Training
    model: nn.Module
    accuracy: tuple[float, ...]
    took_part: tuple[int, ...]


def train(training: Training, *, callback: Callable[[int, float], bool | None] | None = None) -> Trained:
    """Train from scratch. The same training gives the same result.

    ``callback`` is called after each round with its number, from 1 on, and the accuracy; True stops.
    """
    t, test = training, training.data.test()
    model = t.model.build(t.seed)
    sampling, noise, protocol = (generator(t.seed, role) for role in ("sampling", "mechanism", "aggregation"))
    batches = [t.data.batch(client, t.batch_size) for client in range(t.clients)]
    accuracy, took_part = [], []
    for number in range(1, t.rounds + 1):
        here = torch.rand(t.clients, generator=sampling) < t.sampling_rate
        sent = tuple(
            t.mechanism(share(model, batches[client], t.step, client=client), generator=noise)
            for client in here.nonzero().flatten().tolist()
        ) or _silence(t, model, batches[0])
        if sent:
            _apply(t, model, t.aggregation(sent, generator=protocol))
        took_part.append(int(here.sum()))
        accuracy.append(_accuracy(model, test))
        if callback is not None and callback(number, accuracy[-1]):
            break
    return Trained(t, model, tuple(accuracy), tuple(took_part))


def _silence(training: Training, model: nn.Module, batch: Batch) -> tuple[Update, ...]:
    """What an aggregation gets if nobody came: a zero to add noise to; nothing if there is no sensitivity."""
    update = training.mechanism(share(model, batch, training.step), generator=generator(0, "nobody"))
    if update.sensitivity is None:
        return ()
    return (replace(update, tensors={name: torch.zeros_like(t) for name, t in update.tensors.items()}),)


@torch.no_grad()
def _apply(training: Training, model: nn.Module, view: View) -> None:
    """One step along the sum of all that the server reads, over the expected number of clients."""
    expected = training.sampling_rate * training.clients
    for update in view.updates:
        for name, weight in model.named_parameters():
            weight -= training.lr * len(update.clients) / expected * update.tensors[name]


@torch.no_grad()
def _accuracy(model: nn.Module, test: Batch) -> float:
    model.eval()
    guesses = torch.cat([model(some).argmax(1) for some in test.inputs.split(1000)])
    model.train()
    return (guesses == test.labels).double().mean().item()
