"""Measured numbers in the sentences of the chapter on sparse graphs, and where they come from."""

GIVEN = []


def sentences(chapter):
    return []
