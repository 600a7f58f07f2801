"""The house's arrows point one way, and the files others lift stand alone."""

import ast
import subprocess
import sys

import pytest

from conftest import ROOT

MODULES = {path.stem: path for path in ROOT.glob("*.py")}
# Who may import whom, directly or through another; what is not named here may not be imported.
BELOW = {
    "config_rules": set(),
    "config": {"config_rules"},
    "flags": {"config", "config_rules"},
    "runs": {"config", "config_rules"},
    "experiments": {"config", "config_rules"},
    "stablemax": set(),
    "optimizers": set(),
    "layers": set(),
    "encoder": {"layers"},
    "models": {"layers", "encoder"},
    "metrics": set(),
    "datasets": {"config", "config_rules"},
}
BELOW["session"] = {"config", "config_rules", "datasets", "metrics", "models", "layers", "encoder",
                    "optimizers", "stablemax"}  # fmt: skip
BELOW["train"] = BELOW["session"] | {"session", "flags", "experiments", "runs"}
NO_TORCH = ("config", "config_rules", "flags", "experiments", "runs", "launch", "plots", "train")


def imports(name):
    found = set()
    for node in ast.walk(ast.parse(MODULES[name].read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add(node.module.split(".")[0])
    return found & set(MODULES)


@pytest.mark.parametrize("name", sorted(MODULES))
def test_module_imports_only_what_lies_below_it(name):
    training = set(BELOW) - {"config", "config_rules", "flags", "experiments", "runs"}
    allowed = BELOW.get(name, set(MODULES) - training)  # launching and drawing know no training
    assert imports(name) <= allowed


@pytest.mark.parametrize("name", ["stablemax", "optimizers"])
def test_file_that_others_lift_works_alone(name, tmp_path):
    (tmp_path / f"{name}.py").write_text(MODULES[name].read_text())
    check = (
        f"import {name}, sys; assert not {sorted(MODULES)!r} & sys.modules.keys() - {{'{name}'}}"
    )
    check = check.replace(repr(sorted(MODULES)), repr(set(MODULES)))
    subprocess.run([sys.executable, "-c", check], cwd=tmp_path, check=True)


@pytest.mark.parametrize("name", [n for n in NO_TORCH if n in MODULES])
def test_module_answers_without_loading_torch(name):
    check = f"import {name}, sys; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", check], cwd=ROOT, check=True)


def test_files_can_be_read_in_one_sitting():
    long = {n: len(p.read_text().splitlines()) for n, p in MODULES.items()}
    assert not {n: lines for n, lines in long.items() if lines > 400}
