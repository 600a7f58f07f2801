"""launch.py and launching/, as processes: what is run, in what order, and how
failures, signals and other launchers are met."""

import dataclasses
import json
import os
import pty
import shlex
import signal
import subprocess
import sys

import pytest
from fake_devices import present
from house import CATALOG
from launcher import ROOT, Launcher, is_alive, parent_of, wait_until

import launch
from configuration import runs
from launching import local, plan, progress
from paper.figure_1 import ADD_SOFTMAX64
from paper.figure_6 import TRANSFORMER
from paper.settings import MLP, PARITY, QUICK_MLP, STABLEMAX

RELATED = "division, s5, architectures, optimizers, k-sum, delay-map, landscape, mnist, dimension"
STUDY = "remedies, remedies-grid-add, remedies-grid-div"
CHOICES = f"{', '.join(map(str, range(1, 17)))}, controls, {RELATED}, {STUDY}, related, all"
FIGURE_1 = ["add_orthoadamw", "add_stablemax", "add_softmax64"]


@pytest.fixture
def launcher(tmp_path):
    launcher = Launcher(tmp_path)
    yield launcher
    launcher.close()


def quick_1(*more):
    return ("--figures", "1", "--quick", "--device", "cpu", *more)


def quick(*figures):
    return ("--figures", *figures, "--quick", "--device", "cpu")


# ---------------------------------------------------------------------------------- flags


@pytest.fixture
def front_door(tmp_path, monkeypatch, capsys):
    """front_door(*arguments, gpus=0) -> (exit code, stdout, stderr), in this process."""

    def call(*arguments, gpus=0):
        monkeypatch.setattr(launch.devices, "probe", present(gpus))
        try:
            code = launch.main([*arguments, "--runs", str(tmp_path / "the runs")], train="train.py")
        except SystemExit as stop:
            code = stop.code
        return code, *capsys.readouterr()

    return call


@pytest.mark.parametrize("words", [["--figures", "1"], ["--run", "add_stablemax"]])
def test_the_exit_code_of_looking_says_what_became_of_the_output(front_door, words, monkeypatch):
    monkeypatch.setattr(launch, "told", lambda: 141)
    for how in ("--list", "--dry-run"):
        assert front_door(*words, how, "--device", "cpu")[0] == 141


@pytest.mark.parametrize(
    "words",
    [["1 2"], ["1", "2"], ["2,1"], ["1,", "2"], ["1", "--figures", "2"], ["1,1 2", "2"], ["2 , 1"]],
)
def test_every_way_to_write_a_list_means_the_same(front_door, words):
    plain = front_door("--dry-run", "--device", "cpu", "--figures", "1,2", "--seeds", "3,4")
    other = front_door("--dry-run", "--device", "cpu", "--seeds", "4", "3", "--figures", *words)
    assert plain[0] == 0
    assert len(plain[1].splitlines()) == 2 * (3 + 9)
    assert other == plain


def test_a_list_of_devices_means_the_same_in_every_form(front_door):
    forms = [["cuda:0,cuda:1"], ["cuda:0 cuda:1"], ["cuda", "cuda:1"], ["cuda:0,cuda:1", "cuda:0"]]
    (output,) = {
        front_door("--dry-run", "--figures", "1", "--device", *form, gpus=2)[1] for form in forms
    }
    assert [line.split("--device ")[1].split()[0] for line in output.splitlines()] == [
        "cuda:0",
        "cuda:1",
        "cuda:0",
    ]


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (
            ["--figures", "99"],
            f"unknown figure '99'; choose from {CHOICES}",
        ),
        (
            ["--figures", "1,9x"],
            f"unknown figure '9x'; choose from {CHOICES}",
        ),
        (
            ["--figures"],
            f"--figures '' is empty; choose from {CHOICES}, or drop it",
        ),
        (["--seeds", "x"], "seed 'x': choose a whole number from 0 to 2^63 - 1"),
        (["--seeds", "-1"], "seed '-1': choose a whole number from 0 to 2^63 - 1"),
        (["--seeds", str(2**63)], f"seed '{2**63}': choose a whole number from 0 to 2^63 - 1"),
        (["--jobs", "0"], "--jobs '0': choose a whole number from 1"),
        (["--jobs", "two"], "--jobs 'two': choose a whole number from 1"),
        (["--interval", "nan"], "--interval 'nan': choose seconds from 0.1"),
        (["--device", "tpu"], "unknown device 'tpu'; choose from cpu, cuda:0, cuda:1 ..., mps"),
        (["--device", "cuda:0"], "device cuda:0 is not available here; use --device cpu"),
        (["--device", "cpu,cuda:3"], "device cuda:3 is not available here; use --device cpu"),
        (
            ["--run", "add_stablemax", "--device", "cpu,mps"],
            "device mps has no float64, which stablemax_precision 64 needs; use --device cpu",
        ),
        (
            ["--device", "cpu", "--graphed"],
            "--graphed is for a CUDA device; leave it out with --device cpu",
        ),
        (
            ["--device", "cpu", "--graphed", "--compile"],
            "--graphed and --compile are two forms of an update; give one of them",
        ),
        (
            ["--device", "cpu", "--compile", "--batch-runs", "2"],
            "--compile is of a run alone; drop it or --batch-runs",
        ),
        (
            ["--run", "add_stablemax", "--and"],
            "--and is a flag of train.py; runs that share a process here: --batch-runs N",
        ),
        (["--size", ""], "unknown size ''; choose from full, cpu, quick"),
        (["--size", "tiny"], "unknown size 'tiny'; choose from full, cpu, quick"),
        (["--size", "cpu", "--quick"], "--quick contradicts --size cpu; give one of them"),
        (["--quik"], "unknown flag --quik: did you mean --quick? see --help for all of them"),
        (["--fig", "1"], "unknown flag --fig: did you mean --figures? see --help for all of them"),
    ],
)
def test_bad_input_is_one_line_and_exit_2(front_door, tmp_path, arguments, line):
    code, out, err = front_door(*arguments)
    assert (code, out) == (2, "")
    assert err.removeprefix("run_main_experiments.sh: ") == line + "\n"
    assert not (tmp_path / "the runs").exists()


@pytest.mark.parametrize("flag", ["--compile", "--graphed", "--no-graphed"])
def test_a_form_of_updates_reaches_every_run(front_door, flag):
    asked = ("--dry-run", "--figures", "1", "--device", "cuda:0")
    plain, other = (front_door(*asked, *more, gpus=1)[1] for more in ((), (flag,)))
    assert plain.count("\n") == 3
    assert [line.split() for line in other.splitlines()] == [
        [*line.split(), flag] for line in plain.splitlines()
    ]


def test_empty_folder_for_the_runs_is_refused(capsys):
    assert launch.main(["--runs", ""]) == 2
    assert "--runs '' is empty; name a folder, or drop it" in capsys.readouterr().err


def test_without_device_a_gpu_is_used_where_there_is_one_and_it_is_said(front_door):
    for gpus, device in ((0, "cpu"), (1, "cuda:0")):
        _, out, err = front_door("--dry-run", "--figures", "6", gpus=gpus)
        lines = out.splitlines()
        assert len(lines) == 10 and all(f"--device {device} " in line for line in lines)
        assert err.startswith("no --device given: using")


def test_a_change_of_device_is_allowed_to_every_run(front_door):
    for words in ([], ["--allow_device_change"]):
        _, out, _ = front_door("--dry-run", "--figures", "1", "--device", "cpu", *words)
        assert {"--allow_device_change" in line for line in out.splitlines()} == {bool(words)}


def test_runs_are_told_which_devices_have_been_asked(front_door, tmp_path, monkeypatch):
    class Begun(Exception):
        pass

    def local(*_, **__):
        raise Begun(os.environ[launch.devices.PROBED])

    monkeypatch.setattr(launch, "Local", local)
    monkeypatch.setenv(launch.devices.PROBED, "")
    words = ("--figures", "1", "--device", "cpu,cuda:0", "--out", str(tmp_path))
    with pytest.raises(Begun, match="^cpu cuda:0$"):
        front_door(*words, gpus=1)


# ---------------------------------------------------------------------------------- the plan


def test_a_shared_run_is_planned_once_for_each_seed():
    figures = CATALOG.figures(["1", "4"])
    jobs = plan.plan(figures, size="full", seeds=[1, 2], root="r")
    names = {run.name for figure in figures for run in figure.runs}
    assert len(names) == 9  # add_stablemax is in both
    assert sorted((j.run, j.seed) for j in jobs) == sorted((n, s) for n in names for s in (1, 2))
    assert all(j.config.seed == j.seed for j in jobs)
    assert len({j.folder for j in jobs}) == len(jobs)


def test_the_longest_run_is_planned_first():
    jobs = plan.plan(CATALOG.figures([]), size="full", seeds=[42], root="r")
    expected = [plan.expected_seconds(job.config) for job in jobs]
    assert expected == sorted(expected, reverse=True)
    assert min(expected) > 0


def test_expected_seconds_follow_steps_examples_and_precision():
    base = STABLEMAX
    seconds = plan.expected_seconds(base)
    assert seconds == pytest.approx(100_000 * plan.MEASURED_MS["mlp"][1] / 1000)
    assert plan.expected_seconds(dataclasses.replace(base, num_epochs=50_000)) == seconds / 2
    half = dataclasses.replace(base, train_fraction=0.2)
    assert plan.expected_seconds(half) == pytest.approx(seconds / 2, rel=1e-3)
    double = dataclasses.replace(base, train_precision=64)
    assert plan.expected_seconds(double) == pytest.approx(2 * seconds)


def test_training_examples_are_those_of_the_paper():
    assert MLP.train_examples == 5107  # 40 % of 113^2
    assert TRANSFORMER.train_examples == 5017  # 40 % of 112^2
    assert PARITY.train_examples == 1000
    divide = dataclasses.replace(MLP, binary_operation="divide_mod", modulo=97, train_fraction=0.5)
    assert divide.train_examples == 97 * 96 // 2  # no division by 0


def test_times_are_those_of_the_longest_chain():
    assert progress.makespan([4, 3, 2, 1], 1) == 10
    assert progress.makespan([4, 3, 2, 1], 2) == 5
    assert progress.makespan([4, 3, 2, 1], 9) == 4
    assert progress.makespan([], 2) == 0


def test_list_shows_what_is_finished_for_each_seed_and_form_and_writes_nothing(launcher):
    empty = launcher.run("--list", "--figures", "1", "3")
    assert not launcher.root.exists()
    assert launcher.run(*quick_1("--seeds", "7")).returncode == 0
    shown = launcher.run("--list", "--figures", "1", "3", "--seeds", "7,8")
    assert shown.returncode == empty.returncode == 0
    assert "finished" not in empty.stdout
    assert "estimates" in shown.stdout
    assert "Figure 3: s(x) against exp(x)\n  analytic" in shown.stdout
    rows = [line.split() for line in shown.stdout.splitlines()]
    states = {(r[0], r[1]): (r[2], "finished" in r[3:]) for r in rows if r and r[0] in FIGURE_1}
    assert states == {(run, "7"): ("finished", False) for run in FIGURE_1} | {
        (run, "8"): ("-", False) for run in FIGURE_1
    }


def test_list_sums_up_long_grids_unless_they_are_named(launcher):
    grid = CATALOG.related["delay-map"]
    done = {run.name: "finish" for run in grid.at("quick").runs}
    assert launcher.run(*quick("delay-map"), fake=done).returncode == 0
    every = launcher.run("--list").stdout
    assert [f for f in CATALOG.all if f"\nFigure {f}: " not in f"\n{every}"] == []
    assert "div_power_p47_b8" not in every and len(every.splitlines()) < 250
    summed = every.split("Figure delay-map: ")[1].split("\n\n")[0]
    assert "quick   6 runs, 6 finished, at most" in summed
    assert "cpu    12 runs, 0 finished, at most" in summed
    assert "full  108 runs, 0 finished, at most" in summed
    assert "--list --figures delay-map" in summed
    assert launcher.run("--list", "--figures", "related").stdout.count("one by one") == 7
    shown = launcher.run("--list", "--figures", "delay-map").stdout
    rows = [line.split() for line in shown.splitlines() if line.startswith("  div_power_")]
    assert [r[0] for r in rows] == [run.name for run in grid.runs]
    quick_states = {r[0]: "finished" in r for r in rows}
    assert {n for n, finished in quick_states.items() if finished} == set(done)


def test_list_shows_every_size_that_a_figure_has(front_door):
    _, shown, _ = front_door("--list", "--figures", "s5", "division")
    s5, division = shown.split("Figure s5")[1], shown.split("Figure s5")[0]
    head = next(line for line in s5.splitlines() if "seed" in line)
    assert head.split() == ["run", "seed", "quick", "cpu", "full"]
    head = next(line for line in division.splitlines() if "seed" in line)
    assert head.split() == ["run", "seed", "quick", "full"]  # its CPU size is the full one


def test_dry_run_prints_lines_that_can_be_pasted_anywhere_and_runs_nothing(launcher, tmp_path):
    answer = launcher.run(*quick_1("--dry-run"))
    assert not launcher.root.exists()
    lines = answer.stdout.splitlines()
    assert len(lines) == 3
    for line in lines:
        assert shlex.split(line)[:2] == [sys.executable, str(ROOT / "tests" / "fake_train.py")]
        elsewhere = {"cwd": tmp_path, "env": launcher.environment({}, 0)}
        assert subprocess.run(line, shell=True, **elsewhere).returncode == 0
    assert all(runs.is_complete(launcher.folder(run)) for run in FIGURE_1)
    assert launcher.run(*quick_1("--dry-run")).stdout == ""


# ---------------------------------------------------------------------------------- runs


def test_runs_are_computed_logged_and_drawn_and_then_skipped(launcher):
    first = launcher.run(*quick_1("--out", "pictures"))
    assert first.returncode == 0, first.stdout
    assert sorted(e[1] for e in launcher.events("start")) == sorted(FIGURE_1)
    (drawn,) = launcher.events("draw")
    assert " ".join(drawn).startswith(f"draw --figures 1 --runs {launcher.root} --seeds 42")
    assert drawn[-3:] == ["--quick", "--out", "pictures"]
    assert "paper_plots.ipynb" in first.stdout
    log = (launcher.folder("add_stablemax") / runs.LOG).read_text()
    assert "--run add_stablemax --quick --seed 42" in log
    assert "test 75.0 %" in first.stdout
    second = launcher.run(*quick_1())
    assert second.returncode == 0
    assert "0 runs to compute on cpu" in second.stdout and "3 finished already" in second.stdout
    assert len(launcher.events("start")) == 3
    assert len(launcher.events("draw")) == 2


def test_the_cpu_size_is_computed_where_there_is_one_and_the_full_size_elsewhere(launcher):
    answer = launcher.run("--figures", "s5", "division", "--size", "cpu", "--device", "cpu")
    assert answer.returncode == 0, answer.stdout
    complete = launcher.root.rglob(runs.SUMMARY)
    assert sorted(str(path.parent.relative_to(launcher.root)) for path in complete) == [
        "cpu/s5_toth_30/seed_42",
        "div_toth_30/seed_42",
        "s5_toth_50/seed_42",
    ]
    log = (launcher.folder("s5_toth_30", "cpu") / runs.LOG).read_text()
    assert "--run s5_toth_30 --size cpu --seed 42" in log
    assert "--size" not in (launcher.folder("s5_toth_50", "full") / runs.LOG).read_text()
    (drawn,) = launcher.events("draw")
    assert "--seeds 42 --size cpu" in " ".join(drawn)
    assert "related_plots.ipynb" in answer.stdout
    full = launcher.run("--figures", "division", "--device", "cpu")
    assert "0 runs to compute on cpu" in full.stdout and "1 finished already" in full.stdout


def test_figures_with_seeds_of_their_own_are_computed_and_drawn_from_these(launcher):
    answer = launcher.run("--figures", "dimension", "k-sum", "--size", "cpu", "--device", "cpu")
    assert answer.returncode == 0, answer.stdout
    seeds = {(e[1], e[2]) for e in launcher.events("start")}
    assert {s for run, s in seeds if run.startswith("add_lid")} == {"46", "47"}
    assert {s for run, s in seeds if "_pku" in run} == {"42"}
    drawn = [" ".join(e) for e in launcher.events("draw")]
    assert ["--figures k-sum" in d and "--seeds 42" in d for d in drawn] == [True, False]
    assert "--figures dimension" in drawn[1] and "--seeds 46 47 --size cpu" in drawn[1]


def test_finished_cells_of_a_grid_are_skipped_and_killed_ones_resumed(launcher):
    cells = [run.name for run in CATALOG.related["delay-map"].at("quick").runs]
    hang = dict.fromkeys(cells[:2], "hang") | dict.fromkeys(cells[2:4], "fail")
    first = launcher.start(*quick("delay-map"), "--jobs", "6", fake=hang)
    launcher.wait_for("end", 2)
    launcher.wait_for("row", 6)
    first.send_signal(signal.SIGTERM)
    first.communicate(timeout=30)
    done = {e[1] for e in launcher.events("end")}
    assert done == set(cells[4:])
    again = launcher.run(*quick("delay-map"))
    assert again.returncode == 0, again.stdout
    assert "4 runs to compute on cpu" in again.stdout and "2 finished already" in again.stdout
    assert sorted(e[1] for e in launcher.events("continue")) == sorted(cells[:2])
    starts = [e[1] for e in launcher.events("start")]
    assert [starts.count(cell) for cell in cells] == [2, 2, 2, 2, 1, 1]


def test_a_run_that_stopped_before_its_budget_is_finished(launcher):
    run = CATALOG.run("div_power_p47_b8")
    _, config = run.form("quick", 42)
    assert config.stop_at == "test_accuracy"
    with runs.RunFolder(launcher.folder(run.name), config) as folder:
        folder.append({"step": 25, "epoch": 1, "train_accuracy": 1.0, "test_accuracy": 0.99})
        folder.write_summary({"diverged_at_step": None})
    shown = launcher.run("--list", "--figures", "delay-map").stdout
    row = next(line for line in shown.splitlines() if line.startswith(f"  {run.name} "))
    assert row.split()[2] == "finished"
    assert run.name not in launcher.run(*quick("delay-map"), "--dry-run").stdout


def test_a_figure_without_runs_is_just_drawn(launcher):
    assert launcher.run("--figures", "3", "--device", "cpu").returncode == 0
    assert [e[0] for e in launcher.events()] == ["draw"]


def test_force_computes_finished_runs_again(launcher):
    launcher.run(*quick_1())
    answer = launcher.run(*quick_1("--force"))
    assert answer.returncode == 0
    assert sorted(e[1] for e in launcher.events("force")) == sorted(FIGURE_1)
    rows = (launcher.folder("add_softmax64") / runs.METRICS).read_text().splitlines()
    assert len(rows) == 3  # header, epoch 0, the last: nothing of the first time


def test_a_folder_of_another_configuration_is_refused_before_anything_starts(launcher):
    launcher.run(*quick_1())
    path = launcher.folder("add_softmax64") / runs.CONFIG
    path.write_text(json.dumps(json.loads(path.read_text()) | {"lr": 0.5}))
    for more in ([], ["--force"]):
        answer = launcher.run(*quick_1("--seeds", "42,43", *more))
        assert answer.returncode == 2
        assert len(answer.stderr.splitlines()) == 1
        assert "lr 0.5 -> 0.01" in answer.stderr and str(path.parent) in answer.stderr
        assert "delete it or choose another --runs" in answer.stderr
    assert len(launcher.events("start")) == 3 and launcher.events("force") == []


def test_damaged_unfinished_runs_stop_no_other_and_are_said(launcher, front_door):
    """A configuration cut short; rows under another header, and with an empty epoch."""
    cut, renamed, empty = FIGURE_1
    for run in FIGURE_1:
        with runs.RunFolder(launcher.folder(run), CATALOG.run(run).form("quick", 42)[1]) as folder:
            folder.append({"step": 0, "epoch": 0, "train_accuracy": 1.0, "test_accuracy": 0.5})
    for run, name, old, new in (
        (cut, runs.CONFIG, "}", ""),
        (renamed, runs.METRICS, "train_accuracy", "train_accurasy"),
        (empty, runs.METRICS, "\n0,0,", "\n0,,"),
    ):
        path = launcher.folder(run) / name
        path.write_text(path.read_text().replace(old, new))
    said = f"{launcher.folder(cut) / runs.CONFIG} is damaged"
    code, listed, _ = front_door("--list", "--figures", "1")
    assert code == 0 and listed.count("unusable folder") == 1
    code, commands, noted = front_door(*quick_1("--dry-run"))
    assert (code, len(commands.splitlines())) == (0, 3)
    assert noted.startswith(said) and noted.count("\n") == 1
    answer = launcher.run(*quick_1())
    assert answer.returncode == 1 and answer.stderr == noted
    assert f"quick/{cut} seed 42 exited 2" in answer.stdout and f"    {said}" in answer.stdout
    assert [runs.is_complete(launcher.folder(run)) for run in FIGURE_1] == [False, True, True]


def test_an_unusable_root_is_refused_in_one_line(launcher):
    launcher.root.write_text("a file")
    answer = launcher.run(*quick_1())
    assert answer.returncode == 2
    assert len(answer.stderr.splitlines()) == 1
    assert "choose another --runs" in answer.stderr


def test_a_failing_run_stops_no_other_and_its_log_is_shown(launcher):
    longest = plan.plan(CATALOG.figures(["1"]), size="quick", seeds=[42], root="r")[0].run
    answer = launcher.run(*quick_1("--jobs", "1"), fake={longest: "fail"})
    assert answer.returncode == 1
    assert launcher.events("start")[0][1] == longest
    complete = [runs.is_complete(launcher.folder(run)) for run in FIGURE_1]
    assert complete == [run != longest for run in FIGURE_1]
    assert f"quick/{longest} seed 42 exited 3" in answer.stdout
    assert "    boom: the reason\n" in answer.stdout
    assert "line 19" in answer.stdout and "line 2 of" not in answer.stdout  # the end only
    assert len(launcher.events("draw")) == 1


def test_a_run_that_exits_0_without_a_summary_is_a_failure(launcher):
    answer = launcher.run(*quick_1(), fake={"add_softmax64": "vanish"})
    assert answer.returncode == 1
    assert "quick/add_softmax64 seed 42 exited 0 without summary.json" in answer.stdout


def test_a_diverged_run_is_complete_and_said(launcher):
    answer = launcher.run(*quick_1(), fake={"add_softmax64": "diverge"})
    assert answer.returncode == 0
    assert "quick/add_softmax64 seed 42 diverged: not finite at step 7" in answer.stdout


def test_a_picture_that_cannot_be_drawn_fails_the_command(launcher):
    launcher.plots.write_text("raise SystemExit('no ink')")
    assert launcher.run(*quick_1()).returncode == 1
    assert all(runs.is_complete(launcher.folder(run)) for run in FIGURE_1)


def most_at_once(events, device=None) -> int:
    now = most = 0
    for word, *rest in events:
        if word in ("start", "end") and device in (None, rest[2]):
            now += 1 if word == "start" else -1
            most = max(most, now)
    return most


def test_as_many_runs_at_once_as_jobs_and_never_more(launcher):
    meet = {run.name: "meet" for run in CATALOG.paper["2"].runs}
    answer = launcher.run("--figures", "2", "--device", "cpu", "--jobs", "2", fake=meet)
    assert answer.returncode == 0, answer.stdout
    assert len(launcher.events("end")) == 9
    assert most_at_once(launcher.events()) == 2


def test_runs_are_spread_over_devices(launcher):
    meet = {run.name: "meet" for run in CATALOG.paper["2"].runs}
    devices = ("--device", "cuda:0,cuda:1", "--jobs", "1")
    answer = launcher.run("--figures", "2", *devices, fake=meet, gpus=2)
    assert answer.returncode == 0, answer.stdout
    assert {e[3] for e in launcher.events("start")[:2]} == {"cuda:0", "cuda:1"}
    assert len(launcher.events("end")) == 9
    assert [most_at_once(launcher.events(), d) for d in ("cuda:0", "cuda:1")] == [1, 1]


def test_the_least_loaded_device_is_next(launcher):
    answer = launcher.run(
        *("--figures", "1", "--device", "cuda:0,cuda:1", "--jobs", "3"),
        fake=dict.fromkeys(FIGURE_1, "meet"),
        gpus=2,
    )
    assert answer.returncode == 0, answer.stdout
    assert sorted(e[3] for e in launcher.events("start")) == ["cuda:0", "cuda:0", "cuda:1"]


# ---------------------------------------------------------------------------------- stopping


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_stops_the_runs_with_checkpoints_and_a_later_start_continues(
    launcher, number, code
):
    hang = dict.fromkeys(FIGURE_1, "hang")
    process = launcher.start(*quick_1("--jobs", "2"), fake=hang, start_new_session=True)
    launcher.wait_for("row", 2)
    os.killpg(process.pid, number)  # as a terminal does: to all that are in its group
    out, _ = process.communicate(timeout=30)
    assert process.returncode == code
    assert "3 runs left; start the same command again to continue" in out
    begun = launcher.events("start")
    assert len(begun) == len(launcher.events("asked")) == 2
    assert not any(is_alive(e[4]) for e in begun)
    assert all((launcher.folder(e[1]) / runs.CHECKPOINT).exists() for e in begun)
    assert launcher.events("draw") == []
    assert launcher.run(*quick_1()).returncode == 0
    assert sorted(e[1] for e in launcher.events("continue")) == sorted(e[1] for e in begun)


def test_a_second_ctrl_c_kills_runs_that_do_not_stop(launcher):
    stubborn = dict.fromkeys(FIGURE_1, "stubborn")
    process = launcher.start(*quick_1("--jobs", "1"), fake=stubborn)
    launcher.wait_for("row")
    process.send_signal(signal.SIGTERM)
    launcher.wait_for("asked")
    process.send_signal(signal.SIGTERM)  # `timeout` sends two: this is no second Ctrl-C
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(timeout=0.5)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)
    assert process.returncode == 143
    (begun,) = launcher.events("start")
    assert not is_alive(begun[4])


def test_runs_outlive_a_killed_launcher_and_are_shared_by_the_next(launcher):
    slow = dict.fromkeys(FIGURE_1, "slow")
    first = launcher.start(*quick_1("--jobs", "3"), fake=slow)
    launcher.wait_for("row", 3)
    first.kill()
    first.wait()
    assert all(is_alive(e[4]) for e in launcher.events("start"))
    second = launcher.start(*quick_1("--jobs", "3"), fake=slow)
    assert "3 runs to compute" in second.stdout.readline()
    wait_until(lambda: "waits for" in second.stdout.readline(), "the second launcher to wait")
    launcher.release()
    second.communicate(timeout=30)
    assert second.returncode == 0
    assert len(launcher.events("start")) == 3


# ---------------------------------------------------------------------------------- sharing


@pytest.mark.parametrize("force", [[], ["--force"]])
def test_a_run_of_another_process_takes_no_slot_and_is_continued_when_released(launcher, force):
    _, config = CATALOG.run("add_stablemax").form("quick", 42)
    with runs.RunFolder(launcher.folder("add_stablemax"), config):
        process = launcher.start(*quick_1("--jobs", "1", *force))
        launcher.wait_for("end", 2)  # the others end while this one is held
        assert process.poll() is None
        assert "add_stablemax" not in [e[1] for e in launcher.events()]
    out, _ = process.communicate(timeout=30)
    assert process.returncode == 0
    assert "waits for quick/add_stablemax seed 42, which another process computes" in out
    assert runs.is_complete(launcher.folder("add_stablemax"))
    assert [e[1] for e in launcher.events("start")][-1] == "add_stablemax"  # not from step 0


def test_a_result_of_another_process_is_taken_as_it_is_even_with_force(launcher):
    _, config = CATALOG.run("add_stablemax").form("quick", 42)
    with runs.RunFolder(launcher.folder("add_stablemax"), config) as folder:
        process = launcher.start(*quick_1("--force"))
        launcher.wait_for("end", 2)
        folder.append({"step": 0, "epoch": 0, "train_accuracy": 0.5, "test_accuracy": 0.5})
        folder.write_summary({"diverged_at_step": None})
    out, _ = process.communicate(timeout=30)
    assert process.returncode == 0
    assert "quick/add_stablemax seed 42 by another process" in out
    assert "add_stablemax" not in [e[1] for e in launcher.events("force")]


def test_a_child_that_finds_its_folder_busy_is_tried_again(launcher):
    answer = launcher.run(*quick_1(), fake={"add_softmax64": "busy_once"})
    assert answer.returncode == 0, answer.stdout
    assert [e[0] for e in launcher.events() if e[1:2] == ["add_softmax64"]] == [
        "busy",
        "start",
        "row",
        "end",
    ]


def test_the_same_command_twice_at_once_computes_each_run_once(launcher):
    meet = dict.fromkeys(FIGURE_1, "meet")
    both = [launcher.start(*quick_1("--jobs", "1"), fake=meet) for _ in range(2)]
    for process in both:
        process.communicate(timeout=30)
    assert [process.returncode for process in both] == [0, 0]
    assert sorted(e[1] for e in launcher.events("start")) == sorted(FIGURE_1)


# ---------------------------------------------------------------------------------- progress


def test_off_a_terminal_a_plain_line_at_intervals_says_where_each_run_is(launcher):
    slow = {"add_softmax64": "slow"}
    process = launcher.start(*quick_1("--jobs", "1", "--interval", "0.1"), fake=slow)
    epochs = ADD_SOFTMAX64.quick.num_epochs
    where = f"quick/add_softmax64 seed 42 on cpu: epoch 0/{epochs}, train 100.0 %, test 25.0 %"
    line = ""
    while where not in line:
        line = process.stdout.readline()
        assert line, "the launcher ended without saying it"
    assert "/3 runs, " in line
    launcher.release()
    out, _ = process.communicate(timeout=30)
    assert "\r" not in out and process.returncode == 0


def test_where_the_budget_is_in_steps_progress_is_in_steps(launcher):
    slow = {"div_toth_30": "slow"}
    process = launcher.start(*quick("division"), "--interval", "0.1", fake=slow)
    budget = CATALOG.run("div_toth_30").quick.num_steps
    where = f"quick/div_toth_30 seed 42 on cpu: step 0/{budget}, train 100.0 %"
    line = ""
    while where not in line:
        line = process.stdout.readline()
        assert line, "the launcher ended without saying it"
    shown = launcher.run("--list", "--figures", "division").stdout
    assert "div_toth_30                    42   running" in shown
    launcher.release()
    process.communicate(timeout=30)
    assert process.returncode == 0


def test_the_share_done_of_a_run_counts_its_updates(tmp_path):
    figures = [CATALOG.related["mnist"]]
    job = plan.plan(figures, size="quick", root=tmp_path)[0]
    task = local.Task(job=job, force=False)
    task.look()
    assert task.left == job.seconds
    with runs.RunFolder(job.folder, job.config) as folder:
        for step in (0, job.config.num_steps // 4):
            values = {"step": step, "epoch": step / job.config.steps_per_epoch}
            folder.append(values | {"train_accuracy": 1.0, "test_accuracy": 0.5})
    task.look()
    assert task.left == pytest.approx(0.75 * job.seconds)


def test_on_a_terminal_there_is_a_bar_and_a_line_for_each_running_run(launcher):
    ours, theirs = pty.openpty()
    hang = dict.fromkeys(FIGURE_1, "hang")
    process = launcher.start(*quick_1("--jobs", "2"), fake=hang, stdout=theirs, text=False)
    os.close(theirs)
    shown = b""

    def read():
        nonlocal shown
        try:
            shown += os.read(ours, 65536)
        except OSError:  # the launcher's end is closed
            return False
        return True

    epochs = QUICK_MLP.num_epochs
    line = "{} 42 cpu epoch 0/{} train 100.0% test 25.0%"
    wanted = [line.format(run, epochs).encode() for run in FIGURE_1[1:]] + [b"  0%|", b"0/3 runs"]
    while not all(text in shown for text in wanted) and read():
        pass
    assert all(text in shown for text in wanted)
    process.send_signal(signal.SIGINT)
    while read():
        pass
    os.close(ours)
    assert process.wait(timeout=30) == 130
    assert b"start the same command again" in shown


def test_the_runs_go_on_when_nobody_reads_the_output(launcher):
    slow = dict.fromkeys(FIGURE_1, "slow")
    process = launcher.start(*quick_1("--jobs", "2", "--interval", "0.1"), fake=slow)
    launcher.wait_for("row", 2)
    process.stdout.close()
    launcher.release()
    assert process.wait(timeout=30) == 0
    assert all(runs.is_complete(launcher.folder(run)) for run in FIGURE_1)


# ---------------------------------------------------------------------------------- surroundings


def test_runs_are_computed_whatever_streams_and_folders_the_launcher_is_given(launcher, tmp_path):
    """No output, no room for a socket's name, and files that are called like modules."""
    here, long = tmp_path / "here", tmp_path / ("long" * 32)
    for folder in (here, long):
        folder.mkdir()
    for module in ("cuckoo", "random", "socket", "json", "select", "multiprocessing", "email"):
        (here / f"{module}.py").write_text("open('executed', 'w')")
    given = {"FAKE_PRELOAD": "cuckoo", "TMPDIR": str(long)}
    environment = launcher.environment({}, 0) | given
    for force, full in (([], True), (["--force"], False)):
        out = os.open("/dev/full", os.O_WRONLY)
        close = None if full else lambda: os.close(1)
        options = {"cwd": here, "env": environment, "stdout": out, "preexec_fn": close}
        process = launcher.start(*quick_1("--jobs", "3", *force), **options)
        os.close(out)
        _, err = process.communicate(timeout=30)
        assert (process.returncode, err) == (0, "")
        assert all(runs.is_complete(launcher.folder(run)) for run in FIGURE_1)
    assert len(launcher.events("force")) == 3
    assert not (here / "executed").exists()


@pytest.fixture
def slow_server(launcher, tmp_path):
    """Options for a launcher whose packages take for ever to load; a file with the server's id."""
    server = tmp_path / "modules" / "server"
    server.parent.mkdir()
    (server.parent / "cuckoo.py").write_text(
        "import os, time\n"
        f"open({f'{server}.new'!r}, 'w').write(str(os.getpid()))\n"
        f"os.rename({f'{server}.new'!r}, {str(server)!r})\n"
        "time.sleep(30)"
    )
    given = {"FAKE_PRELOAD": "cuckoo", "PYTHONPATH": str(server.parent)}
    return {"env": launcher.environment({}, 0) | given, "start_new_session": True}, server


def test_ctrl_c_while_packages_load_ends_all_at_once(launcher, slow_server):
    options, server = slow_server
    process = launcher.start(*quick_1(), **options)
    wait_until(server.exists, "the server to load")
    os.killpg(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (130, "")
    assert out.endswith("stopped with 3 runs left; start the same command again to continue\n")
    wait_until(lambda: not is_alive(server.read_text()), "the server to end")
    assert launcher.events() == []


def test_a_server_that_is_killed_while_packages_load_stops_no_run(launcher, slow_server):
    options, server = slow_server
    process = launcher.start(*quick_1(), **options)
    wait_until(server.exists, "the server to load")
    os.kill(int(server.read_text()), signal.SIGKILL)
    out, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (0, ""), out
    assert all(runs.is_complete(launcher.folder(run)) for run in FIGURE_1)


def test_a_server_that_is_killed_later_takes_no_run_with_it(launcher):
    process = launcher.start(*quick_1("--jobs", "2"), fake=dict.fromkeys(FIGURE_1, "slow"))
    launcher.wait_for("row", 2)
    (server,) = {parent_of(event[4]) for event in launcher.events("start")}
    assert server != process.pid
    os.kill(server, signal.SIGKILL)
    launcher.release()
    out, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (0, ""), out
    assert sorted(e[1] for e in launcher.events("start")) == sorted(FIGURE_1)  # none twice
