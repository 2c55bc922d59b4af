"""What the page says of an attack that ended: a failure is told as one."""

import pytest

END = {
    "method": "matching", "scores": [15.0], "evaluations": 800, "seconds": 1, "lowest": 1e-3, "restart": 0,
    "reason": "solved", "clear": None, "gray": 1.0, "enough": 0,
}  # fmt: skip
FAILED = ": a failed search, and no proof that the picture is safe."
MANY = "Many pictures have this gradient, and the search found one of them."


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
    assert deno(code, standing=END | changed, determined=determined, lossy=lossy) == said


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
    standing = END | {"reason": reason, "enough": enough}
    assert word in deno("return words.endSentence(standing, true, true)", standing=standing)
