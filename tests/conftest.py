"""One thread per process, the longest tests first, and the draw of cases where a run is sampled.

With ``--sample all``, the default, everything runs. With a number for a seed, a parametrized test marked
``sampled(k)`` keeps k of its cases, and of all other slow tests a twentieth runs; the report says so.
"""

import random
import sys
from collections import defaultdict
from pathlib import Path

import pytest
import torch

sys.path += [str(Path(__file__).parents[1] / name) for name in ("scripts", "coursework")]
torch.set_num_threads(1)  # the tests run side by side, and results do not depend on the number of cores


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--sample", default="all", metavar="SEED", help="a few cases of each test with many")


def pytest_report_header(config: pytest.Config) -> str:
    seed = config.getoption("sample")
    if seed == "all":
        return "sample: all cases of every test"
    return (
        f"sample: a few cases of the longest tests, drawn with seed {seed}; all with `make test SAMPLE=all`"
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    # So that the processes are done at about the same time: chapters first, short tests last.
    items.sort(key=lambda item: (item.path.suffix != ".ipynb", item.get_closest_marker("slow") is None))
    seed = config.getoption("sample")
    if seed == "all":
        return
    groups = defaultdict(list)
    for item in items:
        if item.get_closest_marker("sampled"):
            groups[item.nodeid.partition("[")[0]].append(item)
        elif item.get_closest_marker("slow"):
            groups["slow"].append(item)
    for name, cases in groups.items():
        marker = cases[0].get_closest_marker("sampled")
        keep = marker.args[0] if marker else -(-len(cases) // 20)
        drawn = random.Random(f"{seed} {name}").sample(cases, min(keep, len(cases)))
        what = "cases" if marker else "slow tests"
        reason = (
            f"{len(drawn)} of {len(cases)} {what} drawn with seed {seed}; `make test SAMPLE=all` runs all"
        )
        for item in set(cases) - set(drawn):
            item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(scope="session")
def browser():
    """Debian's Chromium, which finds no host but this one. One for all: Playwright starts only once."""
    import pages
    from playwright.sync_api import sync_playwright

    if pages.CHROMIUM is None:
        pytest.skip("no chromium, chromium-browser or google-chrome on this machine")
    with sync_playwright() as playwright:
        yield playwright.chromium.launch(executable_path=pages.CHROMIUM, args=pages.ARGUMENTS)
