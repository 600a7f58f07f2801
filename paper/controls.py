"""Controls: what users of the authors' code asked in its issues, and 2b as a CPU computes it."""

from dataclasses import replace

from experiment.claim import Claim, Within, at_most, below, between, rising
from experiment.figure import Curve, Figure, Panel, Run, declare
from experiment.quantity import TEST, TRAIN, at, first, fitted, largest, over, smallest
from paper.figure_1 import ADD_ORTHOADAMW, ORTHOADAMW
from paper.figure_2 import COLLAPSE_RUNS
from paper.figure_6 import ADD_ADAMW_LR5E3, ADD_ORTHOADAMW_LR5E3, SHORT
from paper.settings import ISSUES, MLP, PARITY

_SOFTMAX64 = replace(MLP, softmax_precision=64)
_QUICK_SOFTMAX64 = {"modulo": 59, "train_fraction": 0.8, "num_epochs": 4_000, "log_frequency": 50}
ADD_SOFTMAX64_LONG = declare(
    "add_softmax64_long", _SOFTMAX64, _QUICK_SOFTMAX64 | {"num_epochs": 8_000}, num_epochs=200_000
)
ADD_SOFTMAX64_LR5E3 = declare("add_softmax64_lr5e3", _SOFTMAX64, _QUICK_SOFTMAX64, lr=0.005)
ADD_SOFTMAX64_BETA999 = declare("add_softmax64_beta999", _SOFTMAX64, _QUICK_SOFTMAX64, beta2=0.999)
_QUICK_ORTHO = {"modulo": 97, "num_epochs": 200}
ADD_ORTHOADAMW_STABLEMAX = declare(
    "add_orthoadamw_stablemax", ORTHOADAMW, _QUICK_ORTHO, loss_function="stablemax"
)
_INTENDED = {"orthogonal_gradients": True, "beta2": 0.99, "adam_epsilon": 1e-25}
ADD_ORTHOADAMW_INTENDED = declare("add_orthoadamw_intended", ORTHOADAMW, _QUICK_ORTHO, **_INTENDED)
ADD_ORTHOADAMW_LR5E3_INTENDED = declare(
    "add_orthoadamw_lr5e3_intended", SHORT, {"num_epochs": 400}, **_INTENDED
)
_COLLAPSE16 = COLLAPSE_RUNS[60, 16]
ADD_SOFTMAX16_60_CPU = Run(
    name="add_softmax16_60_cpu",
    config=replace(_COLLAPSE16.config, half_softmax="cpu"),
    quick=replace(_COLLAPSE16.quick, half_softmax="cpu"),
)

# Figure 4's tasks under the softmax of 1c, for 60,000 epochs: StableMax has 75 % of the product.
PRODUCT_SOFTMAX64 = declare(
    "product_softmax64",
    _SOFTMAX64,
    _QUICK_SOFTMAX64,
    binary_operation="product_mod",
    num_epochs=60_000,
)
PARITY_SOFTMAX64 = declare(
    "parity_softmax64",
    PARITY,
    {"num_noise_features": 20, "num_epochs": 4_000, "log_frequency": 100},
    loss_function="cross_entropy",
    softmax_precision=64,
    beta2=_SOFTMAX64.beta2,
    num_epochs=60_000,
)

CLAIMS = (
    Claim(
        panel="controls 1a",
        words="⊥AdamW works similarly well with StableMax",
        paper="similarly well (the arrow in Fig. 1 says StableMax); slower in a re-run of others",
        source=f"Fig. 1; {ISSUES}7",
        checks=(
            Within(first(ADD_ORTHOADAMW_STABLEMAX, TEST, 0.95), at_most(300), "generalizes"),
            Within(
                over(
                    first(ADD_ORTHOADAMW_STABLEMAX, TEST, 0.95),
                    first(ADD_ORTHOADAMW, TEST, 0.95),
                    "epochs to 95 % test accuracy over those of softmax",
                ),
                at_most(1.5),
                "over softmax",
            ),
        ),
        remark="Five seeds of StableMax were run at the rate of figure 1a, of which four have 95 %"
        " of the test set by 170 to 300 and one stalls at 90 %, and one seed at half that rate, not"
        " within 600, and at twice, by 120. At the same rate it is 1.4 to 2.5 times slower than"
        " softmax, at twice its rate as good.",
    ),
    Claim(
        panel="controls 1c",
        words="The softmax baseline of figure 1 groks when it is trained for longer",
        paper="by 200,000, through slingshots",
        source=f"{ISSUES}4",
        checks=(Within(first(ADD_SOFTMAX64_LONG, TEST, 0.5), between(80_000, 200_000)),),
        remark="One seed was run for 200,000 epochs, with a row every 500: training accuracy falls"
        " twice, to 28 and 61 % at 19,000 and 25,500, and test accuracy creeps up to 2.4 %. So there"
        " are slingshots (the equal run of 1c, to 80,000 on a CPU, has none), without the grokking that"
        " one user's run had after them; one seed of a chaotic event does not rule it out.",
    ),
    Claim(
        panel="controls 1c",
        words="The baseline's slingshots go away with lr 0.005: low by 80,000, too",
        paper="should go away",
        source=f"{ISSUES}4",
        checks=(
            Within(
                largest(ADD_SOFTMAX64_LR5E3, TEST, since=fitted(ADD_SOFTMAX64_LR5E3)), below(0.02)
            ),
        ),
    ),
    Claim(
        panel="controls 1c",
        words="With beta2 0.999 training accuracy falls at collapse and there is no grokking",
        paper="training and test accuracy collapse, no grokking",
        source=f"{ISSUES}4",
        checks=(
            Within(
                smallest(ADD_SOFTMAX64_BETA999, TRAIN, since=fitted(ADD_SOFTMAX64_BETA999)),
                at_most(0.9),
                "train",
            ),
            Within(
                largest(ADD_SOFTMAX64_BETA999, TEST, since=fitted(ADD_SOFTMAX64_BETA999)),
                below(0.02),
                "test",
            ),
        ),
    ),
    Claim(
        panel="controls 4",
        words="Softmax overfits the product, which StableMax groks",
        paper="at chance (0.88 %) where StableMax groks; no number of its own",
        source="Sec. 4.1; settings of 1c",
        checks=(
            Within(largest(PRODUCT_SOFTMAX64, TEST, since=fitted(PRODUCT_SOFTMAX64)), below(0.02)),
        ),
        remark="Three seeds were run for 60,000 epochs: 1.9, 2.2 and 2.5 % of the test set at most,"
        " where StableMax has 75 % by then. It stays near chance on each, two of them just above the"
        " bound.",
    ),
    Claim(
        panel="controls 4",
        words="Softmax overfits sparse parity, which StableMax groks",
        paper="at chance (50 %) where StableMax groks; no number of its own",
        source="Sec. 4.1; settings of 1c",
        checks=(
            Within(largest(PARITY_SOFTMAX64, TEST, since=fitted(PARITY_SOFTMAX64)), below(0.75)),
        ),
    ),
    Claim(
        panel="controls 6b",
        words="⊥AdamW of 6b ends lower with the betas and eps that were meant",
        paper="80 % against 85 % in re-runs of others",
        source=f"{ISSUES}11",
        checks=rising(
            {
                "as meant": at(ADD_ORTHOADAMW_LR5E3_INTENDED, TEST),
                "as published": at(ADD_ORTHOADAMW_LR5E3, TEST),
            }
        ),
        remark="Twenty seeds were run of each: they end between 80.5 and 100 % as meant (median 98.6)"
        " and between 82.6 and 100 % as published (median 99.6), lower as meant on twelve of twenty. An"
        " earlier run of equal flags, which rounded otherwise, ended 14 and 18 points from this one on"
        " two of the seeds, so that the 5 points between the re-runs of others say nothing.",
    ),
)

FIGURE = Figure(
    id="controls",
    title="Controls of figures 1, 2, 4 and 6",
    claim=(
        "The published runs differ from the text in the loss of 1a, in the optimizer settings of"
        " ⊥AdamW, and in the length and optimizer of the softmax baseline. Here each is varied."
    ),
    panels=(
        Panel(
            id="controls 1a",
            letter="",
            title="1a: loss and settings of ⊥AdamW",
            kind="accuracy",
            curves=(
                Curve(run=ADD_ORTHOADAMW, label="softmax, as in 1a"),
                Curve(run=ADD_ORTHOADAMW_INTENDED, label="softmax, intended betas and eps"),
                Curve(run=ADD_ORTHOADAMW_STABLEMAX, label="StableMax"),
            ),
            text="Issues 7 and 11 of the authors' repository.",
        ),
        Panel(
            id="controls 1c",
            letter="",
            title="1c: the softmax baseline",
            kind="collapse",
            curves=(
                Curve(run=ADD_SOFTMAX64_LONG, label="200,000 epochs"),
                Curve(run=ADD_SOFTMAX64_LR5E3, label="lr 0.005"),
                Curve(run=ADD_SOFTMAX64_BETA999, label="beta2 0.999"),
            ),
            text="Issue 4: it groks late, through slingshots, at these settings only.",
        ),
        Panel(
            id="controls 2b",
            letter="",
            title="2b: float16 on CUDA and on a CPU",
            kind="collapse",
            curves=(
                Curve(run=_COLLAPSE16, label="CUDA"),
                Curve(run=ADD_SOFTMAX16_60_CPU, label="CPU"),
            ),
            text="torch on a CPU rounds the sum of a float16 softmax, too.",
        ),
        Panel(
            id="controls 4",
            letter="",
            title="4: softmax on product and parity",
            kind="collapse",
            curves=(
                Curve(run=PRODUCT_SOFTMAX64, label="product mod 113"),
                Curve(run=PARITY_SOFTMAX64, label="sparse parity"),
            ),
            text="What StableMax groks in figure 4, under the softmax of 1c.",
        ),
        Panel(
            id="controls 6b",
            letter="",
            title="6b: settings of ⊥AdamW",
            kind="accuracy",
            curves=(
                Curve(run=ADD_ORTHOADAMW_LR5E3, label="⊥AdamW, as in 6b"),
                Curve(run=ADD_ORTHOADAMW_LR5E3_INTENDED, label="⊥AdamW, intended betas and eps"),
                Curve(run=ADD_ADAMW_LR5E3, label="AdamW"),
            ),
            text="Issue 11; --seeds 42,43,44,45,46 for issue 10.",
        ),
    ),
    checks=CLAIMS,
)
