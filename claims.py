"""Judges what the figures claim by the runs there are.

    python claims.py                        # a line a figure: how much of it holds
    python claims.py --figure 2b            # in full: claim, paper, bound, measured, verdict
    python claims.py --all --published      # every claim in brief, from results/ alone
    python claims.py --seeds 42             # on the paper's own seed, and not on every seed
    python claims.py --csv > claims.csv     # or --json

Each claim stands in its figure's file with its words, the paper's numbers, where those come from,
what is measured and the bound it is held to. Bounds come from the paper's words and numbers, not
from the runs, and most were set before these were looked at; the known instabilities are in them:
figure 1c says "low by 80,000 epochs", not "never groks". Verdicts are computed (judging/verdicts.py
says how): reproduced, partly, not reproduced, not run. A claim that fails stays, with its evidence.
"""

import os
import sys

if __name__ == "__main__":
    sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))  # not with PYTHONSAFEPATH
    from configuration.interpreter import begin

    begin("matplotlib", "pandas")

import csv
import json
import shlex
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import paper
import related
from configuration.flags import Parser, add_own_file, parse_seeds
from configuration.interpreter import end, told
from experiment.catalog import Catalog, blame
from experiment.claim import Claim
from experiment.figure import size_flag
from judging.tables import in_brief, in_full, overview, record, summary
from judging.verdicts import NOT_RUN, Evidence, Judgement, judge

CATALOG = Catalog(paper.FIGURES, related.FIGURES, not_in=paper.NOT_IN)
BAD_INPUT = 2


def make_parser() -> Parser:
    parser = Parser(
        prog="claims.py",
        description="What each figure claims, held against the complete runs.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "--figures",
        "--figure",
        nargs="*",
        action="extend",
        metavar="LIST",
        help="figures or panels in full, such as 1,2b [a line for each of the paper's figures]",
    )
    parser.add_argument(
        "--all", action="store_true", help="every claim in brief, those of the related systems, too"
    )
    parser.add_argument("--seeds", nargs="+", metavar="LIST", help="only these [all complete]")
    add_own_file(parser)
    parser.add_argument("--runs", metavar="DIR", help="where your own runs are [runs]")
    parser.add_argument(
        "--published", action="store_true", help="leave your own runs out: results/ only"
    )
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="as a list of objects")
    form.add_argument("--csv", action="store_true", help="as a table for a program")
    return parser


def select(catalog: Catalog, words) -> list[Claim]:
    """The claims of the figures and panels that these words name; those of `catalog` by default.

    Raises:
        ValueError: an empty list, or a word that names neither.
    """
    if words is None:
        return [c for f in catalog.figures() for c in f.checks]
    every = [c for f in catalog.all.values() for c in f.checks]
    panels = {c.panel for c in every}
    parts = [" ".join(part.split()) for part in " ".join(words).split(",")]
    wanted = [w for part in parts for w in ([part] if part in panels else part.split())]
    if not wanted:
        raise ValueError(f"--figures '' is empty; choose from {catalog.choices}, or drop it")
    chosen = []
    for word in wanted:
        panel = [c for c in every if word in (c.panel, c.panel.split()[0])]
        if word in catalog.all or not panel:
            panel = [c for f in catalog.figures([word]) for c in f.checks]
        chosen += panel
    return [c for c in every if c in chosen]


def evidence_of(options, results_root=None) -> Evidence:
    if options.runs and options.published:
        raise ValueError("--published leaves your own runs out; drop it or --runs")
    if options.runs and not Path(options.runs).is_dir():
        raise ValueError(f"--runs '{options.runs}' is no folder; choose one that holds run folders")
    # Nothing is ever found below the null device.
    return Evidence(os.devnull if options.published else options.runs, results_root)


def missing_commands(judgements: Sequence[Judgement], own=None, seeds=None) -> list[str]:
    """The commands that make the runs of claims that could not be judged, one for each size."""
    figures = {}
    for judgement in judgements:
        if judgement.verdict == NOT_RUN:
            figures.setdefault(judgement.claim.size, {})[judgement.claim.figure] = None
    start = ["./run_main_experiments.sh", *(["--figures-from", own] if own else [])]
    these = ["--seeds", ",".join(map(str, seeds))] if seeds else []
    return [
        shlex.join([*start, "--figures", ",".join(ids), *these, *size_flag(size)])
        for size, ids in figures.items()
    ]


def main(argv=None, *, results_root=None) -> int:
    """Prints what was asked for; returns the exit code."""
    options = make_parser().parse_args(argv)
    try:
        catalog = CATALOG.with_file(options.figures_from) if options.figures_from else CATALOG
        chosen = select(catalog, ["all"] if options.all else options.figures)
        seeds = parse_seeds(options.seeds)
        if seeds:
            chosen = [replace(claim, seeds=tuple(seeds)) for claim in chosen]
        evidence = evidence_of(options, results_root)
    except ValueError as error:
        print(f"claims.py: {error}", file=sys.stderr)
        return BAD_INPUT
    try:
        judgements = [judge(claim, evidence) for claim in chosen]
    except Exception as error:
        if not options.figures_from:
            raise
        print(f"claims.py: {blame(error, options.figures_from)}", file=sys.stderr)
        return BAD_INPUT
    for text in evidence.notes:
        print(f"claims.py: {text}", file=sys.stderr)
    if options.json:
        print(json.dumps([record(j) for j in judgements], ensure_ascii=False, indent=1))
    elif options.csv:
        rows = [record(j) for j in judgements]
        writer = csv.DictWriter(sys.stdout, list(rows[0]) if rows else [], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    else:
        width = shutil.get_terminal_size((100, 24)).columns
        if options.figures is not None:
            print(in_full(judgements, width))
        elif options.all:
            print(in_brief(judgements, width))
        else:
            print(overview(list(catalog.all.values()), judgements, width))
        print(summary(judgements))
        for command in missing_commands(judgements, options.figures_from, seeds):
            print(f"{command} makes the missing runs")
    return told()


if __name__ == "__main__":
    end(main)
