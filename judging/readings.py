"""What the runs of a figure measured, as a table: a row for each run and seed.

Of the related systems it also says what a run was trained on, and its delay, outcome and dimension;
of the paper, its collapse. Imports no torch.
"""

import shutil
from dataclasses import dataclass
from html import escape

import pandas

from configuration import runs
from experiment.figure import Figure
from experiment.outcomes import (
    THRESHOLD,
    best_within,
    dimension_lead,
    frequencies_holding,
    grokking_delay,
    learned_dimension,
    outcome,
)
from experiment.quantity import show
from plotting.curves import chosen_size, command, find_replicates, in_form, share, some_names, task
from plotting.panels import COLLAPSE, COLLAPSE_2A, PERCENT, Line, largest_collapse

NEVER = "never"
WITHOUT_95 = "mnist"  # the figure whose tasks never reach 95 %: levels relative to the best
NAMES = ("panel", "curve")  # the columns that say which run a row is of
WORDS = (*NAMES, "column", "source", "task", "trained on", "outcome")  # columns that are no numbers
SETTING = ("seed", "source", "steps", "epochs", "task", "trained on", "batch")


@dataclass(frozen=True)
class Readings:
    """A table of measurements: rendered in a notebook, aligned text elsewhere.

    Attributes:
        title: what its levels are.
        rows: {column: text} each, in one order of columns; a column may be missing in a row.
        notes: sentences below it.
        below: a table that comes after these.
    """

    title: str
    rows: tuple[dict[str, str], ...]
    notes: tuple[str, ...] = ()
    below: "Readings | None" = None

    @property
    def columns(self) -> list[str]:
        return list(dict.fromkeys(column for row in self.rows for column in row))

    @property
    def common(self) -> dict[str, str]:
        """What is the same of several runs, {column: text}; it is said once, above the table."""
        each = {c: {row.get(c) for row in self.rows} for c in SETTING if c in self.columns}
        many = len(self.rows) > 1
        return {c: found.pop() for c, found in each.items() if many and len(found) == 1}

    def _shown(self) -> tuple[str, list[str], list[list[str]]]:
        """(line above, headings, cells); what a row repeats of the names above it is empty."""
        columns = [c for c in self.columns if c not in self.common]
        cells = [[row.get(c, "") for c in columns] for row in self.rows]
        named = [tuple(row.get(c) for c in NAMES) for row in self.rows]
        for k in range(len(cells) - 1, 0, -1):
            if named[k] == named[k - 1]:
                cells[k][: len(NAMES)] = [""] * len(NAMES)
        above = ", ".join(v if c in WORDS else f"{c} {v}" for c, v in self.common.items())
        return f"{self.title}; all: {above}" if above else self.title, columns, cells

    def __str__(self) -> str:
        """Aligned text; what is wider than the terminal goes on below, with the names again."""
        above, columns, cells = self._shown()
        lines = [columns, *cells] if cells else []
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        room = shutil.get_terminal_size((160, 24)).columns
        names = [k for k in range(len(widths)) if columns[k] in (*NAMES, "seed")]
        parts, used = [], room
        for k in (k for k in range(len(widths)) if k not in names):
            used += widths[k] + 2
            if used > room:
                parts.append([*names])
                used = sum(widths[i] + 2 for i in names) + widths[k]
            parts[-1].append(k)
        text = [above + ":" * bool(lines)]
        for part in parts:
            for line in lines:
                fit = (f"{line[k]:{'<' if columns[k] in WORDS else '>'}{widths[k]}}" for k in part)
                text.append("  ".join(fit).rstrip())
            text += [""] * (part is not parts[-1])
        return "\n".join([*text, *self.notes, *([f"\n{self.below}"] if self.below else [])])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        """The same as a table that scrolls where it is too wide; no cell of it is broken."""
        above, columns, cells = self._shown()

        def cell(tag, column, text):
            text = escape(text) if tag == "th" else escape(text).replace(" ", "&#160;")
            side = "left" if column in WORDS else "right"
            return f'<{tag} style="text-align: {side}">{text}</{tag}>'

        lines = [f"<p>{escape(above)}</p>"]
        if cells:
            head = "".join(cell("th", c, c) for c in columns)
            body = ("".join(map(cell, ["td"] * len(columns), columns, line)) for line in cells)
            rows = "\n".join(f"<tr>{line}</tr>" for line in body)
            lines += [
                '<div style="overflow-x: auto">',
                "<table>",
                f"<thead><tr>{head}</tr></thead>",
            ]
            lines += [f"<tbody>\n{rows}\n</tbody>", "</table>", "</div>"]
        lines += (f"<p>{escape(note)}</p>" for note in self.notes)
        return "\n".join([*lines, *([self.below._repr_html_()] if self.below else [])])


def measured(
    figure: Figure, *, size=None, quick=False, seeds=None, runs_root=None, results_root=None
) -> Readings:
    """What the runs of a figure measured: final values, and when levels were reached.

    Args: as plots.draw_figure. Levels are told in epochs, or in steps where a run's length is.
    """
    size = chosen_size(size, quick)
    figure = figure.at(size)
    related = any(r.at(size).dataset == "tokens" or r.at(size).num_steps for r in figure.runs)
    unit = "step" if any(r.at(size).num_steps is not None for r in figure.runs) else "epoch"
    rows, lacking, notes, done = [], [], [], set()
    for panel, curve in ((p, c) for p in figure.panels for c in p.curves):
        if curve.run.name in done:
            continue
        done.add(curve.run.name)
        found, more = find_replicates(curve.run, size, seeds, runs_root, results_root)
        notes += more
        lacking += [] if found else [curve.run.form(size)[0]]
        kinds = {p.kind for p in figure.panels if curve.run in [c.run for c in p.curves]}
        for replicate in found:
            line = Line(curve.run, in_form(curve.label, curve.run, size), "", [replicate])
            try:
                if related:
                    values = _related_values(line, unit, relative=figure.id == WITHOUT_95)
                else:
                    values = {"curve": line.label} | _values(line, unit, kinds)
            except KeyError as column:
                notes.append(f"{line.label} seed {replicate.seed} has no column {column}")
                continue
            rows.append({"panel": panel.id} | {name: str(value) for name, value in values.items()})
    if lacking:
        make = command(figure, size, seeds, runs_root)
        notes.insert(0, f"No complete run of {some_names(lacking)}; make it: {make}")
    title = f"Measured (levels: first {unit})"
    if not rows:
        title = "Measured: nothing" + (", the curves are computed" if not figure.runs else "")
    return Readings(title, tuple(rows), tuple(notes))


def _number(value: float | None) -> str:
    return NEVER if value is None else show(float(value), "step")


def _first(metrics: pandas.DataFrame, unit: str, column: str, level: float) -> str:
    reached = metrics[unit][metrics[column] >= level]
    return _number(reached.iloc[0] if len(reached) else None)


def _ends(line: Line, unit: str) -> dict:
    ((seed, metrics, source, _),) = line.replicates
    last = metrics.iloc[-1]
    return {
        "seed": seed,
        "source": source,
        f"{unit}s": f"{last[unit]:,.10g}",
        "train %": f"{PERCENT * last['train_accuracy']:.2f}",
        "test %": f"{PERCENT * last['test_accuracy']:.2f}",
    }


def _values(line: Line, unit: str, kinds: set[str]) -> dict:
    """Of one run that is drawn in panels of these kinds."""
    config, ((_, metrics, _, folder),) = line.config, line.replicates
    two = config.dataset == "sparse_parity"  # of two classes chance is as good as 50 %
    values = _ends(line, unit) | {
        "test ≥ 50 % at": "" if two else _first(metrics, unit, "test_accuracy", 0.5),
        "test ≥ 99 % at": _first(metrics, unit, "test_accuracy", 0.99),
        "terms of 0 %, max": f"{PERCENT * metrics['zero_terms'].max():.1f}",
    }
    if config.loss_function == "cross_entropy":  # no other loss has a softmax that can collapse
        values["max collapse %"] = largest_collapse(line)
        for level in (COLLAPSE_2A, COLLAPSE):
            label = f"collapse ≥ {PERCENT * level:g} % at"
            values[label] = _first(metrics, unit, "softmax_collapse", level)
        if config.dataset == "mnist":  # large random weights are confident, and wrong
            values["of right labels"] = _first(metrics, unit, "softmax_collapse_label", COLLAPSE)
    values["weight norm"] = f"{metrics['weight_norm'].iloc[-1]:,.1f}"
    if "nlm_cosine" in kinds and "nlm_cosine" in metrics:
        output = [c for c in metrics if c.startswith("nlm_cosine/") and c.endswith("weight")][-1]
        rows = metrics[metrics["train_accuracy"] >= 1]
        for name, column in (("cosine", "nlm_cosine"), ("of the output layer", output)):
            values[f"{name} when fitted"] = f"{rows[column].iloc[0]:.3f}" if len(rows) else NEVER
    if "loss_and_l2" in kinds:
        term = config.l2_coefficient * metrics["weight_norm"] ** 2
        values["train loss"] = f"{metrics['train_loss'].iloc[-1]:.4g}"
        values |= {"L2 term": f"{term.iloc[-1]:.4g}", "largest": f"{term.max():.4g}"}
    if "absorption" in kinds and "update_absorbed" in metrics:
        for name, column in (("absorbed", "update_absorbed"), ("zero gradients", "zero_gradients")):
            ends = (PERCENT * metrics[column].iloc[k] for k in (0, -1))
            values[f"{name} %, first to last"] = " to ".join(f"{x:.2f}" for x in ends)
    if "spectrum" in kinds:
        path = folder / runs.SPECTRUM
        if runs.has_derived(folder, runs.SPECTRUM):
            shares = pandas.read_csv(path).groupby("frequency")[["initial", "final"]].mean()
            for when in shares:
                count = f"{frequencies_holding(shares[when])} of {len(shares)}"
                values[f"frequencies of 90 %, {when}"] = count
    return values


def _related_values(line: Line, unit: str, relative: bool) -> dict:
    """As _values; `relative`: delay and outcome between levels relative to the run's best."""
    config, metrics = line.config, line.replicates[0].metrics
    delay = grokking_delay(metrics, relative=relative)
    level = f"{PERCENT * THRESHOLD:g} %{' of best' if relative else ''}"
    values = {
        "curve": line.label,
        "task": task(config),
        "trained on": " ".join(share(config)),
        "batch": "full" if config.full_batch else f"{config.batch_size:,}",
    }
    values |= _ends(line, unit) | {
        "best test %": f"{PERCENT * best_within(metrics):.2f}",
        "train ≥ 99 % at": _first(metrics, unit, "train_accuracy", 0.99),
        "test ≥ 50 % at": _first(metrics, unit, "test_accuracy", 0.5),
        "test ≥ 99 % at": _first(metrics, unit, "test_accuracy", 0.99),
        f"delay at {level} in steps": _number(delay.steps),
        "delay in epochs": _number(delay.epochs),
        f"outcome at {level}": outcome(metrics, relative=relative),
    }
    dimension = learned_dimension(metrics)
    if dimension is not None:
        lead = dimension_lead(metrics)
        values |= {
            "largest dimension": f"{dimension.max():.1f}",
            "last": f"{dimension.iloc[-1]:.1f}",
            "lead, steps": _number(lead.steps),
        }
    return values
