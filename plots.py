"""Draws figures from run folders.

    python plots.py --figures 1,2            # pictures of your runs, else of the published ones
    python plots.py --figures 4 --quick      # of the quick look
    python plots.py --figures related --size cpu
    python plots.py --compare runs/a runs/b/seed_42 --by lr      # any complete run folders
    python plots.py --table runs/a runs/b                        # their final values

curves.py finds the runs, panels*.py draw each kind of panel; this file puts the panels together and
says on every figure which runs it shows. What a run is (task, share, precision, epochs) comes from
its configuration and its metrics.csv, never from here. Imports no torch and no pyplot: a figure
belongs to its caller, nothing is kept open behind it.
"""

import os
import sys

if __name__ == "__main__":
    sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))  # not with PYTHONSAFEPATH
    from configuration.interpreter import begin

    begin("matplotlib", "pandas")

import io
import itertools
import math
import re
import subprocess
import textwrap
from dataclasses import replace
from functools import partial
from pathlib import Path

import matplotlib
import pandas
from matplotlib import colormaps
from matplotlib.figure import Figure as Canvas
from matplotlib.lines import Line2D

import paper
import related
from configuration import runs
from configuration.flags import Parser, add_own_file, parse_seeds
from configuration.interpreter import end, told
from experiment.catalog import Catalog, blame
from experiment.figure import PUBLISHED_SEED, Figure, Panel, asked_size
from judging import readings
from plotting import (
    appendix_panels,
    comparison,
    dimension_panels,
    map_panels,
    panels,
    ranking_panels,
    step_panels,
    weight_panels,
)
from plotting.curves import (
    HERE,
    MOST_NAMED,
    OWN,
    SIZE_WORDS,
    Replicate,
    chosen_size,
    command,
    find_replicates,
    in_form,
    load_curve,
    settings_of,
    share,
    some_names,
    task,
    unique,
)
from plotting.layout import FOOT, HEAD, arrange, mark_ends, show_hidden
from plotting.panels import (
    ALERT,
    EXTENDED,
    FACT,
    GREY,
    KIND,
    PALETTE,
    PUBLISHED,
    SAME_SEED,
    STYLE,
    THIN,
    WIDEST,
    Line,
    entry,
    log_axis,
    spread_words,
)
from plotting.published import differences

CATALOG = Catalog(paper.FIGURES, related.FIGURES, not_in=paper.NOT_IN)
__all__ = ["draw_figure", "draw_figures", "load_curve", "main", "measured", "read_run", "show"]

COLUMNS = 3  # panels side by side
OFF_SCALE = PALETTE[3]  # unlike all shades of viridis
WIDTH, BAR = 4.3, 1.1  # inches of a panel, and of its colour bar where it has one
NARROWEST = 6.4  # inches of a figure: its title has to fit
KINDS = panels.KINDS | appendix_panels.KINDS | weight_panels.KINDS
KINDS |= step_panels.KINDS | map_panels.KINDS | dimension_panels.KINDS | ranking_panels.KINDS
ONE_SEED = ("spectrum", "landscape", "landscape_test")  # kinds that draw one of several seeds
# Kinds that say in their own legend what becomes of several seeds.
COUNTED = (
    *map_panels.KINDS,
    *dimension_panels.KINDS,
    "steps_to_level",
    "best_accuracy",
    *ONE_SEED,
    "ranking",
    "ranking_grid",
)
# kind -> (script, table, flags): what is computed from weights, beside the runs, before drawing.
SCRIPTS = {
    "landscape": ("weights.landscape", runs.LANDSCAPE, ()),
    "landscape_test": ("weights.landscape", runs.LANDSCAPE, ()),
    "spectrum": ("weights.spectrum", runs.SPECTRUM, ()),
    "surface": (
        "weights.landscape",
        runs.SURFACES["tensor"],
        ("--normalisation", "tensor", "--surface"),
    ),
    "surface_filter": (
        "weights.landscape",
        runs.SURFACES["filter"],
        ("--normalisation", "filter", "--surface"),
    ),
}
COLOURED = ("landscape", "surface", "delay_")  # kinds that begin so have a colour bar
BANNERS = {
    "cpu": "CPU SIZE",
    "quick": "QUICK LOOK",
}

# How finely surfaces are measured: points a side, and examples of each set, the first ones.
SURFACE_FLAGS = {
    "full": ("--grid", "31", "--examples", "10000"),
    "cpu": ("--grid", "21", "--examples", "2048"),
    "quick": ("--grid", "11", "--examples", "512"),
}


class Picture(Canvas):
    """A matplotlib Figure that a notebook shows without pyplot."""

    def _repr_png_(self) -> bytes:
        with io.BytesIO() as buffer, matplotlib.rc_context(STYLE):
            self.savefig(buffer, format="png", dpi=100)
            return buffer.getvalue()


# ---------------------------------------------------------------------------------- figures


def draw_figure(
    figure: Figure,
    *,
    size=None,
    quick=False,
    seeds=None,
    runs_root=None,
    results_root=None,
    published_curves=False,
) -> Canvas:
    """A figure from the runs there are, saying which; see curves.load_curve.

    A run that is missing leaves the command that makes it in its panel; the rest is drawn.

    Args:
        figure: as declared in paper/, related/ or a file of one's own.
        size: "full" (None), "cpu" or "quick"; all but the full one are marked as such.
        quick: the same as size="quick".
        seeds: the replicates; None: all that are complete. Several: median and band.
        runs_root, results_root: the user's own and the published runs; None: runs/, results/.
        published_curves: whether the points of the published picture lie over the full form.

    Returns:
        A matplotlib Figure.
    """
    published = len(figure.runs)
    size = figure.shown_as(chosen_size(size, quick))
    figure = figure.at(size)
    seeds = None if seeds is None else unique(seeds)
    found = {r.name: find_replicates(r, size, seeds, runs_root, results_root) for r in figure.runs}
    make = command(figure, size, seeds, runs_root)
    for name, (replicates, notes) in found.items():
        there = {r.seed for r in replicates}
        lacking = [s for s in seeds or () if s not in there]
        if replicates and lacking:
            again = f": {command(figure, size, lacking, runs_root)}"
            few = again if len(lacking) <= MOST_NAMED else ""  # the launcher is asked for the same
            notes.append(f"{name} has no complete seed {some_names(map(str, lacking))}{few}")
    heights = max((_kind(p)[1] for p in figure.panels), key=len)
    columns = _columns(figure.panels)
    rows = math.ceil(len(figure.panels) / columns)
    with matplotlib.rc_context(STYLE):
        bar = BAR if any(str(p.kind).startswith(COLOURED) for p in figure.panels) else 0
        wide = max((WIDTH + bar * (columns < COLUMNS)) * columns, NARROWEST)
        picture = Picture(figsize=(wide, 4), layout="constrained")
        picture.get_layout_engine().set(w_pad=0.08, h_pad=0.06)  # inches
        grid = picture.add_gridspec(rows * len(heights), columns, height_ratios=heights * rows)
        head, told, foot = _head_and_foot(figure, found, size, published, wide)
        drawn, names, per_panel = [], [], not told and size != "full"
        colors, theirs = _colors(figure.panels), _published(figure)
        for i, (panel, letter) in enumerate(zip(figure.panels, _letters(figure), strict=True)):
            above, column = divmod(i, columns)
            first, levels = above * len(heights), len(_kind(panel)[1])
            # A kind with fewer rows of axes lets its last one span what is left.
            ends = [*range(first + 1, first + levels), first + len(heights)]
            axes = []
            for k, end in enumerate(ends):
                cell = grid[first + k : end, column]
                axes.append(picture.add_subplot(cell, sharex=axes[0] if axes else None))
            with_points = published_curves and size == "full"
            lines = [
                Line(
                    c.run,
                    in_form(c.label, c.run, size),
                    colors[panel.id, c.label],
                    found[c.run.name][0],
                    c.published if with_points else {},
                )
                for c in panel.curves
            ]
            entries = _draw_panel(axes, panel, lines, size, make, theirs)
            # What the title says of the only curve needs no entry.
            entries = [e for e in entries if len(lines) > 1 or e.get_label() != panel.title]
            drawn.append((axes, entries))
            names.append(_name(panel, letter, lines, size, per_panel, wide / columns))
        for first in range(0, len(names), columns):
            row = slice(first, first + columns)
            _write_names([axes[0] for axes, _ in drawn[row]], names[row])
        pairs = [(p, axes) for p, (axes, _) in zip(figure.panels, drawn, strict=True)]
        _share_y(pairs)
        _share_colours(pairs)
        color = "black" if size == "full" else ALERT
        arrange(picture, drawn, head, told, foot, heights, columns, bar, color)
    return picture


def _kind(panel: Panel):
    """(drawing function, relative heights of its rows of axes) of a panel."""
    return (panel.kind, (3.0,)) if callable(panel.kind) else KINDS[panel.kind]


def _columns(panels) -> int:
    """Four stand two by two, unless the last is a variant of a row of three."""
    square = len(panels) == 4 and panels[-1].letter not in VARIANTS
    return 2 if square else min(len(panels), COLUMNS)


VARIANTS = tuple(f"{letter}′" for letter in "abcdefgh")


def _letters(figure: Figure) -> list[str]:
    """The letter of each panel: the declared one, that of its id, else the next free one."""
    if len(figure.panels) == 1:
        return [figure.panels[0].letter or ""]
    of_id = (re.fullmatch(rf"{re.escape(figure.id)}([a-z])", p.id) for p in figure.panels)
    found = [
        p.letter if p.letter is not None else m and m[1]
        for p, m in zip(figure.panels, of_id, strict=True)
    ]
    free = iter([x for x in "abcdefghijklmnopqrstuvwxyz" if x not in found])
    return [next(free) if letter is None else letter for letter in found]


def _published(figure: Figure) -> str:
    """What the key calls the published points: what of them is corrected, and where not in all."""
    panels = zip(_letters(figure), figure.panels, strict=True)
    of = {x: p.corrected for x, p in panels if any(c.published for c in p.curves)}
    texts = unique(of.values())
    if len(texts) > 1:
        texts = [f"{letter}: {text}" for letter, text in of.items() if text]
    return f"published picture ({'; '.join(texts)})" if any(texts) else "published picture"


def _colors(panels) -> dict:
    """{(panel id, label): colour}: one per label in all panels, while the palette has enough.

    Of more labels each panel begins with the first colour, and a label keeps that which it had.
    """
    labels = unique(c.label for p in panels for c in p.curves if not p.ordered)
    of_label = dict(zip(labels, PALETTE, strict=False)) if len(labels) <= len(PALETTE) else {}
    colors = {}
    for panel in panels:
        own = unique(c.label for c in panel.curves)
        if panel.ordered:
            shades = colormaps["viridis"]
            off = {c.label for c in panel.curves if c.off_scale}
            scale = [label for label in own if label not in off]
            places = (0.9 * k / max(len(scale) - 1, 1) for k in range(len(scale)))
            colors |= {(panel.id, x): shades(p) for x, p in zip(scale, places, strict=True)}
            colors |= {(panel.id, x): OFF_SCALE for x in off}
            continue
        taken = {of_label[x] for x in own if x in of_label}
        free = itertools.chain([c for c in EXTENDED if c not in taken], itertools.cycle(PALETTE))
        for label in own:
            if label not in of_label:
                of_label[label] = next(free)
            colors[panel.id, label] = of_label[label]
    return colors


def _share_y(panels):
    """The same y axis for all panels of the kinds of figures 5 and 12: they are to be compared."""
    kinds = "nlm_cosine", "spectrum"
    tops = [axes[0] for panel, axes in panels if panel.kind in kinds and axes[0].lines]
    limits = [axes.get_ylim() for axes in tops]
    for axes in tops:
        axes.set_ylim(min(low for low, _ in limits), max(high for _, high in limits))


def _share_colours(panels):
    """One colour is one loss in all surfaces of a kind: their ranges are to be compared."""
    for kind, row in itertools.product(("surface", "surface_filter"), (0, 1)):
        filled = [
            shape
            for panel, axes in panels
            if panel.kind == kind
            for shape in axes[row].collections
            if getattr(shape, "filled", False)
        ]
        levels = [level for shape in filled for level in shape.levels]
        for shape in filled:
            shape.set_clim(min(levels), max(levels))


def _draw_panel(axes, panel: Panel, lines: list[Line], size: str, make: str, theirs: str) -> list:
    """The entries of the panel's legend."""
    there = [line for line in lines if line.replicates]
    missing = [line for line in lines if not line.replicates]
    folders = unique(line.run.form(size)[0] for line in missing)
    entries = _draw_lines(axes, panel, there, panel.epochs if size == "full" else None)
    for part in axes:
        if panel.log and there:
            log_axis(part)
        show_hidden(part)
        if re.match("Epoch|Optimizer steps", axes[-1].get_xlabel()):
            entries += mark_ends(part, there) if part is axes[-1] else mark_ends(part, [])
    if any(curve.get_label() == THIN for part in axes for curve in part.lines):
        entries.append(entry(THIN, style="none", gid=KIND))
    if any(line.as_published for line in there):
        words = f"our seed {PUBLISHED_SEED}, that of their commands"
        entries.append(Line2D([], [], color=GREY, label=words, **SAME_SEED | {"gid": KIND}))
    if any(line.published for line in there):
        entries.append(Line2D([], [], color=GREY, label=theirs, **PUBLISHED | {"gid": KIND}))
    make = textwrap.fill(make, WIDEST, break_on_hyphens=False)
    if missing and not there:
        text = f"no complete run of\n{some_names(folders, chr(10))}\n\nmake it:\n{make}"
        axes[0].text(0.5, 0.5, text, transform=axes[0].transAxes, ha="center", va="center", size=9)
        axes[0].grid(False)
        axes[0].set_xticks([])
        for empty in axes[1:]:
            empty.set_visible(False)
    elif len(folders) > MOST_NAMED:
        text = f"no complete run of {len(folders)} of {len(lines)}: {some_names(folders)}"
        entries.append(entry(textwrap.fill(text, WIDEST), style="none", gid=FACT))
        entries.append(entry(f"make them: {make}", style="none", gid=FACT))
    elif missing:
        for line in missing:
            name = line.run.form(size)[0]
            text = f"{line.label}: no complete run of {name}"
            entries.append(entry(textwrap.fill(text, WIDEST), style="none", gid=FACT))
        entries.append(entry(f"make it: {make}", style="none", gid=FACT))
    return entries


def _name(panel, letter, lines, size, told: bool, wide: float) -> tuple[str, str]:
    """(title of a panel, the settings of its form where the figure does not tell them).

    wide: inches.
    """
    title = f"({letter}) {panel.title}" if letter else panel.title
    other = [line.run for line in lines if line.run.kept_as(size) != "full"]
    if other:
        title = in_form(title, lines[0].run, size)
    title = textwrap.fill(title, round(8.6 * wide))
    each = settings_of(other, size) if told else []
    return title, "\n".join(
        textwrap.fill(f"{SIZE_WORDS[size]}: {s}", round(12 * wide)) for s in each
    )


def _write_names(row, names):
    """The titles of a row of panels at one height, and below them in red the settings."""
    most = max(len(text.splitlines()) for _, text in names)
    style = {"ha": "center", "va": "bottom", "size": 9, "color": ALERT}
    for axes, (title, text) in zip(row, names, strict=True):
        axes.set_title(title, pad=8 + 13 * most if most else None)
        if text:
            axes.annotate(text, (0.5, 1), (0, 5), "axes fraction", "offset points", **style)


def _draw_lines(axes, panel: Panel, lines: list[Line], end: int | None) -> list:
    """The entries of the legend. A line whose table lacks a column is said there and not drawn."""
    try:
        return _kind(panel)[0](axes, lines, end)
    except KeyError as error:
        column = error.args[0]
        lacking = [x for x in lines if any(column not in r.metrics for r in x.replicates)]
        if not lacking:
            raise
    for part in axes:
        part.clear()
    entries = _draw_lines(axes, panel, [line for line in lines if line not in lacking], end)
    texts = (f"{x.label}: not drawn, its {runs.METRICS} has no column {column}" for x in lacking)
    return [*entries, *(entry(textwrap.fill(text, WIDEST), style="none") for text in texts)]


def _head_and_foot(figure: Figure, found, size: str, published: int, wide: float):
    """(title, what is told of another size in red, below the panels which runs are shown)."""
    title = f"Figure {figure.id}. {figure.title}" if figure.id[0].isdigit() else figure.title
    told, what, notes = "", [], []
    if size != "full":
        other = [run for run in figure.runs if run.kept_as(size) != "full"]
        each = [f"{SIZE_WORDS[size]}: {s}" for s in settings_of(other, size)]
        title = f"{title} ({BANNERS[size]})"
        text = "\n".join(textwrap.fill(s, round(12 * wide)) for s in each)
        alike = len(each) == 1 and len(other) == len(figure.runs)
        told = text if alike or len(figure.panels) == 1 else ""
        if len(figure.runs) < published:
            what.append(f"{len(figure.runs)} of the {published} settings of the full size")
    else:
        shares = {}
        for run in figure.runs:
            percent, of = share(run.config)
            shares.setdefault(of, []).append((task(run.config), percent))
        for of, pairs in shares.items():
            tasks, percents = (unique(x) for x in zip(*pairs, strict=True))
            what.append(f"{_short(tasks)} ({', '.join(percents)} {of})")
    complete = sum(bool(replicates) for replicates, _ in found.values())
    if complete < len(found):
        what.append(f"{complete} complete runs of {len(found)}")
    shown = {}
    banded = {c.run.name for p in figure.panels if p.kind not in COUNTED for c in p.curves}
    several = {c.run.name for p in figure.panels if p.kind not in ONE_SEED for c in p.curves}
    origins = unique(r.source for replicates, _ in found.values() for r in replicates)
    spreads = {}
    for name, (replicates, _) in found.items():
        if replicates:
            text = _source(replicates, len(origins) > 1)
            if name not in several and len(replicates) > 1:
                text = f"one of {text} drawn"
            shown.setdefault(text, []).append(name)
            if name in banded and len(replicates) > 1:
                spreads[text] = f", {spread_words(len(replicates))}"
    most = max(shown, key=lambda text: len(shown[text]), default="")  # need not be named
    what += [most + spreads.get(most, "")] if most else []
    for text in (text for text in shown if text != most):
        seeds = re.sub("^((?:one of )?)seeds? ", r"\1", text) + spreads.get(text, "")
        what.append(f"{_named(figure, shown[text])}: {seeds}")
    what += origins if len(origins) == 1 else []
    if not shown:
        what.append("no complete run" if figure.runs else "computed; no run needed")
    notes = [note for _, notes in found.values() for note in notes]
    lines = [" · ".join(unique(what)), *notes]
    width = round(14 * wide)
    foot = "\n".join(_wrapped(line, width) for line in lines)
    return textwrap.fill(title, round(8.5 * wide)), told, foot


def _wrapped(line: str, width: int) -> str:
    """Broken at " · " where that is enough, in rows of about one length."""

    def rows(width):
        found = []
        for part in line.split(" · "):
            if found and len(found[-1]) + len(part) + 3 <= width:
                found[-1] += f" · {part}"
            else:
                found.append(part)
        return found

    least = rows(width)
    if max(map(len, least)) > width:
        return textwrap.fill(line, width, break_on_hyphens=False)
    return "\n".join(next(r for w in range(width + 1) if len(r := rows(w)) == len(least)))


def _short(tasks: list[str]) -> str:
    """Tasks in a row, a modulus of several said once: "subtraction, addition mod 113"."""
    parts = [re.fullmatch(r"(.*)( mod \d+)", text) for text in tasks]
    pairs = zip(tasks, parts, [*parts[1:], None], strict=True)
    return ", ".join(m[1] if m and after and m[2] == after[2] else text for text, m, after in pairs)


def _named(figure: Figure, names: list[str]) -> str:
    """Runs by the panels that show them and no others, else each by its first curve."""
    lettered = zip(figure.panels, _letters(figure), strict=True)
    letters = [f"({x})" if x else p.id.split()[-1] for p, x in lettered]
    own = {x: {c.run.name for c in p.curves} for p, x in zip(figure.panels, letters, strict=True)}
    alone = [panel for panel, runs_ in own.items() if runs_ and runs_ <= set(names)]
    if alone and set.union(*(own[x] for x in alone)) == set(names):
        return ", ".join(alone)
    places = {}  # label: its panels
    for panel, letter in zip(figure.panels, letters, strict=True):
        for curve in panel.curves:
            if curve.run.name in names:
                places.setdefault(curve.label.replace("\n", " "), {})[letter] = None
    parts = []
    for where, found in itertools.groupby(places, lambda label: tuple(places[label])):
        parts.append(f"{', '.join(where).replace('), (', ', ')} {some_names(found, '; ')}")
    return ", ".join(parts)


def _source(replicates: list[Replicate], whose: bool) -> str:
    """Which seeds, and if need be of whose, such as "seed 42, bundled runs"."""
    parts = []
    for source in unique(r.source for r in replicates):
        seeds = [r.seed for r in replicates if r.source == source]
        row = len(seeds) > 2 and seeds == list(range(seeds[0], seeds[0] + len(seeds)))
        said = f"{seeds[0]} to {seeds[-1]}" if row else ", ".join(map(str, seeds))
        parts.append(f"seed{'s' * (len(seeds) > 1)} {said}" + (f", {source}" if whose else ""))
    return ", ".join(parts)


# ---------------------------------------------------------------------------------- notebook, files


def show(figure_id: str, *, published_curves=True, **options) -> Canvas:
    """The figure of this id, for a notebook cell; options as in draw_figure."""
    figure = CATALOG.figures([figure_id])[0]
    return draw_figure(figure, published_curves=published_curves, **options)


def measured(figure_id: str, **options) -> readings.Readings:
    """What the runs of the figure of this id measured, as a table; options as in draw_figure.

    Beside it how far they are from the published curves, where those were read off.
    """
    figure = CATALOG.figures([figure_id])[0]
    found = readings.measured(figure, **options)
    if chosen_size(options.pop("size", None), options.pop("quick", False)) != "full":
        return found
    far = differences(figure, **options)
    title = (
        f"From the published curves (ours at their seed, {PUBLISHED_SEED}, where it was run;"
        " accuracy in points; ours minus theirs)"
    )
    rows = tuple({c: str(v) for c, v in row.items()} for row in far.fillna("").to_dict("records"))
    return replace(found, below=readings.Readings(title, rows)) if rows else found


def read_run(
    name: str, *, seed: int | None = None, size=None, quick=False, **roots
) -> pandas.DataFrame:
    """metrics.csv of one run as a table: of this seed, or of the first one found.

    Raises:
        ValueError: unknown run, or one that has no form of this size.
        runs.RunError: there is no complete run; names the command that makes it.
    """
    run = CATALOG.run(name)
    size = chosen_size(size, quick)
    run.form(size)
    seeds = None if seed is None else [seed]
    found = load_curve(run, size=size, seeds=seeds, **roots)
    if not found:
        which = name if seed is None else f"{name} seed {seed}"
        make = command(CATALOG.figure_of(run), size, seeds, roots.get("runs_root"))
        raise runs.RunError(f"{which} has no complete run here; {make} makes it")
    return found[0].metrics


def compute_tables(figure: Figure, *, size="full", seeds=None, runs_root=None) -> bool:
    """Computes what a figure needs of its own runs' weights, in processes that load torch.

    A table that is younger than its run is kept. A script that fails says why on stderr, and the
    panel then shows how to call it.

    Returns:
        Whether all that was computed succeeded.
    """
    succeeded = True
    for panel in (p for p in figure.at(size).panels if p.kind in SCRIPTS):
        script, table, flags = SCRIPTS[panel.kind]
        found = [find_replicates(c.run, size, seeds, runs_root, None)[0] for c in panel.curves]
        folders = [{r.seed: r.folder for r in rs if r.source == OWN} for rs in found]
        if table == runs.LANDSCAPE:  # one for all curves, beside the first
            common = sorted(set.intersection(*map(set, folders)))[:1]
            calls = [[each[seed] for each in folders] for seed in common]
        else:
            calls = [[folder] for each in folders for folder in each.values()]
        for call in calls:
            made, done = call[0] / table, max((f / runs.METRICS).stat().st_mtime for f in call)
            if not runs.has_derived(call[0], table) or made.stat().st_mtime < done:
                print(f"computing {made}", flush=True)
                fine = SURFACE_FLAGS[size] if table in runs.SURFACES.values() else ()
                command = [
                    sys.executable,
                    "-m",
                    script,
                    *fine,
                    *flags,
                    *(f.resolve() for f in call),
                ]
                # -m finds the script by the folder that it starts in, our own.
                here = {"cwd": HERE, "env": os.environ | {"PYTHONSAFEPATH": ""}}
                code = subprocess.run(command, stdout=subprocess.DEVNULL, **here).returncode
                succeeded = succeeded and code == 0
    return succeeded


def draw_figures(
    figures,
    *,
    runs_root=None,
    out_dir=None,
    size=None,
    quick=False,
    seeds=None,
    results_root=None,
    dpi=None,
    published_curves=False,
) -> list[Path]:
    """Writes each figure as PNG (200 dpi) and PDF: figure_1.png, quick looks figure_1_quick.png.

    With `dpi` it is a PNG of that resolution alone.

    A size that shows just what the full one does is the full one, also by name.

    What `compute_tables` makes of the runs' weights is drawn where it is there.

    Returns:
        The files written.

    Raises:
        runs.RunError: out_dir cannot be written; one line.
    """
    out_dir = Path(out_dir or HERE / "figures")
    size = chosen_size(size, quick)
    options = {"size": size, "seeds": seeds, "runs_root": runs_root, "results_root": results_root}
    options["published_curves"] = published_curves
    paths = []
    for figure in figures:
        shown = figure.shown_as(size)
        picture = draw_figure(figure, **options)
        name = f"figure_{figure.id}" + ("" if shown == "full" else f"_{shown}")
        paths += _save(picture, out_dir, name, dpi)
    return paths


def _save(picture: Canvas, out_dir: Path, name: str, dpi: int | None) -> list[Path]:
    made = {out_dir / f"{name}.png": {"dpi": dpi or 200}}
    if dpi is None:
        made[out_dir / f"{name}.pdf"] = {"metadata": {"CreationDate": None}}
    try:
        out_dir.mkdir(parents=True, exist_ok=True)
        with matplotlib.rc_context(STYLE):
            for path, options in made.items():
                save = partial(picture.savefig, format=path.suffix[1:], **options)
                runs.replace_file(path, save)
    except OSError as error:
        raise runs.RunError(
            f"cannot write to {out_dir} ({error.strerror}); choose another --out"
        ) from None
    return list(made)


# ---------------------------------------------------------------------------------- any runs


def compare(folders, by=()) -> tuple[Canvas, str]:
    """Accuracy and loss of complete runs, a curve for each configuration, and a name for it.

    Args:
        folders: run folders, or folders that hold some (seed_N): these are replicates.
        by: fields that labels and colours tell apart; none: those in which the runs differ.

    Raises:
        ValueError, runs.RunError: an unknown field; a folder without a complete run.
    """
    found, notes = comparison.load(folders)
    by = comparison.fields_named(by, found)
    curves = comparison.lines(found, by)
    with matplotlib.rc_context(STYLE):
        picture = Picture(figsize=(2 * WIDTH + 3.4, 4.6), layout="constrained")
        entries, odd = comparison.draw(*picture.subplots(1, 2), curves)
        picture.legend(handles=entries, loc="outside right center")
        picture.suptitle(comparison.title(found, by), size=HEAD, weight="bold")
        text = comparison.foot(found, curves, by, [*notes, *odd])
        text = "\n".join(textwrap.fill(line, 150, break_on_hyphens=False) for line in text)
        picture.supxlabel(text, x=0.01, ha="left", size=FOOT, color=GREY)
    return picture, comparison.picture_name(found, by)


# ---------------------------------------------------------------------------------- command line


def _split(words) -> list[str]:
    """1,2 and "1 2" and 1 2 mean the same."""
    return [w for w in re.split(r"[,\s]+", " ".join(words or ())) if w]


def _compare(given):
    """What --compare and --table ask for."""
    for flag in ("figures", "size", "quick", "runs", "published", "published_curves", "seeds"):
        if getattr(given, flag):
            raise ValueError(
                f"--{flag.replace('_', '-')} is about figures; drop it,"
                " or --compare, --by and --table"
            )
    if given.by and not given.compare:
        raise ValueError("--by says how to compare; name run folders with --compare")
    if not given.compare and not given.table:
        raise ValueError(f"--table is empty; {comparison.NOWHERE}")
    if given.compare:
        picture, name = compare(given.compare, _split(given.by))
        for path in _save(picture, Path(given.out or HERE / "figures"), name, given.dpi):
            print(path)
    if given.table is not None:
        print(comparison.table(comparison.load(given.table or given.compare)[0]))


def main(argv=None) -> int:
    """The command line; returns the exit code."""
    parser = Parser(prog="plots.py", description="Draws figures from run folders.")
    parser.add_argument(
        "--figures", nargs="+", metavar="LIST", help="by commas or spaces [the paper's]"
    )
    parser.add_argument("--size", metavar="SIZE", help="full, cpu or quick [full]")
    parser.add_argument("--quick", action="store_true", help="the same as --size quick")
    parser.add_argument("--runs", metavar="DIR", help="your own runs [runs]")
    parser.add_argument(
        "--published", action="store_true", help="leave your own runs out: results/ only"
    )
    parser.add_argument(
        "--published-curves",
        action="store_true",
        help="the points read off the published pictures over the curves of full size",
    )
    parser.add_argument(
        "--dpi", type=int, metavar="N", help="PNG alone, of this resolution [PNG of 200, and PDF]"
    )
    parser.add_argument("--out", metavar="DIR", help="where the pictures go [figures]")
    parser.add_argument("--seeds", nargs="+", metavar="LIST", help="replicates [all complete]")
    add_own_file(parser)
    parser.add_argument(
        "--compare",
        nargs="+",
        metavar="DIR",
        help="instead of figures these complete runs in one picture; a folder of several seed_N"
        " stands for their median",
    )
    parser.add_argument(
        "--by", nargs="+", metavar="LIST", help="fields to compare by [all that differ]"
    )
    parser.add_argument(
        "--table",
        nargs="*",
        metavar="DIR",
        help="print the final values of these complete runs [of those of --compare]",
    )
    given = parser.parse_args(argv)
    try:
        seeds = parse_seeds(given.seeds)
        if given.runs is not None and not Path(given.runs).is_dir():
            raise ValueError(
                f"--runs '{given.runs}' is no folder; choose one that holds run folders"
            )
        catalog = CATALOG.with_file(given.figures_from) if given.figures_from else CATALOG
        if given.compare or given.by or given.table is not None:
            _compare(given)
            return told()
        figures = catalog.figures(_split(given.figures))
        size = asked_size(given.size, given.quick)
        own = os.devnull if given.published else given.runs  # nothing is below the null device
        made = [
            compute_tables(f, size=f.shown_as(size), seeds=seeds, runs_root=own) for f in figures
        ]
        options = {"runs_root": own, "out_dir": given.out, "size": size, "dpi": given.dpi}
        options["published_curves"] = given.published_curves
        for path in draw_figures(figures, seeds=seeds, **options):
            print(path)
    except (ValueError, runs.RunError) as error:
        parser.error(str(error))
    except Exception as error:
        if not given.figures_from:
            raise
        parser.error(blame(error, given.figures_from))
    return 0 if all(made) else 1


if __name__ == "__main__":
    end(main)
