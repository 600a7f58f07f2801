"""What a claim measures: small pure functions of the metrics of runs, one value per seed.

A `Quantity` maps {run: metrics.csv as a table} to a number, or to `Never` where the event it asks
for did not happen. The functions below make quantities; `minus` and `over` combine them. The words
of a quantity are made with it, so that what is printed is what is computed. Needs no package.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from experiment.figure import Run

if TYPE_CHECKING:
    import pandas

# Columns of metrics.csv that hold fractions and are shown in percent; all others are plain numbers.
FRACTIONS = ("train_accuracy", "test_accuracy", "softmax_collapse", "softmax_collapse_label")
FRACTIONS += ("zero_terms", "update_absorbed", "zero_gradients", "train_top5", "test_top5")
TIMES = ("epoch", "step")  # units of events
TEST, TRAIN, COLLAPSE, NORM = "test_accuracy", "train_accuracy", "softmax_collapse", "weight_norm"


@dataclass(frozen=True)
class Never:
    """An event that did not happen in a run; `by` is the run's last epoch (step, for steps).

    A delay that has not begun has `by` 0, as nothing is known of its length, and in `unfitted` the
    last epoch of a run that did not come to the training accuracy with which it begins.
    """

    by: float
    unfitted: float | None = field(default=None, compare=False)

    @property
    def what(self) -> str:
        return "not reached" if self.unfitted is None else "training accuracy not reached"

    @property
    def last(self) -> float:
        """The last epoch (step) of which something is known."""
        return self.by if self.unfitted is None else self.unfitted

    def __str__(self):
        return f"{self.what} by {self.last:,.0f}"


@dataclass(frozen=True)
class Quantity:
    """One number per seed.

    Attributes:
        words: what is measured, such as "first epoch with test accuracy ≥ 95 %".
        unit: "epoch", "step", "percent" (of a fraction), "points" (a difference of fractions),
            "number" or "factor".
        runs: those it is computed from; none for what is not a matter of runs.
        of: {run: table} -> number or Never.
    """

    words: str
    unit: str
    runs: tuple[Run, ...]
    of: Callable[[Mapping[str, pandas.DataFrame]], float | Never]


class NotMeasured(Exception):
    """A file that is made beside a complete run is not there yet; the message says how."""


When = float | Quantity  # an epoch, or a quantity that is one


def show(value: float | Never, unit: str) -> str:
    """A value with its unit; fractions in percent to two decimals: one example in 12,769 shows."""
    if isinstance(value, Never):
        return str(value)
    if not math.isfinite(value):
        return "undefined"
    if unit in TIMES:
        return f"{value:,.10g}" if value == int(value) else f"{value:,.1f}"
    if unit in ("percent", "points"):
        number = f"{100 * value:.2f}".rstrip("0").rstrip(".")
        return f"{'0' if number == '-0' else number} {'%' if unit == 'percent' else 'points'}"
    number = f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
    return f"{number} times" if unit == "factor" else number


def name(column: str) -> str:
    """A column in words: weight_norm/fc1.weight -> "weight norm of fc1.weight"."""
    column, _, part = column.partition("/")
    words = column.replace("_", " ").replace("nlm cosine", "cosine of -gradient and weights")
    return f"{words} of {part}" if part else words


def _unit(column: str) -> str:
    return "percent" if column.partition("/")[0] in FRACTIONS else "number"


def _epoch_words(when: When) -> str:
    if isinstance(when, Quantity):
        return f"the {when.words}"
    return "the end" if when == math.inf else f"epoch {when:,.10g}"


def _span_words(since: When, until: When) -> str:
    from_start = not isinstance(since, Quantity) and since <= 0
    to_end = not isinstance(until, Quantity) and until == math.inf
    start = "" if from_start else f" from {_epoch_words(since)}"
    return start + ("" if to_end else f" up to {_epoch_words(until)}")


def _resolve(when: When, tables) -> float | Never:
    return when.of(tables) if isinstance(when, Quantity) else when


def _span(run, tables, since: When, until: When) -> pandas.DataFrame | Never:
    """The rows between two epochs, both included; Never where a border or every row is missing."""
    table = tables[run]
    borders = _resolve(since, tables), _resolve(until, tables)
    for border in borders:
        if isinstance(border, Never):
            return border
    epochs = table["epoch"].to_numpy()
    inside = (epochs >= borders[0]) & (epochs <= borders[1])
    rows = table if inside.all() else table[inside]
    return rows if len(rows) else Never(float(table["epoch"].iloc[-1]))


# ---------------------------------------------------------------------------------- quantities


def first(run: Run, column: str, level: float, *, since: When = 0.0, falls=False) -> Quantity:
    """The first logged epoch, from `since` on, at which a column is at `level` or above it.

    Args:
        column: of metrics.csv.
        level: in the unit of the column (accuracies 0 to 1).
        falls: at `level` or below it instead.
    """

    def of(tables):
        rows = _span(run, tables, since, math.inf)
        if isinstance(rows, Never):
            return rows
        values = rows[column].to_numpy()
        hits = rows["epoch"].to_numpy()[values <= level if falls else values >= level]
        return float(hits[0]) if len(hits) else Never(float(tables[run]["epoch"].iloc[-1]))

    bound = f"{'≤' if falls else '≥'} {show(level, _unit(column))}"
    words = f"first epoch with {name(column)} {bound}{_span_words(since, math.inf)}"
    return Quantity(words, "epoch", (run,), of)


def fitted(run: Run) -> Quantity:
    """The first logged epoch at which every training example is classified correctly."""
    return first(run, TRAIN, 1.0)


def at(run: Run, column: str, when: When = math.inf) -> Quantity:
    """A column in the last row up to an epoch; Never where the run ended before that epoch."""

    def of(tables):
        table, epoch = tables[run], _resolve(when, tables)
        if isinstance(epoch, Never):
            return epoch
        epochs = table["epoch"].to_numpy()
        if epochs[-1] < epoch < math.inf:
            return Never(float(epochs[-1]))
        return float(table[column].to_numpy()[epochs <= epoch][-1])

    return Quantity(f"{name(column)} at {_epoch_words(when)}", _unit(column), (run,), of)


def largest(run: Run, column: str, *, since: When = 0.0, until: When = math.inf) -> Quantity:
    """The largest value of a column between two epochs, both included."""
    return _extreme(run, column, since, until, "largest", "max")


def smallest(run: Run, column: str, *, since: When = 0.0, until: When = math.inf) -> Quantity:
    """The smallest value of a column between two epochs, both included."""
    return _extreme(run, column, since, until, "smallest", "min")


def _extreme(run, column, since, until, word, method):
    def of(tables):
        rows = _span(run, tables, since, until)
        return (
            rows if isinstance(rows, Never) else float(getattr(rows[column].to_numpy(), method)())
        )

    words = f"{word} {name(column)}{_span_words(since, until)}"
    return Quantity(words, _unit(column), (run,), of)


def epoch_of_largest(run: Run, column: str, *, until: When = math.inf) -> Quantity:
    """The epoch of the largest value of a column, the first of several."""

    def of(tables):
        rows = _span(run, tables, 0.0, until)
        if isinstance(rows, Never):
            return rows
        return float(rows["epoch"].iloc[int(rows[column].to_numpy().argmax())])

    words = f"epoch of the largest {name(column)}{_span_words(0.0, until)}"
    return Quantity(words, "epoch", (run,), of)


def largest_gap(run: Run, above: str, below: str, *, until: When = math.inf) -> Quantity:
    """The largest value of one column minus another in the same row, up to an epoch."""

    def of(tables):
        rows = _span(run, tables, 0.0, until)
        return rows if isinstance(rows, Never) else float((rows[above] - rows[below]).max())

    words = f"largest {name(above)} minus {name(below)}{_span_words(0.0, until)}"
    return Quantity(words, "points" if _unit(above) == "percent" else "number", (run,), of)


def combine(
    words: str, unit: str, function: Callable[..., float], *quantities: Quantity
) -> Quantity:
    """A function of quantities; Never as soon as one of them is."""

    def of(tables):
        values = [q.of(tables) for q in quantities]
        missing = [v for v in values if isinstance(v, Never)]
        return missing[0] if missing else float(function(*values))

    names = tuple(dict.fromkeys(r for q in quantities for r in q.runs))
    return Quantity(words, unit, names, of)


def earliest(words: str, *quantities: Quantity) -> Quantity:
    """The smallest of several epochs; Never where none of them was reached."""

    def of(tables):
        values = [q.of(tables) for q in quantities]
        reached = [v for v in values if not isinstance(v, Never)]
        return min(reached) if reached else max(values, key=lambda v: v.by)

    names = tuple(dict.fromkeys(r for q in quantities for r in q.runs))
    return Quantity(words, "epoch", names, of)


def minus(a: Quantity, b: Quantity, words: str = "") -> Quantity:
    """The difference of two quantities of one unit."""
    unit = "points" if a.unit == "percent" else a.unit
    return combine(words or f"{a.words} minus {b.words}", unit, lambda x, y: x - y, a, b)


def over(a: Quantity, b: Quantity, words: str = "") -> Quantity:
    """The ratio of two quantities; undefined where the second is 0."""

    def ratio(x, y):
        return x / y if y else math.nan

    return combine(words or f"{a.words} over {b.words}", "factor", ratio, a, b)


def delay(run: Run, level: float) -> Quantity:
    """Epochs between training and test accuracy reaching a level: the length of the grokking."""
    words = f"epochs from {show(level, 'percent')} train accuracy to {show(level, 'percent')} test"
    fitted, grokked = first(run, "train_accuracy", level), first(run, "test_accuracy", level)

    def of(tables):
        start, end = fitted.of(tables), grokked.of(tables)
        if isinstance(start, Never):
            return Never(by=0.0, unfitted=start.by)
        return Never(by=end.by - start) if isinstance(end, Never) else end - start

    return Quantity(words, "epoch", (run,), of)


def rate_after(run: Run, column: str, event: Quantity) -> Quantity:
    """Mean change of a column per epoch after an event, over that before it.

    1 where learning goes on as before, 0 where it stops, negative where the column falls. Undefined
    where it had not risen before the event: then there was nothing to stop.
    """

    def slowed(when, start, then, end, last):
        before, after = (then - start) / when, (end - then) / (last - when)
        return after / before if before > 0 else math.nan

    words = f"gain of {name(column)} per epoch after the {event.words}, over that before it"
    last = Quantity("last epoch", "epoch", (run,), lambda t: float(t[run]["epoch"].iloc[-1]))
    values = (event, at(run, column, 0), at(run, column, event), at(run, column), last)
    return combine(words, "factor", _divided(slowed), *values)


def _divided(function):
    """An event in the first or the last row leaves nothing to compare: undefined."""

    def safe(*values):
        try:
            return function(*values)
        except ZeroDivisionError:
            return math.nan

    return safe
