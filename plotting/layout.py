"""Where things stand on a picture: legends, title and foot; and what the curves hide.

Entries that several panels share stand once, in a legend of the figure. A panel's own stand inside
its axes where they cover nothing, else below them.
"""

import math
import textwrap
from collections import Counter

import numpy
from matplotlib.collections import LineCollection, PolyCollection
from matplotlib.colors import to_hex
from matplotlib.lines import Line2D
from matplotlib.transforms import Affine2D, Bbox, ScaledTranslation

from plotting.panels import AIDS, ALERT, FACT, GREY, KIND, WIDEST, Line, entry

HEAD, FOOT = 14, 9.5  # points
ABOVE = 0.95  # inches of title, ticks and label of a panel
GAP = 0.1  # inches between title, panels, legend and foot
WIDTHS = (WIDEST, 26, 18, 14)  # characters of a label
CLEAR = 0.05  # inches around a legend inside the axes
LARGER = 1.03  # letters are wider at a low resolution
STEP = 0.04  # inches from point to point along a curve
BESIDE = 1.1  # inches of a panel's width that are not its axes: ticks, label, space

# ---------------------------------------------------------------------------------- curves


def _curves(axes, styles=("-",)) -> list[Line2D]:
    return [
        x
        for x in axes.lines
        if x.get_transform() == axes.transData and x.get_gid() != AIDS
        if x.get_linestyle() in styles and len(x.get_xdata()) > 1
    ]


def _in_axes(axes, line: Line2D) -> numpy.ndarray:
    """The points of a curve as fractions of the axes, (N, 2)."""
    with numpy.errstate(all="ignore"):
        return (axes.transScale + axes.transLimits).transform(line.get_xydata())


def _with_points(x, y, more) -> numpy.ndarray:
    """(N, 2): the points of a curve, and where its x rises those at these x between its ends."""
    more = sorted({at for at in more if x[0] < at < x[-1]} - set(x))
    if more and (numpy.diff(x) > 0).all():
        places, heights = numpy.searchsorted(x, more), numpy.interp(more, x, y)
        x, y = numpy.insert(x, places, more), numpy.insert(y, places, heights)
    return numpy.column_stack([x, y])


def show_hidden(axes, near: float = 0.01, shortest: float = 0.03):
    """Where solid curves lie on one another all are seen: the hidden ones as stripes on the last.

    Args:
        near: how close they are there, as a share of the height of the axes.
        shortest: a stretch that is shown, as a share of the width.
    """
    curves = sorted(_curves(axes), key=lambda x: x.get_zorder())
    places = [_in_axes(axes, c) for c in curves]
    ends = [x for curve in curves for x in curve.get_xydata()[[0, -1], 0]]
    for k, curve in enumerate(curves):
        points = _with_points(*curve.get_xydata().T, ends)
        x, y = (axes.transScale + axes.transLimits).transform(points).T
        equal = numpy.zeros((len(places), len(x)), bool)
        for other, row in zip(places, equal, strict=True):
            fine = numpy.isfinite(other).all(1)
            if fine.any():
                there = numpy.interp(x, *other[fine].T, left=numpy.nan, right=numpy.nan)
                row[:] = numpy.abs(there - y) < near
        above = equal[k + 1 :].sum(0)  # how many curves lie on it
        turns = numpy.flatnonzero(numpy.diff(numpy.r_[0, above > 0, 0]))
        kept = numpy.zeros(len(x), bool)
        for start, stop in turns.reshape(-1, 2):
            kept[start:stop] = abs(x[stop - 1] - x[start]) >= shortest
        if kept.any():
            of = int(equal[:, kept].sum(0).max())  # curves that take turns, itself one of them
            values = numpy.where(kept, points[:, 1], numpy.nan)
            pattern = (3 * int(above[kept].max()), (3, 3 * (of - 1)))
            axes.plot(points[:, 0], values, color=curve.get_color(), linestyle=pattern,
                      zorder=curve.get_zorder() + 0.5, gid=AIDS, dash_capstyle="butt")  # fmt: skip


def mark_ends(axes, lines: list[Line]) -> list[Line2D]:
    """A bar at the end of each curve that ends before its axes do, and what it means."""
    ended = set()
    for curve in _curves(axes, ("-", "--")):
        end = curve.get_xydata()[numpy.isfinite(curve.get_xydata()).all(1)][-1:]
        if len(end) and (axes.transScale + axes.transLimits).transform(end)[0, 0] < 0.93:
            axes.plot(*end.T, "|", color=curve.get_color(), markersize=13, markeredgewidth=2,
                      gid=AIDS, zorder=5)  # fmt: skip
            ended.add(float(end[0, 0]))
    said = {}
    for line in lines:
        lasts = [r.metrics.iloc[-1] for r in line.replicates]
        config, every = line.config, "every seed " * (len(lasts) > 1)
        for last in (x for x in lasts if ended & {float(x["epoch"]), float(x["step"])}):
            unit, total = config.budget
            if last[unit] >= total:
                said.setdefault(f"end of a run of {total:,} {unit}s")
            elif config.stop_at != "None":
                what = config.stop_at.replace("_", " ")
                said.setdefault(f"{every}stopped at {100 * config.stop_level:g} % {what}")
            else:
                said.setdefault(f"end of the run, at {unit} {last[unit]:,.10g}")
    bar = {"marker": "|", "markersize": 10, "markeredgewidth": 2}
    entries = [entry(text, style="none", gid=FACT) for text in said]
    for one in entries:
        one.set(**bar)
    return entries


# ---------------------------------------------------------------------------------- room


def _obstacles(axes, box):
    """(points that a legend must not cover (N, 2), filled paths), in inches; None: all."""
    points, filled = [numpy.empty((0, 2))], []
    if axes.images:
        return None
    for line in axes.lines:
        if line.get_transform() == axes.transData:
            where = _in_axes(axes, line) * box
        else:  # a line across the axes
            where = (line.get_transform() - axes.transAxes).transform(line.get_xydata()) * box
        where = where[numpy.isfinite(where).all(1)]
        if line.get_linestyle() != "None" and len(where) > 1:
            steps = numpy.diff(where, axis=0)
            counts = (numpy.hypot(*steps.T).clip(max=30) / STEP).astype(int) + 1
            index = numpy.repeat(numpy.arange(len(steps)), counts)
            first = numpy.repeat(numpy.cumsum(counts) - counts, counts)
            share = (numpy.arange(len(index)) - first) / counts[index]
            where = numpy.concatenate([where[index] + share[:, None] * steps[index], where[-1:]])
        points.append(where)
    for shape in axes.collections:
        if not isinstance(shape, (PolyCollection, LineCollection)):
            return None  # a map or a surface
        to_box = axes.transScale + axes.transLimits + Affine2D().scale(*box)
        paths = [to_box.transform_path(p) for p in shape.get_paths()]
        if isinstance(shape, PolyCollection):
            filled += paths
        else:
            points += [p.interpolated(40).vertices for p in paths]
    return numpy.concatenate(points), filled


def room(axes, box, size) -> tuple[float, float] | None:
    """Where a legend covers nothing: its lower left corner, as fractions of the axes, or None.

    It is the place nearest to a corner, on the right first.

    box, size: width and height of axes and legend, inches.
    """
    free = numpy.subtract(box, size) - 2 * CLEAR
    found = _obstacles(axes, box) if min(free) > 0 else None
    if found is None:
        return None
    points, filled = found
    grid = [(x, y) for x in numpy.linspace(0, 1, 17) for y in numpy.linspace(0, 1, 17)]

    def cost(place):
        corners = ((1, 0), (1, 1), (0, 1), (0, 0))
        return min(math.dist(place, c) + 0.05 * k for k, c in enumerate(corners))

    for place in sorted(grid, key=cost):
        low = CLEAR + place * free
        inside = (points > low - CLEAR).all(1) & (points < low + size + CLEAR).all(1)
        bounds = Bbox([low, low + size])
        if not inside.any() and not any(p.intersects_bbox(bounds) for p in filled):
            return tuple(low / box)
    return None


# ---------------------------------------------------------------------------------- legends


def _look(one) -> tuple:
    if not isinstance(one, Line2D):
        return (one.get_label(), type(one).__name__)
    color = to_hex(one.get_color())
    return one.get_label(), color, one.get_linestyle(), str(one.get_marker())


def shared(groups: list[list]) -> tuple[list, list[list]]:
    """(entries for the legend of the figure, each once; what is each group's own).

    All curves of groups that have one in common, and the kinds of line that several groups have.
    What is a fact of one panel stays there.
    """
    seen = [{_look(e): e for e in entries if e.get_gid() != FACT} for entries in groups]
    counts = Counter(look for entries in seen for look in entries)
    curves, kinds = {}, {}
    for entries in seen:
        own = {look: e for look, e in entries.items() if e.get_gid() != KIND}
        curves |= own if any(counts[look] > 1 for look in own) else {}
        kinds |= {look: e for look, e in entries.items() if e.get_gid() == KIND}
    common = curves | {k: e for k, e in kinds.items() if curves or counts[k] > 1}
    order = (None, KIND, FACT)
    kept = [
        [e for e in entries if e.get_gid() == FACT or _look(e) not in common] for entries in groups
    ]
    return list(common.values()), [sorted(x, key=lambda e: order.index(e.get_gid())) for x in kept]


def _size(legend) -> tuple[float, float]:
    """Width and height, inches."""
    box = legend.get_window_extent()
    return box.width / legend.figure.dpi, box.height / legend.figure.dpi


def _columns(make, count: int, width: float):
    """The legend with the most columns that is not wider than this (inches)."""
    for columns in range(count, 0, -1):
        legend = make(columns)
        if _size(legend)[0] <= width or columns == 1:
            break
        legend.remove()
    even = math.ceil(count / math.ceil(count / columns))  # no row with a single entry
    if even < columns:
        legend.remove()
        legend = make(even)
    return legend


def _below(axes, entries, width: float):
    """A legend below the x label."""
    below = ScaledTranslation(0, -0.58, axes.figure.dpi_scale_trans)  # inches: ticks and x label
    where = axes.transAxes + below

    def make(columns):
        return axes.legend(
            handles=entries,
            loc="upper center",
            bbox_to_anchor=(0.5, 0),
            bbox_transform=where,
            ncols=columns,
            columnspacing=1.2,
        )

    return _columns(make, min(2, len(entries)), width)


def _inside(axes, box, entries, narrow: int) -> bool:
    """Puts a legend of no more characters a line where it covers nothing, if it can."""
    labels = [one.get_label() for one in entries]
    if narrow < WIDEST and all(len(label) <= narrow for label in labels):
        return False  # tried before
    for one in entries:
        if len(one.get_label()) > narrow:
            one.set_label(textwrap.fill(one.get_label(), narrow))
    style = {"handles": entries, "frameon": True, "edgecolor": "none"}
    trial = axes.legend(**style)
    size = LARGER * numpy.array(_size(trial))
    place = room(axes, box, size)
    trial.remove()
    if place:
        axes.legend(**style, loc=place, borderaxespad=0)
    for one, label in zip(entries, labels, strict=True):
        one.set_label(label)
    return place is not None


def _key(picture, entries, spots, cell: float):
    """(legend of the figure, its spot): the first of these with room for it, else the last.

    Args:
        spots: (first column, number of columns, height in inches, loc) of each.
        cell: inches of a column.
    """
    for spot in spots:
        _, count, high, loc = spot

        def make(n, loc=loc):
            return picture.legend(handles=entries, loc=loc, ncols=n, columnspacing=1.6)

        most = 3 if loc == "center" else len(entries)
        key = _columns(make, most, count * cell - 2 * GAP)
        if spot is spots[-1] or (numpy.array(_size(key)) < (count * cell, high)).all():
            break
        key.remove()
    return key, spot


def arrange(
    picture, panels, head: str, notes: str, foot: str, heights, columns: int, bar: float, color: str
):
    """Gives the picture its height, its legends, its title and its foot.

    Args:
        panels: (axes from top to bottom, entries) of each panel, row by row.
        head, notes, foot: the title; what is to be said below it, in red; what is shown.
        heights: of the axes of a panel, inches.
        columns: panels side by side.
        bar: inches of a panel's width for a colour bar.
        color: of the title.
    """
    row = sum(heights) + ABOVE
    wide = picture.get_figwidth()
    rows = math.ceil(len(panels) / columns)
    common, own = shared([entries for _, entries in panels])
    title = 0.3 * (1 + head.count("\n")) + 0.2 * (len(notes.splitlines())) + GAP
    bottom = 0.17 * len(foot.splitlines()) + GAP if foot else GAP / 2
    free = columns * rows - len(panels)  # cells without a panel, in the last row
    below, taken = [0.0] * rows, []  # height of the legends there; columns of the last one's
    for k, ((axes, _), entries) in enumerate(zip(panels, own, strict=True)):
        if not entries:
            continue
        tall = [*heights[: len(axes) - 1], sum(heights[len(axes) - 1 :])]  # the last has the rest
        labels = [t.get_window_extent().width / picture.dpi for t in axes[0].get_yticklabels()]
        side = max(BESIDE, max(labels, default=0) + 0.4)
        boxes = [(wide / columns - side - bar, 0.93 * height) for height in tall]
        places = list(zip(axes, boxes, strict=False))
        if not any(_inside(*place, entries, narrow) for narrow in WIDTHS for place in places):
            legend = _below(axes[-1], entries, wide / columns)
            below[k // columns] = max(below[k // columns], _size(legend)[1] + GAP)
            taken += [k % columns] if k // columns == rows - 1 else []
    spots = [(columns - free, free, row, "center") if free else (0, columns, 0, "lower center")]
    if taken and not free:  # beside a panel's own, if that has room
        sides = (0, min(taken)), (max(taken) + 1, columns - max(taken) - 1)
        spots.insert(0, (*max(sides, key=lambda side: side[1]), below[-1], "upper center"))
    key, extra = None, 0
    if common:
        key, (first, count, high, loc) = _key(picture, common, spots, wide / columns)
        extra = _size(key)[1] + GAP if loc == "lower center" else 0
    tall = title + rows * row + sum(below) + extra + bottom
    picture.set_size_inches(wide, tall)
    rect = (0, (bottom + extra) / tall, 1, (tall - bottom - extra - title) / tall)
    picture.get_layout_engine().set(rect=rect)
    if key:
        across = (first / columns, bottom / tall, count / columns, high / tall)
        key.set_bbox_to_anchor(across, transform=picture.transFigure)
    style = {"ha": "center", "va": "top"}
    picture.text(0.5, 1 - GAP / tall, head, size=HEAD, weight="bold", color=color, **style)
    under = 1 - (title - 0.2 * len(notes.splitlines()) - GAP / 2) / tall
    picture.text(0.5, under, notes, size=10.5, color=ALERT, **style)
    picture.text(0.1 / wide, 0.5 * GAP / tall, foot, size=FOOT, color=GREY, va="bottom")
