"""The page's search is leaklib's: the same rules, the same path, the same number of evaluations."""

import math
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pytest
import torch
from parts import seeds
from torch import Tensor, nn

from leaklib.attacks.dlg import IDLG
from leaklib.attacks.search.matching import Search
from leaklib.attacks.search.optimizers import LBFGS
from leaklib.client import FedSGD, share
from leaklib.data import Photos
from leaklib.metrics import psnr
from leaklib.models.lenet import LeNet
from leaklib.named import flatten
from leaklib.rng import generator
from leaklib.types import Batch, Progress, Reconstruction
from leaklib.widgets.inpage import SAMPLES

STRAY = 40  # as DLG hands it to Search

# Each function twice: x -> loss and slope. Both searches take the loss in multiples of ROUND, above a floor,
# so that the last digits of float64 decide nothing.
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
           for (let i = 0; i + 1 < x.length; i++) { const r = x[i + 1] - x[i] ** 2, s = 1 - x[i];
             loss += 10 * r ** 2 + s ** 2; slope[i + 1] += 20 * r; slope[i] -= 40 * r * x[i] + 2 * s; }""",
    ),
    # Nowhere to go.
    "plain": (lambda x: (x.new_ones(()), torch.zeros_like(x)), "loss = 1; slope.fill(0)"),
    # A plateau beyond 5, where the first start lies, and a way down elsewhere.
    "plateau": (
        lambda x: (
            torch.where(x[0] > 5, 1, (x - 0.3).square().sum()),
            torch.where(x[0] > 5, 0, 2 * (x - 0.3)),
        ),
        """loss = x[0] > 5 ? 1 : x.reduce((sum, v) => sum + (v - 0.3) ** 2, 0);
           slope.set(x.map(v => x[0] > 5 ? 0 : 2 * (v - 0.3)))""",
    ),
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
    update = share(model, Batch(torch.zeros(1, 3, 8, 8), torch.tensor([0])), FedSGD())

    def optimizer(point: Tensor) -> LBFGS:
        search.built += 1
        return LBFGS(point, history=history)

    search = Traced(
        model, update, None, optimizer, stray=STRAY, function=FUNCTIONS[name][0],
        starts=[torch.from_numpy(start) for start in starts], **options,
    )  # fmt: skip
    found = search.run()
    search.best, search.stop = found.inputs.flatten(), found.stop
    return search


IN_PAGE = """
const n = starts[0].length;
const [pictures, gradient, direction, slope] = Array.from({length: 4}, () => new Float64Array(n));
const {vector, dot, add} = network.plainEngine(8, 1);
const engine = {pictures, gradient, direction, slope, vector, dot, add,
  evaluate() { gradient.set(pictures); }, mixed() { slope.set(direction); }};
const formulaOf = new Function("x", "slope", `let loss = 0; ${formula}; return loss;`);
const distance = (x, slope) => Math.floor(formulaOf(x, slope) * 2 ** 20 + 1) / 2 ** 20;
let begun = 0, last = null;
const steps = search.search(engine, distance, {...options, draw: () => starts[begun++]});
const seen = {losses: [], restarts: [], strays: []};
for (;;) {
  const {done, value} = steps.next();
  if (done) return {...last, ...seen, reason: value};
  seen.losses.push(value.loss);
  seen.restarts.push(value.restart);
  seen.strays.push(value.strays);
  last = value;
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
    "stuck at first, worse than gray": ("plateau", 8, dict(gray=0.5), "solved"),
    "stuck at first, better than gray": ("plateau", 8, dict(gray=2.0, restarts=1), "solved"),
    "strays": ("wrong way", 7, dict(gray=10.0, restarts=1), "stuck"),
    "exactly enough is not below it": ("plain", 5, dict(enough=1 + ROUND, restarts=0), "stuck"),
    "not a number": ("cliff", 6, dict(restarts=3), "stuck"),
}


def in_page(deno, name: str, starts: np.ndarray, **options: Any) -> dict[str, Any]:
    return deno(IN_PAGE, formula=FUNCTIONS[name][1], starts=list(starts), options=options)


@pytest.mark.parametrize("case", CASES)
def test_rules_are_leaklibs(deno, case: str) -> None:
    name, n, options, reason = CASES[case]
    options = dict(evaluations=6000, restarts=3, gray=1.0) | options
    starts = np.random.default_rng(0).uniform(-1, 1, (4, n))
    starts[0, 0] = 10 if name == "plateau" else starts[0, 0]
    expected = in_leaklib(name, starts, **options)
    given = in_page(deno, name, starts, **options)
    losses, restarts, strays = zip(*expected.steps, strict=True)
    assert given["reason"] == expected.stop == reason
    assert given["restarts"] == list(restarts)
    assert given["strays"] == list(strays)
    near = dict(rtol=1e-6, atol=1e-3, equal_nan=True)
    np.testing.assert_allclose(np.array(given["losses"], dtype=float), losses, **near)
    np.testing.assert_allclose(given["best"], expected.best, atol=1e-6)


def test_the_search_is_over_where_the_loss_is_enough(deno) -> None:
    """At the first evaluation that is low enough, in both."""
    starts = np.random.default_rng(1).uniform(-1, 1, (4, 40))
    options = dict(evaluations=6000, restarts=3, gray=1.0, enough=0.1)
    expected, given = in_leaklib("valley", starts, **options), in_page(deno, "valley", starts, **options)
    assert given["reason"] == expected.stop == "floor" and given["lowest"] <= 0.1
    assert given["evaluations"] == len(expected.steps) and min(given["losses"][:-1]) > 0.1


def test_a_start_that_is_not_a_number_leaves_the_best_to_the_others(deno) -> None:
    starts = np.zeros((3, 6))
    starts[0, 0] = 10
    given = in_page(deno, "cliff", starts, evaluations=6000, restarts=2, gray=1.0)
    assert given["restarts"].count(0) == 1 and given["restarts"][-1] == 2
    assert given["lowest"] == min(float(loss) for loss in given["losses"] if loss != "NaN")
    assert given["best"][0] <= 2


@pytest.mark.parametrize(("gray", "enough"), [(0.0, 0.0), (1e-15, 0.0), (0.05, 0.1)])
def test_where_gray_explains_the_update_the_first_start_is_the_measure(
    deno, gray: float, enough: float
) -> None:
    """No start is given up for being worse than a picture that is the truth, and the search can succeed."""
    starts = np.random.default_rng(2).uniform(-1, 1, (4, 40))
    options = dict(evaluations=6000, restarts=3, gray=gray, enough=enough)
    given = in_page(deno, "valley", starts, **options)
    assert given["reason"] == ("floor" if enough else "solved") and set(given["restarts"]) == {0}


LBFGS_STEPS = """
const n = points[0].length;
const {vector, dot, add} = network.plainEngine(8, 1);
const engine = {pictures: new Float64Array(n), slope: new Float64Array(n), vector, dot, add};
const optimizer = new search.LBFGS(engine, history);
return points.map((point, i) => {
  engine.pictures.set(point);
  engine.slope.set(slopes[i]);
  optimizer.move();
  return {moved: engine.pictures.slice(), pairs: optimizer.count};
});
"""


def test_lbfgs_moves_as_leaklibs_from_any_points_and_slopes(deno) -> None:
    """Random slopes: half of the pairs have negative curvature, and the memory is full again and again."""
    draw = np.random.default_rng(3)
    points, slopes = draw.normal(size=(40, 25)), draw.normal(size=(40, 25))
    slopes[:20] += points[:20]
    given = deno(LBFGS_STEPS, points=list(points), slopes=list(slopes), history=6)
    point = torch.zeros(25, dtype=torch.float64)
    optimizer = LBFGS(point, history=6)
    for i in range(40):
        point.copy_(torch.from_numpy(points[i]))
        point.grad = torch.from_numpy(slopes[i].copy())
        optimizer.step()
        assert given[i]["pairs"] == optimizer.count
        np.testing.assert_allclose(given[i]["moved"], point, rtol=1e-9, atol=1e-9)
    assert {step["pairs"] for step in given} == {0, 1, 2, 3, 4, 5}


@pytest.mark.parametrize("share", [0.5e-10, 2e-10])
def test_a_pair_counts_from_a_curvature_of_1e_10(deno, share: float) -> None:
    """Move (1, 0), change (share, 1): sᵀy is this share of ‖s‖ ‖y‖."""
    points, slopes = [[0.0, 0.0], [1.0, 0.0]], [[0.0, 0.0], [share, 1.0]]
    given = deno(LBFGS_STEPS, points=points, slopes=slopes, history=5)
    assert given[1]["pairs"] == (share > 1e-10)


@pytest.mark.parametrize("size", [0.01, 100.0])
def test_the_first_step_has_an_l1_length_of_one_at_most(deno, size: float) -> None:
    (given,) = deno(LBFGS_STEPS, points=[[0.0] * 4], slopes=[[size, -size, size, size]], history=5)
    assert abs(given["moved"]).sum() == pytest.approx(min(1, 4 * size))


ATTACK = """
const engine = compiled.compiledEngine(await compiled.compileKernel(wasm), 12, 1);
engine.weights.set(random.initialWeights(initialisation, 12, seeds));
const update = {sent, mechanism: {kind: "full"}, examples: 1, bits: 0};
engine.targets[labels.inferLabels(update, engine.layout)[0]] = 1;
const distance = mechanisms.distance(update, engine.layout);
engine.pictures.fill(0.5);
const gray = search.misfit(engine, distance);
const torch = new random.Torch(seeds.attack);
const needed = {};
const steps = search.search(engine, distance, {draw: () => random.startNear(torch, 3072), gray});
for (const {evaluations, best} of steps) {
  const psnr = canvas.pictureScore(best, truth);
  if (psnr >= 20) needed[20] ??= evaluations;
  if (psnr >= 30) return [needed[20], evaluations];
}
"""


def needed(deno, sample: str, initialisation: str) -> tuple[list[int], list[int]]:
    """Evaluations to 20 and to 30 dB of the best guess so far: in the page and in leaklib, all in float64."""
    model = LeNet(init_scale=0.5 if initialisation == "uniform" else None).build(0)
    batch = Photos().batch(SAMPLES[sample], 1)
    update = share(model, batch, FedSGD())
    model = model.double()
    update = replace(update, tensors={name: tensor.double() for name, tensor in update.tensors.items()})
    truth, lowest, expected = batch.inputs.double(), math.inf, [0, 0]

    def watch(progress: Progress) -> bool:
        nonlocal lowest
        if progress.loss < lowest:
            lowest = progress.loss
            quality = psnr(progress.inputs.clamp(0, 1), truth).item()
            if quality >= 20 and not expected[0]:
                expected[0] = progress.evaluation
            if quality >= 30:
                expected[1] = progress.evaluation
        return expected[1] > 0

    IDLG()(model, update, generator=generator(0, "attack"), callback=watch)
    given = deno(
        ATTACK,
        seeds=seeds(0),
        initialisation=initialisation,
        sent=flatten(update.tensors),
        truth=truth.flatten(),
    )
    return given, expected


def test_a_photograph_takes_as_many_evaluations_as_in_leaklib(deno) -> None:
    (page_20, page_30), (leaklib_20, leaklib_30) = needed(deno, "cat", "default")
    assert page_20 == pytest.approx(leaklib_20, rel=0.1, abs=2)
    assert page_30 == pytest.approx(leaklib_30, rel=0.1)


@pytest.mark.slow
@pytest.mark.parametrize("initialisation", ["default", "uniform"])
def test_photographs_take_as_many_evaluations_as_in_leaklib(deno, initialisation: str) -> None:
    """Rounding makes the paths part after 50 to 100 evaluations; how long they are stays the same."""
    pairs = np.array([needed(deno, sample, initialisation) for sample in SAMPLES])
    print(initialisation, pairs.tolist())
    ratios = pairs[:, 0] / pairs[:, 1]  # samples × (20 dB, 30 dB)
    assert (abs(np.median(ratios, axis=0) - 1) <= 0.1).all()
    assert (abs(ratios[:, 1] - 1) <= 0.2).all()
