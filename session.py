"""The live objects of a run, and one update.

A Session is what a checkpoint stores and restores; the loop around it is train.py's.
"""

from functools import partial

import torch

import datasets
import metrics
import models
import optimizers
import stablemax
from config import RunConfig


class Session:
    """The live objects of a run: data, network, loss, optimizer, batches; and one update."""

    def __init__(self, config: RunConfig, device: str = "cpu", compile: bool = False):
        torch.manual_seed(config.seed)  # split, initial weights, permutations: one stream
        task = datasets.TASKS[config.dataset](config)
        self.config, self.device = config, device
        self.data = datasets.split(task, config.train_fraction, device)
        self.model = make_model(config, task.num_inputs, task.num_classes)
        self.model.to(device=device, dtype=datasets.DTYPES[config.train_precision])
        self.loss = make_loss(config)
        self.collapse_dtype = datasets.DTYPES[config.softmax_precision]
        self.weights = list(self.model.parameters())
        self.optimizer = optimizers.make_optimizer(
            self.weights,
            config.optimizer,
            lr=config.lr / config.alpha**2,
            weight_decay=config.weight_decay,
            betas=config.betas,
            eps=config.adam_epsilon,
            momentum=config.sgd_momentum,
            orthogonal=config.orthogonal_gradients,
            restore_norm=config.restore_gradient_norm,
        )
        self.schedule = optimizers.GradNormLR(self.optimizer) if config.use_lr_scheduler else None
        n = len(self.data.train_targets)
        self.batches = datasets.Batches(
            n,
            n if config.full_batch else min(config.batch_size, n),
            device,
            ahead=1 if device == "cpu" else 64,
        )
        self.steps_per_epoch = self.batches.steps_per_epoch
        self.total_steps = config.num_epochs * self.steps_per_epoch
        self.log_steps = frozenset(config.log_steps)
        self.model.train()
        self._update = torch.compile(self._update_eagerly) if compile else self._update_eagerly

    def update(self):
        """One optimizer update on the next batch. Nothing here waits for the device."""
        chosen = self.batches.next()
        inputs = self.data.train_inputs.index_select(0, chosen)
        targets = self.data.train_targets.index_select(0, chosen)
        self._update(inputs, targets)

    def _update_eagerly(self, inputs, targets):
        self.optimizer.zero_grad(set_to_none=True)
        # D12: towards softmax collapse a sixth of the loss gradients are subnormal, below 1.2e-38,
        # and cost the CPU five times a step; absorbed by any sum, they are taken as 0. The
        # optimizer keeps them: there a squared gradient may be that small and matter.
        torch.set_flush_denormal(True)
        logits = self.model(inputs)  # (B, C)
        if self.config.alpha != 1:
            logits = logits * self.config.alpha
        self.loss(logits, targets).backward()
        torch.set_flush_denormal(False)
        self._penalize()
        if self.schedule is not None:
            self.schedule.step()
        self.optimizer.step()

    def _penalize(self):
        """Adds the gradient of lambda_l1 * sum |w| or lambda_l2 * sum w^2 (paper, D.1)."""
        kind = self.config.regularization
        for w in self.weights if kind != "None" else ():
            if kind == "l1":
                w.grad.add_(w.detach().sign(), alpha=self.config.lambda_l1)
            else:
                w.grad.add_(w.detach(), alpha=2 * self.config.lambda_l2)

    def is_logged(self, step: int) -> bool:
        every = self.config.log_frequency * self.steps_per_epoch
        return step % every == 0 or step == self.total_steps or step in self.log_steps

    def row(self, step: int) -> dict:
        """The row of metrics.csv after `step` updates; the one place that waits for the device."""
        values = metrics.measure(
            self.model, self.data, self.loss, self.collapse_dtype, self.config.log_nlm_cosine
        )
        epoch, rest = divmod(step, self.steps_per_epoch)
        host = torch.stack(list(values.values())).tolist()
        return {
            "step": step,
            "epoch": step / self.steps_per_epoch if rest else epoch,
            **dict(zip(values, host, strict=True)),
        }

    def state(self, step: int, rows: int, seconds: float) -> dict:
        on_gpu = self.device != "cpu"
        return {
            "step": step,
            "rows": rows,
            "seconds": seconds,
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "batches": self.batches.state_dict(),
            "rng": torch.get_rng_state(),
            "device_rng": torch.cuda.get_rng_state(self.device) if on_gpu else None,
        }

    def restore(self, state: dict):
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.batches.load_state_dict(state["batches"])
        torch.set_rng_state(state["rng"])
        if state["device_rng"] is not None:
            torch.cuda.set_rng_state(state["device_rng"], self.device)


def make_model(config: RunConfig, num_inputs: int, num_classes: int) -> torch.nn.Module:
    """The network of a configuration, its weights drawn from torch's default generator."""
    if not config.use_transformer:
        return models.MLP(num_inputs, config.hidden_sizes, num_classes, bias=config.has_bias)
    fields = ("num_layers", "model_dim", "num_heads", "ff_dim", "dropout", "norm", "final_norm",
              "activation", "positions", "causal", "tied_head")  # fmt: skip
    choices = models.AUTHORS_ENCODER | {name: getattr(config, name) for name in fields}
    choices |= {"vocab_size": num_inputs, "num_classes": num_classes, "bias": config.has_bias}
    return models.Transformer(**choices)


def make_loss(config: RunConfig):
    """`loss(logits, targets, reduction="mean")` of a configuration, in its precision."""
    function = (
        stablemax.stablemax_cross_entropy
        if config.loss_function == "stablemax"
        else stablemax.softmax_cross_entropy
    )
    return partial(
        function,
        precision=datasets.DTYPES[config.loss_precision],
        label_smoothing=config.label_smoothing,
    )
