"""Lift and round: each picture of a batch whose labels repeat, apart from those that share its label.

    lift    min ‖Σ_c Σ_j n_c / (n_c + extra) ∇ℓ(w; x_cj, c) / B − g‖² / ‖g‖²,   j = 1 … n_c + extra
    round   each n_c + extra pictures to n_c of the same mean, and of the same second and third moments
    polish  min ‖Σ_i ∇ℓ(w; x_i, y_i) / B − g‖² / ‖g‖²,   from there

A search with n pictures for the n examples of a label is soon stuck: their mean is right, and the size of
their differences, but not the sign, which flips from region to region. Each picture comes back as parts of
several. With more pictures, which count for less, such walls unwind; ``parts/lift.py`` says why, and how the
pictures are rounded. Only how often each label occurs is used. A label that is stuck all the same is lifted
again, alone, from a fresh start.

Chapter: 8.
"""

from collections.abc import Callable
from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor, nn

from leaklib.attacks.dlg import INNER, STRAY
from leaklib.attacks.parts.base import AttackBase, check_uncompressed
from leaklib.attacks.parts.labels import infer_labels, label_rows
from leaklib.attacks.parts.lift import Groups, rounded, spectrum
from leaklib.attacks.search.coordinates import Coordinates, ScaledLBFGS
from leaklib.attacks.search.matching import PATIENCE, Search
from leaklib.client import FedSGD
from leaklib.fields import Count, Inner, Natural
from leaklib.types import Callback, Labels, Progress, Reconstruction, Stop, Update

WARM = 50  # evaluations after which deviations are no longer searched for as if they were means
NOISE = 0.02  # around mid-gray, where the search begins: deviations that nothing asks for stay small
POLISHED = 50  # a polish is over when so many evaluations did not lower its loss by a tenth
APART = 1e-4  # of what a label leaves open where its pictures are their mean: less, and they were told apart
AGAIN = 250  # evaluations for a label that is lifted again


@dataclass(frozen=True)
class Group:
    """What is believed of the ``count`` examples with this ``label``.

    ``loss`` is how far the row of this label in the last layer's gradient is from what was sent: the squared
    distance, divided by the row's squared norm. ``alike`` is the same if the pictures of this label were all
    their mean; a loss that is not far below means that they were not told apart. ``spectrum`` has the sizes
    of the principal deviations of the pictures that explained them, descending, as root mean squares over
    these pictures: count − 1 were kept, and if the lift is right the rest are small.
    """

    label: int
    count: int
    loss: float
    alike: float
    spectrum: tuple[float, ...]


@dataclass(frozen=True)
class Grouped(Reconstruction):
    """A reconstruction that also says what is believed of each label: one ``Group`` for each, ascending.

    None where no label repeats. The mean pictures of the labels can explain 99 % of an update, which any
    search calls "solved". This one is only if the loss of each label is far below ``alike``. ``restarts``
    counts labels that were lifted again.
    """

    groups: tuple[Group, ...] = ()


@dataclass(frozen=True)
class LiftAndRound(AttackBase):
    """Explain each repeated label by ``extra`` pictures too many, round them to as many as there are, polish.

    ``steps`` outer steps of 20 evaluations as for ``DLG``, of which the share ``lift`` goes to the first
    search, whose evaluations have more pictures; the rest to the polish, and to labels that are lifted again.
    Labels are taken from the update if it reveals them, and inferred otherwise; a batch without repeated
    labels is searched for at once. Needs the gradient of FedSGD, as the client computed it and unclipped, and
    a fully connected last layer. BatchNorm would see the added pictures in its statistics.
    """

    steps: Count = 80
    lift: Inner = 0.3
    extra: Natural = 4

    def reconstruct(
        self, model: nn.Module, update: Update, generator: torch.Generator, callback: Callback | None, /
    ) -> Grouped:
        _check(update)
        labels = infer_labels(model, update)
        order = labels.argsort(stable=True)
        groups = Groups(labels[order], self.extra)
        problem = replace(update, labels=groups.labels)
        run = _Run(model, problem, groups, self.steps * INNER, generator, callback)
        run.lift(int(self.lift * run.budget) if groups.repeated else run.budget)
        while run.stop is None:
            run.again()
        return run.result(labels, order)


class _Run:
    """One attack on its way: what it found so far, and what it spent. ``update`` has its labels sorted."""

    def __init__(
        self,
        model: nn.Module,
        update: Update,
        groups: Groups,
        budget: int,
        generator: torch.Generator,
        callback: Callback | None,
    ) -> None:
        self.model, self.update, self.groups, self.budget = model, update, groups, budget
        self.generator, self.callback = generator, callback
        self.spent, self.restarts, self.stopped = 0, 0, False

    def lift(self, evaluations: int) -> None:
        """All labels at once, from near gray, rounded and polished."""
        groups, problem = self.groups, self.groups.lifted(self.update)
        start = self._around(torch.tensor(0.5), problem.num_examples)
        _, many = self._search(
            problem, groups.sizes, start, evaluations, lambda x: groups.rounded(x, starts=1), WARM
        )
        self.spectra = [spectrum(group) for group in many.split(groups.sizes)]
        self.found, self.pictures = self._polish(groups.rounded(many))
        self.believed = self._believed()

    def again(self) -> None:
        """The label of which most is open once more, alone and from near its mean; kept if that is better."""
        groups, which = self.groups, self._worst()
        self.restarts += 1
        before, own, after = self.pictures.split(groups.around(which))
        problem = groups.alone(
            which, self.model, self.update, self.update.to_inputs(torch.cat([before, after]))
        )

        def whole(pictures: Tensor) -> Tensor:
            return torch.cat([before, pictures, after])

        def shown(inputs: Tensor) -> Tensor:
            few = rounded(self.update.to_pictures(inputs), len(own), starts=1)
            return self.update.to_inputs(whole(few))

        start, left = self._around(own.mean(0).cpu(), groups.sizes[which]), self.budget - self.spent
        _, many = self._search(problem, [len(start)], start, min(AGAIN, left), shown, WARM)
        found, pictures = self._polish(whole(rounded(many, len(own))))
        if found.loss < self.found.loss:
            self.found, self.pictures, self.spectra[which] = found, pictures, spectrum(many)
            self.believed = self._believed()

    @property
    def stop(self) -> Stop | None:
        """Why the attack is over, None if it goes on."""
        if self.stopped:
            return "stopped"
        several = [group for group in self.believed if group.count > 1]
        if not several:
            return self.found.stop
        if all(group.loss <= APART * group.alike for group in several):
            return "solved"
        return "budget" if self.spent == self.budget else None

    def result(self, labels: Labels, order: Tensor) -> Grouped:
        """What was found, in the order of ``labels``."""
        assert self.stop is not None
        values = {field.name: getattr(self.found, field.name) for field in fields(Reconstruction)}
        values |= {"inputs": self.found.inputs[order.argsort()], "labels": labels, "stop": self.stop}
        values |= {"evaluations": self.spent, "restarts": self.restarts}
        return Grouped(**values, groups=self.believed if self.groups.repeated else ())

    def _around(self, picture: Tensor, count: int) -> Tensor:
        noise = torch.randn(count, *self.update.input_shape, generator=self.generator)
        return picture + NOISE * noise

    def _polish(self, pictures: Tensor) -> tuple[Reconstruction, Tensor]:
        """As many pictures as there are examples, from these on."""
        left = 0 if self.stopped else self.budget - self.spent
        return self._search(self.update, self.groups.counts, pictures, left, lambda x: x, patience=POLISHED)

    def _search(
        self,
        update: Update,
        sizes: list[int],
        start: Tensor,
        evaluations: int,
        shown: Callable[[Tensor], Tensor],
        warm: int = 0,
        patience: int = PATIENCE,
    ) -> tuple[Reconstruction, Tensor]:
        """What explains ``update`` by groups of ``sizes`` with one label; also as it was found, unclamped."""
        coordinates, before = Coordinates(sizes, update.input_shape), self.spent

        def optimizer(point: Tensor) -> ScaledLBFGS:
            return ScaledLBFGS(point, coordinates, max(warm - search.spent, 0))

        def watch(at: Progress) -> bool:
            assert self.callback is not None
            inputs, count = shown(at.inputs), before + at.evaluation
            return bool(self.callback(replace(at, evaluation=count, inputs=inputs, restart=self.restarts)))

        search = Search(
            self.model,
            update,
            update.labels,
            optimizer,
            evaluations=evaluations,
            stray=STRAY,
            patience=patience,
            callback=self.callback and watch,
            start=start,
        )
        found = search.run(self.generator)
        self.spent += search.spent
        self.stopped |= found.stop == "stopped"
        return found, search.found

    def _believed(self) -> tuple[Group, ...]:
        """Each label by its row of the last layer, as it was sent and as the result makes it."""
        update, groups, inputs = self.update, self.groups, self.found.inputs
        sent, ours = (label_rows(x) for x in (update.tensors, update.step(self.model, inputs, groups.labels)))
        self.open, believed = (ours - sent).square().sum(1), []
        each = zip(groups.classes.tolist(), inputs.split(groups.counts), self.spectra, strict=True)
        for label, own, sizes in each:
            count, row = len(own), sent[label].square().sum().item()
            labels = groups.classes.new_full((count,), label)
            apart, alike = (
                label_rows(update.step(self.model, x, labels))[label] * (count / update.num_examples)
                for x in (own, own.mean(0, keepdim=True).expand_as(own))
            )
            loss = self.open[label].item() / row
            alike = (ours[label] - apart + alike - sent[label]).square().sum().item() / row
            believed.append(Group(label, count, loss, alike, sizes))
        return tuple(believed)

    def _worst(self) -> int:
        """The repeated label whose row leaves most open."""
        several = [i for i, count in enumerate(self.groups.counts) if count > 1]
        return max(several, key=lambda i: self.open[self.groups.classes[i]].item())


def _check(update: Update) -> None:
    check_uncompressed("LiftAndRound", update)
    if update.step != FedSGD():
        raise ValueError(
            f"LiftAndRound needs the gradient of a mean cross-entropy, FedSGD(), got an update from "
            f"{update.step}: use DLG, which matches any step"
        )
