"""The MLP and the transformer against torch's own layers at the same weights."""

import math
import weakref

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from layers import encoder
from layers import passes as layers
from models import AUTHORS_ENCODER, MLP, Transformer, sinusoids

DEPTHS = [(), (9,), (9, 8), (9, 8, 7, 6)]
SMALL = AUTHORS_ENCODER | dict(
    vocab_size=7, num_classes=5, max_tokens=4, model_dim=16, num_heads=4, ff_dim=24, dropout=0.0
)
FORMS = {  # the systems of the related work and the authors' two transformers, in small
    "authors": {},
    "gelu, learned, causal, two layers, final norm": dict(
        num_layers=2, final_norm=True, activation="gelu", positions="learned", causal=True
    ),
    "pre-norm, scaled embedding": dict(
        num_layers=2, norm="pre", final_norm=True, activation="gelu", positions="learned",
        embedding_scale=4.0, causal=True,
    ),
    "sinusoidal, no biases": dict(num_layers=2, positions="sinusoidal", causal=True, bias=False),
    "tied": dict(num_layers=3, positions="learned", causal=True, tied_head=True),
    "pre-norm, no positions": dict(norm="pre"),
    "no norm, no biases": dict(norm="none", positions="learned", bias=False),
    "no norm, three matrices": dict(norm="none", positions="learned", ff_hidden_layers=2),
    "post-norm, relu, learned, causal, tied (003)": dict(
        num_layers=2, positions="learned", causal=True, tied_head=True, num_classes=7
    ),
}  # fmt: skip


def stack(model):
    """nn.Linear and nn.ReLU at the MLP's weights."""
    parts = []
    for ours in model.layers:
        linear = nn.Linear(ours.in_features, ours.out_features, ours.bias is not None)
        linear.to(ours.weight.dtype).load_state_dict(ours.state_dict())
        parts += [linear, nn.ReLU()]
    return nn.Sequential(*parts[:-1])


def k_hot(index, width, dtype):
    return F.one_hot(index, width).sum(1).to(dtype)


class PlainEncoder(nn.Module):
    """All places computed, by torch's encoder layer, or by its parts where it has no such form."""

    def __init__(self, choices, ours):
        super().__init__()
        self.c = c = choices
        self.embedding = nn.Embedding(c["vocab_size"], c["model_dim"])
        if c["positions"] == "learned":
            self.position = nn.Embedding(c["max_tokens"], c["model_dim"])
        self.norm = nn.LayerNorm(c["model_dim"]) if c["final_norm"] else nn.Identity()
        self.head = nn.Linear(c["model_dim"], c["num_classes"], c["bias"])
        d, h, p = c["model_dim"], c["num_heads"], c["dropout"]
        if c["norm"] == "none":
            # The residual sums by hand around torch's attention and linear layers.
            make = lambda: nn.ModuleDict({  # noqa: E731
                "self_attn": nn.MultiheadAttention(d, h, p, c["bias"], batch_first=True),
                "linear1": nn.Linear(d, c["ff_dim"], c["bias"]),
                "inner": nn.ModuleList(
                    nn.Linear(c["ff_dim"], c["ff_dim"], c["bias"])
                    for _ in range(c["ff_hidden_layers"] - 1)
                ),
                "linear2": nn.Linear(c["ff_dim"], d, c["bias"]),
            })  # fmt: skip
        else:
            make = lambda: nn.TransformerEncoderLayer(  # noqa: E731
                d, h, c["ff_dim"], p, c["activation"], batch_first=True,
                norm_first=c["norm"] == "pre", bias=c["bias"],
            )  # fmt: skip
        self.layers = nn.ModuleList(make() for _ in range(c["num_layers"]))
        if c["tied_head"]:
            self.head = None
        self.to(ours.embedding.weight.dtype)
        missing, unexpected = self.load_state_dict(ours.state_dict(), strict=False)
        # torch's layer without biases has LayerNorms without a shift; ours starts at 0.
        assert not missing and all("norm" in name and "bias" in name for name in unexpected)

    def forward(self, tokens):
        c, count = self.c, tokens.shape[1]
        x = self.embedding(tokens) * c["embedding_scale"]
        if c["positions"] == "learned":
            x = x + self.position.weight[:count]
        if c["positions"] == "sinusoidal":
            d = c["model_dim"]
            angle = [[t / 10000 ** (i // 2 * 2 / d) for i in range(d)] for t in range(count)]
            rows = [[(math.cos if i % 2 else math.sin)(a) for i, a in enumerate(r)] for r in angle]
            x = x + torch.tensor(rows, dtype=x.dtype)
        mask = torch.ones(count, count, dtype=torch.bool).triu(1) if c["causal"] else None
        for layer in self.layers:
            if c["norm"] != "none":
                x = layer(x, src_mask=mask)
                continue
            x = x + layer["self_attn"](x, x, x, attn_mask=mask, need_weights=False)[0]
            h = layer["linear1"](x).relu()
            for inner in layer["inner"]:
                h = inner(h).relu()
            x = x + layer["linear2"](h)
        x = self.norm(x)
        return (
            F.linear(x, self.embedding.weight[: c["num_classes"]])
            if c["tied_head"]
            else self.head(x)
        )


def both(form, dtype=torch.float64, **changes):
    choices = SMALL | FORMS[form] | changes
    torch.manual_seed(0)
    ours = Transformer(**choices).to(dtype)
    if choices["positions"] == "sinusoidal":
        # .to() would only widen float32 values; the comparison wants them exact.
        ours.sinusoids = sinusoids(choices["max_tokens"], choices["model_dim"], dtype)
    for name, parameter in ours.named_parameters():  # no zero biases, no unit gains
        if parameter.dim() == 1 and not ("norm" in name and not choices["bias"]):
            nn.init.normal_(parameter, 0.5, 0.5)
    return ours, PlainEncoder(choices, ours)


def gradients(model):
    return {name: p.grad for name, p in model.named_parameters()}


def assert_equal_gradients(ours, plain, **tolerance):
    mine, theirs = gradients(ours), gradients(plain)
    for name, grad in theirs.items():
        torch.testing.assert_close(mine[name], grad, **tolerance, msg=lambda m, n=name: f"{n}: {m}")


# ------------------------------------------------------------------------------------------ MLP


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("hidden", DEPTHS)
def test_mlp_starts_at_the_weights_of_linear_layers_built_in_order(hidden, bias):
    torch.manual_seed(42)
    model = MLP(11, hidden, 5, bias)
    after = torch.rand(3)
    torch.manual_seed(42)
    sizes = (11, *hidden, 5)
    plain = [nn.Linear(*pair, bias=bias) for pair in zip(sizes[:-1], sizes[1:], strict=True)]
    assert torch.equal(after, torch.rand(3))  # the random stream goes on at the same place
    expected = {
        f"layers.{i}.{k}": v for i, m in enumerate(plain) for k, v in m.state_dict().items()
    }
    assert list(model.state_dict()) == list(expected)
    for name, value in model.state_dict().items():
        assert torch.equal(value, expected[name])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("hidden", DEPTHS)
def test_mlp_on_dense_rows_equals_linear_layers(hidden, bias, dtype):
    model = MLP(11, hidden, 5, bias).to(dtype)
    plain = stack(model)
    x = torch.randn(40, 11, dtype=dtype, requires_grad=True)
    x2 = x.detach().clone().requires_grad_()
    target = torch.randint(5, (40,))
    out, expected = model(x), plain(x2)
    torch.testing.assert_close(out, expected)
    F.cross_entropy(out, target).backward()
    F.cross_entropy(expected, target).backward()
    torch.testing.assert_close(x.grad, x2.grad)
    for mine, theirs in zip(model.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(mine.grad, theirs.grad)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("hidden", DEPTHS)
@pytest.mark.parametrize("ones", [1, 2, 5])
def test_mlp_on_positions_equals_linear_layers_on_k_hot_rows(ones, hidden, bias, dtype):
    model = MLP(11, hidden, 5, bias).to(dtype)
    plain = stack(model)
    index = torch.randint(11, (40, ones))  # with five ones some positions repeat
    target = torch.randint(5, (40,))
    out, expected = model(index), plain(k_hot(index, 11, dtype))
    torch.testing.assert_close(out, expected)
    F.cross_entropy(out, target).backward()
    F.cross_entropy(expected, target).backward()
    for mine, theirs in zip(model.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(mine.grad, theirs.grad)


@pytest.mark.parametrize(("dtype", "rtol"), [(torch.float64, 1e-11), (torch.float32, 2e-4)])
def test_100_sgd_steps_of_the_mlp_equal_those_of_linear_layers(dtype, rtol):
    torch.manual_seed(1)
    model = MLP(26, (30, 30), 13, bias=False).to(dtype)
    plain = stack(model)
    index = torch.cartesian_prod(torch.arange(13), torch.arange(13))
    target = index.sum(1) % 13
    index = index + torch.tensor([0, 13])
    start = model.layers[0].weight.detach().clone()
    for net, x in ((model, index), (plain, k_hot(index, 26, dtype))):
        optimizer = torch.optim.SGD(net.parameters(), lr=0.5, momentum=0.8)
        for _ in range(100):
            optimizer.zero_grad()
            F.cross_entropy(net(x), target).backward()
            optimizer.step()
    assert (model.layers[0].weight - start).norm() > 0.1 * start.norm()
    for mine, theirs in zip(model.parameters(), plain.parameters(), strict=True):
        assert (mine - theirs).norm() <= rtol * theirs.norm()


@pytest.mark.parametrize("on", ["positions", "dense rows"])
@pytest.mark.parametrize("kept", [1.0, 0.6, 0.3, 0.02, 0.0])
def test_rows_without_gradient_take_no_part_in_the_backward_products(kept, on, monkeypatch):
    torch.manual_seed(0)
    model = MLP(11, (9, 8), 5, bias=True)
    index = torch.randint(11, (400, 2))
    dense = k_hot(index, 11, torch.float32)
    incoming = torch.randn(400, 5) * (torch.rand(400, 1) < kept)
    weights, biases = ([getattr(x, n).detach() for x in model.layers] for n in ("weight", "bias"))
    monkeypatch.setattr(layers, "NETWORK_CHUNK", 9 * 4 * 150)  # three chunks, the last short
    seen, descend = [], layers._descend

    def gradients():
        return layers.relu_network_gradients(
            index if on == "positions" else dense, weights, biases, lambda _, rows: incoming[rows]
        )

    def spy(grad, *arguments, **buffers):
        seen.append(len(grad))
        return descend(grad, *arguments, **buffers)

    with monkeypatch.context() as patch:
        patch.setattr(layers, "_descend", spy)
        ours = sum(gradients(), [])
    there = [int((part != 0).any(1).sum()) for part in incoming.split(150)]
    assert seen == (there if kept < 0.5 else [150, 150, 100])
    plain = stack(model)
    plain(dense).backward(incoming)
    expected = [p.grad for n in ("weight", "bias") for p in (getattr(x, n) for x in plain[::2])]
    for mine, theirs in zip(ours, expected, strict=True):
        torch.testing.assert_close(mine, theirs)
    monkeypatch.setattr(layers, "_rows_with_gradient", lambda gradient: None)
    for mine, whole in zip(ours, sum(gradients(), []), strict=True):
        assert torch.equal(mine, whole) or kept < 0.5
        assert kept > 0 or not mine.any()


def test_a_row_whose_gradient_is_nan_is_not_left_out():
    gradient = torch.zeros(10, 3)
    gradient[4, 1], gradient[7, 2] = math.nan, 1e-45
    assert layers._rows_with_gradient(gradient).tolist() == [4, 7]


def test_mlp_passes_gradcheck():
    torch.manual_seed(0)
    model = MLP(6, (5, 4), 3, bias=True).double()
    x = torch.randn(7, 6, dtype=torch.float64, requires_grad=True)
    index = torch.randint(6, (7, 2))

    def on(inputs):
        return lambda *p: torch.func.functional_call(
            model, dict(zip(dict(model.named_parameters()), p, strict=True)), inputs
        )

    parameters = tuple(p.detach().clone().requires_grad_() for p in model.parameters())
    assert torch.autograd.gradcheck(on(index), parameters)
    assert torch.autograd.gradcheck(model, x)


@pytest.mark.parametrize("net", ["mlp", "transformer"])
def test_backward_changes_no_tensor_of_others_and_can_be_repeated(net):
    if net == "mlp":
        model, x = MLP(6, (5, 4), 3, bias=True), torch.randint(6, (8, 2))
    else:
        model, x = (
            Transformer(**SMALL | dict(activation="gelu", dropout=0.2)),
            torch.randint(7, (8, 3)),
        )
    out = model(x)
    incoming = torch.randn_like(out)
    before = incoming.clone()
    weights = list(model.parameters())
    first = torch.autograd.grad(out, weights, incoming, retain_graph=True)
    assert torch.equal(incoming, before)
    again = torch.autograd.grad(out, weights, incoming)
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))


class Alive(TorchDispatchMode):
    """The most tensors of one shape alive at once."""

    def __init__(self, shape):
        super().__init__()
        self.shape, self.seen, self.most = shape, {}, 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        if isinstance(out, torch.Tensor) and out.shape == self.shape:
            self.seen[out.untyped_storage().data_ptr(), len(self.seen)] = weakref.ref(out)
        storages = {r().untyped_storage().data_ptr() for r in self.seen.values() if r() is not None}
        self.most = max(self.most, len(storages))
        return out


def test_mlp_keeps_activations_only_for_a_backward_pass():
    model, index = MLP(11, (9,) * 8, 5, bias=True), torch.randint(11, (40, 2))
    with Alive((40, 9)) as training:
        model(index)
    with torch.no_grad(), Alive((40, 9)) as evaluation:
        model(index)
    assert training.most >= 8
    assert evaluation.most <= 3


def test_feed_forward_keeps_activations_only_for_a_backward_pass(monkeypatch):
    monkeypatch.setattr(layers, "FORWARD_CHUNK", 24 * 8)
    model, tokens = Transformer(**SMALL), torch.randint(7, (40, 2))
    with Alive((40, 24)) as training:
        model(tokens)
    with torch.no_grad(), Alive((40, 24)) as evaluation:
        model(tokens)
    assert training.most == 1
    assert evaluation.most == 0


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_low_precision_networks_follow_float32(dtype):
    torch.manual_seed(0)
    nets = [(MLP(26, (30,), 5, bias=True), torch.randint(26, (20, 2)))]
    nets += [(Transformer(**SMALL | FORMS[form]), torch.randint(7, (20, 3))) for form in FORMS]
    for model, x in nets:
        expected = model(x)
        expected.square().mean().backward()
        grads = gradients(model)
        model.zero_grad()
        model.to(dtype)
        out = model(x)
        assert out.dtype == dtype
        out.square().mean().backward()
        limit = 0.02 if dtype == torch.float16 else 0.15
        assert (out.float() - expected).norm() < limit * expected.norm()
        for name, grad in gradients(model).items():
            assert (grad.float() - grads[name]).norm() <= limit * grads[name].norm() + 1e-3


# ---------------------------------------------------------------------------------- transformer


def test_authors_encoder_has_622065_parameters():
    assert sum(p.numel() for p in Transformer(**AUTHORS_ENCODER).parameters()) == 622_065


def test_authors_encoder_starts_at_the_weights_of_torch_layers_built_in_order():
    torch.manual_seed(42)
    ours = Transformer(**AUTHORS_ENCODER)
    after = torch.rand(3)
    torch.manual_seed(42)
    embedding = nn.Embedding(113, 128)
    stacked = nn.TransformerEncoder(
        nn.TransformerEncoderLayer(128, 4), 1, enable_nested_tensor=False
    )
    head = nn.Linear(128, 113)
    assert torch.equal(after, torch.rand(3))
    parts = (("embedding.", embedding), ("", stacked), ("head.", head))
    expected = {prefix + k: v for prefix, m in parts for k, v in m.state_dict().items()}
    assert ours.state_dict().keys() == expected.keys()
    assert all(torch.equal(value, expected[name]) for name, value in ours.state_dict().items())


@pytest.mark.parametrize("count", [3, 60], ids=["each input a row", "inputs by distinct rows"])
@pytest.mark.parametrize("form", FORMS)
def test_transformer_equals_torch_layers_at_the_same_weights(form, count):
    ours, plain = both(form)
    tokens = torch.randint(7, (count, 4))
    target = torch.randint(5, (count,))
    out, expected = ours(tokens), plain(tokens)[:, -1]
    torch.testing.assert_close(out, expected, rtol=1e-10, atol=1e-10)
    F.cross_entropy(out, target).backward()
    F.cross_entropy(expected, target).backward()
    assert_equal_gradients(ours, plain, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("causal", [False, True])
def test_transformer_over_many_tokens_equals_torch_layers(causal):
    ours, plain = both("authors", max_tokens=12, causal=causal, num_layers=2)
    tokens = torch.randint(7, (9, 12))  # 144 pairs: above the limit of the pair by pair form
    out, expected = ours(tokens, read="all"), plain(tokens)
    torch.testing.assert_close(out, expected, rtol=1e-10, atol=1e-10)
    out.square().mean().backward()
    expected.square().mean().backward()
    assert_equal_gradients(ours, plain, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("read", ["all", slice(2, 4), slice(0, 3, 2), slice(-3, -1), slice(1)])
@pytest.mark.parametrize("form", FORMS)
def test_reading_some_places_equals_computing_all(form, read):
    ours, plain = both(form)
    tokens = torch.randint(7, (30, 4))
    out = ours(tokens, read=read)
    expected = plain(tokens)[:, slice(None) if read == "all" else read]
    torch.testing.assert_close(out, expected, rtol=1e-10, atol=1e-10)
    out.square().mean().backward()
    expected.square().mean().backward()
    assert_equal_gradients(ours, plain, rtol=1e-9, atol=1e-12)


def test_last_layer_computes_only_what_is_read():
    rows = []
    for read in ("last", "all"):
        model = Transformer(**SMALL | dict(num_layers=2))
        with Alive((30, 24)) as one_place, Alive((120, 24)) as four_places:
            model(torch.randint(7, (30, 4)), read=read)
        rows.append((one_place.most, four_places.most))
    assert rows == [(1, 1), (0, 2)]


def test_each_distinct_input_is_projected_once():
    for form, distinct in (({}, 7), (dict(positions="learned"), 28)):
        with Alive((distinct, 32)) as table, Alive((120, 32)) as each:
            Transformer(**SMALL | form)(torch.randint(7, (120, 4)))
        assert table.most == 1 and each.most == 0


def test_feed_forward_in_uneven_chunks_equals_one_piece(monkeypatch):
    monkeypatch.setattr(layers, "FORWARD_CHUNK", 24 * 7 + 5)
    monkeypatch.setattr(layers, "BACKWARD_CHUNK", 24 * 4)
    for form in ("authors", "pre-norm, scaled embedding", "sinusoidal, no biases"):
        test_transformer_equals_torch_layers_at_the_same_weights(form, 30)


@pytest.mark.parametrize("form", ["authors", "gelu, learned, causal, two layers, final norm"])
def test_100_sgd_steps_of_the_transformer_equal_those_of_torch_layers(form):
    ours, plain = both(form)
    tokens = torch.randint(7, (49, 3))
    target = tokens.sum(1) % 5
    start = ours.layers[0].linear1.weight.detach().clone()
    for net, last in ((ours, lambda x: x), (plain, lambda x: x[:, -1])):
        optimizer = torch.optim.SGD(net.parameters(), lr=0.05, momentum=0.5)
        for _ in range(100):
            optimizer.zero_grad()
            F.cross_entropy(last(net(tokens)), target).backward()
            optimizer.step()
    assert (ours.layers[0].linear1.weight - start).norm() > 0.05 * start.norm()
    for name, value in plain.state_dict().items():
        assert (ours.state_dict()[name] - value).norm() <= 1e-9 * value.norm()


def test_the_future_influences_a_place_only_without_the_causal_mask():
    tokens = torch.randint(7, (20, 4))
    changed = tokens.clone()
    changed[:, 2:] = (changed[:, 2:] + 1) % 7
    for causal in (True, False):
        model = Transformer(**SMALL | dict(num_layers=2, causal=causal))
        before, after = model(tokens, read="all"), model(changed, read="all")
        assert torch.equal(before[:, :2], after[:, :2]) == causal
        assert not torch.allclose(before[:, 2:], after[:, 2:])


def test_embedding_noise_is_gaussian_on_the_summed_inputs_of_every_row_in_training_only():
    form = dict(positions="learned", embedding_scale=3.0, embedding_noise=0.5)
    model = Transformer(**SMALL | form)
    seen = []
    model.layers[0].register_forward_pre_hook(lambda module, inputs: seen.append(inputs))
    tokens = torch.randint(7, (3000, 4))
    model(tokens)
    table, index = seen[0][:2]
    sums = 3 * model.embedding.weight[tokens] + model.position.weight
    noise = ((table - sums).detach().double() / 0.5).flatten()
    assert index is None and table.shape == (3000, 4, 16)
    n = noise.numel()
    assert abs(noise.mean()) < 5 / math.sqrt(n) and abs(noise.var() - 1) < 5 * math.sqrt(2 / n)
    assert abs((noise**4).mean() - 3) < 5 * math.sqrt(96 / n)  # a Gaussian's fourth moment
    assert abs((noise[16:] * noise[:-16]).mean()) < 5 / math.sqrt(n)  # neighbouring tokens
    model.eval()
    exact = Transformer(**SMALL | form | dict(embedding_noise=0.0))
    exact.load_state_dict(model.state_dict())
    assert torch.equal(model(tokens), exact(tokens))


def test_tied_head_is_the_embedding():
    model = Transformer(**SMALL | dict(tied_head=True))
    assert not [name for name, _ in model.named_parameters() if name.startswith("head")]
    tokens = torch.randint(7, (20, 4))
    states = []
    model.norm.register_forward_hook(lambda module, inputs, out: states.append(out))
    out = model(tokens)
    torch.testing.assert_close(out, states[0][:, 0] @ model.embedding.weight[:5].T)


def test_without_bias_only_layer_norms_have_one():
    names = [n for n, _ in Transformer(**SMALL | dict(bias=False)).named_parameters()]
    assert [n for n in names if "bias" in n] == ["layers.0.norm1.bias", "layers.0.norm2.bias"]
    bare = Transformer(**SMALL | dict(bias=False, norm="none"))
    assert not [n for n, _ in bare.named_parameters() if "bias" in n or "norm" in n]


@pytest.mark.parametrize("tokens", [[[0, 7]], [[7, 0]], [[-1, 0]]])
@pytest.mark.parametrize("positions", ["none", "learned"])
@pytest.mark.parametrize("count", [1, 50])
def test_a_token_outside_the_vocabulary_is_an_error(count, positions, tokens):
    model = Transformer(**SMALL | dict(positions=positions, max_tokens=2))
    with pytest.raises((IndexError, RuntimeError)):
        model(torch.tensor(tokens * count))


# ------------------------------------------------------------------------------ dropout


@pytest.mark.parametrize("p", [0.0, 0.001, 0.1, 25 / 256, 0.3, 0.5, 0.9, 0.9999])
def test_keep_bytes_are_independent_with_probability_one_minus_p(p):
    torch.manual_seed(3)
    n = 2**21 - 3
    keep = layers.keep_bytes(n, p)
    assert keep.shape == (n,) and keep.max() <= 1
    x = 1.0 - keep.double()  # drops
    sigma = math.sqrt(p * (1 - p))
    assert abs(x.mean() - p) <= 5 * sigma / math.sqrt(n)
    for lane in range(8):  # each byte of a 64-bit word
        assert abs(x[lane::8].mean() - p) <= 5 * sigma / math.sqrt(n / 8)
    for lag in (1, 2, 4, 8, 64):
        joint = (x[lag:] * x[:-lag]).mean()
        # Of the product, whose neighbours overlap: at most twice the independent deviation.
        assert abs(joint - p * p) <= 5 * 2 * math.sqrt(p * p * (1 - p * p) / n) + 1e-12
    assert (x[: n // 2].mean() - x[n // 2 :].mean()).abs() <= 5 * sigma * 2 / math.sqrt(n)


def test_dropout_scales_what_it_keeps_and_masks_the_gradient_alike():
    x = torch.randn(300, 70).T.requires_grad_()  # not contiguous
    y = layers.dropout(x, 0.3)
    kept = y != 0
    torch.testing.assert_close(y, torch.where(kept, x / 0.7, 0.0))
    assert abs(kept.double().mean() - 0.7) < 5 * math.sqrt(0.21 / x.numel())
    g = torch.randn(70, 300)
    y.backward(g)
    torch.testing.assert_close(x.grad, torch.where(kept, g / 0.7, 0.0))


@pytest.mark.parametrize("activation", ["relu", "gelu"])
def test_feed_forward_drops_activations_and_masks_gradients_alike(activation, monkeypatch):
    monkeypatch.setattr(layers, "FORWARD_CHUNK", 5000)
    x, w1, b1 = (torch.randn(*s, dtype=torch.float64) for s in ((400, 8), (30, 8), (30,)))
    inputs = [t.requires_grad_() for t in (x, w1, b1, torch.eye(30, dtype=torch.float64))]
    out = layers.feed_forward(*inputs, None, activation, 0.4)  # W_2 = 1 shows the activations
    h = getattr(F, activation)(F.linear(x, w1, b1))
    kept = out.detach() != 0
    alive = h != 0
    rate = kept[alive].double().mean()
    assert abs(rate - 0.6) < 5 * math.sqrt(0.24 / alive.sum())
    expected = F.linear(torch.where(kept, h / 0.6, 0.0), inputs[3])
    torch.testing.assert_close(out, expected)
    g = torch.randn_like(out)
    for mine, theirs in zip(
        torch.autograd.grad(out, inputs, g), torch.autograd.grad(expected, inputs, g), strict=True
    ):
        torch.testing.assert_close(mine, theirs)


def test_attention_drops_weights_and_masks_gradients_alike():
    n, p = 4000, 0.25
    q = torch.randn(n, 1, 2, dtype=torch.float64, requires_grad=True)
    k = torch.randn(n, 2, 2, dtype=torch.float64, requires_grad=True)
    v = torch.eye(2, dtype=torch.float64).expand(n, 2, 2).clone().requires_grad_()
    out = encoder.attention(
        q, torch.cat((k, v), -1), 1, range(1, 2), False, p
    )  # v = 1 shows the weights
    weights = (q @ k.mT / math.sqrt(2)).softmax(-1)
    kept = out.detach() != 0
    assert abs(kept.double().mean() - 0.75) < 5 * math.sqrt(p * (1 - p) / kept.numel())
    both_kept = kept.all(-1).double().mean()
    assert abs(both_kept - 0.75**2) < 5 * math.sqrt(0.5625 * 0.4375 / n)
    expected = torch.where(kept, weights / 0.75, 0.0) @ v
    torch.testing.assert_close(out, expected)
    g = torch.randn_like(out)
    for mine, theirs in zip(
        torch.autograd.grad(out, (q, k, v), g),
        torch.autograd.grad(expected, (q, k, v), g),
        strict=True,
    ):
        torch.testing.assert_close(mine, theirs)


@pytest.mark.parametrize("form", ["authors", "pre-norm, scaled embedding"])
def test_logits_in_training_have_the_distribution_of_torch_layers(form):
    places = AUTHORS_ENCODER["dropout_places"]
    ours, plain = both(form, torch.float32, dropout=0.2, dropout_places=places)
    n = 20_000
    tokens = torch.tensor([[1, 2, 3]]).expand(n, 3)
    with torch.no_grad():
        mine, theirs = ours(tokens).double(), plain(tokens)[:, -1].double()
    error = (mine.var(0) / n + theirs.var(0) / n).sqrt()
    assert ((mine.mean(0) - theirs.mean(0)).abs() < 5 * error).all()
    fourth = [((x - x.mean(0)) ** 4).mean(0) - x.var(0) ** 2 for x in (mine, theirs)]
    error = ((fourth[0] + fourth[1]) / n).sqrt()  # standard error of a variance
    assert ((mine.var(0) - theirs.var(0)).abs() < 5 * error).all()
    assert (mine.var(0) > 1e-3).all()


@pytest.mark.parametrize("place", encoder.DROPOUT_PLACES)
def test_each_dropout_place_acts_in_training_only(place):
    model = Transformer(**SMALL | dict(dropout=0.5, dropout_places=(place,)))
    model.layers[0].linear2.weight.data.mul_(10)
    tokens = torch.randint(7, (30, 3))
    exact = Transformer(**SMALL)
    exact.load_state_dict(model.state_dict())
    assert not torch.allclose(model(tokens), model(tokens))
    model.eval()
    assert torch.equal(model(tokens), exact(tokens))
    model.train()
    none = Transformer(**SMALL | dict(dropout=0.5, dropout_places=()))
    none.load_state_dict(model.state_dict())
    assert torch.equal(none(tokens), exact(tokens))


def test_dropout_of_the_feed_forward_acts_behind_every_hidden_layer():
    p, seen = 0.25, []
    choices = dict(ff_hidden_layers=3, ff_dim=400, activation="gelu", dropout=p)
    model = Transformer(**SMALL | choices | dict(dropout_places=("ff",)))
    for layer in model.layers[0].inner:
        layer.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    tokens = torch.randint(7, (50, 4))
    model.eval()(tokens)
    model.train()(tokens)
    whole, dropped = seen
    kept = dropped != 0
    torch.testing.assert_close(dropped[kept], whole[kept] / (1 - p))
    assert abs(kept.double().mean() - (1 - p)) < 5 * math.sqrt(p * (1 - p) / kept.numel())


def test_restoring_the_generator_repeats_a_training_step():
    model = Transformer(**SMALL | dict(dropout=0.3, activation="gelu"))
    tokens = torch.randint(7, (30, 3))
    state = torch.get_rng_state()
    out = []
    for _ in range(2):
        torch.set_rng_state(state)
        model.zero_grad()
        loss = model(tokens).square().mean()
        loss.backward()
        out.append((loss.item(), torch.cat([p.grad.flatten() for p in model.parameters()])))
    assert out[0][0] == out[1][0] and torch.equal(out[0][1], out[1][1])
    assert model(tokens).square().mean().item() != out[0][0]  # the next step draws anew


# ------------------------------------------------------------------------------ compiler, errors


@pytest.mark.parametrize("form", ["mlp", "authors", "pre-norm, scaled embedding"])
def test_compiled_networks_equal_eager_ones(form):
    torch._dynamo.reset()
    if form == "mlp":
        model, x = MLP(11, (9, 8), 5, bias=True), torch.randint(11, (40, 2))
    else:
        model, x = Transformer(**SMALL | FORMS[form]), torch.randint(7, (40, 4))
    compiled = torch.compile(model, backend="aot_eager", fullgraph=True)
    target = torch.randint(5, (40,))
    grads = []
    for net in (model, compiled):
        model.zero_grad()
        out = net(x)
        F.cross_entropy(out, target).backward()
        grads.append({name: p.grad.clone() for name, p in model.named_parameters()} | {"out": out})
    for name, value in grads[0].items():
        torch.testing.assert_close(grads[1][name], value, rtol=1e-4, atol=1e-6)


def test_compiled_dropout_has_the_distribution_of_the_eager_one():
    torch._dynamo.reset()
    places = encoder.DROPOUT_PLACES
    model = Transformer(**SMALL | dict(dropout=0.2, dropout_places=places))
    tokens = torch.tensor([[1, 2, 3]]).expand(20_000, 3)
    with torch.no_grad():
        eager = model(tokens).double()
        compiled = torch.compile(model, backend="aot_eager", fullgraph=True)(tokens).double()
    error = ((eager.var(0) + compiled.var(0)) / 20_000).sqrt()
    assert ((eager.mean(0) - compiled.mean(0)).abs() < 5 * error).all()
    torch.testing.assert_close(eager.std(0), compiled.std(0), rtol=0.05, atol=0)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (dict(num_heads=3), ["model_dim 16", "num_heads 3"]),
        (dict(norm="batch"), ["norm 'batch'", "post, pre, none"]),
        (dict(activation="tanh"), ["activation 'tanh'", "relu, gelu"]),
        (dict(positions="rotary"), ["positions 'rotary'", "none, learned, sinusoidal"]),
        (dict(dropout=1.0), ["dropout 1.0", "below 1"]),
        (dict(dropout_places=("head",)), ["dropout place 'head'", "ff_output"]),
        (dict(num_layers=0), ["num_layers 0", "at least 1"]),
        (dict(embedding_noise=-0.5), ["embedding_noise -0.5", "must be 0"]),
        (dict(tied_head=True, num_classes=9), ["num_classes 9", "vocab_size 7"]),
    ],
)
def test_transformer_refuses_choices_that_cannot_work(change, words):
    with pytest.raises(ValueError) as error:
        Transformer(**SMALL | change)
    assert "\n" not in str(error.value)
    assert all(word in str(error.value) for word in words)


def test_inputs_of_the_wrong_shape_are_refused():
    model = Transformer(**SMALL)
    for tokens in (torch.zeros(3, 5).long(), torch.zeros(3, 0).long(), torch.zeros(3).long()):
        with pytest.raises(ValueError, match="max_tokens 4"):
            model(tokens)
    for read in ("first", slice(4, 9), slice(None, None, -1)):
        with pytest.raises(ValueError, match="read"):
            model(torch.zeros(3, 4).long(), read=read)
    mlp = MLP(11, (9,), 5, bias=False)
    for x in (torch.zeros(3, 10), torch.zeros(3, 11).bool(), torch.zeros(11)):
        with pytest.raises(ValueError, match="11"):
            mlp(x)
    with pytest.raises(ValueError, match="at least 1"):
        MLP(11, (0,), 5, bias=False)
