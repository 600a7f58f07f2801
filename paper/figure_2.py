"""Figure 2: softmax collapse stops learning.

Settings: those of the published command lines.
"""

from dataclasses import replace

from experiment.claim import PICTURE, TEXT, Claim, Within, at_most, below, between, rising
from experiment.figure import Curve, Figure, Panel, Run
from experiment.quantity import COLLAPSE, TEST, TRAIN, at, first, largest, rate_after
from paper.settings import MLP

BITS = (16, 32, 64)
COLLAPSING = replace(MLP, lr=0.0005, num_epochs=20_000, log_frequency=100)
# Small, and at twice the learning rate: float16 collapses near epoch 1,000, float32 near 2,500.
QUICK_COLLAPSE = replace(COLLAPSING, modulo=97, lr=0.001, num_epochs=3_000, log_frequency=25)


def _collapse_run(percent: int, bits: int) -> Run:
    change = {"softmax_precision": bits, "train_fraction": percent / 100}
    if percent == 40:
        change["adam_epsilon"] = 1e-30  # as published
    return Run(
        name=f"add_softmax{bits}_{percent}",
        config=replace(COLLAPSING, **change),
        quick=replace(QUICK_COLLAPSE, **change),
    )


COLLAPSE_RUNS = {(f, b): _collapse_run(f, b) for f in (40, 60, 70) for b in BITS}


def collapsed(percent, bits, level=0.5):
    return first(COLLAPSE_RUNS[percent, bits], COLLAPSE, level)


def each_precision(make) -> dict:
    """{"float16": make(16), ...}"""
    return {f"float{bits}": make(bits) for bits in BITS}


def _collapse_claims(panel, percent, onset, slowed, end, **remarks):
    """Figures 2b and 2c; `onset` and `end` per precision, as published."""

    def published(values, text):
        return ", ".join(text.format(v) for v in values)

    def run(bits):
        return COLLAPSE_RUNS[percent, bits]

    picture = f"Fig. {panel}, {PICTURE}"
    onset_paper = published(onset, "{:,}") + " for float16, 32, 64"
    return (
        Claim(
            panel=panel,
            words="Half of the training set collapses earlier for lower precision",
            paper=onset_paper,
            source=f"{TEXT}; {picture}",
            checks=rising(each_precision(lambda b: collapsed(percent, b))),
            remark=remarks.get("order", ""),
        ),
        Claim(
            panel=panel,
            words="Collapse sets in at the published epochs, within a half",
            paper=onset_paper,
            source=f"{picture}; a re-run of others the same",
            checks=tuple(
                Within(collapsed(percent, b), between(0.5 * e, 1.5 * e), f"float{b}")
                for b, e in zip(BITS, onset, strict=True)
            ),
            remark=remarks.get("when", ""),
        ),
        Claim(
            panel=panel,
            words="Generalization stops when softmax collapse begins",
            paper=f"gains at most {slowed} times as fast afterwards",
            source=f"{TEXT}; {picture}",
            checks=tuple(
                Within(rate_after(run(b), TEST, collapsed(percent, b)), at_most(0.1), f"float{b}")
                for b in BITS
            ),
        ),
        Claim(
            panel=panel,
            words="Test accuracy ends at the published level, within 10 points",
            paper=published(end, "{:g} %") + " for float16, 32, 64",
            source=picture,
            checks=tuple(
                Within(at(run(b), TEST, 19_500), between(e / 100 - 0.1, e / 100 + 0.1), f"float{b}")
                for b, e in zip(BITS, end, strict=True)
            ),
            remark=remarks["ends"],
        ),
    )


CLAIMS = (
    Claim(
        panel="2a",
        words="At 40 % training data there is no progress on the test set",
        paper="about 0 % in all precisions (chance: 0.88 %)",
        source=f"Fig. 2a, {PICTURE}",
        checks=tuple(
            Within(largest(COLLAPSE_RUNS[40, b], TEST), below(0.02), f"float{b}") for b in BITS
        ),
    ),
    Claim(
        panel="2a",
        words="At 40 % half of the training set collapses",
        paper="6,000, 11,500, 7,000 by the legend (the lines stand at 40 % collapse)",
        source=f"Fig. 2a, {PICTURE}; not reached for float32 and 64 by a re-run of others",
        checks=tuple(Within(collapsed(40, b), at_most(20_000), f"float{b}") for b in BITS),
        remark="The published flags were run for 20,000 epochs on three seeds: collapse comes to"
        " 40.9 to 42.3 % in float32 and 40.3 to 49.1 % in float64. So 50 % is not reached,"
        " as it was not in a re-run of others: the published lines stand at 40 %, as their"
        " notebook's cell says, and not at their legend's 50 %.",
    ),
    Claim(
        panel="2a",
        words="40 % of the training set collapse at the published epochs, within a half",
        paper="6,000, 11,500, 7,000 for float16, 32, 64",
        source=f"Fig. 2a and its notebook cell, {PICTURE}",
        checks=tuple(
            Within(collapsed(40, b, 0.4), between(0.5 * e, 1.5 * e), f"float{b}")
            for b, e in zip(BITS, (6_000, 11_500, 7_000), strict=True)
        ),
        remark="The published flags were run with a row every 100 epochs: seeds 43 and 44 come to"
        " 49 and 47 % by 7,000, the published seed, 42, to 38.5 %, and it stays below 40 % until"
        " 17,200. The published 7,000 is the top of one spike, 46.4 % in a re-run of others, which"
        " on that seed misses the level by 1.5 points here.",
    ),
    Claim(
        panel="2a",
        words="Collapse is earlier for lower precision at 40 % training data, too",
        paper="float16 first; the picture has float64 (7,000) before float32 (11,500)",
        source=f"{TEXT}; Fig. 2a, {PICTURE}",
        checks=rising(each_precision(lambda b: collapsed(40, b, 0.4))),
        remark="Three seeds were run: float16 is first on all, and float64 before float32 on 43 and"
        " 44, as in the published picture. In float32 collapse swings between 8 and 42 % from 3,000"
        " on, float64 has a spike at 6,900 and passes 40 % again after 17,000: the order hangs on the"
        " level.",
    ),
    *_collapse_claims(
        "2b",
        60,
        onset=(2_000, 3_000, 7_000),
        slowed=0.06,
        end=(15.5, 29.9, 52),
        order="Three seeds were run: by 2,900 float32 has 50 % of the set collapsed on the published"
        " seed, 42, and 44 and 41 % on the others, which come to 50 % by 4,600 and 7,000; float64"
        " does by 6,700. At 40 % collapse the order is that of the precisions on every seed; at 50 % it"
        " is not on one, on which float32 peaks below the level, at 48 %, until 7,000.",
        when="The same three seeds: float16 and float64 are at the published epochs on all, float32"
        " by 2,900 on the published seed, 42, and by 4,600 and 7,000 on the others, which stop short"
        " of 50 % at first. All three have 40 % collapse by 2,900.",
        ends="Three seeds were run: 42, the published one, ends within 1.5 points of the published"
        " levels, 43 and 44 at 10, 21, 40 % and at 6, 13, 28 %. The order of the precisions is the"
        " same on each; the level is the seed's.",
    ),
    *_collapse_claims(
        "2c",
        70,
        onset=(2_000, 3_000, 7_000),
        slowed=0.02,
        end=(48.7, 65.7, 88),
        ends="Three seeds were run: 42, the published one, ends within 3.1 points of the published"
        " levels, 43 at 44, 59, 85 % and 44 at 33, 47, 76 %. The order of the precisions is the same"
        " on each; the level is the seed's.",
    ),
    Claim(
        panel="2",
        words="Collapse is earlier for less training data",
        paper="earlier; the pictures have the same epochs at 60 % and 70 %, later ones at 40 %",
        source=f"{TEXT}; Fig. 2, {PICTURE}",
        checks=tuple(
            check
            for b in BITS
            for check in rising({f"float{b} {p} %": collapsed(p, b) for p in (40, 60, 70)})
        ),
        remark="Three seeds of the nine runs were computed with a row every 100 epochs, and the other reading of"
        " the sentence, how much is generalized when collapse begins, is judged in the next"
        " row. Half of the set collapses no sooner with less data, in the published pictures"
        " as little as here, so the figure supports the other reading alone.",
    ),
    Claim(
        panel="2",
        words="The less training data, the less has been generalized when collapse begins",
        paper="at 40 % collapse comes before any progress; no other number",
        source=f"{TEXT}; the other reading of its “earlier”",
        checks=tuple(
            check
            for b in BITS
            for check in rising(
                {
                    f"float{b} {p} %": at(COLLAPSE_RUNS[p, b], TEST, collapsed(p, b, 0.4))
                    for p in (40, 60, 70)
                }
            )
        ),
    ),
)

# fmt: off
# The dotted lines, too: those of 2a stand at 40 % collapse although the legend says 50 %.
_CHANCE = {0: 0.9, 1_500: 0.3, 4_500: 0.3, 9_000: 0.1, 13_500: 0.1, 19_500: 0.3}
_FITTED = {500: 100, 5_000: 100, 10_000: 100, 15_000: 100, 19_500: 100}
PUBLISHED = {
    (40, 16): {TEST: _CHANCE, TRAIN: _FITTED, COLLAPSE: {6_000: 40}},
    (40, 32): {COLLAPSE: {11_500: 40}},
    (40, 64): {COLLAPSE: {7_000: 40}},
    (60, 16): {
        TEST: {0: 1, 500: 1.1, 1_000: 4, 1_500: 5, 2_500: 11, 3_500: 13, 4_500: 15, 5_500: 15.5,
               8_000: 15.5, 12_000: 15.5, 16_000: 15.5, 19_500: 15.5},
        COLLAPSE: {2_000: 50},
    },
    (60, 32): {
        TEST: {3_500: 23, 4_500: 26, 5_500: 25.5, 6_500: 28, 8_000: 28, 10_000: 28, 12_000: 28,
               13_500: 29, 15_500: 29.5, 17_000: 30, 18_500: 29, 19_500: 30},
        COLLAPSE: {3_000: 50},
    },
    (60, 64): {
        TEST: {1_000: 5.5, 1_500: 9, 2_000: 13, 3_000: 22, 4_000: 32, 5_000: 41, 6_000: 48.5,
               7_000: 53, 8_000: 47, 9_500: 50, 11_500: 53, 13_000: 50, 15_000: 53, 17_000: 55,
               18_000: 51, 19_500: 52.5},
        TRAIN: _FITTED,
        COLLAPSE: {7_000: 50},
    },
    (70, 16): {
        TEST: {0: 1.4, 500: 7, 1_000: 22, 1_500: 31, 2_500: 48, 3_500: 48.5, 6_000: 48.5,
               10_000: 48.5, 14_000: 48.5, 19_500: 48.5},
        COLLAPSE: {2_000: 50},
    },
    (70, 32): {
        TEST: {3_500: 65.5, 4_500: 67.5, 5_500: 64.5, 6_500: 69, 8_000: 67.5, 9_000: 69.5,
               10_000: 67, 11_000: 69.5, 12_000: 66.5, 14_000: 68, 16_000: 69.5, 17_000: 66,
               18_000: 69, 19_500: 65.5},
        COLLAPSE: {3_000: 50},
    },
    (70, 64): {
        TEST: {1_000: 28, 1_500: 40, 2_000: 51, 3_000: 69, 4_000: 80, 5_000: 87, 6_500: 93,
               8_000: 86, 9_500: 88.5, 11_500: 90, 12_500: 83, 14_500: 87, 16_500: 91, 17_500: 85,
               19_500: 88},
        TRAIN: _FITTED,
        COLLAPSE: {7_000: 50},
    },
}
# fmt: on

FIGURE = Figure(
    id="2",
    title="Softmax collapse stops learning",
    claim=(
        "Generalization begins without regularization and stops when softmax collapse sets in:"
        " earlier for float16 than float32 than float64, and earlier for less data."
    ),
    panels=tuple(
        Panel(
            id=f"2{letter}",
            title=f"{percent} % training data",
            kind="collapse",
            curves=tuple(
                Curve(
                    run=COLLAPSE_RUNS[percent, bits],
                    label=f"float{bits}",
                    published=PUBLISHED[percent, bits],
                )
                for bits in BITS
            ),
        )
        for letter, percent in (("a", 40), ("b", 60), ("c", 70))
    ),
    checks=CLAIMS,
)
