"""A sampled run leaves out cases of marked and slow tests only: the same for one seed, others for another."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TESTS = """
import pytest

@pytest.mark.sampled(3)
@pytest.mark.parametrize("case", range(9))
def test_many(case):
    pass

@pytest.mark.sampled(3)
@pytest.mark.parametrize("case", range(2))
def test_few(case):
    pass

@pytest.mark.slow
@pytest.mark.parametrize("case", range(20))
def test_slow(case):
    pass

@pytest.mark.slow
def test_slow_too():
    pass

@pytest.mark.parametrize("case", range(9))
def test_unmarked(case):
    pass
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory):
    folder = tmp_path_factory.mktemp("sampling")
    (folder / "test_cases.py").write_text(TESTS)
    (folder / "pytest.ini").write_text("[pytest]\nmarkers =\n  sampled: a few cases\n  slow: takes long\n")
    shutil.copy(ROOT / "tests" / "conftest.py", folder)
    (folder / "torch.py").write_text("set_num_threads = print")  # seconds faster to import
    environment = os.environ | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}

    def run(*options: str) -> tuple[set[str], str]:
        command = [sys.executable, "-m", "pytest", "-rAs", "-p", "no:cacheprovider", *options]
        said = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True).stdout
        return set(re.findall(r"^PASSED test_cases.py::(\S+)", said, re.MULTILINE)), said

    return run


def many(passed: set[str]) -> set[str]:
    return {name for name in passed if name.startswith("test_many")}


def slow(passed: set[str]) -> set[str]:
    return {name for name in passed if name.startswith("test_slow")}


def test_a_seed_draws_some_cases_and_says_how_many_of_how_many(run) -> None:
    passed, said = run("--sample", "20261127")
    assert len(many(passed)) == 3 and len(slow(passed)) == 2 and len(passed) == 3 + 2 + 2 + 9
    assert "3 of 9 cases drawn with seed 20261127; `make test SAMPLE=all` runs all" in said
    assert "2 of 21 slow tests drawn with seed 20261127" in said
    again, _ = run("--sample", "20261127", "-p", "xdist", "-n", "2")
    assert again == passed
    assert any(many(run("--sample", str(seed))[0]) != many(passed) for seed in range(2))


@pytest.mark.parametrize("options", [(), ("--sample", "all")])
def test_without_a_seed_everything_runs(run, options: tuple[str, ...]) -> None:
    passed, said = run(*options)
    assert len(passed) == 9 + 2 + 21 + 9 and "skipped" not in said


def test_ci_leaves_nothing_out() -> None:
    assert "test SAMPLE=all" in (ROOT / ".ci" / "run").read_text()
    assert "--sample $(SAMPLE)" in (ROOT / "Makefile").read_text()
