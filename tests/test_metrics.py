"""Metrics against values worked out by hand and against NumPy."""

import math

import numpy as np
import pytest
import torch
from torch import nn

import datasets
import metrics

FORMATS = {torch.float16: 11, torch.float32: 24, torch.float64: 53}  # significant bits


@pytest.mark.parametrize("dtype", FORMATS)
def test_one_competitor_collapses_where_its_exponential_is_absorbed_by_one(dtype):
    # 1 + exp(-gap) rounds to 1 once exp(-gap) <= 2^-bits: gap >= bits * ln 2 (ties go to even).
    limit = FORMATS[dtype] * math.log(2)
    logits = torch.tensor([[limit + 0.1, 0.0], [limit - 0.1, 0.0]], dtype=torch.float64)
    targets = torch.tensor([0, 0])
    published, label = metrics.softmax_collapse(logits, targets, dtype)
    assert published == 0.5 and label == 0.5


def test_collapse_by_hand_numpy_agrees_in_float32():
    values = np.linspace(0, 40, 201, dtype=np.float32)
    logits = torch.zeros(201, 2)
    logits[:, 0] = torch.from_numpy(values)
    absorbed = np.float32(1) + np.exp(-values, dtype=np.float32) == np.float32(1)
    published, _ = metrics.softmax_collapse(logits, torch.zeros(201).long(), torch.float32)
    assert published.item() == pytest.approx(absorbed.mean(), abs=1 / 201)
    assert 0.5 < absorbed.mean() < 0.7


def test_confidently_wrong_sample_counts_as_published_collapse_only():
    logits = torch.tensor([[100.0, 0.0]])
    published, label = metrics.softmax_collapse(logits, torch.tensor([1]), torch.float32)
    assert (published, label) == (1, 0)


def test_equal_logits_do_not_collapse():
    published, label = metrics.softmax_collapse(
        torch.zeros(3, 5), torch.tensor([0, 1, 2]), torch.float32
    )
    assert (published, label) == (0, 0)


def test_all_correct_is_exactly_one_and_counts_are_integers():
    n = 7662  # the size at which a float32 mean of ones is 0.99999994 on a GPU
    logits = torch.eye(3)[torch.arange(n) % 3]
    targets = torch.arange(n) % 3
    assert metrics.correct_count(logits, targets).item() == n
    targets[:5] = (targets[:5] + 1) % 3
    assert metrics.correct_count(logits, targets).item() == n - 5


def test_norm_of_all_parameters_is_that_of_their_concatenation():
    parts = [torch.randn(4, 3), torch.randn(7), torch.randn(2, 2)]
    flat = np.concatenate([p.numpy().ravel() for p in parts]).astype(np.float64)
    assert metrics.total_norm(metrics.norms(parts)).item() == pytest.approx(
        np.linalg.norm(flat), rel=1e-12
    )


def test_cosine_per_tensor_and_in_all_is_numpys():
    a = [torch.randn(4, 3), torch.randn(7)]
    b = [torch.randn(4, 3), torch.randn(7)]
    found = metrics.cosine(a, b)
    flat = [np.concatenate([t.numpy().ravel() for t in x]).astype(float) for x in (a, b)]
    pairs = [(x.numpy().ravel().astype(float), y.numpy().ravel().astype(float))
             for x, y in zip(a, b, strict=True)] + [tuple(flat)]  # fmt: skip
    for value, (x, y) in zip(found, pairs, strict=True):
        assert value.item() == pytest.approx(x @ y / np.linalg.norm(x) / np.linalg.norm(y))


class Scale(nn.Module):
    """logits = w * inputs: gradient and weight are parallel, so the NLM cosine is +-1."""

    def __init__(self, w):
        super().__init__()
        self.w = nn.Parameter(torch.tensor(w))
        self.dropout = nn.Dropout(0.5)

    def forward(self, x):
        return self.dropout(x * self.w)


def hand_split():
    inputs = torch.tensor([[2.0, 0.0], [0.0, 3.0], [1.0, 0.0]])
    return datasets.Split(inputs, torch.tensor([0, 1, 1]), inputs[:2], torch.tensor([0, 1]))


def softmax(logits, targets, reduction="mean"):
    return nn.functional.cross_entropy(logits, targets, reduction=reduction)


def test_row_by_hand():
    model = Scale(2.0).train()
    row = metrics.measure(model, hand_split(), softmax, torch.float32)
    losses = [math.log1p(math.exp(-4)), math.log1p(math.exp(-6)), math.log1p(math.exp(2))]
    assert row["train_loss"].item() == pytest.approx(sum(losses) / 3, rel=1e-6)
    assert row["test_loss"].item() == pytest.approx(sum(losses[:2]) / 2, rel=1e-6)
    assert row["train_accuracy"].item() == 2 / 3 and row["test_accuracy"].item() == 1
    assert row["zero_terms"].item() == 0 and row["softmax_collapse"].item() == 0
    assert row["weight_norm"].item() == 2 == row["weight_norm/w"].item()
    assert model.training, "the network is handed back in the mode it came in"


def test_zero_terms_counts_losses_that_are_exactly_zero():
    model = Scale(20.0)  # gaps 40, 60 and -20: two float32 losses are exactly 0
    row = metrics.measure(model, hand_split(), softmax, torch.float32)
    assert row["zero_terms"].item() == 2 / 3
    assert row["softmax_collapse"].item() == 1  # the wrong one is absorbed by its wrong class
    assert row["softmax_collapse_label"].item() == 2 / 3


def test_nlm_cosine_is_one_where_scaling_up_lowers_the_loss():
    data = hand_split()
    right = datasets.Split(data.test_inputs, data.test_targets, data.test_inputs, data.test_targets)
    row = metrics.measure(Scale(2.0), right, softmax, torch.float32, nlm_cosine=True)
    assert row["nlm_cosine"].item() == pytest.approx(1)
    wrong = datasets.Split(
        data.test_inputs, 1 - data.test_targets, data.test_inputs, data.test_targets
    )
    row = metrics.measure(Scale(2.0), wrong, softmax, torch.float32, nlm_cosine=True)
    assert row["nlm_cosine/w"].item() == pytest.approx(-1)


def test_measuring_leaves_weights_gradients_and_random_numbers_alone():
    model = Scale(2.0).train()
    model.w.grad = torch.tensor(5.0)
    before = torch.get_rng_state()
    metrics.measure(model, hand_split(), softmax, torch.float32, nlm_cosine=True)
    assert model.w.item() == 2 and model.w.grad.item() == 5
    assert torch.equal(before, torch.get_rng_state())


def test_every_column_is_described():
    row = metrics.measure(
        Scale(2.0), hand_split(), softmax, torch.float32, True, absorption_lr=lambda g: 0.1
    )
    columns = {"step", "epoch"} | {name.split("/")[0] for name in row}
    assert columns == set(metrics.COLUMNS)
