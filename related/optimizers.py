"""AdamW with weight decay and Adam generalize from the least data, SGD needs the most.

System 001, plot_fig2: the best test accuracy within 10,000 epochs under six optimizers. Ours: both
Adam arms decay by 1e-4 (R5) and SGD as much (R19), all norms and biases spared (R16), warm-up is
linear (R3). At the CPU size orders are held to, and few numbers: it has smaller batches and fewer
updates.
"""

from dataclasses import replace

from experiment.claim import Claim, Less, Within, at_least, below, rising
from experiment.figure import Curve, Figure, Panel, Run
from experiment.quantity import show
from related.presets import FRACTIONS, PKU, PKU_ARMS, warmed_run
from related.quantities import best

_NAMES = ("sgd", "sgd_momentum", "adam", "adamw", "adam_lr1e4", "adamw_dropout")
ARMS = dict(zip(_NAMES, PKU_ARMS, strict=True))
# Nothing beats a test accuracy of 1. The budget is theirs: 10,000 epochs.
_BEST = replace(
    PKU, num_steps=None, num_epochs=10_000, log_every=200, stop_at="test_accuracy", stop_level=1.0
)
# Smaller batches, not a smaller modulus: below p = 97 nothing generalizes from 30 % in this time.
_CPU = {
    "batch_size": 128,
    "num_epochs": 1_500,  # the default, unread: the budget is in updates
    "num_steps": 5_000,
    "log_every": 100,
}
_QUICK = _CPU | {"modulo": 23, "batch_size": 64, "num_steps": 600, "log_every": 25}


def _run(arm: str, percent: int) -> Run:
    # SGD is slow at lr 0.001, and here are fewer updates.
    small = {"lr": 0.1} if arm.startswith("sgd") else {}
    return warmed_run(
        f"add_pku_{arm}_{percent}",
        replace(_BEST, train_fraction=percent / 100, **PKU_ARMS[ARMS[arm]]),
        _QUICK | small if percent in (50, 70) else None,
        cpu=_CPU | small if percent in (30, 50, 70) else None,
    )


RUNS = {(arm, percent): _run(arm, percent) for arm in ARMS for percent in FRACTIONS}

# Published best test accuracies of SGD, by percent of the pairs.
SGD = {30: 0.0398, 40: 0.1018, 50: 0.8942, 60: 0.9995, 70: 1}
SOURCE = "001, plot_fig2, best accuracy within 10,000 epochs"
SMALL = (
    f"{SOURCE}; held to at the CPU size: smaller batches, 5,000 updates, SGD at lr 0.1, the one of"
    " 0.02, 0.1 and 0.3 that was taken after a look at what it learns"
)


def _sgd(*percents: int) -> str:
    accuracies = ", ".join(show(SGD[p], "percent") for p in percents)
    return f"{accuracies} at {', '.join(map(str, percents))} %"


def _best(arm: str, percent: int):
    return best(RUNS[arm, percent])


SGD_LEARNS = Within(_best("sgd", 70), at_least(0.5), "SGD, 70 %")  # else the others say nothing


CLAIMS = (
    Claim(
        panel="optimizers",
        words="AdamW with weight decay 1 and Adam generalize from half of the pairs on",
        paper="100 % from 20 % of the pairs on",
        source=SMALL,
        checks=tuple(
            Within(_best(arm, p), at_least(0.99), f"{label} {p} %")
            for arm, label in (("adamw", "AdamW"), ("adam", "Adam"))
            for p in (50, 70)
        ),
        size="cpu",
        remark="The CPU size has 5,000 updates: Adam with 50 % has fitted the training set by"
        " 1,400, and its test accuracy is at 58.8 % and still rising when they end. The budget is"
        " too short for this one of the four; at the full size a run has 10,000 epochs.",
    ),
    Claim(
        panel="optimizers",
        words="AdamW generalizes at a fraction where SGD, with momentum or without, does not",
        paper=f"at 30 %: 100 % against {show(SGD[30], 'percent')} and 2.35 %",
        source=SMALL,
        checks=(
            Within(_best("adamw", 30), at_least(0.99), "AdamW"),
            Within(_best("sgd", 30), below(0.5), "SGD"),
            Within(_best("sgd_momentum", 30), below(0.5), "momentum"),
            SGD_LEARNS,
        ),
        size="cpu",
    ),
    Claim(
        panel="optimizers",
        words="SGD needs more data: its best accuracy rises with the fraction",
        paper=_sgd(30, 50, 70),
        source=SMALL,
        checks=(*rising({f"{p} %": _best("sgd", p) for p in (30, 50, 70)}), SGD_LEARNS),
        size="cpu",
    ),
    Claim(
        panel="optimizers",
        words="Momentum 0.9 does not help SGD",
        paper=f"63.51 % against {_sgd(50)}",
        source=SMALL,
        checks=(
            Less(("momentum", _best("sgd_momentum", 50)), ("SGD", _best("sgd", 50)), equal=True),
            SGD_LEARNS,
        ),
        size="cpu",
        remark="One seed of each was run for 5,000 updates at lr 0.1: with momentum, in effect ten"
        " times the rate, 50 % come to 99.8 % of the test set, without it to 19.8 %. In a"
        " twentieth of the published updates a larger rate is what helps, so that this says nothing"
        " of runs that have time for both.",
    ),
    Claim(
        panel="optimizers",
        words="A tenth of the learning rate and dropout 0.1 need more data than AdamW alone",
        paper="at 30 %: 2.40 % and 7.20 % against 100 %; at 50 % all 100 %",
        source=SMALL,
        checks=(
            *rising({"lr / 10, 30 %": _best("adam_lr1e4", 30), "AdamW, 30 %": _best("adamw", 30)}),
            *rising(
                {"dropout, 30 %": _best("adamw_dropout", 30), "AdamW, 30 %": _best("adamw", 30)}
            ),
            Within(_best("adam_lr1e4", 50), at_least(0.95), "lr / 10, 50 %"),
            Within(_best("adamw_dropout", 50), at_least(0.95), "dropout, 50 %"),
        ),
        size="cpu",
        remark="In the 5,000 updates of the CPU size a tenth of the rate fits 70 % of the training"
        " set at 50 % and no test set, and dropout comes to 100 % at 30 %, too, at update 5,000"
        " where plain AdamW does at 4,400. So dropout is later here, not worse, and for the small"
        " rate the budget is too short.",
    ),
)

FIGURE = Figure(
    id="optimizers",
    title="Best test accuracy under six optimizers",
    claim=(
        "AdamW with weight decay 1 and Adam generalize from 20 % of the data on; a tenth of the"
        " learning rate or dropout need 40 %, SGD 60 %."
    ),
    panels=(
        Panel(
            id="optimizers",
            title="Addition mod 97, best test accuracy in 10,000 epochs",
            kind="best_accuracy",
            curves=tuple(Curve(run=run, label=ARMS[arm]) for (arm, _), run in RUNS.items()),
        ),
    ),
    checks=CLAIMS,
)
