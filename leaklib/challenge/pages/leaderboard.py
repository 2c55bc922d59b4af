"""The class in order of points, under pseudonyms from the key, which each student's feedback says."""

from collections.abc import Iterable, Mapping

from leaklib.challenge.levels import Level
from leaklib.challenge.outcome import Outcome
from leaklib.challenge.pages.document import document, table
from leaklib.challenge.reports import ASSIGNMENT, number


def leaderboard(board: Mapping[str, Outcome], levels: Iterable[Level]) -> str:
    """The page for outcomes by pseudonym. Equal points share a place; who handed in nothing has none."""
    levels = list(levels)
    taking = {name: outcome for name, outcome in board.items() if outcome.file and not outcome.broken}
    ranked = sorted(taking.items(), key=lambda item: (-item[1].points, item[0]))
    rows = []
    for name, outcome in ranked:
        place = 1 + sum(other.points > outcome.points for other in taking.values())
        each = [number(outcome.levels[level.name].points) for level in levels]
        rows.append([str(place), name, number(outcome.points), *each])
    possible = sum(level.points for level in levels)
    head = ["Place", "Name", f"All ({possible})", *(f"{level.name} ({level.points})" for level in levels)]
    body = (
        f'<main class="board">\n<p class="over">{ASSIGNMENT}</p>\n<h1>Leaderboard</h1>\n'
        f"<p>{len(rows)} of {len(board)} took part. Names are pseudonyms; your feedback says yours.</p>\n"
        f"{table(head, rows, 'Points of everyone who took part, by level')}</main>\n"
    )
    return document(f"Leaderboard: {ASSIGNMENT}", body)
