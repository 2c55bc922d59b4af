"""What the book shows from files: its claims hold in them, and a row computed anew agrees."""

import base64
import json
import zlib
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from importlib.resources import files
from itertools import pairwise
from statistics import median

import pytest
import torch
from scipy.stats import binom

from leaklib.accounting import epsilon, noise_multiplier_for, reconstruction_bound
from leaklib.aggregation.byzsecagg import ByzSecAgg
from leaklib.aggregation.plain import Plain
from leaklib.attacks.dlg import DLG
from leaklib.attacks.grad_inversion import GradInversion
from leaklib.client import FedSGD, share
from leaklib.data import Digits, Photos
from leaklib.experiment import Experiment, run
from leaklib.metrics import gray_floor, psnr, score
from leaklib.models.convnet import ConvNet
from leaklib.models.lenet import LeNet
from leaklib.models.mlp import Mlp
from leaklib.models.resnet import ResNet
from leaklib.results import SWEEPS
from leaklib.results.contenders import (
    ATTACKED,
    CONTENDERS,
    DELTA,
    EPSILON,
    EXAMPLES,
    NOISE,
    ROUNDS,
    TRAINED,
)
from leaklib.results.sweeps import Doubled
from leaklib.rng import generator
from leaklib.sweep import Point, Row, measure
from leaklib.sweep.key import key
from leaklib.sweep.rows import read_row
from leaklib.sweep.store import BOOK
from leaklib.training import train
from leaklib.types import Batch

RESULTS = files("leaklib").joinpath("results")
FAMILY = json.loads(RESULTS.joinpath("family.json").read_text())
IDENTIFIABILITY = json.loads(RESULTS.joinpath("identifiability.json").read_text())
ATTACKS = json.loads(RESULTS.joinpath("attacks.json").read_text())
TUNED = json.loads(RESULTS.joinpath("tuned.json").read_text())
PRIVACY = json.loads(RESULTS.joinpath("privacy.json").read_text())


def values(part: str, **case) -> list[float]:
    """The PSNR of all pictures of all runs of one setting."""
    found = [entry for entry in FAMILY[part] if case.items() <= entry["case"].items()]
    assert found, f"{part} has no runs of {case}"
    return [value for entry in found for run in entry["runs"] for value in run["psnr"]]


def test_gradinversion_ends_at_the_level_of_gray_pictures() -> None:
    """Not reproduced, with any statistics: no order among these runs says anything, so none is asserted."""
    assert len(FAMILY["batch_norm"]) == 9
    for entry in FAMILY["batch_norm"]:
        size, over = entry["case"]["batch"], []
        for row in entry["runs"]:
            floors = FAMILY["gray"]["psnr"][row["client"] * size :][:size]
            over += [value - floor for value, floor in zip(row["psnr"], floors, strict=True)]
        assert -2 < median(over) < 0.5 and max(over) < 6


def test_the_lower_loss_does_not_tell_which_prior_to_keep_until_a_search_has_arrived() -> None:
    pairs = {}
    for entry in FAMILY["switches"]:
        for row in entry["runs"]:
            setting = entry["case"]["activation"], entry["case"]["training"], row["picture"]
            pairs.setdefault(setting, {})[entry["case"]["prior"]] = row
    both = [(pair["annealed"], pair["none"]) for pair in pairs.values()]
    right = sum((a["loss"] < b["loss"]) == (a["psnr"] > b["psnr"]) for a, b in both)
    assert len(both) == 36 and 12 <= right <= 24
    arrived = [(a, b) for a, b in both if b["loss"] < 1e-6 * b["baseline"]]
    assert arrived and all(b["psnr"] > a["psnr"] for a, b in arrived)


def test_a_batch_of_48_ran_to_its_end() -> None:
    for kind in ("none", "running", "exact"):
        assert len(values("batch_norm", batch=48, statistics=kind)) == 48


def test_who_knows_the_order_of_the_mini_batches_is_ahead_of_who_ignores_it_on_every_picture() -> None:
    told, given, any_order = (
        values("orders", attacker=attacker)
        for attacker in ("told the order", "takes the order given", "allows for any order")
    )
    assert all(t > g for t, g in zip(told, given, strict=True))
    for first in range(0, len(any_order), 4):
        least, between, most = (median(some[first : first + 4]) for some in (given, any_order, told))
        assert least < between < most


@pytest.mark.parametrize("steps", [2, 5, 10])
def test_unrolling_beats_taking_the_difference_for_a_gradient(steps: int) -> None:
    unrolled, naive = (
        values("fedavg", **{"local steps": steps, "attacker": attacker})
        for attacker in ("unrolled", "one gradient")
    )
    assert all(u > n for u, n in zip(unrolled, naive, strict=True))


def test_starts_together_cost_less_on_small_networks() -> None:
    for network in ("LeNet", "ConvNet 16"):
        ratios = [
            entry["runs"][0]["ratio"]
            for entry in FAMILY["restarts"]
            if entry["case"]["network"] == network and entry["case"]["starts"] >= 4
        ]
        assert len(ratios) == 2 and max(ratios) < 0.7


def test_a_relu_network_is_inverted_before_training() -> None:
    assert min(values("single", network="ConvNet 64 ReLU", training="none")) > 20


@pytest.mark.parametrize("network", ["LeNet U(-1/2, 1/2)", "LeNet default"])
@pytest.mark.parametrize("pictures", [3, 5])
def test_inverting_gradients_beats_the_other_tool_at_no_more_time(network: str, pictures: int) -> None:
    """One setting for both networks: without signs. With signs it is better on one and worse on the other."""

    def of(attack: str) -> tuple[float, float]:
        runs = [r for r in ATTACKS if (r["network"], r["attack"]) == (network, attack)]
        runs = [run for run in runs if run["picture"] < pictures]
        assert len(runs) == pictures
        cost = median(run["seconds"] / run["evaluations"] / run["training_step"] for run in runs)
        return median(run["decibel"] for run in runs), cost

    quality, cost = of("InvertingGradients, unsigned")
    for other in ("invertinggradients", "modern"):
        other_quality, other_cost = of(other)
        assert quality > max(other_quality, 20.5) and cost <= other_cost


@pytest.mark.slow
def test_a_stored_batch_of_photographs_comes_out_again() -> None:
    """One row computed anew. Kinks amplify rounding, so other machines may differ by a little."""
    (entry,) = [e for e in FAMILY["photographs"] if e["case"] == {"statistics": "none"}]
    run = entry["runs"][0]
    model, batch = ResNet(trained=True).build(0), Photos().batch(0, 2)
    update = share(model, batch, FedSGD(), reveal_labels=True, reveal_statistics=True)
    found = GradInversion(steps=run["evaluations"], statistics="none")(
        model, update, generator=generator(0, "attack")
    )
    result = score(found, batch)
    assert result.psnr.mean().item() == pytest.approx(sum(run["psnr"]) / 2, abs=2)
    stored = torch.frombuffer(bytearray(base64.b64decode(run["pictures"])), dtype=torch.uint8)
    stored = stored.reshape(2, 3, 32, 32) / 255
    far = (found.inputs[result.order] - batch.inputs).square().mean()
    assert (found.inputs[result.order] - stored).square().mean() < far


def test_ranks_around_the_phase_transition_are_the_predicted_ones() -> None:
    """tests/attacks/test_identifiability.py computes one of them anew."""
    rows = {tuple(row["case"].values()): row for row in IDENTIFIABILITY["ranks"]}
    assert len(rows) == 16
    for (channels, _, _), row in rows.items():
        assert row["rank"] == row["counting bound"] == min(3072, channels * (331 - channels))
        assert row["gap"] > 1e6 and row["seconds"] < 60 and row["gigabytes"] < 4


def test_the_closed_form_succeeds_where_the_rank_is_full_and_names_a_layer_elsewhere() -> None:
    assert [row["case"]["channels"] for row in IDENTIFIABILITY["channels"]] == list(range(1, 17))
    for row in IDENTIFIABILITY["channels"]:
        if row["rank"] == row["unknowns"]:
            assert row["recursive"] > 150
        else:
            assert row["refusal"].startswith("Recursive cannot undo conv")


def errors(sigma: float, attack: str, key: str = "error") -> torch.Tensor:
    case = {"sigma": sigma, "attack": attack}
    rows = [row for row in IDENTIFIABILITY["noise"] if case.items() <= row["case"].items()]
    assert len(rows) == 15
    return torch.tensor([row[key] for row in rows], dtype=torch.float64)


@pytest.mark.parametrize("sigma", [1e-4, 1e-3])
def test_unbiased_attacks_reach_the_bound_and_do_not_pass_it(sigma: float) -> None:
    for attack in ("GaussNewton", "IDLG"):
        ratio = errors(sigma, attack) / errors(sigma, attack, "bound")
        standard_error = (ratio.std() / len(ratio) ** 0.5).item()
        assert ratio.mean().item() > 1 - 3 * standard_error
    linear = errors(sigma, "GaussNewton", "linear-Gaussian").mean()
    assert (errors(sigma, "GaussNewton").mean() / linear).log10().abs() * 10 < 1.5


def test_lenet_5_has_the_rank_that_counting_allows() -> None:
    assert len(IDENTIFIABILITY["lenet5"]) >= 2
    for row in IDENTIFIABILITY["lenet5"]:
        assert row["rank"] == row["counting bound"] == 1632 < row["unknowns"] and row["gap"] > 1e6


def test_every_network_below_the_border_has_two_pictures_with_one_gradient() -> None:
    """The chapter recomputes LeNet-5's mismatch; this one is another network's."""
    rows = {row["case"]["network"]: row for row in IDENTIFIABILITY["twins"]}
    assert set(rows) == {"LeNet-5", *(f"LeNet({channels})" for channels in range(1, 10))}
    for row in rows.values():
        assert row["mismatch"] < 1e-10 and row["psnr"] < 25
    model, cat = LeNet(channels=8).build(0).double(), Photos().batch(3, 1)
    stored = zlib.decompress(base64.b64decode(rows["LeNet(8)"]["float64"]))
    twin = torch.frombuffer(bytearray(stored), dtype=torch.float64).view(1, 3, 32, 32)
    ours, theirs = (
        share(model, Batch(inputs, cat.labels), FedSGD()).tensors for inputs in (cat.inputs, twin)
    )
    assert sum((ours[name] - theirs[name]).square().sum().item() for name in ours) < 1e-10
    assert 0 <= twin.min() and twin.max() <= 1 and psnr(twin, cat.inputs.double()) < 25


def test_with_a_weak_prior_quality_falls_gently_where_the_rank_is_lost() -> None:
    """Nine channels leave the picture open, and the prior fills in most of it."""
    scores: dict[int, list[float]] = {}
    for row in IDENTIFIABILITY["priors"]:
        assert row["label"]
        scores.setdefault(row["case"]["channels"], []).append(row["psnr"])
    assert list(scores) == list(range(1, 17)) and all(len(five) == 5 for five in scores.values())
    assert min(scores[9]) > 25 and abs(median(scores[10]) - median(scores[9])) < 5
    gray = gray_floor(torch.cat([Photos().batch(i, 1).inputs for i in range(2, 7)])).median().item()
    assert abs(median(scores[1]) - gray) < 5 < median(scores[4]) - gray
    cats = {r["case"]["channels"]: r["psnr"] for r in IDENTIFIABILITY["priors"] if "png" in r}
    assert cats[9] > 30 and cats[6] > 25 and cats[4] > 20


# --- sweeps ---

Sweep = Mapping[Hashable, Sequence[Experiment]]
MEND = "run `python benchmarks/sweeps.py`"


@lru_cache
def rows() -> dict[str, Row]:
    """The rows of the book alone, whatever lies in the reader's cache."""
    assert BOOK.is_file(), f"{BOOK.name} is missing: {MEND}"
    lines = BOOK.read_text(encoding="utf8").splitlines()
    found = {row.key: row for row in map(read_row, lines)}
    assert len(found) == len(lines), "an experiment has two rows"
    return found


@lru_cache
def named(sweep: str) -> dict[Hashable, list[tuple[str, Experiment]]]:
    """Each setting of a sweep with its experiments and their names."""
    return {setting: [(key(e), e) for e in some] for setting, some in SWEEPS[sweep]().items()}


def point(sweep: str, *setting: Hashable) -> Point:
    """As ``points`` would return it, but nothing is run."""
    some = named(sweep)[setting]
    assert all(name in rows() for name, _ in some), f"{setting} lacks rows: {MEND}"
    return Point(tuple(e for _, e in some), tuple(rows()[name] for name, _ in some))


@pytest.mark.parametrize("sweep", SWEEPS)
def test_every_experiment_of_a_sweep_has_a_row(sweep: str) -> None:
    names = {name for some in named(sweep).values() for name, _ in some}
    missing = names - rows().keys()
    assert not missing, f"{len(missing)} of {len(names)} experiments of {sweep}() have no row: {MEND}"


def test_every_row_belongs_to_an_experiment_and_says_where_it_comes_from() -> None:
    """Whether it is what this code computes, its witness says: tests/test_witness.py."""
    every = {name for sweep in SWEEPS for some in named(sweep).values() for name, _ in some}
    foreign = rows().keys() - every
    assert not foreign, f"{len(foreign)} rows belong to no experiment of the book: {MEND}"
    assert all(1 <= len(row.witness) <= 5 and row.commit for row in rows().values())


def test_every_setting_has_pictures_to_show_and_finite_scores() -> None:
    for sweep in SWEEPS:
        for setting, some in named(sweep).items():
            found = [(rows()[name], e) for name, e in some if name in rows()]
            # One for each picture of each client whose update went into the one that was attacked.
            alone = [(row, e) for row, e in found if isinstance(e.aggregation, Plain)]
            assert all(len(row.psnr) == e.batch_size for row, e in alone)
            assert all(len(row.psnr) in range(1, e.batch_size * e.clients + 1) for row, e in found)
            for row, e in found:
                digits = 300 if isinstance(e.model, Doubled) else 200  # of a client in float64, or in float32
                assert all(0 < value < digits for value in row.psnr), setting
            if found:
                assert len(found[0][0].reconstructions) == min(4, len(found[0][0].psnr)), setting


@pytest.mark.slow
@pytest.mark.parametrize(
    "setting", [("ConvNet 16", "8 bits", "adaptive"), ("LeNet", "8 bits", "adaptive, smooth")]
)
def test_a_row_computed_anew_is_the_stored_one(setting: tuple[str, str, str]) -> None:
    """Eight bits decide where these searches end, so that another machine ends there, too."""
    name, experiment = named("compressors")[setting][0]
    again, stored = measure(experiment), rows()[name]
    assert again.psnr == pytest.approx(stored.psnr, abs=1) and again.bits == stored.bits
    assert (again.reconstructions - stored.reconstructions).abs().mean() < 0.02


@pytest.mark.parametrize("network", ["ConvNet 64", "ConvNet 128"])
def test_who_knows_that_little_was_sent_sees_more_of_it(network: str) -> None:
    knowing = point("compressors", network, "top 1 %", "adaptive, smooth")
    naive = point("compressors", network, "top 1 %", "naive, smooth")
    pairs = zip(knowing.rows, naive.rows, strict=True)
    assert all(ours.psnr[0] > theirs.psnr[0] + 5 for ours, theirs in pairs)
    assert knowing.median > naive.median + 10


def test_who_knows_that_signs_were_sent_recognizes_the_picture_and_others_do_not() -> None:
    knowing = point("compressors", "ConvNet 64", "signs", "adaptive, smooth")
    naive = point("compressors", "ConvNet 64", "signs", "naive, smooth")
    assert knowing.psnr[0] > 30 and naive.psnr[-1] < 25


def test_a_wider_network_says_more_through_its_signs() -> None:
    medians = [
        point("compressors", f"ConvNet {width}", "signs", "adaptive, smooth").median
        for width in (16, 32, 64, 128)
    ]
    assert all(narrow + 2 < wide for narrow, wide in pairwise(medians))


def test_one_bit_and_signs_tell_the_same_to_who_knows() -> None:
    for network in ("LeNet", "ConvNet 64"):
        scaled, signs = (
            point("compressors", network, name, "adaptive, smooth") for name in ("1 bit", "signs")
        )
        assert scaled.psnr == pytest.approx(signs.psnr, abs=0.1)


def test_half_of_lenet_s_entries_are_enough_for_who_knows_it() -> None:
    assert point("compressors", "LeNet", "top 50 %", "adaptive").psnr[0] > 50
    assert point("compressors", "LeNet", "top 50 %", "naive, smooth").psnr[-1] < 25


def test_a_wide_network_gives_batches_away() -> None:
    for size in (1, 2, 4, 8):
        assert point("batch_sizes", "ConvNet 64", size, "DLG").psnr[0] > 80
        assert point("batch_sizes", "ConvNet 64", size, "InvertingGradients").median > 40


def test_lenet_keeps_batches_of_four_and_more() -> None:
    """Of one picture it keeps nothing, and of two some: there the runs differ most."""
    attacks = [a for network, size, a in named("batch_sizes") if (network, size) == ("LeNet", 4)]
    assert point("batch_sizes", "LeNet", 1, "DLG").psnr[0] > 30
    assert max(point("batch_sizes", "LeNet", 2, a).psnr[-1] for a in attacks) > 35
    for network, size, a in named("batch_sizes"):
        if network == "LeNet" and size >= 4:
            assert point("batch_sizes", network, size, a).psnr[-1] < 30, (size, a)


def test_labels_that_are_all_the_same_make_a_batch_harder() -> None:
    for size in (2, 4, 8):
        distinct, same = (point("repeated_labels", size, labels) for labels in ("distinct", "the same"))
        assert distinct.psnr[0] > 80 and distinct.median > same.median + 30


def test_both_tools_were_tuned_alike() -> None:
    """By the same weights on the same pictures, each with its best; nobody had more evaluations."""
    tries: dict[tuple[str, ...], dict[float, float]] = {}
    for row in TUNED:
        assert row["evaluations"] <= row["asked"] == 300
        if row["number"] < 0:
            name = row["tool"], row["network"], row["attack"]
            tries.setdefault(name, {})[row["weight"]] = row["decibel"]
    tuned = [row for row in TUNED if row["weight"] == "tuned"]
    assert {row["tool"] for row in tuned} == {"leaklib", "breaching"}
    for row in tuned:
        found = tries[row["tool"], row["network"], row["attack"]]
        assert found.keys() == {0.1, 0.01, 1e-3, 1e-4}
        assert row["tuned"] == max(found, key=lambda weight: found[weight])


# --- differential privacy ---


def test_no_attacker_picks_more_often_than_the_bound_allows() -> None:
    near = []
    for row in PRIVACY["candidates"]:
        success, bound = row["right"] / row["trials"], row["bound"]
        assert row["trials"] == 2000 and row["clipped"] == 1 and row["agreed"] == "3 of 3"
        assert success <= bound + 3 * (bound * (1 - bound) / row["trials"]) ** 0.5
        near.append(success >= bound / 3)
    assert any(near) and len(near) == 15


def test_no_search_for_pixels_beats_the_bound_of_its_class() -> None:
    """Only where the unbiased bound is far from black and white, which every attack clamps to."""
    compared = 0
    for bound in PRIVACY["bounds"]:
        assert bound["rank"] == 3072
        mine = [row for row in PRIVACY["noise"] if row["case"]["picture"] == bound["case"]["picture"]]
        noises = sorted({row["case"]["noise multiplier"] for row in mine})
        for row in mine:
            place = noises.index(row["case"]["noise multiplier"])
            if row["case"]["attack"] == "IDLG" and bound["unbiased"][place] > 20:
                assert row["psnr"] < bound["unbiased"][place] + 1
                compared += 1
    assert compared >= 3


def test_accuracy_falls_with_the_budget() -> None:
    accuracy = {
        budget: [row["accuracy"][-1] for row in PRIVACY["training"] if row["case"]["epsilon"] == budget]
        for budget in (0.5, 1, 2, 4, 8, 16, None)
    }
    assert all(len(values) == 3 for values in accuracy.values())
    assert max(accuracy[0.5]) < min(accuracy[4]) and median(accuracy[None]) - median(accuracy[8]) < 0.05


# --- the comparison table ---

COMPARISON = json.loads(RESULTS.joinpath("comparison.json").read_text())
NOISY = ("local DP", "central DP", "Skellam + SecAgg")
AGAIN = "run `python benchmarks/comparison.py runs.jsonl` with a new file, then with --collect"


def test_the_table_s_noise_is_what_its_epsilon_asks_for() -> None:
    exact = noise_multiplier_for(EPSILON, delta=DELTA, rounds=ROUNDS)
    assert 0 <= NOISE - exact < 0.01
    assert epsilon(NOISE, delta=DELTA, rounds=ROUNDS) <= EPSILON
    # A client is 90 examples: its update moves by C, not by C / 90.
    assert epsilon(NOISE / EXAMPLES, delta=DELTA, rounds=ROUNDS) == pytest.approx(1210, abs=1)


@pytest.mark.parametrize("name", CONTENDERS)
def test_a_row_has_one_system_in_all_its_columns(name: str) -> None:
    row = CONTENDERS[name]
    a, t = row.attacked, row.trained
    assert (type(a.data), a.model, a.clients, a.batch_size) == (Photos, ConvNet(64), ATTACKED, 1)
    assert (type(t.data), t.model, t.clients, t.batch_size) == (Digits, Mlp(), TRAINED, EXAMPLES)
    assert (a.step, type(a.mechanism), type(a.aggregation)) == (
        t.step,
        type(t.mechanism),
        type(t.aggregation),
    )
    if isinstance(a.aggregation, ByzSecAgg):
        assert a.aggregation.blocks == t.aggregation.blocks == 2


def test_every_mechanism_has_its_cost_and_three_accuracies() -> None:
    for name in CONTENDERS:
        for part, count in (("costs", 1), ("accuracies", 3)):
            found = [row for row in COMPARISON[part] if row["mechanism"] == name]
            assert len(found) == count, f"{name}: {AGAIN}"


@pytest.mark.parametrize(
    "file", sorted(path.name for path in RESULTS.iterdir() if path.name.endswith("json"))
)
def test_every_stored_run_has_a_witness_or_says_why_not(file: str) -> None:
    def bare(found: object) -> int:
        """How many runs have none: the records of a list, or those within them."""
        if isinstance(found, dict):
            return sum(map(bare, found.values()))
        if not isinstance(found, list) or not all(isinstance(item, dict) for item in found):
            return 0
        return sum(bare(item["runs"]) if "runs" in item else not proven(item) for item in found)

    def proven(run: dict) -> bool:
        return (bool(run["witness"]) and bool(run["commit"])) or bool(run.get("why"))

    assert bare(json.loads(RESULTS.joinpath(file).read_text())) == 0


@pytest.mark.slow
@pytest.mark.parametrize("name", ["plain FedSGD", "1 bit (signs)", "SecAgg", "CCESA", "enclave (stand-in)"])
def test_bytes_messages_and_rounds_computed_anew_are_the_stored_ones(name: str) -> None:
    (row,) = (row for row in COMPARISON["costs"] if row["mechanism"] == name)
    cost = run(replace(CONTENDERS[name].attacked, attack=DLG(steps=1, known_labels=True))).view.cost
    assert cost is not None
    for field in ("rounds", "messages", "client_up", "client_down"):
        assert getattr(cost, field) == row[field], field


@pytest.mark.slow
def test_an_accuracy_computed_anew_is_the_stored_one() -> None:
    (row,) = (r for r in COMPARISON["accuracies"] if (r["mechanism"], r["seed"]) == ("central DP", 0))
    assert train(CONTENDERS["central DP"].trained).accuracy[-1] == pytest.approx(row["accuracy"], abs=0.03)


def best(name: str, labels: str = "known") -> Point:
    settings = [s for s in named("comparison") if (s[0], s[2]) == (name, labels)]
    return max((point("comparison", *setting) for setting in settings), key=lambda p: p.median)


def test_protocols_hide_updates_and_only_noise_hides_pictures() -> None:
    for name in ("SecAgg", "CCESA", "ByzSecAgg", "enclave (stand-in)"):
        assert best(name).psnr[0] > 60, name
    for name in NOISY:
        assert best(name).above(20) == 0, name


def test_labels_are_no_secret_that_saves_pictures() -> None:
    for name in (
        "plain FedSGD",
        "8 bits",
        "1 bit (signs)",
        "top 1 %",
        "SecAgg",
        "CCESA",
        "enclave (stand-in)",
    ):
        found = best(name, "not known")
        assert found.psnr[0] > 20 and all(row.label_overlap == 1 for row in found.rows), name
    for name in NOISY:
        assert best(name, "not known").above(20) == 0, name


def test_candidates_are_picked_without_noise_and_examples_not_above_the_bound_with_it() -> None:
    def times(part: str, name: str, kind: str) -> tuple[int, int, float]:
        found = [row for row in COMPARISON[part] if row["mechanism"] == name]
        assert found, f"{part} of {name}: {AGAIN}"
        right, trials = (sum(row[key] for row in found) for key in (f"{kind}right", "trials"))
        return right, trials, found[0][f"{kind}bound"]

    for part, kind in (("picked", ""), ("followed", "examples "), ("followed", "clients ")):
        right, trials, _ = times(part, "plain FedSGD", kind)
        assert right == trials >= 64
        for name in NOISY:
            right, trials, bound = times(part, name, kind)
            # One-sided: with a chance at the bound it would be more often in 1 of 1,000 tables.
            assert trials >= 64 and right <= binom.ppf(0.999, trials, bound), (part, kind, name)
            assert bound == (
                pytest.approx(1)
                if kind == "clients "
                else reconstruction_bound(1 / 64, NOISE, rounds=1 if part == "picked" else ROUNDS)
            )


def test_protocols_leave_the_accuracy_alone_and_noise_does_not() -> None:
    accuracy = {
        name: median(row["accuracy"] for row in COMPARISON["accuracies"] if row["mechanism"] == name)
        for name in CONTENDERS
    }
    plain = accuracy["plain FedSGD"]
    for name in ("SecAgg", "CCESA", "enclave (stand-in)", "8 bits + SecAgg"):
        assert abs(accuracy[name] - plain) < 0.02, name
    assert plain - 0.12 < accuracy["central DP"] < plain - 0.02
    assert accuracy["local DP"] < accuracy["central DP"] - 0.1
    assert abs(accuracy["Skellam + SecAgg"] - accuracy["central DP"]) < 0.04
