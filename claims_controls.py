"""What users of the authors' code asked or found in its issues; as in claims.py."""

from checks import Claim, Within, at_most, below, between, rising
from measures import TEST, TRAIN, at, first, fitted, largest, over, smallest

ISSUES = "issues of the authors' repository, no. "
LONG, SLOW, SMOOTH = "add_softmax64_long", "add_softmax64_lr5e3", "add_softmax64_beta999"

CONTROLS = (
    Claim(
        panel="controls 1a",
        words="⊥AdamW works similarly well with StableMax",
        paper="similarly well (the arrow in Fig. 1 says StableMax); slower in a re-run of others",
        source=f"Fig. 1; {ISSUES}7",
        checks=(
            Within(first("add_orthoadamw_stablemax", TEST, 0.95), at_most(300), "generalizes"),
            Within(
                over(
                    first("add_orthoadamw_stablemax", TEST, 0.95),
                    first("add_orthoadamw", TEST, 0.95),
                    "epochs to 95 % test accuracy over those of softmax",
                ),
                at_most(1.5),
                "over softmax",
            ),
        ),
    ),
    Claim(
        panel="controls 1c",
        words="The softmax baseline of figure 1 groks when it is trained for longer",
        paper="by 200,000, through slingshots",
        source=f"{ISSUES}4",
        checks=(Within(first(LONG, TEST, 0.5), between(80_000, 200_000)),),
    ),
    Claim(
        panel="controls 1c",
        words="The baseline's slingshots go away with lr 0.005: low by 80,000, too",
        paper="should go away",
        source=f"{ISSUES}4",
        checks=(Within(largest(SLOW, TEST, since=fitted(SLOW)), below(0.02)),),
    ),
    Claim(
        panel="controls 1c",
        words="With beta2 0.999 training accuracy falls at collapse and there is no grokking",
        paper="training and test accuracy collapse, no grokking",
        source=f"{ISSUES}4",
        checks=(
            Within(smallest(SMOOTH, TRAIN, since=fitted(SMOOTH)), at_most(0.9), "train"),
            Within(largest(SMOOTH, TEST, since=fitted(SMOOTH)), below(0.02), "test"),
        ),
    ),
    Claim(
        panel="controls 6b",
        words="⊥AdamW of 6b ends lower with the betas and eps that were meant",
        paper="80 % against 85 % in re-runs of others",
        source=f"{ISSUES}11",
        checks=rising(
            {
                "as meant": at("add_orthoadamw_lr5e3_intended", TEST),
                "as published": at("add_orthoadamw_lr5e3", TEST),
            }
        ),
    ),
)
