"""A trainer that is killed, stopped, met by another one or robbed of its files: nothing is lost."""

import os
import random
import shutil
import signal
import time

import pytest
from faulty import (
    FLAGS,
    LONG,
    SAVING,
    Answer,
    assert_one_line,
    assert_same,
    call,
    flipped,
    kill_at,
    limit_files,
    put,
    settles,
    size,
    some,
    state_of,
    trainer,
    unfinished,
    wait_until,
    whole,
)

import train
from configuration import runs
from conftest import slow

OTHER_SEED = FLAGS + " --seed 43"
OFTEN = ("--checkpoint_seconds", "0")

# ---------------------------------------------------------------------------------- at any moment

SIGNALS = {
    signal.SIGKILL: -signal.SIGKILL,
    signal.SIGTERM: runs.EXIT_STOPPED,
    signal.SIGINT: runs.EXIT_STOPPED,
    signal.SIGHUP: -signal.SIGHUP,
    signal.SIGQUIT: -signal.SIGQUIT,
    signal.SIGUSR1: runs.EXIT_STOPPED,
}


def struck(number, folder, flags, draw, times) -> int:
    """Strikes a trainer at random moments and starts it again; how often it hit one at work."""
    hits, metrics = 0, folder / runs.METRICS
    end = len(whole(flags)[runs.METRICS])
    for _ in range(times):
        if size(metrics) == end:
            break
        child = trainer(folder, "--checkpoint_seconds", draw.choice(("0", "0.01")), flags=flags)
        target = min(size(metrics) + draw.randrange(1, end // times), end)
        wait_until(lambda: size(metrics) >= target or child.has_ended())  # noqa: B023
        time.sleep(draw.random() * 0.01)  # anywhere in a step
        if not child.has_ended():
            child.strike(number)
        given = child.end()
        assert given.code in (0, SIGNALS[number]) and given.err == "", given
        hits += given.code != 0
    settles(folder, flags)
    return hits


@pytest.mark.parametrize("number", some(SIGNALS, 3))
def test_run_struck_at_random_moments_is_the_same(number, tmp_path):
    assert struck(number, tmp_path / "run", LONG, random.Random(number), 3) >= 1


@slow
@pytest.mark.parametrize("flags", [LONG, LONG + " --save_weights"], ids=["rows", "weights"])
@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("number", SIGNALS)
def test_run_struck_often_is_the_same(number, seed, flags, tmp_path):
    assert struck(number, tmp_path / "run", flags, random.Random(seed), 6) >= 2


def killed_at(operation, folder, *more, flags=FLAGS) -> Answer:
    def before():
        kill_at(operation, folder)

    return trainer(folder, *OFTEN, *more, flags=flags, before=before).end()


STARTS = {  # what the folder holds, flags
    "nothing": (dict, ()),
    "an unfinished run": (unfinished, ()),
    "a complete run": (whole, ("--force",)),
}


@pytest.mark.parametrize("operation", some(random.Random(3).sample(range(60), 6), 3))
@pytest.mark.parametrize("start", STARTS)
def test_run_killed_before_an_operation_on_a_file_is_the_same(start, operation, tmp_path):
    found, more = STARTS[start]
    folder = put(found(), tmp_path / "run")
    assert killed_at(operation, folder, *more).code == -signal.SIGKILL
    settles(folder)


@slow
@pytest.mark.parametrize("start", STARTS)
def test_run_killed_before_any_operation_on_a_file_is_the_same(start, tmp_path):
    found, more = STARTS[start]
    for operation in range(1000):
        folder = put(found(SAVING) if found is not dict else {}, tmp_path / f"run {operation}")
        given = killed_at(operation, folder, *more, flags=SAVING)
        settles(folder, SAVING)
        if given.code == 0:
            break
    assert operation > 40


# Bytes at which a write is cut: in config.json, in metrics.csv, in checkpoint.pt.
CUTS = (0, 1, 300, 900, 1500, 2200, 2400, 5000, 11000)


@pytest.mark.parametrize("most", CUTS)
def test_run_killed_in_the_midst_of_a_write_is_the_same(most, tmp_path):
    folder = put({}, tmp_path / "run")
    given = trainer(folder, *OFTEN, before=lambda: limit_files(most, kill=True)).end()
    assert given.code == -signal.SIGXFSZ
    settles(folder)


# ---------------------------------------------------------------------------------- two of them


def stopped(folder):
    """A trainer that SIGSTOP has stopped in the midst of its run."""
    child = trainer(folder, *OFTEN, flags=LONG)
    wait_until(lambda: size(folder / runs.METRICS) > 500)
    child.strike(signal.SIGSTOP)
    wait_until(lambda: state_of(child.pid) == "T")
    return child


def test_run_stopped_and_continued_is_the_same(tmp_path):
    child = stopped(tmp_path / "run")
    for _ in range(3):
        child.strike(signal.SIGCONT)
        before = size(tmp_path / "run" / runs.METRICS)
        wait_until(lambda: size(tmp_path / "run" / runs.METRICS) > before)  # noqa: B023
        child.strike(signal.SIGSTOP)
        wait_until(lambda: state_of(child.pid) == "T")
    child.strike(signal.SIGCONT)
    given = child.end()
    assert (given.code, given.err) == (0, "")
    assert_same(tmp_path / "run", LONG)


def test_second_trainer_leaves_a_stopped_one_alone(tmp_path):
    child = stopped(tmp_path / "run")
    for more in ((), ("--force",)):
        second = call(tmp_path / "run", *more, flags=LONG)
        assert_one_line(second, f"by process {child.pid} on", code=runs.EXIT_BUSY)
    child.strike(signal.SIGCONT)
    assert child.end().code == 0
    assert_same(tmp_path / "run", LONG)


def test_trainer_killed_while_it_is_stopped_leaves_its_folder_free(tmp_path):
    child = stopped(tmp_path / "run")
    child.strike(signal.SIGKILL)
    child.end()
    settles(tmp_path / "run", LONG)


@pytest.mark.parametrize("count", some([3, 2, 5, 8], 4))
def test_of_trainers_started_at_once_one_computes(count, tmp_path):
    children = [trainer(tmp_path / "run", flags=LONG) for _ in range(count)]
    given = [child.end() for child in children]
    assert sorted({g.code for g in given}) in ([0], [0, runs.EXIT_BUSY])
    assert not any("Traceback" in g.err for g in given)
    assert sum("step 0/" in g.out for g in given) == 1
    assert_same(tmp_path / "run", LONG)


def test_trainers_that_are_killed_in_turn_hand_the_run_on(tmp_path):
    draw, folder = random.Random(11), tmp_path / "run"
    for _ in range(4):
        children = [trainer(folder, *OFTEN, flags=LONG) for _ in range(3)]
        before = size(folder / runs.METRICS)
        wait_until(lambda: size(folder / runs.METRICS) > before or runs.is_complete(folder))  # noqa: B023
        draw.shuffle(children)
        for child in children:
            child.strike(signal.SIGKILL)
        assert {child.end().code for child in children} <= {0, -9, runs.EXIT_BUSY}
    settles(folder, LONG)


# ---------------------------------------------------------------------------------- robbed


def at_step(step, strike, monkeypatch):
    """Has `strike` run in a trainer of this process as soon as the row of a step is written."""
    monkeypatch.setattr(
        train, "printer", lambda: lambda row, total: strike() if row["step"] == step else None
    )


def replaced_by_a_copy(path):
    shutil.copy(path, path.with_name("copy"))
    os.replace(path.with_name("copy"), path)


def altered(path):
    """One byte of the first row is another one; the file is as long as it was."""
    content = path.read_bytes()
    path.write_bytes(flipped(content, len(content) // 2, random.Random(1)))


NOTICED = {  # said in one line
    "lock deleted": (lambda f: (f / runs.LOCK).unlink(), FLAGS),
    "lock replaced": (lambda f: replaced_by_a_copy(f / runs.LOCK), FLAGS),
    "metrics deleted": (lambda f: (f / runs.METRICS).unlink(), FLAGS),
    "metrics renamed": (lambda f: (f / runs.METRICS).rename(f / "mine.csv"), FLAGS),
    "metrics altered": (lambda f: altered(f / runs.METRICS), FLAGS),
    "metrics replaced by others": (
        lambda f: (f / runs.METRICS).write_bytes(whole(OTHER_SEED)[runs.METRICS]),
        FLAGS,
    ),
    "metrics emptied": (lambda f: (f / runs.METRICS).write_bytes(b""), FLAGS),
    "folder deleted": (shutil.rmtree, FLAGS),
    "folder renamed": (lambda f: f.rename(f.with_name("elsewhere")), FLAGS),
    "folder deleted and made again": (lambda f: (shutil.rmtree(f), f.mkdir()), FLAGS),
    "a row of another process": (lambda f: (f / runs.METRICS).open("a").write("1,1\n"), FLAGS),
    "weights altered": (lambda f: altered(f / runs.WEIGHTS), SAVING),
    "weights deleted": (lambda f: (f / runs.WEIGHTS).unlink(), SAVING),
}


@pytest.mark.parametrize("seconds", some(["0", "60"], 2))  # between checkpoints
@pytest.mark.parametrize("fault", NOTICED)
def test_trainer_notices(fault, seconds, tmp_path, monkeypatch):
    strike, flags = NOTICED[fault]
    folder = tmp_path / "run"
    whole(OTHER_SEED)  # before `strike` may ask for it
    at_step(10, lambda: strike(folder), monkeypatch)
    given = call(folder, "--checkpoint_seconds", seconds, flags=flags)
    assert_one_line(given, str(folder))
    assert not runs.is_complete(folder)
    monkeypatch.undo()
    settles(folder, flags)


UNNOTICED = {  # what the end of the run makes anew
    "checkpoint deleted": lambda f: (f / runs.CHECKPOINT).unlink(),
    "checkpoint garbage": lambda f: (f / runs.CHECKPOINT).write_bytes(b"garbage"),
    "a temporary left": lambda f: (f / ".checkpoint.pt.x1").write_bytes(b"half"),
    "a foreign file": lambda f: (f / "notes.txt").write_text("mine"),
    "env deleted": lambda f: (f / runs.ENV).unlink(),
    "metrics replaced by a copy": lambda f: replaced_by_a_copy(f / runs.METRICS),
}


@pytest.mark.parametrize("fault", some(UNNOTICED, 3))
def test_trainer_is_not_disturbed_by(fault, tmp_path, monkeypatch):
    at_step(10, lambda: UNNOTICED[fault](tmp_path / "run"), monkeypatch)
    given = call(tmp_path / "run", *OFTEN)
    assert (given.code, given.err) == (0, "")
    assert_same(tmp_path / "run")


def test_trainer_that_was_robbed_of_its_lock_gives_way_to_the_second(tmp_path):
    folder = tmp_path / "run"
    first = stopped(folder)
    (folder / runs.LOCK).unlink()
    second = trainer(folder, *OFTEN, flags=LONG)
    wait_until(lambda: second.has_ended() or (folder / runs.LOCK).exists())
    first.strike(signal.SIGCONT)
    given = first.end()
    assert_one_line(given, runs.LOCK)
    assert second.end().code in (0, 2)
    settles(folder, LONG)
