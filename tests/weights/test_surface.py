"""Loss surfaces around finished runs: an MLP, and a transformer in mini-batches with dropout."""

import dataclasses

import numpy
import pandas
import pytest
import torch
from torch import nn

import train
from configuration import runs
from configuration.config import RunConfig
from weights import landscape, surface

MLP = RunConfig(
    modulo=7, train_fraction=0.6, hidden_sizes=(8, 8), lr=0.01, num_epochs=20, log_frequency=20
)
TRANSFORMER = RunConfig(
    modulo=7, train_fraction=0.6, use_transformer=True, num_layers=2, model_dim=8, num_heads=2,
    ff_dim=16, positions="learned", causal=True, final_norm=True, full_batch=False, batch_size=8,
    lr=0.01, weight_decay=1.0, num_epochs=10, log_frequency=10,
)  # fmt: skip
MEASURED = ["train_loss", "test_loss", "train_accuracy", "test_accuracy"]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    root = tmp_path_factory.mktemp("runs")
    torch.set_num_threads(1)
    folders = {}
    for name, config in {"mlp": MLP, "transformer": TRANSFORMER}.items():
        folders[name] = root / name / "seed_42"
        with runs.RunFolder(folders[name], config) as opened:
            train.train(config, opened)
    return folders


def centre(table):
    (row,) = table[(table["a"] == 0) & (table["b"] == 0)].to_dict("records")
    return row


@pytest.mark.parametrize("name", ["mlp", "transformer"])
@pytest.mark.parametrize("normalisation", surface.NORMALISATIONS)
def test_the_centre_is_exactly_the_runs_last_row(trained, name, normalisation):
    table = surface.surface(trained[name], normalisation, points=3, examples=None)
    last = runs.read_metrics(trained[name]).iloc[-1]
    assert {c: centre(table)[c] for c in MEASURED} == {c: last[c] for c in MEASURED}
    assert (table["train_examples"][0], table["test_examples"][0]) == (29, 20)
    assert table["train_loss"].nunique() == 9


def test_the_grid_of_a_surface_is_square_and_reaches_the_radius(trained):
    table = surface.surface(trained["mlp"], radius=2.5)
    along = numpy.linspace(-2.5, 2.5, 21)
    for axis in "ab":
        numpy.testing.assert_allclose(numpy.unique(table[axis]), along, atol=1e-14)
    assert len(table) == 21**2 == len(table[["a", "b"]].drop_duplicates())


@pytest.mark.parametrize("normalisation", surface.NORMALISATIONS)
def test_a_point_is_the_loss_of_that_network_on_the_first_examples(trained, normalisation):
    folder = trained["transformer"]
    table = surface.surface(folder, normalisation, seed=4, radius=0.5, points=3, examples=10)
    assert set(table["train_examples"]) == set(table["test_examples"]) == {10}
    assert set(table["seed"]) == {4}
    session = surface.load_session(folder)
    model = session.model.eval()
    model.load_state_dict(runs.load_final_state(folder))
    weights = [w.detach().clone() for w in model.parameters()]
    d1, d2 = (surface.random_direction(weights, normalisation, seed) for seed in (8, 9))
    corner = table[(table["a"] == -0.5) & (table["b"] == 0.5)].iloc[0]
    with torch.no_grad():
        for w, start, u, v in zip(model.parameters(), weights, d1, d2, strict=True):
            w.copy_(start - 0.5 * u + 0.5 * v)
        for name, inputs, targets in (
            ("train", session.data.train_inputs, session.data.train_targets),
            ("test", session.data.test_inputs, session.data.test_targets),
        ):
            logits = model(inputs[:10])
            loss = nn.functional.cross_entropy(logits, targets[:10]).item()
            assert corner[f"{name}_loss"] == pytest.approx(loss, rel=1e-5)
            right = (logits.numpy().argmax(1) == targets[:10].numpy()).sum()
            assert corner[f"{name}_accuracy"] == right / 10


def test_the_split_and_the_network_are_the_runs_own_whatever_was_drawn_before(trained):
    first = surface.surface(trained["transformer"], seed=1, points=3)
    torch.manual_seed(99)
    torch.rand(5)
    again = surface.surface(trained["transformer"], seed=1, points=3)
    pandas.testing.assert_frame_equal(first, again, check_exact=True)
    other = surface.surface(trained["transformer"], seed=2, points=3)
    assert centre(first)["train_loss"] == centre(other)["train_loss"]
    assert (first["train_loss"] != other["train_loss"]).sum() == 8


def test_a_large_sample_goes_in_pieces(trained, monkeypatch):
    whole = surface.surface(trained["transformer"], points=3)
    monkeypatch.setattr(surface.metrics, "WHOLE", 10)
    monkeypatch.setattr(surface.metrics, "PIECE", 10)
    pieces = surface.surface(trained["transformer"], points=3)
    numpy.testing.assert_allclose(pieces[MEASURED], whole[MEASURED], rtol=1e-5)


def test_the_command_writes_the_table_of_each_normalisation(trained, capsys):
    folder = trained["transformer"]
    for normalisation, name in (("tensor", "surface_tensor.csv"), ("filter", "surface_filter.csv")):
        words = ["--surface", str(folder), "--radius", "0.5", "--grid", "3", "--seed", "7"]
        if normalisation == "filter":
            words += ["--normalisation", "filter", "--examples", "12"]
        assert landscape.main(words) == 0
        assert capsys.readouterr().out.strip() == str(folder / name)
        expected = surface.surface(
            folder, normalisation, seed=7, radius=0.5, points=3,
            examples=12 if normalisation == "filter" else 2048,
        )  # fmt: skip
        pandas.testing.assert_frame_equal(pandas.read_csv(folder / name), expected)


def test_a_run_that_starts_again_forgets_its_surfaces(trained):
    with runs.RunFolder(trained["mlp"].parent / "again", MLP) as folder:
        train.train(MLP, folder)
        for name in ("tensor", "filter"):
            words = ["--surface", str(folder.path), "--grid", "3", "--normalisation", name]
            assert landscape.main(words) == 0
        assert len([*folder.path.glob("surface*")]) == 2
        folder.clear()
        assert {p.name for p in folder.path.iterdir()} == {runs.CONFIG, runs.LOCK}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--surface", "{}", "--grid", "4"], "grid 4: give an odd number"),
        (["--surface", "{}", "--grid", "0"], "grid 0: give an odd number"),
        (["--surface", "{}", "--radius", "0"], "radius 0: choose one above 0"),
        (["--surface", "{}", "--radius", "nan"], "radius nan: choose one above 0"),
        (["--surface", "{}", "--examples", "0"], "examples 0: at least 1"),
        (["--surface", "{}", "{}"], "or --surface and one run folder"),
        ([], "give run folders"),
        (["{}", "--radius", "2"], "--radius is of --surface"),
        (["--surface", "{}/none"], "has no config.json"),
    ],
)
def test_bad_words_are_one_line_and_write_nothing(trained, tmp_path, capsys, words, said):
    config = dataclasses.replace(MLP, num_epochs=1)
    with runs.RunFolder(tmp_path / "run", config) as opened:
        train.train(config, opened)
    before = sorted(p.name for p in (tmp_path / "run").iterdir())
    assert landscape.main([w.format(tmp_path / "run") for w in words]) == 2
    error = capsys.readouterr().err
    assert said in error and error.count("\n") == 1
    assert sorted(p.name for p in (tmp_path / "run").iterdir()) == before


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--grid", "x"], "argument --grid: invalid int value: 'x'"),
        (["--radios", "2"], "did you mean --radius?"),
        (["--surface", "run", "--normalisation", "row"], "invalid choice: 'row'"),
    ],
)
def test_words_that_do_not_parse_are_one_line_too(capsys, words, said):
    with pytest.raises(SystemExit) as stopped:
        landscape.main(words)
    assert stopped.value.code == 2
    error = capsys.readouterr().err
    assert said in error and error.startswith("landscape.py: ") and error.count("\n") == 1
