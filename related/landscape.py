"""The loss varies more around a network that grokked than around one that generalized at once.

System 002: loss surfaces and the norm of the attention weights, on division mod 97. Ours: division
modulo p (R1) and a matched pair (R6): network, initial weights, optimizer, batches and length
agree; the share of the pairs that is trained on differs, and with it the delay.
"""

from dataclasses import replace

from experiment.claim import PICTURE, Claim, Within, at_most, between, rising
from experiment.figure import Curve, Figure, Panel, declare
from experiment.quantity import at, largest, over
from related.presets import POWER
from related.quantities import delay_of, near, rise_of, step_of_largest, surface_range

QKV = "weight_norm/layers.0.self_attn.in_proj_weight"

_WATCHED = replace(POWER, num_steps=20_000, log_every=100, log_top5=True, log_attention=True)
_CPU = {"num_steps": 6_000}
_QUICK = {
    "modulo": 23, "vocab_size": 2 * 23 + 2, "batch_size": 128, "num_steps": 600, "log_every": 25
}  # fmt: skip
GROKKING = declare(
    "div_power_grokking",
    _WATCHED,
    _QUICK | {"train_fraction": 0.5},
    cpu=_CPU | {"train_fraction": 0.4},
)
COMPREHENSION = declare("div_power_comprehension", _WATCHED, _QUICK, cpu=_CPU, train_fraction=0.8)
MEMORISATION = declare("div_power_memorisation", _WATCHED, _QUICK, cpu=_CPU, train_fraction=0.15)

_PAIR = (Curve(run=GROKKING, label="grokking"), Curve(run=COMPREHENSION, label="comprehension"))
_ALL = (*_PAIR, Curve(run=MEMORISATION, label="memorisation"))
PANELS = tuple(
    panel
    for kind, words, beside in (
        (
            "surface",
            "norm 1 per tensor",
            Panel(
                id="landscape attention",
                title="Norm of QKV, first layer",
                kind="attention_norm",
                curves=_ALL,
            ),
        ),
        (
            "surface_filter",
            "filter-normalised",
            Panel(
                id="landscape accuracy", title="Division mod 97", kind="accuracy_log", curves=_ALL
            ),
        ),
    )
    for panel in (
        *(
            Panel(
                id=f"landscape {kind} {curve.label}",
                title=f"{curve.label.capitalize()}, {words}",
                kind=kind,
                curves=(curve,),
            )
            for curve in _PAIR
        ),
        beside,
    )
)

# Published: the range of the loss, grokking over the other; the attention norm at first, and the
# largest one of two runs.
RATIO, START, PEAKS = (3.7, 8), 13.5, (35, 44)
GRIDS = "002, README, and its committed grids (range of the training loss for r = 1)"
NORMS = f"002, attention norm over steps, {PICTURE}"


def _ranges(normalisation: str):
    return rising(
        {
            "comprehension": surface_range(COMPREHENSION, normalisation=normalisation),
            "grokking": surface_range(GROKKING, normalisation=normalisation),
        }
    )


CLAIMS = (
    Claim(
        panel="landscape accuracy",
        words="The runs compared differ in their delay",
        paper="its ten longest against its ten shortest delays",
        source="002, loss landscape",
        checks=rising({"comprehension": delay_of(COMPREHENSION), "grokking": delay_of(GROKKING)}),
        size="cpu",
    ),
    Claim(
        panel="landscape",
        words="The loss around a grokking network varies more, directions of norm 1 per tensor",
        paper=f"up to {RATIO[1]} times the range; 20 to 24 against 5.4 in its own grids",
        source=GRIDS,
        checks=_ranges("tensor"),
        size="cpu",
        remark="The pair was measured after 6,000 updates, at weights that differ in the trained"
        " share alone: the loss ranges over 5.5 around the network that grokked and over 6.2 around"
        " the other, which is in a spike then (88 % of its training set). So the larger range does"
        " not come with grokking by itself; the published pairs differ in batch size, rate, scale"
        " and decay, too (R6).",
    ),
    Claim(
        panel="landscape",
        words="The ratio of the two ranges is as published, within a factor of 2",
        paper=f"“up to {RATIO[1]}”; {RATIO[0]} and 4.4 in its own grids",
        source=GRIDS,
        checks=(
            Within(
                over(
                    surface_range(GROKKING),
                    surface_range(COMPREHENSION),
                    "range of the training loss, grokking over comprehension",
                ),
                near(*RATIO),
            ),
        ),
        size="cpu",
        remark="The same pair was divided: 5.5 over 6.2 is 0.88. The spike lifts the centre of the"
        " other network by 0.55, a tenth of its range, and does not hide a factor of 2 or more.",
    ),
    Claim(
        panel="landscape",
        words="It varies more with filter-normalised directions, too",
        paper=f"up to {RATIO[1]} times (per tensor; it cites filter normalisation and does not"
        " use it)",
        source="002, README",
        checks=_ranges("filter"),
        size="cpu",
        remark="The same pair was measured with directions normalised by filter: 6.8 around the"
        " network that grokked, 8.0 around the other. So the order is the same with either"
        " normalisation, and not the published one.",
    ),
    Claim(
        panel="landscape attention",
        words="The attention norm peaks where test accuracy begins to rise, within a factor of 2",
        paper="at 4,500 and at 10,000 steps, where the stars are",
        source=NORMS,
        checks=(
            Within(
                over(
                    step_of_largest(GROKKING, QKV, "step of the largest attention norm"),
                    rise_of(GROKKING),
                    "step of the largest attention norm over that of the rise of test accuracy",
                ),
                between(0.5, 2),
            ),
        ),
        size="cpu",
        remark="One run of 6,000 updates at 40 % was followed: the norm is at its start when test"
        " accuracy rises, at 2,400, grows to 18 by 3,300 and has its largest value, 20.8, at 5,900,"
        " 100 updates before the end. So it grows after the rise and not before, and within this"
        " budget has no peak but its end.",
    ),
    Claim(
        panel="landscape attention",
        words="The attention norm of a grokking run rises far above its start, and of one that"
        " memorises does not",
        paper=f"{START} to {PEAKS[0]} and to {PEAKS[1]}; without grokking {START} to 9",
        source=NORMS,
        checks=(
            Within(
                over(largest(GROKKING, QKV), at(GROKKING, QKV, 0), "largest over first norm"),
                near(PEAKS[0] / START, PEAKS[1] / START),
                "grokking",
            ),
            Within(
                over(at(MEMORISATION, QKV), at(MEMORISATION, QKV, 0), "last over first norm"),
                at_most(1),
                "memorisation",
            ),
        ),
        size="cpu",
        remark="Three runs were followed for 6,000 updates, at 15, 40 and 80 %: from 13.9 the norm"
        " falls to 9 or 10 and then grows to 37 in the one that memorises, 19 in the one that groks"
        " and 16 in the other. It grows most where nothing is generalized, so that it is no sign of"
        " grokking here.",
    ),
)

FIGURE = Figure(
    id="landscape",
    title="Loss landscapes and attention norms",
    claim=(
        "The loss around a network that grokked varies more than around one that generalized at"
        " once; the attention norm peaks where test accuracy begins to rise."
    ),
    panels=PANELS,
    checks=CLAIMS,
)
