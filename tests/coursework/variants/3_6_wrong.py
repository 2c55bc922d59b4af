"""Reads the sizes off the diagonal and takes every sign for a plus."""


def lift_and_round(products, visible, start):
    return products.diag().sqrt()
