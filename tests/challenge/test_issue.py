"""What students receive: the same bytes again, no word of the key or of what clients held, proofs first."""

import base64
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open

from leaklib.challenge import handout, keys
from leaklib.challenge.__main__ import main
from leaklib.challenge.folder import Folder
from leaklib.challenge.issuing import issue, sampled
from leaklib.challenge.levels import LEVELS
from leaklib.challenge.proofs import prove
from leaklib.data import Sentences
from leaklib.named import fingerprint

IDS = ("alice", "bob", "carol")
KEY = b"a key of these tests, 0123456789"


@pytest.fixture(scope="module")
def issued(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with roster, key and three students' files, of which the quick levels are proved."""
    place = tmp_path_factory.mktemp("course")
    (place / "roster.csv").write_text("id,name\nalice,A\nbob,B\ncarol,C\n")
    (place / "key").write_bytes(KEY)
    again(place)
    return place


def again(place: Path, out: str = "out") -> Path:
    issue(place / "roster.csv", place / "key", place / out, sample=0, n_jobs=1)
    return place / out


def content(folder: Path) -> dict[str, bytes]:
    """Everything of an issued challenge but the times."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files if path.suffix != ".json"}


def test_each_student_has_one_file_and_the_instructor_a_report(issued: Path) -> None:
    out = issued / "out"
    assert sorted(path.name for path in (out / "students").iterdir()) == [f"{id}.safetensors" for id in IDS]
    assert not (out / "unproved").exists()
    rows = json.loads((out / "report.json").read_text())
    assert [row["level"] for row in rows] == [level.name for level in LEVELS]
    for row, level in zip(rows, LEVELS, strict=True):
        assert (row["proved"], row["solved"]) == ((3, 3) if level.quick else (0, 0))
        if level.quick and not level.is_text:
            assert row["reached"][0] > row["needed"] > row["floor"][0] + 3
    assert "seconds" not in (out / "report.json").read_text()
    assert (out / "report.txt").read_text().count("\n") == 9


def test_the_file_is_what_the_client_sent_through_the_protocol(issued: Path) -> None:
    path = issued / "out" / "students" / "bob.safetensors"
    received = handout.received(path)
    assert handout.owner(path) == "bob" and list(received) == [level.name for level in LEVELS]
    for level in LEVELS:
        model, update = received[level.name]
        sent = level.update(KEY, "bob")
        assert fingerprint(model) == fingerprint(level.model(KEY)) == update.model == sent.model
        assert list(update.tensors) == list(
            sent.tensors
        )  # in the order of the layers: labels are read off it
        assert all(torch.equal(update.tensors[name], tensor) for name, tensor in sent.tensors.items())
        for field in ("step", "num_examples", "input_shape", "labels", "mechanism", "bounds"):
            assert getattr(update, field) == getattr(sent, field)


def secrets_of(student: str) -> dict[str, bytes]:
    """Byte strings that only the key gives: in a student's file each of them would be a leak."""
    derived = keys.derived(KEY, "secret", student)
    found = {
        "key": KEY,
        "key in hex": KEY.hex().encode(),
        "key in base64": base64.b64encode(KEY).rstrip(b"="),
        "key in base32": base64.b32encode(KEY).rstrip(b"="),
        "key reversed": KEY[::-1],
        "derived": derived,
        "pseudonym": keys.public_id(KEY, student).encode(),
    }
    for level in LEVELS:
        batch = level.secret(KEY, student)
        for i, example in enumerate(batch.inputs):
            if level.is_text:
                tokens = example.numpy()
                words = Sentences().decode(example)
                found |= {
                    f"{level.name} {i} {kind}": tokens.astype(kind).tobytes() for kind in ("i8", "i4", "u2")
                }
                found[f"{level.name} {i} in words"] = words.encode()
                found[f"{level.name} {i} as JSON"] = ", ".join(map(str, tokens[:4])).encode()
                continue
            row = example.numpy()[0, :2]  # two rows of pixels: any order of channels has them
            found |= {f"{level.name} {i} {kind}": row.astype(kind).tobytes() for kind in ("f4", "f8", "f2")}
            found[f"{level.name} {i} bytes"] = np.rint(row * 255).astype("u1").tobytes()
    return found


@pytest.mark.parametrize("student", IDS)
def test_no_file_of_a_student_holds_a_secret(issued: Path, student: str) -> None:
    data = (issued / "out" / "students" / f"{student}.safetensors").read_bytes()
    for owner in IDS:
        assert [name for name, secret in secrets_of(owner).items() if secret in data] == []


@pytest.mark.parametrize("student", IDS)
def test_a_file_says_what_is_public_and_nothing_else(issued: Path, student: str) -> None:
    with safe_open(issued / "out" / "students" / f"{student}.safetensors", framework="pt") as file:
        facts, names = file.metadata(), set(file.keys())
    assert facts.keys() == {"format", "version", "student", *(level.name for level in LEVELS)}
    assert facts["student"] == student
    for level in LEVELS:
        known = json.loads(facts[level.name])
        assert known.pop("labels") is None  # no level reveals them
        assert known == json.loads(json.dumps(handout.public(level)))
        own = {
            f"{level.name}/{part}/{n}"
            for part in ("model", "update")
            for n, _ in level.model(KEY).named_parameters()
        }
        assert {name for name in names if name.startswith(f"{level.name}/")} == own
        names -= own
    assert not names


def test_public_facts_are_the_same_for_all_students(issued: Path) -> None:
    heads = []
    for student in IDS:
        data = (issued / "out" / "students" / f"{student}.safetensors").read_bytes()
        head = data[8 : 8 + int.from_bytes(data[:8], "little")]
        heads.append(head.replace(student.encode(), b"X").strip())
    assert heads[0] == heads[1] == heads[2]


def test_the_search_itself_finds_a_planted_secret() -> None:
    planted = secrets_of("alice")
    assert len(planted) > 30 and all(len(secret) >= 12 for secret in planted.values())
    level = LEVELS[0]
    stored = level.secret(KEY, "alice").inputs.numpy().tobytes()
    assert planted[f"{level.name} 0 f4"] in stored


def test_the_same_key_and_roster_give_the_same_bytes(issued: Path) -> None:
    assert content(again(issued, "second")) == content(issued / "out")


def test_what_is_complete_is_not_computed_again(issued: Path) -> None:
    out = issued / "out"
    before = {path: path.stat().st_mtime_ns for path in (out / "students").iterdir()}
    again(issued)
    assert {path: path.stat().st_mtime_ns for path in (out / "students").iterdir()} == before


@pytest.mark.parametrize("lost", ["a file", "a proof", "both", "the report"])
def test_a_run_that_was_cut_short_goes_on_to_the_same_bytes(issued: Path, tmp_path: Path, lost: str) -> None:
    shutil.copytree(issued, tmp_path / "c")
    out = tmp_path / "c" / "out"
    expected = content(out)
    (out / "students").rename(out / "unproved")
    (out / "report.txt").unlink()
    if lost in ("a file", "both"):
        (out / "unproved" / "bob.safetensors").unlink()
        (out / "unproved" / ".bob.safetensors.part").write_bytes(b"half a file")
    if lost in ("a proof", "both"):
        (out / "proofs" / "bob.json").unlink()
        (out / "proofs" / ".bob.json.part").write_bytes(b"[")
    again(tmp_path / "c")
    assert content(out) == expected and not (out / "unproved").exists()


def test_nothing_is_handed_out_if_a_proof_failed(issued: Path, tmp_path: Path) -> None:
    shutil.copytree(issued, tmp_path / "c")
    out = tmp_path / "c" / "out"
    (out / "students").rename(out / "unproved")
    path = out / "proofs" / "bob.json"
    proofs = json.loads(path.read_text())
    proofs[1] |= {"solved": False, "words": "6 of 10 points"}
    path.write_text(json.dumps(proofs))
    with pytest.raises(ValueError, match=r"level lenet of student bob was not solved .*6 of 10 points"):
        again(tmp_path / "c")
    assert not (out / "students").exists()


def test_a_file_that_cannot_be_solved_fails_its_proof(issued: Path) -> None:
    data = (issued / "out" / "students" / "bob.safetensors").read_bytes()
    quick = {level.name for level in LEVELS if level.quick}
    assert all(proof.solved for proof in prove(KEY, "bob", data, quick))
    assert not any(proof.solved for proof in prove(KEY, "alice", data, quick))  # not what alice's client held


def test_the_sample_follows_from_the_key_and_grows() -> None:
    ids = [f"s{i}" for i in range(30)]
    few, more = sampled(KEY, ids, 3), sampled(KEY, ids, 8)
    assert more[:3] == few and sampled(KEY, ids[::-1], 3) == few
    assert sampled(KEY + b"x", ids, 8) != more and sorted(sampled(KEY, ids, None)) == sorted(ids)
    assert sampled(KEY, ids, 0) == []


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str]:
    status = main([str(argument) for argument in arguments])
    return status, capsys.readouterr().err


@pytest.mark.parametrize("other", ["key", "roster", "version"])
def test_a_folder_of_another_challenge_is_refused(
    issued: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], other: str
) -> None:
    shutil.copytree(issued, tmp_path / "c")
    place = tmp_path / "c"
    if other == "key":
        (place / "key").write_text("some other key of 32 characters!")
    if other == "roster":
        (place / "roster.csv").write_text("id\nalice\nbob\ndave\n")
    if other == "version":
        facts = json.loads((place / "out" / "issue.json").read_text())
        (place / "out" / "issue.json").write_text(json.dumps({**facts, "version": "0"}))
    before = content(place / "out")
    status, error = run(capsys, "issue", place / "roster.csv", "--key", place / "key", "--out", place / "out")
    assert status == 2 and error.count("\n") == 1
    assert f"of another {other}:" in error and "choose another --out" in error
    assert content(place / "out") == before


@pytest.mark.parametrize(
    ("what", "says"),
    [
        ("short key", "at least 16 bytes"),
        ("roster missing", "expected a roster"),
        ("roster without ids", "expected a column id"),
        ("roster without students", "at least one student"),
        ("ids twice", "is there already, in line 2"),
        ("id with a path", "expected an id of 1 to 64 characters"),
        ("out is a file", "must be a folder"),
        ("out holds other files", "holds other files already"),
        ("key lost", "there is no key file"),
        ("damaged", "is damaged"),
    ],
)
def test_what_cannot_be_used_is_one_sentence(
    issued: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], what: str, says: str
) -> None:
    roster, key, out = tmp_path / "roster.csv", tmp_path / "key", tmp_path / "out"
    roster.write_text("id\nalice\n")
    key.write_bytes(KEY)
    match what:
        case "short key":
            key.write_text("short")
        case "roster missing":
            roster.unlink()
        case "roster without ids":
            roster.write_text("name\nAlice\n")
        case "roster without students":
            roster.write_text("id\n")
        case "ids twice":
            roster.write_text("id\nalice\nAlice\n")
        case "id with a path":
            roster.write_text("id\n../alice\n")
        case "out is a file":
            out.write_text("")
        case "out holds other files":
            out.mkdir()
            (out / "thesis.tex").write_text("")
        case "key lost":
            shutil.copytree(issued / "out", out)
            key.unlink()
        case "damaged":
            out.mkdir()
            (out / "issue.json").write_text("{")
    status, error = run(capsys, "issue", roster, "--key", key, "--out", out, "--prove", 0)
    assert status == 2 and says in error and error.count("\n") == 1
    assert not Folder(out).students.exists() or what == "key lost"
    assert key.exists() != (what == "key lost")


@pytest.mark.parametrize("text", ["-1", "some", "1.5", ""])
def test_a_sample_is_a_number_or_all(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["issue", "r", "--key", "k", "--out", "o", f"--prove={text}"])
    assert "expected how many students" in capsys.readouterr().err
