"""The grokking delay is short where training-set size over batch size is between 100 and 800.

System 002, the heat map: division at six moduli and six batch sizes. Ours: division modulo p (R1),
named variants in place of means over sweeps, both units from the same runs (R7), accuracies of the
full sets (R2), and all that is not trained on tests (R11).
"""

from dataclasses import replace

from experiment.claim import PICTURE, Claim, Less, between, rising
from experiment.figure import Curve, Figure, Panel, Run
from experiment.outcomes import BAND
from related.presets import POWER
from related.quantities import delay_of, midway

MODULI = (47, 97, 197, 293, 563, 997)
BATCHES = (4, 8, 32, 128, 512, 1024)
# Each cell's three runs, as (what the title adds, what the run changes).
VARIANTS = {
    "": ("", {}),
    "_noise": (", embedding noise", {"embedding_noise": 0.1}),
    "_scale": (", larger start", {"init_scale": 10.0}),
}
# Updates of a cell at CPU size: the smaller the batch, the cheaper each.
_CPU_MODULI = (47, 97, 197)
_CPU_STEPS = {8: 10_000, 32: 8_000, 128: 6_000, 512: 6_000}
_QUICK_MODULI = {47: 11, 97: 23}
_QUICK_STEPS = {8: 800, 32: 600, 128: 400}


def _run(modulus: int, batch: int, variant: str) -> Run:
    config = replace(
        POWER,
        modulo=modulus,
        vocab_size=2 * modulus + 2,
        batch_size=batch,
        stop_at="test_accuracy",
        stop_level=0.99,
        **VARIANTS[variant][1],
    )
    cpu = quick = None
    if not variant and modulus in _CPU_MODULI and batch in _CPU_STEPS:
        # Half of the pairs: the delays fit into the budget.
        cpu = replace(
            config, train_fraction=0.5, num_steps=_CPU_STEPS[batch], log_every=200, log_growth=1.1
        )
    if not variant and modulus in _QUICK_MODULI and batch in _QUICK_STEPS:
        small = _QUICK_MODULI[modulus]
        quick = replace(
            config,
            modulo=small,
            vocab_size=2 * small + 2,
            train_fraction=0.6,
            num_steps=_QUICK_STEPS[batch],
            log_every=25,
        )
    return Run(name=f"div_power_p{modulus}_b{batch}{variant}", config=config, cpu=cpu, quick=quick)


RUNS = {
    (modulus, batch, variant): _run(modulus, batch, variant)
    for modulus in MODULI
    for batch in BATCHES
    for variant in VARIANTS
}


def _panel(variant: str, unit: str) -> Panel:
    return Panel(
        id=f"delay-map {unit}{variant.replace('_', ' ')}",
        title=f"Division{VARIANTS[variant][0]}, delay in {unit}",
        kind=f"delay_{unit}",
        curves=tuple(
            Curve(run=run, label=f"p = {modulus}, batch {batch}{variant.replace('_', ', ')}")
            for (modulus, batch, of), run in RUNS.items()
            if of == variant
        ),
        text="A cell is a mean over seeds, never over variants (R7).",
    )


# The map calls moduli by their training-set sizes: 47 is 0.6K, 97 is 2.8K, 197 is 12K.
SOURCE = f"002, delay heat maps, {PICTURE}"


def _delay(modulus: int, batch: int, unit: str = "step"):
    """The delay of the plain run of a cell: no noise, initial scale 1, weight decay 1."""
    return delay_of(RUNS[modulus, batch, ""], unit=unit)


def _in_band(modulus: int, batch: int) -> bool:
    """Whether a cell of the CPU size is where delays are said to be short."""
    config = RUNS[modulus, batch, ""].at("cpu")
    return between(*BAND).holds(config.train_examples / config.batch_size)


def _band_claim(unit: str, paper: str, remark: str) -> Claim:
    def middle(modulus, inside):
        cells = (b for b in _CPU_STEPS if _in_band(modulus, b) is inside)
        words = f"median delay in {unit}s over the batch sizes, p = {modulus}"
        return midway(words, *(_delay(modulus, b, unit) for b in cells))

    return Claim(
        panel=f"delay-map {unit}s",
        words=f"The delay in {unit}s is short where training size / batch size is"
        f" {BAND[0]} to {BAND[1]}",
        paper=paper,
        source=SOURCE,
        checks=tuple(
            Less((f"p = {p}, band", middle(p, True)), ("outside", middle(p, False)))
            for p in _CPU_MODULI
        ),
        size="cpu",
        remark=remark,
    )


CLAIMS = (
    _band_claim(
        "step",
        "2.8K, in steps: 13.7k at batch 8 (ratio 350) against 19.6k at 128, 23.3k at 512; in the"
        " band the maps in steps and epochs contradict each other, so that only the order is held"
        " to",
        "All twelve cells were run, one seed each, for 6,000 to 10,000 updates at the published"
        " rate and a decay of 1: none of the five in the band fits its training set in them"
        " (36 % at most, at p = 47 and batch 8), so that it has no delay to compare. Run on to"
        " the published 100,000 updates that cell stays between 34 and 71 % of its training set,"
        " so it is not the budget; the published cells average over other decays and noise.",
    ),
    _band_claim(
        "epoch",
        "12.6 to 47.6 in the band, 855 to 10.2k outside of it (2.8K)",
        "The same twelve cells, counted in epochs: the band has no delay, and outside of it p = 47"
        " has 110 to 1,165 epochs, p = 97 has 32 and 69, and p = 197 none. What is missing is a"
        " training set that is fitted in the band, not another unit.",
    ),
    Claim(
        panel="delay-map epochs",
        words="For one training-set size the delay in epochs grows with the batch size",
        paper="2.8K: 47.6, 365, 855, 3.7k at 8, 32, 128, 512",
        source=SOURCE,
        checks=rising({f"batch {b}": _delay(97, b, "epoch") for b in (8, 32, 128, 512)}),
        size="cpu",
        remark="The same cells at p = 97: from 128 to 512 the delay grows from 32 to 69 epochs, as"
        " claimed, and at 8 and 32 training accuracy does not pass 3 and 11 % in the 17 and 55"
        " epochs of the budget. So the claim holds where there is a delay, and is open for small"
        " batches.",
    ),
)

FIGURE = Figure(
    id="delay-map",
    title="Grokking delay over training-set size and batch size",
    claim="The delay is short where training-set size over batch size is between 100 and 800.",
    panels=tuple(_panel(variant, unit) for variant in VARIANTS for unit in ("steps", "epochs")),
    checks=CLAIMS,
)
