"""--track: what TensorBoard and Weights & Biases wrote, read back, is metrics.csv."""

import dataclasses
import json
import os
import signal
import struct
import sys
from multiprocessing import get_context

import numpy
import pytest

import launch
import train
from configuration import flags, runs
from training import session, tracking

FLAGS = (
    "--lr 0.01 --modulo 7 --hidden_sizes 8 --train_fraction 0.5 --num_epochs 16 --log_frequency 2"
)
BLOCK, HEADER = 2**15, struct.Struct("<IHB")  # of a .wandb file: CRC, length, kind
SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1, signal.SIGUSR2)
STOPPED_AFTER, KILLED_AFTER = 6, 12


@pytest.fixture(autouse=True)
def handlers():
    """train.main takes signals; afterwards they are what they were."""
    before = {n: signal.getsignal(n) for n in SIGNALS}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def call(folder, *more) -> int:
    return train.main([*FLAGS.split(), "--run_dir", str(folder), *more])


def table(folder) -> dict[str, list[tuple[int, float]]]:
    """{column: (step, value) of its cells that are not empty} of metrics.csv."""
    header, *lines = (line.split(",") for line in (folder / runs.METRICS).read_text().split())
    rows = [dict(zip(header, line, strict=True)) for line in lines]
    names = [name for name in header if name != "step"]
    found = {n: [(int(row["step"]), float(row[n])) for row in rows if row[n]] for n in names}
    return {name: cells for name, cells in found.items() if cells}


def tensorboard(folder):
    """(what `table` is, the configuration) of the event files."""
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    read = EventAccumulator(str(folder / "tensorboard"), size_guidance={"scalars": 0}).Reload()
    tags = read.Tags()
    cells = {name: [(x.step, x.value) for x in read.Scalars(name)] for name in tags["scalars"]}
    (config,) = read.Tensors("config/text_summary")
    return cells, json.loads(config.tensor_proto.string_val[0].decode().strip("`json\n"))


def wandb(folder):
    """The same of all offline files of Weights & Biases."""
    pytest.importorskip("wandb")
    from wandb.proto.wandb_internal_pb2 import Record

    cells, config = {}, None
    for path in sorted(folder.glob("wandb/offline-run-*/*.wandb")):
        for record in map(Record.FromString, _records(path.read_bytes())):
            if record.WhichOneof("record_type") == "run":
                config = {x.key: json.loads(x.value_json) for x in record.run.config.update}
            row = {".".join(x.nested_key) or x.key: json.loads(x.value_json)
                   for x in record.history.item}  # fmt: skip
            for name in row:
                if name[0] != "_" and name != "step":
                    cells.setdefault(name, []).append((row["_step"], row[name]))
    config.pop("_wandb")
    return cells, config


def _records(data: bytes):
    """The records of a .wandb file, which is a LevelDB log behind 7 bytes."""
    place, record = 7, b""
    assert data[:4] == b":W&B"
    while place + HEADER.size <= len(data):
        left = BLOCK - place % BLOCK
        if left < HEADER.size:
            place += left
            continue
        _, length, kind = HEADER.unpack_from(data, place)
        place += HEADER.size + length
        record += data[place - length : place]
        if kind in (1, 4):  # whole, or its last part
            yield record
            record = b""


READERS = {"tensorboard": tensorboard, "wandb": wandb}
KEEPS = {"tensorboard": numpy.float32, "wandb": numpy.float64}  # of a number


def interrupted(folder, name, monkeypatch):
    """In a process of its own: the run up to KILLED_AFTER, with a stop and no later checkpoint."""
    tracking.Mirrors([name], folder, None)  # loads its packages once
    update = session.Session.update

    def struck(self):
        update(self)
        if self.step == STOPPED_AFTER:
            os.kill(os.getpid(), signal.SIGTERM)
        if self.step == KILLED_AFTER:
            os.kill(os.getpid(), signal.SIGKILL)

    monkeypatch.setattr(session.Session, "update", struck)
    codes = [in_a_process(folder, name), in_a_process(folder, name)]
    monkeypatch.undo()
    return codes


def in_a_process(folder, name) -> int:
    """The exit code of a tracked run in a process of its own: a tracker keeps what it started."""
    process = get_context("fork").Process(target=lambda: os._exit(call(folder, "--track", name)))
    process.start()
    process.join()
    return process.exitcode


@pytest.mark.parametrize("name", READERS)
def test_rows_and_configuration_are_mirrored_once_through_stop_kill_and_resume(
    name, tmp_path, monkeypatch
):
    pytest.importorskip(name)
    folder = tmp_path / "runs" / "seed_42"
    assert interrupted(folder, name, monkeypatch) == [runs.EXIT_STOPPED, -signal.SIGKILL]
    steps = [step for step, _ in table(folder)["train_loss"]]
    assert steps[-1] > STOPPED_AFTER  # rows that are computed again
    assert in_a_process(folder, name) == 0
    cells, config = READERS[name](folder)
    kept = {column: [(step, float(KEEPS[name](value))) for step, value in rows]
            for column, rows in table(folder).items()}  # fmt: skip
    assert cells == kept
    asked = dataclasses.asdict(runs.read_config(folder))
    assert config == json.loads(json.dumps(asked))
    assert call(tmp_path / "plain") == 0
    assert (folder / runs.METRICS).read_bytes() == (tmp_path / "plain" / runs.METRICS).read_bytes()


@pytest.mark.parametrize("method", ["begin", "row", "end"])
def test_a_tracker_that_fails_is_a_line_and_the_run_goes_on(method, tmp_path, monkeypatch, capsys):
    class Failing:
        packages = ()

        def __init__(self, *_):
            pass

        def begin(self, *_):
            pass

        row = forget = end = begin

    def fail(*_):
        raise OSError("no space\nleft")

    monkeypatch.setattr(Failing, method, fail)
    monkeypatch.setitem(tracking.KINDS, "wandb", Failing)
    monkeypatch.setattr(flags, "find_spec", lambda name: True)
    assert call(tmp_path / "run", "--track", "wandb") == 0
    assert capsys.readouterr().err == "--track wandb failed (no space left); the run goes on\n"
    assert runs.is_complete(tmp_path / "run")


@pytest.mark.parametrize("main", [train.main, launch.main])
def test_a_tracker_that_is_unknown_or_missing_is_one_line_and_exit_2(
    main, tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr(flags, "find_spec", {"torch": True}.get)
    where = ("--runs", str(tmp_path / "runs"))
    flags_of = ("--lr", "0.01") if main is train.main else ("--figures", "1", "--device", "cpu")
    assert main([*flags_of, "--track", "mlflow", *where]) == 2
    assert main([*flags_of, "--track", "wandb", *where]) == 2
    unknown, missing = capsys.readouterr().err.splitlines()
    assert unknown.endswith("unknown tracker 'mlflow'; choose from tensorboard, wandb")
    assert missing.endswith(f"; {sys.executable} -m pip install wandb")
    assert not (tmp_path / "runs").exists()


def test_a_tracker_that_cannot_be_imported_is_one_line_and_exit_2(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "wandb", None)  # an import of it fails
    monkeypatch.setattr(flags, "find_spec", lambda name: True)
    assert call(tmp_path / "run", "--track", "wandb") == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("train.py: --track wandb cannot be used (")
    assert not (tmp_path / "run").exists()


def test_the_launcher_passes_its_trackers_on(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(flags, "find_spec", lambda name: True)
    words = ["--figures", "1", "--dry-run", "--device", "cpu", "--runs", str(tmp_path / "runs")]
    assert launch.main([*words, "--track", "wandb,tensorboard"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines and all(line.endswith("--track wandb tensorboard") for line in lines)


def test_before_the_first_start_the_names_of_trackers_are_checked_and_no_package(
    monkeypatch, capsys
):
    monkeypatch.setattr(flags, "find_spec", lambda name: None)
    assert launch.main(["--figures", "3", "--list", "--track", "wandb"]) == 0
    assert launch.main(["--figures", "3", "--list", "--track", "mlflow"]) == 2
    assert "unknown tracker 'mlflow'" in capsys.readouterr().err
