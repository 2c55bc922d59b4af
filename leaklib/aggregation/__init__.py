"""Aggregations: what the server can read afterwards, one a file."""
