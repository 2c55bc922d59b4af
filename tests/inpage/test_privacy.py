"""Nothing leaves the page: every way out is tried from inside, and a server next door hears of none.

No content policy forbids that a document goes somewhere else, opens a window or calls by WebRTC: the page's
script, the only one that may run, is searched for these instead.
"""

import re
import time
from urllib.parse import unquote

import numpy as np
import pytest
from browsers import CLEAR, OVER, READY, RUNNING, WORKERS, recording
from PIL import Image

from leaklib.widgets import inpage

# Each tries to reach the address; its promise fails where it can tell that it did not.
FROM_WORKER = r"""{
  "fetch": address => fetch(address, {mode: "no-cors"}),
  "fetch that outlives the page": address =>
    fetch(address, {method: "POST", body: "picture", mode: "no-cors", keepalive: true}),
  "XMLHttpRequest": address => new Promise((done, fail) => {
    const request = new XMLHttpRequest();
    request.onload = done;
    request.onerror = fail;
    request.open("POST", address);
    request.send("picture");
  }),
  "WebSocket": address => new Promise((done, fail) => {
    const socket = new WebSocket(address.replace("http", "ws"));
    socket.onopen = done;
    socket.onerror = fail;
  }),
  "EventSource": address => new Promise((done, fail) => {
    const source = new EventSource(address);
    source.onopen = done;
    source.onerror = () => { source.close(); fail(); };
  }),
  "module": address => import(`${address}.js`),
  "worker": address => new Promise((done, fail) => {
    const worker = new Worker(`${address}.js`);
    worker.onerror = fail;
    setTimeout(done, 700);
  }),
}"""
IN_WORKER_ONLY = r"""{"importScripts": async address => importScripts(`${address}.js`)}"""
IN_DOCUMENT_ONLY = r"""(() => {
  const loaded = (element, address) => new Promise((done, fail) => {
    element.onload = done;
    element.onerror = fail;
    element[{link: "href", object: "data", script: "src"}[element.localName]] = address;
    document.body.append(element);
  });
  const make = (name, more = {}) => Object.assign(document.createElement(name), more);
  return {
    "sendBeacon": async address => { if (!navigator.sendBeacon(address, "picture")) throw Error(); },
    "new Image": address => new Promise((done, fail) => {
      Object.assign(new Image(), {onload: done, onerror: fail, src: `${address}.png`});
    }),
    "background": async address => { document.body.style.backgroundImage = `url("${address}.png")`; },
    "stylesheet": address => loaded(make("link", {rel: "stylesheet"}), `${address}.css`),
    "import in a style": async address => {
      document.head.append(make("style", {textContent: `@import url("${address}.css");`}));
    },
    "font": address => new FontFace("stolen", `url("${address}.woff2")`).load(),
    "script": address => loaded(make("script"), `${address}.js`),
    "audio": address => new Promise((done, fail) => {
      Object.assign(new Audio(), {onloadeddata: done, onerror: fail, src: `${address}.mp3`}).load();
    }),
    "object": address => loaded(make("object"), address),
    "frame": async address => { document.body.append(make("iframe", {src: address})); },
  };
})()"""
TRY = r"""async ({attempts, addresses}) => {
  const after = (time, value) => new Promise(done => setTimeout(done, time, value));
  const outcomes = {};
  await Promise.all(addresses.flatMap(address => Object.entries(attempts).map(async ([name, attempt]) => {
    const tried = (async () => attempt(`${address}/${encodeURIComponent(name)}`))();
    const outcome = tried.then(() => "no error", () => "failed");
    outcomes[name] = await Promise.race([outcome, after(1500, "no word")]);
  })));
  return outcomes;
}"""
IN_DOCUMENT = f"addresses => ({TRY})({{attempts: {{...{FROM_WORKER}, ...{IN_DOCUMENT_ONLY}}}, addresses}})"
WORKER = f"""onmessage = async ({{data}}) => postMessage(
  await ({TRY})({{attempts: {{...{FROM_WORKER}, ...{IN_WORKER_ONLY}}}, addresses: data}}));"""
IN_WORKER = """([code, addresses]) => new Promise((done, fail) => {
  const worker = new Worker(URL.createObjectURL(new Blob([code], {type: "text/javascript"})));
  worker.onmessage = ({data}) => done(data);
  worker.onerror = event => fail(Error(event.message));
  worker.postMessage(addresses);
})"""


@pytest.fixture
def attempted(tab, tmp_path):
    """Opens a document and tries everything in it: what each attempt came to, and which were heard next door.

    Waits for those that are expected there: on a busy machine they may be late.
    """

    def attempted(html, scheme, expected=frozenset()):
        (tmp_path / "live.html").write_text(html, encoding="utf8")
        with recording(tmp_path) as own, recording() as other:
            tab.visit(f"{own.address}/live.html" if scheme == "http" else (tmp_path / "live.html").as_uri())
            tab.settle()
            own.paths.clear()
            servers = [own.address, other.address] if scheme == "http" else [other.address]
            outcomes = tab.run(IN_DOCUMENT, [f"{address}/document" for address in servers])
            there = [f"{address}/worker" for address in servers]
            outcomes |= {f"{k} in a worker": v for k, v in tab.run(IN_WORKER, [WORKER, there]).items()}
            end = time.monotonic() + 20
            while True:
                tab.settle()
                heard = {named(path) for server in (own, other) for path in server.paths} - {None}
                if heard >= expected or time.monotonic() > end:
                    return outcomes, heard

    return attempted


def named(path):
    """Which attempt a request came from; None for the browser's own question for an icon."""
    found = re.fullmatch(r"/(document|worker)/([^.?]+).*", unquote(path))
    if not found:
        assert path == "/favicon.ico"
        return None
    return found[2] + " in a worker" * (found[1] == "worker")


def loosened(directive, value="*"):
    """The document, with one directive of its policy replaced, or taken out."""
    html, count = re.subn(rf"{directive} [^;\"]+", f"{directive} {value}" if value else "", inpage.document())
    assert count == 1
    return html


def without_policy():
    html, count = re.subn(r"<meta http-equiv=.?Content-Security-Policy.*?>", "", inpage.document())
    assert count == 1
    return html


# What each directive of the policy holds back. A new style is held back by its hash, so its import is, too.
CONNECTIONS = {"fetch", "fetch that outlives the page", "XMLHttpRequest", "WebSocket", "EventSource"}
LEAKS = {
    "connect-src": {*CONNECTIONS, *(f"{name} in a worker" for name in CONNECTIONS), "sendBeacon"},
    "default-src": {"font", "audio", "object", "frame"},
    "img-src": {"new Image", "background"},
    "worker-src": {"worker", "worker in a worker"},
    "style-src": {"stylesheet"},
    "script-src": {"script", "module", "module in a worker", "importScripts in a worker"},
}
EVERYTHING = set().union(*LEAKS.values(), {"import in a style"})


@pytest.mark.parametrize("scheme", ["http", "file"])
def test_no_attempt_leaves_the_page(attempted, scheme):
    outcomes, heard = attempted(inpage.document(), scheme)
    assert heard == set() and set(outcomes) == EVERYTHING
    # These say nothing of how it went: the next test shows that they do go out where they may.
    quiet = {"sendBeacon", "background", "import in a style", "frame"}
    assert {name for name, outcome in outcomes.items() if outcome != "failed"} <= quiet


@pytest.mark.parametrize("scheme", ["http", "file"])
def test_without_the_policy_all_of_them_do(attempted, scheme):
    # A worker has to be of the page's own origin, and a file has none.
    expected = EVERYTHING - {"worker", "worker in a worker"} if scheme == "file" else EVERYTHING
    outcomes, heard = attempted(without_policy(), scheme, expected)
    assert set(outcomes) == EVERYTHING and heard == expected


@pytest.mark.sampled(4)
@pytest.mark.parametrize("directive", LEAKS)
def test_each_directive_holds_something_back(attempted, directive):
    value = "* blob:" if directive == "worker-src" else "*"  # the attempts in a worker need a blob
    assert attempted(loosened(directive, value), "http", LEAKS[directive])[1] == LEAKS[directive]


def test_connections_are_forbidden_twice():
    """By name and by default: a test that attempts them could not tell which of the two is gone."""
    policy = re.search(r"content=\"(default-src[^\"]+)", inpage.document())[1]
    assert {"default-src 'none'", "connect-src 'none'"} <= set(policy.split("; "))


def opened(tab, html, folder):
    (folder / "live.html").write_text(html, encoding="utf8")
    tab.visit((folder / "live.html").as_uri())


FORM = """address => {
  const form = Object.assign(document.createElement("form"), {action: address, method: "get"});
  form.append(Object.assign(document.createElement("input"), {name: "picture", value: "picture"}));
  document.body.append(form);
  setTimeout(() => form.submit());
}"""


def test_a_form_goes_nowhere(tab, tmp_path):
    with recording() as server:
        heard = []
        for html in (inpage.document(), loosened("form-action")):
            opened(tab, html, tmp_path)
            tab.run(FORM, f"{server.address}/form")
            time.sleep(0.7)
            heard.append("/form?picture=picture" in server.paths)
    assert heard == [False, True]


INLINE = """async () => {
  const run = "document.body.dataset.ran = 1";
  const add = (name, more) => document.body.append(Object.assign(document.createElement(name), more));
  add("script", {textContent: run});
  add("div", {innerHTML: `<img src="x:" onerror="${run}">`});
  setTimeout(run);
  await new Promise(done => setTimeout(done, 200));
  return document.body.dataset.ran ?? null;
}"""


def test_no_other_script_runs(tab, tmp_path):
    found = []
    for html in (inpage.document(), without_policy()):
        opened(tab, html, tmp_path)
        found.append(tab.run(INLINE))
    assert found == [None, "1"]


# The ways out that a content policy leaves open, and those that it closes: nobody should even try.
WAYS = r"""RTCPeerConnection|WebTransport|fetch\(|XMLHttpRequest|sendBeacon|WebSocket|EventSource
|importScripts|window\.open|(?<![.\w])open\(|\.submit\(|\.requestSubmit\(|http-equiv|preconnect|dns-prefetch|\bimport\(
|location\s*=|location\.(assign|replace|reload|href\s*=)|navigation\.navigate"""


def test_the_script_knows_no_way_out():
    """The policy lets no other script run: what this one does not say, nobody does."""
    [script] = re.findall(r"<script>(.*?)</script>", inpage.document(), re.DOTALL)
    assert [found[0] for found in re.finditer(WAYS.replace("\n", ""), script)] == []
    assert "http-equiv" in inpage.document().replace(script, ""), "the search finds what is there"


# What a reader does


@pytest.fixture
def picture(tmp_path):
    pixels = np.random.default_rng(1).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "own.png")
    return tmp_path / "own.png"


# Resolves when the attack begins anew.
CHANGE = """([name, value]) => new Promise(done => {
  const root = document.documentElement, named = `[name=${name}]`;
  const watch = new MutationObserver(() => {
    if (root.dataset.evaluations) return;
    watch.disconnect();
    done();
  });
  watch.observe(root, {attributeFilter: ["data-evaluations"]});
  const control = document.querySelector(`${named}[value="${value}"]`) ?? document.querySelector(named);
  if (control.type === "radio") control.click();
  else Object.assign(control, {value}).dispatchEvent(new Event("input", {bubbles: true}));
})"""


def used(tab, picture, frame=None):
    """A picture of the reader's own, attacked in several ways."""
    tab.wait(READY, frame=frame)
    tab.choose(picture, frame=frame)
    tab.wait(RUNNING, frame=frame)
    tab.wait(CLEAR, 60, frame=frame)
    for name, value in (
        ("sent", "signs"),
        ("sent", "full"),
        ("channels", 11),
        ("method", "race"),
        ("batch", 2),
    ):
        tab.run(CHANGE, [name, value], frame=frame)
        tab.wait("() => Number(document.documentElement.dataset.evaluations) > 40", 60, frame=frame)
    tab.run("() => document.getElementById('go').click()", frame=frame)
    tab.wait(OVER, frame=frame)


@pytest.mark.parametrize("scheme", ["http", "file"])
def test_whoever_uses_the_page_makes_no_request(tab, live, picture, scheme):
    with recording(live) as server:
        address = f"{server.address}/live.html" if scheme == "http" else (live / "live.html").as_uri()
        tab.visit(f"{address}#start=click")
        used(tab, picture)
        tab.settle()
        assert server.paths == ["/live.html"] * (scheme == "http")
        assert [request.split("#")[0] for request in tab.requests] == [address] * (scheme == "http")
        assert tab.errors == [], "nor has the policy anything to forbid"


BOOK = """<!doctype html><html lang="en"><meta charset="utf-8"><title>A page of the book</title>
<script>
  window.heard = [];
  addEventListener("message", ({data}) => heard.push(data));
</script>
<iframe src="live.html#start=click" width="700" height="500"></iframe>"""


def test_the_book_hears_heights_and_settings_and_no_picture(tab, live, picture, tmp_path):
    (tmp_path / "live.html").write_text(inpage.document(), encoding="utf8")
    (tmp_path / "book.html").write_text(BOOK, encoding="utf8")
    tab.visit((tmp_path / "book.html").as_uri())
    used(tab, picture, frame=0)
    heard = tab.run("() => heard")
    kinds = [message.pop("leaky") for message in heard]
    assert set(kinds) == {"height", "settings"}
    for kind, message in zip(kinds, heard, strict=True):
        assert list(message) == ["height" if kind == "height" else "fragment"]
        [value] = message.values()
        assert isinstance(value, int) if kind == "height" else re.fullmatch(r"[\w=&.,-]{1,150}", value)


def test_the_attacker_never_holds_the_picture(tab, live, picture):
    """One worker computes the update, others attack it: none is handed both a picture and an attack."""
    tab.before(WORKERS)
    tab.visit(f"{(live / 'live.html').as_uri()}#start=click")
    used(tab, picture)
    handed = tab.run("() => handed")
    clients = {message["worker"] for message in handed if "pictures" in message["keys"]}
    attackers = {message["worker"] for message in handed if message["type"] == "attack"}
    assert len(clients) == 1 and len(attackers) == 2 and not clients & attackers
    keys = {key for message in handed if message["worker"] in attackers for key in message["keys"]}
    assert keys == {"type", "wasm", "id", "network", "update", "method", "seed"}
