"""docs/numerics.md: its tables and pictures, from the measurements of rounding.py.

    python -m documents.numerics   # measures again: the tables between the marks, and docs/*.png

The page's sentences are written by hand, its tables are not. Each block between
<!-- measured: NAME --> and <!-- end --> is the function NAME of TABLES.
"""

import re
from fractions import Fraction
from functools import partial
from math import log, nan
from pathlib import Path

import matplotlib
import numpy
import torch
from matplotlib.figure import Figure

from configuration import runs
from configuration.flags import Parser
from documents import rounding
from documents.rounding import (
    BITS,
    FORMS,
    exact_ratio,
    gap_logits,
    last_gradient,
    name,
    onsets,
    theory,
)
from metrics import softmax_collapse
from paper.figure_2 import COLLAPSE_RUNS
from plotting.panels import GREY, PALETTE, STYLE
from stablemax import softmax_cross_entropy, stablemax_cross_entropy
from training.losses import torch_cross_entropy

ROOT = Path(__file__).resolve().parent.parent
PAGE, RESULTS = ROOT / "docs" / "numerics.md", ROOT / "results"
CLASSES = (2, 113, 1000)
LARGE = "mnist_adamw"  # a published run from large weights, of figure 14
EXAMPLES = (1, 128, 5107)  # 5,107: 40 % of the pairs mod 113


# ---------------------------------------------------------------------------------- tables


def span(values, digits=2) -> str:
    """ "7.62", or "19.28 to 21.24" where the place of the label matters."""
    low, high = (f"{v:.{digits}f}" for v in (min(values), max(values)))
    return low if low == high else f"{low} to {high}"


def absorption() -> list[list[str]]:
    head = ["precision", "classes C", "p ln 2", "+ ln(C − 1)"]
    rows = [[*head, "the metric's sum is 1", "the loss is 0", "in a CPU's arithmetic"]]
    for dtype in BITS:
        for classes in CLASSES:
            bounds = [f"{v:.2f}" for v in theory(dtype, classes)]
            found = [span(onsets(way, dtype, classes)) for way in ("sum", "loss", "cpu")]
            found[2:] = found[2:] if BITS[dtype] < 24 else ["the same"]
            rows.append([name(dtype), str(classes), *bounds, *found])
    return rows


def gradients() -> list[list[str]]:
    head = ["examples N", "competitors", "25 ln 2 − ln N", "a wrong class's is 0 from"]
    rows = [[*head, "the label's", "the label's, on a CPU"]]
    kinds = ((1, softmax_cross_entropy), (0, softmax_cross_entropy), (0, torch_cross_entropy))
    for examples in EXAMPLES:
        flush = 25 * log(2) - log(examples)  # half of float16's smallest number is 2^-25
        for classes in (2, 113):
            found = [
                last_gradient(column, examples, torch.float16, 5, 25, classes, loss)
                for column, loss in kinds
            ]
            cells = [f"{examples:,}", str(classes - 1), *(f"{v:.1f}" for v in (flush, *found))]
            rows.append(cells)
    return rows


PUBLISHED = {16: 2_000, 32: 3_000, 64: 7_000}  # first epoch with 50 % in 2b and 2c
AUTHORS = {(60, 32): 3_000}  # their code on a CPU, a row every 500 epochs


def thresholds() -> list[list[str]]:
    """First epoch with 50 % collapse, and the last row, of figure 2's runs in results/."""
    rows = [
        [
            "data",
            "precision",
            "published",
            "authors' code, a CPU",
            "seed 42 here",
            "loss at the end",
        ]
    ]
    for percent in (60, 70):
        for bits, published in PUBLISHED.items():
            run = COLLAPSE_RUNS[percent, bits]
            theirs = f"{AUTHORS[percent, bits]:,}" if (percent, bits) in AUTHORS else "–"
            ours = first_half(run) or ["–", "–"]
            rows.append([f"{percent} %", f"float{bits}", f"{published:,}", theirs, *ours])
    return rows


def first_half(run) -> list[str] | None:
    """[first epoch with 50 % collapse, training loss of the last row]; None if not computed."""
    folder = RESULTS / run.name / "seed_42"
    if not folder.is_dir() or "half_softmax" not in runs.read_json(folder / runs.CONFIG):
        return None  # or from before the loss had torch's arithmetic
    table = runs.read_metrics(folder)
    reached, last = table[table["softmax_collapse"] >= 0.5]["epoch"], table.iloc[-1]
    first = f"{reached.iloc[0]:,.0f}" if len(reached) else f"not by {last['epoch']:,.0f}"
    return [first, f"{last['train_loss']:.1e}"]


def subnormals() -> list[list[str]]:
    rows = [["examples N", "126 ln 2 − ln N", "subnormal from", "0 from"]]
    tiny = torch.finfo(torch.float32).tiny
    for examples in EXAMPLES:
        edge = 126 * log(2) - log(examples)
        normal = last_gradient(1, examples, torch.float64, edge - 1, edge + 1, smallest=tiny)
        zero = edge + 24 * log(2)
        some = last_gradient(1, examples, torch.float64, zero - 1, zero + 1)
        rows.append([f"{examples:,}", f"{edge:.1f}", f"{normal:.1f}", f"{some:.1f}"])
    return rows


def product() -> list[list[str]]:
    plain, flushed = rounding.product_times()
    head = ["matrix product, a sixth of one factor subnormal", "median CPU time", "ratio"]
    first = ["as it is", f"{plain:.2f} ms", f"{plain / flushed:.1f}"]
    return [head, first, ["subnormals taken as 0", f"{flushed:.2f} ms", "1"]]


def counting() -> list[list[str]]:
    """Each case at each of the 113 places of the label: the share counted as collapsed."""

    def case(gap, loss_dtype=torch.float32, other=None, loss=softmax_cross_entropy, **options):
        shares = []
        for label in range(113):
            logits, target = gap_logits([gap], 113, label)
            if other is not None:  # a logit of another class
                logits[0, (label + 1) % 113] = other
            counts = softmax_collapse(logits, target, torch.float32)
            ours = loss(logits, target, precision=loss_dtype, reduction="none", **options) == 0
            shares.append([*(c.item() for c in counts), ours.double().item()])
        return [f"{100 * share:.0f} %" for share in numpy.mean(shares, 0)]

    half, double = torch.float16, torch.float64
    return [
        ["case (113 classes, metric in float32)", "sum = 1", "Definition 3", "loss = 0"],
        ["right, gap 15", *case(15)],
        ["right, gap 20", *case(20)],
        ["right, gap 30", *case(30)],
        ["wrong by a gap of 30", *case(0, other=30)],
        ["right, gap 30, but another class equal", *case(30, other=0)],
        ["right, gap 30, loss in float64", *case(30, double)],
        ["right, gap 14, loss in float16", *case(14, half)],
        ["the same in a CPU's arithmetic", *case(14, half, loss=torch_cross_entropy)],
        ["right, gap 30, label smoothing 0.2", *case(30, label_smoothing=0.2)],
        ["right, gap 30, StableMax loss", *case(30, loss=stablemax_cross_entropy)],
    ]


def kinks() -> list[list[str]]:
    """Gradient of the loss of logits (x, 1/2, 2), label 0, to x."""
    points = (-1.0, 0.0, 1.0)
    rows = [["form", "precision", *(f"x = {x:g}" for x in points)]]
    for form, loss in FORMS.items():
        for dtype in (torch.float32, torch.float64):
            values = []
            for x in points:
                z = torch.tensor([[x, 0.5, 2.0]], dtype=dtype, requires_grad=True)
                loss(z, torch.tensor([0])).sum().backward()
                values.append(z.grad[0, 0].item())
            rows.append([form, name(dtype), *(f"{v:.6f}".replace("nan", "NaN") for v in values)])
    exact = []
    for x in points:
        rest, own = exact_ratio([x, 0.5, 2.0], 0)
        exact.append(f"{float(-rest / (rest + own) / (1 + abs(Fraction(x)))):.6f}")
    return [*rows, ["exact", "", *exact]]


def sizes() -> list[list[str]]:
    rows = [["logits", "exact", "s by `where`, float32", "s by `where`, float64", "ours, float32"]]
    for exponent in (2, 3, 4, 6, 8, 15):
        values = rounding.stable_losses(10.0**exponent)
        shown = (f"{v:.3g}" if v else "0" for v in values)
        rows.append([f"±1e{exponent}", *shown])
    return rows


# ---------------------------------------------------------------------------------- pictures


def draw_absorption(left, right):
    """Onset of absorption against classes; the share of the label's places against the gap."""
    classes = (2, 3, 5, 10, 30, 113, 300, 1000)
    for color, dtype in zip(PALETTE, BITS, strict=False):
        alone, together = numpy.array([theory(dtype, c) for c in classes]).T
        left.fill_between(classes, alone, together, color=color, alpha=0.2, linewidth=0)
        found = [onsets("sum", dtype, c) for c in classes]
        low, high = numpy.array([(min(v), max(v)) for v in found]).T
        left.vlines(classes, low, high, color=color, linewidth=3)
        left.plot(classes, high, "o", color=color, markersize=5, label=name(dtype))
    left.set(xscale="log", xlabel="Classes C", ylabel="Logit gap (nats)", ylim=(0, 60))
    left.set_xticks([2, 10, 113, 1000], ["2", "10", "113", "1,000"])
    left.minorticks_off()
    left.set_title("the sum is 1 from (bar: places of the label; band: theory)", size=9)
    left.legend(ncols=2, loc="upper left")
    gaps = torch.arange(16, 25, 0.05, dtype=torch.float64)
    ways = {"sum": "the metric's sum is 1", "loss": "the loss is 0"}
    for color, (way, words) in zip(PALETTE, ways.items(), strict=False):
        share = torch.stack(
            [rounding.collapsed(way, *gap_logits(gaps, 113, y), torch.float32) for y in range(113)]
        )
        right.plot(gaps, 100 * share.double().mean(0), color=color, label=words)
    for bound in theory(torch.float32, 113):
        right.axvline(bound, color=GREY, linestyle=":")
    right.set(xlabel="Logit gap (nats)", ylabel="Places of the label (%)")
    right.set(xlim=(16, 25))
    right.set_title("float32, 113 classes: absorbed (dotted: theory)", size=10)
    right.legend(loc="lower right")


def draw_gradients(left, right):
    """Gradients against the gap: float16's of label and wrong class, float32's of a wrong class."""
    kinds = (("a wrong class", 1, "-", softmax_cross_entropy),
             ("the label", 0, "--", softmax_cross_entropy),
             ("the label, on a CPU", 0, ":", torch_cross_entropy))  # fmt: skip
    for color, classes in zip(PALETTE, (113, 2), strict=False):
        for word, column, style, loss in kinds:
            gaps, found = rounding.batch_gradients(5107, torch.float16, 4, 16, classes, loss)
            values = found[:, column].abs()
            words = f"{word} ({classes} classes)"
            left.plot(gaps, values.where(values > 0, nan), style, color=color, label=words)
    for color, examples in zip(PALETTE, (1, 128, 5107), strict=False):
        gaps, found = rounding.batch_gradients(examples, torch.float64, 70, 108)
        right.plot(gaps, found[:, 1], color=color, label=f"N = {examples:,}")
    for axes in (left, right):
        axes.set(yscale="log", xlabel="Logit gap (nats)", ylabel="Size of a gradient")
    left.set_title("loss in float16, N = 5,107", size=10)
    left.legend(fontsize=7.5)
    right.axhspan(1e-46, torch.finfo(torch.float32).tiny, color=GREY, alpha=0.2, linewidth=0)
    right.set_ylim(1e-46, 1e-29)
    right.set_title("a wrong class's in float32 (grey: subnormal)", size=10)
    right.legend()


def draw_stablemax(left, right):
    """StableMax losses of growing logits; its gradients at and around exactly +-1."""
    sizes_ = numpy.logspace(1, 10, 55)
    exact, *losses = numpy.array([rounding.stable_losses(size) for size in sizes_]).T
    words = ("s by where, float32", "s by where, float64", "stablemax_cross_entropy, float32")
    looks = ((PALETTE[1], "-", 2.4), (PALETTE[4], "-", 2), (PALETTE[0], "--", 1.6))
    for values, word, (color, style, width) in zip(losses, words, looks, strict=True):
        error = numpy.maximum(abs(values / exact - 1), 1e-17)  # 0 has no place on the axis
        left.plot(sizes_, error, color=color, linestyle=style, linewidth=width, label=word)
    left.set(xscale="log", yscale="log", xlabel="Logits ±x", ylabel="Relative error of the loss")
    left.set_ylim(1e-17, 1e8)
    left.legend(loc="upper left")
    points = numpy.arange(-2, 2.01, 0.125)
    looks = (("o", PALETTE[1], 7), ("s", PALETTE[4], 4.5), ("x", PALETTE[0], 4))
    for (form, loss), (marker, color, size) in zip(FORMS.items(), looks, strict=True):
        values = []
        for x in points:
            z = torch.tensor([[x, 0.5, 2.0]], dtype=torch.float32, requires_grad=True)
            loss(z, torch.tensor([0])).sum().backward()
            values.append(z.grad[0, 0].item())
        missing = points[numpy.isnan(values)]
        form = form.replace("`", "")
        words = f"{form}: NaN at {', '.join(f'{x:g}' for x in missing)}" if len(missing) else form
        right.plot(points, values, marker, color=color, markersize=size, label=words)
    right.set(xlabel="Logit x of the label", ylabel="Gradient", ylim=(-1, 0.15))
    right.set_title("float32, logits (x, 1/2, 2)")
    right.legend(loc="upper left", fontsize=8)


def draw_counting(left, right):
    """The three columns over the first epochs of a run, and against the gap with other losses."""
    table = runs.read_metrics(RESULTS / LARGE / "seed_42")
    table = table[table["epoch"] <= 400]
    looks = (("softmax_collapse", PALETTE[0], 3.6), ("softmax_collapse_label", PALETTE[1], 3.6),
             ("zero_terms", PALETTE[2], 1.4))  # fmt: skip
    for column, color, width in looks:
        left.plot(table["epoch"], 100 * table[column], color=color, linewidth=width, label=column)
    left.plot(table["epoch"], 100 * table["train_accuracy"], color=GREY, linestyle="--",
              linewidth=1.4, label="train_accuracy")  # fmt: skip
    left.set(xlabel="Epoch", ylabel="Training samples (%)", ylim=(-3, 103))
    left.set_title(f"{LARGE}: weights × 100", size=10)
    left.legend(loc="lower right")
    places = [round(k * 112 / 15) for k in range(16)]

    def share(way, gaps, dtype):
        rows = [rounding.collapsed(way, *gap_logits(gaps, 113, y), dtype) for y in places]
        return 100 * torch.stack(rows).double().mean(0)

    gaps = torch.arange(8, 46, 0.1, dtype=torch.float64)
    metric = torch.arange(8, 46, 0.5, dtype=torch.float64)
    right.plot(metric, share("sum", metric, torch.float32), color=PALETTE[0], linewidth=3.6,
               label="softmax_collapse")  # fmt: skip
    half, single, double = torch.float16, torch.float32, torch.float64
    looks = ((":", "cpu", half, " (CPU)"), ("--", "loss", half, ""), ("-", "loss", single, ""),
             ("-.", "loss", double, ""))  # fmt: skip
    for style, way, dtype, word in looks:
        right.plot(gaps, share(way, gaps, dtype), color=PALETTE[2], linestyle=style,
                   linewidth=1.4, label=f"zero_terms, {name(dtype)}{word}")  # fmt: skip
    right.set(xlabel="Logit gap (nats)", ylabel="Places of the label (%)", ylim=(-3, 103))
    right.set_title("113 classes, the label's logit is the largest", size=10)
    right.legend(loc="center left", bbox_to_anchor=(0.37, 0.4), fontsize=7.5)


PICTURES = {
    "absorption": draw_absorption,
    "gradients": draw_gradients,
    "counting": draw_counting,
    "stablemax": draw_stablemax,
}


def draw_pictures(folder) -> list[Path]:
    """Measures and writes docs/numerics_<name>.png; returns the paths."""
    folder.mkdir(exist_ok=True)
    paths = []
    for key, draw in PICTURES.items():
        with matplotlib.rc_context(STYLE):
            picture = Figure(figsize=(9, 3.6), layout="constrained")
            draw(*picture.subplots(1, 2))
            paths.append(folder / f"numerics_{key}.png")
            runs.replace_file(paths[-1], partial(picture.savefig, format="png", dpi=90))
    return paths


# ---------------------------------------------------------------------------------- the page


def machine() -> list[list[str]]:
    """What the tables were measured with: the order of a sum depends on the vector width."""
    words = [torch.__version__.split("+")[0], torch.backends.cpu.get_cpu_capability()]
    return [["torch", "vector instructions"], words]


TABLES = {
    f.__name__: f
    for f in (
        machine, absorption, gradients, thresholds, counting, kinks, sizes, subnormals, product,
    )
}  # fmt: skip


def markdown(rows: list[list[str]]) -> str:
    head, *body = rows
    lines = [head, ["---"] * len(head), *body]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def blocks(text: str) -> dict[str, str]:
    """{name: content} of the measured blocks of a page."""
    found = re.findall(r"<!-- measured: (\w+) -->\n(.*?)\n<!-- end -->", text, re.DOTALL)
    return dict(found)


def filled(text: str, tables=None) -> str:
    """The page with each block measured again.

    Raises:
        ValueError: the page has no block for a table, or one that no table fills.
    """
    tables = TABLES if tables is None else tables
    there = blocks(text)
    if set(there) != set(tables):
        odd = ", ".join(sorted(set(there) ^ set(tables)))
        raise ValueError(f"blocks and tables differ ({odd}); give each <!-- measured: NAME -->")
    for key, table in tables.items():
        old = f"<!-- measured: {key} -->\n{there[key]}\n<!-- end -->"
        text = text.replace(old, f"<!-- measured: {key} -->\n{markdown(table())}\n<!-- end -->")
    return text


def main(argv=None) -> int:
    """Measures everything again; returns the exit code."""
    Parser(
        prog="numerics.py",
        description="Measures the tables of docs/numerics.md again, draws its plots.",
    ).parse_args(argv)
    torch.set_num_threads(1)
    text = filled(PAGE.read_text())
    runs.replace_file(PAGE, lambda file: file.write(text.encode()))
    print(PAGE)
    for path in draw_pictures(PAGE.parent):
        print(path)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
