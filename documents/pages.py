"""README.md, docs/ and results/README.md: their tables, made from figures, results and code.

python -m documents.pages              # every table; --pictures also the gallery and the plan
python -m documents.pages --check      # exit 1 where a page is not what it would be made
"""

import importlib
import os
import struct
import subprocess
import sys
from dataclasses import replace
from functools import cache
from itertools import groupby, zip_longest

import metrics
import paper
import related
from configuration import runs
from configuration.flags import Parser
from documents import blocks, house, remedies
from documents.blocks import ROOT, markdown_table
from experiment.catalog import Catalog
from experiment.figure import PUBLISHED_SEED, Figure
from judging.tables import checks_held, remark_on, summary
from judging.verdicts import NOT_RUN, VERDICTS, Evidence, Judgement, judge
from launching.plan import plan
from launching.progress import duration, makespan

CATALOG = Catalog(paper.FIGURES, related.FIGURES)
PAGES = (ROOT / "README.md", ROOT / "results" / "README.md", *sorted((ROOT / "docs").glob("*.md")))
GALLERY = ROOT / "docs" / "figures"


@cache
def judgements(seeds: tuple[int, ...] | None = None) -> dict[str, list[Judgement]]:
    """{figure id: its judgements}, from the published runs alone, of all seeds or these."""
    evidence = Evidence(os.devnull, None)
    return {
        f.id: [judge(replace(c, seeds=seeds or c.seeds), evidence) for c in f.checks]
        for f in CATALOG.all.values()
    }


def as_published() -> dict[str, list[Judgement]]:
    """The judgements on the seed of the paper's command lines."""
    return judgements((PUBLISHED_SEED,))


def full_time(figure: Figure, size: str = "full") -> str:
    jobs = plan([figure], size=size, root=".")
    return duration(makespan([job.seconds for job in jobs], 2)) if jobs else "–"


DPI, WIDEST = 144, 900  # of the gallery: twice what a page shows, at most so many pixels


def picture(figure: Figure, folder: str, width: int | None = None) -> str:
    """The picture of a figure, as wide as it was drawn or `width` pixels."""
    size = blocks.published_size(figure)
    name = f"figure_{figure.id}" + ("" if size == "full" else f"_{size}")
    if width is None:
        png = (GALLERY / f"{name}.png").read_bytes()
        width = min(struct.unpack(">I", png[16:20])[0] * 72 // DPI, WIDEST)
    return f'<img src="{folder}/{name}.png" width="{width}" alt="figure {figure.id}">'


def scoreboard() -> str:
    """A row for each of the paper's figures."""
    rows = []
    for figure in CATALOG.paper.values():
        held, judged = checks_held(judgements()[figure.id])
        alone, _ = checks_held(as_published()[figure.id])
        waiting = sum(j.verdict == NOT_RUN for j in judgements()[figure.id])
        link = f"docs/claims.md#figure-{figure.id}"
        rows.append(
            (
                f'<a href="{link}">{picture(figure, "docs/figures", 130)}</a>',
                f"**{figure.id}** {figure.title}",
                f"{held} of {judged}" + (f", {waiting} claims not run" if waiting else ""),
                f"{alone}",
                full_time(figure),
            )
        )
    head = ("", "figure", "checks that hold", f"on seed {PUBLISHED_SEED}", "time")
    return "\n".join(markdown_table(head, rows, head[-2:]))


def counts() -> str:
    """How many claims have which verdict."""

    def told(judged, figures) -> str:
        return summary([j for f in figures for j in judged[f]])

    alone = told(as_published(), CATALOG.paper).split(": ")[1]
    return "\n".join(
        (
            f"- The paper: {told(judgements(), CATALOG.paper)}; on seed {PUBLISHED_SEED} alone,"
            f" that of its command lines: {alone}.",
            f"- The related systems: {told(judgements(), CATALOG.related)}.",
        )
    )


# ---------------------------------------------------------------------------------- claims


def _held_to(numbered) -> list[str]:
    """The bounds and sources below a table, each said once."""
    lines = []
    for what, of in (("Held to", lambda j: j.claim.held_to), ("Source", lambda j: j.claim.source)):
        said: dict[str, list[str]] = {}
        for number, judgement in numbered:
            said.setdefault(of(judgement), []).append(str(number))
        parts = (f"({', '.join(numbers)}) {text}" for text, numbers in said.items())
        lines.append(f"*{what}.* {'; '.join(parts)}.")
    return lines


def _section(figure: Figure) -> list[str]:
    head = f"Figure {figure.id}. {figure.title}" if figure.id[0].isdigit() else figure.title
    lines = [f'<a id="figure-{figure.id}"></a>', "", f"## {head}", ""]
    lines += [
        picture(figure, "figures"),
        "",
        f"*Claim.* {figure.claim}",
    ]
    if judgements()[figure.id]:
        lines += ["", f"{summary(judgements()[figure.id])}."]
    for panel, found in groupby(judgements()[figure.id], key=lambda j: j.claim.panel):
        numbered = list(enumerate(found, 1))
        rows = [
            (n, j.claim.words, j.claim.paper, j.measured.replace("; ", "<br>"), j.verdict)
            for n, j in numbered
        ]
        lines += ["", f"**{panel}**", ""]
        lines += markdown_table(("", "claim", "paper", "measured", "verdict"), rows)
        lines += ["", *(f"({n}) {said}\n" for n, j in numbered if (said := remark_on(j)))]
        lines += [line + "  " for line in _held_to(numbered)]
        judged_on = dict.fromkeys(j.provenance for _, j in numbered if j.verdict != NOT_RUN)
        lines += [f"*Runs.* {'; '.join(judged_on)}."] if judged_on else []
    return lines


def _sections(figures) -> str:
    return "\n".join(line for figure in figures for line in [*_section(figure), ""]).rstrip()


def claims_paper() -> str:
    """A section for each of the paper's figures."""
    return _sections(CATALOG.paper.values())


def claims_related() -> str:
    """A section for each figure of the related systems."""
    return _sections(CATALOG.related.values())


def verdicts() -> str:
    """What the verdicts mean."""
    return "\n".join(f"- **{verdict}**: {meaning}." for verdict, meaning in VERDICTS.items())


# ---------------------------------------------------------------------------------- the rest


def settings() -> str:
    """What each figure's file says of its settings: its own docstring."""
    parts = []
    for figure in CATALOG.paper.values():
        name = figure.id if figure.id == "controls" else f"figure_{figure.id}"
        title, _, text = importlib.import_module(f"paper.{name}").__doc__.strip().partition("\n")
        if "Tried" in text or "Stated" in text or "Settings" in text:
            parts.append(f"## {title.rstrip('.')}\n\n{text.strip()}")
    return "\n\n".join(parts)


def columns() -> str:
    """The columns of metrics.csv."""
    rows = [(f"`{name}`", *of) for name, of in metrics.COLUMNS.items()]
    return "\n".join(markdown_table(("column", "unit", "definition", "source"), rows))


def provenance() -> str:
    """Which commit and which machine made each published run, and when it was begun."""
    alike = {}
    for path in sorted((ROOT / "results").rglob(runs.ENV)):
        env, folder = runs.read_json(path), path.parent
        name = str(folder.parent.relative_to(ROOT / "results"))
        state = "" if runs.is_complete(folder) else " (unfinished)"
        made_by = (env["commit"] or "unknown")[:7] + "*" * env["uncommitted_changes"]
        row = (name, made_by, ", ".join(runs.devices_of(env)), env["torch"], env["started"][:10])
        seed = int(folder.name.removeprefix("seed_"))
        alike.setdefault(row, []).append(f"{seed}{state}")
    rows = [
        (f"`{name}`", ", ".join(seeds), f"`{commit}`", *rest)
        for (name, commit, *rest), seeds in alike.items()
    ]
    return "\n".join(markdown_table(("run", "seeds", "commit", "device", "torch", "begun"), rows))


def gallery_paper() -> str:
    """The pictures of the paper's figures, two in a row."""
    return _gallery(CATALOG.paper.values())


def gallery_related() -> str:
    """The pictures of the figures of the related systems."""
    return _gallery(CATALOG.related.values())


def _gallery(figures) -> str:
    cells = [
        f'<a href="claims.md#figure-{f.id}">{picture(f, "figures", 420)}</a><br>'
        f"**{f.id}** {f.title}"
        for f in figures
    ]
    rows = list(zip_longest(cells[::2], cells[1::2], fillvalue=""))
    return "\n".join(markdown_table(("", ""), rows))


def times() -> str:
    """Estimated times of the related figures, by size."""
    rows = [
        (f"`{f.id}`", *(full_time(f, size) for size in ("quick", "cpu", "full")))
        for f in CATALOG.related.values()
    ]
    head = ("figure", "quick", "cpu", "full")
    return "\n".join(markdown_table(head, rows, head[1:]))


def left_out() -> str:
    """What of the full size of the related figures has no published run, and what it would cost."""
    rows = []
    for figure in CATALOG.related.values():
        jobs = plan([figure], size="full", root=ROOT / "results")
        missing = [job for job in jobs if not runs.is_complete(job.folder)]
        if missing:
            hours = duration(makespan([job.seconds for job in missing], 2))
            rows.append((f"`{figure.id}`", f"{len(missing)} of {len(jobs)}", hours))
    return "\n".join(markdown_table(("figure", "not run", "time"), rows, ("not run", "time")))


MAKERS = (
    {
        f.__name__: f
        for f in (
            scoreboard,
            counts,
            claims_paper,
            claims_related,
            verdicts,
            settings,
            columns,
            provenance,
            gallery_paper,
            gallery_related,
            times,
            left_out,
        )
    }
    | {"folders": house.folders, "arrows": house.arrows}
    | remedies.MAKERS
)


def made(path) -> str:
    """A page as it would be made now."""
    return blocks.filled(path.read_text(), MAKERS)


def draw_gallery():
    """docs/figures/figure_ID.png of every figure, from the published runs."""
    for size, figures in groupby(
        sorted(CATALOG.all.values(), key=blocks.published_size), blocks.published_size
    ):
        command = [sys.executable, ROOT / "plots.py", "--size", size]
        command += ["--figures", *(figure.id for figure in figures)]
        command += ["--published", "--published-curves", "--out", GALLERY, "--dpi", str(DPI)]
        subprocess.run(command, check=True)


def main(argv=None) -> int:
    parser = Parser(prog="pages", description="Makes the tables of README.md and docs/ anew.")
    parser.add_argument(
        "--check", action="store_true", help="write nothing; exit 1 on a difference"
    )
    parser.add_argument("--pictures", action="store_true", help="also the gallery and the plan")
    options = parser.parse_args(argv)
    if options.pictures:
        draw_gallery()
        print(house.draw())
    stale = [path for path in PAGES if path.read_text() != made(path)]
    for path in stale:
        print(f"{path} {'is not what it would be made' if options.check else 'written'}")
        if not options.check:
            blocks.write(path, made(path))
    return int(bool(stale) and options.check)


if __name__ == "__main__":
    sys.exit(main())
