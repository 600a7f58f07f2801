"""The tables of what a configuration can name: operations, losses, networks, optimizers.

An entry is all that is known of a name: the function behind it, the words of a picture, what it
needs. `register` adds one of your own (docs/extending.md). Needs no package: a function is an
object, or "module:attribute", which is imported when it is used.
"""

import functools
import hashlib
import importlib
import inspect
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One name.

    Attributes:
        name: as in a configuration and on the command line.
        label: as on a picture.
        function: what it does; see the kinds.
        reads: the fields of RunConfig that it reads beside those that everything of its kind reads;
            a field that nothing reads is refused.
    """

    name: str
    label: str
    function: Callable | str
    reads: tuple[str, ...] = ()

    def load(self) -> Callable:
        """The function itself."""
        if callable(self.function):
            return self.function
        module, _, attribute = self.function.partition(":")
        try:
            return getattr(importlib.import_module(module), attribute)
        except (ImportError, AttributeError) as error:
            kind = type(self).__name__.lower()
            raise ValueError(
                f"{kind} '{self.name}': no function {self.function} ({error})"
            ) from None


@dataclass(frozen=True, kw_only=True)
class Operation(Entry):
    """x op y mod p: function(x, y, p) of int64 tensors of one shape, values 0 to p - 1.

    Attributes:
        nonzero: the second operand is not 0.
        prime: needs inverses, so that p is prime.
        permutations: x and y are permutations of five things, as (N, 5) images: function(x, y).
    """

    nonzero: bool = False
    prime: bool = False
    permutations: bool = False


@dataclass(frozen=True, kw_only=True)
class Loss(Entry):
    """function(logits (N, C), targets (N,)) -> (N,) terms in nats; their mean is minimised.

    Or a function of the arguments of stablemax_cross_entropy, which then does precision and mean
    itself.
    """


@dataclass(frozen=True, kw_only=True)
class Network(Entry):
    """function(config, num_inputs, num_classes) -> torch.nn.Module from inputs to (N, C) logits.

    One with `hidden_matrices`, as models.Network has it, can be trained with Muon.

    Attributes:
        tokens: inputs of the modular task are tokens, (N, T) int64; else the positions of the ones
            of two-hot rows, (N, 2) int64. Other tasks have (N, F) floats.
    """

    tokens: bool = False


@dataclass(frozen=True, kw_only=True)
class Optimizer(Entry):
    """function(parameters, lr=..., weight_decay=...) -> torch.optim.Optimizer: any constructor.

    It also gets betas and eps where it reads beta1, beta2 and adam_epsilon, and momentum.

    Attributes:
        beta2: where the configuration has none.
        by_matrix: has a rule of its own for the network's hidden matrices, which come in groups
            with `matrices` (training/muon.py).
    """

    beta2: float = 0.99
    by_matrix: bool = False


def _table(entries) -> dict:
    return {entry.name: entry for entry in entries}


_DIVIDE = "tasks.operations:divide"
# Up to divide_mod those of the paper, then those of Power et al. (2022), appendix A.1, as
# openai/grok computes them; then compositions of two permutations, in several orders.
# D5, D6: the authors reduce modulo 113 whatever p is, and their division is floor division.
OPERATIONS = _table(
    (
        Operation(name="add_mod", label="addition", function=lambda x, y, p: (x + y) % p,
                  reads=("terms",)),
        Operation(name="product_mod", label="product", function=lambda x, y, p: (x * y) % p),
        Operation(name="subtract_mod", label="subtraction", function=lambda x, y, p: (x - y) % p),
        Operation(name="divide_mod", label="division", function=_DIVIDE, nonzero=True, prime=True),
        Operation(name="square_add_mod", label="x² + y", function=lambda x, y, p: (x**2 + y) % p),
        Operation(name="cube_add_mod", label="x³ + y", function=lambda x, y, p: (x**3 + y) % p),
        Operation(name="x2_y2_mod", label="x² + y²", function=lambda x, y, p: (x**2 + y**2) % p),
        Operation(name="x2_xy_y2_mod", label="x² + xy + y²",
                  function=lambda x, y, p: (x**2 + x * y + y**2) % p),
        Operation(name="x2_xy_y2_x_mod", label="x² + xy + y² + x",
                  function=lambda x, y, p: (x**2 + x * y + y**2 + x) % p),
        Operation(name="x3_xy_mod", label="x³ + xy",
                  function=lambda x, y, p: (x**3 + x * y) % p),
        Operation(name="x3_xy2_y_mod", label="x³ + xy² + y",
                  function=lambda x, y, p: (x**3 + x * y**2 + y) % p),
        Operation(name="odd_divide_mod", label="x / y for odd y, else x - y,", prime=True,
                  function="tasks.operations:odd_divide"),
        Operation(name="even_add_odd_product_mod", label="x + y for even x, else xy,",
                  function=lambda x, y, p: (x % 2 * (x * y) + (1 - x % 2) * (x + y)) % p),
        Operation(name="even_add_odd_subtract_mod", label="x + y for even x, else x - y,",
                  function=lambda x, y, p: (x + (1 - 2 * (x % 2)) * y) % p),
        *(
            Operation(name=name, label=label, function=f"tasks.operations:{function}",
                      permutations=True, reads=("exclude_identity",))
            for name, label, function in (
                ("s5", "composition in S5", "then"),  # c[i] = b[a[i]]: openai/grok
                ("s5_b_first", "composition in S5", "before"),  # c[i] = a[b[i]]: 004
                ("s5_inverse", "composition in S5", "then_inverse"),  # c[i] = b.index(a[i]): 003
                ("s5_conj", "conjugation in S5", "conjugate"),  # a b a^-1, a first: openai/grok
                ("s5_aba", "a b a in S5", "sandwich"),  # a b a, a first: openai/grok
            )
        ),
    )
)  # fmt: skip

LOSSES = _table(
    (
        Loss(name="cross_entropy", label="softmax", function="stablemax:softmax_cross_entropy",
             reads=("softmax_temperature", "induce_collapse_epoch", "label_smoothing")),
        Loss(name="stablemax", label="StableMax", function="stablemax:stablemax_cross_entropy",
             reads=("stablemax_precision", "label_smoothing")),
        Loss(name="taylor", label="Taylor-softmax",
             function="training.losses:taylor_softmax_cross_entropy"),
        Loss(name="sparsemax", label="sparsemax", function="training.losses:sparsemax_loss"),
        Loss(name="mse", label="squared error", function="training.losses:mean_squared_error"),
    )
)  # fmt: skip

NETWORKS = _table(
    (
        Network(name="mlp", label="MLP", function="training.builders:make_mlp",
                reads=("hidden_sizes",)),
        Network(name="transformer", label="transformer", tokens=True,
                function="training.builders:make_transformer",
                reads=("num_layers", "model_dim", "num_heads", "ff_dim", "ff_hidden_layers", "norm",
                       "final_norm", "activation", "positions", "causal", "tied_head", "dropout",
                       "dropout_at", "scale_embedding", "embedding_noise", "log_attention",
                       "log_dimension")),
        Network(name="lstm", label="LSTM", function="training.builders:make_lstm", tokens=True,
                reads=("num_layers", "model_dim", "lstm_dim")),
        Network(name="embedding_mlp", label="MLP on embeddings", tokens=True,
                function="training.builders:make_embedding_mlp",
                reads=("hidden_sizes", "model_dim", "final_norm", "positions")),
    )
)  # fmt: skip

_ADAM = ("beta1", "beta2", "adam_epsilon")
OPTIMIZERS = _table(
    (
        Optimizer(name="AdamW", label="AdamW", function="torch.optim:AdamW", reads=_ADAM),
        Optimizer(name="Adam", label="Adam", function="torch.optim:Adam", reads=_ADAM, beta2=0.98),
        Optimizer(name="Muon", label="Muon", function="training.muon:Muon", reads=_ADAM,
                  by_matrix=True),
        Optimizer(name="SGD", label="SGD", function="torch.optim:SGD",
                  reads=("momentum", "log_absorption")),
    )
)  # fmt: skip

_OWN = set()  # (kind, name) of what `register` added
TABLES = {Operation: OPERATIONS, Loss: LOSSES, Network: NETWORKS, Optimizer: OPTIMIZERS}


def register(entry: Entry) -> Entry:
    """Adds an entry of one's own to the table of its kind, and returns it.

    Raises:
        ValueError: the name is another entry's, or `reads` is no tuple of fields.
    """
    table = TABLES[type(entry)]
    if not isinstance(entry.reads, tuple):
        raise ValueError(f"reads is {entry.reads!r}; write a tuple of fields, such as ('lr',)")
    there = table.get(entry.name)
    if there is not None and _home(there) != _home(entry):
        raise ValueError(f"there is a {type(entry).__name__.lower()} '{entry.name}' already")
    table[entry.name] = entry
    _OWN.add((type(entry), entry.name))
    return entry


def definitions(config) -> dict[str, str]:
    """{entry of one's own that a configuration names: a digest of its function's source}."""
    names = {Operation: config.binary_operation, Loss: config.loss_function,
             Network: config.network_kind, Optimizer: config.optimizer}  # fmt: skip
    return {
        f"{kind.__name__.lower()} {name}": _digest(TABLES[kind][name].function)
        for kind, name in names.items()
        if (kind, name) in _OWN
    }


@functools.cache
def _digest(function) -> str:
    try:
        text = function if isinstance(function, str) else inspect.getsource(function)
    except (OSError, TypeError):  # a builtin, or an object that is called
        text = repr(type(function))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _home(entry: Entry):
    """Where the function comes from: a file that is loaded twice registers the same."""
    return getattr(entry.function, "__module__", entry.function)
