"""Figure 12: Fourier spectrum of the weights.

Appendix C.2. The runs are those of other figures.
"""

from pathlib import Path

from configuration import runs
from experiment.claim import Claim, Within, at_most
from experiment.figure import Curve, Figure, Panel, Run
from experiment.outcomes import frequencies_holding
from experiment.quantity import NotMeasured, Quantity, over, show
from paper.figure_1 import ADD_ORTHOADAMW
from paper.figure_11 import ADD_UNCHANGED
from paper.settings import ADD_STABLEMAX


def _shares(table, column: str):
    """The power of each frequency, the operands' mean, from the spectrum beside a run."""
    import pandas

    folder = Path(table.attrs["folder"])
    if not runs.has_derived(folder, runs.SPECTRUM):
        short = "/".join(folder.parts[-3:])
        there = (folder / runs.CHECKPOINT).is_file()
        made = f"; python -m weights.spectrum {short} makes it" if there else ", no checkpoint"
        raise NotMeasured(f"{short} has no spectrum{made}")
    return pandas.read_csv(folder / runs.SPECTRUM).groupby("frequency")[column].mean()


def frequencies(run: Run, column: str, level: float) -> Quantity:
    """Share of the frequencies that together hold `level` of the first layer's power.

    Args:
        run: its folder holds spectrum.csv; the table's attrs say where it is.
        column: "initial" or "final" network.
        level: 0 to 1, share of the power; operands are averaged, as they are drawn.
    """

    def of(tables):
        shares = _shares(tables[run], column)
        return frequencies_holding(shares, level) / len(shares)

    words = f"frequencies holding {show(level, 'percent')} of the first layer's power, {column}"
    return Quantity(words, "percent", (run,), of)


def effective_frequencies(run: Run, column: str) -> Quantity:
    """On how many frequencies the power is: (Σ s)² / Σ s² over their shares s.

    All of them where it is spread evenly, 1 where one has it all. Args as of `frequencies`.
    """

    def of(tables):
        shares = _shares(tables[run], column)
        return float(shares.sum() ** 2 / (shares**2).sum())

    return Quantity(f"effective number of frequencies, {column}", "number", (run,), of)


_TAIL = (
    "The same layer was measured in two more ways: 8 of 56 frequencies hold a half of the power and"
    " 15 hold 80 %, and their effective number falls from 55.9 to 19.4 (next rows). It is sparse"
    " beside its start and beside the softmax network (53.9), with a tail that 90 % takes in."
)
GROKKED = (("StableMax", ADD_STABLEMAX), ("⊥AdamW", ADD_ORTHOADAMW))
CLAIMS = (
    *(
        Claim(
            panel="12",
            words=f"A quarter of the frequencies hold nearly all of the power ({label})",
            paper="sparse in Fourier space; no number",
            source="App. C.2; the networks that grokked without weight decay",
            checks=(Within(frequencies(run, "final", 0.9), at_most(0.25)),),
            remark=remark,
        )
        for (label, run), remark in zip(GROKKED, (_TAIL, ""), strict=True)
    ),
    *(
        Claim(
            panel="12",
            words=f"The power is on at most half as many frequencies as at first ({label})",
            paper="sparse in Fourier space; no number",
            source="App. C.2; the other reading, without a threshold",
            checks=(
                Within(
                    over(
                        effective_frequencies(run, "final"),
                        effective_frequencies(run, "initial"),
                        "effective number of frequencies (participation ratio of the first"
                        " layer's power), final over initial",
                    ),
                    at_most(0.5),
                ),
            ),
        )
        for label, run in GROKKED
    ),
)

FIGURE = Figure(
    id="12",
    title="Fourier spectrum of the weights",
    claim="Networks that grokked without weight decay are sparse in Fourier space.",
    panels=tuple(
        Panel(
            id=id,
            title=label,
            kind="spectrum",
            curves=(Curve(run=run, label=label),),
            text="First layer, addition mod 113.",
        )
        for id, run, label in (
            ("12", ADD_ORTHOADAMW, "⊥AdamW: grokked"),
            ("12 StableMax", ADD_STABLEMAX, "AdamW, StableMax: grokked"),
            ("12 softmax", ADD_UNCHANGED, "AdamW, softmax float64"),
        )
    ),
    checks=CLAIMS,
)
