"""One student's answers against the truth, which follows from the key: nothing here depends on other files.

An answer without points for its pictures is compared with what the others hold: copied, it is recognized.
"""

from dataclasses import dataclass
from functools import lru_cache

import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from leaklib.challenge.answers import MOST, Answer, Refusal, parse
from leaklib.challenge.files import read_capped
from leaklib.challenge.levels import LEVELS, Level
from leaklib.challenge.marks import marks
from leaklib.challenge.outcome import Outcome, Standing
from leaklib.challenge.submissions import Submission
from leaklib.metrics import match_batch
from leaklib.types import Reconstruction

COPIED = {"pictures": 3.0, "text": 0.5}
"""dB above the first band, or share of the tokens, from which an answer is taken to be another student's."""
SAME = 999.0  # dB, in place of infinity, which JSON does not know


@dataclass(frozen=True)
class Class:
    """What all students have in common: the key, and the ids of everyone, who could be copied from."""

    key: bytes
    ids: tuple[str, ...]
    levels: tuple[Level, ...] = LEVELS


def load(submission: Submission) -> tuple[bytes, str]:
    """The bytes of what was handed in, or why there are none. Nothing is looked at yet."""
    if submission.path is None or submission.refusal:
        return b"", submission.refusal
    try:
        return read_capped(submission.path, MOST), ""
    except ValueError as error:
        return b"", str(error)


def mark(
    group: Class, student: str, submission: Submission, data: bytes, refusal: str
) -> tuple[Outcome, dict[str, Answer | Refusal]]:
    """The outcome for one student of what ``load`` gave, and the answers behind it."""
    answers: dict[str, Answer | Refusal] = {}
    if submission.path is not None and not refusal:
        try:
            answers = parse(data, submission.path.suffix.lower(), group.levels)
        except ValueError as error:  # what a reader of a format says about a bad file
            refusal = str(error)
    standings = {
        level.name: Standing("refused", refusal) if refusal else _standing(group, level, student, answers)
        for level in group.levels
    }
    rest = answers.get("the rest of the file")
    notes = (f"the rest of the file {rest.reason}",) if isinstance(rest, Refusal) else ()
    return Outcome(student, submission.name, refusal, notes, levels=standings), answers


def _standing(group: Class, level: Level, student: str, answers: dict[str, Answer | Refusal]) -> Standing:
    answer = answers.get(level.name)
    if answer is None:
        return Standing("missing")
    if isinstance(answer, Refusal):
        return Standing("refused", answer.reason)
    truth = level.secret(group.key, student)
    found = marks(level, truth, Reconstruction(answer.inputs, answer.labels, loss=0.0))
    if found.input_points == 0 and (owner := _owner(group, level, student, answer)):
        return Standing("foreign", owner, digest=answer.digest())
    matched = match_batch(truth.inputs, answer.inputs).tolist()  # for each guess the true example
    return Standing(
        "marked",
        points=found.points,
        label_points=found.label_points,
        input_points=found.input_points,
        labels_right=found.labels_right,
        reached=tuple(min(found.reached[i], SAME) for i in matched),
        floor=tuple(found.floor[i] for i in matched),
        bands=tuple(found.bands[i] for i in matched),
        matched=tuple(matched),
        digest=answer.digest(),
    )


def _owner(group: Class, level: Level, student: str, answer: Answer) -> str:
    """The other student whose truth ``answer`` shows, or nothing."""
    near = (
        _nearness(level, answer.inputs, _truths(group, level)).unflatten(0, (-1, level.num_examples)).amax(1)
    )
    near[group.ids.index(student)] = -torch.inf
    best = int(near.argmax())
    enough = COPIED["text"] if level.is_text else level.bands[0] + COPIED["pictures"]
    return group.ids[best] if near[best] >= enough else ""


def _nearness(level: Level, guesses: Tensor, truths: Tensor) -> Float[Tensor, "truths"]:
    """How well the best of ``guesses`` shows each of ``truths``: PSNR in dB, or the share of equal tokens."""
    if level.is_text:
        return torch.stack([(truths == guess).double().mean(1) for guess in guesses]).amax(0)
    errors = [(truths.double() - guess).square().flatten(1).mean(1) for guess in guesses]
    return -10 * torch.stack(errors).amin(0).clamp(min=1e-12).log10()


@lru_cache(maxsize=2 * len(LEVELS))  # of 500 students 25 MB
def _truths(group: Class, level: Level) -> Shaped[Tensor, "all ..."]:
    """What everyone holds, in the order of their ids."""
    return torch.cat([level.secret(group.key, id).inputs for id in group.ids])
