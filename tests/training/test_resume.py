"""A run that is killed and started again leaves the files of one that never was."""

import os
import random
import signal
import time

import numpy as np
import pytest
import torch
from made_runs import forked_trainer

from configuration import runs
from configuration.config import RunConfig
from training.session import Session

FULL_BATCH = (
    "--lr 0.01 --modulo 23 --hidden_sizes 32 32 --train_fraction 0.5 --loss_function stablemax"
    " --num_epochs 1000 --log_frequency 10 --log_nlm_cosine"
)
EVERYTHING_RANDOM = (
    "--lr 0.05 --modulo 11 --use_transformer --model_dim 16 --num_heads 2 --ff_dim 32 --dropout 0.2"
    " --train_fraction 0.5 --no-full_batch --batch_size 13 --optimizer SGD --momentum 0.8"
    " --orthogonal_gradients --use_lr_scheduler --num_epochs 40 --log_frequency 1 --log_steps 3 8"
    " --gradient_filter ema"
)
# The decoder of the related systems with all that acts beside its optimizer; it ends at a goal.
DECODER = (
    "--lr 0.003 --modulo 7 --network transformer --num_layers 2 --model_dim 16 --num_heads 2"
    " --ff_dim 32 --dropout 0.1 --dropout_at all --norm pre --final_norm --positions learned"
    " --causal --scale_embedding --embedding_noise 0.1 --weight_noise 0.01 --update_noise 0.1"
    " --weight_decay 0.5 --weight_decay_to init --no-decay_all --clip_norm 1 --lr_schedule cosine"
    " --warmup_steps 10 --train_fraction 0.6 --no-full_batch --batch_size 12 --num_steps 1500"
    " --log_every 7 --log_growth 1.5 --stop_at train_accuracy --stop_level 1"
)
REMEDIES = (
    "--lr 0.002 --modulo 11 --hidden_sizes 16 16 --bias --train_fraction 0.5 --no-full_batch"
    " --batch_size 20 --optimizer Muon --weight_decay 0.1 --gradient_filter ma --filter_window 40"
    " --loss_function sparsemax --softmax_precision 64 --num_epochs 300 --log_frequency 3"
)
KINDS = {
    "full batch, AdamW": FULL_BATCH,
    "mini-batches, dropout, schedule, slow gradients": EVERYTHING_RANDOM,
    "Muon, gradients of a window, sparsemax": REMEDIES,
    "decoder, noise, decay to the start, goal": DECODER,
}


def start(flags, folder, checkpoint_seconds=60.0):
    words = [*flags.split(), "--run_dir", str(folder)]
    return forked_trainer([*words, "--checkpoint_seconds", str(checkpoint_seconds)])


def what_counts(summary):
    """A summary without the seconds that the run took."""
    return summary | {"seconds": 0, "sha256": summary["sha256"] | {runs.SUMMARY: ""}}


def finish(child):
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


@pytest.fixture(params=KINDS, scope="module")
def uninterrupted(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole") / "run"
    assert finish(start(KINDS[request.param], folder)) == 0
    return KINDS[request.param], folder


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_metrics_are_byte_identical_after_kills_at_random_moments(uninterrupted, tmp_path, number):
    flags, whole = uninterrupted
    folder, draw, kills, children = tmp_path / "killed", random.Random(int(number)), 0, 0
    size = (whole / runs.METRICS).stat().st_size
    while not runs.is_complete(folder):
        child = start(flags, folder, checkpoint_seconds=draw.choice((0.0, 0.05)))
        children += 1
        assert children < 60
        path = folder / runs.METRICS
        target = (path.stat().st_size if path.exists() else 0) + draw.randrange(size // 6)
        while True:  # until it has written that much, then a little further, anywhere in a step
            ended, status = os.waitpid(child, os.WNOHANG)
            if ended:
                assert os.waitstatus_to_exitcode(status) == 0
                break
            if path.exists() and path.stat().st_size >= target:
                time.sleep(draw.random() * 0.02)
                os.kill(child, number)
                code = finish(child)
                assert code in (-number, 0, runs.EXIT_STOPPED)
                kills += code != 0
                break
            time.sleep(0.001)
    assert kills >= 4
    assert (folder / runs.METRICS).read_bytes() == (whole / runs.METRICS).read_bytes()
    assert what_counts(runs.read_summary(folder)) == what_counts(runs.read_summary(whole))


def test_rows_stand_at_their_true_steps_and_epochs(uninterrupted):
    flags, folder = uninterrupted
    table = runs.read_metrics(folder)
    config = runs.read_config(folder)
    n = int(config.train_fraction * config.modulo**2)
    per_epoch = 1 if config.full_batch else -(-n // config.batch_size)
    last = table["step"].iloc[-1]
    if config.stop_at == "None":
        assert last == config.num_epochs * per_epoch
        expected = set(range(0, last + 1, config.log_frequency * per_epoch))
    else:
        assert 100 < last < config.num_steps and table[config.stop_at].iloc[-1] == 1
        powers = {round(config.log_growth**k) for k in range(50)}
        expected = set(range(0, last + 1, config.log_every)) | {s for s in powers if s <= last}
    assert table["step"].tolist() == sorted(expected | set(config.log_steps))
    assert (table["epoch"] * per_epoch - table["step"]).abs().max() < 1e-9


# ---------------------------------------------------------------------------------- saved weights

SMALL = {"lr": 0.5, "modulo": 7, "hidden_sizes": (16,), "train_fraction": 0.6, "num_epochs": 200}


SAVING = (
    "--lr 0.05 --modulo 7 --hidden_sizes 12 --train_fraction 0.6 --num_epochs 240 --log_frequency 2"
    " --log_steps 3 --save_weights"
)


def test_weights_are_byte_identical_after_kills_at_random_moments(tmp_path):
    whole, folder, draw = tmp_path / "whole", tmp_path / "killed", random.Random(5)
    assert finish(start(SAVING, whole)) == 0
    kills = 0
    for _ in range(60):
        if runs.is_complete(folder):
            break
        child = start(SAVING, folder, checkpoint_seconds=draw.choice((0.0, 0.02)))
        size, path = (whole / runs.WEIGHTS).stat().st_size, folder / runs.WEIGHTS
        target = (path.stat().st_size if path.exists() else 0) + draw.randrange(size // 4)
        while os.waitpid(child, os.WNOHANG) == (0, 0):
            if path.exists() and path.stat().st_size >= target:
                os.kill(child, signal.SIGKILL)
                kills += finish(child) != 0
                break
            time.sleep(0.001)
    assert runs.is_complete(folder) and kills >= 3
    for name in (runs.WEIGHTS, runs.METRICS):
        assert (folder / name).read_bytes() == (whole / name).read_bytes()
    steps, weights = runs.read_weights(folder)
    assert steps.tolist() == sorted({*range(0, 241, 2), 3})
    assert weights.shape == (len(steps), 14 * 12 + 12 * 7) and weights.dtype == np.float32
    table = runs.read_metrics(folder)
    norms = np.linalg.norm(weights.astype(np.float64), axis=1)
    np.testing.assert_allclose(norms, table["weight_norm"], rtol=1e-12)
    first = Session(runs.read_config(folder)).flat_weights()
    assert np.array_equal(weights[0], first)
    final = runs.load_final_state(folder)
    assert np.array_equal(torch.cat([w.flatten() for w in final.values()]).numpy(), weights[-1])


def test_weights_and_checkpoint_that_are_not_there_are_named_with_the_remedy(tmp_path):
    config = RunConfig(**SMALL)
    with runs.RunFolder(tmp_path / "run", config) as folder:
        with pytest.raises(runs.RunError, match="--save_weights"):
            runs.read_weights(folder.path)
        with pytest.raises(runs.RunError, match="a run of your own"):
            runs.load_final_state(folder.path)


def test_weights_file_shorter_than_its_checkpoint_is_refused(tmp_path):
    config = RunConfig(**SMALL, save_weights=True)
    with runs.RunFolder(tmp_path / "run", config) as folder:
        for step in range(3):
            folder.append_weights(np.arange(5, dtype=np.float32) + step)
            folder.append({"step": step, "epoch": step})
        folder.save_checkpoint({})
        path = folder.path / runs.WEIGHTS
        os.truncate(path, path.stat().st_size - 1)
        with pytest.raises(runs.RunError, match="weights.bin is not what it was"):
            folder.load_checkpoint()
        with pytest.raises(runs.RunError, match="fewer rows than metrics.csv"):
            runs.read_weights(folder.path)
        path.write_bytes(b"weigh")
        with pytest.raises(runs.RunError, match="no header"):
            runs.read_weights(folder.path)


def test_weights_are_cut_back_to_the_rows_of_the_checkpoint(tmp_path):
    config = RunConfig(**SMALL, save_weights=True)
    with runs.RunFolder(tmp_path / "run", config) as folder:
        for step in range(5):
            folder.append_weights(np.arange(5, dtype=np.float32) + step)
            folder.append({"step": step, "epoch": step})
            if step == 2:
                folder.save_checkpoint({})
        folder.load_checkpoint()
        steps, weights = runs.read_weights(folder.path)
        assert steps.tolist() == [0, 1, 2] and weights[:, 0].tolist() == [0, 1, 2]
        folder.clear()
        assert not (folder.path / runs.WEIGHTS).exists()
