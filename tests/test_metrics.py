"""Metrics against values worked out by hand and against NumPy."""

import math
import weakref

import numpy as np
import pytest
import torch
from torch import nn

import datasets
import metrics
import models
from configuration.config import RunConfig
from training.session import Session


def test_collapse_by_hand_numpy_agrees_in_float32():
    values = np.linspace(0, 40, 201, dtype=np.float32)
    logits = torch.zeros(201, 2)
    logits[:, 0] = torch.from_numpy(values)
    absorbed = np.float32(1) + np.exp(-values, dtype=np.float32) == np.float32(1)
    published, _ = metrics.softmax_collapse(logits, torch.zeros(201).long(), torch.float32)
    assert published.item() == pytest.approx(absorbed.mean(), abs=1 / 201)
    assert 0.5 < absorbed.mean() < 0.7


def test_collapse_at_16_bits_is_of_a_float32_sum_rounded_once():
    # From a gap of 7.7 on each of 112 terms is lost when added to 1 in half, together until 12.3.
    gaps = np.arange(5, 15, 0.01, dtype=np.float16)
    logits = np.tile(-gaps[:, None], 113)
    logits[:, 5] = 0
    terms = np.exp(logits.astype(np.float32)).astype(np.float16)
    collapsed = terms.sum(1, dtype=np.float32).astype(np.float16) == 1
    published, label = metrics.is_collapsed(
        torch.from_numpy(logits), torch.full((len(gaps),), 5), torch.float16
    )
    assert published.tolist() == label.tolist() == collapsed.tolist()
    assert gaps[collapsed].min() == pytest.approx(11 * math.log(2) + math.log(112), abs=0.02)


def test_collapse_at_32_bits_is_of_torchs_own_sum_in_float32():
    gaps = torch.arange(14, 24, 0.01)
    logits = torch.zeros(len(gaps), 113) - gaps[:, None]
    logits[:, 5] = 0
    sums = [logits.to(dtype).exp().sum(1) for dtype in (torch.float32, torch.float64)]
    collapsed, wider = (total.float() == 1 for total in sums)
    published, _ = metrics.is_collapsed(logits, torch.zeros(len(gaps)).long(), torch.float32)
    assert published.tolist() == collapsed.tolist() != wider.tolist()


def test_equal_logits_do_not_collapse():
    published, label = metrics.softmax_collapse(
        torch.zeros(3, 5), torch.tensor([0, 1, 2]), torch.float32
    )
    assert (published, label) == (0, 0)


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
    metrics.measure(model, hand_split(), softmax, torch.float32, True, top5=True, gradients=True)
    assert model.w.item() == 2 and model.w.grad.item() == 5
    assert torch.equal(before, torch.get_rng_state())


# ----------------------------------------------------------- large sets, top-5 and gradient norms


def test_top_five_is_numpys_and_a_count():
    generator = np.random.default_rng(0)
    logits, targets = generator.normal(size=(500, 9)), generator.integers(9, size=500)
    expected = [t in row for t, row in zip(targets, np.argsort(-logits)[:, :5], strict=True)]
    found = metrics.is_among_largest(torch.from_numpy(logits), torch.from_numpy(targets))
    np.testing.assert_array_equal(found, expected)
    assert 0.4 < np.mean(expected) < 0.7


def test_ties_are_torchs_and_few_classes_are_always_among_the_largest():
    logits = torch.zeros(7, 7)
    chosen = torch.zeros(7).topk(5).indices.tolist()
    found = metrics.is_among_largest(logits, torch.arange(7))
    assert found.tolist() == [k in chosen for k in range(7)]
    assert metrics.is_among_largest(torch.tensor([[0.0, 1.0, 2.0]]), torch.tensor([0])).all()


def deep_network():
    torch.manual_seed(0)
    network = dict(models.AUTHORS_ENCODER) | dict(
        vocab_size=9, num_classes=7, max_tokens=4, num_layers=2, model_dim=8, num_heads=2, ff_dim=16
    )
    model = models.Transformer(**network)
    with torch.no_grad():
        for weight in model.parameters():  # biases, too, are not 0
            weight.add_(0.1 * torch.randn_like(weight))
    return model


def token_split(examples=45):
    generator = torch.Generator().manual_seed(5)
    tokens = torch.randint(9, (2 * examples, 4), generator=generator)
    targets = torch.randint(7, (2 * examples,), generator=generator)
    return datasets.Split(
        tokens[:examples], targets[:examples], tokens[examples:], targets[examples:]
    )


EVERYTHING = dict(
    nlm_cosine=True, absorption_lr=lambda g: 0.1, top5=True, gradients=True, attends=True
)


def test_top_five_columns_are_shares_of_each_set():
    model, data = deep_network().eval(), token_split()
    row = metrics.measure(model, data, softmax, torch.float32, top5=True)
    sets = {
        "train": (data.train_inputs, data.train_targets),
        "test": (data.test_inputs, data.test_targets),
    }
    for name, (inputs, targets) in sets.items():
        best = np.argsort(-model(inputs).detach().numpy())[:, :5]
        count = sum(t in row for t, row in zip(targets.tolist(), best.tolist(), strict=True))
        assert row[f"{name}_top5"].item() == count / 45
    assert row["train_top5"] != row["test_top5"]


def test_gradient_norms_are_autograds_in_evaluation_mode():
    model, data = deep_network().train(), token_split()
    row = metrics.measure(model, data, softmax, torch.float32, gradients=True)
    model.eval()
    softmax(model(data.train_inputs), data.train_targets).backward()
    squares = 0
    for name, weight in model.named_parameters():
        norm = np.linalg.norm(weight.grad.double().numpy())
        assert row[f"gradient_norm/{name}"].item() == pytest.approx(norm, rel=1e-5, abs=1e-9)
        squares += norm**2
    assert row["gradient_norm"].item() == pytest.approx(math.sqrt(squares), rel=1e-5)


@pytest.mark.parametrize("piece", [4, 28, 52])  # 1, 7 and 13 sequences of 4 tokens
def test_a_large_set_in_pieces_measures_as_in_one(monkeypatch, piece):
    model, data = deep_network().double(), token_split()
    arguments = (model, data, softmax, torch.float64)
    whole = metrics.measure(*arguments, **EVERYTHING)
    monkeypatch.setattr(metrics, "WHOLE", 4 * 45 - 1)
    monkeypatch.setattr(metrics, "PIECE", piece)
    sizes = []
    model.register_forward_pre_hook(lambda _, inputs: sizes.append(len(inputs[0])))
    pieces = metrics.measure(*arguments, **EVERYTHING)
    assert max(sizes[:-1]) == piece // 4 and sum(sizes[:-1]) == 3 * 45  # attention's own is last
    assert list(pieces) == list(whole)
    keys = 2 * 8 / sum(weight.numel() for weight in model.parameters())
    for column, value in whole.items():
        quantity, _, tensor = column.partition("/")
        slack = 1e-14
        if quantity in ("zero_gradients", "update_absorbed"):
            # A key's bias has no gradient but rounding, now 0 or absorbed and now not.
            slack += {"": keys, "in_proj_bias": 1 / 3}.get(tensor.rpartition(".")[2], 0)
        assert pieces[column].item() == pytest.approx(value.item(), rel=1e-9, abs=slack), column


@pytest.mark.parametrize(
    ("inputs", "count"),
    [
        (torch.zeros(16_384, 2, dtype=torch.int64), 1),
        (torch.zeros(16_385, 2, dtype=torch.int64), 5),
        (torch.zeros(8_192, 4, dtype=torch.int64), 1),
        (torch.zeros(8_193, 4, dtype=torch.int64), 5),
        (torch.zeros(5_000, 784), 1),
        (torch.zeros(40_000, 1), 5),
    ],
    ids=lambda v: str(getattr(v, "shape", v)),
)
def test_pieces_cover_every_row_once_and_small_sets_are_whole(inputs, count):
    pieces = metrics.slices(inputs)
    assert len(pieces) == count
    rows = torch.arange(len(inputs))
    assert torch.equal(torch.cat([rows[s] for s in pieces]), rows)


def test_no_pieces_logits_are_kept(monkeypatch):
    monkeypatch.setattr(metrics, "WHOLE", 0)
    monkeypatch.setattr(metrics, "PIECE", 4)
    alive, most = weakref.WeakSet(), []

    class Counting(nn.Module):
        def forward(self, x):
            logits = torch.zeros(len(x), 7)
            alive.add(logits)
            most.append(len(alive))
            return logits

    def quantities(logits, labels):
        yield logits.argmax(1) == labels

    data = token_split()
    metrics.by_example(Counting(), data.train_inputs, data.train_targets, quantities)
    assert len(most) == 45 and max(most) <= 2


def test_existing_columns_keep_their_order_and_new_ones_follow():
    arguments = (deep_network(), token_split(), softmax, torch.float32)
    before = list(metrics.measure(*arguments, nlm_cosine=True, absorption_lr=lambda g: 0.1))
    after = list(metrics.measure(*arguments, **EVERYTHING))
    assert after[: len(before)] == before
    new = {name.split("/")[0]: None for name in after[len(before) :]}
    assert list(new) == [
        "train_top5",
        "test_top5",
        "gradient_norm",
        "attention_entropy",
        "attention_norm",
    ]


def test_every_column_is_described():
    row = metrics.measure(deep_network(), token_split(), softmax, torch.float32, **EVERYTHING)
    columns = {"step", "epoch"} | {name.split("/")[0] for name in row}
    dimensions = {
        f"dimension_{name}{of}" for name in ("train", "test") for of in ("", "_std", "_global")
    }
    assert columns | dimensions == set(metrics.COLUMNS)


# ---------------------------------------------------------------------------------- absorption

SMALL = {"lr": 0.5, "modulo": 7, "hidden_sizes": (16,), "train_fraction": 0.6, "num_epochs": 200}


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


def test_the_columns_are_printed_with_unit_definition_and_source(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "60")
    assert metrics.main(["--columns"]) == 0
    printed = capsys.readouterr().out
    assert max(map(len, printed.splitlines())) <= 70  # the first line alone is longer than 60
    said = " ".join(printed.split())
    for name, (unit, definition, source) in metrics.COLUMNS.items():
        assert f"{name} [{unit}] {definition} ({source})" in said
    with pytest.raises(SystemExit, match="2"):
        metrics.main([])
    assert capsys.readouterr().err.count("\n") == 1
