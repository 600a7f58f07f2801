"""Composition in S5 groks late from half of the pairs; from 30 % it takes far longer.

System 003, its second notebook. Ours: the run with 30 %, which 003 compares with and did not run
(R13), for the 100,000 updates of the first paper; layers that differ (R14) and one seed (R12).
"""

from experiment.claim import PICTURE, Claim, Within, at_least, below, between, rising
from experiment.figure import Curve, Figure, Panel, declare
from experiment.quantity import TEST, TRAIN, over
from related.presets import TOTH_S5
from related.quantities import best, near, span, step_of

# There are no smaller permutation groups here: the quick look has a smaller network.
_QUICK = {"model_dim": 64, "ff_dim": 128, "num_steps": 600, "log_every": 50}
S5_50 = declare("s5_toth_50", TOTH_S5, _QUICK)
S5_30 = declare(
    "s5_toth_30", TOTH_S5, _QUICK, cpu={"num_steps": 20_000}, train_fraction=0.3, num_steps=100_000
)

PANELS = tuple(
    Panel(
        id=f"s5 {percent} %",
        title=f"Composition in S5, {percent} %",
        kind="accuracy_log",
        curves=(Curve(run=run, label=f"S5, {percent} %"),),
    )
    for percent, run in ((30, S5_30), (50, S5_50))
)

# Published steps with 50 % of the pairs, to 99 % train, 50 % and about 100 % test accuracy.
FITTED, HALF, GROKKED = (1_900, 2_200), 13_500, 15_000
SOURCE = f"003, accuracy curves, {PICTURE}"

CLAIMS = (
    Claim(
        panel="s5 50 %",
        words="The training set is fitted at the published step, within a factor of 2",
        paper=f"99 % at {span(*FITTED)} steps",
        source=SOURCE,
        checks=(Within(step_of(S5_50, TRAIN, 0.99), near(*FITTED)),),
    ),
    Claim(
        panel="s5 50 %",
        words="It groks at the published steps, within a factor of 2",
        paper=f"50 % at {HALF:,}, about 1 at {GROKKED:,}",
        source=SOURCE,
        checks=(
            Within(step_of(S5_50, TEST, 0.5), near(HALF), "50 %"),
            Within(step_of(S5_50, TEST, 0.99), near(GROKKED), "99 %"),
        ),
    ),
    Claim(
        panel="s5 50 %",
        words="Half of the test set takes several times as long as the training set",
        paper=f"{HALF:,} over {span(*FITTED)}: 6 to 7 times",
        source=SOURCE,
        checks=(
            Within(
                over(
                    step_of(S5_50, TEST, 0.5),
                    step_of(S5_50, TRAIN, 0.99),
                    "steps to 50 % test over steps to 99 % train accuracy",
                ),
                at_least(3),
            ),
        ),
    ),
    Claim(
        panel="s5 30 %",
        words="With 30 % of the pairs the training set is fitted, the test set far from it",
        paper="train 99 % in 1e3 to 1e4 steps, test many times later",
        source="Power et al., Fig. 1, as quoted by 003",
        checks=(
            Within(step_of(S5_30, TRAIN, 0.99), between(500, 10_000), "train"),
            Within(best(S5_30, steps=10_000), below(0.1), "test"),
        ),
    ),
    Claim(
        panel="s5 30 %",
        words="Generalization takes longer with 30 % than with 50 %",
        paper=f"1 % less data costs 40 to 50 % more steps at 25 to 30 %; at 50 % {HALF:,}",
        source="Power et al., Fig. 1; 003",
        checks=rising({"50 %": step_of(S5_50, TEST, 0.5), "30 %": step_of(S5_30, TEST, 0.5)}),
    ),
)

FIGURE = Figure(
    id="s5",
    title="Composition in S5",
    claim=(
        "With 50 % of the pairs training accuracy is at 99 % near step 2,000, test accuracy near 1"
        f" at step {GROKKED:,}; with 30 % it takes far longer."
    ),
    panels=PANELS,
    checks=CLAIMS,
)
