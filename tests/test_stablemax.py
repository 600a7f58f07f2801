"""StableMax and softmax cross-entropy against exact rational arithmetic and against torch's own."""

import itertools
from decimal import Decimal, localcontext
from fractions import Fraction

import pytest
import torch
import torch.nn.functional as F
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode

import stablemax as module
from stablemax import (
    SoftmaxCrossEntropy,
    StableMax,
    StableMaxCrossEntropy,
    cross_entropy_gradient,
    log_stablemax,
    softmax_cross_entropy,
    stablemax_cross_entropy,
)
from training.losses import torch_cross_entropy

DTYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
FULL = (torch.float32, torch.float64)


def as_softmax_logits(z):
    """Proposition 1: StableMax of z is the softmax of this (autograd is right except at 0)."""
    return torch.copysign(z.abs().log1p(), z)


# The loss, and the function that turns its logits into those of torch's softmax.
LOSSES = {
    "stablemax": (stablemax_cross_entropy, as_softmax_logits),
    "softmax": (softmax_cross_entropy, lambda z: z),
}


def both(names=tuple(LOSSES)):
    return pytest.mark.parametrize("loss, to_softmax", [LOSSES[n] for n in names], ids=names)


def batch(*shape, dtype=torch.float32, scale=4.0, seed=0):
    """Random logits of this shape, and random targets over dimension 1."""
    make = torch.Generator().manual_seed(seed)
    logits = (torch.randn(shape, generator=make, dtype=torch.float64) * scale).to(dtype)
    targets = torch.randint(0, shape[1], shape[:1] + shape[2:], generator=make)
    return logits.requires_grad_(), targets


def gradient(loss, logits):
    return torch.autograd.grad(loss, logits)[0]


# --- exact reference: StableMax is a rational function, so Fractions know it without rounding ---


def exact_s(z):
    return z + 1 if z >= 0 else 1 / (1 - z)


def exact_row(row, label):
    """Exact probabilities and gradient of -log p_label, and that loss to 40 digits."""
    z = [Fraction(value) for value in row]
    s = [exact_s(value) for value in z]
    p = [value / sum(s) for value in s]
    grad = [(p[k] - (k == label)) / (1 + abs(z[k])) for k in range(len(z))]
    odds = (sum(s) - s[label]) / s[label]
    with localcontext() as context:
        context.prec = 40
        ratio = Decimal(odds.numerator) / Decimal(odds.denominator)
        loss = ratio - ratio * ratio / 2 if ratio < Decimal("1e-25") else (1 + ratio).ln()
    return p, grad, Fraction(loss)


def special_logits(dtype):
    info = torch.finfo(dtype)
    values = [0.0, 1.0, 1e-8, 0.3, 50.0, info.max] + [1e6] * (info.max > 1e6)
    values = torch.tensor(values, dtype=dtype).tolist()
    return sorted({v for value in values for v in (value, -value)})


def assert_close_to_exact(ours, exact, dtype, units):
    """|ours - exact| is at most `units` epsilons of exact, or of the smallest subnormal number."""
    info = torch.finfo(dtype)
    floor = Fraction(info.tiny) * Fraction(info.eps)
    for value, truth in zip(ours, exact, strict=True):
        error = abs(Fraction(value) - truth)
        assert error <= units * (Fraction(info.eps) * abs(truth) + floor), (value, float(truth))


@pytest.fixture(scope="module")
def special_rows():
    """Every row of three special logits in every dtype, with its exact values for label 0."""
    table = {}
    for dtype in DTYPES:
        rows = list(itertools.product(special_logits(dtype), repeat=3))
        table[dtype] = (torch.tensor(rows, dtype=dtype), [exact_row(row, 0) for row in rows])
    return table


# Half precision is float32 rounded once, so within one epsilon; the others accumulate a few.
UNITS = {torch.float16: 1, torch.bfloat16: 1, torch.float32: 6, torch.float64: 6}


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_stablemax_loss_and_gradient_are_exact_to_rounding_at_special_logits(special_rows, dtype):
    rows, exact = special_rows[dtype]
    logits = rows.clone().requires_grad_()
    loss = stablemax_cross_entropy(
        logits, torch.zeros(len(rows), dtype=torch.long), reduction="none", precision=dtype
    )
    assert_close_to_exact(loss.tolist(), [row[2] for row in exact], dtype, UNITS[dtype])
    flat = [value for row in exact for value in row[1]]
    grad = gradient(loss.sum(), logits)
    assert_close_to_exact(grad.flatten().tolist(), flat, dtype, UNITS[dtype])


def test_stablemax_in_float64_is_exact_to_rounding_at_float32_extremes(special_rows):
    rows, exact = special_rows[torch.float32]
    logits = rows.clone().requires_grad_()
    targets = torch.zeros(len(rows), dtype=torch.long)
    loss = stablemax_cross_entropy(logits, targets, reduction="none")
    assert_close_to_exact(loss.tolist(), [row[2] for row in exact], torch.float64, 6)
    grad = gradient(loss.sum(), logits)
    assert grad.dtype == torch.float32
    flat = [value for row in exact for value in row[1]]
    assert_close_to_exact(grad.flatten().tolist(), flat, torch.float32, 1)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_probabilities_and_their_logarithm_are_exact_to_rounding(special_rows, dtype):
    rows, exact = special_rows[dtype]
    p = [value for row in exact for value in row[0]]
    assert_close_to_exact(module.stablemax(rows).flatten().tolist(), p, dtype, UNITS[dtype])
    ours = log_stablemax(rows)[:, 0].tolist()
    for value, (_, _, loss) in zip(ours, exact, strict=True):  # log p near 0 is absorbed: absolute
        allowed = UNITS[dtype] * Fraction(torch.finfo(dtype).eps) * max(loss, 1)
        assert abs(Fraction(value) + loss) <= allowed


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("function", [module.stablemax, log_stablemax])
def test_gradient_of_stablemax_itself_is_exact_to_rounding(special_rows, function, dtype):
    rows, exact = special_rows[dtype]
    logits = rows.clone().requires_grad_()
    grad = gradient(function(logits)[:, 0].sum(), logits)
    eps = Fraction(torch.finfo(dtype).eps)
    for ours, row, (p, loss_grad, _) in zip(grad.tolist(), rows.tolist(), exact, strict=True):
        outer = p[0] if function is module.stablemax else 1  # dp = p dlog p
        for value, z, truth in zip(ours, row, loss_grad, strict=True):
            slope = outer / (1 + abs(Fraction(z)))  # 1 - p is absorbed: relative to the slope
            allowed = 8 * eps * slope + Fraction(torch.finfo(dtype).tiny) * eps
            assert abs(Fraction(value) + outer * truth) <= allowed


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_a_row_of_113_classes_is_exact_to_rounding(dtype):
    logits, targets = batch(8, 113, dtype=dtype, scale=20.0)
    loss = stablemax_cross_entropy(logits, targets, reduction="none", precision=dtype)
    grad = gradient(loss.sum(), logits)
    for i, label in enumerate(targets.tolist()):
        _, exact_grad, exact_loss = exact_row(logits[i].tolist(), label)
        assert_close_to_exact([loss[i].item()], [exact_loss], dtype, UNITS[dtype] + 2)
        assert_close_to_exact(grad[i].tolist(), exact_grad, dtype, UNITS[dtype] + 2)


@pytest.mark.parametrize("label", [-5e37, 5e37])
def test_many_classes_at_an_extreme_label_logit_are_exact_to_rounding(label):
    row = [label, *torch.linspace(-3, 3, 112).tolist()]
    logits, targets = torch.tensor([row], requires_grad=True), torch.tensor([0])
    _, exact_grad, exact_loss = exact_row(logits[0].tolist(), 0)
    loss = stablemax_cross_entropy(logits, targets, precision=torch.float32)
    assert_close_to_exact([loss.item()], [exact_loss], torch.float32, 6)
    alone = cross_entropy_gradient(
        stablemax_cross_entropy, logits, targets, precision=torch.float32
    )
    again = torch.autograd.grad(loss, logits, create_graph=True)[0]
    for grad in (gradient(loss, logits), again, alone):
        assert_close_to_exact(grad[0].tolist(), exact_grad, torch.float32, 8)


def test_stablemax_keeps_a_loss_far_below_the_epsilon_of_float32():
    row = [-1e6] * 113
    row[5] = 1e6
    logits = torch.tensor([row], requires_grad=True)
    loss = stablemax_cross_entropy(logits, torch.tensor([5]), precision=torch.float32)
    _, exact_grad, exact_loss = exact_row(row, 5)
    assert 0 < exact_loss < Fraction(1, 10**9)
    assert_close_to_exact([loss.item()], [exact_loss], torch.float32, 8)
    assert_close_to_exact(gradient(loss, logits)[0].tolist(), exact_grad, torch.float32, 8)


def test_masked_classes_have_probability_zero_and_no_gradient():
    logits = torch.tensor([[0.5, float("-inf"), -2.0]], requires_grad=True)
    kept = torch.tensor([[0.5, -2.0]], requires_grad=True)
    for function in (module.stablemax, lambda z: stablemax_cross_entropy(z, torch.tensor([0]))):
        whole, part = function(logits), function(kept)
        assert torch.allclose(whole.max(), part.max())
        grad, grad_part = (
            gradient(out.flatten()[0], z) for out, z in ((whole, logits), (part, kept))
        )
        assert grad[0, 1] == 0
        assert torch.allclose(grad[:, [0, 2]], grad_part)
    assert module.stablemax(logits)[0, 1] == 0


def test_stablemax_is_softmax_of_the_signed_logarithm_along_any_dimension():
    logits, _ = batch(5, 7, 3, dtype=torch.float64, scale=100.0)
    for dim in (0, 1, 2, -1):
        expected = torch.softmax(as_softmax_logits(logits), dim)
        torch.testing.assert_close(module.stablemax(logits, dim), expected, rtol=1e-12, atol=0)
        torch.testing.assert_close(StableMax(dim)(logits), expected, rtol=1e-12, atol=0)
        torch.testing.assert_close(log_stablemax(logits, dim), expected.log(), rtol=1e-12, atol=0)
    assert module.stablemax(logits, 1, dtype=torch.float16).dtype == torch.float16


# --- signature and meaning of torch.nn.functional.cross_entropy ---

OPTIONS = [
    {"reduction": reduction, "label_smoothing": smoothing}
    for reduction in ("none", "mean", "sum")
    for smoothing in (0.0, 0.2)
]


@both()
@pytest.mark.parametrize("shape", [(300, 113), (4, 5, 3), (2, 4, 3, 2)], ids=str)
@pytest.mark.parametrize("precision", FULL, ids=str)
@pytest.mark.parametrize("options", OPTIONS, ids=lambda o: "-".join(map(str, o.values())))
def test_loss_and_gradient_mean_what_torch_means(
    loss, to_softmax, shape, precision, options, monkeypatch
):
    monkeypatch.setattr(module, "CHUNK_ELEMENTS", 64 * 113)  # 300 rows: five chunks, one partial
    logits, targets = batch(*shape)
    targets[0] = 1
    options = options | {"ignore_index": 1}
    ours = loss(logits, targets, precision=precision, **options)
    plain = F.cross_entropy(to_softmax(logits.double()), targets, **options)
    assert ours.dtype == precision
    tolerance = 40 * torch.finfo(precision).eps
    torch.testing.assert_close(ours.double(), plain, rtol=tolerance, atol=tolerance)
    weight = torch.linspace(0.5, 2.0, ours.numel()).reshape(ours.shape)
    grad, expected = (gradient((out * weight).sum(), logits) for out in (ours, plain))
    assert grad.dtype == torch.float32
    torch.testing.assert_close(grad, expected, rtol=1e-5, atol=1e-7)
    ignored = (targets == 1).unsqueeze(1).expand(shape)
    assert (grad[ignored] == 0).all()


@both()
@pytest.mark.parametrize("precision", DTYPES, ids=str)
def test_all_targets_ignored_is_nan_without_gradient_and_empty_is_nan(loss, to_softmax, precision):
    logits, _ = batch(6, 5)
    targets = torch.full((6,), -100)
    ours = loss(logits, targets, precision=precision)
    assert ours.isnan()
    assert F.cross_entropy(logits, targets).isnan()
    assert torch.equal(gradient(ours, logits), torch.zeros(6, 5))
    assert loss(logits, targets, precision=precision, reduction="sum") == 0
    assert loss(logits[:0], targets[:0], precision=precision).isnan()


@both()
@pytest.mark.parametrize("precision", DTYPES, ids=str)
def test_one_unbatched_row_equals_the_batch_of_one(loss, to_softmax, precision):
    logits, targets = batch(1, 9)
    row = logits[0].detach().requires_grad_()
    ours, batched = (
        loss(z, t, precision=precision, reduction="none")
        for z, t in ((row, targets[0]), (logits, targets))
    )
    assert ours.shape == ()
    assert ours == batched[0]
    assert torch.equal(gradient(ours, row), gradient(batched.sum(), logits)[0])


@both()
@pytest.mark.parametrize("smoothing", [0.0, 0.3])
@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
def test_gradcheck_passes_in_float64(loss, to_softmax, smoothing, reduction):
    logits, targets = batch(6, 4, dtype=torch.float64, scale=2.0)
    logits.data[0, 0] = logits.data[1, 2] = 0.0
    logits.data[2, 1], logits.data[3, 3] = 1.0, -1.0
    targets[4] = -100
    options = {"precision": torch.float64, "label_smoothing": smoothing, "reduction": reduction}
    assert torch.autograd.gradcheck(lambda z: loss(z, targets, **options), (logits,))


@both()
def test_second_derivatives_and_function_transforms_are_right(loss, to_softmax):
    logits, targets = batch(4, 5, dtype=torch.float64, scale=2.0)
    options = {"precision": torch.float64, "label_smoothing": 0.2}
    assert torch.autograd.gradgradcheck(lambda z: loss(z, targets, **options), (logits,))
    transformed = torch.func.grad(lambda z: loss(z, targets, **options))(logits.detach())
    torch.testing.assert_close(transformed, gradient(loss(logits, targets, **options), logits))


@both()
def test_a_second_backward_over_a_retained_graph_gives_the_same_gradient(loss, to_softmax):
    logits, targets = batch(10, 5)
    out = loss(logits, targets)
    first = torch.autograd.grad(out, logits, retain_graph=True)[0]
    first_again = first.clone()
    second = torch.autograd.grad(out, logits)[0]
    assert torch.equal(second, first_again)
    first.zero_()
    assert not torch.equal(first, second)


# --- the collapse of softmax, which is the subject ---


@pytest.mark.parametrize("precision, below, beyond", [(FULL[0], 16.0, 17.5), (FULL[1], 36.0, 37.5)])
def test_softmax_collapses_exactly_beyond_the_gap_and_not_below(precision, below, beyond):
    rows = torch.zeros(2, 2, dtype=precision)
    rows[0, 1], rows[1, 1] = -below, -beyond  # 1 + exp(-gap) rounds to 1 from 16.6 and 36.7 on
    logits = rows.requires_grad_()
    loss = softmax_cross_entropy(
        logits, torch.tensor([0, 0]), precision=precision, reduction="none"
    )
    grad = gradient(loss.sum(), logits)
    assert loss[0] > 0
    assert grad[0, 0] < 0
    assert (grad[0, 0] * 2.0 ** (24 if precision == torch.float32 else 53)).frac() == 0  # p - 1
    assert loss[1] == 0
    assert grad[1, 0] == 0
    assert (grad[:, 1] > 0).all()
    wrong = softmax_cross_entropy(
        logits, torch.tensor([1, 1]), precision=precision, reduction="none"
    )
    assert wrong.tolist() == [pytest.approx(below), pytest.approx(beyond)]


@pytest.mark.parametrize("precision", FULL, ids=str)
def test_softmax_loss_and_the_labels_gradient_are_zero_at_the_same_gaps(precision):
    gaps = torch.linspace(10, 50, 2000, dtype=precision)
    logits = torch.zeros(2000, 113, dtype=precision)
    logits[:, 7] = gaps
    loss = softmax_cross_entropy(
        logits.requires_grad_(), torch.full((2000,), 7), precision=precision, reduction="none"
    )
    assert 0 < (loss == 0).sum() < 2000
    grad = gradient(loss.sum(), logits)
    assert torch.equal(grad[:, 7] == 0, loss == 0)
    assert (grad[:, 8] > 0).all()


# --- the softmax loss has torch's arithmetic, at 16 bits that of torch's CUDA kernels ---


def near_collapse(examples, low, high, dtype=torch.float32, classes=113):
    """Logits of fitted examples: the label's lies a gap of low to high above the others, which
    spread over 3 nats; every label's place in turn."""
    logits, _ = batch(examples, classes, scale=1.0)
    gaps = torch.linspace(low, high, examples)[:, None]
    targets = torch.arange(examples) % classes
    logits = logits.detach().clamp(-1.5, 1.5) - gaps
    return logits.scatter_(1, targets[:, None], 0.0).to(dtype).requires_grad_(), targets


TORCHS_OWN = [
    (softmax_cross_entropy, torch.float32),
    (softmax_cross_entropy, torch.float64),
    (torch_cross_entropy, torch.float16),
]


@pytest.mark.parametrize("loss, precision", TORCHS_OWN, ids=lambda v: getattr(v, "__name__", v))
@pytest.mark.parametrize("dtype", FULL, ids=str)
@pytest.mark.parametrize("ends", [(-5, 15), (15, 40)], ids=str)
def test_softmax_loss_and_gradient_are_torchs_bit_for_bit(loss, precision, dtype, ends):
    logits, targets = near_collapse(3001, *ends, dtype=dtype)
    for smoothing in (0.0, 0.2):
        options = {"precision": precision, "label_smoothing": smoothing}
        theirs = F.cross_entropy(logits.to(precision), targets, label_smoothing=smoothing)
        ours = loss(logits, targets, **options)
        assert torch.equal(ours, theirs)
        expected = gradient(theirs, logits)
        assert torch.equal(gradient(ours, logits), expected)
        whole = cross_entropy_gradient(loss, logits, targets, **options)
        assert torch.equal(whole, expected)
        parts = [
            cross_entropy_gradient(loss, z, y, examples=3001, **options)
            for z, y in zip(logits.split(701), targets.split(701), strict=True)
        ]
        assert torch.equal(torch.cat(parts), expected)


@pytest.mark.parametrize("examples", [1, 5107])
@pytest.mark.parametrize("precision", [torch.float16, torch.bfloat16], ids=str)
def test_half_softmax_rounds_the_log_probability_once_and_the_gradient_once(precision, examples):
    logits, targets = near_collapse(3001, 0, 30)
    rounded = logits.detach().to(precision)
    log_p = rounded.float().log_softmax(1).to(precision)
    p = log_p.float().exp()  # of the rounded ones
    weight = torch.tensor(1 / examples).to(precision)
    expected = ((p - F.one_hot(targets, 113)) * weight.float()).to(precision).float()
    loss = softmax_cross_entropy(logits, targets, precision=precision, reduction="none")
    assert torch.equal(loss, -log_p.gather(1, targets[:, None])[:, 0])
    options = {"precision": precision, "examples": examples}
    whole = cross_entropy_gradient(softmax_cross_entropy, logits, targets, **options)
    backward = torch.autograd.grad(loss, logits, weight.expand(3001))[0]
    info = torch.finfo(precision)
    for grad in (whole, backward):  # two exponentials may differ in their last bit
        assert (grad != expected).double().mean() < 1e-5
        torch.testing.assert_close(grad, expected, rtol=info.eps, atol=info.tiny * info.eps)


def test_half_softmax_of_a_cpu_loses_the_labels_gradient_where_cudas_keeps_it():
    logits, targets = near_collapse(300, 14, 19)
    found = {}
    for loss in (torch_cross_entropy, softmax_cross_entropy):
        terms = loss(logits, targets, precision=torch.float16, reduction="none")
        grad = gradient(terms.float().sum(), logits)
        found[loss] = (terms != 0).tolist(), (grad.gather(1, targets[:, None]) != 0).tolist()
    assert found[torch_cross_entropy] == ([False] * 300, [[False]] * 300)
    assert found[softmax_cross_entropy] == ([True] * 300, [[True]] * 300)


@both()
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("precision", DTYPES, ids=str)
def test_gradient_in_parts_is_autograds_of_the_whole(loss, to_softmax, precision, smoothing):
    logits, targets = batch(300, 113)
    options = {"precision": precision, "label_smoothing": smoothing}
    expected = gradient(loss(logits, targets, **options), logits)
    parts = [
        cross_entropy_gradient(loss, z, y, examples=300, **options)
        for z, y in zip(logits.split(110), targets.split(110), strict=True)
    ]
    room = 4 * torch.finfo(precision).eps / 300  # of the largest possible
    torch.testing.assert_close(torch.cat(parts), expected, rtol=3e-7, atol=room)


def test_half_softmax_label_smoothing_is_torch_to_rounding():
    logits, targets = batch(50, 7)
    options = {"label_smoothing": 0.3}
    ours = softmax_cross_entropy(logits, targets, precision=torch.float16, **options)
    plain = F.cross_entropy(logits, targets, **options)
    torch.testing.assert_close(ours.float(), plain, rtol=2e-3, atol=0)


@both()
def test_precision_decides_the_dtype_and_the_value(loss, to_softmax):
    logits, targets = batch(50, 113)
    values = set()
    for precision in DTYPES:
        out = loss(logits, targets, precision=precision, reduction="none")
        assert out.dtype == precision
        assert out.shape == targets.shape
        assert gradient(out.sum(), logits).dtype == torch.float32
        values.add(tuple(out.tolist()))
    assert len(values) == len(DTYPES)


@both()
@pytest.mark.parametrize("precision", DTYPES[:3], ids=str)
def test_logits_are_rounded_to_the_precision_first(loss, to_softmax, precision):
    logits, targets = batch(50, 113, dtype=torch.float64)
    ours = loss(logits, targets, precision=precision, reduction="none")
    rounded = logits.detach().to(precision).requires_grad_()
    expected = loss(rounded, targets, precision=precision, reduction="none")
    assert torch.equal(ours, expected)
    assert torch.equal(gradient(ours.sum(), logits), gradient(expected.sum(), rounded).double())


def test_default_precision_is_float64_for_stablemax_and_float32_for_softmax():
    logits, targets = batch(5, 7, dtype=torch.float16)
    for function, built in (
        (stablemax_cross_entropy, StableMaxCrossEntropy()),
        (softmax_cross_entropy, SoftmaxCrossEntropy()),
    ):
        expected = torch.float64 if function is stablemax_cross_entropy else torch.float32
        assert function(logits, targets).dtype == built(logits, targets).dtype == expected


def test_scaling_the_loss_saves_float16_gradients_from_underflow():
    logits, targets = batch(2000, 113)
    loss = stablemax_cross_entropy(logits, targets, precision=torch.float16)
    small, scaled = (
        torch.autograd.grad(loss, logits, torch.tensor(factor, dtype=loss.dtype), True)[0] / factor
        for factor in (1.0, 2.0**15)
    )
    rounded = logits.detach().half().double().requires_grad_()
    exact = gradient(stablemax_cross_entropy(rounded, targets), rounded)
    assert (small == 0).float().mean() > 0.01
    subnormal = torch.finfo(torch.float16).smallest_normal * torch.finfo(torch.float16).eps
    torch.testing.assert_close(
        scaled.double(), exact, rtol=2 * torch.finfo(torch.float16).eps, atol=subnormal / 2**15
    )


# --- torch.compile, autocast, memory, modules, errors ---


@both()
@pytest.mark.parametrize("precision", [torch.float16, torch.float64], ids=str)
def test_compiled_equals_eager_in_one_graph(loss, to_softmax, precision):
    torch._dynamo.reset()
    options = {"precision": precision, "label_smoothing": 0.1}
    compiled = torch.compile(
        lambda z, t: loss(z, t, **options), backend="aot_eager", fullgraph=True
    )
    for examples in (700, 300):
        logits, targets = batch(examples, 113)
        targets[3] = -100
        ours, plain = compiled(logits, targets), loss(logits, targets, **options)
        assert ours.dtype == precision
        torch.testing.assert_close(ours, plain)
        torch.testing.assert_close(gradient(ours, logits), gradient(plain, logits))


@both()
@pytest.mark.parametrize("precision", DTYPES, ids=str)
def test_autocast_does_not_change_the_precision(loss, to_softmax, precision):
    inputs, targets = batch(64, 113, dtype=torch.float32)
    weight = torch.eye(113)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        logits = inputs @ weight
        assert logits.dtype == torch.bfloat16
        inside = loss(logits, targets, precision=precision)
        grad_inside = gradient(inside, logits)
    outside = loss(logits := logits.detach().requires_grad_(), targets, precision=precision)
    assert inside.dtype == precision
    assert torch.equal(inside, outside)
    assert torch.equal(grad_inside, gradient(outside, logits))


def test_half_log_softmax_runs_outside_autocast(monkeypatch):
    seen, plain = [], torch.Tensor.log_softmax

    def spy(*args):
        seen.append(torch.is_autocast_enabled("cpu"))
        return plain(*args)

    monkeypatch.setattr(torch.Tensor, "log_softmax", spy)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        softmax_cross_entropy(*batch(3, 5), precision=torch.float16)
    assert seen == [False]  # on CUDA autocast would lift it to float32


class PeakBytes(TorchDispatchMode):
    """The largest sum of bytes of tensors alive together that operations made from `given`."""

    def __init__(self, *given):
        super().__init__()
        self.given = {tensor.untyped_storage()._cdata for tensor in given}
        self.alive, self.peak = {}, 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        out = function(*args, **(kwargs or {}))
        for tensor in out if isinstance(out, (tuple, list)) else (out,):
            if isinstance(tensor, torch.Tensor):
                storage = tensor.untyped_storage()
                if storage._cdata not in self.given:
                    self.alive[storage._cdata] = (StorageWeakRef(storage), storage.nbytes())
        self.alive = {k: v for k, v in self.alive.items() if not v[0].expired()}
        self.peak = max(self.peak, sum(size for _, size in self.alive.values()))
        return out


def peak_bytes(loss, logits):
    with PeakBytes(logits) as meter:
        gradient(loss(logits), logits)
    return meter.peak


def test_peak_memory_of_stablemax_is_two_float32_buffers_on_the_cpu(monkeypatch):
    logits, targets = batch(4000, 113)
    one = logits.numel() * 4  # bytes of a float32 buffer of N x C

    def ours(z):
        return stablemax_cross_entropy(z, targets)

    chunk = module.CHUNK_ELEMENTS * 8
    rows = 16 * 8 * 4000  # some columns of N values
    assert 2 * one < peak_bytes(ours, logits) <= 2 * one + 2 * chunk + rows
    monkeypatch.setattr(module, "CHUNK_ELEMENTS", 10**9)  # a single chunk, as on CUDA
    assert peak_bytes(ours, logits) <= one + 2 * (2 * one) + rows
    plain = peak_bytes(lambda z: F.cross_entropy(as_softmax_logits(z.double()), targets), logits)
    assert plain > 4 * one  # the meter sees what it should: torch keeps more


def test_stablemax_makes_no_gradient_buffer_without_a_gradient():
    logits, targets = batch(4000, 113)
    with torch.no_grad(), PeakBytes(logits) as meter:
        out = stablemax_cross_entropy(logits, targets)
    assert not out.requires_grad
    assert meter.peak < logits.numel() * 4


@both()
@pytest.mark.parametrize("precision", FULL, ids=str)
def test_a_gradient_alone_needs_one_buffer_and_parts_of_others(loss, to_softmax, precision):
    logits, targets = batch(4000, 113)
    with PeakBytes(logits) as meter:
        cross_entropy_gradient(loss, logits, targets, precision=precision)
    one, chunk, rows = logits.numel() * 4, module.CHUNK_ELEMENTS * 8, 16 * 8 * 4000
    assert meter.peak <= one + 2 * chunk + rows


@pytest.mark.parametrize(
    "built, function",
    [
        (StableMaxCrossEntropy, stablemax_cross_entropy),
        (SoftmaxCrossEntropy, softmax_cross_entropy),
    ],
)
def test_modules_pass_every_option_on(built, function):
    logits, targets = batch(6, 5)
    targets[0] = 4
    options = {
        "ignore_index": 4,
        "reduction": "sum",
        "label_smoothing": 0.25,
        "precision": torch.bfloat16,
    }
    ours = built(**options)(logits, targets)
    assert ours.dtype == torch.bfloat16
    assert torch.equal(ours, function(logits, targets, **options))
    assert "label_smoothing=0.25" in repr(built(**options))


BAD = {
    "reduction is 'avg'; choose from none, mean, sum": ({"reduction": "avg"}, (3, 5), None),
    "precision is 32; choose from torch.float16": ({"precision": 32}, (3, 5), None),
    "label_smoothing is 1.5; choose a number from 0 to 1": ({"label_smoothing": 1.5}, (3, 5), None),
    "target has dtype torch.float32; pass integer class": ({}, (3, 5), torch.zeros(3, 5)),
    "input has shape (3, 5) and target (4,)": ({}, (3, 5), torch.zeros(4, dtype=torch.long)),
    "input has shape (3, 5, 2) and target (3,)": ({}, (3, 5, 2), torch.zeros(3, dtype=torch.long)),
    "targets from 0 to 5 do not fit logits of 5 classes": ({}, (3, 5), torch.tensor([0, 5, 1])),
    "targets from -1 to 1 do not fit": ({}, (3, 5), torch.tensor([0, -1, 1])),
}


@both()
@pytest.mark.parametrize("message", BAD, ids=lambda m: m.split(";")[0])
@pytest.mark.parametrize("precision", [torch.float16, torch.float64], ids=str)
def test_bad_input_raises_one_line_with_the_remedy(loss, to_softmax, message, precision):
    options, shape, targets = BAD[message]
    targets = torch.zeros(3, dtype=torch.long) if targets is None else targets
    with pytest.raises(ValueError) as caught:
        loss(torch.zeros(shape), targets, **({"precision": precision} | options))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_integer_logits_are_refused():
    whole = torch.zeros(3, 5, dtype=torch.long)
    with pytest.raises(ValueError, match="floating-point logits"):
        stablemax_cross_entropy(whole, whole[:, 0])
    with pytest.raises(ValueError, match="must be floating point"):
        module.stablemax(whole)
    with pytest.raises(ValueError, match="choose from"):
        StableMaxCrossEntropy(precision=torch.int8)


@both()
def test_gradient_is_bit_reproducible_and_independent_of_the_other_rows(loss, to_softmax):
    logits, targets = batch(2000, 113)
    options = {"precision": torch.float64, "reduction": "none"}
    whole = gradient(loss(logits, targets, **options).sum(), logits)
    part = logits[700:1300].detach().requires_grad_()
    alone = gradient(loss(part, targets[700:1300], **options).sum(), part)
    assert torch.equal(whole[700:1300], alone)


@pytest.mark.parametrize("precision", [torch.float16, torch.float32, torch.float64])
@pytest.mark.parametrize("loss", [stablemax_cross_entropy, softmax_cross_entropy])
def test_activation_checkpointing_gives_the_same_gradient(loss, precision):
    logits = torch.linspace(-3, 3, 20).reshape(4, 5).requires_grad_()
    targets = torch.tensor([0, 4, 2, 1])

    def mean_loss(z):
        return loss(z, targets, precision=precision)

    mean_loss(logits).backward()
    plain, logits.grad = logits.grad, None
    torch.utils.checkpoint.checkpoint(mean_loss, logits, use_reentrant=False).backward()
    assert torch.equal(logits.grad, plain)
