"""⊥Grad for any torch optimizer, the paper's base optimizers, and its schedule (B.2).

This file imports nothing but torch: copy it into a project and write

    optimizer = OrthoGrad(torch.optim.AdamW(model.parameters(), lr=1e-2))

Every scalar the projection and the schedule need stays a 0-d tensor on the gradient's device, so
neither makes the host wait for the device (a sparse gradient, which torch must coalesce, may).
"""

import inspect
import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Sequence

import torch
from torch import Tensor
from torch.nn import Parameter

OPTIMIZERS = ("AdamW", "Adam", "SGD")
# Elements of the tensors that are projected by the same calls; their products exist at once.
TOGETHER = {"cpu": 2**18, "cuda": 2**24}


@torch.no_grad()
def orthogonal_projection_(
    weights: Sequence[Tensor], grads: Sequence[Tensor], restore_norm: bool = True
) -> None:
    """Project each gradient off its weight, in place: g_perp = g - (w.g / w.w) w.

    Every tensor is projected by itself, biases and one-element tensors included. The cases in which
    the formula says nothing, or rounding would answer for it:

    - zero weight (w.w is 0): the gradient stays as it is, bit for bit.
    - zero gradient: stays exactly zero.
    - gradient parallel to the weight (D3): what is left is rounding, which restoring the norm
      (or Adam) would blow up into a full step in a random direction. It becomes exactly zero. The
      criterion is ||g_perp|| < tol ||g||, tol being 4 eps of the precision computed in or 1 eps of
      the gradient's dtype, whichever is larger: 4.8e-7 in float32, 8.9e-16 in float64, 9.8e-4 in
      float16, 7.8e-3 in bfloat16. A one-element gradient is always parallel: zero.
    - inf or NaN in the weight or the gradient: the gradient never comes out finite.
    - an entry that float16 could not hold: the norm is restored as far as its range allows.

    float16 and bfloat16 are computed in float32; sums and norms are taken in float64 (float32 on
    MPS, which has no float64), so a float32 gradient of 1e-25 does not count as zero. Products are
    taken in float32: one above 3e38 counts as inf.

    Args:
        weights: parameters of any shape and floating or complex dtype; not changed. A complex
            tensor counts as its real and imaginary parts: scaling by a real number is its radial
            direction.
        grads: gradients of the same shapes, overwritten; strided, or sparse COO and coalesced; no
            two share memory. A sparse gradient stays sparse: it is projected off the weight's
            entries at its own indices. The result is orthogonal to the whole weight too, being zero
            elsewhere, but differs from the dense formula, which would fill in every row. A DTensor
            is projected as the whole that it is a part of.
        restore_norm: rescale g_perp to ||g||, as the authors' code does; False is Eq. 12 itself.

    Raises:
        ValueError: lists or shapes that do not match; a layout or placement that cannot be
            projected.

    Source: paper, Definition 7 and Eq. 12; the norm is restored in the authors' code only.
    """
    alike = {}  # the usual ones, in few calls for all
    for weight, grad in _pairs(weights, grads):
        if _is_partial(grad):
            raise ValueError(
                f"gradient placed as {grad.placements} cannot be projected in place; "
                "give grad.redistribute(placements=weight.placements)"
            )
        if grad.layout == torch.sparse_coo and grad.is_coalesced():
            weight, grad = weight.detach()[tuple(grad.indices())], grad.values()
        elif grad.layout != torch.strided:
            raise ValueError(
                f"gradient with layout {grad.layout}, coalesced or not, cannot be projected in "
                "place; choose a strided or a coalesced torch.sparse_coo one (call .coalesce())"
            )
        if grad.is_complex() or weight.is_complex():
            if grad.is_conj():  # the conjugates' real and imaginary parts project alike
                weight, grad = weight.conj(), grad.conj()
            weight, grad = torch.view_as_real(weight.resolve_conj()), torch.view_as_real(grad)
        if _is_usual(weight, grad):
            alike.setdefault((grad.device, grad.dtype), []).append((weight, grad))
        else:
            _project(weight, grad, restore_norm, in_place=True)
    for (device, _), pairs in alike.items():
        while pairs:
            sizes = itertools.accumulate(g.numel() for _, g in pairs)
            count = max(1, sum(size <= TOGETHER.get(device.type, 2**24) for size in sizes))
            _project_together(*zip(*pairs[:count], strict=True), restore_norm)
            pairs = pairs[count:]


def orthogonal_projection(
    weights: Sequence[Tensor], grads: Sequence[Tensor], restore_norm: bool = True
) -> list[Tensor]:
    """Return the projected gradients as new tensors; see `orthogonal_projection_` for all of it.

    Autograd and torch.func differentiate them by weight and gradient. Where a gradient becomes
    exactly zero, so does its derivative. Sparse gradients need not be coalesced.
    """
    return [_projected(w, g, restore_norm) for w, g in _pairs(weights, grads)]


def _pairs(weights: Sequence[Tensor], grads: Sequence[Tensor]) -> Iterator[tuple[Tensor, Tensor]]:
    """Each weight with its gradient; what does not match is refused."""
    if len(weights) != len(grads):
        raise ValueError(f"{len(weights)} weights but {len(grads)} gradients; give one for each")
    for weight, grad in zip(weights, grads, strict=True):
        if weight.shape != grad.shape:
            raise ValueError(
                f"weight of shape {tuple(weight.shape)} with gradient of shape "
                f"{tuple(grad.shape)}; give each weight its own gradient"
            )
        yield weight, grad


def _is_partial(grad: Tensor) -> bool:
    """Whether a gradient is a DTensor of which each process holds summands, not entries."""
    if type(grad) is Tensor:
        return False
    return any(placement.is_partial() for placement in getattr(grad, "placements", ()))


def _projected(weight: Tensor, grad: Tensor, restore_norm: bool) -> Tensor:
    """Project one gradient of any kind, as a new tensor."""
    if grad.layout == torch.sparse_coo:
        grad = grad.coalesce()
        indices = grad.indices()
        values = _projected(weight[tuple(indices)], grad.values(), restore_norm)
        return torch.sparse_coo_tensor(indices, values, grad.shape, is_coalesced=True)
    if grad.is_complex() or weight.is_complex():
        parts = (torch.view_as_real(t.resolve_conj()) for t in (weight, grad))
        return torch.view_as_complex(_project(*parts, restore_norm, in_place=False))
    return _project(weight, grad, restore_norm, in_place=False)


def _project(weight: Tensor, grad: Tensor, restore_norm: bool, in_place: bool) -> Tensor:
    """Project one strided real gradient; autograd can follow unless it is done in place."""
    dtype = torch.promote_types(torch.promote_types(weight.dtype, grad.dtype), torch.float32)
    wide = torch.float32 if grad.device.type == "mps" else torch.float64
    tolerance = max(4 * torch.finfo(dtype).eps, torch.finfo(grad.dtype).eps)
    w, g = weight.to(dtype), grad.to(dtype)  # the tensors themselves in float32 and float64

    before = torch.linalg.vector_norm(g, dtype=wide)
    # Both sums run over products in one order, so their rounding cancels in the quotient; a norm
    # squared left up to 260 eps of a parallel float64 gradient, this at most 2.2.
    square = (w * w).sum(dtype=wide)
    zero = square == 0
    if not in_place:  # autograd would multiply the slope of x / 0 by 0, which is NaN
        square = square.masked_fill(zero, 1.0)
    radial = ((w * g).sum(dtype=wide) / square).masked_fill(zero, 0.0)
    if in_place:  # casts a 0-d tensor as it reads it
        g.addcmul_(w, radial, value=-1)
    else:
        g = g.addcmul(w, radial.to(dtype), value=-1)
    after = torch.linalg.vector_norm(g, dtype=wide)
    # Both comparisons are False for inf and NaN: what is not finite stays visibly so.
    parallel = (after < tolerance * before) | (after == 0)
    if not in_place:
        after = after.masked_fill(parallel, 1.0)
    scale = before / after if restore_norm else torch.ones_like(after)
    if grad.dtype is torch.float16:  # an entry, at most ||g||, may pass 65504
        largest = torch.linalg.vector_norm(g, math.inf, dtype=wide).clamp(min=1.0)
        limit = torch.finfo(grad.dtype).max / largest
        scale = torch.where(before.isfinite(), torch.minimum(scale, limit), scale)
    if not in_place:
        return (g * scale.to(dtype)).masked_fill(parallel, 0.0).to(grad.dtype)
    g.mul_(scale.masked_fill_(parallel, 0.0))
    return g if g is grad else grad.copy_(g)


def _is_usual(weight: Tensor, grad: Tensor) -> bool:
    """Whether both are dense tensors of one device and one precision that is computed in.

    Empty ones are not: on CUDA `_foreach_norm` leaves theirs uninitialised.
    """
    return (
        grad.numel() > 0
        and {type(weight), type(grad)} <= {Tensor, Parameter}
        and weight.dtype == grad.dtype in (torch.float32, torch.float64)
        and weight.device == grad.device
    )


def _project_together(
    weights: Sequence[Tensor], grads: Sequence[Tensor], restore_norm: bool
) -> None:
    """What `_project` does in place, with vectors in place of its scalars, an entry a tensor."""
    wide = torch.float32 if grads[0].device.type == "mps" else torch.float64
    tolerance = 4 * torch.finfo(grads[0].dtype).eps
    before = torch.stack(torch._foreach_norm(grads, 2, wide))
    square = _sums(torch._foreach_mul(weights, weights), wide, signed=False)
    dot = _sums(torch._foreach_mul(weights, grads), wide, signed=True)
    radial = (dot / square).masked_fill_(square == 0, 0.0)
    torch._foreach_addcmul_(grads, weights, radial.unbind(), value=-1)
    after = torch.stack(torch._foreach_norm(grads, 2, wide))
    parallel = (after < tolerance * before) | (after == 0)
    scale = before / after if restore_norm else torch.ones_like(after)
    torch._foreach_mul_(grads, scale.masked_fill_(parallel, 0.0).unbind())


def _sums(products: Sequence[Tensor], wide: torch.dtype, signed: bool) -> Tensor:
    """The sum of each tensor, (len(products),); the tensors are overwritten.

    No kernel sums many tensors, but one takes their norms: elsewhere than on the CPU a sum is twice
    that of the positive entries less that of all magnitudes. Products of one sign, as a parallel
    gradient has, are summed as their magnitudes are. Only in a wider dtype: norms round more often.
    """
    if products[0].dtype == wide or _sums_one_by_one(products[0]):
        return torch.stack([p.sum(dtype=wide) for p in products])
    total = torch.stack(torch._foreach_norm(products, 1, wide))
    if not signed:
        return total
    torch._foreach_clamp_min_(products, 0.0)
    return torch.stack(torch._foreach_norm(products, 1, wide)).mul_(2).sub_(total)


def _sums_one_by_one(tensor: Tensor) -> bool:
    return tensor.device.type == "cpu"


class OrthoGrad(torch.optim.Optimizer):
    """Make any optimizer step along gradients orthogonal to their weights: ⊥AdamW, ⊥SGD, …

    `step` projects every `.grad` in place (`orthogonal_projection_`; they stay projected
    afterwards), then calls the wrapped optimizer's own step. What is orthogonal is the gradient:
    moments, momentum and weight decay can still change a weight's norm. All else is the wrapped
    optimizer's: groups, state, defaults and hooks are the same objects and a state dict fits both,
    so schedulers, `torch.amp.GradScaler`, clipping and checkpoints treat this as an optimizer like
    any other. Step hooks run around the wrapped step and see projected gradients; with a closure,
    those before the step run before its evaluation, as they do without OrthoGrad.

    A group with `orthogonal=False` is left alone: `{"params": biases, "orthogonal": False}`. Put
    biases, gains and one-element tensors there: the gradient of one element is always parallel to
    its weight, so it would never learn.

    A closure goes to the wrapped optimizer, which may evaluate it as often as it likes (LBFGS,
    sharpness-aware minimisation): its gradients are projected after every evaluation, off the
    weights as they then are. Gradients that stand before the first one are raw, for the closure to
    add to or to clear. A line search sees a slope that is not the loss's own: leave LBFGS's
    `line_search_fn` at None.

    With `differentiable=True` in the wrapped optimizer, `.grad` is replaced by a projected gradient
    that autograd can follow to the weights and the raw gradient. A gradient that shares memory with
    another, its weight or itself (`expand`) is replaced by a copy, and a Partial DTensor by one
    placed as its weight.

    FSDP2 (`fully_shard`) and DDP step as one process does. FSDP1 is refused: its pieces of
    flattened tensors cannot be projected. Other flat buffers, such as DeepSpeed's, cannot be told
    from parameters: do not wrap an optimizer of those.

    Args:
        optimizer: an instance of any torch optimizer, not a class and not another OrthoGrad.
        restore_norm: rescale each projected gradient to its former norm, as the authors' code
            does; False gives the paper's equation.

    Raises:
        TypeError: something other than an optimizer instance.
        ValueError: another OrthoGrad; here or in `step`, a parameter of FSDP1, or one in whose
            dtype eps rounds to 0 (1e-8 in float16): an entry whose gradient has become exactly zero
            would be 0/0. In `step`, no closure although the optimizer demands one.
        RuntimeError: in `step`, the wrapped optimizer did not evaluate the closure.

    Source: paper, Definition 7 and Eq. 12; per tensor and norm restored as in the authors' code.
    """

    # GradScaler hands scaled gradients to a fused optimizer, which unscales in its kernel. They
    # must be unscaled and found finite before the projection, whatever is wrapped.
    _step_supports_amp_scaling = False

    def __init__(
        self, optimizer: torch.optim.Optimizer = None, restore_norm: bool = True, **options
    ) -> None:
        if isinstance(optimizer, OrthoGrad):
            raise ValueError("OrthoGrad got another OrthoGrad; wrap the optimizer inside it, once")
        if options or not isinstance(optimizer, torch.optim.Optimizer):
            raise TypeError(_how_to_wrap(optimizer, restore_norm, options))
        # No super().__init__(): groups and state have one owner, the wrapped optimizer, and a
        # second copy would go stale at the first load_state_dict.
        self.base_optimizer = optimizer
        self.restore_norm = restore_norm
        signature = inspect.signature(type(optimizer).step)
        self.takes_closure = _binds(signature, optimizer, None)
        self.needs_closure = not _binds(signature, optimizer)
        for group in self.param_groups:
            _refuse_group(group)

    def step(self, closure: Callable[[], Tensor] | None = None) -> Tensor | None:
        """Project the gradients and step; return what the wrapped step does: a closure's loss."""
        name, step = type(self.base_optimizer).__name__, self.base_optimizer.step
        if closure is None:
            if self.needs_closure:
                raise ValueError(f"{name} needs a closure, got None; call step(closure)")
            self._project_gradients()
            return step()
        evaluations = 0

        def projecting():
            nonlocal evaluations
            evaluations += 1
            with torch.enable_grad():
                loss = closure()
            self._project_gradients()
            return loss

        if not self.takes_closure:
            loss = projecting()
            step()
            return loss
        loss = step(projecting)
        if not evaluations:
            raise RuntimeError(
                f"{name}.step did not evaluate its closure, so it used gradients that were not "
                "projected; call the closure yourself, then step() without one"
            )
        return loss

    def _project_gradients(self) -> None:
        """Project the gradients of all orthogonal groups."""
        weights, grads, taken = [], [], set()
        for group in self.param_groups:
            orthogonal = group.get("orthogonal", True)
            if orthogonal:
                _refuse_group(group)
            for p in group["params"]:
                grad = p.grad
                if grad is None:
                    continue
                if _is_partial(grad):
                    p.grad = grad = grad.redistribute(placements=p.placements)
                if grad.layout is not torch.strided or not grad.is_contiguous():
                    p.grad = grad = _writable(grad)
                memory = _address(grad)
                if memory in taken or memory == _address(p):
                    p.grad = grad = grad.clone()
                taken.add(memory)
                if orthogonal:
                    weights.append(p)
                    grads.append(grad)
        if not self.defaults.get("differentiable", False):
            orthogonal_projection_(weights, grads, self.restore_norm)
            return
        with torch.enable_grad():
            copies = [w.clone() for w in weights]  # the step will overwrite the weights
            projected = orthogonal_projection(copies, grads, self.restore_norm)
            for weight, grad in zip(weights, projected, strict=True):
                weight.grad = grad

    def load_state_dict(self, state_dict: dict) -> None:
        """Load a state dict of this class or of the bare optimizer, keeping `orthogonal` flags."""
        flags = [group.get("orthogonal") for group in self.param_groups]
        self.base_optimizer.load_state_dict(state_dict)
        for group, flag in zip(self.param_groups, flags, strict=True):
            if flag is not None:  # the bare optimizer may not have saved one
                group.setdefault("orthogonal", flag)

    def __getattr__(self, name: str):
        if name == "base_optimizer":  # not there yet while unpickling
            raise AttributeError(name)
        return getattr(self.base_optimizer, name)

    def __getstate__(self) -> dict:
        # A scheduler patches `step` on the instance; the copy of that would step the original.
        return {name: value for name, value in vars(self).items() if name != "step"}

    def __setstate__(self, state: dict) -> None:
        vars(self).update(state)

    def __repr__(self) -> str:
        return f"OrthoGrad({self.base_optimizer!r}, restore_norm={self.restore_norm})"


def _binds(signature: inspect.Signature, *arguments) -> bool:
    """Whether a function of this signature can be called with these arguments."""
    try:
        signature.bind(*arguments)
    except TypeError:
        return False
    return True


def _how_to_wrap(optimizer, restore_norm, options: dict) -> str:
    """What to write instead of these arguments, such as those of other OrthoGrads."""
    given = (optimizer, restore_norm, *options.values())
    kinds = [v for v in given if isinstance(v, type) and issubclass(v, torch.optim.Optimizer)]
    kind = next((k for k in kinds if not issubclass(k, OrthoGrad)), torch.optim.AdamW)
    name = kind.__name__
    if getattr(torch.optim, name, None) is kind:
        name = f"torch.optim.{name}"
    own = [k for k, v in options.items() if k != "params" and not isinstance(v, type)] or ["lr"]
    if isinstance(optimizer, torch.optim.Optimizer):
        got = f"options of the optimizer inside it: {', '.join(options)}"
    elif optimizer is None:
        got = f"no optimizer but {', '.join(options) or 'nothing'}"
    elif isinstance(optimizer, type):
        got = f"the class {optimizer.__name__}, not an optimizer instance"
    else:
        got = f"a value of type {type(optimizer).__name__}, not an optimizer instance"
    arguments = ", ".join(f"{option}=..." for option in own)
    return f"OrthoGrad got {got}; write OrthoGrad({name}(model.parameters(), {arguments}))"


def _refuse_group(group: dict) -> None:
    """Refuse a group of parameters that cannot be projected, or would become NaN by it."""
    if not group.get("orthogonal", True):
        return
    if any(getattr(p, "_fsdp_flattened", False) for p in group["params"]):
        raise ValueError(
            "OrthoGrad got a parameter of FullyShardedDataParallel, a piece of flattened tensors; "
            "shard with torch.distributed.fsdp.fully_shard, or use DistributedDataParallel"
        )
    eps = group.get("eps")
    if isinstance(eps, (int, float)):
        for dtype in {p.dtype for p in group["params"]}:
            # Fused kernels compute in float32 at least.
            dtype = torch.promote_types(dtype, torch.float32) if group.get("fused") else dtype
            _refuse_vanishing_eps(eps, dtype.to_real())


def _address(tensor: Tensor) -> int:
    """Where a tensor's entries begin; a number of its own where that cannot be said."""
    if tensor.layout is torch.sparse_coo:
        tensor = tensor.values()
    # Subclasses, such as DTensor, and the meta device have no address.
    return type(tensor) in (Tensor, Parameter) and tensor.data_ptr() or id(tensor)


def _writable(grad: Tensor) -> Tensor:
    """Return a gradient that is coalesced, and a copy where its entries share memory."""
    if grad.layout is torch.sparse_coo:
        return grad.coalesce()
    reach = 0
    for stride, size in sorted(zip(grad.stride(), grad.shape, strict=True)):
        if size > 1 and stride <= reach:
            return grad.clone(memory_format=torch.contiguous_format)
        reach += stride * (size - 1)
    return grad


def _delegate_method(name: str) -> Callable:
    def method(self, *args, **kwargs):
        return getattr(self.base_optimizer, name)(*args, **kwargs)

    method.__name__ = name
    method.__doc__ = f"Call the wrapped optimizer's {name}."
    return method


def _delegate_attribute(name: str) -> property:
    return property(
        lambda self: getattr(self.base_optimizer, name),
        lambda self, value: setattr(self.base_optimizer, name, value),
        doc=f"The wrapped optimizer's {name}.",
    )


# __getattr__ sees neither assignments nor what torch.optim.Optimizer defines itself; where the
# wrapped optimizer may override that, its own version must win.
for _name in ("param_groups", "state", "defaults"):
    setattr(OrthoGrad, _name, _delegate_attribute(_name))
for _name in ("state_dict", "zero_grad", "add_param_group"):
    setattr(OrthoGrad, _name, _delegate_method(_name))


class GradNormLR:
    """Divide the learning rate by the norm of the full gradient: eta_t = eta / ||grad L||.

    Call `step()` between `backward()` and the optimizer's `step()` (after `GradScaler.unscale_`).
    The norm is over all gradients of all groups, before OrthoGrad projects them. Only
    the learning rate is divided: a momentum buffer keeps raw gradients and the update is
    lr_t * buffer. Decoupled weight decay (AdamW) is divided with it, as by any schedule.

    A gradient that is exactly zero leaves the rule undefined. The learning rate is then 0: weights
    stand still, finite, and moments decay. A norm so small that eta / norm overflows gives the
    largest finite learning rate. inf gives 0 and NaN gives NaN.

    The learning rate becomes a 0-d tensor on the group's device (float64 on the CPU; float32, which
    fused kernels read, elsewhere). Only fused and capturable optimizers read that without a host
    synchronisation on a GPU: those of `make_optimizer` do. eta is kept as `initial_lr` in the
    group, hence in the optimizer's state dict: there is nothing else to save.

    Args:
        optimizer: OrthoGrad, or any torch optimizer that takes a tensor as its learning rate (not
            those with foreach=True); each group's lr is its eta.
        order: of the norm: 2 for the root of the sum of squares, 1 for the sum of magnitudes.

    Source: paper, Appendix B.2 (Figure 9), which does not say which norm.
    """

    def __init__(self, optimizer: torch.optim.Optimizer, order: float = 2) -> None:
        self.optimizer = optimizer
        self.order = order

    @torch.no_grad()
    def step(self) -> None:
        """Set every group's learning rate from the gradients as they are now."""
        groups = [g for g in self.optimizer.param_groups if g["params"]]
        norm = gradient_norm((p for g in groups for p in g["params"]), self.order)
        if norm is None:
            return
        for group in groups:
            old = group["lr"]
            if "initial_lr" not in group:  # the name torch's schedulers give it
                group["initial_lr"] = old.clone() if isinstance(old, Tensor) else old
            device = group["params"][0].device
            dtype = torch.float64 if device.type == "cpu" else torch.float32
            new = (group["initial_lr"] / norm).clamp(max=torch.finfo(dtype).max)
            new = new.masked_fill(norm == 0, 0.0).to(device=device, dtype=dtype)
            if isinstance(old, Tensor) and (old.device, old.dtype) == (device, dtype):
                old.copy_(new)  # in place, where a captured graph looks for it
            else:
                group["lr"] = new


@torch.no_grad()
def gradient_norm(params: Iterable[Tensor], order: float = 2) -> Tensor | None:
    """Norm over the gradients of all tensors together, without synchronising.

    Args:
        params: tensors with or without `.grad`; any shape, dtype and layout. A complex entry counts
            as its real and its imaginary part.
        order: p of (sum |g|^p)^(1/p).

    Returns:
        0-d float64 tensor (float32 on MPS) on the first gradient's device; None if there is none.
    """
    grads = [p.grad for p in params if p.grad is not None]
    return total_norm(grads, order) if grads else None


def total_norm(tensors: Iterable[Tensor], order: float = 2) -> Tensor:
    """As gradient_norm, of these tensors themselves; at least one."""
    norms = []
    for g in tensors:
        g = g.coalesce().values() if g.layout == torch.sparse_coo else g
        g = torch.view_as_real(g.resolve_conj()) if g.is_complex() else g
        wide = torch.float32 if g.device.type == "mps" else torch.float64
        norms.append(torch.linalg.vector_norm(g, order, dtype=wide))
    return torch.linalg.vector_norm(torch.stack([n.to(norms[0].device) for n in norms]), order)


def make_optimizer(
    params: Iterable,
    name: str | Callable[..., torch.optim.Optimizer],
    *,
    lr: float,
    weight_decay: float = 0.0,
    betas: tuple[float, float] | None = None,
    eps: float | None = None,
    momentum: float | None = None,
    orthogonal: bool = False,
    restore_norm: bool = True,
    capturable: bool = False,
) -> torch.optim.Optimizer:
    """Build an optimizer, fused where it can be, wrapped in OrthoGrad or not.

    Args:
        params: tensors, named tensors or group dicts, as any torch optimizer takes them.
        name: "AdamW" (decoupled decay), "Adam" or "SGD" (weight decay added to the gradient), or
            any constructor of a torch.optim.Optimizer that takes params and lr.
        lr: learning rate, finite and above 0.
        weight_decay: finite and at least 0.
        betas: decay of the two moments, each in [0, 1). None, as for eps and momentum: the
            optimizer's own default.
        eps: added to Adam's denominator; must not round to 0 in a parameter's dtype.
        momentum: SGD's, in [0, 1), without dampening.
        orthogonal: wrap the optimizer in OrthoGrad.
        restore_norm: passed to OrthoGrad.
        capturable: let Adam and AdamW be captured by hand in a CUDA graph. They never synchronise
            without it, and torch warns when it is set and nothing is captured.

    Returns:
        The optimizer, or OrthoGrad around it.

    Raises:
        ValueError: a value outside its range; the message names the choices and the remedy.
    """
    if isinstance(name, str):
        if name not in OPTIMIZERS:
            raise ValueError(f"unknown optimizer {name!r}; choose from {', '.join(OPTIMIZERS)}")
        name = getattr(torch.optim, name)
    if not (math.isfinite(lr) and lr > 0):
        raise ValueError(f"lr is {lr}; give a finite number above 0, such as 0.01")
    if not (math.isfinite(weight_decay) and weight_decay >= 0):
        raise ValueError(f"weight_decay is {weight_decay}; give a finite number, 0 or above")
    if betas is not None and (len(betas) != 2 or not all(0 <= beta < 1 for beta in betas)):
        raise ValueError(f"betas are {betas}; give two numbers in [0, 1), such as (0.9, 0.999)")
    if momentum is not None and not 0 <= momentum < 1:
        raise ValueError(f"momentum is {momentum}; give a number in [0, 1), such as 0.8")
    if eps is not None and not (math.isfinite(eps) and eps > 0):
        raise ValueError(f"eps is {eps}; give a finite number above 0, such as 1e-8")

    groups = [_as_list(entry) for entry in params]
    tensors = [p for entry in groups for p in (entry["params"] if type(entry) is dict else [entry])]
    tensors = [p[1] if isinstance(p, tuple) else p for p in tensors]  # named tensors
    given = {"betas": betas, "eps": eps, "momentum": momentum, "weight_decay": weight_decay}
    takes = inspect.signature(name).parameters
    for option, value in given.items():
        if value and option not in takes:
            raise ValueError(f"{name.__name__} has no {option}, got {value}; leave it out")
    options = {"lr": lr} | {k: v for k, v in given.items() if v is not None and k in takes}
    if "betas" in options:
        options["betas"] = tuple(map(float, betas))
    floating = all(torch.is_floating_point(p) and p.device.type in ("cpu", "cuda") for p in tensors)
    if "fused" in takes and floating:
        options["fused"] = True
    if capturable and "capturable" in takes:
        options["capturable"] = True
    optimizer = name(groups, **options)
    for group in optimizer.param_groups if "eps" in takes else ():
        for p in group["params"]:
            _refuse_vanishing_eps(group["eps"], p.dtype.to_real())
    return OrthoGrad(optimizer, restore_norm) if orthogonal else optimizer


def _as_list(entry):
    """Return a group dict with its params as a list, which may be read twice; others unchanged."""
    if not isinstance(entry, dict):
        return entry
    params = entry["params"]
    return {**entry, "params": [params] if isinstance(params, Tensor) else list(params)}


def _refuse_vanishing_eps(eps: float, dtype: torch.dtype) -> None:
    info = torch.finfo(dtype)
    smallest = info.smallest_normal * info.eps
    if eps <= smallest / 2:
        raise ValueError(
            f"eps {eps} rounds to 0 in {dtype}, and a zero gradient is then divided by zero; "
            f"use eps of at least {smallest:.0e} or parameters of a wider dtype"
        )
