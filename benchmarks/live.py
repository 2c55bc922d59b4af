"""The attack in the page, in headless Chromium: how fast, how well, how large, how smooth, how silent.

    python benchmarks/live.py runs.jsonl                  # can be stopped and resumed
    python benchmarks/live.py runs.jsonl --only default   # one part
    python benchmarks/live.py runs.jsonl --collect        # prints the table alone

Pictures are the first windows of ``Photos`` that are in color, chosen as files. Seconds run from the file's
choice to what the reader sees. For the phone the whole renderer is stopped three quarters of the time:
Chromium's own throttling leaves workers alone.
"""

import gzip
import math
import os
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from statistics import median

import torch
from PIL import Image
from playwright.sync_api import Browser, sync_playwright
from runs import Case, Runs, command_line, execute, read

from leaklib.attacks.dlg import DLG
from leaklib.client import FedSGD, share
from leaklib.data import Photos
from leaklib.metrics import psnr
from leaklib.models.lenet import LeNet
from leaklib.rng import generator
from leaklib.types import Batch, Progress
from leaklib.widgets.inpage import document

sys.path.append(str(Path(__file__).parents[1] / "scripts"))
sys.path.append(str(Path(__file__).parents[1] / "tests" / "inpage"))
import pages
from browsers import DATA, OVER, READY, WORKERS, ChromiumTab, recording

LABEL = 3  # what the page takes a picture of the reader's own for
GOALS = 20, 30, 60, 100  # dB
WINDOWS = [i for i in range(len(Photos())) if Photos.class_names[i % 8] != "photographer"]

# When each goal was reached, counted from the choice of the file, and the longest pause between two frames.
WATCH = """() => {
  const root = document.documentElement, seen = window.seen = {};
  const forget = () => Object.assign(seen, {began: performance.now(), goals: {}, gap: 0, last: 0});
  forget();
  document.addEventListener("change", event => event.target.type === "file" && forget(), true);
  document.addEventListener("click", event => event.target.id === "go" && forget(), true);
  new MutationObserver(() => {
    const decibel = Number(root.dataset.psnr), evaluations = Number(root.dataset.evaluations);
    if (!root.dataset.psnr || !evaluations) return;
    for (const goal of [20, 30, 60, 100]) {
      if (decibel >= goal) seen.goals[goal] ??= [(performance.now() - seen.began) / 1000, evaluations];
    }
  }).observe(root, {attributeFilter: ["data-psnr", "data-evaluations"]});
  const beat = now => {
    if (seen.last && root.dataset.state === "running") seen.gap = Math.max(seen.gap, now - seen.last);
    seen.last = now;
    requestAnimationFrame(beat);
  };
  requestAnimationFrame(beat);
}"""


STOP = """() => new Promise(done => {
  const root = document.documentElement, began = performance.now();
  new MutationObserver((_, watch) => {
    if (root.dataset.state !== "stopped") return;
    watch.disconnect();
    done(performance.now() - began);
  }).observe(root, {attributeFilter: ["data-state"]});
  document.getElementById("go").click();
})"""


# The evaluation at which the worker's best guess first has 30 dB: the page says so later, when it is drawn.
COUNT = """() => {
  window.Worker = class extends Worker {
    constructor(...given) {
      super(...given);
      this.addEventListener("message", ({data: {type, pictures, evaluations}}) => {
        if (type !== "frame" || !window.original || window.reached) return;
        const squares = pictures.map((value, i) => (value - original[i]) ** 2);
        const error = squares.reduce((sum, square) => sum + square) / squares.length;
        if (-10 * Math.log10(error) >= 30) window.reached = evaluations;
      });
    }
  };
}"""


class Bench:
    """Chromium, and the pictures as files."""

    def __init__(self, browser: Browser, folder: Path) -> None:
        self.browser, self.folder = browser, folder
        (folder / "live.html").write_text(document(), encoding="utf8")
        # The same page, but with a frame after each evaluation, so that these are counted exactly.
        counted = document().replace("const FRAME = 16;", "const FRAME = 0;")
        counted = counted.replace("const TURN = 10;", "const TURN = 0;")
        start, end = counted.index("<meta http-equiv"), counted.index("<meta name=")
        (folder / "counted.html").write_text(counted[:start] + counted[end:], encoding="utf8")

    def picture(self, index: int) -> Path:
        path = self.folder / f"{index}.png"
        pixels = (Photos().batch(index, 1).inputs[0] * 255).round().byte().permute(1, 2, 0)
        Image.fromarray(pixels.numpy()).save(path)
        return path

    @contextmanager
    def opened(self, fragment: str = "", name: str = "live.html", **circumstances) -> Iterator[ChromiumTab]:
        tab = ChromiumTab(self.browser, **circumstances)
        tab.page.add_init_script(f"addEventListener('DOMContentLoaded', {WATCH})")
        tab.before(WORKERS)
        tab.visit(f"{(self.folder / name).as_uri()}#start=click&{fragment}")
        tab.wait(READY, 60)
        try:
            yield tab
        finally:
            tab.close()

    def attack(self, index: int, goal: int | None, fragment: str = "", name: str = "live.html") -> Case:
        """One picture in a fresh page, until the goal in dB is reached or the attack is over."""
        with self.opened(fragment, name) as tab:
            return self.watched(tab, self.picture(index), goal)

    def watched(self, tab: ChromiumTab, picture: Path, goal: int | None) -> Case:
        tab.choose(picture)
        reached = f"() => window.seen.goals[{goal}] || ({OVER})()" if goal else OVER
        tab.wait("() => document.documentElement.dataset.evaluations > 0", 120)
        tab.wait(reached, 600)
        seen, data = tab.run("() => seen"), tab.run(DATA)
        return {
            "seconds": {goal: found[0] for goal, found in seen["goals"].items()},
            "evaluations": {goal: found[1] for goal, found in seen["goals"].items()},
            "psnr": float(data["psnr"]),
            "state": data["state"],
            "gap ms": seen["gap"],
            "requests": len(tab.requests),
        }

    def count(self, index: int) -> Case:
        tab = ChromiumTab(self.browser)
        tab.before(COUNT)
        tab.visit(f"{(self.folder / 'counted.html').as_uri()}#start=click")
        tab.wait(READY, 60)
        original = Photos().batch(index, 1).inputs.flatten().tolist()
        tab.run("original => { window.original = original; }", original)
        tab.choose(self.picture(index))
        reached = tab.wait("() => window.reached", 120)
        tab.close()
        return {"evaluations": {"30": reached}}

    def slowed(self, index: int) -> Case:
        with (
            self.opened(view=pages.PHONE, has_touch=True, is_mobile=True) as tab,
            quartered(self.renderers()),
        ):
            return self.watched(tab, self.picture(index), 30)

    def stop(self, times: int = 20) -> Case:
        """Milliseconds from the click to the new state, and from the page's word to the worker's last."""
        with self.opened() as tab:
            shown = []
            for _ in range(times):
                tab.run("() => document.getElementById('go').click()")
                tab.wait("() => Number(document.documentElement.dataset.evaluations) > 10", 60)
                shown.append(tab.run(STOP))
                tab.wait("() => heard.at(-1).reason === 'stopped'")
            asked = [message["at"] for message in tab.run("() => handed") if message["type"] == "stop"]
            ended = [m["at"] for m in tab.run("() => heard") if m.get("reason") == "stopped"]
        return {"shown ms": shown, "heard ms": [b - a for a, b in zip(asked, ended, strict=True)]}

    def memory(self) -> Case:
        """Megabytes in the middle of a run, by the browser's own count of scripts, workers and WebAssembly.

        And what its processes grew by since a blank page, with the browser's own tables for three threads.
        """
        (self.folder / "blank.html").write_text("<!doctype html><title>Blank</title>")
        isolated = {
            "Cross-Origin-Opener-Policy": "same-origin",
            "Cross-Origin-Embedder-Policy": "require-corp",
        }
        with recording(self.folder, isolated) as server:
            tab = ChromiumTab(self.browser)
            tab.visit(f"{server.address}/blank.html")
            tab.settle()
            empty = sum(map(megabytes, self.renderers()))
            tab.visit(f"{server.address}/live.html#start=click")
            tab.wait(READY, 60)
            tab.choose(self.picture(WINDOWS[0]))
            tab.wait("() => document.documentElement.dataset.evaluations > 200", 60)
            counted = tab.run("async () => (await performance.measureUserAgentSpecificMemory()).bytes / 1e6")
            grown = sum(map(megabytes, self.renderers())) - empty
            assert tab.run(DATA)["state"] == "running", "counted too late"
            tab.close()
        return {"counted": counted, "grown": grown}

    def renderers(self) -> list[int]:
        """Chromium's processes that show pages."""
        session = self.browser.new_browser_cdp_session()
        found = session.send("SystemInfo.getProcessInfo")["processInfo"]
        session.detach()
        return [process["id"] for process in found if process["type"] == "renderer"]


@contextmanager
def quartered(processes: list[int]) -> Iterator[None]:
    """Let processes run a quarter of the time, 5 of 20 ms."""
    over = threading.Event()

    def all_get(number: int) -> None:
        for process in processes:
            os.kill(process, number)

    def beat() -> None:
        while not over.is_set():
            all_get(signal.SIGSTOP)
            time.sleep(0.015)
            all_get(signal.SIGCONT)
            time.sleep(0.005)

    thread = threading.Thread(target=beat)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def megabytes(process: int) -> float:
    """What a process holds, of shared memory its part."""
    [line] = [
        line
        for line in Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
        if line.startswith("Pss:")
    ]
    return int(line.split()[1]) * 1024 / 1e6


def in_leaklib(index: int, goal: float = 30) -> Case:
    """The evaluations that leaklib's own search takes in the page's settings, in float64."""
    model, batch = LeNet(init_scale=None).build(0), Photos().batch(index, 1)
    update = share(model, Batch(batch.inputs, torch.tensor([LABEL])), FedSGD(), reveal_labels=True)
    update = replace(
        update, tensors={name: tensor.double() for name, tensor in update.tensors.items()}, model=None
    )
    best, reached = math.inf, None

    def callback(progress: Progress) -> bool:
        nonlocal best, reached
        if progress.loss < best:
            best = progress.loss
            if psnr(progress.inputs.double(), batch.inputs.double()).item() >= goal:
                reached = progress.evaluation
        return reached is not None

    attack = DLG(history=100, known_labels=True)
    attack(model.double(), update, generator=generator(0, "attack"), callback=callback)
    return {"evaluations": {str(int(goal)): reached}}


def parts(bench: Bench) -> dict[str, Callable[[], Runs]]:
    def each(indices: list[int], run: Callable[[int], Case], **settings: object) -> Runs:
        return [({"picture": index, **settings}, partial(run, index)) for index in indices]

    def attacked(indices: list[int], goal: int | None, fragment: str = "", name: str = "live.html") -> Runs:
        run = partial(bench.attack, goal=goal, fragment=fragment, name=name)
        return each(indices, run, fragment=fragment)

    return {
        "default": lambda: attacked(WINDOWS[:60], 30),
        "phone": lambda: each(WINDOWS[:10], bench.slowed),
        "closed": lambda: attacked(WINDOWS[:10], 100, "method=closed"),
        "uniform": lambda: attacked(WINDOWS[:10], 30, "weights=uniform"),
        "counted": lambda: each(WINDOWS[:20], bench.count),
        "leaklib": lambda: each(WINDOWS[:20], in_leaklib),
        "stop": lambda: [({}, bench.stop)],
        "memory": lambda: [({}, bench.memory)],
        "whole": lambda: attacked(WINDOWS[:5], None),
        **{
            f"{channels} channels": lambda channels=channels: attacked(
                WINDOWS[:10], None, f"channels={channels}"
            )
            for channels in range(8, 17)
        },
    }


def spread(values: list[float], digits: int = 2) -> str:
    values = sorted(values)
    return f"{median(values):.{digits}f} ({values[0]:.{digits}f} to {values[-1]:.{digits}f})"


def reached(rows: list[Case], goal: int, what: str = "seconds") -> list[float]:
    return [row[what][str(goal)] for row in rows if row[what].get(str(goal)) is not None]


def table(rows: list[Case]) -> Iterator[tuple[str, str]]:
    def of(part: str) -> list[Case]:
        return [row for row in rows if row["part"] == part]

    for part in ("default", "uniform", "phone"):
        if found := of(part):
            yield f"{part}: at 30 dB", f"{len(reached(found, 30))} of {len(found)}"
            for goal in (20, 30):
                yield f"{part}: seconds to {goal} dB", spread(reached(found, goal))
                yield f"{part}: evaluations to {goal} dB", spread(reached(found, goal, "evaluations"), 0)
    if found := of("closed"):
        for goal in (60, 100):
            times = reached(found, goal)
            yield f"closed form: seconds to {goal} dB", f"{len(times)} of {len(found)}: {spread(times)}"
    ours, theirs = (
        {row["case"]["picture"]: row["evaluations"].get("30") for row in of(part)}
        for part in ("counted", "leaklib")
    )
    if both := [index for index in ours if ours[index] and theirs.get(index)]:
        yield "evaluations to 30 dB in the page", spread([ours[index] for index in both], 0)
        yield "evaluations to 30 dB in leaklib", spread([theirs[index] for index in both], 0)
        yield "their quotient", spread([ours[index] / theirs[index] for index in both], 3)
    for channels in range(8, 17):
        if found := of(f"{channels} channels"):
            at = len(reached(found, 30))
            yield (
                f"{channels} channels: best PSNR",
                f"{spread([r['psnr'] for r in found], 1)}, {at} of {len(found)} at 30",
            )
    if runs := of("default") + of("closed"):
        yield "longest gap between frames of a run, ms", spread([row["gap ms"] for row in runs], 0)
        yield "requests after load, of all runs", str(sum(row["requests"] for row in runs))
    for row in of("stop"):
        yield "Stop to be shown, ms", spread(row["shown ms"], 1)
        yield "Stop to be heard by the worker, ms", spread(row["heard ms"], 1)
    for row in of("memory"):
        yield "MB that the browser counts during a run", f"{row['counted']:.1f}"
        yield "MB that its processes grew by", f"{row['grown']:.1f}"
    text = document().encode()
    yield (
        "kB to be loaded, compressed",
        f"{len(gzip.compress(text, 9, mtime=0)) / 1e3:.1f} of {len(text) / 1e3:.1f}",
    )


def main() -> None:
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        count_now = "--enable-blink-features=ForceEagerMeasureMemory"
        arguments = [*pages.ARGUMENTS, count_now]
        browser = playwright.chromium.launch(executable_path=pages.CHROMIUM, args=arguments)
        todo = parts(Bench(browser, Path(folder)))
        parser = command_line(__doc__, todo, Path("the table"))
        arguments = parser.parse_args()
        rows = read(*arguments.runs)
        if not arguments.collect:
            for part in arguments.only or todo:
                execute(part, todo[part](), rows, arguments.runs[0])
        browser.close()
    for what, measured in table(read(*arguments.runs)):
        print(f"| {what} | {measured} |")


if __name__ == "__main__":
    main()
