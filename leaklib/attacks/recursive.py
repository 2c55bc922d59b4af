"""Closed form through the whole network: peel it layer by layer, from the last one down to the picture.

The last layer hands over its input h and the signal ∂L/∂h (linear_layer.py); an activation is inverted, so
z = φ⁻¹(h) and ∂L/∂z = φ'(z) ∂L/∂h; a convolution gives two linear systems in its input (parts/peel.py); and
so on down to the picture. Nothing is optimised, and the result is as exact as the digits of the gradient
allow.

Source: Zhu and Blaschko, "R-GAP: Recursive Gradient Attack on Privacy", ICLR 2021, Algorithm 1. Differs: they
treat two classes and no biases; here a bias in the last layer gives label and signal for any number of them.
Chapter: 3.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from leaklib.attacks.linear_layer import invert_linear
from leaklib.attacks.parts.base import AttackBase, check_single, check_uncompressed
from leaklib.attacks.parts.labels import infer_labels
from leaklib.attacks.parts.layers import Layers, chain, input_shapes
from leaklib.attacks.parts.peel import Known, double, peel_conv
from leaklib.attacks.search.matching import explain_exact
from leaklib.client import FedSGD
from leaklib.models.parts.build import Normalize
from leaklib.types import Reconstruction, Tensors, Update


@dataclass(frozen=True)
class Recursive(AttackBase):
    """Undo every layer in turn, from one plaintext FedSGD gradient of one example.

    Needs a chain of Linear, Conv2d and strictly monotonic activations that ends in a Linear with a bias; a
    layer that cannot be undone is refused by name. Where rounding has eaten the digits, as in a network of
    saturated sigmoids, the loss of the reconstruction tells.
    """

    def reconstruct(self, model: nn.Module, update: Update, *_: object) -> Reconstruction:
        check_single("Recursive", update)
        check_uncompressed("Recursive", update)
        if not isinstance(update.step, FedSGD) or update.step.max_grad_norm is not None:
            raise ValueError(f"Recursive needs an update from FedSGD() without clipping, got {update.step}")
        layers = chain("Recursive", model)
        _check_layers(layers, update.tensors)
        shapes = input_shapes(layers, model, update)
        labels = infer_labels(model, update)
        gradients = {name: double(tensor) for name, tensor in update.tensors.items()}
        logits = gradients[f"{layers[-1][0]}.bias"]
        known = Known(logits, logits, logits, logits)  # only their signal is known, and only it will be used
        for (name, layer), shape in zip(reversed(layers), reversed(shapes), strict=True):
            known = Known(*(tensor.reshape(shape) for tensor in _peel(name, layer, shape, known, gradients)))
        return explain_exact(model, update, known.value[None], labels)


def _peel(name: str, layer: nn.Module, shape: torch.Size, output: Known, gradients: Tensors) -> Known:
    """What is known of the input of ``layer``."""
    match layer:
        case nn.Linear():
            if len(shape) != 1:
                raise ValueError(f"Recursive cannot undo {name}: it sees more than one vector")
            signal = gradients.get(f"{name}.bias", output.signal)
            if not signal.any():
                raise ValueError(f"Recursive cannot undo {name}: the gradient in its output is zero")
            value, below = invert_linear(gradients[f"{name}.weight"], signal), signal @ double(layer.weight)
            # A rounding is relative; the floor keeps a value near zero from looking infinitely exact.
            return Known(value, below, value.abs() + 1e-3 * value.abs().max(), below.abs())
        case nn.Conv2d():
            return peel_conv(name, layer, shape, output, gradients[f"{name}.weight"])
        case Normalize():
            mean, std = double(layer.mean), double(layer.std)
            value = output.value * std + mean
            return Known(value, output.signal / std, output.error * std, output.signal_error / std)
        case nn.Flatten() | nn.Identity() | nn.Dropout():
            return output
    z, slope, bend = INVERSES[type(layer)](layer, output.value)
    signal = output.signal * slope
    error = torch.hypot(output.error / slope, z)  # the client rounded z as well
    return Known(z, signal, error, torch.hypot(output.signal * bend * output.error, signal))


Inverse = tuple[Tensor, Tensor, Tensor]
"""z with φ(z) = h, the slope φ'(z), and |φ''(z) / φ'(z)|: how fast the slope changes with h."""

TINY = torch.finfo(torch.float64).eps  # a recovered value may leave the range of φ by its error


def _sigmoid(layer: nn.Sigmoid, h: Tensor) -> Inverse:
    h = h.clamp(TINY, 1 - TINY)
    return torch.logit(h), h * (1 - h), (1 - 2 * h).abs()


def _tanh(layer: nn.Tanh, h: Tensor) -> Inverse:
    h = h.clamp(TINY - 1, 1 - TINY)
    return torch.atanh(h), 1 - h.square(), 2 * h.abs()


def _leaky_relu(layer: nn.LeakyReLU, h: Tensor) -> Inverse:
    slope = torch.ones_like(h).where(h >= 0, layer.negative_slope)
    return h / slope, slope, torch.zeros_like(h)


def _softplus(layer: nn.Softplus, h: Tensor) -> Inverse:
    h = h.clamp_min(TINY)
    decay = torch.exp(-layer.beta * h) * (layer.beta * h <= layer.threshold)  # above it PyTorch returns z
    return h + torch.log1p(-decay) / layer.beta, 1 - decay, layer.beta * decay


INVERSES: dict[type[nn.Module], Callable[..., Inverse]] = {
    nn.Sigmoid: _sigmoid, nn.Tanh: _tanh, nn.LeakyReLU: _leaky_relu, nn.Softplus: _softplus
}  # fmt: skip


def _check_layers(layers: Layers, gradients: Tensors) -> None:
    """Raise ValueError, naming the layer, unless every layer can be undone."""
    names = [name for name, _ in layers]
    for name, layer in layers:
        if why := _refusal(layer):
            raise ValueError(f"Recursive cannot undo {name} ({type(layer).__name__}): {why}")
        if any(not weight.requires_grad for weight in layer.parameters()):
            raise ValueError(f"Recursive cannot undo {name}: it is frozen, its gradient was not sent")
        own = [f"{name}.{weight}" for weight, _ in layer.named_parameters()]
        if (own and names.count(name) > 1) or not gradients.keys() >= set(own):
            raise ValueError(f"Recursive cannot undo {name}: its weights are used in two places")
    name, last = layers[-1]
    if not isinstance(last, nn.Linear) or last.bias is None:
        raise ValueError(f"Recursive starts from a last layer that is Linear with a bias, got {name}: {last}")


def _refusal(layer: nn.Module) -> str | None:
    """Why ``layer`` cannot be undone, None if it can."""
    match layer:
        case nn.Conv2d():
            odd = layer.groups != 1 or layer.dilation != (1, 1) or layer.padding_mode != "zeros"
            return "it has groups, dilation or special padding" if odd or layer.padding == "same" else None
        case nn.LeakyReLU():
            return None if layer.negative_slope > 0 else "its negative_slope is not above 0"
        case nn.Dropout():
            return "in train mode it drops values at random" if layer.training and layer.p > 0 else None
        case nn.ReLU() | nn.ReLU6() | nn.Hardtanh() | nn.Hardsigmoid():
            return "it maps many values to one"
        case nn.GELU() | nn.SiLU() | nn.Mish() | nn.Hardswish():
            return "it is not one-to-one"
        case nn.MaxPool2d() | nn.AvgPool2d() | nn.AdaptiveMaxPool2d() | nn.AdaptiveAvgPool2d():
            return "it keeps fewer numbers than it gets"
        case nn.BatchNorm1d() | nn.BatchNorm2d() if layer.training:
            return "in train mode it removes the mean and the scale of its input"
        case nn.Linear() | nn.Flatten() | nn.Identity() | Normalize():
            return None
    return None if type(layer) in INVERSES else "it knows no inverse of it"
