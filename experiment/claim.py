"""A claim and its checks: what is measured, and the bound it is held to. Needs no package.

A value that was never reached fails every bound.
"""

import math
import re
import statistics
from collections.abc import Mapping
from dataclasses import dataclass

from experiment.figure import Run, check_size
from experiment.quantity import TIMES, Never, Quantity, show

PICTURE, TEXT = "read off the published picture", "the text"  # words of sources


@dataclass(frozen=True)
class Bound:
    """An interval; each end is included unless it is said to be open."""

    low: float = -math.inf
    high: float = math.inf
    open: bool = False

    def __post_init__(self):
        if math.isinf(self.low) and math.isinf(self.high) or not self.low <= self.high:
            raise ValueError(f"bound {self.low} to {self.high} holds nothing or all; give a limit")

    def holds(self, value: float | Never) -> bool:
        if isinstance(value, Never) or not math.isfinite(value):
            return False
        if self.open:
            return self.low < value < self.high
        return self.low <= value <= self.high

    def text(self, unit: str) -> str:
        if math.isinf(self.low):
            return f"{'below' if self.open else 'at most'} {show(self.high, unit)}"
        if math.isinf(self.high):
            return f"{'above' if self.open else 'at least'} {show(self.low, unit)}"
        return f"{show(self.low, unit)} to {show(self.high, unit)}"


def at_most(high: float) -> Bound:
    return Bound(high=high)


def at_least(low: float) -> Bound:
    return Bound(low=low)


def below(high: float) -> Bound:
    return Bound(high=high, open=True)


def above(low: float) -> Bound:
    return Bound(low=low, open=True)


def between(low: float, high: float) -> Bound:
    return Bound(low, high)


@dataclass(frozen=True)
class Within:
    """A quantity and the bound that it is held to; `label` tells the checks of a claim apart."""

    quantity: Quantity
    bound: Bound
    label: str = ""

    @property
    def quantities(self):
        return (self.quantity,)

    @property
    def subject(self) -> str:
        return self.quantity.words

    @property
    def limit(self) -> str:
        return self.bound.text(self.quantity.unit)

    def holds(self, values) -> bool:
        return self.bound.holds(values[0])

    def measured(self, seeds) -> str:
        """seeds: for each seed the values of the quantities."""
        text = spread([values[0] for values in seeds], self.quantity.unit)
        return f"{self.label} {text}" if self.label else text


@dataclass(frozen=True)
class Less:
    """One quantity below another (`equal`: or equal to it). Both are (label, quantity).

    A right side that was never reached counts as later than a left side within the same span; a
    left side that was never reached shows nothing.
    """

    left: tuple[str, Quantity]
    right: tuple[str, Quantity]
    equal: bool = False

    @property
    def quantities(self):
        return self.left[1], self.right[1]

    @property
    def sign(self) -> str:
        return "≤" if self.equal else "<"

    label = ""

    @property
    def subject(self) -> str:
        return "; ".join(dict.fromkeys(q.words for q in self.quantities))

    @property
    def limit(self) -> str:
        return f"{self.left[0]} {self.sign} {self.right[0]}"

    def holds(self, values) -> bool:
        a, b = values
        if isinstance(a, Never) or not math.isfinite(a):
            return False
        if isinstance(b, Never):  # later than b.by, whenever it may come
            # by = 0: the time that would be compared never began; nothing is known of it.
            return self.right[1].unit in TIMES and b.by > 0 and a <= b.by
        return a <= b if self.equal else a < b

    def measured(self, seeds) -> str:
        sides = zip((self.left, self.right), zip(*seeds, strict=True), strict=True)
        texts = [f"{label} {spread(values, q.unit)}" for (label, q), values in sides]
        return f" {self.sign} ".join(texts)


def rising(quantities: Mapping[str, Quantity], equal=False) -> tuple[Less, ...]:
    """One check for each pair of neighbours: {"float16": a, "float32": b} means a < b."""
    items = list(quantities.items())
    return tuple(Less(a, b, equal) for a, b in zip(items, items[1:], strict=False))


def spread(values, unit: str) -> str:
    """The values of several seeds: the range with the median, and how many never got there."""
    never = [v for v in values if isinstance(v, Never)]
    undefined = [v for v in values if not isinstance(v, Never) and not math.isfinite(v)]
    reached = sorted(v for v in values if not isinstance(v, Never) and math.isfinite(v))
    parts = []
    if reached:
        low, high = show(reached[0], unit), show(reached[-1], unit)
        text = low if low == high else f"{low} to {high}"
        if len(reached) > 2 and low != high:
            text += f" (median {show(statistics.median(reached), unit)})"
        parts.append(text)
    missing = {"undefined": len(undefined)}
    for what in dict.fromkeys(v.what for v in never):
        lasts = sorted(v.last for v in never if v.what == what)
        ends = " to ".join(f"{last:,.0f}" for last in dict.fromkeys((lasts[0], lasts[-1])))
        missing[f"{what} by {ends}"] = len(lasts)
    for text, count in missing.items():
        if count:
            counted = f"{text} on {count} of {len(values)} seeds"
            parts.append(counted if len(values) > 1 else text)
    return ", ".join(parts)


@dataclass(frozen=True, kw_only=True)
class Claim:
    """What the paper says in one panel, in words and in machine form.

    Attributes:
        panel: such as "1a"; of a figure as a whole its id.
        words: the claim, without our numbers.
        paper: the paper's own numbers, in words.
        source: where they come from, such as "paper, Fig. 1a, read off the published picture".
        checks: what is measured and what it is held to.
        seeds: only these; None: every seed that has complete runs.
        size: of the runs it is held against; "full", "cpu" or "quick".
        remark: of one that fails, what was tried and what that says, in two sentences.
    """

    panel: str
    words: str
    paper: str
    source: str
    checks: tuple[Within | Less, ...]
    seeds: tuple[int, ...] | None = None
    size: str = "full"
    remark: str = ""

    def __post_init__(self):
        check_size(self.size)

    @property
    def figure(self) -> str:
        """The figure's id: "4" of "4 left" and "4a", "delay-map" of "delay-map steps"."""
        return re.match(r"\d+|[\w-]+", self.panel)[0]

    @property
    def held_to(self) -> str:
        """What is measured and its bounds, in words; what several checks share is said once."""
        said = []
        for subject in dict.fromkeys(c.subject for c in self.checks):
            checks = [c for c in self.checks if c.subject == subject]
            if len({c.limit for c in checks}) == 1:
                said.append(f"{subject}: {checks[0].limit}")
            else:
                limits = (f"{c.label} {c.limit}" if c.label else c.limit for c in checks)
                said.append(f"{subject}: {', '.join(limits)}")
        return "; ".join(said)

    @property
    def runs(self) -> tuple[Run, ...]:
        """All runs it speaks of, each once."""
        return tuple(dict.fromkeys(r for c in self.checks for q in c.quantities for r in q.runs))
