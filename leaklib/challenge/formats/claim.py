"""What a file says of one array, before its values are read."""

from collections.abc import Callable
from dataclasses import dataclass

HEADER = 64 << 10
"""The most bytes in which a file may say what it holds: a hundred names and their shapes need 10 kB."""


@dataclass(frozen=True)
class Claim:
    """An array of ``dtype``, in numpy's words, and ``shape``, column by column if ``fortran``.

    What cannot be read has no shape, and a ``dtype`` that says what it is instead.
    ``read`` gives its bytes: as many as asked for, or a ValueError. It is called after dtype and shape are
    found to be the expected ones, so that a file decides nothing about how much is read.
    """

    dtype: str
    shape: tuple[int, ...] | None
    read: Callable[[int], bytes]
    fortran: bool = False
