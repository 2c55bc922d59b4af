"""Numbers with their bounds, as chapters print them and as re-runs are compared."""

import pytest

from leaklib.report import Line, report


@pytest.mark.parametrize(
    ("arguments", "bounds", "line"),
    [
        (("PSNR", 66.04, "dB"), {"above": 50}, "PSNR: 66 dB, above 50"),
        (("PSNR", 66.04, "dB"), {"above": 50, "tolerance": 8}, "PSNR: 66 dB, above 50 (±8 across machines)"),
        (("five starts", [31.26, 118.4, 40], "dB"), {"above": 30}, "five starts: 31.3 to 118 dB, above 30"),
        (("labels", [5, 5], "of 5"), {"exactly": 5}, "labels: 5 of 5, exactly 5"),
        (("loss", 1.2345e-7), {"below": 1e-6}, "loss: 1.23e-07, below 1e-06"),
        (("ε", 5012.4), {"at_least": 5000}, "ε: 5,010, at least 5,000"),
        (("share", 0.25), {"at_least": 0.2, "at_most": 0.3}, "share: 0.25, at least 0.2, at most 0.3"),
        (("messages", 123456, "in all"), {"below": 2e5}, "messages: 123,456 in all, below 200,000"),
        (("clipped: of 8", -1.5), {"below": 0}, "clipped: of 8: -1.5, below 0"),
        (("exact", float("inf"), "dB"), {"above": 200}, "exact: inf dB, above 200"),
    ],
)
def test_a_line_shows_the_number_its_unit_and_its_bounds(arguments, bounds, line, capsys) -> None:
    report(*arguments, **bounds)
    assert capsys.readouterr().out == line + "\n"
    read = Line.read(line)
    assert read is not None and read.outside() == [] and read.agrees(read)


@pytest.mark.parametrize(
    ("value", "bound"),
    [
        (50, {"above": 50}),
        (50, {"below": 50}),
        (49, {"at_least": 50}),
        (51, {"at_most": 50}),
        (4, {"exactly": 5}),
        ([60, 40], {"above": 50}),
        ([60, 40], {"below": 50}),
    ],
)
def test_a_number_outside_its_bound_stops_the_cell_and_is_shown_first(value, bound, capsys) -> None:
    with pytest.raises(AssertionError, match=r"PSNR must be .* 5\d?, got"):
        report("PSNR", value, "dB", **bound)
    assert capsys.readouterr().out.startswith("PSNR: ")


@pytest.mark.parametrize(("value", "bound"), [(1, {}), ([], {"above": 0}), (float("nan"), {"above": 0})])
def test_no_bound_no_number_no_line(value, bound, capsys) -> None:
    with pytest.raises(ValueError, match="expected numbers and at least one bound"):
        report("PSNR", value, **bound)
    assert capsys.readouterr().out == ""


STORED = "PSNR: 66 dB, above 50 (±8 across machines)"


@pytest.mark.parametrize(
    ("again", "agrees"),
    [
        (STORED, True),
        (STORED.replace("66", "74"), True),
        (STORED.replace("66", "58"), True),
        (STORED.replace("66", "75"), False),
        (STORED.replace("66", "57.9"), False),
        (STORED.replace("above 50", "above 40"), False),
        (STORED.replace("±8", "±80"), False),
        (STORED.replace("dB", "bits"), False),
        (STORED.replace("PSNR", "SSIM"), False),
        (STORED.replace("66", "60 to 66"), True),
        (STORED.replace("66", "50.1 to 66"), False),
        ("PSNR: 66 dB, above 50", False),
    ],
)
def test_a_re_run_may_move_by_the_tolerance_and_no_further(again: str, agrees: bool) -> None:
    stored, shown = Line.read(STORED), Line.read(again)
    assert stored is not None and shown is not None
    assert stored.agrees(shown) == agrees


def test_without_a_tolerance_nothing_moves() -> None:
    stored, shown = (Line.read(f"rank: {n}, at most 3,072") for n in ("3,072", "3,071"))
    assert stored is not None and shown is not None and not stored.agrees(shown)


def test_a_stored_number_outside_its_bound_is_seen() -> None:
    line = Line.read("PSNR: 12 dB, above 50, below 200")
    assert line is not None and line.outside() == ["above 50"]


@pytest.mark.parametrize("line", ["PSNR: 12 dB", "a sentence, above 3", "x: y, above 3", ""])
def test_other_lines_are_left_alone(line: str) -> None:
    assert Line.read(line) is None
