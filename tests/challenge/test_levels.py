"""What clients hold follows from the key alone; what an answer is worth follows from how close it is."""

import hashlib
import hmac
import stat
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
import torch

from leaklib.challenge import keys
from leaklib.challenge.levels import LEVELS, Level
from leaklib.challenge.marks import marks
from leaklib.challenge.victims import CONTRAST
from leaklib.data import Sentences
from leaklib.metrics import constant_floor, gray_floor
from leaklib.types import Batch, Reconstruction

KEY, OTHER = b"0123456789abcdef", b"0123456789abcdeF"
PICTURES = [level for level in LEVELS if not level.is_text]
each_level = pytest.mark.parametrize("level", LEVELS, ids=lambda level: level.name)
each_picture = pytest.mark.parametrize("level", PICTURES, ids=lambda level: level.name)


def guess(inputs: torch.Tensor, labels: torch.Tensor) -> Reconstruction:
    return Reconstruction(inputs, labels, float("nan"))


def with_error(batch: Batch, decibel: float) -> torch.Tensor:
    """The pictures with every pixel off by so much that they have this PSNR."""
    return batch.inputs + 10 ** (-decibel / 20)


def test_the_names_of_a_derived_value_do_not_run_together() -> None:
    every = {
        keys.derived(KEY, *names) for names in [("a", "bc"), ("ab", "c"), ("abc",), ("", "abc"), ("abc", "")]
    }
    assert len(every) == 5


def test_a_derived_value_is_hmac_sha256_of_names_with_their_lengths() -> None:
    message = bytes(7) + b"\1a" + bytes(7) + b"\2bc"
    assert keys.derived(KEY, "a", "bc") == hmac.new(KEY, message, hashlib.sha256).digest()


def test_streams_repeat_and_differ() -> None:
    drawn = {keys.stream(KEY, str(i)).bytes(8) for i in range(300)}
    assert len(drawn) == 300
    assert keys.stream(KEY, "a").bytes(64) == keys.stream(KEY, "a").bytes(64)


def test_numbers_of_a_stream_are_in_range_and_reach_its_ends() -> None:
    source = keys.stream(KEY, "range")
    assert set(keys.integers(source, 3, 100)) == {0, 1, 2}
    drawn = [keys.uniform(source) for _ in range(1000)]
    assert 0 <= min(drawn) < 0.01 and 0.99 < max(drawn) < 1


def test_a_pseudonym_needs_the_key() -> None:
    names = {keys.public_id(key, student) for key in (KEY, OTHER) for student in ("alice", "bob")}
    assert len(names) == 4 and all(len(name) == 12 for name in names)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "there is no key file"),
        (b"", "at least 16 bytes, got 0"),
        (b"too short\n", "at least 16 bytes, got 9"),
        (b" " * 40, "at least 16 bytes, got 0"),
        (b"k" * 5000, "larger"),
    ],
    ids=["missing", "empty", "short", "blank", "large"],
)
def test_a_key_that_is_none_is_a_sentence(tmp_path: Path, content: bytes | None, says: str) -> None:
    path = tmp_path / "key"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ValueError, match=says):
        keys.read_key(path)


def test_a_folder_is_no_key(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="there is no key file"):
        keys.read_key(tmp_path)


def test_a_new_key_is_the_owner_s_alone_and_never_replaces_one(tmp_path: Path) -> None:
    path = tmp_path / "key"
    made = keys.make_key(path)
    assert keys.read_key(path) == made and len(bytes.fromhex(made.decode())) == 32
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with pytest.raises(FileExistsError):
        keys.make_key(path)
    path.write_bytes(made + b"\r\n")  # an editor touched it
    assert keys.read_key(path) == made


@each_level
def test_what_a_client_holds_follows_from_key_and_student(level: Level) -> None:
    batch, again = level.secret(KEY, "alice"), level.secret(KEY, "alice")
    assert torch.equal(batch.inputs, again.inputs) and torch.equal(batch.labels, again.labels)
    assert batch.inputs.shape == (level.num_examples, *level.input_shape)
    for key, student in ((OTHER, "alice"), (KEY, "bob"), (KEY, "Alice")):
        assert not torch.equal(batch.inputs, level.secret(key, student).inputs)


@each_level
def test_the_network_is_the_class_s_and_the_update_the_student_s(level: Level) -> None:
    model, other = level.model(KEY), level.model(OTHER)
    weights = torch.cat([weight.flatten() for weight in model.parameters()])
    assert not torch.equal(weights, torch.cat([weight.flatten() for weight in other.parameters()]))
    updates = [level.update(KEY, student) for student in ("alice", "bob")]
    assert updates[0].model == updates[1].model
    assert any(not torch.equal(t, updates[1].tensors[n]) for n, t in updates[0].tensors.items())


@each_picture
def test_no_two_pictures_are_the_same_and_none_is_flat(level: Level) -> None:
    batches = [level.secret(KEY, f"student {i}") for i in range(20)]
    pictures = torch.cat([batch.inputs for batch in batches])
    assert len({picture.numpy().tobytes() for picture in pictures}) == len(pictures)
    assert pictures.min() >= 0 and pictures.max() <= 1
    assert constant_floor(pictures).max() <= -20 * torch.tensor(CONTRAST).log10() + 1e-3
    assert constant_floor(pictures).max() + 3 < min(level.bands)  # nor does the best single color count


def test_a_student_s_pictures_differ_from_level_to_level() -> None:
    pictures = [level.secret(KEY, "alice").inputs.mean(1) for level in PICTURES]
    assert len({picture.numpy().tobytes() for picture in torch.cat(pictures)}) == sum(map(len, pictures))


@pytest.mark.parametrize(("name", "classes"), [("two", 2), ("pair", 1)])
def test_labels_are_as_the_level_says(name: str, classes: int) -> None:
    [level] = [level for level in LEVELS if level.name == name]
    labels = [level.secret(KEY, str(i)).labels.tolist() for i in range(80)]
    assert {len(set(own)) for own in labels} == {classes}
    assert {label for own in labels for label in own} == set(range(10))


def test_all_classes_are_drawn_whatever_the_picture_shows() -> None:
    labels = {LEVELS[0].secret(KEY, str(i)).labels.item() for i in range(80)}
    assert labels == set(range(10))


def test_there_are_100_points() -> None:
    assert sum(level.points for level in LEVELS) == 100
    assert len({level.name for level in LEVELS}) == len(LEVELS) == 8


@each_level
def test_the_truth_in_any_order_gets_all_points(level: Level) -> None:
    batch = level.secret(KEY, "alice")
    got = marks(level, batch, guess(batch.inputs.flip(0), batch.labels.flip(0)))
    assert got.full and got.points == level.points


@each_picture
def test_gray_and_the_best_single_color_get_nothing_for_pictures(level: Level) -> None:
    for student in map(str, range(6)):
        batch = level.secret(KEY, student)
        color = batch.inputs.mean((2, 3), keepdim=True).expand(batch.inputs.shape)
        for inputs in (torch.full_like(batch.inputs, 0.5), color):
            got = marks(level, batch, guess(inputs, batch.labels))
            assert got.input_points == 0 and got.points == level.label_points and not got.full


@each_picture
def test_every_band_is_worth_its_share_from_its_decibel_on(level: Level) -> None:
    batch, picture_points = level.secret(KEY, "alice"), level.points - level.label_points
    for number, band in enumerate(level.bands, 1):
        for off, reached in ((-0.1, number - 1), (0.1, number)):
            got = marks(level, batch, guess(with_error(batch, band + off), batch.labels))
            assert got.input_points == round(picture_points * reached / len(level.bands), 2)


@each_picture
def test_a_band_never_lies_below_the_gray_floor_and_its_margin(level: Level) -> None:
    low = replace(level, bands=(1.0, 2.0))
    batch = level.secret(KEY, "alice")
    got = marks(low, batch, guess(torch.full_like(batch.inputs, 0.5), batch.labels))
    floor = gray_floor(batch.inputs)
    assert got.input_points == 0 and got.floor == pytest.approx(floor.tolist())
    for bands, own in zip(got.bands, floor.tolist(), strict=True):
        assert bands == pytest.approx((own + 3, own + 6))


@each_picture
def test_more_decibels_never_cost_points(level: Level) -> None:
    batch = level.secret(KEY, "alice")
    points = [
        marks(level, batch, guess(with_error(batch, dB), batch.labels)).points for dB in range(5, 45, 4)
    ]
    assert all(low <= high for low, high in pairwise(points))


@each_level
def test_a_wrong_label_costs_the_points_of_labels_and_no_more(level: Level) -> None:
    batch = level.secret(KEY, "alice")
    got = marks(level, batch, guess(batch.inputs, (batch.labels + 1) % 10 + 500))
    assert got.label_points == 0 and got.points == level.points - level.label_points and not got.full


def test_one_picture_of_two_is_worth_half() -> None:
    [level] = [level for level in LEVELS if level.name == "two"]
    batch = level.secret(KEY, "alice")
    inputs = batch.inputs.clone()
    inputs[0] = 0.5
    assert marks(level, batch, guess(inputs, batch.labels)).input_points == 5


def test_words_out_of_order_get_next_to_nothing() -> None:
    """The embedding's gradient shows the words: knowing them alone is luck, and luck is taken off."""
    [level] = [level for level in LEVELS if level.is_text]
    points = []
    for student in map(str, range(40)):
        batch = level.secret(KEY, student)
        mixed = batch.inputs.clone()
        mixed[:, :-1] = batch.inputs[:, :-1].roll(1 + int(student) % 10, 1)
        points.append(marks(level, batch, guess(mixed, batch.labels)).input_points)
    assert sum(points) / len(points) < 1


def test_phrases_are_words_that_nobody_guesses() -> None:
    [level] = [level for level in LEVELS if level.is_text]
    batch, vocabulary = level.secret(KEY, "alice"), Sentences().vocabulary
    assert {vocabulary[row[-1]] for row in batch.inputs} == {"<next>"}
    words = {word for word in vocabulary if len(word) > 2 and word.isalpha()}
    phrases = [[*row[:-1].tolist(), label] for row, label in zip(batch.inputs, batch.labels, strict=True)]
    assert all(vocabulary[token] in words for phrase in phrases for token in phrase)
    assert len(words) ** level.input_shape[0] > 2**90
