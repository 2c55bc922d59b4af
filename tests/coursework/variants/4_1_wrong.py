"""Everybody adds every mask, so that nothing cancels."""


def masked(update, client, masks, modulus):
    return (update + sum(masks.values())) % modulus
