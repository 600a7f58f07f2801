"""From a configuration to the parts of its training: network, optimizer, schedule and loss."""

import math
from functools import partial
from inspect import signature
from types import MethodType

import torch

import datasets
import models
import optimizers
from configuration.choices import LOSSES, OPTIMIZERS, definitions
from configuration.config import RunConfig
from training import losses, networks, update_rules


def make_model(config: RunConfig, num_inputs: int, num_classes: int) -> torch.nn.Module:
    """The network of a configuration, its weights drawn from torch's default generator."""
    model = config.network_entry.load()(config, num_inputs, num_classes)
    if not isinstance(model, torch.nn.Module):
        raise ValueError(f"network '{config.network_kind}' is {model!r}; return a torch.nn.Module")
    if not hasattr(model, "backpropagate"):  # a module of one's own
        model.backpropagate = MethodType(models.Network.backpropagate, model)
    return model


@torch.no_grad()
def check_model(config: RunConfig, model, inputs, num_classes: int):
    """Raises ValueError, one line, where a network of one's own has no (N, C) logits."""
    if f"network {config.network_kind}" not in definitions(config):
        return
    with torch.random.fork_rng():
        logits = model(inputs[:2])
    if not (isinstance(logits, torch.Tensor) and logits.shape == (2, num_classes)):
        shape = tuple(logits.shape) if isinstance(logits, torch.Tensor) else logits
        raise ValueError(
            f"network '{config.network_kind}' makes {shape} of 2 examples; return logits of shape"
            f" (2, {num_classes})"
        )


def make_mlp(config: RunConfig, num_inputs: int, num_classes: int) -> models.MLP:
    return models.MLP(num_inputs, config.hidden_sizes, num_classes, bias=config.has_bias)


def _common(config: RunConfig, num_inputs: int, num_classes: int) -> dict:
    """The arguments that every network over tokens takes."""
    return {"vocab_size": num_inputs, "num_classes": num_classes, "bias": config.has_bias,
            "model_dim": config.model_dim}  # fmt: skip


def make_lstm(config: RunConfig, *sizes: int) -> networks.LSTM:
    layers = {"num_layers": config.num_layers, "lstm_dim": config.lstm_dim}
    return networks.LSTM(**layers, **_common(config, *sizes))


def make_embedding_mlp(config: RunConfig, *sizes: int) -> networks.EmbeddingMLP:
    fields = ("hidden_sizes", "positions", "final_norm")
    choices = {name: getattr(config, name) for name in fields}
    tokens = config.sequence_length
    return networks.EmbeddingMLP(tokens=tokens, **choices, **_common(config, *sizes))


def make_transformer(config: RunConfig, *sizes: int) -> models.Transformer:
    fields = ("num_layers", "num_heads", "ff_dim", "ff_hidden_layers", "dropout", "norm",
              "final_norm", "activation", "positions", "embedding_noise", "causal",
              "tied_head")  # fmt: skip
    return models.Transformer(
        max_tokens=config.sequence_length,
        dropout_places=models.DROPOUT_AT[config.dropout_at],
        embedding_scale=math.sqrt(config.model_dim) if config.scale_embedding else 1.0,
        **{name: getattr(config, name) for name in fields},
        **_common(config, *sizes),
    )


def make_optimizer(config: RunConfig, weights, model=None) -> torch.optim.Optimizer:
    """The optimizer of a configuration over these weights, those of `model`.

    Raises:
        ValueError: it is for hidden matrices and the model names none; one line.
    """
    entry, matrices = OPTIMIZERS[config.optimizer], []
    if entry.by_matrix:
        matrices, weights = _matrix_groups(config, weights, model)
    groups = [{"params": weights}]
    if not config.decay_all:  # R16: 001's SGD decays its final norm
        groups = update_rules.parameter_groups(weights, config.weight_decay)
    options = {}
    if "adam_epsilon" in entry.reads:
        options |= {"betas": config.betas, "eps": config.adam_epsilon}
    if "momentum" in entry.reads:
        options["momentum"] = config.sgd_momentum
    return optimizers.make_optimizer(
        [*matrices, *groups],
        entry.load(),
        lr=config.lr / config.alpha**2,
        weight_decay=config.weight_decay,
        **options,
        orthogonal=config.orthogonal_gradients,
        restore_norm=config.restore_gradient_norm,
    )


def _matrix_groups(config: RunConfig, weights, model):
    """(groups of the hidden matrices, as training/muon.py takes them; all other weights)."""
    hidden = getattr(model, "hidden_matrices", list)()  # a module of one's own may have it, too
    if not hidden:
        raise ValueError(
            f"optimizer '{config.optimizer}' is for hidden matrices and network"
            f" '{config.network_kind}' names none (hidden_matrices); use --optimizer AdamW"
        )
    counts = sorted({count for _, count in hidden})
    groups = [
        {"params": [w for w, n in hidden if n == count], "matrices": count} for count in counts
    ]
    inside = {id(w) for w, _ in hidden}
    return groups, [w for w in weights if id(w) not in inside]


def make_schedule(config: RunConfig, optimizer) -> update_rules.Schedule | None:
    """Warm-up and learning-rate schedule of a configuration; None where the rate is constant."""
    if config.lr_schedule == "constant" and not config.warmup_steps:
        return None
    return update_rules.Schedule(
        optimizer,
        config.lr_schedule,
        warmup_steps=config.warmup_steps,
        warmup_start=config.warmup_start,
        end=config.schedule_steps or config.total_steps,
        final=config.final_lr,
    )


def make_filter(config: RunConfig, optimizer, axis: int = 0) -> update_rules.GradientFilter | None:
    """The gradient filter of a configuration; None where there is none."""
    if config.gradient_filter is None:
        return None
    return update_rules.GradientFilter(
        optimizer,
        config.gradient_filter,
        strength=config.filter_strength,
        decay=config.filter_decay,
        window=config.filter_window,
        axis=axis,
    )


def make_loss(config: RunConfig):
    """`loss(logits, targets, reduction="mean")` of a configuration, in its precision."""
    function = LOSSES[config.loss_function].load()
    if config.half_softmax == "cpu":
        function = losses.torch_cross_entropy
    elif "reduction" not in signature(function).parameters:  # terms of one's own
        function = partial(losses.mean_of_terms, function)
    loss = partial(function, precision=datasets.DTYPES[config.loss_precision])
    if config.label_smoothing:
        loss = partial(loss, label_smoothing=config.label_smoothing)
    if config.softmax_temperature == 1:
        return loss
    return lambda logits, *rest, **options: loss(
        logits / config.softmax_temperature, *rest, **options
    )
