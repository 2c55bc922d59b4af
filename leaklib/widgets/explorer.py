"""Sliders and buttons that answer on a static page: HTML with no kernel, library or network behind it.

The page holds a film strip of everything that was measured: the start is seen, the other positions can be
unfolded. A script hides the strip and builds controls, pictures and curves from it; where no script runs the
strip itself is read. On paper stand three of its frames, with all their pictures.

Chapters: 4, 8 to 15.
"""

from collections.abc import Iterable, Sequence
from html import escape
from itertools import product

from matplotlib.ticker import MaxNLocator

from leaklib.drawing import svg
from leaklib.widgets.page import Page, page
from leaklib.widgets.pictures import Store
from leaklib.widgets.results import Axis, Curve, Position, Value, show


class Explorer(Page):
    """What ``explore`` returns."""


def explore(
    results: Sequence[Position],
    axes: Sequence[Axis],
    *,
    title: str,
    curve: Curve | None = None,
    start: tuple[Value, ...] | None = None,
    printed: Sequence[tuple[Value, ...]] = (),
) -> Explorer:
    """A slider or a row of buttons for each axis over ``results``, which may leave places of the grid out.

    The curve runs along the first axis, a slider. The other axes are its setting: the curves of all other
    settings lie behind it, and a click on one chooses it. What was not measured cannot be chosen: a slider
    passes over it, a button says why it is disabled, and a new setting begins at its nearest position.

    ``start`` is shown first, or the first of ``results``. ``printed`` stand on paper beside it, else what is
    first and last along the first axis. Raises ValueError for a position off the grid, not measured or given
    twice, for values without a curve, for a curve along buttons, and for more than 1.5 MB.
    """
    places = _placed(results, axes)
    first = _measured(start if start is not None else results[0].at, places, axes)
    paper = _on_paper(first, [_measured(at, places, axes) for at in printed], places)
    if curve is None and any(position.value is not None for position in results):
        raise ValueError("some positions have a value but there is no curve: pass curve=Curve(name)")
    if curve is not None and axes[0].buttons:
        raise ValueError(f"a curve runs along a slider, got buttons for {axes[0].name!r}: put a slider first")
    grid = product(*(range(len(axis.values)) for axis in reversed(axes)))
    names = {place[::-1]: _name(place[::-1], axes) for place in grid}  # the first axis runs fastest
    drawn = {place: svg(position.drawing) for place, position in places.items() if position.drawing}
    store, frames = Store(), {}
    for p in dict.fromkeys((first, *paper, *(p for p in names if p in places))):
        kind = "first" if p == first else "printed" if p in paper else ""
        frames[p] = _frame(places[p], names[p], curve, store, drawn.get(p), kind)
    spec = {
        "title": title,
        "axes": [
            {"name": a.name, "values": a.shown(), "families": a.families, "buttons": a.buttons} for a in axes
        ],
        "start": first,
        "curve": None if curve is None else _scale(curve, results),
        "frames": [_data(places[p], curve, store, drawn.get(p)) if p in places else None for p in names],
    }
    strip = _strip(frames, [p for p in names if p in places], first, paper, _missing(places, axes))
    advice = (
        f"with {len(store)} different pictures and {len(store.drawn)} drawings: "
        "show fewer per position or leave positions out"
    )
    return Explorer(page("explorer", "strip", title, strip, spec, advice), title)


def _place(at: tuple[Value, ...], axes: Sequence[Axis]) -> tuple[int, ...]:
    if len(at) != len(axes) or any(v not in axis.values for v, axis in zip(at, axes, strict=True)):
        expected = " and one of ".join(f"{axis.name} {axis.values}" for axis in axes)
        raise ValueError(f"expected one of {expected}, got {at}")
    return tuple(axis.values.index(value) for value, axis in zip(at, axes, strict=True))


def _measured(
    at: tuple[Value, ...], places: dict[tuple[int, ...], Position], axes: Sequence[Axis]
) -> tuple[int, ...]:
    place = _place(at, axes)
    if place not in places:
        raise ValueError(f"expected a position that was measured to be shown first or on paper, got {at}")
    return place


def _on_paper(
    first: tuple[int, ...], asked: list[tuple[int, ...]], places: Iterable[tuple[int, ...]]
) -> list[tuple[int, ...]]:
    """The start and what is asked for, else two more: the ends of the first axis, its middle, other ends."""
    order = sorted(places, key=lambda place: place[::-1])
    along = [place for place in order if place[1:] == first[1:]]
    usual = [along[0], along[-1], along[len(along) // 2], order[-1], order[0]]
    found = dict.fromkeys([first, *asked] if asked else [first, *usual])
    return sorted(list(found)[: None if asked else 3], key=order.index)


def _placed(results: Sequence[Position], axes: Sequence[Axis]) -> dict[tuple[int, ...], Position]:
    if not axes or not results:
        raise ValueError(
            f"expected at least one axis and at least one result, got {len(axes)} and {len(results)}"
        )
    places: dict[tuple[int, ...], Position] = {}
    for position in results:
        place = _place(position.at, axes)
        if place in places:
            raise ValueError(f"expected each position once, got {position.at} twice")
        places[place] = position
    return places


def _name(place: tuple[int, ...], axes: Sequence[Axis]) -> str:
    return ", ".join(f"{axis.name}: {axis.shown()[i]}" for i, axis in zip(place, axes, strict=True))


def _missing(places: Iterable[tuple[int, ...]], axes: Sequence[Axis]) -> list[str]:
    """Names of what was not measured; where that is all along the first axis, of the setting alone."""
    measured, names = set(places), []
    every = range(len(axes[0].values))
    for setting in product(*(range(len(axis.values)) for axis in reversed(axes[1:]))):
        lost = [(i, *setting[::-1]) for i in every if (i, *setting[::-1]) not in measured]
        whole = len(lost) == len(every)
        names += [_name(setting[::-1], axes[1:])] if whole else [_name(place, axes) for place in lost]
    return names


def _mark(position: Position) -> str:
    return {True: "✓ ", False: "✗ ", None: ""}[position.holds]


def _frame(
    position: Position, name: str, curve: Curve | None, store: Store, drawing: str | None, kind: str
) -> str:
    """One frame of the film strip; those of a ``kind``, "first" or "printed", have all their pictures."""
    whole, first = kind != "", kind == "first"
    rows = "".join(store.row(row, name, whole=whole, first=first) for row in position.pictures)
    if drawing is not None:
        rows += store.drawing(drawing, name, f"{name}. {position.verdict}")
    value, spread = _reading(position, curve)
    told = [f"{curve.name} {value}, {spread}"] if curve is not None and spread else []
    numbers = escape("; ".join([*told, *(f"{number.name} {number}" for number in position.numbers)]))
    verdict, numbers = escape(_mark(position) + position.verdict), f"<p>{numbers}</p>" if numbers else ""
    return f"<figcaption>{escape(name)}</figcaption>{rows}{numbers}<p>{verdict}</p></figure>"


def _strip(
    frames: dict[tuple[int, ...], str],
    order: list[tuple[int, ...]],
    first: tuple[int, ...],
    paper: list[tuple[int, ...]],
    missing: list[str],
) -> str:
    """The start, the other positions folded, and what paper says of those that it leaves out."""
    kinds = {p: ' class="lx-printed"' for p in paper}
    kinds |= {p: ' class="lx-printed lx-before"' for p in paper if order.index(p) < order.index(first)}
    rest = "".join(f"<figure{kinds.get(p, '')}>{frames[p]}" for p in order if p != first)
    rest += f"<p>Not measured: {escape('; '.join(missing))}.</p>" if missing else ""
    count = len(order) - 1
    summary = (
        "Not measured" if count == 0 else f"The other {f'{count} positions' if count > 1 else 'position'}"
    )
    strip = f'<figure class="lx-printed lx-first">{frames[first]}'
    strip += f'<details class="lx-all"><summary>{summary}</summary>{rest}</details>' if rest else ""
    if len(paper) < len(order):
        # Where style is dropped this is read, too, and stays true.
        said = f"Paper shows {len(paper)} of {len(order)} positions, the website all of them"
        strip += f'<p class="lx-more">{said}</p>'
    return strip


def _data(position: Position, curve: Curve | None, store: Store, drawing: str | None) -> dict[str, object]:
    """A frame as the script reads it: pictures as numbers of the store, all else as text to be shown."""
    drawn = (position.value, position.low, position.high, position.floor)
    return {
        "rows": [[row.name, store.numbers(row), row.captions] for row in position.pictures],
        "numbers": [[number.name, str(number)] for number in position.numbers],
        "verdict": [_mark(position), position.verdict],
        "curve": [*(None if v is None else float(v) for v in drawn), _reading(position, curve)],
        "drawing": None if drawing is None else store.drawn[drawing][0],
    }


def _reading(position: Position, curve: Curve | None) -> tuple[str, str]:
    """The value, and what it is the middle of."""
    if curve is None or position.value is None:
        return "", ""
    count = [] if position.count is None else [f"median of {position.count}"]
    if position.low is not None and position.high is not None:
        count.append(f"{show(position.low)} to {show(position.high)}")
    return f"{show(position.value)} {curve.unit}".strip(), ", ".join(count)


def _scale(curve: Curve, results: Sequence[Position]) -> dict[str, object]:
    """One scale for all positions, so that the curve moves and its axis does not."""
    values = [v for p in results for v in (p.value, p.low, p.high, p.floor) if v is not None]
    values += [] if curve.mark is None else [curve.mark]
    low, high = curve.limits or ((min(values), max(values)) if values else (0, 1))
    first = low if curve.limits else min(low, 0) if high >= 0 else low
    ticks = [float(v) for v in MaxNLocator(4, steps=[1, 2, 2.5, 5, 10]).tick_values(first, high)]
    low, high = curve.limits or (ticks[0], ticks[-1])
    mark = None if curve.mark is None else f"{curve.mark_name} {show(curve.mark)} {curve.unit}".strip()
    return {
        "name": f"{curve.name} in {curve.unit}" if curve.unit else curve.name,
        "limits": [[float(v), show(v)] for v in (low, high)],
        "ticks": [[tick, show(tick)] for tick in ticks if low <= tick <= high],
        "mark": [curve.mark, mark],
        "spread": curve.spread,
        "floor": curve.floor,
    }
