"""Numbers in the map of the field: how often a client sends, by the protocols themselves."""

GIVEN = [
    "malicious with signatures | 4 times, or 5 |",
    "after an honest start | 4 times |",
    "enough random neighbors | curious server | 4 times |",
    "all but $T$ clients | curious server | 3 times |",
    "once; committee 3 times |",
    "| one of two servers |",
]
