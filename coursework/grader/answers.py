"""What a submission answered, read as data: safetensors whose header is checked before it is believed."""

import json
import math
import struct

SIZES = {
    "F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4, "I16": 2, "I8": 1, "U8": 1, "BOOL": 1,
}  # fmt: skip
MOST_HEADER = 64 << 10  # bytes
MOST_TENSORS, MOST_AXES = 200, 8


def check(data: bytes) -> None:
    """ValueError unless this is a safetensors file that says of itself just what it holds."""
    if len(data) < 8:
        raise ValueError("no safetensors file")
    size = struct.unpack("<Q", data[:8])[0]
    if size > min(MOST_HEADER, len(data) - 8):
        raise ValueError(f"a header of {size:,} bytes; at most {MOST_HEADER:,} are read")
    try:
        header = json.loads(data[8 : 8 + size])
    except (ValueError, RecursionError) as error:
        raise ValueError("no safetensors file: its header cannot be read") from error
    if not isinstance(header, dict) or len(header) > MOST_TENSORS:
        raise ValueError(f"no safetensors file, or more than {MOST_TENSORS} tensors")
    header.pop("__metadata__", None)
    ends = sorted(_checked(name, tensor) for name, tensor in header.items())
    starts = [0, *(end for _, end in ends)]
    if starts[:-1] != [start for start, _ in ends] or starts[-1] != len(data) - 8 - size:
        raise ValueError("tensors that overlap, leave gaps or do not fill the file")


def _checked(name: str, tensor: object) -> tuple[int, int]:
    """Where a tensor begins and ends, once its dtype, shape and size fit each other."""
    try:
        kind, shape, (start, end) = tensor["dtype"], tensor["shape"], tensor["data_offsets"]  # type: ignore[index]
        size = SIZES[kind]
        whole = all(type(n) is int and 0 <= n < 1 << 40 for n in (start, end, *shape))
    except (TypeError, KeyError, ValueError) as error:
        raise ValueError(f"a tensor {name[:40]!r} without a known dtype, a shape and its place") from error
    if not whole or len(shape) > MOST_AXES or math.prod(shape) * size != end - start:
        raise ValueError(f"a tensor {name[:40]!r} whose shape does not fit its size")
    return start, end
