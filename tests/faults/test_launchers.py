"""A launcher that is struck, starved or met by another one: every run is computed, and once."""

import fcntl
import os
import pty
import random
import signal
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path

import pytest
from checkout import DRAW, Checkout
from damages import OF_A_RUN
from faulty import (
    FLAGS,
    LONGER,
    Answer,
    Disk,
    assert_one_line,
    assert_same,
    put,
    size,
    some,
    spoil,
    state_of,
    trainer,
    unfinished,
    wait_until,
    whole,
)
from launcher import Launcher

from configuration import runs
from conftest import ROOT, slow

RUNS = ["add_orthoadamw", "add_stablemax", "add_softmax64"]  # of figure 1
WORDS = ("--figures", "1", "--quick", "--device", "cpu", "--jobs", "3")
FIGURES = Path(__file__).with_name("tiny_figure.py")


@pytest.fixture
def launcher(tmp_path):
    launcher = Launcher(tmp_path)
    yield launcher
    launcher.close()


def all_complete(launcher) -> bool:
    return all(runs.is_complete(launcher.folder(run)) for run in RUNS)


def finish(process) -> Answer:
    out, err = process.communicate(timeout=600)
    return Answer(process.returncode, out or "", err or "")


def children_of(pid) -> list[int]:
    return list(map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split()))


# ---------------------------------------------------------------------------------- struck

CODES = {
    signal.SIGHUP: 129,
    signal.SIGKILL: -9,
    signal.SIGTERM: 143,
    signal.SIGINT: 130,
    signal.SIGQUIT: -3,
    signal.SIGUSR1: -10,
}


@pytest.mark.parametrize("number", some(CODES, 6))
def test_launcher_struck_and_started_again_at_once_computes_each_run(number, launcher):
    slowly = dict.fromkeys(RUNS, "slow")
    first = launcher.start(*WORDS, fake=slowly)
    launcher.wait_for("row", 3)
    first.send_signal(number)
    second = launcher.start(*WORDS, fake=slowly)
    given = finish(first)
    assert given.code == CODES[number] and given.err == ""
    launcher.release()
    assert finish(second).code == 0 and all_complete(launcher)
    assert sorted(event[1] for event in launcher.events("end")) == sorted(RUNS)


@slow
def test_launcher_stopped_and_continued_computes_each_run(launcher):
    process = launcher.start(*WORDS, fake=dict.fromkeys(RUNS, "slow"))
    launcher.wait_for("row", 3)
    process.send_signal(signal.SIGSTOP)
    wait_until(lambda: state_of(process.pid) == "T")
    launcher.release()
    launcher.wait_for("end", 3)
    process.send_signal(signal.SIGCONT)
    assert finish(process).code == 0 and all_complete(launcher)


@slow
def test_child_that_is_killed_fails_alone_and_is_computed_next_time(launcher):
    process = launcher.start(*WORDS, fake=dict.fromkeys(RUNS, "slow"))
    launcher.wait_for("row", 3)
    victim = launcher.events("start")[0]
    os.kill(int(victim[4]), signal.SIGKILL)
    launcher.release()
    given = finish(process)
    assert given.code == 1 and f"{victim[1]} seed 42 was ended by SIGKILL" in given.out
    assert not runs.is_complete(launcher.folder(victim[1]))
    assert launcher.run(*WORDS).returncode == 0 and all_complete(launcher)


@pytest.mark.parametrize("when", ["while it loads", pytest.param("while they run", marks=slow)])
def test_runs_are_computed_when_what_forks_them_is_killed(when, launcher, monkeypatch):
    if when == "while it loads":
        monkeypatch.setenv("FAKE_PRELOAD", "torch")
    process = launcher.start(*WORDS, fake=dict.fromkeys(RUNS, "slow"))
    wait_until(lambda: children_of(process.pid))
    if when == "while they run":
        launcher.wait_for("row", 3)
    for server in children_of(process.pid):
        os.kill(server, signal.SIGKILL)
    launcher.release()
    given = finish(process)
    assert given.code == 0 and given.err == "" and all_complete(launcher)


INTERRUPTED = "import os, signal\nos.kill(os.getpid(), signal.SIGINT)\n"


@pytest.mark.parametrize("script", ["launch.py", *some(["plots.py", "claims.py"], 3)[1:]])
def test_interrupt_while_a_file_is_read_is_one_line(script, tmp_path):
    (tmp_path / "mine.py").write_text(INTERRUPTED)
    command = [sys.executable, ROOT / script, "--figures-from", tmp_path / "mine.py"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert_one_line(Answer(done.returncode, done.stdout, done.stderr), "stopped", code=130)


# ---------------------------------------------------------------------------------- starved

DAMAGED = {
    f: how for f, (how, _) in OF_A_RUN.items() if f.startswith("config ") and "behind" not in f
}


@pytest.mark.parametrize("fault", some(DAMAGED, 99))
def test_damaged_run_stops_no_other(fault, launcher):
    assert launcher.run(*WORDS).returncode == 0
    victim, *others = map(launcher.folder, RUNS)
    for folder in (victim, *others):
        (folder / runs.SUMMARY).unlink()
    DAMAGED[fault](victim)
    given = launcher.run(*WORDS)
    assert given.returncode == 1 and "Traceback" not in given.stderr
    assert str(victim) in given.stderr
    assert [runs.is_complete(folder) for folder in (victim, *others)] == [False, True, True]


@pytest.mark.parametrize("pages", some(range(8, 40, 2), 99))
def test_runs_on_a_full_disk_are_computed_when_there_is_space(pages, launcher, tmp_path):
    with Disk(tmp_path, f"size={4 * pages}k") as full:
        launcher.root = full.folder / "the runs"
        given = launcher.run(*WORDS)
        assert given.returncode in (0, 1, 2) and "Traceback" not in given.stderr
        full.remount("size=4m")
        assert launcher.run(*WORDS).returncode == 0 and all_complete(launcher)


def environment(launcher, **more):
    return {"env": launcher.environment({}, 0) | more}


def test_folder_for_temporaries_may_have_a_long_name(launcher, tmp_path):
    long = tmp_path / ("t" * 125)
    long.mkdir()
    process = launcher.start(*WORDS, **environment(launcher, TMPDIR=str(long)))
    assert finish(process).code == 0 and all_complete(launcher)


@pytest.mark.parametrize("name", some([os.fsdecode(b"a\xffb"), "a\nb", "it's", "größe", "-x"], 9))
def test_runs_in_an_odd_folder_are_computed(name, launcher, tmp_path):
    launcher.root = tmp_path / name
    given = launcher.run(*WORDS)
    assert given.returncode == 0 and given.stderr == "" and all_complete(launcher)


SHADOWS = ("pip", "email", "json", "socket", "random", "torch", "pandas", "configuration")


@pytest.mark.parametrize("loads", ["pip email json", pytest.param("torch pandas", marks=slow)])
def test_files_of_the_working_folder_are_executed_by_none_of_the_processes(
    loads, launcher, tmp_path
):
    here = tmp_path / "here"
    here.mkdir()
    for name in SHADOWS:
        (here / f"{name}.py").write_text(f"open({str(here / 'executed')!r}, 'a').write({name!r})")
    process = launcher.start(*WORDS, cwd=here, **environment(launcher, FAKE_PRELOAD=loads))
    assert finish(process).code == 0 and all_complete(launcher)
    assert not (here / "executed").exists()


# ---------------------------------------------------------------------------------- streams

STREAMS = [
    (fault, numbers) for fault in ("full", "broken", "closed") for numbers in ((1, 2), (1,), (2,))
]


@pytest.mark.parametrize("fault, numbers", some(STREAMS, 6))
def test_runs_are_computed_whatever_becomes_of_the_streams(fault, numbers, launcher):
    faults = [(fault, number) for number in numbers]
    given = finish(launcher.start(*WORDS, preexec_fn=lambda: spoil(faults)))
    assert given.code == 0 and given.err == "" and all_complete(launcher)


TERMINALS = [
    ({}, 1),
    ({}, 0),
    ({}, 20),
    ({}, 80),
    ({}, 1000),
    ({"TERM": "dumb"}, 80),
    ({"TERM": ""}, 80),
    ({"TERM": "nonsense"}, 80),
    ({"LC_ALL": "C", "PYTHONIOENCODING": "ascii"}, 80),
]


@pytest.mark.parametrize("more, columns", some(TERMINALS, 99))
def test_runs_are_computed_on_an_odd_terminal(more, columns, launcher):
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", min(columns, 24), columns, 0, 0))
    pipes = {"stdout": theirs, "stderr": theirs, "text": False}
    process = launcher.start(*WORDS, **pipes, **environment(launcher, **more))
    os.close(theirs)
    shown = b""
    while True:
        try:
            shown += os.read(ours, 65536)
        except OSError:  # its end is closed
            break
    os.close(ours)
    assert process.wait(timeout=600) == 0 and all_complete(launcher)
    assert b"Traceback" not in shown and b"figure drawn" in shown


# ---------------------------------------------------------------------------------- true trainers


class Real:
    """The launcher as a person starts it, over tiny runs or over some that take a second."""

    def __init__(self, folder: Path, figure="tiny", seeds=(42, 43)):
        self.folder, self.figure = folder, figure
        self.flags = {
            seed: f"{LONGER if figure == 'long' else FLAGS} --seed {seed}" for seed in seeds
        }
        self.runs = {seed: folder / "runs" / figure / f"seed_{seed}" for seed in seeds}

    def start(self, *more, environment=None, **options):
        words = ["--figures-from", FIGURES, "--figures", self.figure, "--device", "cpu"]
        words += ["--seeds", ",".join(map(str, self.runs)), "--jobs", "2", *more]
        words += ["--runs", self.folder / "runs", "--out", self.folder / "out"]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        given = os.environ | (environment or {})
        command = [sys.executable, ROOT / "launch.py", *words]
        return subprocess.Popen(command, env=given, **pipes | options)

    def rows(self) -> int:
        """Bytes of all tables."""
        return sum(size(folder / runs.METRICS) for folder in self.runs.values())

    def assert_done(self, given: Answer):
        assert given.code == 0 and "Traceback" not in given.out + given.err, given
        for seed, folder in self.runs.items():
            assert_same(folder, self.flags[seed])
        assert len(list((self.folder / "out").iterdir())) == 2  # PNG and PDF


@slow
@pytest.mark.parametrize("number", CODES)
def test_launcher_struck_at_random_moments_computes_the_same(number, tmp_path):
    real, draw = Real(tmp_path, "long"), random.Random(number)
    end = sum(len(whole(flags)[runs.METRICS]) for flags in real.flags.values())
    for _ in range(3):
        if real.rows() == end:
            break
        process = real.start()
        target = min(real.rows() + draw.randrange(1, end // 4), end)
        wait_until(lambda: real.rows() >= target or process.poll() is not None)  # noqa: B023
        time.sleep(draw.random() * 0.1)
        process.send_signal(number)
        given = finish(process)
        assert given.code in (0, CODES[number]) and "Traceback" not in given.out + given.err
    real.assert_done(finish(real.start()))


@slow
@pytest.mark.parametrize("tenths", range(0, 30, 6))
def test_interrupt_in_the_first_seconds_is_one_line(tenths, tmp_path):
    real = Real(tmp_path, "long")
    process = real.start(start_new_session=True)
    assert "to compute" in process.stdout.readline()
    time.sleep(tenths / 10)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does
    given = finish(process)
    assert given.code == 130 and given.err.count("\n") <= 1, given
    assert "Traceback" not in given.out + given.err
    real.assert_done(finish(real.start()))


@slow
def test_launchers_and_trainers_at_once_compute_the_same(tmp_path):
    real = Real(tmp_path, "long", seeds=(42, 43, 44))
    processes = [real.start() for _ in range(3)]
    children = [trainer(real.runs[seed], flags=real.flags[seed]) for seed in (42, 44)]
    assert {child.end().code for child in children} <= {0, runs.EXIT_BUSY}
    for process in processes:
        given = finish(process)
        assert given.code == 0 and "Traceback" not in given.out + given.err, given
    real.assert_done(finish(real.start()))


@slow
def test_damaged_runs_stop_no_other(tmp_path):
    # One of another configuration is refused before anything starts.
    faults = {f: how for f, (how, said) in OF_A_RUN.items() if said and "->" not in said}
    intact, whole_ones = 42, (43, 44)
    faults = dict(random.Random(5).sample(list(faults.items()), 12))
    real = Real(tmp_path, seeds=(intact, *whole_ones, *range(100, 100 + len(faults))))
    for seed, damage in zip(range(100, 1000), faults.values(), strict=False):
        damage(put(unfinished(real.flags[seed]), real.runs[seed]))
    given = finish(real.start())
    assert given.code == 1 and "Traceback" not in given.out + given.err
    for seed in (intact, *whole_ones):
        assert_same(real.runs[seed], real.flags[seed])
    assert not [s for s in range(100, 100 + len(faults)) if runs.is_complete(real.runs[s])]


ENVIRONMENTS = {
    "no home": {"HOME": "/nowhere"},
    "no folder for temporaries": {"TMPDIR": "/nowhere"},
    "a folder for temporaries of a long name": {"TMPDIR": "/tmp/" + "t" * 120},
    "a safe path": {"PYTHONSAFEPATH": "1"},
    "ascii": {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONIOENCODING": "ascii"},
    "no terminal": {"TERM": "", "COLUMNS": "0"},
}


@slow
@pytest.mark.parametrize("fault", ENVIRONMENTS)
def test_launcher_in_an_odd_environment_computes_the_same(fault, tmp_path):
    real = Real(tmp_path / "größe it's")
    real.assert_done(finish(real.start(environment=ENVIRONMENTS[fault], cwd=tmp_path)))


@slow
def test_launcher_in_a_folder_full_of_shadows_computes_the_same(tmp_path):
    here = tmp_path / "here"
    here.mkdir()
    for name in SHADOWS:
        (here / f"{name}.py").write_text(f"open({str(here / 'executed')!r}, 'a').write({name!r})")
    real = Real(tmp_path)
    real.assert_done(finish(real.start(cwd=here)))
    assert not (here / "executed").exists()


@slow
@pytest.mark.parametrize("pages", [10, 20, 30, 40, 60, 80])
def test_launcher_on_a_full_disk_computes_the_same_when_there_is_space(pages, tmp_path):
    with Disk(tmp_path, f"size={4 * pages}k") as full:
        real = Real(full.folder)
        given = finish(real.start())
        assert given.code in (0, 1, 2) and "Traceback" not in given.out + given.err
        full.remount("size=8m")
        real.assert_done(finish(real.start()))


# ---------------------------------------------------------------------------------- the set-up


@slow
@pytest.mark.parametrize("seed", range(10))
def test_set_up_killed_at_a_random_moment_is_made_again(seed, tmp_path):
    checkout, draw = Checkout(tmp_path), random.Random(seed)
    process = checkout.start("run_main_experiments.sh", *DRAW)
    time.sleep(draw.random())
    process.kill()
    process.communicate()
    given = checkout.draw()
    assert given.returncode == 0 and "figure drawn" in given.stdout
    assert checkout.draw().stderr == ""


def test_files_of_the_working_folder_are_not_executed_by_the_set_up(tmp_path):
    """With the real Python, which looks its packages up and makes an environment."""
    checkout = Checkout(tmp_path)
    (checkout.folder / "requirements.txt").write_text("pytest==0.0.1\n")
    here = tmp_path / "here"
    here.mkdir()
    for name in ("email", "pip", "venv", "importlib", "ensurepip", "pathlib", "zipfile", "csv"):
        (here / f"{name}.py").write_text(f"open({str(here / 'executed')!r}, 'a').write({name!r})")
    ask = f"""source '{checkout.folder}/setup_environment.sh'
        has_requirements '{sys.executable}' requirements.txt || find_base_python"""
    subprocess.run(["bash", "-c", ask], cwd=here, check=True)
    assert not (here / "executed").exists()


@slow
def test_environment_is_made_in_a_folder_full_of_shadows(tmp_path):
    checkout = Checkout(tmp_path)
    (checkout.folder / "requirements.txt").write_text("")
    here = tmp_path / "here"
    here.mkdir()
    for name in ("email", "pip", "venv", "importlib", "ensurepip", "pathlib", "zipfile", "csv"):
        (here / f"{name}.py").write_text(f"open({str(here / 'executed')!r}, 'a').write({name!r})")
    make = f"source '{checkout.folder}/setup_environment.sh'; make_environment requirements.txt"
    subprocess.run(["bash", "-c", make], cwd=here, check=True)
    assert not (here / "executed").exists()
    assert (checkout.folder / ".venv/requirements.txt.complete").exists()
