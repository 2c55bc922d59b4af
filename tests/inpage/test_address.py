"""Settings in the address of the page: written, read back, and as usual where they are wrong."""

import pytest

from leaklib.widgets.inpage import SAMPLES

STANDARD = {
    "sample": "cat",
    "weights": "default",
    "channels": 12,
    "batch": 1,
    "sent": {"kind": "full"},
    "method": "matching",
    "seed": 0,
    "show": [],
    "start": "auto",
    "theme": "",
}
EXPERIMENT = "sample=rocket&weights=uniform&channels=9&batch=2&sent=8bits&method=race&seed=3"
EXAMPLE = f"#{EXPERIMENT}&show=weights,sent&start=click&theme=dark"


def read(deno, fragment):
    return deno("return address.readSettings(fragment)", fragment=fragment)


def test_an_empty_address_has_the_usual_settings(deno):
    assert read(deno, "") == read(deno, "#") == {**STANDARD, "ignored": []}


def test_every_setting_is_read(deno):
    assert read(deno, EXAMPLE) == {
        "sample": "rocket",
        "weights": "uniform",
        "channels": 9,
        "batch": 2,
        "sent": {"kind": "bits", "bits": 8},
        "method": "race",
        "seed": 3,
        "show": ["weights", "sent"],
        "start": "click",
        "theme": "dark",
        "ignored": [],
    }


@pytest.mark.parametrize(
    ("text", "mechanism"),
    [
        ("full", {"kind": "full"}),
        ("signs", {"kind": "signs"}),
        ("1bits", {"kind": "bits", "bits": 1}),
        ("1bit", {"kind": "bits", "bits": 1}),
        ("16bits", {"kind": "bits", "bits": 16}),
        ("top1", {"kind": "top", "fraction": 0.01}),
        ("top0.3", {"kind": "top", "fraction": 0.003}),
        ("top100", {"kind": "top", "fraction": 1}),
        ("noise0.01", {"kind": "noise", "clip": 1, "multiplier": 0.01}),
        ("noise1e-7", {"kind": "noise", "clip": 1, "multiplier": 1e-7}),
    ],
)
def test_what_was_sent(deno, text, mechanism):
    assert read(deno, f"sent={text}")["sent"] == mechanism


WRONG = """channels=7 channels=17 channels=12.5 channels= batch=3 batch=0 seed=10 seed=-1 sample=dog
weights=Default method=DLG start=now theme=blue show=weights,all show= sent=0bits sent=17bits sent=bits
sent=top0 sent=top101 sent=noise0 sent=noise-1 sent=noise sent=topNaN sent=signs8 unknown=1 constructor=1
__proto__=1 cat = %"""


@pytest.mark.parametrize("part", WRONG.split())
def test_a_part_that_is_wrong_changes_nothing_and_is_named(deno, part):
    assert read(deno, part) == {**STANDARD, "ignored": [part]}
    assert read(deno, f"seed=4&{part}&batch=2") == {**STANDARD, "seed": 4, "batch": 2, "ignored": [part]}


def test_parts_arrive_as_a_browser_writes_them(deno):
    assert read(deno, "show=weights%2Csent")["show"] == ["weights", "sent"]
    assert read(deno, "sample=%3Cimg%3E")["ignored"] == ["sample=<img>"]


SENT = "full", "signs", "4bits", "top0.1", "top7", "noise1e-7", "noise0.3"


@pytest.mark.parametrize("fragment", [EXAMPLE, "", *(f"sent={sent}" for sent in SENT)])
def test_what_is_written_is_read_back(deno, fragment):
    code = "return address.readSettings(address.writeSettings(address.readSettings(fragment)))"
    assert deno(code, fragment=fragment) == read(deno, fragment)


def test_the_experiment_is_written_in_full_and_of_the_rest_only_what_differs(deno):
    write = "return address.writeSettings(address.readSettings(fragment))"
    usual = "sample=cat&weights=default&channels=12&batch=1&sent=full&method=matching&seed=0"
    assert deno(write, fragment="") == usual
    assert deno(write, fragment="theme=dark&seed=2&show=race") == f"{usual[:-1]}2&show=race&theme=dark"
    assert deno(write, fragment=EXAMPLE) == EXAMPLE[1:]


def test_each_sample_of_the_build_has_a_name_here(deno):
    assert deno("return address.SAMPLE_NAMES") == list(SAMPLES)
