"""Entropy and norms of attention against nn.MultiheadAttention and values worked out by hand."""

import math

import pytest
import torch
from torch import nn

import models
from layers import attention

CHOICES = dict(models.AUTHORS_ENCODER) | dict(
    vocab_size=9, num_classes=7, max_tokens=4, num_layers=2, model_dim=8, num_heads=2, ff_dim=16
)  # fmt: skip
FORMS = [
    {},
    {"causal": True, "norm": "pre", "positions": "learned"},
    {"causal": True, "norm": "post", "positions": "sinusoidal", "bias": False},
    {"norm": "none", "num_layers": 1},
]


def network(**changes):
    torch.manual_seed(1)
    model = models.Transformer(**(CHOICES | changes)).eval()
    with torch.no_grad():  # sharp attention, and biases that are not 0
        for layer in model.layers:
            layer.self_attn.in_proj_weight.mul_(2)
            if layer.self_attn.in_proj_bias is not None:
                layer.self_attn.in_proj_bias.normal_()
    return model


def inputs_of_layers(model, tokens):
    """(N, T, D) input of each layer's attention, by torch's own layers."""
    x = model.embedding.weight[tokens]
    if model.positions == "learned":
        x = x + model.position.weight[: tokens.shape[1]]
    elif model.positions == "sinusoidal":
        x = x + model.sinusoids[: tokens.shape[1]]
    for i, layer in enumerate(model.layers):
        yield layer.norm1(x) if layer.norm == "pre" else x
        if i + 1 < len(model.layers):
            x = model.hidden_states(tokens, i)


@pytest.mark.parametrize("changes", FORMS, ids=str)
@pytest.mark.parametrize("count", [3, 40])  # fewer inputs than distinct rows, and more of them
@torch.no_grad()
def test_entropy_is_that_of_torchs_attention_weights(changes, count):
    model = network(**changes)
    tokens = torch.randint(9, (count, 4), generator=torch.Generator().manual_seed(2))
    found = attention.entropies(model, tokens)
    mask = nn.Transformer.generate_square_subsequent_mask(4) if model.causal else None
    assert len(found) == len(model.layers)
    for i, (layer, x) in enumerate(zip(model.layers, inputs_of_layers(model, tokens), strict=True)):
        theirs = nn.MultiheadAttention(8, 2, bias=model.layers[0].linear1.bias is not None,
                                       batch_first=True)  # fmt: skip
        theirs.load_state_dict(layer.self_attn.state_dict())
        _, weights = theirs(
            x, x, x, attn_mask=mask, need_weights=True, average_attn_weights=False
        )  # (N, H, T, T)
        if i == len(model.layers) - 1:
            weights = weights[:, :, -1:]  # only the last position is read
        entropy = -(weights * weights.clamp(min=1e-45).log()).sum(-1)
        assert found[i].item() == pytest.approx(entropy.mean().item(), rel=1e-5)
        assert 0.05 < found[i].item() < math.log(4)


@pytest.mark.parametrize(("causal", "first"), [(False, math.log(4)), (True, math.log(24) / 4)])
def test_equal_keys_have_the_logarithm_of_the_number_of_keys_that_are_seen(causal, first):
    model = network(causal=causal)
    with torch.no_grad():
        for layer in model.layers:
            layer.self_attn.in_proj_weight.zero_()
            layer.self_attn.in_proj_bias.zero_()
    row = attention.measure(model, torch.randint(9, (5, 4)))
    # Causal: ln 1, ln 2, ln 3 and ln 4 at the four places of the first layer, ln 4 at the last one.
    assert row["attention_entropy/layers.0"].item() == pytest.approx(first, rel=1e-12)
    assert row["attention_entropy/layers.1"].item() == pytest.approx(math.log(4), rel=1e-12)
    assert row["attention_entropy"].item() == pytest.approx((first + math.log(4)) / 2, rel=1e-12)


def test_norms_are_those_of_torchs_separate_projections():
    model = network()
    row = attention.measure(model, torch.zeros(1, 4, dtype=torch.int64))
    for i, layer in enumerate(model.layers):
        stacked = layer.self_attn.in_proj_weight.detach().numpy().astype(float)
        for k, name in enumerate(("query", "key", "value")):
            expected = math.sqrt((stacked[8 * k : 8 * k + 8] ** 2).sum())
            assert row[f"attention_norm/layers.{i}.{name}"].item() == pytest.approx(expected)
    assert len(row) == 3 + 2 * 3


def test_only_the_first_examples_are_measured(monkeypatch):
    model = network()
    tokens = torch.randint(9, (50, 4), generator=torch.Generator().manual_seed(3))
    monkeypatch.setattr(attention, "EXAMPLES", 10)
    found = attention.measure(model, tokens)["attention_entropy/layers.0"]
    assert found == attention.entropies(model, tokens[:10])[0]
    assert found != attention.entropies(model, tokens)[0]


def test_nothing_stays_attached_to_the_network():
    model = network()
    attention.entropies(model, torch.zeros(2, 4, dtype=torch.int64))
    with pytest.raises(ValueError):
        attention.entropies(model, torch.zeros(2, 9, dtype=torch.int64))
    assert not any(layer._forward_pre_hooks for layer in model.layers)
