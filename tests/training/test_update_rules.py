"""Schedules, decay to the start, filter, noise, clipping against torch, NumPy, values by hand."""

import io
import math

import numpy
import pytest
import torch
from scipy import stats
from torch import nn

from optimizers import GradNormLR, OrthoGrad, make_optimizer
from training import update_rules
from training.update_rules import DecayToStart, GradientFilter, Schedule, schedule_factor

NO_WARMUP = dict(warmup_steps=0, warmup_start=0.0)


def rates(scheduler, optimizer, count):
    """The learning rate of each of `count` updates under one of torch's schedulers."""
    seen = []
    for _ in range(count):
        seen.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return seen


def sgd(lr=0.2):
    return torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=lr)


def factors(count, kind, **choices):
    return [schedule_factor(u, kind, **choices) for u in range(count)]


# ------------------------------------------------------------------------------------- schedule


@pytest.mark.parametrize(("start", "steps"), [(0.1, 9), (1 / 3, 10), (0.01, 1)])
def test_warm_up_is_torchs_linear_rate(start, steps):
    optimizer = sgd()
    torchs = torch.optim.lr_scheduler.LinearLR(optimizer, start, total_iters=steps)
    expected = rates(torchs, optimizer, 20)
    ours = factors(20, "constant", warmup_steps=steps, warmup_start=start, end=50, final=0.0)
    numpy.testing.assert_allclose(0.2 * numpy.array(ours), expected, rtol=1e-12)


def test_warm_up_from_zero_is_a_tenth_more_each_update():
    ours = factors(12, "constant", warmup_steps=10, warmup_start=0.0, end=50, final=0.0)
    numpy.testing.assert_allclose(ours, [0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1, 1])


def test_cosine_is_torchs_annealing_to_a_share_of_the_rate():
    optimizer = sgd()
    torchs = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=30, eta_min=0.02)
    expected = rates(torchs, optimizer, 31)
    ours = factors(31, "cosine", **NO_WARMUP, end=30, final=0.1)
    numpy.testing.assert_allclose(0.2 * numpy.array(ours), expected, rtol=1e-9)


def test_linear_is_torchs_decay_to_a_share_of_the_rate_and_stays_there():
    optimizer = sgd()
    torchs = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.25, total_iters=30)
    expected = rates(torchs, optimizer, 40)
    ours = factors(40, "linear", **NO_WARMUP, end=30, final=0.25)
    numpy.testing.assert_allclose(0.2 * numpy.array(ours), expected, rtol=1e-9)


@pytest.mark.parametrize(("kind", "middle"), [("linear", 0.55), ("cosine", 0.55)])
def test_decay_begins_at_the_end_of_warm_up(kind, middle):
    of = lambda u: schedule_factor(  # noqa: E731
        u, kind, warmup_steps=20, warmup_start=0.5, end=120, final=0.1
    )
    assert [of(0), of(10), of(20), of(120), of(10**6)] == pytest.approx([0.5, 0.75, 1, 0.1, 0.1])
    assert of(70) == pytest.approx(middle)  # half way both are the mean of 1 and 0.1
    quarter = {"linear": 1 - 0.9 / 4, "cosine": 0.1 + 0.9 * (1 + math.sqrt(0.5)) / 2}[kind]
    assert of(45) == pytest.approx(quarter)


def test_unknown_schedule_is_refused_with_the_choices():
    with pytest.raises(ValueError, match="unknown schedule 'step'; choose from constant, linear"):
        schedule_factor(0, "step", **NO_WARMUP, end=1, final=0.0)


@pytest.mark.parametrize("orthogonal", [False, True])
def test_schedule_sets_every_groups_rate_by_the_updates_number_alone(orthogonal):
    groups = [{"params": [nn.Parameter(torch.ones(2, 2))], "lr": 0.5}, {"params": [nn.Parameter(
        torch.ones(3))]}]  # fmt: skip
    optimizer = make_optimizer(groups, "SGD", lr=0.2, orthogonal=orthogonal)
    schedule = Schedule(optimizer, "linear", **NO_WARMUP, end=10, final=0.0)
    for update in (7, 3, 3):
        schedule.step(update)
        found = [group["lr"] for group in optimizer.param_groups]
        assert found == pytest.approx([0.5 * (1 - update / 10), 0.2 * (1 - update / 10)])
        assert all(type(lr) is float for lr in found)


def test_an_update_at_rate_zero_moves_nothing_but_counts_in_the_moments():
    w = nn.Parameter(torch.ones(4))
    optimizer = make_optimizer([w], "AdamW", lr=0.1, weight_decay=1.0)
    schedule = Schedule(optimizer, "constant", warmup_steps=2, warmup_start=0.0, end=9, final=0.0)
    w.grad = torch.ones(4)
    schedule.step(0)
    optimizer.step()
    assert torch.equal(w, torch.ones(4)) and optimizer.state[w]["exp_avg"][0] > 0
    schedule.step(1)
    optimizer.step()  # half the rate: 0.05 of decay, 0.05 of Adam's unit step
    torch.testing.assert_close(w.detach(), torch.full((4,), 1 - 0.05 - 0.05))


# ---------------------------------------------------------------------------------- weight decay


def network():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(3, 4), nn.LayerNorm(4), nn.Linear(4, 2, bias=False))
    return net.double()


def test_only_matrices_decay_where_not_all_do():
    net = network()
    groups = update_rules.parameter_groups(net.parameters(), 0.5)
    optimizer = make_optimizer(groups, "AdamW", lr=0.1, weight_decay=9.0)
    before = {name: w.detach().clone() for name, w in net.named_parameters()}
    for w in net.parameters():
        w.grad = torch.zeros_like(w)
    optimizer.step()
    for name, w in net.named_parameters():
        factor = 1 - 0.1 * 0.5 if name in ("0.weight", "2.weight") else 1
        torch.testing.assert_close(w.detach(), before[name] * factor, rtol=1e-12, atol=0)
    assert {id(w) for g in groups for w in g["params"]} == {id(w) for w in net.parameters()}


def test_no_group_is_empty():
    matrices = [nn.Parameter(torch.ones(2, 2))]
    assert [len(g["params"]) for g in update_rules.parameter_groups(matrices, 1.0)] == [1]


def adam_by_hand(w, start, gradients, lr, decay, betas, eps):
    m = v = numpy.zeros_like(w)
    for t, (g, rate) in enumerate(zip(gradients, lr, strict=True), 1):
        w = w - rate * decay * (w - start)
        m, v = betas[0] * m + (1 - betas[0]) * g, betas[1] * v + (1 - betas[1]) * g * g
        m_hat, v_hat = m / (1 - betas[0] ** t), v / (1 - betas[1] ** t)
        w = w - rate * m_hat / (numpy.sqrt(v_hat) + eps)
    return w


@pytest.mark.parametrize("scheduled", [False, True])
def test_decay_to_the_start_is_adamw_with_its_decay_towards_the_initial_weights(scheduled):
    draw = numpy.random.default_rng(0)
    start, gradients = draw.normal(size=(3, 2)), draw.normal(size=(8, 3, 2))
    w = nn.Parameter(torch.tensor(start))
    optimizer = make_optimizer([w], "AdamW", lr=0.1, weight_decay=0.7, betas=(0.8, 0.9), eps=1e-6)
    decay = DecayToStart(optimizer)
    schedule = Schedule(optimizer, "linear", **NO_WARMUP, end=8, final=0.5)
    for u, g in enumerate(gradients):
        w.grad = torch.tensor(g)
        if scheduled:
            schedule.step(u)
        decay.step()
        optimizer.step()
    rate = [0.1 * (1 - 0.5 * u / 8 if scheduled else 1) for u in range(8)]
    expected = adam_by_hand(start, start, gradients, rate, 0.7, (0.8, 0.9), 1e-6)
    numpy.testing.assert_allclose(w.detach().numpy(), expected, rtol=1e-10)
    to_zero = adam_by_hand(start, 0 * start, gradients, rate, 0.7, (0.8, 0.9), 1e-6)
    assert abs(expected - to_zero).max() > 0.1


def test_decay_to_the_start_keeps_each_groups_decay_and_works_in_orthograd():
    net = network()
    groups = update_rules.parameter_groups(net.parameters(), 0.5)
    optimizer = make_optimizer(groups, "AdamW", lr=0.1, weight_decay=0.5, orthogonal=True)
    assert isinstance(optimizer, OrthoGrad)
    decay = DecayToStart(optimizer)
    start = [w.detach().clone() for w in net.parameters()]
    with torch.no_grad():
        for w in net.parameters():
            w.add_(1.0)
    for w in net.parameters():
        w.grad = torch.zeros_like(w)
    decay.step()
    optimizer.step()
    for w, s in zip(net.parameters(), start, strict=True):
        left = 1 - 0.1 * 0.5 if w.dim() > 1 else 1.0
        torch.testing.assert_close(w.detach() - s, torch.full_like(s, left), rtol=1e-12, atol=1e-12)


def test_decay_to_the_start_follows_a_rate_that_is_a_tensor():
    w = nn.Parameter(torch.full((2, 2), 3.0))
    optimizer = make_optimizer([w], "AdamW", lr=0.5, weight_decay=0.25)
    decay = DecayToStart(optimizer)
    w.data.fill_(4.0)
    w.grad = torch.full((2, 2), 1.0)  # norm 2: the rate becomes 0.25
    GradNormLR(optimizer).step()
    decay.step()
    torch.testing.assert_close(w.detach(), torch.full((2, 2), 4.0 - 0.25 * 0.25))


def test_start_of_the_decay_is_restored_from_its_state():
    net, other = network(), network()
    with torch.no_grad():
        for w in other.parameters():
            w.mul_(7.0)
    decays = [
        DecayToStart(make_optimizer(n.parameters(), "AdamW", lr=0.1, weight_decay=0.5))
        for n in (net, other)
    ]
    decays[1].load_state_dict(decays[0].state_dict())
    other.load_state_dict(net.state_dict())
    for w in other.parameters():
        w.data.add_(1.0)
    decays[1].step()
    for w, s in zip(other.parameters(), net.parameters(), strict=True):
        torch.testing.assert_close(w.detach(), s.detach() + 0.95)


# ----------------------------------------------------------------------------------------- noise


def is_normal(x, deviation):
    """Kolmogorov-Smirnov against N(0, deviation^2), and no correlation between neighbours."""
    x = x.flatten().double().numpy() / deviation
    neighbours = (x[1:] * x[:-1]).mean()
    return stats.kstest(x, "norm").pvalue > 1e-4 and abs(neighbours) < 5 / math.sqrt(len(x))


def test_weight_noise_is_gaussian_independent_and_leaves_the_weights_bit_for_bit():
    torch.manual_seed(1)
    weights = [nn.Parameter(torch.randn(200, 100) * 1e3), nn.Parameter(torch.zeros(5000))]
    before = [w.detach().clone() for w in weights]
    seen = []
    for _ in range(2):
        with update_rules.weight_noise(weights, 0.05):
            seen.append([w.detach().double() - b for w, b in zip(weights, before, strict=True)])
        assert all(torch.equal(w, b) for w, b in zip(weights, before, strict=True))
    assert is_normal(seen[0][1], 0.05) and is_normal(seen[1][1], 0.05)
    assert abs(seen[0][0].std() - 0.05) < 1e-3
    assert not torch.equal(seen[0][1], seen[1][1])  # drawn anew
    correlation = (seen[0][1] * seen[1][1]).mean() / 0.05**2
    assert abs(correlation) < 5 / math.sqrt(5000)


def test_gradients_under_weight_noise_are_those_at_the_noisy_weights():
    net, x = network(), torch.randn(5, 3, dtype=torch.float64)
    with update_rules.weight_noise(list(net.parameters()), 0.3):
        noisy = network()
        noisy.load_state_dict(net.state_dict())
        net(x).square().sum().backward()
    noisy(x).square().sum().backward()
    clean = network()
    clean(x).square().sum().backward()
    for w, n, c in zip(net.parameters(), noisy.parameters(), clean.parameters(), strict=True):
        assert torch.equal(w.grad, n.grad) and torch.equal(w, c)
        assert not torch.allclose(w.grad, c.grad)


def test_weights_come_back_after_an_error_under_noise():
    w = nn.Parameter(torch.ones(10))
    with pytest.raises(KeyError), update_rules.weight_noise([w], 1.0):
        raise KeyError
    assert torch.equal(w, torch.ones(10))


@pytest.mark.parametrize("as_tensor", [False, True])
def test_update_noise_is_gaussian_times_each_groups_rate(as_tensor):
    torch.manual_seed(2)
    weights = [nn.Parameter(torch.zeros(20_000)), nn.Parameter(torch.zeros(100, 50))]
    groups = [{"params": [w], "lr": lr} for w, lr in zip(weights, (0.1, 0.02), strict=True)]
    optimizer = torch.optim.SGD(groups, lr=1.0)
    if as_tensor:
        for group in optimizer.param_groups:
            group["lr"] = torch.tensor(group["lr"], dtype=torch.float64)
    update_rules.add_update_noise(optimizer, 0.5)
    assert is_normal(weights[0].detach(), 0.05) and is_normal(weights[1].detach(), 0.01)
    assert weights[0].dtype == torch.float32
    first = [w.detach().clone() for w in weights]
    update_rules.add_update_noise(optimizer, 0.5)  # adds up
    assert abs((weights[0] - first[0]).std() - 0.05) < 0.002


# -------------------------------------------------------------------------------------- clipping


@pytest.mark.parametrize("scale", [0.01, 1.0, 100.0])
def test_clipping_scales_the_whole_gradient_to_the_norm_and_leaves_shorter_ones(scale):
    net = network()
    x = torch.randn(5, 3, dtype=torch.float64)
    (scale * net(x).square().sum()).backward()
    before = [w.grad.clone() for w in net.parameters()]
    norm = numpy.linalg.norm(numpy.concatenate([g.flatten().numpy() for g in before]))
    update_rules.clip_gradient(list(net.parameters()), 0.7)
    for w, g in zip(net.parameters(), before, strict=True):
        torch.testing.assert_close(w.grad, g * min(1.0, 0.7 / norm), rtol=1e-5, atol=1e-12)
    assert (norm > 0.7) == (scale > 0.05)


def test_clipping_leaves_a_non_finite_gradient_visible():
    w = nn.Parameter(torch.ones(3))
    w.grad = torch.tensor([1.0, math.nan, 1.0])
    update_rules.clip_gradient([w], 1.0)
    assert w.grad.isnan().all()


# -------------------------------------------------------------------------------- growing steps


@pytest.mark.parametrize("growth", [1.01, 1.1, 1.5, 2.0, 10.0])
def test_growing_steps_are_the_distinct_rounded_powers(growth):
    powers = {round(growth**k) for k in range(int(math.log(5000) / math.log(growth)) + 1)}
    found = {step for step in range(5001) if update_rules.grows_to(step, growth)}
    assert found == {p for p in powers if p <= 5000}


def test_a_factor_just_above_one_takes_every_step_at_once():
    assert all(update_rules.grows_to(step, 1 + 1e-12) for step in (1, 2, 999, 10**6))
    assert not update_rules.grows_to(0, 1.1)
    assert update_rules.grows_to(1, 1e300) and not update_rules.grows_to(10**6, 1e300)


# ------------------------------------------------------------------------------ gradient filter


def filtered(gradients, kind, make=torch.optim.SGD, **choices):
    """What the optimizer gets of each of these gradients."""
    w = nn.Parameter(torch.ones_like(torch.as_tensor(gradients[0])))
    optimizer = make([w])
    gradient_filter = GradientFilter(optimizer, kind, **choices)
    seen = []
    for g in gradients:
        w.grad = torch.as_tensor(g).clone()
        gradient_filter.step()
        seen.append(w.grad.numpy().copy())
        optimizer.step()
    return numpy.array(seen)


BASES = {
    "SGD": lambda weights: torch.optim.SGD(weights, lr=0.1, momentum=0.9),
    "AdamW": lambda weights: make_optimizer(weights, "AdamW", lr=0.1),
    "perpendicular AdamW": lambda weights: make_optimizer(
        weights, "AdamW", lr=0.1, orthogonal=True
    ),
}


@pytest.mark.parametrize("base", BASES)
def test_exponential_filter_adds_the_weighted_sum_of_all_gradients(base):
    """m_t = alpha^t g_1 + (1 - alpha) sum_k alpha^(t - k) g_k, k from 1; m_0 is g_1."""
    g = numpy.random.default_rng(0).normal(size=(12, 3, 2))
    found = filtered(g, "ema", BASES[base], strength=1.5, decay=0.7)
    for t in range(12):
        weights = 0.3 * 0.7 ** numpy.arange(t, -1, -1)
        mean = 0.7 ** (t + 1) * g[0] + numpy.tensordot(weights, g[: t + 1], 1)
        numpy.testing.assert_allclose(found[t], g[t] + 1.5 * mean, rtol=1e-12)


@pytest.mark.parametrize("base", BASES)
@pytest.mark.parametrize("window", [1, 2, 5])
def test_window_filter_adds_the_mean_of_the_last_raw_gradients_once_it_is_full(base, window):
    g = numpy.random.default_rng(1).normal(size=(23, 3, 2))
    found = filtered(g, "ma", BASES[base], strength=5.0, window=window)
    for t in range(23):
        mean = g[t + 1 - window : t + 1].mean(0) if t + 1 >= window else 0
        numpy.testing.assert_allclose(found[t], g[t] + 5.0 * mean, rtol=1e-12)


@pytest.mark.parametrize(
    ("kind", "expected"), [("ma", [1, 1, 3, 3, 3, 3]), ("ema", [3, 3, 3, 3, 3, 3])]
)
def test_constant_gradient_is_amplified_and_not_what_was_added_before(kind, expected):
    found = filtered([torch.ones(2)] * 6, kind, strength=2.0, decay=0.5, window=3)
    assert found[:, 0].tolist() == expected


def test_window_in_half_precision_still_counts_after_as_many_updates_as_it_can_hold():
    g = [torch.full((1,), float(i % 2), dtype=torch.float16) for i in range(3000)]
    found = filtered(g, "ma", strength=1.0, window=1024)
    assert (found[:1023, 0] == numpy.arange(1023) % 2).all()
    assert (found[1023:, 0] == numpy.arange(1023, 3000) % 2 + 0.5).all()


@pytest.mark.parametrize("base", BASES)
@pytest.mark.parametrize("kind", ["ema", "ma"])
def test_what_a_filter_remembers_is_in_the_optimizers_state_bit_for_bit(kind, base):
    torch.manual_seed(3)
    gradients = [[torch.randn_like(w) for w in network().parameters()] for _ in range(14)]

    def begin():
        net = network()
        optimizer = BASES[base](net.parameters())
        return net, optimizer, GradientFilter(optimizer, kind, window=4)

    def go_on(net, optimizer, gradient_filter, updates):
        for update in updates:
            for w, g in zip(net.parameters(), gradients[update], strict=True):
                w.grad = g.clone()
            gradient_filter.step()
            optimizer.step()

    whole, before, after = begin(), begin(), begin()
    go_on(*whole, range(14))
    go_on(*before, range(6))
    saved = io.BytesIO()
    torch.save(before[1].state_dict(), saved)
    after[1].load_state_dict(torch.load(io.BytesIO(saved.getvalue())))
    after[0].load_state_dict(before[0].state_dict())
    go_on(*after, range(6, 14))
    assert all(
        torch.equal(a, b) for a, b in zip(whole[0].parameters(), after[0].parameters(), strict=True)
    )
    ends = [io.BytesIO() for _ in range(2)]
    for end, (_, optimizer, _) in zip(ends, (whole, after), strict=True):
        torch.save(optimizer.state_dict(), end)
    assert ends[0].getvalue() == ends[1].getvalue()


def test_filter_acts_before_the_projection():
    w = nn.Parameter(torch.tensor([1.0, 2.0, -1.0], dtype=torch.float64))
    optimizer = make_optimizer([w], "SGD", lr=0.1, orthogonal=True)
    gradient_filter = GradientFilter(optimizer, "ema")
    for seed in range(3):
        w.grad = torch.randn(3, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
        before = w.detach().clone()
        gradient_filter.step()
        optimizer.step()
        assert abs(w.grad @ before) < 1e-12


def test_a_weight_without_a_gradient_is_left_alone_and_joins_later():
    a, b = nn.Parameter(torch.ones(2)), nn.Parameter(torch.ones(3))
    optimizer = make_optimizer([a, b], "AdamW", lr=0.1)
    gradient_filter = GradientFilter(optimizer, "ma", strength=2.0, window=2)
    seen = []
    for update in range(4):
        a.grad, b.grad = torch.ones(2), torch.ones(3) if update else None
        gradient_filter.step()
        optimizer.step()
        seen.append((a.grad[0].item(), b.grad[0].item() if update else None))
    assert seen == [(1, None), (3, 1), (3, 3), (3, 3)]


def test_unknown_filter_is_refused_with_the_choices():
    with pytest.raises(ValueError, match="unknown filter 'fir'; choose from ema, ma"):
        GradientFilter(sgd(), "fir")
