"""Rounds to the nearest level and never looks at the draws: right where every draw is a half."""


def rounded(values, step, draws):
    return (values / step + 0.5).floor() * step
