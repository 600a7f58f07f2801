"""Muon for the hidden matrices of a network and AdamW for all else, as one optimizer.

This file imports nothing but torch. No function reads a value on the host.
"""

import math

import torch
from torch import Tensor
from torch.optim._muon import _zeropower_via_newtonschulz as newton_schulz

COEFFICIENTS, STEPS, EPS = (3.4445, -4.7750, 2.0315), 5, 1e-7  # as torch.optim.Muon has them


class Muon(torch.optim.Optimizer):
    """Muon where a group says so, AdamW elsewhere, with one learning rate.

    In a group with `matrices` above 0, with momentum b and gradient G of a matrix (A, B):
    M = b M + (1 - b) G; O = the nearest semi-orthogonal matrix to b M + (1 - b) G, by five steps of
    Newton-Schulz in bfloat16; W -= lr (weight_decay W + 0.2 sqrt(max(A, B)) O): torch.optim.Muon
    with adjust_lr_fn="match_rms_adamw", whose update has the root mean square 0.2 lr, as AdamW's
    has in large models. A weight may be several matrices that lie on one another, such as those of
    queries, keys and values: each is then made orthogonal by itself.

    Where M is shorter than 1e-7 (Frobenius) O is proportional to it: towards softmax collapse these
    weights stand still, whatever `eps` is.

    Args:
        params: groups; `{"params": weights, "matrices": 3}` for weights of (3 A, B), 1 for single
            matrices, 0 (the default) for AdamW.
        lr: learning rate of both, a number or a 0-d tensor in the group.
        betas, eps: AdamW's.
        weight_decay: decoupled, of both.
        momentum: b, 0 to below 1, with Nesterov's step.
        fused: AdamW's.

    Raises:
        ValueError: a weight of such a group is no matrix, or not so many.

    Source: Jordan et al. (2024), kellerjordan.github.io/posts/muon; Liu et al. (2025), arXiv
    2502.16982, for the scale.
    """

    def __init__(
        self,
        params,
        lr: float,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        momentum: float = 0.95,
        fused: bool | None = None,
    ) -> None:
        defaults = {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay}
        super().__init__(params, defaults | {"momentum": momentum, "fused": fused, "matrices": 0})
        for group in self.param_groups:
            for w in group["params"] if group["matrices"] else ():
                if w.dim() != 2 or len(w) % group["matrices"]:
                    raise ValueError(
                        f"weight of shape {tuple(w.shape)} is not {group['matrices']} matrices on"
                        " one another; leave it in a group without `matrices`"
                    )
        self._adamw()  # the groups of the rest get the options of AdamW

    def _adamw(self) -> torch.optim.AdamW | None:
        """AdamW of the other groups, over this optimizer's own groups and state."""
        groups = [group for group in self.param_groups if not group["matrices"]]
        if not groups:
            return None
        adamw = torch.optim.AdamW(groups)
        adamw.state = self.state
        return adamw

    @torch.no_grad()
    def step(self, closure=None):
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for w in group["params"] if group["matrices"] else ():
                if w.grad is not None:
                    self._orthogonal_step(w, group)
        adamw = self._adamw()
        if adamw is not None:
            adamw.step()
        return loss

    def _orthogonal_step(self, w: Tensor, group: dict) -> None:
        state, momentum, lr = self.state[w], group["momentum"], group["lr"]
        if "momentum_buffer" not in state:
            state["momentum_buffer"] = torch.zeros_like(w)
        mean = state["momentum_buffer"].lerp_(w.grad, 1 - momentum)
        parts = w.grad.lerp(mean, momentum).chunk(group["matrices"])
        update = torch.cat([newton_schulz(part, COEFFICIENTS, STEPS, EPS) for part in parts])
        w.mul_(1 - lr * group["weight_decay"])
        w.sub_(update.to(w.dtype).mul_(lr * (0.2 * math.sqrt(max(parts[0].shape)))))
