"""What the related grokking systems measure of a run: delay, outcome, best accuracy, dimension.

Pure functions of one metrics.csv as a table; related/quantities.py makes of them what claims need.
Accuracies are 0 to 1, times are steps (optimizer updates) unless epochs are asked for. None means
"never": an event that a run did not reach within its budget. Needs no package.
"""

from __future__ import annotations

import math
import statistics
from bisect import bisect_left
from collections.abc import Iterable
from itertools import accumulate
from typing import TYPE_CHECKING, NamedTuple

from experiment.quantity import TEST, TRAIN

if TYPE_CHECKING:
    import numpy
    import pandas

THRESHOLD = 0.95  # accuracy that counts as learned, of 002
GROKKED = 0.99  # of 001 and of Power et al.
BAND = (100, 800)  # training-set size over batch size, in which 002 finds short delays
FALL = 0.1  # share of its maximum by which the dimension has dropped
RISE = 0.1  # share of the way from plateau to best test accuracy that has been risen
GENERALIZED = 0.1  # gain of test accuracy over the plateau below which nothing has risen
OUTCOMES = ("confusion", "memorisation", "grokking", "comprehension")


def first_row(table: pandas.DataFrame, column: str, level: float) -> pandas.Series | None:
    """The first row in which a column is at `level` or above it; None: never."""
    hits = (table[column].to_numpy() >= level).nonzero()[0]
    return table.iloc[hits[0]] if len(hits) else None


class Delay(NamedTuple):
    """First steps and epochs with training and test accuracy at a level; None: never.

    The test accuracy may get there first: the delay is then negative.
    """

    train_step: float | None
    test_step: float | None
    train_epoch: float | None
    test_epoch: float | None

    @property
    def steps(self) -> float | None:
        """Updates from the first to the second; None where either was missed."""
        missed = self.train_step is None or self.test_step is None
        return None if missed else self.test_step - self.train_step

    @property
    def epochs(self) -> float | None:
        """Passes over the training set, of the same two rows as `steps`."""
        missed = self.train_epoch is None or self.test_epoch is None
        return None if missed else self.test_epoch - self.train_epoch


def grokking_delay(
    table: pandas.DataFrame, threshold: float = THRESHOLD, *, relative=False, least: float = 0.5
) -> Delay:
    """From the first row with training accuracy >= threshold to the first with test accuracy.

    Args:
        table: columns step, epoch, train_accuracy, test_accuracy.
        threshold: accuracy, 0 to 1.
        relative: of each accuracy's best value in this run instead, for tasks such as MNIST on
            1,000 images, which never reach 95 %.
        least: with `relative`, an accuracy whose best value is below this was never learned, and
            its time is None: 95 % of chance is no generalization.

    Source: 002, `grokking/step_delay` and `epoch_delay`; both units are of one pair of rows here.
    """
    found = []
    for column in (TRAIN, TEST):
        best = float(table[column].max()) if relative else 1.0
        learned = not relative or best >= least
        found.append(first_row(table, column, threshold * best) if learned else None)
    values = [None if row is None else float(row[c]) for c in ("step", "epoch") for row in found]
    return Delay(*values)


def outcome(
    table: pandas.DataFrame,
    *,
    short: float | None = None,
    threshold: float = THRESHOLD,
    relative: bool = False,
) -> str:
    """The class of a run: confusion, memorisation, grokking or comprehension.

    Args:
        table: as in grokking_delay.
        short: the longest delay in steps that is comprehension. None: the steps that it took to
            fit the training set; 002 names none.
        threshold: accuracy, 0 to 1.
        relative: as in grokking_delay.

    Returns:
        confusion where training accuracy stays below the threshold, memorisation where only test
        accuracy does, else comprehension or grokking, by the length of the delay.
    """
    delay = grokking_delay(table, threshold, relative=relative)
    if delay.train_step is None:
        return OUTCOMES[0]
    if delay.test_step is None:
        return OUTCOMES[1]
    short = delay.train_step if short is None else short
    return OUTCOMES[2] if delay.steps > short else OUTCOMES[3]


def best_within(
    table: pandas.DataFrame, column: str = TEST, *, steps=math.inf, epochs=math.inf
) -> float:
    """The largest value of a column within a budget of steps and of epochs, both included."""
    rows = table[(table["step"] <= steps) & (table["epoch"] <= epochs)]
    return float(rows[column].max())


def steps_to(table: pandas.DataFrame, level: float = GROKKED, column: str = TEST) -> float | None:
    """The first step with a column at `level` or above it; None: never."""
    row = first_row(table, column, level)
    return None if row is None else float(row["step"])


def median_time(times: Iterable[float | None]) -> float:
    """The median of times, of which None, never, is later than all; inf: never."""
    return statistics.median(math.inf if time is None else time for time in times)


def frequencies_holding(shares, level: float = 0.9) -> int:
    """The least number of frequencies that together hold `level` (0 to 1) of the power."""
    held = list(accumulate(sorted(map(float, shares), reverse=True)))
    return bisect_left(held, level * held[-1] * (1 - 1e-12)) + 1


# ---------------------------------------------------------------------------------- dimension


def _half_rise(accuracy: numpy.ndarray) -> tuple[int, float]:
    """(position of the half rise, plateau) of the test accuracies of a run or of its end."""
    half = (accuracy >= (accuracy[0] + accuracy.max()) / 2).nonzero()[0][0]
    return half, float(statistics.median(accuracy[:half])) if half else float(accuracy[0])


def _fitted(table: pandas.DataFrame, fit: float) -> pandas.DataFrame:
    """The rows from the first one with training accuracy >= fit on; none: never."""
    return table[(table[TRAIN] >= fit).cummax()]


def plateau(table: pandas.DataFrame, *, fit: float = THRESHOLD) -> float | None:
    """The test accuracy at which a run waits between fitting and generalizing; None: not fitted.

    Chance is not it: a random split of a commutative operation gives away the mirror image of about
    the trained share of pairs. With F the first row with training accuracy >= fit, B the best test
    accuracy from F on, and H the first row from F on with test accuracy >= (accuracy in F + B) / 2,
    it is the median over the rows from F up to H, H left out; the accuracy in F where H is F.
    """
    rows = _fitted(table, fit)
    return _half_rise(rows[TEST].to_numpy())[1] if len(rows) else None


def rise(table: pandas.DataFrame, share: float = RISE, *, fit: float = THRESHOLD) -> float | None:
    """The step at which test accuracy begins to rise above its plateau before grokking.

    With F, B, H and the plateau A as in `plateau`, and L the first row from H on with test accuracy
    >= A + share * (B - A), it is the row after the last one between F and L that is below this, so
    that a passing peak on the plateau is none. A run that has generalized when it is fitted (B >=
    fit and B - A < GENERALIZED) never waited: there F is its row 0.

    Args:
        table: columns step, train_accuracy, test_accuracy.
        share: 0 to 1; 0.5 is halfway.
        fit: training accuracy from which on the run waits on its plateau.

    Returns:
        The step; None where the training set was never fitted, or where test accuracy gained less
        than GENERALIZED over the plateau and stays below `fit`, as in runs that never grok.
    """
    for rows in (_fitted(table, fit), table):
        if not len(rows):
            return None
        accuracy = rows[TEST].to_numpy()
        best = accuracy.max()
        half, low = _half_rise(accuracy)
        if best - low >= GENERALIZED:
            risen = accuracy >= low + share * (best - low)
            late = half + risen[half:].nonzero()[0][0]
            before = (~risen[:late]).nonzero()[0]
            return float(rows["step"].iloc[before[-1] + 1 if len(before) else 0])
        if best < fit:
            return None
    return None  # the test set was right from the start


def dimension_column(table: pandas.DataFrame) -> str | None:
    """dimension_train where it was measured, else dimension_test, else None."""
    for column in ("dimension_train", "dimension_test"):
        if column in table and table[column].notna().any():
            return column
    return None


def learned_dimension(table: pandas.DataFrame, *, fit: float = THRESHOLD) -> pandas.Series | None:
    """The mean local dimension of what is learned, by step; None: not measured.

    The random network has a dimension of its own, which may be the largest of the run and is gone
    after a few hundred updates. So the series begins with the smallest measurement before training
    accuracy is at `fit`, or of the whole run where it never is.
    """
    column = dimension_column(table)
    if column is None:
        return None
    series = table.set_index("step")[column].dropna()
    fitted = first_row(table, TRAIN, fit)
    before = series if fitted is None else series[series.index <= fitted["step"]]
    return series.loc[before.idxmin() :] if len(before) else series


def dimension_peak(table: pandas.DataFrame) -> float | None:
    """The step of the largest `learned_dimension`, the first of equals; None: not measured."""
    series = learned_dimension(table)
    return None if series is None else float(series.idxmax())


def dimension_drop(table: pandas.DataFrame, fall: float = FALL) -> float | None:
    """The first step after the peak with `learned_dimension` <= (1 - fall) * peak.

    None where it was not measured or never fell so far.
    """
    series = learned_dimension(table)
    if series is None:
        return None
    after = series[series.index > series.idxmax()]
    fallen = after.index[after <= (1 - fall) * series.max()]
    return float(fallen[0]) if len(fallen) else None


class Lead(NamedTuple):
    """Steps of the drop of the dimension and of the rise of test accuracy, None: not by `end`.

    `interval` is the median distance of two measurements of the dimension: a lead that is shorter
    has no sign.
    """

    drop: float | None
    rise: float | None
    end: float
    interval: float

    @property
    def steps(self) -> float | None:
        """rise - drop: positive where the dimension leads; None where either did not happen."""
        return None if self.drop is None or self.rise is None else self.rise - self.drop


def dimension_lead(
    table: pandas.DataFrame, *, fall: float | None = FALL, share: float = RISE
) -> Lead:
    """By how much the drop of the dimension leads the rise of test accuracy.

    Args:
        table: columns step, train_accuracy, test_accuracy, dimension_train or dimension_test.
        fall: as in dimension_drop; None: the step of the maximum, where the fall begins.
        share: as in rise.

    Source: 004 ("predicted", later "detected"); no definition was published, these are ours.
    """
    drop = dimension_peak(table) if fall is None else dimension_drop(table, fall)
    column = dimension_column(table)
    steps = table["step"][table[column].notna()] if column else table["step"]
    interval = float(steps.diff().median()) if len(steps) > 1 else math.nan
    return Lead(drop, rise(table, share), float(table["step"].iloc[-1]), interval)
