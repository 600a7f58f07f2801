"""How every script begins and ends: its streams, its Python, Ctrl-C."""

import os
import signal
import subprocess
import sys

import pytest
from launcher import wait_until

from configuration import interpreter
from conftest import ROOT

FRONT = f"import sys; sys.path.insert(0, {str(ROOT)!r})\n" + (
    "from configuration.interpreter import begin, end, require, told\n"
)
PRINTS = FRONT + "begin()\nprint('é ⊥ \\udcff')\nprint('x' * 20000)\nend(told)"
FULL = open("/dev/full", "wb")  # noqa: SIM115 - for all tests


def script(source, *, closed=(), **options):
    """A finished process; `closed` are the numbers of its streams that it does not have."""

    def close():
        for number in closed:
            os.close(number)

    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    command = [sys.executable, "-P", "-c", source]
    return subprocess.run(command, preexec_fn=close, timeout=30, **pipes | options)


# ---------------------------------------------------------------------------------- streams


def test_output_that_is_a_scripts_work_and_is_lost_is_an_error_in_one_line():
    for options, reason in (({"stdout": FULL}, "No space left"), ({"closed": [1]}, "Bad file")):
        done = script(PRINTS, **options)
        assert done.returncode == 1
        assert done.stderr.startswith(b"-c: cannot write to standard output (" + reason.encode())
        assert done.stderr.count(b"\n") == 1
    assert script(PRINTS, closed=[0, 1, 2]).returncode == 1


def test_output_that_nobody_reads_any_more_ends_as_with_other_tools():
    reader, writer = os.pipe()
    os.close(reader)
    done = script(PRINTS, stdout=writer)
    os.close(writer)
    assert (done.returncode, done.stderr) == (128 + signal.SIGPIPE, b"")


def test_lost_output_stops_nothing_and_what_comes_after_the_hindrance_is_written(tmp_path):
    source = FRONT + (
        "begin()\nimport os\nprint('lost')\n"
        f"os.dup2(os.open({str(tmp_path / 'log')!r}, os.O_WRONLY | os.O_CREAT), 1)\n"
        "print('kept')\nend(lambda: 7)"
    )
    done = script(source, stdout=FULL)
    assert (done.returncode, done.stderr) == (7, b"")
    assert (tmp_path / "log").read_text() == "kept\n"


@pytest.mark.parametrize("options", [{"stderr": FULL}, {"closed": [2]}], ids=["full", "closed"])
def test_a_refusal_exits_2_where_nobody_can_read_it(options):
    refuses = "begin('no_such_package')"
    parses = "begin()\nfrom configuration.flags import Parser\nParser().parse_args(['--x'])"
    for source in (refuses, parses):
        done = script(FRONT + source, **options)
        assert (done.returncode, done.stdout) == (2, b"")


def test_a_file_never_takes_the_number_of_a_closed_stream():
    source = FRONT + "begin()\nimport os\nos._exit(os.open(os.devnull, os.O_RDONLY))"
    assert script(source, closed=[0, 1, 2]).returncode == 3


@pytest.mark.parametrize(
    ("encoding", "shown"), [("ascii", b"? ? ?\n"), ("utf-8", "é ⊥ ?\n".encode())]
)
def test_a_character_that_the_output_does_not_know_stops_nothing(encoding, shown):
    done = script(PRINTS, env=os.environ | {"PYTHONIOENCODING": encoding})
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.startswith(shown)


# ---------------------------------------------------------------------------------- Ctrl-C

WAITS = "open('ready', 'w').close()\nimport time\ntime.sleep(30)\n"


def interrupted(command, folder, **options):
    """(exit code, stderr) of a process that gets Ctrl-C once it has made the file `ready`."""
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    process = subprocess.Popen(command, cwd=folder, **pipes | options)
    wait_until((folder / "ready").exists, "the script to wait")
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    return process.returncode, err


@pytest.mark.parametrize(
    ("name", "slow"),
    [("train", "difflib"), ("launch", "difflib"), ("claims", "difflib"), ("plots", "matplotlib")],
)
def test_ctrl_c_while_packages_load_is_one_line_and_130(name, slow, tmp_path):
    for stub in ("matplotlib", "pandas"):  # which take a second themselves
        (tmp_path / f"{stub}.py").touch()
    (tmp_path / f"{slow}.py").write_text(WAITS)
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}
    command = [sys.executable, str(ROOT / f"{name}.py")]
    assert interrupted(command, tmp_path, env=environment) == (130, f"{name}.py: stopped\n")


def test_ctrl_c_later_is_one_line_and_130_and_lets_the_script_clean_up(tmp_path):
    source = FRONT + (
        "import pathlib, time\nbegin()\n"
        "def main():\n    try:\n        pathlib.Path('ready').touch()\n        time.sleep(30)\n"
        "    finally:\n        pathlib.Path('cleaned').touch()\n"
        "end(main)"
    )
    command = [sys.executable, "-P", "-c", source]
    assert interrupted(command, tmp_path) == (130, "-c: stopped\n")
    assert (tmp_path / "cleaned").exists()


# ---------------------------------------------------------------------------------- packages


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (None, "part is not installed in this Python; use "),
        ("part/lib/file.so", "part is not installed in this Python; use "),
        (
            "part.py",
            "part cannot be imported (libx.so: cannot open shared object); free memory, or use ",
        ),
    ],
    ids=["missing", "remains", "broken"],
)
def test_a_package_that_is_gone_or_broken_is_one_line(made, said, tmp_path, monkeypatch, capsys):
    if made:
        (tmp_path / made).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / made).write_text("raise ImportError('libx.so: cannot open\\nshared object')")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "part", raising=False)
    monkeypatch.setattr(interpreter, "VENV", "another")  # these tests may run in our own
    with pytest.raises(SystemExit) as stop:
        interpreter.require("json", "part")
    assert stop.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert said in line


def test_a_damaged_environment_of_our_own_is_to_be_made_anew(monkeypatch, capsys):
    monkeypatch.setattr(interpreter, "VENV", os.path.realpath(sys.prefix))
    with pytest.raises(SystemExit):
        interpreter.require("no_such_package")
    line = capsys.readouterr().err
    assert f"; delete {os.path.realpath(sys.prefix)}, and ./run_main_experiments.sh makes" in line
