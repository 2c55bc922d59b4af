"""The safetensors format, read by hand: 30 lines that refuse what its library leaves to chance.

    8 bytes: length of the header | the header, JSON: {name: {"dtype", "shape", "data_offsets"}} | the values

Source: the format's description in the repository of safetensors. Not checked there, but here: names that
occur twice, a header of up to 100 MB.
"""

import json
from collections import Counter
from functools import partial
from typing import Any

from leaklib.challenge.files import shown
from leaklib.challenge.formats.claim import HEADER, Claim

DTYPES = {"F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16", "I64": "int64"}
DTYPES |= {"I32": "int32", "I16": "int16", "I8": "int8", "U8": "uint8", "BOOL": "bool"}


def claims(data: bytes) -> dict[str, Claim]:
    """What a safetensors file of these bytes says it holds, by name, without its metadata.

    ValueError for what is no such file, is truncated, or whose names, shapes and places do not add up.
    """
    if len(data) < 8:
        raise ValueError(f"has {len(data)} bytes, too few for a safetensors file")
    length = int.from_bytes(data[:8], "little")
    if length > HEADER:
        raise ValueError(f"says its header has {length:,} bytes, and at most {HEADER:,} are read")
    if length > len(data) - 8:
        raise ValueError(
            f"is truncated: its header should have {length:,} bytes, {len(data) - 8:,} are there"
        )
    found = {
        name: _claim(name, entry, data[8 + length :])
        for name, entry in _header(data[8 : 8 + length]).items()
        if name != "__metadata__"
    }
    end = 0
    for (start, stop), name in sorted((place, name) for name, (_, place) in found.items()):
        if start != end:
            raise ValueError(f"has {shown(name)} at byte {start:,} of the values, where {end:,} was expected")
        end = stop
    if end != len(data) - 8 - length:
        raise ValueError(f"describes {end:,} bytes of values, and has {len(data) - 8 - length:,}")
    return {name: claim for name, (claim, _) in found.items()}


def _header(text: bytes) -> dict[str, Any]:
    try:
        header = json.loads(text.decode("utf-8"), object_pairs_hook=_once, parse_int=_integer)
    # RecursionError: brackets within brackets, a thousand deep.
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise ValueError("is no safetensors file: its header is not JSON") from error
    if not isinstance(header, dict):
        raise ValueError("is no safetensors file: its header is not a table of names")
    return header


def _integer(text: str) -> int:
    """What no file can have as a size or a place is -1: Python refuses to read numbers of many digits."""
    return int(text) if len(text) < 19 else -1


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """ValueError for a name that stands twice: which of both counts would depend on who reads."""
    found = dict(pairs)
    if len(found) < len(pairs):
        [(name, _)] = Counter(name for name, _ in pairs).most_common(1)
        raise ValueError(f"says {shown(name)} twice in its header: leave one")
    return found


def _claim(name: str, entry: Any, values: bytes) -> tuple[Claim, tuple[int, int]]:
    wrong = ValueError(f"does not say what {shown(name)} is: a dtype, a shape and two offsets were expected")
    if not isinstance(entry, dict) or entry.keys() != {"dtype", "shape", "data_offsets"}:
        raise wrong
    dtype, shape, place = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(dtype, str) or not _counts(shape) or not _counts(place) or len(place) != 2:
        raise wrong
    start, stop = place
    if not start <= stop <= len(values):
        raise ValueError(
            f"is truncated, or lies: {shown(name)} should be bytes {shown(str(start))} to {shown(str(stop))} "
            f"of {len(values):,}"
        )
    read = partial(_cut, values[start:stop], name)
    return Claim(DTYPES.get(dtype, shown(dtype, 20)), tuple(shape), read), (start, stop)


def _counts(values: Any) -> bool:
    """Whether this is a short list of integers from 0 on. True is none."""
    return isinstance(values, list) and len(values) <= 8 and all(type(v) is int and v >= 0 for v in values)


def _cut(values: bytes, name: str, size: int) -> bytes:
    if len(values) != size:
        raise ValueError(f"its shape needs {size:,} bytes, and {len(values):,} are there")
    return values
