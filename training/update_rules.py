"""What acts on an update beside its optimizer: schedule, decay to the start, filter, noise, clip.

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
FILTERS = ("ema", "ma")


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


class GradientFilter:
    """Grokfast: a running mean m of each weight's gradients amplifies their slow part, g += s m.

    "ema": m is the first gradient at first, then m = decay m + (1 - decay) g at every update.
    "ma": m is the mean of the last `window` gradients, as they were before anything was added; it
    acts from the update on at which there are so many.

    Call `step` once before each of the optimizer's own; it changes `.grad` in place, before
    clipping, GradNormLR and OrthoGrad, which act on the sum. What it remembers is in the
    optimizer's state of each weight, and so in its state dict: `slow_gradient`, or
    `last_gradients` with `gradients_seen`.

    Args:
        optimizer: any torch optimizer or OrthoGrad.
        kind: one of FILTERS.
        strength: s, above 0; their lamb.
        decay: 0 to below 1; their alpha.
        window: gradients that are held for every weight, 1 to 1024 (twice as many are counted in
            the weights' precision); their window_size.
        axis: of the window among those of the held gradients; 1 where a weight is a stack of the
            weights of several runs.

    Raises:
        ValueError: an unknown kind.

    Source: Lee et al. (2024), arXiv 2405.20233; gradfilter_ema, gradfilter_ma of ironjr/grokfast.
    """

    def __init__(
        self,
        optimizer: torch.optim.Optimizer,
        kind: str,
        *,
        strength: float = 2.0,
        decay: float = 0.98,
        window: int = 100,
        axis: int = 0,
    ) -> None:
        if kind not in FILTERS:
            raise ValueError(f"unknown filter {kind!r}; choose from {', '.join(FILTERS)}")
        self.optimizer, self.kind = optimizer, kind
        self.strength, self.decay, self.window, self.axis = strength, decay, window, axis
        self._begun: dict[Tensor, dict] = {}  # Adam begins its state only where there is none
        optimizer.register_step_post_hook(self._hand_over)

    @torch.no_grad()
    def step(self) -> None:
        groups = self.optimizer.param_groups
        weights = [w for group in groups for w in group["params"] if w.grad is not None]
        gradients = [w.grad for w in weights]
        states = [self._state(w) for w in weights]
        if self.kind == "ema":
            means = [state["slow_gradient"] for state in states]
            torch._foreach_mul_(means, self.decay)
            torch._foreach_add_(means, gradients, alpha=1 - self.decay)
        else:
            means = self._window_means(states, gradients)
        torch._foreach_add_(gradients, means, alpha=self.strength)

    def _state(self, w: Tensor) -> dict:
        state = self.optimizer.state[w]
        if "slow_gradient" in state or "last_gradients" in state:
            return state
        if w not in self._begun:
            self._begun[w] = self._first(w.grad)
        return self._begun[w]

    def _first(self, gradient: Tensor) -> dict:
        if self.kind == "ema":
            return {"slow_gradient": gradient.clone()}
        shape = list(gradient.shape)
        shape.insert(self.axis, self.window)
        return {
            "last_gradients": gradient.new_zeros(shape),
            "gradients_seen": gradient.new_zeros(()),
        }

    def _hand_over(self, *_) -> None:
        for w, begun in self._begun.items():
            self.optimizer.state[w].update(begun)
        self._begun.clear()

    def _window_means(self, states: Sequence[dict], gradients: Sequence[Tensor]) -> list[Tensor]:
        """The means with each gradient in the place of the oldest; 0 while there are too few."""
        counts = [state["gradients_seen"] for state in states]
        seen = torch.stack(counts)  # (W,), of W weights
        places = (seen % self.window).long().split(1)
        # Counted on the device, where a captured graph goes on counting: from 0, and once there are
        # enough from window to 2 window - 1 in a circle, which float16 holds.
        seen += 1
        shares = ((seen >= self.window).to(seen.dtype) / self.window).unbind()
        torch._foreach_copy_(counts, (seen - (seen >= 2 * self.window) * self.window).unbind())
        means = []
        for state, gradient, place, share in zip(states, gradients, places, shares, strict=True):
            last = state["last_gradients"]
            last.index_copy_(self.axis, place, gradient.unsqueeze(self.axis))
            rows = last.view(*last.shape[: self.axis + 1], -1)  # (window, n), or (R, window, n)
            of_each = share.to(last.dtype).expand(1, self.window)
            means.append((of_each @ rows).reshape(gradient.shape))
        return means


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
