"""Sweeps: what names an experiment, what is stored and believed, what runs and what does not."""

import json
import math
import threading
import time
from dataclasses import dataclass, field, fields, make_dataclass, replace
from pathlib import Path

import joblib
import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from leaklib.aggregation.plain import Plain
from leaklib.aggregation.secagg import SecAgg
from leaklib.attacks.dlg import DLG, IDLG
from leaklib.attacks.linear_layer import LinearLayer
from leaklib.attacks.tokens import TokenRecovery
from leaklib.client import FedAvg, FedSGD
from leaklib.data import CIFAR10, Data, Digits, Photos, Sentences
from leaklib.experiment import Experiment, run
from leaklib.mechanisms.chain import Chain
from leaklib.mechanisms.identity import Identity
from leaklib.mechanisms.quantize import Quantize
from leaklib.mechanisms.top_k import TopK
from leaklib.metrics import constant_floor, gray_floor, score, wilson
from leaklib.models.convnet import ConvNet
from leaklib.models.imprint import Imprinted
from leaklib.models.lenet import LeNet
from leaklib.models.parts.build import seeded
from leaklib.models.transformer import TinyTransformer
from leaklib.named import flatten
from leaklib.results.sweeps import Numbered, Picked
from leaklib.sweep import Point, Row, cached, grid, measure, points, run_all, runs, store
from leaklib.sweep.key import key
from leaklib.sweep.rows import KEPT, candidates, read_row, row_of, write_row
from leaklib.sweep.witness import available, witness
from leaklib.types import Batch, ClientStep


@dataclass(frozen=True)
class Mlp:
    def build(self, seed: int) -> nn.Module:
        return seeded(seed, lambda: nn.Sequential(nn.Flatten(), nn.Linear(3072, 10)))


LINE = Experiment(data=Photos(), model=Mlp(), step=FedSGD(), attack=LinearLayer())
SEARCH = Experiment(data=Photos(), model=LeNet(), step=FedSGD(), attack=DLG(steps=1))
OLD = Row("name", (0.5, 0.25), (30.0, 1.5), (0.5, 0.1), (), 1.0, 0.25, 0.5, 20, 0, 800, 1.25, "2.15.0")
ROW = replace(OLD, gray=(9.0, 7.0), constant=(11.0, 7.5), identified=(1.0, 0.0), gradient_norm=0.5)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of each test's own, and no rows of the book."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(store, "BOOK", tmp_path / "book.jsonl")
    store._book.cache_clear()
    yield tmp_path / "leaklib" / "sweeps"
    store._book.cache_clear()


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> list[Experiment]:
    """What ``measure`` was called with, in this process."""
    calls: list[Experiment] = []

    def counting(experiment: Experiment) -> Row:
        calls.append(experiment)
        return measure(experiment)

    monkeypatch.setattr(runs, "measure", counting)
    return calls


def quiet(experiments: list[Experiment], n_jobs: int | None = 1) -> list[Row]:
    return run_all(experiments, n_jobs=n_jobs, progress=False)


def lines(*rows: Row | None) -> list[str]:
    """What rows are compared by: NaN, which pictures have for tokens, would not equal itself."""
    return [write_row(row) for row in rows if row is not None]


def timeless(rows: list[Row]) -> list[str]:
    return lines(*(replace(row, seconds=0.0) for row in rows))


# --- grids ---


def test_a_grid_has_every_combination_and_the_last_axis_runs_fastest() -> None:
    some = grid(LINE, seed=(3, 1), batch_size=range(1, 4))
    assert [(e.seed, e.batch_size) for e in some] == [(3, 1), (3, 2), (3, 3), (1, 1), (1, 2), (1, 3)]
    assert all(replace(e, seed=0, batch_size=1) == LINE for e in some)
    assert grid(LINE) == [LINE]


def test_an_axis_may_be_used_up_by_looking_at_it() -> None:
    assert len(grid(LINE, seed=iter(range(2)), batch_size=(n for n in (1, 2)))) == 4


def test_what_makes_no_grid_is_said_in_a_sentence() -> None:
    with pytest.raises(ValueError, match=r"has no seeds, size: its fields are data, model, .* seed$"):
        grid(LINE, size=[1], seeds=[2], clients=[1])
    with pytest.raises(ValueError, match="the axis seed, clients has no values: give at least one"):
        grid(LINE, seed=[], batch_size=[1], clients=iter(()))
    with pytest.raises(ValueError, match="must be at least 1"):
        grid(LINE, batch_size=(1, 0))


# --- what names an experiment ---


def own(*extra: tuple, module: str = "leaklib.attacks.own") -> type:
    """An attack of one name, and the fields that it has in one version of the package."""
    members = [("steps", int, 3), *extra]
    namespace = {"__call__": LinearLayer.__call__, "__module__": module}
    return make_dataclass("Own", members, frozen=True, namespace=namespace)


def test_a_new_field_with_a_default_leaves_the_name_and_another_value_changes_it() -> None:
    def named(attack) -> str:
        return key(replace(LINE, attack=attack))

    old = own()
    for new in (own(("prior", float, 0.0)), own(("base", ConvNet, field(default_factory=ConvNet)))):
        assert named(new()) == named(old()) and named(new(4)) == named(old(4))
    assert named(own(("prior", float, 0.0))(prior=0.5)) != named(old())
    assert named(old(4)) != named(old())
    # A value that is the default anyway loses nothing either.
    assert named(old(3)) == named(old())


def test_every_choice_of_an_experiment_is_in_its_name() -> None:
    different = [
        LINE,
        *grid(LINE, seed=(1, 2)),
        *grid(LINE, first_client=(1,), batch_size=(1, 2)),
        *grid(LINE, reveal_labels=(True,), reveal_statistics=(False, True)),
        *grid(LINE, data=(Photos(16), Photos(gray=True), Photos(only="cat"), Photos(only="coffee"))),
        *grid(LINE, attack=(DLG(), DLG(steps=2), IDLG(), IDLG(steps=2))),
        *grid(LINE, model=(ConvNet(), ConvNet(8), ConvNet(activation=nn.Tanh), ConvNet(activation=nn.SiLU))),
        *grid(LINE, model=(Imprinted(), Imprinted(bins=9), Imprinted(base=LeNet()))),
        *grid(LINE, mechanism=(Chain(), Chain((TopK(0.1), Quantize(8))), Chain((Quantize(8), TopK(0.1))))),
    ]
    names = {key(e) for e in different}
    assert len(names) == len(set(different)) > 20 and all(len(name) == 16 for name in names)


def test_what_has_no_name_is_refused() -> None:
    for value in (lambda: nn.ReLU(), torch.ones(1)):
        with pytest.raises(TypeError, match=r"cannot name a (function|Tensor): expected"):
            key(replace(LINE, attack=own(("extra", object, None))(extra=value)))


def mine(body: str, default: int = 1) -> Experiment:
    """An experiment on a network of a class that a reader writes in a notebook, and changes."""
    source = f"@dataclass(frozen=True)\nclass Mine:\n    width: int = {default}\n    {body}\n"
    names = {"dataclass": dataclass, "nn": nn, "seeded": seeded, "__name__": "__main__"}
    exec(source, names)
    return replace(LINE, model=names["Mine"]())


BODY = "def build(self, seed): return seeded(seed, lambda: nn.Sequential(nn.Flatten(), nn.Linear(3072, 10)))"


def test_of_a_reader_s_own_class_every_field_is_in_the_name() -> None:
    """Nobody else knows when its defaults change."""
    assert key(mine(BODY)) == key(mine(BODY)) != key(mine(BODY, default=2))
    assert key(mine(BODY)) != key(LINE)


def test_a_part_of_the_package_may_move_to_another_module() -> None:
    here = replace(LINE, attack=own()())
    there = replace(LINE, attack=own(module="leaklib.attacks.elsewhere")())
    readers = replace(LINE, attack=own(module="elsewhere")())
    assert key(here) == key(there) != key(readers)


# --- rows ---


def test_a_row_says_what_the_result_said() -> None:
    e = replace(SEARCH, batch_size=2, mechanism=Quantize(8), seed=1)
    result, row = run(e), measure(e)
    assert (row.key, row.witness) == (key(e), witness(e)) and row.commit == ""
    assert row.psnr == pytest.approx(result.score.psnr.tolist(), abs=1e-3)
    assert row.ssim == pytest.approx(result.score.ssim.tolist(), abs=1e-3)
    assert row.loss == pytest.approx(result.reconstruction.loss, rel=5e-3)
    assert row.baseline == pytest.approx(result.reconstruction.baseline, rel=5e-3)
    assert (row.evaluations, row.bits) == (20, Quantize(8).bits_sent(result.update))
    assert 0 < row.seconds < 60 and torch.__version__.startswith(row.torch)


@pytest.mark.parametrize(("size", "gray"), [(1, False), (2, False), (5, False), (1, True), (5, True)])
def test_pictures_come_back_in_the_batch_s_order_with_8_bits(size: int, gray: bool) -> None:
    data, shape = Photos(16, gray), (1 if gray else 3, 16, 16)
    result = run(replace(SEARCH, data=data, model=LeNet(input_shape=shape), batch_size=size))
    pictures = read_row(write_row(row_of(result, (), 0.0))).reconstructions
    assert pictures.shape == (min(size, KEPT), *shape) and pictures.dtype == torch.float32
    expected = result.reconstruction.inputs[result.score.order][:KEPT]
    assert (pictures - expected).abs().max() <= 0.5 / 255 + 1e-6


@pytest.mark.parametrize("clients", [1, 2])
@pytest.mark.parametrize("step", [FedSGD(), FedAvg(epochs=2), FedSGD(max_grad_norm=1e-3)])
def test_a_row_says_how_sure_the_network_was_and_how_long_its_update(step: ClientStep, clients: int) -> None:
    """Before the mechanism, and of the sum of clients that was attacked their mean."""
    some = replace(SEARCH, model=Mlp(), reveal_labels=True, batch_size=2, mechanism=TopK(0.01), step=step)
    row = measure(replace(some, clients=clients, aggregation=SecAgg() if clients > 1 else Plain()))
    batch = Photos().batch(0, 2 * clients)
    logits = Mlp().build(0)(batch.inputs)
    each = cross_entropy(logits, batch.labels, reduction="none")
    assert row.confidence == pytest.approx(each.neg().exp().tolist(), rel=1e-5)
    sent = run(replace(some, mechanism=Identity(), first_client=0)).update.tensors
    if clients == 2:
        other = run(replace(some, mechanism=Identity(), first_client=1)).update.tensors
        sent = {name: (tensor + other[name]) / 2 for name, tensor in sent.items()}
    assert row.gradient_norm == pytest.approx(flatten(sent).norm().item(), rel=1e-3)


def test_of_a_loss_of_one_s_own_nothing_is_said_about_confidence() -> None:
    row = measure(replace(LINE, step=FedSGD(loss=squares), reveal_labels=True))
    assert row.confidence == () and math.isnan(row.gradient_norm) and len(row.gray) == 1


def squares(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    return (logits - nn.functional.one_hot(labels, 10)).square().mean()


def test_a_row_holds_its_floors_and_whether_the_truth_was_pointed_out() -> None:
    batch = Photos().batch(0, 3)
    result = run(replace(SEARCH, batch_size=3))
    guess = batch.inputs.clone()
    guess[0] = Photos().batch(40, 1).inputs[0]  # another picture of the data
    guess[1] = 0.5  # nothing
    found = replace(result.reconstruction, inputs=guess)
    row = row_of(replace(result, reconstruction=found, score=score(found, batch)), (), 0.0)
    assert row.gray == pytest.approx(gray_floor(batch.inputs).tolist(), abs=1e-3)
    assert row.constant == pytest.approx(constant_floor(batch.inputs).tolist(), abs=1e-3)
    assert row.identified == (0.0, 0.0, 1.0)


@pytest.mark.parametrize(
    ("data", "client", "size", "count"),
    [
        (Photos(8), 0, 1, 64),
        (Photos(8), 10, 5, 64),
        (Photos(8), 1, 80, 80),
        (Photos(8, only="cat"), 4, 2, 30),
        (Digits(), 20, 50, 64),
    ],
)
def test_candidates_are_the_batch_and_others_of_its_data(data, client: int, size: int, count: int) -> None:
    batch = data.batch(client, size)
    some = candidates(replace(LINE, data=data), batch)
    assert len(some) == len(some.unique(dim=0)) == count and torch.equal(some[:size], batch.inputs)
    others = [number for number in range(count) if number // size != client][: count - size]
    assert all(torch.equal(some[size + i], data.batch(n, 1).inputs[0]) for i, n in enumerate(others))


@pytest.mark.parametrize("data", [Picked(Photos(8), (70, 3, 9)), Numbered(Picked(Photos(8), (70, 3, 9)))])
def test_candidates_of_picked_pictures_are_those_they_were_picked_from(data: Data) -> None:
    some = candidates(replace(LINE, data=data), data.batch(0, 3))
    others = [number for number in range(63) if number not in (3, 9)]
    expected = [Photos(8).batch(number, 1).inputs[0] for number in (70, 3, 9, *others)]
    assert torch.equal(some, torch.stack(expected)) and len(some) == 64


def test_data_that_repeats_itself_has_fewer_candidates() -> None:
    assert len(candidates(replace(LINE, data=Same()), Photos(8).batch(3, 1))) == 2


@dataclass(frozen=True)
class Same:
    def batch(self, client: int, size: int) -> Batch:
        return Photos(8).batch(0, 1)


def test_a_row_of_a_text_holds_no_pictures() -> None:
    texts = Sentences()
    row = measure(Experiment(texts, TinyTransformer(len(texts.vocabulary)), FedSGD(), TokenRecovery()))
    assert row.token_accuracy and row.pictures == ""
    assert row.gray == row.constant == row.identified == row.confidence == ()
    assert math.isnan(row.gradient_norm) and row.stop == "closed form"
    with pytest.raises(ValueError, match="without pictures: run its experiment to see them"):
        _ = row.reconstructions


@pytest.fixture
def cifar(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stands for the files of CIFAR-10: 70 pictures of noise."""
    images = np.random.default_rng(0).integers(0, 256, (70, 32, 32, 3), np.uint8)
    monkeypatch.setattr("leaklib.data._cifar10", lambda *_: (images, np.arange(70) % 10))


@pytest.mark.parametrize("data", [CIFAR10(), CIFAR10("train"), Numbered(CIFAR10())])
def test_a_row_holds_no_picture_of_cifar10(cifar: None, data: Data) -> None:
    row = measure(replace(SEARCH, data=data, batch_size=2))
    assert row.pictures == "" and len(row.identified) == len(row.gray) == 2
    assert measure(replace(LINE, data=Numbered())).pictures


def test_where_files_are_missing_a_row_is_believed_as_it_is(
    tmp_path: Path, cifar: None, ran: list[Experiment], monkeypatch: pytest.MonkeyPatch
) -> None:
    e = replace(LINE, data=CIFAR10(root=str(tmp_path)))
    row = measure(e)
    store.keep(replace(row, witness=(0.1,)))
    assert available(e) and cached(e) is None
    monkeypatch.undo()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert not available(e) and available(LINE)
    assert lines(*quiet([e])) == lines(replace(row, witness=(0.1,)))
    with pytest.raises(FileNotFoundError, match=r"no complete CIFAR-10 in .*: pass download=True"):
        quiet([replace(e, seed=1)])


def test_a_row_is_one_line_that_is_read_as_it_was_written() -> None:
    rows = [ROW, replace(ROW, psnr=(math.inf, -math.inf), loss=math.inf), replace(ROW, psnr=())]
    for row in rows:
        assert read_row(write_row(row)) == row
    line = write_row(measure(LINE))
    assert "\n" not in line and write_row(read_row(line)) == line
    back = read_row(write_row(replace(ROW, psnr=(math.nan, 3.0), baseline=math.nan)))
    assert math.isnan(back.psnr[0]) and back.psnr[1] == 3 and math.isnan(back.baseline)
    assert replace(back, psnr=ROW.psnr, baseline=ROW.baseline) == ROW


def test_rows_of_before_a_field_was_kept_are_read() -> None:
    old = {name: value for name, value in json.loads(write_row(ROW)).items() if name not in LATER}
    row = read_row(json.dumps(old))
    assert math.isnan(row.gradient_norm) and row.stop == ""
    assert replace(row, gradient_norm=0.5) == replace(OLD, gradient_norm=0.5)


LATER = ("gray", "constant", "identified", "confidence", "gradient_norm", "stop")


def changed(**values: object) -> str:
    """The line of ``ROW`` with other values; ``None`` leaves one out."""
    all_values = json.loads(write_row(ROW)) | values
    return json.dumps({name: value for name, value in all_values.items() if value is not None})


WRONG = {
    "psnr": [3.0, "3", ["3"], [[3.0]], {"a": 1.0}, [True], [None]],
    "ssim": [3.0],
    "token_accuracy": ["no"],
    "label_overlap": ["1", [1.0], True],
    "loss": ["1"],
    "evaluations": [1.5, "1", [1], True],
    "bits": [1e3],
    "seconds": ["1"],
    "key": [3, ["name"]],
    "witness": [0.5, "0.5", [1]],
    "commit": [3],
    "torch": [2.15],
    "pictures": [[], 1],
    "gray": [3.0, ["3"]],
    "constant": [[None]],
    "identified": [[True], [1]],
    "confidence": [0.5],
    "gradient_norm": [[0.5], 1],
}


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, some in WRONG.items() for value in some])
def test_a_value_of_another_type_is_no_row(name: str, value: object) -> None:
    with pytest.raises(ValueError, match=f"expected a stored row of results, .*{name}"):
        read_row(changed(**{name: value}))


@pytest.mark.parametrize(
    "line",
    ["", "{", "3", "null", "[]", "{}", '"row"', changed(psnr=None), changed(extra=1), write_row(ROW)[:99]],
)
def test_what_is_no_row_is_refused_with_what_it_is(line: str) -> None:
    with pytest.raises(ValueError, match="expected a stored row of results, got"):
        read_row(line)


# --- what is stored ---


def test_a_row_is_believed_while_its_witness_agrees(folder: Path) -> None:
    assert cached(LINE) is None and not folder.exists()
    row = measure(LINE)
    store.keep(row)
    assert lines(cached(LINE)) == lines(row) and cached(replace(LINE, seed=1)) is None
    store.keep(replace(row, witness=tuple(1.01 * number for number in row.witness)))
    assert cached(LINE) is None
    assert [path.name for path in folder.iterdir()] == [f"{row.key}.json"]


def test_a_reader_s_code_that_gives_other_numbers_makes_a_row_stale() -> None:
    first = mine(BODY)
    store.keep(measure(first))
    assert cached(mine(f"# why\n\n    {BODY}")) is not None
    other = mine(BODY.replace("seeded(seed,", "seeded(seed + 1,"))
    assert key(other) == key(first) and cached(other) is None


def test_the_book_s_rows_are_believed_as_they_are() -> None:
    """Its tests compute their witnesses: tests/test_witness.py."""
    store.BOOK.write_text(write_row(replace(measure(LINE), witness=(0.1,))) + "\n")
    store._book.cache_clear()
    assert cached(LINE) is not None


def test_the_book_s_rows_are_there_and_one_s_own_come_first(folder: Path) -> None:
    row = measure(LINE)
    book, mine = replace(row, loss=1.0), replace(row, loss=2.0)
    store.BOOK.write_text(f"{write_row(ROW)}\n{write_row(book)}\n")
    store._book.cache_clear()
    assert lines(cached(LINE)) == lines(book) and not folder.exists()
    store.keep(replace(mine, witness=()))
    assert lines(cached(LINE)) == lines(book)
    store.keep(mine)
    assert lines(cached(LINE)) == lines(*quiet([LINE])) == lines(mine)


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"\xff\xfe", b"[1, 2]", changed(psnr=3).encode(), write_row(ROW).encode()],
    ids=["empty", "half", "bytes", "list", "types", "another's"],
)
def test_a_file_that_holds_something_else_is_skipped_and_replaced(
    content: bytes, folder: Path, capsys
) -> None:
    (row,) = quiet([LINE])
    path = folder / f"{row.key}.json"
    path.write_bytes(content)
    assert cached(LINE) is None
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 1 and said[0].startswith(f"{path} is skipped, its experiment runs again: ")
    assert timeless(quiet([LINE])) == timeless([row]) and cached(LINE) is not None


# --- running ---


def test_rows_come_in_the_order_given_and_nothing_runs_twice(ran: list[Experiment]) -> None:
    a, b, c = grid(LINE, seed=(2, 0, 1))
    rows = quiet([a, b, a, c, replace(a)])
    assert [row.key for row in rows] == [key(e) for e in (a, b, a, c, a)]
    assert ran == [a, b, c] and rows[0] is rows[2]
    again = quiet([c, replace(c, seed=7), a])
    assert lines(*again) == lines(rows[3], cached(replace(c, seed=7)), rows[0])
    assert ran == [a, b, c, replace(c, seed=7)]
    assert quiet([]) == []


@pytest.mark.parametrize("stop", [KeyboardInterrupt, RuntimeError])
def test_an_interrupt_keeps_what_was_done_and_the_next_call_goes_on(
    stop: type[BaseException], ran: list[Experiment], monkeypatch: pytest.MonkeyPatch
) -> None:
    some, counting = grid(LINE, seed=range(4)), runs.measure

    def interrupted(experiment: Experiment) -> Row:
        if experiment.seed == 2:
            raise stop("in the middle")
        return counting(experiment)

    with monkeypatch.context() as patch:
        patch.setattr(runs, "measure", interrupted)
        with pytest.raises(stop, match="in the middle"):
            quiet(some)
    assert ran == some[:2] and [cached(e) is not None for e in some] == [True, True, False, False]
    rows = quiet(some)
    assert ran == some and [row.key for row in rows] == [key(e) for e in some]


def test_an_experiment_that_fails_says_why_and_the_rows_before_it_stay() -> None:
    refused = replace(LINE, mechanism=Quantize(8))
    with pytest.raises(ValueError, match="needs every entry as the client computed it"):
        quiet([LINE, refused, replace(LINE, seed=1)])
    assert cached(LINE) is not None and cached(refused) is None


@pytest.mark.slow
def test_processes_and_one_process_give_the_same_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    some = [
        *grid(SEARCH, seed=range(3)),
        replace(SEARCH, batch_size=2, mechanism=Quantize(4, stochastic=True)),
    ]
    alone = quiet(some)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "other"))
    beside = quiet(some, n_jobs=2)
    assert timeless(alone) == timeless(beside)
    (row,) = quiet([mine(BODY)], n_jobs=2)
    assert row.key == key(mine(BODY)), "a class has the same name in every process"


def test_an_active_configuration_decides_how_many_run_side_by_side(
    ran: list[Experiment], monkeypatch: pytest.MonkeyPatch
) -> None:
    together, threads = threading.Barrier(2, timeout=60), set()
    counting = runs.measure

    def at_once(experiment: Experiment) -> Row:
        together.wait()  # passes only if two are here
        threads.add(threading.current_thread())
        return counting(experiment)

    monkeypatch.setattr(runs, "measure", at_once)
    some = grid(SEARCH, seed=range(4))
    with joblib.parallel_config("threading", n_jobs=2):
        rows = quiet(some, n_jobs=None)
    assert threading.main_thread() not in threads and len(ran) == 4
    assert timeless(rows) == timeless([measure(e) for e in some])


def test_workers_that_are_threads_build_their_networks_one_at_a_time() -> None:
    """They share the generator that PyTorch's layers draw from."""
    inside, most = [], []

    def make() -> nn.Module:
        inside.append(threading.current_thread())
        most.append(len(inside))
        time.sleep(0.02)  # the others come meanwhile
        inside.pop()
        return nn.Linear(2, 2)

    with joblib.parallel_config("threading", n_jobs=4):
        built = joblib.Parallel()(joblib.delayed(seeded)(seed, make) for seed in range(8))
    assert most == [1] * 8
    assert [layer.bias.tolist() for layer in built] == [seeded(s, make).bias.tolist() for s in range(8)]


@pytest.mark.parametrize(
    ("configuration", "asked", "expected"),
    [({}, None, -1), ({}, 2, 2), ({"n_jobs": 1}, None, 1), ({"n_jobs": 3}, None, 3), ({"n_jobs": 3}, 1, 1),
     ({"backend": "threading"}, None, -1)],
)  # fmt: skip
def test_every_core_runs_unless_something_else_is_said(
    configuration: dict, asked: int | None, expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs = []

    class Workers(joblib.Parallel):
        def __call__(self, _):
            jobs.append(self.n_jobs)
            return iter([measure(LINE)])

    monkeypatch.setattr(joblib, "Parallel", Workers)
    with joblib.parallel_config(**configuration):
        quiet([LINE], n_jobs=asked)
    assert jobs == [expected]


def test_threads_and_random_state_stay_as_they_were() -> None:
    seen = []

    class Watching(Mlp):
        def build(self, seed: int) -> nn.Module:
            seen.append(torch.get_num_threads())
            return super().build(seed)

    threads = torch.get_num_threads()
    states = torch.get_rng_state(), np.random.get_state()[1].copy()
    try:
        torch.set_num_threads(3)
        for e in (replace(LINE, model=Watching()), SEARCH):
            quiet([e])
        with pytest.raises(ValueError):
            measure(replace(LINE, mechanism=Quantize(8)))
        assert torch.get_num_threads() == 3 and set(seen) == {1}
    finally:
        torch.set_num_threads(threads)
    assert torch.equal(states[0], torch.get_rng_state())
    assert np.array_equal(states[1], np.random.get_state()[1])


def test_progress_is_told_and_can_be_silenced(capsys) -> None:
    some = grid(LINE, seed=range(3))
    run_all(some[:1], n_jobs=1, progress=False)
    assert capsys.readouterr() == ("", "")
    run_all([*some, some[2]], n_jobs=1)
    out, err = capsys.readouterr()
    assert out.startswith("1 results are stored, 2 to run.\n\r1 of 2 run, about 0 min left")
    assert out.endswith("\r2 of 2 run, about 0 min left \n") and not err
    run_all(some, n_jobs=1)
    assert capsys.readouterr() == ("", "")


# --- points ---


def test_a_point_holds_all_pictures_of_all_runs() -> None:
    rows = (ROW, replace(ROW, psnr=(20.0, 90.0, 1.0), evaluations=50))
    point = Point((LINE, LINE), rows)
    assert point.psnr == [1.0, 1.5, 20.0, 30.0, 90.0] and point.median == 20
    assert (point.above(20.0), point.above(20.1), point.above(100.0)) == (3, 2, 0)
    assert point.evaluations == 50
    assert (point.gray, point.constant) == (8.0, 9.25)
    assert point.identified == (2, 4) and point.interval == wilson(2, 4)


def test_every_setting_gets_its_own_experiments_rows(ran: list[Experiment]) -> None:
    a, b, c = grid(LINE, seed=range(3))
    found = points({"one": [a], ("two", 2): [c, b], "again": [a, c]}, n_jobs=1, progress=False)
    assert list(found) == ["one", ("two", 2), "again"] and ran == [a, c, b]
    for point in found.values():
        assert [row.key for row in point.rows] == [key(e) for e in point.experiments]
    assert [len(point.rows) for point in found.values()] == [1, 2, 2]


def test_a_row_s_fields_are_what_a_line_holds() -> None:
    assert list(json.loads(write_row(ROW))) == [f.name for f in fields(Row)]
