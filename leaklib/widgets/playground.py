"""The real attack under a few choices: it runs where Python runs, with nothing newer than ipywidgets 7.7.

The attack runs in a thread of its own, so that the Stop button is heard while it works. One attack runs at a
time: starting one, or running the cell again, ends the one before.

Chapters: 8, 9.
"""

import math
import threading
import time
import weakref
from collections.abc import Callable, Mapping
from html import escape
from statistics import median

import ipywidgets as ipw
from IPython.display import display

from leaklib.experiment import Experiment, Result, run
from leaklib.types import Batch, Mechanism, Progress
from leaklib.widgets.frames import Trace, curves, pairs
from leaklib.widgets.results import show

Build = Callable[[int, Mechanism, int], Experiment]
"""From batch size, mechanism and seed to the experiment that is run."""

STORED = "Controls that run the attack itself. They appear when this cell is run."
PAUSE = 0.2  # seconds between two drawings: drawing each evaluation would slow the attack down
STILL = 50  # evaluations without a visible change
# In em: a rem is 10 pixels in the classic notebook, whose labels would be cut.
FORM = {"style": {"description_width": "8em"}, "layout": {"width": "24em", "max_width": "98%"}}
TEXT = "line-height:1.4;max-width:44em;white-space:normal"

_running: "weakref.WeakSet[Live]" = weakref.WeakSet()


class Attempt:
    """One press of Run: what it found so far, and the order to stop with its reason."""

    def __init__(self) -> None:
        self.stopped, self.why = threading.Event(), ""
        self.trace: Trace | None = None
        self.began, self.drawn = math.inf, 0.0

    def stop(self, why: str) -> None:
        self.why = after("Stopped", self.trace, why)
        self.stopped.set()


class Live:
    """Choices, two buttons and what the attack reports; its parts are ipywidgets under plain names.

    A notebook shows it when it is the value of a cell. ``result`` is the last finished run's.
    """

    def __init__(
        self, build: Build, max_batch_size: int, mechanisms: Mapping[str, Mechanism], evaluations: int
    ) -> None:
        self.build, self.mechanisms, self.evaluations = build, mechanisms, evaluations
        # Lists, which every front end labels for a screen reader; sliders of ipywidgets have no name there.
        self.batch_size = ipw.Dropdown(options=range(1, max_batch_size + 1), description="batch size", **FORM)
        self.mechanism = ipw.Dropdown(options=list(mechanisms), description="compression", **FORM)
        self.seed = ipw.Dropdown(options=range(10), description="seed", **FORM)
        self.ends = ipw.Checkbox(
            True, description="stop when nothing visible changes", indent=False, layout={"width": "auto"}
        )
        self.start = ipw.Button(description="Run", button_style="primary", tooltip="Run the attack")
        self.stop = ipw.Button(description="Stop", disabled=True, tooltip="Stop the attack")
        self.status, self.curves, self.pictures, self.message = (ipw.HTML() for _ in range(4))
        self.result: Result | None = None
        self.thread: threading.Thread | None = None
        self.attempt: Attempt | None = None
        self.start.on_click(self._run)
        self.stop.on_click(lambda _: self.end(""))
        form = [self.batch_size, self.mechanism, self.seed, self.ends, ipw.HBox([self.start, self.stop])]
        self.box = ipw.VBox([*form, self.status, self.message, self.pictures, self.curves])
        end_running(": another attack took its place")

    def _ipython_display_(self) -> None:
        # What is stored has no view: without a kernel it would be blank, and its id changes with every run.
        view = {"version_major": 2, "version_minor": 0, "model_id": self.box.model_id}
        display({"text/plain": STORED, "application/vnd.jupyter.widget-view+json": view}, raw=True)

    def end(self, why: str) -> None:
        """Stop the attack, if one runs; at once for the reader, while its last evaluation may go on."""
        if self.attempt is not None and self in _running:
            self.attempt.stop(why)
            self._idle()
            self._say(self.attempt.why)

    def _run(self, _: ipw.Button) -> None:
        end_running(": another attack took its place")
        self.attempt = Attempt()
        _running.add(self)
        self._busy(True)
        self.status.value = self.curves.value = self.pictures.value = ""
        self._say("Preparing the update.")
        chosen = self.batch_size.value, self.mechanisms[str(self.mechanism.value)], self.seed.value
        self.thread = threading.Thread(target=self._attack, args=(self.attempt, *chosen), daemon=True)
        self.thread.start()

    def _busy(self, busy: bool) -> None:
        for part in (self.batch_size, self.mechanism, self.seed, self.start):
            part.disabled = busy
        self.stop.disabled = not busy

    def _idle(self) -> None:
        _running.discard(self)
        self.status.value = ""
        self._busy(False)

    def _attack(self, attempt: Attempt, batch_size: int, mechanism: Mechanism, seed: int) -> None:
        def before(batch: Batch) -> None:
            attempt.trace, attempt.began = Trace(batch.inputs), time.monotonic()
            if not attempt.stopped.is_set():
                self._say("Running.")
                self.pictures.value = pairs(attempt.trace.truth, None, "reconstruction")

        try:
            experiment = self.build(batch_size, mechanism, seed)
            result = run(experiment, callback=lambda progress: self._watch(attempt, progress), before=before)
            if attempt is self.attempt:
                self._finish(attempt, result)
        except Exception as error:  # a thread's traceback would not reach the reader
            if attempt is self.attempt:
                why, *_ = [*str(error).splitlines(), ""]
                self._say(f"The attack failed with {type(error).__name__}: {why}")
        finally:
            if attempt is self.attempt:
                self._idle()

    def _watch(self, attempt: Attempt, progress: Progress) -> bool:
        if attempt.stopped.is_set():
            return True
        assert attempt.trace is not None
        attempt.trace.add(progress)
        if self.ends.value and attempt.trace.unchanged >= STILL:
            attempt.stop(f": nothing visible changed in the last {STILL}")
        now = time.monotonic()
        if now - attempt.drawn >= PAUSE and not attempt.stopped.is_set():
            attempt.drawn = now
            self._draw(attempt, now)
        return attempt.stopped.is_set()

    def _draw(self, attempt: Attempt, now: float) -> None:
        trace = attempt.trace
        assert trace is not None
        done = trace.evaluations[-1]
        left = (now - attempt.began) / done * max(0, self.evaluations - done)
        loss = f"{show(trace.loss[-1])} of gray's" if trace.relative else show(trace.loss[-1])
        self.status.value = (
            f'<div style="{TEXT}"><progress aria-label="evaluations" value="{done}" max="{self.evaluations}" '
            f'style="width:24em;max-width:98%;vertical-align:middle"></progress><br>'
            f"evaluation {done:,} of at most {self.evaluations:,} · at most {duration(left)} left<br>"
            f"PSNR {show(trace.psnr[-1])} dB, gray pictures {show(trace.floor)} dB · "
            f"minimized loss {loss}</div>"
        )
        self.pictures.value = pairs(trace.truth, trace.guess, "reconstruction so far")
        self.curves.value = curves(trace, self.evaluations)

    def _finish(self, attempt: Attempt, result: Result) -> None:
        self.result, trace = result, attempt.trace
        assert trace is not None
        paired = result.reconstruction.inputs.detach().cpu()[result.score.order].clamp(0, 1)
        self.pictures.value = pairs(trace.truth, paired, "reconstruction")
        if trace.evaluations:
            self.curves.value = curves(trace, self.evaluations)
        self._say((attempt.why or after("Ended", trace)) + verdict(result, trace.floor))

    def _say(self, sentence: str) -> None:
        self.message.value = f'<div role="status" style="{TEXT}">{escape(sentence)}</div>'


def end_running(why: str) -> None:
    """End whichever attack runs in this kernel."""
    for view in list(_running):
        view.end(why)


def live(build: Build, *, max_batch_size: int, mechanisms: Mapping[str, Mechanism], evaluations: int) -> Live:
    """Choices of batch size, compression and seed, which Run turns into ``build``'s experiment on pictures.

    ``mechanisms`` maps what the list shows to what the client does; ``evaluations`` is how many the attack
    takes at most, for the time left. An attack that an earlier ``live`` runs ends here. Raises ValueError
    where there is nothing to choose from.
    """
    if max_batch_size < 1 or not mechanisms or evaluations < 1:
        raise ValueError(
            f"expected max_batch_size ≥ 1, at least one mechanism and evaluations ≥ 1, "
            f"got {max_batch_size}, {len(mechanisms)} and {evaluations}"
        )
    return Live(build, max_batch_size, mechanisms, evaluations)


def after(how: str, trace: Trace | None, why: str = "") -> str:
    """How an attack came to its end, and after how many evaluations."""
    done = trace.evaluations[-1] if trace and trace.evaluations else 0
    return f"{how} after {done:,} evaluation{'s' * (done != 1)}{why}. "


def duration(seconds: float) -> str:
    """Rounded up, in the unit that a waiting reader counts in."""
    return f"{math.ceil(seconds)} s" if seconds <= 90 else f"{math.ceil(seconds / 60)} min"


def verdict(result: Result, floor: float) -> str:
    """PSNR, and what the attacker can tell without the truth: the loss as a share of its baseline.

    Where that is too much of it, also why the attack ended.
    """
    scores = sorted(result.score.psnr.tolist())
    spread = f" ({show(scores[0])} to {show(scores[-1])})" if len(scores) > 1 else ""
    guess = result.reconstruction
    share = guess.loss / guess.baseline if guess.baseline else math.nan
    found = (
        "explains the update" if share < 1e-3
        else "explains part of the update" if share < 0.1
        else "does not explain the update"
    )  # fmt: skip
    why = {"stuck": "Every start got stuck", "budget": "The evaluations are spent"}.get(guess.stop)
    failed = f" {why}: a failed search, and no proof of safety." if why and not share < 1e-3 else ""
    return (
        f"PSNR {show(median(scores))} dB{spread}, gray pictures {show(floor)} dB. "
        f"The reconstruction {found}: without a prior its loss is {show(share)} times that of gray pictures."
        f"{failed}"
    )
