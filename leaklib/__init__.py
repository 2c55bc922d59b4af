"""Gradient leakage in federated learning: client steps, attacks and scores, one idea a file.

Import from the submodules (``from leaklib.attacks.dlg import DLG``); this file exports nothing, so
that importing one part never pays for the others.
"""

__version__ = "0.1.0"
