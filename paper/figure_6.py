"""Figure 6: ⊥Grad generalizes without the delay.

6a and 6b: the published command lines, but for D1 and D2 (6a on subtraction, as the text says,
with the settings that the script has for addition). 6c has none.

Stated: SGD with weight decay.
Ours: lr 3, momentum 0.8, weight decay 3e-4, 60 %.

Tried for 6c (mod 59, 60 %, SGD):

| lr | momentum | weight decay | what it gave |
|---|---|---|---|
| 1 | 0 | 3e-4 | norm 12.8 to 52.1 at epoch 1,750 while the loss falls to 0.053; then both fall; test 10 % at 4,000 |
| 3 | 0.8 | 3e-4 | norm 64 at epoch 214, then both fall: loss 0.041 to 0.023, norm 64 to 38 at 1,500; test 100 % at 856 |
"""

from dataclasses import replace

from configuration.config import RunConfig
from experiment.claim import PICTURE, TEXT, Claim, Within, at_least, at_most, below, between, rising
from experiment.figure import Curve, Figure, Panel, Run, declare
from experiment.quantity import (
    COLLAPSE,
    NORM,
    TEST,
    TRAIN,
    at,
    delay,
    epoch_of_largest,
    first,
    fitted,
    largest,
    largest_gap,
    over,
)
from paper.settings import EFFECTIVE, MLP, OVERFITTED, SGD

SHORT = replace(MLP, lr=0.005, num_epochs=500, log_frequency=10)
ADD_ADAMW_LR5E3 = Run(name="add_adamw_lr5e3", config=SHORT, quick=replace(SHORT, num_epochs=400))
ADD_ORTHOADAMW_LR5E3 = Run(
    name="add_orthoadamw_lr5e3",
    config=replace(SHORT, **EFFECTIVE),
    quick=replace(SHORT, num_epochs=400, **EFFECTIVE),
)
ORTHOSGD = replace(
    SHORT,
    optimizer="SGD",
    orthogonal_gradients=True,
    momentum=0.8,
    loss_function="stablemax",
    lr=10.0,
    train_precision=64,
    softmax_precision=64,
)
ADD_ORTHOSGD = Run(name="add_orthosgd", config=ORTHOSGD, quick=replace(ORTHOSGD, num_epochs=450))

# The authors' encoder on their token grid 1..112 (D7): 12,544 pairs.
TRANSFORMER = RunConfig(
    use_transformer=True,
    exclude_zero=True,
    lr=0.001,
    train_fraction=0.4,
    num_epochs=5_000,
    log_frequency=50,
)
QUICK_TRANSFORMER = replace(
    TRANSFORMER, modulo=97, train_fraction=0.5, ff_dim=256, num_epochs=1_400, log_frequency=20
)


def _transformer_run(operation: str, method: str, **change) -> Run:
    change["binary_operation"] = f"{operation}_mod"
    return Run(
        name=f"{operation.replace('subtract', 'sub')}_transformer_{method}",
        config=replace(TRANSFORMER, **change),
        quick=replace(QUICK_TRANSFORMER, **change),
    )


ADD_SGD_L2 = declare(
    "add_sgd_l2",
    SGD,
    {"modulo": 59, "num_epochs": 4_000, "log_frequency": 10},
    lr=3.0,
    weight_decay=3e-4,
    train_fraction=0.6,
    log_frequency=20,
)

TRANSFORMER_RUNS = {
    operation: {
        "orthoadamw": _transformer_run(operation, "orthoadamw", **EFFECTIVE),
        "adamw": _transformer_run(operation, "adamw"),
        "adamw_wd": _transformer_run(operation, "adamw_wd", weight_decay=1.5),
    }
    for operation in ("subtract", "add")
}

PEAK = epoch_of_largest(ADD_SGD_L2, NORM)  # the L2 term is a constant times the norm's square

SCALED = "epochs as corrected: the picture's axis is 2.5 times too long"


def _transformer_claims(operation, runs):
    panel = f"6a {operation}"
    ortho, plain, decayed = runs.values()
    picture = f"Fig. 6a, {PICTURE}; {SCALED}"
    return (
        Claim(
            panel=panel,
            words="⊥AdamW generalizes before AdamW with weight decay",
            paper="87 % at 400 and 98.8 % at 600; with weight decay 93 % at 1,200, 100 % at 1,400",
            source=picture,
            checks=rising(
                {
                    "⊥AdamW": first(ortho, TEST, 0.95),
                    "AdamW, weight decay": first(decayed, TEST, 0.95),
                }
            ),
        ),
        Claim(
            panel=panel,
            words="⊥AdamW generalizes within a few hundred epochs",
            paper="87 % at 400, 98.8 % at 600",
            source=picture,
            checks=(Within(first(ortho, TEST, 0.95), at_most(1_000)),),
        ),
        Claim(
            panel=panel,
            words="AdamW with weight decay groks",
            paper="8 % at 800, 93 % at 1,200, 100 % at 1,400",
            source=picture,
            checks=(Within(first(decayed, TEST, 0.95), between(800, 2_000)),),
        ),
        Claim(
            panel=panel,
            words="AdamW alone stays at chance as far as the picture goes",
            paper="at most 0.4 % by 2,000",
            source=picture,
            checks=(Within(largest(plain, TEST, since=fitted(plain), until=2_000), below(0.02)),),
        ),
        Claim(
            panel=panel,
            words="⊥AdamW hardly overfits first: its delay is at most half of that under weight decay",
            paper="not at all in the text; in the picture about 340 epochs against 1,060, and test"
            " accuracy 1 % when training is at 100 %",
            source=f"{TEXT}; {picture}",
            checks=(
                Within(
                    over(
                        delay(ortho, 0.95),
                        delay(decayed, 0.95),
                        "epochs from 95 % train to 95 % test accuracy, ⊥AdamW over weight decay",
                    ),
                    at_most(0.5),
                ),
            ),
        ),
        Claim(
            panel=panel,
            words="⊥AdamW suppresses the collapse that AdamW alone runs into",
            paper="suppressed; no number",
            source=f"{TEXT}: without naive loss minimization no collapse",
            checks=(
                Within(largest(ortho, COLLAPSE), at_most(0.01), "⊥AdamW"),
                Within(largest(plain, COLLAPSE), at_least(0.5), "AdamW"),
            ),
        ),
    )


CLAIMS = (
    *_transformer_claims("subtraction", TRANSFORMER_RUNS["subtract"]),
    *_transformer_claims("addition", TRANSFORMER_RUNS["add"]),
    Claim(
        panel="6b",
        words="AdamW fits the training set and stays at chance",
        paper="0.1 %, with 100 % training accuracy by 80",
        source=f"Fig. 6b, {PICTURE}",
        checks=(
            Within(
                largest(ADD_ADAMW_LR5E3, TEST, since=first(ADD_ADAMW_LR5E3, TRAIN, 0.99)),
                below(0.02),
            ),
        ),
    ),
    Claim(
        panel="6b",
        words="⊥SGD generalizes within 400 iterations",
        paper="100 %; 99 % in the picture",
        source=f"{TEXT}; Fig. 6b, {PICTURE}",
        checks=(Within(at(ADD_ORTHOSGD, TEST, 400), at_least(0.98)),),
        remark="Twenty seeds were run with the published flags: six have 98 % by 400, eleven end above"
        " 99 %, nine at 66 to 98 %. The published curve is one seed of a method whose pace and end"
        " depend on the seed.",
    ),
    Claim(
        panel="6b",
        words="⊥SGD has no phase of overfitting",
        paper="95 % training accuracy at 305, test at 360",
        source=f"{TEXT}; Fig. 6b, {PICTURE}",
        checks=(Within(delay(ADD_ORTHOSGD, 0.95), at_most(75)),),
        remark="Twenty seeds were run with the published flags: ten have delays of 0 to 70 epochs, two"
        " of 80 and 160, and eight stall at 66 to 94 % of the test set with the training set fitted."
        " The published delay, 55 epochs, is among the first; two seeds in five do overfit.",
    ),
    Claim(
        panel="6b",
        words="⊥AdamW rises early",
        paper="47 % at 120, 88 % at 160",
        source=f"Fig. 6b, {PICTURE}",
        checks=(Within(first(ADD_ORTHOADAMW_LR5E3, TEST, 0.5), between(80, 180)),),
    ),
    Claim(
        panel="6b",
        words="⊥AdamW generalizes",
        paper="98.9 % at the end; 85 % and 80 % in re-runs of others",
        source=f"Fig. 6b, {PICTURE}",
        checks=(Within(at(ADD_ORTHOADAMW_LR5E3, TEST), at_least(0.97)),),
        remark="Twenty seeds were run with the effective settings and twenty with the intended ones:"
        " fourteen of each end above 97 %, six stall between 80 and 96 %. The published 98.9 % and the"
        " 85 and 80 % of others both lie in this range: the end depends on the seed.",
    ),
    Claim(
        panel="6b",
        words="⊥AdamW has no phase of overfitting: test accuracy stays near training accuracy",
        paper="99.5 % training against 98.9 % test at the end",
        source=f"{TEXT}; Fig. 6b, {PICTURE}",
        checks=(
            Within(largest_gap(ADD_ORTHOADAMW_LR5E3, TRAIN, TEST), at_most(OVERFITTED), "gap"),
            Within(delay(ADD_ORTHOADAMW_LR5E3, 0.95), at_most(75), "delay"),
        ),
        remark="Twenty seeds were run and judged by the largest gap on the way and by the delay:"
        " fourteen go from 95 % training to 95 % test accuracy in 0 to 30 epochs, six stall before. No"
        " seed overfits, as the gap is 36 points at most and only while both rise, but six do not"
        " finish.",
    ),
    Claim(
        panel="6b",
        words="⊥AdamW suppresses the growth of the weights that AdamW has",
        paper="suppressed; no number",
        source=f"{TEXT}: its steps are orthogonal to the weights",
        checks=(
            Within(
                over(
                    at(ADD_ORTHOADAMW_LR5E3, NORM),
                    at(ADD_ADAMW_LR5E3, NORM),
                    "weight norm at the end, ⊥AdamW over AdamW",
                ),
                at_most(0.5),
            ),
        ),
    ),
    Claim(
        panel="6c",
        words="SGD with weight decay: cross-entropy first falls at the cost of the L2 term",
        paper="falls, rises; no number",
        source=f"{TEXT}, Fig. 6c; settings ours",
        checks=(
            Within(
                over(
                    at(ADD_SGD_L2, NORM, PEAK), at(ADD_SGD_L2, NORM, 0), "largest norm over initial"
                ),
                at_least(1.05),
                "norm",
            ),
            Within(
                over(
                    at(ADD_SGD_L2, "train_loss", PEAK),
                    at(ADD_SGD_L2, "train_loss", 0),
                    "train loss at the largest norm over initial",
                ),
                at_most(0.1),
                "loss",
            ),
        ),
    ),
    Claim(
        panel="6c",
        words="SGD with weight decay: later cross-entropy and L2 term both fall",
        paper="both fall; no number",
        source=f"{TEXT}, Fig. 6c; settings ours",
        checks=(
            Within(
                over(
                    at(ADD_SGD_L2, NORM), at(ADD_SGD_L2, NORM, PEAK), "norm at the end over largest"
                ),
                at_most(0.9),
                "norm",
            ),
            Within(
                over(
                    at(ADD_SGD_L2, "train_loss"),
                    at(ADD_SGD_L2, "train_loss", PEAK),
                    "train loss at the end over that at the largest norm",
                ),
                below(1),
                "loss",
            ),
        ),
    ),
)


# fmt: off
# The text says subtraction, the published run is of addition.
_FITTED = {200: 100, 600: 100, 1_000: 100, 1_400: 100, 2_000: 100}
PUBLISHED_6A = {
    "orthoadamw": {TEST: {0: 0.8, 200: 1, 400: 88, 600: 98.5, 800: 100, 1_200: 100, 2_000: 100},
                   TRAIN: _FITTED},
    "adamw": {TEST: {200: 0.1, 600: 0.1, 1_000: 0.1, 1_400: 0.1, 1_800: 0.3}, TRAIN: _FITTED},
    "adamw_wd": {TEST: {600: 0.8, 800: 8, 1_000: 48, 1_200: 93, 1_400: 100, 2_000: 100},
                 TRAIN: _FITTED},
}
PUBLISHED_6B = {
    "adamw": {
        TRAIN: {0: 2, 20: 13, 60: 99, 80: 100, 200: 100, 480: 100},
        TEST: {0: 0.8, 20: 0.1, 100: 0.1, 200: 0.1, 300: 0.1, 400: 0.1, 480: 0.1},
    },
    "orthosgd": {
        TRAIN: {0: 1, 40: 3.5, 80: 4, 120: 6.5, 140: 9.5, 180: 10.5, 200: 10, 220: 12, 240: 19,
                260: 34, 280: 67, 300: 94, 320: 99.5},
        TEST: {140: 1.2, 200: 1.8, 240: 2.5, 260: 7, 280: 18, 300: 52, 320: 81, 340: 90, 360: 95,
               380: 97.5, 400: 99, 480: 100},
    },
    "orthoadamw": {
        TRAIN: {0: 2, 40: 9, 60: 16, 80: 23, 100: 36, 120: 64, 160: 92.5, 180: 97, 240: 99},
        TEST: {80: 0.3, 100: 6, 120: 47, 140: 68, 160: 88, 180: 94.5, 200: 96, 220: 97, 260: 98,
               340: 99, 480: 99},
    },
}
# fmt: on


def _transformer_panel(operation: str, title: str) -> Panel:
    runs = TRANSFORMER_RUNS[operation]
    published = PUBLISHED_6A if operation == "add" else {}  # its picture is of addition
    return Panel(
        id=f"6a {title}",
        letter="a" if operation == "subtract" else "a′",
        title=f"Transformer, {title} mod 113",
        kind="accuracy",
        curves=tuple(
            Curve(run=runs[method], label=label, published=published.get(method, {}))
            for method, label in (
                ("orthoadamw", "⊥AdamW"),
                ("adamw", "AdamW"),
                ("adamw_wd", "AdamW, weight decay 1.5"),
            )
        ),
        epochs=2_000,
        corrected="epochs / 2.5",
    )


FIGURE = Figure(
    id="6",
    title="⊥Grad generalizes without the delay",
    claim=(
        "⊥AdamW and ⊥SGD generalize at once where AdamW overfits and AdamW with weight decay groks"
        " late."
    ),
    panels=(
        _transformer_panel("subtract", "subtraction"),
        _transformer_panel("add", "addition"),
        Panel(
            id="6b",
            title="MLP, addition mod 113",
            kind="accuracy",
            curves=(
                Curve(run=ADD_ADAMW_LR5E3, label="AdamW", published=PUBLISHED_6B["adamw"]),
                Curve(
                    run=ADD_ORTHOSGD,
                    label="⊥SGD, StableMax float64",
                    published=PUBLISHED_6B["orthosgd"],
                ),
                Curve(
                    run=ADD_ORTHOADAMW_LR5E3, label="⊥AdamW", published=PUBLISHED_6B["orthoadamw"]
                ),
            ),
        ),
        Panel(
            id="6c",
            title="SGD, weight decay: loss, L2 term",
            kind="loss_and_l2",
            curves=(Curve(run=ADD_SGD_L2, label="SGD, weight decay"),),
            text="First the loss falls at the cost of the L2 term, then both fall.",
        ),
    ),
    checks=CLAIMS,
)
