"""Explorers are the same bytes each time, whole and honest."""

import base64
import io
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote
from xml.etree import ElementTree

import pytest
import torch
from PIL import Image

from leaklib.data import Photos
from leaklib.metrics import gray_floor
from leaklib.plots import SERIES, panels, svg
from leaklib.results.sweeps import BASE, MECHANISMS
from leaklib.rng import generator
from leaklib.sweep.rows import Row, _tall
from leaklib.sweep.runs import Point
from leaklib.widgets import explore
from leaklib.widgets.explorer import Explorer
from leaklib.widgets.results import Axis, Curve, Number, Pictures, Position, show
from leaklib.widgets.swept import compressor_axis
from leaklib.widgets.swept import position as swept

ROOT = Path(__file__).parents[1]


class Page(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag, attrs) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data) -> None:
        self.text += data

    def images(self) -> list[dict[str, str]]:
        return [attributes for tag, attributes in self.tags if tag == "img"]


def pictures(count: int, stream: str = "victims", size: int = 8) -> torch.Tensor:
    return torch.rand(count, 3, size, size, generator=generator(0, stream))


def data(html: str) -> dict:
    """What the script is given."""
    return json.loads(re.search(r'<script type="application/json">(.*?)</script>', html)[1])


CHANNELS = Axis("channels", (1, 2, 4))
VICTIM = pictures(1)


def position(channels: int, **changes) -> Position:
    guess = Pictures("guess", pictures(1, f"guess {channels}"), ("12 dB",))
    plain = Position(
        (channels,), (Pictures("original", VICTIM), guess), "Too few equations.", False, value=75.0 * channels
    )
    return replace(plain, **changes)


def three(**changes) -> Explorer:
    results = [position(c) for c in (1, 2, 4)]
    arguments = {"title": "Channels", "curve": Curve("rank", mark=192.0, mark_name="unknowns")} | changes
    return explore(arguments.pop("results", results), [CHANNELS], **arguments)


def test_the_same_results_give_the_same_bytes() -> None:
    assert three()._repr_html_() == three()._repr_html_()
    shared = [
        re.findall(r"<(style|script)>(.*?)</", e.html, re.DOTALL) for e in (three(), three(title="Other"))
    ]
    assert shared[0] == shared[1], "what a website needs once"
    assert [kind for kind, _ in shared[0]] == ["style", "script"]
    assert repr(three()) == "Explorer('Channels')"


def test_a_picture_is_stored_once_and_as_it_is() -> None:
    many = [position(c, at=(c,)) for c in range(1, 9)]
    html = explore(many, [Axis("channels", (*range(1, 9),))], title="Eight", curve=Curve("rank")).html
    images = Page(html).images()
    assert len(images) == 3 + 8, "one victim in three frames for paper, and eight guesses"
    stored = Image.open(io.BytesIO(base64.b64decode(images[0]["src"].removeprefix("data:image/png;base64,"))))
    expected = (VICTIM[0] * 255).round().permute(1, 2, 0).to(torch.uint8)
    assert torch.equal(torch.frombuffer(bytearray(stored.tobytes()), dtype=torch.uint8), expected.flatten())
    assert html.count("the same as original, channels: 1") == 5
    gray = Pictures("gray", pictures(1)[:, :1])
    assert 'alt="gray, channels: 1"' in three(results=[position(1, pictures=(gray,))]).html


def test_pictures_that_were_shown_before_keep_their_order_and_their_captions() -> None:
    """Else an original would stand above the reconstruction of another one."""
    some = pictures(3)
    zero = [position(c, pictures=()) for c in (8, 16)]
    first = position(1, pictures=(Pictures("original", some[:1]),))
    second = position(
        2, pictures=(Pictures("original", some[[1, 0, 2]]), Pictures("guess", some[1:2], ("exact",)))
    )
    third = position(4, pictures=(Pictures("original", some[[1, 0, 2]]),))
    axis, printed = Axis("channels", (1, 2, 4, 8, 16)), [(8,), (16,)]
    results = [first, second, third, *zero]
    html = explore(results, [axis], title="Channels", curve=Curve("rank"), printed=printed).html
    order = re.findall(r'alt="(.*?)"|<i>the same as (.*?)</i>( <small>exact</small>)?', html)
    assert order == [
        ("original, channels: 1", "", ""),
        ("original 1 of 3, channels: 2", "", ""),
        ("", "original, channels: 1", ""),
        ("original 3 of 3, channels: 2", "", ""),
        ("", "original 1 of 3, channels: 2", " <small>exact</small>"),
        ("", "original, channels: 2", ""),
    ]
    assert data(html)["frames"][1]["rows"][0][:2] == ["original", [1, 0, 2]]


def test_every_picture_says_what_it_is() -> None:
    four = Pictures("guess", pictures(4), ("a", "b", "c", "d"))
    alts = [image["alt"] for image in Page(three(results=[position(2, pictures=(four,))]).html).images()]
    assert alts[:2] == ["guess 1 of 4, channels: 2: a", "guess 2 of 4, channels: 2: b"]
    alts = [image["alt"] for image in Page(three().html).images()]
    assert alts == [f"{row}, channels: {c}{end}" for c in (1, 2, 4)
                    for row, end in (("original", ""), ("guess", ": 12 dB"))]  # fmt: skip


def test_the_start_is_seen_and_the_rest_is_folded() -> None:
    """Where neither script nor style survives, as in a notebook that is not trusted."""
    html = three(start=(2,)).html
    strip, _, folded = html.partition("<details")
    assert re.findall("<figcaption>(.*?)</figcaption>", strip) == ["channels: 2"]
    assert re.findall("<figcaption>(.*?)</figcaption>", folded) == ["channels: 1", "channels: 4"]
    assert "<summary>The other 2 positions</summary>" in folded
    assert [image["width"] for image in Page(html).images()] == ["96", "96", *["64"] * 4]
    two = explore([position(1), position(2)], [CHANNELS], title="Two", curve=Curve("rank")).html
    assert "<summary>The other position</summary>" in two


def on_paper(html: str) -> list[str]:
    """Captions of what is printed, in the order in which it is."""
    found = re.findall(r'<figure class="lx-printed(.*?)"><figcaption>(.*?)</figcaption>', html)
    return [name for _, name in sorted(found, key=lambda one: "lx-before" not in one[0])]


@pytest.mark.parametrize(
    ("measured", "start", "printed", "expected"),
    [
        (range(9), 4, (), [0, 4, 8]),
        (range(9), 0, (), [0, 4, 8]),
        (range(9), 8, (), [0, 4, 8]),
        (range(2, 5), 3, (), [2, 3, 4]),
        (range(2, 4), 3, (), [2, 3]),
        (range(9), 4, [(5,), (6,)], [4, 5, 6]),
        (range(9), 4, [(3,), (1,)], [1, 3, 4]),
    ],
)
def test_three_positions_stand_on_paper(measured, start, printed, expected) -> None:
    results = [Position((c,), (), f"{c}.") for c in measured]
    html = explore(results, [Axis("c", (*range(9),))], title="C", start=(start,), printed=printed).html
    assert on_paper(html) == [f"c: {c}" for c in expected]
    more = f"Paper shows {len(expected)} of {len(results)} positions, the website all of them"
    assert html.count(more) == (len(expected) < len(results))


def test_paper_shows_the_other_axis_where_the_first_is_short() -> None:
    axes = [Axis("a", (1, 2)), Axis("b", (1, 2, 3))]
    results = [Position((a, b), (), "One.") for a in (1, 2) for b in (1, 2, 3)]
    assert on_paper(explore(results, axes, title="Two").html) == ["a: 1, b: 1", "a: 2, b: 1", "a: 2, b: 3"]


def test_what_was_not_measured_is_said_and_not_invented() -> None:
    axes = [CHANNELS, Axis("kept", (0.001, 0.01), labels=("0.1 %", "1 %"))]
    results = [position(1, at=(1, 0.001)), position(4, at=(4, 0.01))]
    html = explore(results, axes, title="Two", curve=Curve("rank")).html
    page = Page(html)
    assert [t for t, _ in page.tags].count("figure") == 2
    assert "Not measured: channels: 2, kept: 0.1 %; channels: 4, kept: 0.1 %; channels: 1, kept: 1 %;" in html
    assert len(page.images()) == 4, "both frames are printed, whole"
    # The first axis runs fastest: measured at the first and at the last of six places.
    assert [frame is not None for frame in data(html)["frames"]] == [True, *[False] * 4, True]


def test_a_setting_that_was_not_measured_at_all_is_named_once() -> None:
    axes = [
        CHANNELS,
        Axis("labels", ("known", "inferred"), buttons=True),
        Axis("steps", (0, 10), buttons=True),
    ]
    results = [position(c, at=(c, "known", 0)) for c in (1, 4)]
    text = Page(explore(results, axes, title="Three", curve=Curve("rank")).html).text
    assert (
        "Not measured: channels: 2, labels: known, steps: 0; labels: inferred, steps: 0; labels: known"
        in text
    )
    assert text.count("labels: inferred, steps: 10") == 1


def test_nothing_comes_from_elsewhere() -> None:
    html = three().html
    page = Page(html)
    assert {tag for tag, _ in page.tags} <= set(
        "style div p figure figcaption b i span small img script details summary".split()
    )
    assert all(image["src"].startswith("data:image/png;base64,") for image in page.images())
    assert set(re.findall(r"\w+://[^\"'\s]*", html)) == {"http://www.w3.org/2000/svg"}, (
        "a name, not an address"
    )
    assert not re.search(r"@import|url\(|fetch\(|XMLHttp|import\(|\b(href|id|onload)=", html)


def test_text_stays_text() -> None:
    evil = "</script><img src=x onerror=alert(1)> & \"quoted\" 'too'"
    made = position(
        1,
        pictures=(Pictures(evil, VICTIM, (evil,)),),
        verdict=evil,
        numbers=(Number(evil, evil, evil),),
        at=(evil,),
    )
    axis = Axis(evil, (evil, "other"))
    page = Page(explore([made], [axis], title=evil, curve=Curve(evil, evil, 1.0, evil)).html)
    assert [tag for tag, _ in page.tags].count("img") == 1 and [t for t, _ in page.tags].count("script") == 2
    assert page.images()[0]["alt"] == f"{evil}, {evil}: {evil}: {evil}"
    assert page.text.count("onerror=alert(1)") >= 4


def sketch(height: float, size: float = 2.0, **style):
    figure, ((axis,),) = panels(size)
    axis.bar([1, 2], [height, 1], color=SERIES[0], **style)
    axis.set(ylim=(0, 5))
    return figure


def test_a_drawing_is_stored_once_and_says_what_it_shows() -> None:
    """Its place is named, and its verdict; the same drawing again is named, not repeated."""
    heights = {1: 3, 2: 4, 4: 3}
    results = [
        Position((c,), drawing=sketch(height), verdict=f"{c} is <few>.") for c, height in heights.items()
    ]
    html = explore(results, [CHANNELS], title="Toy").html
    drawings = Page(html).images()
    assert [d["alt"] for d in drawings] == ["channels: 1. 1 is <few>.", "channels: 2. 2 is <few>."]
    assert {(d["width"], d["height"]) for d in drawings} == {("389", "144")}
    for drawing, height in zip(drawings, (3, 4), strict=True):
        kind, _, text = unquote(drawing["src"]).partition(",")
        assert (
            kind == "data:image/svg+xml" and svg(sketch(height)).partition("viewBox")[2][-500:] == text[-500:]
        )
        assert ElementTree.fromstring(text).get("style").startswith("background:#"), "whole by itself"
    assert "the same drawing as channels: 1</i>" in html
    assert [frame["drawing"] for frame in data(html)["frames"]] == [0, 1, 0]
    assert html == explore(results, [CHANNELS], title="Toy").html


def test_a_drawing_has_the_colors_of_its_explorer_in_both_themes() -> None:
    results = [Position((c,), drawing=sketch(c, edgecolor="white"), verdict="One.") for c in (1, 2, 4)]
    style = explore(results, [CHANNELS], title="Toy").html.rpartition("</style>")[0]
    palette = json.loads((ROOT / "leaklib" / "palette.json").read_text())
    for theme in ("light", "dark"):
        assert f"--leaky-attacks-dlg:{palette['attacks']['DLG'][theme]};" in style
        assert f"--leaky-ink-page:{palette['ink']['surface'][theme]};" in style, "white is the ground"
    assert "--leaky-attacks-recursive" not in style
    assert "--leaky-" not in three().html.rpartition("</style>")[0].replace("--leaky-sans", "")


def test_drawings_of_two_sizes_are_refused() -> None:
    results = [Position((c,), drawing=sketch(1, size), verdict="One.") for c, size in ((1, 2.0), (2, 3.0))]
    with pytest.raises(ValueError, match=r"one size, got 388\.8 144 and, at channels: 2, 388\.8 216"):
        explore(results, [CHANNELS], title="Toy")


def test_a_verdict_has_a_mark_besides_its_color() -> None:
    results = [position(1), position(2, holds=True), position(4, holds=None, verdict="Open.")]
    text = Page(three(results=results).html).text
    assert "✗ Too few equations." in text and "✓ Too few equations." in text
    assert re.search(r"(?<![✓✗] )Open\.", text)


def test_a_spread_is_told_with_its_value() -> None:
    wide = position(1, value=31.42, low=20.0, high=40.0)
    spec = data(three(results=[wide], curve=Curve("PSNR", "dB")).html)
    assert spec["frames"][0]["curve"] == [31.42, 20.0, 40.0, None, ["31.4 dB", "20 to 40"]]
    assert spec["curve"]["name"] == "PSNR in dB"
    assert "<p>PSNR 31.4 dB, 20 to 40</p>" in three(results=[wide], curve=Curve("PSNR", "dB")).html
    many = replace(wide, count=5, floor=12.0)
    spec = data(three(results=[many], curve=Curve("PSNR", "dB", limits=(15, 60))).html)
    assert spec["frames"][0]["curve"][3:] == [12.0, ["31.4 dB", "median of 5, 20 to 40"]]
    assert spec["curve"]["limits"] == [[15, "15"], [60, "60"]]
    assert [tick for tick, _ in spec["curve"]["ticks"]] == [20, 40, 60]
    ticks = data(three(results=[position(1, value=0.0)], curve=Curve("rank")).html)["curve"]["ticks"]
    assert ticks[0][0] < ticks[-1][0], "a scale has a length even where nothing varies"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (3072, "3,072"), (31.416, "31.4"), (0.0, "0"), (-2.5, "−2.5"),
        (15848.9, "15,849"), ("1 bit", "1 bit"), (0.04, "0.04"),
        (1.34e12, "1.3 × 10¹²"), (2e-5, "2.0 × 10⁻⁵"), (float("inf"), "∞"), (float("nan"), "not defined"),
    ],
)  # fmt: skip
def test_numbers_are_short(value, text) -> None:
    assert show(value) == text


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: three(results=[position(3)]), "expected one of channels"),
        (lambda: three(results=[position(1), position(1)]), "twice"),
        (lambda: three(results=[]), "at least one result, got 1 and 0"),
        (lambda: three(start=(9,)), r"got \(9,\)"),
        (lambda: three(start=(4,), results=[position(1)]), r"measured .* got \(4,\)"),
        (lambda: three(printed=[(4,)], results=[position(1)]), r"measured .* got \(4,\)"),
        (lambda: three(curve=None), "pass curve="),
        (
            lambda: explore([position(1)], [replace(CHANNELS, buttons=True)], title="B", curve=Curve("r")),
            "along a slider, got buttons for 'channels'",
        ),
        (lambda: Axis("bits", (1,)), "two or more"),
        (lambda: Axis("bits", (1, 1)), "two or more"),
        (lambda: Axis("bits", (1, 2), labels=("one",)), "one label .* got 1 for 2 values"),
        (lambda: Axis("bits", (1, 2), families=("one",)), "one family .* got 1 for 2 values"),
        (lambda: Axis("bits", (1, 2, 3), families=("a", "b", "a")), "in one piece, got a, b, a"),
        (lambda: Curve("PSNR", limits=(60, 5)), "from low to high, got 60 to 5"),
        (lambda: position(1, value=None, count=3), "a value beside count and floor"),
        (lambda: position(1, floor=float("nan")), "finite"),
        (lambda: Pictures("x", pictures(1) + 1), r"in \[0, 1\], got 1"),
        (lambda: Pictures("x", pictures(1) * float("nan")), r"in \[0, 1\], got nan"),
        (lambda: Pictures("x", pictures(2), ("one",)), "got 1 for 2"),
        (lambda: Pictures("x", pictures(2)[:, :2]), "C = 1 or 3"),
        (lambda: Position((1,)), "a verdict in words"),
        (lambda: position(1, low=80.0, high=90.0), "low ≤ value ≤ high"),
        (lambda: position(1, low=70.0), "low ≤ value ≤ high"),
        (lambda: position(1, value=float("inf")), "finite"),
    ],
)
def test_a_mistake_is_answered_with_a_sentence(make, sentence) -> None:
    with pytest.raises(ValueError, match=sentence):
        make()


def test_an_explorer_that_is_too_large_is_refused() -> None:
    many = Pictures("guess", pictures(8, size=256))
    with pytest.raises(ValueError, match=r"1\.5 MB, this one has 2\.\d\d MB with 8 .* show fewer"):
        three(results=[position(1, pictures=(many,))])


def measured(*psnr: float, pictures: bool = True) -> Row:
    count = len(psnr)
    guess = _tall(torch.full((min(count, 4), 3, 32, 32), 0.25)) if pictures else ""
    return Row(
        key="", witness=(), psnr=psnr, ssim=psnr, token_accuracy=psnr, label_overlap=1.0, loss=0.0,
        baseline=1.0, evaluations=100, restarts=0, bits=8, seconds=1.0, torch="", pictures=guess,
        gray=(11.0,) * count, constant=(14.0,) * count, identified=tuple(float(v > 20) for v in psnr),
        confidence=(0.25,) * count,
    )  # fmt: skip


def test_a_point_of_a_sweep_becomes_a_position() -> None:
    """The pictures of the first rows that keep any, the numbers of all of them."""
    experiments = tuple(replace(BASE, first_client=i) for i in range(3))
    rows = (measured(30.0, pictures=False), measured(18.04), measured(62.0))
    made = swept((1000, "DLG"), Point(experiments, rows), numbers=(Number("evaluations", 100),))
    assert (made.value, made.low, made.high, made.count, made.floor) == (30.0, 18.0, 62.0, 3, 11.0)
    original, guess = made.pictures
    assert torch.equal(original.images, torch.cat([Photos().batch(i, 1).inputs for i in (1, 2)]))
    floors = gray_floor(original.images).tolist()
    assert original.captions == tuple(f"gray: {v:.0f} dB" for v in floors)
    assert guess.captions == ("18 dB", "62 dB")
    assert made.verdict.startswith("2 of 3 victims are identified among 64")
    assert list(map(str, made.numbers)) == ["21 to 94 %", "14 dB", "0.250", "100"]
    assert len(swept((1,), Point(experiments, rows), shown=1).pictures[1].images) == 1
    assert swept((1,), Point(experiments[:1], rows[:1]), verdict="Words.").pictures == ()
    before = replace(rows[1], gray=(), constant=(), identified=(), confidence=())
    older = swept((1,), Point(experiments[1:2], (before,)), verdict="Words.")
    assert older.floor == round(floors[0], 1) and older.numbers == () and older.value == 18.0


def test_a_batch_shows_its_first_pictures() -> None:
    batch = replace(BASE, batch_size=6)
    made = swept((6,), Point((batch,), (measured(*map(float, range(30, 36))),)), shown=4)
    assert torch.equal(made.pictures[0].images, Photos().batch(0, 6).inputs[:4])
    assert made.count == 6 and made.pictures[1].captions == ("30 dB", "31 dB", "32 dB", "33 dB")


def test_compressors_are_families() -> None:
    axis = compressor_axis(MECHANISMS)
    assert dict(zip(axis.values, axis.families, strict=True)) | {"1 bit": "rounding", "signs": "signs"} == {
        name: kind
        for kind, names in {
            "none": ["none"],
            "rounding": [f"{bits} bits" for bits in (16, 12, 8, 6, 4, 3, 2)] + ["1 bit"],
            "signs": ["signs"],
            "top k": [f"top {share} %" for share in (50, 30, 10, 3, 1, 0.3, 0.1)],
        }.items()
        for name in names
    }
