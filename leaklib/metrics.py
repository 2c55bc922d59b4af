"""How close a reconstruction came, once each guessed example is paired with the true one it fits best.

A gradient of a batch says nothing about the order of its examples, so an attack cannot know it either. The
pairing is the one with the smallest mean squared error over all N! permutations, for text the one with the
fewest differing tokens; every score comes after it.

    PSNR = 10 log10(data_range² / mean squared error), in dB

Source: scikit-image for PSNR and SSIM (Wang et al., "Image Quality Assessment: From Error Visibility to
Structural Similarity", IEEE TIP 2004, with scikit-image's default uniform 7×7 window instead of the paper's
Gaussian one); the assignment is SciPy's, and so is the interval (Wilson, "Probable Inference, the Law of
Succession, and Statistical Inference", JASA 1927).
Chapters: 1, 7.
"""

import operator
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float64, Int64, Shaped
from scipy.optimize import linear_sum_assignment
from scipy.stats import binomtest
from skimage.metrics import peak_signal_noise_ratio, structural_similarity
from torch import Tensor

from leaklib.types import PAD, Batch, Reconstruction

# Two names for one shape, so that a mismatch reaches the check below and its sentence.
Preds = Shaped[Tensor, "guesses ..."]
Target = Shaped[Tensor, "n ..."]
PerExample = Float64[Tensor, "n"]
Order = Int64[Tensor, "n"]

_SSIM_WINDOW = 7
_CONTRAST = 1e-6  # root mean square: float32 rounds a constant picture by less


@dataclass(frozen=True, eq=False)
class Score:
    """One number per true example, in the order of the batch: ``psnr`` in dB, ``ssim`` from -1 to 1.

    For text these two are NaN, and ``token_accuracy``, from 0 to 1, counts; for pictures that one is NaN.
    ``preds[order]`` lines up with the batch, whatever ``preds`` holds per guess (pictures, labels).
    ``label_accuracy`` is the share of true labels whose paired guess has the same label. ``label_overlap``
    forgets the inputs and compares the two lists of labels as multisets: 1 if every label was guessed as
    often as it occurs. The two differ where labels came out right but inputs did not.
    """

    psnr: PerExample
    ssim: PerExample
    token_accuracy: PerExample
    label_accuracy: float
    label_overlap: float
    order: Order


def psnr(preds: Preds, target: Target, *, data_range: float = 1.0) -> PerExample:
    """Peak signal-to-noise ratio of each example in dB, higher is closer; inf where they are identical.

    Values outside [0, data_range] are scored as they are. ValueError if the shapes differ, there is no
    example, or a value is NaN or infinite.
    """
    _check(preds, target, data_range)
    with np.errstate(divide="ignore"):  # identical examples: 1 / 0 is the inf that we want
        return _each(peak_signal_noise_ratio, preds, target, data_range=data_range)


def gray_floor(inputs: Target) -> PerExample:
    """PSNR in dB of a mid-gray picture against each of ``inputs``: what an attack scores that saw nothing.

    ValueError as for ``psnr``.
    """
    return psnr(torch.full_like(inputs, 0.5), inputs)


def constant_floor(inputs: Target) -> PerExample:
    """PSNR in dB of the best picture of one color against each of ``inputs``, N×C×H×W: each channel's mean.

    The color is clipped to [0, 1]. An attack that finds it has found a color and nothing else; inf for a
    picture that has no more. ValueError as for ``psnr``.
    """
    _check(inputs, inputs)
    if inputs.ndim != 4:
        raise ValueError(f"the best color needs pictures N×C×H×W, got {tuple(inputs.shape)}")
    color = inputs.detach().double().flatten(2).mean(2).clamp(0, 1).unflatten(1, (-1, 1, 1))
    return psnr(color.expand(inputs.shape), inputs)


def identified(reconstruction: Preds, candidates: Target) -> Int64[Tensor, "guesses"]:
    """For each reconstruction the index of the one of ``candidates`` that it resembles most, or -1.

    Both are pictures, N×C×H×W and M×C×H×W. Resemblance is Pearson's correlation of the pixels, the mean of
    each channel removed: neither brightness, contrast nor a cast of color counts, and a color alone
    identifies nobody. A reconstruction without contrast resembles none, -1, and none resembles a candidate
    without. Guessing is right once in M. ValueError if the shapes do not fit, there is no picture, or a value
    is NaN or infinite.
    """
    _check(reconstruction, reconstruction)
    _check(candidates, candidates)
    if reconstruction.ndim != 4 or reconstruction.shape[1:] != candidates.shape[1:]:
        raise ValueError(
            "identification needs pictures N×C×H×W and candidates M×C×H×W, "
            f"got {tuple(reconstruction.shape)} and {tuple(candidates.shape)}"
        )
    found, others = (_structure(pictures) for pictures in (reconstruction, candidates))
    resemblance = (found @ others.T).masked_fill(~others.any(1), -torch.inf)
    return resemblance.argmax(1).masked_fill(~found.any(1) | resemblance.isinf().all(1), -1)


def wilson(successes: int, trials: int) -> tuple[float, float]:
    """The 95 % interval of a probability after ``successes`` in ``trials``, Wilson's: for few trials, too.

    ValueError unless 0 ≤ successes ≤ trials and there was a trial.
    """
    if not 0 <= successes <= trials or trials == 0:
        raise ValueError(f"expected 0 to trials successes in at least 1 trial, got {successes} of {trials}")
    low, high = binomtest(successes, trials).proportion_ci(method="wilson")
    return float(low), float(high)


def ssim(preds: Preds, target: Target, *, data_range: float = 1.0) -> PerExample:
    """Structural similarity of each picture, at most 1 and 1 only where they are identical.

    The mean over all channels and 7×7 windows. ValueError as for ``psnr``, and for pictures under 7×7.
    """
    _check(preds, target, data_range)
    if target.ndim != 4 or min(target.shape[2:]) < _SSIM_WINDOW:
        raise ValueError(
            f"SSIM needs pictures N×C×H×W with H and W at least {_SSIM_WINDOW}, got {tuple(target.shape)}"
        )
    options = {"data_range": data_range, "channel_axis": 0, "win_size": _SSIM_WINDOW}
    return _each(structural_similarity, preds, target, **options)


def token_accuracy(preds: Preds, target: Target) -> PerExample:
    """The share of each text that is right, from 0 to 1: tokens that agree, over the longer text's length.

    Texts are rows of int64 tokens with padding (0) at the end, which does not count as a token. A guess that
    goes on after the end of the true text is wrong there, as one that stops early is; 1 only where both are
    identical. ValueError if the shapes differ, there is no example, the tokens are not int64, or both texts
    are empty.
    """
    _check_shapes(preds, target)
    if not _is_text(preds, target):
        raise ValueError(f"preds and target must be int64 tokens, got {preds.dtype} and {target.dtype}")
    preds, target = (x.detach().cpu().flatten(1) for x in (preds, target))
    longer = ((preds != PAD) | (target != PAD)).sum(1)
    if not longer.all():
        raise ValueError("preds and target must hold tokens in each example, got one that is all padding")
    return ((preds == target) & (target != PAD)).sum(1).double() / longer


def match_batch(preds: Preds, target: Target) -> Order:
    """The permutation for which ``preds[match_batch(preds, target)]`` has the least mean squared error.

    For text, int64 tokens, the fewest positions that differ. On the CPU. ValueError as for ``psnr``.
    """
    if _is_text(preds, target):
        _check_shapes(preds, target)
        differ = target.detach().cpu()[:, None] != preds.detach().cpu()
        return torch.from_numpy(linear_sum_assignment(differ.flatten(2).sum(2).numpy())[1]).long()
    _check(preds, target)
    guesses, truths = (torch.from_numpy(_array(x)).flatten(1) for x in (preds, target))
    # Directly: through a matrix product, as is the default, close pictures would lose half their digits.
    distance = torch.cdist(truths, guesses, compute_mode="donot_use_mm_for_euclid_dist")
    return torch.from_numpy(linear_sum_assignment(distance.square().numpy())[1]).long()


def score(reconstruction: Reconstruction, batch: Batch) -> Score:
    """PSNR, SSIM and labels of ``reconstruction`` against the ``batch`` it was made to find.

    For text, int64 tokens, the token accuracy instead of PSNR and SSIM. ValueError as for these three.
    """
    preds, target = reconstruction.inputs, batch.inputs
    order = match_batch(preds, target)
    preds = preds.detach().cpu()[order]
    if reconstruction.labels.shape != batch.labels.shape:
        raise ValueError(f"expected {len(batch)} guessed labels, got {tuple(reconstruction.labels.shape)}")
    guesses, truths = reconstruction.labels.cpu()[order].tolist(), batch.labels.tolist()
    text, none = _is_text(preds, target), torch.full((len(batch),), torch.nan, dtype=torch.float64)
    return Score(
        psnr=none if text else psnr(preds, target),
        ssim=none if text else ssim(preds, target),
        token_accuracy=token_accuracy(preds, target) if text else none,
        label_accuracy=sum(map(operator.eq, guesses, truths)) / len(batch),
        label_overlap=(Counter(guesses) & Counter(truths)).total() / len(batch),
        order=order,
    )


def _each(measure: Callable[..., object], preds: Tensor, target: Tensor, **options: float | int) -> Tensor:
    """scikit-image's ``measure`` of each example."""
    pairs = zip(_array(target), _array(preds), strict=True)
    return torch.tensor([measure(*pair, **options) for pair in pairs], dtype=torch.float64)


def _structure(pictures: Tensor) -> Float64[Tensor, "pictures values"]:
    """Each picture without its channels' means and of length 1; zero if it has no contrast."""
    centered = torch.from_numpy(_array(pictures)).flatten(2)
    centered = (centered - centered.mean(2, keepdim=True)).flatten(1)
    seen = centered.square().mean(1, keepdim=True).sqrt() > _CONTRAST
    return torch.nn.functional.normalize(centered * seen)


def _is_text(preds: Tensor, target: Tensor) -> bool:
    return preds.dtype == target.dtype == torch.int64


def _check_shapes(preds: Tensor, target: Tensor) -> None:
    if preds.shape != target.shape or target.ndim == 0 or target.numel() == 0:
        raise ValueError(
            "preds and target must have the same shape, with at least one example, "
            f"got {tuple(preds.shape)} and {tuple(target.shape)}"
        )


def _check(preds: Tensor, target: Tensor, data_range: float = 1.0) -> None:
    _check_shapes(preds, target)
    if not data_range > 0:
        raise ValueError(f"data_range must be above 0, got {data_range}")
    for name, values in (("preds", preds), ("target", target)):
        if not values.is_floating_point():
            raise ValueError(f"{name} must be floats from 0 to data_range, got {values.dtype}")
        if not torch.isfinite(values).all():
            raise ValueError(f"{name} holds NaN or infinite values: it cannot be scored")


def _array(values: Tensor) -> np.ndarray:
    """In float64 on the CPU, so that scores do not depend on where and how exactly an attack ran."""
    return values.detach().cpu().double().numpy()
