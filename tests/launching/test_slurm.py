"""The Slurm launcher: its flags, what a task holds and refuses, and a real cluster of one node."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from cluster import Cluster, missing, wait_until
from house import CATALOG
from launcher import is_alive
from test_architecture import PATHS, RUN, place

import launch
from configuration import runs
from conftest import ROOT, slow
from launching import slurm, slurm_task
from launching.plan import plan
from launching.progress import Lines

HELD = Path(__file__).with_name("held_figure.py")
NAMES = ("held_requeued", "held_killed", "held_plain")


def jobs_of(figure: str, root, seeds=(42,)):
    return plan(CATALOG.figures([figure]), size="quick", seeds=seeds, root=root)


# ---------------------------------------------------------------------------------- flags


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ("--launcher lsf", "unknown launcher 'lsf'; choose from local, slurm"),
        ("--partition p", "--partition is for a cluster; add --launcher slurm, or drop it"),
        ("--wait", "--wait is for a cluster; add --launcher slurm, or drop it"),
        (
            "--launcher slurm --device cpu",
            "--device is for this machine; with --launcher slurm say --gpus-per-run 0 or 1",
        ),
        ("--launcher slurm --gpus-per-run 2", "--gpus-per-run '2': choose 0 or 1"),
        (
            "--launcher slurm --graphed",
            "--graphed is for a CUDA device; add --gpus-per-run 1, or drop it",
        ),
        ("--launcher slurm --max-parallel 0", "--max-parallel '0': choose a whole number from 1"),
        (
            "--launcher slurm --time 4:59",
            "--time '4:59': choose at least 5 minutes, as H:MM:SS or D-HH:MM:SS",
        ),
        (
            "--launcher slurm --slurm mem",
            "--slurm 'mem=': write KEY=VALUE, such as account=NAME or mem=8G",
        ),
        ("--launcher slurm --slurm time=9", "--slurm 'time=9': say --time"),
    ],
)
def test_bad_flags_of_a_cluster_are_one_line_and_exit_2(words, line, tmp_path, capsys):
    words = words.replace("mem", "mem=").split()
    assert launch.main([*words, "--figures", "1", "--runs", str(tmp_path / "runs")]) == 2
    assert capsys.readouterr().err == line + "\n"
    assert not (tmp_path / "runs").exists()


def test_a_missing_submitit_is_one_line_with_the_command_that_installs_it(monkeypatch, capsys):
    monkeypatch.setattr(slurm, "find_spec", lambda name: None)
    assert launch.main(["--launcher", "slurm", "--figures", "1"]) == 2
    assert capsys.readouterr().err.endswith(f"; {sys.executable} -m pip install submitit\n")


def test_slurm_that_is_not_here_is_one_line(monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert launch.main(["--launcher", "slurm", "--status", "--figures", "1"]) == 2
    assert capsys.readouterr().err.startswith("squeue is not installed here; ")


@pytest.mark.parametrize(
    ("text", "minutes"),
    [("30", 30), ("90:30", 90), ("04:00:00", 240), ("2-12", 3600), ("1-00:30", 1470),
     ("1-1:1:59", 1501)],
)  # fmt: skip
def test_a_time_means_what_it_means_to_sbatch(text, minutes):
    assert slurm._minutes(text) == minutes


def test_a_damaged_record_of_a_submission_is_one_line(tmp_path, monkeypatch, capsys):
    record = tmp_path / slurm.FOLDER / "grokking-01234567.json"
    record.parent.mkdir()
    record.write_text('{"name": "grok')
    monkeypatch.setattr(slurm, "ask", lambda *command: "")
    words = ["--launcher", "slurm", "--status", "--figures", "1", "--runs", str(tmp_path)]
    assert launch.main(words) == 2
    expected = f"{record} cannot be read; delete it, and its tasks are forgotten\n"
    assert capsys.readouterr().err == expected


@pytest.mark.parametrize("state", ["PENDING", None])
def test_only_what_is_in_the_queue_is_left_out_whatever_else_runs_there(
    state, tmp_path, monkeypatch
):
    first, second, third = jobs_of("1", tmp_path)
    submissions = [(1, [[first.label], [second.label]]), (2, [[first.label]])]
    (tmp_path / slurm.FOLDER).mkdir()
    for number, tasks in submissions:
        record = {"name": f"grokking-0000000{number}", "submitted": number, "job": str(number),
                  "tasks": tasks}  # fmt: skip
        path = tmp_path / slurm.FOLDER / f"{record['name']}.json"
        path.write_text(json.dumps(record))
    lines = "7|N/A|RUNNING|a|b\n" + (f"2|N/A|{state}|grokking-00000002\n" if state else "")
    monkeypatch.setattr(slurm, "ask", lambda *command: lines)
    queue = slurm.Queue(tmp_path)
    assert [queue.has(job) for job in (first, second, third)] == [state is not None, False, False]
    places = [queue.place(job) for job in (first, second)]
    assert [place.id for place in places] == ["2", "1_1"] and queue.place(third) is None


def test_a_run_that_failed_in_its_task_is_followed_to_the_log_that_says_why(
    tmp_path, monkeypatch, capsys
):
    failed, lost = jobs_of("1", tmp_path)[:2]
    for job in (failed, lost):
        job.folder.mkdir(parents=True)
    (failed.folder / runs.LOG).write_text("the reason\n")
    (tmp_path / slurm.FOLDER).mkdir()
    record = {"name": "grokking-00000001", "submitted": 1, "job": "1",
              "tasks": [[failed.label, lost.label]]}  # fmt: skip
    (tmp_path / slurm.FOLDER / "grokking-00000001.json").write_text(json.dumps(record))
    outcome = tmp_path / slurm.FOLDER / "grokking-00000001-0.json"
    outcome.write_text(json.dumps({failed.label: "exited 2"}))
    monkeypatch.setattr(slurm, "ask", lambda *command: "")
    monkeypatch.setattr(slurm, "LOOK", 0.0)
    monkeypatch.setattr(slurm, "ASK", 0.0)
    follow = slurm.Follow([failed, lost], slurm.Queue(tmp_path))
    follow.run(Lines(30.0))
    capsys.readouterr()
    launch.report_failures(follow.failed)
    said = capsys.readouterr().out
    assert f"{failed.label} exited 2; the end of" in said and "    the reason\n" in said
    assert f"{lost.label} lost its task 1; start the same command again\n" in said


# ---------------------------------------------------------------------------------- tasks


def test_short_runs_share_a_task_and_every_run_has_one(tmp_path):
    jobs = jobs_of("2", tmp_path, seeds=range(5))
    longest = max(job.seconds for job in jobs)
    alone = slurm.share_out(jobs, 0, 1000)
    assert alone == [[job] for job in jobs]
    shares = slurm.share_out(jobs, 3 * longest, 1000)
    assert sum(shares, []) == jobs and len(shares) < len(jobs)
    assert all(sum(job.seconds for job in share) <= 3 * longest for share in shares)
    few = slurm.share_out(jobs, 0, 4)
    assert len(few) == 4 and sorted(sum(few, []), key=jobs.index) == jobs


def test_the_code_that_a_task_vouches_for_is_all_that_a_run_imports():
    found, todo = set(), {"train", "launching.slurm_task", "training.builders"}
    while todo:
        found |= todo
        todo = {m for name in todo for m in RUN[name]} - found
    assert {place(name) for name in found} > {"paper", "training", "tasks", "layers"}
    assert {str(PATHS[name].relative_to(ROOT)) for name in found} <= set(slurm_task.code())


@pytest.mark.parametrize("what", ["code", "environment"])
def test_a_task_refuses_to_compute_with_other_code_than_was_submitted(
    what, tmp_path, monkeypatch, capsys
):
    jobs = jobs_of("1", tmp_path)
    make = slurm_task.task_maker(lambda job: [sys.executable, "-c", "exit()"], "cpu", None)
    share = make(jobs, tmp_path / "outcome.json")
    assert share._changed() is None
    name = "metrics.py" if what == "code" else "torch"
    monkeypatch.setattr(share, what, getattr(share, what) | {name: "as it was"})
    with pytest.raises(SystemExit) as stop:
        share()
    assert stop.value.code == 2
    failures = json.loads(share.outcome.read_text())
    assert set(failures) == {job.label for job in jobs}
    assert all(re.match(f"refused: {name}.* changed", text) for text in failures.values())
    assert not any(job.folder.exists() for job in jobs)


# ---------------------------------------------------------------------------------- a cluster


@pytest.fixture
def cluster():
    reason = missing()
    if reason:
        pytest.skip(reason)
    pytest.importorskip("submitit")
    folder = Path(tempfile.mkdtemp(prefix="slurm-"))
    started = Cluster(folder)
    try:
        started.start()
        yield started
    finally:
        started.stop()
        shutil.rmtree(folder)


@slow
def test_requeued_and_killed_runs_of_a_cluster_have_the_bytes_of_a_local_launch(
    cluster, tmp_path, record_property
):
    root, gate = tmp_path / "the runs", tmp_path / "gate"
    everywhere = ["--figures-from", str(HELD), "--out", str(tmp_path / "pictures")]
    front = [sys.executable, "-P", str(ROOT / "launch.py"), *everywhere]
    command = [*front, "--runs", str(root), "--launcher", "slurm", "--task-minutes", "0"]
    environment = cluster.environment | {"GATE": str(gate)}
    folder = {name: runs.run_folder(root, name, 42) for name in NAMES}

    def start(*more):
        done = subprocess.run([*command, *more], env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def logs():
        paths = sorted((root / slurm.FOLDER).glob("*.out"))
        return "".join(f"== {path.name}\n{path.read_text()}" for path in paths)

    def states():
        return dict(line.split() for line in cluster("squeue", "-hro", "%F_%K %T").splitlines())

    def rows(name):
        return int((runs.last_row(folder[name]) or {"step": 0})["step"])

    def computes(name):
        return int((folder[name] / runs.LOCK).read_text().split()[0])

    first = re.search(r"3 runs: 3 submitted as job (\d+), 3 tasks", start())[1]
    requeued, timed_out = f"{first}_0", f"{first}_1"
    wait_until(lambda: rows(NAMES[0]) and rows(NAMES[1]), "rows of two runs")
    cluster("scontrol", "requeue", requeued)
    cluster("scancel", "--signal=USR2", timed_out)  # as Slurm does before a time limit
    for name in NAMES[:2]:
        wait_until(lambda name=name: f"continues {name} seed 42" in logs(), f"{name} to go on")
    text = logs()
    assert "DUE TO JOB REQUEUE" in text and "SIGUSR2: begun runs have their checkpoints" in text
    assert text.count("restarted 1 times") == 2

    wait_until(lambda: is_alive(computes(NAMES[1])), "the process of a run")
    os.kill(computes(NAMES[1]), signal.SIGKILL)
    wait_until(lambda: timed_out not in states(), "the end of the task whose run was killed")
    assert "was ended by SIGKILL" in start("--status")
    again = start()
    second = re.search(r"2 in the queue already, 1 submitted as job (\d+), 1 task", again)[1]
    assert set(states()) == {requeued, f"{first}_2", f"{second}_N/A"}

    gate.touch()
    followed = start("--wait", "--interval", "1")
    assert followed.startswith("3 runs: 3 in the queue already\n")
    assert all(f"finished  {name} seed 42" in followed for name in NAMES)
    assert "3 runs, 3 finished" in start("--status")
    assert start() == "3 runs: 3 finished\n"

    local = [*front, "--runs", str(tmp_path / "local"), "--device", "cpu"]
    here = subprocess.run(local, capture_output=True, text=True)
    assert here.returncode == 0, here.stdout
    assert followed.split("drawing:")[1] == here.stdout.split("drawing:")[1]
    for name in NAMES:
        other = runs.run_folder(tmp_path / "local", name, 42) / runs.METRICS
        assert (folder[name] / runs.METRICS).read_bytes() == other.read_bytes()
    record_property("tasks of the cluster", logs())
