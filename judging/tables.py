"""Judgements as text, a line a figure, a paragraph or a block a claim; and as plain records."""

import re
import textwrap
from collections import Counter
from collections.abc import Sequence

from experiment.figure import Figure
from judging.verdicts import FAILED, PARTLY, VERDICTS, Judgement

NO_BREAK = "\N{NO-BREAK SPACE}"


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


def overview(figures: Sequence[Figure], judgements: Sequence[Judgement], width=1000) -> str:
    """A line a figure: its claim in short, and how much of it holds; verdicts where they fit."""
    rows = []
    for figure in figures:
        own = [j for j in judgements if j.claim.figure == figure.id]
        if own:
            held, judged = checks_held(own)
            rows.append((figure.id, figure.title, f"{held} of {judged} checks", summary(own)))
    first, second, third = (max(len(row[k]) for row in rows) + 2 for k in range(3))
    lines = [(f"{i:<{first}}{t:<{second}}{c:>{third - 2}}", v) for i, t, c, v in rows]
    whole = all(len(line) + 2 + len(verdicts) <= width for line, verdicts in lines)
    return "\n".join(f"{line}; {verdicts}" if whole else line for line, verdicts in lines)


def in_brief(judgements: Sequence[Judgement], width: int) -> str:
    """A paragraph a claim: verdict, panel, the claim, the paper's numbers and ours."""
    lines = []
    for j in judgements:
        text = f"{j.claim.words}. Paper: {j.claim.paper}. Measured: {j.measured}."
        lines += _wrapped(f"{j.verdict:<16}{j.claim.panel}: ", text, 4, width)
    return "\n".join(lines)


def in_full(judgements: Sequence[Judgement], width: int) -> str:
    """A block a claim: with it the paper's numbers, bounds, values and runs, a line each.

    Args:
        width: characters of a line; nothing is wider but for a word that is longer.
    """
    blocks = []
    for j in judgements:
        claim = j.claim
        said = {
            "paper": f"{claim.paper} [{claim.source}]",
            "held to": claim.held_to,
            "measured": j.measured,
            "runs": j.provenance,
        }
        if remark_on(j):
            said["remark"] = remark_on(j)
        lines = _wrapped(f"{claim.panel}  {j.verdict}: ", claim.words, 4, width)
        for name, text in said.items():
            lines += _wrapped(f"    {name:<10}", text, 14, width)
        blocks.append("\n".join(lines))
    return "\n\n".join(blocks)


def with_units(text: str) -> str:
    """The text with no place to break a line between a number and its unit."""
    return re.sub(r"(?<=\d) (?=%|points|times)", NO_BREAK, text)


def _wrapped(head: str, text: str, indent: int, width: int) -> list[str]:
    """A head and its text as lines of this width, all but the first indented; no unit alone."""
    lines = textwrap.wrap(
        with_units(text),
        width,
        initial_indent=head,
        subsequent_indent=" " * indent,
        break_long_words=False,
        break_on_hyphens=False,
    )
    return [line.replace(NO_BREAK, " ") for line in lines]
