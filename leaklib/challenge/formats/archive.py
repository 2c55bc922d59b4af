"""The npz format: a zip archive of npy files. Of the expected ones as much is unpacked as was expected.

Nothing is unpacked to the disk, so a member's name is only a name. Pickled objects are never loaded: an array
of them is refused by its header.
"""

import io
import re
import struct
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable
from functools import partial

import numpy as np

from leaklib.challenge.files import shown
from leaklib.challenge.formats.claim import HEADER, Claim

MEMBERS = 500
# What numpy writes, letter by letter. Its own reader evaluates the header as an expression of Python.
NPY = re.compile(
    rb"\{'descr': '([<>|=]?[a-zA-Z][0-9]{0,9})', 'fortran_order': (True|False), "
    rb"'shape': \(((?:[0-9]{1,18}, ?)*[0-9]{0,18})\), ?\} *\n?"
)
FAULTS = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    NotImplementedError,  # a way of compression or a version that zipfile does not know
    RuntimeError,  # encrypted
    EOFError,
    OverflowError,
)


def claims(data: bytes) -> dict[str, Claim]:
    """What an npz file of these bytes says it holds, by name without ``.npy``.

    A member that is no npy file has the dtype that says so. ValueError for what is no zip archive, is
    truncated, or has a name twice.
    """
    if (members := data.count(b"PK\x01\x02")) > MEMBERS:
        raise ValueError(f"has {members:,} members, and at most {MEMBERS} are read")
    try:
        archive = zipfile.ZipFile(io.BytesIO(data))
    except (*FAULTS, ValueError) as error:
        raise ValueError(f"is no npz file, or not all of one ({shown(str(error))})") from error
    found = [(member.filename.removesuffix(".npy"), member) for member in archive.infolist()]
    names = Counter(name for name, _ in found)
    if doubled := [name for name, count in names.items() if count > 1]:
        raise ValueError(f"has two members {shown(doubled[0])}: leave one")
    return {name: _claim(archive, member) for name, member in found}


def _claim(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> Claim:
    try:
        _check(member)
        with archive.open(member) as file:
            descr, fortran, shape = _header(file.read)
    except FAULTS as error:
        return Claim(f"nothing readable ({shown(str(error))})", None, partial(_values, archive, member))
    except ValueError as error:
        return Claim(str(error), None, partial(_values, archive, member))
    return Claim(_dtype(descr), shape, partial(_values, archive, member), fortran)


def _check(member: zipfile.ZipInfo) -> None:
    # Of the other ways of compression one lets the archive say how much memory unpacking takes.
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ValueError("a compression that numpy does not use")
    if not member.filename.endswith(".npy"):
        raise ValueError("no npy file")


def _header(read: Callable[[int], bytes]) -> tuple[str, bool, tuple[int, ...]]:
    """dtype, order and shape of an npy file, of which ``read`` then gives the values."""
    start = read(8)
    if start[:6] != b"\x93NUMPY" or len(start) < 8 or start[6] not in (1, 2):
        raise ValueError("no npy file")
    length = int.from_bytes(read(2 if start[6] == 1 else 4), "little")
    if length > HEADER:
        raise ValueError(f"a header of {length:,} bytes, of which at most {HEADER:,} are read")
    found = NPY.fullmatch(read(length))
    if found is None:
        raise ValueError("an npy file whose header numpy did not write")
    descr, order, shape = (part.decode() for part in found.groups())
    return descr, order == "True", tuple(int(size) for size in re.findall("[0-9]+", shape))


def _values(archive: zipfile.ZipFile, member: zipfile.ZipInfo, size: int) -> bytes:
    """The ``size`` bytes behind the header. What the archive says of their number plays no part."""
    try:
        with archive.open(member) as file:
            _header(file.read)
            values = file.read(size)
            rest = file.read(1)  # the end, where zipfile compares the checksum
    except FAULTS as error:
        raise ValueError(f"cannot be unpacked ({shown(str(error))})") from error
    if len(values) != size or rest:
        raise ValueError(f"its shape needs {size:,} bytes, and {'more' if rest else len(values)} are there")
    return values


def _dtype(descr: str) -> str:
    try:
        dtype = np.dtype(descr)
    except (TypeError, ValueError, OverflowError):
        return shown(descr, 20)
    if dtype.hasobject:
        return "pickled objects, which are never loaded"
    return f"{shown(dtype.name, 20)}{' with the bytes the other way round' * (descr[0] == '>')}"
