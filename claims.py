"""What each figure claims, held against the runs.

    python claims.py                        # the table: figure, claim, paper, measured, verdict
    python claims.py --figures 1,2
    python claims.py --write-readme         # also as Markdown into README.md, between its marks
    python claims.py --check-readme         # exit 1 where README.md and the runs disagree
    python claims.py --related              # of the related systems; their table is in RELATED.md

Each claim stands in its figure's file with its words, the paper's numbers, where those come from,
what is measured and the bound it is held to. Bounds come from the paper's words and numbers, not
from the runs, and most were set before these were looked at; the known instabilities are in them:
figure 1c says "low by 80,000 epochs", not "never groks". Verdicts are computed (judging/verdicts.py
says how): reproduced, partly, not reproduced, not run. A claim that fails stays, with its evidence.
"""

import os
import signal
import sys

import paper
import related
from judging.tables import main

CLAIMS = tuple(claim for figure in paper.FIGURES for claim in figure.checks)
RELATED = tuple(claim for figure in related.FIGURES for claim in figure.checks)

if __name__ == "__main__":
    try:
        sys.exit(main(CLAIMS, related=RELATED))
    except BrokenPipeError:  # `| head` has seen enough; the interpreter's last flush must not ask
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        sys.exit(128 + signal.SIGPIPE)
