"""Slips at the command lines: one line says what to do instead."""

import ast
import os
import shutil
import subprocess
import sys
from dataclasses import fields

import pytest
from checkout import Checkout

import launch
import plots
import train
from configuration.config import RunConfig
from conftest import ROOT

SCRIPTS = {"train.py": ["--lr", "0.1"], "plots.py": [], "claims.py": [], "launch.py": []}
# A process of root's may write everywhere, unless it gives that up.
HUMBLE = []
if os.geteuid() == 0:
    HUMBLE = ["setpriv", "--bounding-set=-dac_override", "--inh-caps=-dac_override"]


def one_line(command, **options):
    done = subprocess.run(command, capture_output=True, text=True, **options)
    assert (done.returncode, done.stdout) == (2, ""), done.stderr
    assert done.stderr.count("\n") == 1 and "Traceback" not in done.stderr
    return done.stderr.strip()


def error(call, words, capsys) -> str:
    """The one line of a main function that refuses these words."""
    try:
        code = call(words)
    except SystemExit as stop:
        code = stop.code
    assert code == 2
    (line,) = capsys.readouterr().err.splitlines()
    return line


# ---------------------------------------------------------------------------------- flags


@pytest.mark.parametrize("words", ["200 100", "200,100", "200, 100", "200x100", "200,100,"])
def test_a_list_of_widths_means_the_same_in_every_form(words, capsys):
    arguments = train.make_parser().parse_args(["--lr", "1", "--hidden_sizes", *words.split()])
    assert train.resolve(arguments)[0].hidden_sizes == (200, 100)
    wrong = error(train.main, ["--lr", "1", "--hidden_sizes", f"{words},wide"], capsys)
    assert "argument --hidden_sizes" in wrong and "expected whole numbers such as" in wrong


def test_every_flag_of_train_says_at_the_front_door_where_it_belongs(capsys):
    for f in fields(RunConfig):
        line = error(launch.main, ["--figures", "1", f"--{f.name}", "1"], capsys)
        if f.name == "seed":
            assert "did you mean --seeds?" in line
        else:
            assert f"--{f.name} is a flag of train.py" in line
            assert f"vary it with --run NAME --vary {f.name}=..." in line
    assert "--vary bias=" in error(launch.main, ["--no-bias"], capsys)
    assert "--vary lr=" in error(launch.main, ["--lr=0.1"], capsys)
    assert "train.py --run NAME --threads" in error(launch.main, ["--threads", "2"], capsys)


@pytest.mark.parametrize("device", ["tpu", "cuda:x"])
def test_a_device_that_there_is_nowhere_is_refused_everywhere_in_the_same_words(device, capsys):
    of_train = error(train.main, ["--lr", "1", "--device", device], capsys)
    assert of_train.removeprefix("train.py: ") == error(launch.main, ["--device", device], capsys)


def test_a_folder_of_runs_that_is_not_there_is_an_error_of_plots(capsys):
    line = error(plots.main, ["--figures", "3", "--runs", "/nope"], capsys)
    assert line == "plots.py: --runs '/nope' is no folder; choose one that holds run folders"


# ---------------------------------------------------------------------------------- the shell


@pytest.mark.skipif(not shutil.which("dash"), reason="there is no plain sh here")
@pytest.mark.parametrize("script", ["run_main_experiments.sh", "run_tests.sh"])
def test_a_shell_that_is_not_bash_is_told_to_use_it(script):
    line = one_line(["dash", str(ROOT / script), "--list"])
    assert line == f"this needs bash: use ./{script} or bash {script}"


@pytest.fixture
def checkout(tmp_path):
    """A clone without an environment."""
    return Checkout(tmp_path)


def test_looking_at_a_sweep_or_at_command_lines_installs_nothing(checkout):
    sweep = ("--run", "add_adamw_wd1", "--vary", "lr=0.1,0.2", "--device", "cpu")
    for words, lines in ((("--dry-run", *sweep), 2), ((*sweep, "--list"), 3)):
        answer = checkout.run("run_main_experiments.sh", *words)
        assert (answer.returncode, answer.stderr) == (0, "")
        assert len(answer.stdout.splitlines()) == lines
    assert checkout.log() == [] and not (checkout.folder / ".venv").exists()


@pytest.mark.skipif(HUMBLE and not shutil.which("setpriv"), reason="root may write everywhere")
def test_a_clone_that_cannot_be_written_is_one_line(checkout):
    checkout.folder.chmod(0o555)
    script = ["/bin/bash", str(checkout.folder / "run_main_experiments.sh")]
    try:
        line = one_line([*HUMBLE, *script, "--device", "cpu"], env={"PATH": checkout.path})
    finally:
        checkout.folder.chmod(0o755)
    assert line == f"cannot write to {checkout.folder}; clone the bundle where you can"


# ---------------------------------------------------------------------------------- the Python


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_python_without_the_packages_is_told_which_one_to_use(script, tmp_path):
    words = [*SCRIPTS[script], *(["--runs", ".", "--out", "."] if script == "launch.py" else [])]
    # -S: no site-packages; -P, as PYTHONSAFEPATH: the script's folder is not on the path, either.
    bare = [sys.executable, "-S", "-E", "-P", str(ROOT / script), *words]
    name = {"train.py": "pandas", "launch.py": "torch"}.get(script, "matplotlib")
    line = one_line(bare, cwd=tmp_path)
    assert line == (
        f"{script}: {name} is not installed in this Python; use .venv/bin/python, which"
        " ./run_main_experiments.sh makes"
    )


AS_IF_OLD = """
import runpy, sys
sys.argv, sys.version_info = sys.argv[1:], (3, 8, 18)
runpy.run_path(sys.argv[0], run_name="__main__")
"""


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_python_that_is_too_old_reads_far_enough_to_say_so(script):
    for path in (script, "configuration/__init__.py", "configuration/interpreter.py"):
        ast.parse((ROOT / path).read_text(), feature_version=(3, 8))
    line = one_line([sys.executable, "-S", "-c", AS_IF_OLD, str(ROOT / script)], cwd=ROOT)
    assert line.startswith(f"{script}: Python 3.11 or later is needed, this is 3.8.18; use ")
