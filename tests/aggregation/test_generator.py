"""Without a generator a protocol draws from seed 0's: the same results twice."""

import pytest
import torch

from leaklib.aggregation.byzsecagg import ByzSecAgg
from leaklib.aggregation.ccesa import CCESA
from leaklib.aggregation.central import CentralDP
from leaklib.aggregation.enclave import Enclave
from leaklib.aggregation.secagg import SecAgg
from leaklib.client import FedSGD
from leaklib.rng import generator
from leaklib.types import Aggregation, Update


@pytest.mark.parametrize(
    "protocol",
    [CentralDP(), SecAgg(), SecAgg(neighbors=2), CCESA(0.6, threshold=1), ByzSecAgg(), Enclave()],
    ids=str,
)
def test_without_a_generator_it_is_that_of_seed_0(protocol: Aggregation) -> None:
    draw = generator(0, "updates")
    updates = tuple(
        Update({"w": torch.randn(9, generator=draw)}, FedSGD(), 1, (9,), client=c, sensitivity=1.0)
        for c in range(8)
    )
    views = (protocol(updates), protocol(updates, generator=generator(0, "aggregation")))
    ours, theirs = ([update.tensors["w"] for update in (*v.updates, *v.sealed)] for v in views)
    assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))
    other = protocol(updates, generator=generator(1, "aggregation"))
    again = [update.tensors["w"] for update in (*other.updates, *other.sealed)]
    assert len(again) != len(ours) or not all(map(torch.equal, ours, again))
