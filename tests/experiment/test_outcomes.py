"""Delay, outcome, best accuracy, rise and drop are the values worked out by hand.

Every table is a few rows of known numbers; steps are three to an epoch.
"""

import math

import numpy
import pandas
import pytest
from made_runs import A, B, derive

from configuration.runs import SURFACES
from experiment.claim import Less, at_most
from experiment.outcomes import (
    Delay,
    best_within,
    dimension_column,
    dimension_drop,
    dimension_lead,
    dimension_peak,
    first_row,
    frequencies_holding,
    grokking_delay,
    learned_dimension,
    median_time,
    outcome,
    plateau,
    rise,
    steps_to,
)
from experiment.quantity import Never, NotMeasured, at, show
from related.quantities import (
    agreement,
    best,
    delay_of,
    drop_of,
    fall_of,
    lead_of,
    midway,
    plateau_of,
    rise_of,
    step_of,
    step_of_largest,
    surface_range,
)

NAN = math.nan


def table(train=(), test=(), every=30, **columns):
    """Rows at steps 0, 30, 60, ... and epochs 0, 10, 20, ..."""
    columns = {"train_accuracy": train, "test_accuracy": test} | columns
    columns = {c: list(map(float, v)) for c, v in columns.items() if len(v)}
    steps = numpy.arange(len(next(iter(columns.values())))) * every
    return pandas.DataFrame({"step": steps, "epoch": steps / 3, **columns})


# ---------------------------------------------------------------------------------- delay

GROKS = table(train=[0, 0.95, 1, 1, 1], test=[0, 0.1, 0.5, 0.9499, 0.95])
TOGETHER = table(train=[0, 0.5, 1, 1], test=[0, 0.6, 0.97, 1])
MEMORISES = table(train=[0, 1, 1], test=[0, 0.1, 0.94])
CONFUSED = table(train=[0, 0.5, 0.94], test=[0, 0.5, 0.96])
BEFORE = table(train=[0, 0.5, 0.96], test=[0, 0.96, 0.97])  # dropout hinders training alone
MNIST = table(train=[0, 0.97, 1, 1, 1], test=[0.1, 0.2, 0.76, 0.72, 0.8])


@pytest.mark.parametrize(
    "metrics, options, expected, steps, epochs",
    [
        (GROKS, {}, Delay(30, 120, 10, 40), 90, 30),
        (GROKS, {"threshold": 0.96}, Delay(60, None, 20, None), None, None),
        (GROKS, {"threshold": 0.5}, Delay(30, 60, 10, 20), 30, 10),
        (TOGETHER, {}, Delay(60, 60, 20, 20), 0, 0),
        (MEMORISES, {}, Delay(30, None, 10, None), None, None),
        (CONFUSED, {}, Delay(None, 60, None, 20), None, None),
        (BEFORE, {}, Delay(60, 30, 20, 10), -30, -10),
        (MNIST, {}, Delay(30, None, 10, None), None, None),
        # 95 % of 0.8 is 0.76, which is reached at once; 95 % of 1 is 0.95
        (MNIST, {"relative": True}, Delay(30, 60, 10, 20), 30, 10),
        (MNIST, {"relative": True, "threshold": 0.99}, Delay(60, 120, 20, 40), 60, 20),
        (MNIST, {"relative": True, "least": 0.81}, Delay(30, None, 10, None), None, None),
        (MNIST, {"relative": True, "least": 0.8}, Delay(30, 60, 10, 20), 30, 10),
    ],
)
def test_delay_is_from_the_first_fitted_row_to_the_first_generalizing_one(
    metrics, options, expected, steps, epochs
):
    found = grokking_delay(metrics, **options)
    assert found == expected
    assert (found.steps, found.epochs) == (steps, epochs)


def test_steps_of_the_delay_are_its_epochs_times_the_updates_of_an_epoch():
    found = grokking_delay(GROKS)
    assert found.steps == 3 * found.epochs


@pytest.mark.parametrize(
    "metrics, short, expected",
    [
        (CONFUSED, 1e9, "confusion"),  # whatever the test accuracy
        (MEMORISES, 1e9, "memorisation"),
        (GROKS, 89, "grokking"),
        (GROKS, 90, "comprehension"),  # the limit itself is short
        (TOGETHER, 0, "comprehension"),
        (BEFORE, 0, "comprehension"),
    ],
)
def test_outcome_is_one_of_four_by_both_accuracies_and_the_delay(metrics, short, expected):
    assert outcome(metrics, short=short) == expected


def test_outcome_follows_its_threshold():
    assert outcome(MEMORISES, short=90, threshold=0.9) == "comprehension"
    assert outcome(CONFUSED, short=0, threshold=0.5) == "comprehension"
    assert outcome(GROKS, short=90, threshold=0.99) == "memorisation"


@pytest.mark.parametrize(
    "budget, expected",
    [
        ({}, 0.8),
        ({"steps": 119}, 0.76),
        ({"steps": 120}, 0.8),
        ({"epochs": 20}, 0.76),
        ({"epochs": 19.9}, 0.2),
        ({"steps": 120, "epochs": 10}, 0.2),
        ({"steps": 0}, 0.1),
        ({"column": "train_accuracy", "steps": 30}, 0.97),
    ],
)
def test_best_accuracy_is_the_largest_within_the_budget(budget, expected):
    assert best_within(MNIST, **budget) == expected


def test_best_accuracy_passes_over_rows_without_a_value():
    assert best_within(table(test=[0.1, NAN, 0.3])) == 0.3


def test_steps_to_a_level_are_the_first_ones_or_none():
    assert steps_to(GROKS, 0.95) == 120
    assert steps_to(GROKS) is None
    assert steps_to(GROKS, 0.99, "train_accuracy") == 60
    assert first_row(GROKS, "test_accuracy", 0.3)["epoch"] == 20


# ---------------------------------------------------------------------------------- rise

# Fitted at step 60 with 0.2 right; waits at 0.3; best 1.0; half way from 0.2: 0.6, at step 180.
WAITS = table(train=[0, 0.5, 1, 1, 1, 1, 1, 1], test=[0, 0.1, 0.2, 0.3, 0.32, 0.39, 0.7, 1.0])


@pytest.mark.parametrize(
    ("times", "median"),
    [
        ((7.0, None, 3.0), 7.0),  # never is last, wherever it stands
        ((None, 3.0, None), math.inf),
        ((3.0, 5.0), 4.0),
        ((3.0, None), math.inf),  # beside never there is no middle
    ],
)
def test_in_a_median_never_is_later_than_all(times, median):
    assert median_time(times) == median


def test_the_plateau_is_the_median_between_fitting_and_half_the_rise():
    # rows of 60 to 150: 0.2, 0.3, 0.32, 0.39
    assert plateau(WAITS) == pytest.approx(0.31)
    assert plateau(TOGETHER) == 0.97  # no row in between: the accuracy at fitting
    assert plateau(CONFUSED) is None


def test_the_rise_is_measured_from_the_plateau_and_not_from_chance():
    # 0.31 + 0.1 * 0.69 = 0.379: step 150. From 0: 0.1 would be at step 30.
    assert rise(WAITS) == 150
    assert rise(WAITS, 0.5) == 180  # 0.655
    assert rise(WAITS, 0.9) == 210
    assert rise(WAITS, 1.0) == 210


def test_a_passing_peak_on_the_plateau_is_no_rise():
    peaked = WAITS.assign(test_accuracy=[0, 0.1, 0.2, 0.45, 0.3, 0.3, 0.7, 1.0])
    # the median of 0.2, 0.45, 0.3, 0.3 is 0.3: 0.37 and more at 90, but it falls back until 150
    assert rise(peaked) == 180


def test_a_dip_after_half_the_rise_does_not_move_it():
    dipped = WAITS.assign(test_accuracy=[0, 0.1, 0.2, 0.3, 0.32, 0.7, 0.1, 1.0])
    assert rise(dipped) == 150


def test_what_never_generalizes_never_rises():
    assert rise(MEMORISES.assign(test_accuracy=[0, 0.3, 0.35])) is None  # less than ten points
    assert rise(MEMORISES.assign(test_accuracy=[0, 0.3, 0.45])) == 60
    assert rise(MEMORISES.assign(test_accuracy=[0, 0.1, 0.2])) == 60  # just ten points
    assert rise(CONFUSED) is None
    assert rise(CONFUSED, fit=0.5) == 60


def test_a_run_that_generalizes_as_it_fits_rises_from_its_start():
    # 0.97 at fitting, 1 in the end: from 0, a tenth is reached at step 30, half at 30, 0.9 at 60
    assert rise(TOGETHER) == 30
    assert rise(TOGETHER, 0.5) == 30
    assert rise(TOGETHER, 0.9) == 60
    assert rise(TOGETHER.assign(test_accuracy=[0, 0.6, 0.9, 0.94])) is None  # not generalized
    assert rise(TOGETHER.assign(test_accuracy=1.0)) is None


# ---------------------------------------------------------------------------------- dimension

# Measured in every second row; maximum 20 at step 60, at most 18 from step 180 on.
MEASURED = WAITS.assign(dimension_train=[9, NAN, 20, NAN, 18.01, NAN, 18, NAN])


def test_the_drop_is_the_first_measurement_a_tenth_below_the_maximum():
    assert dimension_peak(MEASURED) == 60
    assert dimension_drop(MEASURED) == 180
    assert dimension_drop(MEASURED, 0.09) == 120
    assert dimension_drop(MEASURED, 0.11) is None
    assert dimension_drop(MEASURED, 0.6) is None  # row 0 is that low, before the maximum


def test_the_dimension_of_the_random_network_is_no_peak():
    # Fitted at step 60. The random network has 30, the smallest before is 9 at step 30.
    table = WAITS.assign(dimension_train=[30, 9, 10, 20, 18, 17, 8, 8])
    assert dimension_peak(table) == 90 and dimension_drop(table) == 120
    assert learned_dimension(table).index.tolist() == [30, 60, 90, 120, 150, 180, 210]
    assert fall_of("a").of({"a": table}) == pytest.approx(1 - 8 / 20)
    late = table.assign(dimension_train=[30, 9, 8, 20, 18, 17, 8, 8])  # 8 as it is fitted
    assert learned_dimension(late).index[0] == 60
    # Never fitted: the smallest of the whole run.
    table = table.assign(train_accuracy=0.5, dimension_train=[30, 9, 10, 8, 12, 17, 18, 15])
    assert dimension_peak(table) == 180 and dimension_drop(table) == 210


def test_the_maximum_is_the_first_of_equals():
    assert dimension_peak(MEASURED.assign(dimension_train=[5, 20, 20, 9, 9, 9, 9, 9])) == 30


def test_the_dimension_of_the_test_set_stands_in_where_the_other_was_not_measured():
    assert dimension_column(MEASURED) == "dimension_train"
    test = MEASURED.rename(columns={"dimension_train": "dimension_test"})
    assert dimension_column(test) == "dimension_test"
    assert dimension_column(test.assign(dimension_train=1.0)) == "dimension_train"
    assert dimension_drop(test) == 180
    assert dimension_column(MEASURED.assign(dimension_train=NAN)) is None
    assert dimension_column(WAITS) is None
    assert dimension_drop(WAITS) is None and dimension_peak(WAITS) is None


def test_the_lead_is_positive_where_the_dimension_drops_first():
    assert dimension_lead(MEASURED).steps == 150 - 180
    assert dimension_lead(MEASURED, fall=0.09).steps == 150 - 120
    assert dimension_lead(MEASURED, fall=None).steps == 150 - 60
    assert dimension_lead(MEASURED, share=0.9).steps == 210 - 180
    assert dimension_lead(MEASURED).interval == 60  # of the measurements, not of the rows
    assert dimension_lead(MEASURED).end == 210


def test_without_drop_or_rise_there_is_no_lead_but_what_is_known():
    lead = dimension_lead(MEASURED, fall=0.5)
    assert (lead.drop, lead.rise, lead.steps) == (None, 150, None)
    lead = dimension_lead(MEASURED.assign(test_accuracy=0.3))
    assert (lead.drop, lead.rise, lead.steps) == (180, None, None)
    lead = dimension_lead(WAITS)
    assert (lead.drop, lead.steps) == (None, None)


# ---------------------------------------------------------------------------------- spectrum


@pytest.mark.parametrize(
    ("shares", "level", "count"),
    [
        ([0.1, 0.8, 0.1], 0.8, 1),
        ([0.1, 0.8, 0.1], 0.9, 2),
        ([0.25] * 4, 0.9, 4),
        ([0.2] * 5, 0.6, 3),
        ([0, 0, 1.0], 0.9, 1),
    ],
)
def test_fewest_frequencies_that_hold_a_share(shares, level, count):
    assert frequencies_holding(shares, level) == count


# ---------------------------------------------------------------------------------- quantities

TABLES = {A: MEASURED, B: GROKS.assign(weight_norm=[1, 5, 2, 5, 3])}


@pytest.mark.parametrize(
    "quantity, value, unit",
    [
        (step_of(B, "test_accuracy", 0.95), 120, "step"),
        (step_of(B, "test_accuracy", 0.99), Never(120), "step"),
        (delay_of(B), 90, "step"),
        (delay_of(B, unit="epoch"), 30, "epoch"),
        (delay_of(B, 0.99), Never(60), "step"),  # fitted at 60, ended at 120
        (delay_of(B, 0.99, unit="epoch"), Never(20), "epoch"),
        (delay_of(B, 1.1), Never(0), "step"),
        (delay_of(B, 1.0, relative=True), 60, "step"),
        (best(B), 0.95, "percent"),
        (best(B, steps=90), 0.9499, "percent"),
        (best(B, epochs=20), 0.5, "percent"),
        (step_of_largest(B, "weight_norm"), 30, "step"),
        (rise_of(A), 150, "step"),
        (rise_of(A, 0.5), 180, "step"),
        (plateau_of(A), 0.31, "percent"),
        (lead_of(A), -30, "number"),
        (lead_of(A, fall=None), 90, "number"),
        (lead_of(A, fall=0.5), Never(210), "number"),
        (drop_of(A), 180, "step"),
        (drop_of(A, 0.5), Never(210), "step"),
        (fall_of(A), 0.1, "percent"),
        (midway("m", drop_of(A), delay_of(B), delay_of(B, 0.5)), 90, "step"),
        (midway("m", drop_of(A), delay_of(B, 0.99), delay_of(B)), 180, "step"),
        (midway("m", drop_of(A), delay_of(B, 0.99)), Never(60), "step"),
        (midway("m", delay_of(B, 0.99), drop_of(A, 0.5)), Never(210), "step"),  # the longest known
        (agreement("a", (drop_of(A), rise_of(A))), 1, "percent"),
        (agreement("a", (drop_of(A, 0.5), delay_of(B, 0.99))), 1, "percent"),
        (agreement("a", (drop_of(A, 0.5), rise_of(A)), (drop_of(A), rise_of(A))), 0.5, "percent"),
    ],
    ids=lambda v: v.words if hasattr(v, "words") else None,
)
def test_quantity_is_the_value_worked_out_by_hand(quantity, value, unit):
    found = quantity.of(TABLES)
    assert found == (value if isinstance(value, Never) else pytest.approx(value, rel=1e-12))
    assert quantity.unit == unit
    assert quantity.words and set(quantity.runs) <= set(TABLES)


def test_what_has_no_dimension_has_no_fall():
    assert math.isnan(fall_of(B).of(TABLES))
    assert isinstance(rise_of(A).of({A: MEMORISES.assign(test_accuracy=0.0)}), Never)
    assert isinstance(plateau_of(A).of({A: CONFUSED}), Never)


def test_steps_are_shown_and_compared_as_epochs_are():
    assert show(34500.0, "step") == "34,500"
    late = Less(("a", step_of(A, "test_accuracy", 0.99)), ("b", step_of(B, "test_accuracy", 0.99)))
    assert late.holds((100, Never(120)))  # later than the other run is long
    assert not late.holds((121, Never(120)))
    accuracy = Less(("a", best(A)), ("b", at(A, "weight_norm")))
    assert not accuracy.holds((0.5, Never(120)))
    assert not at_most(1e9).holds(Never(1))


def test_the_range_of_a_surface_is_read_beside_the_run(tmp_path):
    metrics = GROKS.copy()
    metrics.attrs["folder"] = tmp_path
    quantity = surface_range(B)
    with pytest.raises(NotMeasured, match=SURFACES["tensor"]):
        quantity.of({B: metrics})
    losses = {"train_loss": [0.5, 3.0, 20.5], "test_loss": [1.0, 2.0, 4.5]}
    derive(tmp_path, SURFACES["tensor"], losses)
    assert quantity.of({B: metrics}) == 20
    assert surface_range(B, "test_loss").of({B: metrics}) == 3.5
    with pytest.raises(NotMeasured, match=SURFACES["filter"]):
        surface_range(B, normalisation="filter").of({B: metrics})
