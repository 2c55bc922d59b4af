"""Many experiments: grids of them, run side by side, each result kept on disk as soon as it is there.

    experiments -> the stored row of each, if the code behind it is still the same -> run the others -> rows

A row belongs to one experiment and to the code that computed it: every module of leaklib that the experiment
reaches through imports, without comments and docstrings, and the methods of a reader's own classes. Change
that code, and the row is stale: it counts as not there. Rows of the book ship with the package; what a reader
adds goes to the cache folder.

Chapters: 7, 8, 10, 12.
"""

from leaklib.sweep.point import Point, points
from leaklib.sweep.rows import Row
from leaklib.sweep.runs import grid, measure, run_all
from leaklib.sweep.store import cached

__all__ = ["Point", "Row", "cached", "grid", "measure", "points", "run_all"]
