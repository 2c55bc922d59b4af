"""The nouns and the four roles of the book.

A client turns a ``Batch`` into an ``Update`` with its ``ClientStep``, changes it with a ``Mechanism`` and
sends it; an ``Aggregation`` decides what the server can read of it (a ``View``); an ``Attack`` turns an
``Update`` back into a ``Reconstruction``. An attack never receives a ``Batch``: it cannot be handed the
truth.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor, nn

from leaklib.named import Gradients, Tensors, by_name, moved

Bounds = tuple[float | int, float | int] | tuple[tuple[float | int, float | int], ...]
"""The lowest and the highest value of an input: one pair, or one for each channel."""

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

    - ``tensors`` has one entry per trained parameter: a gradient (FedSGD) or the difference of weights before
      and after local training (FedAvg).
    - ``step`` is how it was computed.
    - ``num_examples`` from how many examples.
    - ``input_shape`` the shape of one of them.
    - ``labels`` is None unless the client revealed them.
    - ``client`` says who sent it.
    - ``statistics`` is None unless the client revealed mean and variance of each BatchNorm layer's input over
      its batch (2×channels per layer name), as clients do that send their running statistics along: the
      server knows the old ones and the momentum.
    - ``mechanism`` is what changed ``tensors`` after ``step`` had computed them, None if nothing did.
    - ``sensitivity`` is the largest L2 distance by which ``tensors`` can move when one unit, an example or
      the whole client, contributes nothing (the divisor of the mean is public and stays as it was): clipping
      sets it, and whatever changes ``tensors`` afterwards clears it.
    - ``others`` are further clients, if this is the mean of several.
    - ``model`` is the fingerprint of the model that the client was sent (``named.fingerprint``), None where
      nobody took it.
    - ``bounds`` are the lowest and the highest value of an input, one pair or one per channel: other than
      (0, 1) where pictures were normalized outside the model. Attacks search inside, and return such inputs.
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
    bounds: Bounds = (0.0, 1.0)
    model: bytes | None = None

    plain: ClassVar[ClientStep]  # FedSGD(), which client.py sets: it stands above this file

    def __post_init__(self) -> None:
        low, high = self._ends(torch.zeros(0, dtype=torch.float64))
        channels = self.input_shape[0] if self.input_shape else 1
        if not (low < high).all() or not (high - low).isfinite().all() or len(low) not in (1, channels):
            raise ValueError(
                f"bounds must be a low and a higher end, or one such pair for each of {channels} channels, "
                f"got {self.bounds}"
            )

    @classmethod
    def from_gradients(
        cls,
        model: nn.Module,
        gradients: Gradients | None = None,
        *,
        input_shape: Sequence[int],
        num_examples: int = 1,
        labels: Labels | None = None,
        step: ClientStep | None = None,
        bounds: Bounds = (0.0, 1.0),
    ) -> "Update":
        """The update of someone who has a model and its gradients, wherever they come from.

        ``gradients`` by name, or in the order of ``model.parameters()``, as ``torch.autograd.grad`` hands
        them over; None reads each parameter's ``.grad``. Frozen parameters (``requires_grad`` False) need
        none. ``step`` is how the gradients were computed, None for ``FedSGD()``. The other arguments are
        fields. ValueError if a gradient is missing or belongs to no trained parameter.
        """
        tensors = by_name(model, gradients)
        return cls(tensors, step or cls.plain, num_examples, tuple(input_shape), labels, bounds=bounds)

    @classmethod
    def from_weights(
        cls,
        before: Mapping[str, Tensor],
        after: Mapping[str, Tensor],
        *,
        input_shape: Sequence[int],
        num_examples: int,
        step: ClientStep,
        labels: Labels | None = None,
        bounds: Bounds = (0.0, 1.0),
    ) -> "Update":
        """The update of someone who has the weights before and after local training, as two ``state_dict()``.

        A state dict does not say what was trained, so what moved counts: a frozen parameter stays the same to
        the bit. Integers and BatchNorm's running statistics move untrained and are left out; leave out other
        such buffers yourself. Tied weights count once. ``step`` is how the client trained, for instance
        ``FedAvg(lr=0.1, epochs=2)``; the other arguments are fields. ValueError if the names differ or
        nothing moved.
        """
        return cls(moved(before, after), step, num_examples, tuple(input_shape), labels, bounds=bounds)

    @property
    def clients(self) -> tuple[int, ...]:
        """Everyone whose examples are in this update."""
        return (self.client, *self.others)

    def to_inputs(self, pictures: AnyInputs) -> AnyInputs:
        """Pictures in [0, 1] as the model takes them, within ``bounds``."""
        if self.bounds == (0, 1):
            return pictures
        low, high = self._ends(pictures)
        return low + (high - low) * pictures

    def to_pictures(self, inputs: AnyInputs) -> AnyInputs:
        """Inputs within ``bounds`` as pictures in [0, 1]: what scores and figures expect."""
        if self.bounds == (0, 1):
            return inputs
        low, high = self._ends(inputs)
        return (inputs - low) / (high - low)

    def clamp(self, inputs: AnyInputs) -> AnyInputs:
        """Inputs moved into ``bounds`` where they were outside."""
        return inputs.clamp(*self._ends(inputs))

    def _ends(self, like: Tensor) -> tuple[Tensor, Tensor]:
        """The lowest and the highest value, in a shape that meets the channels of any number of inputs."""
        ends = torch.tensor(self.bounds, dtype=torch.float64).to(like).view(-1, 2).T
        low, high = ends.reshape(2, -1, *[1] * (len(self.input_shape) - 1))
        return low, high


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


Stop = Literal["closed form", "solved", "floor", "stuck", "budget", "stopped"]
"""Why an attack ended; the first that is true, in this order but for "closed form".

- "closed form": nothing was searched for, so there was nothing to end.
- "stopped": the caller's callback said so.
- "floor": the loss is as low as noise or rounding leaves that of the truth, and lower would only fit these.
- "solved": the result explains the update, and no start remains that could explain it better.
- "budget": all evaluations are spent, and the update is not explained; more might help.
- "stuck": no start explained the update or went on improving, and no further one was allowed.
"""


@dataclass(frozen=True)
class Reconstruction:
    """What an attack believes the batch was, and how well that belief explains the update.

    ``inputs`` are images within the update's bounds, or tokens; ``labels`` class indices. ``loss`` is the
    squared distance between the update and what the client step makes of exactly these inputs and labels,
    divided by the update's squared norm: 0 explains it fully, 1 is what an all-zero update would score. Where
    a mechanism changed the update, that is the distance that the mechanism supplies for squares; what it lost
    may keep the loss of even the true batch above 0. ``baseline`` is the same for mid-gray images or
    empty texts with these labels. A loss that is not far below the baseline means that nothing was
    recovered, and shows it without the truth; the loss alone can mislead, since on some networks the
    labels explain nearly all of the update. Far below the baseline is not enough, either: to a network
    that is sure of its labels gray scores millions, and a search that ends at a millionth of that, near
    1, has found nothing. A loss far below both says that something was explained. ``evaluations`` counts
    gradients of the matching loss over all ``restarts``; both are 0 for closed forms. ``stop`` says why the
    attack ended: a score of one that is "stuck" or out of "budget" is the score of a failure. ``clamped`` is
    how far the value furthest outside the bounds was moved to lie in them. Together with a loss near the
    baseline it says that the bounds are wrong, or that the update has other explanations than pictures.
    """

    inputs: Inputs
    labels: Labels
    loss: float
    baseline: float = math.nan
    evaluations: int = 0
    restarts: int = 0
    clamped: float = 0.0
    stop: Stop = "closed form"


@dataclass(frozen=True)
class Progress:
    """One evaluation of a running attack, as its ``callback`` sees it.

    ``gray`` is what mid-gray pictures score by the same ``loss``, NaN where the attack does not say.
    """

    evaluation: int
    loss: float
    inputs: Inputs
    restart: int = 0
    gray: float = math.nan


Callback = Callable[[Progress], bool | None]
"""Called after every evaluation; returning True stops the attack, which then returns its best so far."""


@runtime_checkable
class Aggregation(Protocol):
    """What the server can read of its clients' updates.

    Secrets come from the operating system, or from ``generator``: for teaching, to play a round again.
    """

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
