"""Adds the rows up: signals of both signs cancel, and the scale stays."""


def picture_from_rows(rows):
    return rows.sum(0).clamp(0, 1)
