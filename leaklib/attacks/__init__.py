"""Attacks: `(model, update, *, generator=None, callback=None) -> Reconstruction`, one a file."""
