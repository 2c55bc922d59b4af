"""The two formats of an answer. What a file says of its arrays is known before anything of them is read."""
