"""Figure 8: induced collapse stops learning.

The paper (B.1) multiplies "the logits for the right classes by 0 at each step after epoch 6000".

Stated: SGD lr 3 over the gradient norm, 70 %, float64, from epoch 6,000 of 10,000.
Ours: momentum 0; norm: sum of magnitudes, beside it the Euclidean.

Tried: which reading of these words stops learning.

Mod 59, 70 %, SGD lr 1 over the gradient norm, momentum 0, float64, intervention from epoch 700,
where test accuracy was 19.9 % and rising:

| reading | what it gave by epoch 1,500 |
|---|---|
| the right logit is 0 in the training loss, forward and backward | stands still from epoch 800, the next row, on: training 96.6 %, test 15.5 % |
| only the gradient of the right logit is 0 | diverges: training 1.7 %, loss 1,700, norm 272 |
| every loss term is multiplied by 0 | stands still at once, 19.9 %: nothing but the end of training |
| the loss terms of rightly classified samples are multiplied by 0 | stands still at 20.5 % once all are right |

The third would freeze the full size at what it has at 6,000: 18.0, 10.3 and 1.6 % of the test set
on seeds 42 to 44 (published 8.1 %).

The first is the plain meaning of the words, and fits the published picture: test accuracy dips
slightly (9 to 8.1 % there) and is then constant, and collapse comes within about 100 epochs (the
line at 6,100 there stands at 40 %). It is what `--induce_collapse_epoch` does. At lr 0.2,
intervention from epoch 1,000: collapse 100 % and test accuracy constant at 14.5 % from epoch 1,100
on, while the plain run goes on to 33 %. The collapse that is recorded is that of the logits the
loss sees.
"""

from dataclasses import replace

from experiment.claim import PICTURE, TEXT, Claim, Within, at_least, between
from experiment.figure import Curve, Figure, Panel, Run, declare
from experiment.quantity import COLLAPSE, TEST, TRAIN, at, first, largest, minus, smallest
from paper.settings import SGD

# The momentum was not stated; ours is none. With it the schedule divides yesterday's gradients by
# today's norm, and training blew up. Which norm was not stated either: with the sum of magnitudes
# the stated rates give the pace of the published curves, with the Euclidean norm training is over
# before epoch 1,000 (figure_9.py).
NORMED = replace(SGD, momentum=0.0, use_lr_scheduler=True)
_QUICK_NORMED = {"modulo": 59, "num_epochs": 3_000, "log_frequency": 25}
METHODS = {1: "sgdl1norm", 2: "sgdnorm"}  # by the order of the norm
QUICK_RATES = {1: 40.0, 2: 1.0}


def normed_run(percent: int, bits: int, lr: float, order: int, variant: str = "", **change) -> Run:
    return declare(
        f"add_{METHODS[order]}{bits}_{percent}{variant}",
        NORMED,
        _QUICK_NORMED
        | {"lr": QUICK_RATES[order]}
        | ({"induce_collapse_epoch": 1_000} if change else {}),
        train_fraction=percent / 100,
        softmax_precision=bits,
        lr=lr,
        lr_scheduler_norm=order,
        **change,
    )


INDUCED_RUNS = {
    name: (
        normed_run(70, 64, 3.0, order, "_lr3"),
        normed_run(70, 64, 3.0, order, "_lr3_induced", induce_collapse_epoch=6_000),
    )
    for name, order in (("sum of magnitudes", 1), ("Euclidean norm", 2))
}

FIVE = "epochs as corrected: the picture's axis is 5 times too long"


PLAIN, INDUCED = INDUCED_RUNS["sum of magnitudes"]
PICTURED = f"Fig. 8, {PICTURE}; {FIVE}"
CLAIMS = (
    Claim(
        panel="8a",
        words="Collapse sets in within about 100 epochs of the intervention, not before it",
        paper="at 6,100 (the line stands at 40 % collapse under a legend of 50 %)",
        source=f"{TEXT}; {PICTURED}",
        checks=(Within(first(INDUCED, COLLAPSE, 0.4), between(6_001, 6_200)),),
        remark="Four readings of the sentence were tried on addition mod 59, and the one that stops"
        " learning was run at full size on three seeds. With the right logit at 0 the others have to fall by"
        " about 40 nats, for which steps of this length take 1,600 epochs, so the published"
        " 100 epochs need longer steps or another intervention.",
    ),
    Claim(
        panel="8a",
        words="Learning stops when collapse is induced at epoch 6,000",
        paper="test accuracy stays at 8.1 %, from 9 %",
        source=f"{TEXT}; {PICTURED}",
        checks=tuple(
            Within(
                minus(
                    extreme(INDUCED, TEST, since=6_100),
                    at(INDUCED, TEST, 6_000),
                    f"{name} test accuracy from epoch 6,100 minus that at 6,000",
                ),
                between(-0.02, 0.02),
            )
            for name, extreme in (("smallest", smallest), ("largest", largest))
        ),
        remark="Three seeds were followed to 10,000, from 18, 10 and 2 % of the test set at 6,000: each"
        " gains at most 1.4 points, then sinks by 8, 4 and 0.3 below its start, and freezes"
        " by 9,100. Learning does stop within 300 epochs, while the plain runs go on;"
        " the published curve loses 1 point, as its collapse takes 100 epochs and not 1,600, and"
        " the seed that holds has little to lose.",
    ),
    Claim(
        panel="8a",
        words="Without the intervention the same run generalizes",
        paper="9 % at 6,000, 57 % at 8,000, 87 % at 9,900",
        source=PICTURED,
        checks=(
            Within(at(PLAIN, TEST, 9_900), at_least(0.75), "end"),
            Within(
                minus(
                    at(PLAIN, TEST, 9_900),
                    at(PLAIN, TEST, 6_000),
                    "test accuracy at epoch 9,900 minus that at 6,000",
                ),
                at_least(0.4),
                "gain",
            ),
        ),
        remark="Three seeds were run: from 18, 10 and 2 % of the test set at 6,000 they come to 92, 85"
        " and 68 % by 9,900. Each goes on by 66 points or more, and the seed that is behind at 6,000,"
        " where the published run has 9 %, has not caught up by then.",
    ),
)

# fmt: off
# The dotted line stands at 40 % collapse although the legend says 50 %.
PUBLISHED = (
    {
        TRAIN: {250: 1.4, 1_000: 3, 2_000: 7, 3_000: 16, 3_500: 25, 4_000: 36, 4_500: 48.5, 5_000: 65.5,
                5_500: 80.5, 6_000: 93.5, 6_500: 99, 7_250: 100, 9_750: 100},
        TEST: {0: 1.2, 3_000: 0.1, 5_000: 1.5, 5_500: 4, 6_000: 9, 6_500: 18, 7_000: 30.5, 7_500: 44,
               8_000: 57, 8_500: 68.5, 9_000: 77, 9_500: 84, 9_900: 87},
    },
    {
        TEST: {0: 1.2, 3_000: 0.1, 5_000: 1.5, 5_500: 4, 6_000: 8.4, 6_500: 8, 7_000: 8, 7_500: 8,
               8_000: 8, 8_500: 8, 9_000: 8, 9_500: 8},
        COLLAPSE: {6_100: 40},
    },
)
# fmt: on

FIGURE = Figure(
    id="8",
    title="Induced collapse stops learning",
    claim=(
        "With the right logits of the training loss multiplied by 0 from epoch 6,000 on, softmax"
        " collapse sets in within about 100 epochs and test accuracy stands still; with the"
        " Euclidean norm in the schedule (b) all is learned and collapsed long before."
    ),
    panels=tuple(
        Panel(
            id=f"8{letter}",
            title=f"Rate over the {title}" + ": collapsed before" * (letter == "b"),
            kind="collapse",
            corrected="epochs / 5",
            curves=(
                Curve(run=free, label="plain", published=PUBLISHED[0]),
                Curve(run=induced, label="induced collapse", published=PUBLISHED[1]),
            ),
        )
        for letter, (title, (free, induced)) in zip("ab", INDUCED_RUNS.items(), strict=True)
    ),
    checks=CLAIMS,
)
