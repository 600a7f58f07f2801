"""Figure 1: from overfitting to grokking to generalization.

Settings: those of the published command lines, but for D2 and D14.
"""

from dataclasses import replace

from experiment.claim import PICTURE, TEXT, Claim, Within, at_least, at_most, below, between
from experiment.figure import Curve, Figure, Panel, Run
from experiment.quantity import (
    COLLAPSE,
    TEST,
    TRAIN,
    at,
    delay,
    first,
    fitted,
    largest,
    over,
    smallest,
)
from paper.settings import ADD_STABLEMAX, EFFECTIVE, MLP, QUICK_MLP

ADD_SOFTMAX64 = Run(
    name="add_softmax64",
    config=replace(MLP, softmax_precision=64),
    quick=replace(QUICK_MLP, softmax_precision=64),
)
ORTHOADAMW = replace(MLP, **EFFECTIVE, num_epochs=300, log_frequency=10)
ADD_ORTHOADAMW = Run(
    name="add_orthoadamw", config=ORTHOADAMW, quick=replace(ORTHOADAMW, num_epochs=200)
)

CLAIMS = (
    Claim(
        panel="1a",
        words="⊥AdamW reaches 100 % test accuracy at once",
        paper="95 % at epoch 110, 100 % at 120",
        source=f"Fig. 1a, {PICTURE}",
        checks=(Within(first(ADD_ORTHOADAMW, TEST, 0.99), at_most(150)),),
    ),
    Claim(
        panel="1a",
        words="⊥AdamW fits the training set at the same time",
        paper="100 % at epoch 110",
        source=f"Fig. 1a, {PICTURE}",
        checks=(Within(first(ADD_ORTHOADAMW, TRAIN, 0.99), at_most(150)),),
    ),
    Claim(
        panel="1a",
        words="There is no delay between training and test accuracy",
        paper="no delay; about 10 epochs",
        source=f"{TEXT}; Fig. 1a, {PICTURE}",
        checks=(Within(delay(ADD_ORTHOADAMW, 0.95), at_most(30)),),
    ),
    Claim(
        panel="1b",
        words="StableMax first fits the training set",
        paper="100 % at the first logged epoch, 5,000",
        source=f"Fig. 1b, {PICTURE}",
        checks=(Within(fitted(ADD_STABLEMAX), at_most(5_000)),),
    ),
    Claim(
        panel="1b",
        words="The test accuracy is at chance when the training set is fitted",
        paper="about 1 % (chance: 0.88 %)",
        source=f"Fig. 1b, {PICTURE}",
        checks=(Within(at(ADD_STABLEMAX, TEST, fitted(ADD_STABLEMAX)), below(0.02)),),
    ),
    Claim(
        panel="1b",
        words="StableMax groks late: half of the test set",
        paper="50 % at 34,500; a re-run of others 34,800; the teaser picture 46,000",
        source=f"Fig. 1b, {PICTURE}",
        checks=(Within(first(ADD_STABLEMAX, TEST, 0.5), between(25_000, 50_000)),),
        remark="Three seeds were run: the published one, 42, has half of the test set by 35,000 and"
        " lies on the published curve, 43 and 44 have it by 51,500 and 52,500. All grok late; how"
        " late depends on the seed.",
    ),
    Claim(
        panel="1b",
        words="StableMax generalizes within figure 1",
        paper="98.5 % at 75,000; the teaser picture 97 %",
        source=f"Fig. 1b, {PICTURE}",
        checks=(Within(at(ADD_STABLEMAX, TEST, 75_000), at_least(0.95)),),
        remark="The same three seeds: 98.4, 92.4 and 88.2 % by 75,000, and 95 % by 51,500, 82,000"
        " and 88,500. All generalize; that it is done within the picture is one seed's.",
    ),
    Claim(
        panel="1b",
        words="StableMax prevents collapse within figure 1: the mean of its loss terms stays above"
        " what float64 absorbs (2⁻⁵³)",
        paper="no collapse",
        source="Sec. 4.1",
        checks=(Within(smallest(ADD_STABLEMAX, "train_loss", until=80_000), at_least(2**-53)),),
    ),
    Claim(
        panel="1c",
        words="Softmax overfits: the training set is fitted, the test accuracy low by 80,000",
        paper="0.4 to 0.9 % (chance: 0.88 %)",
        source=f"Fig. 1c, {PICTURE}",
        checks=(
            Within(
                largest(ADD_SOFTMAX64, TEST, since=fitted(ADD_SOFTMAX64), until=80_000),
                below(0.02),
            ),
        ),
    ),
    Claim(
        panel="1c",
        words="The softmax of this baseline collapses: half of the training set and more",
        paper="the reason given for 1c; 40 % at 7,000 in figure 2a",
        source=TEXT,
        checks=(Within(first(ADD_SOFTMAX64, COLLAPSE, 0.5), at_most(80_000)),),
    ),
    Claim(
        panel="1",
        words="⊥AdamW takes the delay of StableMax away",
        paper="50,000 against 110 epochs to 95 %: 450 times",
        source=f"Fig. 1a and 1b, {PICTURE}",
        checks=(
            Within(
                over(
                    first(ADD_STABLEMAX, TEST, 0.95),
                    first(ADD_ORTHOADAMW, TEST, 0.95),
                    "epochs to 95 % test accuracy, StableMax over ⊥AdamW",
                ),
                at_least(100),
            ),
        ),
    ),
)

# fmt: off
# The published axis counts fractions under "%".
PUBLISHED = {
    "1a": {
        TRAIN: {0: 1.5, 20: 9, 40: 23, 60: 36, 70: 45, 80: 59, 90: 75, 100: 92, 110: 100, 200: 100},
        TEST: {0: 0.9, 40: 0.1, 60: 0.3, 70: 0.8, 80: 4, 90: 20, 100: 63, 110: 95, 120: 100,
               200: 100, 290: 100},
    },
    "1b": {
        TRAIN: {0: 0.9, 5_000: 100, 25_000: 100, 50_000: 100, 75_000: 100},
        TEST: {0: 0.7, 5_000: 0.4, 10_000: 0.9, 15_000: 2.4, 20_000: 6, 25_000: 14, 30_000: 29,
               35_000: 52, 40_000: 73, 45_000: 87, 50_000: 94, 60_000: 98, 75_000: 98.5},
    },
    "1c": {
        TRAIN: {0: 0.9, 5_000: 100, 25_000: 100, 50_000: 100, 75_000: 100},
        TEST: {0: 0.9, 5_000: 0.4, 15_000: 0.5, 25_000: 0.5, 35_000: 0.7, 45_000: 0.5, 55_000: 0.7,
               65_000: 0.7, 75_000: 0.7},
    },
}
# fmt: on

FIGURE = Figure(
    id="1",
    title="From overfitting to grokking to generalization",
    claim=(
        "Without regularization AdamW on softmax overfits (c); StableMax turns that into grokking"
        " (b); ⊥AdamW removes the delay (a)."
    ),
    panels=(
        Panel(
            id="1a",
            title="Generalization (⊥AdamW)",
            kind="accuracy",
            curves=(Curve(run=ADD_ORTHOADAMW, label="⊥AdamW, softmax", published=PUBLISHED["1a"]),),
        ),
        Panel(
            id="1b",
            title="Grokking (AdamW, StableMax)",
            kind="accuracy",
            curves=(Curve(run=ADD_STABLEMAX, label="AdamW, StableMax", published=PUBLISHED["1b"]),),
            epochs=80_000,
        ),
        Panel(
            id="1c",
            title="Overfitting (AdamW, softmax)",
            kind="accuracy",
            curves=(
                Curve(run=ADD_SOFTMAX64, label="AdamW, softmax float64", published=PUBLISHED["1c"]),
            ),
        ),
    ),
    checks=CLAIMS,
)
