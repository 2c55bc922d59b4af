"""What a reader moves: explorers that answer without a kernel, tables to sort, live attacks that need one.

``export_update`` writes what the page that attacks in the browser reads.
"""

from leaklib.widgets.explorer import explore
from leaklib.widgets.export import export_update
from leaklib.widgets.playground import live
from leaklib.widgets.results import Axis, Curve, Number, Pictures, Position
from leaklib.widgets.table import Column, Spread, compare

__all__ = (
    "Axis",
    "Column",
    "Curve",
    "Number",
    "Pictures",
    "Position",
    "Spread",
    "compare",
    "explore",
    "export_update",
    "live",
)
