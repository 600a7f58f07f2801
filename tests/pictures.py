"""Synthetic runs that are only there to be drawn, and what can be read off the axes."""

import zlib
from dataclasses import replace

import matplotlib.text
import numpy
from made_runs import made
from matplotlib.colors import to_hex
from matplotlib.lines import Line2D

import plots
from configuration import runs
from configuration.config import RunConfig
from experiment.figure import Curve, Figure, Panel, Run
from plotting.panels import AIDS

BASE = RunConfig(lr=0.5, optimizer="SGD", num_epochs=400)
EPOCHS = [0, 100, 200, 300, 400]


COLUMNS = ("train_accuracy", "test_accuracy", "softmax_collapse", "softmax_collapse_label",
           "zero_terms", "weight_norm")  # fmt: skip


def write(root, run, seed=42, size="full", rows=6, complete=True, summary=None, **columns):
    """A run folder with few rows; unless given, a column's values are drawn for this very run."""
    name, config = run.form(size, seed)
    generator = numpy.random.default_rng(zlib.crc32(f"{name} {seed}".encode()))
    table = {c: generator.random(rows).tolist() for c in COLUMNS} | columns
    rows = len(next(iter(columns.values()))) if columns else rows
    epochs = [config.num_epochs * i // (rows - 1) for i in range(rows)]
    losses = {"train_loss": [1.0] * rows, "test_loss": [1.0] * rows}
    made(root, name, config, epochs, complete=complete, summary=summary, **losses | table)
    return epochs, {c: numpy.array(table[c][:rows]) for c in COLUMNS}


def rewrite(folder, table):
    """Gives a complete run other rows."""
    with runs.RunFolder(folder, runs.read_config(folder)) as opened:
        opened.clear()
        for row in table.to_dict("records"):
            opened.append(row)
        opened.write_summary({"diverged_at_step": None})


class Places:
    """Two roots of run folders, and figures over them."""

    def __init__(self, root):
        self.roots = {"runs_root": root / "own", "results_root": root / "published"}

    def write(self, name, config=BASE, seed=42, epochs=EPOCHS, **columns) -> Run:
        config = replace(config, seed=seed)
        made(self.roots["runs_root"], name, config, epochs, every=3, **columns)
        declared = replace(config, seed=42)
        return Run(name=name, config=declared, quick=declared)

    def folder(self, run, seed=42):
        return runs.run_folder(self.roots["runs_root"], run.name, seed)

    def draw(self, kind, *labelled, epochs=None):
        """The axes of a panel of this kind; labelled: (run, label) pairs."""
        drawn = tuple(Curve(run=run, label=label) for run, label in labelled)
        panel = Panel(id="x", title="x", kind=kind, curves=drawn, epochs=epochs)
        figure = Figure(id="x", title="x", claim="", panels=(panel,))
        self.picture = plots.draw_figure(figure, **self.roots)
        self.picture.draw_without_rendering()
        return self.picture.axes[0]


def legends(axes) -> list:
    """Those of these axes, or of the lower row of their panel, and of their figure."""
    shared = axes.get_shared_x_axes()
    rows = [a for a in axes.figure.axes if a is axes or shared.joined(a, axes)]
    return [*filter(None, (a.get_legend() for a in rows)), *axes.figure.legends]


def keys(axes) -> dict:
    """{label: what the legends show for it}"""
    return {
        " ".join(text.get_text().split()): handle
        for box in legends(axes)
        for text, handle in zip(box.get_texts(), box.legend_handles, strict=True)
    }


def legend(axes) -> dict:
    """{label: (colour, style)} of the keys that are lines."""
    lines = {k: h for k, h in keys(axes).items() if isinstance(h, Line2D)}
    return {k: (to_hex(h.get_color()), h.get_linestyle()) for k, h in lines.items()}


def marked_as(axes, label) -> list[tuple]:
    """The points whose marker, edge and filling are those that the legend shows for this label."""

    def look(x):
        return x.get_marker(), to_hex(x.get_markeredgecolor()), to_hex(x.get_markerfacecolor())

    key = look(keys(axes)[label])
    return [tuple(map(float, p)) for x in axes.lines if look(x) == key for p in x.get_xydata()]


def curves_of(axes, color, style="-"):
    """The curves of this colour and style in data coordinates."""
    return [
        (numpy.asarray(x.get_xdata()).tolist(), numpy.asarray(x.get_ydata()).tolist())
        for x in axes.lines
        if to_hex(x.get_color()) == color and x.get_linestyle() == style
        if x.get_transform() == axes.transData and len(x.get_xdata()) > 1
        if x.get_gid() != AIDS
    ]


def verticals(axes) -> list:
    """Where the dotted vertical lines stand."""
    return [x.get_xdata()[0] for x in axes.lines if x.get_linestyle() == ":"]


def aids(axes, marker="None") -> list:
    """What is drawn beside the curves: stripes of hidden ones, ends "|", published points "o"."""
    return [x for x in axes.lines if x.get_gid() == AIDS and x.get_marker() == marker]


def texts(picture) -> str:
    """All text of a figure or of axes, line breaks as spaces."""
    found = [t.get_text() for t in picture.findobj(matplotlib.text.Text)]
    return " | ".join(" ".join(t.split()) for t in found if t.strip())
