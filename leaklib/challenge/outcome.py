"""What grading found out about one student, as plain data: kept in a file, and read by every output."""

import hashlib
import json
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

State = Literal["marked", "missing", "refused", "foreign"]


@dataclass(frozen=True)
class Standing:
    """One level: "marked" on its merits, "missing", "refused" as data, or "foreign": someone else's answer.

    ``says`` is the sentence of a refusal, or who holds what is foreign. The other fields are those of ``Marks``,
    with one entry per example in the answer's order, of which ``matched`` says the true example. In ``reached``
    999 stands for a picture that is the same to the bit. ``digest`` is the answer's, to find equal ones.
    """

    state: State
    says: str = ""
    points: float = 0.0
    label_points: float = 0.0
    input_points: float = 0.0
    labels_right: int = 0
    reached: tuple[float, ...] = ()
    floor: tuple[float, ...] = ()
    bands: tuple[tuple[float, ...], ...] = ()
    matched: tuple[int, ...] = ()
    digest: str = ""


@dataclass(frozen=True)
class Outcome:
    """One student: the ``file`` that counted, a ``refusal`` of all of it, ``notes``, and each level's standing.

    ``broken`` is the traceback of a fault of the grader itself: then there are no marks, not even 0.
    """

    student: str
    file: str = ""
    refusal: str = ""
    notes: tuple[str, ...] = ()
    broken: str = ""
    levels: dict[str, Standing] = field(default_factory=dict)

    @property
    def points(self) -> float:
        return round(sum((standing.points for standing in self.levels.values()), 0.0), 2)

    def to_json(self) -> str:
        return json.dumps(asdict(self), allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> "Outcome":
        """ValueError, KeyError or TypeError for anything that ``to_json`` did not write."""
        values = json.loads(text)
        levels = {name: Standing(**_tuples(standing)) for name, standing in values.pop("levels").items()}
        return cls(**_tuples(values), levels=levels)


def _tuples(value: Any) -> Any:
    """JSON's lists as tuples, also within others and as the values of a table."""
    if isinstance(value, dict):
        return {key: _tuples(entry) for key, entry in value.items()}
    return tuple(map(_tuples, value)) if isinstance(value, list) else value


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
