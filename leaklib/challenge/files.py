"""Files that are there whole or not at all, and files of others, read without trusting their names or sizes.

A file is written under another name in its own folder, flushed to the disk and only then renamed. What a
killed run left behind is found by that name, and removed at the next start.
"""

import contextlib
import os
import stat
from pathlib import Path

PART = ".part"  # the end of a name that no finished file has


def write_whole(path: Path, data: bytes) -> None:
    """Put ``data`` at ``path`` in one step: at no moment can anyone read a part of it.

    Whatever stood there is replaced; a link is replaced, not followed. OSError where that is not possible,
    and then ``path`` is as it was. ``sync_folder`` makes the name last, once for many files.
    """
    part = path.with_name(f".{path.name}{PART}")
    part.unlink(missing_ok=True)
    try:
        with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644), "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
    except BaseException:  # also an interrupt from the keyboard: nothing half-written stays
        part.unlink(missing_ok=True)
        raise


def sync_folder(folder: Path) -> None:
    """The names in ``folder`` survive a power failure from here on; where the system cannot promise, not."""
    with contextlib.suppress(OSError):  # Windows opens no folders
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def clean(folder: Path) -> None:
    """Remove what runs that were killed left half-written in ``folder``. Call it before the first write."""
    for path in folder.glob(f".*{PART}"):
        path.unlink()


def read_capped(path: Path, most: int) -> bytes:
    """The bytes of a file that someone else named and filled: at most ``most``, and without ever waiting.

    ValueError, a sentence that can follow the file's name, for anything that is no plain file (a link, a
    folder, a pipe, a device), cannot be opened, is larger, or changes while it is read.
    """
    # A pipe without a writer would wait in open() without O_NONBLOCK; O_NOFOLLOW refuses a link.
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOFOLLOW", 0)
    try:
        _check_plain(os.lstat(path))  # before open(), which by itself can have effects on a device
        descriptor = os.open(path, flags | getattr(os, "O_BINARY", 0))
    except OSError as error:
        raise ValueError(f"cannot be opened ({error.strerror})") from error
    with open(descriptor, "rb", buffering=0) as file:
        return _read(file.fileno(), most)


def _read(descriptor: int, most: int) -> bytes:
    before = os.fstat(descriptor)
    _check_plain(before)
    if before.st_size > most:
        raise ValueError(f"has {before.st_size:,} bytes, and at most {most:,} are read")
    data = bytearray()
    try:
        while len(data) <= most and (piece := os.read(descriptor, min(1 << 20, most + 1 - len(data)))):
            data += piece
    except OSError as error:
        raise ValueError(f"cannot be read ({error.strerror})") from error
    after = os.fstat(descriptor)
    if len(data) != before.st_size or _version(before) != _version(after):
        raise ValueError("changed while it was read: hand over a folder that nobody writes to")
    return bytes(data)


def _version(status: os.stat_result) -> tuple[int, int, int]:
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns


def _check_plain(status: os.stat_result) -> None:
    """ValueError unless this is a plain file."""
    kinds = {
        stat.S_IFLNK: "a link, and links are not followed",
        stat.S_IFDIR: "a folder where a file was expected",
        stat.S_IFIFO: "a pipe, not a file",
        stat.S_IFSOCK: "a socket, not a file",
        stat.S_IFCHR: "a device, not a file",
        stat.S_IFBLK: "a device, not a file",
    }
    if not stat.S_ISREG(status.st_mode):
        raise ValueError(f"is {kinds.get(stat.S_IFMT(status.st_mode), 'not a plain file')}")


def shown(name: str, most: int = 100) -> str:
    """A name that someone else chose, fit for a terminal and for one line: what cannot be printed is escaped.

    Control characters, terminal escapes, marks that reverse the direction of writing and bytes that are no
    UTF-8 become ``\\x1b``, ``\\u202e``, ``\\udc80``. A longer name ends with an ellipsis.
    """
    text = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in name)
    return text if len(text) <= most else text[: most - 1] + "…"
