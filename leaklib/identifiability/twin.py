"""Two different batches with one and the same update, where the update does not determine the batch.

Where the Jacobian J has rank r below d everywhere nearby, the batches with the update g form a surface of
d − r dimensions. The walk alternates two moves: along the surface's tangent space, the null space of J,
towards a target; and back onto it by Gauss–Newton, x ← x − J⁺ (G(x) − g).

This is no attack: it starts from the truth, and shows that no attack can be sure of it.

Chapter: 4.
"""

from collections.abc import Callable

import torch
from jaxtyping import Float64, Shaped
from torch import Tensor, nn

from leaklib.attacks.parts.base import check_update
from leaklib.attacks.search.jacobian import GradientMap, Pass, pixels
from leaklib.types import Inputs, Labels, Update

EXACT = 1e-24  # relative squared distance of two updates that is rounding
FLAT = 1e-13  # eigenvalues of JᵀJ below this share of the largest are the null space's
MARGIN = 0.01  # kept from black and white, for the way back to the surface


def twin(
    model: nn.Module,
    update: Update,
    inputs: Inputs,
    labels: Labels,
    *,
    toward: Shaped[Tensor, "..."],
    steps: int = 6,
    progress: Pass | None = None,
) -> Float64[Tensor, "batch ..."]:
    """A batch within the bounds with the update of ``inputs`` and ``labels``, walked near to ``toward``.

    Each of the ``steps`` takes a Jacobian and its eigenvectors. ``progress`` hears of every step. Raises
    ValueError if the null space is empty: then the batch has no twin nearby.
    """
    check_update(model, update)
    if toward.shape != inputs.shape or steps < 1:
        raise ValueError(
            f"toward must have the shape of inputs, {tuple(inputs.shape)}, and steps be at least 1, "
            f"got {tuple(toward.shape)} and {steps}"
        )
    gradient = GradientMap(model, update, labels)
    point, goal = (update.to_pictures(pixels(x).to(gradient.device).double()) for x in (inputs, toward))
    observed = gradient.at(point).detach()
    for step in range(steps):
        rows = gradient.transposed(point)
        values, vectors = torch.linalg.eigh(rows @ rows.T)
        flat = values <= FLAT * values[-1]
        if not flat.any():
            raise ValueError(f"the update determines all {len(values)} pixels: there is no twin nearby")
        # Of JᵀJ, so that J⁺ u = inverse Jᵀ u.
        inverse = vectors[:, ~flat] / values[~flat] @ vectors[:, ~flat].T
        move = _inside(vectors[:, flat], (goal - point).flatten(), point.flatten())
        move = move.view(point.shape) / (steps - step)
        point = _back(gradient, observed, lambda u, a=inverse, b=rows: a @ (b @ u), point, move)
        if progress is not None:
            progress(step + 1, steps)
    return update.to_inputs(point)


def _inside(basis: Tensor, wish: Tensor, point: Tensor) -> Tensor:
    """The move within the span of ``basis`` nearest to ``wish`` that leaves no pixel outside [0, 1].

    By Dykstra's alternating projections on the span and on the box.
    """
    move, carried = basis @ (basis.T @ wish), torch.zeros_like(wish)
    for _ in range(500):
        boxed = (move + carried).clamp(MARGIN - point, 1 - MARGIN - point)
        carried = move + carried - boxed
        move = basis @ (basis.T @ boxed)
        if (move - boxed).abs().max() < 1e-4:
            break
    return move


def _back(
    gradient: GradientMap, observed: Tensor, inverse: Callable[[Tensor], Tensor], point: Tensor, move: Tensor
) -> Tensor:
    """From ``point + move`` onto the surface again; with half the move where the way back is not found."""
    for _ in range(8):
        guess, last = point + move, torch.inf
        for _ in range(40):
            miss = gradient.at(guess).detach() - observed
            size = (miss.square().sum() / observed.square().sum()).item()
            if size < EXACT:
                if guess.min() >= 0 and guess.max() <= 1:
                    return guess
                break
            if size > last:
                break
            last, guess = size, guess - inverse(miss).view(point.shape)
        move = move / 2
    return point
