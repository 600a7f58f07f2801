"""Planes through weight space and Fourier spectra, on real networks of seven residues."""

import dataclasses
import math

import numpy
import pandas
import pytest
import torch

import metrics
import train
from configuration import runs
from configuration.config import RunConfig
from weights import landscape, spectrum, surface

SMALL = RunConfig(
    modulo=7,
    train_fraction=0.6,
    hidden_sizes=(8, 8),
    optimizer="SGD",
    lr=0.5,
    num_epochs=40,
    log_frequency=5,
    save_weights=True,
)
DECAYED = dataclasses.replace(SMALL, weight_decay=0.01)
ORTHO = dataclasses.replace(
    SMALL, orthogonal_gradients=True, loss_function="stablemax", train_precision=64
)


def make(folder, config):
    with runs.RunFolder(folder, config) as opened:
        train.train(config, opened)
    return folder


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    root = tmp_path_factory.mktemp("runs")
    torch.set_num_threads(1)
    configs = {"sgd": SMALL, "sgd_wd": DECAYED, "ortho": ORTHO}
    return [make(root / name / "seed_42", c) for name, c in configs.items()]


def own_loss(session, weights):
    """What the run records of the network with these weights."""
    torch.nn.utils.vector_to_parameters(torch.as_tensor(weights), session.model.parameters())
    row = metrics.measure(session.model, session.data, session.loss, session.collapse_dtype)
    return {k: row[k].item() for k in ("train_loss", "test_loss", "test_accuracy")}


# ---------------------------------------------------------------------------------- directions


def test_tensor_normalisation_gives_every_tensor_norm_one():
    weights = [torch.randn(5, 3), torch.randn(4), torch.randn(2, 5)]
    direction = surface.random_direction(weights, "tensor", seed=1)
    for d, w in zip(direction, weights, strict=True):
        assert d.shape == w.shape
        assert float(d.square().sum()) == pytest.approx(1.0, rel=1e-12)


def test_filter_normalisation_gives_rows_the_norm_of_the_weights_rows_and_no_bias():
    weights = [torch.randn(5, 3) * torch.arange(5.0)[:, None], torch.randn(4)]
    matrix, bias = surface.random_direction(weights, "filter", seed=1)
    lengths = [math.dist(row, [0.0] * 3) for row in weights[0].double().tolist()]
    assert [math.dist(row, [0.0] * 3) for row in matrix.tolist()] == pytest.approx(lengths)
    assert lengths[0] == 0 and not matrix[0].any()
    assert not bias.any()


def test_a_seed_gives_its_direction_and_another_seed_another():
    weights = [torch.randn(30, 30)]
    first, again, other = (
        surface.random_direction(weights, "filter", seed)[0].flatten() for seed in (3, 3, 4)
    )
    assert torch.equal(first, again)
    assert abs(torch.cosine_similarity(first, other, dim=0)) < 0.2


def test_unknown_normalisation_names_the_choices():
    with pytest.raises(ValueError, match="unknown normalisation 'layer'; choose from tensor, filt"):
        surface.random_direction([torch.ones(2, 2)], "layer", 0)


def test_principal_directions_are_the_planes_that_the_rows_span():
    generator = numpy.random.default_rng(0)
    basis = numpy.linalg.qr(generator.normal(size=(50, 3)))[0].T  # three orthonormal rows
    along = numpy.array([[-9.0, 0, 0], [0, 4, 0], [0, 0, 0.5], [-1, 3, 0]])
    directions, shares = landscape.principal_directions(along @ basis)
    values, vectors = numpy.linalg.eigh(along.T @ along)
    expected = vectors[:, [2, 1]].T @ basis
    for d, e in zip(directions, expected, strict=True):
        numpy.testing.assert_allclose(abs(d @ e), 1, rtol=1e-12)
        assert (along @ basis @ d).sum() > 0
    numpy.testing.assert_allclose(shares, values[[2, 1]] / values.sum(), rtol=1e-12)


def test_rows_on_a_line_are_refused():
    with pytest.raises(ValueError, match="lie on a line"):
        landscape.principal_directions(numpy.outer([1.0, 2.0, 3.0], numpy.ones(9)))


# ---------------------------------------------------------------------------------- grid and loss


@pytest.mark.parametrize(("low", "high"), [(-1, 1), (-0.1, 7.3), (-3, 0.01), (0, 2), (-2, 0)])
@pytest.mark.parametrize("points", [3, 5, 31])
def test_the_grid_is_even_contains_zero_and_covers_its_range(low, high, points):
    values = surface.grid(low, high, points)
    assert len(values) == points
    assert (values == 0).sum() == 1
    assert values[0] <= low * (1 - 1e-9) and values[-1] >= high * (1 - 1e-9)
    numpy.testing.assert_allclose(numpy.diff(values), values[1] - values[0], rtol=1e-9)


@pytest.mark.parametrize(("args", "said"), [((-1, 1, 4), "odd"), ((1, 2, 5), "contain 0")])
def test_a_grid_that_misses_the_centre_is_refused(args, said):
    with pytest.raises(ValueError, match=said):
        surface.grid(*args)


def test_every_point_of_the_plane_is_the_loss_of_that_network(trained):
    session = surface.load_session(trained[0])
    centre = [p.detach().clone() for p in session.model.parameters()]
    d1, d2 = (surface.random_direction(centre, "filter", s) for s in (0, 1))
    table = surface.loss_on_plane(session, centre, d1, d2, [-1.0, 0.25], [0.0, 3.0])
    assert [tuple(r) for r in table[["a", "b"]].to_numpy()] == [
        (-1, 0),
        (0.25, 0),
        (-1, 3),
        (0.25, 3),
    ]
    flat = [surface.flatten(x) for x in (centre, d1, d2)]
    for _, row in table.iterrows():
        network = (flat[0] + row["a"] * flat[1] + row["b"] * flat[2]).float()
        for column, value in own_loss(session, network).items():
            assert row[column] == value


def test_the_network_is_put_back_as_it_was(trained):
    session = surface.load_session(trained[0])
    before = surface.flatten(session.model.parameters())
    one = [torch.ones_like(p) for p in session.model.parameters()]
    surface.loss_on_plane(session, list(session.model.parameters()), one, one, [0, 1], [0, 1])
    assert torch.equal(surface.flatten(session.model.parameters()), before)
    assert session.model.training


# ---------------------------------------------------------------------------------- figure 7


def test_trajectories_in_their_plane_are_those_of_the_runs(trained, capsys):
    assert landscape.main([*map(str, trained), "--grid", "5"]) == 0
    assert [line.rsplit("/", 1)[1] for line in capsys.readouterr().out.split()] == [
        runs.LANDSCAPE,
        runs.PATHS,
    ]
    table = pandas.read_csv(trained[0] / runs.LANDSCAPE)
    paths = pandas.read_csv(trained[0] / runs.PATHS)
    assert list(dict.fromkeys(paths["run"])) == ["sgd", "sgd_wd", "ortho"]

    start = runs.read_metrics(trained[0]).iloc[0]
    centre = table[(table["a"] == 0) & (table["b"] == 0)].iloc[0]
    assert centre["train_loss"] == start["train_loss"]
    assert centre["test_loss"] == start["test_loss"]

    ways = [numpy.array(runs.read_weights(f)[1], dtype=float) for f in trained]
    ways = [w - w[0] for w in ways]
    stacked = numpy.concatenate(ways)
    _, _, right = numpy.linalg.svd(stacked, full_matrices=False)
    for way, (_, path) in zip(ways, paths.groupby("run", sort=False), strict=True):
        assert path["step"].tolist() == list(range(0, 41, 5))
        assert path[["a", "b", "in_plane"]].iloc[0].tolist() == [0, 0, 1]
        expected = abs(way @ right[:2].T)
        numpy.testing.assert_allclose(abs(path[["a", "b"]]), expected, rtol=1e-6, atol=1e-9)
        share = (expected[-1] ** 2).sum() / (way[-1] ** 2).sum()
        assert path["in_plane"].iloc[-1] == pytest.approx(share, rel=1e-6)
        assert table["a"].min() < path["a"].min() and path["a"].max() < table["a"].max()
        assert table["b"].min() < path["b"].min() and path["b"].max() < table["b"].max()
    for name in "ab":  # and not far beyond them
        assert numpy.ptp(table[name]) < 2 * numpy.ptp(paths[name])


def test_the_radial_direction_is_where_larger_weights_move_the_point():
    generator = numpy.random.default_rng(1)
    directions = numpy.linalg.qr(generator.normal(size=(12, 2)))[0].T
    centre, way = generator.normal(size=(2, 12))
    weights = centre + way
    step = 1e-3 / numpy.linalg.norm(weights)
    moved = landscape.project([0, 1], [way, way + step * weights], centre, directions)
    change = (moved.iloc[1] - moved.iloc[0]) / 1e-3
    assert moved["radial_a"][0] == pytest.approx(change["a"], rel=1e-9)
    assert moved["radial_b"][0] == pytest.approx(change["b"], rel=1e-9)


def test_runs_of_another_seed_or_task_share_no_plane(trained, tmp_path, capsys):
    product = dataclasses.replace(SMALL, binary_operation="product_mod", num_epochs=5)
    for name, config in {
        "other_seed": dataclasses.replace(SMALL, seed=1, num_epochs=5),
        "other_task": product,  # the same initial weights
    }.items():
        other = make(tmp_path / name / "seed_1", config)
        assert landscape.main([str(trained[0]), str(other)]) == 2
        error = capsys.readouterr().err
        assert "does not start from the network and data" in error
        assert error.count("\n") == 1


def test_runs_without_weights_say_what_is_missing(tmp_path, capsys):
    kept = dataclasses.replace(SMALL, save_weights=False, num_epochs=5)
    folder = make(tmp_path / "x" / "seed_42", kept)
    assert landscape.main([str(folder)]) == 2
    assert "--save_weights" in capsys.readouterr().err
    (folder / runs.CHECKPOINT).unlink()
    assert landscape.main(["--surface", str(folder)]) == 2
    assert "checkpoint.pt does not exist" in capsys.readouterr().err


# ---------------------------------------------------------------------------------- spectrum


@pytest.mark.parametrize("p", [7, 8])
def test_the_power_of_pure_waves_is_at_their_frequencies(p):
    x = numpy.arange(p)
    units = [3 * numpy.cos(2 * numpy.pi * 2 * x / p + 0.4) + 5, numpy.sin(2 * numpy.pi * x / p)]
    shares = spectrum.power_shares(numpy.stack(units, 1))
    expected = numpy.zeros(p // 2)
    expected[[0, 1]] = 1 / 10, 9 / 10
    numpy.testing.assert_allclose(shares, expected, atol=1e-12)


@pytest.mark.parametrize("p", [7, 8])
def test_power_adds_up_to_the_variance_over_the_residues(p):
    weights = numpy.random.default_rng(2).normal(size=(p, 3))
    shares = spectrum.power_shares(weights)
    x = numpy.arange(p)
    for k in range(1, p // 2 + 1):  # least squares onto one frequency, not a transform
        waves = numpy.stack([f(2 * numpy.pi * k * x / p) for f in (numpy.cos, numpy.sin)], 1)
        fitted = waves @ numpy.linalg.lstsq(waves, weights, rcond=None)[0]
        share = (fitted**2).sum() / ((weights - weights.mean(0)) ** 2).sum()
        assert shares[k - 1] == pytest.approx(share, rel=1e-9)


def test_a_layer_without_a_spectrum_is_refused():
    with pytest.raises(ValueError, match="no spectrum"):
        spectrum.power_shares(numpy.full((7, 2), 0.3))


def test_spectrum_is_of_the_initial_and_the_last_weights_per_operand(trained):
    assert spectrum.main([str(trained[1])]) == 0
    table = pandas.read_csv(trained[1] / runs.SPECTRUM)
    _, weights = runs.read_weights(trained[1])
    for column, row in (("initial", weights[0]), ("final", weights[-1])):
        layer = numpy.array(row[: 8 * 14], dtype=float).reshape(8, 14)
        for operand, block in (("first", layer[:, :7]), ("second", layer[:, 7:])):
            found = table[table["operand"] == operand]
            assert found["frequency"].tolist() == [1, 2, 3]
            numpy.testing.assert_allclose(found[column], spectrum.power_shares(block.T), rtol=1e-12)
    assert not numpy.allclose(table["initial"], table["final"], rtol=1e-2)


@pytest.mark.parametrize("chosen", [{"use_transformer": True}, {"network": "transformer"}])
def test_the_transformers_spectrum_is_that_of_its_token_embedding(tmp_path, chosen):
    config = RunConfig(
        **chosen, modulo=7, train_fraction=0.6, model_dim=8, ff_dim=8, num_heads=2,
        lr=0.01, num_epochs=2, log_frequency=1, save_weights=True,
    )  # fmt: skip
    folder = make(tmp_path / "t" / "seed_42", config)
    rows = spectrum.spectrum(folder)
    assert {r["operand"] for r in rows} == {"both"}
    embedding = numpy.array(runs.read_weights(folder)[1][-1][: 7 * 8], dtype=float).reshape(7, 8)
    expected = spectrum.power_shares(embedding)
    numpy.testing.assert_allclose([r["final"] for r in rows], expected, rtol=1e-12)


@pytest.mark.parametrize("network", ["lstm", "embedding_mlp"])
def test_other_networks_spectrum_is_that_of_their_embedding(network):
    state = {"embedding.weight": torch.rand(9, 5)}
    config = RunConfig(network=network, modulo=7, lr=0.01)
    found = spectrum.first_layers(config, state)
    numpy.testing.assert_array_equal(found["both"], state["embedding.weight"][:7].double())


@pytest.mark.parametrize("change", [{"exclude_zero": True}, {"binary_operation": "divide_mod"}])
def test_a_residue_that_is_not_trained_has_no_place_in_a_spectrum(change):
    with pytest.raises(ValueError, match=r"residue 0 is not trained; choose a run"):
        spectrum.first_layers(RunConfig(modulo=7, lr=0.01, **change), {})


def test_a_task_without_residues_is_refused(tmp_path, capsys):
    config = RunConfig(
        dataset="sparse_parity", num_samples=20, lr=0.01, num_epochs=1, hidden_sizes=(4,)
    )
    folder = make(tmp_path / "parity" / "seed_42", config)
    assert spectrum.main([str(folder)]) == 2
    assert "no one-hot residues" in capsys.readouterr().err
    assert not (folder / runs.SPECTRUM).exists()
