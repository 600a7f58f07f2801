"""OrthoGrad around optimizers that differentiate, evaluate closures, shard or are subclassed."""

import copy
import math
import multiprocessing
import pickle
import re
import shlex
import subprocess
import sys

import numpy as np
import pytest
import torch

from conftest import ROOT
from optimizers import OrthoGrad, orthogonal_projection, orthogonal_projection_

DOUBLE = torch.float64


def draw(*shape, dtype=DOUBLE, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=DOUBLE).to(dtype)


def equation(w, g, restore_norm=True):
    """Eq. 12 in NumPy float64, the norm restored or not."""
    w, g = (np.asarray(t.detach().double()) for t in (w, g))
    perp = g - (w * g).sum() / (w * w).sum() * w
    return perp * (np.linalg.norm(g) / np.linalg.norm(perp)) if restore_norm else perp


def one_line(error, *words):
    message = str(error.value)
    assert "\n" not in message and all(word in message for word in words), message


# --- derivatives -----------------------------------------------------------------------------


def after_a_step(start, loss, build, restore_norm):
    """Weights after one step from `start`; autograd follows if the optimizer is differentiable."""
    w = start.clone()
    differentiable = start.requires_grad
    if not differentiable:
        w.requires_grad_()
    grad = torch.autograd.grad(loss(w), w, create_graph=differentiable)[0]
    w.grad = grad if differentiable else grad.detach()
    OrthoGrad(build([w], differentiable), restore_norm).step()
    return w


def test_hypergradient_of_a_step_worked_out_by_hand():
    start = torch.tensor([3.0, 1.0], dtype=DOUBLE, requires_grad=True)
    target, along = torch.tensor([0.0, 2.0]), torch.tensor([1.0, 2.0], dtype=DOUBLE)
    stepped = after_a_step(
        start,
        lambda q: (q - target).square().sum(),
        lambda p, d: torch.optim.SGD(p, lr=0.1, differentiable=d),
        restore_norm=False,
    )
    # p - 0.1 P g with g = 2 (p - t): the derivative of -(p.g / p.p) p counts, too.
    (hypergradient,) = torch.autograd.grad(stepped @ along, start)
    torch.testing.assert_close(hypergradient, torch.tensor([1.08, 1.76], dtype=DOUBLE))


@pytest.mark.parametrize("restore_norm", [True, False])
@pytest.mark.parametrize("name", ["SGD", "AdamW", "RMSprop"])
def test_hypergradient_is_the_finite_difference_of_the_ordinary_step(name, restore_norm):
    target, along = draw(3, 2, seed=1), draw(3, 2, seed=2)

    def meta(start):
        build = getattr(torch.optim, name)
        stepped = after_a_step(
            start,
            lambda q: (q - target).pow(4).sum(),
            lambda p, d: build(p, lr=0.1, weight_decay=0.1, differentiable=d),
            restore_norm,
        )
        return (stepped * along).sum()

    start = draw(3, 2)
    with_graph = start.clone().requires_grad_()
    (hypergradient,) = torch.autograd.grad(meta(with_graph), with_graph)
    h = 1e-6
    for i, ours in enumerate(hypergradient.ravel().tolist()):
        shift = torch.zeros(6, dtype=DOUBLE)
        shift[i] = h
        shift = shift.view(3, 2)
        difference = (meta(start + shift) - meta(start - shift)).item() / (2 * h)
        assert ours == pytest.approx(difference, rel=1e-6, abs=1e-7)


def test_hypergradient_of_a_tensor_that_cannot_move_is_that_of_standing_still():
    start = torch.tensor([0.5], dtype=DOUBLE, requires_grad=True)
    stepped = after_a_step(
        start,
        lambda q: (q - 2).square().sum(),
        lambda p, d: torch.optim.AdamW(p, lr=0.1, weight_decay=0.0, differentiable=d),
        restore_norm=True,
    )
    assert stepped.item() == 0.5
    assert torch.autograd.grad(stepped.sum(), start)[0].item() == 1


@pytest.mark.parametrize("restore_norm", [True, False])
@pytest.mark.parametrize("dtype", [DOUBLE, torch.complex128])
def test_projection_passes_gradcheck_twice(restore_norm, dtype):
    w, g = (draw(3, 2, 2, seed=i) for i in range(2))
    if dtype.is_complex:
        w, g = torch.view_as_complex(w), torch.view_as_complex(g).conj()

    def project(w, g):
        return orthogonal_projection([w], [g], restore_norm)[0]

    arguments = [t.detach().requires_grad_() for t in (w, g)]
    assert torch.autograd.gradcheck(project, arguments)
    assert torch.autograd.gradgradcheck(project, arguments)


def test_derivative_is_the_identity_at_a_zero_weight_and_zero_where_the_gradient_became_zero():
    for dtype in (DOUBLE, torch.float16):
        w, g, parallel = (draw(4, dtype=dtype, seed=i).requires_grad_() for i in range(3))
        zero = torch.zeros(4, dtype=dtype, requires_grad=True)
        out = orthogonal_projection([zero], [g], restore_norm=False)[0]
        assert torch.equal(torch.autograd.grad(out.sum(), g)[0], torch.ones(4, dtype=dtype))
        for first, second in ((w, w * 2), (w, torch.zeros(4, dtype=dtype) * parallel)):
            out = orthogonal_projection([first], [second])[0]
            by_w, by_parallel = torch.autograd.grad(
                (out * math.nan).nansum() + out.sum(), (w, parallel), allow_unused=True
            )
            for derivative in (by_w, by_parallel):
                assert derivative is None or torch.count_nonzero(derivative) == 0


def test_function_transforms_of_the_projection_equal_loops():
    ws, gs = draw(5, 3, 2), draw(5, 3, 2, seed=1)

    def project(w, g):
        return orthogonal_projection([w], [g])[0]

    batched = torch.vmap(project)(ws, gs)
    jacobians = torch.vmap(torch.func.jacrev(project))(ws, gs)
    forward = torch.vmap(torch.func.jacfwd(project))(ws, gs)
    for i, (w, g) in enumerate(zip(ws, gs, strict=True)):
        assert np.abs(batched[i].numpy() - equation(w, g)).max() < 1e-12
        jacobian = torch.autograd.functional.jacobian(lambda w, g=g: project(w, g), w)
        for other in (jacobians[i], forward[i]):
            torch.testing.assert_close(other, jacobian, rtol=1e-12, atol=1e-12)


# --- finite stays finite ---------------------------------------------------------------------

TORCH = {
    name: kind
    for name, kind in vars(torch.optim).items()
    if isinstance(kind, type) and issubclass(kind, torch.optim.Optimizer)
    if name not in ("Optimizer", "SparseAdam")  # the latter takes sparse gradients alone
}
DTYPES = [torch.float16, torch.bfloat16, torch.float32, DOUBLE]


def one_group(name, p, **options):
    """The optimizer over one tensor, or None where torch refuses that tensor or option."""
    if name == "LBFGS" and not options:
        return None  # 20 evaluations a step
    try:
        return TORCH[name]([p], lr=0.01, **options)
    except (TypeError, ValueError):
        return None


# L-BFGS divides by products of differences, and in float16 that overflows with any gradient.
@pytest.mark.parametrize(
    ("name", "dtype"),
    [(n, d) for n in TORCH for d in DTYPES if (n, d) != ("LBFGS", torch.float16)],
)
def test_weights_that_the_bare_optimizer_keeps_finite_stay_finite_or_eps_is_refused(name, dtype):
    refused = 0
    for shape in ((), (1,), (1, 1), (2,), (1, 5), (7, 3)):
        for options in ({}, {"eps": 1e-4}, {"eps": 0.0}, {"momentum": 0.9}, {"fused": True},
                        {"max_iter": 2}):  # fmt: skip
            for scale in (1e-6, 1.0, 3e4):
                finite = []
                for wrap in (lambda bare: bare, OrthoGrad):
                    p = torch.nn.Parameter(draw(*shape, dtype=dtype))
                    bare = one_group(name, p, **options)
                    if bare is None:
                        break
                    try:
                        optimizer = wrap(bare)
                    except ValueError as error:
                        eps = bare.param_groups[0]["eps"]
                        kernel = torch.float32 if options.get("fused") else dtype
                        assert torch.tensor(eps, dtype=kernel) == 0 and "use eps" in str(error)
                        refused += 1
                        break

                    def closure(p=p, scale=scale):  # half the squared distance, times scale
                        off = p.detach().double() - draw(*p.shape, seed=1)
                        p.grad = (scale * off).to(p.dtype)
                        return scale * off.square().sum() / 2

                    for _ in range(4):
                        optimizer.step(closure)
                    finite.append(bool(torch.isfinite(p).all()))
                assert finite != [True, False], (shape, options, scale)
    # Refused are float16 with the usual eps, and any dtype with none.
    has_eps = isinstance(TORCH[name]([torch.zeros(2, 2)], lr=1).defaults.get("eps"), float)
    assert bool(refused) == has_eps


def test_eps_that_vanishes_is_refused_by_the_wrapper_wherever_it_comes_from():
    layer = torch.nn.Linear(3, 1).half()
    with pytest.raises(ValueError) as error:
        OrthoGrad(torch.optim.AdamW(layer.parameters()))
    one_line(error, "eps 1e-08", "torch.float16", "at least 6e-08", "wider dtype")
    OrthoGrad(torch.optim.AdamW([{"params": layer.parameters(), "orthogonal": False}]))
    wrapped = OrthoGrad(torch.optim.AdamW(layer.parameters(), eps=1e-4))
    wrapped.load_state_dict(torch.optim.AdamW(layer.parameters()).state_dict())
    with pytest.raises(ValueError, match="eps 1e-08"):
        wrapped.step()


@pytest.mark.parametrize("restore_norm", [True, False])
def test_entry_beyond_float16_shortens_the_gradient_and_keeps_its_direction(restore_norm):
    w = torch.tensor([1.0, 1.0, 1.0], dtype=torch.float16)
    g = torch.tensor([60000.0, -60000.0, -60000.0], dtype=torch.float16)
    (p,) = orthogonal_projection([w], [g], restore_norm)
    orthogonal_projection_([w], [g], restore_norm)
    expected = torch.tensor([65504.0, -32752.0, -32752.0], dtype=torch.float16)
    assert torch.equal(p, expected) and torch.equal(g, expected)


# --- closures --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [name for name in TORCH if name != "LBFGS"])
def test_step_with_a_closure_is_one_evaluation_and_then_the_step_without(name):
    results = []
    for pass_closure in (True, False):
        p = torch.nn.Parameter(draw(4, 3))
        optimizer = OrthoGrad(TORCH[name]([p], lr=0.05))
        losses = []

        def closure(p=p, optimizer=optimizer, losses=losses):
            optimizer.zero_grad()
            loss = (p - 1).pow(4).sum()
            loss.backward()
            losses.append(loss.item())
            return loss

        for _ in range(3):
            if pass_closure:
                assert optimizer.step(closure).item() == losses[-1]
            else:
                closure()
                assert optimizer.step() is None
        assert len(losses) == 3
        results.append((p.detach(), p.grad, losses))
    torch.testing.assert_close(*results, rtol=0, atol=0)


class SharpnessAware(torch.optim.Optimizer):
    """SGD at weights that have gone up the slope by 0.1; the closure is evaluated twice."""

    def __init__(self, params):
        super().__init__(params, {})
        self.seen = []

    @torch.no_grad()
    def step(self, closure=None):
        loss = closure()
        (w,) = self.param_groups[0]["params"]
        up = 0.1 * w.grad / w.grad.norm()
        self.seen.append((w.clone(), w.grad.clone()))
        w += up
        closure()
        self.seen.append((w.clone(), w.grad.clone()))
        w -= up
        w -= 0.5 * w.grad
        return loss


def test_optimizer_that_evaluates_its_closure_twice_sees_projected_gradients_both_times():
    w = torch.nn.Parameter(draw(4))
    start, target = w.detach().clone(), draw(4, seed=1)
    optimizer = OrthoGrad(SharpnessAware([w]))

    def closure():
        optimizer.zero_grad()
        loss = (w - target).square().sum()
        loss.backward()
        return loss

    assert optimizer.step(closure).item() == (start - target).square().sum().item()
    raised, at = start.numpy(), target.numpy()
    for weights, grad in optimizer.seen:
        expected = equation(torch.tensor(raised), torch.tensor(2 * (raised - at)))
        assert np.abs(weights.numpy() - raised).max() < 1e-12
        assert np.abs(grad.numpy() - expected).max() < 1e-12
        raised = raised + 0.1 * expected / np.linalg.norm(expected)
    assert np.abs(w.detach().numpy() - (start.numpy() - 0.5 * expected)).max() < 1e-12


def test_closure_adds_to_the_raw_gradients_that_are_there():
    w = torch.nn.Parameter(draw(4))
    start, first, second = w.detach().clone(), draw(4, seed=1), draw(4, seed=2)
    w.grad = first.clone()
    OrthoGrad(torch.optim.SGD([w], lr=0.1)).step(lambda: (w * second).sum().backward())
    expected = 0.1 * equation(start, first + second)
    assert np.abs((start - w.detach()).numpy() - expected).max() < 1e-12


class Bare(torch.optim.SGD):
    def step(self):
        return super().step()


class Deaf(torch.optim.SGD):
    def step(self, closure=None):
        return super().step()


def test_step_that_takes_no_closure_follows_its_evaluation_and_one_that_ignores_it_is_an_error():
    w = torch.nn.Parameter(draw(4))
    start, g = w.detach().clone(), draw(4, seed=1)

    def closure():
        w.grad = g.clone()
        return 7.0

    assert OrthoGrad(Bare([w], lr=0.1)).step(closure) == 7.0
    assert np.abs((start - w.detach()).numpy() - 0.1 * equation(start, g)).max() < 1e-12
    with pytest.raises(RuntimeError) as error:
        OrthoGrad(Deaf([w], lr=0.1)).step(closure)
    one_line(error, "Deaf.step", "call the closure yourself, then step()")


# --- whose memory a gradient is ----------------------------------------------------------------


@pytest.mark.parametrize("how", ["the same", "a view", "left alone first", "left alone last"])
def test_parameters_that_share_a_gradient_are_each_projected_off_their_own_weight(how):
    w = [torch.nn.Parameter(draw(3, 2, seed=i)) for i in range(2)]
    start, g = [p.detach().clone() for p in w], draw(3, 2, seed=9)
    w[0].grad = g.clone()
    w[1].grad = w[0].grad.view(3, 2) if how == "a view" else w[0].grad
    groups = [{"params": [p]} for p in w]
    alone = {"left alone first": 0, "left alone last": 1}.get(how)
    if alone is not None:
        groups[alone]["orthogonal"] = False
    OrthoGrad(torch.optim.SGD(groups, lr=0.1)).step()
    for i in range(2):
        expected = 0.1 * (g.numpy() if i == alone else equation(start[i], g))
        assert np.abs((start[i] - w[i].detach()).numpy() - expected).max() < 1e-12


def test_gradients_side_by_side_in_one_buffer_stay_there():
    w = [torch.nn.Parameter(draw(3, seed=i)) for i in range(2)]
    g = draw(6, seed=9)
    buffer = g.clone()
    w[0].grad, w[1].grad = buffer[:3], buffer[3:]
    expected = np.concatenate([equation(w[0], g[:3]), equation(w[1], g[3:])])
    OrthoGrad(torch.optim.SGD(w, lr=0.1)).step()
    assert np.abs(buffer.numpy() - expected).max() < 1e-12
    assert w[1].grad.data_ptr() == buffer[3:].data_ptr()


def test_gradient_whose_entries_share_memory_is_projected_in_a_copy():
    line = draw(5, seed=3)
    for grad in (draw(1, 3, seed=1).expand(4, 3), line.unfold(0, 3, 1), line[:1].expand(3)):
        for dtype in (DOUBLE, torch.float16):
            w = torch.nn.Parameter(draw(*grad.shape).to(dtype))
            start, w.grad = w.detach().clone(), grad.to(dtype).as_strided(
                grad.shape, grad.stride()
            ) if dtype is DOUBLE else grad.half()  # fmt: skip
            raw = w.grad.clone()
            OrthoGrad(torch.optim.SGD([w], lr=0.1)).step()
            tolerance = 1e-12 if dtype is DOUBLE else 1e-2
            assert np.abs(w.grad.double().numpy() - equation(start, raw)).max() < tolerance
    assert torch.equal(line, draw(5, seed=3))


def test_weight_that_is_its_own_gradient_is_not_overwritten_by_the_projection():
    w = torch.nn.Parameter(draw(4))
    start = w.detach().clone()
    w.grad = w.detach()  # of half the squared norm: all of it radial
    OrthoGrad(torch.optim.SGD([w], lr=0.1)).step()
    assert torch.equal(w, start)


# --- spread over processes -------------------------------------------------------------------


def sharded(rank, store):
    """Runs in each of two processes: DTensor, FSDP2 and FSDP1 against whole tensors in NumPy."""
    import torch.distributed as dist
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import FullyShardedDataParallel, fully_shard
    from torch.distributed.tensor import DTensor, Partial, Replicate, Shard, distribute_tensor

    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=2)
    mesh = init_device_mesh("cpu", (2,))
    w, g = draw(7, 3), draw(7, 3, seed=1)  # 7 rows: uneven shards
    expected = equation(w, g)
    for placed in (Shard(0), Shard(1), Replicate()):
        for grad_placed in (Shard(0), Replicate(), Partial()):
            p = torch.nn.Parameter(distribute_tensor(w.clone(), mesh, [placed]))
            if grad_placed == Partial():
                share = g * (0.25 if rank else 0.75)
                p.grad = DTensor.from_local(share, mesh, [grad_placed])
                with pytest.raises(ValueError) as error:
                    orthogonal_projection_([p], [p.grad])
                one_line(error, "Partial", "redistribute(placements=weight.placements)")
            else:
                p.grad = distribute_tensor(g.clone(), mesh, [grad_placed])
            (copied,) = orthogonal_projection([p.detach()], [p.grad])
            OrthoGrad(torch.optim.SGD([p], lr=0.1)).step()
            stepped = p.detach().full_tensor().numpy()
            assert np.abs(copied.full_tensor().numpy() - expected).max() < 1e-12
            assert np.abs(stepped - (w.numpy() - 0.1 * expected)).max() < 1e-12

    inputs = draw(4, 3, seed=5)
    layer = torch.nn.Linear(3, 7, dtype=DOUBLE)
    with torch.no_grad():
        layer.weight.copy_(w), layer.bias.copy_(draw(7, seed=2))
    whole = copy.deepcopy(layer)
    whole(inputs).square().mean().backward()
    raw = [(p.detach(), p.grad) for p in whole.parameters()]
    fsdp1 = [
        FullyShardedDataParallel(
            copy.deepcopy(layer), device_id=torch.device("cpu"), use_orig_params=original
        )
        for original in (True, False)
    ]
    fully_shard(layer, mesh=mesh)
    optimizer = OrthoGrad(torch.optim.SGD(layer.parameters(), lr=0.1))
    layer(inputs).square().mean().backward()
    optimizer.step()
    for p, (old, grad) in zip(layer.parameters(), raw, strict=True):
        expected = old.numpy() - 0.1 * equation(old, grad)
        assert np.abs(p.detach().full_tensor().numpy() - expected).max() < 1e-12

    for model in fsdp1:
        with pytest.raises(ValueError) as error:
            OrthoGrad(torch.optim.SGD(model.parameters(), lr=0.1))
        one_line(error, "FullyShardedDataParallel", "fully_shard")
        OrthoGrad(torch.optim.SGD([{"params": model.parameters(), "orthogonal": False}], lr=0.1))
    late = OrthoGrad(torch.optim.SGD([torch.nn.Parameter(w.clone())], lr=0.1))
    late.add_param_group({"params": list(fsdp1[0].parameters())})
    with pytest.raises(ValueError, match="FullyShardedDataParallel"):
        late.step()
    dist.destroy_process_group()


def test_two_processes_step_as_one_and_pieces_of_flattened_tensors_are_refused(tmp_path):
    context = multiprocessing.get_context("fork")
    pair = [context.Process(target=sharded, args=(r, tmp_path / "store")) for r in range(2)]
    for process in pair:
        process.start()
    for process in pair:
        process.join()
    assert [process.exitcode for process in pair] == [0, 0]


# --- subclasses, and other OrthoGrads' calls ---------------------------------------------------


class Own(OrthoGrad):
    def __init__(self, params, **options):
        super().__init__(torch.optim.AdamW(params, **options), restore_norm=False)
        self.note = ["mine"]


@pytest.mark.parametrize(
    "duplicate", [copy.copy, copy.deepcopy, lambda o: pickle.loads(pickle.dumps(o))]
)
def test_subclass_with_arguments_of_its_own_is_copied_and_pickled(duplicate):
    w = torch.nn.Parameter(draw(4))
    optimizer = Own([w], lr=0.1)
    torch.optim.lr_scheduler.StepLR(optimizer, 5)  # patches the instance's step
    w.grad = draw(4, seed=1)
    optimizer.step()
    again = duplicate(optimizer)
    assert type(again) is Own and again.note == ["mine"] and again.restore_norm is False
    assert (again.base_optimizer is optimizer.base_optimizer) == (duplicate is copy.copy)
    (p,) = again.param_groups[0]["params"]
    assert torch.equal(p, w)
    start, p.grad = p.detach().clone(), draw(4, seed=2)
    again.step()
    assert not torch.equal(p, start)
    assert torch.equal(w, p if duplicate is copy.copy else start)


def test_calls_of_other_orthograds_get_what_to_write_in_one_line():
    params, adam = [torch.nn.Parameter(draw(3))], torch.optim.AdamW
    calls = {
        "AdamW(model.parameters(), lr=..., betas=...))": [
            lambda: OrthoGrad(params, base_optimizer_cls=adam, lr=0.1, betas=(0.9, 0.98)),
            lambda: OrthoGrad(params=params, base_optimizer_cls=adam, lr=0.1, betas=(0.9, 0.98)),
            lambda: OrthoGrad(params, adam, lr=0.1, betas=(0.9, 0.98)),
            lambda: OrthoGrad(adam, params=params, lr=0.1, betas=(0.9, 0.98)),
            lambda: OrthoGrad(adam(params), lr=0.1, betas=(0.9, 0.98)),
        ],
        "write OrthoGrad(torch.optim.SGD(model.parameters(), lr=...))": [
            lambda: OrthoGrad(torch.optim.SGD, params),
            lambda: OrthoGrad(torch.optim.SGD),
        ],
        "write OrthoGrad(Deaf(model.parameters(), lr=...))": [lambda: OrthoGrad(Deaf)],
        "write OrthoGrad(torch.optim.AdamW(model.parameters(), lr=...))": [
            lambda: OrthoGrad(),
            lambda: OrthoGrad(p for p in params),
        ],
    }
    for remedy, wrong in calls.items():
        for call in wrong:
            with pytest.raises(TypeError) as error:
                call()
            one_line(error, remedy)


# --- torch's own habits ------------------------------------------------------------------------

HABITS = [
    {"maximize": True},
    {"foreach": True},
    {"foreach": True, "maximize": True},
    {"fused": True},
    {"lr": torch.tensor(0.02, dtype=DOUBLE)},
    {"lr": torch.tensor(0.02), "fused": True},
    {"weight_decay": 0.1},
]


@pytest.mark.parametrize("name", [name for name in TORCH if name != "LBFGS"])
def test_every_option_of_torchs_optimizers_acts_as_on_projected_gradients(name):
    used = 0
    for options in HABITS:
        ours, plain = (torch.nn.Parameter(draw(4, 3)) for _ in range(2))
        try:
            wrapped = OrthoGrad(TORCH[name]([ours], **({"lr": 0.02} | options)))
            bare = TORCH[name]([plain], **({"lr": 0.02} | options))
        except (TypeError, ValueError, RuntimeError):
            continue
        for step in range(4):
            if step == 2:  # through a state dict, and into a group that is added
                for optimizer in (wrapped, bare):
                    optimizer.load_state_dict(copy.deepcopy(optimizer.state_dict()))
                    optimizer.add_param_group({"params": [torch.nn.Parameter(draw(2, 2))]})
            ours.grad, plain.grad = (draw(4, 3, seed=step) for _ in range(2))
            orthogonal_projection_([plain], [plain.grad])
            wrapped.step()
            bare.step()
        torch.testing.assert_close(ours, plain, rtol=0, atol=0)
        used += 1
    assert used >= 2


# --- the pages -----------------------------------------------------------------------------------


def test_groups_of_the_readme_leave_vectors_and_single_elements_alone():
    readme = (ROOT / "README.md").read_text()
    code = re.search(r"(?s)```python\n.*?\n(matrices = .*?)\n\n\ndef", readme)[1]
    model = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.LayerNorm(3), torch.nn.Linear(3, 1))
    model.append(torch.nn.Linear(1, 1))
    scope = {"torch": torch, "OrthoGrad": OrthoGrad, "model": model}
    exec(code, scope)
    start = [p.detach().clone() for p in model.parameters()]
    model(draw(9, 4, dtype=torch.float32)).square().sum().backward()
    raw = [p.grad.clone() for p in model.parameters()]
    scope["optimizer"].step()
    for p, grad, old in zip(model.parameters(), raw, start, strict=True):
        is_matrix = p.ndim > 1 and p.numel() > 1
        assert torch.equal(p.grad, grad) != is_matrix
        assert torch.count_nonzero(p.grad) and not torch.equal(p, old)


LIFT = re.search(
    r"(?s)## Lifting a file\n(.*?)(?=\n## |\Z)", (ROOT / "docs" / "extending.md").read_text()
)[1]


def test_lifted_as_the_page_says_nothing_of_ones_own_is_shadowed(tmp_path):
    for name in ("datasets", "models", "metrics", "tasks"):
        (tmp_path / f"{name}.py").write_text(f"OWN = {name!r}\n")
    page = LIFT.replace("/path/to/this/folder", str(ROOT))
    copying = re.search(r"(?m)^    (cp .*)$", page)[1]
    subprocess.run(shlex.split(copying), check=True, cwd=tmp_path)
    code = re.search(r"(?s)```python\n(.*?)```", page)[1]
    code += """
import pickle, stablemax, optimizers, torch
import datasets, metrics, models, tasks
assert all(m.OWN == m.__name__ for m in (datasets, metrics, models, tasks))
for lifted in (orthograd, optimizers):
    ours = lifted.OrthoGrad(torch.optim.SGD([torch.nn.Parameter(torch.ones(2))], lr=1))
    assert type(pickle.loads(pickle.dumps(ours))) is lifted.OrthoGrad
assert orthograd.__file__ != optimizers.__file__
"""
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
