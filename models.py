"""The networks: an MLP and a transformer encoder, every choice an argument.

Letters: N examples, T tokens, S positions that are read, D width, C classes, V vocabulary.
"""

import math

import torch
import torch.nn.functional as F
from torch import nn

from layers.encoder import DROPOUT_PLACES, EncoderLayer
from layers.passes import (
    ACTIVATIONS,
    dropout,
    relu_network,
    relu_network_gradients,
    take_rows,
    written_out,
)

NORMS = ("post", "pre", "none")
POSITIONS = ("none", "learned", "sinusoidal")

# Where --dropout_at has it act; "encoder" is torch's encoder layer.
DROPOUT_AT = {
    "encoder": ("attention", "attention_output", "ff", "ff_output"),
    "ff_output": ("ff_output",),
    "all": DROPOUT_PLACES,
}

# The authors' encoder: nn.TransformerEncoderLayer(128, 4) with torch's defaults, one layer, between
# an embedding and a linear head, here for addition mod 113. It has 622,065 parameters.
AUTHORS_ENCODER = dict(
    vocab_size=113,
    num_classes=113,
    max_tokens=2,
    num_layers=1,
    model_dim=128,
    num_heads=4,
    ff_dim=2048,
    ff_hidden_layers=1,
    dropout=0.1,
    dropout_places=DROPOUT_AT["encoder"],
    norm="post",
    final_norm=False,
    activation="relu",
    positions="none",
    embedding_scale=1.0,
    embedding_noise=0.0,
    causal=False,
    tied_head=False,
    bias=True,
)


def choose(name, value, choices):
    if value not in choices:
        raise ValueError(f"unknown {name} {value!r}; choose from {', '.join(choices)}")


def at_least_one(**sizes):
    for name, value in sizes.items():
        if value < 1:
            raise ValueError(f"{name} {value!r} must be at least 1")


class Network(nn.Module):
    """A module that maps inputs to logits and knows how to fill `.grad` for one training step."""

    def backpropagate(self, x, logit_gradient):
        """Sets `.grad` of every parameter, like `logits.backward(gradient)`.

        Args:
            x: input of `forward`.
            logit_gradient: called with logits (n, C) and the slice of rows they belong to, under no
                graph; returns the gradient of the whole batch's loss by these logits, (n, C).
        """
        logits = self(x)
        logits.backward(logit_gradient(logits.detach(), slice(0, len(x))))

    def hidden_matrices(self):
        """[(weight, number of matrices that lie on one another in it)] between input and head."""
        return []


class MLP(Network):
    """Linear layers with ReLU between them: W_L relu(... relu(W_1 x + b_1) ...) + b_L.

    Weights are those of `nn.Linear` layers built in order: the same names, shapes and draws.

    Args:
        input_size: width of a row x.
        hidden_sizes: widths of the hidden layers; empty for a linear classifier.
        num_classes: C, number of logits.
        bias: whether each layer adds a bias.

    Raises:
        ValueError: for a width below 1, or an input of another width.

    Source: section 3.1 of the paper; two hidden layers of 200, no bias, for modular tasks.
    """

    def __init__(self, input_size, hidden_sizes, num_classes, bias):
        super().__init__()
        sizes = (input_size, *hidden_sizes, num_classes)
        if min(sizes) < 1:
            raise ValueError(f"layer widths {sizes} must all be at least 1")
        self.input_size = input_size
        self.layers = nn.ModuleList(
            nn.Linear(n_in, n_out, bias=bias)
            for n_in, n_out in zip(sizes[:-1], sizes[1:], strict=True)
        )
        self.has_bias = bias

    def forward(self, x):
        """Logits.

        Args:
            x: (N, input_size) floating, or (N, K) integers from 0 to input_size - 1: the positions
                of the ones of K-hot rows, which costs K additions a row in place of a product.

        Returns:
            (N, C) logits.
        """
        self._check(x)
        return relu_network(x, *self._parameters_by_layer())  # (N, C)

    @torch.no_grad()
    def backpropagate(self, x, logit_gradient):
        if not written_out(x):
            with torch.enable_grad():
                return super().backpropagate(x, logit_gradient)
        self._check(x)
        weights, biases = self._parameters_by_layer()
        dw, db = relu_network_gradients(x, weights, biases, logit_gradient)
        for parameter, gradient in zip((*weights, *(biases or ())), (*dw, *db), strict=True):
            parameter.grad = gradient
        return None

    def hidden_matrices(self):
        return [(layer.weight, 1) for layer in self.layers[1:-1]]

    def _parameters_by_layer(self):
        weights = [layer.weight for layer in self.layers]
        return weights, [layer.bias for layer in self.layers] if self.has_bias else None

    def _check(self, x):
        dense = x.is_floating_point()
        if x.dim() != 2 or x.dtype == torch.bool or (dense and x.shape[1] != self.input_size):
            raise ValueError(
                f"{x.dtype} input of shape {tuple(x.shape)}; give (N, {self.input_size}) floats or "
                "the (N, K) integer positions of the ones"
            )


class Transformer(Network):
    """Encoder over tokens with a linear head: logits = W LN?(layers(s E[token] + position)) + b.

    Every choice is an argument; `AUTHORS_ENCODER` holds those of the paper's code. Initial values
    are torch's own, drawn in the order embedding, positions, layers, head, so that one seed gives
    the weights of nn.Embedding, nn.TransformerEncoderLayer, nn.Linear built in this order. (With
    more layers each is drawn afresh; nn.TransformerEncoder starts them as copies of one.)

    Args:
        vocab_size: V, number of tokens.
        num_classes: C, number of logits.
        max_tokens: the most tokens a row may have.
        num_layers: encoder layers, at least 1.
        model_dim: D.
        num_heads: attention heads, a divisor of D.
        ff_dim: width of the feed-forward block.
        ff_hidden_layers: its hidden layers; 1 is the usual two matrices, 2 the three matrices of
            the authors' first transformer.
        dropout: probability, 0 <= p < 1, at each of `dropout_places`.
        dropout_places: any of "embedding" (sum of token and position), "attention" (its weights),
            "attention_output", "ff" (after the activation), "ff_output". torch's encoder layer has
            all but the first.
        norm: "post" (after each residual sum), "pre" (before each block) or "none".
        final_norm: LayerNorm before the head.
        activation: "relu" or "gelu".
        positions: "none", "learned" (N(0, 1) rows) or "sinusoidal" (fixed).
        embedding_scale: s, factor of the token embedding.
        embedding_noise: standard deviation of Gaussian noise on the inputs of the first layer,
            drawn for every input in training, before dropout.
        causal: whether a place sees only itself and the places before it.
        tied_head: logits = h E[:C]', without a head of its own; needs C <= V.
        bias: biases of attention, feed-forward and head; a LayerNorm always has its shift.

    Raises:
        ValueError: one line, for a choice that does not exist or sizes that do not fit.

    Source: section 3 and appendix of the paper; the form is that of Vaswani et al. (2017).
    """

    def __init__(
        self, *, vocab_size, num_classes, max_tokens, num_layers, model_dim, num_heads, ff_dim,
        ff_hidden_layers, dropout, dropout_places, norm, final_norm, activation, positions,
        embedding_scale, embedding_noise, causal, tied_head, bias,
    ):  # fmt: skip
        super().__init__()
        at_least_one(
            vocab_size=vocab_size, num_classes=num_classes, max_tokens=max_tokens,
            num_layers=num_layers, model_dim=model_dim, num_heads=num_heads, ff_dim=ff_dim,
            ff_hidden_layers=ff_hidden_layers,
        )  # fmt: skip
        choose("norm", norm, NORMS)
        choose("activation", activation, ACTIVATIONS)
        choose("positions", positions, POSITIONS)
        for place in dropout_places:
            choose("dropout place", place, DROPOUT_PLACES)
        if model_dim % num_heads:
            raise ValueError(
                f"model_dim {model_dim} is not a multiple of num_heads {num_heads}; change either"
            )
        if not 0 <= dropout < 1:
            raise ValueError(f"dropout {dropout!r} must be a probability from 0 to below 1")
        if not 0 <= embedding_noise < math.inf:
            raise ValueError(f"embedding_noise {embedding_noise!r} must be 0 or a number above")
        if tied_head and num_classes > vocab_size:
            raise ValueError(
                f"tied_head needs a token for each class, but num_classes {num_classes} is above "
                f"vocab_size {vocab_size}; use tied_head=False or a larger vocabulary"
            )
        self.max_tokens, self.num_classes = max_tokens, num_classes
        self.positions, self.embedding_scale, self.causal = positions, embedding_scale, causal
        rates = {place: dropout * (place in dropout_places) for place in DROPOUT_PLACES}
        self.embedding_dropout, self.embedding_noise = rates["embedding"], embedding_noise

        self.embedding = nn.Embedding(vocab_size, model_dim)
        if positions == "learned":
            self.position = nn.Embedding(max_tokens, model_dim)
        elif positions == "sinusoidal":
            self.register_buffer("sinusoids", sinusoids(max_tokens, model_dim), persistent=False)
        self.layers = nn.ModuleList(
            EncoderLayer(
                model_dim=model_dim, num_heads=num_heads, ff_dim=ff_dim,
                ff_hidden_layers=ff_hidden_layers, rates=rates, norm=norm, activation=activation,
                bias=bias,
            )
            for _ in range(num_layers)
        )  # fmt: skip
        self.norm = nn.LayerNorm(model_dim) if final_norm else nn.Identity()
        self.head = None if tied_head else nn.Linear(model_dim, num_classes, bias=bias)

    def forward(self, tokens, read="last"):
        """Logits at the places that are read.

        Args:
            tokens: (N, T) integers from 0 to V - 1, 1 <= T <= max_tokens.
            read: "last", "all", or a slice of the T places with a positive step. Only what these
                places need is computed.

        Returns:
            (N, C) logits for "last", else (N, S, C).
        """
        if tokens.dim() != 2 or not 1 <= tokens.shape[1] <= self.max_tokens:
            raise ValueError(
                f"tokens of shape {tuple(tokens.shape)}; give (N, T) with T from 1 to max_tokens "
                f"{self.max_tokens}"
            )
        places = _places(read, tokens.shape[1])
        if self.causal:
            tokens = tokens[:, : places[-1] + 1]  # what comes later influences nothing
        everything = slice(0, tokens.shape[1])
        wanted = slice(places.start, places.stop, places.step)

        x, index = self._inputs(tokens)
        for layer in self.layers[:-1]:
            x, index = layer(x, index, everything, self.causal), None
        x = self.norm(self.layers[-1](x, index, wanted, self.causal))  # (N, S, D)
        if read == "last":
            x = x[:, 0]
        if self.head is None:
            return F.linear(x, self.embedding.weight[: self.num_classes])
        return self.head(x)

    def hidden_matrices(self):
        weights = ((n, w) for n, w in self.layers.named_parameters() if w.dim() == 2)
        return [(w, 3 if n.endswith("in_proj_weight") else 1) for n, w in weights]  # q, k, v

    def _inputs(self, tokens):
        """Inputs of the first layer: distinct rows and an index into them where these are fewer."""
        count = tokens.shape[1]
        p = self.embedding_dropout if self.training else 0.0
        noise = self.embedding_noise if self.training else 0.0
        table = self.embedding.weight * self.embedding_scale  # (V, D)
        place = None
        if self.positions != "none":
            rows = self.position.weight if self.positions == "learned" else self.sinusoids
            place = rows[:count].to(table.dtype)  # (T, D)
        distinct = table.shape[0] * (1 if place is None else count)
        if p == noise == 0 and distinct < tokens.numel():
            if place is None:
                return table, tokens
            # Token first: a token outside the vocabulary then lies outside the table, too.
            table = (table[:, None] + place).flatten(0, 1)  # (V T, D)
            return table, tokens * count + torch.arange(count, device=tokens.device)
        x = take_rows(table, tokens)  # (N, T, D)
        if place is not None:
            x = x + place
        if noise:
            x = x + noise * torch.randn_like(x)
        return dropout(x, p), None

    def hidden_states(self, tokens, layer):
        """Output of a layer (from 0, or from the end) at all T places of tokens (N, T): (N, T, D).

        The final norm and the head come after it.
        """
        x, index = self._inputs(tokens)
        for block in self.layers[: range(len(self.layers))[layer] + 1]:
            x, index = block(x, index, slice(0, tokens.shape[1]), self.causal), None
        return x


def _places(read, count):
    if read == "last":
        return range(count - 1, count)
    places = slice(None) if read == "all" else read
    places = range(count)[places] if isinstance(places, slice) else ()
    if len(places) == 0 or places.step < 1:
        raise ValueError(f"read {read!r} of {count} tokens; give 'last', 'all' or a forward slice")
    return places


def sinusoids(count, width, dtype=None):
    """Fixed positions: sin(t / 10000^(2i/D)) in the even columns 2i, cos of it in the odd ones.

    Source: Vaswani et al. (2017), section 3.5.
    """
    t = torch.arange(count, dtype=torch.float64)[:, None]
    angle = t * torch.exp(
        -math.log(10000) / width * torch.arange(0, width, 2, dtype=torch.float64)
    )  # (T, D/2)
    rows = torch.stack((angle.sin(), angle.cos()), -1).flatten(1)[:, :width]
    return rows.to(dtype or torch.get_default_dtype())
