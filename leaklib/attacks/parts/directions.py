"""The columns of a sparse matrix, from its column space alone: sample, and keep the sparsest directions.

Of a matrix D (units × examples, with many zeros) only L = D Q⁻¹ is known, for some invertible Q. Where
examples − 1 rows of D have their zeros in one column, the same rows of L have that column q of Q as their
kernel; L q is zero on them, and on every other row where the column of D is. Rows are drawn at random, and of
all kernels seen so far the sparsest independent ones are kept. These are the columns of Q once all of them
have been drawn: a mixture of columns is zero only where all of them are, and where they happen to cancel.

Chapter: 8.
"""

from dataclasses import dataclass, field

import torch
from jaxtyping import Bool, Float64, Int
from torch import Tensor

FIRST, LARGEST = 64, 8192  # kernels computed together: few at first, since small batches need few
MARGIN = 100.0  # how far above the rounding a normalised row still counts as zero: kernels magnify rounding
APART = 10.0  # times that: a direction nearer to the span of sparser ones is one of them
POLISH = 3  # times that a kept direction is computed anew from all rows on which it vanishes
OUTLIER = 10.0  # a row is small and not zero if it is so many times as large as half of the zeros

Found = Float64[Tensor, "found examples"]


@dataclass
class Directions:
    """The sparsest independent directions q, as the rows of ``kept``, for a matrix L.

    ``left`` is L with rows of length 1, units × examples; ``noise`` how far from 0 rounding leaves them. The
    directions begin as those of the axes, which vanish nowhere.
    """

    left: Float64[Tensor, "units examples"]
    noise: float
    kept: Found = field(init=False)
    drawn: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        self.kept = torch.eye(self.left.shape[1]).to(self.left)

    def zeros(self, directions: Found) -> Bool[Tensor, "found units"]:
        """On which rows each direction, of length 1, vanishes."""
        return (directions @ self.left.T).abs() < MARGIN * self.noise

    def draw(self, most: int, generator: torch.Generator) -> bool:
        """Draw some submatrices, at most ``most``; whether other directions are the sparsest now."""
        count = min(most, LARGEST, max(FIRST, self.drawn))
        self.drawn += count
        before = self.zeros(self.kept)
        candidates = torch.cat([self.kept, self._kernels(count, generator)])
        self.kept = self._sharpened(candidates[self._sparsest(candidates)])
        return not torch.equal(before, self.zeros(self.kept))

    def _kernels(self, count: int, generator: torch.Generator) -> Found:
        """The kernel of each of ``count`` random submatrices of examples − 1 rows, where it is a line."""
        units, examples = self.left.shape
        chosen = torch.randint(units, (count, examples - 1), generator=generator).to(self.left.device)
        rows = self.left[chosen]  # count × (examples − 1) × examples
        solved, _ = torch.linalg.solve_ex(rows[..., :-1], -rows[..., -1:])
        kernels = torch.cat([solved[..., 0], rows.new_ones(count, 1)], 1)
        kernels = kernels / kernels.norm(dim=1, keepdim=True)
        missed = (rows * kernels[:, None]).sum(2).norm(dim=1)  # far from 0 or NaN where it is no line
        return kernels[missed < MARGIN * self.noise]

    def _sparsest(self, candidates: Found) -> Int[Tensor, "examples"]:
        """Greedily those with most zeros that are independent, which makes their sum the largest there is."""
        counts, rest = self.zeros(candidates).sum(1), candidates.clone()
        free, chosen = torch.ones_like(counts, dtype=torch.bool), []
        for _ in range(candidates.shape[1]):
            best = counts.where(free, -1).argmax()
            chosen.append(best)
            unit = rest[best] / rest[best].norm()
            rest -= (rest @ unit)[:, None] * unit
            free = rest.norm(dim=1) > APART * MARGIN * self.noise
        return torch.stack(chosen)

    def _sharpened(self, directions: Found) -> Found:
        """Each direction as the best one for all rows on which it vanishes, not only for those drawn.

        Rows that are merely small there are told from zeros by how near to 0 most of these are. A direction
        with fewer zeros than a direction of its own must have stays as it is.
        """
        for _ in range(POLISH):
            sizes = (directions @ self.left.T).abs()
            sizes = sizes.where(self.zeros(directions), torch.nan)
            zeros = sizes <= OUTLIER * sizes.nanmedian(1, keepdim=True).values
            squares = torch.stack([self.left[rows].T @ self.left[rows] for rows in zeros])
            better = torch.linalg.eigh(squares)[1][..., 0]  # of the smallest eigenvalue
            directions = torch.where(zeros.sum(1, keepdim=True) < self.left.shape[1], directions, better)
        return directions
