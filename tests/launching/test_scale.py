"""What many runs cost: a folder is looked at once, and a configuration is checked once a run."""

import collections
import subprocess
import sys
from dataclasses import replace

import pytest
from launcher import ROOT
from made_runs import made

import launch
from configuration import rules, runs
from configuration.config import RunConfig
from launching.plan import plan
from launching.sweep import sweep

CONFIG = RunConfig(lr=0.05, modulo=7, hidden_sizes=(8,), num_epochs=4, log_frequency=2)
OWN = """
from configuration.config import RunConfig
from experiment.claim import Claim, Within, at_least
from experiment.figure import Curve, Figure, Panel, Run
from experiment.quantity import TEST, first

CONFIG = RunConfig(lr=0.05, modulo=7, hidden_sizes=(8,), num_epochs=4, log_frequency=2)
RUNS = [Run(name=name, config=CONFIG, quick=None) for name in ("one", "two")]
PANEL = Panel(id="own", title="", kind="accuracy",
              curves=tuple(Curve(run=run, label=run.name) for run in RUNS))
CLAIMS = tuple(Claim(panel="own", words="", paper="", source="",
                     checks=(Within(first(run, TEST, 0.5), at_least(0)),)) for run in RUNS)
FIGURE = Figure(id="own", title="", claim="", panels=(PANEL,), checks=CLAIMS)
"""
# Prints the path of every file that a program opens.
WATCHED = """
import sys
sys.path.insert(0, {root!r})
import {program}
if {program!r} == "launch":
    launch.Local.run = lambda self, display: None
    launch.call_plots = lambda *_: True
sys.addaudithook(lambda event, given: event == "open" and print("opened", given[0]))
{program}.main({words!r})
"""
SEEDS = range(7)


@pytest.fixture
def grid(tmp_path):
    """(flags that name two runs of SEEDS each, their root); all are complete but the last two."""
    (tmp_path / "own.py").write_text(OWN)
    for name in ("one", "two"):
        for seed in SEEDS:
            columns = {"train_accuracy": [0, 1, 1], "test_accuracy": [0, 0.5, 1]}
            config, complete = replace(CONFIG, seed=seed), seed != SEEDS[-1]
            made(tmp_path / "runs", name, config, (0, 2, 4), complete=complete, **columns)
    return ["--figures-from", str(tmp_path / "own.py"), "--runs", str(tmp_path / "runs")], tmp_path


LAUNCH = ["--seeds", ",".join(map(str, SEEDS)), "--device", "cpu"]
LOOKS = {  # what is asked: (program, flags, most often that it may open a file)
    "list": ("launch", [*LAUNCH, "--list", "--figures", "own"], 1),
    "dry run": ("launch", [*LAUNCH, "--dry-run"], 1),
    "resume": ("launch", LAUNCH, 2),  # and whether it diverged, at the end
    "claims": ("claims", [], 1),
    "pictures": ("plots", ["--dpi", "20"], 1),
}


@pytest.mark.parametrize("asked", LOOKS)
def test_every_file_of_a_complete_run_is_opened_once_however_many_runs_there_are(asked, grid):
    program, words, most = LOOKS[asked]
    flags, folder = grid
    out = [] if program == "claims" else ["--out", str(folder / "out")]
    text = WATCHED.format(root=str(ROOT), program=program, words=[*flags, *words, *out])
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    opened = collections.Counter(line.partition(" ")[2] for line in done.stdout.splitlines())
    for seed in SEEDS[1:-1]:  # the first replicate says what its curve is
        for name in (runs.CONFIG, runs.METRICS, runs.SUMMARY):
            path = str(runs.run_folder(folder / "runs", "two", seed) / name)
            assert 1 <= opened[path] <= most, path


@pytest.mark.parametrize("words", [["--list", "--figures", "own"], ["--dry-run"]])
def test_configurations_that_are_checked_do_not_grow_with_the_seeds(words, grid, monkeypatch):
    flags, _ = grid
    checked = []
    check = rules.check
    monkeypatch.setattr(rules, "check", lambda config: checked.append(config) or check(config))
    counts = []
    for seeds in ("0,1", ",".join(map(str, SEEDS))):
        assert launch.main([*flags, *words, "--seeds", seeds, "--device", "cpu"]) == 0
        counts.append(len(checked))
        checked.clear()
    assert counts[0] == counts[1]


def test_a_sweep_checks_a_cell_once_and_gives_each_seed_its_configuration(monkeypatch):
    (run,) = (r for f in launch.CATALOG.figures(["1"]) for r in f.runs if r.name == "add_stablemax")
    checked, check = [], rules.check
    monkeypatch.setattr(rules, "check", lambda config: checked.append(config) or check(config))
    jobs = sweep(run, {"lr": [0.1, 0.2, 0.3]}, size="full", seeds=range(50), root="r")
    assert len(checked) == 3
    monkeypatch.undo()
    assert [(j.config, j.seed) for j in jobs] == [
        (replace(run.config, lr=lr, seed=seed), seed)
        for lr in (0.1, 0.2, 0.3)
        for seed in range(50)
    ]


def test_a_planned_configuration_is_the_declared_one_at_its_seed():
    figures = launch.CATALOG.figures(["1", "4"])
    for size in ("full", "quick"):
        jobs = plan(figures, size=size, seeds=[0, 7], root="r")
        forms = {run.name: run.at(size) for figure in figures for run in figure.runs}
        assert [j.config for j in jobs] == [replace(forms[j.run], seed=j.seed) for j in jobs]
