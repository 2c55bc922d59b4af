"""Right in the sum, but messages are not brought into the range of words."""


def masked(update, client, masks, modulus):
    for other, mask in masks.items():
        update = update + (mask if other < client else -mask)
    return update
