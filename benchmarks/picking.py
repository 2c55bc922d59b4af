"""Rows with noise, judged by the strongest attacker that their bounds speak of: one who only has to pick.

The attacker knows every other example of every client, the mechanism, and 64 candidates of which one is the
truth, each as likely. It takes the candidate whose release would be nearest to what it reads. Everyone's
releases over the rounds count together: the sum of squared distances. Two systems of the comparison table:

    one round     the attacked one: which of 64 photographs does client 0 hold?
    many rounds   the trained one: which of 64 digits is a client's first example, and which of 64 sets of
                  90 digits is its whole data?

What a client's update says is u + noise in every row: under local noise it is read, from a mean of n with
central or shared noise it follows, since the others are known: n · mean − the others'.
"""

from dataclasses import replace

import torch
from runs import Case
from torch import Tensor, nn

from leaklib.accounting import reconstruction_bound
from leaklib.aggregation.central import CentralDP
from leaklib.aggregation.parts.pooled import mean
from leaklib.aggregation.plain import Plain
from leaklib.attacks.candidates import Candidates
from leaklib.client import FedSGD, share
from leaklib.data import Digits, Photos
from leaklib.experiment import Experiment
from leaklib.named import flatten, unflatten
from leaklib.results.contenders import CONTENDERS, EXAMPLES, NOISE
from leaklib.rng import generator
from leaklib.training import Training
from leaklib.types import Aggregation, Tensors, Update

PICKED = ("plain FedSGD", "local DP", "central DP", "Skellam + SecAgg")
COUNT = 64  # candidates
NETWORKS, TRAININGS = 2, 4


def read(aggregation: Aggregation, sent: tuple[Update, ...], source: torch.Generator) -> Tensor:
    """What is read of each client, one row each, or the one mean, in which SecAgg gives exactly the mean."""
    if isinstance(aggregation, Plain):
        return torch.stack([flatten(update.tensors) for update in sent])
    noisy = isinstance(aggregation, CentralDP)
    tensors = aggregation(sent, generator=source).updates[0].tensors if noisy else mean(sent)
    return flatten(tensors)[None]


def own(observed: Tensor, clean: Tensor, client: int) -> Tensor:
    """A client's update and the noise on it, for whoever knows all the others."""
    if len(observed) > 1:
        return observed[client]
    return len(clean) * observed[0] - clean.sum(0) + clean[client]


def lanes(step: FedSGD, model: nn.Module, inputs: Tensor, labels: Tensor) -> Tensor:
    """The update of each row of examples, one row each."""
    found: list[Tensors] = [
        step(model, some, targets, lanes=True)
        for some, targets in zip(inputs.split(16), labels.split(16), strict=True)
    ]
    return torch.cat([torch.cat([t.detach().flatten(1) for t in each.values()], 1) for each in found])


def one_round(name: str, seed: int, victims: int = COUNT) -> Case:
    """Every candidate is client 0's photograph once, with noise of its own."""
    e: Experiment = CONTENDERS[name].attacked
    model, pictures = e.model.build(seed), Candidates(Photos(), COUNT).pictures()
    each = lanes(e.step, model, pictures.inputs[:, None], pictures.labels[:, None])
    others = [
        share(model, Photos().batch(COUNT + client, 1), e.step, client=client)
        for client in range(1, e.clients)
    ]
    noise, right = generator(seed, f"picked, {name}"), 0
    for victim in range(victims):
        first = replace(others[0], tensors=unflatten(each[victim], others[0].tensors), client=0)
        clean = torch.stack([flatten(update.tensors) for update in (first, *others)])
        sent = tuple(e.mechanism(update, generator=noise) for update in (first, *others))
        seen = own(read(e.aggregation, sent, noise), clean, 0)
        right += int((each - seen).square().sum(1).argmin()) == victim
    return {"trials": victims, "right": right, "bound": bound(name, 1 / e.batch_size, 1)}


def bound(name: str, units: float, rounds: int) -> float:
    """The largest probability of a right pick, of a unit that moves an update by so many sensitivities."""
    return 1.0 if name == "plain FedSGD" else reconstruction_bound(1 / COUNT, NOISE / units, rounds=rounds)


def many_rounds(name: str, seed: int, rounds: int | None = None) -> Case:
    """A training in which each client's first digit, and each client's whole data, are picked."""
    t: Training = replace(CONTENDERS[name].trained, seed=seed)
    enough = 1 if name == "plain FedSGD" else t.rounds  # without noise one is
    rounds, model, clients = rounds or enough, t.model.build(seed), range(t.clients)
    noise = generator(seed, f"followed, {name}")
    batches = [t.data.batch(client, t.batch_size) for client in clients]
    spare, sets = t.data.test(), strangers(generator(seed, "sets"))
    singles = [torch.cat([b.inputs[:1] for b in batches] + [spare.inputs[: COUNT - 1]])[:, None]]
    singles += [torch.cat([b.labels[:1] for b in batches] + [spare.labels[: COUNT - 1]])[:, None]]
    example, data = torch.zeros(2, t.clients, COUNT)
    for _ in range(rounds):
        updates = [share(model, batches[k], t.step, client=k) for k in clients]
        clean = torch.stack([flatten(update.tensors) for update in updates])
        seen = read(t.aggregation, tuple(t.mechanism(u, generator=noise) for u in updates), noise)
        alone = lanes(t.step, model, *singles)
        whole = lanes(t.step, model, *sets)
        for k in clients:
            left = own(seen, clean, k) - clean[k]  # the noise, as far as the attacker is wrong: 0 if right
            moved = (torch.cat([alone[k : k + 1], alone[t.clients :]]) - alone[k]) / t.batch_size
            example[k] += (left - moved).square().sum(1)
            data[k] += (left + clean[k] - torch.cat([clean[k : k + 1], whole])).square().sum(1)
        apply(model, t.lr, unflatten(seen.mean(0), updates[0].tensors))
    return {
        "trials": t.clients,
        "examples right": int((example.argmin(1) == 0).sum()),
        "examples bound": bound(name, 1, rounds),
        "clients right": int((data.argmin(1) == 0).sum()),
        "clients bound": bound(name, EXAMPLES, rounds),
    }


@torch.no_grad()
def apply(model: nn.Module, lr: float, mean: Tensors) -> None:
    """One step along the mean that was read."""
    for name, weight in model.named_parameters():
        weight -= lr * mean[name]


def strangers(draw: torch.Generator) -> tuple[Tensor, Tensor]:
    """63 other clients' data, 90 of all digits each, drawn at random: 63×90×1×8×8, and labels 63×90."""
    own, test = Digits().batch(0, len(Digits())), Digits().test()
    inputs, labels = torch.cat([own.inputs, test.inputs]), torch.cat([own.labels, test.labels])
    chosen = torch.stack([torch.randperm(len(labels), generator=draw)[:EXAMPLES] for _ in range(COUNT - 1)])
    return inputs[chosen], labels[chosen]
