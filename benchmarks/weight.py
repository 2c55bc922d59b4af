"""How heavy and how fast pages are on a slow phone: what they load, when they are painted, what moves.

    make book && python benchmarks/weight.py               # about five minutes, prints the table
    python benchmarks/weight.py --site FOLDER --times 1     # another site, once
    CHROME_PATH=/usr/bin/chromium python benchmarks/weight.py --lighthouse node_modules/.bin/lighthouse

A phone of 390 pixels with a quarter of this machine's speed and 1.6 Mbit/s at 150 ms there and back, an empty
cache, and a server that compresses as those of the web do. Bytes are those on the wire: until nothing more is
loaded at the top of the page, and after the whole page was scrolled past without touching a figure. The
blocking time is what tasks take beyond 50 ms each, the shift is the sum of all, not the worst window alone.
"""

import argparse
import functools
import gzip
import http.server
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

from playwright.sync_api import Browser, sync_playwright

sys.path.append(str(Path(__file__).parents[1] / "scripts"))
from pages import ARGUMENTS, CHROMIUM, PHONE, SITE

PAGES = {
    "front page": "index.html",
    "chapter 3": "chapters/03_dlg.html",
    "chapter 8": "chapters/08_batch_size.html",
    "chapter 9": "chapters/09_compression.html",
    "chapter 15": "chapters/15_comparison.html",
}
SLOW = {
    "offline": False,
    "latency": 150,
    "downloadThroughput": 1_600_000 / 8,
    "uploadThroughput": 750_000 / 8,
}
COMPRESSED = {".html", ".css", ".js", ".json", ".svg", ".xml", ".txt", ".ipynb"}
# Kept from the first moment on.
WATCH = """
  window.seen = {paint: 0, what: "", blocked: 0, shift: 0};
  const watch = (type, use) => new PerformanceObserver(list => list.getEntries().forEach(use))
    .observe({type, buffered: true});
  if (window === top) {
    watch("largest-contentful-paint", entry => {
      seen.paint = entry.startTime;
      seen.what = entry.element?.outerHTML.slice(0, 60) ?? "";
    });
    watch("longtask", entry => { seen.blocked += Math.max(0, entry.duration - 50); });
    watch("layout-shift", entry => { seen.shift += entry.hadRecentInput ? 0 : entry.value; });
  }
"""
SCROLL = """async () => {
  for (let y = 0; y < document.documentElement.scrollHeight; y += innerHeight / 2) {
    scrollTo(0, y);
    await new Promise(done => setTimeout(done, 60));
  }
}"""


class Compressing(http.server.SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        path = Path(self.translate_path(self.path))
        path = path / "index.html" if path.is_dir() else path
        if not path.is_file():
            self.send_error(404)
            return
        data = packed(path) if path.suffix in COMPRESSED else path.read_bytes()
        self.send_response(200)
        self.send_header("Content-Type", self.guess_type(path.name))
        self.send_header("Content-Length", str(len(data)))
        self.send_header("Cache-Control", "max-age=600")
        if path.suffix in COMPRESSED:
            self.send_header("Content-Encoding", "gzip")
        self.end_headers()
        self.wfile.write(data)


@functools.cache
def packed(path: Path) -> bytes:
    return gzip.compress(path.read_bytes(), mtime=0)


@contextmanager
def served(site: Path) -> Iterator[str]:
    """The address at which this machine alone finds the site."""
    handler = functools.partial(Compressing, directory=str(site))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def visit(browser: Browser, address: str) -> dict[str, float]:
    """One visit with an empty cache."""
    context = browser.new_context(viewport=PHONE, device_scale_factor=2, is_mobile=True, has_touch=True)
    page = context.new_page()
    page.add_init_script(WATCH)
    tools = context.new_cdp_session(page)
    loaded = []
    tools.on("Network.loadingFinished", lambda done: loaded.append(done["encodedDataLength"]))
    tools.send("Network.enable")
    tools.send("Network.emulateNetworkConditions", SLOW)
    tools.send("Emulation.setCPUThrottlingRate", {"rate": 4})
    page.goto(address, wait_until="load", timeout=120_000)
    page.wait_for_load_state("networkidle")
    page.wait_for_timeout(1500)
    seen, first = page.evaluate("seen"), sum(loaded)
    tools.send("Emulation.setCPUThrottlingRate", {"rate": 1})
    page.evaluate(SCROLL)
    page.wait_for_load_state("networkidle")
    page.wait_for_timeout(1000)
    context.close()
    return {
        "first": first / 1000,
        "read": sum(loaded) / 1000,
        "paint": seen["paint"] / 1000,
        "blocked": seen["blocked"],
        "shift": seen["shift"],
        "what": seen["what"],
    }


COLUMNS = [
    ("first", "loaded at first view, kB", "{:.0f}"),
    ("read", "... scrolled to the end, kB", "{:.0f}"),
    ("paint", "largest paint, s", "{:.2f}"),
    ("blocked", "blocking time, ms", "{:.0f}"),
    ("shift", "layout shift", "{:.3f}"),
]


def spread(values: list[float], shape: str) -> str:
    """The median, and least and most where these are others."""
    middle, low, high = (shape.format(value) for value in (median(values), min(values), max(values)))
    return middle if low == high else f"{middle} ({low} to {high})"


def row(name: str, visits: list[dict]) -> str:
    cells = [spread([found[key] for found in visits], shape) for key, _, shape in COLUMNS]
    return f"| {name} | {' | '.join(cells)} |"


def lighthouse(program: str, address: str) -> str:
    """Lighthouse's scores, of 100, of its phone with its own throttling."""
    command = [program, address, "--quiet", "--output=json", "--chrome-flags=--headless=new --no-sandbox"]
    report = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    lost = [
        report["audits"][audit["id"]]["title"]
        for name, category in report["categories"].items()
        for audit in category["auditRefs"]
        if name != "performance"
        and audit["weight"]
        and (report["audits"][audit["id"]]["score"] or 0) < 1
        and report["audits"][audit["id"]]["scoreDisplayMode"]
        not in ("notApplicable", "manual", "informative")
    ]
    scores = ", ".join(f"{one['title']} {100 * one['score']:.0f}" for one in report["categories"].values())
    return scores + "".join(f"\n  not met: {title}" for title in lost)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--site", type=Path, default=SITE)
    parser.add_argument("--times", type=int, default=5)
    parser.add_argument("--lighthouse", help="its program: scores alone")
    given = parser.parse_args()
    pages = {name: path for name, path in PAGES.items() if (given.site / path).exists()}
    with served(given.site) as address:
        if given.lighthouse:
            for name, path in pages.items():
                print(f"{name}: {lighthouse(given.lighthouse, f'{address}/{path}')}", flush=True)
            return
        print("| page | " + " | ".join(heading for _, heading, _ in COLUMNS) + " |")
        print("|---|" + "---|" * len(COLUMNS))
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
            for name, path in pages.items():
                visits = [visit(browser, f"{address}/{path}") for _ in range(given.times)]
                print(row(name, visits), flush=True)
                print(f"  largest: {visits[0]['what']}", file=sys.stderr)


if __name__ == "__main__":
    main()
