"""The LSTM and the embedding MLP against torch's own modules at the same weights."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from training.networks import LSTM, EmbeddingMLP

LSTM_SIZES = dict(vocab_size=7, num_classes=5, num_layers=2, model_dim=6, lstm_dim=9, bias=True)
MLP_SIZES = dict(
    vocab_size=7, num_classes=5, tokens=4, model_dim=6, hidden_sizes=(10, 8), positions="learned",
    final_norm=True, bias=True,
)  # fmt: skip


def parts(model):
    """(name, parameter) pairs with nothing at 0 or 1, in float64."""
    model.double()
    torch.manual_seed(5)
    for parameter in model.parameters():
        nn.init.normal_(parameter, 0.1, 0.5)
    return model


def assert_same(ours, plain, tokens, pairs):
    """Equal logits and gradients; pairs: parameters of ours and of the plain form."""
    target = torch.randint(5, (len(tokens),))
    out, expected = ours(tokens), plain(tokens)
    torch.testing.assert_close(out, expected, rtol=1e-10, atol=1e-10)
    mine = torch.autograd.grad(F.cross_entropy(out, target), [a for a, _ in pairs])
    theirs = torch.autograd.grad(F.cross_entropy(expected, target), [b for _, b in pairs])
    for a, b in zip(mine, theirs, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-12)
    assert all(g.abs().max() > 0 for g in mine)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("layers", [1, 2])
def test_lstm_equals_torch_cells_stepped_by_hand(layers, bias):
    ours = parts(LSTM(**LSTM_SIZES | dict(num_layers=layers, bias=bias)))
    cells = [nn.LSTMCell(9 if i else 6, 9, bias).double() for i in range(layers)]
    head = nn.Linear(9, 5, bias).double()
    pairs = list(zip(ours.head.parameters(), head.parameters(), strict=True))
    for i, cell in enumerate(cells):
        pairs += [(getattr(ours.lstm, f"{n}_l{i}"), p) for n, p in cell.named_parameters()]
    with torch.no_grad():
        for a, b in pairs:
            b.copy_(a)

    def plain(tokens):
        states = [(torch.zeros(len(tokens), 9).double(),) * 2 for _ in cells]
        for x in ours.embedding.weight[tokens].unbind(1):
            for i, cell in enumerate(cells):
                states[i] = cell(x, states[i])
                x = states[i][0]
        return head(x)

    table = (ours.embedding.weight, ours.embedding.weight)
    assert_same(ours, plain, torch.randint(7, (20, 4)), [*pairs, table])


def test_lstm_starts_at_the_weights_of_torch_modules_built_in_order():
    torch.manual_seed(3)
    ours = LSTM(**LSTM_SIZES)
    torch.manual_seed(3)
    modules = nn.Embedding(7, 6), nn.LSTM(6, 9, 2), nn.Linear(9, 5)
    expected = [p for m in modules for p in m.parameters()]
    assert all(torch.equal(a, b) for a, b in zip(ours.parameters(), expected, strict=True))


def sines(tokens, width):
    """sin and cos of t / 10000^(2i/D), entry by entry."""
    return torch.tensor(
        [
            [(math.cos if i % 2 else math.sin)(t / 10000 ** (i // 2 * 2 / width))
             for i in range(width)]
            for t in range(tokens)
        ]
    ).double()  # fmt: skip


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("norm", [True, False])
@pytest.mark.parametrize("positions", ["none", "learned", "sinusoidal"])
@pytest.mark.parametrize("hidden", [(), (10,), (10, 8)])
def test_embedding_mlp_equals_torch_layers_in_sequence(hidden, positions, norm, bias):
    change = dict(hidden_sizes=hidden, positions=positions, final_norm=norm, bias=bias)
    ours = parts(EmbeddingMLP(**MLP_SIZES | change))
    widths = (24, *hidden)
    modules = [nn.Flatten()]
    for n_in, n_out in zip(widths[:-1], widths[1:], strict=True):
        modules += [nn.Linear(n_in, n_out, bias), nn.ReLU()]
    modules += [nn.LayerNorm(widths[-1])] * norm + [nn.Linear(widths[-1], 5, bias)]
    stack = nn.Sequential(*modules).double()
    tables = [w for n, w in ours.named_parameters() if n.startswith(("embedding", "position"))]
    rest = [w for n, w in ours.named_parameters() if not n.startswith(("embedding", "position"))]
    pairs = list(zip(rest, stack.parameters(), strict=True))
    with torch.no_grad():
        for a, b in pairs:
            b.copy_(a)

    def plain(tokens):
        x = F.embedding(tokens, ours.embedding.weight)
        if positions == "learned":
            x = x + ours.position.weight
        if positions == "sinusoidal":
            ours.sinusoids = sines(4, 6)  # as wide as the comparison
            x = x + sines(4, 6)
        return stack(x)

    tokens = torch.randint(7, (20, 4))
    plain(tokens)
    assert_same(ours, plain, tokens, pairs + [(t, t) for t in tables])


def test_embedding_mlp_starts_at_the_weights_of_torch_modules_built_in_order():
    torch.manual_seed(3)
    ours = EmbeddingMLP(**MLP_SIZES)
    torch.manual_seed(3)
    modules = (nn.Embedding(7, 6), nn.Embedding(4, 6), nn.Linear(24, 10), nn.Linear(10, 8),
               nn.LayerNorm(8), nn.Linear(8, 5))  # fmt: skip
    expected = [p for m in modules for p in m.parameters()]
    assert all(torch.equal(a, b) for a, b in zip(ours.parameters(), expected, strict=True))


@pytest.mark.parametrize("make", [lambda: LSTM(**LSTM_SIZES), lambda: EmbeddingMLP(**MLP_SIZES)])
def test_backpropagate_leaves_the_gradients_of_the_whole_batch(make):
    model, tokens = parts(make()), torch.randint(7, (20, 4))
    target = torch.randint(5, (20,))

    def logit_gradient(logits, rows):
        z = logits.detach().requires_grad_()
        share = len(logits) / 20
        return torch.autograd.grad(F.cross_entropy(z, target[rows]) * share, z)[0]

    model.backpropagate(tokens, logit_gradient)
    weights = list(model.parameters())
    expected = torch.autograd.grad(F.cross_entropy(model(tokens), target), weights)
    for w, g in zip(weights, expected, strict=True):
        torch.testing.assert_close(w.grad, g)


@pytest.mark.parametrize("make", [lambda: LSTM(**LSTM_SIZES), lambda: EmbeddingMLP(**MLP_SIZES)])
def test_order_of_the_tokens_matters(make):
    model, tokens = parts(make()), torch.tensor([[1, 2, 3, 4]])
    assert (model(tokens) - model(tokens.flip(1))).abs().min() > 1e-6


@pytest.mark.parametrize(
    ("make", "change", "words"),
    [
        (LSTM, dict(lstm_dim=0), "lstm_dim 0"),
        (LSTM, dict(num_layers=0), "num_layers 0"),
        (EmbeddingMLP, dict(tokens=0), "tokens 0"),
        (EmbeddingMLP, dict(hidden_sizes=(3, 0)), "hidden_sizes[1] 0"),
        (EmbeddingMLP, dict(positions="rotary"), "choose from none, learned, sinusoidal"),
    ],
)
def test_choices_that_cannot_work_are_refused_in_one_line(make, change, words):
    with pytest.raises(ValueError) as error:
        make(**({LSTM: LSTM_SIZES, EmbeddingMLP: MLP_SIZES}[make] | change))
    assert words in str(error.value) and "\n" not in str(error.value)


def test_rows_of_another_length_are_refused():
    for tokens in (torch.zeros(3, 5).long(), torch.zeros(4).long()):
        with pytest.raises(ValueError, match="T = 4"):
            EmbeddingMLP(**MLP_SIZES)(tokens)
    for tokens in (torch.zeros(3, 0).long(), torch.zeros(3).long()):
        with pytest.raises(ValueError, match="T above 0"):
            LSTM(**LSTM_SIZES)(tokens)
