"""A ranking shows when each seed generalized, the soonest row on top, read off the axes.

The runs here are synthetic: three steps to an epoch, a budget of 1,200 steps.
"""

import pytest
from pictures import Places, curves_of, keys, legend, marked_as, texts

from configuration.config import RunConfig

BASE = RunConfig(lr=0.5, optimizer="SGD", num_epochs=1_200)
FITS = [0, 0.96, 1, 1, 1]  # at step 300


@pytest.fixture
def places(tmp_path):
    return Places(tmp_path)


def write(places, name, *tests, train=FITS):
    for seed, test in enumerate(tests, 42):
        run = places.write(name, BASE, seed, train_accuracy=train, test_accuracy=test)
    return run


SOON, LATE = [0, 0, 0.97, 1, 1], [0, 0, 0, 0.95, 1]  # at steps 600 and 900
HALF, NEVER = [0, 0.1, 0.3, 0.5, 0.5], [0, 0, 0.01, 0.02, 0.02]


def delays(axes) -> list:
    """The ends of the thin lines."""
    return [x.get_xydata().tolist() for x in axes.lines if x.get_linestyle() == "-"]


@pytest.mark.parametrize("kind", ["ranking", "ranking_grid"])
def test_rows_are_in_order_of_their_median_then_of_the_accuracy_they_came_to(places, kind):
    runs = {
        "never": write(places, "a", NEVER, NEVER, NEVER),
        "late": write(places, "b", LATE, LATE, SOON),
        "half": write(places, "c", HALF, HALF, HALF),
        "soon": write(places, "d", SOON, SOON, NEVER),
    }
    axes = places.draw(kind, *((run, label) for label, run in runs.items()))
    assert [t.get_text() for t in axes.get_yticklabels()] == ["soon", "late", "half", "never"]
    assert axes.get_ylim()[0] > axes.get_ylim()[1] and axes.get_xscale() == "log"


def test_a_dot_is_the_step_at_which_a_seed_had_95_percent_of_the_test_set(places):
    run, other = write(places, "a", SOON, LATE, LATE), write(places, "b", SOON)
    axes = places.draw("ranking", (run, "three"), (other, "one"))
    dots = marked_as(axes, "a seed, the bar their median")
    assert sorted(dots) == [(600, 0), (600, 1), (900, 1), (900, 1)]


def test_the_delay_begins_where_the_median_seed_has_95_percent_of_the_training_set(places):
    axes = places.draw("ranking", (write(places, "a", LATE, LATE), "late"))
    assert [[300, 0], [900, 0]] in delays(axes)


def test_what_never_came_is_a_triangle_at_the_budget_with_how_far_it_came(places):
    some, none = write(places, "a", SOON, SOON, NEVER), write(places, "b", HALF, HALF, NEVER)
    axes = places.draw("ranking", (some, "some"), (none, "none"))
    label = "not in 1,200 updates: the best accuracy, or on how many seeds"
    assert label in keys(axes)
    assert sorted(marked_as(axes, label)) == [(1_200, 0), (1_200, 1)]
    assert "1 of 3" in texts(axes) and "50 %" in texts(axes)
    assert [[300, 1], [1_200, 1]] in delays(axes)


def test_a_run_that_does_not_fit_its_training_set_has_no_delay(places):
    run = write(places, "a", NEVER, train=[0, 0.1, 0.2, 0.3, 0.3])
    axes = places.draw("ranking", (run, "confused"))
    assert not [ends for ends in delays(axes) if len(ends) > 1]


def test_test_accuracy_alone_is_drawn_over_steps_in_percent(places):
    axes = places.draw(
        "test_accuracy_log", (write(places, "a", SOON), "x"), (write(places, "b", HALF), "y")
    )
    color, style = legend(axes)["x"]
    assert style == "-" and curves_of(axes, color) == [
        ([0, 300, 600, 900, 1_200], pytest.approx([0, 0, 97, 100, 100]))
    ]


def test_eight_curves_of_a_panel_have_eight_colours_and_each_panel_its_own_legend(places):
    drawn = [(places.write(f"r{k}", test_accuracy=[0, 0.1, 0.2, 0.3, k / 10]), f"curve {k}")
             for k in range(8)]  # fmt: skip
    axes = places.draw("test_accuracy_log", *drawn)
    entries = {name: look for name, look in legend(axes).items() if name.startswith("curve")}
    assert len(entries) == len({color for color, _ in entries.values()}) == 8
