"""Never looks at the gradient: every label equally often."""

import torch


def label_counts(bias_gradient, probabilities, size):
    counts = torch.full((len(bias_gradient),), size // len(bias_gradient))
    counts[: size - int(counts.sum())] += 1
    return counts
