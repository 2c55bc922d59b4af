"""How messages become bytes: each is a frozen dataclass whose fields say in ``Annotated`` how they travel.

A field travels as a code of ``struct``, or as a ``Row``. First come the fields of fixed size and how many
entries the rows have, in the order of the fields, then the rows. All numbers are little-endian, clients are
named by 4 bytes. A message that is not as long as it says is refused.
Chapters: 11, 13, 14.
"""

import struct
from collections.abc import Callable
from functools import cache
from itertools import accumulate, pairwise
from typing import Annotated, Any, NamedTuple, TypeVar, get_type_hints

NAME = 4  # bytes of a client's name


class Row(NamedTuple):
    """A field of any number of entries, each of ``size`` bytes: how to write all, and how to read them."""

    size: int
    write: Callable[[Any], bytes]
    read: Callable[[bytes], Any]


Name = Annotated[int, "I"]
"""A client's number, from 0."""


def _names(data: bytes) -> tuple[int, ...]:
    return struct.unpack(f"<{len(data) // NAME}I", data)


NameRow = Annotated[tuple[int, ...], Row(NAME, lambda names: struct.pack(f"<{len(names)}I", *names), _names)]
"""Clients' numbers."""


AnyMessage = TypeVar("AnyMessage", bound="Message")


class Message:
    """Anything that travels."""

    @property
    def author(self) -> int | None:
        """The client that it claims to come from, None if it names none."""
        return vars(self).get("client", vars(self).get("sender"))

    def encode(self) -> bytes:
        """What is sent."""
        head, rows = _layout(type(self))
        values = list(vars(self).values())
        body = [row.write(values[place]) for place, row in rows.items()]
        counts = (len(value) if place in rows else value for place, value in enumerate(values))
        return head.pack(*counts) + b"".join(body)

    @classmethod
    def decode(cls: type[AnyMessage], data: bytes) -> AnyMessage:
        """What was sent. ValueError for ``data`` of any other length than it says itself."""
        head, rows = _layout(cls)
        values = list(head.unpack_from(data.ljust(head.size, b"\0")))  # cut: refused below
        sizes = (values[place] * row.size for place, row in rows.items())
        cuts = list(accumulate(sizes, initial=head.size))
        check_length(cls, data, cuts[-1])
        for (place, row), (start, end) in zip(rows.items(), pairwise(cuts), strict=True):
            values[place] = row.read(data[start:end])
        return cls(*values)


@cache
def _layout(kind: type[Message]) -> tuple[struct.Struct, dict[int, Row]]:
    """The head of such messages, and their rows by place among the fields."""
    forms = [hint.__metadata__[0] for hint in get_type_hints(kind, include_extras=True).values()]
    rows = {place: form for place, form in enumerate(forms) if isinstance(form, Row)}
    return struct.Struct("<" + "".join("I" if isinstance(form, Row) else form for form in forms)), rows


def check_length(kind: type, data: bytes, *lengths: int) -> None:
    """ValueError unless ``data`` has one of ``lengths``."""
    if len(data) not in lengths:
        expected = " or ".join(map(str, lengths))
        raise ValueError(f"{kind.__name__}: expected {expected} bytes, got {len(data)}: cut or damaged")
