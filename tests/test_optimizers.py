"""⊥Grad against NumPy and torch's own optimizers: what is computed, and that torch's tools work."""

import copy
import io
import math
import pickle

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

import optimizers
from optimizers import (
    GradNormLR,
    OrthoGrad,
    gradient_norm,
    make_optimizer,
    orthogonal_projection,
    orthogonal_projection_,
)

DTYPES = [torch.float16, torch.bfloat16, torch.float32, torch.float64]
SHAPES = [(20, 26), (20,), (3, 4, 5)]
NAMES = ["AdamW", "Adam", "SGD"]


def read_by(name, **options):
    """Those of the options that an optimizer has."""
    own = ("momentum",) if name == "SGD" else ("betas", "eps")
    return {k: v for k, v in options.items() if k in ("lr", "weight_decay", *own)}


def draw(*shape, dtype=torch.float32, seed=0, scale=1.0):
    generator = torch.Generator().manual_seed(seed)
    return (torch.randn(*shape, generator=generator, dtype=torch.float64) * scale).to(dtype)


def equation(w, g):
    """Eq. 12 in NumPy float64."""
    w, g = np.asarray(w, dtype=np.float64), np.asarray(g, dtype=np.float64)
    return g - (w * g).sum() / (w * w).sum() * w


def restored(w, g):
    perp = equation(w, g)
    return perp * np.linalg.norm(g) / np.linalg.norm(perp)


def cosine(a, b):
    a, b = (np.asarray(t.detach().double().numpy()).ravel() for t in (a, b))
    return float(a @ b / (np.linalg.norm(a) * np.linalg.norm(b)))


def network(dtype=torch.float64, seed=0):
    torch.manual_seed(seed)
    return torch.nn.Sequential(
        torch.nn.Linear(6, 8), torch.nn.Tanh(), torch.nn.Linear(8, 3, bias=False)
    ).to(dtype)


def backward(model, step=0):
    """Leave the gradients of a small regression problem that changes with the step."""
    p = next(model.parameters())
    x, y = (draw(10, n, dtype=p.dtype, seed=100 + 2 * step + i) for i, n in enumerate((6, 3)))
    model.zero_grad()
    loss = (model(x) - y).square().mean()
    loss.backward()
    return loss


# --- the projection --------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES)
def test_projected_gradient_is_orthogonal_and_keeps_its_norm(dtype, shape):
    w, g = draw(*shape, dtype=dtype, seed=1), draw(*shape, dtype=dtype, seed=2)
    g = g + 0.5 * w  # a radial part that is far from rounding
    before = g.clone()
    orthogonal_projection_([w], [g])
    eps = torch.finfo(dtype).eps
    assert abs(cosine(w, before)) > 0.1
    assert abs(cosine(w, g)) < eps
    assert g.double().norm().item() == pytest.approx(before.double().norm().item(), rel=eps)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("restore_norm", [True, False])
def test_projection_equals_the_equation_in_float64_per_tensor(dtype, restore_norm):
    ws = [draw(*s, dtype=dtype, seed=i, scale=0.1) for i, s in enumerate(SHAPES)]
    gs = [draw(*s, dtype=dtype, seed=10 + i, scale=0.01) for i, s in enumerate(SHAPES)]
    expected = [(restored if restore_norm else equation)(w.double(), g.double())
                for w, g in zip(ws, gs, strict=True)]  # fmt: skip
    orthogonal_projection_(ws, gs, restore_norm=restore_norm)
    for g, e in zip(gs, expected, strict=True):
        limit = 2 * torch.finfo(dtype).eps * np.abs(e).max()
        assert np.abs(g.double().numpy() - e).max() < limit


def test_projection_agrees_with_the_published_formula_to_float32_rounding():
    # The formula as published, in NumPy float32, at the shapes of the paper's MLP.
    for i, shape in enumerate([(200, 226), (200, 200), (113, 200)]):
        w, g = draw(*shape, seed=i, scale=0.05), draw(*shape, seed=5 + i, scale=1e-3)
        g = g + 0.01 * w
        wn, gn = w.numpy().ravel(), g.numpy().ravel()
        perp = gn - np.dot(wn, gn) / (np.dot(wn, wn) + np.float32(1e-30)) * wn
        perp *= np.linalg.norm(gn) / (np.linalg.norm(perp) + np.float32(1e-30))
        ours = orthogonal_projection([w], [g])[0].numpy().ravel()
        assert np.abs(ours - perp).max() < 2e-6 * np.abs(perp).max()


def test_copying_projection_leaves_its_arguments_alone():
    w, g = draw(4, 5), draw(4, 5, seed=1)
    w0, g0 = w.clone(), g.clone()
    (p,) = orthogonal_projection([w], [g])
    assert torch.equal(w, w0) and torch.equal(g, g0) and not torch.equal(p, g)
    orthogonal_projection_([w], [g])
    assert torch.equal(w, w0) and torch.equal(g, p)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("restore_norm", [True, False])
def test_zero_weight_leaves_the_gradient_bit_for_bit(dtype, restore_norm):
    g = draw(7, 5, dtype=dtype)
    assert torch.equal(orthogonal_projection([torch.zeros_like(g)], [g], restore_norm)[0], g)


@pytest.mark.parametrize("dtype", DTYPES)
def test_zero_gradient_stays_exactly_zero(dtype):
    w = draw(7, 5, dtype=dtype)
    for weight in (w, torch.zeros_like(w)):
        for restore_norm in (True, False):
            (g,) = orthogonal_projection([weight], [torch.zeros_like(w)], restore_norm)
            assert torch.equal(g, torch.zeros_like(w))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("restore_norm", [True, False])
def test_gradient_parallel_to_the_weight_becomes_exactly_zero(dtype, restore_norm):
    for n in (2, 3, 10, 1000, 45200):
        for seed in range(20):
            w = draw(n, dtype=dtype, seed=seed)
            g = w * float(draw(1, seed=50 + seed))
            (p,) = orthogonal_projection([w], [g], restore_norm)
            assert torch.count_nonzero(p) == 0, (n, seed)


@pytest.mark.parametrize("dtype", DTYPES)
def test_gradient_just_off_parallel_is_kept(dtype):
    # Three times the documented criterion: the guard may not swallow real directions.
    w, side = draw(1000, seed=1), draw(1000, seed=2)
    side = torch.from_numpy(equation(w, side))
    side = side / side.norm() * w.double().norm()
    tolerance = max(torch.finfo(dtype).eps, 4 * torch.finfo(torch.float32).eps)
    if dtype == torch.float64:
        tolerance = 4 * torch.finfo(dtype).eps
    w = w.to(dtype)
    g = (w.double() + 3 * tolerance * side).to(dtype)
    (p,) = orthogonal_projection([w], [g])
    assert p.double().norm().item() == pytest.approx(g.double().norm().item(), rel=1e-2)
    assert cosine(p, side) > 0.95


@pytest.mark.parametrize("dtype", DTYPES)
def test_one_element_gradient_becomes_exactly_zero(dtype):
    for seed in range(50):
        w, g = draw(1, dtype=dtype, seed=seed), draw(1, dtype=dtype, seed=99 + seed)
        assert orthogonal_projection([w], [g])[0].item() == 0
        assert orthogonal_projection([w[0]], [g[0]])[0].item() == 0  # a 0-d tensor too


@pytest.mark.parametrize("scale", [1e-25, 1e-30, 1e15, 1e25])
def test_projection_is_right_where_float32_squares_would_underflow_or_overflow(scale):
    w, g = draw(30, 20, scale=0.1), draw(30, 20, seed=1, scale=scale)
    expected = restored(w.double(), g.double())
    (p,) = orthogonal_projection([w], [g])
    assert np.abs(p.double().numpy() - expected).max() < 1e-6 * np.abs(expected).max()


def test_float16_gradient_of_a_large_tensor_does_not_overflow_in_its_scalars():
    w = draw(300, 300, dtype=torch.float16, scale=30)
    g = draw(300, 300, dtype=torch.float16, scale=100, seed=1) + w
    (p,) = orthogonal_projection([w], [g])
    assert torch.isfinite(p).all() and abs(cosine(w, p)) < 1e-3


@pytest.mark.parametrize("bad", [math.inf, -math.inf, math.nan])
@pytest.mark.parametrize("restore_norm", [True, False])
def test_non_finite_input_never_comes_out_finite(bad, restore_norm):
    for weight in (draw(6), torch.zeros(6)):
        g = draw(6, seed=1)
        g[2] = bad
        assert not torch.isfinite(orthogonal_projection([weight], [g], restore_norm)[0]).all()
    # A zero weight leaves even this gradient alone as long as nothing is rescaled.
    (kept,) = orthogonal_projection([torch.zeros(6)], [g], restore_norm=False)
    assert torch.equal(kept.nan_to_num(7.0, 8.0, 9.0), g.nan_to_num(7.0, 8.0, 9.0))
    w = draw(6)
    w[2] = bad
    assert not torch.isfinite(orthogonal_projection([w], [draw(6, seed=1)], restore_norm)[0]).all()


def test_non_contiguous_weights_and_gradients_are_projected_in_place():
    w, g = draw(8, 6), draw(8, 6, seed=1)
    expected = restored(w.double(), g.double())
    wide = torch.zeros(8, 12)
    views = [(w.t(), g.t()), (w.t().contiguous().t(), g.clone()), (w, wide[:, ::2].copy_(g))]
    for weight, grad in views:
        grad = grad if grad._base is wide else grad.clone(memory_format=torch.preserve_format)
        orthogonal_projection_([weight], [grad])
        want = expected if grad.shape == (8, 6) else expected.T
        assert np.abs(grad.double().numpy() - want).max() < 1e-6
    assert torch.count_nonzero(wide[:, 1::2]) == 0


def corner_cases():
    """Weights and gradients of every kind, each three times: parallel, zero, tiny, not finite."""
    kinds = []
    for seed in range(3):
        w, g = draw(30, 20, seed=seed), draw(30, 20, seed=50 + seed)
        bad = g.clone()
        bad[2, 3] = (math.inf, -math.inf, math.nan)[seed]
        kinds += [(w, g), (w, -1.5 * w), (0 * w, g), (w, 0 * g), (w, bad), (w, 1e-25 * g)]
        kinds += [(w[0, :1], g[0, :1]), (w[0, 0], g[0, 0]), (w[:0], g[:0]), (w.t(), g.t())]
        kinds += [(w.double(), g.double()), (w.half(), g.half()), (w.double(), g)]
        kinds += [(w.abs(), g - 0.7 * w.abs()), (w.double(), 1e-13 * g.double() + w.double())]
    return zip(*((w, g.clone()) for w, g in kinds), strict=True)


@pytest.mark.parametrize("together", [1, 1300, 2**30])
@pytest.mark.parametrize("restore_norm", [True, False])
@pytest.mark.parametrize("sums", ["one by one", "as norms"])
def test_many_gradients_are_projected_together_as_each_one_alone(
    together, restore_norm, sums, monkeypatch
):
    weights, grads = corner_cases()
    pairs = zip(weights, grads, strict=True)
    alone = [orthogonal_projection([w], [g], restore_norm)[0] for w, g in pairs]
    monkeypatch.setitem(optimizers.TOGETHER, "cpu", together)
    monkeypatch.setattr(optimizers, "_sums_one_by_one", lambda tensor: sums == "one by one")
    orthogonal_projection_(weights, grads, restore_norm)
    for ours, expected in zip(grads, alone, strict=True):
        finite = expected.isfinite().all()
        if sums == "one by one":
            assert torch.equal(ours.nan_to_num(7, 8, 9), expected.nan_to_num(7, 8, 9))
        elif finite:
            assert torch.equal(ours == 0, expected == 0)
            limit = 4 * torch.finfo(ours.dtype).eps * expected.abs().max() if ours.numel() else 0
            assert ((ours - expected).abs() <= limit).all()
        else:
            assert not ours.isfinite().all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_parallel_gradients_summed_as_norms_become_exactly_zero(dtype, monkeypatch):
    monkeypatch.setattr(optimizers, "_sums_one_by_one", lambda tensor: False)
    weights = [draw(n, dtype=dtype, seed=s) for n in (2, 3, 10, 1000, 45200) for s in range(20)]
    grads = [w * float(draw(1, seed=50 + i)) for i, w in enumerate(weights)]
    orthogonal_projection_(weights, grads)
    assert [g for g in grads if g.count_nonzero()] == []


def test_the_calls_of_a_projection_do_not_grow_with_the_number_of_tensors(monkeypatch):
    class Calls(TorchDispatchMode):
        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            counts[-1] += 1
            return function(*args, **(kwargs or {}))

    monkeypatch.setattr(optimizers, "_sums_one_by_one", lambda tensor: False)
    counts = []
    for number in (2, 50):
        weights, grads = ([draw(3, seed=seed) for _ in range(number)] for seed in (0, 1))
        counts.append(0)
        with Calls():
            orthogonal_projection_(weights, grads)
    assert counts[0] == counts[1] < 40


def test_conjugate_gradient_is_projected_and_stepped_on_like_a_plain_one():
    after = []
    for lazy in (True, False):
        w = torch.nn.Parameter(torch.view_as_complex(draw(3, 2)))
        grad = torch.view_as_complex(draw(3, 2, seed=1)).conj()
        w.grad = grad if lazy else grad.resolve_conj()
        assert w.grad.is_conj() is lazy
        optimizer = OrthoGrad(torch.optim.SGD([w], lr=0.1))
        GradNormLR(optimizer).step()
        optimizer.step()
        after.append(w.detach())
    torch.testing.assert_close(*after, rtol=0, atol=0)


def test_complex_tensor_is_projected_as_its_real_and_imaginary_parts():
    w, g = draw(5, 4, 2), draw(5, 4, 2, seed=1)
    expected = restored(w.double(), g.double())
    (p,) = orthogonal_projection([torch.view_as_complex(w)], [torch.view_as_complex(g)])
    assert np.abs(torch.view_as_real(p).double().numpy() - expected).max() < 1e-6


def test_mismatched_arguments_are_refused_in_one_line():
    w = draw(4, 3)
    uncoalesced = torch.sparse_coo_tensor([[1, 1]], torch.ones(2, 3), (4, 3), check_invariants=True)
    for args in ([[w], []], [[w], [draw(3)]], [[w], [uncoalesced]]):
        with pytest.raises(ValueError, match="give|choose") as error:
            orthogonal_projection_(*args)
        assert "\n" not in str(error.value)


# --- sparse gradients ------------------------------------------------------------------------


def embedding(rows, sparse, optimizer=torch.optim.SGD):
    table = torch.nn.Embedding(10, 4, sparse=sparse)
    with torch.no_grad():
        table.weight.copy_(draw(10, 4))
    wrapped = OrthoGrad(optimizer(table.parameters(), lr=0.1))
    (table(torch.tensor(rows)) * draw(len(rows), 4, seed=3)).sum().backward()
    return table.weight, wrapped


def test_sparse_gradient_stays_sparse_orthogonal_and_of_its_norm():
    weight, optimizer = embedding([1, 5, 5, 8], sparse=True)  # 5 twice: not coalesced
    old, raw = weight.detach().clone(), weight.grad.to_dense()
    optimizer.step()
    assert weight.grad.is_sparse and weight.grad.coalesce().indices().tolist() == [[1, 5, 8]]
    g = weight.grad.to_dense()
    assert abs(cosine(g, old)) < 1e-6 < abs(cosine(raw, old))
    assert g.norm().item() == pytest.approx(raw.norm().item(), rel=1e-6)
    rows = [1, 5, 8]
    expected = restored(old[rows].double(), raw[rows].double())
    assert np.abs((old - weight.detach())[rows].double().numpy() - 0.1 * expected).max() < 1e-6
    assert torch.equal(old[[0, 2, 3, 4, 6, 7, 9]], weight.detach()[[0, 2, 3, 4, 6, 7, 9]])


def test_sparse_gradient_that_touches_every_row_is_projected_as_the_dense_one():
    rows = [*range(10), 3, 3, 7]
    results = []
    for sparse in (True, False):
        weight, optimizer = embedding(rows, sparse)
        optimizer.step()
        results.append(weight.detach())
    torch.testing.assert_close(*results, rtol=1e-6, atol=1e-7)


def test_sparse_adam_steps_under_orthograd():
    weight, optimizer = embedding([1, 5, 5, 8], sparse=True, optimizer=torch.optim.SparseAdam)
    old = weight.detach().clone()
    optimizer.step()
    assert (old != weight.detach()).any(1).nonzero().ravel().tolist() == [1, 5, 8]


# --- the wrapper -----------------------------------------------------------------------------

BASES = {
    "AdamW": lambda p: torch.optim.AdamW(p, lr=0.01, betas=(0.8, 0.95), weight_decay=0.1),
    "Adam": lambda p: torch.optim.Adam(p, lr=0.01, weight_decay=0.1, amsgrad=True),
    "SGD": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.8),
    "foreach": lambda p: torch.optim.AdamW(p, lr=0.01, foreach=True),
    "fused": lambda p: torch.optim.AdamW(p, lr=0.01, fused=True),
    "fused SGD": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.8, nesterov=True, fused=True),
    "RMSprop": lambda p: torch.optim.RMSprop(p, lr=0.01),
}


@pytest.mark.parametrize("base", BASES)
@pytest.mark.parametrize("restore_norm", [True, False])
def test_hundred_steps_equal_projecting_by_hand_and_the_bare_optimizer(base, restore_norm):
    ours, plain = network(), network()
    wrapped = OrthoGrad(BASES[base](ours.parameters()), restore_norm=restore_norm)
    bare = BASES[base](plain.parameters())
    start = [p.detach().clone() for p in ours.parameters()]
    for step in range(100):
        backward(ours, step % 3)
        wrapped.step()
        backward(plain, step % 3)
        for p in plain.parameters():
            by_hand = (restored if restore_norm else equation)(p.detach(), p.grad)
            p.grad.copy_(torch.from_numpy(by_hand))
        bare.step()
    for p, q, s in zip(ours.parameters(), plain.parameters(), start, strict=True):
        torch.testing.assert_close(p, q, rtol=1e-8, atol=1e-9)
        assert (p - s).abs().max() > 1e-2  # it moved


def test_orthograd_is_an_optimizer_whose_groups_and_state_are_the_wrapped_ones():
    model = network()
    base = BASES["AdamW"](model.parameters())
    wrapped = OrthoGrad(base)
    assert isinstance(wrapped, torch.optim.Optimizer)
    backward(model)
    wrapped.step()
    assert wrapped.param_groups is base.param_groups and wrapped.state is base.state
    assert wrapped.defaults is base.defaults and len(wrapped.state) == 3
    wrapped.load_state_dict(copy.deepcopy(wrapped.state_dict()))  # replaces the groups
    assert wrapped.param_groups is base.param_groups and wrapped.state is base.state
    wrapped.zero_grad()
    assert all(p.grad is None for p in model.parameters())


def test_what_the_wrapped_optimizer_overrides_or_is_assigned_wins():
    calls = []

    class Special(torch.optim.SGD):
        def state_dict(self):
            calls.append("state_dict")
            return super().state_dict()

        def zero_grad(self, set_to_none=True):
            calls.append("zero_grad")

        def add_param_group(self, group):
            calls.append("add_param_group")
            super().add_param_group(group)

        def of_its_own(self):
            return "own"

    base = Special([torch.nn.Parameter(draw(3))], lr=0.1)
    wrapped = OrthoGrad(base)
    calls.clear()
    wrapped.state_dict()
    wrapped.zero_grad()
    wrapped.add_param_group({"params": [torch.nn.Parameter(draw(3))]})
    assert calls == ["state_dict", "zero_grad", "add_param_group"]
    assert wrapped.of_its_own() == "own"
    for name in ("state", "param_groups", "defaults"):
        value = copy.copy(getattr(base, name))
        setattr(wrapped, name, value)
        assert getattr(base, name) is value


def test_wrapping_a_class_an_orthograd_or_something_else_is_refused_in_one_line():
    wrapped = OrthoGrad(torch.optim.SGD(network().parameters(), lr=0.1))
    cases = [
        (torch.optim.AdamW, TypeError, "the class AdamW"),
        (OrthoGrad, TypeError, "the class OrthoGrad"),
        (wrapped, ValueError, "another OrthoGrad"),
        (network(), TypeError, "type Sequential"),
    ]
    for argument, kind, words in cases:
        with pytest.raises(kind, match=words) as error:
            OrthoGrad(argument)
        assert "\n" not in str(error.value)


def step_length(model, optimizer):
    """Length of one SGD step in units of the gradient's norm: the learning rate that acted."""
    backward(model)
    old = [p.detach().clone() for p in model.parameters()]
    optimizer.step()
    moved = math.sqrt(
        sum((p - o).square().sum().item() for p, o in zip(model.parameters(), old, strict=True))
    )
    return moved / math.sqrt(sum(p.grad.square().sum().item() for p in model.parameters()))


def test_schedulers_change_the_step_that_is_taken():
    schedule = torch.optim.lr_scheduler
    model = network()
    wrapped = OrthoGrad(torch.optim.SGD(model.parameters(), lr=0.5))
    scheduler = schedule.LambdaLR(wrapped, lambda epoch: [1, 0.5, 0, 0.25][epoch])
    for factor in (1, 0.5, 0):
        assert step_length(model, wrapped) == pytest.approx(0.5 * factor, rel=1e-9)
        scheduler.step()
    assert step_length(model, wrapped) == pytest.approx(0.125, rel=1e-9)

    wrapped = OrthoGrad(torch.optim.SGD(model.parameters(), lr=0.5))
    plateau = schedule.ReduceLROnPlateau(wrapped, factor=0.1, patience=0)
    for metric in (1.0, 2.0):
        assert step_length(model, wrapped) == pytest.approx(0.5, rel=1e-9)
        plateau.step(metric)
    assert step_length(model, wrapped) == pytest.approx(0.05, rel=1e-9)


def test_one_cycle_schedule_equals_that_of_the_bare_optimizer():
    ours, plain = network(), network()
    wrapped, bare = (OrthoGrad(BASES["AdamW"](ours.parameters())),
                     BASES["AdamW"](plain.parameters()))  # fmt: skip
    schedules = [
        torch.optim.lr_scheduler.OneCycleLR(o, 0.3, total_steps=8) for o in (wrapped, bare)
    ]
    seen = []
    for _ in range(7):
        backward(ours), wrapped.step(), backward(plain), bare.step()
        for s in schedules:
            s.step()
        assert wrapped.param_groups[0]["lr"] == bare.param_groups[0]["lr"]
        assert wrapped.param_groups[0]["betas"] == bare.param_groups[0]["betas"]
        seen.append((wrapped.param_groups[0]["lr"], wrapped.param_groups[0]["betas"][0]))
    assert len(set(seen)) > 4  # learning rate and momentum do cycle


def test_scheduler_made_before_wrapping_still_acts():
    model = network()
    base = torch.optim.SGD(model.parameters(), lr=0.5)
    scheduler = torch.optim.lr_scheduler.StepLR(base, 1, gamma=0.5)
    wrapped = OrthoGrad(base)
    assert step_length(model, wrapped) == pytest.approx(0.5, rel=1e-9)
    scheduler.step()
    assert step_length(model, wrapped) == pytest.approx(0.25, rel=1e-9)


def test_closure_runs_once_with_grad_and_its_gradients_are_the_ones_projected():
    model = network()
    wrapped = OrthoGrad(torch.optim.SGD(model.parameters(), lr=0.1))
    backward(model, step=7)  # stale gradients of another problem
    old = [p.detach().clone() for p in model.parameters()]
    calls = []

    def closure():
        calls.append(torch.is_grad_enabled())
        return backward(model)

    with torch.no_grad():
        loss = wrapped.step(closure)
    assert calls == [True] and loss.item() > 0
    reference = network()
    assert loss.item() == backward(reference).item()
    for p, o, r in zip(model.parameters(), old, reference.parameters(), strict=True):
        expected = 0.1 * restored(o, r.grad)
        assert np.abs((o - p.detach()).numpy() - expected).max() < 1e-12


def test_lbfgs_evaluates_a_closure_that_projects_and_refuses_to_run_without():
    model = network()
    wrapped = OrthoGrad(torch.optim.LBFGS(model.parameters(), lr=0.1, max_iter=4))
    with pytest.raises(ValueError, match="needs a closure"):
        wrapped.step()
    seen = []

    def closure():
        seen.append([p.detach().clone() for p in model.parameters()])
        return backward(model)

    first = wrapped.step(closure)
    assert len(seen) > 1 and backward(model) < first
    # The first L-BFGS step goes along the gradient it was given.
    for a, b in zip(*seen[:2], strict=True):
        assert abs(cosine(b - a, a)) < 1e-8


@pytest.mark.parametrize("base", ["AdamW", "fused", "fused SGD"])
def test_grad_scaler_unscales_before_the_projection_and_skips_on_inf(base):
    ours, plain = network(torch.float32), network(torch.float32)
    wrapped = OrthoGrad(BASES[base](ours.parameters()), restore_norm=False)
    unscaled = OrthoGrad(BASES[base](plain.parameters()), restore_norm=False)
    scaler = torch.amp.GradScaler(device="cpu", init_scale=2.0**10)
    for step in range(4):
        ours.zero_grad()
        x, y = draw(10, 6, seed=100 + 2 * step), draw(10, 3, seed=101 + 2 * step)
        loss = (ours(x) - y).square().mean()
        if step == 2:
            loss = loss * math.inf
        scaler.scale(loss).backward()
        before = [p.detach().clone() for p in ours.parameters()]
        scaler.step(wrapped)
        scaler.update()
        if step == 2:
            assert all(map(torch.equal, before, ours.parameters()))
            continue
        backward(plain, step)
        unscaled.step()
        for p, q in zip(ours.parameters(), plain.parameters(), strict=True):
            torch.testing.assert_close(p, q, rtol=1e-6, atol=1e-7)
            torch.testing.assert_close(p.grad, q.grad, rtol=1e-5, atol=1e-7)
    assert scaler.get_scale() == 2.0**9


def test_clipping_before_the_step_bounds_it():
    model = network()
    wrapped = OrthoGrad(torch.optim.SGD(model.parameters(), lr=1.0))
    old = [p.detach().clone() for p in model.parameters()]
    backward(model)
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1e-3)
    wrapped.step()
    moved = [p.detach() - o for p, o in zip(model.parameters(), old, strict=True)]
    assert math.sqrt(sum(m.square().sum().item() for m in moved)) == pytest.approx(1e-3, rel=1e-5)
    assert all(abs(cosine(m, o)) < 1e-9 for m, o in zip(moved, old, strict=True))


def test_group_with_orthogonal_false_is_left_alone_and_groups_keep_their_own_options():
    w = [torch.nn.Parameter(draw(5, seed=i, dtype=torch.float64)) for i in range(3)]
    g = [draw(5, seed=10 + i, dtype=torch.float64) for i in range(3)]
    old = [p.detach().clone() for p in w]
    wrapped = OrthoGrad(
        torch.optim.SGD([{"params": [w[0]]}, {"params": [w[1]], "orthogonal": False}], lr=0.1)
    )
    wrapped.add_param_group({"params": [w[2]], "lr": 0.01})
    for p, grad in zip(w, g, strict=True):
        p.grad = grad.clone()
    wrapped.step()
    expected = [0.1 * restored(old[0], g[0]), 0.1 * g[1].numpy(), 0.01 * restored(old[2], g[2])]
    for p, o, e in zip(w, old, expected, strict=True):
        assert np.abs((o - p.detach()).numpy() - e).max() < 1e-12
    assert torch.equal(w[1].grad, g[1])


def test_loading_the_bare_optimizers_state_keeps_the_orthogonal_flags():
    w = [torch.nn.Parameter(draw(5, seed=i)) for i in range(2)]
    bare = torch.optim.SGD([{"params": [p]} for p in w], lr=0.3)
    wrapped = OrthoGrad(
        torch.optim.SGD([{"params": [w[0]], "orthogonal": False}, {"params": [w[1]]}], lr=0.1)
    )
    wrapped.load_state_dict(bare.state_dict())
    assert [g.get("orthogonal", True) for g in wrapped.param_groups] == [False, True]
    assert [g["lr"] for g in wrapped.param_groups] == [0.3, 0.3]
    bare.load_state_dict(wrapped.state_dict())  # and the other way round


def test_parameters_without_gradient_are_skipped():
    w = [torch.nn.Parameter(draw(5, seed=i)) for i in range(2)]
    w[0].grad = draw(5, seed=9)
    old = [p.detach().clone() for p in w]
    OrthoGrad(torch.optim.SGD(w, lr=0.1)).step()
    assert w[1].grad is None and torch.equal(w[1], old[1]) and not torch.equal(w[0], old[0])


def test_hooks_fire_once_and_reach_the_wrapped_optimizer():
    model = network()
    wrapped = OrthoGrad(torch.optim.SGD(model.parameters(), lr=0.1))
    fired = []
    for kind in ("step_pre", "step_post", "state_dict_pre", "load_state_dict_post"):
        register = getattr(wrapped, f"register_{kind}_hook")
        register(lambda *a, kind=kind, **k: fired.append(kind))
    wrapped.register_state_dict_post_hook(lambda optimizer, state: {**state, "extra": 1})
    wrapped.register_load_state_dict_pre_hook(lambda o, state: fired.append(state["extra"]))
    backward(model)
    wrapped.step()
    wrapped.load_state_dict(wrapped.state_dict())
    want = ["step_pre", "step_post", "state_dict_pre", 1, "load_state_dict_post"]
    assert fired == want


def reload_by_state_dict(optimizer, model, build):
    buffer = io.BytesIO()
    torch.save({"o": optimizer.state_dict(), "m": model.state_dict()}, buffer)
    buffer.seek(0)
    saved = torch.load(buffer, weights_only=True)
    fresh = network(torch.float32, seed=5)
    fresh.load_state_dict(saved["m"])
    again = build(fresh)
    again.load_state_dict(saved["o"])
    return again, fresh


def reload_by_pickle(optimizer, model, build):
    return pickle.loads(pickle.dumps((optimizer, model)))


def reload_by_deepcopy(optimizer, model, build):
    return copy.deepcopy((optimizer, model))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("orthogonal", [True, False])
@pytest.mark.parametrize("reload", [reload_by_state_dict, reload_by_pickle, reload_by_deepcopy])
def test_a_reloaded_optimizer_continues_bit_for_bit(name, orthogonal, reload):
    def build(model):
        own = read_by(name, betas=(0.8, 0.9), momentum=0.7)
        return make_optimizer(
            model.parameters(), name, lr=0.02, weight_decay=0.1,
            orthogonal=orthogonal, restore_norm=False, **own,
        )  # fmt: skip

    model = network(torch.float32)
    optimizer = build(model)
    for step in range(10):
        backward(model, step)
        optimizer.step()
    again, copied = reload(optimizer, model, build)
    before = [p.detach().clone() for p in copied.parameters()]
    for step in range(10, 20):
        backward(model, step)
        optimizer.step()
    # Still where it was: the copy shares nothing with the original.
    assert all(map(torch.equal, before, copied.parameters()))
    for step in range(10, 20):
        backward(copied, step)
        again.step()
    assert all(map(torch.equal, model.parameters(), copied.parameters()))
    assert type(again) is type(optimizer)


def test_compiled_step_equals_the_eager_one():
    ours, plain = network(), network()
    # SGD: torch's own compiled Adam differs from its eager one by 1e-6 of a step.
    eager = OrthoGrad(BASES["SGD"](plain.parameters()))
    wrapped = OrthoGrad(BASES["SGD"](ours.parameters()))
    compiled = torch.compile(wrapped.step, backend="aot_eager")
    for step in range(3):
        backward(ours, step)
        compiled()
        backward(plain, step)
        eager.step()
    for p, q in zip(ours.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(p, q, rtol=1e-12, atol=1e-12)


# --- make_optimizer --------------------------------------------------------------------------


def by_definition(name, w, grads, *, lr, weight_decay, orthogonal, betas=None, eps=None,
                  momentum=None):  # fmt: skip
    """AdamW, Adam and SGD from their definitions in NumPy float64."""
    m, v, buffer = np.zeros_like(w), np.zeros_like(w), np.zeros_like(w)
    for t, g in enumerate(grads, start=1):
        g = restored(w, g) if orthogonal else g
        if name == "AdamW":
            w = w * (1 - lr * weight_decay)
        else:
            g = g + weight_decay * w
        if name == "SGD":
            buffer = momentum * buffer + g
            w = w - lr * buffer
            continue
        m, v = betas[0] * m + (1 - betas[0]) * g, betas[1] * v + (1 - betas[1]) * g * g
        w = w - lr * (m / (1 - betas[0] ** t)) / (np.sqrt(v / (1 - betas[1] ** t)) + eps)
    return w


CHANGES = [{}, {"lr": 0.03}, {"weight_decay": 0.5}, {"betas": (0.5, 0.99)}, {"betas": (0.9, 0.7)},
           {"eps": 0.1}, {"momentum": 0.4}]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "change"), [(n, c) for n in NAMES for c in CHANGES if read_by(n, **c) == c]
)
@pytest.mark.parametrize("orthogonal", [True, False])
def test_every_hyperparameter_acts_on_the_step_by_definition(name, orthogonal, change):
    values = {"lr": 0.1, "weight_decay": 0.0, "betas": (0.9, 0.999), "eps": 1e-3, "momentum": 0.0}
    values = read_by(name, **values)
    w = torch.nn.Parameter(draw(4, 3, dtype=torch.float64))
    grads = [draw(4, 3, dtype=torch.float64, seed=i) for i in range(1, 6)]
    start, arrays = w.detach().numpy().copy(), [g.numpy() for g in grads]
    default = by_definition(name, start, arrays, orthogonal=orthogonal, **values)
    values |= change
    expected = by_definition(name, start, arrays, orthogonal=orthogonal, **values)
    optimizer = make_optimizer([w], name, orthogonal=orthogonal, **values)
    for g in grads:
        w.grad = g.clone()
        optimizer.step()
    assert np.abs(w.detach().numpy() - expected).max() < 1e-10
    assert (np.abs(expected - default).max() > 1e-4) == bool(change)


@pytest.mark.parametrize(
    ("name", "change"), [(n, c) for n in NAMES for c in CHANGES if read_by(n, **c) != c]
)
def test_a_hyperparameter_that_an_optimizer_does_not_have_is_refused(name, change):
    (field, value), *_ = change.items()
    with pytest.raises(ValueError) as error:
        make_optimizer([torch.nn.Parameter(draw(3))], name, lr=0.1, **change)
    assert str(error.value) == f"{name} has no {field}, got {value}; leave it out"


class Plain(torch.optim.Optimizer):
    """An optimizer of one's own, with nothing that torch's have beside lr."""

    def __init__(self, params, lr):
        super().__init__(params, {"lr": lr})

    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            for p in group["params"]:
                p -= group["lr"] * p.grad


@pytest.mark.parametrize("orthogonal", [True, False])
@pytest.mark.parametrize("constructor", [Plain, torch.optim.Adagrad, torch.optim.RMSprop])
def test_any_constructor_of_an_optimizer_will_do(constructor, orthogonal):
    ours, plain = (torch.nn.Parameter(draw(4)) for _ in range(2))
    optimizer = make_optimizer([ours], constructor, lr=0.1, orthogonal=orthogonal)
    bare = constructor([plain], lr=0.1)
    assert isinstance(optimizer, OrthoGrad if orthogonal else constructor)
    for p in (ours, plain):
        p.grad = draw(4, seed=1)
    if orthogonal:
        orthogonal_projection_([plain], [plain.grad])
    optimizer.step()
    bare.step()
    torch.testing.assert_close(ours, plain, rtol=1e-6, atol=1e-6)


def test_restore_norm_reaches_the_projection():
    for restore_norm in (True, False):
        w = torch.nn.Parameter(draw(6, dtype=torch.float64))
        old, g = w.detach().clone(), draw(6, dtype=torch.float64, seed=1)
        w.grad = g.clone()
        make_optimizer([w], "SGD", lr=0.5, orthogonal=True, restore_norm=restore_norm).step()
        expected = 0.5 * (restored if restore_norm else equation)(old, g)
        assert np.abs((old - w.detach()).numpy() - expected).max() < 1e-12


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("eps", [1e-8, 1e-25, 1e-30])
def test_fused_steps_equal_the_single_tensor_ones_down_to_tiny_eps(name, dtype, eps):
    values = read_by(name, lr=0.01, weight_decay=0.1, momentum=0.8, betas=(0.9, 0.99), eps=eps)
    w, v = (torch.nn.Parameter(draw(500, dtype=dtype)) for _ in range(2))
    fused = make_optimizer([w], name, **values)
    assert fused.defaults["fused"]
    single = getattr(torch.optim, name)([v], foreach=False, **values)
    for step in range(20):
        # Gradients from 1 down to 1e-24: squares underflow in float32 and eps alone is left.
        magnitude = 10.0 ** -torch.linspace(0, 24, 500, dtype=torch.float64)
        w.grad = (draw(500, dtype=torch.float64, seed=step) * magnitude).to(dtype)
        v.grad = w.grad.clone()
        fused.step()
        single.step()
    assert torch.isfinite(w).all() and torch.equal(w.isnan(), v.isnan())
    # Where a weight has passed near zero only the rounding of its summands, of 0.01 and more, is
    # left: which of the two kernels rounds up differs from processor to processor.
    epsilon = torch.finfo(dtype).eps
    torch.testing.assert_close(w, v, rtol=20 * epsilon, atol=0.1 * epsilon)


def test_tiny_eps_is_added_as_given_not_rounded_away():
    for eps in (1e-25, 1e-30):
        w = torch.nn.Parameter(torch.zeros(4))
        w.grad = torch.full((4,), 1e-24)  # its square underflows: the step is lr * g / eps
        make_optimizer([w], "AdamW", lr=0.5, eps=eps).step()
        assert w[0].item() == pytest.approx(-0.5 * 1e-24 / eps, rel=1e-5)


def test_fused_is_used_for_real_tensors_and_left_where_torch_has_none():
    real, cplx = torch.nn.Parameter(draw(3)), torch.nn.Parameter(torch.zeros(3, dtype=torch.cfloat))
    for groups in ([real], [("w", real)], [{"params": real}], [{"params": iter([real])}]):
        optimizer = make_optimizer(groups, "Adam", lr=0.1)
        assert optimizer.param_groups[0]["fused"] and optimizer.param_groups[0]["params"] == [real]
    assert make_optimizer((p for p in [real]), "SGD", lr=0.1).defaults["fused"]
    real.grad, cplx.grad = draw(3, seed=1), torch.ones_like(cplx)
    optimizer = make_optimizer([real, cplx], "AdamW", lr=0.1, orthogonal=True)
    assert not optimizer.defaults["fused"]
    optimizer.step()
    assert torch.count_nonzero(cplx) == 3


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("name", NAMES)
def test_low_precision_weights_are_trained_to_a_lower_loss(dtype, name):
    model = network(dtype)
    lr = 0.5 if name == "SGD" else 0.02
    own = read_by(name, eps=1e-4)
    optimizer = make_optimizer(model.parameters(), name, lr=lr, orthogonal=True, **own)
    losses = []
    for _ in range(30):
        losses.append(backward(model).item())
        optimizer.step()
    assert losses[-1] < 0.9 * losses[0]


def test_eps_that_vanishes_in_the_parameters_dtype_is_refused_with_the_remedy():
    half, single = (torch.nn.Parameter(draw(3, dtype=d)) for d in (torch.float16, torch.float32))
    brain = torch.nn.Parameter(draw(3, dtype=torch.bfloat16))
    refused = [([half], eps) for eps in (1e-25, 1e-8, 0.0)]
    refused += [([single, half], 1e-25), ([single], 1e-46), ([single], 0.0)]
    refused += [([{"params": [half], "eps": 1e-25}], 1e-4)]  # a group's own eps
    for params, eps in refused:
        for name in ("AdamW", "Adam"):
            with pytest.raises(ValueError, match="eps") as error:
                make_optimizer(params, name, lr=0.1, eps=eps)
            assert "\n" not in str(error.value)
    with pytest.raises(ValueError, match=r"1e-25 .*float16.*use eps of at least 6e-08 or"):
        make_optimizer([half], "AdamW", lr=0.1, eps=1e-25)
    for params, eps in [([half], 1e-7), ([single], 1e-30), ([single], 1e-44), ([brain], 1e-30)]:
        make_optimizer(params, "AdamW", lr=0.1, eps=eps)


@pytest.mark.parametrize(
    "bad",
    [{"name": "adamw"}, {"name": "Muon"}, {"lr": 0.0}, {"lr": -1.0}, {"lr": math.inf},
     {"lr": math.nan}, {"weight_decay": -0.1}, {"weight_decay": math.nan}, {"betas": (1.0, 0.9)},
     {"betas": (0.9, -0.1)}, {"betas": (0.9,)}, {"betas": (0.9, math.nan)}, {"eps": -1e-8},
     {"eps": math.nan}, {"momentum": 1.0}, {"momentum": -0.1}, {"momentum": math.nan}],
)  # fmt: skip
def test_values_out_of_range_are_refused_in_one_line_that_names_them(bad):
    arguments = {"name": "SGD", "lr": 0.1} | bad
    (field, value), *_ = bad.items()
    with pytest.raises(ValueError) as error:
        make_optimizer([torch.nn.Parameter(draw(3))], arguments.pop("name"), **arguments)
    message = str(error.value)
    assert "\n" not in message and str(value) in message
    assert "AdamW, Adam, SGD" in message if field == "name" else message.startswith(field)


# --- the schedule of B.2 ---------------------------------------------------------------------


@pytest.mark.parametrize("orthogonal", [True, False])
def test_grad_norm_lr_divides_the_rate_and_leaves_raw_gradients_in_the_buffer(orthogonal):
    ws = [torch.nn.Parameter(draw(*s, dtype=torch.float64)) for s in SHAPES]
    mine = [w.detach().numpy().copy() for w in ws]
    buffers = [np.zeros(s) for s in SHAPES]
    optimizer = make_optimizer(ws, "SGD", lr=3.0, momentum=0.8, orthogonal=orthogonal)
    schedule = GradNormLR(optimizer)
    for t in range(1, 6):
        grads = [draw(*s, dtype=torch.float64, seed=10 * t + i, scale=2.0**t).numpy()
                 for i, s in enumerate(SHAPES)]  # fmt: skip
        norm = math.sqrt(sum((g**2).sum() for g in grads))
        for i, g in enumerate(grads):
            ws[i].grad = torch.from_numpy(g.copy())
            buffers[i] = 0.8 * buffers[i] + (restored(mine[i], g) if orthogonal else g)
            mine[i] = mine[i] - 3.0 / norm * buffers[i]
        schedule.step()
        optimizer.step()
        for w, m in zip(ws, mine, strict=True):
            assert np.abs(w.detach().numpy() - m).max() < 1e-10


def test_grad_norm_lr_keeps_each_groups_own_eta_and_acts_under_adam():
    a, b = (torch.nn.Parameter(draw(3, dtype=torch.float64, seed=i)) for i in range(2))
    optimizer = make_optimizer([{"params": [a]}, {"params": [b], "lr": 0.5}], "Adam", lr=2.0)
    schedule = GradNormLR(optimizer)
    for value in (3.0, 3.0):
        old = [a.detach().clone(), b.detach().clone()]
        a.grad, b.grad = torch.full_like(a, value), torch.full_like(b, value)
        schedule.step()
        optimizer.step()
        norm = math.sqrt(6) * value
        # Adam's step under a constant gradient is the learning rate itself.
        torch.testing.assert_close(old[0] - a, torch.full_like(a, 2.0 / norm), rtol=1e-6, atol=0)
        torch.testing.assert_close(old[1] - b, torch.full_like(b, 0.5 / norm), rtol=1e-6, atol=0)


@pytest.mark.parametrize("name", NAMES)
def test_grad_norm_lr_stands_still_at_a_zero_gradient_and_goes_on_after(name):
    w = torch.nn.Parameter(draw(4))
    optimizer = make_optimizer([w], name, lr=0.1, **read_by(name, momentum=0.8))
    schedule = GradNormLR(optimizer)
    for zero in (False, True, True, False):
        old = w.detach().clone()
        w.grad = torch.zeros(4) if zero else draw(4, seed=1)
        schedule.step()
        optimizer.step()
        assert torch.isfinite(w).all() and torch.equal(old, w) == zero


def test_grad_norm_lr_stays_finite_and_right_at_tiny_gradients():
    w = torch.nn.Parameter(torch.zeros(4))
    optimizer = make_optimizer([w], "SGD", lr=0.5)
    schedule = GradNormLR(optimizer)
    w.grad = torch.full((4,), 1e-30)  # squares underflow in float32
    schedule.step()
    assert optimizer.param_groups[0]["lr"].item() == pytest.approx(0.5 / 2e-30, rel=1e-6)
    optimizer.step()
    assert w[0].item() == pytest.approx(-0.25, rel=1e-5)


def test_grad_norm_lr_that_would_overflow_is_the_largest_finite_number():
    w = torch.nn.Parameter(torch.zeros(1, dtype=torch.float64))
    optimizer = make_optimizer([w], "SGD", lr=1e300)
    w.grad = torch.full_like(w, 1e-100)
    GradNormLR(optimizer).step()
    assert optimizer.param_groups[0]["lr"].item() == torch.finfo(torch.float64).max


def test_grad_norm_lr_leaves_groups_without_parameters_alone():
    w = torch.nn.Parameter(draw(4))
    optimizer = torch.optim.SGD([{"params": []}, {"params": [w]}], lr=0.5)
    w.grad = torch.full((4,), 2.0)
    GradNormLR(optimizer).step()
    assert [float(g["lr"]) for g in optimizer.param_groups] == [0.5, 0.125]


def test_grad_norm_lr_starts_from_a_tensor_learning_rate_without_consuming_it():
    w = torch.nn.Parameter(draw(4, dtype=torch.float64))
    optimizer = torch.optim.SGD([w], lr=torch.tensor(2.0, dtype=torch.float64), fused=True)
    schedule = GradNormLR(optimizer)
    for _ in range(3):
        w.grad = torch.full_like(w, 5.0)
        schedule.step()
        assert optimizer.param_groups[0]["lr"].item() == pytest.approx(0.2, rel=1e-12)


def test_grad_norm_lr_resumes_bit_for_bit_from_the_optimizers_state_alone():
    def build(model):
        optimizer = make_optimizer(model.parameters(), "SGD", lr=0.3, momentum=0.8, orthogonal=True)
        return optimizer, GradNormLR(optimizer)

    model = network(torch.float32)
    optimizer, schedule = build(model)
    for step in range(5):
        backward(model, step), schedule.step(), optimizer.step()
    again, copied = reload_by_state_dict(optimizer, model, lambda m: build(m)[0])
    continued = GradNormLR(again)
    for step in range(5, 10):
        backward(model, step), schedule.step(), optimizer.step()
        backward(copied, step), continued.step(), again.step()
    assert all(map(torch.equal, model.parameters(), copied.parameters()))


def test_gradient_norm_is_the_norm_of_all_tensors_together():
    ps = [torch.nn.Parameter(draw(*s)) for s in SHAPES]
    assert gradient_norm(ps) is None
    for i, p in enumerate(ps[:2]):
        p.grad = draw(*p.shape, seed=i)
    ps.append(torch.nn.Parameter(torch.zeros(2, dtype=torch.cfloat)))
    ps[-1].grad = torch.tensor([3 + 4j, 0])
    ps.append(torch.nn.Parameter(torch.zeros(3)))
    ps[-1].grad = torch.sparse_coo_tensor(
        [[1, 1]], [2.0, 3.0], (3,), check_invariants=True
    )  # one entry of 5
    expected = math.sqrt(sum((ps[i].grad.double() ** 2).sum().item() for i in (0, 1)) + 25 + 25)
    assert gradient_norm(ps).item() == pytest.approx(expected, rel=1e-12)
    magnitudes = sum(ps[i].grad.double().abs().sum().item() for i in (0, 1)) + 7 + 5
    assert gradient_norm(ps, 1).item() == pytest.approx(magnitudes, rel=1e-12)


# --- no synchronisation ----------------------------------------------------------------------


class NoSync(TorchDispatchMode):
    """Raise wherever the host would read a value off the device."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if func is torch.ops.aten._local_scalar_dense.default:
            raise AssertionError("a tensor's value was read on the host")
        return func(*args, **(kwargs or {}))


def test_the_synchronisation_detector_detects():
    for read in (lambda t: t.item(), lambda t: bool(t > 0), lambda t: float(t)):
        with pytest.raises(AssertionError, match="read on the host"), NoSync():
            read(torch.ones(()))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("restore_norm", [True, False])
@pytest.mark.parametrize("dtype", DTYPES)
def test_a_step_reads_no_value_on_the_host(name, restore_norm, dtype):
    model = network(dtype)
    own = read_by(name, eps=1e-4, momentum=0.8)
    optimizer = make_optimizer(
        model.parameters(), name, lr=0.01, orthogonal=True, restore_norm=restore_norm, **own
    )
    schedule = GradNormLR(optimizer)
    for step in range(3):
        backward(model, step)
        with NoSync():
            schedule.step()
            optimizer.step()


def test_projection_and_schedule_need_no_data_at_all():
    # On the meta device any way of reading a value (item, cpu, numpy, tolist, nonzero) fails.
    w = torch.nn.Parameter(torch.empty(4, 3, device="meta"))
    w.grad = torch.empty(4, 3, device="meta")
    optimizer = OrthoGrad(torch.optim.SGD([w], lr=0.1))
    orthogonal_projection_([w], [w.grad])
    GradNormLR(optimizer).step()
    lr = optimizer.param_groups[0]["lr"]
    assert lr.device.type == "meta" and lr.dtype == torch.float32  # what a device's kernels read
    first = lr
    GradNormLR(optimizer).step()
    assert optimizer.param_groups[0]["lr"] is first  # written in place for captured graphs
