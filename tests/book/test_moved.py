"""The table of numbers that moved."""

import moved
import nbformat
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

SOLUTION = ":::{{solution}} ex-one\n```python\nprint(1)\n```\n```text\n{}\n```\n:::"


def notebook(line, solution="1", tags=("nbval-check-output",), after=""):
    cell = new_code_cell("report()", outputs=[new_output("stream", text=f"Loss: 3\n{line}\n")], id="psnr")
    cell.metadata.tags = list(tags)
    return new_notebook(cells=[cell, new_markdown_cell(SOLUTION.format(solution) + after, id="text")])


BEFORE = notebook("DLG | PSNR: 41.2 dB, above 30 (±0.5 across machines)")


def test_a_number_within_its_tolerance_has_not_moved():
    assert list(moved.moved(BEFORE, notebook("DLG | PSNR: 41.6 dB, above 30 (±0.5 across machines)"))) == []


def test_a_number_beyond_its_tolerance_is_named():
    now = "DLG | PSNR: 41.8 dB, above 30 (±0.5 across machines)"
    (row,) = moved.moved(BEFORE, notebook(now))
    assert row == ("cell psnr", "DLG | PSNR: 41.2 dB, above 30 (±0.5 across machines)", now)
    assert moved.table([("03_dlg", *row)]).splitlines()[2] == (
        r"| 03_dlg | cell psnr | DLG \| PSNR: 41.2 dB, above 30 (±0.5 across machines) "
        r"| DLG \| PSNR: 41.8 dB, above 30 (±0.5 across machines) |"
    )


def test_a_line_more_or_less_is_named():
    (row,) = moved.moved(BEFORE, notebook("DLG | PSNR: 41.2 dB, above 30 (±0.5 across machines)\nwarning"))
    assert row == ("cell psnr", "", "warning")


def test_what_a_solution_prints_counts_unless_machines_differ():
    before = "DLG | PSNR: 41.2 dB, above 30 (±0.5 across machines)"
    (row,) = moved.moved(BEFORE, notebook(before, solution="2"))
    assert row == ("solution ex-one", "1", "2")
    free = [notebook(before, solution=text, after="\n<!-- differs between machines -->") for text in "12"]
    assert list(moved.moved(*free)) == []


def test_what_the_tests_do_not_compare_does_not_count():
    assert list(moved.moved(notebook("1 s", tags=()), notebook("2 s", tags=()))) == []


def test_nothing_is_printed_where_nothing_moved(monkeypatch, tmp_path, capsys):
    nbformat.write(BEFORE, tmp_path / "03_dlg.ipynb")
    monkeypatch.setattr(moved, "CHAPTERS", tmp_path)
    monkeypatch.setattr(moved, "committed", lambda path: BEFORE)
    moved.main([])
    assert capsys.readouterr().out == ""
    moved.main(["chapters/07_text.ipynb"])
    assert "07_text" in capsys.readouterr().out


def test_the_last_commit_holds_every_chapter():
    for path in sorted(moved.CHAPTERS.glob("*.ipynb"))[:2]:
        assert moved.lines(moved.committed(path)).keys()
