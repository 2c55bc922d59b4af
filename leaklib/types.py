"""The nouns and the four roles of the book.

A client turns a ``Batch`` into an ``Update`` with its ``ClientStep``, changes it with a ``Mechanism`` and
sends it; an ``Aggregation`` decides what the server can read of it (a ``View``); an ``Attack`` turns an
``Update`` back into a ``Reconstruction``. An attack never receives a ``Batch``: it cannot be handed the
truth.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor, nn

Tensors = dict[str, Tensor]
"""One tensor per parameter, under the parameter's name in ``model.named_parameters()``."""

Inputs = Shaped[Tensor, "batch ..."]
Labels = Int[Tensor, "batch"]
PAD = 0
"""The token that fills texts up to one length. It stands at the end, and no model sees it."""
AnyInputs = Shaped[Tensor, "..."]  # with or without a dimension for lanes
AnyTargets = Int[Tensor, "..."] | Float[Tensor, "..."]
"""Class indices, or one probability per class (what DLG optimises when the label is unknown)."""


@dataclass(frozen=True)
class Batch:
    """The private examples of one client.

    Images are float in [0, 1], shape N×C×H×W. Text is int64 tokens, shape N×positions, with 0 as padding at
    the end.
    """

    inputs: Inputs
    labels: Int[Tensor, "_"]  # one per input: checked below, with a sentence

    def __post_init__(self) -> None:
        if len(self.inputs) != len(self.labels) or len(self.labels) == 0:
            raise ValueError(
                f"a batch needs one label per input and at least one of each, "
                f"got {len(self.inputs)} inputs and {len(self.labels)} labels"
            )

    def __len__(self) -> int:
        return len(self.labels)

    def to(self, device: torch.device | str, dtype: torch.dtype | None = None) -> "Batch":
        """The same batch on another device and, if given, with inputs of another float type."""
        return Batch(self.inputs.to(device, dtype), self.labels.to(device))


@runtime_checkable
class ClientStep(Protocol):
    """What a client computes from its examples: pure, and differentiable in ``inputs`` and float ``labels``.

    The client applies it to its data, the attacker to a guess. With ``lanes`` inputs and labels have one
    dimension more in front, and so has every tensor of the result: several guesses side by side, each with
    the update that it would have alone. On small networks that costs far less than one after the other.
    """

    def __call__(
        self, model: nn.Module, inputs: AnyInputs, labels: AnyTargets, *, lanes: bool = False
    ) -> Tensors: ...


Objective = Callable[[Tensors, Tensors], Tensor]
"""How far a candidate, the first argument, is from what was observed: a scalar ≥ 0."""


@runtime_checkable
class Mechanism(Protocol):
    """What a client does to its update before sending it, and what an attacker can make of that.

    ``bits_sent`` counts what travels for an update of this size. ``distance`` applies an attack's
    ``objective`` to what ``candidate``, an update that was not sent, and ``observed``, one that was, must
    have in common. It is differentiable in ``candidate`` and uses public knowledge only: the mechanism's
    fields and what it sent. Without a ``generator`` seed 0 is used.
    """

    def __call__(self, update: "Update", *, generator: torch.Generator | None = None) -> "Update": ...

    def bits_sent(self, update: "Update") -> int: ...

    def distance(self, candidate: Tensors, observed: Tensors, objective: Objective) -> Tensor: ...


@dataclass(frozen=True)
class Update:
    """What leaves one client, with the public facts of the protocol that an attacker may use.

    ``tensors`` has one entry per trained parameter: a gradient (FedSGD) or the difference of weights
    before and after local training (FedAvg). ``step`` is how it was computed, ``num_examples`` from how
    many examples, ``input_shape`` the shape of one of them. ``labels`` is None unless the client revealed
    them. ``client`` says who sent it. ``statistics`` is None unless the client revealed mean and variance of
    each BatchNorm layer's input over its batch (2×channels per layer name), as clients do that send their
    running statistics along: the server knows the old ones and the momentum. ``mechanism`` is what changed
    ``tensors`` after ``step`` had computed them, None if nothing did. ``sensitivity`` is the largest L2
    distance by which ``tensors`` can move when one unit, an example or the whole client, contributes nothing
    (the divisor of the mean is public and stays as it was): clipping sets it, and whatever changes
    ``tensors`` afterwards clears it. ``others`` are further clients, if this is the mean of several.
    """

    tensors: Tensors
    step: ClientStep
    num_examples: int
    input_shape: tuple[int, ...]
    labels: Labels | None = None
    client: int = 0
    statistics: Tensors | None = None
    mechanism: Mechanism | None = None
    sensitivity: float | None = None
    others: tuple[int, ...] = ()

    @property
    def clients(self) -> tuple[int, ...]:
        """Everyone whose examples are in this update."""
        return (self.client, *self.others)


@dataclass(frozen=True)
class Cost:
    """What one round of a protocol took.

    ``rounds`` trips between clients and server, and ``messages`` over all of them. ``client_up`` and
    ``client_down`` are the bytes that a client sends and receives, the mean over clients; the model, which
    every client downloads whatever the protocol, is not among them. ``client_seconds``, the mean over
    clients, and ``server_seconds`` are processor time, and differ from run to run.
    """

    rounds: int
    messages: int
    client_up: int
    client_down: int
    client_seconds: float = field(default=0.0, compare=False)
    server_seconds: float = field(default=0.0, compare=False)


@dataclass(frozen=True)
class View:
    """What the server has after aggregation.

    ``updates`` are what it can read: one per client, or fewer, each the mean of several. ``sealed`` is what
    arrived from each client and cannot be read, masked or encrypted, written as numbers. ``leaks`` names
    whatever else the server learns on the way. ``cost`` is None where nobody counted.
    """

    updates: tuple[Update, ...]
    sealed: tuple[Update, ...] = ()
    leaks: Mapping[str, Any] = field(default_factory=dict)
    cost: Cost | None = None

    def smallest(self) -> Update:
        """The update that mixes the fewest examples: the one an attacker starts with."""
        return min(self.updates, key=lambda update: update.num_examples)


@dataclass(frozen=True)
class Reconstruction:
    """What an attack believes the batch was, and how well that belief explains the update.

    ``inputs`` are images in [0, 1] or tokens; ``labels`` class indices. ``loss`` is the squared distance
    between the update and what the client step makes of exactly these inputs and labels, divided by the
    update's squared norm: 0 explains it fully, 1 is what an all-zero update would score. Where a mechanism
    changed the update, that is the distance that the mechanism supplies for squares; what it lost may keep
    the loss of even the true batch above 0. ``baseline`` is the same for mid-gray images or empty texts with
    these labels. A loss that is not far below the baseline means that nothing was recovered, and shows it
    without the truth; the loss alone can mislead, since on some networks the labels explain nearly all of the
    update. ``evaluations`` counts gradients of the matching
    loss over all ``restarts``; both are 0 for closed forms.
    """

    inputs: Inputs
    labels: Labels
    loss: float
    baseline: float = math.nan
    evaluations: int = 0
    restarts: int = 0


@dataclass(frozen=True)
class Progress:
    """One evaluation of a running attack, as its ``callback`` sees it."""

    evaluation: int
    loss: float
    inputs: Inputs
    restart: int = 0


Callback = Callable[[Progress], bool | None]
"""Called after every evaluation; returning True stops the attack, which then returns its best so far."""


@runtime_checkable
class Aggregation(Protocol):
    """What the server can read of its clients' updates."""

    def __call__(self, updates: tuple[Update, ...], *, generator: torch.Generator | None = None) -> View: ...


@runtime_checkable
class Attack(Protocol):
    """From a model and one update back to the examples. The model and the update are left as they were.

    Without a ``generator`` seed 0 is used.
    """

    def __call__(
        self,
        model: nn.Module,
        update: Update,
        *,
        generator: torch.Generator | None = None,
        callback: Callback | None = None,
    ) -> Reconstruction: ...
