"""Figure 9: softmax collapse under SGD.

The paper (B.2) divides the learning rate by "the norm of the full gradient".

Stated: lr 3 (40 %) and 4 (60, 70 %), 10,000 epochs.
Ours: momentum 0; norm: sum of magnitudes, at 40 % beside it the Euclidean.

Tried, for figures 8 and 9:

The paper divides the learning rate by "the norm of the full gradient"; neither the norm nor the
momentum is stated, and no released code has the schedule.
- Momentum 0.2 (mod 59, 70 %, float64, Euclidean norm): at lr 3 accuracy falls from 80 to 33 %
  (epoch 375 to 3,750), norm 532; at lr 0.3 it blows up between epochs 375 and 750 (loss 1e11 at
  1,125). The momentum buffer holds raw gradients: when the norm shrinks, old ones are divided by
  the new norm. Ours is 0.
- Euclidean norm, mod 113, 70 %, lr 3: training 98.8 % at epoch 200, test 85.9 % at 200 and 95.1 %
  at 800: the run is over long before epoch 6,000. The published pace needs steps about 250 times
  shorter: at lr 0.012 test accuracy has 9 % at 5,850, 30 % at 6,800, 57 % at 7,800, 77 % at 8,750
  and 87 % at 9,600, where the published curve of lr 3 (figure 8) has them at 6,000, 7,000, 8,000,
  9,000 and 9,900.
- Sum of magnitudes (`--lr_scheduler_norm 1`): along these runs it is 227 to 257 times the
  Euclidean norm (of P independent normal numbers it is √(2P/π), here 262). At lr 3, as stated,
  test accuracy has 9 % at epoch 5,600, 30 % at 6,500, 57 % at 7,400, 77 % at 8,300 and 87 % at
  9,150 on seed 42: the published curve, 7 to 8 % sooner (43: level, 44: 17 % later). In figure 9 half of the set is collapsed at 6,150,
  7,150 and 8,600 (float16, 32, 64; published 6,700, 7,800, 9,400) at 70 % of the data, at 7,100,
  8,050 and 9,600 (6,400, 7,400, 8,800) at 60 %, but at 40 % float16 is at 40 % collapse at 9,800
  (6,300) and float32 not by 10,000 (seed 42). At lr 5, mod 113, 40 %, float16 is there at
  5,900 and float32 at 6,850. The divisor that would give all three pictures grows with the training
  set, and no norm tried does. So the sum of magnitudes is the nearest reading of their
  words that was found; that the authors used it cannot be shown.

Euclidean norm, mod 59, 70 %: lr 0.2: float16 has 87 % collapse at epoch 665 and test accuracy
stays between 4 and 6 % to 2,000; float32 79 % at 996, test 13 to 14 % to 2,324; float64 passes 50
% between 1,500 and 1,750, test 32 to 33 % to 3,000; with the sum of magnitudes this is the quick
form, lr 40. At lr 1, the quick form of the Euclidean norm: float16 collapses by epoch 1,000 (98.6
%) and stands still from 2,400 on at 58.9 %, loss 0; float32 has 99.8 % collapse at 2,200 and
still goes on, 71.7 % at 3,000; float64 reaches 50 % collapse at 2,750, 79.7 % at 3,000.

So the Euclidean norm is drawn (8b and the fourth panel of 9) and not judged: no claim of the
paper is held against a reading that its own pictures rule out. At lr 3 and 40 % of the data
float16, 32 and 64 are at 40 % collapse at epochs 500, 1,700 and 4,200 on seed 42 (550, 1,950 and
4,850 at the latest on 43 and 44) and come to 17.7, 39.1 and 41.1 % of the test set (5 to 11 %). The
intervention of figure 8 finds everything learned: training and test accuracy fall to 15.0 and 13.5 %
within the 50 epochs to the next row (43: 20.5 and 17.2 %, 44: 5.9 and 5.6 %), and freeze. At lr
0.03 (mod 113, 70 %, float64), where test accuracy is 96.5 % at 6,000, it completes the collapse
and freezes it at 95.8 %.
"""

from experiment.claim import PICTURE, TEXT, Claim, Within, at_most, below, between, rising
from experiment.figure import Curve, Figure, Panel
from experiment.quantity import COLLAPSE, TEST, TRAIN, at, first, largest, rate_after
from paper.figure_8 import FIVE, normed_run

BITS = (16, 32, 64)
NORMED_RUNS = {
    percent: {bits: normed_run(percent, bits, 3.0 if percent == 40 else 4.0, 1) for bits in BITS}
    for percent in (40, 60, 70)
}
EUCLIDEAN_RUNS = {b: normed_run(40, b, 3.0, 2) for b in BITS}


def _sgd_claims(panel, runs, level, onset, end=None, **remarks):
    """Figures 9a to 9c: onset of collapse at `level`, final test accuracy (9b, 9c)."""
    picture = f"Fig. {panel}, {PICTURE}; {FIVE}"
    each = [(f"float{bits}", runs[bits]) for bits in BITS]
    collapsed = {label: first(run, COLLAPSE, level) for label, run in each}
    order = Claim(
        panel=panel,
        words="Under SGD on the normalised gradient collapse is earlier for lower precision",
        paper=", ".join(f"{e:,}" for e in onset) + " for float16, 32, 64",
        source=f"{TEXT}; {picture}",
        checks=rising(collapsed),
        remark=remarks.get("order", ""),
    )
    when = Claim(
        panel=panel,
        words="Under SGD collapse sets in at the published epochs, within a half",
        paper=", ".join(f"{e:,}" for e in onset) + " for float16, 32, 64",
        source=picture,
        checks=tuple(
            Within(collapsed[label], between(0.5 * e, 1.5 * e), label)
            for (label, _), e in zip(each, onset, strict=True)
        ),
        remark=remarks.get("when", ""),
    )
    if end is None:
        chance = Claim(
            panel=panel,
            words="At 40 % training data there is no progress on the test set, with SGD either",
            paper="at most 0.3 % (chance: 0.88 %)",
            source=picture,
            checks=tuple(Within(largest(run, TEST), below(0.02), label) for label, run in each),
        )
        return order, when, chance
    stops = Claim(
        panel=panel,
        words="Generalization stops when softmax collapse begins, with SGD, too",
        paper="nothing is gained afterwards; float16 and 32 lose",
        source=f"{TEXT}; {picture}",
        checks=tuple(
            Within(rate_after(run, TEST, collapsed[label]), at_most(0.1), label)
            for label, run in each
        ),
        remark=remarks.get("stops", ""),
    )
    plateau = Claim(
        panel=panel,
        words="Test accuracy ends at the published level, within 10 points",
        paper=", ".join(f"{e:g} %" for e in end) + " for float16, 32, 64",
        source=picture,
        checks=tuple(
            Within(at(run, TEST, 9_900), between(e / 100 - 0.1, e / 100 + 0.1), label)
            for (label, run), e in zip(each, end, strict=True)
        ),
        remark=remarks["ends"],
    )
    return order, when, stops, plateau


CLAIMS = (
    *_sgd_claims(
        "9a",
        NORMED_RUNS[40],
        0.4,
        (6_300, 7_600, 9_200),
        order="The stated rate 3 was run for the stated 10,000 epochs, by which float16 alone is at"
        " 40 % collapse, and rate 5 for 7,000, by which float16 and 32 are, at 5,900 and 6,850. The"
        " order holds as far as it is reached, and at the stated rate it is not reached.",
        when="The stated rate 3 was run, and rate 5 beside it: at 5 float16 and 32 are at 40 %"
        " collapse at 5,900 and 6,850, 6 and 10 % before the published epochs. So at 40 % of the"
        " data the norm that divides the rate, which was not stated, is 1.5 to 1.6 times too large"
        " in our reading; at 60 and 70 % it fits.",
    ),
    *_sgd_claims(
        "9b",
        NORMED_RUNS[60],
        0.5,
        (6_400, 7_400, 8_800),
        (9, 28.6, 56),
        when="Three seeds were run: float64 has half of the set collapsed by 9,600 and 9,950, and on"
        " the seed that has generalized least not by 10,000. The other two precisions are within a"
        " half on all.",
        stops="Three seeds were run for the stated 10,000 epochs: in float64 half of the set is"
        " collapsed at 9,600, at 9,950 and not yet. In the 400 epochs that are left to the first it"
        " gains 0.3 points, 0.12 of the pace before, where at most 0.1 was allowed; float16 and 32"
        " lose on each, as published.",
        ends="Three seeds were run: 42, that of their commands, ends within 1.2 points of the published"
        " levels, 43 and 44 at 8, 19, 40 % and at 3, 12, 26 %. The order of the precisions is the"
        " same on each; the level is the seed's.",
    ),
    *_sgd_claims(
        "9c",
        NORMED_RUNS[70],
        0.5,
        (6_700, 7_800, 9_400),
        (57, 87, 96.6),
        ends="Three seeds were run: 42, that of their commands, ends within 2.7 points of the published"
        " levels, 43 at 48, 82, 98 % and 44 at 30, 67, 91 %. The order of the precisions is the same"
        " on each; the level is the seed's.",
    ),
)

# fmt: off
# The dotted lines of 9a stand at 40 % collapse although the legend says 50 %. The training curves
# of a panel are one there.
PUBLISHED = {
    (40, 16): {TEST: {0: 0.9, 500: 0.4, 2_000: 0.1, 4_000: 0.1, 6_000: 0.3, 8_000: 0.3, 9_500: 0.3},
               COLLAPSE: {6_300: 40}},
    (40, 32): {COLLAPSE: {7_600: 40}},
    (40, 64): {TRAIN: {500: 4, 1_000: 7.5, 1_500: 12, 2_000: 23, 2_250: 30.5, 2_500: 41.5, 2_750: 53,
                       3_000: 64, 3_250: 75.5, 3_500: 86, 3_750: 95, 4_000: 99, 4_500: 100,
                       9_750: 100},
               COLLAPSE: {9_200: 40}},
    (60, 16): {TEST: {0: 1, 2_000: 0.1, 3_500: 0.5, 4_500: 2.5, 5_000: 5, 5_500: 9, 6_000: 11.5,
                      6_500: 12, 7_500: 11.5, 8_500: 10.5, 9_500: 9},
               COLLAPSE: {6_400: 50}},
    (60, 32): {TEST: {7_500: 32, 8_000: 32, 8_500: 31, 9_000: 29.5, 9_500: 29},
               COLLAPSE: {7_400: 50}},
    (60, 64): {TRAIN: {1_000: 5.5, 1_500: 9, 2_000: 17.5, 2_500: 32.5, 2_750: 41.5, 3_000: 51,
                       3_250: 61, 3_500: 71, 3_750: 81, 4_000: 90, 4_250: 97.5, 4_750: 100,
                       9_750: 100},
               TEST: {6_000: 15, 6_500: 22, 7_000: 30, 7_500: 38, 8_000: 46, 8_500: 53.5, 9_000: 56,
                      9_500: 56, 9_900: 56},
               COLLAPSE: {8_800: 50}},
    (70, 16): {TEST: {0: 1.2, 2_000: 0.1, 3_500: 0.8, 4_000: 3, 4_500: 9, 5_000: 22, 5_500: 38.5,
                      6_000: 55.5, 6_500: 64.5, 7_000: 66.5, 7_500: 65.5, 8_500: 61, 9_500: 57.5},
               COLLAPSE: {6_700: 50}},
    (70, 32): {TEST: {7_750: 88, 8_000: 89, 8_500: 88.5, 9_000: 88.5, 9_500: 87.5, 9_900: 87},
               COLLAPSE: {7_800: 50}},
    (70, 64): {TRAIN: {1_000: 4.5, 1_500: 7, 2_000: 12.5, 2_500: 21.5, 3_000: 37, 3_250: 46.5,
                       3_500: 55.5, 3_750: 65.5, 4_000: 76, 4_250: 85.5, 4_500: 93, 4_750: 98.5,
                       5_500: 100, 9_750: 100},
               TEST: {6_000: 58, 6_500: 71, 7_000: 81.5, 7_500: 88, 8_000: 91.5, 8_500: 94.5,
                      9_000: 96, 9_500: 96.5, 9_900: 96.5},
               COLLAPSE: {9_400: 50}},
}
# fmt: on


def _curves(percent: int, runs) -> tuple[Curve, ...]:
    return tuple(
        Curve(run=runs[bits], label=f"float{bits}", published=PUBLISHED[percent, bits])
        for bits in BITS
    )


FIGURE = Figure(
    id="9",
    title="Softmax collapse under SGD",
    claim=(
        "Under SGD with the learning rate over the gradient norm collapse also sets in earlier for"
        " float16 than float32 than float64, and ends generalization there."
    ),
    panels=(
        *(
            Panel(
                id=f"9{letter}",
                title=f"{percent} % training data",
                kind="collapse",
                curves=_curves(percent, NORMED_RUNS[percent]),
                corrected="epochs / 5",
            )
            for letter, percent in (("a", 40), ("b", 60), ("c", 70))
        ),
        Panel(
            id="9 Euclidean",
            letter="a′",
            title="40 %, Euclidean norm",
            kind="collapse",
            curves=_curves(40, EUCLIDEAN_RUNS),
            corrected="epochs / 5",
        ),
    ),
    checks=CLAIMS,
)
