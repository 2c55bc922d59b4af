"""The one search, and what it is made of: optimisers, objectives, the Jacobian."""
