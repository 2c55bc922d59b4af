"""Attacks: `(model, update, *, generator, callback=None) -> Reconstruction`, one a file."""
