"""Numbers in the sentences of the chapter on history: none is measured but those that its cells print."""

GIVEN = ["One of its three authors"]
