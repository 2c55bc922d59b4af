"""How often each class occurs in a batch, from the last layer's gradient: the equations and their solution.

With probabilities p_b, features a_b and one-hot labels, B examples leave at the last layer z = W a + v

    B · rows = Σ_b (p_b − onehot(y_b)) a_bᵀ,    B · signal = Σ_b p_b − n.

The counts n are known as soon as the probabilities are. Taking one feature vector h_j for all examples of
class j closes the system: p_j = softmax(W h_j + v) gives n from the signal, n gives h_j from the rows.

Source: Ma, Sun, Cui, Li, Guan, Liu, "Instance-wise Batch Label Restoration via Gradients in Federated
Learning", ICLR 2023; Dang, Thakkar, Ramaswamy, Mathews, Chin, Beaufays, "Revealing and Protecting Labels in
Distributed Training", arXiv 2111.00556, for ``possible``. Differs: Ma et al. take row over signal as the
feature of a class, once, which explodes where the signal is near zero; here the features of all classes are
solved for together, in turns with the counts.
Chapters: 5, 6.
"""

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from scipy.optimize import linprog, nnls
from torch import Tensor

ROUNDS = 50  # of features and counts in turns; an untrained network settles within ten
DAMPING = 0.5  # full steps can swing between two answers
CUTOFF = 0.03  # relative singular value below which the batch says too little about a feature to move it
SUM = 1e3  # weight of "the counts sum to the batch size" among equations whose entries are near 1
SPREAD = 0.25  # between the classes' probabilities at which their mean is half flattened
RANK = 1e-4  # a direction counts as seen above this share of the strongest one, ...
GAP = 100.0  # ... and above this many times the first one that can only be rounding or noise

PerClass = Float[Tensor, "classes"]
Pairs = Float[Tensor, "classes classes"]
Rows = Float[Tensor, "classes in"]
Which = Bool[Tensor, "classes"]


def solve(probabilities: Pairs, signal: PerClass, size: int, allowed: Which | None = None) -> PerClass:
    """Counts n ≥ 0 with Σ n = ``size`` and Σ_j n_j (p_j − e_j) = size · signal, by least squares.

    Row j of ``probabilities`` is p_j, those of an example of class j. Classes not ``allowed`` get 0.
    """
    classes = len(signal)
    chosen = torch.ones(classes, dtype=torch.bool) if allowed is None else allowed
    equations = torch.cat([probabilities.T - torch.eye(classes), torch.full((1, classes), SUM)])
    found, _ = nnls(equations[:, chosen].numpy(), size * np.append(signal.numpy(), SUM))
    counts = torch.zeros_like(signal)
    counts[chosen] = torch.from_numpy(found)
    return counts


def solve_with_features(rows: Rows, signal: PerClass, weight: Rows, bias: PerClass, size: int) -> PerClass:
    """Counts that, with one feature vector per class, explain both gradients best.

    Starts where all classes have the same features, as they nearly have before training. A class that the
    equations leave open stays at the mean of the batch.
    """
    allowed = possible(rows, size)
    # The features that can be told lie in the span of the rows: as many coordinates as classes, or fewer.
    _, values, directions = torch.linalg.svd(rows, full_matrices=False)
    directions = directions[values > 1e-10 * values[0]]
    rows, weight = rows @ directions.T, weight @ directions.T
    center = signal @ rows / signal.square().sum()
    features = center.expand_as(rows)
    best_error, best, best_probabilities = torch.inf, torch.zeros_like(signal), weight
    for _ in range(ROUNDS):
        probabilities = (features @ weight.T + bias).softmax(1)
        counts = solve(probabilities, signal, size, allowed)
        mixing = (probabilities.T - torch.eye(len(signal))) * counts / size
        error = torch.linalg.norm(mixing @ features - rows).item()
        if error < best_error:
            best_error, best, best_probabilities = error, counts, probabilities
        center = counts @ features / size
        missing = rows - mixing @ center.expand_as(rows)
        moved = center + torch.linalg.pinv(mixing, rtol=CUTOFF) @ missing
        features = features + DAMPING * (moved - features)
    return best if size < len(signal) else _flatten(best_probabilities, best / size, signal, size)


def _flatten(probabilities: Pairs, shares: PerClass, signal: PerClass, size: int) -> PerClass:
    """The counts if the mean probabilities are flatter than those of the classes' features.

    Where classes have different features, so do the examples within a class, and the mean of softmax over
    them is flatter than softmax of their mean. As many examples as classes, or more, leave that spread open:
    it is guessed from the spread between classes, which is next to nothing before training.
    """
    mean = shares @ probabilities
    spread = shares @ (probabilities - mean).abs().sum(1) / 2  # mean total variation distance, 0..1
    flat = spread**4 / (spread**4 + SPREAD**4)
    return solve(((1 - flat) * mean + flat / len(mean)).expand_as(probabilities), signal, size)


def possible(rows: Rows, size: int) -> Which:
    """Which classes a batch of ``size`` can hold, judged by the directions of ``rows`` alone.

    An example of class c put p − onehot(c) among them, which is negative at c only: a linear program says
    whether such a vector is there. All classes are possible where the batch has as many examples as there are
    classes, or where too few directions stand out from rounding.
    """
    classes = len(rows)
    everything = torch.ones(classes, dtype=torch.bool)
    if size >= classes:
        return everything
    left, values, _ = torch.linalg.svd(rows, full_matrices=False)
    noise = values[size] if len(values) > size else values.new_zeros(())
    if len(values) < size or values[size - 1] <= torch.maximum(RANK * values[0], GAP * noise):
        return everything
    basis = left[:, :size].numpy()
    found = torch.tensor([_lowest_overshoot(basis, c) < 1e-3 for c in range(classes)])
    return found if found.any() else everything


def _lowest_overshoot(basis: np.ndarray, c: int) -> float:
    """How far below zero, at best, entries other than c go in a combination whose entry c is −1."""
    size = basis.shape[1]
    others = np.column_stack([-np.delete(basis, c, 0), -np.ones(len(basis) - 1)])
    overshoot, own = np.append(np.zeros(size), 1.0), np.append(basis[c], 0.0)[None]
    free = [(None, None)] * size + [(0, None)]
    answer = linprog(overshoot, A_ub=others, b_ub=np.zeros(len(others)), A_eq=own, b_eq=[-1.0], bounds=free)
    return answer.fun if answer.status == 0 else np.inf


def to_integers(counts: PerClass, size: int) -> Int[Tensor, "classes"]:
    """The nearest integers that sum to ``size``: rounded down, then the largest remainders up."""
    counts = counts * (size / counts.sum())
    whole = (counts + 1e-9).floor()
    order = (counts - whole).argsort(descending=True, stable=True)
    whole[order[: size - int(whole.sum())]] += 1
    return whole.long()
