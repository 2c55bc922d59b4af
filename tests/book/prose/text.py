"""Measured numbers in the sentences of the chapter on text, and where they come from."""

import torch

from leaklib.attacks.tokens import span
from leaklib.client import FedSGD, share
from leaklib.data import Sentences
from leaklib.models.transformer import TinyTransformer


def sentences(chapter):
    texts = Sentences()
    victim = TinyTransformer(len(texts.vocabulary)).build(0)
    sent = share(victim, texts.batch(7, 8), FedSGD()).tensors
    layers = [sent[f"blocks.0.{name}.weight"] for name in ("query", "key", "value")]
    room = chapter.report("from there on, rank")
    yield "The rank is {}, and there is room for {:.0f}", len(span(torch.cat(layers), 1e-6)), room
    yield "away and leaves {:.0f}", room
