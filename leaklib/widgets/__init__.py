"""What a reader moves: explorers that answer without a kernel, and live attacks that need one."""

from leaklib.widgets.explorer import explore
from leaklib.widgets.playground import live
from leaklib.widgets.results import Axis, Curve, Number, Pictures, Position

__all__ = ["Axis", "Curve", "Number", "Pictures", "Position", "explore", "live"]
