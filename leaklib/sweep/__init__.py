"""Many experiments: grids of them, run side by side, each result kept on disk as soon as it is there.

    experiments -> the stored row of each, if there is one -> run the others -> rows

A row belongs to one experiment and carries a witness: the losses of its attack's first evaluations. Code that
gives other numbers is caught by computing the witness again; code that only reads differently is not. Rows of
the book ship with the package; what a reader adds goes to the cache folder.

Chapters: 8, 9, 11, 12, 15.
"""

from leaklib.sweep.rows import Row
from leaklib.sweep.runs import Point, grid, measure, points, run_all
from leaklib.sweep.store import cached

__all__ = ["Point", "Row", "cached", "grid", "measure", "points", "run_all"]
