"""A network as the chain of layers that a picture passes, where it is one.

What reasons layer by layer needs to know their order and what enters each: the closed form
(attacks/recursive.py) and the counting bound (identifiability/counting.py).

Chapters: 3, 4.
"""

import operator

import torch
from torch import fx, nn

from leaklib.models.parts.build import Normalize
from leaklib.types import Update

Layers = list[tuple[str, nn.Module]]
"""Name and module of each layer, in the order in which a picture passes them."""

# What a forward may call besides layers, and the layer it stands for: reshaping one example flattens it.
FUNCTIONS: dict[object, nn.Module] = {
    **dict.fromkeys((torch.flatten, torch.reshape, "flatten", "view", "reshape"), nn.Flatten()),
    **dict.fromkeys((torch.sigmoid, "sigmoid"), nn.Sigmoid()),
    **dict.fromkeys((torch.tanh, "tanh"), nn.Tanh()),
    **dict.fromkeys((torch.relu, nn.functional.relu, "relu"), nn.ReLU()),
}
SIZES = ("size", getattr, operator.getitem)  # x.size(0) or x.shape[0], as in x.view(x.size(0), -1)


class _Tracer(fx.Tracer):
    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return isinstance(m, Normalize) or super().is_leaf_module(m, module_qualified_name)


def chain(who: str, model: nn.Module) -> Layers:
    """The layers of ``model`` in order. ValueError, which says ``who`` asks, if it is no plain chain."""
    try:
        graph = _Tracer().trace(model)
    except Exception as error:
        raise ValueError(f"{who} cannot follow the forward of {type(model).__name__}: {error}") from error
    layers, last = [], next(iter(graph.nodes))  # the first node is the picture
    for node in graph.nodes:
        if node.op == "placeholder" or node.target in SIZES:
            continue
        if [other for other in node.all_input_nodes if other.target not in SIZES] != [last]:
            raise ValueError(f"{who} needs a chain of layers: {node.name} takes other than just {last.name}")
        if node.op == "call_module":
            layers.append((node.target, model.get_submodule(node.target)))
        elif node.target in FUNCTIONS:
            layers.append((node.name, FUNCTIONS[node.target]))
        elif node.op != "output":
            raise ValueError(f"{who} cannot undo {node.name}: it knows no inverse of it")
        last = node
    return layers


def input_shapes(layers: Layers, model: nn.Module, update: Update) -> list[torch.Size]:
    """The shape of what enters each layer, without the batch dimension."""
    values, shapes = torch.zeros(1, *update.input_shape).to(next(model.parameters())), []
    with torch.no_grad():
        for _, layer in layers:
            shapes.append(values.shape[1:])
            values = layer(values)
    return shapes
