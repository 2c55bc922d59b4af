"""What clients hold: natural pictures and phrases, drawn from a student's secret stream.

Pictures are random squares of photographs that come with scikit-image: at a random place, a seventh to under
half as wide as the photograph, mirrored half the time. Only those photographs are used that are PNG files,
which every machine decodes to the same levels.

Phrases are words in no order, as a password manager makes them: with an order that grammar suggests, the list
of words that an embedding's gradient shows would be half an answer.
"""

from typing import Literal

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from leaklib.challenge.keys import Stream, integers, uniform
from leaklib.data import Photos, Sentences
from leaklib.types import Batch

PHOTOGRAPHS = ("astronaut", "tissue", "cat", "coffee", "photographer")
NARROWEST, WIDEST = 0.15, 0.45  # of the photograph: wider ones would look alike
CLASSES = 10
Kind = Literal["any", "different", "same"]
"""Whether each label of a batch is drawn for itself, or all are different, or the same."""
CONTRAST = 0.15  # root mean square around each channel's mean: the best single color scores 16.5 dB at most


def pictures(source: Stream, count: int, shape: tuple[int, ...]) -> Float[Tensor, "count channels size size"]:
    """``count`` squares in [0, 1] of ``shape``, channels × size × size; gray ones if there is one channel."""
    photos = Photos(shape[1], gray=shape[0] == 1)
    return torch.stack([_picture(source, photos) for _ in range(count)])


def _picture(source: Stream, photos: Photos) -> Float[Tensor, "channels size size"]:
    while True:
        [which] = integers(source, len(PHOTOGRAPHS), 1)
        width, left, top, mirror = (uniform(source) for _ in range(4))
        width = NARROWEST + (WIDEST - NARROWEST) * width
        part = photos.part(PHOTOGRAPHS[which], width=width, left=left, top=top, mirror=mirror < 0.5)
        if (part - part.mean((1, 2), keepdim=True)).square().mean().sqrt() >= CONTRAST:
            return part


def labels(source: Stream, count: int, kind: Kind) -> Int64[Tensor, "count"]:
    """``count`` of the classes 0 to 9, whatever the pictures show."""
    if kind == "same":
        return torch.tensor(integers(source, CLASSES, 1) * count)
    if kind == "any":
        return torch.tensor(integers(source, CLASSES, count))
    left = list(range(CLASSES))
    return torch.tensor([left.pop(integers(source, len(left), 1)[0]) for _ in range(count)])


def phrases(source: Stream, count: int, length: int) -> Batch:
    """``count`` phrases of ``length`` words: the last is the label, and ``<next>`` stands in its place."""
    vocabulary = Sentences().vocabulary
    end, words = vocabulary.index("<next>"), [i for i, word in enumerate(vocabulary) if len(word) > 2]
    words = [i for i in words if vocabulary[i].isalpha()]
    drawn = [[words[k] for k in integers(source, len(words), length)] for _ in range(count)]
    inputs = torch.tensor([[*phrase[:-1], end] for phrase in drawn])
    return Batch(inputs, torch.tensor([phrase[-1] for phrase in drawn]))
