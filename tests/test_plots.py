"""The pictures show the runs they name: data, axes, labels and choice of runs, read off the axes.

The runs here are synthetic and only there to be drawn: a few rows of known numbers.
"""

import subprocess
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import matplotlib
import matplotlib.text
import numpy
import pictures
import pytest
from house import CATALOG, RELATED_RUNS
from made_runs import derive
from matplotlib.colors import to_hex
from matplotlib.figure import Figure as Canvas
from pictures import aids, rewrite, texts, write

import plots
from configuration import runs
from configuration.config import RunConfig
from experiment.figure import Curve, Figure, Panel, Run
from paper.figure_1 import ADD_ORTHOADAMW, ADD_SOFTMAX64, ADD_STABLEMAX
from paper.figure_2 import COLLAPSE_RUNS
from paper.figure_4 import PRODUCT_STABLEMAX
from plotting import curves, layout, panels
from plotting.published import differences

ROOT = Path(plots.__file__).resolve().parent
FIGURE_1, FIGURE_2, FIGURE_3, FIGURE_4, FIGURE_6 = (CATALOG.paper[n] for n in "12346")


@pytest.fixture
def places(tmp_path):
    """Options that point every drawing at two empty roots."""
    return {"runs_root": tmp_path / "own", "results_root": tmp_path / "published"}


def legend(axes) -> dict:
    """{label: colour} of the entries that are lines."""
    return {label: color for label, (color, _) in pictures.legend(axes).items()}


def drawn(axes, color, style="-"):
    """The curves of this colour and style as (x, y); lines across the axes are left out."""
    return [
        (line.get_xdata(), line.get_ydata())
        for line in axes.lines
        if to_hex(line.get_color()) == color
        and line.get_linestyle() == style
        and line.get_transform() == axes.transData
        and line.get_gid() != panels.AIDS
    ]


def vertical(axes) -> list:
    """(epoch, colour) of the dotted vertical lines."""
    lines = [line for line in axes.lines if line.get_linestyle() == ":"]
    return sorted((float(line.get_xdata()[0]), to_hex(line.get_color())) for line in lines)


def run_axes(picture, figure) -> list:
    """The top axes of each panel, in the order of the panels."""
    tops = [a for a in picture.axes if a.get_title()]
    assert len(tops) == len(figure.panels)
    return tops


# ---------------------------------------------------------------------------------- data and labels


@pytest.mark.parametrize("size", ["full", "quick"])
@pytest.mark.parametrize("figure", [FIGURE_1, FIGURE_2, FIGURE_4, FIGURE_6], ids=lambda f: f.id)
def test_the_curve_under_each_label_is_the_run_of_that_label(figure, size, places):
    data = {r.name: write(places["runs_root"], r, size=size) for r in figure.runs}
    picture = plots.draw_figure(figure, size=size, **places)
    for axes, panel in zip(run_axes(picture, figure), figure.panels, strict=True):
        if panel.kind not in panels.KINDS:
            continue  # test_appendix_panels.py
        below = picture.axes[picture.axes.index(axes) + 1] if panel.kind == "collapse" else None
        entries = legend(axes)
        colors = [entries[curves.in_form(c.label, c.run, size)] for c in panel.curves]
        assert len(set(colors)) == len(panel.curves)
        for curve, color in zip(panel.curves, colors, strict=True):
            epochs, columns = data[curve.run.name]
            if panel.kind == "weight_norm":
                expected = [(axes, "-", columns["weight_norm"])]
            else:
                expected = [(axes, "-", 100 * columns["test_accuracy"])]
                expected += [(axes, "--", 100 * columns["train_accuracy"])]
            if below:
                expected += [(below, "-", 100 * columns["softmax_collapse"])]
            for where, style, values in expected:
                ((x, y),) = drawn(where, color, style)
                assert x.tolist() == epochs
                assert y.tolist() == values.tolist()


def test_axes_carry_units_and_the_published_end_of_the_epochs(places):
    for run in FIGURE_1.runs:
        write(places["runs_root"], run)
        write(places["runs_root"], run, size="quick")
    axes = run_axes(plots.draw_figure(FIGURE_1, **places), FIGURE_1)
    assert {a.get_xlabel() for a in axes} == {"Epoch"}
    assert {a.get_ylabel() for a in axes} == {"Accuracy (%)"}
    assert [p.epochs for p in FIGURE_1.panels] == [None, 80_000, None]
    assert axes[1].get_xlim()[1] == 80_000 < ADD_STABLEMAX.config.num_epochs
    assert axes[0].get_xlim()[1] >= ADD_ORTHOADAMW.config.num_epochs
    assert all(a.get_ylim()[0] < 0 and 100 < a.get_ylim()[1] < 110 for a in axes)
    quick = run_axes(plots.draw_figure(FIGURE_1, quick=True, **places), FIGURE_1)[1].get_xlim()[1]
    epochs = ADD_STABLEMAX.quick.num_epochs
    assert epochs <= quick < 1.1 * epochs


def test_ticks_count_thousands_only_on_long_axes(places):
    for run in FIGURE_1.runs:
        write(places["runs_root"], run)
    picture = plots.draw_figure(FIGURE_1, **places)
    picture.draw_without_rendering()
    short, long, _ = run_axes(picture, FIGURE_1)
    shown = {t.get_text() for t in long.get_xticklabels()}
    assert {"0", "20k", "40k", "60k", "80k"} <= shown
    assert {"100", "200"} <= {t.get_text() for t in short.get_xticklabels()}


def test_a_panel_may_be_drawn_by_a_function(places):
    def draw(axes, lines, end):
        (top,) = axes
        return top.plot([0, end], [len(line.replicates) for line in lines] * 2, label="mine")

    write(places["runs_root"], ADD_STABLEMAX)
    curve = Curve(run=ADD_STABLEMAX, label="x")
    panel = Panel(id="mine", title="Mine", kind=draw, curves=(curve,), epochs=7)
    figure = Figure(id="mine", title="Mine", claim="", panels=(panel,))
    (axes,) = plots.draw_figure(figure, **places).axes
    assert list(legend(axes)) == ["mine"]
    assert axes.lines[0].get_xydata().tolist() == [[0, 1], [7, 1]]


# ---------------------------------------------------------------------------------- collapse


def collapse_axes(places, float16, float32, float64):
    """Accuracy and collapse axes of panel 2a with these collapse curves."""
    epochs = {}
    for bits, values in ((16, float16), (32, float32), (64, float64)):
        run = COLLAPSE_RUNS[40, bits]
        epochs, _ = write(places["runs_root"], run, softmax_collapse=values)
    picture = plots.draw_figure(FIGURE_2, **places)
    return epochs, picture.axes[0], picture.axes[1]


def test_collapse_line_stands_at_the_first_row_with_50_percent(places):
    # float16 is at exactly 0.5 once and falls again; float64 passes 0.4 long before 0.5.
    epochs, top, below = collapse_axes(
        places, [0, 0.5, 0.1, 0.2, 0.1], [0, 0.1, 0.2, 0.9, 0.3], [0, 0.45, 0.49, 0.499, 0.51]
    )
    color = legend(top)
    expected = [
        (epochs[1], color["float16"]),
        (epochs[3], color["float32"]),
        (epochs[4], color["float64"]),
    ]
    assert vertical(top) == vertical(below) == expected
    assert [(e, color[f"epoch {e:,}"]) for e, _ in expected] == expected
    assert color["first epoch with 50 % collapse"]


def test_a_collapse_line_of_several_curves_is_black(places):
    epochs, top, below = collapse_axes(places, [0, 0.1, 0.5], [0, 0.2, 0.6], [0, 0.6, 0.6])
    assert vertical(top) == vertical(below)
    assert vertical(top) == [(epochs[1], legend(top)["float64"]), (epochs[2], "#000000")]


def test_a_run_that_begins_collapsed_has_no_line_and_no_levels(places):
    _, top, below = collapse_axes(places, [1, 0.1, 1], [0, 0.1, 0.6], [0, 0.6, 0.6])
    assert not vertical(top) and not vertical(below)
    assert all(line.get_transform() == below.transData for line in below.lines)


def test_the_epoch_from_which_collapse_is_induced_is_marked(places):
    figure = CATALOG.paper["8"]
    for run in figure.runs:
        write(places["runs_root"], run)
    top = plots.draw_figure(figure, **places).axes[0]
    (line,) = (x for x in top.lines if x.get_linestyle() == "-.")
    assert line.get_xdata()[0] == figure.runs[1].config.induce_collapse_epoch
    assert f"induced from epoch {line.get_xdata()[0]:,}" in legend(top)


def test_collapse_never_reached_draws_no_line_and_says_its_maximum(places):
    epochs, top, below = collapse_axes(
        places, [0, 0.2, 0.3776, 0.1], [0, 0.1, 0.4999, 0.2], [0, 0, 0.6, 0.6]
    )
    assert [x for x, _ in vertical(top)] == [epochs[2]]
    labels = legend(top)
    assert {"float16: collapse ≤ 37.8 %", "float32: collapse ≤ 49.9 %"} < {*labels}  # never 50
    assert not any(line.get_linestyle() == ":" and len(line.get_xdata()) > 2 for line in top.lines)


def test_collapse_without_a_finite_value_is_called_undefined(places):
    nan = float("nan")
    _, _, below = collapse_axes(places, [nan, nan, nan], [0, 0, 0.1], [0, 0.1, 0.6])
    assert "float16: collapse undefined" in legend(below)


@pytest.mark.parametrize("published", [False, True])
def test_the_collapse_row_marks_50_percent_and_the_40_of_a_published_line(places, published):
    for run in FIGURE_2.runs:
        write(places["runs_root"], run, softmax_collapse=[0, 0.1])
    picture = plots.draw_figure(FIGURE_2, **places, published_curves=published)
    top, below, beside = picture.axes[:2] + picture.axes[3:4]
    for axes, levels in ((below, [40, 50] if published else [50]), (beside, [50])):
        rows = (x.get_ydata() for x in axes.lines if x.get_transform() != axes.transData)
        assert sorted(y[0] for y in rows if y[0] == y[1]) == levels
        assert [t for t in axes.get_yticks() if 0 < t < 100] == levels
    found = [x.get_xydata().tolist() for x in below.lines if x.get_marker() == "D"]
    assert found == ([[[x, 40]] for x in (6_000, 11_500, 7_000)] if published else [])
    assert below.get_xlim() == top.get_xlim()
    assert "collapse (%)" in below.get_ylabel()


# ---------------------------------------------------------------------------------- figure 3


def test_figure_3_shows_both_functions_where_they_are(places):
    picture = plots.draw_figure(FIGURE_3, **places)
    (axes,) = picture.axes
    color = legend(axes)
    ((x, s),) = drawn(axes, color["s(x)"])
    ((x_exp, e),) = drawn(axes, color["exp(x)"])
    assert (x[0], x[-1], *axes.get_xlim(), *axes.get_ylim()) == (-4, 4, -4, 4, 0, 6)
    assert s[x == 0].tolist() == e[x_exp == 0].tolist() == [1.0]
    for xi, si in zip(x, s, strict=True):
        exact = Fraction(xi) + 1 if xi >= 0 else 1 / (1 - Fraction(xi))
        assert abs(si - exact) <= 1e-15 * exact
    assert numpy.array_equal(e, numpy.exp(x_exp))
    assert "computed" in texts(picture)
    assert "published picture: the curves of −4 to 5, squeezed into −4 to 4" in texts(picture)


# ---------------------------------------------------------------------------------- the whole


def one_panel(places, tables, stem="run"):
    """Axes with a curve for each of these test accuracies, and its legend."""
    config = RunConfig(lr=0.5, num_epochs=400)
    made = [Run(name=f"{stem}{k}", config=config, quick=None) for k in range(len(tables))]
    for run, table in zip(made, tables, strict=True):
        both = {"test_accuracy": table, "train_accuracy": [0.5] * len(table)}
        write(places["runs_root"], run, rows=len(table), **both)
    drawn_ = tuple(Curve(run=run, label=run.name) for run in made)
    panel = Panel(id="x", title="x", kind="accuracy", curves=drawn_)
    picture = plots.draw_figure(Figure(id="x", title="x", claim="", panels=(panel,)), **places)
    (axes,) = picture.axes
    return axes, legend(axes)


def stripes(axes, color):
    """Where a hidden curve is shown: its points."""
    (line,) = [x for x in aids(axes) if to_hex(x.get_color()) == color]
    points = line.get_xydata()
    return points[numpy.isfinite(points).all(1)].tolist()


def test_a_curve_under_another_is_seen_where_it_is_hidden_and_only_there(places):
    axes, color = one_panel(places, [[0, 0, 0.2, 1, 1], [0, 0, 0.9, 1, 1], [0.5, 0.4] * 2 + [0.6]])
    assert stripes(axes, color["run0"]) == [[0, 0], [100, 0], [300, 100], [400, 100]]
    assert len(aids(axes)) == 1  # the one on top and the one apart need none


def test_a_curve_hidden_between_two_of_its_points_is_seen_there():
    axes = Canvas().subplots()
    axes.plot([0.0, 10.0], [1.0, 1.0])
    axes.plot([1.0, 9.0], [1.0, 1.0])
    layout.show_hidden(axes)
    (stripe,) = aids(axes)
    shown = stripe.get_xdata()[numpy.isfinite(stripe.get_ydata())]
    assert stripe.get_color() == axes.lines[0].get_color() and shown.tolist() == [1, 9]


def test_three_equal_curves_take_turns(places):
    axes, color = one_panel(places, [[0, 0.3, 0.5, 1]] * 3)
    assert all(len(stripes(axes, color[f"run{k}"])) == 4 for k in range(2))
    patterns = [x._unscaled_dash_pattern for x in aids(axes)]  # no public way to read them
    assert [(offset, list(dash)) for offset, dash in patterns] == [(6, [3, 6]), (3, [3, 6])]


def test_all_lines_are_of_one_width(places):
    axes, _ = one_panel(places, [[0, 0.1, 0.2], [0, 0.4, 0.9], [0, 0.2, 0.6]])
    assert {x.get_linewidth() for x in axes.lines if x.get_gid() != panels.AIDS} == {2}


def test_a_run_that_ends_early_says_so_and_one_that_does_not_is_silent(places):
    long = Run(name="long", config=RunConfig(lr=0.5, num_epochs=1_000), quick=None)
    short = Run(name="short", config=replace(long.config, num_epochs=400), quick=None)
    stopped = replace(long.config, stop_at="test_accuracy", stop_level=0.99)
    early = Run(name="early", config=stopped, quick=None)
    for run in (long, short, early):
        write(places["runs_root"], run, test_accuracy=[0, 0.5, 0.9], train_accuracy=[0, 1, 1])
    folder = runs.run_folder(places["runs_root"], "early", 42)
    rewrite(folder, runs.read_metrics(folder)[:2])  # to epoch 500

    def ends(*shown):
        drawn_ = tuple(Curve(run=run, label=run.name) for run in shown)
        panel = Panel(id="x", title="x", kind="accuracy", curves=drawn_)
        axes = plots.draw_figure(Figure(id="x", title="x", claim="", panels=(panel,)), **places)
        (axes,) = axes.axes
        points = {tuple(x.get_xydata()[0]) for x in aids(axes, "|")}
        return points, [t for t in legend(axes) if "end of" in t or "stopped" in t]

    assert ends(long) == ends(short) == (set(), [])
    assert ends(long, short) == ({(400, 90), (400, 100)}, ["end of a run of 400 epochs"])
    assert ends(long, early) == ({(500, 50), (500, 100)}, ["stopped at 99 % test accuracy"])
    # Several seeds: the median ends where the last of them stopped; the others keep their value.
    write(
        places["runs_root"], early, 41, test_accuracy=[0, 0.3, 0.8, 1], train_accuracy=[0, 1, 1, 1]
    )
    folder = runs.run_folder(places["runs_root"], "early", 41)
    rewrite(folder, runs.read_metrics(folder)[:3])  # to epoch 666
    said = "every seed stopped at 99 % test accuracy"
    assert ends(long, early) == ({(666, 65), (666, 100)}, [said])


@pytest.mark.parametrize("late, shown", [(300, "delay 200"), (100, None)])
def test_the_arrow_of_a_single_curve_spans_its_delay(late, shown, places):
    test = [float(e >= late) for e in (0, 100, 200, 300, 400)]
    run = Run(name="x", config=RunConfig(lr=0.5, num_epochs=400), quick=None)
    write(places["runs_root"], run, test_accuracy=test, train_accuracy=[0, 0.96, 1, 1, 1])
    panel = Panel(id="x", title="x", kind="accuracy", curves=(Curve(run=run, label="x"),))
    picture = plots.draw_figure(Figure(id="x", title="x", claim="", panels=(panel,)), **places)
    arrows = [t for t in picture.axes[0].texts if getattr(t, "arrow_patch", None)]
    assert [(t.xyann, t.xy) for t in arrows] == ([((100, 95), (300, 95))] if shown else [])
    assert [t.get_text() for t in picture.axes[0].texts if t.get_text()] == [shown] * bool(shown)


def test_a_delay_that_ends_beyond_the_axes_is_above_what_they_show(places):
    run = Run(name="x", config=RunConfig(lr=0.5, num_epochs=400), quick=None)
    write(places["runs_root"], run, test_accuracy=[0, 0, 0, 1, 1], train_accuracy=[0, 1, 1, 1, 1])
    for end, shown in ((250, "delay above 150"), (350, "delay 200")):
        panel = Panel(
            id="x", title="", kind="accuracy", curves=(Curve(run=run, label="x"),), epochs=end
        )
        picture = plots.draw_figure(Figure(id="x", title="", claim="", panels=(panel,)), **places)
        assert " ".join(t.get_text() for t in picture.axes[0].texts).strip() == shown


def test_the_dotted_line_stands_at_the_median_of_the_seeds_first_epochs(places):
    run = Run(name="x", config=RunConfig(lr=0.5, num_epochs=400), quick=None)
    # 100, 200 and 300: the median curve is at 50 % by 300 alone.
    for seed, high in ((42, [1, 3]), (43, [2, 3]), (44, [3])):
        collapse = [0.6 * (k in high) for k in range(5)]
        write(places["runs_root"], run, seed, softmax_collapse=collapse)
    panel = Panel(id="x", title="", kind="collapse", curves=(Curve(run=run, label="x"),))
    figure = Figure(id="x", title="", claim="", panels=(panel,))
    axes = plots.draw_figure(figure, **places).axes[0]
    assert [x for x, _ in vertical(axes)] == [200]
    assert "epoch 200 (100 to 300)" in legend(axes)


def test_the_foot_names_a_curve_of_other_seeds_by_panel_and_label(places):
    figure = CATALOG.paper["8"]
    induced = figure.panels[0].curves[1]
    for run in figure.runs:
        for seed in (42, 43, 44) if run == induced.run else (42,):
            write(places["results_root"], run, seed)
    foot = plots.draw_figure(figure, **places).texts[-1].get_text()
    said = f"(a) {induced.label}: 42 to 44, median and range"
    assert said in foot and "\n" not in foot and induced.run.name not in foot


def test_the_foot_is_one_line_that_names_the_panels_of_other_seeds(places):
    for run in FIGURE_6.runs:
        for seed in range(42, 47) if run in [c.run for c in FIGURE_6.panels[2].curves] else [42]:
            write(places["results_root"], run, seed)
    picture = plots.draw_figure(FIGURE_6, **places)
    foot = picture.texts[-1].get_text()
    assert foot == (
        "subtraction, addition mod 113 (40 %, 60 % of the pairs) · seed 42 · (b): 42 to 46,"
        " median and quartiles · bundled runs"
    )
    picture.draw_without_rendering()
    assert picture.texts[-1].get_window_extent().x1 <= picture.bbox.width


def test_curves_that_panels_share_stand_once_in_a_legend_of_the_figure(places):
    for run in FIGURE_4.runs:
        write(places["runs_root"], run)
    picture = plots.draw_figure(FIGURE_4, **places)
    (shared,) = picture.legends
    said = [t.get_text() for t in shared.get_texts()]
    assert said == ["addition mod 113", "product mod 113", "sparse parity", "Test", "Train"]
    left, middle, right = (a.get_legend() for a in picture.axes)
    assert left is middle is None
    assert [t.get_text() for t in right.get_texts()] == [c.label for c in FIGURE_4.panels[2].curves]


def test_the_legend_of_the_figure_stands_beside_that_below_a_panel_if_that_has_room(places):
    curves_ = [Curve(run=ADD_STABLEMAX, label=f"curve {k}") for k in range(9)]
    write(places["runs_root"], ADD_STABLEMAX, rows=100)
    panels_ = [
        Panel(id=f"x{k}", title="x", kind="weight_norm", curves=tuple(shown))
        for k, shown in enumerate((curves_[:2], curves_[:2], curves_[2:]))
    ]
    figure = Figure(id="x", title="x", claim="", panels=tuple(panels_))
    picture = plots.draw_figure(figure, **places)
    picture.draw_without_rendering()
    key = picture.legends[0].get_window_extent()
    own = picture.axes[2].get_legend().get_window_extent()
    assert own.y1 < picture.axes[2].bbox.y0  # below its panel
    assert key.x1 < own.x0 and own.y0 < key.y0 < own.y1


def test_a_legend_inside_the_axes_covers_no_curve_and_one_without_room_is_below(places):
    low, high = [0, 0.1] * 3, [0.1 * k for k in range(11)] * 30
    axes, _ = one_panel(places, [low])
    axes.figure.draw_without_rendering()
    box = axes.get_legend().get_window_extent()
    assert axes.bbox.x0 < box.x0 and box.x1 < axes.bbox.x1
    for line in axes.lines:
        points = axes.transData.transform(line.get_xydata())
        steps = numpy.linspace(points[:-1], points[1:], 50).reshape(-1, 2)
        assert not any(box.contains(*p) for p in steps)
    full, _ = one_panel(places, [high], "full")
    full.figure.draw_without_rendering()
    assert full.get_legend().get_window_extent().y1 < full.bbox.y0


def test_a_legend_keeps_off_the_faint_rows_behind_a_running_median():
    axes = Canvas().subplots()
    for left, right in ((0, 0.45), (0.55, 1)):
        axes.plot(numpy.linspace(left, right, 400), [0, 1] * 200, gid=panels.AIDS if left else None)
    assert layout.room(axes, (4, 4), (1, 1)) is None  # too wide for what is free between them
    axes.lines[1].remove()
    x, _ = layout.room(axes, (4, 4), (1, 1))
    assert x > 0.45


def test_a_legend_covers_no_line_across_the_axes():
    axes = Canvas().subplots()
    axes.plot([0, 1], [0, 0])
    axes.axvline(0.8)
    x, _ = layout.room(axes, (4, 4), (1.5, 1))
    assert x + 1.5 / 4 < 0.8 - 0.05
    axes.axvline(0.4)
    assert layout.room(axes, (4, 4), (2, 1)) is None


@pytest.mark.parametrize("count", [2, 3, 4])
def test_of_equal_dashed_curves_one_is_seen_at_every_place(count):
    place = numpy.linspace(0, 30, 997)
    seen = numpy.zeros(len(place), int)
    for k in range(count):
        offset, (on, off) = panels.dashes(k, count)
        seen += (place + offset) % (on + off) < on
    assert (seen == 1).all()


@pytest.mark.parametrize("which, letters", [
    ("1", ["(a)", "(b)", "(c)"]), ("4", ["(a)", "(b)", "(c)"]), ("14", ["(a)", "(b)", "(c)"]),
    ("9", ["(a)", "(b)", "(c)", "(a′)"]), ("6", ["(a)", "(a′)", "(b)", "(c)"]),
    ("controls", ["1a:", "1c:", "2b:", "4:", "6b:"]), ("10", ["Addition"]),
])  # fmt: skip
def test_panels_are_lettered_as_in_the_paper(which, letters, places):
    picture = plots.draw_figure(CATALOG.paper[which], **places)
    titles = [a.get_title().split()[0] for a in picture.axes if a.get_title()]
    assert titles == letters


def test_figure_9_has_a_b_and_c_side_by_side_and_the_variant_below_a(places):
    picture = plots.draw_figure(CATALOG.paper["9"], **places)
    picture.get_layout_engine().execute(picture)
    a, b, c, other = (x.get_position() for x in picture.axes if x.get_title())
    assert a.x0 < b.x0 < c.x0 and a.y0 == pytest.approx(b.y0) == pytest.approx(c.y0)
    assert other.x0 == pytest.approx(a.x0) and other.y1 < a.y0


def test_a_label_keeps_its_colour_in_all_panels_and_none_of_a_panel_share_one():
    for figure in CATALOG.all.values():
        colors = plots._colors(figure.panels)
        for panel in figure.panels:
            labels = {c.label for c in panel.curves}
            if len(labels) <= len(panels.PALETTE):
                assert len({colors[panel.id, x] for x in labels}) == len(labels), panel.id
            off = {x.label for x in panel.curves if x.off_scale}
            assert {colors[panel.id, x] for x in off} <= {plots.OFF_SCALE}
        unordered = {p.id for p in figure.panels if not p.ordered}
        of_label = {}
        for (panel, label), color in colors.items():
            if panel in unordered:
                assert of_label.setdefault(label, color) == color


# ---------------------------------------------------------------------------------- published


def test_published_points_lie_over_their_curve_and_only_where_they_are_asked_for(places):
    for run in FIGURE_1.runs:
        write(places["runs_root"], run)
        write(places["runs_root"], run, size="quick")
    axes = run_axes(plots.draw_figure(FIGURE_1, published_curves=True, **places), FIGURE_1)
    for panel, part in zip(FIGURE_1.panels, axes, strict=True):
        (curve,) = panel.curves
        found = [tuple(map(tuple, x.get_xydata().tolist())) for x in aids(part, "o")]
        assert set(found) == {tuple(points.items()) for points in curve.published.values()}
        assert {to_hex(x.get_color()) for x in aids(part, "o")} == {legend(part)[curve.label]}
        assert "published picture" in legend(part)
    for options in ({}, {"published_curves": True, "size": "quick"}):
        picture = plots.draw_figure(FIGURE_1, **options, **places)
        assert not any(aids(part, "o") for part in picture.axes)
        assert "published picture" not in texts(picture)


def test_our_run_of_the_published_seed_is_a_thin_curve_among_others(places):
    key = "our seed 42, that of their commands"

    def thin(seeds, **options):
        picture = plots.draw_figure(FIGURE_1, seeds=seeds, **places | options)
        assert (key in texts(picture)) == bool(aids(picture.axes[0], "None"))
        return [tuple(x.get_ydata()) for x in aids(picture.axes[0], "None")]

    alone = {s: write(places["runs_root"], ADD_ORTHOADAMW, s)[1] for s in (41, 42, 43)}
    ours = [tuple(100 * alone[42][f"{x}_accuracy"]) for x in ("train", "test")]
    assert thin((41, 42, 43), published_curves=True) == ours
    assert thin((41, 43), published_curves=True) == []  # their seed was not run
    assert thin((42,), published_curves=True) == thin((41, 42, 43)) == []


@pytest.mark.parametrize(
    ("figure", "said"),
    [
        ("1", ""),
        ("4", " (b: addition and product swapped)"),
        ("6", " (a′: epochs / 2.5)"),
        ("8", " (epochs / 5)"),
        ("9", " (epochs / 5)"),
    ],
)
def test_the_key_says_what_of_the_published_points_is_corrected(figure, said, places):
    figure = CATALOG.paper[figure]
    for run in figure.runs:
        write(places["runs_root"], run)
    shown = texts(plots.draw_figure(figure, published_curves=True, **places)).split(" | ")
    assert {t for t in shown if "published picture" in t} == {f"published picture{said}"}


def test_the_command_line_leaves_published_points_out_and_a_notebook_draws_them(
    monkeypatch, tmp_path
):
    asked = []
    monkeypatch.setattr(plots, "draw_figure", lambda *_, published_curves=False, **__:
                        asked.append(published_curves))  # fmt: skip
    monkeypatch.setattr(plots, "_save", lambda *_: [])
    for words in ([], ["--published-curves"]):
        assert plots.main(["--figures", "3", *words, "--out", str(tmp_path)]) == 0
    plots.show("3")
    plots.show("3", published_curves=False)
    assert asked == [False, True, True, False]


def test_every_published_curve_is_of_a_column_that_its_panel_draws():
    columns = {
        "accuracy": {"train_accuracy", "test_accuracy"},
        "collapse": {"train_accuracy", "test_accuracy", "softmax_collapse"},
        "weight_norm": {"train_accuracy", "test_accuracy", "weight_norm"},  # one table, two panels
    }
    figures = set()
    for figure in CATALOG.paper.values():
        for panel, curve in ((p, c) for p in figure.panels for c in p.curves if c.published):
            figures.add(figure.id)
            assert set(curve.published) - {"weight_norm"} <= columns[panel.kind], panel.id
            for column, points in curve.published.items():
                end = panel.epochs or curve.run.config.num_epochs
                assert list(points) == sorted(points) and max(points) <= end
                assert column == "weight_norm" or all(0 <= v <= 100 for v in points.values())
    assert figures == set("124689")


def test_the_largest_difference_from_a_published_curve_is_measured(places):
    published = {"test_accuracy": {0: 1, 50: 20, 300: 70, 900: 99}, "softmax_collapse": {200: 40}}
    run = Run(name="x", config=RunConfig(lr=0.5, num_epochs=400), quick=None)
    columns = {"softmax_collapse": [0, 0, 0, 0.4, 0.6]}
    write(places["runs_root"], run, test_accuracy=[0, 0.1, 0.5, 0.9, 1], **columns)
    panel = Panel(id="x1", title="", kind="collapse",
                  curves=(Curve(run=run, label="mine", published=published),))  # fmt: skip
    figure = Figure(id="x", title="", claim="", panels=(panel,))
    accuracy, collapse = differences(figure, **places).to_dict("records")
    assert (accuracy["panel"], accuracy["curve"], accuracy["points"]) == ("x1", "mine", 3)
    assert accuracy["largest difference"] == "+20.0" and accuracy["at epoch"] == "300"
    assert accuracy["median difference"] == "15.0"  # 5 at 50, between the rows; 1 at 0
    assert [collapse[c] for c in ("ours", "published", "largest difference")] == [
        "300",
        "200",
        "+100 epochs",
    ]
    for other in (1, 2):  # ours is the published seed's, not the median
        write(places["runs_root"], run, other, test_accuracy=[0] * 5, softmax_collapse=[0] * 5)
    assert differences(figure, **places).to_dict("records") == [accuracy, collapse]
    (median, never) = differences(figure, seeds=(1, 2), **places).to_dict("records")
    assert median["largest difference"] == "-70.0" and never["largest difference"] == "never"
    for later in {r.name: r for r in (*FIGURE_1.runs, *FIGURE_4.runs)}.values():
        write(places["runs_root"], later)
    once = differences(FIGURE_4, **places)[["curve", "of"]]
    assert len(once) == 3 * 3 and not once.duplicated().any()  # two panels share their curves
    assert "largest difference" in plots.measured("1", **places).below.columns
    assert "largest difference" in str(plots.measured("1", **places))
    assert plots.measured("1", quick=True, **places).below is None


# ---------------------------------------------------------------------------------- which runs


def sources(run, places, **options):
    return [(r.seed, r.source) for r in plots.load_curve(run, **options, **places)]


def test_own_complete_runs_are_preferred_and_published_ones_stand_in(places):
    own, published = places["runs_root"], places["results_root"]
    assert sources(ADD_STABLEMAX, places) == []
    _, theirs = write(published, ADD_STABLEMAX, 42, test_accuracy=[0.1, 0.2, 0.3])
    write(published, ADD_STABLEMAX, 43)
    assert sources(ADD_STABLEMAX, places) == [(s, "bundled runs") for s in (42, 43)]
    shown = texts(plots.draw_figure(FIGURE_1, **places))
    assert "seeds 42, 43, median and range · bundled runs" in shown
    write(own, ADD_STABLEMAX, 42, complete=False)
    assert (42, "bundled runs") in sources(ADD_STABLEMAX, places)
    path = runs.run_folder(own, ADD_STABLEMAX.name, 42)
    (path / runs.METRICS).unlink()
    _, ours = write(own, ADD_STABLEMAX, 42, test_accuracy=[0.7, 0.8, 0.9])
    assert sources(ADD_STABLEMAX, places) == [(42, "your runs")]
    metrics = plots.load_curve(ADD_STABLEMAX, **places)[0].metrics
    assert metrics["test_accuracy"].tolist() == [0.7, 0.8, 0.9]
    assert "seed 42 · your runs" in texts(plots.draw_figure(FIGURE_1, **places))


def test_published_draws_no_run_of_ones_own(places, monkeypatch, tmp_path):
    own, published = places["runs_root"], places["results_root"]
    write(own, ADD_STABLEMAX, 42)
    write(published, ADD_STABLEMAX, 43)
    monkeypatch.setenv("GROKKING_RUNS", str(own))
    monkeypatch.setattr(curves, "RESULTS", published)
    pictures = []
    monkeypatch.setattr(plots, "_save", lambda picture, *_: pictures.append(picture) or [])
    for words in ([], ["--published"]):
        assert plots.main(["--figures", "1", *words, "--out", str(tmp_path)]) == 0
    for picture, said in zip(pictures, ("42 · your runs", "43 · bundled runs"), strict=True):
        assert f"seed {said}" in texts(picture)


def test_asked_seeds_come_in_order_each_from_its_own_or_the_published_run(places):
    write(places["runs_root"], ADD_STABLEMAX, 42, complete=False)
    write(places["runs_root"], ADD_STABLEMAX, 44)
    for seed in (42, 44):
        write(places["results_root"], ADD_STABLEMAX, seed)
    found = sources(ADD_STABLEMAX, places, seeds=[44, 43, 42])
    assert found == [(44, "your runs"), (42, "bundled runs")]
    picture = plots.draw_figure(FIGURE_1, seeds=[44, 43, 42], **places)
    command = "./run_main_experiments.sh --figures 1 --seeds 43"
    assert f"add_stablemax has no complete seed 43: {command} " in texts(picture)


def test_a_stale_configuration_is_not_drawn_and_this_is_said(places):
    older = replace(ADD_STABLEMAX, config=replace(ADD_STABLEMAX.config, lr=0.02))
    write(places["runs_root"], older)
    with pytest.warns(UserWarning, match="lr 0.02 -> 0.01"):
        assert sources(ADD_STABLEMAX, places) == []
    shown = texts(plots.draw_figure(FIGURE_1, **places))
    assert "not used (your runs): add_stablemax seed 42" in shown
    assert "make it: ./run_main_experiments.sh --figures 1" in shown
    write(places["results_root"], ADD_STABLEMAX)
    with pytest.warns(UserWarning):
        assert sources(ADD_STABLEMAX, places) == [(42, "bundled runs")]


def test_a_run_of_another_seed_in_the_folder_is_not_used(places):
    write(places["runs_root"], ADD_STABLEMAX, 42)
    folder = runs.run_folder(places["runs_root"], ADD_STABLEMAX.name, 42)
    folder.rename(folder.with_name("seed_7"))
    with pytest.warns(UserWarning, match="seed 42 -> 7"):
        assert sources(ADD_STABLEMAX, places) == []


@pytest.mark.parametrize("content", [b"", b"step,epoch\n", None])
def test_a_damaged_table_is_not_drawn_and_this_is_said(content, places):
    write(places["runs_root"], ADD_STABLEMAX)
    table = runs.run_folder(places["runs_root"], ADD_STABLEMAX.name, 42) / runs.METRICS
    table.unlink()
    if content is not None:
        table.write_bytes(content)
    with pytest.warns(UserWarning, match="metrics.csv"):
        assert sources(ADD_STABLEMAX, places) == []
    assert "not used (your runs)" in texts(plots.draw_figure(FIGURE_1, **places))


def test_a_table_that_lacks_a_column_is_said_and_the_rest_of_the_panel_is_drawn(places):
    for run in FIGURE_4.runs:
        write(places["runs_root"], run)
    folder = runs.run_folder(places["runs_root"], PRODUCT_STABLEMAX.name, 42)
    rewrite(folder, runs.read_metrics(folder).drop(columns="test_accuracy"))
    left, *_ = run_axes(plots.draw_figure(FIGURE_4, **places), FIGURE_4)
    entries = legend(left)
    said = [text for text in entries if "has no column test_accuracy" in " ".join(text.split())]
    assert len(said) == 1 and said[0].startswith("product mod 113")
    assert len(drawn(left, entries["sparse parity"])) == 1
    assert to_hex(left.lines[0].get_color()) != entries[said[0]]
    notes = plots.measured("4", **places).notes
    assert "product mod 113 seed 42 has no column 'test_accuracy'" in notes


@pytest.mark.parametrize("which", ["2", "4", "9", "11", "13", "16"])
def test_legends_that_name_missing_runs_stay_inside_the_picture(which, places):
    for run in {panel.curves[0].run for panel in CATALOG.paper[which].panels}:
        write(places["runs_root"], run, rows=2)
    picture = plots.draw_figure(CATALOG.paper[which], **places)
    assert "no complete run of" in texts(picture)
    picture.draw_without_rendering()
    boxes = [a.get_legend().get_window_extent() for a in picture.axes if a.get_legend()]
    assert boxes
    for box in boxes:
        assert box.x0 >= 0 and box.x1 <= picture.bbox.width
        assert box.y0 >= 0 and box.y1 <= picture.bbox.height


def test_a_diverged_run_is_drawn_and_said_to_have_diverged(places):
    write(places["runs_root"], ADD_STABLEMAX, summary={"diverged_at_step": 1234})
    shown = texts(plots.draw_figure(FIGURE_1, **places))
    assert "add_stablemax seed 42 diverged at step 1,234" in shown
    assert "seed 42 · your runs" in shown


def test_a_missing_run_names_its_command_and_the_rest_is_drawn(places):
    write(places["runs_root"], ADD_STABLEMAX)
    left, middle, _ = run_axes(plots.draw_figure(FIGURE_4, **places), FIGURE_4)
    for axes in (left, middle):
        entries = " ".join(" ".join(legend(axes)).split())
        assert "product mod 113: no complete run of product_stablemax" in entries
        assert "sparse parity: no complete run of parity_stablemax" in entries
        assert "./run_main_experiments.sh --figures 4" in entries
        assert len({to_hex(line.get_color()) for line in axes.lines}) == 1
    generalization, grokking, _ = run_axes(plots.draw_figure(FIGURE_1, **places), FIGURE_1)
    (text,) = (t.get_text() for t in generalization.texts)
    assert "add_orthoadamw" in text
    assert "./run_main_experiments.sh --figures 1" in text
    assert not generalization.lines
    assert not grokking.texts


def test_a_missing_quick_or_seeded_run_names_exactly_its_command(places):
    picture = plots.draw_figure(FIGURE_1, quick=True, seeds=[5, 6], **places)
    wanted = "./run_main_experiments.sh --figures 1 --quick --seeds 5,6"
    assert texts(picture).count(wanted) == 3
    assert "quick/add_stablemax" in texts(picture)


def test_the_command_makes_runs_where_they_are_looked_for(tmp_path, monkeypatch):
    monkeypatch.delenv("GROKKING_RUNS", raising=False)
    plain = "./run_main_experiments.sh --figures 1"
    assert curves.command(FIGURE_1, "full") == plain
    assert curves.command(FIGURE_1, "full", runs_root=ROOT / "runs") == plain
    assert curves.command(FIGURE_1, "full", runs_root="/dev/null") == plain  # published runs alone
    monkeypatch.chdir(tmp_path)
    elsewhere = curves.command(FIGURE_1, "quick", [1, 2], runs_root=tmp_path / "my runs")
    assert elsewhere == f"{plain} --quick --seeds 1,2 --runs 'my runs'"
    monkeypatch.setenv("GROKKING_RUNS", str(tmp_path / "other"))
    assert curves.command(FIGURE_1, "full") == f"{plain} --runs other"


def test_read_run_gives_the_table_or_names_the_command(places):
    with pytest.raises(
        runs.RunError, match=r"\./run_main_experiments\.sh --figures 1 --seeds 43 .*makes it"
    ):
        plots.read_run("add_stablemax", seed=43, **places)
    write(places["runs_root"], ADD_STABLEMAX, 43, test_accuracy=[0.25, 0.75])
    table = plots.read_run("add_stablemax", seed=43, **places)
    assert table["test_accuracy"].tolist() == [0.25, 0.75]
    with pytest.raises(ValueError, match="unknown run 'add_stable': did you mean add_stablemax"):
        plots.read_run("add_stable", **places)


# ---------------------------------------------------------------------------------- several seeds


@pytest.mark.parametrize("count, low, high, words", [
    (2, 0, 1, "median and range"),
    (4, 0, 3, "median and range"),
    (5, 1, 3, "median and quartiles"),
])  # fmt: skip
def test_several_seeds_give_their_median_and_range_or_quartiles(count, low, high, words, places):
    """low, high: which of the sorted values the band ends at."""
    seeds = range(42, 42 + count)
    tables = [write(places["runs_root"], ADD_STABLEMAX, s) for s in seeds]
    picture = plots.draw_figure(FIGURE_1, **places)
    axes = run_axes(picture, FIGURE_1)[1]
    values = numpy.sort([100 * columns["test_accuracy"] for _, columns in tables], axis=0)
    ((x, y),) = drawn(axes, legend(axes)["AdamW, StableMax"])
    assert x.tolist() == tables[0][0]
    middle = (values[(count - 1) // 2] + values[count // 2]) / 2
    numpy.testing.assert_allclose(y, middle, rtol=1e-12)
    _, test_band = axes.collections  # training first
    corners = test_band.get_paths()[0].vertices
    for epoch, *ends in zip(x, values[low], values[high], strict=True):
        at = corners[corners[:, 0] == epoch, 1]
        numpy.testing.assert_allclose([at.min(), at.max()], ends, rtol=1e-9)
    assert f"{words} · your runs" in texts(picture)


def test_one_seed_has_no_band_and_speaks_of_none(places):
    write(places["runs_root"], ADD_STABLEMAX)
    picture = plots.draw_figure(FIGURE_1, **places)
    assert not run_axes(picture, FIGURE_1)[1].collections
    assert "median" not in texts(picture)


def test_the_median_ends_where_the_shortest_replicate_ends(places):
    values = [0.0, 0.2, 0.4, 0.6]
    epochs, _ = write(places["runs_root"], ADD_STABLEMAX, 42, test_accuracy=values)
    write(places["runs_root"], ADD_STABLEMAX, 43, test_accuracy=values)
    folder = runs.run_folder(places["runs_root"], ADD_STABLEMAX.name, 43)
    rewrite(folder, runs.read_metrics(folder)[:2])
    axes = run_axes(plots.draw_figure(FIGURE_1, **places), FIGURE_1)[1]
    ((x, y),) = drawn(axes, legend(axes)["AdamW, StableMax"])
    assert x.tolist() == epochs[:2]
    numpy.testing.assert_allclose(y, [0, 20], rtol=1e-12)


# ---------------------------------------------------------------------------------- quick looks


def test_quick_and_full_runs_are_never_mixed(places):
    write(places["runs_root"], ADD_STABLEMAX, size="quick")
    write(places["results_root"], ADD_SOFTMAX64, size="quick")  # nothing quick is published
    assert sources(ADD_STABLEMAX, places) == []
    assert sources(ADD_STABLEMAX, places, quick=True) == [(42, "your runs")]
    assert sources(ADD_SOFTMAX64, places, quick=True) == []
    write(places["runs_root"], ADD_ORTHOADAMW)
    assert sources(ADD_ORTHOADAMW, places, quick=True) == []


def test_quick_figures_are_marked_and_full_ones_are_not(places):
    for run in FIGURE_2.runs:
        write(places["runs_root"], run, size="quick")
        write(places["runs_root"], run)
    quick, full = (plots.draw_figure(FIGURE_2, quick=q, **places) for q in (True, False))
    assert "QUICK LOOK" in texts(quick)
    assert "quick" not in texts(full).lower()
    for panel, axes in zip(FIGURE_2.panels, run_axes(quick, FIGURE_2), strict=True):
        config = panel.curves[0].run.quick
        assert not axes.texts  # they differ in the fraction alone: told once, below the title
        assert f"quick look: addition mod {config.modulo}" in texts(quick)
        assert f"{config.num_epochs:,} epochs" in texts(quick)
        assert f"lr {config.lr}" in texts(quick)  # differs from the paper's
        assert f"{100 * config.train_fraction:g} % training data" in axes.get_title()
    assert str(FIGURE_2.runs[0].config.modulo) not in texts(quick)


RELATED_PAIR = Figure(
    id="s5",
    title="S5",
    claim="",
    panels=tuple(
        Panel(
            id=f"s5 {percent}",
            title=f"Composition, {percent} %",
            kind="accuracy",
            curves=(Curve(run=RELATED_RUNS[f"s5_toth_{percent}"], label=f"{percent} %"),),
        )
        for percent in (30, 50)
    ),
)  # its CPU form: the first run smaller, the second as published


def test_the_cpu_size_is_marked_and_says_its_settings_where_they_are_not_the_published(places):
    small, same = RELATED_PAIR.runs
    write(places["results_root"], small, size="cpu", rows=5)
    write(places["results_root"], same, size="cpu", rows=5)  # published in the folder of the full
    write(places["results_root"], small, test_accuracy=[0.1, 0.2])
    picture = plots.draw_figure(RELATED_PAIR, size="cpu", **places)
    assert "S5 (CPU SIZE)" in texts(picture)
    assert "runs of the full size" not in texts(picture)  # it has them all
    first, second = run_axes(picture, RELATED_PAIR)
    assert "CPU size: composition in S5, 30 % of the pairs, 20,000 steps" in texts(picture)
    assert [len(drawn(a, legend(a)[f"{p} %"])[0][0]) for a, p in
            ((first, 30), (second, 50))] == [5, 5]  # fmt: skip
    assert "no complete run" not in texts(picture)
    picture.draw_without_rendering()
    assert first.title.get_window_extent().y0 == second.title.get_window_extent().y0
    assert {t.get_color() for t in picture.texts if "CPU SIZE" in t.get_text()} == {panels.ALERT}
    full = texts(plots.draw_figure(RELATED_PAIR, **places))
    assert "CPU" not in full and "composition in S5 (30 %, 50 % of the pairs)" in full


def test_a_figure_of_the_paper_at_cpu_size_is_the_full_one(places, tmp_path):
    write(places["results_root"], ADD_STABLEMAX)
    full, cpu = (texts(plots.draw_figure(FIGURE_1, size=s, **places)) for s in ("full", "cpu"))
    assert full == cpu and "bundled runs" in full
    out = {"out_dir": tmp_path / "out", "dpi": 20}
    (png,) = plots.draw_figures([FIGURE_1], size="cpu", **out, **places)
    assert png.name == "figure_1.png"
    (png,) = plots.draw_figures([RELATED_PAIR], size="cpu", **out, **places)
    assert png.name == "figure_s5_cpu.png"


def test_a_missing_run_of_cpu_size_names_its_command_and_folder(places):
    picture = texts(plots.draw_figure(RELATED_PAIR, size="cpu", **places))
    assert picture.count("./run_main_experiments.sh --figures s5 --size cpu") == 2
    assert "cpu/s5_toth_30" in picture and "cpu/s5_toth_50" not in picture
    with pytest.raises(runs.RunError, match="--figures s5 --size cpu .*makes it"):
        plots.read_run("s5_toth_30", size="cpu", **places)
    write(places["results_root"], RELATED_PAIR.runs[0], size="cpu", test_accuracy=[0.25, 0.75])
    table = plots.read_run("s5_toth_30", size="cpu", **places)
    assert table["test_accuracy"].tolist() == [0.25, 0.75]
    with pytest.raises(ValueError, match="add_pku_lstm_10 has no form of size cpu"):
        plots.read_run("add_pku_lstm_10", size="cpu", **places)


def test_size_and_quick_may_not_contradict_each_other(places):
    for call in (
        lambda: plots.draw_figure(FIGURE_1, size="cpu", quick=True, **places),
        lambda: plots.load_curve(ADD_STABLEMAX, size="full", quick=True, **places),
    ):
        with pytest.raises(ValueError, match="quick=True contradicts size"):
            call()
    with pytest.raises(ValueError, match="unknown size 'tiny'"):
        plots.show("1", size="tiny", **places)
    assert sources(ADD_STABLEMAX, places, size="quick", quick=True) == []


def grid_figure():
    """The delay map, all variants, with a kind of panel that needs no more than accuracies."""
    figure = CATALOG.related["delay-map"]
    every = tuple({c.run.name: c for p in figure.panels for c in p.curves}.values())
    return replace(figure, panels=(replace(figure.panels[0], kind="accuracy", curves=every),))


def test_a_grid_says_how_much_of_it_a_size_has_and_names_few_of_its_missing_runs(places):
    grid = grid_figure()
    cells = grid.at("cpu").runs
    for run in cells[:3]:
        write(places["runs_root"], run, size="cpu", rows=3)
    picture = texts(plots.draw_figure(grid, size="cpu", **places))
    assert "12 of the 108 settings of the full size" in picture
    assert "3 complete runs of 12" in picture
    assert "no complete run of 9 of 12: cpu/" in picture and "and 4 more" in picture
    assert cells[-1].name not in picture
    empty = texts(plots.draw_figure(grid, size="full", **places))
    assert "0 complete runs of 108" in empty and "and 103 more" in empty
    assert len(empty) < 3000


def test_the_settings_of_a_grid_are_told_once_for_all_its_runs():
    cells = CATALOG.related["delay-map"].at("cpu").runs
    (said,) = curves.settings_of(cells, "cpu")
    (arms,) = curves.settings_of(CATALOG.related["optimizers"].at("cpu").runs, "cpu")
    assert "lr 0.1 (6 of 18 runs), warmup steps 230 to 520, batch size 128" in arms
    assert "addition mod 97; 30 %, 50 %, 70 % of the pairs; at most" in arms
    assert said == (
        "division mod 47, division mod 97, division mod 197; 50 % of the pairs; at most 6,000 to"
        " 10,000 steps"
    )
    (images,) = curves.settings_of(CATALOG.related["mnist"].at("cpu").runs, "cpu")
    assert images == (
        "MNIST; 1,000 or 4,000 examples; 3,000 to 100,000 steps; softmax in float32, training in"
        " float32, 5,000 images in all"
    )
    assert len(curves.settings_of(cells[:3], "cpu")) == 3


def test_runs_that_differ_in_their_share_alone_are_told_in_one_line():
    runs_ = CATALOG.related["dimension"].at("cpu").runs
    assert curves.settings_of(runs_, "cpu") == [
        "addition mod 197, 20 %, 40 %, 50 % of the pairs, 8,000 steps"
    ]


@pytest.mark.parametrize(
    ("change", "task", "share"),
    [
        ({"dataset": "tokens", "network": "lstm", "modulo": 11, "terms": 3},
         "sum of 3 terms mod 11", ("30 %", "of the 3-tuples")),
        ({"dataset": "tokens", "network": "lstm", "modulo": 97}, "addition mod 97",
         ("30 %", "of the pairs")),
        ({"dataset": "tokens", "network": "lstm", "binary_operation": "s5_inverse"},
         "composition in S5", ("30 %", "of the pairs")),
        ({"dataset": "tokens", "network": "lstm", "binary_operation": "x2_y2_mod", "modulo": 31},
         "x² + y² mod 31", ("30 %", "of the pairs")),
        ({"dataset": "mnist", "train_samples": 1000}, "MNIST", ("1,000", "examples")),
        ({"dataset": "mnist"}, "MNIST", ("30 %", "of the images")),
        ({"dataset": "mnist", "mnist_images": "digits"}, "digits of 8×8 pixels",
         ("30 %", "of the images")),
    ],
)  # fmt: skip
def test_task_and_share_are_worded_from_the_configuration(change, task, share):
    config = RunConfig(lr=0.01, **change)
    assert (curves.task(config), curves.share(config)) == (task, share)


def test_images_of_another_source_are_told():
    run = RELATED_RUNS["mnist_omnigrok_mse"]
    assert curves.settings(run, "cpu") == [
        "MNIST", "1,000 examples", "100,000 steps", "softmax in float32", "training in float32",
        "5,000 images in all",
    ]  # fmt: skip
    assert curves.settings(run, "full") == ["MNIST", "1,000 examples", "100,000 steps"]


def succeed_into(calls):
    """A stand-in for subprocess.run that notes its commands."""

    def run(command, *, cwd, env, **_):
        assert (cwd, env["PYTHONSAFEPATH"]) == (ROOT, "")  # else -m would not find our script
        calls.append(command)
        return subprocess.CompletedProcess(command, 0)

    return run


def test_surfaces_of_own_runs_are_computed_in_each_normalisation(places, monkeypatch):
    calls = []
    monkeypatch.setattr(plots.subprocess, "run", succeed_into(calls))
    run = RELATED_RUNS["div_power_grokking"]
    write(places["runs_root"], run, size="cpu")
    plots.compute_tables(CATALOG.related["landscape"], size="cpu", runs_root=places["runs_root"])
    folder = runs.run_folder(places["runs_root"], "cpu/div_power_grokking", 42)
    assert [c[1:] for c in calls] == [
        ["-m", "weights.landscape", "--grid", "21", "--examples", "2048", "--normalisation", name,
         "--surface", folder]
        for name in ("tensor", "filter")
    ]  # fmt: skip
    derive(folder, runs.SURFACES["tensor"], [])
    plots.compute_tables(CATALOG.related["landscape"], size="cpu", runs_root=places["runs_root"])
    assert [c[8] for c in calls[2:]] == ["filter"]


def test_quick_surfaces_are_told_once_that_they_are_small(places, monkeypatch):
    calls, run = [], RELATED_RUNS["div_power_grokking"]
    monkeypatch.setattr(plots.subprocess, "run", succeed_into(calls))
    for seed in (42, 43):
        write(places["runs_root"], run, seed, size="quick")
    plots.compute_tables(CATALOG.related["landscape"], size="quick", runs_root=places["runs_root"])
    small = ["--grid", "11", "--examples", "512"]
    assert len(calls) == 4
    assert all(c[3:7] == small and len(c) == 11 for c in calls)


def test_quick_settings_are_worded_from_the_configuration():
    config = replace(ADD_STABLEMAX.config, seed=1)
    run = Run(
        name="x",
        config=config,
        quick=replace(config, modulo=7, train_fraction=0.57, num_epochs=1234, lr=0.5),
    )
    expected = "addition mod 7, 57 % of the pairs, 1,234 epochs, lr 0.5"
    assert ", ".join(curves.settings(run, "quick")) == expected
    same = replace(run, quick=config)
    share = f"{100 * config.train_fraction:g} % of the pairs"
    expected = f"addition mod {config.modulo}, {share}, {config.num_epochs:,} epochs"
    assert ", ".join(curves.settings(same, "quick")) == expected


def test_labels_of_the_full_form_are_restated_for_the_quick_form():
    run, of = PRODUCT_STABLEMAX, PRODUCT_STABLEMAX.quick
    assert curves.in_form("product mod 113", run, "quick") == f"product mod {of.modulo}"
    assert curves.in_form("product mod 113", run, "full") == "product mod 113"
    whole, short = (f"{c.num_epochs:,} epochs" for c in (run.config, of))
    assert curves.in_form(whole, run, "quick") == short != whole
    assert curves.in_form(f"1,{whole}", run, "quick") == f"1,{whole}"
    assert curves.in_form("mod 1130, 140 %, 0.40 %", run, "quick") == "mod 1130, 140 %, 0.40 %"


def test_a_budget_in_epochs_is_restated_in_the_steps_of_a_smaller_form():
    run = CATALOG.related["optimizers"].at("cpu").runs[0]
    title = f"accuracy in {run.config.num_epochs:,} epochs"
    assert curves.in_form(title, run, "cpu") == f"accuracy in {run.cpu.num_steps:,} steps"


def test_a_figure_without_runs_has_no_quick_form(tmp_path, places):
    (png,) = plots.draw_figures([FIGURE_3], out_dir=tmp_path / "out", quick=True, dpi=20, **places)
    assert png.name == "figure_3.png"
    assert "QUICK" not in texts(plots.draw_figure(FIGURE_3, quick=True, **places))


# ---------------------------------------------------------------------------------- output


def test_files_are_named_after_figure_and_form(tmp_path, places):
    write(places["runs_root"], ADD_STABLEMAX)
    write(places["runs_root"], ADD_STABLEMAX, size="quick")
    out = tmp_path / "new" / "pictures"
    full = plots.draw_figures([FIGURE_1, FIGURE_3], out_dir=out, **places)
    quick = plots.draw_figures([FIGURE_1], out_dir=out, quick=True, **places)
    assert [p.name for p in full] == [
        "figure_1.png",
        "figure_1.pdf",
        "figure_3.png",
        "figure_3.pdf",
    ]
    assert [p.name for p in quick] == ["figure_1_quick.png", "figure_1_quick.pdf"]
    assert sorted(p.name for p in out.iterdir()) == sorted(p.name for p in full + quick)
    width = plots.draw_figure(FIGURE_1, **places).get_figwidth()
    assert matplotlib.image.imread(full[0]).shape[1] == round(200 * width)
    assert full[1].read_bytes().startswith(b"%PDF")


@pytest.mark.parametrize("trouble", [OSError(28, "No space left on device"), KeyboardInterrupt()])
@pytest.mark.parametrize("kind", ["png", "pdf"])
def test_a_picture_that_is_not_finished_leaves_the_old_one_whole(
    kind, trouble, tmp_path, places, monkeypatch
):
    old = {path: path.read_bytes() for path in plots.draw_figures([FIGURE_3], out_dir=tmp_path)}

    def half(picture, file, *, format, **_):
        stream = file if hasattr(file, "write") else open(file, "wb")  # noqa: SIM115
        stream.write(b"new")
        stream.flush()
        if format == kind:
            raise trouble

    monkeypatch.setattr(plots.Picture, "savefig", half)
    expected = runs.RunError if isinstance(trouble, OSError) else KeyboardInterrupt
    with pytest.raises(expected):
        plots.draw_figures([FIGURE_3], out_dir=tmp_path, **places)
    assert {p: p.read_bytes() for p in tmp_path.iterdir() if p.suffix == f".{kind}"} == {
        p: content for p, content in old.items() if p.suffix == f".{kind}"
    }
    assert sorted(tmp_path.iterdir()) == sorted(old)  # and nothing beside it


@pytest.mark.parametrize("words", [["1,3"], ["1 3"], ["1", "3"], ["3,", "1"]])
def test_figure_lists_by_commas_and_spaces_mean_the_same(words, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(plots, "draw_figures", lambda figures, **_: [f.id for f in figures])
    assert plots.main(["--figures", *words, "--runs", str(tmp_path)]) == 0
    assert capsys.readouterr().out.split() == ["1", "3"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--figures", "99"], "unknown figure '99'; choose from 1, 2, 3"),
        (["--figures", "fig2b"], "fig2b is a panel, drawn with its figure: ask for 2"),
        (["--figures", "2z"], "unknown figure '2z'; choose from 1, 2, 3"),
        (["--figures", "3", "--seeds", "4x"], "seed '4x': choose a whole number"),
        (["--figures", "3", "--seed_list", "4"], "--seed_list"),
        (["--figures", "3", "--out", "{file}"], "choose another --out"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(arguments, said, tmp_path, capsys):
    file = tmp_path / "file"
    file.write_text("")
    with pytest.raises(SystemExit) as stop:
        plots.main([a.format(file=file) for a in arguments])
    assert stop.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert said in line
