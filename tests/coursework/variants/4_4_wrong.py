"""Trusts the server."""


def answer(helper, alive, dead, threshold, before):
    return sorted(alive), sorted(dead)
