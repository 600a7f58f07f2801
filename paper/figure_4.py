"""Figure 4: StableMax groks without regularization; binary codes.

Left and middle: the published command lines. Right has none.

Stated: random binary codes "of dimension 14", about 1,000 epochs.
Ours: AdamW lr 0.005, softmax float32, 40 %.

Tried for 4 right (mod 113, AdamW lr 0.005, with biases, as the authors build this network):

| codes | share | training | test |
|---|---|---|---|
| random, 7 bits each (14 inputs) | 70 % | 43 % at epoch 150, 99.7 % at 600 | at most 0.4 % from 150 on |
| random, 14 bits each (28 inputs) | 70 % | 55 % at 150, 100 % at 450 | at most 0.3 % from 150 on |
| binary numbers, 7 bits each | 70 % | 79 % at 50, 99.9 % at 100 | 67 % at 50, 98.6 % at 100, 99.3 % at 600 |
| binary numbers, 7 bits each | 40 % | 92 % at 62, 100 % at 124 | 69 % at 62, 94 % at 124 |

So test follows training on the binary numbers in their order (by at most 29 points, to 97 %, at
the published 40 %), which is what the authors' task class makes unless told to shuffle, and does
not rise on random codes of either reading. All three are drawn, at the paper's usual 40 %. Mod
59, 70 %, AdamW lr 0.001, 1,000 epochs, random: training 100 % by epoch 400 with 7 bits and by 300
with 14, test at most 0.4 %.
"""

from dataclasses import replace

from experiment.claim import PICTURE, Claim, Within, at_least, at_most, below, between, rising
from experiment.figure import Curve, Figure, Panel, Run, declare
from experiment.quantity import NORM, TEST, TRAIN, at, first, fitted, largest, largest_gap, over
from paper.settings import ADD_STABLEMAX, MLP, OVERFITTED, PARITY, QUICK_STABLEMAX, STABLEMAX

PRODUCT_STABLEMAX = Run(
    name="product_stablemax",
    config=replace(STABLEMAX, binary_operation="product_mod"),
    quick=replace(QUICK_STABLEMAX, binary_operation="product_mod"),
)
PARITY_STABLEMAX = Run(
    name="parity_stablemax",
    config=PARITY,
    quick=replace(PARITY, num_noise_features=20, num_epochs=8_000, log_frequency=100),
)

CODES = replace(MLP, lr=0.005, num_epochs=1_000, log_frequency=10)
_QUICK_CODES = {"modulo": 97, "num_epochs": 500}
ADD_TWO_HOT = declare("add_adamw_lr5e3_long", CODES, _QUICK_CODES)
BINARY_RUNS = {
    bits: declare(
        f"binary_add_adamw_{bits}bits",
        CODES,
        _QUICK_CODES,
        dataset="binary_alg",
        random_codes=True,
        code_bits=bits,
    )
    for bits in (7, 14)
}
# What the authors' task class does unless told otherwise: the binary numbers in their order.
BINARY_ORDERED = replace(CODES, dataset="binary_alg", code_bits=7)
BINARY_ADD_ORDERED = declare("binary_add_adamw_ordered", BINARY_ORDERED, _QUICK_CODES)


def norm_growth(run):
    words = "weight norm at 95,000 over that at 0"
    return over(at(run, NORM, 95_000), at(run, NORM, 0), words)


CLAIMS = (
    Claim(
        panel="4 left",
        words="StableMax groks the product: half of the test set",
        paper="50 % at 53,000; a re-run of others the same",
        source=f"Fig. 4 left, {PICTURE}",
        checks=(Within(first(PRODUCT_STABLEMAX, TEST, 0.5), between(35_000, 75_000)),),
    ),
    Claim(
        panel="4 left",
        words="Addition is generalized by the end of figure 4",
        paper="99.4 % at 95,000",
        source=f"Fig. 4 left, {PICTURE}",
        checks=(Within(at(ADD_STABLEMAX, TEST, 95_000), at_least(0.97)),),
        remark="Three seeds were run, the runs of figure 1b: 99.2, 97.6 and 96.3 % by 95,000. The"
        " one that misses 97 % grokked last, has 95 % by 88,500 and is still rising.",
    ),
    Claim(
        panel="4 left",
        words="The product is generalized by the end of figure 4",
        paper="99 % at 95,000",
        source=f"Fig. 4 left, {PICTURE}",
        checks=(Within(at(PRODUCT_STABLEMAX, TEST, 95_000), at_least(0.95)),),
    ),
    Claim(
        panel="4 left",
        words="Addition is grokked before the product",
        paper="50 % at 34,500 and 53,000",
        source=f"Fig. 4 left, {PICTURE}",
        checks=rising(
            {
                "addition": first(ADD_STABLEMAX, TEST, 0.5),
                "product": first(PRODUCT_STABLEMAX, TEST, 0.5),
            }
        ),
    ),
    Claim(
        panel="4 left",
        words="Sparse parity is generalized (its time is known to be unstable)",
        paper="96 % at 15,000, 100 % from 25,000; 100 % at 70,000 in a re-run of others",
        source=f"Fig. 4 left, {PICTURE}",
        checks=(Within(first(PARITY_STABLEMAX, TEST, 0.95), at_most(100_000)),),
    ),
    Claim(
        panel="4 left",
        words="Sparse parity is grokked: fitted first, generalized later",
        paper="test accuracy 52 % at the start (chance), training 100 % at the first logged epoch",
        source=f"Fig. 4 left, {PICTURE}",
        checks=(
            Within(
                at(PARITY_STABLEMAX, TEST, fitted(PARITY_STABLEMAX)),
                below(0.75),
            ),
        ),
    ),
    Claim(
        panel="4 middle",
        words="The weight norm of the modular tasks at the end is the published one, within a"
        " quarter",
        paper="addition 32,100, product 33,400 (the picture's labels are swapped)",
        source=f"Fig. 4 middle, {PICTURE}",
        checks=(
            Within(at(ADD_STABLEMAX, NORM, 95_000), between(24_075, 40_125), "addition"),
            Within(at(PRODUCT_STABLEMAX, NORM, 95_000), between(25_050, 41_750), "product"),
        ),
    ),
    Claim(
        panel="4 middle",
        words="The weight norm grows substantially while the modular tasks are grokked",
        paper="from about 13 to 33,000: 2,500 times",
        source=f"Fig. 4 middle, {PICTURE}",
        checks=(
            Within(norm_growth(ADD_STABLEMAX), at_least(100), "addition"),
            Within(norm_growth(PRODUCT_STABLEMAX), at_least(100), "product"),
        ),
    ),
    Claim(
        panel="4 middle",
        words="The weight norm grows while sparse parity is grokked, but much less",
        paper="2,500 at 95,000, a tenth of the others",
        source=f"Fig. 4 middle, {PICTURE}",
        checks=(
            Within(norm_growth(PARITY_STABLEMAX), at_least(10)),
            Within(at(PARITY_STABLEMAX, NORM, 95_000), at_most(10_000), "norm"),
        ),
    ),
    Claim(
        panel="4 right",
        words="On compact random binary codes training and test accuracy rise together",
        paper="together; no number",
        source="Sec. 4.1; settings ours",
        checks=tuple(
            Within(largest_gap(run, TRAIN, TEST), at_most(OVERFITTED), f"{bits} bits")
            for bits, run in BINARY_RUNS.items()
        ),
        remark="Random codes of 7 and of 14 bits were tried with 40 and 70 % of the pairs, at lr"
        " 0.005 and 0.001. The network memorizes them whatever their length; the two"
        " accuracies rise together on the binary numbers in their order alone, which the"
        " authors' task class makes unless it is told to shuffle.",
    ),
    Claim(
        panel="4 right",
        words="On compact random binary codes the network generalizes without regularization",
        paper="generalizes; no number",
        source="Sec. 4.1; settings ours",
        checks=tuple(
            Within(largest(run, TEST), at_least(0.95), f"{bits} bits")
            for bits, run in BINARY_RUNS.items()
        ),
        remark="The same runs were followed to 1,000 epochs, with 40 and with 70 % of the pairs."
        " Test accuracy stays at chance, so that either the paper's codes were the ordered"
        " ones of the authors' task class or its settings were not ours.",
    ),
    Claim(
        panel="4 right",
        words="On binary numbers, as the authors' code has them, both accuracies rise together",
        paper="together; no number",
        source="Sec. 4.1; their task class, which shuffles no codes unless told; settings ours",
        checks=(Within(largest_gap(BINARY_ADD_ORDERED, TRAIN, TEST), at_most(OVERFITTED)),),
    ),
    Claim(
        panel="4 right",
        words="On binary numbers the network generalizes without regularization",
        paper="generalizes; no number",
        source="Sec. 4.1; their task class, which shuffles no codes unless told; settings ours",
        checks=(Within(largest(BINARY_ADD_ORDERED, TEST), at_least(0.95)),),
    ),
    Claim(
        panel="4 right",
        words="On two-hot input the same network overfits: training accuracy runs ahead",
        paper="overfits; no number",
        source="Sec. 4.1; settings ours",
        checks=(Within(largest_gap(ADD_TWO_HOT, TRAIN, TEST), at_least(OVERFITTED)),),
    ),
)

_BINARY = Panel(
    id="4 right",
    title="Binary codes, addition mod 113",
    kind="accuracy",
    curves=(
        Curve(run=ADD_TWO_HOT, label="two-hot, 226 inputs"),
        Curve(run=BINARY_RUNS[7], label="random, 7 bits each"),
        Curve(run=BINARY_RUNS[14], label="random, 14 bits each"),
        Curve(run=BINARY_ADD_ORDERED, label="binary numbers, 7 bits each"),
    ),
    text=(
        "Both readings of the paper's random binary vectors 'of dimension 14', and the binary"
        " numbers themselves, as the authors' task class has them."
    ),
)
# fmt: off
_FITTED = {5_000: 100, 25_000: 100, 50_000: 100, 75_000: 100, 95_000: 100}
PUBLISHED = {
    "addition": {
        TRAIN: _FITTED,
        TEST: {0: 0.8, 5_000: 0.5, 10_000: 1.1, 15_000: 2.7, 20_000: 6, 25_000: 14, 30_000: 29,
               35_000: 52, 40_000: 73, 45_000: 87, 50_000: 94, 60_000: 97.5, 75_000: 98.5,
               95_000: 99.4},
        NORM: {5_000: 500, 20_000: 900, 30_000: 1_600, 40_000: 2_900, 50_000: 5_100, 60_000: 8_800,
               65_000: 11_700, 70_000: 15_400, 75_000: 20_000, 80_000: 25_300, 85_000: 29_100,
               90_000: 31_000, 95_000: 32_200},
    },
    "product": {
        TRAIN: _FITTED,
        TEST: {5_000: 1.9, 20_000: 2.2, 30_000: 4, 35_000: 6.5, 40_000: 12, 45_000: 23, 50_000: 39,
               55_000: 59, 60_000: 76, 65_000: 86, 70_000: 92.5, 80_000: 97, 95_000: 99},
        NORM: {40_000: 3_200, 50_000: 5_500, 60_000: 9_500, 65_000: 12_500, 70_000: 16_300,
               75_000: 21_000, 80_000: 26_500, 85_000: 30_300, 90_000: 32_200, 95_000: 33_500},
    },
    "parity": {
        TRAIN: _FITTED,
        TEST: {0: 52, 5_000: 82, 10_000: 91, 15_000: 96, 20_000: 98.5, 25_000: 100, 50_000: 100,
               75_000: 100, 95_000: 100},
        NORM: {0: 0, 20_000: 300, 30_000: 500, 40_000: 800, 50_000: 1_300, 60_000: 1_900,
               70_000: 2_200, 80_000: 2_400, 95_000: 2_500},
    },
}
# fmt: on
_STABLEMAX_TASKS = (
    Curve(run=ADD_STABLEMAX, label="addition mod 113", published=PUBLISHED["addition"]),
    Curve(run=PRODUCT_STABLEMAX, label="product mod 113", published=PUBLISHED["product"]),
    Curve(run=PARITY_STABLEMAX, label="sparse parity", published=PUBLISHED["parity"]),
)
FIGURE = Figure(
    id="4",
    title="StableMax groks without regularization",
    claim=(
        "StableMax groks addition, product and sparse parity while the weight norm grows; on binary"
        " codes training and test accuracy rise together without it."
    ),
    panels=(
        Panel(id="4 left", title="Accuracy", kind="accuracy", curves=_STABLEMAX_TASKS),
        Panel(
            id="4 middle",
            title="Weight norm",
            kind="weight_norm",
            curves=_STABLEMAX_TASKS,
            corrected="addition and product swapped",
        ),
        _BINARY,
    ),
    checks=CLAIMS,
)
