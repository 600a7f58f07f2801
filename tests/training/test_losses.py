"""The losses beside StableMax and softmax, what acts on a loss, and scaled initial weights."""

import math
from fractions import Fraction

import entmax
import numpy as np
import pytest
import torch
import torch.nn.functional as F

from configuration.config import RunConfig
from training import builders, losses
from training.session import Session

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


# Rows whose support is one, some and all of the classes, of sizes that logits come to have.
ROWS = {"small": (0.05, 0.0), "about one": (1.0, 0.0), "large": (3e3, 0.0), "far away": (1.0, 1e4)}


def simplex_point(row):
    """(p, tau): the point of the simplex nearest to a row; sum max(z - tau, 0) = 1 by bisection."""
    low, high = row.max() - 1, row.max()
    for _ in range(200):
        tau = (low + high) / 2
        low, high = (tau, high) if np.maximum(row - tau, 0).sum() > 1 else (low, tau)
    return np.maximum(row - tau, 0), tau


def published_sparsemax(row, label):
    """Martins & Astudillo (2016), Section 3, in float64, with its gradient."""
    row = row - row.max()  # the loss does not change
    p, tau = simplex_point(row)
    inside = row > tau
    value = -row[label] + (row[inside] ** 2 - tau**2).sum() / 2 + 0.5
    return value, p - (np.arange(len(row)) == label)


@pytest.mark.parametrize("rows", ROWS)
@pytest.mark.parametrize("precision", [torch.float32, torch.float64])
def test_sparsemax_loss_and_gradient_are_those_of_the_simplex_point(rows, precision):
    scale, offset = ROWS[rows]
    generator = torch.Generator().manual_seed(1)
    logits = scale * torch.randn(50, 9, generator=generator) + offset
    z = logits.to(precision, copy=True).requires_grad_()
    targets = torch.arange(50) % 9
    value = losses.sparsemax_loss(z, targets, reduction="none", precision=precision)
    value.sum().backward()
    expected = [published_sparsemax(row, y) for row, y in
                zip(logits.double().numpy(), targets.tolist(), strict=True)]  # fmt: skip
    rtol = 1e-6 if precision == torch.float32 else 1e-12
    assert value.dtype == z.grad.dtype == precision
    np.testing.assert_allclose(
        value.detach().numpy(), [v for v, _ in expected], rtol=rtol, atol=3 * rtol * min(scale, 1)
    )
    np.testing.assert_allclose(z.grad, np.array([g for _, g in expected]), atol=rtol, rtol=0)


def test_sparsemax_gradient_is_that_of_finite_differences():
    logits, targets = logits_and_targets()
    for scale in (0.1, 1.0):
        assert torch.autograd.gradcheck(
            lambda z: losses.sparsemax_loss(z, targets, reduction="none", precision=torch.float64),
            (scale * logits).requires_grad_(),
        )


def test_sparsemax_loss_is_entmaxs():
    logits, targets = logits_and_targets()
    ours, theirs = (logits.clone().requires_grad_() for _ in range(2))
    found = losses.sparsemax_loss(ours, targets, precision=torch.float64)
    expected = entmax.sparsemax_loss(theirs, targets).mean()
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=0)
    found.backward()
    expected.backward()
    torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize(
    ("precision", "offset"),
    [(torch.float16, 0.0), (torch.float32, 0.0), (torch.float32, -1e4), (torch.float64, -1e4)],
)
@pytest.mark.parametrize("gap", [1.0, 2.0, 1e4])
def test_sparsemax_has_no_loss_and_no_gradient_from_a_margin_of_one_on(precision, offset, gap):
    logits = torch.zeros(3, 113, dtype=torch.float64)
    logits[torch.arange(3), torch.tensor([0, 50, 112])] = gap
    z = (logits + offset).requires_grad_()
    value = losses.sparsemax_loss(
        z, torch.tensor([0, 50, 112]), reduction="none", precision=precision
    )
    value.sum().backward()
    assert value.count_nonzero() == 0 and z.grad.count_nonzero() == 0


@pytest.mark.parametrize("short", [1e-1, 1e-3, 1e-6])
def test_sparsemax_keeps_a_tiny_loss_that_the_published_form_absorbs(short):
    """Two logits, the margin `short` below one: p = (1 - short/2, short/2), loss short^2 / 4."""
    z = torch.tensor([[0.0, np.float32(short) - 1]])
    exact = (1 + z.double()[0, 1].item()) ** 2 / 4
    value = losses.sparsemax_loss(z, torch.tensor([0])).item()
    assert value == pytest.approx(exact, rel=3e-6 if short > 1e-5 else 0.2) and value > 0
    if short == 1e-6:
        assert abs(entmax.sparsemax_loss(z, torch.tensor([0])).item() - exact) > exact


TERMS = (losses.taylor_softmax_cross_entropy, losses.mean_squared_error, losses.sparsemax_loss)


@pytest.mark.parametrize("loss", TERMS)
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


@pytest.mark.parametrize("loss", TERMS)
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


@pytest.mark.parametrize("name", ["taylor", "mse", "sparsemax"])
def test_training_follows_the_gradient_of_the_named_loss(name):
    config = RunConfig(**SMALL, loss_function=name, optimizer="SGD", momentum=0.0)
    session, plain = Session(config), Session(config)
    session.update()
    t = plain.data.train_targets
    logits = plain.model(plain.data.train_inputs)
    if name == "mse":
        value = F.mse_loss(logits, F.one_hot(t, 7).float())
    elif name == "sparsemax":
        value = entmax.sparsemax_loss(logits, t).mean()
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
