"""Figure 3: s(x) against exp(x), computed; no run is needed."""

from experiment.claim import Claim, Within, between
from experiment.figure import Figure, Panel
from experiment.quantity import Quantity, combine


def draw(axes, lines, end) -> list:
    """s(x) = x + 1 for x >= 0, else 1 / (1 - x), against exp(x) (Def. 4)."""
    import numpy
    from matplotlib.lines import Line2D

    (top,) = axes
    x = numpy.linspace(-4, 4, 801)  # 0 is one of them: both curves pass through (0, 1)
    top.plot(x, numpy.where(x >= 0, x + 1, 1 / (1 + numpy.abs(x))), label="s(x)")
    top.plot(x, numpy.exp(x), label="exp(x)")
    top.set(xlim=(-4, 4), ylim=(0, 6), xlabel="x", ylabel="y")
    words = "published picture: the curves of −4 to 5, squeezed into −4 to 4"
    shift = Line2D([], [], linestyle="none", label=words)
    return [*top.get_lines(), shift]


def drawn(label: str, x: float) -> Quantity:
    """The height of a drawn curve at x."""

    def of(_):
        import numpy
        from matplotlib.figure import Figure as Canvas

        lines = {line.get_label(): line for line in draw([Canvas().subplots()], [], None)}
        return float(numpy.interp(x, *lines[label].get_data()))

    return Quantity(f"{label} drawn at x = {x:g}", "number", (), of)


def drawn_slope(label: str, x: float, width: float) -> Quantity:
    """The slope of a drawn curve between x and x + width (either sign)."""
    words = f"slope of the drawn {label} between {x:g} and {x + width:g}"
    ends = drawn(label, x), drawn(label, x + width)
    return combine(words, "number", lambda y, z: (z - y) / width, *ends)


CLAIMS = (
    Claim(
        panel="3",
        words="s(x) and exp(x) touch at x = 0: equal value and slope, from both sides",
        paper="s(0) = 1, slope 1 (the published picture, squeezed, shows 1.5 and 1.65)",
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
    panels=(
        Panel(id="3", title="Definition 4: s(x) = x + 1 for x ≥ 0, else 1 / (1 − x)", kind=draw),
    ),
    checks=CLAIMS,
)
