"""The page's network against leaklib and PyTorch, in float64; both of its engines."""

import importlib.util
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from parts import ENGINES, weights_of
from torch.nn.functional import conv2d, conv_transpose2d, one_hot
from torch.nn.grad import conv2d_weight

from leaklib.client import FedSGD
from leaklib.data import Photos
from leaklib.models.lenet import LeNet
from leaklib.named import flatten
from leaklib.rng import generator

ROOT = Path(__file__).parents[2]
KERNEL = ROOT / "leaklib" / "widgets" / "live" / "kernel.wasm"
CASES = [(8, 1), (9, 1), (12, 1), (16, 1), (8, 2), (9, 2)]
LABELS = torch.tensor([3, 5])


@pytest.fixture(params=ENGINES)
def engine(request):
    """JavaScript that makes an engine of ``channels`` and ``examples``."""
    return f"const engine = {ENGINES[request.param]};"


def error(value, reference):
    """Relative, in the L2 norm."""
    value, reference = (np.asarray(x, dtype=float).ravel() for x in (value, reference))
    assert value.shape == reference.shape
    return np.linalg.norm(value - reference) / np.linalg.norm(reference)


def uniform(*shape, role="test"):
    return torch.rand(*shape, generator=generator(0, role), dtype=torch.float64) * 2 - 1


def network(channels, init_scale):
    model = LeNet(channels=channels, init_scale=init_scale).build(0).double()
    return model, weights_of(model)


@pytest.mark.parametrize("channels", [8, 12, 13])
def test_layout_is_leaklib_s(deno, channels):
    model, weights = network(channels, None)
    layout = deno("return network.layout(channels)", channels=channels)
    assert layout["names"] == [name for name, _ in model.named_parameters()]
    assert layout["sizes"] == [weight.numel() for weight in model.parameters()]
    assert layout["offsets"] == [sum(layout["sizes"][:tensor]) for tensor in range(8)]
    assert layout["total"] == len(weights)
    assert layout["features"] == 64 * channels


@pytest.mark.parametrize("init_scale", [None, 0.5])
@pytest.mark.parametrize("channels, examples", CASES)
def test_gradient_and_slope(deno, engine, channels, examples, init_scale):
    """The gradient is FedSGD's, and the slope autograd's of the squared error between two gradients."""
    model, weights = network(channels, init_scale)
    labels = LABELS[:examples]
    observed = flatten(FedSGD()(model, Photos().batch(3, examples).inputs.double(), labels)).detach()
    guess = torch.rand(examples, 3, 32, 32, generator=generator(0, "guess"), dtype=torch.float64)
    guess.requires_grad_()
    gradient = flatten(FedSGD()(model, guess, labels))
    (slope,) = torch.autograd.grad((gradient - observed).square().sum(), guess)
    loss = torch.nn.functional.cross_entropy(model(guess), labels)

    found = deno(
        f"""{engine}
        engine.weights.set(weights), engine.pictures.set(pictures), engine.targets.set(targets);
        const run = () => {{
          const loss = engine.evaluate();
          engine.gradient.forEach((value, i) => engine.direction[i] = 2 * (value - observed[i]));
          engine.mixed();
          return {{loss, gradient: engine.gradient.slice(), slope: engine.slope.slice()}};
        }};
        const first = run();
        engine.vector(7).fill(1), engine.pictures.fill(0.3), run(); // leaves nothing behind
        engine.pictures.set(pictures);
        return {{...first, again: run()}};""",
        channels=channels,
        examples=examples,
        weights=weights,
        pictures=guess,
        targets=one_hot(labels, 10).double(),
        observed=observed,
    )
    assert error(found["loss"], loss.item()) < 1e-13
    assert error(found["gradient"], gradient.detach()) < 1e-12
    assert error(found["slope"], slope) < 1e-12
    for name, value in found["again"].items():
        assert np.array_equal(value, found[name]), name


@pytest.mark.parametrize("layer", range(3))
@pytest.mark.parametrize("channels", range(8, 17))
def test_products_of_a_layer(deno, engine, channels, layer):
    """Convolution, weight gradient and input gradient are PyTorch's."""
    inputs, side, stride = (channels if layer else 3), (32, 16, 8)[layer], (2, 2, 1)[layer]
    kernel, picture = uniform(channels, inputs, 5, 5, role="kernel"), uniform(1, inputs, side, side, role="x")
    signal = uniform(1, channels, side // stride, side // stride, role="signal")
    found = deno(
        f"""{engine} const make = values => engine.vector(values.length);
        const filled = values => {{ const vector = make(values); vector.set(values); return vector; }};
        const [k, x, s] = [kernel, picture, signal].map(filled);
        const results = {{convolve: make(signal), correlate: make(kernel), transpose: make(picture)}};
        for (const result of Object.values(results)) result.fill(NaN); // what was there does not matter
        engine.convolve(layer, k, x, results.convolve);
        engine.correlate(layer, s, x, results.correlate);
        engine.transpose(layer, k, s, results.transpose);
        return results;""",
        channels=channels,
        examples=1,
        layer=layer,
        kernel=kernel,
        picture=picture,
        signal=signal,
    )
    options = {"stride": stride, "padding": 2}
    assert error(found["convolve"], conv2d(picture, kernel, **options)) < 1e-13
    assert error(found["correlate"], conv2d_weight(picture, kernel.shape, signal, **options)) < 1e-13
    transposed = conv_transpose2d(signal, kernel, output_padding=stride - 1, **options)
    assert error(found["transpose"], transposed) < 1e-13


@pytest.mark.parametrize("length", [1, 2, 3, 4, 5, 6, 7, 8, 9, 3072, 15826, 15829])
def test_dot_and_add(deno, engine, length):
    a, b = uniform(length, role="a"), uniform(length, role="b")
    found = deno(
        f"""{engine} const a = engine.vector(values.length), b = engine.vector(values.length);
        const zeros = a.every(value => value === 0);
        a.set(values), b.set(others);
        const dot = engine.dot(a, b);
        engine.add(-0.7, a, b);
        return {{zeros, dot, b}};""",
        channels=9,
        examples=1,
        values=a,
        others=b,
    )
    assert found["zeros"]
    assert abs(found["dot"] - (a @ b).item()) < 1e-14 * (a.norm() * b.norm()).item()
    assert error(found["b"], b - 0.7 * a) < 1e-15


@pytest.mark.parametrize("channels", range(8, 17))
def test_engines_agree(deno, channels):
    """Everything that an engine offers, at small weights and at large ones: sigmoids at their ends."""
    examples, scale = 1 + channels % 2, (0.1, 3)[channels // 2 % 2]
    found = deno(
        f"""return [run({ENGINES["js"]}), run({ENGINES["wasm"]})];
        function run(engine) {{
          const fill = (array, from) => array.forEach((_, i) => array[i] = numbers[(from + i) % 7919]);
          ["weights", "pictures", "direction"].forEach((name, i) => fill(engine[name], 1000 * i));
          engine.weights.forEach((value, i) => engine.weights[i] = scale * value);
          for (let e = 0; e < examples; e++) engine.targets[10 * e + 3 + 4 * e] = 1;
          const found = {{loss: engine.evaluate()}};
          engine.mixed();
          engine.layout.convolutions.forEach(({{inputs, height, width, outputs, rows, columns}}, layer) => {{
            const sizes = [outputs * inputs * 25, inputs * height * width, outputs * rows * columns];
            const [kernel, input, signal] = sizes.map(size => engine.vector(size));
            [kernel, input, signal].forEach((array, i) => fill(array, 3000 + 500 * i + layer));
            const [weight, upper, output] = sizes.map(size => engine.vector(size));
            engine.convolve(layer, kernel, input, output);
            engine.correlate(layer, signal, input, weight);
            engine.transpose(layer, kernel, signal, upper);
            Object.assign(found, {{[`convolve${{layer}}`]: output, [`correlate${{layer}}`]: weight,
              [`transpose${{layer}}`]: upper}});
          }});
          engine.mixed(); // what evaluate left is still there
          found.dot = engine.dot(engine.weights, engine.direction);
          engine.add(0.3, engine.weights, engine.direction);
          for (const name of ["gradient", "slope", "direction"]) found[name] = engine[name];
          return found;
        }}""",
        channels=channels,
        examples=examples,
        scale=scale,
        numbers=uniform(7919),
    )
    plain, compiled = found
    assert compiled.pop("loss") == pytest.approx(plain.pop("loss"), rel=1e-12, abs=1e-14)
    assert plain.keys() == compiled.keys()
    for name, value in plain.items():
        assert np.all(np.isfinite(value)), name
        assert error(compiled[name], value) < 1e-12, name


def test_exponential_and_logarithm(deno, engine):
    """Each to its last places: a network of zeros but for the last biases gives their softmax."""
    sizes = torch.logspace(-3, 2.54, 100, dtype=torch.float64)[:, None]  # up to 350, where e^-700 is in reach
    rows = (-sizes * (uniform(100, 10) + 1)).numpy()
    answers = deno(
        f"""{engine} return rows.map(logits => {{
          engine.weights.set(logits, engine.layout.offsets[7]);
          engine.targets[0] = 0;
          engine.evaluate(); // no target: the errors are the probabilities
          const softmax = engine.gradient.slice(engine.layout.offsets[7]);
          engine.targets[0] = 1;
          return {{softmax, loss: engine.evaluate()}};
        }});""",
        channels=8,
        examples=1,
        rows=list(rows),
    )
    for logits, found in zip(rows, answers, strict=True):
        powers = np.exp(logits - max(logits))
        assert found["softmax"] == pytest.approx(powers / math.fsum(powers), rel=2e-15, abs=0)
        assert found["loss"] == pytest.approx(
            max(logits) - logits[0] + math.log(math.fsum(powers)), rel=1e-14
        )


def test_memory_of_the_kernel(deno):
    """One reserve from the beginning: room for the longest search, views that stay, words where it ends."""
    found = deno(
        f"""const engine = {ENGINES["wasm"]}, {{weights}} = engine, errors = [];
        const says = act => {{ try {{ act(); }} catch (error) {{ errors.push(error.message); }} }};
        for (let i = 0; i < 210; i++) engine.vector(2 * 3072).fill(1); // 100 pairs, and some
        for (let i = 0; i < 12; i++) engine.vector(engine.layout.total).fill(1);
        says(() => engine.vector(2 ** 21));
        says(() => {{ for (;;) engine.vector(1).fill(1); }});
        says(() => engine.dot(weights, slope));
        const untouched = weights.every(value => value === 0);
        return {{errors, untouched, bytes: weights.buffer.byteLength}};""",
        channels=16,
        examples=2,
        slope=uniform(100),
    )
    assert found["errors"] == [
        "the kernel's memory is full: no room for 2097152 more numbers",
        "the kernel's memory is full: no room for 1 more numbers",
        "the kernel reaches only what its engine's vector() made",
    ]
    assert found["bytes"] == 16 * 2**20
    assert found["untouched"]


@pytest.mark.slow
def test_kernel_is_what_its_source_compiles_to(tmp_path, monkeypatch):
    """The same bytes from the project and from another folder; --check says so, and where they differ."""
    spec = importlib.util.spec_from_file_location("kernel", ROOT / "scripts" / "kernel.py")
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    monkeypatch.setattr("sys.argv", ["kernel.py", "--check"])
    script.main()

    module = tmp_path / "kernel.wasm"
    monkeypatch.setattr(script, "SOURCE", tmp_path / "kernel.c")
    script.SOURCE.write_bytes(KERNEL.with_suffix(".c").read_bytes())
    module.write_bytes(KERNEL.read_bytes())
    script.main()
    module.write_bytes(KERNEL.read_bytes()[:-1])
    with pytest.raises(SystemExit, match=r"is not what kernel\.c compiles to: run scripts/kernel\.py"):
        script.main()
    assert module.read_bytes() == KERNEL.read_bytes()[:-1]
