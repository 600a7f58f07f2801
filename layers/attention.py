"""What a transformer's attention does, measured from its own weights: entropy and norms.

Letters: N examples, T tokens (keys), S positions that are read (queries), D width, H heads,
R distinct rows.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

EXAMPLES = 2_048  # whose attention is measured, the first ones
BLOCKS = ("query", "key", "value")  # as in_proj_weight stacks them


def attention_weights(layer, table, index, read, causal) -> Tensor:
    """softmax(q k' / sqrt(D/H)) of one `encoder.EncoderLayer`, without dropout.

    Args:
        layer: the layer.
        table, index, read, causal: what its forward takes.

    Returns:
        (N, H, S, T) float64, summing to 1 over the keys.
    """
    x = layer.norm1(table) if layer.norm == "pre" else table  # (R, D) or (N, T, D)
    stacked, shift = layer.self_attn.in_proj_weight, layer.self_attn.in_proj_bias
    biases = (None,) * 3 if shift is None else shift.chunk(3)
    q, k = (F.linear(x, w, b) for w, b, _ in zip(stacked.chunk(3), biases, "qk", strict=False))
    if index is not None:
        q, k = q[index], k[index]  # (N, T, D)
    q, k = (y.double().unflatten(-1, (layer.num_heads, -1)).transpose(1, 2) for y in (q, k))
    scores = q[:, :, read] @ k.transpose(-1, -2) / q.shape[-1] ** 0.5  # (N, H, S, T)
    if causal:
        at = torch.arange(k.shape[2], device=k.device)
        scores = scores.masked_fill(at > at[read, None], -torch.inf)
    return scores.softmax(-1)


@torch.no_grad()
def entropies(model, tokens: Tensor) -> list[Tensor]:
    """Mean entropy of each layer's attention, -sum_t a_t ln a_t, in nats.

    The mean is over examples, heads and the queries that are read: the last layer's are the last
    position alone, the other layers' all positions. A causal query sees the keys up to its own
    place, so its entropy is at most the logarithm of their number, ln T at the last position.

    Args:
        model: a `models.Transformer` in evaluation mode.
        tokens: (N, T) integers.

    Returns:
        For each layer a 0-dimensional float64 tensor.

    Source: grokking-via-lid's attn_entropy; the choice of queries is ours (R17).
    """
    found = []

    def record(layer, arguments):
        weights = attention_weights(layer, *arguments)
        found.append(torch.special.entr(weights).sum(-1).mean())

    hooks = [layer.register_forward_pre_hook(record) for layer in model.layers]
    try:
        model(tokens)
    finally:
        for hook in hooks:
            hook.remove()
    return found


def measure(model, tokens: Tensor) -> dict[str, Tensor]:
    """The columns attention_entropy and attention_norm of a transformer in evaluation mode.

    Args:
        model: a `models.Transformer`.
        tokens: (N, T) integers; the first EXAMPLES rows are used.

    Returns:
        {column: 0-dimensional float64 tensor}.
    """
    each = entropies(model, tokens[:EXAMPLES])
    row = {"attention_entropy": torch.stack(each).mean()}
    row |= {f"attention_entropy/layers.{i}": value for i, value in enumerate(each)}
    for i, layer in enumerate(model.layers):
        blocks = layer.self_attn.in_proj_weight.detach().double().chunk(3)  # (D, D) each
        for name, block in zip(BLOCKS, blocks, strict=True):
            row[f"attention_norm/layers.{i}.{name}"] = block.square().sum().sqrt()
    return row
