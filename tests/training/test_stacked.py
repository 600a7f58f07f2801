"""Runs that one process trains in a stack are the runs that each would be alone."""

import os
import random
import signal
import time
from dataclasses import replace

import numpy as np
import pytest
import torch
from made_runs import forked_trainer
from torch.utils._python_dispatch import TorchDispatchMode

import train
from configuration import runs, stacking
from configuration.config import RunConfig
from launching.plan import is_busy
from training import session as sessions
from training import stacked
from training.session import Session
from training.stacked import Stacked

RUN = RunConfig(
    lr=0.01, modulo=11, train_fraction=0.5, hidden_sizes=(12, 10), num_epochs=60, log_frequency=10,
    train_precision=64,
)  # fmt: skip
SGD = replace(RUN, optimizer="SGD", lr=0.5)
# What a run of three seeds, or of what is written, has.
KINDS = {
    "StableMax": replace(RUN, loss_function="stablemax"),
    "softmax64, AdamW's decay": replace(RUN, softmax_precision=64, weight_decay=1.0),
    "softmax16": replace(RUN, softmax_precision=16),
    "a CPU's softmax16": replace(RUN, softmax_precision=16, half_softmax="cpu"),
    "mini-batches, Adam": replace(
        RUN, full_batch=False, batch_size=13, optimizer="Adam", num_epochs=9, log_frequency=1
    ),
    "mini-batches, one order": replace(RUN, full_batch=False, batch_size=13, batch_order="fixed"),
    "independent draws": replace(RUN, full_batch=False, batch_size=90, batch_order="iid"),
    "perpendicular AdamW": replace(RUN, orthogonal_gradients=True),
    "perpendicular SGD, norm not kept, biases": replace(
        SGD, orthogonal_gradients=True, restore_gradient_norm=False, bias=True
    ),
    "SGD, momentum 0, l1": replace(SGD, momentum=0.0, regularization="l1", lambda_l1=1e-3),
    "l2, smoothing, temperature": replace(
        SGD, softmax_precision=64, regularization="l2", label_smoothing=0.1, softmax_temperature=2.0
    ),
    "alpha, schedule, logits' norm": replace(
        RUN, alpha=0.5, lr_schedule="cosine", warmup_steps=5, logit_norm_penalty=0.1
    ),
    "Taylor": replace(RUN, loss_function="taylor"),
    "sparsemax": replace(RUN, loss_function="sparsemax"),
    "filter of an exponential mean": replace(RUN, gradient_filter="ema", bias=True),
    "filter of a window, perpendicular": replace(
        RUN, gradient_filter="ma", filter_window=5, orthogonal_gradients=True
    ),
    "squared error, wrong labels": replace(RUN, loss_function="mse", label_noise=5),
    "collapse that is induced": replace(RUN, induce_collapse_epoch=8),
    "parity": replace(
        RUN, modulo=113, dataset="sparse_parity", num_samples=200, num_noise_features=8
    ),
    "random codes": replace(RUN, dataset="binary_alg", random_codes=True, code_bits=6),
    "no hidden layer": replace(SGD, hidden_sizes=()),
}


def seeds(config, count):
    return [replace(config, seed=seed) for seed in range(count)]


def session(config):
    made = Session(config)
    made.stream = torch.get_rng_state()
    return made


def advance(form, updates):
    for _ in range(updates):
        form.update()


def advance_alone(run, updates):
    torch.set_rng_state(run.stream)
    advance(run, updates)
    run.stream = torch.get_rng_state()


def weights(configs, updates):
    """(weights after updates in one stack, those of each run alone)."""
    ours = [session(config) for config in configs]
    stack = Stacked(ours)
    advance(stack, updates)
    stack.hand_back()
    alone = [session(config) for config in configs]
    for run in alone:
        advance_alone(run, updates)
    return ours, alone


def assert_alike(ours, alone, tolerance):
    for one, other in zip(ours, alone, strict=True):
        assert one.step == other.step
        torch.testing.assert_close(one.weights, other.weights, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("kind", KINDS)
def test_float64_weights_after_twenty_updates_are_those_of_each_run_alone(kind):
    ours, alone = weights(seeds(KINDS[kind], 3), 20)
    assert_alike(ours, alone, 1e-10)


def test_float32_weights_after_twenty_updates_are_those_of_each_run_alone_to_rounding():
    config = replace(RUN, train_precision=32, loss_function="stablemax")
    ours, alone = weights(seeds(config, 3), 20)
    assert_alike(ours, alone, 1e-6)
    assert ours[0].weights[0].dtype == torch.float32


def test_runs_of_several_losses_and_operations_share_a_stack():
    precise = [
        replace(RUN, softmax_precision=bits, seed=s) for s in (0, 1) for bits in (16, 32, 64)
    ]
    other = replace(RUN, loss_function="stablemax", binary_operation="product_mod")
    configs = [*precise, other, replace(RUN, loss_function="sparsemax")]
    assert len({stacking.shape(config) for config in configs}) == 1
    assert_alike(*weights(configs, 20), 1e-10)


@pytest.mark.parametrize(
    "kind",
    ["mini-batches, Adam", "perpendicular AdamW", "softmax16", "filter of an exponential mean",
     "filter of a window, perpendicular"],
)  # fmt: skip
def test_runs_go_from_alone_to_a_stack_and_back_with_their_moments_and_batches(kind, monkeypatch):
    monkeypatch.setattr(stacked, "AHEAD", 1)  # orders are drawn within the few updates, too
    configs = seeds(KINDS[kind], 2)
    ours = [session(config) for config in configs]
    for run in ours:
        advance_alone(run, 7)
    stack = Stacked(ours)
    advance(stack, 8)
    stack.hand_back()
    for run in ours:
        advance_alone(run, 9)
    alone = [session(config) for config in configs]
    for run in alone:
        advance_alone(run, 24)
    assert_alike(ours, alone, 1e-10)


def test_first_layer_is_the_same_as_a_product_with_dense_rows_as_on_a_gpu(monkeypatch):
    config = replace(SGD, bias=True)
    with monkeypatch.context() as patch:
        patch.setattr(sessions, "written_out", lambda x: False)
        ours = [session(config) for config in seeds(config, 3)]
    stack = Stacked(ours)
    assert stack._inputs.shape == (3, 60, 22) and stack._inputs.is_floating_point()
    advance(stack, 20)
    stack.hand_back()
    alone = [session(config) for config in seeds(config, 3)]
    for run in alone:
        advance_alone(run, 20)
    assert_alike(ours, alone, 1e-10)


class Count(TorchDispatchMode):
    """Counts the operations that reach a device."""

    def __init__(self):
        super().__init__()
        self.number = 0

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        self.number += 1
        return operation(*args, **(kwargs or {}))


@pytest.mark.parametrize("kind", KINDS)
def test_an_update_of_five_runs_takes_as_many_operations_as_one_of_two(kind):
    numbers = []
    for count in (2, 5):
        stack = Stacked([session(config) for config in seeds(KINDS[kind], count)])
        stack.update()
        with Count() as counted:
            stack.update()
        numbers.append(counted.number)
    assert numbers[0] == numbers[1] < 240


# ---------------------------------------------------------------------------------- processes

FLAGS = (
    "--lr 0.01 --modulo 11 --hidden_sizes 12 10 --train_fraction 0.5 --loss_function stablemax"
    " --train_precision 64 --num_epochs 260 --log_frequency 5"
)
GOAL = f"{FLAGS} --stop_at train_accuracy --stop_level 0.95"
BATCHES = f"{FLAGS} --no-full_batch --batch_size 25 --num_epochs 50 --log_frequency 2"


def words(flags, root, count, checkpoint_seconds=60.0):
    """A command line of `count` seeds in one process."""
    machine = f"--runs {root} --checkpoint_seconds {checkpoint_seconds}"
    return f" {train.AND} ".join(f"{flags} --seed {s} {machine}" for s in range(count)).split()


def finish(child):
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def folders(root, count):
    (name,) = (path.name for path in root.iterdir())
    return [runs.run_folder(root, name, seed) for seed in range(count)]


def assert_rows_alike(ours, alone):
    a, b = runs.read_metrics(ours), runs.read_metrics(alone)
    assert list(a) == list(b)
    np.testing.assert_allclose(a.to_numpy(), b.to_numpy(), rtol=1e-8, atol=1e-12, equal_nan=True)


@pytest.mark.parametrize("flags", [GOAL, BATCHES], ids=["ends at a goal", "mini-batches"])
def test_each_run_of_a_process_has_the_folder_that_it_writes_alone(flags, tmp_path, capsys):
    assert train.main(words(flags, tmp_path / "stack", 3)) == 0
    for seed in range(3):
        assert (
            train.main([*flags.split(), "--seed", str(seed), "--runs", str(tmp_path / "alone")])
            == 0
        )
    ends = []
    for ours, alone in zip(
        folders(tmp_path / "stack", 3), folders(tmp_path / "alone", 3), strict=True
    ):
        assert {p.name for p in ours.iterdir()} == {p.name for p in alone.iterdir()}
        assert (ours / runs.CONFIG).read_bytes() == (alone / runs.CONFIG).read_bytes()
        assert_rows_alike(ours, alone)
        one, other = (runs.read_summary(folder) for folder in (ours, alone))
        changing = ("seconds", "sha256", "final")
        assert {k: v for k, v in one.items() if k not in changing} == {
            k: v for k, v in other.items() if k not in changing
        }
        state, single = (runs.load_final_state(folder) for folder in (ours, alone))
        torch.testing.assert_close(state, single, rtol=1e-8, atol=1e-10)
        ends.append(one["steps"])
    assert len(set(ends)) == (3 if flags == GOAL else 1)


def test_a_run_that_diverges_leaves_the_others_as_they_are(tmp_path, capsys):
    kept = Session.row

    def row(run, step):
        lost = {"train_loss": float("nan")} if run.config.seed == 1 and step >= 20 else {}
        return kept(run, step) | lost

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Session, "row", row)
        assert train.main(words(FLAGS, tmp_path / "stack", 3)) == 0
    ended = [runs.read_summary(f)["diverged_at_step"] for f in folders(tmp_path / "stack", 3)]
    assert ended == [None, 20, None]
    train.main([*FLAGS.split(), "--seed", "2", "--runs", str(tmp_path / "alone")])
    assert_rows_alike(folders(tmp_path / "stack", 3)[2], folders(tmp_path / "alone", 3)[2])


@pytest.mark.parametrize(
    ("flags", "number"),
    [(GOAL, signal.SIGKILL), (BATCHES, signal.SIGKILL), (BATCHES, signal.SIGTERM)],
)
def test_rows_are_byte_identical_after_kills_at_random_moments(flags, number, tmp_path):
    whole, killed, draw, kills = tmp_path / "whole", tmp_path / "killed", random.Random(3), 0
    assert finish(forked_trainer(words(flags, whole, 3))) == 0
    names = [path.relative_to(whole) for path in folders(whole, 3)]
    size = sum((whole / name / runs.METRICS).stat().st_size for name in names)
    level = True

    def written():
        tables = (killed / name / runs.METRICS for name in names)
        return sum(table.stat().st_size for table in tables if table.exists())

    for _ in range(40):
        child = forked_trainer(words(flags, killed, 3, draw.choice((0.0, 0.02))))
        target = written() + draw.randrange(size // 2)
        while os.waitpid(child, os.WNOHANG) == (0, 0):
            if written() >= target:
                time.sleep(draw.random() * 0.02)
                os.kill(child, number)
                kills += finish(child) != 0
                break
            time.sleep(0.001)
        going = [killed / name for name in names if not runs.is_complete(killed / name)]
        if not going:
            break
        begun = [path / runs.CHECKPOINT for path in going if (path / runs.CHECKPOINT).exists()]
        steps = {runs._load_checkpoint(path, "cpu")["step"] for path in begun}
        # Between two of the renamings, microseconds apart: then they become level, to rounding.
        level = level and len(steps) <= 1 and len(begun) in (0, len(going))
    assert kills >= 2
    for name in names:
        ours, theirs = (root / name / runs.METRICS for root in (killed, whole))
        assert_rows_alike(ours.parent, theirs.parent)
        assert ours.read_bytes() == theirs.read_bytes() or not level


def test_runs_at_different_steps_become_level_and_end_as_they_would_alone(tmp_path, capsys):
    root, alone = tmp_path / "stack", tmp_path / "alone"
    for seed, updates in ((0, 90), (1, 40), (2, 40)):  # 3 has not begun
        asked = iter([False] * updates + [True])
        config, path = train.resolve(train.make_parser().parse_args(
            [*FLAGS.split(), "--seed", str(seed), "--runs", str(root)]
        ))  # fmt: skip
        with runs.RunFolder(path, config) as folder, pytest.raises(train.Stopped):
            train.train(config, folder, stop_asked=lambda: next(asked))  # noqa: B023
    assert train.main(words(FLAGS, root, 4)) == 0
    for seed in range(4):
        train.main([*FLAGS.split(), "--seed", str(seed), "--runs", str(alone)])
    for ours, single in zip(folders(root, 4), folders(alone, 4), strict=True):
        assert_rows_alike(ours, single)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ("--use_lr_scheduler", "use_lr_scheduler True cannot be trained in a stack"),
        ("--use_transformer", "network transformer cannot be trained in a stack"),
        ("--optimizer Muon", "optimizer Muon cannot be trained in a stack"),
        ("--seed 0", "is named twice"),
        ("--lr 0.02", "no runs of one shape (lr 0.01 -> 0.02); drop --and"),
        ("--loss_function stablemax --train_fraction 0.5", "(training examples 36 -> 60, train_"),
        ("--track", "--track is of a run alone; drop it or --and"),
        ("--and --and", "--and stands between the flags of two runs; one side of it has none"),
        ("--device cuda:0", "--device differs between runs of one process"),
    ],
)
def test_what_has_no_place_in_a_stack_is_refused_in_one_line(more, said, tmp_path, capsys):
    flags = "--modulo 11 --lr 0.01"
    second = f"{flags} --seed 1 {more}"
    arguments = f"{flags} --seed 0 --runs {tmp_path} {train.AND} {second} --runs {tmp_path}"
    assert train.main(arguments.split()) == 2
    printed = capsys.readouterr()
    assert said in printed.err and printed.err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_a_run_whose_folder_is_in_use_or_damaged_stops_no_other(tmp_path, capsys, monkeypatch):
    arguments = words(FLAGS.replace("260", "20"), tmp_path, 3)
    parsed = [train.make_parser().parse_args(one) for one in train.split(arguments)]
    (first, one), (_, two), (_, three) = (train.resolve(each) for each in parsed)
    kept, held = train.advance, []

    def advance(*courses, **options):
        held.extend(map(is_busy, (two, three)))
        return kept(*courses, **options)

    monkeypatch.setattr(train, "advance", advance)
    with runs.RunFolder(one, first):
        two.mkdir(parents=True)
        (two / runs.METRICS).write_text("no run\n")
        assert train.main(arguments) == runs.EXIT_BUSY
    said = capsys.readouterr().err.splitlines()
    assert "being written by process" in said[0] and "is not a run folder" in said[1]
    assert said[2:] == said[:2]  # at the end of a log, too
    assert held == [False, True]
    assert [runs.is_complete(path) for path in (one, two, three)] == [False, False, True]
