"""The paper's other losses, Taylor-softmax cross-entropy and mean squared error on logits; that of
sparsemax; and torch's own cross-entropy at 16 bits.

Same call as the losses of stablemax.py: (logits, targets), with the precision explicit.
Letters: N examples, C classes.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from entmax import sparsemax
from torch import Tensor
from torch.autograd.function import once_differentiable

import stablemax

REDUCTIONS = stablemax.REDUCTIONS


def taylor_softmax_cross_entropy(
    input: Tensor,  # noqa: A002 - the name torch.nn.functional.cross_entropy uses
    target: Tensor,
    *,
    reduction: str = "mean",
    precision: torch.dtype = torch.float32,
) -> Tensor:
    """Taylor-softmax cross-entropy -log(t(z_y) / sum_k t(z_k)) with t(z) = 1 + z + z^2 / 2.

    exp is replaced by its second-order Taylor polynomial, which is at least 1/2 and grows only
    quadratically. Formed as log1p(sum over the wrong classes / t(z_y)), the loss is not absorbed
    where p_y rounds to 1.

    Args:
        input: (N, C) floating logits z, |z| below 1e18 in float32.
        target: (N,) integer classes, 0 to C - 1.
        reduction: "none", "mean" or "sum" over the N examples.
        precision: dtype of the computation and of the result; float16 and bfloat16 are computed in
            float32 and rounded once.

    Returns:
        Nats, at least 0: (N,) for "none", else a scalar.

    Raises:
        ValueError: for a reduction, dtype or shape that does not fit.

    Source: paper, C.1 and Figure 11; the order 2 is ours, the smallest that keeps t positive.
    """
    z, labels = _wide_rows(input, target, reduction, precision)
    t = ((z + 1).square() + 1) * 0.5  # 1 + z + z^2/2 without cancellation; (N, C)
    own = t.gather(1, labels)  # (N, 1)
    wrong = t.scatter(1, labels, 0.0).sum(1, keepdim=True)  # (N, 1)
    return _reduce(torch.log1p(wrong / own)[:, 0], reduction, precision)


class _SparsemaxTerms(torch.autograd.Function):
    """(N, C) logits and (N, 1) labels -> (N,) losses; the gradient is p - y itself."""

    @staticmethod
    def forward(ctx, z, labels):
        p = sparsemax(z, dim=1)  # (N, C)
        highest, most = z.amax(1, keepdim=True), p.amax(1, keepdim=True)  # (N, 1)
        left_out = (highest - z.gather(1, labels) - most).clamp_(min=0)  # tau - z_y, if above 0
        error = p.scatter_add_(1, labels, -torch.ones_like(highest))  # p - y
        ctx.save_for_backward(error)
        return error.square().sum(1) / 2 + left_out[:, 0]

    @staticmethod
    @once_differentiable
    def backward(ctx, grad):
        (error,) = ctx.saved_tensors
        return grad[:, None] * error, None


def sparsemax_loss(
    input: Tensor,  # noqa: A002
    target: Tensor,
    *,
    reduction: str = "mean",
    precision: torch.dtype = torch.float32,
) -> Tensor:
    """Sparsemax loss ||p - y||^2 / 2 + max(tau - z_y, 0) with p = max(z - tau, 0) and sum(p) = 1.

    p is the point of the simplex that is nearest to the logits z, y the one-hot target; the
    gradient is p - y. Both are exactly 0 where the label's logit is 1 or more above all others.
    This is the published -z_y + sum_S (z^2 - tau^2) / 2 + 1/2 over the support S of p, without its
    cancellation: float32 tells a loss of 1e-12 from 0, and none is negative.

    Args, Raises: as for `taylor_softmax_cross_entropy`; logits of any finite size.

    Returns:
        At least 0, (N,) for "none", else a scalar.

    Source: Martins & Astudillo (2016), arXiv 1602.02068, Section 3; p by entmax, whose
    `sparsemax_loss` has the published form.
    """
    z, labels = _wide_rows(input, target, reduction, precision)
    return _reduce(_SparsemaxTerms.apply(z, labels), reduction, precision)


def torch_cross_entropy(
    input: Tensor,  # noqa: A002
    target: Tensor,
    *,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
    precision: torch.dtype = torch.float16,
) -> Tensor:
    """torch.nn.functional.cross_entropy of logits cast to `precision`, in the device's arithmetic.

    On a CPU, float16 and bfloat16 round the sum of exponentials before its logarithm is taken: the
    label's log-probability is a multiple of the precision's epsilon near 1. stablemax's
    softmax_cross_entropy has CUDA's arithmetic instead, which rounds the result only.
    """
    return F.cross_entropy(
        input.to(precision), target, reduction=reduction, label_smoothing=label_smoothing
    )


def mean_of_terms(
    terms: Callable[[Tensor, Tensor], Tensor],
    input: Tensor,  # noqa: A002
    target: Tensor,
    *,
    reduction: str = "mean",
    precision: torch.dtype = torch.float32,
) -> Tensor:
    """A loss from its terms: terms(logits (N, C) in precision, targets (N,)) -> (N,)."""
    values = terms(input.to(precision), target)
    if values.shape != target.shape:
        raise ValueError(
            f"the loss returned {tuple(values.shape)} for {tuple(target.shape)} targets; return one"
            " term per example"
        )
    return _reduce(values, reduction, precision)


def mean_squared_error(
    input: Tensor,  # noqa: A002
    target: Tensor,
    *,
    reduction: str = "mean",
    precision: torch.dtype = torch.float32,
) -> Tensor:
    """Mean squared error of the logits against one-hot targets, sum_k (z_k - [k = y])^2 / C.

    The mean is over classes and, with "mean", over examples, as torch.nn.functional.mse_loss takes
    it of the one-hot targets.

    Args, Raises: as for `taylor_softmax_cross_entropy`.

    Returns:
        Squared logits, at least 0: (N,) for "none", else a scalar.

    Source: paper, Section 5.2 and Figure 13.
    """
    z, labels = _wide_rows(input, target, reduction, precision)
    one = torch.ones_like(labels, dtype=z.dtype)
    error = z.scatter_add(1, labels, -one)  # z - one-hot, without the one-hot matrix; (N, C)
    return _reduce(error.square().mean(1), reduction, precision)


def _wide_rows(logits, target, reduction, precision):
    if reduction not in REDUCTIONS:
        raise ValueError(f"reduction is {reduction!r}; choose from {', '.join(REDUCTIONS)}")
    if precision not in stablemax.PRECISIONS:
        choices = ", ".join(map(str, stablemax.PRECISIONS))
        raise ValueError(f"precision is {precision!r}; choose from {choices}")
    if not logits.is_floating_point() or logits.dim() != 2 or target.shape != logits.shape[:1]:
        raise ValueError(
            f"input is {logits.dtype} {tuple(logits.shape)} and target {tuple(target.shape)};"
            " pass floating (N, C) logits and (N,) classes"
        )
    wide = torch.float64 if precision == torch.float64 else torch.float32
    return logits.to(precision).to(wide), target.long()[:, None]


def _reduce(terms, reduction, precision):
    if reduction == "none":
        return terms.to(precision)
    return (terms.mean() if reduction == "mean" else terms.sum()).to(precision)


def without_right_logits(logits: Tensor, target: Tensor) -> Tensor:
    """The logits with those of the right classes multiplied by 0: z_k [k != y].

    A softmax loss of these has no gradient at the right class and drives the wrong logits down:
    first their exponentials are absorbed by exp(0) and the loss is exactly 0, then they underflow
    and so is the gradient.

    Args:
        logits: (N, C) floating.
        target: (N,) integer classes.

    Returns:
        (N, C), differentiable.

    Source: paper, B.1 and Figure 8: "multiplying the logits for the right classes by 0".
    """
    return logits.scatter(1, target[:, None], 0.0)
