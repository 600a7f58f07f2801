"""What a row of metrics.csv holds: pure functions of tensors, and one table of the columns.

Nothing here moves a value to the host; `measure` returns 0-dimensional tensors on the device of the
run, and the caller fetches a whole row at once.
"""

from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn

# column -> (unit, definition, source)
COLUMNS = {
    "step": ("updates", "optimizer updates applied; row 0 is the initial network", "ours"),
    "epoch": ("epochs", "passes over the training set, step / steps per epoch", "ours"),
    "train_loss": (
        "nats",
        "mean of the run's own loss over the training set; --alpha, penalties and induced collapse"
        " aside",
        "paper, Def. 2, 4",
    ),
    "test_loss": ("nats", "the same over the test set", "paper, Def. 2, 4"),
    "train_accuracy": ("0 to 1", "count(argmax = target) / N, training set", "paper, Fig. 1"),
    "test_accuracy": ("0 to 1", "the same over the test set", "paper, Fig. 1"),
    "softmax_collapse": (
        "0 to 1",
        "training samples with sum exp(z - max z) exactly 1 in --softmax_precision, z as the"
        " training loss sees it: over --softmax_temperature, without the right logits where"
        " collapse is induced",
        "authors' metric, Fig. 2",
    ),
    "softmax_collapse_label": (
        "0 to 1",
        "training samples with sum exp(z - max z) exactly exp(z_target - max z)",
        "paper, Def. 3",
    ),
    "zero_terms": (
        "0 to 1",
        "training samples whose train_loss term is exactly 0",
        "authors' metric",
    ),
    "weight_norm": ("1", "L2 norm over all parameters; weight_norm/NAME of one tensor", "Fig. 4"),
    "nlm_cosine": (
        "-1 to 1",
        "cos(-gradient of train_loss, weights); nlm_cosine/NAME of one tensor",
        "paper, Def. 5, Fig. 5",
    ),
    "update_absorbed": (
        "0 to 1",
        "weights w with w - lr g rounding to w, g the gradient of the training loss, momentum and"
        " weight decay left out; update_absorbed/NAME of one tensor",
        "paper, App. C, Fig. 10",
    ),
    "zero_gradients": (
        "0 to 1",
        "weights whose g is exactly 0, subnormals counted as non-zero; zero_gradients/NAME of one"
        " tensor",
        "paper, App. C, Fig. 10",
    ),
}


def correct_count(logits: Tensor, targets: Tensor) -> Tensor:
    """Number of rows whose largest logit is the target's. logits (N, C), targets (N,)."""
    return (logits.argmax(1) == targets).sum()


def softmax_collapse(logits: Tensor, targets: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Fractions of samples whose softmax sum has absorbed all other terms.

    Args:
        logits: (N, C), any floating dtype.
        targets: (N,) int64.
        dtype: the precision in which the sum is formed.

    Returns:
        (published, label-based): sum_k exp(z_k - max z) == 1, and == exp(z_target - max z).

    Source: the authors' metric, and Definition 3. They differ on a sample that is confidently
    wrong, which the published metric counts as collapsed.
    """
    shifted = logits.to(dtype)
    shifted = shifted - shifted.amax(1, keepdim=True)  # (N, C)
    own = shifted.gather(1, targets[:, None])[:, 0].exp()  # (N,)
    total = shifted.exp_().sum(1)  # (N,)
    return (total == 1).double().mean(), (total == own).double().mean()


def norms(tensors: Iterable[Tensor]) -> list[Tensor]:
    """L2 norm of each tensor, accumulated in float64."""
    return [t.detach().double().square().sum().sqrt() for t in tensors]


def total_norm(parts: list[Tensor]) -> Tensor:
    """Norm of the concatenation of tensors with these norms."""
    return torch.stack(parts).square().sum().sqrt()


def cosine(a: Iterable[Tensor], b: Iterable[Tensor]) -> list[Tensor]:
    """Cosine of each pair of tensors, then of their concatenations, in float64; 0/0 is NaN."""
    dots, na, nb = [], [], []
    for x, y in zip(a, b, strict=True):
        x, y = x.detach().double().flatten(), y.detach().double().flatten()
        dots.append(x @ y)
        na.append(x @ x)
        nb.append(y @ y)
    dots, na, nb = (torch.stack(v) for v in (dots, na, nb))
    dots, na, nb = (torch.cat((v, v.sum()[None])) for v in (dots, na, nb))
    return list(dots / (na * nb).sqrt())


def absorption(
    weights: Iterable[Tensor], gradients: Iterable[Tensor], lr: float | Tensor
) -> tuple[list[Tensor], list[Tensor]]:
    """Shares of weights with w - lr * g == w, and of gradients that are exactly 0.

    Args:
        weights, gradients: tensors of equal shapes; the difference is formed in the weight's dtype.
        lr: learning rate.

    Returns:
        (update_absorbed, zero_gradients), each per tensor and at the end over all elements. A zero
        gradient is absorbed, too.

    Source: paper, Definition 1, appendix C and Figure 10.
    """
    absorbed, zero, sizes = [], [], []
    for w, g in zip(weights, gradients, strict=True):
        w, g = w.detach(), g.detach()
        absorbed.append((w - lr * g == w).sum())
        zero.append((g == 0).sum())
        sizes.append(w.numel())
    sizes = torch.tensor([*sizes, sum(sizes)], dtype=torch.float64, device=absorbed[0].device)
    counts = (torch.stack([*c, torch.stack(c).sum()]) for c in (absorbed, zero))
    absorbed, zero = (list(c.double() / sizes) for c in counts)
    return absorbed, zero


def measure(
    model: nn.Module,
    data,
    loss: Callable[..., Tensor],
    collapse_dtype: torch.dtype,
    nlm_cosine: bool = False,
    *,
    loss_logits: Callable[[Tensor, Tensor], Tensor] | None = None,
    absorption_lr: Callable[[list[Tensor]], float | Tensor] | None = None,
) -> dict[str, Tensor]:
    """One evaluation of a network, in evaluation mode, on its full training and test set.

    Args:
        model: maps inputs to logits (N, C).
        data: a `datasets.Split`.
        loss: `loss(logits, targets, reduction=...)`, the run's own.
        collapse_dtype: precision of the softmax-collapse metrics.
        nlm_cosine: also the cosine between -gradient and weights, which costs a backward pass.
        loss_logits: what the softmax of the training loss sees of (logits, targets), where it is
            not the logits themselves: there the collapse is measured.
        absorption_lr: also the shares of absorbed updates and zero gradients, at the learning rate
            that this returns for the gradients.

    Returns:
        {column: 0-dim float64 tensor} in the order of COLUMNS, without step and epoch.
    """
    training = model.training
    model.eval()
    row, collapse = {}, None
    with torch.no_grad():
        sets = {
            "train": (data.train_inputs, data.train_targets),
            "test": (data.test_inputs, data.test_targets),
        }
        for name, (inputs, targets) in sets.items():
            logits = model(inputs)
            terms = loss(logits, targets, reduction="none")
            row[f"{name}_loss"] = terms.mean()
            row[f"{name}_accuracy"] = correct_count(logits, targets).double() / len(targets)
            if name == "train":
                seen = loss_logits(logits, targets) if loss_logits else logits
                collapse = softmax_collapse(seen, targets, collapse_dtype)
                zero_terms = (terms == 0).double().mean()
        row = {f"{s}_{q}": row[f"{s}_{q}"] for q in ("loss", "accuracy") for s in sets}
        row["softmax_collapse"], row["softmax_collapse_label"] = collapse
        row["zero_terms"] = zero_terms
        names, weights = zip(*model.named_parameters(), strict=True)
        parts = norms(weights)
        row["weight_norm"] = total_norm(parts)
        row |= {f"weight_norm/{n}": v for n, v in zip(names, parts, strict=True)}
    if nlm_cosine or absorption_lr:
        value = loss(model(data.train_inputs), data.train_targets)
        gradients = torch.autograd.grad(value, weights)
    if nlm_cosine:
        *each, total = cosine([-g for g in gradients], weights)
        row["nlm_cosine"] = total
        row |= {f"nlm_cosine/{n}": v for n, v in zip(names, each, strict=True)}
    if absorption_lr:
        shares = absorption(weights, gradients, absorption_lr(gradients))
        columns = ("update_absorbed", "zero_gradients")
        for column, (*each, total) in zip(columns, shares, strict=True):
            row[column] = total
            row |= {f"{column}/{n}": v for n, v in zip(names, each, strict=True)}
    model.train(training)
    return {k: v.double() for k, v in row.items()}
