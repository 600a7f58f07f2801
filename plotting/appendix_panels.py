"""The kinds of panel that figures 5, 6c, 10 and 15 add to those of panels.py. Imports no torch."""

import math
import re
from dataclasses import replace

import numpy
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, NullFormatter

from experiment.outcomes import median_time
from plotting.panels import (
    EXTENDED,
    GREY,
    KIND,
    PALETTE,
    PERCENT,
    Line,
    entry,
    epoch_axis,
    log_axis,
    plot_median,
    spread,
    with_column,
)

GENERALIZED = 0.95  # test accuracy at which a run of the sweep counts as generalizing
STYLES = ("-", "--", "-.", ":")


# ---------------------------------------------------------------------------------- figure 5

_PARTS = {
    "embedding": "embedding",
    "position": "positions",
    "self_attn.in_proj": "attention QKV",
    "self_attn.out_proj": "attention output",
    "linear1": "feed-forward in",
    "linear2": "feed-forward out",
    "norm1": "norm 1",
    "norm2": "norm 2",
    "norm": "final norm",
    "head": "unembedding",
}


def tensor_name(parameter: str, parameters) -> str:
    """A parameter's name for a legend, such as "output layer" for layers.2.weight of three.

    Args:
        parameter: its name in the network.
        parameters: the names of all parameters, which say how many layers there are.
    """
    stem, _, kind = parameter.replace("in_proj_", "in_proj.").rpartition(".")
    of = "" if kind == "weight" else f", {kind}"
    layers = [int(m[1]) for m in (re.match(r"layers\.(\d+)\.", p) for p in parameters) if m]
    layer = re.fullmatch(r"layers\.(\d+)(?:\.(.+))?", stem)
    if layer and layer[2] is None:
        number = int(layer[1])
        return ("output layer" if number == max(layers) else f"layer {number + 1}") + of
    place = layer[2] if layer else stem
    inner = re.fullmatch(r"inner\.(\d+)", place)  # between the first and last feed-forward matrix
    part = f"feed-forward inner {int(inner[1]) + 1}" if inner else _PARTS.get(place)
    if part is None:
        return parameter
    return part + (f" (layer {int(layer[1]) + 1})" if layer and max(layers) else "") + of


def draw_nlm_cosine(axes, lines: list[Line], end: int | None) -> list[Line2D]:
    """Cosine between the negative gradient and the weights, per tensor, against epochs (Figure 5).

    A dotted line stands at the first epoch with 100 % training accuracy. Colours tell tensors
    apart, weights before biases; several runs in one panel differ in the style of their lines.
    """
    (top,) = axes
    prefix = "nlm_cosine/"
    lines, entries = with_column(lines, prefix, "log_nlm_cosine")
    for k, line in enumerate(lines):
        of_run = f"{line.label}: " if len(lines) > 1 else ""
        tensors = [c for c in line.replicates[0].metrics if c.startswith(prefix)]
        tensors.sort(key=lambda c: c.endswith("bias"))
        names = [c.removeprefix(prefix) for c in tensors]
        for i, (column, name) in enumerate(zip(tensors, names, strict=True)):
            color = EXTENDED[i % len(EXTENDED)]
            shown = STYLES[(2 * k + i // len(EXTENDED)) % len(STYLES)]
            plot_median(top, replace(line, color=color), column, linestyle=shown)
            entries.append(entry(f"{of_run}{tensor_name(name, names)}", color, shown))
        epoch = line.first_epoch("train_accuracy", 1.0)
        if epoch is None:
            entries.append(entry(f"{of_run}training accuracy below 100 %", style="none"))
        else:
            top.axvline(epoch, color=GREY, linestyle=":")
            entries.append(entry(f"{of_run}100 % training accuracy", style=":", gid=KIND))
    top.axhline(0, color=GREY, linewidth=0.8, zorder=1)
    top.set_ylabel("cos(−gradient, weights)")
    top.set_ylim(top=1.02)
    epoch_axis(top, end)
    return entries


# ---------------------------------------------------------------------------------- figure 6c


def draw_loss_and_l2(axes, lines: list[Line], end: int | None) -> list[Line2D]:
    """Training loss (solid) and L2 term (dashed), nats, log-log against epochs (Figure 6c)."""
    (top,) = axes
    entries = []
    for line in lines:
        of_run = f"{line.label}: " if len(lines) > 1 else ""
        plot_median(top, line, "train_loss")
        entries.append(entry(f"{of_run}training loss", line.color))
        coefficient = line.config.l2_coefficient
        if coefficient:
            with_l2 = [
                r._replace(metrics=r.metrics.assign(l2=coefficient * r.metrics["weight_norm"] ** 2))
                for r in line.replicates
            ]
            plot_median(top, replace(line, replicates=with_l2), "l2", linestyle="--")
            entries.append(entry(f"{of_run}{coefficient:g} ‖w‖²", line.color, "--"))
    top.set(yscale="log", xlabel="Epoch", ylabel="Loss, L2 term (nats)")
    log_axis(top)
    if end is not None:
        top.set_xlim(right=end)
    return entries


# ---------------------------------------------------------------------------------- figure 10


def draw_absorption(axes, lines: list[Line], end: int | None) -> list[Line2D]:
    """Weights that absorb their update (solid), gradients exactly 0 (dashed), percent (Fig. 10)."""
    (top,) = axes
    lines, missing = with_column(lines, "update_absorbed", "log_absorption")
    for line in lines:
        plot_median(top, line, "zero_gradients", PERCENT, linestyle="--", zorder=2)
        plot_median(top, line, "update_absorbed", PERCENT, zorder=3)
    top.set_ylabel("Share of the weights (%)")
    top.set_ylim(0, 1.05 * top.dataLim.y1 if lines else 100)
    epoch_axis(top, end)
    if not lines:
        return missing
    named = [entry(line.label, line.color) for line in lines] if len(lines) > 1 else []
    color = GREY if named else lines[0].color
    kinds = {"w − η·gradient rounds to w": "-", "gradient exactly 0": "--"}
    return [*named, *(entry(text, color, style) for text, style in kinds.items()), *missing]


# ---------------------------------------------------------------------------------- figure 15


def epochs_to(line: Line, level: float = GENERALIZED) -> tuple[list[float], int, float]:
    """First epochs of the replicates at this test accuracy, how many never are, the median."""
    alone = line.first_epochs("test_accuracy", level)
    return [e for e in alone if e is not None], alone.count(None), median_time(alone)


def draw_sweep(axes, lines: list[Line], end: int | None) -> list[Line2D]:
    """Epochs to 95 % test accuracy against weight decay; OrthoGrad as level lines (Figure 15).

    The weight decay is that of each run's configuration; a colour is a learning rate. Several
    seeds: their median, in which one that never got there is later than all, and the spread of
    those that did. A run of which a seed never did has a cross at the top.
    """
    (top,) = axes
    entries, families, levels, heights = [], {}, [], []
    for line in lines:
        c = line.config
        if c.orthogonal_gradients:
            levels.append(line)
        else:
            families.setdefault((c.optimizer, c.lr, c.loss_function), []).append(line)
    rates = dict.fromkeys(line.config.lr for line in [*sum(families.values(), []), *levels])
    colors = dict(zip(rates, PALETTE, strict=False))
    crosses = {}  # label: None, in order
    for (optimizer, lr, _), family in families.items():
        color, points = colors[lr], []
        for line in sorted(family, key=lambda x: x.config.weight_decay):
            reached, missed, middle = epochs_to(line)
            decay = line.config.weight_decay
            if middle < math.inf:
                points.append((decay, middle, *spread(numpy.array(reached))))
            if missed:
                of = len(line.replicates)
                seeds = f" by {missed} of {of} seeds" if of > 1 else ""
                crosses[f"not reached in {line.config.num_epochs:,} epochs{seeds}"] = None
                top.plot(decay, 0.96, "x", color=color, markersize=9, markeredgewidth=2.2,
                         transform=top.get_xaxis_transform())  # fmt: skip
        if points:
            x, y, low, high = numpy.array(points).T
            bars = (y - low, high - y) if (high > low).any() else None
            top.errorbar(x, y, yerr=bars, color=color, marker="o", markersize=6, capsize=3)
        entries.append(entry(f"{optimizer}, lr {lr:g}", color))
    for line in levels:
        reached, missed, middle = epochs_to(line)
        if middle == math.inf:
            text = f"{line.label}: not reached in {line.config.num_epochs:,} epochs"
            entries.append(entry(text, style="none"))
            continue
        color = colors[line.config.lr]
        heights.append((middle, color))
        if len(reached) > 1:
            top.axhspan(*spread(numpy.array(reached)), color=color, alpha=0.2, linewidth=0)
        never = f", not reached by {missed} of {len(line.replicates)}" if missed else ""
        entries.append(entry(f"{line.label}: epoch {middle:,.0f}{never}", color, "--"))
    entries += [
        Line2D([], [], color=GREY, marker="x", markeredgewidth=2.2, linestyle="none", label=label)
        for label in crosses
    ]
    top.set_xlabel("Weight decay")
    top.set_ylabel(f"Epochs to {PERCENT * GENERALIZED:g} % test accuracy (log)")
    top.set_yscale("log")
    top.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    top.yaxis.set_minor_formatter(NullFormatter())
    top.yaxis.set_major_formatter(lambda v, _: f"{v:,.10g}")
    if lines:
        top.margins(x=0.06, y=0.1)
        sides = top.get_xlim()
        for middle, color in heights:
            top.hlines(middle, *sides, color=color, linestyle="--")
        low, high = top.get_ylim()
        top.set(xlim=sides, ylim=(low, high * (high / low) ** 0.12))  # room for the crosses
    return entries


# kind -> (function, relative heights of its rows of axes)
KINDS = {
    "nlm_cosine": (draw_nlm_cosine, (3.0,)),
    "loss_and_l2": (draw_loss_and_l2, (3.0,)),
    "absorption": (draw_absorption, (3.0,)),
    "sweep": (draw_sweep, (3.0,)),
}
