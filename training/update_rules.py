"""What acts on an update beside its optimizer: schedule, decay to the start, noise, clipping.

This file imports nothing but torch and fits any torch optimizer. No function reads a value on the
host, so none makes it wait for the device; every random number comes from torch's generator of the
weights' device, whose state a checkpoint holds.
"""

import math
from collections.abc import Iterable, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor

SCHEDULES = ("constant", "linear", "cosine")


def schedule_factor(
    update: int, kind: str, *, warmup_steps: int, warmup_start: float, end: int, final: float
) -> float:
    """Share of the learning rate with which an update is made; 1 at the end of warm-up.

    With s = warmup_start, W = warmup_steps, E = end, f = final and u the updates applied before:
    u < W: s + (1 - s) u / W; after that with t = min((u - W) / (E - W), 1)
    constant: 1; linear: 1 - (1 - f) t; cosine: f + (1 - f) (1 + cos(pi t)) / 2.

    Args:
        update: u, from 0.
        kind: one of SCHEDULES.
        warmup_steps: W, 0 or more; below E unless the schedule is constant.
        warmup_start: s, 0 to 1.
        end: E, the update from which on the factor is f.
        final: f, 0 to 1.

    Raises:
        ValueError: an unknown kind.

    Source: openai/grok (10 steps, cosine to a tenth), and the forks of danielmamay/grokking.
    """
    if kind not in SCHEDULES:
        raise ValueError(f"unknown schedule {kind!r}; choose from {', '.join(SCHEDULES)}")
    if update < warmup_steps:
        return warmup_start + (1 - warmup_start) * update / warmup_steps
    if kind == "constant":
        return 1.0
    t = min((update - warmup_steps) / (end - warmup_steps), 1.0)
    if kind == "linear":
        return 1 - (1 - final) * t
    return final + (1 - final) * (1 + math.cos(math.pi * t)) / 2


class Schedule:
    """Sets each group's learning rate to its first one times a factor of the update's number.

    A function of the number alone: a run that continues from a checkpoint needs no state of it.

    Args:
        optimizer: any torch optimizer or OrthoGrad; the learning rates it has now are the base.
        **choices: of `schedule_factor`.
    """

    def __init__(self, optimizer: torch.optim.Optimizer, kind: str, **choices) -> None:
        self.optimizer, self.kind, self.choices = optimizer, kind, choices
        self.base = [group["lr"] for group in optimizer.param_groups]

    def factor(self, update: int) -> float:
        return schedule_factor(update, self.kind, **self.choices)

    def step(self, update: int) -> None:
        """Call before the optimizer's step number `update`, counted from 0."""
        factor = self.factor(update)
        for group, base in zip(self.optimizer.param_groups, self.base, strict=True):
            if isinstance(group["lr"], Tensor):  # where a captured graph reads it
                group["lr"].fill_(base * factor)
            else:
                group["lr"] = base * factor


def parameter_groups(weights: Iterable[Tensor], weight_decay: float) -> list[dict]:
    """Groups for an optimizer in which only tensors of two or more dimensions decay.

    Biases and the gains and shifts of norms, one-dimensional, keep weight decay 0.
    """
    weights = list(weights)
    matrices = [w for w in weights if w.dim() > 1]
    vectors = [w for w in weights if w.dim() <= 1]
    groups = ((matrices, weight_decay), (vectors, 0.0))
    return [{"params": params, "weight_decay": decay} for params, decay in groups if params]


class DecayToStart:
    """Decoupled weight decay towards the initial weights: w -= lr * decay * (w - w_0).

    Takes the weight decay out of the optimizer's groups and does it in `step`, to be called before
    the optimizer's own, where AdamW decays. The groups' learning rates are those of the update.

    Args:
        optimizer: AdamW or OrthoGrad around it, before its first step; the weights are at w_0.

    Source: openai/grok, weight_decay_kind "to_init".
    """

    def __init__(self, optimizer: torch.optim.Optimizer) -> None:
        self.optimizer = optimizer
        self.decays, self.start = [], []
        for group in optimizer.param_groups:
            decay, group["weight_decay"] = group["weight_decay"], 0.0
            self.decays.append(decay)
            self.start.append([w.detach().clone() for w in group["params"]] if decay else [])

    @torch.no_grad()
    def step(self) -> None:
        groups = self.optimizer.param_groups
        for group, decay, start in zip(groups, self.decays, self.start, strict=True):
            if decay:
                way = torch._foreach_sub(start, group["params"])
                torch._foreach_mul_(way, group["lr"] * decay)
                torch._foreach_add_(group["params"], way)

    def state_dict(self) -> dict:
        return {"start": self.start}

    def load_state_dict(self, state: dict) -> None:
        for mine, saved in zip(self.start, state["start"], strict=True):
            for a, b in zip(mine, saved, strict=True):
                a.copy_(b)


@contextmanager
def weight_noise(weights: Sequence[Tensor], deviation: float):
    """Adds N(0, deviation^2) to every weight inside the block; afterwards each is what it was.

    The weights come back bit for bit, from a copy. Gradients taken inside are those at the noisy
    weights; the backward pass has to be inside, too.

    Source: openai/grok, --weight_noise: fresh noise on all weights in every pass.
    """
    with torch.no_grad():
        kept = [w.detach().clone() for w in weights]
        for w in weights:
            w.add_(torch.randn_like(w), alpha=deviation)
    try:
        yield
    finally:
        with torch.no_grad():
            torch._foreach_copy_(list(weights), kept)


@torch.no_grad()
def add_update_noise(optimizer: torch.optim.Optimizer, deviation: float) -> None:
    """w -= lr * N(0, deviation^2) for every weight; call after the optimizer's step.

    Source: openai/grok, --noise_factor: Gaussian noise on the update, before it is scaled by lr.
    """
    for group in optimizer.param_groups:
        for w in group["params"]:
            w.sub_(torch.randn_like(w) * (group["lr"] * deviation))


def clip_gradient(weights: Sequence[Tensor], norm: float) -> None:
    """Scales all gradients by norm / ||g|| where the L2 norm ||g|| of all together is above norm.

    A gradient that is not finite makes all of them NaN, visibly; nothing is raised, as that would
    wait for the device.
    """
    torch.nn.utils.clip_grad_norm_(weights, norm, error_if_nonfinite=False)


def grows_to(step: int, growth: float) -> bool:
    """Whether `step` is round(growth^k) for a whole k >= 0: 1, 2, 3, ... ever further apart.

    Args:
        step: at least 0; 0 never is.
        growth: above 1.
    """
    if step < 1:
        return False
    near = round(math.log(step) / math.log(growth))
    return any(round(growth**k) == step for k in range(max(0, near - 1), near + 2))
