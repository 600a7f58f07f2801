"""The live objects of a run, and one update.

A Session is what a checkpoint stores and restores; the loop around it is train.py's.
"""

import ctypes
import itertools
import math
import os
import shutil
from contextlib import nullcontext
from functools import partial

import torch

import datasets
import metrics
import models
import optimizers
import stablemax
from configuration.config import RunConfig
from layers.passes import written_out
from tasks import images
from training import builders, devices, dimension, graphs, losses, update_rules

# Losses whose gradient is taken row by row: in closed form, or where each row's rounding counts.
BY_ROWS = (
    stablemax.softmax_cross_entropy,
    stablemax.stablemax_cross_entropy,
    losses.torch_cross_entropy,
)
_numbers = itertools.count()  # of operations, whose names are the process's
MOST_INDICES = 2**22  # of batches drawn ahead on a GPU: 32 MB


class Session:
    """The live objects of a run: data, network, loss, optimizer, batches; and one update."""

    def __init__(
        self,
        config: RunConfig,
        device: str = "cpu",
        compile: bool = False,
        graphed: bool = False,
    ):
        if config.half_softmax == "cpu" and device != "cpu":
            raise ValueError(f"half_softmax 'cpu' on device {device}: use --device cpu")
        if graphed:
            graphs.check(config, device, compile)
        devices.prepare(device)
        torch.manual_seed(config.seed)  # split, initial weights, permutations: one stream
        task = datasets.TASKS[config.dataset](config)
        self.config, self.device = config, device
        self.data = datasets.with_label_noise(
            datasets.split(task, config.train_fraction, device, config.train_samples),
            config.label_noise,
            task.num_results,
            config.seed,
        )
        self.model = builders.make_model(config, task.num_inputs, task.num_classes)
        if config.init_scale != 1:
            with torch.no_grad():
                for w in self.model.parameters():  # biases, too: the authors' first commit
                    w.mul_(config.init_scale)
        self.model.to(device=device, dtype=datasets.DTYPES[config.train_precision])
        builders.check_model(config, self.model, self.data.train_inputs, task.num_classes)
        if isinstance(self.model, models.MLP) and not written_out(self.data.train_inputs):
            dtype = datasets.DTYPES[config.train_precision]
            self.data = datasets.dense(self.data, task.num_inputs, dtype)
        self.loss = builders.make_loss(config)
        self.collapse_dtype = datasets.DTYPES[config.softmax_precision]
        self.weights = list(self.model.parameters())
        self.optimizer = builders.make_optimizer(config, self.weights, self.model)
        self.schedule = None
        if config.use_lr_scheduler:
            self.schedule = optimizers.GradNormLR(self.optimizer, config.lr_scheduler_norm)
        self.lr_schedule = builders.make_schedule(config, self.optimizer)
        self.filter = builders.make_filter(config, self.optimizer)
        self.decay = None
        if config.weight_decay_to == "init" and config.weight_decay:
            self.decay = update_rules.DecayToStart(self.optimizer)
        n = len(self.data.train_targets)
        self.batches = datasets.Batches(
            n,
            n if config.full_batch else config.batch_size,
            device,
            ahead=1 if device == "cpu" else max(1, min(64, MOST_INDICES // n)),
            order=config.batch_order,
        )
        self.steps_per_epoch = self.batches.steps_per_epoch
        self.total_steps = config.total_steps
        self.log_steps = frozenset(config.log_steps)
        self.step = 0  # updates applied
        self.collapsed = False
        induced = config.induce_collapse_epoch
        self.collapse_from = None if induced is None else induced * self.steps_per_epoch
        self.model.train()
        self._backpropagate = self.model.backpropagate
        if compile:
            self._backpropagate = Compiled(self.model, device)
            if config.loss_precision == 16:
                self.loss_gradient = self._opaque_gradient()
        self._replayed = None
        if graphed:
            capture = partial(graphs.capture, self.optimizer)
            self._replayed = graphs.Replayed(self._update_on, capture, graphs.side_stream)
            self._place_rates()
        if device == "cpu":
            keep_freed_memory()
            # Threads inherit the flag of D12 from their birth: they are born before it is ever set.
            torch.zeros(2**18).add_(1)

    def update(self):
        """One optimizer update on the next batch. Nothing here waits for the device."""
        chosen = self._next_batch()
        self.collapsed = self._is_collapsed()
        if self.lr_schedule is not None:
            self.lr_schedule.step(self.step)
        if self._replayed is None:
            self._update_on(chosen)
        else:
            self._replayed((len(chosen), self.collapsed), chosen)
        self.step += 1

    def _update_on(self, chosen):
        """An update on these examples, all of it on the device: what a CUDA graph holds."""
        inputs, targets = self._examples(chosen)
        self.optimizer.zero_grad(set_to_none=True)
        # D12: towards softmax collapse a sixth of the loss gradients are subnormal, below 1.2e-38,
        # and cost the CPU five times a step; absorbed by any sum, they are taken as 0. The
        # optimizer keeps them: there a squared gradient may be that small and matter.
        with self._noise_on_weights():
            torch.set_flush_denormal(True)
            self._backpropagate(inputs, partial(self._logit_gradient, targets))
            torch.set_flush_denormal(False)
        self._penalize()
        if self.filter is not None:
            self.filter.step()
        if self.config.clip_norm is not None:
            update_rules.clip_gradient(self.weights, self.config.clip_norm)
        if self.schedule is not None:
            self.schedule.step()
        if self.decay is not None:
            self.decay.step()
        self.optimizer.step()
        if self.config.update_noise:
            update_rules.add_update_noise(self.optimizer, self.config.update_noise)

    def _next_batch(self):
        """(B,) indices of the next batch, on the device."""
        return self.batches.next()

    def _examples(self, chosen):
        """(inputs, targets) of these; images turned and blurred anew where that is on."""
        inputs = self.data.train_inputs.index_select(0, chosen)
        if self.config.rotation or self.config.blur:
            inputs = images.augment(inputs, self.config.rotation, self.config.blur)
        return inputs, self.data.train_targets.index_select(0, chosen)

    def _logit_gradient(self, targets, logits, rows):
        """Gradient of what an update minimises by the logits (n, C) of these rows of the batch."""
        return self.loss_gradient(logits, targets[rows], len(targets), self.collapsed)

    def loss_gradient(
        self, logits: torch.Tensor, labels: torch.Tensor, examples: int, collapsed: bool
    ) -> torch.Tensor:
        """Gradient of the sum over these rows (n, C) of the loss's terms, over `examples`."""
        plain = not (collapsed or self.config.logit_norm_penalty or self.config.alpha != 1)
        if plain and getattr(self.loss, "func", None) in BY_ROWS:
            return stablemax.cross_entropy_gradient(
                self.loss.func, logits, labels, examples=examples, **self.loss.keywords
            )
        return self._gradient_by_autograd(logits, labels, len(labels) / examples, collapsed)

    def _opaque_gradient(self):
        """`loss_gradient` as one operation, of which a compiler leaves out no rounding.

        Raises:
            ValueError: for a loss that needs autograd, which does not work inside an operation.
        """
        rows = getattr(self.loss, "func", None) is stablemax.softmax_cross_entropy
        added = self.config.logit_norm_penalty or self.config.alpha != 1
        if added or not rows or self.collapse_from is not None:
            raise ValueError(
                "--compile takes a 16-bit loss only where it is softmax cross-entropy with nothing"
                " added to it; leave --compile out"
            )
        operation = torch.library.custom_op(f"session::gradient{next(_numbers)}", mutates_args=())
        gradient = operation(self.loss_gradient)
        gradient.register_fake(lambda logits, *_: torch.empty_like(logits))
        return gradient

    @torch.enable_grad()
    def _gradient_by_autograd(self, logits, labels, share, collapsed):
        z = logits.detach().requires_grad_()
        return torch.autograd.grad(self._objective(z, labels, collapsed) * share, z)[0]

    def _objective(self, logits, targets, collapsed):
        """What an update minimises: the run's loss, with what figures 8 and 11 add to it."""
        scaled = logits if self.config.alpha == 1 else logits * self.config.alpha  # (B, C)
        if collapsed:
            scaled = losses.without_right_logits(scaled, targets)
        value = self.loss(scaled, targets)
        if self.config.logit_norm_penalty:
            value = value + self.config.logit_norm_penalty * logits.square().sum(1).mean()
        return value

    def _is_collapsed(self):
        return self.collapse_from is not None and self.step >= self.collapse_from

    def _loss_logits(self, logits, targets):
        """What the training loss's softmax sees of the logits, alpha aside."""
        if self._is_collapsed():
            logits = losses.without_right_logits(logits, targets)
        return logits / self.config.softmax_temperature

    def _noise_on_weights(self):
        if not self.config.weight_noise:
            return nullcontext()
        return update_rules.weight_noise(self.weights, self.config.weight_noise)

    def _penalize(self):
        """Adds the gradient of lambda_l1 * sum |w| or lambda_l2 * sum w^2 (paper, D.1)."""
        kind = self.config.regularization
        for w in self.weights if kind != "None" else ():
            if kind == "l1":
                w.grad.add_(w.detach().sign(), alpha=self.config.lambda_l1)
            else:
                w.grad.add_(w.detach(), alpha=2 * self.config.lambda_l2)

    def is_logged(self, step: int) -> bool:
        """Whether metrics.csv has a row after `step` updates."""
        growth = self.config.log_growth
        every = self.config.log_every or self.config.log_frequency * self.steps_per_epoch
        return (
            step % every == 0
            or step == self.total_steps
            or step in self.log_steps
            or (growth > 0 and update_rules.grows_to(step, growth))
            or self._measures_dimension(step)
        )

    def _measures_dimension(self, step: int) -> bool:
        return self.config.log_dimension > 0 and step % self.config.log_dimension == 0

    def has_reached_its_goal(self, row: dict) -> bool:
        """Whether this row ends the run by --stop_at: its value is at least --stop_level."""
        metric = self.config.stop_at
        return metric != "None" and row[metric] >= self.config.stop_level

    def row(self, step: int) -> dict:
        """The row of metrics.csv after `step` updates; the one place that waits for the device.

        R2: mean loss and accuracy of whole sets in evaluation mode, whatever a system reports.
        """
        config = self.config
        values = metrics.measure(
            self.model, self.data, self.loss, self.collapse_dtype, config.log_nlm_cosine,
            loss_logits=self._loss_logits,
            absorption_lr=self._next_lr if config.log_absorption else None,
            top5=config.log_top5,
            gradients=config.log_gradients,
            attends=config.log_attention,
        )  # fmt: skip
        dimensions = self._dimensions(step) if config.log_dimension else {}
        epoch, rest = divmod(step, self.steps_per_epoch)
        names = (*values, *dimensions)
        host = torch.stack([*values.values(), *dimensions.values()]).tolist()
        row = {
            "step": step,
            "epoch": step / self.steps_per_epoch if rest else epoch,
            **dict(zip(names, host, strict=True)),
        }
        # Not measured, or too few states: an empty cell, where an undefined loss is "nan".
        return row | {name: None for name in dimensions if math.isnan(row[name])}

    def _dimensions(self, step: int) -> dict:
        """The dimension columns after `step` updates; NaN at steps without a measurement."""
        config, found = self.config, {}
        sets = {"train": self.data.train_inputs, "test": self.data.test_inputs}
        for name, tokens in sets.items():
            if config.dimension_split not in (name, "both"):
                continue
            values = [torch.full((), math.nan, dtype=torch.float64, device=self.device)] * 3
            if self._measures_dimension(step):
                values = dimension.measure(
                    self.model,
                    tokens,
                    layer=config.dimension_layer,
                    places=dimension.positions(config, tokens.shape[1]),
                    count=config.dimension_points,
                    neighbors=config.dimension_neighbors,
                    estimator=config.dimension_estimator,
                )
            columns = (f"dimension_{name}{of}" for of in ("", "_std", "_global"))
            found |= dict(zip(columns, values, strict=True))
        return found

    def _next_lr(self, gradients):
        """The learning rate of a full-batch update by these gradients, by GradNormLR's rules."""
        lr = self.config.lr / self.config.alpha**2
        if self.schedule is None:
            return lr * (1 if self.lr_schedule is None else self.lr_schedule.factor(self.step))
        norm = optimizers.total_norm(gradients, self.schedule.order)
        return (lr / norm).clamp(max=torch.finfo(norm.dtype).max).masked_fill(norm == 0, 0.0)

    def flat_weights(self):
        """(P,) NumPy array of all weights in the order of the network's parameters."""
        return torch.cat([w.detach().flatten() for w in self.weights]).cpu().numpy()

    def state(
        self,
        step: int,
        seconds: float,
        diverged_at: int | None = None,
        stopped_at: int | None = None,
    ) -> dict:
        return {
            "device": devices.identity(self.device),
            "step": step,
            "seconds": seconds,
            "diverged_at": diverged_at,
            "stopped_at": stopped_at,
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "decay": self.decay.state_dict() if self.decay is not None else None,
            "batches": self.batches.state_dict(),
            "rng": torch.get_rng_state(),
            "device_rng": devices.random_state(self.device),
        }

    def _place_rates(self):
        """Has a schedule's learning rates where a replayed update reads them, else on the host."""
        for group in self.optimizer.param_groups if self.lr_schedule is not None else ():
            rate = float(group["lr"])
            if self._replayed is not None:  # in the precision that fused kernels read
                dtype = torch.float64 if self.device == "cpu" else torch.float32
                rate = torch.tensor(rate, dtype=dtype, device=self.device)
            group["lr"] = rate

    def restore(self, state: dict):
        """Takes up what `state` gave; of another kind of device all but its random stream."""
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        if self.decay is not None:
            self.decay.load_state_dict(state["decay"])
        self._place_rates()
        self.batches.load_state_dict(state["batches"])
        self.step = state["step"]
        torch.set_rng_state(state["rng"])
        of = state.get("device", {"kind": "cuda"})["kind"]  # older checkpoints do not say
        if state["device_rng"] is not None and of == devices.kind(self.device):
            devices.set_random_state(self.device, state["device_rng"])


class Compiled:
    """A network's `backpropagate` under torch.compile: loss gradient and both passes.

    Forward pass and logit gradient are one graph, the backward pass another. On a GPU both are
    replayed as CUDA graphs (mode "reduce-overhead"); the optimizer stays the fused kernel it is.
    Equal to the eager form within rounding. Losses that are differentiated by autograd are traced
    with the rest; a 16-bit one, of which a compiler would leave out the roundings, is one operation
    to it.

    Raises:
        ValueError: without the compiler that torch.compile needs.
    """

    def __init__(self, model, device):
        check_compiler(device)
        torch._dynamo.config.trace_autograd_ops = True  # torch.autograd.grad inside a graph
        self.forward = torch.compile(
            partial(self._forward, model),
            mode=None if device == "cpu" else "reduce-overhead",
            dynamic=False,  # an epoch's last, shorter batch is a second graph of fixed shapes
        )

    @staticmethod
    def _forward(model, inputs, logit_gradient):
        logits = model(inputs)  # (B, C)
        return logits, logit_gradient(logits.detach(), slice(0, len(inputs)))

    def __call__(self, inputs, logit_gradient):
        torch.compiler.cudagraph_mark_step_begin()
        logits, gradient = self.forward(inputs, logit_gradient)
        logits.backward(gradient)


def check_compiler(device: str):
    """Raises ValueError, one line, where torch.compile would not find the compiler that it needs.

    On a CPU that is a C++ compiler; on a GPU Triton compiles its launchers with a C compiler. For
    mps there is nothing that was tried.
    """
    if device == "mps":
        raise ValueError("--compile is for cpu and cuda; leave it out with --device mps")
    of = ("CXX", "C++", "g++", "clang++") if device == "cpu" else ("CC", "C", "gcc", "clang")
    variable, language, *names = of
    names = [name for name in (os.environ.get(variable), *names) if name]
    if not any(map(shutil.which, names)):
        raise ValueError(
            f"--compile needs a {language} compiler and there is no {' or '.join(names)}; install"
            f" one, set {variable} to it, or leave --compile out"
        )


def keep_freed_memory():
    """Has glibc keep freed memory for this process instead of returning it after each step.

    Otherwise buffers of a few megabytes are mapped anew in every step, page by page: 5 of 50
    milliseconds for float64 weights. Another C library is left alone.
    """
    try:
        mallopt = ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):
        return
    trim_threshold, mmap_threshold = -1, -3  # glibc's malloc.h
    mallopt(trim_threshold, 2**30)
    mallopt(mmap_threshold, 2**30) or mallopt(mmap_threshold, 2**25)  # 2^25: the most before 2.35
