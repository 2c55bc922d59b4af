"""What zizmor does not know of the workflows: what may write runs nothing, and what is called is there."""

import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
JOBS = [
    pytest.param(path, job, id=f"{path.stem}-{name}")
    for path in WORKFLOWS
    for name, job in yaml.safe_load(path.read_text(encoding="utf8"))["jobs"].items()
]
# What runs code of the book or of a package.
RUNS = re.compile(r"\b(make|python\d?|pip|pipx|uv|\.ci/run|npm)\b")


def commands(job):
    return "\n".join(step.get("run", "") for step in job.get("steps", []))


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_every_action_is_pinned_by_its_commit_and_says_which_version_that_is(path):
    uses = re.findall(r"^\s*(?:- )?uses: (.*)$", path.read_text(encoding="utf8"), re.MULTILINE)
    assert uses
    for action in uses:
        local = action.startswith("./") and (ROOT / action).is_file()
        assert local or re.fullmatch(r"actions/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", action), action


def test_one_action_has_one_version():
    text = "".join(path.read_text(encoding="utf8") for path in WORKFLOWS)
    pins = set(re.findall(r"uses: (actions/[\w-]+)@(.*)", text))
    assert len(pins) == len({name for name, _ in pins}), sorted(pins)


@pytest.mark.parametrize("path, job", JOBS)
def test_a_job_has_its_own_permissions_and_an_end(path, job):
    assert yaml.safe_load(path.read_text(encoding="utf8"))["permissions"] == {}
    assert job["permissions"]
    assert "uses" in job or job["timeout-minutes"] <= 360


@pytest.mark.parametrize("path, job", JOBS)
def test_a_job_that_may_write_runs_no_code_of_the_book_or_of_packages(path, job):
    if "write" in job["permissions"].values():
        assert "uses" not in job
        assert not RUNS.search(commands(job)), RUNS.search(commands(job))


@pytest.mark.parametrize("path, job", JOBS)
def test_no_value_of_a_stranger_becomes_a_command(path, job):
    assert "${{" not in commands(job)


def test_no_workflow_gives_secrets_to_what_a_pull_request_brings():
    for path in WORKFLOWS:
        text = path.read_text(encoding="utf8")
        assert not re.search(r"pull_request_target|workflow_run:|secrets\.", text), path.name


@pytest.mark.parametrize("path, job", JOBS)
def test_every_target_of_make_is_there(path, job):
    rules = (ROOT / "Makefile").read_text(encoding="utf8")
    for line in re.findall(r"\bmake ([^|;&\n]*)", commands(job)):
        for target in re.findall(r"(?:^|(?<= ))([a-z]+)(?= |$)", re.sub(r'\S+="[^"]*"', "", line)):
            assert re.search(rf"^{target}:", rules, re.MULTILINE), f"make {target}"
    for script in re.findall(r"scripts/\w+\.py", commands(job)):
        assert (ROOT / script).is_file(), script


def test_a_release_and_the_site_carry_the_same_kinds_of_files():
    build, release = (
        (ROOT / ".github" / "workflows" / f"{name}.yml").read_text(encoding="utf8")
        for name in ("build", "release")
    )
    for kind in ("whl", "pdf", "epub"):
        assert f"*.{kind}" in build and f"*.{kind}" in release
