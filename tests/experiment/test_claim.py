"""Bounds and orders hold exactly where their words say."""

import pytest
from made_runs import EARLY, A, B, claim

from experiment.claim import Bound, Less, above, at_least, at_most, below, between, rising, spread
from experiment.quantity import Never, delay, fitted


@pytest.mark.parametrize(
    "bound, inside, outside, words",
    [
        (at_most(0.5), [0.5, -1], [0.5000001], "at most 50 %"),
        (below(0.5), [0.4999999], [0.5], "below 50 %"),
        (at_least(0.5), [0.5, 9], [0.4999999], "at least 50 %"),
        (above(0.5), [0.5000001], [0.5], "above 50 %"),
        (between(0.25, 0.5), [0.25, 0.5], [0.2499999, 0.5000001], "25 % to 50 %"),
    ],
)
def test_bounds_include_their_ends_exactly_as_worded(bound, inside, outside, words):
    assert bound.text("percent") == words
    assert all(bound.holds(v) for v in inside)
    assert not any(bound.holds(v) for v in [*outside, Never(1), float("nan")])


@pytest.mark.parametrize("ends", [{}, {"low": 2.0, "high": 1.0}])
def test_a_bound_that_cannot_fail_or_cannot_hold_is_refused(ends):
    with pytest.raises(ValueError, match="give a limit"):
        Bound(**ends)


@pytest.mark.parametrize(
    "left, right, strict, equal",
    [
        (1, 2, True, True),
        (2, 2, False, True),
        (3, 2, False, False),
        (20, Never(20), True, True),  # later than the right run is long
        (21, Never(20), False, False),  # nothing is known past its end
        (0, Never(0), False, False),  # a delay that never began is later than nothing
        (Never(20), 30, False, False),
        (Never(20), Never(30), False, False),
        (float("nan"), 2, False, False),
    ],
)
def test_order_of_events_that_may_never_happen(left, right, strict, equal):
    sides = (("a", fitted(A)), ("b", fitted(B)))
    assert Less(*sides).holds((left, right)) is strict
    assert Less(*sides, equal=True).holds((left, right)) is equal


def test_rising_compares_neighbours_in_order():
    a, b, c = fitted(A), fitted(B), delay(A, 0.5)
    checks = rising({"a": a, "b": b, "c": c})
    assert [(x.left, x.right) for x in checks] == [(("a", a), ("b", b)), (("b", b), ("c", c))]
    assert checks[0].measured([(1, Never(7)), (3, Never(9))]) == (
        "a 1 to 3 < b not reached by 7 to 9 on 2 of 2 seeds"
    )


@pytest.mark.parametrize(
    "values, text",
    [
        ([120], "120"),
        ([120, 120], "120"),
        ([130, 110], "110 to 130"),
        ([130, 110, 112], "110 to 130 (median 112)"),
        ([1, 2, 4, 9], "1 to 9 (median 3)"),
        ([Never(500)], "not reached by 500"),
        ([Never(500), 110, Never(600)], "110, not reached by 500 to 600 on 2 of 3 seeds"),
        ([float("nan"), 5, 7], "5 to 7, undefined on 1 of 3 seeds"),
    ],
)
def test_several_seeds_are_shown_as_range_and_median(values, text):
    assert spread(values, "epoch") == text


@pytest.mark.parametrize(
    "panel, figure",
    [("1a", "1"), ("12", "12"), ("4 left", "4"), ("controls 1a", "controls"), ("s5 30 %", "s5"),
     ("delay-map steps", "delay-map"), ("k-sum 3", "k-sum"), ("mnist mse", "mnist")],
)  # fmt: skip
def test_a_panel_belongs_to_its_figure(panel, figure):
    assert claim(EARLY, panel=panel).figure == figure
