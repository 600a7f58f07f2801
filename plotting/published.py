"""How far our curves are from the points read off the published pictures. Imports no torch."""

import numpy
import pandas

from experiment.figure import Figure
from experiment.quantity import COLLAPSE, NORM, TEST, TRAIN
from plotting.curves import find_replicates
from plotting.panels import PERCENT, Line

SCALES = {TEST: PERCENT, TRAIN: PERCENT, COLLAPSE: PERCENT, NORM: 1.0}
WORDS = {TEST: "test %", TRAIN: "train %", COLLAPSE: "collapse", NORM: "weight norm"}
DRAWN = {"accuracy": (TEST, TRAIN), "collapse": (TEST, TRAIN, COLLAPSE), "weight_norm": (NORM,)}


def differences(figure: Figure, seeds=None, runs_root=None, results_root=None) -> pandas.DataFrame:
    """A row for each published curve, of the runs of full size; empty where there is none.

    Ours is the run of the published seed, 42, where there is one, else the median of the seeds;
    linear between its rows. Points beyond its end are left out.

    Columns: panel, curve, of (what is measured), points, largest difference (in percentage points,
    of a norm in its unit), at (epoch), ours, published, median difference. Of softmax collapse the
    published point is where the dotted line stands: its epoch is compared, not its height.
    """
    rows = []
    for panel, curve in ((p, c) for p in figure.panels for c in p.curves if c.published):
        found, _ = find_replicates(curve.run, "full", seeds, runs_root, results_root)
        line = Line(curve.run, curve.label, "", found, curve.published)
        line = line.as_published or line
        for column, points in curve.published.items() if found else ():
            if column not in DRAWN[panel.kind] or any(column not in r.metrics for r in found):
                continue
            row = {"panel": panel.id, "curve": curve.label, "of": WORDS[column]}
            if column == COLLAPSE:
                ((epoch, level),) = points.items()
                ours = line.first_epoch(column, level / PERCENT)
                shown = "" if ours is None else f"{ours:,.0f}"
                row |= {"points": 1, "ours": shown, "published": f"{epoch:,.0f}"}
                row["largest difference"] = (
                    "never" if ours is None else f"{ours - epoch:+,.0f} epochs"
                )
                rows.append(row)
                continue
            x, y = line.median(column, SCALES[column])
            epochs = numpy.array([e for e in points if e <= x[-1]], float)
            theirs = numpy.array([points[e] for e in points if e <= x[-1]], float)
            ours = numpy.interp(epochs, x, y)
            worst = numpy.abs(ours - theirs).argmax()
            rows.append(
                row
                | {
                    "points": len(epochs),
                    "largest difference": f"{ours[worst] - theirs[worst]:+,.1f}",
                    "at epoch": f"{epochs[worst]:,.0f}",
                    "ours": f"{ours[worst]:,.1f}",
                    "published": f"{theirs[worst]:,.1f}",
                    "median difference": f"{numpy.median(numpy.abs(ours - theirs)):,.1f}",
                }
            )
    return pandas.DataFrame(rows)
