"""Can an update be inverted at all? Counting, the spectrum of the Jacobian, and two batches with one update.

The package can be called like the function that it is named after, since ``from leaklib import
identifiability`` finds one or the other.
"""

import sys
from types import ModuleType
from typing import Any


class _Callable(ModuleType):
    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        from leaklib.identifiability.spectrum import identifiability

        return identifiability(*args, **kwargs)


sys.modules[__name__].__class__ = _Callable
