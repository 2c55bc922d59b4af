"""Victim networks: inputs in [0, 1], normalised inside; each has `.build(seed) -> nn.Module`."""
