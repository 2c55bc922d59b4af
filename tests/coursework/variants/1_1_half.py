"""Takes the first row, which can be zero or drowned in noise."""


def picture_from_rows(rows):
    return rows[0] / rows[0][rows[0].abs().argmax()]
