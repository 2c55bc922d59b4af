"""Takes every vanished client for the higher of its pair, and forgets the signs of the result."""


def sum_of_survivors(messages, own, pairs, modulus):
    total = sum(messages.values()) - sum(own.values())
    for mask in pairs.values():
        total = total + mask
    return total % modulus
