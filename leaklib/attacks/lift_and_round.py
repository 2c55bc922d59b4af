"""Lift and round: each picture of a batch whose labels repeat, apart from those that share its label.

    lift    min ‖Σ_c Σ_j n_c / (n_c + extra) ∇ℓ(w; x_cj, c) / B − g‖² / ‖g‖²,   j = 1 … n_c + extra
    round   each n_c + extra pictures to n_c of the same mean, and of the same second and third moments
    polish  min ‖Σ_i ∇ℓ(w; x_i, y_i) / B − g‖² / ‖g‖²,   from there

A search with n pictures for the n examples of a label is soon stuck: their mean is right, and the size of
their differences, but not the sign, which flips from region to region. Each picture comes back as parts of
several. With more pictures, which count for less, such walls unwind; ``parts/lift.py`` says why, and how the
pictures are rounded. Only how often each label occurs is used.

Chapter: 8.
"""

from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor, nn

from leaklib.attacks.dlg import INNER, STRAY
from leaklib.attacks.parts.base import AttackBase, check_uncompressed
from leaklib.attacks.parts.labels import infer_labels
from leaklib.attacks.parts.lift import Groups, moments
from leaklib.attacks.search.coordinates import Coordinates, ScaledLBFGS
from leaklib.attacks.search.matching import STUCK, Search
from leaklib.client import FedSGD
from leaklib.fields import Count, Inner, Natural
from leaklib.named import flatten
from leaklib.types import Callback, Labels, Reconstruction, Stop, Update

WARM = 50  # evaluations after which deviations are no longer searched for as if they were means
NOISE = 0.02  # around mid-gray, where the search begins: deviations that nothing asks for stay small


@dataclass(frozen=True)
class Group:
    """What is believed of the ``count`` examples with this ``label``.

    ``spectrum`` has the sizes of the principal deviations of the pictures that explained them, descending, as
    root mean squares over these pictures: count − 1 were kept, and if the lift is right the rest are small.
    ``loss`` is the squared distance between what the group puts into the update by the result and by these
    pictures, divided by the update's squared norm; ``alike`` the same if all its pictures were their mean.
    A loss that is not far below ``alike`` means that the pictures were not told apart.
    """

    label: int
    count: int
    spectrum: tuple[float, ...]
    loss: float
    alike: float


@dataclass(frozen=True)
class Grouped(Reconstruction):
    """A reconstruction that also says what is believed of each label: one ``Group`` for each, ascending.

    None where no label repeats. The mean pictures of the labels can explain 99 % of an update, which any
    search calls "solved". This one is only if what it leaves open is little against what is left where the
    pictures of one label are their mean: whichever label that is.
    """

    groups: tuple[Group, ...] = ()


@dataclass(frozen=True)
class LiftAndRound(AttackBase):
    """Explain each repeated label by ``extra`` pictures too many, round them to as many as there are, polish.

    ``steps`` outer steps of 20 evaluations as for ``DLG``, of which the share ``lift`` goes to the first
    search, whose evaluations have more pictures. Labels are taken from the update if it reveals them, and
    inferred otherwise; a batch without repeated labels is searched for at once. Needs the gradient of FedSGD,
    as the client computed it and unclipped. BatchNorm would see the added pictures in its statistics.
    """

    steps: Count = 60
    lift: Inner = 0.4
    extra: Natural = 4

    def reconstruct(
        self, model: nn.Module, update: Update, generator: torch.Generator, callback: Callback | None, /
    ) -> Grouped:
        _check(update)
        labels = infer_labels(model, update)
        order = labels.argsort(stable=True)
        groups, budget = Groups(labels[order], self.extra), self.steps * INNER
        problem = replace(update, labels=groups.labels)
        if len(groups.counts) == len(labels):
            found = _search(model, problem, groups.counts, budget, callback).run(generator)
            return _reported(found, labels, order, found.stop, ())
        watch = callback and (lambda at: callback(replace(at, inputs=groups.rounded(at.inputs, starts=1))))
        first = _search(model, groups.lifted(update), groups.sizes, int(self.lift * budget), watch, WARM)
        size = sum(groups.sizes), *update.input_shape
        first.start = 0.5 + NOISE * torch.randn(size, generator=generator)
        stopped = first.run(generator).stop == "stopped"
        watch = callback and (lambda at: callback(replace(at, evaluation=first.spent + at.evaluation)))
        second = _search(model, problem, groups.counts, 0 if stopped else budget - first.spent, watch)
        second.start = groups.rounded(first.found)
        found = second.run(generator)
        believed = _believed(model, update, groups, update.to_inputs(first.found), found.inputs)
        found = replace(found, evaluations=first.spent + found.evaluations)
        stop = "stopped" if stopped else found.stop
        alike = min(group.alike for group in believed if group.count > 1)
        if stop == "solved" and found.loss > STUCK * alike:
            stop = "budget" if found.evaluations == budget else "stuck"
        return _reported(found, labels, order, stop, believed)


def _search(
    model: nn.Module,
    update: Update,
    sizes: list[int],
    evaluations: int,
    callback: Callback | None,
    warm: int = 0,
) -> Search:
    """For the pictures behind ``update``, sorted by label, in groups of ``sizes``."""
    coordinates = Coordinates(sizes, update.input_shape)

    def optimizer(point: Tensor) -> ScaledLBFGS:
        return ScaledLBFGS(point, coordinates, max(warm - search.spent, 0))

    labels = update.labels
    search = Search(model, update, labels, optimizer, evaluations=evaluations, stray=STRAY, callback=callback)
    return search


def _check(update: Update) -> None:
    check_uncompressed("LiftAndRound", update)
    if update.step != FedSGD():
        raise ValueError(
            f"LiftAndRound needs the gradient of a mean cross-entropy, FedSGD(), got an update from "
            f"{update.step}: use DLG, which matches any step"
        )


def _believed(
    model: nn.Module, update: Update, groups: Groups, lifted: Tensor, found: Tensor
) -> tuple[Group, ...]:
    """What is believed of each group, from the pictures that explained it and as many as it has."""
    total, believed = update.num_examples, []
    scale = sum(tensor.square().sum().item() for tensor in update.tensors.values())

    def part(pictures: Tensor, label: int, count: int) -> Tensor:
        """What so many pictures put into the update for ``count`` examples."""
        labels = torch.full((len(pictures),), label, device=pictures.device)
        return flatten(update.step(model, pictures, labels)) * (count / total)

    pictures = lifted.split(groups.sizes), found.split(groups.counts)
    split = zip(groups.classes.tolist(), groups.counts, *pictures, strict=True)
    for label, count, many, few in split:
        seen, ours = part(many, label, count), (few, few.mean(0, keepdim=True))
        loss, alike = ((part(x, label, count) - seen).square().sum().item() / scale for x in ours)
        believed.append(Group(label, count, tuple(moments(many)[2].tolist()), loss, alike))
    return tuple(believed)


def _reported(
    found: Reconstruction, labels: Labels, order: Tensor, stop: Stop, groups: tuple[Group, ...]
) -> Grouped:
    """``found``, whose examples are sorted by label, in the order of ``labels``."""
    values = {field.name: getattr(found, field.name) for field in fields(Reconstruction)}
    back = order.argsort()
    return Grouped(**values | {"inputs": found.inputs[back], "labels": labels, "stop": stop}, groups=groups)
