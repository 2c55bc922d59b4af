"""Knows the label, and takes the error signal for the probabilities; refuses nothing."""


def label_and_probabilities(bias_gradient):
    return bias_gradient.argmin().item(), bias_gradient
