"""The front door: every name that a reader starts from can be imported from leaklib, free till then."""

import ast
import dataclasses
import importlib
import inspect
import pkgutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import leaklib
from leaklib import client, data, metrics

PACKAGE = Path(leaklib.__file__).parent
ROLES = ("aggregation", "attacks", "mechanisms", "models")


def own(module) -> Iterator[tuple[str, object]]:
    """The public classes and functions that ``module`` defines itself."""
    for name, value in vars(module).items():
        if not name.startswith("_") and getattr(value, "__module__", None) == module.__name__:
            yield name, value


def called_or_built(value: object) -> bool:
    return inspect.isclass(value) and any(
        method in vars(base) for base in value.__mro__ for method in ("__call__", "build")
    )


def members() -> Iterator[tuple[str, object]]:
    """What a role's root holds: dataclasses that one calls, or networks that one builds."""
    for role in ROLES:
        package = importlib.import_module(f"leaklib.{role}")
        for info in pkgutil.iter_modules(package.__path__):
            if not info.ispkg:
                module = importlib.import_module(f"leaklib.{role}.{info.name}")
                for name, value in own(module):
                    if dataclasses.is_dataclass(value) and called_or_built(value):
                        yield name, value


def expected() -> dict[str, object]:
    found = dict(members())
    found |= {n: v for n, v in own(client) if dataclasses.is_dataclass(v) and called_or_built(v)}
    found |= {n: v for n, v in own(data) if dataclasses.is_dataclass(v) and hasattr(v, "batch")}
    found |= {n: v for n, v in own(metrics) if inspect.isfunction(v)}
    return found


def test_the_walk_finds_every_role() -> None:
    assert {"DLG", "Quantize", "SecAgg", "LeNet", "FedAvg", "Photos", "psnr"} <= expected().keys()


@pytest.mark.parametrize("name", sorted(expected()))
def test_every_member_of_a_role_is_at_the_front_door(name: str) -> None:
    assert getattr(leaklib, name) is expected()[name]


@pytest.mark.parametrize("name", leaklib.__all__)
def test_every_name_of_the_front_door_leads_somewhere(name: str) -> None:
    found = getattr(leaklib, name)
    assert callable(found) and inspect.getdoc(found) and name in dir(leaklib)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'leaklib' has no attribute 'Unknown'"):
        _ = leaklib.Unknown
    with pytest.raises(ImportError, match="Unknown"):
        exec("from leaklib import Unknown", {})


def run(script: str) -> str:
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_importing_leaklib_alone_loads_nothing_heavy() -> None:
    heavy = run(
        "import leaklib, sys; print({'torch', 'numpy', 'scipy', 'matplotlib', 'skimage'} & set(sys.modules))"
    )
    assert heavy == "set()\n"


ANALYZE = """
from torch import nn
from leaklib import FedSGD, Photos, share
model, batch = nn.Sequential(nn.Flatten(), nn.Linear(12, 3)), Photos(size=2).batch(0, 1)
print(identifiability(model, share(model, batch, FedSGD()), batch.inputs, batch.labels).rank)
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    "imports",
    [
        "from leaklib import identifiability; from leaklib.identifiability.twin import twin",
        "import leaklib.identifiability.twin; from leaklib import identifiability",
    ],
)
def test_identifiability_can_be_called_whichever_import_came_first(imports: str) -> None:
    script = (
        f"{imports}\n{ANALYZE}\nimport leaklib.identifiability.twin as module; print(module.twin.__name__)"
    )
    assert run(script) == "12\ntwin\n"


def test_no_module_of_the_package_goes_through_the_front_door() -> None:
    """The order of imports would be hidden behind it."""
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf8"))):
            assert not (isinstance(node, ast.ImportFrom) and node.module == "leaklib"), path
            assert not (isinstance(node, ast.Import) and "leaklib" in [a.name for a in node.names]), path
