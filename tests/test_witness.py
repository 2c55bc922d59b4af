"""Witnesses: stored rows are what this code computes; another number is caught, and other words are not.

One row for each kind of run and each size of batch is computed again here, up to its witness; benchmarks/
witness.py does so for all.
"""

import ast
import json
import math
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import fields, is_dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch

import leaklib
from leaklib.aggregation.plain import Plain
from leaklib.aggregation.secagg import SecAgg
from leaklib.attacks.dlg import DLG
from leaklib.attacks.linear_layer import LinearLayer
from leaklib.attacks.tokens import TokenRecovery
from leaklib.client import FedSGD
from leaklib.data import Photos, Sentences
from leaklib.experiment import Experiment, run
from leaklib.models import resnet
from leaklib.models.lenet import LeNet
from leaklib.models.mlp import Mlp
from leaklib.models.parts.build import Architecture
from leaklib.models.transformer import TinyTransformer
from leaklib.results import training
from leaklib.sweep import cached, measure
from leaklib.sweep.witness import FIRST, TOLERANCE, agree, available, witness
from leaklib.types import Batch

PACKAGE = Path(leaklib.__file__).parent
BENCHMARKS = PACKAGE.parent / "benchmarks"
sys.path.append(str(BENCHMARKS))
import witness as book  # noqa: E402

SEARCH = Experiment(data=Photos(), model=LeNet(), step=FedSGD(), attack=DLG(steps=1))
MEND = "run `python benchmarks/witness.py`, and the benchmark of what disagrees"


# --- what a witness is ---


def test_a_search_is_witnessed_by_its_first_losses() -> None:
    losses: list[float] = []
    run(SEARCH, callback=lambda progress: losses.append(progress.loss))
    assert len(losses) == 20
    assert witness(SEARCH) == pytest.approx(losses[:FIRST], rel=1e-6) and len(witness(SEARCH)) == FIRST


@pytest.mark.parametrize(
    "experiment",
    [
        SEARCH,
        replace(SEARCH, batch_size=3, clients=2, aggregation=SecAgg(), reveal_labels=True),
        replace(SEARCH, model=Mlp((3, 32, 32)), attack=LinearLayer()),
        Experiment(Sentences(), TinyTransformer(len(Sentences().vocabulary)), FedSGD(), TokenRecovery()),
    ],
    ids=["search", "protocol", "closed form", "text"],
)
def test_the_witness_alone_is_that_of_the_whole_row(experiment: Experiment) -> None:
    row = measure(experiment)
    assert row.witness == witness(experiment) and all(map(math.isfinite, row.witness))


def test_a_closed_form_is_witnessed_by_what_it_reconstructs() -> None:
    closed = replace(SEARCH, model=Mlp((3, 32, 32)), attack=LinearLayer())
    found = run(closed).reconstruction
    assert witness(closed) == pytest.approx([found.baseline, found.inputs.mean().item()], rel=1e-5)
    assert not agree(witness(closed), witness(replace(closed, model=Mlp((3, 32, 32), hidden=31))))


def test_witnesses_agree_within_the_tolerance_and_number_by_number() -> None:
    stored, little = (0.5, 2e-9, -3.0), 0.9 * TOLERANCE
    assert agree(stored, [value * (1 + little) for value in stored])
    for i in range(len(stored)):
        for moved in (stored[i] * (1 + 2 * TOLERANCE), -stored[i], math.nan, math.inf, 0.0):
            assert not agree(stored, [*stored[:i], moved, *stored[i + 1 :]])
    assert not agree(stored, stored[:2]) and agree(stored[:2], stored)
    assert not agree((), stored) and not agree((), ())
    assert agree((math.nan,), (math.nan,)) and not agree((math.nan,), (0.0,))


# --- the book's rows ---


def parts(obj: object) -> tuple[str, ...]:
    """The classes that an experiment is made of."""
    if not is_dataclass(obj) or isinstance(obj, type):
        return ()
    inside = (name for field in fields(obj) for name in parts(getattr(obj, field.name)))
    return (type(obj).__name__, *inside)


def learned(network: Architecture) -> int:
    """The steps of training that come before the network is there."""
    inner = getattr(network, "network", None)
    return (
        getattr(network, "steps", 0) if inner is None else max(getattr(network, "steps", 0), learned(inner))
    )


@cache
def sweep_rows() -> dict[str, book.Check]:
    """The cheapest row of every kind: of classes and size of batch, and of every protocol and mechanism."""
    found, seconds = {}, {row.key: row.seconds for row in book.sweeps.stored().values()}
    for case, stored, again in book.sweep_checks():
        e = case["experiment"]
        plain = isinstance(e.aggregation, Plain)
        size = f"batch of {e.batch_size}" + (f", {e.clients} clients" if e.clients > 1 else "")
        kind = parts(e) if plain else parts(e.mechanism) + parts(e.aggregation)
        name, cost = f"{' '.join(kind)}, {size}", (learned(e.model), seconds[book.key(e)])
        if name not in found or cost < found[name][0]:
            found[name] = cost, (case, stored, again)
    return {name: check for name, (_, check) in found.items()}


def test_rows_on_a_trained_network_are_what_this_training_gives() -> None:
    for attack in ("signal", "DLG", "InvertingGradients", "Recursive"):
        experiment = training()["LeNet", 10, attack][0]
        row = cached(experiment)
        assert row is not None and agree(row.witness, witness(experiment))


SMALL = {"clients": 20, "entries": 20_000, "batch": 16}
"""The largest runs of the other files that are computed again here."""


@cache
def other_rows() -> dict[str, book.Check]:
    """The first row of every part and kind of the other files, of those on the package's own data.

    Rows that differ in a number alone, such as mu 1 and mu 2, are of one kind.
    """
    found: dict[str, book.Check] = {}
    for file, rows in book.every(None).items():
        if file == "sweeps":
            continue
        for case, stored, again in rows:
            if any(isinstance(case.get(name), int) and case[name] > most for name, most in SMALL.items()):
                continue
            texts = (re.sub(r"[\d.]+", "#", v) for v in case.values() if isinstance(v, str))
            kind = [file, *texts, *(f"{v}" for k, v in case.items() if k == "batch")]
            found.setdefault(", ".join(kind), (case, stored, again))
    return found


def test_a_row_of_another_torch_is_not_this_environment_s() -> None:
    """The witnesses of other versions may differ by less than the tolerance, and the ends by more."""
    here = torch.__version__.split("+")[0]
    assert {row.torch for row in book.sweeps.stored().values()} == {here}, MEND


ALONE = [name for name, (case, _, _) in sweep_rows().items() if case["experiment"].batch_size == 1]


def check(case: book.Case, stored: book.Witness, again: Callable[[], book.Witness]) -> None:
    if book.missing(case):
        needing = sum(not available(e) for _, e, _ in book.sweeps.experiments())
        pytest.skip(f"{needing} rows are not checked: the files of their pictures are not on this machine")
    found = again()
    assert agree(stored, found), f"{case}\nstored {stored}\nnow    {found}\n{MEND}"


@pytest.mark.sampled(8)
@pytest.mark.parametrize("name", ALONE)
def test_a_row_of_each_kind_is_what_this_code_computes(name: str) -> None:
    check(*sweep_rows()[name])


@pytest.mark.parametrize("name", [name for name in sweep_rows() if name not in ALONE])
def test_a_row_of_each_kind_and_size_of_larger_batch_is_what_this_code_computes(name: str) -> None:
    check(*sweep_rows()[name])


@pytest.mark.sampled(8)
@pytest.mark.parametrize("name", other_rows())
def test_a_row_of_each_part_of_the_other_files_is_what_this_code_computes(name: str) -> None:
    check(*other_rows()[name])


# --- what a change does ---

SINGLE = "Experiment Photos ConvNet FedSGD IDLG Quantize Plain, batch of 1"
BATCH = "Experiment Photos ConvNet FedSGD DLG Quantize Plain, batch of 2"
PICTURES = "photographs, photographs, none"


def changed(name: str) -> bool:
    """Whether the row's witness, computed now, is another."""
    _, stored, again = sweep_rows()[name] if name in sweep_rows() else other_rows()[name]
    return not agree(stored, again())


@pytest.fixture
def prior(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable], None]:
    """Replaces the prior of DLG and IDLG by what the test makes of it."""
    from leaklib.attacks import dlg

    original = dlg.total_variation
    return lambda how: monkeypatch.setattr(dlg, "total_variation", lambda x: how(x) * original(x))


def test_a_coefficient_that_shows_only_for_batches_above_one_is_caught_there(prior) -> None:
    assert not changed(SINGLE) and not changed(BATCH)
    prior(lambda images: 2.0 if images.shape[-4] > 1 else 1.0)
    assert changed(BATCH) and not changed(SINGLE)


def test_the_rows_computed_here_have_every_size_of_batch_that_is_stored() -> None:
    sizes = {case["experiment"].batch_size for case, _, _ in sweep_rows().values()}
    assert sizes == {e.batch_size for _, e, _ in book.sweeps.experiments()} > {1, 2, 64}


def test_another_resnet_npz_is_caught(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with np.load(PACKAGE / "models" / resnet.WEIGHTS) as stored:
        arrays = {name: stored[name] for name in stored}
    np.savez(tmp_path / resnet.WEIGHTS, **arrays)
    monkeypatch.setattr(resnet, "files", lambda _: tmp_path)
    assert not changed(PICTURES)
    first = next(name for name, array in arrays.items() if array.ndim == 4)
    np.savez(tmp_path / resnet.WEIGHTS, **(arrays | {first: arrays[first] * 1.02}))
    assert changed(PICTURES)


def test_other_photographs_are_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    original = Photos.batch

    def darker(self: Photos, client: int, size: int) -> Batch:
        batch = original(self, client, size)
        return Batch(0.98 * batch.inputs, batch.labels)

    monkeypatch.setattr(Photos, "batch", darker)
    assert changed(SINGLE) and changed(BATCH)


# --- what only reads differently ---


class Reworded(ast.NodeTransformer):
    """Other words, the same numbers: errors say something else, locals have other names, a class is new."""

    def visit_Raise(self, node: ast.Raise) -> ast.AST:
        for inner in ast.walk(node):
            if isinstance(inner, ast.Call):
                texts = (a for a in inner.args if isinstance(a, ast.Constant) and isinstance(a.value, str))
                for text in texts:
                    text.value = f"In other words: {text.value}"
                for joined in (a for a in inner.args if isinstance(a, ast.JoinedStr)):
                    joined.values.insert(0, ast.Constant("In other words: "))
        return node

    def visit_Module(self, node: ast.Module) -> ast.AST:
        self.generic_visit(node)
        node.body += ast.parse("class Added:\n    value = 1\n\n\ndef added():\n    return Added()\n").body
        return node

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        self.generic_visit(node)
        inner = [n for n in ast.walk(node) if n is not node]
        names = {n.id for n in inner if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
        names -= {a.arg for n in ast.walk(node) if isinstance(n, ast.arguments) for a in every_argument(n)}
        names -= {name for n in inner if isinstance(n, ast.Nonlocal | ast.Global) for name in n.names}
        if not any(isinstance(n, ast.ClassDef | ast.FunctionDef | ast.Match) for n in inner):
            for n in inner:
                if isinstance(n, ast.Name) and n.id in names:
                    n.id = f"{n.id}_renamed"
        return node


def every_argument(arguments: ast.arguments) -> list[ast.arg]:
    extra = [a for a in (arguments.vararg, arguments.kwarg) if a is not None]
    return [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, *extra]


LOOK = """
import json, sys
sys.path.append({benchmarks!r})
import leaklib, witness as book
from leaklib.sweep import cached
rows = {{book.key(case["experiment"]): again for case, _, again in book.sweep_checks()}}
stale = sum(cached(e) is None for _, e, _ in book.sweeps.experiments())
again = {{name: rows[name]() for name in {names!r}}}
print(json.dumps([leaklib.__file__, len(rows), stale, again]))
"""


def test_other_words_leave_every_row_valid(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Comments, layout, errors, local names, added functions and classes: in a copy of the whole package."""
    renamed = 0
    for path in PACKAGE.rglob("*"):
        target = tmp_path / "leaklib" / path.relative_to(PACKAGE)
        if path.is_dir() or "__pycache__" in path.parts:
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".py":
            text = ast.unparse(Reworded().visit(ast.parse(path.read_text(encoding="utf8"))))
            renamed += text.count("_renamed")
            target.write_text(text, encoding="utf8")
        else:
            target.write_bytes(path.read_bytes())
    assert renamed > 1000
    checks = [sweep_rows()[name] for name in (SINGLE, BATCH)]
    stored = {book.key(case["experiment"]): row for case, row, _ in checks}
    script = LOOK.format(benchmarks=str(BENCHMARKS), names=list(stored))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))  # nobody's own rows
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    where, rows, stale, again = json.loads(done.stdout)
    assert Path(where).is_relative_to(tmp_path) and rows == len(book.sweeps.stored()) and stale == 0
    assert all(agree(stored[name], again[name]) for name in stored)
