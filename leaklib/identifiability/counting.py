"""Counting equations: how many pixels a gradient can determine at most, read off the layers alone.

From the last layer down. Let r be a bound on how many independent numbers the gradients above a layer know
about its output, of B·dim z numbers in all, and let the layer have P parameters. About its input they all
together know at most

    min( B·dim x,   r + P,   B·dim z + max over s of [equations(s) − s · out] )

The first term is what there is to know. The second adds the layer's own gradient, number by number. The third
lets the output be known completely: then ∂L/∂W = Σ d ⋆ x is linear in x, with s independent signals d among
the layer's ``out`` outputs, and for each signal ``out`` of its equations follow from the output, because
⟨W_k, d ⋆ x⟩ = ⟨d, W_k ∗ x⟩. No weights, no pictures and no attack change this bound.

Source: derived for this book; compare the rank analysis of Zhu and Blaschko, "R-GAP", ICLR 2021.
Chapter: 4.
"""

import copy
from collections import defaultdict
from dataclasses import dataclass

import torch
from torch import nn

from leaklib.attacks.parts.base import check_update, steps_and_scale
from leaklib.attacks.parts.layers import chain, input_shapes
from leaklib.types import Update


@dataclass(frozen=True)
class Bound:
    """At most ``rank`` of the ``unknowns`` numbers that enter ``layer`` are determined by the update."""

    layer: str
    rank: int
    unknowns: int


def counting_bounds(model: nn.Module, update: Update) -> tuple[Bound, ...]:
    """A bound for the input of every layer, from the last layer to the first, whose input is the batch.

    Needs a chain of layers and an update of one unclipped gradient step. For other networks and steps there
    is one entry only, for the whole model: as many equations as the update has numbers.
    """
    check_update(model, update)
    equations = sum(tensor.numel() for tensor in update.tensors.values())
    try:
        single = steps_and_scale("the layer count", update)[0] == 1
        resting = copy.deepcopy(model).eval()  # BatchNorm would count the zeros that are sent through
        layers = chain("the layer count", resting) if single else []
        shapes = input_shapes(layers, resting, update)
    except ValueError:
        layers, shapes = [], []
    if not layers:
        unknowns = update.num_examples * torch.Size(update.input_shape).numel()
        return (Bound(type(model).__name__, min(equations, unknowns), unknowns),)
    bounds, known = [], 0
    for (name, layer), shape in zip(reversed(layers), reversed(shapes), strict=True):
        known = _count(layer, shape, update.num_examples, known)
        bounds.append(Bound(name, known, update.num_examples * shape.numel()))
    return tuple(bounds)


def _count(layer: nn.Module, shape: torch.Size, batch: int, above: int) -> int:
    """The bound for the input of ``layer``, of ``shape`` for one example, from the one for its output."""
    own = sum(weight.numel() for weight in layer.parameters())
    match layer:
        case nn.Linear():
            vectors = batch * shape.numel() // layer.in_features
            channels, signals = (layer.in_features, layer.out_features), min(layer.out_features, vectors)
            axes = [[(1, 1)], [(1, vectors)]]
            results = vectors * layer.out_features
        case nn.Conv2d(groups=1, padding_mode="zeros"):
            output = layer(torch.zeros(1, *shape).to(layer.weight))
            axes = _axes(layer, shape, output.shape[2:])
            channels, results = (layer.in_channels, layer.out_channels), batch * output.numel()
            signals = min(layer.out_channels, results // layer.out_channels)
            axes[1] = [(offsets, batch * places) for offsets, places in axes[1]]
        case _:
            return min(batch * shape.numel(), above + own)
    classes = [(a * b, p * q) for a, p in axes[0] for b, q in axes[1]]
    touched = channels[0] * sum(places for _, places in classes)
    from_weights = max(
        channels[0] * sum(min(s * offsets, places) for offsets, places in classes) - s * channels[1]
        for s in range(signals + 1)
    )
    return min(touched, above + own, results + from_weights)


def _axes(layer: nn.Conv2d, shape: torch.Size, sizes: torch.Size) -> list[list[tuple[int, int]]]:
    """For rows and columns: how many kernel offsets fall into each class, and how many places these meet.

    With stride s, offsets that differ by no multiple of s never meet the same pixel: s separate systems.
    """
    found = []
    for axis in (0, 1):
        kernel, stride, dilation = layer.kernel_size[axis], layer.stride[axis], layer.dilation[axis]
        named = {"valid": 0, "same": dilation * (kernel - 1) // 2}
        before = named[layer.padding] if isinstance(layer.padding, str) else layer.padding[axis]
        offsets, places, pixels = defaultdict(int), defaultdict(set), set(range(shape[1 + axis]))
        for a in range(kernel):
            first = a * dilation - before
            offsets[first % stride] += 1
            places[first % stride] |= {first + stride * i for i in range(sizes[axis])} & pixels
        found.append([(offsets[k], len(places[k])) for k in offsets])
    return found
