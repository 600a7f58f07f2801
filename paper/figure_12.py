"""Figure 12: Fourier spectrum of the weights.

Appendix C.2. The runs are those of other figures.
"""

from configuration import runs
from experiment.claim import Claim, Within, at_most
from experiment.figure import Curve, Figure, Panel, Run
from experiment.outcomes import frequencies_holding
from experiment.quantity import NotMeasured, Quantity, show
from paper.figure_1 import ADD_ORTHOADAMW, ADD_STABLEMAX
from paper.figure_11 import ADD_UNCHANGED


def frequencies(run: Run, column: str, level: float) -> Quantity:
    """Share of the frequencies that together hold `level` of the first layer's power.

    Args:
        run: its folder holds spectrum.csv; the table's attrs say where it is.
        column: "initial" or "final" network.
        level: 0 to 1, share of the power; operands are averaged, as they are drawn.
    """

    def of(tables):
        import pandas

        folder = tables[run].attrs["folder"]
        if not runs.has_derived(folder, runs.SPECTRUM):
            short = "/".join(folder.parts[-3:])
            raise NotMeasured(
                f"{short} has no spectrum; python -m weights.spectrum {short} makes it"
            )
        shares = pandas.read_csv(folder / runs.SPECTRUM).groupby("frequency")[column].mean()
        return frequencies_holding(shares, level) / len(shares)

    words = f"frequencies holding {show(level, 'percent')} of the first layer's power, {column}"
    return Quantity(words, "percent", (run,), of)


CLAIMS = tuple(
    Claim(
        panel="12",
        words=f"The network that grokked without weight decay ({label}) uses few frequencies",
        paper="sparse in Fourier space; no number",
        source="App. C.2",
        checks=(Within(frequencies(run, "final", 0.9), at_most(0.25)),),
    )
    for label, run in (("StableMax", ADD_STABLEMAX), ("⊥AdamW", ADD_ORTHOADAMW))
)

FIGURE = Figure(
    id="12",
    title="Fourier spectrum of the weights",
    claim="Networks that grokked without weight decay are sparse in Fourier space.",
    panels=(
        Panel(
            id="12",
            title="First layer, addition mod 113",
            kind="spectrum",
            curves=(
                Curve(run=ADD_ORTHOADAMW, label="⊥AdamW"),
                Curve(run=ADD_STABLEMAX, label="AdamW, StableMax"),
                Curve(run=ADD_UNCHANGED, label="AdamW, softmax float64"),
            ),
        ),
    ),
    checks=CLAIMS,
)
