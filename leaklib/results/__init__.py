"""What the book measured: rows that ship with the package, and the sweeps that they belong to.

Chapters: 4 to 6, 8 to 15.
"""

from leaklib.results.contenders import comparison
from leaklib.results.sweeps import (
    batch_sizes,
    both,
    compressors,
    confidence,
    lifted,
    repeated_labels,
    trained_batches,
    trained_compression,
    training,
)

SWEEPS = {
    sweep.__name__: sweep
    for sweep in (
        batch_sizes,
        repeated_labels,
        lifted,
        compressors,
        both,
        comparison,
        training,
        trained_batches,
        confidence,
        trained_compression,
    )
}
"""Every sweep of the book by name: setting -> experiments."""

__all__ = [
    "SWEEPS",
    "batch_sizes",
    "both",
    "comparison",
    "compressors",
    "confidence",
    "lifted",
    "repeated_labels",
    "trained_batches",
    "trained_compression",
    "training",
]
