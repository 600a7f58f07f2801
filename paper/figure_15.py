"""Figure 15: weight decay and the delay.

Appendix E.

Stated: weight decays up to 8.
Ours: lr 0.003 and 0.01, 40 % (the authors' rate is lost, "lower" than 0.01).

Tried (mod 113, 40 %, lr 0.003):

Weight decay 1: 11 % at epoch 750, 89 % at 1,200, 99 % at 1,500. Weight decay 8 (three seeds):
94 to 99.6 % at 400, later between 99.2 and 100 %, and at lr 0.001 95 % at 1,010 to 1,220, from
2,500 on between 99.95 and 100 %: full generalization is not prevented. ⊥AdamW (effective settings, D2) fits
and generalizes together at this rate, but slowly: 56 % at 250, 67 % at 1,000, 95 % at 3,330, or, in
an earlier run that rounded otherwise, 83 % at 5,000; at lr 0.01 it is done by 120 to 150 (figure
1a). Which rate the paper compared is not known, so 15b shows both, weight decay at 0.01 for 1,000
epochs.
"""

from dataclasses import replace

from experiment.claim import Claim, Less, Within, at_most, below, rising
from experiment.figure import Curve, Figure, Panel, declare
from experiment.quantity import TEST, delay, earliest, first, largest
from paper.figure_1 import ADD_ORTHOADAMW
from paper.settings import EFFECTIVE, ISSUES, MLP

DECAYED = replace(MLP, lr=0.003, num_epochs=5_000, log_frequency=10)
_QUICK_DECAYED = {"modulo": 97, "num_epochs": 1_500}
DECAYS = (0.5, 1.0, 2.0, 4.0, 6.0, 8.0)
SWEEP_RUNS = {
    wd: declare(f"add_adamw_wd{wd:g}".replace(".", "p"), DECAYED, _QUICK_DECAYED, weight_decay=wd)
    for wd in DECAYS
}
# At the rate of figure 1a, so that ⊥AdamW meets weight decay at equal rates there, too.
FAST_RUNS = {
    wd: declare(
        f"add_adamw_wd{wd:g}_lr1e2".replace(".", "p"),
        replace(DECAYED, lr=0.01, num_epochs=1_000),
        _QUICK_DECAYED | {"num_epochs": 600},
        weight_decay=wd,
    )
    for wd in DECAYS
}
# Beyond the sweep: the authors say that their rate was lower than 0.01, and not how much.
ADD_ADAMW_WD8_LR1E3 = declare(
    "add_adamw_wd8_lr1e3", DECAYED, _QUICK_DECAYED, lr=0.001, weight_decay=8.0
)
ADD_ORTHOADAMW_SWEEP = declare("add_orthoadamw_lr3e3", DECAYED, _QUICK_DECAYED, **EFFECTIVE)


# "Up to a point": below 8, which is said to prevent full generalization; the text has no more.
SHORTENING = (6.0, 4.0, 2.0, 1.0, 0.5)
# The authors' rate is lost: (rate, runs by weight decay, run of ⊥AdamW).
RATES = (("0.003", SWEEP_RUNS, ADD_ORTHOADAMW_SWEEP), ("0.01", FAST_RUNS, ADD_ORTHOADAMW))


def _earliest(sweep, but=None):
    """The first epoch at which some weight decay of a sweep has 95 % of the test set."""
    times = (first(run, TEST, 0.95) for decay, run in sweep.items() if decay != but)
    return earliest("earliest of these under weight decay", *times)


# At lr 0.003, where ⊥AdamW is slow.
_BEFORE = (
    "Six decays and ⊥AdamW were run for 5,000 epochs at 0.003, three seeds each. There ⊥AdamW"
    " stands at 63 to 91 % of the test set by 500 and has 95 % by 2,600 to 3,330 (an earlier run that"
    " rounded otherwise ended at 83 %), the best decay by 350 to 410; at 0.01, the rate of figure 1a,"
    " ⊥AdamW is first (next rows)."
)
_TOGETHER = (
    "The same three seeds: from 500 on training and test accuracy rise 1 to 7 points apart and come"
    " to 95 % 180, 20 and 690 epochs apart. They do rise together; at so slow a rise the few points"
    " between them take long, and what is missing is the speed that it has at 0.01."
)
_LEVEL = (
    "Three seeds were run at either rate, with a row every 10 epochs: at 0.003 6 and 8 are there in"
    " the same row on two and 8 is first by six rows on one, at 0.01 8 is first by one and by three"
    " rows and 6 by one. So the two generalize within 60 epochs of each other, and what more decay"
    " gains ends there."
)
CLAIMS = (
    Claim(
        panel="15a",
        words="The delay shrinks as weight decay grows, up to a point",
        paper="shrinks; no number",
        source="App. E",
        checks=rising({f"{d:g}": delay(SWEEP_RUNS[d], 0.95) for d in SHORTENING}),
    ),
    Claim(
        panel="15a",
        words="Beyond that point it does not: the delay at 8 is not the shortest",
        paper="“up to a point”; no number",
        source="App. E",
        checks=(
            Less(
                (
                    "shortest up to 6",
                    earliest(
                        "shortest delay up to weight decay 6",
                        *(delay(run, 0.95) for d, run in SWEEP_RUNS.items() if d != 8),
                    ),
                ),
                ("8", delay(SWEEP_RUNS[8.0], 0.95)),
                equal=True,
            ),
        ),
        remark="Six decays were run at two rates, and the first epoch with 95 % of the test set is"
        " judged beside the delay (next row). Under decay 8 the training set is fitted later,"
        " at 270 to 310 against 170 epochs at 6 (lr 0.003), which shortens the delay; by the time it"
        " takes to generalize, 6 and 8 are level on two seeds and 8 60 epochs sooner on one.",
    ),
    *(
        Claim(
            panel="15a",
            words=f"Beyond that point it does not: 8 is not the first to generalize, at lr {rate}",
            paper="“up to a point”; no number",
            source="App. E; the other reading: a delay leaves out that 8 fits later",
            checks=(
                Less(("up to 6", _earliest(sweep, but=8.0)), ("8", first(sweep[8.0], TEST, 0.95))),
            ),
            remark=_LEVEL,
        )
        for rate, sweep, _ in RATES
    ),
    Claim(
        panel="15a",
        words="Weight decay 8 prevents full generalization",
        paper="below 100 %, at a rate lower than 0.01; 100 % in a re-run of others at 0.01",
        source=f"App. E; {ISSUES}8",
        checks=tuple(
            Within(largest(run, TEST), below(0.99), f"lr {rate}")
            for rate, run in (("0.001", ADD_ADAMW_WD8_LR1E3), ("0.003", SWEEP_RUNS[8.0]))
        ),
        remark="Rates 0.001, 0.003 and 0.01 were run for 5,000, 5,000 and 1,000 epochs: test"
        " accuracy comes to 100 %, and in the second half of each stays above"
        " 99.2 %. Decay 8 prevents full generalization at none of them, as in a re-run of"
        " others, and the rate at which it did is lost.",
    ),
    *(
        Claim(
            panel="15b",
            words=f"⊥AdamW generalizes before the best weight decay, both at lr {rate}",
            paper="before; no number (124 against 143 epochs in a search of others)",
            source="App. E",
            checks=rising(
                {
                    "⊥AdamW": first(run, TEST, 0.95),
                    "best weight decay": _earliest(sweep),
                }
            ),
            remark=remark,
        )
        for (rate, sweep, run), remark in zip(RATES, (_BEFORE, ""), strict=True)
    ),
    Claim(
        panel="15b",
        words="⊥AdamW at lr 0.01, as in figure 1a, generalizes before the best weight decay at 0.003",
        paper="before, without tuning; no number",
        source="App. E; the other reading: each at a rate of its own",
        checks=rising(
            {
                "⊥AdamW": first(ADD_ORTHOADAMW, TEST, 0.95),
                "best weight decay": _earliest(SWEEP_RUNS),
            }
        ),
    ),
    *(
        Claim(
            panel="15b",
            words=f"Under ⊥AdamW training and test accuracy arrive almost together, at lr {rate}",
            paper="almost together; no number",
            source="App. E",
            checks=(Within(delay(run, 0.95), at_most(30)),),
            remark=remark,
        )
        for (rate, _, run), remark in zip(RATES, (_TOGETHER, ""), strict=True)
    ),
)

_SWEEP = tuple(Curve(run=run, label=f"weight decay {wd:g}") for wd, run in SWEEP_RUNS.items())
_SLOW = (Curve(run=ADD_ADAMW_WD8_LR1E3, label="weight decay 8, lr 0.001", off_scale=True),)
_FAST = tuple(
    Curve(run=run, label=f"weight decay {wd:g}, lr 0.01") for wd, run in FAST_RUNS.items()
)
_ORTHO = (
    Curve(run=ADD_ORTHOADAMW_SWEEP, label="⊥AdamW, lr 0.003"),
    Curve(run=ADD_ORTHOADAMW, label="⊥AdamW, lr 0.01 as in figure 1a"),
)
FIGURE = Figure(
    id="15",
    title="Weight decay and the delay",
    claim=(
        "More weight decay shortens the delay up to a point, 8 prevents full generalization; ⊥AdamW"
        " is faster than the best of them."
    ),
    panels=(
        Panel(
            id="15a",
            title="AdamW, lr 0.003 unless named",
            kind="accuracy",
            log=True,
            curves=_SWEEP + _SLOW,
            ordered=True,
        ),
        Panel(
            id="15b",
            title="Time to generalize",
            kind="sweep",
            curves=(*_SWEEP, *_FAST, *_ORTHO),
        ),
    ),
    checks=CLAIMS,
)
