"""The tables of claims: on the screen, and in their documents between two marks. Imports no torch.

The paper's claims stand in README.md, those of the related systems (--related) in RELATED.md.
"""

import os
import re
import shutil
import sys
import textwrap
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from configuration import runs
from configuration.flags import Parser
from experiment.claim import Claim
from experiment.figure import size_flag
from judging.verdicts import NOT_RUN, VERDICTS, Evidence, Judgement, judge
from plotting import curves

README = curves.HERE / "README.md"
RELATED = curves.HERE / "RELATED.md"
BEGIN, END = "<!-- claims: begin -->", "<!-- claims: end -->"
HEADINGS = ("Figure", "Claim", "Paper", "Held to", "Measured", "Runs", "Verdict")
# Widths on the screen: fixed for the short columns, shares of the rest for the others.
FIXED = {"Figure": 11, "Runs": 14, "Verdict": 14}
SHARES = {"Claim": 0.27, "Paper": 0.2, "Held to": 0.28, "Measured": 0.25}
NARROWEST = 120  # characters; below it the table is as wide as this
MISMATCH = 1
BAD_INPUT = 2


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


def summary(judgements: Sequence[Judgement]) -> str:
    """How many of each verdict, such as "30 claims: 24 reproduced, 4 partly, 2 not run"."""
    count = Counter(j.verdict for j in judgements)
    parts = [f"{count[v]} {v}" for v in VERDICTS if count[v]]
    return f"{len(judgements)} claim{'s' * (len(judgements) != 1)}: {', '.join(parts)}"


def screen_table(judgements: Sequence[Judgement], width: int) -> str:
    """The table as text, its cells wrapped into columns."""
    rest = max(width, NARROWEST) - sum(FIXED.values()) - 3 * (len(HEADINGS) - 1)
    widths = [FIXED.get(h) or int(SHARES[h] * rest) for h in HEADINGS]
    rule = "-+-".join("-" * w for w in widths)
    lines = []
    for row in [HEADINGS, *map(cells, judgements)]:
        wrapped = [textwrap.wrap(c, w) for c, w in zip(row, widths, strict=True)]
        for i in range(max(map(len, wrapped))):
            pieces = [c[i] if i < len(c) else "" for c in wrapped]
            line = " | ".join(p.ljust(w) for p, w in zip(pieces, widths, strict=True))
            lines.append(line.rstrip())
        lines.append(rule)
    return "\n".join(lines)


def markdown(judgements: Sequence[Judgement], flags: str = "") -> str:
    """What stands between the marks of the document: count, table, legend, what is not run.

    Args:
        flags: of claims.py that choose these claims, with a space in front, such as " --related".
    """
    judged = [j for j in judgements if j.verdict != NOT_RUN]
    missing = [j for j in judgements if j.verdict == NOT_RUN]
    whose = "the published" if flags else "the paper's"
    legend = [f"- **{verdict}**: {meaning}." for verdict, meaning in VERDICTS.items()]
    lines = [
        f"{summary(judgements)}. Written by `python claims.py{flags} --write-readme`.",
        "",
        *markdown_table(HEADINGS, map(cells, judged)),
        "",
        f"The bounds were set from {whose} words and numbers. What was never reached fails its"
        " bound. Several seeds are shown as range and median.",
        "",
        *legend,
    ]
    if missing:
        lines += ["", f"<details><summary>Not run: {len(missing)}</summary>", ""]
        lines += markdown_table(HEADINGS[:-1], (cells(j)[:-1] for j in missing))
        lines += ["", "</details>"]
    return "\n".join(lines)


def markdown_table(headings, rows) -> list[str]:
    """The lines of a table; a | in a cell is escaped."""
    rows = [headings, ["---"] * len(headings), *rows]
    return ["| " + " | ".join(c.replace("|", "\\|") for c in row) + " |" for row in rows]


def split_readme(path: Path) -> tuple[str, str, str]:
    """(text up to and with the first mark, between the marks, second mark and the rest).

    Raises:
        ValueError: the file or one of the marks is missing, or a mark stands there twice.
    """
    remedy = f"it needs the lines {BEGIN} and {END}, once each, where the table goes"
    if not path.is_file():
        raise ValueError(f"{path} does not exist; {remedy}")
    text = path.read_text(encoding="utf-8")
    places = [[m.start() for m in re.finditer(f"(?m)^{re.escape(m)}$", text)] for m in (BEGIN, END)]
    for mark, found in zip((BEGIN, END), places, strict=True):
        if len(found) != 1:
            raise ValueError(f"{path} has {len(found) or 'no'} {mark} line; {remedy}")
    begin, end = places[0][0] + len(BEGIN), places[1][0]
    if end < begin:
        raise ValueError(f"{path} has {END} before {BEGIN}; {remedy}")
    return text[:begin], text[begin:end], text[end:]


def write_readme(path: Path, block: str) -> bool:
    """Puts the block between the marks, all else untouched; whether anything changed."""
    before, old, after = split_readme(path)
    new = f"\n{block}\n"
    if old != new:
        try:
            runs.replace_file(path, lambda file: file.write((before + new + after).encode()))
        except OSError as error:
            raise ValueError(f"cannot write {path} ({error.strerror}); free space") from None
    return old != new


def disagreements(path: Path, block: str) -> list[str]:
    """The lines in which a document and the runs differ: "README: ..." and "runs: ..."."""
    old, new = split_readme(path)[1].strip("\n").split("\n"), block.split("\n")
    gone = [f"{path.stem}: {line}" for line in old if line not in new]
    come = [f"runs:   {line}" for line in new if line not in old]
    return gone + come or ([] if old == new else ["the lines stand in another order"])


# ---------------------------------------------------------------------------------- command line


def make_parser() -> Parser:
    parser = Parser(
        prog="claims.py",
        description="What each figure claims, held against the complete runs.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "--figures", nargs="*", action="extend", metavar="LIST", help="such as 1,2; all by default"
    )
    parser.add_argument("--runs", metavar="DIR", help="where your own runs are [runs]")
    parser.add_argument(
        "--published", action="store_true", help="leave your own runs out: results/ only"
    )
    parser.add_argument(
        "--related",
        action="store_true",
        help="those of the related systems, of RELATED.md, instead of the paper's",
    )
    parser.add_argument(
        "--write-readme", action="store_true", help="put the table between the document's marks"
    )
    parser.add_argument(
        "--check-readme", action="store_true", help="exit 1 where document and runs disagree"
    )
    return parser


def select(claims: Sequence[Claim], words, elsewhere: Sequence[Claim] = ()) -> list[Claim]:
    """The claims of the asked figures; all of them for None.

    Args:
        claims: to choose from.
        words: of --figures, or None.
        elsewhere: the claims of the other table, which --related chooses or leaves out.

    Raises:
        ValueError: an empty list or a figure without claims; lists the choices.
    """
    choices = list(dict.fromkeys(c.figure for c in claims))
    if words is None:
        return list(claims)
    wanted = [w for w in re.split(r"[,\s]+", " ".join(words)) if w]
    if not wanted:
        raise ValueError(f"--figures '' is empty; choose from {', '.join(choices)}, or drop it")
    for word in wanted:
        if word in {c.figure for c in elsewhere}:
            raise ValueError(f"figure '{word}' stands in the other table; add or drop --related")
        if word not in choices:
            raise ValueError(f"unknown figure '{word}'; choose from {', '.join(choices)}")
    return [c for c in claims if c.figure in wanted]


def evidence_of(options, results_root) -> Evidence:
    if options.runs and options.published:
        raise ValueError("--published leaves your own runs out; drop it or --runs")
    if options.runs and not Path(options.runs).is_dir():
        raise ValueError(f"--runs '{options.runs}' is no folder; choose one that holds run folders")
    # Nothing is ever found below the null device.
    return Evidence(os.devnull if options.published else options.runs, results_root)


def missing_commands(judgements: Sequence[Judgement]) -> list[str]:
    """The commands that make the runs of claims that could not be judged, one for each size."""
    figures = {}
    for judgement in judgements:
        if judgement.verdict == NOT_RUN:
            figures.setdefault(judgement.claim.size, {})[judgement.claim.figure] = None
    return [
        " ".join(["./run_main_experiments.sh", "--figures", ",".join(ids), *size_flag(size)])
        for size, ids in figures.items()
    ]


def main(
    claims: Sequence[Claim],
    argv=None,
    *,
    related: Sequence[Claim] = (),
    readme=README,
    related_readme=RELATED,
    results_root=None,
) -> int:
    """`python claims.py`: prints the table; returns the exit code.

    Args:
        claims, related: of the paper, and of the related systems (--related).
        readme, related_readme: where their tables stand.
    """
    sys.stdout.reconfigure(errors="replace")  # ⊥ on a terminal that has none
    options = make_parser().parse_args(argv)
    elsewhere = related
    if options.related:
        claims, elsewhere, readme = related, claims, related_readme
    try:
        chosen = select(claims, options.figures, elsewhere)
        if options.figures is not None and (options.write_readme or options.check_readme):
            raise ValueError(f"{readme.name} holds the claims of all figures; drop --figures")
        evidence = evidence_of(options, results_root)
        if options.write_readme or options.check_readme:
            split_readme(readme)
    except ValueError as error:
        print(f"claims.py: {error}", file=sys.stderr)
        return BAD_INPUT
    judgements = [judge(claim, evidence) for claim in chosen]
    for text in evidence.notes:
        print(f"claims.py: {text}", file=sys.stderr)
    print(screen_table(judgements, shutil.get_terminal_size((160, 24)).columns))
    print(summary(judgements))
    for command in missing_commands(judgements):
        print(f"{command} makes the missing runs")
    flags = " --related" if options.related else ""
    block = markdown(judgements, flags)
    if options.write_readme:
        try:
            changed = write_readme(readme, block)
        except ValueError as error:
            print(f"claims.py: {error}", file=sys.stderr)
            return BAD_INPUT
        print(f"{readme.name} {'written' if changed else 'is up to date'}")
    if options.check_readme and (found := disagreements(readme, block)):
        print("\n".join(found))
        print(
            f"{readme.name} and the runs disagree; python claims.py{flags} --write-readme writes it"
            " anew"
        )
        return MISMATCH
    return 0
