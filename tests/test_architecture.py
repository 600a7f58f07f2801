"""The house's arrows point one way, and the files others lift stand alone."""

import ast
import re
import subprocess
import sys

import pytest

from conftest import ROOT

MODULES = {path.stem: path for path in ROOT.glob("*.py")}
# Who imports whom, directly. A new module takes its place here, or the test fails.
ARROWS = {
    "config_readers": "",
    "config_rules": "config_readers",
    "config": "config_rules",
    "flags": "config",
    "runs": "config",
    "manifest": "config",
    "manifest_body": "manifest",
    "manifest_appendix": "config manifest",
    "manifest_controls": "manifest",
    "manifest_presets": "config",
    "manifest_grids": "config manifest manifest_presets",
    "manifest_related": "manifest manifest_grids manifest_presets",
    "experiments": "config manifest manifest_appendix manifest_body manifest_controls"
    " manifest_related",
    "stablemax": "",
    "optimizers": "",
    "losses": "stablemax",
    "layers": "",
    "encoder": "layers",
    "models": "encoder layers",
    "networks": "models",
    "training_rules": "",
    "attention": "",
    "metrics": "attention",
    "dimension": "metrics",
    "operations": "",
    "images": "",
    "datasets": "config config_rules images operations",
    "builders": "config datasets losses models networks optimizers stablemax training_rules",
    "session": "builders config datasets dimension images losses metrics optimizers stablemax"
    " training_rules",
    "environment": "",
    "train": "config environment experiments flags runs session",
    "curves": "config config_rules experiments runs",
    "panels": "config curves experiments runs",
    "panels_appendix": "panels",
    "panels_weights": "experiments panels runs spectrum",
    "panels_related": "measures_related panels panels_appendix",
    "panels_grids": "measures_related panels panels_related panels_weights runs",
    "panels_dimension": "measures_related panels panels_related",
    "readings": "curves experiments measures measures_related panels panels_appendix runs spectrum",
    "plots": "curves experiments panels panels_appendix panels_dimension panels_grids"
    " panels_related panels_weights readings runs",
    "surface": "metrics runs session",
    "landscape": "flags runs surface",
    "spectrum": "config flags runs surface",
    "rounding": "losses metrics stablemax",
    "numerics": "flags losses manifest metrics panels rounding runs stablemax",
    "measures": "panels runs spectrum",
    "measures_related": "measures",
    "quantities_related": "measures measures_related runs",
    "checks": "experiments measures",
    "verdicts": "checks curves experiments measures",
    "claim_table": "checks curves experiments flags runs verdicts",
    "claims_appendix": "checks measures",
    "claims_normed": "checks measures",
    "claims_main": "checks measures",
    "claims_body": "checks measures",
    "claims_controls": "checks measures",
    "claims_grids": "checks manifest_grids measures measures_related quantities_related",
    "claims_related": "checks claims_grids measures quantities_related",
    "claims": "claim_table claims_appendix claims_body claims_controls claims_main claims_normed"
    " claims_related checks experiments measures",
    "plan": "config config_rules experiments manifest_presets runs",
    "processes": "",
    "local": "plan processes runs",
    "progress": "plan runs",
    "launch": "experiments flags local plan progress runs",
}
TAG = re.compile(r"\b[DR]\d+\b(?=[:), ])")  # a deviation, such as R3
LONGEST = 500  # lines; a file that grows past it knows something it should not


def imports(name):
    found = set()
    for node in ast.walk(ast.parse(MODULES[name].read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add(node.module.split(".")[0])
    return found & set(MODULES)


def test_every_module_has_its_place():
    assert set(MODULES) == set(ARROWS)


@pytest.mark.parametrize("name", sorted(MODULES))
def test_module_imports_only_what_its_arrows_say(name):
    assert imports(name) <= set(ARROWS[name].split())


@pytest.mark.parametrize("name", ["stablemax", "optimizers", "training_rules"])
def test_file_that_others_lift_works_alone(name, tmp_path):
    (tmp_path / f"{name}.py").write_text(MODULES[name].read_text())
    others = sorted(set(MODULES) - {name})
    check = f"import {name}, sys; assert not sys.modules.keys() & set({others!r})"
    subprocess.run([sys.executable, "-c", check], cwd=tmp_path, check=True)


@pytest.mark.parametrize("name", ["experiments", "runs", "flags", "train", "launch", "plots"])
def test_module_answers_without_loading_torch(name):
    check = f"import {name}, sys; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", check], cwd=ROOT, check=True)


def test_files_can_be_read_in_one_sitting():
    lines = {name: len(path.read_text().splitlines()) for name, path in MODULES.items()}
    assert {name: n for name, n in lines.items() if n > LONGEST} == {}


def test_every_numbered_tag_points_at_a_row_of_its_table_and_every_row_has_its_place():
    used = {tag for path in MODULES.values() for tag in TAG.findall(path.read_text())}
    rows = "".join((ROOT / name).read_text() for name in ("README.md", "RELATED.md"))
    named = re.findall(r"(?m)^\| ([DR]\d+) \|", rows)
    assert len(named) == len(set(named)) > 20
    assert used == set(named)
