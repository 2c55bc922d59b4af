"""Sends the wanted secret as its share."""


def forged(others, liar, wanted, prime):
    return wanted
