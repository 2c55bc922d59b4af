"""What the book measured: rows that ship with the package, and the sweeps that they belong to.

Chapters: 4 to 6, 8 to 15.
"""

from leaklib.results.sweeps import (
    batch_sizes,
    both,
    compressors,
    confidence,
    repeated_labels,
    trained_batches,
    trained_compression,
    training,
)

__all__ = [
    "batch_sizes",
    "both",
    "compressors",
    "confidence",
    "repeated_labels",
    "trained_batches",
    "trained_compression",
    "training",
]
