"""Two browsers behind one handle: Debian's Chromium by Playwright, Debian's Firefox by WebDriver BiDi.

Firefox speaks BiDi itself, so nothing is needed but a WebSocket: https://w3c.github.io/webdriver-bidi/.
Playwright speaks it, too, but needs a later Firefox than Debian's.
"""

import http.server
import itertools
import json
import mimetypes
import re
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from websockets.sync.client import connect

from leaklib.widgets.inpage import document

FIREFOX = shutil.which("firefox-esr") or shutil.which("firefox")
WIDE, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}
# It finds no host but this one, and does nothing by itself.
PREFERENCES = {
    "network.proxy.type": 1,
    "network.proxy.http": "127.0.0.1",
    "network.proxy.http_port": 9,
    "network.proxy.ssl": "127.0.0.1",
    "network.proxy.ssl_port": 9,
    "app.normandy.enabled": False,
    "browser.shell.checkDefaultBrowser": False,
    "browser.startup.page": 0,
    "datareporting.policy.dataSubmissionEnabled": False,
    "network.captive-portal-service.enabled": False,
    "network.connectivity-service.enabled": False,
}
KEYS = {
    "Tab": "\ue004",
    "Enter": "\ue007",
    "Escape": "\ue00c",
    "Space": " ",
    "Shift": "\ue008",
    "ArrowLeft": "\ue012",
    "ArrowUp": "\ue013",
    "ArrowRight": "\ue014",
    "ArrowDown": "\ue015",
}
DATA = "() => ({...document.documentElement.dataset})"
READY = "() => document.documentElement.dataset.state === 'ready'"
RUNNING = "() => document.documentElement.dataset.state === 'running'"
OVER = "() => ['done', 'stopped'].includes(document.documentElement.dataset.state)"
CLEAR = "() => Number(document.documentElement.dataset.psnr) >= 30"
# Run before the page's script: what its workers are handed, and what they answer, each with the time.
WORKERS = """() => {
  window.handed = [];
  window.heard = [];
  let count = 0;
  window.Worker = class extends Worker {
    constructor(...given) {
      super(...given);
      this.number = count++;
      this.addEventListener("message", ({data: {type, reason, engine}}) =>
        heard.push({worker: this.number, type, reason, engine, at: performance.now()}));
    }
    postMessage(message, ...more) {
      const keys = Object.keys(message), at = performance.now();
      handed.push({worker: this.number, type: message.type, keys, at});
      super.postMessage(message, ...more);
    }
  };
}"""
INSIDE = ("about:", "blob:", "data:", "file:")  # schemes that no network hears of


class Tab:
    """One page of a browser, with nothing kept from another: what both browsers share."""

    name: str

    def evaluate(self, expression: str, frame: int | None = None) -> str:
        """The string that a promise of the page, or of its frame of this number, resolves to."""
        raise NotImplementedError

    def run(self, function: str, argument: object = None, frame: int | None = None):
        """Call a JavaScript function with one value, wait for its promise, and give what it returns."""
        text = json.dumps(json.dumps(argument))
        call = f"(async () => JSON.stringify(await ({function})(JSON.parse({text}))) ?? 'null')()"
        return json.loads(self.evaluate(call, frame))

    def wait(self, function: str, seconds: float = 20, frame: int | None = None):
        """What a JavaScript function returns as soon as that is true; TimeoutError with the page's state."""
        end = time.monotonic() + seconds
        while not (found := self.run(function, frame=frame)):
            if time.monotonic() > end:
                state = self.run("() => ({...document.documentElement.dataset})", frame=frame)
                raise TimeoutError(f"after {seconds} s still not {function}; the page: {state}")
            time.sleep(0.03)
        return found


class ChromiumTab(Tab):
    """A Playwright page in a context of its own; `page` is there for what only Playwright can do."""

    name = "chromium"

    def __init__(self, browser, view: dict = WIDE, slowdown: float = 1, **context) -> None:
        self.context = browser.new_context(viewport=view, **context)
        self.page = self.context.new_page()
        self.devtools = self.context.new_cdp_session(self.page)
        if slowdown != 1:
            self.devtools.send("Emulation.setCPUThrottlingRate", {"rate": slowdown})
        self.errors, self.requests = [], []
        self.page.on("pageerror", lambda error: self.errors.append(f"error: {error}"))
        self.page.on("console", lambda said: said.type == "error" and self.errors.append(said.text))
        self.page.on("request", lambda request: self._sent(request.url))
        self.page.on("websocket", lambda opened: self._sent(opened.url))

    def _sent(self, address: str) -> None:
        if not address.startswith(INSIDE):
            self.requests.append(address)

    def before(self, function: str) -> None:
        """Run a function in every document before its own scripts."""
        self.page.add_init_script(f"({function})()")

    def visit(self, address: str) -> None:
        self.page.goto(address)

    def evaluate(self, expression: str, frame: int | None = None) -> str:
        return self._place(frame).evaluate(expression)

    def _place(self, frame: int | None):
        return self.page.main_frame if frame is None else self.page.main_frame.child_frames[frame]

    def choose(self, path: Path, frame: int | None = None) -> None:
        self._place(frame).locator("input[type=file]").set_input_files(path)

    def click(self, selector: str) -> None:
        self.page.locator(selector).click()

    def press(self, *keys: str) -> None:
        self.page.keyboard.press("+".join(keys))

    def settle(self) -> None:
        """Let what is on its way arrive."""
        self.page.wait_for_timeout(300)

    def close(self) -> None:
        self.context.close()


class Firefox:
    """The browser as a process with a throw-away profile, and its commands."""

    def __init__(self) -> None:
        self.exits = ExitStack()
        self.listeners: dict[str, Callable[[str, dict], None]] = {}
        self.numbers = itertools.count()
        try:
            self._start()
        except BaseException:
            self.close()
            raise

    def _start(self) -> None:
        profile = Path(self.exits.enter_context(tempfile.TemporaryDirectory(ignore_cleanup_errors=True)))
        lines = [f"user_pref({json.dumps(k)}, {json.dumps(v)});" for k, v in PREFERENCES.items()]
        (profile / "user.js").write_text("\n".join(lines))
        command = [FIREFOX, "--headless", "--no-remote", "--remote-debugging-port=0", "--profile", profile]
        log = self.exits.enter_context(open(profile / "log", "w+"))
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
        self.exits.callback(_end, process)
        end = time.monotonic() + 60
        while not (found := re.search(r"listening on (ws://\S+)", (profile / "log").read_text())):
            if process.poll() is not None or time.monotonic() > end:
                raise RuntimeError(f"Firefox did not start: {(profile / 'log').read_text()}")
            time.sleep(0.05)
        # Its answers are read by the thread that asks; a full queue only makes Firefox wait.
        self.socket = self.exits.enter_context(connect(f"{found[1]}/session", max_size=None, proxy=None))
        self("session.new", capabilities={})
        self("session.subscribe", events=["network.beforeRequestSent", "log.entryAdded"])

    def __call__(self, method: str, **params: object) -> dict:
        """What Firefox answers to a command; RuntimeError with its own words where it refuses."""
        number = next(self.numbers)
        self.socket.send(json.dumps({"id": number, "method": method, "params": params}))
        while True:
            answer = json.loads(self.socket.recv(timeout=120))
            if answer.get("id") == number:
                break
            self._heard(answer)
        if answer["type"] == "error":
            raise RuntimeError(f"{method}: {answer['error']}: {answer['message']}")
        return answer["result"]

    def _heard(self, event: dict) -> None:
        params = event.get("params", {})
        top = params.get("context") or params.get("source", {}).get("context")
        for listener in self.listeners.values():
            listener(event.get("method", ""), params | {"context": top})

    def close(self) -> None:
        self.exits.close()


def _end(process: subprocess.Popen) -> None:
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


class FirefoxTab(Tab):
    name = "firefox"

    def __init__(self, firefox: Firefox, view: dict = WIDE) -> None:
        self.firefox = firefox
        self.errors, self.requests, self.frames = [], [], []
        self.user = firefox("browser.createUserContext")["userContext"]
        self.top = firefox("browsingContext.create", type="tab", userContext=self.user)["context"]
        firefox("browsingContext.setViewport", context=self.top, viewport=view)
        firefox.listeners[self.top] = self._heard

    def _heard(self, method: str, params: dict) -> None:
        # All that happens in this browser while the tab is open: a worker's requests name no tab.
        if method == "network.beforeRequestSent":
            if not params["request"]["url"].startswith((*INSIDE, "chrome:", "resource:", "moz-extension:")):
                self.requests.append(params["request"]["url"])
        elif params.get("level") == "error" and params["context"] in (self.top, *self.frames):
            self.errors.append(params.get("text") or "")

    def before(self, function: str) -> None:
        self.firefox("script.addPreloadScript", functionDeclaration=function, contexts=[self.top])

    def visit(self, address: str) -> None:
        self.firefox("browsingContext.navigate", context=self.top, url=address, wait="complete")
        tree = self.firefox("browsingContext.getTree", root=self.top)["contexts"][0]
        self.frames = [child["context"] for child in tree["children"]]

    def evaluate(self, expression: str, frame: int | None = None) -> str:
        found = self.firefox(
            "script.evaluate",
            expression=expression,
            target={"context": self._place(frame)},
            awaitPromise=True,
        )
        if found["type"] == "exception":
            raise RuntimeError(found["exceptionDetails"]["text"])
        return found["result"]["value"]

    def _place(self, frame: int | None) -> str:
        return self.top if frame is None else self.frames[frame]

    def _element(self, selector: str, frame: int | None = None) -> dict:
        locator = {"type": "css", "value": selector}
        found = self.firefox("browsingContext.locateNodes", context=self._place(frame), locator=locator)
        [node] = found["nodes"]
        return {"sharedId": node["sharedId"]}

    def choose(self, path: Path, frame: int | None = None) -> None:
        element, place = self._element("input[type=file]", frame), self._place(frame)
        self.firefox("input.setFiles", context=place, element=element, files=[str(path)])

    def click(self, selector: str) -> None:
        element = self._element(selector)
        self.run("selector => document.querySelector(selector).scrollIntoView({block: 'center'})", selector)
        move = {"type": "pointerMove", "x": 0, "y": 0, "origin": {"type": "element", "element": element}}
        steps = [move, {"type": "pointerDown", "button": 0}, {"type": "pointerUp", "button": 0}]
        self._act({"type": "pointer", "id": "mouse", "actions": steps})

    def press(self, *keys: str) -> None:
        values = [KEYS.get(key, key) for key in keys]
        down = [{"type": "keyDown", "value": value} for value in values]
        up = [{"type": "keyUp", "value": value} for value in reversed(values)]
        self._act({"type": "key", "id": "keyboard", "actions": down + up})

    def _act(self, source: dict) -> None:
        self.firefox("input.performActions", context=self.top, actions=[source])

    def settle(self) -> None:
        time.sleep(0.3)
        self.run("() => 0")

    def close(self) -> None:
        self.firefox.listeners.pop(self.top, None)
        self.firefox("browser.removeUserContext", userContext=self.user)


class Recorder(http.server.ThreadingHTTPServer):
    """A server on this machine that hands out a folder, answers everything else, and lists all requests."""

    daemon_threads = True

    def __init__(self, folder: Path | None, headers: dict[str, str]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.folder, self.headers, self.paths = folder, headers, []
        self.address = f"http://127.0.0.1:{self.server_address[1]}"
        threading.Thread(target=self.serve_forever, args=[0.05], daemon=True).start()

    def handle_error(self, request, client_address) -> None:
        pass  # a browser that closes its end early is none of the tests' concern


class _Handler(http.server.BaseHTTPRequestHandler):
    server: Recorder

    def answer(self) -> None:
        self.server.paths.append(self.path)
        path = self.path.split("?")[0].lstrip("/")
        file = self.server.folder / path if self.server.folder and path else None
        body = file.read_bytes() if file and file.is_file() else b""
        self.send_response(200)
        self.send_header("Content-Type", mimetypes.guess_type(path)[0] or "text/plain")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Access-Control-Allow-Origin", "*")
        for name, value in self.server.headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = do_OPTIONS = answer

    def log_message(self, *arguments) -> None:
        pass


@contextmanager
def recording(folder: Path | None = None, headers: dict[str, str] | None = None) -> Iterator[Recorder]:
    with Recorder(folder, headers or {}) as server:
        yield server
        server.shutdown()


# Fixtures, which conftest.py takes over


@pytest.fixture(scope="session")
def firefox():
    """Debian's Firefox, which finds no host but this one."""
    if FIREFOX is None:
        pytest.skip("no firefox-esr or firefox on this machine")
    firefox = Firefox()
    yield firefox
    firefox.close()


def tab_in(request):
    """A tab of the browser that the fixture's parameter names, until the fixture ends."""
    if request.param == "chromium":
        opened = ChromiumTab(request.getfixturevalue("browser"))
    else:
        opened = FirefoxTab(request.getfixturevalue("firefox"))
    yield opened
    opened.close()


@pytest.fixture(params=["chromium", "firefox"])
def tab(request):
    """A fresh tab, once in each browser."""
    yield from tab_in(request)


@pytest.fixture(scope="session")
def live(tmp_path_factory):
    """A folder with live.html alone."""
    folder = tmp_path_factory.mktemp("live")
    (folder / "live.html").write_text(document(), encoding="utf8")
    return folder
