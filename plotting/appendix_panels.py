"""The kinds of panel that figures 5, 6c, 10 and 15 add to those of panels.py. Imports no torch."""

import re
from dataclasses import replace

import numpy
from matplotlib.lines import Line2D

from plotting.panels import (
    GREY,
    PALETTE,
    PERCENT,
    Line,
    entry,
    epoch_axis,
    percent_axis,
    plot_mean,
    ticks,
    widths,
    with_column,
)

GENERALIZED = 0.99  # test accuracy at which a run of the sweep counts as generalizing
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
    apart; several runs in one panel differ in the style of their lines.
    """
    (top,) = axes
    prefix = "nlm_cosine/"
    lines, entries = with_column(lines, prefix, "log_nlm_cosine")
    for k, line in enumerate(lines):
        of_run = f"{line.label}: " if len(lines) > 1 else ""
        tensors = [c for c in line.replicates[0].metrics if c.startswith(prefix)]
        names = [c.removeprefix(prefix) for c in tensors]
        for i, (column, name) in enumerate(zip(tensors, names, strict=True)):
            color = PALETTE[i % len(PALETTE)]
            shown = STYLES[(2 * k + i // len(PALETTE)) % len(STYLES)]
            plot_mean(top, replace(line, color=color), column, linestyle=shown, linewidth=1.6)
            largest = numpy.nanmax(line.series(column)[1], initial=-1)
            label = f"{of_run}{tensor_name(name, names)} (max {largest:.2f})"
            entries.append(entry(label, color, shown))
        epoch = line.first_epoch("train_accuracy", 1.0)
        if epoch is None:
            entries.append(entry(f"{of_run}training accuracy below 100 %", style="none"))
        else:
            top.axvline(epoch, color=GREY, linestyle=":", linewidth=1.8)
            text = f"{of_run}100 % training accuracy (epoch {epoch:,.10g})"
            entries.append(entry(text, style=":"))
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
    for line, width in widths(lines):
        plot_mean(top, line, "train_loss", linewidth=width)
        entries.append(entry(f"{line.label}: training loss", line.color))
        coefficient = line.config.l2_coefficient
        if coefficient:
            with_l2 = [
                r._replace(metrics=r.metrics.assign(l2=coefficient * r.metrics["weight_norm"] ** 2))
                for r in line.replicates
            ]
            plot_mean(top, replace(line, replicates=with_l2), "l2", linestyle="--", linewidth=width)
            entries.append(entry(f"{line.label}: {coefficient:g} ‖w‖²", line.color, "--"))
    top.set(xscale="log", yscale="log", xlabel="Epoch", ylabel="Loss, L2 term (nats)")
    if end is not None:
        top.set_xlim(right=end)  # epoch 0 has no place on this axis
    return entries


# ---------------------------------------------------------------------------------- figure 10


def draw_absorption(axes, lines: list[Line], end: int | None) -> list[Line2D]:
    """Weights that absorb their update (solid), gradients exactly 0 (dashed), percent (Fig. 10)."""
    (top,) = axes
    lines, missing = with_column(lines, "update_absorbed", "log_absorption")
    for line, width in widths(lines):
        plot_mean(top, line, "zero_gradients", PERCENT, linestyle="--", linewidth=width, zorder=2)
    for line, width in widths(lines):
        plot_mean(top, line, "update_absorbed", PERCENT, linewidth=width, zorder=3)
    percent_axis(top, "Share of the weights (%)")
    epoch_axis(top, end)
    if not lines:
        return missing
    kinds = [entry("w − η·gradient rounds to w"), entry("gradient exactly 0", style="--")]
    return [*(entry(line.label, line.color) for line in lines), *kinds, *missing]


# ---------------------------------------------------------------------------------- figure 15


def epochs_to(line: Line, level: float = GENERALIZED) -> tuple[list[float], int]:
    """(first epoch at which each replicate has this test accuracy, number that never has)."""
    alone = [
        replace(line, replicates=[r]).first_epoch("test_accuracy", level) for r in line.replicates
    ]
    return [e for e in alone if e is not None], alone.count(None)


def draw_sweep(axes, lines: list[Line], end: int | None) -> list[Line2D]:
    """Epochs to 99 % test accuracy against weight decay; OrthoGrad as level lines (Figure 15).

    The weight decay is that of each run's configuration. Several seeds: mean, and bars of one
    standard deviation, over those that got there. A run of which a seed never did has a cross at
    the top.
    """
    (top,) = axes
    entries, families = [], {}
    for line in lines:
        if line.config.orthogonal_gradients:
            reached, missed = epochs_to(line)
            never = f", not reached by {missed} of {len(line.replicates)}" if missed else ""
            if not reached:
                entries.append(entry(f"{line.label}: not reached", line.color, "--"))
                continue
            mean = numpy.mean(reached)
            top.axhline(mean, color=line.color, linestyle="--")
            if len(reached) > 1:
                spread = numpy.std(reached, ddof=1)
                top.axhspan(mean - spread, mean + spread, color=line.color, alpha=0.2, linewidth=0)
            text = f"{line.label}: epoch {mean:,.0f}{never}"
            entries.append(entry(text, line.color, "--"))
        else:
            c = line.config
            families.setdefault((c.optimizer, c.lr, c.loss_function), []).append(line)
    crosses = False
    for (optimizer, lr, _), family in families.items():
        color, points = family[0].color, []
        for line in sorted(family, key=lambda x: x.config.weight_decay):
            reached, missed = epochs_to(line)
            decay = line.config.weight_decay
            if reached:
                spread = numpy.std(reached, ddof=1) if len(reached) > 1 else 0.0
                points.append((decay, numpy.mean(reached), spread))
            if missed:
                crosses = True
                top.plot(decay, 0.96, "x", color=color, markersize=9, markeredgewidth=2.2,
                         transform=top.get_xaxis_transform())  # fmt: skip
        if points:
            x, y, spread = zip(*points, strict=True)
            bars = spread if any(spread) else None
            top.errorbar(x, y, yerr=bars, color=color, marker="o", markersize=6, capsize=3)
        entries.append(entry(f"{optimizer}, lr {lr:g}", color))
    if crosses:
        longest = max(x.config.num_epochs for family in families.values() for x in family)
        entries.append(
            Line2D([], [], color=GREY, marker="x", markeredgewidth=2.2, linestyle="none",
                   label=f"not reached in {longest:,} epochs")
        )  # fmt: skip
    top.set_xlabel("Weight decay")
    top.set_ylabel(f"Epochs to {PERCENT * GENERALIZED:g} % test accuracy")
    ticks(top.yaxis)
    if lines:
        top.set_ylim(bottom=0)
        top.margins(x=0.06)
        low, high = top.get_ylim()
        top.set_ylim(low, high + 0.12 * (high - low))  # room for the crosses
    return entries


# kind -> (function, relative heights of its rows of axes)
KINDS = {
    "nlm_cosine": (draw_nlm_cosine, (3.0,)),
    "loss_and_l2": (draw_loss_and_l2, (3.0,)),
    "absorption": (draw_absorption, (3.0,)),
    "sweep": (draw_sweep, (3.0,)),
}
