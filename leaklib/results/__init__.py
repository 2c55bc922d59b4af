"""What the book measured: rows that ship with the package, and the sweeps that they belong to.

Chapters: 3, 5, 7, 8.
"""

from leaklib.results.sweeps import alike, batch_sizes, both, compressors

__all__ = ["alike", "batch_sizes", "both", "compressors"]
