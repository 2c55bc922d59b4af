"""One thread per process, the longest tests first, and the draw of cases where a run is sampled.

Marked ``sampled(k)``, a parametrized test keeps all its cases with ``--sample all``, the default; with a
number for a seed it keeps k of them, and the report names what was left out.
"""

import random
from collections import defaultdict

import pytest
import torch

torch.set_num_threads(1)  # the tests run side by side, and results do not depend on the number of cores


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--sample", default="all", metavar="SEED", help="a few cases of each test with many")


def pytest_report_header(config: pytest.Config) -> str:
    seed = config.getoption("sample")
    if seed == "all":
        return "sample: all cases of every test"
    return f"sample: a few cases of each long test, drawn with seed {seed}; all with `make test SAMPLE=all`"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    # So that the processes are done at about the same time: chapters first, short tests last.
    items.sort(key=lambda item: (item.path.suffix != ".ipynb", item.get_closest_marker("slow") is None))
    seed = config.getoption("sample")
    if seed == "all":
        return
    tests = defaultdict(list)
    for item in items:
        if item.get_closest_marker("sampled"):
            tests[item.nodeid.partition("[")[0]].append(item)
    for name, cases in tests.items():
        (keep,) = cases[0].get_closest_marker("sampled").args
        drawn = random.Random(f"{seed} {name}").sample(cases, min(keep, len(cases)))
        reason = f"{len(drawn)} of {len(cases)} cases drawn with seed {seed}; `make test SAMPLE=all` runs all"
        for item in set(cases) - set(drawn):
            item.add_marker(pytest.mark.skip(reason=reason))
