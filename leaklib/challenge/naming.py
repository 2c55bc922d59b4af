"""What the name of a file can mean: whose it is, which one of theirs, and whom Canvas says it is from."""

import re
from dataclasses import dataclass

NUMBERED = re.compile(r"(?P<id>.+?)-(?P<number>[0-9]{1,6})", re.DOTALL)
BULK = re.compile(r".*?_(?:LATE_)?(?P<user>[0-9]{1,19})_(?P<file>[0-9]{1,19})_(?P<id>.+)", re.DOTALL)


@dataclass(frozen=True)
class Reading:
    """One meaning: the file ``number`` (from 1) of student ``id``, handed in by ``user``, if Canvas says."""

    id: str
    number: int = 1
    user: str | None = None


def readings(stem: str) -> list[Reading]:
    """All that a file's name, without its ending, can mean; the plainest first.

    ``alice``, ``alice-2``, and what Canvas makes of them when it hands over a whole class:
    ``exampleali_LATE_123_456_alice-2``, with the user's and the file's number.
    """
    bulk = BULK.fullmatch(stem)
    return _numbered(stem, None) + (_numbered(bulk["id"], bulk["user"]) if bulk else [])


def _numbered(name: str, user: str | None) -> list[Reading]:
    again = NUMBERED.fullmatch(name)
    return [Reading(name, 1, user)] + ([Reading(again["id"], int(again["number"]), user)] if again else [])
