"""A small language model: which token comes after this text?

A decoder in the manner of GPT-2: learned embeddings of token and position, blocks of causal attention and an
MLP, each behind a LayerNorm (pre-norm) and added to its input, a last LayerNorm and a linear head. It reads
out at the last token only, so that an example has one label, as a picture has.

Source: Radford et al., "Language Models are Unsupervised Multitask Learners", 2019 (GPT-2). Differs: no
dropout; separate layers for queries, keys and values, whose gradients an attack looks at one by one;
PyTorch's default initialisation, with embeddings of variance 1/width so that tied logits start near 1; a bias
in the head; one prediction per text instead of one per position.
Chapter: 7.
"""

from dataclasses import dataclass

from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import gelu, scaled_dot_product_attention

from leaklib.fields import Checked, Count, Several
from leaklib.models.parts.build import seeded
from leaklib.types import PAD, AnyInputs

Tokens = Int[Tensor, "batch positions"]
Hidden = Float[Tensor, "batch positions width"]
Heads = Float[Tensor, "batch heads _ part"]


class Block(nn.Module):
    """Attention to the positions so far, then an MLP; both read through a LayerNorm and add to ``hidden``."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm1 = nn.LayerNorm(width)
        self.query, self.key, self.value = (nn.Linear(width, width) for _ in range(3))
        self.merge = nn.Linear(width, width)
        self.norm2 = nn.LayerNorm(width)
        self.expand = nn.Linear(width, 4 * width)
        self.contract = nn.Linear(4 * width, width)

    def project(self, hidden: Hidden) -> tuple[Heads, Heads, Heads]:
        """Queries, keys and values of every position."""
        seen, layers = self.norm1(hidden), (self.query, self.key, self.value)
        q, k, v = (layer(seen).unflatten(-1, (self.heads, -1)).transpose(-3, -2) for layer in layers)
        return q, k, v

    def mix(self, query: Heads, key: Heads, value: Heads, *, causal: bool = True) -> Hidden:
        """What attention adds: each query's mean of the values, weighted by how well the keys fit."""
        with sdpa_kernel(SDPBackend.MATH):  # the fused kernels know no lanes
            mixed = scaled_dot_product_attention(query, key, value, is_causal=causal)
        return self.merge(mixed.transpose(-3, -2).flatten(-2))

    def attend(self, hidden: Hidden) -> Hidden:
        return hidden + self.mix(*self.project(hidden))

    def activate(self, hidden: Hidden) -> Float[Tensor, "batch positions four_widths"]:
        return gelu(self.expand(self.norm2(hidden)))

    def forward(self, hidden: Hidden) -> Hidden:
        hidden = self.attend(hidden)
        return hidden + self.contract(self.activate(hidden))


class Transformer(nn.Module):
    """What ``TinyTransformer`` builds. Its parts have names, since an attack on text looks at them."""

    def __init__(self, vocabulary: int, width: int, heads: int, blocks: int, length: int, tied: bool) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, width)
        self.position = nn.Embedding(length, width)
        self.blocks = nn.Sequential(*(Block(width, heads) for _ in range(blocks)))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, vocabulary)
        for layer in (self.embedding, self.position):
            nn.init.normal_(layer.weight, std=width**-0.5)
        if tied:
            self.head.weight = self.embedding.weight

    @property
    def tied(self) -> bool:
        """Whether head and embedding share one matrix, as in GPT-2."""
        return self.head.weight is self.embedding.weight

    def block(self, index: int) -> Block:
        block = self.blocks[index]
        assert isinstance(block, Block)
        return block

    def embed(self, inputs: AnyInputs) -> Hidden:
        """What the first block receives. ValueError for inputs that are not texts of at most ``length``."""
        length = self.position.num_embeddings
        if inputs.ndim != 2 or inputs.shape[1] > length or inputs.is_floating_point():
            raise ValueError(
                f"a transformer needs integer tokens N×positions with at most {length} positions, "
                f"got {inputs.dtype} of shape {tuple(inputs.shape)}"
            )
        return self.embedding(inputs) + self.position.weight[: inputs.shape[1]]

    def forward(self, inputs: AnyInputs) -> Float[Tensor, "batch vocabulary"]:
        return self.head(self.norm(last(inputs, self.blocks(self.embed(inputs)))))


def last(inputs: Tokens, hidden: Float[Tensor, "batch positions any"]) -> Float[Tensor, "batch any"]:
    """Of each text what stands at its last token."""
    end = (inputs != PAD).sum(1) - 1
    return hidden.take_along_dim(end[:, None, None], 1).squeeze(1)


@dataclass(frozen=True)
class TinyTransformer(Checked):
    """Causal transformer for N×positions int64 tokens in 0..vocabulary-1, 0 being padding at the end.

    ``TinyTransformer(len(Sentences().vocabulary))`` fits the sentences that come with the package. ``length``
    is the largest number of positions. ``tied`` makes the head use the embedding's matrix.
    """

    vocabulary: Several
    width: Count = 128
    heads: Count = 4
    blocks: Count = 2
    length: Count = 32
    tied: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.width % self.heads:
            raise ValueError(f"width must be a multiple of heads={self.heads}, got {self.width}")

    def build(self, seed: int) -> Transformer:
        """A fresh network in training mode, the same for the same seed."""
        return seeded(seed, lambda: Transformer(**vars(self)))
