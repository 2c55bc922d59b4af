"""The real attack under sliders: it runs where Python runs, with nothing newer than ipywidgets 7.7.

The attack runs in a thread of its own, so that the Stop button is heard while it works.

Chapters: 8, 9.
"""

import math
import threading
import time
from collections.abc import Callable, Mapping
from html import escape
from statistics import median

import ipywidgets as ipw
from IPython.display import display

from leaklib.experiment import Experiment, Result, run
from leaklib.types import Inputs, Mechanism, Progress
from leaklib.widgets.pictures import figure, png
from leaklib.widgets.results import show

Build = Callable[[int, Mechanism, int], Experiment]
"""From batch size, mechanism and seed to the experiment that is run."""

WHERE = (
    "These controls run the attack itself, so they need Python behind them. "
    "On the website: open this page in Colab or JupyterLab and run its cells."
)
SHOWN = 8  # pictures of a large batch
PAUSE = 0.2  # seconds between two pictures: drawing each would slow the attack down
PICTURE = "width:96px;height:96px;image-rendering:pixelated"
FORM = {"style": {"description_width": "7rem"}, "layout": {"width": "30rem", "max_width": "98%"}}


class Live:
    """Sliders, two buttons and what the attack reports; its parts are ipywidgets under plain names.

    A notebook shows it when it is the value of a cell. ``result`` is the last finished run's.
    """

    def __init__(
        self, build: Build, max_batch_size: int, mechanisms: Mapping[str, Mechanism], evaluations: int
    ) -> None:
        self.build, self.mechanisms = build, mechanisms
        self.batch_size = ipw.IntSlider(1, 1, max_batch_size, description="batch size", **FORM)
        self.mechanism = ipw.SelectionSlider(options=list(mechanisms), description="compression", **FORM)
        self.seed = ipw.IntSlider(0, 0, 9, description="seed", **FORM)
        self.start = ipw.Button(description="Run", button_style="primary")
        self.stop = ipw.Button(description="Stop", disabled=True)
        self.bar = ipw.IntProgress(0, 0, evaluations, description="evaluations", **FORM)
        self.pictures, self.message = ipw.HTML(), ipw.HTML()
        self.result: Result | None = None
        self.thread: threading.Thread | None = None
        self._stopped, self._drawn = threading.Event(), 0.0
        self.start.on_click(self._run)
        self.stop.on_click(lambda _: self._stopped.set())
        form = [self.batch_size, self.mechanism, self.seed, ipw.HBox([self.start, self.stop])]
        self.box = ipw.VBox([*form, self.bar, self.message, self.pictures])

    def _ipython_display_(self) -> None:
        # Two outputs: without a kernel the first is what remains, since a stored view would be blank.
        display({"text/html": f"<p><em>{WHERE}</em></p>", "text/plain": WHERE}, raw=True)
        view = {"version_major": 2, "version_minor": 0, "model_id": self.box.model_id}
        display({"application/vnd.jupyter.widget-view+json": view}, raw=True)

    def _run(self, _: ipw.Button) -> None:
        self._stopped.clear()
        self._drawn = 0.0
        self._busy(True)
        self.bar.value, self.pictures.value = 0, ""
        self._say("Running.")
        chosen = self.batch_size.value, self.mechanisms[self.mechanism.value], self.seed.value
        self.thread = threading.Thread(target=self._attack, args=chosen, daemon=True)
        self.thread.start()

    def _busy(self, busy: bool) -> None:
        for part in (self.batch_size, self.mechanism, self.seed, self.start):
            part.disabled = busy
        self.stop.disabled = not busy

    def _attack(self, batch_size: int, mechanism: Mechanism, seed: int) -> None:
        try:
            self._finish(run(self.build(batch_size, mechanism, seed), callback=self._watch))
        except Exception as error:  # a thread's traceback would not reach the reader
            self._say(f"The attack failed with {type(error).__name__}: {error}")
        finally:
            self._busy(False)

    def _watch(self, progress: Progress) -> bool:
        now = time.monotonic()
        if now - self._drawn >= PAUSE:
            self._drawn, self.bar.value = now, progress.evaluation
            self.pictures.value = _row("reconstruction so far", progress.inputs)
        return self._stopped.is_set()

    def _finish(self, result: Result) -> None:
        self.result, guess = result, result.reconstruction
        self.bar.value = guess.evaluations if self._stopped.is_set() else self.bar.max
        paired = guess.inputs[result.score.order.to(guess.inputs.device)]
        self.pictures.value = _row("original", result.batch.inputs) + _row("reconstruction", paired)
        when = f"Stopped after {guess.evaluations:,} evaluations. " if self._stopped.is_set() else ""
        self._say(when + verdict(result))

    def _say(self, sentence: str) -> None:
        self.message.value = f'<div style="line-height:1.4;max-width:40rem">{escape(sentence)}</div>'


def live(build: Build, *, max_batch_size: int, mechanisms: Mapping[str, Mechanism], evaluations: int) -> Live:
    """Sliders for batch size, compression and seed, which Run turns into ``build``'s experiment on pictures.

    ``mechanisms`` maps what the slider shows to what the client does; ``evaluations`` is how many the attack
    takes at most, for the progress bar. Raises ValueError where there is nothing to choose from.
    """
    if max_batch_size < 1 or not mechanisms or evaluations < 1:
        raise ValueError(
            f"expected max_batch_size ≥ 1, at least one mechanism and evaluations ≥ 1, "
            f"got {max_batch_size}, {len(mechanisms)} and {evaluations}"
        )
    return Live(build, max_batch_size, mechanisms, evaluations)


def verdict(result: Result) -> str:
    """PSNR, and what the attacker can tell without the truth: the loss as a share of its baseline."""
    scores = sorted(result.score.psnr.tolist())
    spread = f" ({show(scores[0])} to {show(scores[-1])})" if len(scores) > 1 else ""
    guess = result.reconstruction
    share = guess.loss / guess.baseline if guess.baseline else math.nan
    found = (
        "explains the update" if share < 1e-3
        else "explains part of the update" if share < 0.1
        else "does not explain the update"
    )  # fmt: skip
    return (
        f"PSNR {show(median(scores))} dB{spread}. The reconstruction {found}: "
        f"its loss is {show(share)} times that of gray pictures."
    )


def _row(name: str, pictures: Inputs) -> str:
    shown = pictures[:SHOWN].detach().clamp(0, 1)
    figures = "".join(
        figure(png(p), f"{name} {i} of {len(pictures)}", style=PICTURE) for i, p in enumerate(shown, 1)
    )
    return (
        f"<div style='line-height:1.4'>{name}</div>"
        f"<div style='display:flex;flex-wrap:wrap;gap:4px;margin-bottom:8px'>{figures}</div>"
    )
