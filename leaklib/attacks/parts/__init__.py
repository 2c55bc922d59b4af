"""What attacks share besides the search: labels, layers, checks."""
