"""Puts the level into the middle of its interval: right where every draw is a half."""


def sticking_out(candidate, sent, step, draws):
    miss = candidate - sent
    return (miss - miss.clamp(-step / 2, step / 2)).square().sum() / sent.square().sum()
