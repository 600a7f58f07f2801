"""What claims about the related systems measure: quantities over experiment.outcomes, in steps."""

import math
import statistics
from pathlib import Path

from configuration import runs
from experiment.claim import Bound, between
from experiment.figure import Run
from experiment.outcomes import (
    FALL,
    RISE,
    THRESHOLD,
    best_within,
    dimension_drop,
    dimension_lead,
    grokking_delay,
    learned_dimension,
    plateau,
    rise,
    steps_to,
)
from experiment.quantity import Never, NotMeasured, Quantity, name, show


def near(low: float, high: float | None = None) -> Bound:
    """Within a factor of 2 of a published number or range."""
    return between(low / 2, 2 * (high or low))


def span(low: int, high: int) -> str:
    """A published range in words."""
    return f"{low:,} to {high:,}"


def _last(table, column="step") -> float:
    return float(table[column].iloc[-1])


def _percent(level: float) -> str:
    return show(level, "percent")


def step_of(run: Run, column: str, level: float) -> Quantity:
    """The first step with a column at `level` or above it."""

    def of(tables):
        step = steps_to(tables[run], level, column)
        return Never(_last(tables[run])) if step is None else step

    words = f"first step with {name(column)} ≥ {_percent(level)}"
    return Quantity(words, "step", (run,), of)


def delay_of(
    run: Run, threshold: float = THRESHOLD, *, unit: str = "step", relative=False
) -> Quantity:
    """The grokking delay in steps or epochs ("step", "epoch").

    Never where test accuracy did not follow: longer than the rest of the run.
    """

    def of(tables):
        delay = grokking_delay(tables[run], threshold, relative=relative)
        start, value = (
            (delay.train_step, delay.steps) if unit == "step" else (delay.train_epoch, delay.epochs)
        )
        if start is None:
            return Never(by=0.0, unfitted=_last(tables[run], unit))
        return Never(by=_last(tables[run], unit) - start) if value is None else value

    level = f"{_percent(threshold)}{' of the best' if relative else ''}"
    return Quantity(f"{unit}s from {level} train accuracy to {level} test", unit, (run,), of)


def best(run: Run, *, steps=math.inf, epochs=math.inf) -> Quantity:
    """The best test accuracy within a budget."""
    limits = [f"{n:,.10g} {u}" for n, u in ((steps, "steps"), (epochs, "epochs")) if n < math.inf]
    words = f"best test accuracy{' within ' if limits else ''}{' and '.join(limits)}"
    return Quantity(
        words, "percent", (run,), lambda t: best_within(t[run], steps=steps, epochs=epochs)
    )


def step_of_largest(run: Run, column: str, words: str = "") -> Quantity:
    """The step of the largest value of a column, the first of equals."""

    def of(tables):
        table = tables[run]
        return float(table["step"][table[column].idxmax()])

    return Quantity(words or f"step of the largest {name(column)}", "step", (run,), of)


def rise_of(run: Run, share: float = RISE) -> Quantity:
    """The step at which test accuracy has risen above its plateau; see rise."""

    def of(tables):
        step = rise(tables[run], share)
        return Never(_last(tables[run])) if step is None else step

    words = f"step with test accuracy {_percent(share)} of the way from its plateau to its best"
    return Quantity(words, "step", (run,), of)


def plateau_of(run: Run) -> Quantity:
    """The test accuracy at which a run waits before it generalizes; see plateau."""

    def of(tables):
        value = plateau(tables[run])
        return Never(_last(tables[run])) if value is None else value

    words = "test accuracy on the plateau before it rises"
    return Quantity(words, "percent", (run,), of)


def lead_of(run: Run, *, fall: float | None = FALL, share: float = RISE) -> Quantity:
    """Steps by which the drop of the dimension leads the rise of test accuracy."""

    def of(tables):
        lead = dimension_lead(tables[run], fall=fall, share=share)
        return Never(lead.end) if lead.steps is None else lead.steps

    drop = "the maximum" if fall is None else f"a fall by {_percent(fall)}"
    words = f"steps from {drop} of the dimension to the rise of test accuracy"
    return Quantity(words, "number", (run,), of)


def drop_of(run: Run, fall: float = FALL) -> Quantity:
    """The step at which the dimension has fallen from its maximum; see dimension_drop."""

    def of(tables):
        step = dimension_drop(tables[run], fall)
        return Never(_last(tables[run])) if step is None else step

    words = f"first step with the dimension {_percent(fall)} below its maximum"
    return Quantity(words, "step", (run,), of)


def agreement(words: str, *pairs: tuple[Quantity, Quantity]) -> Quantity:
    """The share of pairs of events of which both happened or neither did."""

    def of(tables):
        same = [len({isinstance(q.of(tables), Never) for q in pair}) == 1 for pair in pairs]
        return sum(same) / len(same)

    names = tuple(dict.fromkeys(r for pair in pairs for q in pair for r in q.runs))
    return Quantity(words, "percent", names, of)


def fall_of(run: Run) -> Quantity:
    """The share of its maximum by which the dimension has fallen when the run ends."""

    def of(tables):
        series = learned_dimension(tables[run])
        return math.nan if series is None else float(1 - series.iloc[-1] / series.max())

    return Quantity("fall of the dimension from its maximum to the end", "percent", (run,), of)


def midway(words: str, *times: Quantity) -> Quantity:
    """The median of several times, never counted as later than all; Never where it is one."""

    def of(tables):
        values = [q.of(tables) for q in times]
        missed = [v for v in values if isinstance(v, Never)]
        median = statistics.median(math.inf if isinstance(v, Never) else v for v in values)
        return max(missed, key=lambda v: v.by) if median == math.inf else float(median)

    names = tuple(dict.fromkeys(r for q in times for r in q.runs))
    return Quantity(words, times[0].unit, names, of)


def surface_range(run: Run, column: str = "train_loss", normalisation: str = "tensor") -> Quantity:
    """Largest minus smallest value of a column over the grid of a loss surface beside the run."""

    def of(tables):
        file = runs.SURFACES[normalisation]
        import pandas

        folder = Path(tables[run].attrs["folder"])
        if not runs.has_derived(folder, file):
            make = "python plots.py --figures landscape, with the run's --size, makes it"
            raise NotMeasured(f"{run.name} has no {file}; {make}")
        values = pandas.read_csv(folder / file)[column]
        return float(values.max() - values.min())

    kind = {"tensor": "per-tensor", "filter": "filter-normalised"}[normalisation]
    return Quantity(f"range of the {name(column)} over the {kind} surface", "number", (run,), of)
