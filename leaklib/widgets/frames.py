"""What a running attack looks like: pictures in pairs and two curves, as HTML that needs no script.

    share of gray = loss / what mid-gray pictures score by the same loss

Chapters: 8, 9.
"""

import base64
import math
from dataclasses import dataclass, field
from html import escape
from statistics import median

from torch import Tensor

from leaklib.drawing import NOTEBOOKS, PALETTE
from leaklib.metrics import gray_floor, match_batch
from leaklib.sweep.rows import png
from leaklib.types import Inputs, Progress
from leaklib.widgets.results import SUPERSCRIPTS, show

SHOWN = 8  # pictures of a large batch
VISIBLE = 1 / 510  # half a gray level of 8 bits: what a screen rounds away
CLEAR = -20 * math.log10(VISIBLE)  # dB; above 54 the guess looks like the original
FLAT = 0.1  # dB
SIDE = 96  # pixels of a picture on the page
POINTS = 200  # of a curve: more cannot be told apart
WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 280, 132, 34, 8, 22, 20

CURVE = PALETTE["ink"]["accent"]
# Text takes the color of the text around it, which every notebook sets; the curve has a color of its own.
STYLE = (
    f"<style>.leaky-curve{{stroke:{CURVE['light']}}}"
    f"{','.join(f'{dark} .leaky-curve' for dark in NOTEBOOKS)}{{stroke:{CURVE['dark']}}}</style>"
)


@dataclass
class Trace:
    """How an attack on the pictures ``truth`` went so far, and for how long nothing visible has changed.

    A change is visible if a picture moved by more than half a gray level (root mean square), or if the PSNR
    moved by a tenth of a decibel below the 54 dB from which a guess looks like the original.
    """

    truth: Inputs
    guess: Inputs = field(init=False)  # in the order of the originals that it fits best
    evaluations: list[int] = field(default_factory=list)
    psnr: list[float] = field(default_factory=list)  # dB, the median of the batch
    loss: list[float] = field(default_factory=list)  # the share of gray, or itself where that is unknown
    relative: bool = True
    unchanged: int = 0  # evaluations
    _seen: tuple[Inputs, float, int] | None = None

    def __post_init__(self) -> None:
        self.truth = self.truth.detach().cpu()
        self.floor = median(gray_floor(self.truth).tolist())

    def add(self, progress: Progress) -> None:
        # What diverged is gray from here on, so that it can be drawn and scored.
        guess = progress.inputs.detach().cpu().nan_to_num(0.5).clamp(0, 1)
        self.guess = guess[match_batch(guess, self.truth)] if len(guess) > 1 else guess
        decibels = _psnr(self.guess, self.truth)
        self.relative = progress.gray > 0
        self.evaluations.append(progress.evaluation)
        self.psnr.append(decibels)
        self.loss.append(progress.loss / progress.gray if self.relative else progress.loss)
        if self._seen is None or self._differs(guess, decibels):
            self._seen = guess, decibels, progress.evaluation
        self.unchanged = progress.evaluation - self._seen[2]

    def _differs(self, guess: Inputs, decibels: float) -> bool:
        assert self._seen is not None
        before, then, _ = self._seen
        moved = (guess - before).square().flatten(1).mean(1).sqrt().max().item()
        return moved > VISIBLE or abs(min(decibels, CLEAR) - min(then, CLEAR)) > FLAT


def _psnr(guess: Inputs, truth: Inputs) -> float:
    """The median; `metrics.psnr` gives the same digits and would take a tenth of the attack's own time."""
    return median((-10 * (guess - truth).square().flatten(1).mean(1).double().log10()).tolist())


def pairs(truth: Inputs, guess: Inputs | None, found: str) -> str:
    """Originals above the ``guess`` in their order, or above empty frames; ``found`` says what it is."""
    count = len(truth)
    columns = []
    for i in range(min(count, SHOWN)):
        frame = f"box-sizing:border-box;width:{SIDE}px;height:{SIDE}px;border:1px dashed"
        below = f'<div style="{frame}"></div>'
        if guess is not None:
            below = _picture(guess[i], f"reconstruction {i + 1} of {count}")
        columns.append(f"<div>{_picture(truth[i], f'original {i + 1} of {count}')}{below}</div>")
    which = (
        f"The first {SHOWN} of {count}: originals"
        if count > SHOWN
        else "Originals"
        if count > 1
        else "Original"
    )
    order = ", paired as they fit best" if count > 1 else ""
    return (
        f'<div style="line-height:1.4;white-space:normal">{which} above, {found} below{order}.</div>'
        f'<div style="display:flex;flex-wrap:wrap;gap:6px;margin:4px 0 8px">{"".join(columns)}</div>'
    )


def _picture(pixels: Tensor, alt: str) -> str:
    source = base64.b64encode(png(pixels)).decode()
    style = f"display:block;width:{SIDE}px;height:{SIDE}px;max-width:none;margin:0 0 3px;"
    style += "image-rendering:pixelated"
    return (
        f'<img src="data:image/png;base64,{source}" alt="{escape(alt)}" '
        f'width="{SIDE}" height="{SIDE}" decoding="sync" style="{style}">'
    )


def curves(trace: Trace, evaluations: int) -> str:
    """PSNR and loss over the evaluations so far; what mid-gray pictures score is a dashed line in both."""
    last, end = trace.evaluations[-1], 50
    while end < last:  # the axis doubles, so that the start of a long attack is not squeezed into a corner
        end *= 2
    across = max(last, min(end, evaluations))
    decibels = [min(value, 99.0) for value in trace.psnr]
    powers = [math.log10(max(value, 1e-12)) for value in trace.loss]
    name = "minimized loss, as a share of gray's" if trace.relative else "minimized loss"
    psnr = _Chart(
        "PSNR, dB",
        f"PSNR after {last:,} evaluations: {show(trace.psnr[-1])} dB; gray pictures {show(trace.floor)} dB",
        list(zip(trace.evaluations, decibels, strict=True)),
        trace.floor,
        [(float(value), str(value)) for value in range(0, 100, 10)],
        across,
    )
    loss = _Chart(
        name,
        f"{name}, after {last:,} evaluations: {show(trace.loss[-1])}",
        [(at, power) for at, power in zip(trace.evaluations, powers, strict=True) if math.isfinite(power)],
        0.0 if trace.relative else None,
        [
            (float(power), f"10{str(power).translate(SUPERSCRIPTS)}" if power else "1")
            for power in range(-12, 7)
        ],
        across,
    )
    return f'{STYLE}<div style="display:flex;flex-wrap:wrap;gap:4px 16px">{psnr.svg()}{loss.svg()}</div>'


@dataclass
class _Chart:
    name: str
    described: str
    points: list[tuple[int, float]]
    gray: float | None
    ticks: list[tuple[float, str]]  # a place and what stands there
    across: int  # evaluations

    def svg(self) -> str:
        values = [value for _, value in self.points] + ([] if self.gray is None else [self.gray])
        # From the last tick below what is shown to the first above, and at least two steps.
        first = max((i for i, (at, _) in enumerate(self.ticks) if at <= min(values, default=0)), default=0)
        last = next(
            (i for i, (at, _) in enumerate(self.ticks) if at >= max(values, default=0)), len(self.ticks) - 1
        )
        last = min(max(last, first + 2), len(self.ticks) - 1)
        self.low, self.high = self.ticks[first][0], self.ticks[last][0]
        shown = self.ticks[last : first - 1 if first else None : -math.ceil((last - first) / 4)]
        drawn = self.points[:: len(self.points) // POINTS + 1] + self.points[-1:]
        curve = " ".join(f"{self.x(at)},{self.y(value)}" for at, value in drawn)
        gray = "" if self.gray is None else self.level(self.gray, 'stroke-dasharray="4 3"')
        gray += "" if self.gray is None else self.text(WIDTH - RIGHT, self.y(self.gray), "gray", "-0.4em")
        scale = "".join(
            self.level(at, 'stroke-opacity="0.18"') + self.text(LEFT - 5, self.y(at), label, "0.35em")
            for at, label in shown
        )
        return (
            f'<svg role="img" aria-label="{escape(self.described)}" viewBox="0 0 {WIDTH} {HEIGHT}" '
            f'width="{WIDTH}" height="{HEIGHT}" '
            'style="max-width:100%;font-size:11px;font-family:inherit;fill:currentColor">'
            f'<text x="0" y="11" font-weight="600">{escape(self.name)}</text>{scale}{gray}'
            f'<polyline class="leaky-curve" points="{curve}" fill="none" stroke-width="2"/>'
            f"{self.text(LEFT + 4, str(HEIGHT - 5), '0')}"
            f"{self.text(WIDTH - RIGHT, str(HEIGHT - 5), f'{self.across:,} evaluations')}</svg>"
        )

    def x(self, at: int) -> str:
        return f"{LEFT + (WIDTH - LEFT - RIGHT) * at / self.across:.1f}"

    def y(self, value: float) -> str:
        return f"{TOP + (HEIGHT - TOP - BOTTOM) * (self.high - value) / (self.high - self.low):.1f}"

    def level(self, value: float, look: str) -> str:
        y = self.y(value)
        return f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y}" y2="{y}" stroke="currentColor" {look}/>'

    def text(self, right: int, y: str, words: str, lower: str = "0") -> str:
        return f'<text x="{right}" y="{y}" dy="{lower}" text-anchor="end">{words}</text>'
