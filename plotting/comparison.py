"""Complete run folders side by side, whatever they are runs of: curves by what varies, and a table.

Imports no torch.
"""

import math
import textwrap
from collections import Counter
from dataclasses import fields, replace
from pathlib import Path
from typing import NamedTuple

import matplotlib
import pandas

from configuration import runs
from configuration.config import RunConfig
from configuration.variants import field_named, file_name, spell
from experiment.figure import SIZES, Run
from plotting.curves import Replicate, read_folder, seeds_in, share, some_names, task, unique
from plotting.panels import (
    PALETTE,
    PERCENT,
    WIDEST,
    Line,
    draw_accuracy,
    entry,
    epoch_axis,
    spread_words,
)

LOSSES = {"train_loss": "--", "test_loss": "-"}  # column -> style
SHOWN = (*LOSSES, "train_accuracy", "test_accuracy", "softmax_collapse", "weight_norm")
NOWHERE = "name a run folder (seed_N) or the folder that holds several of them"


class Complete(NamedTuple):
    """A complete run folder."""

    folder: Path
    config: RunConfig
    metrics: pandas.DataFrame
    diverged_at: int | None

    @property
    def name(self) -> str:
        """As its run is called; with its size, where that is not the full one."""
        if not self.folder.name.startswith("seed_"):
            return self.folder.name
        name, size = self.folder.parent.name, self.folder.parent.parent.name
        return f"{size}/{name}" if f"{size}/" in SIZES.values() else name


def load(words) -> tuple[list[Complete], list[str]]:
    """The complete runs in these folders, and a sentence for each that is left out.

    Args:
        words: run folders, or folders that hold some, called seed_N.

    Raises:
        runs.RunError: a folder without a complete run; one line.
    """
    found, notes = {}, []
    for word in words:
        folder = Path(word).resolve()
        inside = [folder / f"seed_{n}" for n in seeds_in(folder)]
        if (folder / runs.CONFIG).is_file():
            inside = [folder]
        if not inside:
            reason = "is no run folder" if folder.is_dir() else "does not exist"
            raise runs.RunError(f"{word} {reason}; {NOWHERE}")
        unusable = {}
        for f in inside:
            try:
                if not (f / runs.SUMMARY).is_file():
                    raise runs.RunError(f"{f} is not complete; start it again to finish it")
                config = runs.read_config(f)
                run = Complete(f, config, *read_folder(f, config))
                lacking = [c for c in SHOWN if c not in run.metrics]
                if lacking:
                    raise runs.RunError(f"{f / runs.METRICS} has no column {lacking[0]}")
                found[f] = run
            except runs.RunError as error:
                unusable[f] = error
        if len(unusable) == len(inside):
            raise next(iter(unusable.values()))
        notes += [f"left out: {error}" for error in unusable.values()]
    return list(found.values()), notes


def differing(found: list[Complete]) -> list[str]:
    """The fields in which the runs differ, but for the seed."""
    names = [f.name for f in fields(RunConfig) if f.name != "seed"]
    return [n for n in names if len({getattr(run.config, n) for run in found}) > 1]


def fields_named(by, found: list[Complete]) -> list[str]:
    """The fields `by`, or where there are none those in which the runs differ.

    Raises:
        ValueError: no such field.
    """
    return [field_named(name).name for name in by] or differing(found)


# ---------------------------------------------------------------------------------- picture


def lines(found: list[Complete], by: list[str]) -> list[Line]:
    """A curve for each configuration, with its seeds as replicates; its label and colour by `by`.

    Runs of one configuration and one seed are curves of their own, and their labels say where they
    lie.
    """
    groups = {}
    for run in found:
        groups.setdefault(replace(run.config, seed=0), []).append(run)
    curves = []
    for config, members in groups.items():
        label = ", ".join(f"{name} {spell(getattr(config, name))}" for name in by)
        label = label or members[0].name
        places = {}
        twice = max(Counter(run.config.seed for run in members).values()) > 1
        for run in members:
            places.setdefault(run.folder.parent if twice else None, []).append(run)
        for place, here in places.items():
            text = f"{label} ({'/'.join(place.parts[-2:])})" if place else label
            replicates = [Replicate(r.config.seed, r.metrics, "", r.folder) for r in here]
            replicates.sort(key=lambda r: r.seed)
            run = Run(name=here[0].name, config=config, quick=None)
            curves.append(Line(run, textwrap.fill(text, WIDEST), "", replicates))
    curves.sort(key=lambda line: [_order(getattr(line.run.config, name)) for name in by])
    labels = unique(line.label for line in curves)
    colors = PALETTE
    if len(labels) > len(PALETTE):
        shades = matplotlib.colormaps["viridis"]
        colors = [shades(0.95 * k / (len(labels) - 1)) for k in range(len(labels))]
    return [replace(line, color=colors[labels.index(line.label)]) for line in curves]


def _order(value):
    """Numbers by size, before words; None first."""
    if value is None or isinstance(value, (bool, int, float)):
        return 0, -math.inf if value is None else value, ""
    return 1, 0, spell(value)


def draw(accuracy, loss, curves: list[Line]):
    """Accuracy in one set of axes, loss in the other: test solid, training dashed.

    Returns:
        (entries of the legend, sentences on what is drawn otherwise than measured)
    """
    draw_accuracy([accuracy], curves, None)
    drawn, notes = _positive(curves)
    for column, style in LOSSES.items():
        for line in drawn:  # a band would fill a log axis down to 0
            loss.plot(*line.median(column), color=line.color, linestyle=style)
    loss.set_ylabel("Loss (nats)")
    epoch_axis(loss, None)
    medians = [line.median(column)[1] for line in drawn for column in LOSSES]
    lowest = min((m[m > 0].min() for m in medians if (m > 0).any()), default=None)
    if lowest is not None:
        loss.set_yscale("log")
        loss.set_ylim(bottom=lowest / 2)
    labels = {line.label: line.color for line in curves}
    entries = [entry(label, color) for label, color in labels.items()]
    return [*entries, entry("Test"), entry("Train", style="--")], notes


def _positive(curves: list[Line]):
    """(curves with every loss above 0, what was done to them in words)"""
    columns = list(LOSSES)
    values = pandas.concat([r.metrics[columns] for line in curves for r in line.replicates])
    smallest = values[values > 0].min().min()
    if not (values <= 0).any(axis=None) or not smallest > 0:
        return curves, []
    changed = [
        replace(
            line,
            replicates=[
                r._replace(metrics=r.metrics.assign(**r.metrics[columns].clip(lower=smallest)))
                for r in line.replicates
            ],
        )
        for line in curves
    ]
    text = "a loss of 0 has no place on a log axis: it is drawn at the smallest positive one"
    return changed, [f"{text}, {smallest:.2g}"]


def title(found: list[Complete], by: list[str]) -> str:
    """The run and what of it varies; of several declared runs what varies alone."""
    names = unique(run.name for run in found)
    stem = names[0] if len(names) == 1 else _stem(names)
    text = f"{stem or 'runs'} by {', '.join(by)}" if by else some_names(names)
    return textwrap.fill(text, 90)


def picture_name(found: list[Complete], by: list[str]) -> str:
    """Such as add_adamw_wd1-weight_decay-lr; _quick behind that of quick runs alone."""
    names = unique(run.name for run in found)
    stem = names[0] if len(names) == 1 and not by else _stem(names) or "comparison"
    size, _, stem = stem.rpartition("/")
    return file_name(stem, *by) + (f"_{size}" if size else "")


def _stem(names: list[str]) -> str:
    """The declared run that all of these are variants of; "" where there is none."""
    stems = unique(name.split("-")[0] for name in names)
    return stems[0] if len(stems) == 1 else ""


def foot(found: list[Complete], curves: list[Line], by: list[str], notes: list[str]) -> list[str]:
    """What is shown, of what, and what a reader has to know, a sentence each."""
    tasks = unique(f"{task(r.config)}, training on {' '.join(share(r.config))}" for r in found)
    seeds = {}
    for line in curves:
        seeds.setdefault(tuple(r.seed for r in line.replicates), []).append(line.label)
    shown = []
    for numbers, labels in seeds.items():
        text = f"seed{'s' if len(numbers) > 1 else ''} {', '.join(map(str, numbers))}"
        if len(numbers) > 1:
            text += f" · {spread_words(len(numbers))}, the band of accuracy alone"
        shown.append(text if len(seeds) == 1 else f"{some_names(labels, '; ')}: {text}")
    hidden = [name for name in differing(found) if name not in by]
    if hidden:
        notes = [f"curves of one colour differ in {some_names(hidden)}", *notes]
    diverged = [
        f"{run.name} seed {run.config.seed} diverged at step {run.diverged_at:,}"
        for run in found
        if run.diverged_at is not None
    ]
    return [some_names(tasks, "; "), *shown, *notes, *diverged]


# ---------------------------------------------------------------------------------- table


def table(found: list[Complete]) -> str:
    """The final values of each run, and the first logged step at which it reached each level."""
    named = differing(found)
    ends, steps = [], []
    for run in found:
        last, seed = run.metrics.iloc[-1], str(run.config.seed)
        ends.append(
            {"run": run.name, "seed": seed}
            | {name: spell(getattr(run.config, name)) for name in named}
            | {"step": f"{last['step']:.0f}"}
            | {f"{c} acc. %": _percent(last[f"{c}_accuracy"]) for c in ("train", "test")}
            | {f"{c} loss": _number(last[f"{c}_loss"]) for c in ("train", "test")}
            | {"collapse %": _percent(last["softmax_collapse"])}
            | {"norm": _number(last["weight_norm"])}
        )
        first = runs.read_summary(run.folder).get("first_step") or runs.first_steps(run.metrics)
        steps.append({"run": run.name, "seed": seed} | {_level(k): v for k, v in first.items()})
    text = f"{_columns(ends)}\n\nfirst logged step at this level (-: never)\n{_columns(steps)}"
    diverged = [r for r in found if r.diverged_at is not None]
    return text + "".join(
        f"\n{r.name} seed {r.config.seed} diverged at step {r.diverged_at}" for r in diverged
    )


def _percent(share: float) -> str:
    """Rounded down: 99.996 must not read 100."""
    return "-" if math.isnan(share) else f"{math.floor(share * 1e4 + 1e-6) / PERCENT:.2f}"


def _number(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.4g}"


def _level(key: str) -> str:
    """test_accuracy>=0.95 as test 95 %."""
    column, _, level = key.partition(">=")
    word = {"softmax_collapse": "collapse"}.get(column, column.removesuffix("_accuracy"))
    return f"{word} {PERCENT * float(level):g} %"


def _columns(rows: list[dict]) -> str:
    """The rows under their heads; the first column is words, the others are numbers."""
    heads = list(rows[0])
    cells = [heads, *(["-" if r.get(h) is None else str(r[h]) for h in heads] for r in rows)]
    width = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return "\n".join(
        "  ".join([c[0].ljust(width[0]), *map(str.rjust, c[1:], width[1:])]) for c in cells
    )
