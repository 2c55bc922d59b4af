"""What the page says of an attack: how far it is, what was read off, and why it ended."""

import pytest

FAILED = ": a failed search, and no proof that the picture is safe."
MANY = "Many pictures have this gradient, and the search found one of them."


def standing(**changes):
    usual = {"method": "matching", "scores": [31.2], "evaluations": 143, "seconds": 0.21, "lowest": 2e-9}
    usual |= {
        "gray": 1.0,
        "enough": 0,
        "restart": 0,
        "reason": "",
        "clear": {"evaluations": 130, "seconds": 0.2},
    }
    return usual | changes


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({}, "31 dB after 143 evaluations and 0.2 s."),
        ({"evaluations": 1}, "31 dB after 1 evaluation and 0.2 s."),
        ({"scores": [62.0]}, "30 dB after 130 evaluations and 0.2 s, 62 dB after 143 evaluations and 0.2 s."),
        ({"scores": [31.2, 24.9], "clear": None}, "31 and 25 dB after 143 evaluations and 0.2 s."),
        ({"scores": [], "clear": None}, "A loss of 2.0 · 10⁻⁹ after 143 evaluations and 0.2 s."),
        ({"reason": "stopped"}, "Stopped at 31 dB after 143 evaluations and 0.2 s."),
    ],
)
def test_how_far_it_is(deno, changes, sentence):
    assert deno("return words.standingSentence(at, false)", at=standing(**changes)) == sentence


def test_in_a_race_both_are_named_and_only_the_clock_counts(deno):
    at = standing(method="closed", scores=[103.4])
    expected = "Closed form: 30 dB after 0.2 s, 103 dB after 0.2 s."
    assert deno("return words.standingSentence(at, true)", at=at) == expected


@pytest.mark.parametrize(
    ("value", "plain", "science"),
    [
        (0, "0", "0"),
        (7, "7", "7"),
        (999, "999", "1000"),
        (15826, "15,826", "1.6 · 10⁴"),
        (1234567.891, "1,234,567.89", "1.2 · 10⁶"),
        (0.3, "0.3", "0.3"),
        (1e-6, "0", "10⁻⁶"),
        (2.04e-9, "0", "2.0 · 10⁻⁹"),
    ],
)
def test_numbers(deno, value, plain, science):
    assert deno("return [words.plainNumber(value), words.scienceText(value)]", value=value) == [
        plain,
        science,
    ]


@pytest.mark.parametrize(
    ("labels", "truth", "by_signs", "sentence"),
    [
        ([3], [3], True, "Label 3, read off the signs: right."),
        ([3], [5], False, "Label 3, inferred from the last layer: wrong, it is 5."),
        ([0, 3], [3, 0], True, "Labels 0 and 3, read off the signs: right."),
        ([0, 3], None, True, "Labels 0 and 3, read off the signs."),
    ],
)
def test_labels(deno, labels, truth, by_signs, sentence):
    answer = deno(
        "return words.labelSentence(labels, truth, signs)", labels=labels, truth=truth, signs=by_signs
    )
    assert answer == sentence


def test_signs_tell_only_where_no_other_bias_is_negative(deno):
    code = """
      const shape = network.layout(12), sent = new Float64Array(shape.total).fill(1), update = {sent};
      for (const k of negative) sent[shape.offsets[7] + k] = -1;
      return words.signsTell(labels, update, shape)"""
    assert deno(code, negative=[3], labels=[3]) is True
    assert deno(code, negative=[3, 5], labels=[5, 3]) is True
    assert deno(code, negative=[3, 5], labels=[3]) is False
    assert deno(code, negative=[5], labels=[3]) is False


def test_the_forecast_says_what_counting_says(deno):
    say = "return words.forecastSentence(counting.forecast(channels, 1))"
    assert "cannot be determined" in deno(say, channels=8)
    assert "cannot be determined" in deno(say, channels=9)
    assert "does not forbid it" in deno(say, channels=10)


ENDED = standing(scores=[15.0], reason="solved", clear=None)


@pytest.mark.parametrize(
    ("changed", "determined", "lossy", "said"),
    [
        ({"scores": [98.0]}, True, False, ""),
        ({"scores": [98.0], "reason": "stuck"}, True, False, ""),
        ({"reason": ""}, False, True, ""),
        ({"reason": "stopped"}, False, True, ""),
        ({"reason": "stuck", "restart": 3}, True, False, f"It got stuck 4 times{FAILED}"),
        ({"reason": "budget"}, True, True, f"Its evaluations are spent{FAILED}"),
        ({}, True, True, "All that was sent is explained: what was left out can only be guessed."),
        ({}, False, False, MANY),
        ({"scores": [40.0, 23.0], "reason": "budget"}, False, False, MANY),
        ({"scores": []}, True, False, ""),
        ({"method": "closed"}, False, False, ""),
    ],
)
def test_why_an_attack_ended(deno, changed: dict, determined: bool, lossy: bool, said: str) -> None:
    code = "return words.endSentence(standing, determined, lossy)"
    assert deno(code, standing=ENDED | changed, determined=determined, lossy=lossy) == said


@pytest.mark.parametrize(
    ("reason", "enough", "word"),
    [
        ("floor", 0.3, "where the noise begins"),
        ("floor", 1.2, "hides the picture"),
        ("stuck", 0.9, "hides the picture"),  # what the noise came to was above what it was expected to be
        ("stuck", 0.3, "a failed search"),
    ],
)
def test_noise_that_gray_explains_hides_everything(deno, reason: str, enough: float, word: str) -> None:
    changed = ENDED | {"reason": reason, "enough": enough}
    assert word in deno("return words.endSentence(standing, true, true)", standing=changed)
