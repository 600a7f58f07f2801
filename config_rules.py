"""What makes a RunConfig valid: types, choices, ranges, and no flag that nothing reads.

Every refusal is a ValueError of one line: the field, its value, and the remedy.
"""

import math
import types
import typing
from dataclasses import Field, fields

MNIST_IMAGES = {"embedded": 5_000, "full": 70_000}  # --mnist_images -> how many there are
SMALLEST_POSITIVE = {16: 6e-8, 32: 1.4e-45, 64: 5e-324}  # bits -> smallest number above 0


def check(c):
    """Raises ValueError, one line, unless the configuration `c` can be run as it stands."""
    for f in fields(c):
        _check_type(f, getattr(c, f.name))
    for rule in (_check_read, _check_task, _check_model, _check_loss, _check_optimizer, _check_run):
        rule(c)


def _check_type(f: Field, value):
    """Wrong types die here: a float for an int would otherwise fail deep inside a run."""
    hint = f.type
    optional = isinstance(hint, types.UnionType)
    base = typing.get_args(hint)[0] if optional else hint
    if optional and value is None:
        return
    if typing.get_origin(base) is tuple:
        good = isinstance(value, tuple) and all(type(v) is int for v in value)
    elif base is float:
        good = type(value) in (int, float) and math.isfinite(value)
    else:
        good = type(value) is base
    if not good:
        expected = {
            int: "a whole number",
            float: "a finite number",
            bool: "True or False",
            str: "a word",
        }
        _refuse(f.name, value, f"expected {expected.get(base, 'whole numbers')}")
    choices = f.metadata["choices"]
    if choices and value not in choices:
        _refuse(f.name, value, f"choose from {', '.join(map(str, choices))}")


def _refuse(name, value, remedy):
    raise ValueError(f"{name} {value!r}: {remedy}")


def _need(condition, name, value, remedy):
    if not condition:
        _refuse(name, value, remedy)


def is_prime(n: int) -> bool:
    return n > 1 and all(n % d for d in range(2, math.isqrt(n) + 1))


def num_examples(c) -> int:
    """Number of examples of a configuration's whole data set."""
    if c.dataset == "sparse_parity":
        return c.num_samples
    if c.dataset == "mnist":
        return MNIST_IMAGES[c.mnist_images]
    second = c.exclude_zero or c.binary_operation == "divide_mod"
    return (c.operands - c.exclude_zero) * (c.operands - second)


# Who reads a field. A flag that the rest of the configuration leaves unread would be recorded and
# change nothing, so it is refused unless it has its default.
_READERS = {
    "--dataset add_mod or binary_alg": (
        lambda c: c.dataset in ("add_mod", "binary_alg"),
        ("binary_operation", "modulo", "input_size", "exclude_zero"),
    ),
    "--dataset sparse_parity": (
        lambda c: c.dataset == "sparse_parity",
        ("num_noise_features", "num_parity_features", "num_samples"),
    ),
    "--dataset binary_alg": (lambda c: c.dataset == "binary_alg", ("code_bits", "random_codes")),
    "--dataset mnist": (lambda c: c.dataset == "mnist", ("mnist_images",)),
    "no --train_samples": (lambda c: c.train_samples is None, ("train_fraction",)),
    "--use_transformer": (
        lambda c: c.use_transformer,
        (
            "num_layers",
            "model_dim",
            "num_heads",
            "ff_dim",
            "ff_hidden_layers",
            "dropout",
            "norm",
            "final_norm",
            "activation",
            "positions",
            "causal",
            "tied_head",
        ),
    ),
    "the MLP (no --use_transformer)": (lambda c: not c.use_transformer, ("hidden_sizes",)),
    "--loss_function stablemax": (
        lambda c: c.loss_function == "stablemax",
        ("stablemax_precision",),
    ),
    "--loss_function cross_entropy": (
        lambda c: c.loss_function == "cross_entropy",
        ("softmax_temperature", "induce_collapse_epoch"),
    ),
    "--loss_function cross_entropy or stablemax": (
        lambda c: c.loss_function in ("cross_entropy", "stablemax"),
        ("label_smoothing",),
    ),
    "--regularization l1": (lambda c: c.regularization == "l1", ("lambda_l1",)),
    "--regularization l2": (lambda c: c.regularization == "l2", ("lambda_l2",)),
    "--optimizer AdamW or Adam": (
        lambda c: c.optimizer != "SGD",
        ("beta1", "beta2", "adam_epsilon"),
    ),
    "--optimizer SGD": (lambda c: c.optimizer == "SGD", ("momentum", "log_absorption")),
    "--orthogonal_gradients": (lambda c: c.orthogonal_gradients, ("restore_gradient_norm",)),
    "--no-full_batch": (lambda c: not c.full_batch, ("batch_size",)),
}


# Where our default is None, the authors' own: their command lines may state it anywhere.
_STATED = {"beta2": 0.99, "input_size": 113}


def _check_read(c):
    defaults = {f.name: f.default for f in fields(c)}
    for reader, (reads, names) in _READERS.items():
        for name in () if reads(c) else names:
            value = getattr(c, name)
            _need(
                value in (defaults[name], _STATED.get(name)),
                name,
                value,
                f"read only with {reader}; add that or drop this",
            )


def _check_task(c):
    _need(
        0 < c.train_fraction < 1,
        "train_fraction",
        c.train_fraction,
        "choose a share between 0 and 1, both excluded",
    )
    n = num_examples(c)
    if c.dataset == "sparse_parity":
        _need(
            c.num_parity_features >= 1,
            "num_parity_features",
            c.num_parity_features,
            "at least 1 parity bit",
        )
        _need(
            c.num_noise_features >= 0,
            "num_noise_features",
            c.num_noise_features,
            "0 or more noise bits",
        )
        bits = c.num_parity_features + c.num_noise_features
        _need(
            2 <= c.num_samples <= 2**bits,
            "num_samples",
            c.num_samples,
            f"{bits} bits have 2^{bits} distinct rows; choose from 2 to that many",
        )
    elif c.dataset != "mnist":
        _need(c.modulo >= 2, "modulo", c.modulo, "choose a modulus of at least 2")
        _need(c.operands >= 2, "input_size", c.input_size, "at least 2 values of each operand")
        divides = c.binary_operation == "divide_mod"
        if divides:
            _need(
                is_prime(c.modulo),
                "modulo",
                c.modulo,
                "divide_mod needs a prime modulus, such as 97 or 113",
            )
            _need(
                c.operands <= c.modulo,
                "input_size",
                c.input_size,
                f"divide_mod needs operands below the modulus {c.modulo}",
            )
        if c.dataset == "binary_alg" and c.code_bits is not None:
            fewest = (c.operands - 1).bit_length()
            _need(c.code_bits <= 62, "code_bits", c.code_bits, "choose at most 62 bits")
            _need(
                c.code_bits >= fewest,
                "code_bits",
                c.code_bits,
                f"{c.operands} distinct codes need at least {fewest} bits",
            )
    if c.train_samples is not None:
        _need(
            1 <= c.train_samples < n,
            "train_samples",
            c.train_samples,
            f"the data set has {n} examples; choose from 1 to {n - 1}, the others test",
        )
    n_train = c.train_examples
    _need(
        1 <= n_train < n,
        "train_fraction",
        c.train_fraction,
        f"leaves {n_train} of {n} examples to train on; choose another share",
    )
    if not c.full_batch:
        _need(c.batch_size >= 1, "batch_size", c.batch_size, "at least 1 example per update")


def _check_model(c):
    _need(
        all(w >= 1 for w in c.hidden_sizes),
        "hidden_sizes",
        c.hidden_sizes,
        "each width must be at least 1",
    )
    _need(c.init_scale > 0, "init_scale", c.init_scale, "choose a factor above 0")
    if c.use_transformer:
        _need(
            c.dataset == "add_mod",
            "dataset",
            c.dataset,
            "the transformer reads tokens; use --dataset add_mod or drop --use_transformer",
        )
        for name in ("num_layers", "model_dim", "num_heads", "ff_dim", "ff_hidden_layers"):
            _need(getattr(c, name) >= 1, name, getattr(c, name), "must be at least 1")
        _need(
            c.model_dim % c.num_heads == 0,
            "model_dim",
            c.model_dim,
            f"must be a multiple of num_heads {c.num_heads}",
        )
        _need(0 <= c.dropout < 1, "dropout", c.dropout, "choose a probability from 0 to below 1")


def _check_loss(c):
    _need(
        c.softmax_temperature > 0,
        "softmax_temperature",
        c.softmax_temperature,
        "choose a temperature above 0",
    )
    _need(
        c.logit_norm_penalty >= 0,
        "logit_norm_penalty",
        c.logit_norm_penalty,
        "must not be negative",
    )
    if c.induce_collapse_epoch is not None:
        _need(
            0 <= c.induce_collapse_epoch < c.num_epochs,
            "induce_collapse_epoch",
            c.induce_collapse_epoch,
            f"choose an epoch from 0 to {c.num_epochs - 1}, within num_epochs",
        )


def _check_optimizer(c):
    _need(c.lr > 0, "lr", c.lr, "choose a learning rate above 0")
    for name in ("weight_decay", "lambda_l1", "lambda_l2"):
        _need(getattr(c, name) >= 0, name, getattr(c, name), "must not be negative")
    for name, value in (("beta1", c.beta1), ("beta2", c.betas[1]), ("momentum", c.sgd_momentum)):
        _need(0 <= value < 1, name, value, "choose a number from 0 to below 1")
    if c.optimizer != "SGD":
        least = SMALLEST_POSITIVE[c.train_precision]
        _need(
            c.adam_epsilon >= least,
            "adam_epsilon",
            c.adam_epsilon,
            f"is 0 in float{c.train_precision} and Adam divides by it; use at least {least} or"
            " --train_precision 32",
        )
    _need(c.alpha != 0, "alpha", c.alpha, "must not be 0")
    _need(
        0 <= c.label_smoothing < 1, "label_smoothing", c.label_smoothing, "choose from 0 to below 1"
    )


def _check_run(c):
    for name in ("num_epochs", "log_frequency"):
        _need(getattr(c, name) >= 1, name, getattr(c, name), "must be at least 1")
    _need(0 <= c.seed < 2**63, "seed", c.seed, "choose a whole number from 0 to 2^63 - 1")
    _need(all(s >= 0 for s in c.log_steps), "log_steps", c.log_steps, "steps start at 0")
