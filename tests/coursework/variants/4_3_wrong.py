"""Adds up what arrived, masks and all."""


def sum_of_survivors(messages, own, pairs, modulus):
    return sum(messages.values()) % modulus
