"""The parts of the networks that are written out by hand, because a training step lives in them.

Beside its matrix products a step costs passes over its activations. Each function here computes
what the plain PyTorch expression computes, in fewer passes, and draws dropout from the same
distribution with fewer random bits. The written-out forms run on a CPU; on another device, and
under `torch.compile`, the plain expression runs, which a GPU or a compiler fuses by itself.

Letters: N examples, K ones of a row, D width, F feed-forward width, R rows of a table.
"""

import math

import torch
import torch.nn.functional as F
from torch.autograd import Function
from torch.autograd.function import once_differentiable

ACTIVATIONS = {"relu": F.relu, "gelu": F.gelu}
# Activations that a feed-forward block holds at once: they stay in a core's second-level cache.
# Measured on 5017 x 2048: 256 rows forward and 128 backward, where a second array is read.
FORWARD_CHUNK = 2**19
BACKWARD_CHUNK = 2**18
# Bytes of one layer's output in a chunk of rows of the MLP's training step. Measured on 5107 x 200:
# two chunks 2 to 6 % faster than one piece, eight no faster than two.
NETWORK_CHUNK = 2**21

_relu_grad_ = torch.ops.aten.threshold_backward.grad_input
_gelu_grad_ = torch.ops.aten.gelu_backward.grad_input


def written_out(x):
    """Whether the hand-written form is the one to run: on a CPU, outside a compiler."""
    return x.device.type == "cpu" and not torch.compiler.is_compiling()


def _affine(x, weight, bias, out=None):
    if bias is None:
        return torch.mm(x, weight.t(), out=out)
    return torch.addmm(bias, x, weight.t(), out=out)


# ------------------------------------------------------------------------------------------ MLP


def multi_hot_linear(x, weight, bias=None):
    """Linear layer on K-hot rows: y = sum_k weight[:, x_k] + bias, without the K-hot matrix.

    Args:
        x: (N, K) integers, positions of the ones; a position named twice counts twice.
        weight: (out, in) as of `nn.Linear`.
        bias: (out,) or None.

    Returns:
        (N, out).
    """
    # embedding_bag streams whole rows, so the columns are laid out as rows first; indexing the
    # columns of `weight` themselves costs more than the dense product.
    out = F.embedding_bag(x.long(), weight.t().contiguous(), mode="sum")
    return out if bias is None else out + bias


class _ReluNetwork(Function):
    """All layers at once, so that every inner gradient is ours and can be masked in place."""

    @staticmethod
    def forward(ctx, x, track, depth, *parameters):
        weights, biases = parameters[:depth], parameters[depth:]
        below, out = _ascend(x, weights, biases, keep=track)
        ctx.depth, ctx.has_bias = depth, bool(biases)
        if track:
            ctx.save_for_backward(*weights, *below)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx, grad):
        weights, below = ctx.saved_tensors[: ctx.depth], ctx.saved_tensors[ctx.depth :]
        sums = _zero_sums(weights, ctx.has_bias, below[0])
        grad = _descend(grad, weights, below, *sums)
        dx = grad.mm(weights[0]) if ctx.needs_input_grad[0] else None
        return (dx, None, None, *_by_weight(sums[0], below[0]), *sums[1])


def _ascend(x, weights, biases, keep=True, buffers=None):
    """([input of each layer, if kept], output of the last)."""
    below, h = [], x
    for layer, weight in enumerate(weights):
        bias = biases[layer] if biases else None
        if keep:
            below.append(h)
        if layer or h.is_floating_point():
            h = _affine(h, weight, bias, out=buffers[layer][: len(x)] if buffers else None)
        else:
            h = multi_hot_linear(h, weight)
            if bias is not None:
                h.add_(bias)
        if layer < len(weights) - 1:
            h.relu_()
    return below, h


def _zero_sums(weights, has_bias, x):
    """Zeros for the gradients of the weights and of the biases; the first as rows for positions."""
    dw = [torch.zeros_like(w) for w in weights]
    if not x.is_floating_point():
        dw[0] = weights[0].new_zeros(weights[0].shape[::-1])  # (in, out)
    return dw, [w.new_zeros(len(w)) for w in weights] if has_bias else []


def _descend(grad, weights, below, dw, db, buffers=None):
    """Adds the gradients to dw and db; returns that of the first layer's output."""
    for layer in reversed(range(len(weights))):
        h = below[layer]
        if db:
            db[layer].add_(grad.sum(0))
        if h.is_floating_point():
            dw[layer].addmm_(grad.t(), h)
        else:
            for column in h.t().contiguous():
                dw[0].index_add_(0, column, grad)
        if layer:
            out = buffers[layer][: len(h)] if buffers else None
            grad = torch.mm(grad, weights[layer], out=out)
            _relu_grad_(grad, h, 0, grad_input=grad)  # the kept value says where it passes
    return grad


def _rows_with_gradient(gradient):
    """Indices of the rows of (n, C) that are not all 0, if they are fewer than half; else None.

    D16: after a float16 softmax has collapsed, 94 to 99 % of the rows are 0, and four of the six
    products of a step would run over them.
    """
    if (gradient[:, 0] == 0).sum() * 2 <= len(gradient):  # one column tells that most are not
        return None
    rows = gradient.abs().amax(1).nonzero()[:, 0]
    return rows if len(rows) * 2 < len(gradient) else None


def _by_weight(dw, x):
    return dw if x.is_floating_point() else [dw[0].t().contiguous(), *dw[1:]]


def relu_network_gradients(x, weights, biases, logit_gradient):
    """Gradients of all weights and biases without a graph, in chunks of rows that stay in cache.

    Args:
        x, weights, biases: as for `relu_network`.
        logit_gradient: called with the logits (n, C) of rows and their slice; returns the gradient
            of the whole batch's loss by these logits, (n, C).

    Returns:
        (list of gradients of the weights, those of the biases).
    """
    widest = max(w.shape[0] for w in weights)
    chunks, size = _chunks(len(x), widest * weights[0].element_size(), NETWORK_CHUNK)
    up = [w.new_empty(size, w.shape[0]) for w in weights]
    down = [w.new_empty(size, w.shape[1]) if i else None for i, w in enumerate(weights)]
    sums = _zero_sums(weights, bool(biases), x)
    for i, j in chunks:
        below, logits = _ascend(x[i:j], weights, biases, buffers=up)
        gradient = logit_gradient(logits, slice(i, j))
        rows = _rows_with_gradient(gradient)
        if rows is not None:
            gradient, below = gradient[rows], [h[rows] for h in below]
        _descend(gradient, weights, below, *sums, buffers=down)
    return _by_weight(sums[0], x), sums[1]


def relu_network(x, weights, biases):
    """Linear layers with ReLU between them: W_L relu(... relu(W_1 x + b_1) ...) + b_L.

    Args:
        x: (N, in) floating, or (N, K) integers: the positions of the ones of K-hot rows.
        weights: list of (out, in) tensors.
        biases: list of (out,) tensors, or None.

    Returns:
        (N, out of the last layer).
    """
    if written_out(x):
        parameters = (*weights, *(biases or ()))
        return _ReluNetwork.apply(x, torch.is_grad_enabled(), len(weights), *parameters)
    for layer, weight in enumerate(weights):
        linear = F.linear if layer or x.is_floating_point() else multi_hot_linear
        x = linear(x if layer == 0 else F.relu(x), weight, biases[layer] if biases else None)
    return x


# --------------------------------------------------------------------------------- rows by index


class _TakeRows(Function):
    @staticmethod
    def forward(ctx, table, index):
        ctx.save_for_backward(index)
        ctx.rows = table.shape[0]
        return table.index_select(0, index)

    @staticmethod
    @once_differentiable
    def backward(ctx, grad):
        (index,) = ctx.saved_tensors
        return grad.new_zeros(ctx.rows, grad.shape[1]).index_add_(0, index, grad), None


def take_rows(table, index):
    """Rows table[index] of a (R, D) table, for integers of any shape: (*index.shape, D)."""
    if not written_out(table):
        return F.embedding(index, table)
    return _TakeRows.apply(table, index.reshape(-1)).view(*index.shape, table.shape[1])


# -------------------------------------------------------------------------------------- dropout


def keep_bytes(n, p):
    """n independent bytes from the CPU's global generator: 1 with probability 1 - p, else 0.

    D11: torch's masks are other ones. A random byte decides alone with probability k/256,
    k = floor(256 p). The rest of p is a sparse set of further drops at geometric distances, of
    probability q with k/256 + (1 - k/256) q = p. An element costs 8
    random bits, not the 24 or more of a uniform number, and p stays exact.

    Args:
        n: number of elements, at least 0.
        p: probability of a 0, 0 <= p < 1.

    Returns:
        (n,) uint8.
    """
    k = math.floor(256 * p)
    rest = (p - k / 256) / (1 - k / 256)
    words = torch.empty(n // 8 + 1, dtype=torch.int64)  # one byte more than n at least: padding
    keep = words.view(torch.uint8)
    if k:
        words.random_(-(2**63), None)  # all 64 bits
        keep.clamp_(k - 1, k).sub_(k - 1)
    else:
        keep.fill_(1)
    if rest > 0:
        # Ten standard deviations more than are expected: never too few to reach n.
        count = math.ceil(n * rest + 10 * math.sqrt(n * rest) + 10)
        gaps = torch.empty(count, dtype=torch.float64).geometric_(rest)
        keep.index_fill_(0, gaps.cumsum_(0).sub_(1).clamp_(max=n).long(), 0)
    return keep[:n]


class _Dropout(Function):
    @staticmethod
    def forward(ctx, x, p):
        keep = keep_bytes(x.numel(), p).view(x.shape)
        ctx.save_for_backward(keep)
        ctx.scale = 1 / (1 - p)
        return (x * keep).mul_(ctx.scale)

    @staticmethod
    @once_differentiable
    def backward(ctx, grad):
        (keep,) = ctx.saved_tensors
        return (grad * keep).mul_(ctx.scale), None


def dropout(x, p):
    """Dropout in training: x / (1 - p) with probability 1 - p, else 0; x itself for p = 0."""
    if p == 0:
        return x
    return _Dropout.apply(x, p) if written_out(x) else F.dropout(x, p)


# --------------------------------------------------------------------------------- feed-forward


def _chunks(rows, width, elements):
    size = max(1, elements // width)
    return [(i, min(i + size, rows)) for i in range(0, rows, size)], min(size, rows)


class _FeedForward(Function):
    """Goes through the rows in chunks; the kept activation is also the mask of the gradient."""

    @staticmethod
    def forward(ctx, x, w1, b1, w2, b2, activation, p, track):
        n, width = x.shape[0], w1.shape[0]
        chunks, size = _chunks(n, width, FORWARD_CHUNK)
        scale = 1 / (1 - p)
        w2_scaled = w2 * scale if p else w2  # dropout's scale costs nothing on the small side
        held = n if track else size
        h = x.new_empty(held, width)
        before = x.new_empty(held, width) if activation == "gelu" else h
        keeps = None
        if track and p and activation == "gelu":
            keeps = torch.empty(n, width, dtype=torch.uint8)
        out = x.new_empty(n, w2.shape[0])
        for i, j in chunks:
            rows = slice(i, j) if track else slice(0, j - i)
            a, y = before[rows], h[rows]
            _affine(x[i:j], w1, b1, out=a)
            if activation == "gelu":
                torch.ops.aten.gelu.out(a, out=y)
            else:
                y.relu_()
            if p:
                keep = keep_bytes(y.numel(), p).view(y.shape)
                y.mul_(keep)
                if keeps is not None:
                    keeps[i:j] = keep
            _affine(y, w2_scaled, b2, out=out[i:j])
        ctx.activation, ctx.scale, ctx.has_bias = (
            activation,
            scale,
            (b1 is not None, b2 is not None),
        )
        if track:
            # Where ReLU or dropout gave 0 the kept value is 0 and nothing else has to be stored.
            ctx.save_for_backward(x, w1, w2, h, before if before is not h else None, keeps)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx, grad):
        x, w1, w2, h, before, keeps = ctx.saved_tensors
        grad = grad.contiguous()
        chunks, size = _chunks(*h.shape, BACKWARD_CHUNK)
        w2_scaled = w2 * ctx.scale if ctx.scale != 1 else w2
        scratch = x.new_empty(size, h.shape[1])
        dx = torch.empty_like(x) if ctx.needs_input_grad[0] else None
        dw1, dw2 = torch.zeros_like(w1), torch.zeros_like(w2)
        db1 = x.new_zeros(h.shape[1]) if ctx.has_bias[0] else None
        for i, j in chunks:
            g, y = grad[i:j], h[i:j]
            gh = torch.mm(g, w2_scaled, out=scratch[: j - i])
            dw2.addmm_(g.t(), y)
            if ctx.activation == "gelu":
                if keeps is not None:
                    gh.mul_(keeps[i:j])
                _gelu_grad_(gh, before[i:j], grad_input=gh)
            else:
                _relu_grad_(gh, y, 0, grad_input=gh)
            dw1.addmm_(gh.t(), x[i:j])
            if db1 is not None:
                db1.add_(gh.sum(0))
            if dx is not None:
                torch.mm(gh, w1, out=dx[i:j])
        dw2.mul_(ctx.scale)
        db2 = grad.sum(0) if ctx.has_bias[1] else None
        return dx, dw1, db1, dw2, db2, None, None, None


def feed_forward(x, w1, b1, w2, b2, activation, p):
    """W_2 dropout(activation(W_1 x + b_1)) + b_2, row by row.

    Args:
        x: (N, D).
        w1, b1, w2, b2: (F, D), (F,) or None, (D, F), (D,) or None.
        activation: "relu" or "gelu".
        p: dropout after the activation, 0 <= p < 1; 0 in evaluation.

    Returns:
        (N, D).
    """
    if written_out(x):
        return _FeedForward.apply(x, w1, b1, w2, b2, activation, p, torch.is_grad_enabled())
    h = ACTIVATIONS[activation](F.linear(x, w1, b1))
    return F.linear(F.dropout(h, p) if p else h, w2, b2)
