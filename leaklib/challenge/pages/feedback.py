"""What one student gets back: per level what it asks, where the submission stands, and what would help next."""

from collections.abc import Iterable, Mapping
from html import escape

from torch import Tensor

from leaklib.challenge.answers import Answer, Refusal
from leaklib.challenge.levels import Level
from leaklib.challenge.outcome import Outcome, Standing
from leaklib.challenge.pages.document import document, picture
from leaklib.challenge.pages.hints import next_step
from leaklib.challenge.reports import ASSIGNMENT, decibel, example, number, reached, says, stands
from leaklib.challenge.roster import Student
from leaklib.data import Sentences
from leaklib.types import Batch

RANGE = 5.0, 45.0  # dB on the scale; what lies outside stands at its end


def feedback(
    student: Student,
    pseudonym: str,
    levels: Iterable[Level],
    outcome: Outcome,
    answers: Mapping[str, Answer | Refusal],
    truths: Mapping[str, Batch],
) -> str:
    """The page. ``answers`` and ``truths`` by level; a level without truth shows only what was handed in."""
    levels = list(levels)
    possible = sum(level.points for level in levels)
    if outcome.broken:
        total = "There is no mark yet: the grader failed on this submission. Your instructor knows."
    else:
        total = f"{number(outcome.points)} of {possible} points"
    parts = "".join(
        _section(i, level, outcome.levels[level.name], answers.get(level.name), truths.get(level.name))
        for i, level in enumerate(levels, 1)
        if level.name in outcome.levels
    )
    notes = "".join(f'<p class="fault">In {escape(outcome.file)}, {escape(n)}.</p>\n' for n in outcome.notes)
    body = (
        f'<main>\n<p class="over">{ASSIGNMENT}</p>\n<h1>{escape(student.name)}</h1>\n'
        f'<p class="total">{total}</p>\n'
        f"<p{' class=fault' if outcome.refusal else ''}>{escape(says(outcome))}</p>\n{notes}"
        f'<p class="note">On the leaderboard you are <code>{pseudonym}</code>.</p>\n{parts}</main>\n'
    )
    return document(f"{ASSIGNMENT}: {student.name}", body)


def _section(
    i: int, level: Level, standing: Standing, answer: Answer | Refusal | None, truth: Batch | None
) -> str:
    kind = "all" if standing.points == level.points else "some" if standing.points else "none"
    lines = [f"<p>{escape(level.asks)}</p>"]
    if sentence := stands(level, standing):
        lines.append(f'<p class="fault">{escape(sentence)}</p>')
    if standing.state == "marked":
        lines.append(f"<p>{_sums(level, standing)}</p>")
    given = answer if isinstance(answer, Answer) else None
    lines += [_example(level, standing, i, given, truth) for i in range(level.num_examples)]
    if step := next_step(level, standing):
        lines.append(f'<p class="next"><strong>Next:</strong> {escape(step)}</p>')
    return (
        f'<section aria-labelledby="level-{i}">\n<header><h2 id="level-{i}">{i}. {escape(level.title)}</h2>'
        f'<span class="points {kind}">{number(standing.points)} of {level.points}</span></header>\n'
        + "\n".join(line for line in lines if line)
        + "\n</section>\n"
    )


def _sums(level: Level, standing: Standing) -> str:
    """What labels and inputs gave."""
    several = "s" * (level.num_examples > 1)
    right = f"{standing.labels_right} of {level.num_examples} right" if several else ""
    right = right or ("right" if standing.labels_right else "wrong")
    labels = f"Label{several}: {right}, {number(standing.label_points)} of {level.label_points} points."
    points = f"{number(standing.input_points)} of {level.points - level.label_points} points"
    return f"{labels} {'Phrase' if level.is_text else 'Picture'}{several}: {points}."


def _example(level: Level, standing: Standing, i: int, answer: Answer | None, truth: Batch | None) -> str:
    """One example: what was handed in, what it reached, and the truth where it is revealed."""
    shown = _text if level.is_text else _picture
    name, of = example(level, i), f"level {level.title}"
    parts = []
    if answer is not None:
        parts.append(shown(answer.inputs[i], f"Your {name.lower()}", of))
    if truth is not None:
        true = standing.matched[i] if standing.matched else i
        parts.append(shown(truth.inputs[true], f"{name}, the truth", of))
    if standing.state == "marked":
        text = f"<p>{name}: {escape(reached(level, standing, i))}.</p>"
        parts.append(f"<div>{text}{'' if level.is_text else _scale(standing, i)}</div>")
    return f'<div class="example">{"".join(parts)}</div>' if parts else ""


def _picture(values: Tensor, caption: str, of: str) -> str:
    return picture(values, f"{caption}, {of}", caption)


def _text(values: Tensor, caption: str, of: str) -> str:
    words = escape(Sentences().decode(values)) or "<em>nothing but padding</em>"
    return f"<div><p>{caption}:</p><blockquote>{words}</blockquote></div>"


def _scale(standing: Standing, i: int) -> str:
    """A line of decibels with the gray picture, the bands and the submission: the sentence above says the same."""
    value, floor, bands = standing.reached[i], standing.floor[i], standing.bands[i]
    ticks = [("gray", floor, f"gray {floor:.0f}"), *(("band", band, f"{band:.0f}") for band in bands)]
    marks = "".join(
        f'<i class="tick {kind}" style="left:{_place(dB):.1f}%"><span>{text}</span></i>'
        for kind, dB, text in ticks
    )
    you = _place(value)
    return (
        f'<div class="scale" role="img" aria-label="On a scale from gray at {floor:.1f} dB over '
        f'{" and ".join(f"{band:.1f}" for band in bands)} dB: {decibel(value)}">'
        f'<i class="fill" style="width:{you:.1f}%"></i>{marks}<i class="you" style="left:{you:.1f}%"></i></div>'
    )


def _place(value: float) -> float:
    """Percent of the scale."""
    low, high = RANGE
    return 100 * min(1.0, max(0.0, (value - low) / (high - low)))
