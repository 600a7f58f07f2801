"""Curves of many seeds: what is drawn of them, and what is said of those that are missing."""

import numpy
import pandas
import pytest
from house import CATALOG
from pictures import texts, write

import plots
from paper.figure_1 import ADD_STABLEMAX
from plotting.curves import Replicate
from plotting.panels import Line


def replicate(random, seed, whole):
    """Rows at steps of their own, of which some did not measure the column."""
    steps = numpy.arange(0, 400, 10)
    values = random.normal(size=steps.size)
    if not whole:
        values[random.random(steps.size) < 0.2] = numpy.nan
        there = random.random(steps.size) < 0.8
        there[0] = True
        steps, values = steps[there], values[there]
    table = pandas.DataFrame({"step": steps, "epoch": steps / 4, "loss": values})
    return Replicate(seed, table, "your runs", None)


@pytest.mark.parametrize("over", ["epoch", "step"])
@pytest.mark.parametrize("whole", [(True, True, True), (True, False, True), (False,) * 3, (False,)])
def test_a_curve_is_at_the_steps_that_all_seeds_measured(whole, over):
    random = numpy.random.default_rng(len(whole))
    found = [replicate(random, seed, each) for seed, each in enumerate(whole)]
    x, values = Line(ADD_STABLEMAX, "", "", found).series("loss", 2.0, over)
    columns = [r.metrics.set_index("step")["loss"].dropna() for r in found]
    expected = pandas.concat(columns, axis=1, join="inner")
    assert len(expected) > 0 and numpy.array_equal(values, 2 * expected.to_numpy().T)
    assert numpy.array_equal(x, expected.index if over == "step" else expected.index / 4)


def test_seeds_without_a_step_in_common_are_an_empty_curve():
    tables = [pandas.DataFrame({"step": [s], "epoch": [s], "loss": [1.0]}) for s in (1, 2)]
    found = [Replicate(seed, table, "", None) for seed, table in enumerate(tables)]
    x, values = Line(ADD_STABLEMAX, "", "", found).series("loss")
    assert len(x) == 0 and values.shape == (2, 0)


def test_of_many_missing_seeds_a_picture_names_the_first_and_how_many(tmp_path):
    write(tmp_path / "own", ADD_STABLEMAX, 0)
    picture = plots.draw_figure(
        CATALOG.paper["1"],
        seeds=range(300),
        runs_root=tmp_path / "own",
        results_root=tmp_path / "none",
    )
    assert "no complete seed 1, 2, 3, 4, 5, and 294 more" in " ".join(texts(picture).split())
