"""From a configuration to the parts of its training: network, optimizer, schedule and loss."""

import math
from functools import partial

import torch

import datasets
import models
import optimizers
import stablemax
from configuration.config import RunConfig
from training import losses, networks, update_rules

LOSSES = {
    "cross_entropy": stablemax.softmax_cross_entropy,
    "stablemax": stablemax.stablemax_cross_entropy,
    "taylor": losses.taylor_softmax_cross_entropy,
    "mse": losses.mean_squared_error,
}


def make_model(config: RunConfig, num_inputs: int, num_classes: int) -> models.Network:
    """The network of a configuration, its weights drawn from torch's default generator."""
    kind, bias = config.network_kind, config.has_bias
    if kind == "mlp":
        return models.MLP(num_inputs, config.hidden_sizes, num_classes, bias=bias)
    tokens = config.sequence_length
    common = {"vocab_size": num_inputs, "num_classes": num_classes, "bias": bias}
    common["model_dim"] = config.model_dim
    if kind == "lstm":
        return networks.LSTM(num_layers=config.num_layers, lstm_dim=config.lstm_dim, **common)
    if kind == "embedding_mlp":
        fields = ("hidden_sizes", "positions", "final_norm")
        choices = {name: getattr(config, name) for name in fields}
        return networks.EmbeddingMLP(tokens=tokens, **choices, **common)
    fields = ("num_layers", "num_heads", "ff_dim", "ff_hidden_layers", "dropout", "norm",
              "final_norm", "activation", "positions", "embedding_noise", "causal",
              "tied_head")  # fmt: skip
    return models.Transformer(
        max_tokens=tokens,
        dropout_places=models.DROPOUT_AT[config.dropout_at],
        embedding_scale=math.sqrt(config.model_dim) if config.scale_embedding else 1.0,
        **{name: getattr(config, name) for name in fields},
        **common,
    )


def make_optimizer(config: RunConfig, weights) -> torch.optim.Optimizer:
    """The optimizer of a configuration over these weights."""
    if not config.decay_all:  # R16: 001's SGD decays its final norm
        weights = update_rules.parameter_groups(weights, config.weight_decay)
    return optimizers.make_optimizer(
        weights,
        config.optimizer,
        lr=config.lr / config.alpha**2,
        weight_decay=config.weight_decay,
        betas=config.betas,
        eps=config.adam_epsilon,
        momentum=config.sgd_momentum,
        orthogonal=config.orthogonal_gradients,
        restore_norm=config.restore_gradient_norm,
    )


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


def make_loss(config: RunConfig):
    """`loss(logits, targets, reduction="mean")` of a configuration, in its precision."""
    function = LOSSES[config.loss_function]
    if config.half_softmax == "cpu":
        function = losses.torch_cross_entropy
    loss = partial(function, precision=datasets.DTYPES[config.loss_precision])
    if config.label_smoothing:
        loss = partial(loss, label_smoothing=config.label_smoothing)
    if config.softmax_temperature == 1:
        return loss
    return lambda logits, *rest, **options: loss(
        logits / config.softmax_temperature, *rest, **options
    )
