"""Solving: the reference attacks on what students received, and what they would hand in."""

import time
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from statistics import median

from safetensors.torch import save
from torch import Tensor

from leaklib.challenge import handout
from leaklib.challenge.files import clean, read_capped, write_whole
from leaklib.challenge.folder import ENDING, Folder
from leaklib.challenge.levels import LEVELS
from leaklib.challenge.side_by_side import PROCESSES, side_by_side

Facts = dict[str, tuple[float, str]]
"""By level the processor time in seconds, and why the attack ended."""


def solve(folder: Path, submissions: Path, *, n_jobs: int = PROCESSES) -> dict[str, Facts]:
    """Attack every student's file in ``folder`` and write what the student would submit, by student's id.

    ``folder`` is where a challenge was issued, or any folder with students' files. What was made of these
    very files before is not computed again. A level that the attack cannot read is left out of the
    submission. ValueError, a sentence, where there are no students' files.
    """
    files = students_files(folder)
    submissions.mkdir(parents=True, exist_ok=True)
    clean(submissions)
    todo = [path for path in files if not _done(path, submissions / path.name)]
    if len(todo) < len(files):
        print(f"{len(files) - len(todo)} of {len(files)} are solved already.", flush=True)
    found: dict[str, Facts] = {}
    calls = [(path,) for path in todo]
    for path, data, facts in side_by_side(attack, calls, doing="solved", n_jobs=n_jobs):
        write_whole(submissions / path.name, data)
        found[path.stem] = facts
    return found


def students_files(folder: Path) -> list[Path]:
    """The students' files of a challenge, by name. ValueError if there are none."""
    if Folder(folder).identity.is_file():
        if not Folder(folder).students.is_dir():
            raise ValueError(f"{folder} is not issued to the end: run `issue` again, it goes on")
        folder = Folder(folder).students
    files = sorted(folder.glob(f"[!.]*{ENDING}"))
    if not files:
        raise ValueError(f"there are no students' files ({ENDING}) in {folder}: name the --out of `issue`")
    return files


def attack(path: Path) -> tuple[Path, bytes, Facts]:
    """The submission of whoever has the file at ``path`` and nothing else."""
    data = read_capped(path, handout.LARGEST)
    answers, facts = answer(data)
    return path, save(answers, {"made of": sha256(data).hexdigest()}), facts


def answer(data: bytes) -> tuple[dict[str, Tensor], Facts]:
    """What to hand in for a file of this content: ``<level>.inputs`` and ``<level>.labels``."""
    received, answers, facts = handout.read(data), dict[str, Tensor](), Facts()
    for level in LEVELS:
        start = time.thread_time()
        try:
            found = level.solve(*received[level.name])
        except ValueError as error:
            facts[level.name] = time.thread_time() - start, str(error)
            continue
        facts[level.name] = time.thread_time() - start, found.stop
        answers |= {f"{level.name}.inputs": found.inputs, f"{level.name}.labels": found.labels}
    return {name: tensor.contiguous() for name, tensor in answers.items()}, facts


def summary(found: Mapping[str, Facts]) -> str:
    """A line for each level: how the attacks ended, and how long they took."""
    lines = [f"{'level':8} {'CPU s: median':>14} {'worst':>7}  how the attacks ended"]
    for level in LEVELS if found else ():
        seconds, ends = zip(*(facts[level.name] for facts in found.values()), strict=True)
        how = ", ".join(f"{end}: {ends.count(end)}" for end in sorted(set(ends)))
        lines.append(f"{level.name:8} {median(seconds):14.2f} {max(seconds):7.2f}  {how}")
    return "\n".join(lines)


def _done(path: Path, submission: Path) -> bool:
    """Whether the submission was made of this very file."""
    try:
        size = int.from_bytes((data := read_capped(submission, handout.LARGEST))[:8], "little")
        return sha256(path.read_bytes()).hexdigest().encode() in data[8 : 8 + size]
    except ValueError:
        return False
