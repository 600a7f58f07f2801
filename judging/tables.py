"""Judgements as text: a line a figure, a table for the screen, plain records."""

import textwrap
from collections import Counter
from collections.abc import Sequence

from experiment.figure import Figure
from judging.verdicts import FAILED, PARTLY, VERDICTS, Judgement

HEADINGS = ("Figure", "Claim", "Paper", "Held to", "Measured", "Runs", "Verdict")
# Widths on the screen: fixed for the short columns, shares of the rest for the others.
FIXED = {"Figure": 11, "Runs": 14, "Verdict": 14}
SHARES = {"Claim": 0.27, "Paper": 0.2, "Held to": 0.28, "Measured": 0.25}
NARROWEST = 120  # characters; below it the table is as wide as this


def cells(judgement: Judgement) -> tuple[str, ...]:
    """One row, in the order of HEADINGS."""
    claim = judgement.claim
    return (
        claim.panel,
        claim.words,
        f"{claim.paper} [{claim.source}]",
        claim.held_to,
        judgement.measured,
        judgement.provenance,
        judgement.verdict,
    )


def remark_on(judgement: Judgement) -> str:
    """What was tried and what it says, of a claim that fails, in whole or in part; "" otherwise."""
    return judgement.claim.remark if judgement.verdict in (PARTLY, FAILED) else ""


def record(judgement: Judgement) -> dict:
    """A judgement as plain values, for --json and --csv."""
    claim = judgement.claim
    return {
        "figure": claim.figure,
        "panel": claim.panel,
        "claim": claim.words,
        "paper": claim.paper,
        "source": claim.source,
        "held_to": claim.held_to,
        "size": claim.size,
        "runs": " ".join(map(str, claim.runs)),
        "seeds": " ".join(map(str, judgement.seeds)),
        "measured": judgement.measured,
        "provenance": judgement.provenance,
        "verdict": judgement.verdict,
        "remark": remark_on(judgement),
    }


def summary(judgements: Sequence[Judgement]) -> str:
    """How many of each verdict, such as "30 claims: 24 reproduced, 4 partly, 2 not run"."""
    count = Counter(j.verdict for j in judgements)
    parts = [f"{count[v]} {v}" for v in VERDICTS if count[v]]
    return f"{len(judgements)} claim{'s' * (len(judgements) != 1)}: {', '.join(parts)}"


def checks_held(judgements: Sequence[Judgement]) -> tuple[int, int]:
    """(checks that hold on every seed, checks that were judged)."""
    held = [count == max(len(j.seeds), 1) for j in judgements for count in j.held]
    return sum(held), len(held)


def overview(figures: Sequence[Figure], judgements: Sequence[Judgement]) -> str:
    """A line a figure: its claim in short, and how much of it holds."""
    lines = []
    for figure in figures:
        own = [j for j in judgements if j.claim.figure == figure.id]
        if own:
            held, judged = checks_held(own)
            lines.append(
                f"{figure.id:<14}{figure.title:<52}{held:>3} of {judged} checks; {summary(own)}"
            )
    return "\n".join(lines)


def screen_table(judgements: Sequence[Judgement], width: int) -> str:
    """The table as text, its cells wrapped into columns."""
    rest = max(width, NARROWEST) - sum(FIXED.values()) - 3 * (len(HEADINGS) - 1)
    widths = [FIXED.get(h) or int(SHARES[h] * rest) for h in HEADINGS]
    rule = "-+-".join("-" * w for w in widths)
    lines = []
    for row, remark in [(HEADINGS, ""), *((cells(j), remark_on(j)) for j in judgements)]:
        wrapped = [textwrap.wrap(c, w) for c, w in zip(row, widths, strict=True)]
        for i in range(max(map(len, wrapped))):
            pieces = [c[i] if i < len(c) else "" for c in wrapped]
            line = " | ".join(p.ljust(w) for p, w in zip(pieces, widths, strict=True))
            lines.append(line.rstrip())
        lines += textwrap.wrap(remark, len(rule), initial_indent="  ", subsequent_indent="  ")
        lines.append(rule)
    return "\n".join(lines)
