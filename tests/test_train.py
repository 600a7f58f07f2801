"""The command line of one run: where it writes, what it refuses, what it leaves behind."""

import io
import json
import math
import os
import subprocess
import sys
from contextlib import suppress
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

import train
from configuration import runs
from configuration.digests import seal
from conftest import ROOT
from experiment.figure import Run
from plotting.curves import RESULTS
from training import course
from training.session import Session

TINY = (
    "--lr 0.01 --modulo 7 --hidden_sizes 8 --train_fraction 0.5 --num_epochs 20 --log_frequency 5"
)


TINY_CONFIG = runs.RunConfig(
    lr=0.01, modulo=7, hidden_sizes=(8,), train_fraction=0.5, num_epochs=20, log_frequency=5
)


@pytest.fixture
def run(capsys, tmp_path):
    """run(words) -> (exit code, stdout, stderr); run folders under tmp_path/runs."""

    def call(words, *more):
        try:
            code = train.main([*words.split(), *more, "--runs", str(tmp_path / "runs")])
        except SystemExit as error:
            code = error.code
        out, err = capsys.readouterr()
        return code, out, err

    return call


def what_counts(summary):
    """A summary without the seconds that the run took."""
    return summary | {"seconds": 0, "sha256": summary["sha256"] | {runs.SUMMARY: ""}}


def folders(tmp_path):
    root = tmp_path / "runs"
    return sorted(str(p.parent.relative_to(root)) for p in root.rglob(runs.CONFIG))


def test_complete_folder_holds_all_its_files(run, tmp_path):
    code, out, _ = run(TINY, "--run_dir", str(tmp_path / "here"))
    assert code == 0 and "complete" in out
    here = tmp_path / "here"
    assert {p.name for p in here.iterdir()} == {
        "config.json", "env.json", "metrics.csv", "checkpoint.pt", "summary.json", "lock"
    }  # fmt: skip
    table = runs.read_metrics(here)
    assert table["step"].tolist() == table["epoch"].tolist() == [0, 5, 10, 15, 20]
    env = json.loads((here / "env.json").read_text())
    assert env["torch"] == torch.__version__ and env["threads"] == 1
    assert env["command"].startswith("python ")
    assert runs.read_config(here).hidden_sizes == (8,)


def test_summary_states_first_steps_and_null_where_never_reached(run, tmp_path):
    run(TINY.replace("--num_epochs 20", "--num_epochs 200"), "--run_dir", str(tmp_path / "here"))
    table, summary = runs.read_metrics(tmp_path / "here"), runs.read_summary(tmp_path / "here")
    reached = table["step"][table["train_accuracy"] >= 0.5].iloc[0]
    assert summary["first_step"]["train_accuracy>=0.5"] == reached
    published = runs.read_summary(next(RESULTS.glob("*/seed_42")))
    assert summary["first_step"].keys() == published["first_step"].keys()
    assert table["softmax_collapse"].max() < 0.5
    assert summary["first_step"]["softmax_collapse>=0.5"] is None
    assert summary["final"]["test_accuracy"] == table["test_accuracy"].iloc[-1]
    assert summary["steps"] == 200 and summary["diverged_at_step"] is None
    assert summary["stopped_at_step"] is None


def test_declared_run_goes_into_its_own_folder(run, tmp_path, monkeypatch):
    config = runs.RunConfig(lr=0.01, modulo=7, num_epochs=2, log_frequency=1)
    tiny = Run(name="tiny", config=config, quick=config)
    monkeypatch.setitem(train.CATALOG.runs, "tiny", tiny)
    assert run("--run tiny")[0] == 0
    assert run("--run tiny --seed 43")[0] == 0
    assert run("--run tiny --quick")[0] == 0
    assert folders(tmp_path) == ["quick/tiny/seed_42", "tiny/seed_42", "tiny/seed_43"]
    assert runs.read_config(tmp_path / "runs/tiny/seed_43").seed == 43


def test_each_size_of_a_declared_run_goes_into_its_folder(run, tmp_path, monkeypatch):
    config = runs.RunConfig(lr=0.01, modulo=7, num_epochs=2, log_frequency=1)
    small = runs.RunConfig(lr=0.01, modulo=5, num_epochs=1, log_frequency=1)
    tiny = Run(name="tiny", config=config, quick=None, cpu=small)
    monkeypatch.setitem(train.CATALOG.runs, "tiny", tiny)
    assert run("--run tiny --size full")[0] == run("--run tiny --size cpu")[0] == 0
    assert folders(tmp_path) == ["cpu/tiny/seed_42", "tiny/seed_42"]
    assert runs.read_config(tmp_path / "runs/cpu/tiny/seed_42") == small
    one_line(run("--run tiny --quick"), "tiny has no form of size quick", "full, cpu")
    monkeypatch.setitem(train.CATALOG.runs, "same", Run(name="same", config=config, quick=None))
    assert run("--run same --size cpu")[0] == 0
    assert "same/seed_42" in folders(tmp_path)


def test_override_never_writes_into_the_declared_folder(run, tmp_path, monkeypatch):
    config = runs.RunConfig(lr=0.01, modulo=7, num_epochs=2, log_frequency=1)
    monkeypatch.setitem(train.CATALOG.runs, "tiny", Run(name="tiny", config=config, quick=config))
    assert run("--run tiny --lr 0.02")[0] == 0
    assert run("--run tiny --lr 0.03")[0] == 0
    assert run("--run tiny --lr 0.03 --seed 1")[0] == 0
    assert run("--run tiny --lr 0.01")[0] == 0  # the declared value: the declared run
    found = folders(tmp_path)
    assert "tiny/seed_42" in found and len(found) == 4
    variants = [f for f in found if f.startswith("tiny-")]
    assert len({f.split("/")[0] for f in variants}) == 2  # one folder per configuration
    assert {runs.read_config(tmp_path / "runs" / f).lr for f in variants} == {0.02, 0.03}


def test_undeclared_runs_are_kept_apart_by_configuration(run, tmp_path):
    run(TINY)
    run(TINY + " --weight_decay 0.5")
    found = folders(tmp_path)
    assert len(found) == 2 and all(f.startswith("add_softmax32_adamw-") for f in found)


def test_finished_run_is_left_alone_and_force_repeats_it(run, tmp_path):
    run(TINY, "--run_dir", str(tmp_path / "a"))
    first = (tmp_path / "a/metrics.csv").read_bytes()
    changed = first.replace(b"0", b"1")
    code, out, _ = run(TINY, "--run_dir", str(tmp_path / "a"))
    assert code == 0 and "complete" in out
    assert (tmp_path / "a/metrics.csv").read_bytes() == first
    (tmp_path / "a/metrics.csv").write_bytes(changed)
    one_line(run(TINY, "--run_dir", str(tmp_path / "a")), "metrics.csv", "delete its folder")
    assert (tmp_path / "a/metrics.csv").read_bytes() == changed
    derived = {runs.LANDSCAPE, runs.PATHS, runs.SPECTRUM, *runs.SURFACES.values()}
    for name in derived:  # of the weights that are about to go
        (tmp_path / "a" / name).write_text("")
    assert run(TINY + " --force", "--run_dir", str(tmp_path / "a"))[0] == 0
    assert (tmp_path / "a/metrics.csv").read_bytes() == first
    assert not derived & {p.name for p in (tmp_path / "a").iterdir()}


def one_line(result, *words):
    code, _, err = result
    assert code == 2
    assert err.count("\n") == 1 and "Traceback" not in err
    for word in words:
        assert word in err


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("--run add_stablemx", ("unknown run 'add_stablemx'", "did you mean add_stablemax")),
        ("--lr 0.01 --train_fracton 0.5", ("--train_fracton", "--train_fraction")),
        ("--learning_rate=0.1", ("unknown flag --learning_rate=0.1", "did you mean --lr?")),
        ("--lr 0.01 --train_fraction 1.5", ("train_fraction 1.5", "between 0 and 1")),
        ("--lr 0.01 --optimizer Lion", ("'Lion'", "AdamW, Adam, Muon, SGD")),
        ("--lr small", ("--lr", "'small'")),
        ("--train_fraction 0.5", ("--lr is missing", "--lr 0.01")),
        ("--lr 0.01 --quick", ("--quick", "--run NAME")),
        ("--lr 0.01 --size cpu", ("--size", "--run NAME")),
        ("--run add_stablemax --size tiny", ("unknown size 'tiny'", "full, cpu, quick")),
        ("--run add_stablemax --size=", ("unknown size ''", "full, cpu, quick")),
        ("--run add_stablemax --size cpu --quick", ("--quick contradicts --size cpu",)),
        ("--lr 0.01 --temperature_schedule", ("--temperature_schedule", "drop it")),
        ("--lr 0.01 --device tpu", ("tpu", "cpu, cuda")),
        ("--lr 0.01 --device cpu:", ("cpu:", "cpu, cuda")),
        ("--lr 0.01 --threads 0", ("threads 0", "at least 1")),
        ("--lr 0.01 --train_precision 16", ("float16", "--train_precision 32")),
        ("--lr 0.01 --binary_operation divide_mod --modulo 100", ("100", "prime")),
        ("--lr 0.01 --dataset sparse_parity --num_parity_features 2 --num_noise_features 2"
         " --num_samples 99", ("99", "2^4")),
    ],
)  # fmt: skip
def test_bad_input_is_one_line_with_value_and_remedy(run, words, expected, tmp_path):
    one_line(run(words), *expected)
    assert not (tmp_path / "runs").exists()


def test_folder_of_another_configuration_is_refused(run, tmp_path):
    run(TINY, "--run_dir", str(tmp_path / "a"))
    before = (tmp_path / "a/metrics.csv").read_bytes()
    one_line(
        run(TINY + " --weight_decay 1", "--run_dir", str(tmp_path / "a")),
        "weight_decay 0.0 -> 1.0",
        "--run_dir",
    )
    assert (tmp_path / "a/metrics.csv").read_bytes() == before


def test_corrupt_checkpoint_says_what_to_delete(run, tmp_path):
    run(TINY, "--run_dir", str(tmp_path / "a"))
    (tmp_path / "a/summary.json").unlink()
    (tmp_path / "a/checkpoint.pt").write_bytes(b"junk")
    one_line(
        run(TINY, "--run_dir", str(tmp_path / "a")),
        "checkpoint.pt is damaged",
        "delete checkpoint.pt",
    )
    (tmp_path / "a/checkpoint.pt").unlink()
    assert run(TINY, "--run_dir", str(tmp_path / "a"))[0] == 0


def test_unwritable_place_is_one_line(run, tmp_path):
    (tmp_path / "file").write_text("")
    one_line(run(TINY, "--run_dir", str(tmp_path / "file/a")), "cannot write to", "--run_dir")


def test_busy_folder_is_refused_with_its_own_code(run, tmp_path):
    with runs.RunFolder(tmp_path / "a", TINY_CONFIG):
        code, _, err = run(TINY, "--run_dir", str(tmp_path / "a"))
    assert code == runs.EXIT_BUSY and str(os.getpid()) in err and err.count("\n") == 1


def test_diverged_run_stops_at_once_and_keeps_its_rows(run, tmp_path):
    words = TINY.replace("--lr 0.01", "--lr 1e30") + " --optimizer SGD"
    code, out, _ = run(words, "--run_dir", str(tmp_path / "a"))
    assert code == 0 and "diverged" in out
    table, summary = runs.read_metrics(tmp_path / "a"), runs.read_summary(tmp_path / "a")
    assert summary["diverged_at_step"] == table["step"].iloc[-1] < 20
    assert math.isfinite(table["train_loss"].iloc[0])
    assert summary["final"]["train_loss"] is None


@pytest.mark.parametrize(
    ("column", "ends"), [("train_loss", True), ("weight_norm", True), ("test_loss", False)]
)
def test_run_ends_where_loss_or_weights_alone_are_infinite_and_its_summary_has_no_infinity(
    tmp_path, monkeypatch, column, ends
):
    measured, config = Session.row, replace(TINY_CONFIG, stop_at="train_accuracy", stop_level=1)

    def row(session, step):
        late = {"train_accuracy": 1.0, column: math.inf} if step >= 10 else {}
        return measured(session, step) | late

    monkeypatch.setattr(Session, "row", row)
    with runs.RunFolder(tmp_path, config) as folder:
        summary = train.train(config, folder)
    assert summary["diverged_at_step"] == (10 if ends else None)
    assert summary["stopped_at_step"] == (None if ends else 10)
    assert [name for name, value in summary["final"].items() if value is None] == [column]
    assert runs.read_summary(tmp_path) == summary
    assert runs.read_metrics(tmp_path)[column].iloc[-1] == math.inf


def test_seconds_are_those_of_all_starts_and_checkpoints_are_so_many_apart(tmp_path, monkeypatch):
    asked, saved, save = [], [], runs.RunFolder.save_checkpoint
    monkeypatch.setattr(course, "time", SimpleNamespace(monotonic=lambda: float(len(asked))))
    monkeypatch.setattr(
        runs.RunFolder,
        "save_checkpoint",
        lambda folder, state: save(folder, state) or saved.append(state["step"]),
    )

    def stop_asked():  # a second passes at each step
        asked.append(len(asked) == 7)
        return asked[-1]

    for _ in range(2):
        with runs.RunFolder(tmp_path, TINY_CONFIG) as folder, suppress(train.Stopped):
            train.train(TINY_CONFIG, folder, checkpoint_seconds=5, stop_asked=stop_asked)
    assert saved == [4, 7, 11, 16, 20]  # asked before an update; at step 7 stopped
    assert runs.read_summary(tmp_path)["seconds"] == len(asked) == 21  # step 7 is asked for twice


def test_rows_are_on_the_disk_before_their_checkpoint_and_that_before_it_has_its_name(
    tmp_path, monkeypatch
):
    done, fsync, replaced = [], os.fsync, os.replace

    monkeypatch.setattr(
        os, "fsync", lambda file: fsync(file) or done.append(os.readlink(f"/proc/self/fd/{file}"))
    )
    monkeypatch.setattr(os, "replace", lambda a, b: done.append((str(a), str(b))) or replaced(a, b))
    with runs.RunFolder(tmp_path, TINY_CONFIG) as folder:
        train.train(TINY_CONFIG, folder)
    (there,) = [i for i, x in enumerate(done) if x[1] == str(tmp_path / runs.CHECKPOINT)]
    assert {str(tmp_path / runs.METRICS), done[there][0]} <= set(done[:there])


def test_threads_are_those_asked_for(run, tmp_path):
    assert run(TINY + " --threads 2", "--run_dir", str(tmp_path / "a"))[0] == 0
    assert torch.get_num_threads() == runs.read_json(tmp_path / "a" / runs.ENV)["threads"] == 2


def test_diverged_run_killed_before_its_summary_does_not_train_on(run, tmp_path):
    words = TINY.replace("--lr 0.01", "--lr 1e30") + " --optimizer SGD"
    run(words, "--run_dir", str(tmp_path / "a"))
    table, summary = (tmp_path / "a/metrics.csv").read_bytes(), runs.read_summary(tmp_path / "a")
    (tmp_path / "a/summary.json").unlink()
    assert run(words, "--run_dir", str(tmp_path / "a"))[0] == 0
    assert (tmp_path / "a/metrics.csv").read_bytes() == table
    again = runs.read_summary(tmp_path / "a")
    assert what_counts(again) == what_counts(summary)


def test_too_large_a_network_is_one_line(run, tmp_path):
    one_line(
        run("--lr 0.01 --hidden_sizes 100000000000", "--run_dir", str(tmp_path / "a")),
        "out of memory",
    )


def test_loss_of_exactly_zero_is_a_result(run, tmp_path):
    words = "--lr 0.05 --modulo 7 --hidden_sizes 64 --train_fraction 0.5 --softmax_precision 16"
    words += " --half_softmax cpu --num_epochs 300 --log_frequency 20"
    assert run(words, "--run_dir", str(tmp_path / "a"))[0] == 0
    table = runs.read_metrics(tmp_path / "a")
    assert table["zero_terms"].max() == 1 and (table["train_loss"] == 0).any()
    assert runs.read_summary(tmp_path / "a")["diverged_at_step"] is None


def test_penalty_pulls_weights_by_its_gradient():
    config = runs.RunConfig(lr=0.5, optimizer="SGD", momentum=0.0, modulo=7, seed=3)
    plain = Session(config)
    for kind, gradient in (("l1", torch.sign), ("l2", lambda w: 2 * w)):
        other = Session(replace(config, regularization=kind, **{f"lambda_{kind}": 0.125}))
        torch.manual_seed(0)
        plain = Session(config)
        torch.manual_seed(0)
        before = [w.detach().clone() for w in plain.weights]
        plain.update()
        torch.manual_seed(0)
        other.batches.load_state_dict(
            {"orders": plain.batches.orders, "taken": 0}
        )  # the same batch
        other.update()
        for a, b, w in zip(plain.weights, other.weights, before, strict=True):
            expected = a.detach() - 0.5 * 0.125 * gradient(w)
            torch.testing.assert_close(b.detach(), expected, rtol=1e-5, atol=1e-6)


# ------------------------------------------------------------------------------ the stop rule

GOAL = (
    "--lr 0.02 --modulo 7 --hidden_sizes 30 --train_fraction 0.8 --num_steps 400 --log_every 3"
    " --stop_at train_accuracy --stop_level 0.9"
)


def test_run_ends_complete_at_the_first_row_that_reaches_its_goal(run, tmp_path):
    code, out, _ = run(GOAL, "--run_dir", str(tmp_path / "here"))
    assert code == 0 and "complete" in out and "train_accuracy at least 0.9" in out
    table, summary = runs.read_metrics(tmp_path / "here"), runs.read_summary(tmp_path / "here")
    *before, last = table["train_accuracy"]
    assert max(before) < 0.9 <= last
    assert summary["stopped_at_step"] == summary["steps"] == table["step"].iloc[-1] < 400
    assert summary["first_step"]["train_accuracy>=0.9"] == summary["stopped_at_step"]
    assert summary["diverged_at_step"] is None and runs.is_complete(tmp_path / "here")


def test_run_that_misses_its_goal_uses_its_budget(run, tmp_path):
    run(GOAL.replace("--num_steps 400", "--num_steps 6"), "--run_dir", str(tmp_path / "here"))
    summary = runs.read_summary(tmp_path / "here")
    assert summary["steps"] == 6 and summary["stopped_at_step"] is None


def test_goal_that_the_initial_network_reaches_ends_the_run_at_once(run, tmp_path):
    run(GOAL.replace("0.9", "0"), "--run_dir", str(tmp_path / "here"))
    summary = runs.read_summary(tmp_path / "here")
    assert summary["steps"] == summary["stopped_at_step"] == 0
    assert len(runs.read_metrics(tmp_path / "here")) == 1


def test_run_killed_between_its_goal_and_its_summary_does_not_train_on(run, tmp_path):
    here = tmp_path / "here"
    run(GOAL, "--run_dir", str(here))
    rows, summary = (here / runs.METRICS).read_bytes(), runs.read_summary(here)
    (here / runs.SUMMARY).unlink()
    assert run(GOAL, "--run_dir", str(here))[0] == 0
    assert (here / runs.METRICS).read_bytes() == rows
    assert what_counts(runs.read_summary(here)) == what_counts(summary)


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({}, "add_softmax32_adamw"),
        ({"use_transformer": True}, "add_transformer_softmax32_adamw"),
        ({"network": "lstm", "dataset": "tokens"}, "tokens_add_lstm_softmax32_adamw"),
        ({"network": "embedding_mlp", "dataset": "tokens", "binary_operation": "s5"},
         "tokens_s5_embedding_mlp_softmax32_adamw"),
        ({"dataset": "binary_alg", "optimizer": "SGD"}, "binary_add_softmax32_sgd"),
        ({"dataset": "mnist", "loss_function": "mse"}, "mnist_mse_adamw"),
    ],
)  # fmt: skip
def test_undeclared_run_is_named_by_task_network_and_method(change, name):
    assert train.task_method(runs.RunConfig(lr=0.01, **change)) == name


# ------------------------------------------------------------------------------ surroundings

SHORT = "--lr 0.01 --modulo 7 --hidden_sizes 8 --num_epochs 40 --log_frequency 1"


def test_run_needs_no_git(run, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert run(SHORT, "--run_dir", str(tmp_path / "a"))[0] == 0
    assert runs.read_json(tmp_path / "a" / runs.ENV)["commit"] is None


def test_run_goes_on_when_nobody_reads_what_it_prints(tmp_path):
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, str(ROOT / "train.py"), *SHORT.split(), "--run_dir", str(tmp_path)]
    done = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert runs.is_complete(tmp_path)


@pytest.mark.parametrize("damage", ["model", "step", "shapes"])
def test_checkpoint_of_something_else_is_one_line(run, tmp_path, damage):
    here = tmp_path / "a"
    assert run(SHORT, "--run_dir", str(here))[0] == 0
    (here / runs.SUMMARY).unlink()
    state = torch.load(here / runs.CHECKPOINT)
    if damage == "shapes":
        state["model"] = {k: v[:1] for k, v in state["model"].items()}
    else:
        del state[damage]
    archive = io.BytesIO()
    torch.save(state, archive)
    (here / runs.CHECKPOINT).write_bytes(seal(archive.getvalue()))
    code, _, err = run(SHORT, "--run_dir", str(here))
    assert code == 2 and err.count("\n") == 1
    assert f"{here / runs.CHECKPOINT} is not of this run" in err and "delete checkpoint.pt" in err


@pytest.mark.parametrize("flag", ["--run_dir", "--runs"])
def test_empty_folder_name_is_refused(flag, capsys):
    assert train.main([*SHORT.split(), flag, ""]) == 2
    assert f"{flag} '' is empty" in capsys.readouterr().err


def test_negative_number_with_an_exponent_is_a_number(run, tmp_path):
    code, _, err = run("--lr -1e-3 --run_dir", str(tmp_path / "a"))
    assert code == 2 and "lr -0.001" in err
