"""Live attacks show what they do, end when they are told to or nothing visible changes, and fail in words."""

import math
import re
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, replace
from html.parser import HTMLParser
from pathlib import Path
from statistics import median

import nbformat
import pytest
import torch
from nbformat.v4 import new_code_cell, new_notebook
from torch import nn

from leaklib.attacks.dlg import DLG
from leaklib.client import FedSGD
from leaklib.data import Photos
from leaklib.experiment import Experiment, run
from leaklib.mechanisms.identity import Identity
from leaklib.metrics import psnr
from leaklib.models.parts.build import seeded
from leaklib.types import Labels, Progress, Reconstruction, Stop
from leaklib.widgets import live
from leaklib.widgets.frames import Trace, curves
from leaklib.widgets.playground import STORED, Live, duration

ROOT = Path(__file__).parents[1]


class Shown(HTMLParser):
    """The text of a piece of HTML, its images and its labels."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.text, self.alts, self.labels = "", [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs) -> None:
        found = dict(attrs)
        self.alts += [found["alt"]] if tag == "img" else []
        self.labels += [found["aria-label"]] if "aria-label" in found else []

    def handle_data(self, data) -> None:
        self.text += data


@dataclass(frozen=True)
class Mlp:
    def build(self, seed: int) -> nn.Module:
        return seeded(seed, lambda: nn.Sequential(nn.Flatten(), nn.Linear(3072, 10)))


@dataclass(frozen=True)
class Patient:
    """Reports a picture ``steps`` times or until told to stop; the first ``moving`` times it flickers."""

    steps: int
    loss: float = 1e-6
    moving: int = 10**9
    seconds: float = 0.001
    stop: Stop = "solved"

    def __call__(self, model, update, *, generator, callback=None) -> Reconstruction:
        inputs = torch.full((update.num_examples, *update.input_shape), 0.5)
        labels: Labels = torch.zeros(update.num_examples, dtype=torch.long)
        if self.steps == 0:
            raise RuntimeError("no <steps>\nand a traceback")
        done = 0
        for done in range(1, self.steps + 1):
            time.sleep(self.seconds)
            guess = inputs + 0.01 * (done % 2) * (done <= self.moving)
            if callback is not None and callback(Progress(done, 1.0, guess, gray=2.0)):
                break
        return Reconstruction(
            inputs, labels, self.loss, baseline=1e-2, evaluations=done, restarts=1, stop=self.stop
        )


def playground(attack, evaluations: int = 5) -> tuple[Live, list[tuple[int, object, int]]]:
    asked = []

    def build(batch_size, mechanism, seed) -> Experiment:
        asked.append((batch_size, mechanism, seed))
        return Experiment(
            Photos(), Mlp(), FedSGD(), attack, mechanism=mechanism, batch_size=batch_size, seed=seed
        )

    mechanisms = {"none": Identity(), "the same": Identity()}
    return live(build, max_batch_size=16, mechanisms=mechanisms, evaluations=evaluations), asked


def wait(what, seconds: float = 60) -> None:
    until = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < until, "waited in vain"
        time.sleep(0.002)


def finish(view: Live) -> None:
    assert view.thread is not None
    view.thread.join(60)
    assert not view.thread.is_alive()


def said(view: Live) -> str:
    return Shown(view.message.value).text


def test_an_attack_runs_with_what_was_chosen() -> None:
    view, asked = playground(Patient(5))
    view.batch_size.value, view.mechanism.value, view.seed.value = 2, "the same", 3
    view.start.click()
    finish(view)
    assert asked == [(2, Identity(), 3)]
    assert view.result is not None, said(view)
    assert len(view.result.batch) == 2
    assert view.stop.disabled and not view.start.disabled
    assert re.match(
        r"Ended after 5 evaluations\. PSNR \d+(\.\d)? dB \(.* to .*\), gray pictures [\d.]+ dB\. "
        r"The reconstruction explains the update: "
        r"without a prior its loss is 1.0 × 10⁻⁴ times that of gray pictures\.$",
        said(view),
    )
    shown = Shown(view.pictures.value)
    assert shown.alts == [
        "original 1 of 2", "reconstruction 1 of 2", "original 2 of 2", "reconstruction 2 of 2"
    ]  # fmt: skip
    assert shown.text == "Originals above, reconstruction below, paired as they fit best."
    assert view.status.value == ""
    assert (
        Shown(view.curves.value).labels[1] == "minimized loss, as a share of gray's, after 5 evaluations: 0.5"
    )


@pytest.mark.parametrize(("loss", "words"), [(5e-4, "explains part of"), (1e-2, "does not explain")])
def test_a_loss_near_its_baseline_is_no_success(loss, words) -> None:
    view, _ = playground(Patient(1, loss))
    view.start.click()
    finish(view)
    assert f"The reconstruction {words} the update" in said(view)


def test_originals_stand_beside_the_guesses_from_the_first_picture_on() -> None:
    view, _ = playground(Patient(150), evaluations=800)
    seen = []
    view.pictures.observe(lambda change: seen.append(change["new"]), "value")
    view.batch_size.value = 16
    view.start.click()
    finish(view)
    pictures = [Shown(html) for html in seen if html]
    assert len(pictures) > 2
    originals = [f"original {i} of 16" for i in range(1, 9)]
    for picture in pictures:
        assert [alt for alt in picture.alts if alt.startswith("original")] == originals
        assert picture.text.startswith("The first 8 of 16: originals above, reconstruction")
    assert "reconstruction 8 of 16" in pictures[1].alts and "so far" in pictures[1].text


def test_a_running_attack_says_how_it_goes_and_how_long_at_most() -> None:
    view, _ = playground(Patient(10**6), evaluations=800)
    seen = []
    view.status.observe(lambda change: seen.append(change["new"]), "value")
    view.start.click()
    wait(lambda: len(seen) >= 3)
    time.sleep(1)
    view.stop.click()
    finish(view)
    assert len(seen) <= 12, "about five drawings a second"
    assert re.match(
        r"evaluation [\d,]+ of at most 800 · at most \d+ s left"
        r"PSNR [\d.]+ dB, gray pictures [\d.]+ dB · minimized loss 0\.5 of gray's$",
        Shown(seen[1]).text,
    )
    assert [duration(seconds) for seconds in (0.2, 90.0, 91.0)] == ["1 s", "90 s", "2 min"]


def test_an_attack_stops_when_it_is_told_to_and_can_run_again() -> None:
    view, asked = playground(Patient(1_000_000))
    for times in (1, 2):
        view.start.click()
        wait(lambda: "so far" in view.pictures.value)
        assert view.start.disabled and view.seed.disabled and not view.stop.disabled
        view.stop.click()
        finish(view)
        assert said(view).startswith("Stopped after ") and len(asked) == times
        assert not view.start.disabled and not view.seed.disabled and view.stop.disabled


def test_stop_is_heard_at_once_even_within_a_long_evaluation() -> None:
    view, _ = playground(Patient(100, seconds=1.5))
    view.start.click()
    wait(lambda: "Running" in said(view))
    began = time.monotonic()
    view.stop.click()
    assert said(view) == "Stopped after 0 evaluations. " and not view.start.disabled and view.stop.disabled
    assert time.monotonic() - began < 0.5
    first = view.thread
    view.start.click()  # before the first has noticed, which then ends in silence
    wait(lambda: "Running" in said(view))
    first.join(60)
    assert not first.is_alive() and view.result is None and view.start.disabled and said(view) == "Running."
    view.stop.click()
    finish(view)
    assert view.result is not None


@pytest.mark.parametrize(
    ("stop", "loss", "end"),
    [
        ("stuck", 5e-3, "Every start got stuck: a failed search, and no proof of safety."),
        ("budget", 5e-3, "The evaluations are spent: a failed search, and no proof of safety."),
        ("budget", 5e-6, "times that of gray pictures."),
        ("floor", 5e-3, "times that of gray pictures."),
    ],
)
def test_a_search_that_failed_says_how_it_ended(stop: Stop, loss: float, end: str) -> None:
    view, _ = playground(Patient(3, loss=loss, stop=stop))
    view.start.click()
    finish(view)
    assert said(view).endswith(end)


def test_an_attack_stops_where_nothing_visible_changes_unless_it_shall_go_on() -> None:
    view, _ = playground(Patient(200, moving=20))
    view.start.click()
    finish(view)
    assert said(view).startswith(
        "Stopped after 70 evaluations: nothing visible changed in the last 50. PSNR "
    )
    view.ends.value = False
    view.start.click()
    finish(view)
    assert (
        said(view).startswith("Ended after 200 evaluations. PSNR ")
        and view.result.reconstruction.evaluations == 200
    )


def test_a_cell_that_runs_again_ends_the_attack_before() -> None:
    before = threading.active_count()
    old, _ = playground(Patient(1_000_000))
    old.start.click()
    wait(lambda: "so far" in old.pictures.value)
    new, _ = playground(Patient(1_000_000))
    finish(old)
    assert "another attack took its place" in said(old) and not old.start.disabled
    new.start.click()
    wait(lambda: "so far" in new.pictures.value)
    old.start.click()
    finish(new)
    assert "another attack took its place" in said(new)
    old.stop.click()
    finish(old)
    assert threading.active_count() == before


def test_an_attack_that_fails_says_why_in_one_sentence() -> None:
    view, _ = playground(Patient(0))
    view.start.click()
    finish(view)
    assert said(view) == "The attack failed with RuntimeError: no <steps>"
    assert not view.start.disabled and view.result is None


def test_a_playground_needs_something_to_choose() -> None:
    with pytest.raises(ValueError, match="at least one mechanism"):
        live(lambda *_: pytest.fail("not run"), max_batch_size=4, mechanisms={}, evaluations=5)


def test_a_search_says_what_gray_scores_by_its_own_loss() -> None:
    seen: list[Progress] = []
    attack = DLG(steps=1, total_variation=1e-3, known_labels=True)
    experiment = Experiment(Photos(), Mlp(), FedSGD(), attack, reveal_labels=True)
    result = run(experiment, callback=seen.append)
    assert [progress.gray for progress in seen] == pytest.approx([result.reconstruction.baseline] * len(seen))
    unknown = replace(experiment, attack=DLG(steps=1), reveal_labels=False)  # labels are even then
    run(unknown, callback=seen.append)
    assert seen[-1].gray > 2 * seen[0].gray


def test_a_trace_measures_as_the_score_does_and_keeps_what_diverged_drawable() -> None:
    truth = Photos().batch(0, 3).inputs
    trace = Trace(truth)
    guess = (truth.flip(0) + 0.05).clamp(0, 1)
    trace.add(Progress(1, 0.5, guess, gray=0.25))
    assert trace.psnr == [pytest.approx(median(psnr(guess.flip(0), truth).tolist()), abs=1e-3)]
    assert torch.equal(trace.guess, guess.flip(0)) and trace.loss == [2.0]
    trace.add(Progress(2, math.nan, torch.full_like(truth, math.nan)))
    assert trace.psnr[-1] == pytest.approx(trace.floor, abs=0.01)
    trace.add(Progress(3, 0.0, truth))
    assert trace.psnr[-1] == math.inf
    assert "not defined" not in curves(trace, 10) and "nan" not in curves(trace, 10)


def test_nothing_that_is_shown_is_measured_in_rem() -> None:
    view, _ = playground(Patient(5))
    view.start.click()
    finish(view)
    shown = [view.status, view.message, view.pictures, view.curves]
    sizes = [
        str(part.layout.get_state()) + str(part.style.get_state()) for part in (view.seed, view.batch_size)
    ]
    assert not any(re.search(r"\drem\b", text) for text in [*sizes, *(part.value for part in shown)])


@pytest.mark.slow
def test_what_is_stored_says_how_to_get_the_controls(tmp_path) -> None:
    source = (
        "from leaklib.mechanisms.identity import Identity\nfrom leaklib.widgets.playground import live\n"
        "live(None, max_batch_size=4, mechanisms={'none': Identity()}, evaluations=5)"
    )
    path = tmp_path / "live.ipynb"
    nbformat.write(new_notebook(cells=[new_code_cell(source)]), path)
    subprocess.run([sys.executable, ROOT / "scripts" / "run_notebooks.py", path], check=True, cwd=ROOT)
    (output,) = nbformat.read(path, as_version=4).cells[0].outputs
    assert output.data == {"text/plain": STORED}
