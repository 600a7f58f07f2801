"""Odd streams, folders, users, clocks, environments: the same bytes, or one line."""

import itertools
import os
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest
from faulty import (
    FLAGS,
    SAVING,
    Answer,
    assert_one_line,
    assert_same,
    call,
    files,
    nobody,
    put,
    reachable,
    settles,
    some,
    spoil,
    trainer,
    unfinished,
    whole,
)

import train
from configuration import runs
from conftest import ROOT, slow

SCRIPTS = ("train.py", "launch.py", "plots.py", "claims.py")


def process(*words, script="train.py", environment=None, **options) -> Answer:
    """A script of ours as a process of its own."""
    command = [sys.executable, str(ROOT / script), *map(str, words)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "env": environment}
    done = subprocess.run(command, **pipes | options)
    return Answer(done.returncode, *((s or b"").decode() for s in (done.stdout, done.stderr)))


def words_of(folder, flags=FLAGS):
    return [*flags.split(), "--run_dir", str(folder)]


# ---------------------------------------------------------------------------------- streams


STREAMS = {
    f"{fault}: {' and '.join(map(str, numbers))}": [(fault, number) for number in numbers]
    for fault in ("full", "broken", "closed")
    for numbers in ((1,), (2,), (1, 2))
}


@pytest.mark.parametrize("fault", STREAMS)
def test_run_is_computed_whatever_becomes_of_its_streams(fault, tmp_path):
    given = trainer(tmp_path / "run", before=lambda: spoil(STREAMS[fault])).end()
    assert (given.code, given.err) == (0, "")
    assert_same(tmp_path / "run")


@pytest.mark.parametrize("fault", some(STREAMS, 4))
def test_complete_run_is_complete_whatever_becomes_of_the_streams(fault, tmp_path):
    put(whole(), tmp_path / "run")
    given = process(*words_of(tmp_path / "run"), preexec_fn=lambda: spoil(STREAMS[fault]))
    assert (given.code, given.err) == (0, "")


@pytest.mark.parametrize("fault", some(STREAMS, 4))
def test_refusal_has_its_code_whatever_becomes_of_the_streams(fault):
    given = process("--lr", "0.1", "--device", "tpu", preexec_fn=lambda: spoil(STREAMS[fault]))
    assert given.code == 2 and "Traceback" not in given.err


# ---------------------------------------------------------------------------------- folders

FOLDERS = {
    "spaces": " a  b ",
    "unicode": "größe-訓練-🙂",
    "a new line": "a\nb",
    "an apostrophe": 'it\'s "so"',
    "a dash in front": "-x",
    "a percent sign": "%s %(name)s {0}",
    "no text": os.fsdecode(b"a\xff\xfeb"),
    "a long name": "x" * 255,
    "a long path": "/".join(["y" * 100] * 12),
    "many levels": "/".join("z" * 200),
    "dots": "a/../b/./c",
    "a wildcard": "*[a]?",
}


@pytest.mark.parametrize("name", some(FOLDERS, 2))
def test_run_in_an_odd_folder_is_the_same(name, tmp_path):
    folder = tmp_path / FOLDERS[name]
    given = trainer(folder).end()  # with streams that are strict
    assert (given.code, given.err) == (0, "")
    assert_same(folder)
    assert call(folder).code == 0


def test_run_in_a_folder_behind_a_link_is_the_same(tmp_path):
    put(unfinished(), tmp_path / "there")
    (tmp_path / "here").symlink_to("there")
    settles(tmp_path / "here")
    assert_same(tmp_path / "there")


def test_places_that_can_be_no_folder_are_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    (tmp_path / "dangling").symlink_to("nowhere")
    (tmp_path / "circle").symlink_to("circle")
    for folder in ("file", "file/run", "dangling", "circle", "circle/run", "x" * 256):
        assert_one_line(call(tmp_path / folder), folder, "choose another --run_dir")
    for folder in ("/proc/run", "/dev/null"):
        assert_one_line(call(folder), folder, "choose another --run_dir")


@pytest.mark.parametrize("foreign", [runs.METRICS, runs.CHECKPOINT, runs.SUMMARY])
def test_folder_of_another_program_is_left_alone(foreign, tmp_path):
    (tmp_path / foreign).write_bytes(b"mine")
    assert_one_line(call(tmp_path), "not a run folder")
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} | {"lock": b""} == {
        foreign: b"mine", "lock": b""
    }  # fmt: skip


def test_folder_of_another_run_is_left_alone(tmp_path):
    folder = put(unfinished(SAVING), tmp_path / "run")
    before = files(folder)
    assert_one_line(call(folder), "save_weights True -> False", "choose another --run_dir")
    assert files(folder) == before


@pytest.mark.parametrize("mask", [0o000, 0o002, 0o022, 0o027, 0o077])
def test_files_are_for_those_whom_the_umask_lets(mask, tmp_path):
    given = trainer(tmp_path / "run", flags=SAVING, before=lambda: os.umask(mask)).end()
    assert given.code == 0
    modes = {p.name: stat.S_IMODE(p.stat().st_mode) for p in (tmp_path / "run").iterdir()}
    assert {name: oct(mode) for name, mode in modes.items() if mode & mask} == {}
    assert_same(tmp_path / "run", SAVING)


# ---------------------------------------------------------------------------------- users

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root to be another user")


@as_root
@pytest.mark.parametrize(
    "mode, said", [(0o755, "cannot write"), (0o555, "cannot write"), (0o700, "Permission denied")]
)
def test_folder_of_another_user_is_one_line(mode, said, tmp_path):
    folder = put(unfinished(), reachable(tmp_path) / "run")
    folder.chmod(mode)
    before = files(folder)
    assert_one_line(trainer(folder, before=nobody).end(), said)
    assert files(folder) == before
    settles(folder)


@as_root
@pytest.mark.parametrize("name", [runs.CONFIG, runs.CHECKPOINT, runs.METRICS, runs.LOCK])
def test_file_of_another_user_is_one_line(name, tmp_path):
    folder = put(unfinished() | {runs.LOCK: b""}, reachable(tmp_path) / "run")
    folder.chmod(0o777)
    (folder / name).chmod(0o600)
    before = files(folder)
    assert_one_line(trainer(folder, before=nobody).end(), "Permission denied")
    assert files(folder) == before
    settles(folder)


# ---------------------------------------------------------------------------------- clocks

NOON = 1_700_000_000.0
CLOCKS = {
    "in 1970": lambda: itertools.repeat(0.0),
    "before 1970": lambda: itertools.repeat(-NOON),
    "in 2100": lambda: itertools.repeat(4_200_000_000.0),
    "backwards": lambda: itertools.count(NOON, -3600),
    "fast": lambda: itertools.count(NOON, 3600),
    "standing": lambda: itertools.repeat(NOON),
}


@pytest.mark.parametrize("fault", CLOCKS)
def test_run_under_an_odd_clock_is_the_same(fault, tmp_path, monkeypatch):
    wall, steady = CLOCKS[fault](), CLOCKS["fast" if fault == "fast" else "standing"]()
    monkeypatch.setattr(time, "time", lambda: next(wall))
    monkeypatch.setattr(train.time, "monotonic", lambda: next(steady))
    folder = put(unfinished(), tmp_path / "run")
    given = call(folder)
    monkeypatch.undo()
    assert (given.code, given.err) == (0, "")
    assert_same(folder)


# ---------------------------------------------------------------------------------- environments

PLAIN = {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "OMP_NUM_THREADS": "1", "MKL_CBWR": "AVX2"}
ENVIRONMENTS = {
    "no path": {"PATH": ""},
    "a home that is not there": {"HOME": "/nowhere"},
    "a folder for temporaries that is not there": {"TMPDIR": "/nowhere"},
    "a folder for temporaries of a long name": {"TMPDIR": "/tmp/" + "t" * 120},
    "ascii": {"LANG": "C", "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONIOENCODING": "ascii"},
    "a safe path": {"PYTHONSAFEPATH": "1"},
    "no bytecode": {"PYTHONDONTWRITEBYTECODE": "1", "PYTHONPYCACHEPREFIX": "/nowhere"},
    "assertions off": {"PYTHONOPTIMIZE": "2"},
    "a seed of hashes": {"PYTHONHASHSEED": "7"},
    "unbuffered": {"PYTHONUNBUFFERED": "1"},
    "developer's checks": {"PYTHONDEVMODE": "1", "PYTHONWARNINGS": "ignore"},
    "a narrow terminal": {"COLUMNS": "1", "LINES": "1", "TERM": "dumb"},
}


@slow
@pytest.mark.parametrize("fault", ENVIRONMENTS)
def test_run_in_an_odd_environment_is_the_same(fault, tmp_path):
    folder = put(unfinished(), tmp_path / "größe")
    given = process(*words_of(folder), environment=PLAIN | ENVIRONMENTS[fault], cwd=tmp_path)
    assert (given.code, given.err) == (0, "")
    assert_same(folder)


@pytest.mark.parametrize("script", some(SCRIPTS, 4))
@pytest.mark.parametrize("fault", ["ascii", "a safe path"])
def test_scripts_answer_in_an_odd_environment(fault, script, tmp_path):
    runs_root = tmp_path / "größe"
    put(whole(), runs_root / "run")
    words = {
        "train.py": words_of(runs_root / "run"),
        "launch.py": ["--list", "--figures", "1", "--runs", runs_root],
        "plots.py": ["--compare", runs_root / "gone"],
        "claims.py": ["--figures", "3", "--runs", runs_root],
    }[script]
    environment = PLAIN | ENVIRONMENTS[fault]
    given = process(*words, script=script, environment=environment, cwd=tmp_path)
    if script == "plots.py":
        assert_one_line(given, "gone")
    else:
        assert (given.code, given.err) == (0, "")


# Names that Python and our scripts look for; each says so where it is executed.
SHADOWS = (
    "torch", "pandas", "numpy", "matplotlib", "tqdm", "email", "pip", "json", "csv", "random",
    "socket", "selectors", "signal", "tempfile", "configuration", "runs", "train", "launching",
    "sitecustomize", "usercustomize", "multiprocessing", "datasets", "models", "metrics",
)  # fmt: skip


def shadows(folder: Path) -> Path:
    """A working folder full of modules of somebody else's, which must not be executed."""
    folder.mkdir()
    for name in SHADOWS:
        (folder / f"{name}.py").write_text(
            f"open({str(folder / 'executed')!r}, 'a').write({name!r} + ' ')\n"
        )
    return folder


@pytest.mark.parametrize("script", some(SCRIPTS, 4))
def test_files_of_the_working_folder_are_not_executed(script, tmp_path):
    here = shadows(tmp_path / "here")
    put(whole(), tmp_path / "run")
    words = {
        "train.py": words_of(tmp_path / "run"),
        "launch.py": ["--list", "--figures", "1", "--runs", tmp_path],
        "plots.py": ["--compare", tmp_path / "gone"],
        "claims.py": ["--figures", "3", "--runs", tmp_path],
    }[script]
    process(*words, script=script, cwd=here)
    assert not (here / "executed").exists(), (here / "executed").read_text()


@slow
def test_run_in_a_folder_full_of_shadows_is_the_same(tmp_path):
    here = shadows(tmp_path / "here")
    given = process(*words_of(tmp_path / "run"), cwd=here)
    assert (given.code, given.err) == (0, "")
    assert not (here / "executed").exists()
    assert_same(tmp_path / "run")


@pytest.mark.parametrize("script", some(SCRIPTS, 2))
def test_package_that_is_gone_is_one_line(script, tmp_path):
    words = ["--figures", "3"] if script != "train.py" else words_of(tmp_path / "run")
    command = [sys.executable, "-S", "-E", ROOT / script, *words]
    done = subprocess.run(command, capture_output=True, text=True)
    given = Answer(done.returncode, done.stdout, done.stderr)
    assert_one_line(given, "is not installed in this Python; ")


@slow
@pytest.mark.parametrize("megabytes", [150, 300])
def test_memory_that_does_not_suffice_is_one_line(megabytes, tmp_path):
    import resource

    def before():
        resource.setrlimit(resource.RLIMIT_AS, (megabytes * 2**20, megabytes * 2**20))

    given = process(*words_of(tmp_path / "run"), preexec_fn=before)
    if given.code:
        assert_one_line(given, "memory")
    settles(tmp_path / "run")
