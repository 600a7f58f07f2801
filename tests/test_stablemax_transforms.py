"""Derivatives of every order, torch.func, compile, export, meta and distributed tensors.

Oracles: finite differences of 250 digits, and the losses in torch's own plain operations.
"""

import copy
import functools
import itertools
import pickle
import random

import mpmath
import pytest
import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch.autograd import forward_ad
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor import Replicate, Shard, distribute_tensor
from torch.func import grad, hessian, jacfwd, jacrev, jvp, vmap
from torch.testing import assert_close

from stablemax import (
    SoftmaxCrossEntropy,
    StableMax,
    StableMaxCrossEntropy,
    log_stablemax,
    softmax_cross_entropy,
    stablemax,
    stablemax_cross_entropy,
)

DTYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


def as_softmax_logits(z):
    """Proposition 1: StableMax of z is the softmax of this (autograd is right except at 0)."""
    return torch.copysign(z.abs().log1p(), z)


LOSSES = {
    "stablemax": (stablemax_cross_entropy, as_softmax_logits),
    "softmax": (softmax_cross_entropy, lambda z: z),
}
both = pytest.mark.parametrize("loss, to_softmax", LOSSES.values(), ids=LOSSES)
every_precision = pytest.mark.parametrize("precision", DTYPES, ids=str)
Z = torch.randn(6, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 3
Y = torch.tensor([0, 4, 2, 1, 1, 3])


# --- the regime that the loss exists for: the label far above the others ---


def exact_derivatives(row, smoothing):
    """Loss of label 0, its gradient and Hessian, by finite differences of 250 digits."""

    @functools.cache
    def loss(moves):
        z = [mpmath.mpf(v) + m * s for v, m, s in zip(row, moves, steps, strict=True)]
        s = [1 + v if v >= 0 else 1 / (1 - v) for v in z]
        logs = [mpmath.log(mpmath.fsum(s)) - mpmath.log(v) for v in s]
        return (1 - smoothing) * logs[0] + smoothing * mpmath.fsum(logs) / len(row)

    def moved(*moves):
        total = [0] * len(row)
        for k, by in moves:
            total[k] += by
        return loss(tuple(total))

    with mpmath.workdps(250):
        smoothing, classes = mpmath.mpf(smoothing), range(len(row))
        steps = [mpmath.mpf(10) ** -50 * (1 + abs(mpmath.mpf(v))) for v in row]
        first = [(moved((k, 1)) - moved((k, -1))) / (2 * steps[k]) for k in classes]
        second = [
            sum(a * b * moved((k, a), (j, b)) for a in (1, -1) for b in (1, -1))
            / (4 * steps[k] * steps[j])
            for k in classes
            for j in classes
        ]
        return loss((0,) * len(row)), first, second


def extreme_rows(dtype):
    big = min(torch.finfo(dtype).max / 4, 1e30)
    values = [v for a in (0.3, 1.0, 50.0, 1e6, 1e17, big) for v in (a, -a) if a <= big]
    make = random.Random(0)
    rows = [make.choices(values, k=4) for _ in range(20)]
    rows += [[label, 1e-3, -5.0, 0.5] for label in (1e17, 1e15, 1e8, 300.0) if label <= big]
    return torch.tensor(rows, dtype=dtype)


@pytest.mark.parametrize("smoothing", [0.0, 0.25])
@every_precision
def test_first_and_second_derivatives_are_exact_to_rounding_at_any_loss(precision, smoothing):
    rows = extreme_rows(precision)
    exact = [exact_derivatives(row, smoothing) for row in rows.tolist()]
    logits, labels = rows.clone().requires_grad_(), torch.zeros(len(rows), dtype=torch.long)

    def loss(z):
        options = {"precision": precision, "label_smoothing": smoothing}
        return stablemax_cross_entropy(z, labels, reduction="none", **options)

    first = torch.autograd.grad(loss(logits).sum(), logits, create_graph=True)[0]
    functional = grad(lambda z: loss(z).sum())(rows)
    second = torch.stack(
        [torch.autograd.grad(g.sum(), logits, retain_graph=True)[0] for g in first.unbind(1)], 1
    )
    info = torch.finfo(precision)
    for i, row in enumerate(rows.tolist()):
        slopes = [1 / (1 + abs(mpmath.mpf(v))) for v in row]
        # A smoothed label's gradient is a difference: relative to what is subtracted.
        scales = [smoothing * a for a in slopes]
        squares = [a * b if a is b else 0 for a in scales for b in slopes]
        for ours, truths, scale in (
            (first[i], exact[i][1], scales),
            (functional[i], exact[i][1], scales),
            (second[i].flatten(), exact[i][2], squares),
        ):
            for value, truth, room in zip(ours.tolist(), truths, scale, strict=True):
                allowed = 8 * info.eps * max(abs(truth), room) + info.tiny * max(info.eps, 1e-3)
                assert abs(value - truth) <= allowed, (row, value, float(truth))


@pytest.mark.parametrize("label, expected", [(1e17, -2.667e-34), (1e15, -2.667e-30)])
@pytest.mark.parametrize("precision", DTYPES[2:], ids=str)
def test_the_labels_gradient_is_not_absorbed_under_create_graph(label, expected, precision):
    logits = torch.tensor([[label, 0.0, -5.0, 0.5]], dtype=precision, requires_grad=True)
    loss = stablemax_cross_entropy(logits, torch.tensor([0]), precision=precision)
    for again in (True, False):
        first = torch.autograd.grad(loss, logits, create_graph=again, retain_graph=True)[0]
        assert first[0, 0].item() == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize("label", [1e15, 30.0, -2.0])
def test_the_third_derivative_keeps_its_digits(label):
    others = [0.25, -5.0, 0.5]
    rest = sum(1 + v if v >= 0 else 1 / (1 - v) for v in others)

    def exact(z):
        return mpmath.log(1 + rest / (1 + z if z >= 0 else 1 / (1 - z)))

    z = torch.tensor(label, dtype=torch.float64, requires_grad=True)
    logits = torch.cat([z[None], torch.tensor(others, dtype=torch.float64)])
    value = stablemax_cross_entropy(logits, torch.tensor(0))
    for _ in range(3):
        value = torch.autograd.grad(value, z, create_graph=True)[0]
    with mpmath.workdps(200):
        truth = mpmath.diff(exact, mpmath.mpf(label), 3)
    assert value.item() == pytest.approx(float(truth), rel=1e-13)


# --- torch.func: both losses, every precision ---


def dual(f, z, tangent):
    with forward_ad.dual_level():
        return forward_ad.unpack_dual(f(forward_ad.make_dual(z, tangent))).tangent


TRANSFORMS = {  # name -> of a function of logits to a scalar, and logits
    "grad": lambda f, z: grad(f)(z),
    "jacrev": lambda f, z: jacrev(f)(z),
    "jacfwd": lambda f, z: jacfwd(f)(z),
    "jvp": lambda f, z: jvp(f, (z,), (z.cos(),))[1],
    "forward mode": lambda f, z: dual(f, z, z.cos()),
    "hessian": lambda f, z: hessian(f)(z),
    "forward twice": lambda f, z: jacfwd(jacfwd(f))(z),
    "backward twice": lambda f, z: jacrev(jacrev(f))(z),
    "hessian-vector": lambda f, z: jvp(grad(f), (z,), (z.cos(),))[1],
    "gradient penalty": lambda f, z: grad(lambda x: grad(f)(x).square().sum())(z),
}


@both
@every_precision
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_transforms_equal_those_of_plain_operations(loss, to_softmax, precision, smoothing):
    rounded = Z.to(precision).double()

    def plain(z):
        return F.cross_entropy(to_softmax(z), Y, label_smoothing=smoothing)

    def ours(z):
        return loss(z, Y, precision=precision, label_smoothing=smoothing)

    eps = torch.finfo(precision).eps
    for name, transform in TRANSFORMS.items():
        expected = transform(plain, rounded)
        found = transform(ours, rounded).double()
        assert_close(found, expected, rtol=8 * eps, atol=16 * eps * expected.abs().max(), msg=name)


@both
@every_precision
def test_a_batched_loss_equals_a_loop_over_single_examples(loss, to_softmax, precision):
    z, options = Z.float(), {"precision": precision, "label_smoothing": 0.1}

    def single(row, label, **more):
        return loss(row, label, **options, **more)

    rows = [row.clone().requires_grad_() for row in z]
    values = [single(row, label) for row, label in zip(rows, Y, strict=True)]
    grads = torch.stack([torch.autograd.grad(v, r)[0] for v, r in zip(values, rows, strict=True)])
    values = torch.stack(values).detach()
    info = torch.finfo(precision)
    close = functools.partial(assert_close, rtol=4 * info.eps, atol=4 * info.tiny)
    close(vmap(single)(z, Y), values)
    close(vmap(grad(single))(z, Y), grads)
    close(vmap(single, in_dims=(1, 0))(z.T, Y), values)
    if loss is stablemax_cross_entropy or precision in DTYPES[:2]:  # else torch itself cannot
        close(vmap(single, in_dims=(None, 0))(z[0], Y), torch.stack([single(z[0], t) for t in Y]))
    folded = z.reshape(2, 3, 5), Y.reshape(2, 3)
    for reduction, ignored in itertools.product(("none", "mean", "sum"), (-100, 1)):
        part = functools.partial(single, reduction=reduction, ignore_index=ignored)
        expected = [part(*pair) for pair in zip(*folded, strict=True)]
        close(vmap(part)(*folded), torch.stack(expected))
    with pytest.raises(ValueError, match="targets do not fit logits of 5 classes; use 0 to 4"):
        vmap(single)(z, Y + 1)


@pytest.mark.parametrize(
    "function, plain", [(stablemax, F.softmax), (log_stablemax, F.log_softmax)]
)
@pytest.mark.parametrize("dim", [0, 1, 2, -1])
def test_stablemax_is_differentiable_along_every_dimension(function, plain, dim):
    z = Z[:, :4].reshape(4, 2, 3)

    def of(function):
        return lambda x: function(x, dim)

    def scalar(f):
        return lambda x: (f(x) * z.cos()).sum()

    ours, theirs = of(function), lambda x: plain(as_softmax_logits(x), dim)
    leaf = z.clone().requires_grad_()
    options = {"check_batched_grad": True}
    forward = {"check_forward_ad": True, "check_batched_forward_grad": True}
    assert torch.autograd.gradcheck(ours, leaf, **options, **forward)
    assert torch.autograd.gradgradcheck(ours, leaf, **options)
    for name, transform in TRANSFORMS.items():
        expected = transform(scalar(theirs), z)
        assert_close(transform(scalar(ours), z), expected, rtol=1e-12, atol=1e-12, msg=name)
    within = [d for d in range(3) if d != dim % 3]
    for batch in within:
        inner = dim if dim < 0 and batch != 2 else dim % 3 - (batch < dim % 3)
        batched = vmap(lambda x, inner=inner: function(x, inner), batch, batch)(z)
        assert_close(batched, theirs(z), rtol=1e-12, atol=0)


@pytest.mark.parametrize(
    "loss, precision",
    [(stablemax_cross_entropy, torch.float64), (softmax_cross_entropy, torch.float16)],
)
def test_compiled_nested_transforms_equal_eager_ones(loss, precision):
    torch._dynamo.reset()

    def transformed(z):
        return TRANSFORMS["gradient penalty"](lambda x: loss(x, Y, precision=precision), z)

    eps, expected = torch.finfo(precision).eps, transformed(Z)
    found = torch.compile(transformed, backend="aot_eager", fullgraph=True)(Z)
    assert expected.abs().max() > 1e-3
    assert_close(found, expected, rtol=8 * eps, atol=eps)


# --- meta tensors, export, distributed tensors, nothing at all ---


@both
@every_precision
def test_meta_tensors_give_shapes_and_dtypes(loss, to_softmax, precision):
    logits = torch.zeros(6, 5, 2, device="meta", requires_grad=True)
    targets = torch.zeros(6, 2, dtype=torch.long, device="meta")
    out = loss(logits, targets, precision=precision, reduction="none", label_smoothing=0.1)
    out.sum().backward()
    assert (out.device.type, out.dtype, out.shape) == ("meta", precision, (6, 2))
    assert (logits.grad.dtype, logits.grad.shape) == (torch.float32, (6, 5, 2))
    assert stablemax(logits, 1).shape == log_stablemax(logits, 1).shape == (6, 5, 2)


@pytest.mark.parametrize(
    "precision, strict", [(torch.float16, False), (torch.float64, False), (torch.float64, True)]
)
@pytest.mark.parametrize("built", [StableMaxCrossEntropy, SoftmaxCrossEntropy])
def test_an_exported_loss_has_the_loss_and_the_gradient(built, precision, strict):
    criterion = built(precision=precision, label_smoothing=0.1)
    exported = torch.export.export(criterion, (Z, Y), strict=strict).module()
    found = []
    for loss in (criterion, exported):
        leaf = Z.clone().requires_grad_()
        out = loss(leaf, Y)
        out.backward()
        found.append((out.detach(), leaf.grad))
    eps = torch.finfo(precision).eps
    assert_close(found[1], found[0], rtol=4 * eps, atol=eps)


@pytest.fixture(params=[("gloo", 1), ("fake", 2)], ids=["one process", "half of two"])
def mesh(request):
    """A mesh of one process, and one of two whose other half answers nothing."""
    backend, size = request.param
    if backend == "fake":
        from torch.testing._internal.distributed.fake_pg import FakeStore as Store
    else:
        Store = dist.HashStore
    dist.init_process_group(backend, store=Store(), rank=0, world_size=size)
    yield init_device_mesh("cpu", (size,))
    dist.destroy_process_group()


@both
@pytest.mark.parametrize("precision", [torch.float16, torch.float64], ids=str)
def test_distributed_logits_give_the_loss_and_the_gradient(mesh, loss, to_softmax, precision):
    placements = [(Shard(0), Shard(0)), (Replicate(), Replicate()), (Shard(1), Replicate())]
    for reduction, (of_logits, of_targets) in itertools.product(("mean", "none"), placements):
        logits, leaf = distribute_tensor(Z, mesh, [of_logits]), Z.clone()
        targets = distribute_tensor(Y, mesh, [of_targets])
        found = []
        for z, y in ((leaf, Y), (logits, targets)):
            out = loss(z.requires_grad_(), y, precision=precision, reduction=reduction)
            out.sum().backward()
            found.append((out.detach(), z.grad))
        out, gradient = (tensor.full_tensor() for tensor in found[1])
        assert out.shape == found[0][0].shape
        if mesh.size() == 1:
            eps = torch.finfo(precision).eps
            assert_close((out, gradient), found[0], rtol=4 * eps, atol=4 * eps)


def test_no_classes_and_no_examples_are_as_in_torch():
    for shape in ((3, 0), (0, 3), (0,)):
        for ours, theirs in ((stablemax, F.softmax), (log_stablemax, F.log_softmax)):
            leaf = torch.zeros(shape, requires_grad=True)
            out = ours(leaf, -1, dtype=torch.float16)
            assert torch.equal(out, theirs(leaf, -1, dtype=torch.float16))
            out.sum().backward()
            assert leaf.grad.shape == shape
    with pytest.raises(IndexError, match="Dimension out of range"):
        stablemax(torch.zeros(3, 0), 2)
    for loss, _ in LOSSES.values():
        with pytest.raises(ValueError, match="C >= 1"):
            loss(torch.zeros(3, 0), torch.zeros(3, dtype=torch.long))
        none = loss(torch.zeros(2, 3, 0), torch.zeros(2, 0, dtype=torch.long), reduction="none")
        assert none.shape == (2, 0)


# --- the modules ---

SET = {"precision": torch.bfloat16, "ignore_index": 1, "reduction": "sum", "label_smoothing": 0.3}
WRONG = {"precision": torch.int8, "reduction": "avg", "label_smoothing": 2.0}


@pytest.mark.parametrize("built", [StableMaxCrossEntropy, SoftmaxCrossEntropy])
def test_options_of_a_module_are_attributes_and_setting_one_takes_effect(built):
    for name, value in SET.items():
        criterion, given = built(), built(**{name: value})
        before = criterion(Z, Y)
        assert getattr(criterion, name) != value == getattr(given, name)
        setattr(criterion, name, value)
        assert f"{name}={value}" in repr(criterion)
        for twin in (criterion, copy.deepcopy(criterion), pickle.loads(pickle.dumps(criterion))):
            after = twin(Z, Y)
            assert torch.equal(after, given(Z, Y))
            assert (after.dtype, after.item()) != (before.dtype, before.item())
    for name, value in WRONG.items():
        criterion = built()
        setattr(criterion, name, value)
        with pytest.raises(ValueError, match=f"{name} is .*; choose"):
            criterion(Z, Y)


def test_stablemaxs_dimension_is_an_attribute():
    layer = StableMax()
    layer.dim = 0
    assert torch.equal(layer(Z), stablemax(Z, 0))
