"""One encoder layer: attention and feed-forward, computed only where it is read.

Letters: N examples, T tokens (keys), S positions that are read (queries), D width, H heads,
R distinct rows.
"""

import math

import torch
import torch.nn.functional as F
from torch import nn
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from layers.passes import ACTIVATIONS, dropout, feed_forward, keep_bytes, take_rows, written_out

DROPOUT_PLACES = ("embedding", "attention", "attention_output", "ff", "ff_output")
# Up to this many (query, key) pairs attention goes pair by pair. Time against torch's own, D = 128:
# one query on 2 to 6 keys 0.5 with dropout and 0.8 to 1.0 without; 4 on 4 keys, causal, 0.85 and
# about 1; 6 on 6, causal, above 1.
SHORT_ATTENTION = 16


class _ShortAttention(Function):
    """Pair by pair over few tokens: products of rows, where a batch of tiny matrices is slow."""

    @staticmethod
    def forward(ctx, q, kv, heads, pairs, p, track):
        (n, s_count, width), t_count = q.shape, kv.shape[1]
        split = (n, -1, heads, width // heads)
        k, v = (half.unflatten(-1, split[2:]) for half in kv.split(width, -1))  # (N, T, H, D/H)
        qh = q.view(split)  # (N, S, H, D/H)
        shape = (s_count, t_count, n, heads, 1)
        weights = q.new_full(shape, -math.inf)
        for s, t in pairs:
            torch.sum(qh[:, s] * k[:, t], -1, keepdim=True, out=weights[s, t])
        weights = weights.mul_((width // heads) ** -0.5).softmax(1)
        keep = dropped = None
        if p:
            keep = keep_bytes(weights.numel(), p).view(shape).to(q.dtype).mul_(1 / (1 - p))
            dropped = weights * keep
        out = torch.zeros_like(qh)
        for s, t in pairs:
            out[:, s].addcmul_((weights if dropped is None else dropped)[s, t], v[:, t])
        if track:
            ctx.save_for_backward(q, kv, weights, keep, dropped)
        ctx.heads, ctx.pairs = heads, pairs
        return out.view(q.shape)

    @staticmethod
    @once_differentiable
    def backward(ctx, grad):
        q, kv, weights, keep, dropped = ctx.saved_tensors
        width, heads = q.shape[2], ctx.heads
        d_kv, dq = torch.zeros_like(kv), torch.zeros_like(q)
        inner = (heads, width // heads)
        k, v = (half.unflatten(-1, inner) for half in kv.split(width, -1))
        dk, dv = (half.unflatten(-1, inner) for half in d_kv.split(width, -1))
        qh, dqh, g = (x.unflatten(-1, inner) for x in (q, dq, grad))
        dw = torch.zeros_like(weights)
        for s, t in ctx.pairs:
            torch.sum(g[:, s] * v[:, t], -1, keepdim=True, out=dw[s, t])
            dv[:, t].addcmul_((weights if dropped is None else dropped)[s, t], g[:, s])
        if keep is not None:
            dw.mul_(keep)
        # d softmax: w * (dw - sum_t w dw), with the scale of the scores.
        dw.sub_((weights * dw).sum(1, keepdim=True)).mul_(weights).mul_(inner[1] ** -0.5)
        for s, t in ctx.pairs:
            dqh[:, s].addcmul_(dw[s, t], k[:, t])
            dk[:, t].addcmul_(dw[s, t], qh[:, s])
        return dq, d_kv, None, None, None, None


def attention(q, kv, heads, positions, causal, p):
    """dropout(softmax(q k' / sqrt(D/H))) v for each head, heads side by side.

    Args:
        q: (N, S, D), queries at `positions`.
        kv: (N, T, 2 D), keys and values side by side, at all T positions.
        heads: H, a divisor of D.
        positions: range of S integers, the place of each query among the T tokens.
        causal: whether a query sees only keys at its own place and before it.
        p: dropout of the attention weights, 0 <= p < 1; 0 in evaluation.

    Returns:
        (N, S, D).
    """
    (_, _, width), tokens = q.shape, kv.shape[1]
    if written_out(q) and len(positions) * tokens <= SHORT_ATTENTION:
        pairs = [
            (s, t) for s, at in enumerate(positions) for t in range(at + 1 if causal else tokens)
        ]
        return _ShortAttention.apply(q.contiguous(), kv, heads, pairs, p, torch.is_grad_enabled())
    q, k, v = (
        x.unflatten(-1, (heads, width // heads)).transpose(1, 2) for x in (q, *kv.split(width, -1))
    )
    mask = None
    if causal:
        at = positions  # built on the device: nothing is copied from the host in a step
        own = torch.arange(at.start, at.stop, at.step, device=q.device)[:, None]  # (S, 1)
        mask = torch.arange(tokens, device=q.device) <= own  # (S, T)
    out = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, dropout_p=p)  # (N, H, S, D/H)
    return out.transpose(1, 2).flatten(2)


class SelfAttention(nn.Module):
    """The parameters of `nn.MultiheadAttention`, by its names, draws and starting values."""

    def __init__(self, model_dim, bias):
        super().__init__()
        self.in_proj_weight = nn.Parameter(torch.empty(3 * model_dim, model_dim))
        self.in_proj_bias = nn.Parameter(torch.zeros(3 * model_dim)) if bias else None
        self.out_proj = nn.Linear(model_dim, model_dim, bias=bias)
        nn.init.xavier_uniform_(self.in_proj_weight)  # drawn after out_proj, as there (R14)
        if bias:
            nn.init.zeros_(self.out_proj.bias)


class EncoderLayer(nn.Module):
    """One layer of the encoder; its parameters have the names of `nn.TransformerEncoderLayer`.

    norm "post": x = LN(x + attention(x)), then x = LN(x + ff(x)); "pre": x = x + attention(LN(x)),
    then x = x + ff(LN(x)); "none": x = x + attention(x), then x = x + ff(x).
    `rates` gives the dropout of each of DROPOUT_PLACES; `Transformer` explains the rest.
    """

    def __init__(
        self, *, model_dim, num_heads, ff_dim, ff_hidden_layers, rates, norm, activation, bias
    ):
        super().__init__()
        self.num_heads, self.rates, self.norm = num_heads, rates, norm
        self.activation = activation
        self.self_attn = SelfAttention(model_dim, bias)
        self.linear1 = nn.Linear(model_dim, ff_dim, bias=bias)
        self.inner = nn.ModuleList(
            nn.Linear(ff_dim, ff_dim, bias=bias) for _ in range(ff_hidden_layers - 1)
        )
        self.linear2 = nn.Linear(ff_dim, model_dim, bias=bias)
        self.norm1 = nn.Identity() if norm == "none" else nn.LayerNorm(model_dim)
        self.norm2 = nn.Identity() if norm == "none" else nn.LayerNorm(model_dim)

    def forward(self, table, index, read, causal):
        """The layer's output at the places that are read; nothing is computed for the others.

        Args:
            table: (R, D), the distinct inputs, or (N, T, D), each input a row of its own.
            index: (N, T) integers for a (R, D) table: input t of example n is
                table[index[n, t]]; None for a (N, T, D) one.
            read: slice of the T places.
            causal: whether a place sees only itself and the places before it.

        Returns:
            (N, S, D).
        """
        rate = self.rates if self.training else dict.fromkeys(DROPOUT_PLACES, 0.0)
        w_q, w_kv = _query_and_rest(self.self_attn.in_proj_weight)
        b_q, b_kv = _query_and_rest(self.self_attn.in_proj_bias)

        h = self.norm1(table) if self.norm == "pre" else table
        kv = F.linear(h, w_kv, b_kv)  # (R, 2 D) or (N, T, 2 D)
        if index is None:
            x = table[:, read]  # (N, S, D)
            q = F.linear(h[:, read], w_q, b_q)  # (N, S, D)
        else:  # what depends on the input alone was computed once for each distinct one
            x = take_rows(table, index[:, read])
            q = take_rows(F.linear(h, w_q, b_q), index[:, read])
            kv = take_rows(kv, index)  # (N, T, 2 D)
        places = range(kv.shape[1])[read]
        h = attention(q, kv, self.num_heads, places, causal, rate["attention"])
        x = x + dropout(self.self_attn.out_proj(h), rate["attention_output"])
        if self.norm == "post":
            x = self.norm1(x)

        h = self.norm2(x) if self.norm == "pre" else x
        x = x + dropout(self._feed_forward(h, rate["ff"]), rate["ff_output"])
        return self.norm2(x) if self.norm == "post" else x

    def _feed_forward(self, x, p):
        h = x.flatten(0, 1)  # (N S, D)
        first, *rest = self.linear1, *self.inner
        for following in rest:
            h = dropout(ACTIVATIONS[self.activation](first(h)), p)
            first = following
        last = self.linear2
        h = feed_forward(h, first.weight, first.bias, last.weight, last.bias, self.activation, p)
        return h.view(x.shape)


def _query_and_rest(stacked):
    """The query's part of a stacked projection and that of keys and values: views of (3 D, ...)."""
    return (None, None) if stacked is None else stacked.tensor_split([len(stacked) // 3])
