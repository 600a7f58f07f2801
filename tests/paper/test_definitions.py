"""Every definition of the paper against a value worked out by hand (the working is beside it)."""

import math

import pytest
import torch
from torch import nn, tensor

import metrics
import optimizers
import stablemax
from configuration.config import RunConfig
from models import MLP
from training.session import Session

LN2 = math.log(2)


def close(ours, hand, tolerance=1e-6):
    torch.testing.assert_close(
        torch.as_tensor(ours, dtype=torch.float64),
        torch.as_tensor(hand, dtype=torch.float64),
        rtol=tolerance,
        atol=tolerance,
    )


@pytest.mark.parametrize(
    ("dtype", "significant_bits"), [(torch.float16, 11), (torch.float32, 24), (torch.float64, 53)]
)
def test_definition_1_absorption_sets_in_at_an_exponent_gap_of_the_significant_bits(
    dtype, significant_bits
):
    # a + b == a where e_a - e_b >= p: 1 + 2^-p is a tie and rounds to even, 1 + 2^-(p-1) is not.
    one = tensor(1.0, dtype=dtype)
    for gap, absorbed in ((significant_bits, True), (significant_bits - 1, False)):
        update = tensor([-(2.0**-gap)], dtype=dtype)  # w - 1 * update = 1 + 2^-gap
        share, _ = metrics.absorption([one[None]], [update], 1.0)
        assert share[0].item() == absorbed


def test_definition_2_softmax_cross_entropy():
    # exp(z) = 1, 2, 3: p_y = 3/6, the loss is log 2.
    z = tensor([[0.0, LN2, math.log(3)]])
    close(stablemax.softmax_cross_entropy(z, tensor([2])), LN2)


def test_definition_3_softmax_collapse_takes_loss_and_gradient_of_the_right_class():
    # exp(-17) = 4.1e-8 is below 2^-24 = 6.0e-8 and absorbed by 1; exp(-16) = 1.1e-7 is not.
    for gap, collapsed in ((17.0, True), (16.0, False)):
        z = tensor([[gap, 0.0]], requires_grad=True)
        loss = stablemax.softmax_cross_entropy(z, tensor([0]))
        loss.backward()
        assert (loss.item() == 0) == (z.grad[0, 0].item() == 0) == collapsed
        close(z.grad[0, 1] / math.exp(-gap), 1.0, 1e-5)  # the wrong class is still pushed down


def test_the_published_metric_counts_sums_of_one_whatever_the_label():
    # Row 1 is right and sure, row 2 wrong and sure, row 3 undecided.
    z = tensor([[20.0, 0.0], [20.0, 0.0], [1.0, 0.0]])
    published, of_labels = metrics.softmax_collapse(z, tensor([0, 1, 0]), torch.float32)
    close(published, 2 / 3)
    close(of_labels, 1 / 3)
    terms = stablemax.softmax_cross_entropy(z, tensor([0, 1, 0]), reduction="none")
    assert (terms == 0).tolist() == [True, False, False]  # zero_terms


@pytest.mark.parametrize(
    ("dtype", "gap"), [(torch.float16, 7.62), (torch.float32, 16.64), (torch.float64, 36.74)]
)
def test_one_competitor_collapses_from_p_log_2_on(dtype, gap):
    below, above = tensor([[gap - 0.02, 0.0]]), tensor([[gap + 0.02, 0.0]])
    collapse = [metrics.softmax_collapse(z.double(), tensor([0]), dtype)[0] for z in (below, above)]
    assert [c.item() for c in collapse] == [0.0, 1.0]


def test_definition_4_stablemax_and_its_cross_entropy():
    # s(3) = 4, s(0) = 1, s(-1) = 1/2, their sum is 11/2.
    z = tensor([[3.0, 0.0, -1.0]])
    close(stablemax.stablemax(z), [[8 / 11, 2 / 11, 1 / 11]])
    close(stablemax.log_stablemax(z)[0, 2], -math.log(11))
    close(stablemax.stablemax_cross_entropy(z, tensor([0])), math.log(11 / 8))


def test_proposition_1_stablemax_is_softmax_of_signed_logarithms():
    # g(3) = log 4, g(0) = 0, g(-1) = -log 2.
    g = tensor([[math.log(4), 0.0, -LN2]])
    close(torch.softmax(g, 1), stablemax.stablemax(tensor([[3.0, 0.0, -1.0]])))


def test_definition_5_scaling_the_logits_of_fitted_data_lowers_the_loss():
    # Logits (2, 0): log(1 + e^-2) = 0.126928; twice as large: log(1 + e^-4) = 0.018150.
    z, label = tensor([[2.0, 0.0]]), tensor([0])
    close(stablemax.softmax_cross_entropy(z, label), 0.126928, 1e-5)
    close(stablemax.softmax_cross_entropy(2 * z, label), 0.018150, 1e-5)


def test_definition_6_the_mlp_without_biases_is_homogeneous_of_its_depth():
    # relu(W1 x) = relu((1, -1)) = (1, 0); W2 of it = (2, 1); W3 of it = (5, 1). Doubled: 2^3 times.
    model = MLP(2, (2, 2), 2, bias=False)
    weights = ([[1.0, 2.0], [-1.0, 0.0]], [[2.0, 1.0], [1.0, 1.0]], [[2.0, 1.0], [1.0, -1.0]])
    x = tensor([[1.0, 0.0]])
    with torch.no_grad():
        for parameter, value in zip(model.parameters(), weights, strict=True):
            parameter.copy_(tensor(value))
        close(model(x), [[5.0, 1.0]])
        for parameter in model.parameters():
            parameter.mul_(2)
        close(model(x), [[40.0, 8.0]])


def test_the_nlm_cosine_of_a_linear_layer():
    # W = 1, x = (1, 0), label 0: z = (1, 0), dL/dz = (-q, q), so -dL/dW = [[q, 0], [-q, 0]]:
    # its product with W is q, the norms are q sqrt 2 and sqrt 2, the cosine 1/2.
    model = MLP(2, (), 2, bias=False)
    with torch.no_grad():
        model.layers[0].weight.copy_(torch.eye(2))
    model(tensor([[1.0, 0.0]])).log_softmax(1)[0, 0].backward()  # the gradient of -loss
    (weight,) = model.parameters()
    each, total = metrics.cosine([weight.grad], [weight])
    close(each, 0.5)
    close(total, 0.5)


@pytest.mark.parametrize(("restore", "step"), [(False, (0.64, -0.48)), (True, (0.8, -0.6))])
def test_definition_7_the_gradient_without_its_part_along_the_weights(restore, step):
    # w = (3, 4), g = (1, 0): w.g / w.w = 3/25, g - 3/25 w = (0.64, -0.48), of norm 0.8. The
    # authors' code gives it the norm of g again, 1.
    weight = nn.Parameter(tensor([3.0, 4.0]))
    optimizer = optimizers.OrthoGrad(torch.optim.SGD([weight], lr=1.0), restore_norm=restore)
    weight.grad = tensor([1.0, 0.0])
    optimizer.step()
    close(weight.detach(), [3 - step[0], 4 - step[1]])
    close(weight.grad @ tensor([3.0, 4.0]), 0.0)


def test_proposition_2_the_projected_gradient_descends():
    # L(w) = (w_1^2 + 3 w_2^2) / 2 at (3, 4): g = (3, 12); w.g / w.w = 57/25; the projected gradient
    # is (-3.84, 2.88), and g times it is 23.04 = its squared norm, above 0.
    weight, gradient = tensor([3.0, 4.0]), tensor([3.0, 12.0])
    (projected,) = optimizers.orthogonal_projection([weight], [gradient], restore_norm=False)
    close(projected, [-3.84, 2.88])
    close(gradient @ projected, 23.04)


def test_appendix_b2_the_learning_rate_is_divided_by_the_norm_of_the_whole_gradient():
    # |(3, 0, 4)| = 5 over two tensors: 0.5 / 5 = 0.1.
    a, b = nn.Parameter(tensor([1.0, 1.0])), nn.Parameter(tensor([1.0]))
    optimizer = torch.optim.SGD([a, b], lr=0.5)
    schedule = optimizers.GradNormLR(optimizer)
    a.grad, b.grad = tensor([3.0, 0.0]), tensor([4.0])
    schedule.step()
    optimizer.step()
    close(a.detach(), [0.7, 1.0])
    close(b.detach(), [0.6])


def test_appendix_b2_with_the_sum_of_magnitudes_as_the_norm():
    # |3| + |0| + |-4| = 7 over two tensors: 0.7 / 7 = 0.1.
    a, b = nn.Parameter(tensor([1.0, 1.0])), nn.Parameter(tensor([1.0]))
    optimizer = torch.optim.SGD([a, b], lr=0.7)
    schedule = optimizers.GradNormLR(optimizer, order=1)
    a.grad, b.grad = tensor([3.0, 0.0]), tensor([-4.0])
    schedule.step()
    optimizer.step()
    close(a.detach(), [0.7, 1.0])
    close(b.detach(), [1.4])


def test_the_weight_decay_multiplier_is_that_of_adamw():
    # Without a gradient: w (1 - lr * wd) = 2 (1 - 0.1 * 1.5) = 1.7.
    weight = nn.Parameter(tensor([2.0]))
    optimizer = optimizers.make_optimizer([weight], "AdamW", lr=0.1, weight_decay=1.5)
    weight.grad = tensor([0.0])
    optimizer.step()
    close(weight.detach(), [1.7])


def test_alpha_multiplies_the_logits_of_the_training_loss_and_divides_lr_by_its_square():
    config = RunConfig(lr=0.09, modulo=5, hidden_sizes=(4,), alpha=3.0, optimizer="SGD")
    run = Session(config)
    close(run.optimizer.param_groups[0]["lr"], 0.01)
    z, label = tensor([[LN2, 0.0]]), tensor([0])
    close(run._objective(z, label, False), math.log(1 + 1 / 8))  # exp(3 log 2) = 8
    close(run.loss(z, label), math.log(1.5))  # what is recorded has no alpha
