"""The naive distance."""


def sticking_out(candidate, sent, step, draws):
    return (candidate - sent).square().sum() / sent.square().sum()
