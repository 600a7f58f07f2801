"""The panels of the related systems show what the run folders hold, read off the axes.

The runs here are synthetic: a few rows of known numbers, three steps to an epoch.
"""

import math
from dataclasses import replace

import numpy
import pytest
from house import CATALOG
from made_runs import derive
from matplotlib.colors import to_hex, to_rgba
from matplotlib.patches import Rectangle
from pictures import Places, aids, curves_of, keys, legend, marked_as, texts

import plots
from configuration import runs
from configuration.config import RunConfig
from experiment import figure as declared
from plotting import dimension_panels, map_panels, step_panels
from plotting.panels import Line

BASE = RunConfig(
    dataset="tokens",
    binary_operation="divide_mod",
    network="transformer",
    modulo=97,
    lr=0.001,
    train_fraction=0.3,
    full_batch=False,
    batch_size=512,
    num_steps=1_200,
)
EPOCHS = [0, 100, 200, 300, 400]
STEPS = [0, 300, 600, 900, 1_200]
QKV = step_panels.FIRST_LAYER
LATE = {"train_accuracy": [0, 0.96, 1, 1, 1], "test_accuracy": [0, 0.1, 0.1, 0.6, 1]}
SOON = {"train_accuracy": [0, 0.96, 1, 1, 1], "test_accuracy": [0, 0.1, 1, 1, 1]}
MEMORY = {"train_accuracy": [0, 0.96, 1, 1, 1], "test_accuracy": [0, 0.1, 0.1, 0.1, 0.1]}
NOTHING = {"train_accuracy": [0, 0.1, 0.2, 0.3, 0.4], "test_accuracy": [0, 0.1, 0.1, 0.2, 0.9]}
NAN = math.nan


@pytest.fixture
def places(tmp_path):
    return Places(tmp_path)


def labels(axes) -> list[str]:
    """The words of the legend, on one line each."""
    return list(keys(axes))


def marked(axes, marker) -> list[tuple]:
    """The points of this marker: (x, y, colour)."""
    return [
        (float(x), float(y), to_hex(line.get_color()))
        for line in axes.lines
        if line.get_marker() == marker
        for x, y in zip(line.get_xdata(), line.get_ydata(), strict=True)
    ]


# ---------------------------------------------------------------------------------- over steps


def test_accuracies_are_drawn_over_steps_on_a_log_axis_in_percent(places):
    run = places.write("division", BASE, **LATE)
    axes = places.draw("accuracy_log", (run, "division"), epochs=1_000)
    color, _ = legend(axes)["division"]
    assert curves_of(axes, color) == [(STEPS, pytest.approx([0, 10, 10, 60, 100]))]
    assert curves_of(axes, color, "--") == [(STEPS, pytest.approx([0, 96, 100, 100, 100]))]
    assert axes.get_xscale() == "log" and axes.get_xlabel() == "Optimizer steps (log scale)"
    assert axes.get_xlim()[1] == 1_000  # the panel's end counts steps here
    assert axes.get_ylabel() == "Accuracy (%)"


def test_accuracies_are_drawn_over_epochs_where_the_figure_counts_them(places):
    run = places.write("sums", BASE, **LATE)
    axes = places.draw("accuracy_log_epochs", (run, "K = 3"))
    color, _ = legend(axes)["K = 3"]
    assert curves_of(axes, color) == [(EPOCHS, pytest.approx([0, 10, 10, 60, 100]))]
    assert curves_of(axes, color, "--") == [(EPOCHS, pytest.approx([0, 96, 100, 100, 100]))]
    assert axes.get_xlabel() == "Epoch (log scale)" and axes.get_xscale() == "log"


def test_seeds_of_unequal_length_are_drawn_over_the_steps_that_all_have(places):
    places.write("division", BASE, seed=43, epochs=EPOCHS[:4], **LATE)
    run = places.write("division", BASE, **SOON)
    axes = places.draw("accuracy_log", (run, "division"))
    color, _ = legend(axes)["division"]
    assert curves_of(axes, color) == [(STEPS[:4], pytest.approx([0, 10, 55, 80]))]
    _, band = axes.collections  # of training, of test: 10 and 100 at step 600
    height = {y for x, y in band.get_paths()[0].vertices if x == 600}
    assert sorted(height) == pytest.approx([10, 100])
    assert "median and range" in texts(places.picture)


def test_the_weight_norm_has_axes_of_its_own(places):
    run = places.write("mnist", BASE, weight_norm=[90, 90, 80, 60, 50], **LATE)
    axes = places.draw("accuracy_norm", (run, "MSE"))
    (below,) = [a for a in places.picture.axes if a is not axes]
    assert curves_of(below, legend(axes)["MSE"][0]) == [(STEPS, [90, 90, 80, 60, 50])]
    assert below.get_ylim() == (0, pytest.approx(1.05 * 90)) and "norm" in below.get_ylabel()
    assert below.get_xscale() == "log" and below.get_xlim() == axes.get_xlim()
    assert len(curves_of(axes, legend(axes)["MSE"][0])) == 1


def test_a_log_axis_begins_shortly_before_anything_happens(places):
    slow = {"train_accuracy": [0, 0, 0, 0.6, 1], "test_accuracy": [0, 0.01, 0.02, 0.02, 0.1]}
    axes = places.draw("accuracy_log", (places.write("slow", BASE, **slow), "slow"))
    assert axes.get_xlim() == pytest.approx((300, 1.05 * 1_200))  # a third of step 900
    assert "thin: every row; thick: running median" not in labels(axes)


def test_a_log_axis_shows_nothing_left_of_the_first_row_that_it_can_show(places):
    axes = places.draw("accuracy_log", (places.write("soon", BASE, **SOON), "soon"))
    assert axes.get_xlim()[0] == pytest.approx(300)  # moved by then; from when on is not known


def test_many_rows_on_a_log_axis_are_a_running_median_over_a_faint_whole(places):
    epochs = list(range(401))
    accuracy = [1 if e % 3 else 0.4 for e in epochs]  # two of three are 1
    config = replace(BASE, num_steps=1_200)
    columns = {"train_accuracy": accuracy, "test_accuracy": accuracy}
    run = places.write("long", config, epochs=epochs, **columns)
    axes = places.draw("accuracy_log_epochs", (run, "long"))
    ((x, y),) = curves_of(axes, legend(axes)["long"][0])
    assert all(v == 100 for e, v in zip(x, y, strict=True) if 100 < e < 395)
    assert len(x) < 110 and max(x) == pytest.approx(400, rel=0.06)
    faint = [line for line in aids(axes) if line.get_linestyle() == "-"]
    assert faint[0].get_ydata().tolist() == pytest.approx([100 * v for v in accuracy])
    assert "thin: every row; thick: running median" in labels(axes)


def test_equal_families_stand_side_by_side(places):
    drawn = [f for name in "AB" for f in family(places, name, {30: [LATE], 50: [LATE]})]
    axes = places.draw("best_accuracy", *drawn)
    dots = {x for line in axes.lines if line.get_marker() == "o" for x in line.get_xdata()}
    assert len(dots) == 4
    for share in (30, 50):
        near = [x for x in dots if abs(x - share) < 5]
        assert len(near) == 2 and sum(near) / 2 == pytest.approx(share)
    assert "side by side" in axes.get_xlabel()


def test_the_attention_norm_has_a_star_where_test_accuracy_begins_to_rise(places):
    norms = {QKV: [13, 11, 20, 44, 15]}
    late = places.write("late", BASE, **LATE, **norms)
    never = places.write("never", BASE, **MEMORY, **{QKV: [13, 12, 11, 10, 9]})
    axes = places.draw("attention_norm", (late, "grokking"), (never, "memorisation"))
    entries = legend(axes)
    color, _ = entries["grokking: test rises at step 900"]
    assert curves_of(axes, color) == [(STEPS, [13, 11, 20, 44, 15])]
    assert "memorisation: test does not rise" in entries
    (star,) = [x for x in axes.lines if x.get_marker() == "*"]
    assert (star.get_xdata(), star.get_ydata()) == ([900], [44])
    assert axes.get_xscale() == "log" and "QKV" in axes.get_ylabel()


def test_a_network_without_attention_is_named_and_not_drawn(places):
    run = places.write("mlp", BASE, **LATE)
    axes = places.draw("attention_norm", (run, "MLP"))
    assert labels(axes) == ["MLP: recorded only with --network transformer"]
    assert not axes.lines


# ---------------------------------------------------------------------------------- fractions


def family(places, name, by_percent, **change):
    """(run, label) pairs of one family; by_percent: {percent: columns of each seed}."""
    found = []
    for percent, seeds in by_percent.items():
        config = replace(BASE, train_fraction=percent / 100, **change)
        for seed, columns in enumerate(seeds, 42):
            run = places.write(f"{name}_{percent}", config, seed, **columns)
        found.append((run, name))
    return found


def test_steps_to_99_percent_stand_over_the_configured_fraction(places):
    drawn = family(places, "transformer", {50: [SOON], 30: [LATE], 10: [MEMORY]})
    drawn += family(places, "MLP", {30: [LATE], 50: [MEMORY]})
    axes = places.draw("steps_to_level", *drawn)
    entries = legend(axes)
    blue, orange = entries["transformer"][0], entries["MLP"][0]
    assert blue != orange
    assert sorted(marked(axes, "o")) == [(30, 1200, blue), (30, 1200, orange), (50, 600, blue)]
    ((x, y),) = curves_of(axes, blue)
    assert x == [10, 30, 50] and y[1:] == [1200, 600] and math.isnan(y[0])
    triangles = [(round(x, -1), y, c) for x, y, c in marked(axes, "^")]
    assert sorted(triangles) == [(10, 1200, blue), (50, 1200, orange)]
    assert axes.get_yscale() == "log"
    assert "not reached within 1,200 steps: 2 of 5 runs" in labels(axes)


def test_a_seed_that_never_got_there_counts_as_the_latest(places):
    drawn = family(places, "transformer", {30: [SOON, LATE, MEMORY], 50: [SOON, MEMORY, MEMORY]})
    axes = places.draw("steps_to_level", *drawn)
    ((x, y),) = curves_of(axes, legend(axes)["transformer"][0])
    assert x == [30, 50] and y[0] == 1200 and math.isnan(y[1])
    assert "not reached within 1,200 steps: 3 of 6 runs" in labels(axes)
    all_there = places.draw("steps_to_level", *family(places, "MLP", {30: [SOON]}))
    assert labels(all_there) == ["MLP"]  # no key for triangles that are not there


def test_triangles_of_two_families_do_not_hide_each_other(places):
    drawn = family(places, "A", {10: [MEMORY]}) + family(places, "B", {10: [MEMORY]})
    points = marked(places.draw("steps_to_level", *drawn), "^")
    assert len({x for x, _, _ in points}) == len({c for *_, c in points}) == 2


def test_best_accuracy_is_the_best_row_of_a_run_in_percent(places):
    falls = {"test_accuracy": [0, 0.1, 0.8, 0.3, 0.2]}
    just = SOON | {"test_accuracy": [0, 0.1, 0.99, 0.5, 0.5]}  # is not below 99 %
    drawn = family(places, "SGD", {70: [falls], 30: [MEMORY, just]})
    axes = places.draw("best_accuracy", *drawn)
    color = legend(axes)["SGD"][0]
    assert curves_of(axes, color) == [([30, 70], pytest.approx([54.5, 80]))]
    assert sorted(y for _, y, _ in marked(axes, "o")) == pytest.approx([10, 80, 99])
    assert "3 runs; 2 below 99 % within 1,200 steps" in labels(axes)
    assert "range" not in texts(places.picture)


def test_a_budget_is_in_epochs_where_all_runs_have_it_so(places):
    changed = {"num_steps": None, "num_epochs": 400}
    axes = places.draw("best_accuracy", *family(places, "SGD", {30: [LATE]}, **changed))
    assert "1 run; 0 below 99 % within 400 epochs" in labels(axes)
    mixed = family(places, "A", {30: [LATE]}) + family(places, "B", {30: [LATE]}, **changed)
    axes = places.draw("best_accuracy", *mixed)
    assert "2 runs; 0 below 99 % within 1,200 to 2,400 steps" in labels(axes)


# ---------------------------------------------------------------------------------- delay map


def cells(places, table):
    """(run, label) pairs of {(modulus, batch size): columns of each run}."""
    found = []
    for (modulus, batch), variants in table.items():
        for k, columns in enumerate(variants):
            config = replace(BASE, modulo=modulus, batch_size=batch, embedding_noise=0.1 * k)
            run = places.write(f"p{modulus}_b{batch}_{k}", config, **columns)
            found.append((run, f"{modulus} {batch} {k}"))
    return found


# int(0.3 * 47 * 46) = 648, int(0.3 * 97 * 96) = 2793: in the band are 648/4 = 162, 2793/4 = 698
# and 2793/8 = 349; 2793/32 = 87 and 648/8 = 81 are not.
MAP = {
    (97, 32): [SOON, LATE, MEMORY],
    (97, 8): [SOON],
    (47, 4): [MEMORY, NOTHING],
    (97, 4): [NOTHING, NOTHING],
    (47, 8): [LATE],
}


def words_in(axes) -> dict:
    """{(column, row): text} of the cells."""
    return {
        tuple(int(v) for v in t.get_position()): t.get_text().replace("\n", " ") for t in axes.texts
    }


@pytest.mark.parametrize("unit, late, mean", [("steps", "900", "600"), ("epochs", "300", "200")])
def test_a_cell_shows_the_mean_delay_and_how_many_runs_it_rests_on(unit, late, mean, places):
    axes = places.draw(f"delay_{unit}", *cells(places, MAP))
    assert [t.get_text() for t in axes.get_xticklabels()] == ["4", "8", "32"]
    assert [t.get_text() for t in axes.get_yticklabels()] == ["648", "2,793"]
    soon = {"steps": "300", "epochs": "100"}[unit]
    assert words_in(axes) == {
        (2, 1): f"{mean} 2/3",
        (1, 1): f"{soon} 1/1",
        (0, 0): "0/2",
        (0, 1): "0/2",
        (1, 0): f"{late} 1/1",
    }
    bar = next(a for a in places.picture.axes if a is not axes)
    assert f"({unit})" in bar.get_ylabel()
    said = labels(axes)
    assert "9 runs: 4 at 95 % on both" in said
    assert "ended before: 2 with 95 % on train alone, 3 on neither" in said


def test_the_colour_of_a_cell_is_its_mean_and_cells_without_any_are_hatched(places):
    axes = places.draw("delay_steps", *cells(places, MAP))
    (mesh,) = axes.collections
    values = mesh.get_array().reshape(2, 3)
    assert values[1, 2] == 600 and values[1, 1] == 300 and values[0, 1] == 900
    assert numpy.ma.getmaskarray(numpy.ma.masked_invalid(values))[0, 0]
    hatch = keys(axes)["no run came to both"].get_hatch()
    patches = [p for p in axes.patches if isinstance(p, Rectangle) and p.get_hatch() == hatch]
    assert hatch and {tuple(map(float, p.get_xy())) for p in patches} == {(0, 0), (0, 1)}
    assert all(p.get_facecolor() == (1, 1, 1, 1) for p in patches)
    light, dark = mesh.to_rgba(900)[:3], mesh.to_rgba(300)[:3]
    assert sum(light) > sum(dark)


def test_the_line_runs_around_the_cells_of_the_band(places):
    axes = places.draw("delay_steps", *cells(places, MAP))
    sides = {
        (tuple(map(float, x.get_xdata())), tuple(map(float, x.get_ydata())))
        for x in axes.lines
        if x.get_color() == keys(axes)["train size / batch size 100 to 800"].get_color()
    }
    # in the band: columns 0 and 1 of the upper row, column 0 of the lower one
    assert sides == {
        ((0, 0), (0, 1)), ((1, 1), (0, 1)), ((0, 1), (0, 0)),
        ((0, 0), (1, 2)), ((2, 2), (1, 2)), ((0, 1), (2, 2)), ((1, 2), (2, 2)), ((1, 2), (1, 1)),
    }  # fmt: skip


@pytest.mark.parametrize("size, batch, inside", [(800, 8, True), (799, 8, False), (6400, 8, True),
                                                 (6401, 8, False)])  # fmt: skip
def test_the_band_includes_its_ends(size, batch, inside):
    assert map_panels.in_band(size, batch) is inside


def test_a_map_of_runs_that_all_fail_or_are_all_alike_is_drawn(places):
    axes = places.draw("delay_steps", *cells(places, {(97, 32): [MEMORY]}))
    assert words_in(axes) == {(0, 0): "0/1"}
    at_once = {"train_accuracy": [0, 1, 1, 1, 1], "test_accuracy": [0, 1, 1, 1, 1]}
    axes = places.draw("delay_epochs", *cells(places, {(97, 64): [at_once]}))
    assert words_in(axes) == {(0, 0): "0 1/1"}


@pytest.mark.parametrize(
    "value, text",
    [(0, "0"), (33.04, "33"), (0.1, "0.1"), (-30, "-30"), (488, "488"), (999.6, "1k"),
     (1_249, "1.2k"), (57_430, "57.4k"), (142_600, "143k"), (2_000, "2k")],
)  # fmt: skip
def test_delays_are_written_short(value, text):
    assert map_panels._short(value) == text


# ---------------------------------------------------------------------------------- surfaces


def surface(places, run, file, factor=1.0, seed=42):
    side = numpy.linspace(-1, 1, 5)
    a, b = (x.ravel() for x in numpy.meshgrid(side, side))
    loss = 0.25 + factor * (a**2 + b)
    derive(
        places.folder(run, seed), file,
        {"a": a, "b": b, "train_loss": loss, "test_loss": 2 * loss,
         "train_accuracy": 1 - 0.1 * numpy.abs(a), "test_accuracy": 0.5,
         "train_examples": 512, "test_examples": 1_300}
    )  # fmt: skip


@pytest.mark.parametrize(
    "kind, file, other",
    [
        ("surface", runs.SURFACES["tensor"], runs.SURFACES["filter"]),
        ("surface_filter", runs.SURFACES["filter"], runs.SURFACES["tensor"]),
    ],
)
def test_a_surface_is_the_loss_of_its_table_with_range_and_centre(kind, file, other, places):
    run = places.write("late", BASE, **LATE)
    surface(places, run, file)
    surface(places, run, other, factor=50)
    top = places.draw(kind, (run, "grokking"))
    below = places.picture.axes[1]
    assert "seed 42: range 3, centre 0.25" in texts(top)
    assert "seed 42: range 6, centre 0.5" in texts(below)
    assert labels(below)[-1] == "5 × 5 points, 512 train and 1,300 test examples"
    for axes, factor in ((top, 1), (below, 2)):
        filled = next(c for c in axes.collections if hasattr(c, "levels") and len(c.levels) > 2)
        for a, b in ((0.5, 0.5), (-1 + 1e-6, 0.25), (0, -0.5)):
            loss = factor * (0.25 + a**2 + b)
            (inside,) = [
                (low, high)
                for low, high, path in zip(
                    filled.levels[:-1], filled.levels[1:], filled.get_paths(), strict=True
                )
                if path.contains_point((a, b))
            ]
            assert inside[0] - 0.01 <= loss <= inside[1] + 0.01
    lines = [[c for c in axes.collections if len(c.levels) == 1] for axes in (top, below)]
    assert [len(x) for x in lines] == [1, 0]  # no place of the test surface is at 95 %
    xs = numpy.abs(numpy.concatenate([p.vertices[:, 0] for p in lines[0][0].get_paths()]))
    assert xs == pytest.approx(0.5)  # accuracy 1 - 0.1 |a| is 95 % there


def test_three_panels_side_by_side_are_no_wider_with_colour_bars(places):
    widths = {n: plots.draw_figure(CATALOG.related[n], **places.roots).get_figwidth()
              for n in ("k-sum", "landscape")}  # fmt: skip
    assert widths["landscape"] == widths["k-sum"]


def test_one_colour_is_one_loss_in_the_surfaces_of_a_figure(places):
    panels = []
    for name, factor in (("flat", 1.0), ("steep", 3.0)):
        run = places.write(name, BASE, **LATE)
        surface(places, run, runs.SURFACES["tensor"], factor)
        curve = declared.Curve(run=run, label=name)
        panels.append(declared.Panel(id=name, title=name, kind="surface", curves=(curve,)))
    figure = declared.Figure(id="x", title="x", claim="", panels=tuple(panels))
    picture = plots.draw_figure(figure, **places.roots)
    filled = [c for axes in picture.axes for c in axes.collections if getattr(c, "filled", 0)]
    shades = [c.cmap(c.norm(1.5)) for c in filled[::2]]  # of the training loss
    assert len(shades) == 2 and shades[0] == shades[1]
    assert filled[0].levels[-1] < filled[2].levels[-1] == filled[2].norm.vmax


def test_the_first_seed_with_a_surface_is_drawn_and_named(places):
    places.write("late", BASE, seed=43, **LATE)
    run = places.write("late", BASE, **LATE)
    surface(places, run, runs.SURFACES["tensor"], seed=43)
    places.draw("surface", (run, "grokking"))
    assert "seed 43: range" in texts(places.picture.axes[1])


def test_a_missing_surface_names_its_command(places):
    run = places.write("late", BASE, **LATE)
    axes = places.draw("surface", (run, "grokking"))
    assert (
        "python -m weights.landscape --normalisation tensor \\ --surface own/late/seed_42"
        in texts(axes)
    )
    assert not axes.collections


# ---------------------------------------------------------------------------------- dimension

HIGH = [9, NAN, 20, NAN, 19]
FALLS = [9, NAN, 20, NAN, 10]


def dimensions(places, table):
    """(run, label) pairs of {percent: (columns, dimensions of each seed)}."""
    found = []
    for percent, (columns, seeds) in table.items():
        config = replace(BASE, train_fraction=percent / 100)
        for seed, values in enumerate(seeds, 46):
            run = places.write(f"lid_{percent}", config, seed, dimension_train=values, **columns)
        found.append((run, f"{percent} %"))
    return found


def test_accuracies_and_dimension_share_their_steps_and_the_colour_of_the_fraction(places):
    drawn = dimensions(places, {40: (LATE, [FALLS]), 10: (MEMORY, [HIGH])})
    train = places.draw("dimension", *drawn)
    test, dimension = places.picture.axes[1:3]
    entries = legend(dimension)
    for label, columns, values, style in (
        ("40 %", LATE, [9, 20, 10], "-"),
        ("10 %", MEMORY, [9, 20, 19], "--"),
    ):
        color, shown = entries[label]
        assert shown == style
        percent = {k: pytest.approx([100 * v for v in x]) for k, x in columns.items()}
        assert curves_of(train, color, style) == [(STEPS, percent["train_accuracy"])]
        assert curves_of(test, color, style) == [(STEPS, percent["test_accuracy"])]
        assert curves_of(dimension, color, style) == [([0, 600, 1200], values)]
    assert dimension.get_xlabel() == "Optimizer steps" and dimension.get_xscale() == "linear"
    assert "dashed: test accuracy never at 95 %" in labels(dimension)
    assert list(entries)[:2] == ["10 %", "40 %"]  # by fraction
    assert entries["10 %"][0] != entries["40 %"][0]


def test_the_band_of_the_dimension_is_the_range_of_few_seeds(places):
    seeds = [[9, NAN, 20, NAN, 10], [9, NAN, 22, NAN, 14], [9, NAN, 24, NAN, 12]]
    axes = places.draw("dimension", *dimensions(places, {40: (LATE, seeds)}))
    dimension = places.picture.axes[2]
    assert curves_of(dimension, legend(axes)["40 %"][0]) == [([0, 600, 1200], [9, 22, 12])]
    (band,) = dimension.collections
    corners = {tuple(v) for v in band.get_paths()[0].vertices}
    assert {(600, 20), (600, 24), (1200, 10), (1200, 14)} <= corners
    assert "median and range (n = 3)" in labels(dimension)


def test_colours_of_fractions_run_from_dark_to_light(places):
    drawn = dimensions(places, {p: (LATE, [FALLS]) for p in (30, 10, 50)})
    lines = [Line(run, label, "", plots.load_curve(run, **places.roots)) for run, label in drawn]
    colors = dimension_panels.fraction_colors(lines)
    light = [sum(to_rgba(colors[f])[:3]) for f in (0.1, 0.3, 0.5)]
    assert light == sorted(light) and len(set(light)) == 3


# ---------------------------------------------------------------------------------- lead

EVERY = {  # fitted at 300, plateau 0.1, test accuracy rises at 900 (LATE)
    "leads": (LATE, [[9, 20, 15, 10, 10]]),  # drops at 600
    "lags": (LATE, [[9, 9, 20, 19, 10]]),  # drops at 1200
    "same": (LATE, [[9, 9, 20, 10, 10]]),  # drops at 900
}


def test_a_point_is_the_steps_from_the_drop_to_the_rise_signed(places):
    drawn = dimensions(places, {20: EVERY["leads"], 30: EVERY["lags"], 40: EVERY["same"]})
    axes = places.draw("lead", *drawn)
    fall = "from a fall of 10 % until test accuracy has risen 10 % of the way"
    assert marked_as(axes, fall) == [(20, 300), (30, -300), (40, 0)]
    largest = marked_as(axes, "from the maximum of the dimension")  # at 300 and 600
    assert largest == [(20, 600), (30, 300), (40, 300)]
    # One interval is 300 steps: none of the three has a sign.
    assert "3 runs: 3 within one measurement" in labels(axes)
    stripe = axes.patches[0]
    ys = {round(stripe.get_y()), round(stripe.get_y() + stripe.get_height())}
    assert ys == {-300, 300}
    key = keys(axes)["one measurement, 300 steps: no sign"]
    assert to_hex(stripe.get_facecolor()) == to_hex(key.get_color())
    assert axes.get_xlabel() == "Training fraction (%)"


def test_longer_leads_and_lags_are_counted(places):
    slow = {"train_accuracy": [0, 1, 1, 1, 1], "test_accuracy": [0, 0.1, 0.1, 0.1, 1]}
    fast = {"train_accuracy": [1, 1, 1, 1, 1], "test_accuracy": [0.1, 1, 1, 1, 1]}
    drawn = dimensions(places, {20: (slow, [[8, 20, 9, 9, 9]]), 30: (fast, [[9, 20, 19, 19, 9]])})
    axes = places.draw("lead", *drawn)
    assert "2 runs: 1 lead, 1 lag" in labels(axes)
    assert sorted(y for _, y, _ in marked(axes, "o"))[0] == 300 - 1200


def test_a_run_without_drop_or_rise_is_a_bound_and_never_a_number(places):
    drawn = dimensions(
        places,
        {20: (MEMORY, [[9, 20, 10, 10, 10]]), 30: (LATE, [[9, 20, 19, 19, 19]]),
         40: (MEMORY, [[9, 20, 19, 19, 19]])},
    )  # fmt: skip
    axes = places.draw("lead", *drawn)
    # The key's ▲ stands for test accuracy, its ▼ for the dimension.
    bound = "bound: test accuracy (▲) or dimension (▼) outlasts the run"
    assert marked_as(axes, bound) == [(20, 1200 - 600)]  # ▲: leads by more than this
    assert [p[:2] for p in marked(axes, "v")] == [(30, 900 - 1200)]  # lags by more than this
    assert [x for x, _ in marked_as(axes, "neither happened in the run (no number of steps)")] == [
        40
    ]
    assert marked(axes, "o") == []
    assert "3 runs: 2 bounded by the budget, 1 had neither" in labels(axes)


@pytest.mark.parametrize("kind", ["dimension", "lead"])
def test_a_run_without_measurements_names_the_flag(kind, places):
    plain = places.write("plain", replace(BASE, train_fraction=0.1), **LATE)
    measured = dimensions(places, {40: (LATE, [FALLS])})
    places.draw(kind, (plain, "10 %"), *measured)
    said = labels(next(a for a in places.picture.axes if a.get_legend()))
    assert "10 %: recorded only with --log_dimension" in said
    assert any(x.startswith(("40 %", "1 run: ")) for x in said)


# ---------------------------------------------------------------------------------- all kinds

NEW = step_panels.KINDS | map_panels.KINDS | dimension_panels.KINDS


def test_every_kind_of_panel_of_the_related_figures_is_there():
    assert set(NEW) == {
        "accuracy_log", "accuracy_log_epochs", "steps_to_level", "best_accuracy", "delay_steps",
        "delay_epochs", "surface", "surface_filter", "attention_norm", "accuracy_norm", "dimension",
        "lead",
    }  # fmt: skip
    assert NEW.items() <= plots.KINDS.items()
    assert tuple(plots.KINDS) == declared.KINDS  # by name, where nothing may be imported to draw


@pytest.mark.parametrize("kind", NEW)
def test_a_kind_without_any_run_shows_how_to_make_it(kind, places):
    run = replace(places.write("there", BASE, **LATE), name="missing")
    axes = places.draw(kind, (run, "x"))
    assert "no complete run of missing" in texts(axes)


@pytest.mark.parametrize("kind", NEW)
def test_the_legend_stays_within_its_figure(kind, places):
    columns = LATE | {"weight_norm": [1] * 5, QKV: [1, 2, 3, 2, 1], "dimension_train": FALLS}
    drawn = {}
    for percent in (20, 30):
        config = replace(BASE, train_fraction=percent / 100)
        for seed in (42, 43):
            run = places.write(f"of_{percent}", config, seed, **columns)
        drawn[percent] = (replace(run, config=config), "a family")
    surface(places, drawn[20][0], runs.SURFACES["tensor"])
    surface(places, drawn[20][0], runs.SURFACES["filter"])
    places.draw(kind, *drawn.values())
    places.picture.draw_without_rendering()
    box = next(a.get_legend() for a in places.picture.axes if a.get_legend()).get_window_extent()
    assert box.x0 >= 0 and box.x1 <= places.picture.bbox.width
    assert box.y0 >= 0
