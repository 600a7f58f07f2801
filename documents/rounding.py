"""Measurements of rounding in the losses on this machine's CPU; numerics.py makes the page of them.

Letters: N examples, C classes, G logit gaps. Everything is measured on constructed logits.
"""

import statistics
import time
from fractions import Fraction
from math import log, log1p, nan

import torch
import torch.nn.functional as F

from metrics import is_collapsed
from stablemax import softmax_cross_entropy, stablemax_cross_entropy
from training.losses import torch_cross_entropy

# dtype -> p, the significant bits of its mantissa, the hidden one included
BITS = {torch.float16: 11, torch.bfloat16: 8, torch.float32: 24, torch.float64: 53}
STEP = 0.01  # of the logit gaps that are tried, nats


def name(dtype) -> str:
    return str(dtype).removeprefix("torch.")


def gap_logits(gaps, classes: int, label: int, dtype=torch.float32):
    """(G, C) logits: 0 for the label, -gap for each of the C - 1 others; (G,) targets."""
    logits = -torch.as_tensor(gaps, dtype=torch.float64)[:, None].repeat(1, classes)
    logits[:, label] = 0
    return logits.to(dtype), torch.full((len(logits),), label)


def theory(dtype, classes: int) -> tuple[float, float]:
    """Logit gaps between which a sum of 1 and C - 1 terms exp(-gap) becomes 1, nats.

    (p ln 2, p ln 2 + ln(C - 1)): added to 1 one by one each term is lost below half a unit in the
    last place, 2^-p; added among themselves first, only their sum has to be that small.
    """
    alone = BITS[dtype] * log(2)
    return alone, alone + log(classes - 1)


def collapsed(way: str, logits, targets, dtype):
    """(N,) whether each row counts as collapsed when `dtype` is the precision.

    way: "sum" (the published metric, sum exp(z - max z) == 1), "loss" (a run's is exactly 0) or
    "cpu" (the same in torch's own arithmetic on a CPU, which differs at 16 bits).
    """
    if way == "sum":
        return is_collapsed(logits, targets, dtype)[0]
    loss = softmax_cross_entropy if way == "loss" else torch_cross_entropy
    return loss(logits, targets, precision=dtype, reduction="none") == 0


def inside(way: str, dtype):
    """The dtype of the sum in which terms can be absorbed."""
    return torch.float32 if way == "loss" and BITS[dtype] < 24 else dtype


def onsets(way: str, dtype, classes: int) -> list[float]:
    """For up to 16 places of the label: the gap from which on every larger one tried collapses."""
    low, high = theory(inside(way, dtype), classes)
    gaps = torch.arange(low - 1, high + 1, STEP, dtype=torch.float64).to(dtype).double().unique()
    found = []
    for label in sorted({round(k * (classes - 1) / 15) for k in range(16)}):
        rows = collapsed(way, *gap_logits(gaps, classes, label, dtype), dtype)
        last = int((~rows).nonzero()[-1])
        found.append(gaps[last + 1].item() if last + 1 < len(gaps) else nan)
    return found


def batch_gradients(
    examples: int, precision, low: float, high: float, classes=113, loss=softmax_cross_entropy
):
    """(gaps, gradients (G, C)) of the mean loss over N examples, float32 logits, label 0.

    One batch, each row with a gap of its own between low and high; with few examples several
    batches of N.
    """
    batches = -(-2000 // examples)
    gaps = torch.linspace(low, high, batches * examples, dtype=torch.float64)
    logits, targets = gap_logits(gaps, classes, 0)
    gradients = []
    for z, y in zip(logits.split(examples), targets.split(examples), strict=True):
        z.requires_grad_()
        loss(z, y, precision=precision).backward()
        gradients.append(z.grad)
    return gaps, torch.cat(gradients)


def last_gradient(column: int, *arguments, smallest=2.0**-149, **options) -> float:
    """The largest gap tried at which the gradient of this class is at least `smallest`.

    Further arguments: of `batch_gradients`.
    """
    gaps, gradients = batch_gradients(*arguments, **options)
    held = gradients[:, column].abs() >= smallest
    return gaps[held].max().item() if held.any() else nan


def product_times(repetitions: int = 21) -> tuple[float, float]:
    """Median CPU milliseconds of a float32 product (5107, 113) @ (113, 200), interleaved.

    A sixth of the left factor is subnormal: as it is, and with subnormals taken as 0.
    """
    generator = torch.Generator().manual_seed(0)
    left = torch.randn(5107, 113, generator=generator) * 1e-6
    left[torch.rand(left.shape, generator=generator) < 1 / 6] = 2.0**-135
    right = torch.randn(113, 200, generator=generator)
    seconds = {False: [], True: []}
    try:
        for _ in range(repetitions):
            for flush, taken in seconds.items():
                torch.set_flush_denormal(flush)
                started = time.thread_time()
                left @ right
                taken.append(time.thread_time() - started)
    finally:
        torch.set_flush_denormal(False)
    return tuple(1e3 * statistics.median(taken) for taken in seconds.values())


def where_ratio(z, target):
    """-log(s_y / sum s) with s written as where(x < 0, 1 / (1 - x + 1e-30), x + 1)."""
    s = torch.where(z < 0, 1 / (1 - z + 1e-30), z + 1)
    return -(s.gather(1, target[:, None])[:, 0] / s.sum(1)).log()


def where_log1p(z, target):
    """The same as the softmax of g, with g written as where(x < 0, -log1p(-x), log1p(x))."""
    g = torch.where(z < 0, -torch.log1p(-z), torch.log1p(z))
    return F.cross_entropy(g, target, reduction="none")


FORMS = {
    "s, chosen by `where`": where_ratio,
    "log s, chosen by `where`": where_log1p,
    "`stablemax_cross_entropy`": lambda z, y: stablemax_cross_entropy(
        z, y, precision=z.dtype, reduction="none"
    ),
}


def exact_ratio(logits, label: int) -> tuple[Fraction, Fraction]:
    """(sum of s over the wrong classes, s of the label), exactly."""
    z = [Fraction(float(v)) for v in logits]
    s = [1 + v if v >= 0 else 1 / (1 - v) for v in z]
    return sum(s) - s[label], s[label]


def stable_losses(size: float) -> list[float]:
    """Loss of logits +size for the label, -size for 112 others: exact, then of the forms."""
    logits = torch.full((1, 113), -float(size))
    logits[0, 7] = float(size)
    target = torch.tensor([7])
    rest, own = exact_ratio(logits[0].tolist(), 7)
    forms = (where_ratio, FORMS["`stablemax_cross_entropy`"])
    return [
        log1p(float(rest / own)),
        forms[0](logits, target).item(),
        forms[0](logits.double(), target).item(),
        forms[1](logits, target).item(),
    ]
