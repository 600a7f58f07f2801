"""What a row of metrics.csv holds: pure functions of tensors, and one table of the columns.

    python metrics.py --columns     # each column: unit, definition, source

Nothing here moves a value to the host, where the device has float64; `measure` returns
0-dimensional tensors on the device of the run, and the caller fetches a whole row at once.

Letters: N examples, C classes.
"""

import argparse
import shutil
import sys
import textwrap
from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn

# A set of up to WHOLE tokens, or ones of multi-hot rows, goes through a network at once, a larger
# one in pieces of PIECE; a row of numbers counts as one. The tasks of the main paper, of 12,769
# pairs at most, go in one piece. 150,000 sequences of 4 tokens through two layers of width 128 with
# 1,996 logits each take 0.2 GB, with their gradient 0.3 GB.
WHOLE, PIECE = 2**15, 2**13
NO_FLOAT64 = ("mps",)  # devices; what is summed in float64 goes to the CPU from there

# column -> (unit, definition, source)
COLUMNS = {
    # D1: there the last column counted rows, and row 0 was that after the first update.
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
    "train_top5": (
        "0 to 1",
        "count(target among the 5 largest logits) / N, training set; ties as torch.topk",
        "Grokking-in-Transformer",
    ),
    "test_top5": ("0 to 1", "the same over the test set", "Grokking-in-Transformer"),
    "gradient_norm": (
        "nats",
        "L2 norm of the gradient of train_loss by all weights, evaluation mode;"
        " gradient_norm/NAME of one tensor",
        "Grokking-in-Transformer",
    ),
    "attention_entropy": (
        "nats",
        "mean over layers of the attention's entropy, itself the mean over the first 2,048 training"
        " examples, the heads and the queries that are read (last layer: the last position);"
        " attention_entropy/layers.I of one layer",
        "grokking-via-lid",
    ),
    "attention_norm": (
        "1",
        "L2 norm of a block of in_proj_weight, attention_norm/layers.I.query, .key and .value",
        "Grokking-in-Transformer",
    ),
    "dimension_train": (
        "1",
        "mean local intrinsic dimension of the training set's distinct hidden states (of its first"
        " 51,200 sequences; --dimension_points sampled), each from its --dimension_neighbors"
        " nearest by --dimension_estimator; empty at other steps than multiples of --log_dimension,"
        " and with too few distinct states",
        "grokking-via-lid",
    ),
    "dimension_train_std": (
        "1",
        "standard deviation of the local dimension over the points",
        "grokking-via-lid",
    ),
    "dimension_train_global": (
        "1",
        "TwoNN dimension of the sampled hidden states as one set, whatever the estimator",
        "grokking-via-lid",
    ),
    "dimension_test": ("1", "dimension_train of the test set", "grokking-via-lid"),
    "dimension_test_std": ("1", "dimension_train_std of the test set", "grokking-via-lid"),
    "dimension_test_global": ("1", "dimension_train_global of the test set", "grokking-via-lid"),
}


def double(x: Tensor) -> Tensor:
    """x in float64, which is on the CPU where its device has none."""
    return (x.cpu() if x.device.type in NO_FLOAT64 else x).double()


def slices(inputs: Tensor) -> list[slice]:
    """Consecutive slices of the rows of inputs (N, T): one, or PIECE tokens each (see WHOLE)."""
    places = 1 if inputs.is_floating_point() else inputs[0].numel()
    size = max(1, (WHOLE if len(inputs) * places <= WHOLE else PIECE) // places)
    return [slice(i, i + size) for i in range(0, len(inputs), size)]


def by_example(
    model: nn.Module,
    inputs: Tensor,
    targets: Tensor,
    quantities: Callable[[Tensor, Tensor], Iterable[Tensor]],
) -> list[Tensor]:
    """`quantities(logits, targets)`, a (n,) tensor each, over all N examples, piece by piece.

    The logits of a large set are never held at once; what fits in one piece is evaluated in one.
    """
    # The tuple runs a generator now: waiting, it would keep its logits.
    parts = [tuple(quantities(model(inputs[s]), targets[s])) for s in slices(inputs)]
    return [torch.cat(part) for part in zip(*parts, strict=True)]


def full_gradient(model: nn.Module, inputs: Tensor, targets: Tensor, loss) -> list[Tensor]:
    """Gradient of the mean loss over all N examples by each parameter, piece by piece."""
    weights, total = list(model.parameters()), None
    for s in slices(inputs):
        value = loss(model(inputs[s]), targets[s]) * (len(targets[s]) / len(targets))
        part = torch.autograd.grad(value, weights)
        total = part if total is None else [t.add_(g) for t, g in zip(total, part, strict=True)]
    return list(total)


def is_among_largest(logits: Tensor, targets: Tensor, count: int = 5) -> Tensor:
    """(N,) whether the target is one of torch.topk's `count` largest logits, or of all C."""
    largest = logits.topk(min(count, logits.shape[1]), dim=1).indices  # (N, count)
    return (largest == targets[:, None]).any(1)


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
    published, label = is_collapsed(logits, targets, dtype)
    return double(published).mean(), double(label).mean()


def is_collapsed(logits: Tensor, targets: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """The samples that `softmax_collapse` counts: two (N,) tensors of booleans.

    At 16 bits the sum is that of CUDA: the rounded exponentials are added in float32 and their sum
    is rounded once. A CPU's sum of halves does the same in another order: of 300,000 rows 40
    differed by a unit in the last place, and none in being 1.
    """
    shifted = logits.to(dtype)
    shifted = shifted - shifted.amax(1, keepdim=True)  # (N, C)
    own = shifted.gather(1, targets[:, None])[:, 0].exp()  # (N,)
    wide = torch.float64 if dtype == torch.float64 else torch.float32
    total = shifted.exp_().sum(1, dtype=wide).to(dtype)  # (N,)
    return total == 1, total == own


def norms(tensors: Iterable[Tensor]) -> list[Tensor]:
    """L2 norm of each tensor, accumulated in float64."""
    return [double(t.detach()).square().sum().sqrt() for t in tensors]


def total_norm(parts: list[Tensor]) -> Tensor:
    """Norm of the concatenation of tensors with these norms."""
    return torch.stack(parts).square().sum().sqrt()


def cosine(a: Iterable[Tensor], b: Iterable[Tensor]) -> list[Tensor]:
    """Cosine of each pair of tensors, then of their concatenations, in float64; 0/0 is NaN."""
    dots, na, nb = [], [], []
    for x, y in zip(a, b, strict=True):
        x, y = double(x.detach()).flatten(), double(y.detach()).flatten()
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
    counts = [double(torch.stack([*c, torch.stack(c).sum()])) for c in (absorbed, zero)]
    sizes = torch.tensor([*sizes, sum(sizes)], dtype=torch.float64, device=counts[0].device)
    absorbed, zero = (list(c / sizes) for c in counts)
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
    top5: bool = False,
    gradients: bool = False,
    attends: bool = False,
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
        top5: also the top-5 accuracies.
        gradients: also the norms of the gradient, which cost a backward pass.
        attends: also what `layers.attention.measure` gives; the model is a `models.Transformer`.

    Returns:
        {column: 0-dim float64 tensor} in the order of COLUMNS, without step, epoch and dimensions.
    """
    training = model.training
    model.eval()
    found, extra = {}, {}
    with torch.no_grad():
        sets = {
            "train": (data.train_inputs, data.train_targets),
            "test": (data.test_inputs, data.test_targets),
        }
        for name, (inputs, targets) in sets.items():

            def quantities(logits, labels, of_training=name == "train"):
                yield loss(logits, labels, reduction="none")
                yield logits.argmax(1) == labels
                if top5:
                    yield is_among_largest(logits, labels)
                if of_training:
                    seen = loss_logits(logits, labels) if loss_logits else logits
                    yield from is_collapsed(seen, labels, collapse_dtype)

            terms, right, *rest = by_example(model, inputs, targets, quantities)
            found[f"{name}_loss"] = terms.mean()
            found[f"{name}_accuracy"] = double(right.sum()) / len(targets)  # D8: exact
            if top5:
                extra[f"{name}_top5"] = double(rest.pop(0).sum()) / len(targets)
            if name == "train":
                found["softmax_collapse"], found["softmax_collapse_label"] = (
                    double(collapsed).mean() for collapsed in rest
                )
                found["zero_terms"] = double(terms == 0).mean()
        row = {f"{s}_{q}": found.pop(f"{s}_{q}") for q in ("loss", "accuracy") for s in sets}
        row |= found
        names, weights = zip(*model.named_parameters(), strict=True)
        parts = norms(weights)
        row["weight_norm"] = total_norm(parts)
        row |= {f"weight_norm/{n}": v for n, v in zip(names, parts, strict=True)}
    if nlm_cosine or absorption_lr or gradients:
        slopes = full_gradient(model, data.train_inputs, data.train_targets, loss)
    if nlm_cosine:
        *each, total = cosine([-g for g in slopes], weights)
        row["nlm_cosine"] = total
        row |= {f"nlm_cosine/{n}": v for n, v in zip(names, each, strict=True)}
    if absorption_lr:
        shares = absorption(weights, slopes, absorption_lr(slopes))
        columns = ("update_absorbed", "zero_gradients")
        for column, (*each, total) in zip(columns, shares, strict=True):
            row[column] = total
            row |= {f"{column}/{n}": v for n, v in zip(names, each, strict=True)}
    row |= extra
    if gradients:
        parts = norms(slopes)
        row["gradient_norm"] = total_norm(parts)
        row |= {f"gradient_norm/{n}": v for n, v in zip(names, parts, strict=True)}
    if attends:
        from layers import attention  # here, so that this file works alone

        row |= attention.measure(model, data.train_inputs)
    model.train(training)
    return {k: double(v) for k, v in row.items()}


def columns_in_words(width: int) -> str:
    """The table of the columns as text: a head each, and below it what it is."""
    return "\n".join(
        f"{name} [{unit}]\n"
        + textwrap.fill(
            f"{definition} ({source})",
            width,
            initial_indent="    ",
            subsequent_indent="    ",
            break_on_hyphens=False,
        )
        for name, (unit, definition, source) in COLUMNS.items()
    )


def main(argv=None) -> int:
    parser = argparse.ArgumentParser(description="The columns of metrics.csv.")
    parser.add_argument("--columns", action="store_true", help="print unit, definition, source")
    if not parser.parse_args(argv).columns:
        parser.exit(2, "metrics.py: nothing is asked for; --columns prints the columns\n")
    print("A row per evaluation; an empty cell is not measured, never 0.\n")
    print(columns_in_words(min(shutil.get_terminal_size((100, 24)).columns, 100)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
