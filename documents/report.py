"""One HTML page of figures: pictures, verdicts, settings, measurements, links to the rows.

    ./run_main_experiments.sh --report              # the paper's figures
    ./run_main_experiments.sh --figures related --size cpu --report
    python -m documents.report --figures 1,2 --published --out report.html

The page holds its pictures and needs no other file, no script and no network; only the links to
config.json and metrics.csv lead out of it, to where the runs lie.
"""

import base64
import os
import re
import struct
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import fields
from functools import partial
from html import escape
from pathlib import Path

import paper
import related
from configuration import runs
from configuration.config import RunConfig
from configuration.flags import Parser, add_own_file
from documents.blocks import ROOT, fewer_colours, said_of
from experiment.catalog import Catalog
from experiment.figure import Figure, Run, asked_size, size_flag
from judging import readings
from judging.tables import checks_held, remark_on, summary, with_units
from judging.verdicts import VERDICTS, Evidence, Judgement, judge
from plotting.curves import Replicate

CATALOG = Catalog(paper.FIGURES, related.FIGURES, not_in=paper.NOT_IN)
OUT = ROOT / "figures" / "report.html"
DPI = 100
TITLE = "Grokking at the edge of numerical stability: what reproduces"
STYLE = """
:root { color-scheme: light dark; --text: #1d2228; --soft: #5a6470; --page: #ffffff;
  --card: #f5f6f8; --line: #d9dde2; --link: #0b57b0; --reproduced: #14713d; --partly: #8a5a00;
  --not-reproduced: #b3261e; --not-run: #5a6470; }
@media (prefers-color-scheme: dark) { :root { --text: #e4e7eb; --soft: #a3adb8; --page: #14171a;
  --card: #1f2429; --line: #363d45; --link: #8ab8ff; --reproduced: #6fd79a; --partly: #f0bd5b;
  --not-reproduced: #ff9b92; --not-run: #a3adb8; } }
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; }
body { margin: 0 auto; padding: 1.5rem 1rem 4rem; max-width: 68rem; background: var(--page);
  color: var(--text); font: 1rem/1.55 system-ui, -apple-system, "Segoe UI", sans-serif;
  overflow-wrap: break-word; }
h1 { font-size: 1.7rem; line-height: 1.25; margin: 0 0 .5rem; }
h2 { font-size: 1.35rem; line-height: 1.3; margin: 0 0 .5rem; }
h3 { font-size: 1rem; margin: 1.5rem 0 .5rem; }
p, ul { margin: .5rem 0; max-width: 46rem; }
a { color: var(--link); }
code { font-size: .9em; overflow-wrap: anywhere; }
section { border-top: 1px solid var(--line); margin-top: 2.5rem; padding-top: 2rem; }
.soft { color: var(--soft); }
.scroll { overflow-x: auto; margin: .75rem 0; }
table { border-collapse: collapse; font-size: .875rem; font-variant-numeric: tabular-nums; }
th, td { padding: .3rem .7rem .3rem 0; border-bottom: 1px solid var(--line); vertical-align: top;
  text-align: left; }
th { color: var(--soft); font-weight: 600; }
td code { white-space: nowrap; }
td { min-width: 4rem; }
td.number, th.number { text-align: right; white-space: nowrap; }
figure { margin: 1rem 0; }
figure .scroll { background: #fff; border: 1px solid var(--line); border-radius: 6px; }
figure img { display: block; margin: 0 auto; max-width: 100%; height: auto; }
.claims { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 28rem), 1fr));
  gap: .75rem; }
.claim { background: var(--card); border-radius: 6px; padding: .75rem 1rem; font-size: .9375rem;
  border-left: 4px solid var(--verdict); }
.claim p { margin: 0 0 .4rem; }
.claim dl + p { margin-top: .5rem; }
.verdict { color: var(--verdict); font-weight: 600; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .15rem .75rem; margin: 0; }
dt { color: var(--soft); }
dd { margin: 0; min-width: 0; }
details { margin: .5rem 0; }
summary { cursor: pointer; color: var(--link); }
.claim details { margin: .4rem 0 0; font-size: .875rem; }
@media (max-width: 40rem) { figure img.wide { max-width: none; width: 44rem; } }
@media print { body { max-width: none; } .claim, figure { break-inside: avoid; } }
""" + "\n".join(  # fmt: skip
    f".{verdict.replace(' ', '-')} {{ --verdict: var(--{verdict.replace(' ', '-')}); }}"
    for verdict in VERDICTS
)


def table(headings: Sequence[str], rows, numbers=()) -> str:
    """A table of cells that are HTML already; it scrolls where it is wider than the page."""

    def line(tag, cells):
        kinds = (' class="number"' if h in numbers else "" for h in headings)
        return "".join(f"<{tag}{k}>{c}</{tag}>" for k, c in zip(kinds, cells, strict=True))

    body = "\n".join(f"<tr>{line('td', row)}</tr>" for row in rows)
    head = f"<thead><tr>{line('th', headings)}</tr></thead>"
    return f'<div class="scroll"><table>{head}\n<tbody>\n{body}\n</tbody></table></div>'


def details(title: str, content: str) -> str:
    return f"<details><summary>{title}</summary>\n{content}\n</details>"


# ---------------------------------------------------------------------------------- a figure


def claim(judgement: Judgement) -> str:
    """A claim with its verdict, the paper's numbers and ours; bounds and sources fold out.

    One that fails says what was tried.
    """
    of = judgement.claim
    rows = {"paper": of.paper, "measured": judgement.measured}
    tried = f"<p>{escape(remark_on(judgement))}</p>" if remark_on(judgement) else ""
    more = {"held to": of.held_to, "source": of.source, "runs": judgement.provenance}

    def pairs(said):
        return (
            "<dl>"
            + "".join(f"<dt>{k}</dt><dd>{escape(with_units(v))}</dd>" for k, v in said.items())
            + "</dl>"
        )

    return (
        f'<article class="claim {judgement.verdict.replace(" ", "-")}">'
        f"<p><b>{escape(of.panel)}</b> {escape(of.words)}:"
        f' <span class="verdict">{judgement.verdict}</span></p>\n'
        f"{pairs(rows)}{tried}{details('bound, source, runs', pairs(more))}</article>"
    )


def text_of(figure: Figure) -> str:
    """What the figure's file says of its settings, its docstring without the title, as HTML."""
    if figure.source:
        return ""
    doc = said_of(figure)
    return "\n".join(map(_block, re.split(r"\n\s*\n", doc))) if doc else ""


def _block(text: str) -> str:
    """A paragraph, list or table of Markdown as HTML."""

    def inline(words):
        return re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(words, quote=False))

    lines = text.strip().splitlines()
    if all(line.startswith("|") for line in lines) and len(lines) > 2:
        rows = [[inline(c.strip()) for c in line.strip("| ").split("|")] for line in lines]
        return table(rows[0], (row for row in rows[2:]))
    if lines[0].startswith("- "):
        items = [" ".join(item.split()) for item in re.split(r"(?m)^- ", text.strip())[1:]]
        return "<ul>" + "".join(f"<li>{inline(item)}</li>" for item in items) + "</ul>"
    return f"<p>{inline(' '.join(lines))}</p>"


def settings(drawn: Sequence[Run], size: str) -> tuple[str, dict[str, str]]:
    """What these runs set beside the defaults: (what all of them do, {run: what is its own})."""
    each = {run.name: vars(run.at(size)) for run in drawn}
    common, differing = [], []
    for field in (f for f in fields(RunConfig) if f.name != "seed"):
        values = {own[field.name] for own in each.values()}
        if len(values) > 1:
            differing.append(field.name)
        elif values != {field.default}:
            common.append(f"{field.name} {_value(values.pop())}")
    own = {
        name: ", ".join(f"{k} {_value(values[k])}" for k in differing)
        for name, values in each.items()
    }
    return ", ".join(common), own


def _value(value) -> str:
    return "×".join(map(str, value)) if isinstance(value, tuple) else str(value)


def rows_of(replicate: Replicate, place: Path) -> str:
    """Links to the rows and the settings of one run, with what made it."""
    folder = os.path.relpath(replicate.folder, place)
    env = replicate.folder / runs.ENV
    made = runs.read_json(env) if env.is_file() else {}
    by = ", ".join(filter(None, ((made.get("commit") or "")[:7], *runs.devices_of(made))))
    return (
        f'{replicate.seed}: <a href="{escape(folder)}/{runs.METRICS}">rows</a>,'
        f' <a href="{escape(folder)}/{runs.CONFIG}">settings</a>'
        f' <span class="soft">({escape(", ".join(filter(None, (replicate.source, by))))})</span>'
    )


def section(
    figure: Figure, judged: list[Judgement], evidence: Evidence, size: str, place: Path, png: bytes
) -> str:
    """A figure of the page.

    Args:
        judged: its claims.
        size: "full", "cpu" or "quick".
        place: the folder of the page, where its links start.
        png: its picture.
    """
    head = f"Figure {figure.id}. {figure.title}" if figure.id[0].isdigit() else figure.title
    held, of = checks_held(judged)
    width, height = struct.unpack(">II", png[16:24])  # of a PNG's first record
    wide = ' class="wide"' if width > 700 else ""
    parts = [
        f'<section id="figure-{figure.id}">',
        f"<h2>{escape(head)}</h2>",
        f"<p><em>Claim.</em> {escape(figure.claim)}</p>",
        f'<p class="soft">{held} of {of} checks hold; {summary(judged)}.</p>' if judged else "",
        f'<figure><div class="scroll"><img{wide} width="{width}" height="{height}"'
        f' src="data:image/png;base64,{base64.b64encode(fewer_colours(png)).decode()}"'
        f' alt="{escape(head)}: {escape(figure.claim)}"></div></figure>',
    ]
    if judged:
        parts += ['<div class="claims">', *map(claim, judged), "</div>"]
    text = text_of(figure)
    if text:
        parts.append(details("Settings and what was tried", text))
    figure = figure.at(size)
    if figure.runs:
        common, own_settings = settings(figure.runs, size)
        rows = []
        for run in figure.runs:
            seeds = [rows_of(r, place) for r in evidence.find(run, size=size).values()]
            rows.append(
                (
                    f"<code>{run.name}</code>",
                    escape(own_settings[run.name]),
                    "<br>".join(seeds) or "no complete run",
                )
            )
        own, published = evidence.roots
        found = readings.measured(figure, size=size, runs_root=own, results_root=published)
        parts.append(details("Measured", found._repr_html_()))
        runs_table = table(("run", "of its own", "seed"), rows)
        parts.append(details("Runs", f"<p>All: {escape(common)}.</p>\n{runs_table}"))
    command = " ".join(["./run_main_experiments.sh", "--figures", figure.id, *size_flag(size)])
    parts.append(f'<p class="soft">Computed by <code>{escape(command)}</code></p>\n</section>')
    return "\n".join(filter(None, parts))


# ---------------------------------------------------------------------------------- the page


def pictures(figures: Sequence[Figure], size: str, flags: Sequence[str]) -> dict[str, bytes]:
    """{id: PNG} of these figures, drawn by plots.py.

    Raises:
        ValueError: it failed, and has said why.
    """
    with tempfile.TemporaryDirectory() as place:
        command = [sys.executable, ROOT / "plots.py", "--figures", *(f.id for f in figures), *flags]
        command += ["--published-curves", *size_flag(size), "--dpi", str(DPI), "--out", place]
        if subprocess.run(command, stdout=subprocess.DEVNULL).returncode:
            raise ValueError("the figures could not be drawn, see above")
        shown = {f.id: f.shown_as(size) for f in figures}
        names = {i: f"figure_{i}" + ("" if s == "full" else f"_{s}") for i, s in shown.items()}
        return {i: (Path(place) / f"{name}.png").read_bytes() for i, name in names.items()}


def page(
    figures: Sequence[Figure], drawn, *, size="full", runs_root=None, results_root=None, place
) -> str:
    """The page of these figures, as HTML that needs no other file.

    Args:
        drawn: {id: PNG}.
        size: "full", "cpu" or "quick".
        runs_root, results_root: as plots.draw_figure.
        place: the folder it will lie in, where its links start.
    """
    evidence = Evidence(runs_root, results_root)
    judged = {f.id: [judge(c, evidence) for c in f.checks] for f in figures}
    rows = []
    for figure in figures:
        held, of = checks_held(judged[figure.id])
        link = f'<a href="#figure-{figure.id}">{escape(figure.title)}</a>'
        rows.append((escape(figure.id), link, f"{held} of {of}" if of else "–"))
    every = [j for found in judged.values() for j in found]
    meanings = "".join(
        f'<dt class="{v.replace(" ", "-")}"><span class="verdict">{v}</span></dt><dd>{m}</dd>'
        for v, m in VERDICTS.items()
    )
    sections = [section(f, judged[f.id], evidence, size, place, drawn[f.id]) for f in figures]
    notes = "".join(f"<li>{escape(note)}</li>" for note in evidence.notes)
    parts = [
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{TITLE}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<header>",
        f"<h1>{TITLE}</h1>",
        "<p>Each claim of a figure is held against the complete runs there are, your own where"
        " there are any and the published ones otherwise. Bounds come from the paper's words and"
        " numbers.</p>",
        f"<p><b>{summary(every)}.</b></p>\n<dl>{meanings}</dl>",
        table(("figure", "", "checks that hold"), rows, ("checks that hold",)),
        "</header>\n<main>",
        *sections,
        f'<section id="notes"><h2>Runs that were not used</h2><ul>{notes}</ul></section>'
        * bool(notes),
        "</main>\n</body>\n</html>\n",
    ]
    return "\n".join(filter(None, parts))


def main(argv=None) -> int:
    parser = Parser(prog="report", description="Writes one HTML page of figures.")
    parser.add_argument("--figures", nargs="*", metavar="LIST", help="[the paper's]")
    parser.add_argument("--size", metavar="SIZE", help="full, cpu or quick [full]")
    add_own_file(parser)
    parser.add_argument("--runs", metavar="DIR", help="your own runs [runs]")
    parser.add_argument("--published", action="store_true", help="results/ only")
    parser.add_argument("--out", metavar="FILE", help="[figures/report.html]")
    options = parser.parse_args(argv)
    out = Path(options.out or OUT)
    try:
        own = options.figures_from
        catalog = CATALOG.with_file(own) if own else CATALOG
        figures = catalog.figures(re.findall(r"[^,\s]+", " ".join(options.figures or ())))
        root = os.devnull if options.published else options.runs
        size = asked_size(options.size, False)
        if options.runs and not Path(options.runs).is_dir():
            raise ValueError(
                f"--runs '{options.runs}' is no folder; choose one that holds run folders"
            )
        flags = ["--published"] if options.published else []
        flags += ["--runs", options.runs] if options.runs else []
        flags += ["--figures-from", own] if own else []
        drawn = pictures(figures, size, flags)
        text = page(figures, drawn, size=size, runs_root=root, place=out.parent.resolve())
        out.parent.mkdir(parents=True, exist_ok=True)
        runs.replace_file(out, partial(_write, text))
    except ValueError as error:
        parser.error(str(error))
    except OSError as error:
        parser.error(f"cannot write {out} ({error.strerror}); choose another --out")
    print(out)
    return 0


def _write(text, file):
    file.write(text.encode())


if __name__ == "__main__":
    sys.exit(main())
