"""Runs of one shape start in one process, and are shown, counted and reported one by one."""

import signal
from collections import Counter

import pytest
from launcher import Launcher

import train
from configuration import runs, stacking
from experiment.catalog import Catalog
from launching.batches import batches, in_words
from launching.plan import plan

CATALOG = Catalog(train.paper.FIGURES, train.related.FIGURES, not_in=train.paper.NOT_IN)
ONE_SHAPE = ("--run", "add_stablemax", "--quick", "--device", "cpu")


@pytest.fixture
def launcher(tmp_path):
    launcher = Launcher(tmp_path)
    yield launcher
    launcher.close()


def jobs(*figures, seeds=(0, 1, 2, 3, 4), root="runs"):
    return plan(CATALOG.figures(figures), size="full", seeds=seeds, root=root)


def test_batches_hold_each_job_once_and_runs_of_one_shape_up_to_the_number_asked_for():
    planned = jobs("1", "2")
    for most in (1, 2, 5, 100):
        parts = batches(planned, most)
        labels = [job.label for batch in parts for job in batch]
        assert sorted(labels) == sorted(job.label for job in planned)
        assert max(map(len, parts)) <= most
        assert all(len({stacking.shape(job.config) for job in batch}) == 1 for batch in parts)
    # Of figure 2 the three precisions at 40, 60 and 70 %; of figure 1 three runs of no one shape.
    assert Counter(map(len, batches(planned, 100))) == {15: 3, 5: 3}


def test_runs_that_fit_in_no_batch_are_alone_and_it_is_said_why():
    parts = batches(jobs("6", "9", seeds=(0, 1)), 8)
    alone = [batch for batch in parts if stacking.why_alone(batch[0].config)]
    assert len(alone) == 12 + 24 and {len(batch) for batch in alone} == {1}
    assert in_words(alone) == (
        "36 runs in 36 processes, 36 of them alone for network transformer, use_lr_scheduler True"
    )
    assert in_words(batches(jobs("2"), 15)) == "45 runs in 3 processes"


def test_train_py_takes_the_runs_that_a_batch_names(launcher):
    said = launcher.run(*ONE_SHAPE, "--seeds", "4,0,2", "--batch-runs", "2", "--dry-run")
    assert said.returncode == 0 and "3 runs in 2 processes" in said.stderr
    two, one = (line.replace(str(launcher.root), "R") for line in said.stdout.splitlines())
    for line, seeds in ((two, [0, 2]), (one, [4])):
        words = line.replace("'", "").split()[2:]
        parsed = [train.make_parser().parse_args(words) for words in train.split(words)]
        assert [arguments.seed for arguments in parsed] == seeds
        if len(seeds) > 1:
            train.resolve_together(parsed, CATALOG)


def test_one_process_computes_a_batch_and_finished_runs_leave_their_place_empty(launcher):
    assert launcher.run(*ONE_SHAPE, "--seeds", "1").returncode == 0
    done = launcher.run(*ONE_SHAPE, "--seeds", "0,1,2,3", "--batch-runs", "3", "--jobs", "1")
    assert done.returncode == 0 and "3 runs in 2 processes to compute" in done.stdout
    pids = {seed: pid for _, _, seed, _, pid in launcher.events("start")}
    assert pids["0"] == pids["2"] != pids["3"] and len(set(pids.values())) == 3
    assert all(runs.is_complete(launcher.folder("add_stablemax", seed=s)) for s in range(4))
    assert done.stdout.count("finished  ") == 3
    log = (launcher.folder("add_stablemax", seed=2) / runs.LOG).read_text()
    assert "--and" in log and str(launcher.folder("add_stablemax", seed=0) / runs.LOG) in log


def test_a_run_that_fails_is_named_alone_and_the_others_of_its_process_count(launcher):
    fake = {"add_stablemax 1": "fail"}
    done = launcher.run(*ONE_SHAPE, "--seeds", "0,1,2", "--batch-runs", "3", fake=fake)
    assert done.returncode == 1
    assert "seed 1 exited 3; the end of" in done.stdout and "boom: the reason" in done.stdout
    assert [runs.is_complete(launcher.folder("add_stablemax", seed=s)) for s in range(3)] == [
        True, False, True,
    ]  # fmt: skip
    assert done.stdout.count("FAILED    ") == 1 and done.stdout.count("finished  ") == 2
    again = launcher.run(*ONE_SHAPE, "--seeds", "0,1,2", "--batch-runs", "3")
    assert again.returncode == 0 and "1 run in 1 process to compute" in again.stdout


def test_a_run_whose_folder_cannot_be_made_fails_alone(launcher):
    folder = launcher.folder("add_stablemax", seed=0)
    folder.parent.mkdir(parents=True)
    folder.write_text("a file")
    done = launcher.run(*ONE_SHAPE, "--seeds", "0,1,2", "--batch-runs", "3")
    assert done.returncode == 1
    assert done.stdout.count("cannot be started") == 2 and done.stdout.count("finished  ") == 2


def test_a_signal_stops_a_batch_and_what_was_complete_stays_so(launcher):
    process = launcher.start(
        *ONE_SHAPE, "--seeds", "0,1", "--batch-runs", "2", fake={"add_stablemax 1": "hang"}
    )
    launcher.wait_for("row", 2)
    process.send_signal(signal.SIGTERM)
    out, _ = process.communicate(timeout=30)
    assert process.returncode == 128 + signal.SIGTERM
    assert "stopped with 1 run left" in out and out.count("finished  ") == 1


def test_a_run_that_another_process_computes_is_waited_for_and_the_batch_starts(launcher):
    folder, config = launcher.folder("add_stablemax", seed=1), None
    config = CATALOG.run("add_stablemax").form("quick", 1)[1]
    with runs.RunFolder(folder, config):
        process = launcher.start(*ONE_SHAPE, "--seeds", "0,1,2", "--batch-runs", "3")
        launcher.wait_for("end", 2)
        assert {event[2] for event in launcher.events("end")} == {"0", "2"}
    out, _ = process.communicate(timeout=30)
    assert process.returncode == 0 and "waits for" in out
    assert runs.is_complete(folder)


def test_a_number_of_runs_that_is_none_is_refused(launcher):
    said = launcher.run("--batch-runs", "0", "--dry-run")
    assert said.returncode == 2
    assert said.stderr == "--batch-runs '0': choose a whole number from 1\n"
