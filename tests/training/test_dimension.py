"""Local intrinsic dimension against scikit-dimension, scikit-learn, NumPy and known manifolds."""

import numpy as np
import pytest
import torch
from sklearn.neighbors import NearestNeighbors

import models
from configuration.config import RunConfig
from training import dimension


def cloud(points, width, seed=0):
    """Points on a curved surface of growing roughness in `width` dimensions, float64."""
    generator = np.random.default_rng(seed)
    inner = generator.normal(size=(points, 5))
    outer = np.tanh(inner @ generator.normal(size=(5, width)))
    return outer + 0.05 * generator.normal(size=(points, width)) * np.exp(inner[:, :1])


@pytest.fixture(scope="module")
def skdim():
    import skdim  # here: it compiles, which other tests need not wait for

    return skdim


# ------------------------------------------------------------------------ against scikit-dimension


@pytest.mark.parametrize(("points", "width", "neighbors"), [(300, 32, 64), (150, 8, 25)])
def test_local_two_nn_is_scikit_dimensions_point_by_point(skdim, points, width, neighbors):
    x = cloud(points, width)
    near = NearestNeighbors(n_neighbors=neighbors).fit(x).kneighbors(return_distance=False)
    expected = skdim.id.TwoNN(discard_fraction=0.1).fit_pw(x, precomputed_knn=near).dimension_pw_
    found = dimension.local_two_nn(torch.from_numpy(x), torch.from_numpy(near))
    np.testing.assert_allclose(found, expected, rtol=1e-9)
    assert expected.std() > 0.1


@pytest.mark.parametrize(("width", "neighbors"), [(32, 20), (8, 25)])  # L below D and above it
def test_local_pca_is_scikit_dimensions_point_by_point(skdim, width, neighbors):
    x = cloud(200, width)
    near = NearestNeighbors(n_neighbors=neighbors).fit(x).kneighbors(return_distance=False)
    expected = skdim.id.lPCA(ver="FO", alphaFO=0.05).fit_pw(x, precomputed_knn=near).dimension_pw_
    found = dimension.local_pca(torch.from_numpy(x), torch.from_numpy(near))
    np.testing.assert_array_equal(found, expected)
    assert len(set(expected)) > 2


def test_global_two_nn_is_scikit_dimensions(skdim):
    x = cloud(400, 30)
    points = torch.from_numpy(x)
    found = dimension.global_two_nn(points, dimension.nearest(points, 64))
    expected = skdim.id.TwoNN(discard_fraction=0.1).fit(x).dimension_
    assert found.item() == pytest.approx(expected, rel=1e-9)


def test_estimate_is_mean_and_deviation_of_scikit_dimensions_points(skdim):
    x = cloud(250, 12).astype(np.float32)
    pointwise = skdim.id.TwoNN().fit_pw(x.astype(float), n_neighbors=40).dimension_pw_
    mean, deviation, whole = dimension.estimate(torch.from_numpy(x), 250, 40)
    assert mean.dtype == torch.float64
    assert mean.item() == pytest.approx(pointwise.mean(), rel=1e-9)
    assert deviation.item() == pytest.approx(pointwise.std(), rel=1e-9)
    assert whole.item() == pytest.approx(skdim.id.TwoNN().fit(x.astype(float)).dimension_, rel=1e-9)
    mean, deviation, same = dimension.estimate(torch.from_numpy(x), 250, 40, "lpca")
    pointwise = skdim.id.lPCA().fit_pw(x.astype(float), n_neighbors=40).dimension_pw_
    assert (mean.item(), deviation.item()) == pytest.approx((pointwise.mean(), pointwise.std()))
    assert same == whole


# ------------------------------------------------------------------------------- by other means


def test_neighbours_are_scikit_learns_in_order_and_never_the_point_itself():
    x = cloud(500, 16) + 100  # far from the origin, where products alone lose digits
    expected = NearestNeighbors(n_neighbors=20, algorithm="kd_tree").fit(x).kneighbors()[1]
    found = dimension.nearest(torch.from_numpy(x), 20)
    np.testing.assert_array_equal(found, expected)


def test_tight_pairs_far_from_the_origin_have_the_ratios_of_exact_distances():
    generator = np.random.default_rng(3)
    x = generator.normal(size=(40, 6))
    x = np.concatenate([x, x + 1e-9 * generator.normal(size=x.shape)]) + 5
    near = NearestNeighbors(n_neighbors=30, algorithm="brute").fit(x).kneighbors()[1]
    expected = []
    for group in x[near]:
        distances = np.sort(np.linalg.norm(group[:, None] - group, axis=2), axis=1)
        mu = np.sort(distances[:, 2] / distances[:, 1])[:27]
        y = -np.log(1 - np.arange(1, 28) / 30)
        expected.append(np.linalg.lstsq(np.log(mu)[:, None], y, rcond=None)[0][0])
    found = dimension.local_two_nn(torch.from_numpy(x), torch.from_numpy(near))
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_two_nn_by_hand():
    # Of 4 ratios 3 are kept, with F = 1/4, 1/2, 3/4; logarithms 1, 2, 3 in any order.
    ratios = torch.tensor([3.0, 50.0, 1.0, 2.0], dtype=torch.float64).exp()
    y = np.log([4 / 3, 2, 4])
    assert dimension.two_nn(ratios).item() == pytest.approx(y @ [1, 2, 3] / 14, rel=1e-14)


def test_two_nn_recovers_the_exponent_of_a_power_law():
    # F(mu) = 1 - mu^-d: at its own quantiles i/M every point lies on the line of slope d.
    share = torch.arange(1, 1001, dtype=torch.float64) / 1000
    ratios = (1 - share[:-1]).pow(-1 / 7.5)
    ratios = torch.cat([ratios, torch.tensor([1e9], dtype=torch.float64)])
    assert dimension.two_nn(ratios).item() == pytest.approx(7.5, rel=1e-9)


@pytest.mark.parametrize("inner", [1, 2, 4])
def test_flat_pieces_of_known_dimension_are_recognised(inner):
    generator = torch.Generator().manual_seed(inner)
    x = torch.rand(800, inner, generator=generator, dtype=torch.float64)
    x = x @ torch.randn(inner, 20, generator=generator, dtype=torch.float64)
    mean, _, whole = dimension.estimate(x, 800, 64)
    assert mean.item() == pytest.approx(inner, rel=0.25)
    assert whole.item() == pytest.approx(inner, rel=0.25)
    mean, deviation, _ = dimension.estimate(x[:300], 300, 30, "lpca")
    assert mean.item() <= inner and (inner > 1 or deviation.item() == 0)


# ------------------------------------------------------------------------------ rows and samples


def test_repeated_rows_go_and_the_others_keep_their_order():
    rows = torch.randint(3, (200, 4), generator=torch.Generator().manual_seed(0)).float()
    seen = dict.fromkeys(map(tuple, rows.tolist()))
    assert 40 < len(seen) < 82
    assert list(map(tuple, dimension.distinct(rows).tolist())) == list(seen)


def test_the_sample_has_a_seed_of_its_own_and_takes_no_row_twice():
    rows = torch.arange(1000.0)[:, None]
    state = torch.get_rng_state()
    first = dimension.sample(rows, 300)
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(1)
    assert torch.equal(dimension.sample(rows, 300), first)
    assert not torch.equal(dimension.sample(rows, 300, seed=1), first)
    assert len(set(first.flatten().tolist())) == 300
    assert first.mean().item() == pytest.approx(500, abs=60)
    assert torch.equal(dimension.sample(rows, 300, seed=778), first)  # that of the source
    assert torch.equal(dimension.sample(rows, 1000), rows)


def test_repetitions_change_nothing():
    x = torch.from_numpy(cloud(120, 6))
    once = dimension.estimate(x, 500, 20)
    assert dimension.estimate(torch.cat([x, x.flip(0), x[:7]]), 500, 20) == once


@pytest.mark.parametrize("estimator", dimension.ESTIMATORS)
@pytest.mark.parametrize(
    ("states", "local", "whole"), [(1, False, False), (2, False, False), (3, False, True),
     (20, False, True), (21, True, True)]
)  # fmt: skip
def test_too_few_distinct_states_are_nan_and_no_error(states, local, whole, estimator):
    x = torch.from_numpy(cloud(states, 6)).repeat(30, 1)
    mean, deviation, of_all = (v.isnan().item() for v in dimension.estimate(x, 500, 20, estimator))
    assert mean is deviation is (not local)
    assert of_all is (not whole)


def test_points_of_a_lattice_have_no_estimate_and_no_error():
    grid = torch.cartesian_prod(*[torch.arange(6.0)] * 3)
    mean, deviation, whole = dimension.estimate(grid, 500, 26)
    assert whole.isnan()  # every ratio is 1


def test_a_diverged_network_has_no_dimension():
    mean, deviation, whole = dimension.estimate(torch.full((200, 4), torch.nan), 500, 20)
    assert mean.isnan() and deviation.isnan() and whole.isnan()


def test_unknown_estimator_names_the_choices():
    with pytest.raises(ValueError, match="unknown estimator 'mle'; choose from twonn, lpca"):
        dimension.estimate(torch.rand(9, 2), 9, 3, "mle")


# -------------------------------------------------------------------------------- hidden states

CHOICES = dict(models.AUTHORS_ENCODER) | dict(
    vocab_size=9, num_classes=7, max_tokens=4, num_layers=2, model_dim=8, num_heads=2, ff_dim=16,
    norm="pre", final_norm=True, positions="learned", causal=True,
)  # fmt: skip


def network(**changes):
    torch.manual_seed(0)
    return models.Transformer(**(CHOICES | changes)).train()  # with dropout 0.1, unless it is off


def equations():
    pairs = torch.cartesian_prod(torch.arange(7), torch.arange(7))
    signs = torch.tensor([7, 8]).expand(49, 2)
    return torch.stack([pairs[:, 0], signs[:, 0], pairs[:, 1], signs[:, 1]], 1)


@pytest.mark.parametrize("layer", [0, 1, -1])
@pytest.mark.parametrize("norm", ["pre", "post"])
def test_hidden_states_are_torchs_layers_before_the_final_norm(layer, norm):
    model, tokens = network(norm=norm), equations()
    found = dimension.hidden_states(model, tokens, layer, [0, 2])
    assert model.training
    plain = model.embedding.weight[tokens] + model.position.weight
    mask = torch.nn.Transformer.generate_square_subsequent_mask(4)
    for ours in list(model.layers)[: 1 + layer % 2]:
        theirs = torch.nn.TransformerEncoderLayer(
            8, 2, 16, norm_first=norm == "pre", batch_first=True
        )
        theirs.load_state_dict(ours.state_dict())
        plain = theirs.eval()(plain, src_mask=mask)
    torch.testing.assert_close(found, plain[:, [0, 2]].flatten(0, 1))


def test_hidden_states_go_through_the_final_norm_and_head_to_the_logits():
    model, tokens = network(dropout=0.0), equations()
    states = dimension.hidden_states(model, tokens, -1, [3])
    torch.testing.assert_close(model.head(model.norm(states)), model(tokens))


def test_hidden_states_of_many_sequences_come_piece_by_piece_and_are_the_same(monkeypatch):
    model, tokens = network(), equations()
    whole = dimension.hidden_states(model, tokens, -1, [0, 1, 2, 3])
    monkeypatch.setattr(dimension.metrics, "WHOLE", 20)
    monkeypatch.setattr(dimension.metrics, "PIECE", 20)
    pieces = dimension.hidden_states(model, tokens, -1, [0, 1, 2, 3])
    torch.testing.assert_close(pieces, whole)


def test_causal_states_repeat_with_their_prefixes():
    model, tokens = network(), equations()
    for place, count in enumerate([7, 7, 49, 49]):
        states = dimension.hidden_states(model, tokens, -1, [place])
        assert len(dimension.distinct(states)) == count


@pytest.mark.parametrize("causal", [True, False])
def test_what_a_place_sees_decides_which_states_are_the_same(causal):
    tokens = equations()
    rows = dimension.seen(tokens, [0, 2, 3], causal)
    first = dimension.first_of_each(rows).tolist()
    sights = []
    for row in tokens.tolist():
        sights += [(place, tuple(row[: place + 1] if causal else row)) for place in (0, 2, 3)]
    assert first == [sights.index(s) for s in dict.fromkeys(sights)]
    assert len(first) == (7 + 49 + 49 if causal else 3 * 49)


def test_rounding_between_pieces_repeats_no_state(monkeypatch):
    """As where the last piece is smaller and its products are summed in another order."""
    model, tokens = network(), equations()
    exact = dimension.hidden_states

    def pieces(*arguments):
        states = exact(*arguments)
        return states * (1 + 1e-7 * torch.arange(len(states))[:, None])

    monkeypatch.setattr(dimension, "hidden_states", pieces)
    counts = []
    monkeypatch.setattr(dimension, "estimate", lambda states, *_: counts.append(len(states)))
    arguments = dict(layer=-1, places=[0, 1, 2, 3], count=500, neighbors=10, estimator="twonn")
    dimension.measure(model, tokens, **arguments)
    assert counts == [7 + 7 + 49 + 49]


def test_measure_takes_the_first_sequences_alone(monkeypatch):
    model, tokens = network(), equations()
    monkeypatch.setattr(dimension, "SEQUENCES", 20)
    arguments = dict(layer=0, places=[2], count=500, neighbors=10, estimator="twonn")
    states = dimension.hidden_states(model, tokens[:20], 0, [2])
    expected = dimension.estimate(states, 500, 10)
    assert dimension.measure(model, tokens, **arguments) == expected


@pytest.mark.parametrize(
    ("changes", "count", "places"),
    [
        ({}, 2, [0, 1]),
        ({"dimension_tokens": "last"}, 2, [1]),
        ({"dimension_tokens": "operands"}, 2, [0, 1]),
        ({"dataset": "tokens"}, 4, [0, 1, 2, 3]),
        ({"dataset": "tokens", "dimension_tokens": "operands"}, 4, [0, 2]),
        ({"dataset": "tokens", "dimension_tokens": "last"}, 4, [3]),
        ({"dataset": "tokens", "dimension_tokens": "operands", "leading_eos": True}, 5, [1, 3]),
        (
            {"dataset": "tokens", "dimension_tokens": "operands", "terms": 3, "modulo": 11},
            6,
            [0, 2, 4],
        ),
    ],
)
def test_positions_are_those_of_the_words(changes, count, places):
    config = RunConfig(lr=0.01, use_transformer=True, log_dimension=1, **changes)
    assert dimension.positions(config, count) == places


@pytest.mark.parametrize("estimator", dimension.ESTIMATORS)
def test_network_that_has_diverged_has_no_dimension_and_raises_nothing(estimator):
    states = torch.from_numpy(cloud(60, 8))
    states[:, 3] = torch.nan
    assert all(value.isnan() for value in dimension.estimate(states, 60, 12, estimator))


def test_neighbourhood_that_is_not_finite_leaves_the_others_alone():
    points = torch.from_numpy(cloud(40, 6))
    near = dimension.nearest(points, 12)
    whole = dimension.local_pca(points, near)
    broken = torch.cat([points, torch.full((1, 6), torch.inf, dtype=points.dtype)])
    near[7, 3] = 40  # the point at infinity
    found = dimension.local_pca(broken, near)
    assert found[7].isnan()
    assert torch.equal(found[torch.arange(40) != 7], whole[torch.arange(40) != 7])
