"""Measured numbers in the sentences of the chapter on the family of attacks, and where they come from."""

GIVEN = [
    "at most 600 evaluations",
    "400 evaluations, no prior",
    "with 2,400 evaluations",
    "At most 2,400 evaluations",
    "those that reach 30 dB",
    "and gets 15 dB",
    "Wrong: 15 dB shows",
]
