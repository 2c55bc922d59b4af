"""One thread per process: the tests run side by side, and results do not depend on the number of cores."""

import torch

torch.set_num_threads(1)


def pytest_collection_modifyitems(items: list) -> None:
    """The file that takes longest goes first, so that two workers are done at about the same time."""
    items.sort(key=lambda item: item.path.name != "test_solutions.py")
