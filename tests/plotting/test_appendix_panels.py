"""The appendix's panels show what the run folders hold, read off the axes.

The runs here are synthetic and only there to be drawn: a few rows of known numbers.
"""

import math
import os
import subprocess
import sys
from dataclasses import replace

import numpy
import pandas
import pytest
from house import CATALOG
from made_runs import derive
from matplotlib.colors import to_hex, to_rgba
from pictures import BASE, EPOCHS, Places, curves_of, keys, legend, texts, verticals

import plots
from configuration import runs
from experiment.catalog import Catalog
from experiment.figure import Curve, Figure, Panel
from models import AUTHORS_ENCODER, MLP, Transformer
from plotting import appendix_panels, weight_panels

FIVE = {
    "nlm_cosine/layers.0.weight": [0.0, 0.1, 0.2, 0.3, 0.25],
    "nlm_cosine/layers.1.weight": [-0.5, 0.4, 0.5, 0.6, 0.7],
    "nlm_cosine/layers.2.weight": [0.0, 0.5, 0.8, 0.914, 0.9],
}


@pytest.fixture
def places(tmp_path):
    return Places(tmp_path)


# ---------------------------------------------------------------------------------- figure 5


def test_each_tensors_cosine_is_under_its_readable_name(places):
    run = places.write("mlp", train_accuracy=[0, 0.9, 1, 0.99, 1], **FIVE)
    axes = places.draw("nlm_cosine", (run, "MLP"))
    names = ("layer 1", "layer 2", "output layer")
    entries = legend(axes)
    assert list(entries)[:3] == list(names)
    assert len({entries[n] for n in names}) == 3
    for name, values in zip(names, FIVE.values(), strict=True):
        assert curves_of(axes, *entries[name]) == [(EPOCHS, values)]
    assert "gradient, weights" in axes.get_ylabel()


def test_the_line_stands_at_the_first_epoch_with_all_training_pairs_right(places):
    run = places.write("mlp", train_accuracy=[0, 0.9998, 1, 0.99, 1], **FIVE)
    axes = places.draw("nlm_cosine", (run, "MLP"))
    assert verticals(axes) == [200]
    assert legend(axes)["100 % training accuracy"][1] == ":"
    never = places.write("never", train_accuracy=[0, 0.9, 0.9998, 0.9, 0.9], **FIVE)
    axes = places.draw("nlm_cosine", (never, "MLP"))
    assert verticals(axes) == []
    assert "training accuracy below 100 %" in legend(axes)


def test_two_runs_in_a_cosine_panel_differ_in_style_and_name(places):
    one = places.write("one", train_accuracy=[0, 1, 1, 1, 1], **FIVE)
    two = places.write("two", train_accuracy=[0, 0, 1, 1, 1], **FIVE)
    entries = legend(places.draw("nlm_cosine", (one, "A"), (two, "B")))
    assert entries["A: layer 1"][1] == "-"
    assert entries["B: layer 1"][1] == "-."


@pytest.mark.parametrize(
    ("kind", "flag"), [("nlm_cosine", "log_nlm_cosine"), ("absorption", "log_absorption")]
)
def test_a_run_that_did_not_record_the_column_names_its_flag(kind, flag, places):
    assert hasattr(BASE, flag)
    plain = places.write("plain", train_accuracy=EARLY)
    columns = {"update_absorbed": EARLY, "zero_gradients": EARLY} | FIVE
    recorded = places.write("recorded", train_accuracy=EARLY, **columns)
    axes = places.draw(kind, (plain, "A"), (recorded, "B"))
    assert f"A: recorded only with --{flag}" in legend(axes)
    assert axes.lines
    assert f"A: recorded only with --{flag}" in legend(places.draw(kind, (plain, "A")))


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("layers", [1, 2])
def test_every_tensor_of_every_network_has_a_name_of_its_own_in_words(bias, layers):
    encoder = AUTHORS_ENCODER | {"bias": bias, "num_layers": layers, "model_dim": 8, "ff_dim": 8}
    most = {"ff_hidden_layers": 3, "positions": "learned", "final_norm": True}
    networks = (
        MLP(14, (8,) * layers, 7, bias),
        Transformer(**encoder),
        Transformer(**encoder | most),
    )
    for network in networks:
        parameters = [name for name, _ in network.named_parameters()]
        shown = [appendix_panels.tensor_name(p, parameters) for p in parameters]
        assert len(set(shown)) == len(shown)
        assert not any("." in name or "_" in name for name in shown)
        assert sum("bias" in name for name in shown) == sum("bias" in p for p in parameters)


def test_an_unknown_tensor_keeps_its_name():
    assert appendix_panels.tensor_name("layers.0.gate.weight", ["layers.0.gate.weight"]) == (
        "layers.0.gate.weight"
    )


# ---------------------------------------------------------------------------------- figure 6c


def test_the_l2_term_is_half_the_weight_decay_times_the_squared_norm(places):
    config = replace(BASE, weight_decay=0.004)
    columns = {"train_loss": [4.7, 3, 1, 0.1, 0.2], "weight_norm": [10, 11, 15, 20, 18]}
    run = places.write("sgd_wd", config, **columns)
    plain = places.write("sgd", **columns)
    axes = places.draw("loss_and_l2", (run, "with"), (plain, "without"))
    assert axes.get_xscale() == axes.get_yscale() == "log"
    assert "nats" in axes.get_ylabel()
    entries = legend(axes)
    assert len(entries) == 3  # no L2 term without weight decay
    ((_, loss),) = curves_of(axes, *entries["with: training loss"])
    assert loss == columns["train_loss"]
    ((x, term),) = curves_of(axes, *entries["with: 0.002 ‖w‖²"])
    assert x == EPOCHS
    assert term == pytest.approx([0.2, 0.242, 0.45, 0.8, 0.648])
    assert {"training loss", "0.002 ‖w‖²"} == set(legend(places.draw("loss_and_l2", (run, "x"))))


def test_the_l2_penalty_counts_in_full():
    penalty = replace(BASE, regularization="l2", lambda_l2=0.01, weight_decay=0.002)
    assert penalty.l2_coefficient == pytest.approx(0.011)
    assert replace(BASE, regularization="l1").l2_coefficient == 0


# ---------------------------------------------------------------------------------- figure 10


def test_absorbed_updates_are_solid_and_zero_gradients_dashed_in_percent(places):
    columns = {"update_absorbed": [0, 0.1, 0.3, 0.6, 0.8], "zero_gradients": [0.2, 0.1, 0, 0, 0]}
    seeds = [places.write("sgd", seed=s, **columns) for s in (42, 43)]
    axes = places.draw("absorption", (seeds[0], "float32"))
    entries = legend(axes)
    color = entries["gradient exactly 0"][0]
    assert "float32" not in entries  # the only curve
    for label, values in (
        ("w − η·gradient rounds to w", [0, 10, 30, 60, 80]),
        ("gradient exactly 0", [20, 10, 0, 0, 0]),
    ):
        assert curves_of(axes, color, entries[label][1]) == [(EPOCHS, pytest.approx(values))]
    assert len(axes.collections) == 2  # a band to each
    assert "(%)" in axes.get_ylabel()


# ---------------------------------------------------------------------------------- figure 15


def sweep(places, table, **change):
    """Runs of {weight decay: {seed: test accuracies}}, in this order."""
    found = []
    for decay, seeds in table.items():
        config = replace(BASE, **{"optimizer": "AdamW", "lr": 0.01, "weight_decay": decay} | change)
        name = f"sweep_{decay:g}_{len(change)}"
        made = [places.write(name, config, s, test_accuracy=v) for s, v in seeds.items()]
        found.append((made[0], f"{decay:g}{'⊥' * bool(change)}"))
    return found


EARLY, LATE, NEVER = [0, 0.95, 0.5, 1, 1], [0, 0, 0.9, 0.949, 0.955], [0, 0.5, 0.94, 0.9499, 0.9]


def test_the_sweep_shows_epochs_to_95_percent_at_the_configured_weight_decay(places):
    runs_ = sweep(places, {4.0: {42: EARLY}, 0.5: {42: LATE}, 8.0: {42: NEVER}})
    axes = places.draw("sweep", *runs_)
    (points,) = [x for x in axes.lines if x.get_marker() == "o"]
    assert list(points.get_xdata()) == [0.5, 4.0]  # in order, whatever the order of the curves
    assert list(points.get_ydata()) == [400, 100]
    (cross,) = [x for x in axes.lines if x.get_marker() == "x"]
    assert list(cross.get_xdata()) == [8.0]
    shown = legend(axes)
    assert "AdamW, lr 0.01" in shown and "not reached in 400 epochs" in shown
    assert "95 % test accuracy" in axes.get_ylabel() and "Weight decay" in axes.get_xlabel()
    marked = cross.get_transform().transform((8.0, cross.get_ydata()[0]))[1]
    assert axes.transData.transform((0, 400))[1] < marked < axes.transAxes.transform((0, 1))[1]


def test_orthograd_is_a_level_line_and_says_when_it_got_there(places):
    points = sweep(places, {1.0: {42: EARLY}})
    ortho = sweep(places, {0.0: {42: LATE}}, orthogonal_gradients=True)
    axes = places.draw("sweep", *points, *ortho)
    color, style = legend(axes)["0⊥: epoch 400"]
    (level,) = [x for x in axes.collections if len(x.get_segments()[0]) == 2 and style == "--"
                and x.get_segments()[0][:, 1].tolist() == [400, 400]]  # fmt: skip
    assert to_hex(level.get_color()) == color
    assert level.get_segments()[0][:, 0].tolist() == list(axes.get_xlim())
    assert color == legend(axes)["AdamW, lr 0.01"][0]  # the rate of both
    never = sweep(places, {2.0: {42: NEVER}}, orthogonal_gradients=True)
    entries = legend(places.draw("sweep", *points, *never))
    assert entries["2⊥: not reached in 400 epochs"][1] == "None"  # nothing is drawn


def test_a_colour_of_the_sweep_is_a_learning_rate(places):
    points = sweep(places, {1.0: {42: EARLY}}) + sweep(places, {2.0: {42: EARLY}}, lr=0.5)
    entries = legend(places.draw("sweep", *points))
    assert entries["AdamW, lr 0.01"][0] != entries["AdamW, lr 0.5"][0]


def test_seeds_of_the_sweep_give_median_and_range_and_a_cross_for_those_that_failed(places):
    most, few = {42: EARLY, 43: LATE, 44: NEVER}, {42: EARLY, 43: NEVER, 44: NEVER}
    runs_ = sweep(places, {1.0: most, 2.0: {42: EARLY}, 3.0: few})
    axes = places.draw("sweep", *runs_)
    (points,) = [x for x in axes.lines if x.get_marker() == "o"]
    assert points.get_xydata().tolist() == [[1, 400], [2, 100]]  # who never came is later than all
    segments = axes.collections[0].get_segments()
    assert segments[0][:, 1].tolist() == pytest.approx([100, 400])
    assert segments[1][:, 1].tolist() == [100, 100]
    crosses = [x for x in axes.lines if x.get_marker() == "x"]
    assert [list(cross.get_xdata()) for cross in crosses] == [[1.0], [3.0]]


# ---------------------------------------------------------------------------------- figure 12


def test_the_spectrum_is_drawn_from_its_table_in_percent(places):
    run = places.write("grokked", test_accuracy=EARLY)
    rows = [
        ("first", 1, 0.2, 0.9), ("first", 2, 0.4, 0.1), ("first", 3, 0.4, 0.0),
        ("second", 1, 0.4, 0.9), ("second", 2, 0.2, 0.0), ("second", 3, 0.4, 0.1),
    ]  # fmt: skip
    table = pandas.DataFrame(rows, columns=["operand", "frequency", "initial", "final"])
    derive(places.folder(run), runs.SPECTRUM, table)
    axes = places.draw("spectrum", (run, "StableMax"))
    color, _ = legend(axes)["90 % of the power in 1 of 3 frequencies (initially 3)"]
    for label, values in (("initial", [30, 30, 40]), ("final", [90, 5, 5])):
        marker = keys(axes)[label].get_marker()
        (shown,) = [x for x in axes.lines if x.get_marker() == marker]
        assert shown.get_linestyle() == "None"  # frequencies are discrete
        assert shown.get_xdata().tolist() == [1, 2, 3]
        assert shown.get_ydata() == pytest.approx(values)
    assert to_hex(shown.get_color()) == color
    (stems,) = axes.collections
    ends = [[[k, 0], [k, v]] for k, v in zip([1, 2, 3], [90, 5, 5], strict=True)]
    numpy.testing.assert_allclose(stems.get_segments(), ends)
    assert "(%)" in axes.get_ylabel()


def test_of_several_seeds_the_first_spectrum_is_drawn_and_all_are_counted(places):
    for seed, final in ((43, [0.5, 0.45, 0.05]), (42, [0.95, 0.05, 0.0])):
        run = places.write("grokked", seed=seed, test_accuracy=EARLY)
        rows = {"operand": "first", "frequency": [1, 2, 3], "initial": 1 / 3, "final": final}
        derive(places.folder(run, seed), runs.SPECTRUM, pandas.DataFrame(rows))
    axes = places.draw("spectrum", (run, "StableMax"))
    assert (
        "90 % of the power in 1 to 2 of 3 frequencies (initially 3, 2 seeds; drawn: seed 42)"
        in legend(axes)
    )
    (stems,) = axes.collections
    assert [end[1] for _, end in stems.get_segments()] == pytest.approx([95, 5, 0])
    for seed in (44, 45):
        places.write("grokked", seed=seed, test_accuracy=EARLY)
    said = "90 % of the power in 1 to 2 of 3 frequencies (initially 3, 2 seeds; drawn: seed 42)"
    assert said in legend(places.draw("spectrum", (run, "StableMax")))  # of those that have one
    assert "one of seeds 42 to 45 drawn" in texts(places.picture)


def test_a_missing_spectrum_names_its_command(places):
    run = places.write("grokked", test_accuracy=EARLY)
    axes = places.draw("spectrum", (run, "StableMax"))
    assert "python -m weights.spectrum own/grokked/seed_42" in texts(axes)
    assert not axes.lines


# ---------------------------------------------------------------------------------- figure 7


LOSSES = {"train_loss": [4.7, 3, 1, 0.5, 0.3], "test_loss": [4.5, 4, 3.5, 3, 2.2]}


def plane(places, run, others=()):
    """landscape.csv and landscape_paths.csv beside `run`; loss is a function of the place."""
    values = [-1.0, 0.0, 1.0, 2.0]
    rows = [
        {"a": a, "b": b, "train_loss": 10.0 ** (a + b / 4), "test_loss": 2.0 + b}
        for b in values
        for a in values
    ]
    derive(places.folder(run), runs.LANDSCAPE, rows)
    paths = [
        {"run": r.name, "step": s, "a": s * 0.1, "b": s * k * 0.05, "in_plane": 0.5 + 0.1 * k,
         "radial_a": 0.3, "radial_b": -0.2}
        for k, r in enumerate([run, *others])
        for s in (0, 5, 10)
    ]  # fmt: skip
    derive(places.folder(run), runs.PATHS, paths)


@pytest.mark.parametrize(
    ("kind", "label", "at"),
    [
        ("landscape", "Training loss (nats)", lambda a, b: 10.0 ** (a + b / 4)),
        ("landscape_test", "Test loss (nats)", lambda a, b: 2.0 + b),
    ],
)
def test_trajectories_lie_over_the_loss_of_their_place(kind, label, at, places):
    one, two = (places.write(n, **LOSSES) for n in ("one", "two"))
    plane(places, one, [two])
    axes = places.draw(kind, (one, "SGD"), (two, "⊥SGD"))
    entries = legend(axes)
    for name, k in (("SGD", 0), ("⊥SGD", 1)):
        part = round(100 * math.sqrt(0.5 + 0.1 * k))  # the table has it of the squared distance
        color, _ = entries[f"{name}: the plane shows {part} % of its distance from the start"]
        ((x, y),) = curves_of(axes, color)  # straight between points of a straight line
        assert {0, 0.5, 1} <= set(numpy.round(x, 12)) and len(x) > 3
        assert y == pytest.approx(0.5 * k * numpy.array(x))
        (dots,) = [x for x in axes.lines if (x.get_marker(), to_hex(x.get_color())) == (".", color)]
        numpy.testing.assert_allclose(dots.get_xdata(), [0, 0.5, 1])
    (filled,) = [c for c in axes.collections if hasattr(c, "levels")]
    own = LOSSES["train_loss" if kind == "landscape" else "test_loss"]
    for name, at_step in (("start", 0), ("end; both as dark as the run's own loss", 10)):
        key = keys(axes)[name].get_marker()
        shades = [x.get_markerfacecolor() for x in axes.lines if x.get_marker() == key]
        assert shades == 2 * [filled.cmap(filled.norm(math.log10(own[-bool(at_step)])))]
        there = [x.get_xydata()[0] for x in axes.lines if x.get_marker() == key]
        numpy.testing.assert_allclose(there, [(0.1 * at_step, 0.05 * k * at_step) for k in (0, 1)])
    assert "rightarrow" in keys(axes)["naive loss minimization"].get_marker()
    (bar,) = [a for a in places.picture.axes if a is not axes]
    assert bar.get_ylabel() == label
    for a, b in ((-0.5, 1.2), (1.7, 0.1), (0.3, 0.3)):  # the filled region is the loss there
        inside = [
            (low, high)
            for low, high, path in zip(
                filled.levels[:-1], filled.levels[1:], filled.get_paths(), strict=True
            )
            if path.contains_point((a, b))
        ]
        assert len(inside) == 1
        low, high = inside[0]
        slack = 0.03  # contours are linear between grid points
        assert low - slack <= math.log10(at(a, b)) <= high + slack


def test_the_arrow_starts_at_the_first_runs_end_along_its_weights(places):
    one, two = (places.write(n, **LOSSES) for n in ("one", "two"))
    plane(places, one, [two])
    axes = places.draw("landscape", (two, "⊥SGD"), (one, "SGD"))
    (arrow,) = [t for t in axes.texts if getattr(t, "arrow_patch", None)]
    start, tip = numpy.array(arrow.xyann), numpy.array(arrow.xy)
    numpy.testing.assert_allclose(start, [1.0, 0.0])
    way = tip - start
    assert way[0] > 0 and way[1] / way[0] == pytest.approx(-2 / 3)
    assert to_rgba(arrow.arrow_patch.get_edgecolor()) == to_rgba("black")


def test_a_smooth_path_goes_through_its_points_and_does_not_overshoot_a_straight_line():
    points = numpy.array([[0, 0], [1, 3], [2, 1], [5, 1], [6, 1], [7, 1]], float)
    path = weight_panels.smooth(points, between=4)
    numpy.testing.assert_allclose(path[::4], points)
    assert len(path) == 5 * 4 + 1 and (path[-5:, 1] == 1).all()


def test_a_loss_of_exactly_zero_is_drawn(places):
    run = places.write("one", **LOSSES)
    plane(places, run)
    table = pandas.read_csv(places.folder(run) / runs.LANDSCAPE)
    table.loc[table["a"] > 1, "train_loss"] = 0.0
    derive(places.folder(run), runs.LANDSCAPE, table)
    axes = places.draw("landscape", (run, "SGD"))
    (filled,) = [c for c in axes.collections if hasattr(c, "levels")]
    assert filled.get_paths()[0].contains_point((1.98, 0.5))


def test_a_missing_landscape_names_its_command(places):
    one, two = (places.write(n, test_accuracy=EARLY) for n in ("one", "two"))
    axes = places.draw("landscape", (one, "SGD"), (two, "⊥SGD"))
    command = "python -m weights.landscape own/one/seed_42 \\ own/two/seed_42"
    assert command in texts(axes)
    assert not axes.collections


# ---------------------------------------------------------------------------------- the whole


@pytest.mark.parametrize("panels", [1, 4])
def test_the_title_fits_and_four_panels_stand_two_by_two(panels, places):
    run = places.write("one", test_accuracy=EARLY, train_accuracy=EARLY)
    curve = Curve(run=run, label="x")
    several = tuple(
        Panel(id=str(i), title="x", kind="accuracy", curves=(curve,)) for i in range(panels)
    )
    longest = max(CATALOG.paper.values(), key=lambda f: len(f.title) * (len(f.panels) == 1))
    picture = plots.draw_figure(replace(longest, panels=several), **places.roots)
    picture.draw_without_rendering()
    (title,) = [t for t in picture.texts if longest.title in t.get_text()]
    box = title.get_window_extent()
    assert box.x0 > 0 and box.x1 < picture.bbox.width
    corners = {tuple(numpy.round(a.get_position().p0, 2)) for a in picture.axes}
    assert len({x for x, _ in corners}) == len({y for _, y in corners}) == panels**0.5


# ---------------------------------------------------------------------------------- computing


@pytest.fixture
def calls(monkeypatch):
    seen = []

    def run(command, **_):
        seen.append(command)
        return subprocess.CompletedProcess(command, 0)

    monkeypatch.setattr(plots.subprocess, "run", run)
    return seen


def figure(kind, *drawn):
    curves = tuple(Curve(run=r, label=r.name) for r in drawn)
    return Figure(id="x", title="x", claim="", panels=(Panel(id="x", title="x", kind=kind,
                  curves=curves),))  # fmt: skip


def test_missing_tables_are_computed_once_from_own_runs(places, calls):
    one = places.write("one", test_accuracy=EARLY)
    places.write("one", seed=43, test_accuracy=EARLY)
    two = places.write("two", seed=43, test_accuracy=EARLY)
    own = places.roots["runs_root"]
    plots.compute_tables(figure("landscape", one, two), runs_root=own)
    both = [places.folder(one, 43), places.folder(two, 43)]  # the seed that both have
    assert calls == [[sys.executable, "-m", "weights.landscape", *both]]
    calls.clear()
    plots.compute_tables(figure("spectrum", one, two), runs_root=own)
    assert [c[3] for c in calls] == [places.folder(one, 42), *both]
    calls.clear()
    for folder in both:
        derive(folder, runs.SPECTRUM, [])
    plots.compute_tables(figure("spectrum", two), runs_root=own)
    assert calls == []
    plots.compute_tables(figure("accuracy", one), runs_root=own)
    assert calls == []


def test_a_table_older_than_its_run_is_computed_again(places, calls):
    run = places.write("one", test_accuracy=EARLY)
    derive(places.folder(run), runs.SPECTRUM, [])
    os.utime(places.folder(run) / runs.SPECTRUM, (1, 1))
    plots.compute_tables(figure("spectrum", run), runs_root=places.roots["runs_root"])
    assert len(calls) == 1


def test_a_table_that_cannot_be_computed_fails_the_command_and_leaves_the_picture(
    places, monkeypatch
):
    run = places.write("one", test_accuracy=EARLY)
    failed = subprocess.CompletedProcess([], 1)
    monkeypatch.setattr(plots.subprocess, "run", lambda *_, **__: failed)
    monkeypatch.setattr(plots, "CATALOG", Catalog([figure("spectrum", run)]))
    root = places.roots["runs_root"]
    out = root / "pictures"
    assert plots.main(["--figures", "x", "--runs", str(root), "--out", str(out)]) == 1
    assert (out / "figure_x.png").is_file()
