"""What is measured is the value worked out by hand."""

from fractions import Fraction

import pandas
import pytest
from made_runs import A, B, table, write_path

from configuration import runs
from experiment.claim import at_least, at_most
from experiment.quantity import (
    Never,
    NotMeasured,
    at,
    combine,
    delay,
    earliest,
    epoch_of_largest,
    first,
    fitted,
    largest,
    largest_gap,
    minus,
    over,
    rate_after,
    show,
    smallest,
)
from paper.figure_3 import drawn, drawn_slope
from paper.figure_7 import ADD_SGD_PATH, along_radius

TABLES = {
    A: table(
        train_accuracy=[0.1, 0.5, 1.0, 1.0, 1.0],
        test_accuracy=[0.2, 0.0, 0.5, 0.7, 0.6],
        weight_norm=[2.0, 4.0, 8.0, 16.0, 12.0],
    ),
    B: table(test_accuracy=[0.25, 0.5, 0.75]),
}


@pytest.mark.parametrize(
    "quantity, value",
    [
        (first(A, "test_accuracy", 0.5), 20),  # the level itself counts
        (first(A, "test_accuracy", 0.51), 30),
        (first(A, "test_accuracy", 0.71), Never(40)),
        (first(B, "test_accuracy", 0.9), Never(20)),  # the end is the run's own
        (first(A, "test_accuracy", 0.1, falls=True), 10),
        (first(A, "test_accuracy", 0.6, since=31), 40),
        (first(A, "test_accuracy", 0.6, since=first(A, "weight_norm", 99)), Never(40)),
        (fitted(A), 20),
        (at(A, "test_accuracy"), 0.6),
        (at(A, "test_accuracy", 29), 0.5),
        (at(A, "test_accuracy", 30), 0.7),
        (at(A, "test_accuracy", 41), Never(40)),  # the run did not get there
        (at(A, "test_accuracy", fitted(A)), 0.5),
        (largest(A, "test_accuracy"), 0.7),
        (largest(A, "test_accuracy", until=20), 0.5),
        (largest(A, "weight_norm", since=31), 12),
        (largest(A, "weight_norm", since=50), Never(40)),
        (smallest(A, "test_accuracy"), 0.0),
        (smallest(A, "test_accuracy", since=fitted(A)), 0.5),
        (largest_gap(A, "train_accuracy", "test_accuracy"), 0.5),
        (largest_gap(A, "train_accuracy", "test_accuracy", until=0), -0.1),
        (epoch_of_largest(A, "weight_norm"), 30),
        (epoch_of_largest(A, "weight_norm", until=20), 20),
        (epoch_of_largest(A, "train_accuracy"), 20),  # the first of equals
        (at(A, "test_accuracy", epoch_of_largest(A, "weight_norm")), 0.7),
        (earliest("", fitted(A), first(B, "test_accuracy", 0.5), fitted(A)), 10),
        (earliest("", first(A, "weight_norm", 99), first(B, "test_accuracy", 0.7)), 20),
        (earliest("", first(B, "test_accuracy", 9), first(A, "weight_norm", 99)), Never(40)),
        (delay(A, 0.5), 10),  # train at 10, test at 20
        (delay(A, 0.9), Never(20)),  # train at 20, test not by 40: longer than 20
        (minus(at(A, "weight_norm"), at(A, "weight_norm", 0)), 10),
        (over(at(A, "weight_norm"), at(A, "weight_norm", 0)), 6),
        (over(at(A, "test_accuracy"), at(B, "test_accuracy", 0)), 2.4),
        (combine("", "number", max, at(A, "weight_norm"), at(B, "test_accuracy", 30)), Never(20)),
        # 0.3 gained in the 20 epochs before, 0.1 in the 20 after
        (rate_after(A, "test_accuracy", fitted(A)), 1 / 3),
        (rate_after(A, "weight_norm", first(A, "weight_norm", 16)), -4 / 10 / (14 / 30)),
        (rate_after(A, "test_accuracy", first(A, "weight_norm", 99)), Never(40)),
    ],
    ids=lambda v: v.words if hasattr(v, "words") else None,
)
def test_measure_is_the_value_worked_out_by_hand(quantity, value):
    found = quantity.of(TABLES)
    assert found == (value if isinstance(value, Never) else pytest.approx(value, rel=1e-12))
    assert set(quantity.runs) <= set(TABLES)


def test_a_ratio_to_nothing_is_undefined_and_no_error():
    zero = at(A, "test_accuracy", 10)
    for quantity in (
        over(at(A, "weight_norm"), zero),
        rate_after(A, "test_accuracy", first(A, "weight_norm", 0)),  # at the first row
        rate_after(A, "test_accuracy", first(A, "weight_norm", 0, since=40)),  # at the last row
    ):
        value = quantity.of(TABLES)
        assert value != value and show(value, quantity.unit) == "undefined"
        assert not at_most(1e9).holds(value) and not at_least(-1e9).holds(value)


def test_drawn_curves_are_those_of_definition_4():
    for x in (-4, -1.5, 0, 0.25, 4):
        exact = x + 1 if x >= 0 else Fraction(1) / (1 - Fraction(x))
        assert drawn("s(x)", x).of({}) == pytest.approx(float(exact), rel=1e-9)
    assert drawn("exp(x)", 1).of({}) == pytest.approx(2.718281828459045, rel=1e-9)
    assert drawn_slope("s(x)", 1, 1).of({}) == pytest.approx(1, rel=1e-9)
    assert drawn_slope("s(x)", 0, -1).of({}) == pytest.approx(0.5, rel=1e-9)


@pytest.mark.parametrize(
    "value, unit, text",
    [
        (0.98964, "percent", "98.96 %"),  # must not read 99
        (1 - 1 / 12769, "percent", "99.99 %"),  # nor this 100
        (1.0, "percent", "100 %"),
        (-0.00001, "points", "0 points"),
        (34500.0, "epoch", "34,500"),
        (3.846153846, "epoch", "3.8"),
        (33412.7, "number", "33,413"),
        (0.090123, "number", "0.09012"),
        (455.04, "factor", "455 times"),
        (Never(20000.0), "epoch", "not reached by 20,000"),
    ],
)
def test_values_are_shown_in_their_unit(value, unit, text):
    assert show(value, unit) == text


def test_moves_along_the_radius_count_from_the_fitted_network_on(tmp_path):
    # Before it is fitted the path goes inwards; then twice at 60 degrees, once outwards.
    steps, root = [0, 100, 200, 300, 400, 500], 3**0.5
    write_path(
        tmp_path, ADD_SGD_PATH.name, steps, [9, 5, 0, 1, 2, 4], [0, 0, 0, root, 2 * root, 2 * root]
    )
    table = pandas.DataFrame({"epoch": [0, 200], "train_accuracy": [0.5, 1.0]})
    table.attrs["folder"] = tmp_path
    assert along_radius(ADD_SGD_PATH).of({ADD_SGD_PATH: table}) == pytest.approx(0.5)
    table["train_accuracy"] = 0.9
    assert along_radius(ADD_SGD_PATH).of({ADD_SGD_PATH: table}) == Never(by=200)
    (tmp_path / runs.PATHS).unlink()
    with pytest.raises(NotMeasured, match="--figures 7 makes it"):
        along_radius(ADD_SGD_PATH).of({ADD_SGD_PATH: table})


def test_delay_that_did_not_end_is_known_only_from_its_own_beginning(tmp_path):
    def table(train, test):
        return pandas.DataFrame(
            {
                "step": [0, 100, 900, 1000],
                "epoch": [0, 100, 900, 1000],
                "train_accuracy": train,
                "test_accuracy": test,
            }
        )

    ended = delay("a", 0.95).of({"a": table([0, 1, 1, 1], [0, 0, 1, 1])})
    late = delay("a", 0.95).of({"a": table([0, 0, 1, 1], [0, 0, 0, 0])})
    never = delay("a", 0.95).of({"a": table([0, 0, 0, 0], [0, 0, 0, 0])})
    assert ended == 800
    assert late == Never(by=100) and never == Never(by=0)
    assert str(never) == "training accuracy not reached by 1,000"


def test_rise_after_a_fall_is_not_a_stop(tmp_path):
    epochs = [0, 2000, 20000]
    table = pandas.DataFrame(
        {"step": epochs, "epoch": epochs, "test_accuracy": [0.0102, 0.005, 0.6],
         "softmax_collapse": [0.0, 0.6, 1.0]}
    )  # fmt: skip
    event = first("a", "softmax_collapse", 0.5)
    value = rate_after("a", "test_accuracy", event).of({"a": table})
    assert value != value  # undefined, so it fails every bound
