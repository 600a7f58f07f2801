"""Two further networks over tokens: an LSTM, and an MLP over concatenated embeddings.

Letters: N examples, T tokens, D width of a token, V vocabulary, C classes.
"""

import torch
from torch import nn

from models import MLP, POSITIONS, Network, at_least_one, choose, sinusoids


class LSTM(Network):
    """logits = W h_T + b, h_T the last state of stacked LSTM layers over embedded tokens.

    Weights are those of nn.Embedding, nn.LSTM, nn.Linear built in this order.

    Args:
        vocab_size: V.
        num_classes: C.
        num_layers: LSTM layers.
        model_dim: D.
        lstm_dim: width of each layer's state.
        bias: biases of the LSTM and of the head.

    Raises:
        ValueError: one line, for a size below 1; in `forward`, for tokens of another shape.

    Source: Noaillesss/grokking (2 layers of 128).
    """

    def __init__(self, *, vocab_size, num_classes, num_layers, model_dim, lstm_dim, bias):
        super().__init__()
        at_least_one(
            vocab_size=vocab_size, num_classes=num_classes, num_layers=num_layers,
            model_dim=model_dim, lstm_dim=lstm_dim,
        )  # fmt: skip
        self.embedding = nn.Embedding(vocab_size, model_dim)
        self.lstm = nn.LSTM(model_dim, lstm_dim, num_layers, bias=bias)  # sequence first
        self.head = nn.Linear(lstm_dim, num_classes, bias=bias)

    def forward(self, tokens):
        """(N, C) logits of (N, T) integer tokens, T at least 1."""
        if tokens.dim() != 2 or tokens.shape[1] < 1:
            raise ValueError(f"tokens of shape {tuple(tokens.shape)}; give (N, T) with T above 0")
        states, _ = self.lstm(self.embedding(tokens.t()))  # (T, N, lstm_dim)
        return self.head(states[-1])


class EmbeddingMLP(Network):
    """logits = W LN?(MLP([E[x_1] + P[1], ..., E[x_T] + P[T]])) + b, ReLU after each hidden layer.

    Weights are those of nn.Embedding for tokens, nn.Embedding for positions, nn.Linear layers, head
    built in this order.

    Args:
        vocab_size: V.
        num_classes: C.
        tokens: T, the number of tokens of every row.
        model_dim: D.
        hidden_sizes: widths of the hidden layers.
        positions: "none", "learned" (N(0, 1) rows) or "sinusoidal" (fixed).
        final_norm: LayerNorm before the head.
        bias: biases of hidden layers and head; a LayerNorm always has its shift.

    Raises:
        ValueError: one line, for a size below 1, an unknown kind of positions, or rows of another
            length.

    Source: Noaillesss/grokking (D 128, two hidden layers of 512 for two operands, norm).
    """

    def __init__(
        self, *, vocab_size, num_classes, tokens, model_dim, hidden_sizes, positions, final_norm,
        bias,
    ):  # fmt: skip
        super().__init__()
        sizes = (tokens * model_dim, *hidden_sizes)
        at_least_one(
            vocab_size=vocab_size, num_classes=num_classes, tokens=tokens, model_dim=model_dim,
            **{f"hidden_sizes[{i}]": width for i, width in enumerate(hidden_sizes)},
        )  # fmt: skip
        choose("positions", positions, POSITIONS)
        self.tokens, self.positions = tokens, positions
        self.embedding = nn.Embedding(vocab_size, model_dim)
        if positions == "learned":
            self.position = nn.Embedding(tokens, model_dim)
        elif positions == "sinusoidal":
            self.register_buffer("sinusoids", sinusoids(tokens, model_dim), persistent=False)
        self.hidden = MLP(sizes[0], sizes[1:-1], sizes[-1], bias) if hidden_sizes else nn.Identity()
        self.norm = nn.LayerNorm(sizes[-1]) if final_norm else nn.Identity()
        self.head = nn.Linear(sizes[-1], num_classes, bias=bias)

    def forward(self, tokens):
        """(N, C) logits of (N, T) integer tokens."""
        if tokens.dim() != 2 or tokens.shape[1] != self.tokens:
            raise ValueError(
                f"tokens of shape {tuple(tokens.shape)}; give (N, T) with T = {self.tokens}"
            )
        x = self.embedding(tokens)  # (N, T, D)
        if self.positions != "none":
            rows = self.position.weight if self.positions == "learned" else self.sinusoids
            x = x + rows.to(x.dtype)
        h = self.hidden(x.flatten(1))
        if not isinstance(self.hidden, nn.Identity):
            h = torch.relu(h)
        return self.head(self.norm(h))

    def hidden_matrices(self):
        return [(w, 1) for w in self.hidden.parameters() if w.dim() == 2]
