"""A sweep: which runs it has, what they are called, and that train.py says the same."""

import re
import shlex
import subprocess
import sys
from dataclasses import fields, replace

import pytest
from house import CATALOG
from launcher import ROOT, Launcher

import launch
import train
from configuration import runs
from configuration.config import RunConfig
from configuration.flags import parse_value
from configuration.variants import LONGEST, changes, spell, variant_name
from launching.sweep import parse_vary, sweep

WD1 = CATALOG.run("add_adamw_wd1")
UNQUICK = next(run for run in CATALOG.runs.values() if run.quick is None)
OWN = """
from configuration.config import RunConfig
from experiment.figure import Curve, Figure, Panel, Run

TINY = Run(
    name="add_tiny",
    config=RunConfig(lr=0.05, modulo=7, hidden_sizes=(8,), num_epochs=4, log_frequency=2),
    quick=None,
)
PANEL = Panel(id="tiny", title="", kind="accuracy", curves=(Curve(run=TINY, label="tiny"),))
FIGURE = Figure(id="tiny", title="", claim="", panels=(PANEL,))
"""


def jobs(run, *words, size="full", seeds=(42,), root="r"):
    return sweep(run, parse_vary(words), size=size, seeds=seeds, root=root)


def front_door(capsys, *words):
    """(exit code, stdout, stderr)"""
    try:
        code = launch.main([*words, "--device", "cpu"])
    except SystemExit as stop:
        code = stop.code
    return code, *capsys.readouterr()


# ---------------------------------------------------------------------------------- which runs


def test_every_combination_is_a_run_once_and_its_folder_says_what_differs():
    found = jobs(WD1, "weight_decay=0.5,1,2,2.0", "lr=0.003,0.01", seeds=(42, 43))
    assert [str(j.folder) for j in found if j.seed == 43] == [
        "r/add_adamw_wd1-weight_decay0.5/seed_43",
        "r/add_adamw_wd1-weight_decay0.5-lr0.01/seed_43",
        "r/add_adamw_wd1/seed_43",  # as declared: the declared run
        "r/add_adamw_wd1-lr0.01/seed_43",
        "r/add_adamw_wd1-weight_decay2/seed_43",
        "r/add_adamw_wd1-weight_decay2-lr0.01/seed_43",
    ]
    assert len(found) == 12
    values = {(j.config.weight_decay, j.config.lr, j.config.seed) for j in found}
    assert values == {(w, r, s) for w in (0.5, 1, 2) for r in (0.003, 0.01) for s in (42, 43)}
    base = replace(WD1.config, weight_decay=0, lr=1)
    assert {replace(j.config, weight_decay=0, lr=1, seed=base.seed) for j in found} == {base}


@pytest.mark.parametrize(
    ("run", "size", "words"),
    [
        ("add_adamw_wd1", "full", "weight_decay=0.5,1 lr=1e-05,1000000.0"),
        ("add_adamw_wd1", "quick", "modulo=59,97 hidden_sizes=64,200x200,7x8x9 log_steps=None,3x9"),
        ("add_adamw_wd1", "full", "bias=None,true,false decay_all=True,False beta2=None,0.98"),
        ("s5_toth_30", "cpu", "weight_decay=0 activation=relu,gelu num_steps=100,200"),
        ("s5_toth_50", "cpu", "dropout=0,0.25"),  # its CPU form is the full one
        ("add_lid_10", "full", "dimension_layer=-1,-2"),
    ],
)
def test_the_command_line_of_a_job_is_its_configuration_and_lands_in_its_folder(run, size, words):
    found = jobs(CATALOG.run(run), words, size=size, seeds=(7,), root=ROOT / "elsewhere")
    assert len(found) > 1
    for job in found:
        arguments = train.make_parser().parse_args(job.arguments())
        assert train.resolve(arguments) == (job.config, job.folder)


def test_every_field_can_be_varied():
    """What a name and a flag say of any value of any declared run is read as this value."""
    configs = [form for run in CATALOG.runs.values() for form in (run.config, run.quick) if form]
    for f in fields(RunConfig):
        values = {getattr(config, f.name) for config in configs}
        assert {spell(v) for v in values} and len({spell(v) for v in values}) == len(values)
        assert {parse_value(f, spell(v)) for v in values} == values


def test_a_run_without_vary_is_that_run(capsys):
    words = ("--run", "add_adamw_wd1", "--seeds", "3,4", "--dry-run")
    code, out, _ = front_door(capsys, *words)
    assert code == 0
    lines = [shlex.split(line) for line in out.splitlines()]
    assert [line[2:6] for line in lines] == [["--run", "add_adamw_wd1", "--seed", s] for s in "34"]


# ---------------------------------------------------------------------------------- what is refused


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ("--vary lr=1", "--vary varies a declared run; name it with --run NAME"),
        ("--run a --figures 1", "--figures and --run are two things to compute; give one of them"),
        ("WD1 --vary weigth_decay=1", "unknown field 'weigth_decay': did you mean weight_decay"),
        ("WD1 --vary seed=1,2", "seeds are replicates, given by --seeds"),
        ("WD1 --vary lr", "--vary 'lr': write FIELD=VALUE,VALUE, such as --vary weight_decay="),
        ("WD1 --vary lr=", "--vary lr= has no value; write FIELD=VALUE,VALUE"),
        ("WD1 --vary lr=0.1,fast", "lr 'fast': expected a number"),
        ("WD1 --vary modulo=9.5", "modulo '9.5': expected a whole number"),
        ("WD1 --vary bias=maybe", "bias 'maybe': expected true or false or None"),
        ("WD1 --vary hidden_sizes=8-8", "hidden_sizes '8-8': expected whole numbers such as 200x"),
        ("WD1 --vary lr=1,2 --vary weight_decay=1,-1",
         "add_adamw_wd1-weight_decay-1-lr1: weight_decay -1.0: must not be negative"),
        ("WD1 --vary momentum=0.5", "add_adamw_wd1-momentum0.5: momentum 0.5: "),
        ("--run UNQUICK --quick", "UNQUICK has no form of size quick; choose"),
    ],
)  # fmt: skip
def test_a_sweep_that_cannot_be_run_is_one_line(words, line, capsys):
    names = {"WD1": "--run add_adamw_wd1", "UNQUICK": UNQUICK.name}
    for short, name in names.items():
        words, line = words.replace(short, name), line.replace(short, name)
    for how in ("--dry-run", "--list"):
        code, out, err = front_door(capsys, *words.split(), how)
        assert (code, out) == (2, "")
        assert err.startswith(line) and err.endswith("\n") and err.count("\n") == 1


# ---------------------------------------------------------------------------------- names


def test_a_configuration_has_one_name_whatever_the_order_of_its_flags(tmp_path):
    root = ["--runs", str(tmp_path)]
    flags = [["--lr", "0.01"], ["--modulo", "7"], ["--hidden_sizes", "8", "9"], ["--seed", "5"]]
    for words, name in (
        ([], "add_softmax32_adamw-modulo7-hidden_sizes8x9-lr0.01"),
        (["--run", "add_stablemax", "--quick", "--num_epochs", "5"],
         "quick/add_stablemax-modulo7-hidden_sizes8x9-num_epochs5"),
    ):  # fmt: skip
        for given in (flags, flags[::-1]):
            arguments = train.make_parser().parse_args([*root, *words, *sum(given, [])])
            assert train.resolve(arguments)[1] == tmp_path / name / "seed_5"


def test_a_name_is_short_enough_for_a_file_and_safe_and_still_its_configurations_alone():
    many = {f.name: f.default for f in fields(RunConfig) if f.name not in ("lr", "seed")}
    names = {variant_name("quick/add_x", many | {"lr": rate}) for rate in (0.1, 0.2)}
    odd = {variant_name("add_x", {"loss_function": word}) for word in ("a/b", "a b", "a_b")}
    assert len(names) == 2 and len(odd) == 3
    for name in names:
        assert name.startswith("quick/add_x-dataset") and len(name) == len("quick/") + LONGEST
    for name in names | odd:
        assert re.fullmatch(r"[\w.-]+", name.removeprefix("quick/"), re.ASCII)


def test_no_variant_has_the_name_of_a_declared_run():
    assert not [name for name in CATALOG.runs if "-" in name]
    assert "-" in variant_name("x", changes({"lr": 0.01}))


# ---------------------------------------------------------------------------------- computed


def test_a_sweep_is_computed_compared_and_then_finished(tmp_path):
    (tmp_path / "own.py").write_text(OWN)
    own = ("--figures-from", "own.py", "--runs", "the runs", "--out", "the figures")
    words = ("--run", "add_tiny", "--vary", "weight_decay=0,0.5", "--seeds", "1,2", "--device=cpu")

    def call(*more):
        command = [sys.executable, str(ROOT / "launch.py"), *own, *words, *more]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    first = call("--jobs", "4")
    names = ["add_tiny", "add_tiny-weight_decay0.5"]
    complete = {str(p.parent) for p in (tmp_path / "the runs").rglob(runs.SUMMARY)}
    assert complete == {f"{tmp_path}/the runs/{name}/seed_{s}" for name in names for s in (1, 2)}
    pictures = [f"the figures/add_tiny-weight_decay.{kind}" for kind in ("png", "pdf")]
    assert all((tmp_path / picture).is_file() and picture in first for picture in pictures)
    rows = [line.split()[:3] for line in first.split("the figures/")[-1].splitlines()]
    assert rows[1] == ["run", "seed", "weight_decay"]
    assert rows[2:6] == [[n, s, d] for n, d in zip(names, ("0", "0.5"), strict=True) for s in "12"]
    assert call("--dry-run") == ""
    assert call("--list").count("finished") == 4
    assert call("--dry-run", "--force").count("--force") == 4


def test_a_cell_that_fails_stops_no_other_and_is_not_compared(tmp_path):
    """fake_train.py knows no flag of the configuration: every cell but the declared one fails."""
    launcher = Launcher(tmp_path)
    words = ("--run", "add_stablemax", "--vary", "weight_decay=0.5,0,1", "--quick")
    answer = launcher.run(*words, "--device", "cpu", "--out", "pictures")
    launcher.close()
    assert answer.returncode == 1
    assert "quick/add_stablemax-weight_decay0.5 seed 42 exited 2" in answer.stdout
    (drawn,) = launcher.events("draw")
    folder = launcher.folder("add_stablemax")
    expected = f"draw --compare {folder} --by weight_decay --table --out pictures"
    assert " ".join(drawn) == expected
