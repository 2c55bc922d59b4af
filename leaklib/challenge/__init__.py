"""Steal your picture back: a challenge in eight levels, different for each student, graded without a server.

    python -m leaklib.challenge issue ROSTER.csv --key KEYFILE --out DIR
    python -m leaklib.challenge solve DIR --out SUBMISSIONS
    python -m leaklib.challenge grade SUBMISSIONS --key KEYFILE --roster ROSTER.csv --out DIR

A student gets one file: what a client sent, and what the protocol makes public. What the client held follows
from the instructor's key and the student's id, and lies in no file.
"""
