"""Looks at the lists of today, and not at those that it has answered before."""


def answer(helper, alive, dead, threshold, before):
    if set(alive) & set(dead) or len(alive) < threshold:
        raise ValueError("refused")
    return sorted(alive), sorted(dead)
