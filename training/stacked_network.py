"""Training steps of several MLPs of one shape in the operations of one: a product for all runs.

Letters: R runs, B examples, K ones of a row, F features, C classes.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

_relu_grad_ = torch.ops.aten.threshold_backward.grad_input


def offset_positions(positions: Tensor, width: int) -> Tensor:
    """(R, B, K) positions of ones, 0 to width - 1, as rows of the R tables below one another."""
    runs = torch.arange(len(positions), device=positions.device)
    return positions + (runs * width)[:, None, None]


@torch.no_grad()
def gradients(x, weights, biases, logit_gradient):
    """Gradients of all weights and biases of R networks, without a graph.

    Args:
        x: (R, B, F) floating, or the (R, B, K) integers of `offset_positions`.
        weights: (R, out, in) of each layer.
        biases: (R, out) of each layer, or none at all.
        logit_gradient: called with the logits (R * B, C), a run's rows together, and their slice;
            returns the gradient of each run's own loss by them, (R * B, C).

    Returns:
        (list of gradients of the weights, those of the biases).
    """
    runs, examples = x.shape[:2]
    kept, h = [], x
    for layer, weight in enumerate(weights):
        bias = biases[layer][:, None] if biases else None  # (R, 1, out)
        kept.append(h)
        if h.is_floating_point():
            across = weight.mT
            h = torch.bmm(h, across) if bias is None else torch.baddbmm(bias, h, across)
        else:
            table = weight.mT.reshape(-1, weight.shape[1])  # (R * in, out)
            h = F.embedding_bag(h.flatten(0, 1), table, mode="sum").view(runs, examples, -1)
            h = h if bias is None else h.add_(bias)
        if layer < len(weights) - 1:
            h.relu_()
    rows = slice(0, runs * examples)
    grad = logit_gradient(h.flatten(0, 1), rows).view(h.shape)
    dw, db = [None] * len(weights), [None] * len(biases or ())
    for layer in reversed(range(len(weights))):
        h = kept[layer]
        if biases:
            db[layer] = grad.sum(1)
        if h.is_floating_point():
            dw[layer] = torch.bmm(grad.mT, h)
        else:
            into = grad.new_zeros(weights[0].mT.shape).flatten(0, 1)  # (R * in, out)
            for column in h.flatten(0, 1).t().contiguous():
                into.index_add_(0, column, grad.flatten(0, 1))
            dw[0] = into.view(weights[0].mT.shape).mT.contiguous()
        if layer:
            grad = torch.bmm(grad, weights[layer])
            _relu_grad_(grad, h, 0, grad_input=grad)  # the kept value says where it passes
    return dw, db
