"""Figure 3: s(x) against exp(x), computed; no run is needed."""

import functools

from experiment.claim import Claim, Within, between
from experiment.figure import Figure, Panel
from experiment.quantity import Quantity, combine


@functools.cache
def _drawn(kind: str) -> dict:
    """{label: (x, y)} of the curves of a panel that needs no runs, as they are drawn."""
    from matplotlib.figure import Figure  # only figure 3 needs the plots

    from plotting import panels

    axes = Figure().subplots()
    panels.KINDS[kind][0]([axes], [], None)
    return {line.get_label(): line.get_data() for line in axes.lines}


def drawn(label: str, x: float, kind: str = "stablemax_function") -> Quantity:
    """The height of a drawn curve at x."""

    def of(_):
        import numpy

        xs, ys = _drawn(kind)[label]
        return float(numpy.interp(x, xs, ys))

    return Quantity(f"{label} drawn at x = {x:g}", "number", (), of)


def drawn_slope(label: str, x: float, width: float, kind: str = "stablemax_function") -> Quantity:
    """The slope of a drawn curve between x and x + width (either sign)."""
    a, b = drawn(label, x, kind), drawn(label, x + width, kind)
    words = f"slope of the drawn {label} between {x:g} and {x + width:g}"
    return combine(words, "number", lambda y, z: (z - y) / width, a, b)


CLAIMS = (
    Claim(
        panel="3",
        words="s(x) and exp(x) touch at x = 0: equal value and slope, from both sides",
        paper="s(0) = 1, slope 1 (the published picture is shifted and shows 1.45 and 1.58)",
        source="Def. 4",
        checks=(
            Within(drawn("s(x)", 0), between(0.999, 1.001), "s"),
            Within(drawn("exp(x)", 0), between(0.999, 1.001), "exp"),
            Within(drawn_slope("s(x)", 0, 0.01), between(0.98, 1.02), "right"),
            Within(drawn_slope("s(x)", 0, -0.01), between(0.98, 1.02), "left"),
        ),
    ),
    Claim(
        panel="3",
        words="s grows linearly where exp explodes, and falls as 1 / (1 - x) where exp vanishes",
        paper="s(4) = 5 against 54.6, s(-4) = 0.2 against 0.0183",
        source="Def. 4",
        checks=(
            Within(drawn("s(x)", 4), between(4.99, 5.01), "s(4)"),
            Within(drawn("exp(x)", 4), between(54.5, 54.7), "exp(4)"),
            Within(drawn("s(x)", -4), between(0.199, 0.201), "s(-4)"),
            Within(drawn("exp(x)", -4), between(0.0182, 0.0184), "exp(-4)"),
        ),
    ),
)

FIGURE = Figure(
    id="3",
    title="s(x) against exp(x)",
    claim="s(x) grows linearly where exp(x) explodes and falls as 1/(1-x) where exp(x) vanishes.",
    panels=(Panel(id="3", title="s(x) and exp(x)", kind="stablemax_function"),),
    checks=CLAIMS,
)
