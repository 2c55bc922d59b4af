import itertools

import numpy as np
import pytest
import torch
from scipy.stats import binom, norm
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from leaklib.data import Photos
from leaklib.metrics import (
    constant_floor,
    gray_floor,
    identified,
    match_batch,
    psnr,
    score,
    ssim,
    token_accuracy,
    wilson,
)
from leaklib.rng import generator
from leaklib.types import Batch, Reconstruction


@pytest.fixture
def draw():
    return generator(0, "test_metrics")


@pytest.fixture
def photos():
    return Photos().batch(0, 8)


def reconstruction(inputs, labels):
    return Reconstruction(inputs, torch.as_tensor(labels), loss=0.0)


# --- PSNR and SSIM ---


@pytest.mark.parametrize("data_range", [1.0, 255.0])
@pytest.mark.parametrize("shape", [(5, 3, 32, 32), (2, 1, 28, 28), (1, 3, 7, 40)])
def test_scores_are_those_of_scikit_image(shape, data_range, draw):
    preds, target = (torch.rand(shape, generator=draw, dtype=torch.float64) * data_range for _ in range(2))
    pairs = list(zip(target.numpy(), preds.numpy(), strict=True))
    expected = [peak_signal_noise_ratio(*pair, data_range=data_range) for pair in pairs]
    assert psnr(preds, target, data_range=data_range).tolist() == pytest.approx(expected, rel=1e-12)
    expected = [structural_similarity(*pair, data_range=data_range, channel_axis=0) for pair in pairs]
    assert ssim(preds, target, data_range=data_range).tolist() == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("error", [1.0, 0.1, 0.01])
def test_psnr_of_a_known_error(error):
    target = torch.zeros(2, 3, 8, 8, dtype=torch.float64)
    assert psnr(target + error, target).tolist() == pytest.approx([-20 * np.log10(error)] * 2)


def test_identical_pictures_have_infinite_psnr_and_ssim_1(photos):
    assert psnr(photos.inputs, photos.inputs).tolist() == [float("inf")] * 8
    assert ssim(photos.inputs, photos.inputs).tolist() == pytest.approx([1] * 8)


def test_values_outside_0_and_1_are_scored_as_they_are():
    target = torch.zeros(1, 3, 8, 8)
    assert psnr(target + 10, target).item() == pytest.approx(-20)


def test_scores_are_float64_and_forget_the_graph(photos):
    preds = photos.inputs.half().requires_grad_()
    for scores in (psnr(preds, photos.inputs), ssim(preds, photos.inputs)):
        assert scores.dtype == torch.float64 and scores.shape == (8,) and not scores.requires_grad


# --- floors ---


def test_no_color_is_closer_than_the_constant_floor(draw):
    pictures = torch.rand(4, 3, 6, 5, generator=draw, dtype=torch.float64)
    best = constant_floor(pictures)
    assert (best >= gray_floor(pictures)).all()
    mean = pictures.mean((2, 3), keepdim=True)
    assert best.tolist() == pytest.approx(psnr(mean.expand_as(pictures), pictures).tolist(), rel=1e-12)
    for _ in range(50):
        color = (mean + 0.1 * torch.randn(4, 3, 1, 1, generator=draw)).expand_as(pictures)
        assert (psnr(color, pictures) < best).all()
    assert constant_floor(torch.full((1, 3, 8, 8), 0.25)).tolist() == [float("inf")]
    assert constant_floor(torch.full((1, 1, 8, 8), 2.0)).tolist() == pytest.approx([0])  # clipped to 1


# --- identification ---


def test_a_shuffled_copy_of_the_candidates_is_identified(photos, draw):
    order = torch.randperm(8, generator=draw)
    assert torch.equal(identified(photos.inputs[order], photos.inputs), order)


def test_noise_up_to_the_size_of_the_picture_hides_nobody(photos, draw):
    noisy = photos.inputs + 0.25 * torch.randn(photos.inputs.shape, generator=draw)
    assert psnr(noisy, photos.inputs).max() < 13
    assert identified(noisy, photos.inputs).tolist() == list(range(8))


def test_brightness_contrast_and_a_cast_of_color_do_not_count(photos, draw):
    cast = torch.rand(8, 3, 1, 1, generator=draw)
    assert identified(1e-3 * photos.inputs + cast, photos.inputs).tolist() == list(range(8))
    assert identified(photos.inputs, 100 * photos.inputs - 7).tolist() == list(range(8))


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])
def test_what_has_no_contrast_resembles_none_and_nothing_resembles_it(photos, dtype):
    color = photos.inputs.mean((2, 3), keepdim=True).expand_as(photos.inputs).to(dtype)
    assert identified(color, photos.inputs).tolist() == [-1] * 8
    assert identified(photos.inputs, color).tolist() == [-1] * 8
    # The negative of a picture resembles it least, but a flat candidate does not win for that.
    negative = 1 - photos.inputs[:1]
    assert identified(negative, torch.cat([color[:1], photos.inputs[:1]])).tolist() == [1]


def test_among_m_random_candidates_chance_is_one_in_m(draw):
    guesses, candidates = (torch.rand(count, 1, 8, 8, generator=draw) for count in (4000, 16))
    counts = identified(guesses, candidates).bincount(minlength=16)
    low, high = binom.interval(1 - 1e-6, 4000, 1 / 16)
    assert counts.sum() == 4000 and low <= counts.min() and counts.max() <= high


def test_what_cannot_be_identified_is_refused():
    good = torch.rand(2, 3, 8, 8)
    for other in (torch.rand(2, 1, 8, 8), torch.rand(2, 3, 8, 9), torch.rand(2, 192)):
        with pytest.raises(ValueError, match=r"needs pictures N×C×H×W and candidates M×C×H×W, got"):
            identified(other, good)
    with pytest.raises(ValueError, match=r"best color needs pictures N×C×H×W, got \(2, 192\)"):
        constant_floor(good.flatten(1))
    for measure in (lambda bad: identified(good, bad), lambda bad: identified(bad, good), constant_floor):
        with pytest.raises(ValueError, match="holds NaN or infinite values"):
            measure(good / 0)
        with pytest.raises(ValueError, match="at least one example"):
            measure(good[:0])
        with pytest.raises(ValueError, match=r"must be floats from 0 to data_range, got torch\.uint8"):
            measure(good.byte())


@pytest.mark.parametrize(("successes", "trials"), [(0, 10), (10, 10), (3, 7), (88, 88), (1, 4000)])
def test_the_interval_solves_wilson_s_equation(successes, trials):
    """Both ends are where the normal test of the proportion just rejects at 5 %."""
    share, z = successes / trials, norm.ppf(0.975)
    low, high = wilson(successes, trials)
    assert 0 <= low <= share <= high <= 1
    for end in (low, high):
        if 0 < end < 1:
            assert abs(share - end) == pytest.approx(z * np.sqrt(end * (1 - end) / trials))


def test_what_is_no_count_has_no_interval():
    for successes, trials in ((0, 0), (-1, 3), (4, 3)):
        with pytest.raises(ValueError, match=f"at least 1 trial, got {successes} of {trials}"):
            wilson(successes, trials)


# --- the assignment ---


def test_any_permutation_is_recovered(photos, draw):
    for _ in range(10):
        order = torch.randperm(8, generator=draw)
        preds = photos.inputs[order] + 0.05 * torch.randn(photos.inputs.shape, generator=draw)
        found = match_batch(preds, photos.inputs)
        assert torch.equal(order[found], torch.arange(8))
        assert torch.allclose(preds[found], photos.inputs, atol=0.3)


def test_the_assignment_is_the_best_of_all(draw):
    preds, target = torch.rand(2, 5, 12, generator=draw)
    errors = {p: (preds[list(p)] - target).square().mean().item() for p in itertools.permutations(range(5))}
    assert tuple(match_batch(preds, target).tolist()) == min(errors, key=lambda p: errors[p])


def test_pictures_that_differ_in_the_last_digits_are_told_apart(draw):
    target = 1 + 1e-9 * torch.rand(4, 3, 32, 32, generator=draw, dtype=torch.float64)
    assert match_batch(target.flip(0), target).tolist() == [3, 2, 1, 0]


# --- score ---


def test_the_order_of_a_reconstruction_does_not_count(photos, draw):
    order = torch.randperm(8, generator=draw)
    preds = photos.inputs + 0.05 * torch.randn(photos.inputs.shape, generator=draw)
    straight = score(reconstruction(preds, photos.labels), photos)
    mixed = score(reconstruction(preds[order], photos.labels[order]), photos)
    assert torch.equal(mixed.psnr, straight.psnr) and torch.equal(mixed.psnr, psnr(preds, photos.inputs))
    assert torch.equal(mixed.ssim, straight.ssim) and torch.equal(mixed.ssim, ssim(preds, photos.inputs))
    assert mixed.label_accuracy == straight.label_accuracy == 1
    assert torch.equal(order[mixed.order], torch.arange(8))


def test_labels_go_with_the_pictures_they_were_guessed_for(photos):
    labels = photos.labels.roll(1)  # every label was found, each for another picture
    result = score(reconstruction(photos.inputs, labels), photos)
    assert (result.label_accuracy, result.label_overlap) == (0, 1)


def test_a_label_counts_as_often_as_it_occurs():
    inputs = Photos().batch(0, 4).inputs
    result = score(reconstruction(inputs, [3, 3, 3, 9]), Batch(inputs, torch.tensor([3, 3, 5, 5])))
    assert (result.label_accuracy, result.label_overlap) == (0.5, 0.5)


# --- text ---


def test_token_accuracy_counts_tokens_of_the_longer_text():
    target = torch.tensor([[5, 6, 7, 1, 0, 0]] * 6)
    preds = torch.tensor(
        [
            [5, 6, 7, 1, 0, 0],
            [5, 6, 9, 1, 0, 0],
            [5, 6, 7, 1, 8, 8],  # goes on: not for free
            [5, 6, 0, 0, 0, 0],  # stops early
            [6, 7, 1, 5, 0, 0],  # the right words in the wrong order
            [0, 0, 0, 0, 0, 0],
        ]
    )
    expected = [1, 3 / 4, 4 / 6, 2 / 4, 0, 0]
    assert token_accuracy(preds, target).tolist() == pytest.approx(expected)
    assert token_accuracy(target, preds)[:5].tolist() == pytest.approx(expected[:5])  # neither may be longer
    assert token_accuracy(preds, target).dtype == torch.float64


def test_texts_are_paired_by_the_tokens_that_differ(draw):
    target = torch.randint(2, 500, (6, 10), generator=draw)
    for _ in range(10):
        order = torch.randperm(6, generator=draw)
        preds = target[order]
        preds[:, :3] = 499
        assert torch.equal(order[match_batch(preds, target)], torch.arange(6))
    # Ids are names: a token that is 400 away is as wrong as one that is 1 away.
    assert match_batch(
        torch.tensor([[101, 101], [100, 900]]), torch.tensor([[100, 100], [1, 1]])
    ).tolist() == [1, 0]


def test_the_score_of_text_has_no_decibels(draw):
    batch = Batch(torch.tensor([[5, 6, 1, 0], [7, 1, 0, 0]]), torch.tensor([8, 9]))
    result = score(reconstruction(batch.inputs.flip(0), [9, 3]), batch)
    assert result.psnr.isnan().all() and result.ssim.isnan().all() and len(result.psnr) == 2
    assert result.token_accuracy.tolist() == [1, 1] and result.label_accuracy == 0.5


def test_the_score_of_pictures_has_no_token_accuracy(photos):
    assert score(reconstruction(photos.inputs, photos.labels), photos).token_accuracy.isnan().all()


def test_text_that_cannot_be_compared_is_refused():
    good = torch.ones(2, 4, dtype=torch.int64)
    for measure in (token_accuracy, match_batch):
        with pytest.raises(ValueError, match=r"same shape, .* got \(1, 4\) and \(2, 4\)"):
            measure(good[:1], good)
    with pytest.raises(ValueError, match=r"must be int64 tokens, got torch\.float32 and torch\.int64"):
        token_accuracy(good.float(), good)
    with pytest.raises(ValueError, match="all padding"):
        token_accuracy(0 * good, 0 * good)


# --- what cannot be scored ---


@pytest.mark.parametrize("measure", [psnr, ssim, match_batch])
def test_what_cannot_be_compared_is_refused(measure):
    good = torch.zeros(2, 3, 8, 8)
    with pytest.raises(ValueError, match=r"same shape, .* got \(1, 3, 8, 8\) and \(2, 3, 8, 8\)"):
        measure(good[:1], good)
    with pytest.raises(ValueError, match="at least one example"):
        measure(good[:0], good[:0])
    with pytest.raises(ValueError, match="preds holds NaN or infinite values"):
        measure(good / 0, good)
    with pytest.raises(ValueError, match="target holds NaN or infinite values"):
        measure(good, good + float("inf"))
    with pytest.raises(ValueError, match=r"preds must be floats from 0 to data_range, got torch\.uint8"):
        measure(good.byte(), good)


def test_ssim_needs_pictures_as_large_as_its_window():
    with pytest.raises(ValueError, match=r"H and W at least 7, got \(1, 3, 6, 32\)"):
        ssim(torch.zeros(1, 3, 6, 32), torch.zeros(1, 3, 6, 32))
    with pytest.raises(ValueError, match=r"needs pictures N×C×H×W .* got \(4, 32\)"):
        ssim(torch.zeros(4, 32), torch.zeros(4, 32))


def test_data_range_must_be_positive():
    with pytest.raises(ValueError, match=r"data_range must be above 0, got 0\.0"):
        psnr(torch.zeros(1, 4), torch.zeros(1, 4), data_range=0.0)


def test_a_reconstruction_of_another_batch_is_refused(photos):
    with pytest.raises(ValueError, match="same shape"):
        score(reconstruction(photos.inputs[:4], photos.labels[:4]), photos)
    guess = reconstruction(photos.inputs, photos.labels)
    object.__setattr__(guess, "labels", photos.labels[:4])
    with pytest.raises(ValueError, match=r"expected 8 guessed labels, got \(4,\)"):
        score(guess, photos)
