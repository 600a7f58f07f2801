"""Rows of metrics.csv with every measurement on: columns, empty cells, and training untouched."""

import dataclasses
import math

import numpy
import pytest
import torch

import metrics
import train
from configuration import runs
from configuration.config import RunConfig
from training import dimension
from training.session import Session

PLAIN = RunConfig(
    modulo=11, train_fraction=0.6, use_transformer=True, num_layers=2, model_dim=8, num_heads=2,
    ff_dim=16, positions="learned", full_batch=False, batch_size=32, lr=0.01, num_epochs=4,
    log_frequency=2,
)  # fmt: skip
MEASURED = dataclasses.replace(
    PLAIN, log_top5=True, log_gradients=True, log_attention=True, log_dimension=4,
    dimension_points=60, dimension_neighbors=20, dimension_split="both",
)  # fmt: skip
DIMENSIONS = [
    f"dimension_{name}{of}" for name in ("train", "test") for of in ("", "_std", "_global")
]


def run(folder, config):
    with runs.RunFolder(folder, config) as opened:
        summary = train.train(config, opened)
    return runs.read_metrics(folder), summary


def test_dimensions_are_measured_at_their_multiples_and_empty_elsewhere(tmp_path):
    table, summary = run(tmp_path, MEASURED)  # 72 examples: 3 steps an epoch, rows at 0, 6, 12
    assert table["step"].tolist() == [0, 4, 6, 8, 12]
    assert list(table.columns[-6:]) == DIMENSIONS
    for column in DIMENSIONS:
        assert table[column].isna().tolist() == [False, False, True, False, False]
        assert (table[column].dropna() > 0).all()
    header, *lines = (tmp_path / runs.METRICS).read_text().splitlines()
    assert {line.count(",") for line in lines} == {header.count(",")}
    assert lines[2].endswith("," * 6) and "nan" not in lines[2]
    assert summary["diverged_at_step"] is None
    assert summary["final"]["dimension_train"] == table["dimension_train"].iloc[-1]


def test_columns_are_those_of_the_table_in_the_same_order_at_every_step():
    session = Session(dataclasses.replace(MEASURED, log_nlm_cosine=True))
    at_0, at_1 = session.row(0), session.row(1)
    assert list(at_0) == list(at_1)
    names = list(dict.fromkeys(name.split("/")[0] for name in at_0))
    described = [name for name in metrics.COLUMNS if name in names]
    assert names == described
    assert set(metrics.COLUMNS) - set(names) == {"update_absorbed", "zero_gradients"}
    assert [at_1[name] for name in DIMENSIONS] == [None] * 6
    assert None not in [at_0[name] for name in at_0]


def test_what_is_measured_is_no_part_of_training(tmp_path):
    plain, _ = run(tmp_path / "plain", PLAIN)
    measured, _ = run(tmp_path / "measured", MEASURED)
    both = measured[measured["step"].isin(plain["step"])].reset_index()[plain.columns]
    assert numpy.array_equal(both, plain)  # pandas reads whole epochs alone as integers
    weights = [runs.load_final_state(tmp_path / name) for name in ("plain", "measured")]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"dimension_layer": 0, "dimension_tokens": "last"},
        {"dimension_estimator": "lpca", "dimension_split": "test"},
        {"dimension_points": 30, "dimension_neighbors": 12, "dimension_split": "train"},
    ],
    ids=str,
)
def test_dimensions_are_those_of_the_hidden_states_that_are_asked_for(changes):
    config = dataclasses.replace(MEASURED, **changes)
    session = Session(config)
    row = session.row(0)
    split = config.dimension_split
    names = [name for name in ("train", "test") if split in (name, "both")]
    assert [c for c in row if c.startswith("dimension")] == [
        f"dimension_{name}{of}" for name in names for of in ("", "_std", "_global")
    ]
    model = session.model.eval()
    for name in names:
        tokens = getattr(session.data, f"{name}_inputs")
        with torch.no_grad():
            x = model.embedding.weight[tokens] + model.position.weight
            for layer in list(model.layers)[: config.dimension_layer % 2 + 1]:
                theirs = torch.nn.TransformerEncoderLayer(8, 2, 16, batch_first=True).eval()
                theirs.load_state_dict(layer.state_dict())
                x = theirs(x)
        states = x[:, [1]] if config.dimension_tokens == "last" else x
        arguments = (config.dimension_points, config.dimension_neighbors)
        expected = dimension.estimate(states.flatten(0, 1), *arguments, config.dimension_estimator)
        found = [row[f"dimension_{name}{of}"] for of in ("", "_std", "_global")]
        numpy.testing.assert_allclose(found, expected, rtol=1e-3)
    assert session.model.training is False


def test_too_few_states_are_empty_cells_and_the_run_goes_on(tmp_path):
    config = dataclasses.replace(
        MEASURED, modulo=5, dimension_tokens="last", dimension_points=300, dimension_neighbors=200
    )
    table, summary = run(tmp_path, config)
    for column in ("dimension_train", "dimension_test_std"):
        assert table[column].isna().all() and summary["final"][column] is None
    assert table["dimension_test_global"].notna().sum() > 1
    assert summary["steps"] == config.total_steps


def test_a_continued_run_has_the_same_rows(tmp_path):
    run(tmp_path / "whole", MEASURED)
    asked = iter([False] * 5 + [True])
    with (
        runs.RunFolder(tmp_path / "parts", MEASURED) as folder,
        pytest.raises(train.Stopped),
    ):
        train.train(MEASURED, folder, stop_asked=lambda: next(asked))
    run(tmp_path / "parts", MEASURED)
    texts = [(tmp_path / name / runs.METRICS).read_text() for name in ("whole", "parts")]
    assert texts[0] == texts[1]


def test_divergence_still_ends_a_run_that_measures_everything(tmp_path):
    config = dataclasses.replace(MEASURED, lr=1e30, num_epochs=40)
    table, summary = run(tmp_path, config)
    assert summary["diverged_at_step"] is not None
    assert not math.isfinite(table["train_loss"].iloc[-1] * table["weight_norm"].iloc[-1])
