"""Muon of hidden matrices and AdamW of all else against torch's own two, stepped apart."""

import copy
import io

import pytest
import torch
from torch import nn

from configuration.config import RunConfig
from models import AUTHORS_ENCODER, MLP, Transformer
from optimizers import OrthoGrad, make_optimizer, orthogonal_projection
from training import builders
from training.muon import Muon
from training.networks import LSTM, EmbeddingMLP
from training.session import Session
from training.update_rules import Schedule

SHAPES = {1: [(12, 8), (8, 12), (9, 9)], 3: [(18, 6), (30, 12)], 0: [(7, 5), (5,), (1,)]}
OPTIONS = dict(lr=0.03, betas=(0.8, 0.95), eps=1e-10, weight_decay=0.4)


def draw(dtype=torch.float64, seed=0):
    """{matrices on one another: weights}."""
    generator = torch.Generator().manual_seed(seed)
    return {n: [torch.randn(*s, dtype=torch.float64, generator=generator).to(dtype) for s in shapes]
            for n, shapes in SHAPES.items()}  # fmt: skip


def ours(dtype=torch.float64, **options):
    weights = {n: [nn.Parameter(w) for w in ws] for n, ws in draw(dtype).items()}
    groups = [{"params": ws, "matrices": n} for n, ws in weights.items()]
    return weights, Muon(groups, **OPTIONS | {"fused": True} | options)


def step(weights, optimizer, updates):
    for update in updates:
        for n, gradients in draw(weights[1][0].dtype, seed=100 + update).items():
            for w, g in zip(weights[n], gradients, strict=True):
                w.grad = g
        optimizer.step()


def plain(updates, dtype=torch.float64):
    """{matrices: weights} after torch.optim.Muon of each matrix and torch.optim.AdamW."""
    weights = draw(dtype)
    parts = {n: [[nn.Parameter(x) for x in (w.chunk(n) if n else (w,))] for w in ws]
             for n, ws in weights.items()}  # fmt: skip
    matrices = [x for n in (1, 3) for whole in parts[n] for x in whole]
    optimizers = [
        torch.optim.Muon(matrices, lr=0.03, weight_decay=0.4, adjust_lr_fn="match_rms_adamw"),
        torch.optim.AdamW([x for (x,) in parts[0]], **OPTIONS),
    ]
    for update in updates:
        for n, gradients in draw(dtype, seed=100 + update).items():
            for whole, g in zip(parts[n], gradients, strict=True):
                for x, part in zip(whole, g.chunk(n) if n else (g,), strict=True):
                    x.grad = part.clone()
        for optimizer in optimizers:
            optimizer.step()
    return {n: [torch.cat(list(whole)) for whole in wholes] for n, wholes in parts.items()}


def assert_close(weights, expected, rtol):
    for n in SHAPES:
        for w, e in zip(weights[n], expected[n], strict=True):
            torch.testing.assert_close(w.detach(), e.detach(), rtol=rtol, atol=rtol)


@pytest.mark.parametrize(("dtype", "rtol"), [(torch.float64, 1e-12), (torch.float32, 2e-6)])
def test_each_weight_takes_the_step_of_torchs_muon_or_adamw(dtype, rtol):
    weights, optimizer = ours(dtype)
    step(weights, optimizer, range(25))
    assert_close(weights, plain(range(25), dtype), rtol)
    assert all(w.dtype == dtype for ws in weights.values() for w in ws)


def test_root_mean_square_of_a_step_is_a_fifth_of_the_rate_whatever_the_shape():
    weights, optimizer = ours(weight_decay=0.0)
    before = {n: [w.detach().clone() for w in ws] for n, ws in weights.items()}
    step(weights, optimizer, range(1))
    for n in (1, 3):
        for w, b in zip(weights[n], before[n], strict=True):
            rms = (w.detach() - b).square().mean().sqrt().item()
            assert rms / 0.03 == pytest.approx(0.2, rel=0.35)  # five steps leave 0.7 to 1.2


def test_a_rate_that_is_a_tensor_makes_the_same_step_and_is_followed():
    weights, optimizer = ours()
    for group in optimizer.param_groups:
        group["lr"] = torch.tensor(0.03, dtype=torch.float64)
    step(weights, optimizer, range(5))
    assert_close(weights, plain(range(5)), 1e-12)
    before = copy.deepcopy(weights)
    Schedule(optimizer, "linear", warmup_steps=0, warmup_start=0.0, end=1, final=0.0).step(1)
    step(weights, optimizer, range(5, 7))
    assert_close(weights, before, 0)


def test_state_goes_through_a_file_bit_for_bit():
    whole, begun, going_on = ours(), ours(), ours()
    step(*whole, range(9))
    step(*begun, range(4))
    saved = io.BytesIO()
    torch.save(begun[1].state_dict(), saved)
    going_on[1].load_state_dict(torch.load(io.BytesIO(saved.getvalue())))
    for n, weights in begun[0].items():
        for mine, theirs in zip(going_on[0][n], weights, strict=True):
            mine.data.copy_(theirs)
    step(*going_on, range(4, 9))
    assert_close(going_on[0], whole[0], 0)
    files = [io.BytesIO() for _ in range(2)]
    for file, (_, optimizer) in zip(files, (whole, going_on), strict=True):
        torch.save(optimizer.state_dict(), file)
    assert files[0].getvalue() == files[1].getvalue()


def test_copy_steps_by_itself():
    weights, optimizer = ours()
    step(weights, optimizer, range(2))
    others, other = copy.deepcopy((weights, optimizer))
    step(others, other, range(2, 4))
    assert_close(weights, plain(range(2)), 1e-12)
    assert_close(others, plain(range(4)), 1e-12)


def test_projected_gradients_reach_muon():
    weights, optimizer = ours()
    wrapped = OrthoGrad(optimizer)
    step(weights, wrapped, range(1))
    start, gradients = draw(), draw(seed=100)
    for n in SHAPES:
        projected = orthogonal_projection(start[n], gradients[n])
        for w, p in zip(weights[n], projected, strict=True):
            torch.testing.assert_close(w.grad, p, rtol=1e-12, atol=1e-15)


def test_zero_gradient_leaves_all_but_the_decay():
    weights, optimizer = ours()
    for w in (w for ws in weights.values() for w in ws):
        w.grad = torch.zeros_like(w)
    optimizer.step()
    decayed = {n: [(1 - 0.03 * 0.4) * w for w in ws] for n, ws in draw().items()}
    assert_close(weights, decayed, 1e-14)


@pytest.mark.parametrize(("shape", "count"), [((4,), 1), ((2, 3, 4), 1), ((8, 4), 3)])
def test_weight_that_is_not_so_many_matrices_is_refused_in_one_line(shape, count):
    groups = [{"params": [nn.Parameter(torch.ones(shape))], "matrices": count}]
    with pytest.raises(ValueError, match=f"is not {count} matrices") as caught:
        Muon(groups, lr=0.1)
    assert "\n" not in str(caught.value)


# ------------------------------------------------------------------- which weights are hidden

ENCODER = AUTHORS_ENCODER | dict(model_dim=8, num_heads=2, ff_dim=12, num_layers=2, bias=True)
LSTM_SIZES = dict(vocab_size=7, num_classes=5, num_layers=2, model_dim=6, lstm_dim=9, bias=True)
EMBEDDED = dict(vocab_size=7, num_classes=5, tokens=2, model_dim=6, positions="learned", bias=True)
IN_A_LAYER = {"self_attn.in_proj_weight": 3, "self_attn.out_proj.weight": 1, "linear1.weight": 1,
              "linear2.weight": 1}  # fmt: skip
HIDDEN = {
    "mlp": (MLP(9, (8, 7, 6), 5, True), {"layers.1.weight": 1, "layers.2.weight": 1}),
    "one hidden layer": (MLP(9, (8,), 5, True), {}),
    "no hidden layer": (MLP(9, (), 5, False), {}),
    "transformer": (
        Transformer(**ENCODER | dict(positions="learned", final_norm=True)),
        {f"layers.{i}.{name}": n for i in range(2) for name, n in IN_A_LAYER.items()},
    ),
    "tied": (
        Transformer(**ENCODER | dict(num_layers=1, tied_head=True, ff_hidden_layers=2)),
        {f"layers.0.{name}": n for name, n in IN_A_LAYER.items()} | {"layers.0.inner.0.weight": 1},
    ),
    "embedding_mlp": (
        EmbeddingMLP(hidden_sizes=(10, 8), final_norm=True, **EMBEDDED),
        {"hidden.layers.0.weight": 1, "hidden.layers.1.weight": 1},
    ),
    "lstm": (LSTM(**LSTM_SIZES), {}),
}


@pytest.mark.parametrize("name", HIDDEN)
def test_hidden_matrices_are_those_between_input_and_head(name):
    model, expected = HIDDEN[name]
    names = {id(w): name for name, w in model.named_parameters()}
    assert {names[id(w)]: n for w, n in model.hidden_matrices()} == expected


RUN = RunConfig(lr=0.01, modulo=11, train_fraction=0.5, hidden_sizes=(12, 10), optimizer="Muon")


def test_every_weight_is_in_one_group_and_only_matrices_decay_where_not_all_do():
    config = RunConfig(
        lr=0.01, modulo=11, use_transformer=True, model_dim=8, num_heads=2, ff_dim=12,
        optimizer="Muon", weight_decay=0.5, decay_all=False,
    )  # fmt: skip
    session = Session(config)
    groups = session.optimizer.param_groups
    held = [id(w) for group in groups for w in group["params"]]
    assert sorted(held) == sorted(map(id, session.weights))
    decays = [(w.dim() > 1, group["weight_decay"]) for group in groups for w in group["params"]]
    assert set(decays) == {(True, 0.5), (False, 0.0)}


def test_configurations_moments_reach_the_adamw_part():
    optimizer = Session(RUN).optimizer
    hidden, rest = optimizer.param_groups
    assert hidden["matrices"] == 1 and [w.shape for w in hidden["params"]] == [(10, 12)]
    assert (rest["betas"], rest["eps"], rest["fused"]) == ((0.9, 0.99), 1e-25, True)


def test_module_of_ones_own_without_hidden_matrices_is_refused_in_one_line():
    model = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2))
    with pytest.raises(ValueError, match="names none .hidden_matrices.; use --optimizer AdamW"):
        builders.make_optimizer(RUN, list(model.parameters()), model)
    model.hidden_matrices = lambda: [(model[0].weight, 1)]
    optimizer = builders.make_optimizer(RUN, list(model.parameters()), model)
    assert [len(group["params"]) for group in optimizer.param_groups] == [1, 3]


def test_it_is_made_as_any_other_optimizer_is():
    with pytest.raises(ValueError, match="rounds to 0 in torch.float32"):
        make_optimizer([nn.Parameter(torch.ones(2))], Muon, lr=0.1, eps=1e-50)
