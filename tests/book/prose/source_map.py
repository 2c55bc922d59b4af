"""Numbers on the page that maps the section: they are the section's own."""

GIVEN = ["above 30 dB", "Top 1 %"]
