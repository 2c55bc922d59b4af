"""What the page draws: scores of pictures, gradients as pictures, curves."""

import numpy as np
import pytest
import torch

from leaklib import match_batch, psnr


def test_psnr_of_the_page_is_that_of_leaklib(deno):
    generator = torch.Generator().manual_seed(0)
    originals = torch.rand(2, 3, 32, 32, generator=generator, dtype=torch.float64)
    guesses = (originals.flip(0) + 0.05 * torch.randn(originals.shape, generator=generator)).clamp(0, 1)
    code = "return canvas.scoreGuesses(guesses, [first, second])"
    answer = deno(
        code, guesses=guesses.flatten(), first=originals[0].flatten(), second=originals[1].flatten()
    )
    order = match_batch(guesses, originals)
    assert answer["order"] == order.tolist() == [1, 0]
    np.testing.assert_allclose(answer["scores"], psnr(guesses[order], originals), rtol=1e-9)


def test_every_number_of_the_gradient_has_a_pixel_of_its_own(deno):
    code = """
      const shape = network.layout(9), counts = [];
      for (const layer of [0, 1, 2, 3]) {
        const {width, height, weights, bias} = canvas.arrangement(shape, layer);
        const pixels = Array.from({length: shape.sizes[2 * layer]}, (_, i) => weights(i));
        pixels.push(...Array.from({length: shape.sizes[2 * layer + 1]}, (_, i) => bias(i)).flat());
        counts.push([new Set(pixels).size === pixels.length, Math.min(...pixels) >= 0,
                     Math.max(...pixels) < width * height]);
      }
      return counts"""
    assert deno(code) == [[True, True, True]] * 4


@pytest.mark.parametrize(
    ("end", "last"), [(50, 50), (97, 100), (101, 150), (1293, 1500), (0.5, 0.5), (6.1, 8)]
)
def test_ticks_are_few_and_reach_the_end(deno, end, last):
    ticks = deno("return curves.roundTicks(end)", end=end)
    assert ticks[0] == 0
    assert ticks[-1] == last >= end
    assert len(ticks) <= 6
    np.testing.assert_allclose(np.diff(ticks), ticks[1])


def test_a_long_curve_keeps_its_shape(deno):
    code = """
      const points = [];
      for (let i = 0; i < 5000; i++) curves.addPoint(points, i, i % 7 === 0 ? NaN : i);
      return points"""
    points = deno(code)
    assert 150 <= len(points) <= 400
    assert all(x == y for x, y in points)
    assert points[-1][0] == 4999
    assert [x for x, _ in points] == sorted({x for x, _ in points})
