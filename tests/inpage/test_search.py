"""The page's search is leaklib's: the same rules, the same path, the same number of evaluations."""

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from leaklib.attacks.search.matching import Search
from leaklib.attacks.search.optimizers import LBFGS
from leaklib.client import FedSGD, share
from leaklib.data import Photos
from leaklib.types import Reconstruction

STRAY = 40  # as DLG hands it to Search

# Each function twice: x -> loss and slope, with a floor to the loss. Both searches round it down to multiples of
# ROUND, so that the last digits of float64 decide nothing.
ROUND = 2**-20
FUNCTIONS = {
    # Curvatures from 1 to 1000.
    "valley": (
        lambda x: (
            (10 ** torch.linspace(0, 3, len(x), dtype=x.dtype) * (x - 0.3).square()).sum(),
            2 * 10 ** torch.linspace(0, 3, len(x), dtype=x.dtype) * (x - 0.3),
        ),
        """x.forEach((v, i) => { const c = 10 ** (3 * i / (x.length - 1));
             loss += c * (v - 0.3) ** 2; slope[i] = 2 * c * (v - 0.3); })""",
    ),
    # Curved and not convex: L-BFGS without a line search wanders off and negative curvature occurs.
    "rosenbrock": (
        lambda x: (
            (10 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2).sum(),
            nn.functional.pad(20 * (x[1:] - x[:-1] ** 2), (1, 0))
            + nn.functional.pad(-40 * (x[1:] - x[:-1] ** 2) * x[:-1] - 2 * (1 - x[:-1]), (0, 1)),
        ),
        """for (let i = 0; i < x.length; i++) slope[i] = 0;
           for (let i = 0; i + 1 < x.length; i++) { const r = x[i + 1] - x[i] ** 2;
             loss += 10 * r ** 2 + (1 - x[i]) ** 2; slope[i + 1] += 20 * r; slope[i] -= 40 * r * x[i] + 2 * (1 - x[i]); }""",
    ),
    # Nowhere to go.
    "plain": (lambda x: (x.new_ones(()), torch.zeros_like(x)), "loss = 1; slope.fill(0)"),
    # A slope that leads away from the lowest point once it is passed, at a constant pace.
    "wrong way": (
        lambda x: ((x.sum() - 5).square() + 1, torch.full_like(x, -1.0)),
        "loss = (x.reduce((sum, v) => sum + v, 0) - 5) ** 2 + 1; slope.fill(-1)",
    ),
    # Not a number beyond 2, where the first steps lead.
    "cliff": (
        lambda x: (torch.where(x[0] > 2, math.nan, 5 - x[0]), -(torch.arange(len(x)) == 0).to(x)),
        "loss = x[0] > 2 ? NaN : 5 - x[0]; slope.fill(0); slope[0] = -1",
    ),
}


@dataclass
class Traced(Search):
    """leaklib's search on a function instead of a network, from given starts; it records its way."""

    function: Any = None
    starts: list[Tensor] = field(default_factory=list)
    gray: float = 1.0
    steps: list[tuple[float, int, int]] = field(default_factory=list, init=False)  # loss, restart, strays
    built: int = field(default=0, init=False)

    def evaluate(self, point: Tensor) -> tuple[Tensor, bool]:
        loss, point.grad = self.function(point.detach())
        loss = (loss / ROUND).floor() * ROUND + ROUND
        self.spent += 1
        # Each start builds an optimiser, and so does each return to the best point.
        self.steps.append((loss.item(), self.restart, self.built - self.restart - 1))
        return loss[None], False

    def draw(self, generator: torch.Generator) -> Tensor:
        return self.starts[self.restart].clone().requires_grad_()

    def reconstruct(self, lane: Tensor) -> Reconstruction:
        return Reconstruction(
            lane.clone()[None, None, None, :], torch.zeros(1, dtype=torch.long), 0.0, self.gray
        )


def in_leaklib(name: str, starts: np.ndarray, *, history: int = 100, **options: Any) -> Traced:
    model = nn.Sequential(nn.Flatten(), nn.Linear(192, 10))
    update = share(model, Photos(size=8).batch(0, 1), FedSGD())

    def optimizer(point: Tensor) -> LBFGS:
        search.built += 1
        return LBFGS(point, history=history)

    search = Traced(
        model, update, None, optimizer, stray=STRAY, function=FUNCTIONS[name][0],
        starts=[torch.from_numpy(start) for start in starts], **options,
    )  # fmt: skip
    search.best = search.run().inputs.flatten()
    return search


IN_PAGE = """
const n = starts[0].length;
const [pictures, gradient, direction, slope] = Array.from({length: 4}, () => new Float64Array(n));
const {vector, dot, add} = network.plainEngine(8, 1);
const engine = {pictures, gradient, direction, slope, vector, dot, add,
  evaluate() { gradient.set(pictures); }, mixed() { slope.set(direction); }};
const distance = new Function("x", "slope", `const round = 2 ** -20; let loss = 0; ${formula}; return Math.floor(loss / round) * round + round;`);
let begun = 0;
const steps = search.search(engine, distance, {...options, draw: () => starts[begun++]});
const seen = {losses: [], restarts: [], strays: []};
for (;;) {
  const {done, value} = steps.next();
  if (done) return {...seen, best: seen.last.best, lowest: seen.last.lowest, spent: seen.last.evaluations, reason: value};
  seen.losses.push(value.loss);
  seen.restarts.push(value.restart);
  seen.strays.push(value.strays);
  seen.last = value;
}
"""
CASES = {
    # name: function, unknowns, options, how it ends
    "quadratic, older pairs forgotten": ("valley", 40, dict(history=10, restarts=0), "solved"),
    "history of two": ("rosenbrock", 5, dict(history=2, restarts=1), "solved"),
    "odd history": ("valley", 30, dict(history=7, restarts=1), "solved"),
    "few evaluations": ("valley", 40, dict(evaluations=25), "budget"),
    "no evaluation left for a third start": ("plain", 5, dict(gray=0.5, evaluations=400), "budget"),
    "worse than gray after 200, but for the last": ("plain", 5, dict(gray=0.5), "stuck"),
    "better than gray, so patience counts": ("plain", 5, dict(gray=2.0, restarts=2), "stuck"),
    "curved": ("rosenbrock", 12, dict(restarts=1), "solved"),
    "curved, short history": ("rosenbrock", 30, dict(history=6, restarts=1), "solved"),
    "strays": ("wrong way", 7, dict(gray=10.0, restarts=1), "stuck"),
    "not a number": ("cliff", 6, dict(restarts=3), "stuck"),
}


@pytest.mark.parametrize("case", CASES)
def test_rules_are_leaklibs(deno, case: str) -> None:
    name, n, options, reason = CASES[case]
    options = dict(evaluations=6000, restarts=3, gray=1.0) | options
    starts = np.random.default_rng(0).uniform(-1, 1, (4, n))
    expected = in_leaklib(name, starts, **options)
    given = deno(IN_PAGE, formula=FUNCTIONS[name][1], starts=list(starts), options=options)
    losses, restarts, strays = zip(*expected.steps, strict=True)
    assert given["reason"] == reason
    assert given["restarts"] == list(restarts)
    assert given["strays"] == list(strays)
    near = dict(rtol=1e-6, atol=1e-3, equal_nan=True)
    np.testing.assert_allclose(np.array(given["losses"], dtype=float), losses, **near)
    np.testing.assert_allclose(given["best"], expected.best, atol=1e-6)
