"""Changes the code that privacy hangs on, one place at a time: which changes does no test notice?

mutmut does the work, over the modules that [tool.mutmut] in pyproject.toml names. What it leaves alone, such
as constants and functions with a decorator, is changed here. Fails if the tests notice fewer than 90 % of
the changes, or if one that they do not notice is not explained in tests/mutants.md.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
LEAST = 0.9
MUTMUT = Path(sys.executable).with_name("mutmut")
COPY = ROOT / "mutants" / "by_hand"
ACCOUNTING, PRIVACY = "tests/test_accounting.py", "tests/test_privacy_laws.py"
ATTACKS, MECHANISMS = "tests/attacks/test_attack_laws.py", "tests/mechanisms/test_mechanism_laws.py"
PROTOCOLS = "tests/aggregation/test_protocol_laws.py"
BY_HAND = [  # file, before, after, the tests that must notice
    ("accounting.py", '2 if self.adjacency == "replace one" else 1', "1", ACCOUNTING),
    ("accounting.py", "math.sqrt(self.rounds)", "self.rounds", ACCOUNTING),
    ("aggregation/crypto/shamir.py", "other - one", "one - other", PROTOCOLS),
    ("aggregation/crypto/shamir.py", "(other + 1)", "(other + 2)", PROTOCOLS),
    ("aggregation/parts/pooled.py", "max(sensitivities)", "min(sensitivities)", PROTOCOLS),
    ("attacks/grad_inversion.py", '1 if self.statistics == "exact" else ', "", ATTACKS),
    ("fields.py", "lambda value: 0 < value < math.inf", "lambda value: 0 <= value", PRIVACY),
    ("mechanisms/discrete.py", "LARGEST_RATE = 2.0**36", "LARGEST_RATE = 2.0**37", MECHANISMS),
    ("mechanisms/quantize.py", "COARSE = 4", "COARSE = 5", MECHANISMS),
    ("mechanisms/quantize.py", "2**self.bits - 2", "2**self.bits - 1", MECHANISMS),
    ("mechanisms/sign.py", "SHARPNESS = 20.0", "SHARPNESS = 200.0", MECHANISMS),
]


def mutmut(*arguments):
    """What the tool prints."""
    done = subprocess.run([MUTMUT, *arguments], cwd=ROOT, capture_output=True, text=True, check=True)
    return done.stdout


def changed_lines(name):
    """The lines of one mutant that differ from the code."""
    lines = mutmut("show", name).splitlines()
    return [line[1:].strip() for line in lines if line.startswith("+") and not line.startswith("+++")]


def explanations():
    """Patterns of changed lines, from the indented lines of tests/mutants.md: … stands for anything."""
    lines = (ROOT / "tests" / "mutants.md").read_text(encoding="utf8").splitlines()
    return [
        re.compile(".*".join(map(re.escape, line.strip().split("…"))))
        for line in lines
        if line.startswith("    ")
    ]


def noticed(file, before, after, tests):
    """Whether the tests fail when the package is changed by hand."""
    shutil.rmtree(COPY, ignore_errors=True)
    shutil.copytree(ROOT / "leaklib", COPY / "leaklib", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ROOT / "tests", COPY / "tests", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", COPY)
    path = COPY / "leaklib" / file
    text = path.read_text(encoding="utf8")
    if text.count(before) != 1:
        sys.exit(f"{file} should hold {before!r} once: bring scripts/mutants.py up to date")
    path.write_text(text.replace(before, after), encoding="utf8")
    command = [sys.executable, "-m", "pytest", "-qx", "-o", "addopts=", "-p", "no:cacheprovider", tests]
    return subprocess.run(command, cwd=COPY, capture_output=True).returncode == 1


os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"  # each change starts pytest, and plugins take longest
shutil.rmtree(ROOT / "mutants", ignore_errors=True)  # mutmut would keep what other tests found before
missed = [
    f"{file}: {after}" for file, before, after, tests in BY_HAND if not noticed(file, before, after, tests)
]
print(f"by hand: {len(BY_HAND) - len(missed)} of {len(BY_HAND)} changes noticed", flush=True)

subprocess.run([MUTMUT, "run"], cwd=ROOT, check=True)
mutmut("export-cicd-stats")
counts = json.loads((ROOT / "mutants" / "mutmut-cicd-stats.json").read_text())
noticed_share = (counts["killed"] + counts["timeout"]) / counts["total"]
print(f"mutmut: {noticed_share:.1%} of {counts['total']} changes noticed, at least {LEAST:.0%}", flush=True)

explained = explanations()
for line in mutmut("results").splitlines():
    name, _, status = line.strip().rpartition(": ")
    if status in ("survived", "no tests"):
        lines = changed_lines(name)
        if not any(pattern.fullmatch(" ".join(lines)) for pattern in explained):
            missed.append(f"{name}: {' '.join(lines)}")
print(
    "\n".join(["Not noticed, and not explained in tests/mutants.md:", *missed])
    if missed
    else "All are explained."
)
sys.exit(bool(missed) or noticed_share < LEAST)
