"""The house: which folder may know which, how high it is, and what works alone."""

import ast
import re
import subprocess
import sys
from graphlib import CycleError, TopologicalSorter

import pytest

from conftest import ROOT

# Folders and root files, each with the others that it may import, inside its functions, too. A new
# one takes its place here, or a test fails.
ARROWS = {
    "stablemax": "",
    "optimizers": "",
    "configuration": "",
    "experiment": "configuration",
    "paper": "configuration experiment",
    "related": "configuration experiment paper",  # the study of remedies: the MLP of figure 1
    "layers": "",
    "tasks": "configuration",
    "models": "layers",
    "metrics": "layers",
    "datasets": "configuration tasks",
    "training": "configuration datasets layers metrics models optimizers stablemax tasks",
    "weights": "configuration metrics training",
    "plotting": "configuration experiment",
    "judging": "configuration experiment plotting",
    "launching": "configuration experiment",
    "documents": "configuration experiment judging launching metrics paper plotting related"
    " stablemax training",
    "train": "configuration experiment paper related training",
    "launch": "configuration experiment launching paper related",
    "plots": "configuration experiment judging paper plotting related",
    "claims": "configuration experiment judging paper related",
    "benchmarks": "configuration datasets documents experiment launching paper related training",
}
ROOM_AT_THE_ROOT = 12  # Python files
FLOORS = 8  # modules, one importing the next when it runs
BESIDE = "benchmarks"  # measures the house from outside
LISTS = ("paper", "related")  # packages whose __init__ lists their figures
LIFTED = ("stablemax", "optimizers", "training.update_rules", "training.muon", "metrics")
LIGHT = ("configuration", "experiment", "paper", "related", "launching", "launch")
TAG = re.compile(r"\b[DR]\d+\b(?=[:), ])")  # a deviation, such as R3

FILES = [*ROOT.glob("*.py"), *ROOT.glob("[!.]*/*.py")]
PATHS = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for path in FILES
    if path.parent != ROOT / "tests"
}
PACKAGES = [name for name, path in PATHS.items() if path.name == "__init__.py"]
TREES = {name: ast.parse(path.read_text()) for name, path in PATHS.items()}


def imports(name, also_types=True) -> set[str]:
    """The modules of the house that one imports, wherever in it the statement stands.

    also_types: those, too, that are read by type checkers alone and never run.
    """
    found, types = set(), set()
    for node in ast.walk(TREES[name]):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            types |= set(node.body)
        if node in types and not also_types:
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{name}, line {node.lineno}: name the folder"
            members = (f"{node.module}.{alias.name}" for alias in node.names)
            found |= {m if m in PATHS else node.module for m in members}
    return found & set(PATHS)


def place(name) -> str:
    """The folder or root file of a module."""
    return name.split(".")[0]


GRAPH = {name: imports(name) for name in PATHS}
RUN = {name: imports(name, also_types=False) for name in PATHS}


# ---------------------------------------------------------------------------------- arrows


def test_every_folder_and_root_file_has_its_place():
    assert {place(name) for name in PATHS} == set(ARROWS)


@pytest.mark.parametrize("origin", ARROWS)
def test_folder_imports_only_what_its_arrows_say(origin):
    allowed = {origin, *ARROWS[origin].split()}
    names = [name for name in GRAPH if place(name) == origin]
    strange = {name: {m for m in GRAPH[name] if place(m) not in allowed} for name in names}
    assert {name: found for name, found in strange.items() if found} == {}


@pytest.mark.parametrize(
    "graph",
    [GRAPH, {origin: words.split() for origin, words in ARROWS.items()}],
    ids=["modules", "folders"],
)
def test_nothing_is_imported_by_what_it_imports(graph):
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as circle:
        pytest.fail(" > ".join(reversed(circle.args[1])))


def test_the_house_has_at_most_eight_floors():
    chains = {}
    for name in TopologicalSorter(RUN).static_order():
        chains[name] = [name, *max((chains[m] for m in sorted(RUN[name])), key=len, default=())]
    high = [chain for chain in chains.values() if len(chain) > FLOORS]
    assert [" > ".join(chain) for chain in high if place(chain[0]) != BESIDE] == []


# ---------------------------------------------------------------------------------- folders


def test_the_root_holds_few_files():
    assert len([name for name in PATHS if PATHS[name].parent == ROOT]) <= ROOM_AT_THE_ROOT


@pytest.mark.parametrize("package", PACKAGES)
def test_package_says_in_one_sentence_what_it_is_and_nothing_else(package):
    words = ast.get_docstring(TREES[package], clean=False)
    assert words and re.fullmatch(r"[A-Z][^\n]*\.", words) and not re.search(r"[.!?] ", words)
    assert package in LISTS or len(TREES[package].body) == 1


def test_no_module_only_hands_names_on():
    def says_nothing(node):
        docstring = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        names = isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__"
        return docstring or names or isinstance(node, (ast.Import, ast.ImportFrom))

    hollow = [name for name in PATHS if all(map(says_nothing, TREES[name].body))]
    assert sorted(hollow) == sorted(set(PACKAGES) - set(LISTS))


# ---------------------------------------------------------------------------------- what is needed


def run_python(code, *arguments, cwd=ROOT):
    command = [sys.executable, "-c", code, *map(str, arguments)]
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", LIFTED)
def test_file_that_others_lift_imports_torch_and_the_standard_library_only(name):
    inside = {
        id(node)
        for function in ast.walk(TREES[name])
        if isinstance(function, ast.FunctionDef)
        for node in ast.walk(function)
    }
    modules = set()
    for node in (n for n in ast.walk(TREES[name]) if id(n) not in inside):
        if isinstance(node, ast.Import):
            modules |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            modules.add(node.module)
    assert {place(m) for m in modules} - sys.stdlib_module_names == {"torch"}


def test_files_that_others_lift_work_where_nothing_else_of_ours_is(tmp_path):
    code = """
import sys
from importlib import util

for path in sys.argv[1:]:
    spec = util.spec_from_file_location("lifted", path)
    sys.modules["lifted"] = util.module_from_spec(spec)
    spec.loader.exec_module(sys.modules["lifted"])
"""
    run_python(code, *(PATHS[name] for name in LIFTED), cwd=tmp_path)


LOADS = """
import importlib, sys

heavy, names = set(sys.argv[1].split()), sys.argv[2:]
for name in names:
    importlib.import_module(name)
    if found := heavy & set(sys.modules):
        sys.exit(f"{name} loads {', '.join(found)}")
"""


def test_declarations_and_the_launcher_need_no_package():
    names = [name for name in PATHS if place(name) in LIGHT]
    run_python(LOADS, "numpy pandas matplotlib torch tqdm", *names)


def test_module_that_says_it_imports_no_torch_loads_none():
    said = re.compile(r"Imports\s+no\s+torch|Needs\s+no\s+package")
    names = [n for n in PATHS if said.search(ast.get_docstring(TREES[n]) or "")]
    assert {"plots", "launch", "plotting.curves", "judging.readings"} <= set(names)
    run_python(LOADS, "torch matplotlib.pyplot", "train", "claims", *names)


def test_list_answers_where_no_package_is_installed():
    command = [sys.executable, "-S", "-E", ROOT / "launch.py", "--list"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "Figure 16: " in done.stdout


# ---------------------------------------------------------------------------------- files

IN_PLACE = re.compile(
    r"\.write_(text|bytes)\("
    r'|(?<!fd)open\((?!\d)[^)]*, "w'
    r"|\.(savefig|to_csv)\((?!(buffer|index)\b)"  # neither names a file
)


def test_nothing_is_written_in_place():
    """What a kill or a full disk could leave half is written by replace_file."""
    names = [n for n in PATHS if place(n) != BESIDE]
    found = {n: IN_PLACE.search(PATHS[n].read_text()) for n in names}
    assert {n: m[0] for n, m in found.items() if m} == {}


# ---------------------------------------------------------------------------------- deviations


def test_every_numbered_tag_points_at_a_row_of_its_table_and_every_row_has_its_place():
    used = {tag for path in PATHS.values() for tag in TAG.findall(path.read_text())}
    rows = "".join(p.read_text() for p in (*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")))
    named = re.findall(r"(?m)^\| ([DR]\d+) \|", rows)
    assert len(named) == len(set(named)) > 20
    assert used == set(named)
