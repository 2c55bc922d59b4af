"""The page's random numbers are PyTorch's, and its networks leaklib's."""

import numpy as np
import pytest
import torch
from parts import seeds

from leaklib import LeNet
from leaklib.rng import generator

SEEDS = 0, 1, 5, 2**31 + 11, 2**32 - 1
TENSORS = [900, 12, 3600, 12, 3600, 12, 7680, 10]


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("bounds", [(0.0, 1.0), (-0.5, 0.5), (-0.1, 0.3), (3.0, 1000.0)])
def test_uniform_numbers_are_pytorchs_bit_for_bit(deno, seed: int, bounds: tuple[float, float]) -> None:
    expected = torch.empty(2000).uniform_(*bounds, generator=torch.Generator().manual_seed(seed))
    code = "return new random.Torch(seed).uniform(2000, ...bounds)"
    given = deno(code, seed=seed, bounds=list(bounds))
    assert (given == expected.numpy()).all()


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("sizes", [[3072], [16], [17], [31], [1], [7, 8, 3072, 5], TENSORS])
def test_normal_numbers_are_pytorchs_up_to_rounding(deno, seed: int, sizes: list[int]) -> None:
    """Also in several calls, of which short ones leave a number for the next short one."""
    source = torch.Generator().manual_seed(seed)
    expected = torch.cat([torch.randn(n, generator=source) for n in sizes])
    code = "const torch = new random.Torch(seed); return sizes.flatMap(n => [...torch.normal(n)])"
    given = deno(code, seed=seed, sizes=sizes)
    np.testing.assert_allclose(given, expected.numpy(), rtol=1e-6, atol=1e-6)


def test_a_short_and_a_long_draw_leave_the_stream_where_pytorch_does(deno) -> None:
    source = torch.Generator().manual_seed(3)
    for n in (5, 100, 16):
        torch.randn(n, generator=source)
    code = (
        "const t = new random.Torch(3); for (const n of [5, 100, 16]) t.normal(n); return t.uniform(9, 0, 1)"
    )
    assert (deno(code) == torch.rand(9, generator=source).numpy()).all()


@pytest.mark.parametrize("channels", range(8, 17))
@pytest.mark.parametrize(("name", "scale"), [("default", None), ("uniform", 0.5)])
def test_networks_are_leaklibs_bit_for_bit(deno, channels: int, name: str, scale: float | None) -> None:
    for seed in (0, 1, 9):
        model = LeNet(channels=channels, init_scale=scale).build(seed)
        expected = torch.nn.utils.parameters_to_vector(model.parameters()).detach().numpy()
        code = "return random.initialWeights(name, channels, seeds)"
        given = deno(code, name=name, channels=channels, seeds=seeds(seed))
        assert given.shape == expected.shape
        assert (given == expected).all()


def test_starts_are_leaklibs(deno) -> None:
    """`Search.draw`, twice from one stream; a few numbers differ in the last digit of float32."""
    source = generator(4, "attack")
    expected = torch.cat([0.5 + 0.1 * torch.randn(n, generator=source) for n in (3072, 6144)])
    code = "const t = new random.Torch(seed); return [3072, 6144].flatMap(n => [...random.startNear(t, n)])"
    given = np.array(deno(code, seed=seeds(4)["attack"]))
    np.testing.assert_allclose(given, expected.numpy(), rtol=0, atol=2e-7)
    assert (np.float32(given) == given).all()
