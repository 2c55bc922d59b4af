"""A fully connected layer with a bias hands over its input: one division, no optimisation.

For z = W x + b and δ = ∂L/∂z, one example gives ∂L/∂W = δ xᵀ and ∂L/∂b = δ, hence
x = (∂L/∂W)ᵀ δ / ‖δ‖². It fails only if δ = 0.

Source: Phong, Aono, Hayashi, Wang, Moriai, "Privacy-Preserving Deep Learning via Additively Homomorphic
Encryption", IEEE TIFS 2018. Differs: all rows are combined by least squares; one row is enough.
Chapter: 2.
"""

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor, nn

from leaklib.attacks.parts.base import AttackBase, check_single, check_uncompressed, layer_gradients
from leaklib.attacks.parts.labels import infer_labels
from leaklib.attacks.search.matching import explain_exact
from leaklib.types import Reconstruction, Update


def invert_linear(rows: Float[Tensor, "out in"], signal: Float[Tensor, "out"]) -> Float[Tensor, "in"]:
    """The input of a linear layer from its weight's and its bias's gradient, for one example.

    Raises ValueError if the bias gradient is zero: then the layer saw no error and tells nothing.
    """
    # Scaled first: the squares of a small gradient would fall out of float32's range.
    scale = signal.abs().max()
    if scale == 0:
        raise ValueError("the bias gradient is zero, so this layer tells nothing about its input")
    delta = signal / scale
    return (rows / scale).T @ delta / delta.square().sum()


@dataclass(frozen=True)
class LinearLayer(AttackBase):
    """Invert the network's first layer, where that is fully connected and has a bias.

    One gradient of one example; several examples would come back as a mixture, and are refused.
    """

    def reconstruct(self, model: nn.Module, update: Update, *_: object) -> Reconstruction:
        check_single("LinearLayer", update)
        check_uncompressed("LinearLayer", update)
        inputs = invert_linear(*layer_gradients("LinearLayer", update, _first_layer(model)))
        inputs, labels = inputs.reshape(1, *update.input_shape), infer_labels(model, update)
        return explain_exact(model, update, inputs, labels)


def _first_layer(model: nn.Module) -> str:
    """Name of the first layer, if it is a Linear with a bias that sees the picture itself."""
    name, first = next(
        (name, module)
        for name, module in model.named_modules()
        if not list(module.children()) and not isinstance(module, nn.Flatten | nn.Identity)
    )
    if not isinstance(first, nn.Linear) or first.bias is None:
        raise ValueError(
            f"LinearLayer needs a network whose first layer is Linear with a bias, "
            f"got {type(first).__name__} as {name!r}: use Recursive or DLG"
        )
    return name
