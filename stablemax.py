"""StableMax and softmax cross-entropy with the floating-point precision as an explicit argument.

Copy this one file into your project (it needs only torch) and use it as torch.nn.functional's own:
    loss = stablemax_cross_entropy(logits, targets)  # float64 inside, gradient in logits' own dtype
    loss = softmax_cross_entropy(logits, targets, precision=torch.float16)  # collapses soonest
"""

import math
from contextlib import nullcontext

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd import forward_ad

PRECISIONS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
REDUCTIONS = ("none", "mean", "sum")
CHUNK_ELEMENTS = 65_536  # per thread: two float64 buffers of this size stay inside 1 MB of L2 cache


def stablemax(logits: Tensor, dim: int = -1, dtype: torch.dtype | None = None) -> Tensor:
    """StableMax p_k = s(z_k) / sum_j s(z_j), with s(z) = z + 1 for z >= 0 and 1 / (1 - z) below.

    Args:
        logits: any shape, floating point; -inf has probability 0, as a mask in attention needs.
        dim: the dimension that sums to one.
        dtype: the logits are cast to it first, and it is the dtype of the result; default theirs.
            float16 and bfloat16 are computed in float32 and rounded once, as torch.softmax does.
    Returns: probabilities, 0 to 1, shape of logits; right to a few units in the last place.
    Raises: ValueError if logits (or dtype) are not floating point.
    Source: paper, Definition 4, without the authors' 1e-30 (D4). The slope at 0 is 1, both sides.
    """
    z, dtype = _working_copy(logits, dtype)
    if not z.numel():
        return z.softmax(dim).to(dtype)  # nothing, of the right shape
    p = _plain_stablemax(z, dim) if _needs_plain(z) else _StableMax.apply(z, dim)
    return p.to(dtype)


def log_stablemax(logits: Tensor, dim: int = -1, dtype: torch.dtype | None = None) -> Tensor:
    """Logarithm of StableMax, log s(z_k) - log sum_j s(z_j), finite at every finite logit.

    For a loss take stablemax_cross_entropy: it also keeps what log p loses when p rounds to 1.

    Args, Raises: as for `stablemax`.
    Returns: log-probabilities in nats, at most 0, shape of logits.
    Source: paper, Definition 4 and Proposition 1 (log s(z) = copysign(log1p|z|, z)).
    """
    z, dtype = _working_copy(logits, dtype)
    if not z.numel():
        return z.log_softmax(dim).to(dtype)
    log_p = _plain_log_stablemax(z, dim) if _needs_plain(z) else _LogStableMax.apply(z, dim)
    return log_p.to(dtype)


def stablemax_cross_entropy(
    input: Tensor,  # noqa: A002 - the name torch.nn.functional.cross_entropy uses
    target: Tensor,
    *,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
    precision: torch.dtype = torch.float64,
) -> Tensor:
    """StableMax cross-entropy -log(s(z_y) / sum_k s(z_k)), right at every finite logit.

    A loss far below the precision's epsilon is not absorbed: it is log1p of the sum over the wrong
    classes, so it stays positive down to underflow, and so does the label's gradient.

    Args:
        input: logits, (C,), (N, C) or (N, C, d1, ...), floating point.
        target: class indices 0 to C-1 or ignore_index, integer, (), (N,) or (N, d1, ...).
        ignore_index: targets of this value add neither loss nor gradient nor count.
        reduction: 'mean' over the targets not ignored (nan when there are none), 'sum' or 'none'.
        label_smoothing: 0 to 1, share of the target spread evenly over all C classes, as in torch.
        precision: dtype the logits are rounded to and the loss is computed in, also under autocast.
            float16 and bfloat16: float32 inside; each loss and gradient is rounded to precision.
    Returns: loss in nats, dtype precision; a scalar, or the shape of target for 'none'.
        The gradient has the dtype of input. Derivatives of every order (create_graph=True) and all
        of torch.func's transforms are right in the same range, the second one from below at 0. As
        for every autograd.Function, torch.compile does not know the second derivative of a compiled
        loss: take it inside what is compiled, by torch.func.
    Raises: ValueError for a bad argument; class indices out of range are seen on the CPU only.
    Source: paper, Definition 4 and section 4 (StCE).
    """
    nll = _plain_stablemax_nll if _needs_plain(input) else _StableMaxNLL.apply
    return _cross_entropy(nll, input, target, ignore_index, reduction, label_smoothing, precision)


def softmax_cross_entropy(
    input: Tensor,  # noqa: A002
    target: Tensor,
    *,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
    precision: torch.dtype = torch.float32,
) -> Tensor:
    """Softmax cross-entropy -log softmax(z)_y, with its collapse.

    Deliberately no more accurate than plain softmax: with the label the largest logit, the loss is
    exactly 0 where the sum over exp(z - max z) rounds to exactly 1, and then the label's gradient
    is exactly 0 while the wrong classes' is not. Count it with reduction='none': (loss == 0).

    Args, Returns, Raises: as for `stablemax_cross_entropy`, with this difference:
        precision: float32 and float64 are torch.nn.functional.cross_entropy of the cast logits, bit
            for bit. float16 and bfloat16 have on every device the arithmetic of torch's CUDA
            kernels: the log-probabilities are computed in float32 and rounded once; the gradient is
            computed in float32 from the rounded ones and rounded once, in float16 to 0 below 2^-25.
            (torch on a CPU differs: it rounds the sum, too, before the logarithm.)
    Source: paper, Definitions 2 (loss) and 3 (Softmax Collapse).
    """
    if _wide(precision) != precision:
        return _cross_entropy(
            _half_softmax_nll, input, target, ignore_index, reduction, label_smoothing, precision
        )
    _check_options(reduction, label_smoothing, precision)
    _check_tensors(input, target)
    options = dict(ignore_index=ignore_index, reduction=reduction, label_smoothing=label_smoothing)
    with _no_autocast(input):
        try:
            return F.cross_entropy(input.to(precision), target.long(), **options)
        except (IndexError, RuntimeError) as error:
            raise _range_error(error, input, target, ignore_index) from None


@torch.no_grad()
def cross_entropy_gradient(
    loss,
    input: Tensor,  # noqa: A002
    target: Tensor,
    *,
    precision: torch.dtype,
    label_smoothing: float = 0.0,
    examples: int | None = None,
) -> Tensor:
    """Gradient of the mean loss by the logits, in their dtype, without a graph or the loss itself.

    For a training step that does not read its loss: logits.backward(gradient) spares a pass over
    the logits that loss.backward() takes, and parts of a batch can be taken one after the other.

    Args:
        loss: stablemax_cross_entropy or softmax_cross_entropy, or another function of the same
            arguments, whose rows are then differentiated by autograd.
        input, target, precision, label_smoothing: as for these; logits of shape (N, C).
        examples: what the mean divides by, where `input` is a part of a batch; default N.
    """
    examples, half = examples or max(1, len(input)), _wide(precision) != precision
    if loss is softmax_cross_entropy:
        gradient = _eager(_softmax_gradient) if half else _softmax_gradient
        return gradient(input, target[:, None].long(), precision, label_smoothing, examples)
    if loss is stablemax_cross_entropy and not half:
        labels = target[:, None].long()
        kept = _stablemax_pass(input, labels, precision, label_smoothing, 1 / examples)[1]
        return kept.to(input.dtype)
    options = {"precision": precision}
    if label_smoothing:
        options["label_smoothing"] = label_smoothing
    return _eager(_gradient_by_autograd)(loss, input, target, options, 1 / examples)


class StableMax(nn.Module):
    """`stablemax` over dimension dim as a module."""

    def __init__(self, dim: int = -1):
        super().__init__()
        self.dim = dim

    def forward(self, logits: Tensor) -> Tensor:
        return stablemax(logits, self.dim)

    def extra_repr(self) -> str:
        return f"dim={self.dim}"


class StableMaxCrossEntropy(nn.Module):
    """`stablemax_cross_entropy` as a module. Its options are attributes, and may be set."""

    loss, default_precision = staticmethod(stablemax_cross_entropy), torch.float64

    def __init__(self, *, precision=None, ignore_index=-100, reduction="mean", label_smoothing=0.0):
        super().__init__()
        self.precision = self.default_precision if precision is None else precision
        self.ignore_index, self.reduction = ignore_index, reduction
        self.label_smoothing = label_smoothing
        _check_options(reduction, label_smoothing, self.precision)

    @property
    def options(self) -> dict:
        """The keyword arguments of every call."""
        names = ("precision", "ignore_index", "reduction", "label_smoothing")
        return {name: getattr(self, name) for name in names}

    def forward(self, input: Tensor, target: Tensor) -> Tensor:  # noqa: A002
        return self.loss(input, target, **self.options)

    def extra_repr(self) -> str:
        return ", ".join(f"{name}={value}" for name, value in self.options.items())


class SoftmaxCrossEntropy(StableMaxCrossEntropy):
    """`softmax_cross_entropy` as a module. Its options are attributes, and may be set."""

    loss, default_precision = staticmethod(softmax_cross_entropy), torch.float32


def _cross_entropy(nll, logits, target, ignore_index, reduction, label_smoothing, precision):
    _check_options(reduction, label_smoothing, precision)
    _check_tensors(logits, target)
    with _no_autocast(logits):
        rows = logits.unsqueeze(0) if logits.dim() == 1 else logits.movedim(1, -1)
        rows = rows.reshape(-1, rows.shape[-1])  # (N, C)
        labels = target.reshape(-1, 1).long()  # (N, 1)
        ignored = labels == ignore_index
        labels = labels.masked_fill(ignored, 0)
        wants_grad = rows.requires_grad and torch.is_grad_enabled()
        try:
            loss = nll(rows, labels, precision, label_smoothing, wants_grad)[0]  # (N, 1)
        except RuntimeError as error:  # the gather that is needed anyway has checked the range
            raise _range_error(error, logits, target, ignore_index) from None
        loss = loss.masked_fill(ignored, 0.0)
        if reduction == "none":
            return loss.reshape(target.shape)
        if reduction == "sum":
            return loss.sum()
        count = ignored.logical_not().sum()
        return (loss.sum(dtype=_wide(precision)) / count).to(precision)


def _range_error(error, logits, target, ignore_index):
    """The ValueError for class indices out of range, or the error itself if it is another one."""
    if "out of bounds" not in str(error):
        return error
    classes, span = logits.shape[min(1, logits.dim() - 1)], ""
    if not _needs_plain(target):  # in a transform the values cannot be read
        kept = target[target != ignore_index]
        span = f" from {kept.min()} to {kept.max()}"
    return ValueError(
        f"targets{span} do not fit logits of {classes} classes; "
        f"use 0 to {classes - 1}, or ignore_index={ignore_index}"
    )


def _no_autocast(logits):
    """Precision is explicit: it wins."""
    device = logits.device.type  # meta, for one, has no autocast
    known = torch.amp.is_autocast_available(device)
    return torch.autocast(device, enabled=False) if known else nullcontext()


def _needs_plain(tensor):
    """Whether torch may differentiate, split or replay the operations themselves: in torch.func's
    transforms and forward mode, torch.export, and for DTensor and other subclasses. They cannot
    look into an autograd.Function, or take its gradient for a constant."""
    return (
        torch._C._are_functorch_transforms_active()
        or forward_ad._current_level >= 0
        or torch.compiler.is_exporting()
        or type(tensor) not in (Tensor, nn.Parameter)
    )


def _eager(function):
    # A compiler leaves out roundings, which all count here. No decorator: it loads the compiler.
    return torch.compiler.disable(function) if torch.compiler.is_compiling() else function


@torch.enable_grad()
def _gradient_by_autograd(loss, logits, target, options, weight):
    logits = logits.detach().requires_grad_()
    terms = loss(logits, target, reduction="none", **options)  # (N,)
    return torch.autograd.grad(terms, logits, torch.full_like(terms, weight))[0]


class _HalfLogSoftmax(torch.autograd.Function):
    """log_softmax of float16 or bfloat16 rows as torch's CUDA kernels compute it."""

    @staticmethod
    def forward(rows):
        return rows.float().log_softmax(1).to(rows.dtype)

    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.save_for_backward(output)

    @staticmethod
    def backward(ctx, grad):
        (log_p,) = ctx.saved_tensors
        wide = torch._log_softmax_backward_data(grad.float(), log_p.float(), 1, torch.float32)
        return wide.to(log_p.dtype)


def _plain_half_log_softmax(rows):
    """The values of _HalfLogSoftmax, with the derivatives of log_softmax at them."""
    x = rows.float()
    log_p = x.log_softmax(1).to(rows.dtype).float().detach()
    log_p = log_p + (x - x.detach()).nan_to_num()  # 0, with the slope 1; -inf is a mask
    total = log_p.exp().sum(1, keepdim=True)  # 1 but for the rounding of log_p
    return (log_p - (total - total.detach()).log1p()).to(rows.dtype)


def _half_softmax_nll(rows, labels, precision, label_smoothing, wants_grad):
    rows = rows.to(precision)
    if rows.is_cuda:
        log_p = rows.log_softmax(1)
    else:
        log_p = (_plain_half_log_softmax if _needs_plain(rows) else _HalfLogSoftmax.apply)(rows)
    loss = -log_p.gather(1, labels)
    if label_smoothing:
        loss = (1 - label_smoothing) * loss - label_smoothing * log_p.mean(1, keepdim=True)
    return loss, None


def _softmax_gradient(rows, labels, precision, label_smoothing, examples):
    """Gradient of the mean softmax cross-entropy over `examples`, by torch's own two kernels."""
    # CUDA's kernels widen by themselves.
    inside = precision if _widens_by_itself(rows) else _wide(precision)
    # What the mean sends back to the log-probabilities, rounded where autograd rounds it.
    even = _rounded(-label_smoothing / rows.shape[1], precision)
    even = _rounded(even / examples, precision)
    own = _rounded(_rounded(label_smoothing - 1, precision) / examples, precision)
    own = _rounded(own + even, precision)
    if not _goes_by_parts(rows):
        sent = torch.full_like(rows, even, dtype=inside).scatter_(1, labels, own)
        log_p = rows.to(precision).to(inside).log_softmax(1).to(precision).to(inside)
        gradient = torch._log_softmax_backward_data(sent, log_p, 1, inside)
        return gradient.to(precision).to(rows.dtype)
    rounds, gradient = precision != inside, torch.empty_like(rows)
    parts, size = _parts(rows, gradient, labels)
    sent = rows.new_full((size, rows.shape[1]), even, dtype=inside)
    x = None if rows.dtype == inside else torch.empty_like(sent)
    for z, out, y in parts:  # x_n: logits, log-probabilities, their gradient
        sent_n, x_n = sent[: len(z)], out if x is None else x[: len(z)]
        if rounds or x is not None:
            z = x_n.copy_(z.to(precision) if rounds else z)
        torch._log_softmax(z, 1, False, out=x_n)
        x_n.copy_(x_n.to(precision))
        sent_n.scatter_(1, y, own)
        torch._log_softmax_backward_data(sent_n, x_n, 1, inside, out=x_n)
        sent_n.scatter_(1, y, even)
        out.copy_(x_n.to(precision) if rounds else x_n)
    return gradient


def _rounded(value, dtype):
    """A Python number to the nearest one of a dtype, ties to even: on the host, for any device."""
    info = torch.finfo(dtype)
    step = max(info.smallest_normal * info.eps, math.ldexp(info.eps / 2, math.frexp(value)[1]))
    return round(value / step) * step


def _widens_by_itself(rows):
    return rows.is_cuda


def _stablemax_pass(rows, labels, precision, label_smoothing, weight):
    """Per-row values of the loss, and weight * its gradient (None for no weight)."""
    wide = _wide(precision)
    z = rows if wide == precision else rows.to(precision)
    z_y = z.gather(1, labels).to(wide)  # (N, 1), as all per-row values
    # Where sums and products of s cannot leave the range (float32 in float64), as it is.
    roomy = torch.finfo(z.dtype).max < torch.finfo(wide).max ** 0.5
    scale = None if roomy else _inverse_of_largest(z.amax(1, keepdim=True).to(wide))
    owns, rests, totals, means = [], [], [], []
    even = label_smoothing / z.shape[1]
    kept, chunks = _chunks(z, wide, weight, labels, z_y if roomy else scale)
    slope = torch.empty(chunks[0][0].shape, dtype=wide, device=z.device)
    for z_c, x, kept_c, labels_c, scale_c in chunks:
        x.copy_(z_c)
        if label_smoothing:
            flat = x.abs()
            means.append(flat.log1p().copysign_(x).mean(1, keepdim=True))
            flat.add_(1).reciprocal_().mul_(even * (weight or 0))
        # m = -1 / (1 + relu(-z)): s = relu(z) - m, ds/dz = m * m, with no branch to select.
        m = slope[: x.shape[0]]
        torch.clamp(x, max=0, out=m).sub_(1).reciprocal_()
        x.clamp_(min=0).sub_(m)
        if not roomy:
            x.mul_(scale_c)
        owns.append(x.gather(1, labels_c))
        x.scatter_(1, labels_c, 0.0)  # summed without the label, the rest is never absorbed
        rests.append(x.sum(1, keepdim=True))
        if weight:
            totals.append(rests[-1] + owns[-1])
            share = weight / totals[-1] if roomy else scale_c / totals[-1] * weight
            # m * (m * w), not m * m * w: the square alone underflows at very negative logits.
            torch.mul(m, share, out=x).mul_(m)
            if label_smoothing:
                x.sub_(flat)
            if kept_c is not x:
                kept_c.copy_(x)
    own, rest = _whole(owns), _whole(rests)  # s * scale of the label, and its sum over the others
    if weight:
        label_grad = (label_smoothing - even - rest / _whole(totals)) / (1 + z_y.abs())
        kept.scatter_(1, labels, (label_grad * weight).to(kept.dtype))
    return (z_y, scale, own, rest, means), kept


class _StableMaxNLL(torch.autograd.Function):
    """The loss per row, whose gradient is made by the forward, in the buffer that held the values.

    forward returns the loss, (N, 1), and `kept`: its gradient, (N, C), for an incoming gradient of
    1, in float32 unless both precision and logits are float64. So nothing of size N x C in the
    compute dtype outlives the forward, and backward is a single pass.
    """

    @staticmethod
    def forward(rows, labels, precision, label_smoothing, wants_grad):
        weight = 1.0 if wants_grad else None
        values, kept = _stablemax_pass(rows, labels, precision, label_smoothing, weight)
        z_y, scale, own, rest, means = values
        # rest / own keeps small losses exact; where it would overflow the loss is above 60.
        smallest = torch.finfo(own.dtype).tiny / torch.finfo(own.dtype).eps
        log_total = (rest + own).log() if scale is None else (rest + own).log() - scale.log()
        loss = torch.where(own < smallest, log_total - _log_s(z_y), (rest / own).log1p())
        if label_smoothing:
            uniform = log_total - _whole(means)
            loss = (1 - label_smoothing) * loss + label_smoothing * uniform
        return loss.to(precision), kept

    @staticmethod
    def setup_context(ctx, inputs, output):
        rows, labels, ctx.precision, ctx.label_smoothing, wants_grad = inputs
        ctx.set_materialize_grads(False)  # no N x C zeros as the "gradient" of kept
        if wants_grad:
            ctx.mark_non_differentiable(output[1])
            ctx.save_for_backward(rows, labels, output[1])

    @staticmethod
    def backward(ctx, grad, _):
        if grad is None:
            return (None,) * 5
        rows, labels, kept = ctx.saved_tensors  # once: activation checkpointing allows no second
        if torch.compiler.is_compiling() or not torch.is_grad_enabled():
            gradient = kept * grad.to(kept.dtype)
        else:  # create_graph=True: the same in operations that can be differentiated again
            rows = rows.view_as(rows)
            loss = _plain_stablemax_nll(rows, labels, ctx.precision, ctx.label_smoothing)[0]
            return *torch.autograd.grad(loss, rows, grad, create_graph=True), *(None,) * 4
        # Half precision is rounded here, after the incoming gradient, so that loss scaling works.
        if _wide(ctx.precision) != ctx.precision:
            gradient = gradient.to(ctx.precision)
        return gradient.to(rows.dtype), None, None, None, None


def _plain_stablemax_nll(rows, labels, precision, label_smoothing, wants_grad=None):
    """The loss of _StableMaxNLL, (N, 1), in operations that autograd can differentiate at will.

    So written that no two terms of a first or second derivative cancel, at any loss and any logit.
    """
    z = rows.to(precision).to(_wide(precision))
    s, largest = _plain_s(z, 1)
    # + 0, for what is gathered from a DTensor of sharded classes can be used only once.
    z_y, own = z.gather(1, labels) + 0, s.gather(1, labels) + 0
    rest = s.scatter(1, labels, 0.0).sum(1, keepdim=True)  # without the label: never absorbed
    far = rest > own
    # Near: log1p(rest / own). Where s is 1 / (1 - z) its inverse is linear, and is seen to be.
    inverse = -z_y.clamp(max=0) * largest + largest / (1 + z_y.relu())
    near_loss = (torch.where(far, 0.0, rest) * torch.where(far, 1.0, inverse)).log1p()
    # Far: log(rest) - log(own) + log1p(own / rest), whose logarithms have no mixed derivative.
    rest_or_1 = torch.where(far, rest, 1.0)
    far_loss = rest_or_1.log() - _plain_log(own, z_y, largest) + (own / rest_or_1).log1p()
    loss = torch.where(far, far_loss, near_loss)
    if label_smoothing:
        uniform = (rest + own).log() - _plain_log(s, z, largest).mean(1, keepdim=True)
        loss = (1 - label_smoothing) * loss + label_smoothing * uniform
    return loss.to(precision), None


def _plain_stablemax(z, dim):
    s, _ = _plain_s(z, dim)
    return s / s.sum(dim, keepdim=True)


def _plain_log_stablemax(z, dim):
    s, largest = _plain_s(z, dim)
    return _plain_log(s, z, largest) - s.sum(dim, keepdim=True).log()


def _plain_s(z, dim):
    """s(z) / largest, and largest, which is max s(z) but a constant to autograd.

    It stands in the numerators, so that autograd forms s' without a square that underflows. At 0
    relu has the slope 0 and clamp has 1: together that of s.
    """
    largest = _largest(z.detach().amax(dim, keepdim=True))
    return z.relu() / largest + (1 / largest) / (1 - z.clamp(max=0)), largest


def _plain_log(s, z, largest):
    """log s of s = s(z) / largest; small ones by log s(z), for powers of 1 / s overflow."""
    small = s < torch.finfo(s.dtype).tiny ** 0.25
    from_z = z.relu().log1p() - (-z.clamp(max=0)).log1p() - largest.log()
    return torch.where(small, from_z, torch.where(small, 1.0, s).log())


class _StableMax(torch.autograd.Function):
    @staticmethod
    def forward(z, dim):
        s = _s(z).mul_(_inverse_of_largest(z.amax(dim, keepdim=True)))
        return s.div_(s.sum(dim, keepdim=True))

    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.save_for_backward(inputs[0], output)
        ctx.dim = inputs[1]

    @staticmethod
    def backward(ctx, grad):
        z, p = ctx.saved_tensors
        return p * (grad - (p * grad).sum(ctx.dim, keepdim=True)) / (1 + z.abs()), None


class _LogStableMax(torch.autograd.Function):
    @staticmethod
    def forward(z, dim):
        top = z.amax(dim, keepdim=True)
        s = _s(z).mul_(_inverse_of_largest(top))
        total = s.sum(dim, keepdim=True)
        smallest = torch.finfo(z.dtype).tiny / torch.finfo(z.dtype).eps
        far = _log_s(z) - (_log_s(top) + total.log())  # where s is too small beside the largest
        return torch.where(s < smallest, far, (s / total).log())

    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.save_for_backward(inputs[0])
        ctx.dim = inputs[1]

    @staticmethod
    def backward(ctx, grad):
        (z,) = ctx.saved_tensors
        p = _StableMax.apply(z, ctx.dim)
        return (grad - p * grad.sum(ctx.dim, keepdim=True)) / (1 + z.abs()), None


def _s(z):
    return z.clamp(min=0).add_((1 - z.clamp(max=0)).reciprocal_())


def _log_s(z):
    return torch.copysign(z.abs().log1p(), z)


def _largest(top):
    # The clamp keeps its inverse finite: s of the most negative number is below the normal range.
    return _s(top).clamp(min=torch.finfo(top.dtype).tiny)


def _inverse_of_largest(top):
    return _largest(top).reciprocal_()


def _wide(dtype):
    return torch.float32 if dtype in (torch.float16, torch.bfloat16) else dtype


def _parts(*tensors):
    """The rows of (N, C) and (N, 1) tensors together: (tuples of parts, rows of the largest part).

    On the CPU a part fits the cache, so that no full buffer of a wider dtype exists; elsewhere, and
    under torch.compile, one part is all.
    """
    examples, classes = tensors[0].shape
    rows = examples
    if _goes_by_parts(tensors[0]):
        rows = min(examples, max(16, CHUNK_ELEMENTS * torch.get_num_threads() // classes))
    if rows == examples:
        return [tensors], examples
    return list(zip(*(t.split(rows) for t in tensors), strict=True)), rows


def _goes_by_parts(rows):
    return rows.device.type == "cpu" and not torch.compiler.is_compiling()


def _whole(parts):
    return parts[0] if len(parts) == 1 else torch.cat(parts)


def _chunks(z, wide, weight, *columns):
    """The gradient buffer, and the rows of (logits, buffer of dtype wide, gradient, *columns).

    The buffer is the gradient's own where dtypes agree.
    """
    dtype = torch.float64 if z.dtype == wide == torch.float64 else torch.float32
    kept = torch.empty(z.shape, dtype=dtype, device=z.device) if weight else None
    parts, rows = _parts(z, kept if weight else z, *columns)  # without weight never written
    if weight and dtype == wide:
        return kept, [(part[0], part[1], *part[1:]) for part in parts]
    scratch = torch.empty(rows, z.shape[1], dtype=wide, device=z.device)
    return kept, [(part[0], scratch[: len(part[0])], *part[1:]) for part in parts]


def _working_copy(logits, dtype):
    dtype = logits.dtype if dtype is None else dtype
    if not (logits.is_floating_point() and dtype in PRECISIONS):
        raise ValueError(
            f"logits are {logits.dtype} and dtype is {dtype}; both must be floating point, "
            f"dtype one of {_names(PRECISIONS)}"
        )
    return logits.to(dtype).to(_wide(dtype)), dtype


def _check_options(reduction, label_smoothing, precision):
    if reduction not in REDUCTIONS:
        raise ValueError(f"reduction is {reduction!r}; choose from {_names(REDUCTIONS)}")
    if precision not in PRECISIONS:
        raise ValueError(f"precision is {precision!r}; choose from {_names(PRECISIONS)}")
    if not 0.0 <= label_smoothing <= 1.0:
        raise ValueError(f"label_smoothing is {label_smoothing}; choose a number from 0 to 1")


def _check_tensors(logits, target):
    if not logits.is_floating_point():
        raise ValueError(f"input has dtype {logits.dtype}; pass floating-point logits")
    if target.is_floating_point() or target.is_complex() or target.dtype == torch.bool:
        raise ValueError(
            f"target has dtype {target.dtype}; pass integer class indices "
            "(class probabilities are not supported; for uniform ones use label_smoothing)"
        )
    class_dim = 0 if logits.dim() == 1 else 1
    expected = logits.shape[:class_dim] + logits.shape[class_dim + 1 :]
    if logits.dim() == 0 or target.shape != expected or logits.shape[class_dim] == 0:
        raise ValueError(
            f"input has shape {tuple(logits.shape)} and target {tuple(target.shape)}; "
            "pass (C,) with (), (N, C) with (N,), or (N, C, d1, ...) with (N, d1, ...), C >= 1"
        )


def _names(choices):
    return ", ".join(map(str, choices))
