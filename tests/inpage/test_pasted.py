"""Exported updates as the page reads them: the same numbers, and a sentence for whatever is not one."""

import base64
import json
from dataclasses import replace

import numpy as np
import pytest

from leaklib import Chain, ClipNorm, FedSGD, GaussianNoise, LeNet, Photos, Quantize, SignSGD, TopK, share
from leaklib.named import flatten
from leaklib.widgets import export_update

READ = """
try {
  return {read: pasted.readUpdate(text)};
} catch (error) {
  return {refused: error.message, kind: error.constructor.name};
}
"""


def exported(channels=12, size=1, mechanism=None, double=False, **revealed):
    """A model, its update, and both as text."""
    model = LeNet(channels=channels).build(0)
    model = model.double() if double else model
    update = share(model, Photos().batch(0, size), FedSGD(), **revealed)
    update = mechanism(update) if mechanism else update
    return model, update, export_update(model, update)


@pytest.mark.parametrize(
    ("arguments", "mechanism"),
    [
        ({}, {"kind": "full"}),
        ({"channels": 8, "size": 2, "reveal_labels": True}, {"kind": "full"}),
        ({"channels": 16, "double": True, "reveal_labels": True}, {"kind": "full"}),
        ({"mechanism": Quantize(3)}, {"kind": "bits", "bits": 3}),
        ({"mechanism": SignSGD(), "double": True}, {"kind": "signs"}),
        ({"mechanism": TopK(0.3)}, {"kind": "top", "fraction": 0.3}),
        (
            {"mechanism": Chain((ClipNorm(2), GaussianNoise(0.1)))},
            {"kind": "noise", "clip": 2, "multiplier": 0.1},
        ),
    ],
)
def test_what_leaklib_writes_the_page_reads_to_the_bit(deno, arguments, mechanism) -> None:
    model, update, text = exported(**arguments)
    found = deno(READ, text=text)["read"]
    np.testing.assert_array_equal(
        found["network"]["weights"], flatten(dict(model.named_parameters())).detach()
    )
    np.testing.assert_array_equal(found["update"]["sent"], flatten(update.tensors))
    assert found["network"]["channels"] == arguments.get("channels", 12)
    assert found["update"]["examples"] == update.num_examples
    assert found["update"]["mechanism"] == mechanism
    assert found["update"]["bits"] == json.loads(text)["bits"]
    labels = update.labels.tolist() if update.labels is not None else None
    assert found.get("labels") == labels


def base64_of(numbers: np.ndarray) -> str:
    return base64.b64encode(numbers.astype("<f4").tobytes()).decode()


TOTAL = 50 * 8**2 + 718 * 8 + 10
ZEROS = np.zeros(TOTAL)
GOOD = json.loads(exported(channels=8)[2])
WRONG = {
    "nothing": (" \n", "There is no text to read"),
    "words": ("hello", "not an exported update, or not all of one"),
    "too long": ("[" * 1_000_001, "at most 1 MB"),
    "deep": ("[" * 900_000, "not an exported update"),
    "deep and whole": ("[" * 100_000 + "]" * 100_000, "not an exported update"),
    "quotes": (repr(json.dumps(GOOD)), "not an exported update, or not all of one"),
    "null": ("null", "not an exported update"),
    "a list": ("[]", "not an exported update"),
    "a number": ("1", "not an exported update"),
    "another format": ({"format": "else"}, "not an exported update"),
    "inherited format": ('{"__proto__": {"format": "leaklib update"}}', "not an exported update"),
    "another version": ({"version": 2}, "reads version 1 of exported updates, got 2"),
    "version as text": ({"version": "1"}, 'got "1"'),
    "a missing key": ({"weights": ...}, "The update has no weights."),
    "a further key": ({"name": "x"}, 'has "name", which is not part of it'),
    "a prototype": (json.dumps(GOOD)[:-1] + ', "__proto__": {"labels": [1]}}', 'has "__proto__"'),
    "a constructor": ({"constructor": 1}, 'has "constructor"'),
    "a long key": ({"x" * 500: 1}, f'has "{"x" * 40}"…, which'),
    "no channels": ({"channels": None}, "channels must be a whole number from 8 to 16, got null"),
    "few channels": ({"channels": 7}, "from 8 to 16, got 7"),
    "many channels": ({"channels": 1e300}, r"from 8 to 16, got 1e+300"),
    "half a channel": ({"channels": 8.5}, "got 8.5"),
    "channels as text": ({"channels": "8"}, 'got "8"'),
    "channels of another network": ({"channels": 9}, "weights must have 10522 numbers in 56120 letters, got"),
    "no example": ({"num_examples": 0}, "examples must be 1 or 2, got 0"),
    "three examples": ({"num_examples": 3}, "must be 1 or 2, got 3"),
    "true examples": ({"num_examples": True}, "must be 1 or 2, got true"),
    "another type": ({"type": "float16"}, 'type must be float32 or float64, got "float16"'),
    "a list of types": ({"type": ["float32"]}, "must be float32 or float64, got a list"),
    "float64 of float32": ({"type": "float64"}, "numbers in"),
    "no bits": ({"bits": 0}, "bits must be from 1 to"),
    "infinite bits": (
        json.dumps({**GOOD, "bits": 7}).replace('"bits": 7', '"bits": 1e999'),
        "bits must be from 1 to 1146112, got Infinity",
    ),
    "no mechanism": ({"mechanism": None}, "mechanism must be full, bits, signs, top, noise, got nothing"),
    "a mechanism as text": ({"mechanism": "full"}, "top, noise, got nothing"),
    "another mechanism": ({"mechanism": {"kind": "magic"}}, 'got "magic"'),
    "an inherited mechanism": ({"mechanism": {"kind": "constructor"}}, 'got "constructor"'),
    "a kind that is a list": ({"mechanism": {"kind": ["full"]}}, "got a list"),
    "bits without bits": ({"mechanism": {"kind": "bits"}}, "The mechanism has no bits."),
    "seventeen bits": ({"mechanism": {"kind": "bits", "bits": 17}}, "from 1 to 16, got 17"),
    "settings of another": ({"mechanism": {"kind": "full", "bits": 8}}, 'mechanism has "bits", which'),
    "an empty fraction": ({"mechanism": {"kind": "top", "fraction": 0}}, "above 0 and at most 1, got 0"),
    "more than all": ({"mechanism": {"kind": "top", "fraction": 1.5}}, "at most 1, got 1.5"),
    "an infinite clip": (
        json.dumps({**GOOD, "mechanism": {"kind": "noise", "clip": 7, "multiplier": 1}}).replace(
            "7,", "1e999,"
        ),
        "clip must be above 0 and finite, got Infinity",
    ),
    "negative noise": ({"mechanism": {"kind": "noise", "clip": 1, "multiplier": -1}}, "finite, got -1"),
    "signs that are none": ({"mechanism": {"kind": "signs"}}, "nothing but 1 and −1"),
    "weights as a list": ({"weights": [1, 2]}, "weights must be base64, got a list"),
    "half of the update": ({"update": GOOD["update"][:-4]}, "update must have 8954 numbers in"),
    "letters that are none": ({"update": "!" + GOOD["update"][1:]}, "not base64"),
    "padding inside": ({"update": "=" + GOOD["update"][1:]}, "not base64"),
    "padding that is none": ({"update": GOOD["update"][:-1] + "A"}, "not base64"),
    "spaces": ({"update": " " + GOOD["update"][1:]}, "not base64"),
    "NaN": ({"update": base64_of(ZEROS * np.nan)}, "update must hold finite numbers"),
    "infinity": ({"weights": base64_of(ZEROS + np.inf)}, "weights must hold finite numbers"),
    "zeros": ({"update": base64_of(ZEROS)}, "0 everywhere"),
    "labels that are none": ({"labels": None}, "labels must be one class from 0 to 9"),
    "too many labels": ({"labels": [1, 2]}, "must be one class"),
    "a label of 10": ({"labels": [10]}, "from 0 to 9"),
    "half a label": ({"labels": [0.5]}, "from 0 to 9"),
    "one label of two": ({"labels": [1], "num_examples": 2}, "must be two classes"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_not_an_update_is_answered_with_a_sentence(deno, name) -> None:
    text, sentence = WRONG[name]
    if isinstance(text, dict):
        text = json.dumps({key: value for key, value in {**GOOD, **text}.items() if value is not ...})
    found = deno(READ, text=text)
    assert found.get("kind") == "Error", found
    assert sentence in found["refused"]
    assert found["refused"].endswith(".") and len(found["refused"]) < 250


FUZZ = """
const chance = (seed => () => (seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0) / 2 ** 32)(7);
const some = length => Math.floor(chance() * length), head = text.indexOf('"weights"');
const changes = {
  cut: () => text.slice(0, some(text.length)),
  beheaded: () => text.slice(1 + some(text.length)),
  flipped: () => {
    const letters = [...text];
    for (let i = 0; i <= some(3); i++) {
      const at = some(chance() < 0.8 ? head : text.length);
      letters[at] = String.fromCharCode(letters[at].charCodeAt(0) ^ (1 << some(16)));
    }
    return letters.join("");
  },
  left_out: () => { const at = some(text.length); return text.slice(0, at) + text.slice(at + 1 + some(9)); },
  doubled: () => { const at = some(head); return text.slice(0, at) + text.slice(at - some(at)); },
};
const strange = [], counts = {};
for (const [name, change] of Object.entries(changes)) {
  let [read, refused] = [0, 0];
  for (let i = 0; i < rounds; i++) {
    try {
      const {network, update} = pasted.readUpdate(change());
      const sound = [network.weights, update.sent].every(v => v.length === 8954 && v.every(Number.isFinite));
      if (sound) read++; else strange.push(`${name}: unsound numbers`);
    } catch (error) {
      if (error.constructor === Error && error.message.length < 250) refused++;
      else strange.push(`${name}: ${error.stack}`);
    }
  }
  counts[name] = [read, refused];
}
const polluted = Object.keys(Object.prototype).length + Object.keys(Array.prototype).length;
return {strange, counts, polluted};
"""


def test_whatever_happens_to_a_text_on_its_way_it_is_read_or_refused(deno) -> None:
    """Cut, flipped bit by bit, with parts lost or twice: sound numbers or a sentence, nothing else."""
    found = deno(FUZZ, text=exported(channels=8)[2], rounds=150)
    assert found["strange"] == [] and found["polluted"] == 0
    read, refused = found["counts"]["flipped"]
    assert read > 0 and refused > 75 and found["counts"]["cut"] == [0, 150]


def test_a_file_that_is_too_long_is_not_read(deno) -> None:
    assert deno("return pasted.updateText(new Blob([text]))", text='{"format": "é"}') == '{"format": "é"}'
    with pytest.raises(RuntimeError, match="at most 1 MB: this file has more"):
        deno("await pasted.updateText({size: 1000001, text: () => Promise.resolve('read')})")
    with pytest.raises(RuntimeError, match="The file cannot be opened"):
        deno("await pasted.updateText({size: 5, text: () => Promise.reject(new Error('gone'))})")


def test_of_two_clients_nothing_is_mixed(deno) -> None:
    """Reading one text after another leaves the first as it was read."""
    model, update, text = exported(channels=8)
    other = export_update(model, replace(update, tensors={n: -t for n, t in update.tensors.items()}))
    first, second = deno(
        "const a = pasted.readUpdate(one), b = pasted.readUpdate(two); return [a.update.sent, b.update.sent]",
        one=text,
        two=other,
    )
    np.testing.assert_array_equal(first, -second)
