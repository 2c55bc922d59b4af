"""The grader of notebooks: their code runs in a sandbox, and what it answers is judged outside, as data."""
