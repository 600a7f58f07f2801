"""What makes a RunConfig valid: types, choices, ranges, and no flag that nothing reads.

Every refusal is a ValueError of one line: the field, its value, and the remedy.
"""

import difflib
import functools
import math
import types
import typing
from dataclasses import Field, fields

from configuration.choices import LOSSES, NETWORKS, OPERATIONS, OPTIMIZERS

MNIST_IMAGES = {"embedded": 5_000, "full": 70_000, "digits": 1_797}  # how many there are
PERMUTATIONS = 120  # of five things
MOST_EXAMPLES = 2**24  # of a data set that is held in memory
MOST_TOKENS = 2**27  # of them together: 1 GiB, and with their operands and the split about 3
# What has to be as here for a plain SGD step to be lr times the gradient of the training loss, but
# for momentum and weight decay.
ABSORBING = {
    "alpha": 1.0, "regularization": "None", "logit_norm_penalty": 0.0, "clip_norm": None,
    "induce_collapse_epoch": None, "orthogonal_gradients": False, "full_batch": True,
    "update_noise": 0.0, "weight_noise": 0.0, "embedding_noise": 0.0, "dropout": 0.0,
    "gradient_filter": None,
}  # fmt: skip
WIDEST_WINDOW = 2**10  # of gradients; twice as many are counted in the weights' precision
SMALLEST_POSITIVE = {16: 6e-8, 32: 1.4e-45, 64: 5e-324}  # bits -> smallest number above 0


# Who reads a field, as {reader in words: (condition, names of fields)}, beside what the entries of
# choices.py read. A flag that the rest of the configuration leaves unread would be recorded and
# change nothing, so it is refused unless it has its default.
READERS = {
    "--dataset add_mod, tokens or binary_alg": (
        lambda c: c.dataset in ("add_mod", "binary_alg", "tokens"),
        ("binary_operation",),
    ),
    "a modular --binary_operation (--dataset add_mod, tokens, binary_alg)": (
        lambda c: c.dataset in ("add_mod", "binary_alg", "tokens") and not c.operation.permutations,
        ("modulo", "input_size", "exclude_zero"),
    ),
    "--dataset tokens": (
        lambda c: c.dataset == "tokens",
        ("leading_eos", "vocab_size", "full_head", "terms", "exclude_identity"),
    ),
    "--dataset sparse_parity": (
        lambda c: c.dataset == "sparse_parity",
        ("num_noise_features", "num_parity_features", "num_samples"),
    ),
    "--dataset binary_alg": (lambda c: c.dataset == "binary_alg", ("code_bits", "random_codes")),
    "--dataset mnist": (lambda c: c.dataset == "mnist", ("mnist_images", "rotation", "blur")),
    "no --train_samples": (lambda c: c.train_samples is None, ("train_fraction",)),
    "no --network": (lambda c: c.network is None, ("use_transformer",)),
    "--loss_function cross_entropy with --softmax_precision 16": (
        lambda c: c.loss_function == "cross_entropy" and c.softmax_precision == 16,
        ("half_softmax",),
    ),
    "--regularization l1": (lambda c: c.regularization == "l1", ("lambda_l1",)),
    "--regularization l2": (lambda c: c.regularization == "l2", ("lambda_l2",)),
    "--orthogonal_gradients": (lambda c: c.orthogonal_gradients, ("restore_gradient_norm",)),
    "--use_lr_scheduler": (lambda c: c.use_lr_scheduler, ("lr_scheduler_norm",)),
    "--no-full_batch": (lambda c: not c.full_batch, ("batch_size", "batch_order")),
    "no --num_steps": (lambda c: c.num_steps is None, ("num_epochs",)),
    "no --log_every": (lambda c: c.log_every is None, ("log_frequency",)),
    "--optimizer AdamW and --weight_decay": (
        lambda c: c.optimizer == "AdamW" and c.weight_decay > 0,
        ("weight_decay_to",),
    ),
    "--weight_decay": (lambda c: c.weight_decay > 0, ("decay_all",)),
    "--lr_schedule linear or cosine": (
        lambda c: c.lr_schedule != "constant",
        ("schedule_steps", "final_lr"),
    ),
    "--warmup_steps": (lambda c: c.warmup_steps > 0, ("warmup_start",)),
    "--gradient_filter": (lambda c: c.gradient_filter is not None, ("filter_strength",)),
    "--gradient_filter ema": (lambda c: c.gradient_filter == "ema", ("filter_decay",)),
    "--gradient_filter ma": (lambda c: c.gradient_filter == "ma", ("filter_window",)),
    "--stop_at": (lambda c: c.stop_at != "None", ("stop_level",)),
    "--log_dimension": (
        lambda c: c.log_dimension > 0,
        (
            "dimension_estimator",
            "dimension_points",
            "dimension_neighbors",
            "dimension_layer",
            "dimension_tokens",
            "dimension_split",
        ),
    ),
}
# Field that names an entry -> (table, property with the name of the chosen one).
ENTRIES = {
    "binary_operation": (OPERATIONS, "binary_operation"),
    "network": (NETWORKS, "network_kind"),
    "loss_function": (LOSSES, "loss_function"),
    "optimizer": (OPTIMIZERS, "optimizer"),
}


_fields = functools.cache(fields)


@functools.cache
def _defaults(of) -> dict:
    return {f.name: f.default for f in _fields(of)}


def check(c):
    """Raises ValueError, one line, unless the configuration `c` can be run as it stands."""
    for f in _fields(type(c)):
        value = getattr(c, f.name)
        if value is not f.default:
            _check_type(f, value)
    for rule in (
        _check_read,
        _check_tokens,
        _check_task,
        _check_model,
        _check_loss,
        _check_optimizer,
        _check_run,
        _check_training,
    ):
        rule(c)


def _check_type(f: Field, value):
    """Wrong types die here: a float for an int would otherwise fail deep inside a run."""
    hint = f.type
    optional = isinstance(hint, types.UnionType)
    base = typing.get_args(hint)[0] if optional else hint
    if optional and value is None:
        return
    if typing.get_origin(base) is tuple:
        good = isinstance(value, tuple) and all(type(v) is int and abs(v) < 2**63 for v in value)
    elif base is int:
        good = type(value) is int and abs(value) < 2**63  # what torch's numbers hold
    elif base is float:
        good = type(value) in (int, float) and math.isfinite(value)
    else:
        good = type(value) is base
    if not good:
        expected = {
            int: "a whole number below 2^63",
            float: "a finite number",
            bool: "True or False",
            str: "a word",
        }
        _refuse(f.name, value, f"expected {expected.get(base, 'whole numbers')}")
    choices = f.metadata["choices"]
    if choices and value not in choices:
        near = difflib.get_close_matches(str(value), map(str, choices), 1) if base is str else ()
        hint = f"did you mean {near[0]}? " if near else ""
        _refuse(f.name, value, f"{hint}choose from {', '.join(map(str, choices))}")


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
    if c.operation.permutations:
        return PERMUTATIONS * (PERMUTATIONS - c.exclude_identity)
    if c.terms != 2:
        return (c.operands - c.exclude_zero) ** c.terms
    second = c.exclude_zero or c.operation.nonzero
    return (c.operands - c.exclude_zero) * (c.operands - second)


# Where our default is None, the authors' own: their command lines may state it anywhere.
_STATED = {"beta2": 0.99, "input_size": 113}


def _check_read(c):
    defaults = _defaults(type(c))

    def refuse_unread(name, reader):
        remedy = "drop one of them" if reader.startswith("no ") else "add that or drop this"
        _refuse(name, getattr(c, name), f"read only with {reader}; {remedy}")

    def is_said(name):
        return getattr(c, name) not in (defaults[name], _STATED.get(name))

    for reader, (reads, names) in READERS.items():
        for name in () if reads(c) else names:
            if is_said(name):
                refuse_unread(name, reader)
    for field, (table, chosen) in ENTRIES.items():
        own = table[getattr(c, chosen)].reads
        for name in own:
            if name not in defaults:
                near = difflib.get_close_matches(name, defaults, 1)
                hint = f"; did you mean {near[0]}?" if near else ""
                _refuse(field, getattr(c, chosen), f"it reads '{name}', which is no field{hint}")
        for name in dict.fromkeys(n for entry in table.values() for n in entry.reads):
            if name in defaults and name not in own and is_said(name):
                readers = [entry.name for entry in table.values() if name in entry.reads]
                refuse_unread(name, f"--{field} {' or '.join(readers)}")


def _check_tokens(c):
    """The sequence tasks: equations over integers modulo p or over permutations."""
    if c.dataset in ("add_mod", "binary_alg"):
        _need(
            not c.operation.permutations,
            "binary_operation",
            c.binary_operation,
            "needs --dataset tokens; without it choose from "
            + ", ".join(o.name for o in OPERATIONS.values() if not o.permutations),
        )
    if c.dataset != "tokens":
        return
    _need(
        c.network_entry.tokens,
        "dataset",
        c.dataset,
        "is read by --network " + " or ".join(n.name for n in NETWORKS.values() if n.tokens),
    )
    _need(c.terms >= 2, "terms", c.terms, "a sum has at least 2 operands")
    most = MOST_EXAMPLES.bit_length() - 1  # of 2 values each
    _need(
        c.terms <= most
        and num_examples(c) <= MOST_EXAMPLES
        and num_examples(c) * 2 * c.terms <= MOST_TOKENS,
        "terms",
        c.terms,
        f"{c.operands}^{c.terms} examples do not fit in memory; choose fewer terms or a smaller"
        " modulus",
    )
    signs = 2 + c.leading_eos
    fewest = c.numbers + signs
    _need(
        c.vocab_size is None or c.vocab_size >= fewest,
        "vocab_size",
        c.vocab_size,
        f"{c.numbers} operands or results and {signs} signs need at least {fewest} tokens",
    )


def _check_training(c):
    """Noise, schedule, budget and what is recorded."""
    for name in ("embedding_noise", "weight_noise", "update_noise", "rotation", "blur"):
        _need(getattr(c, name) >= 0, name, getattr(c, name), "must not be negative")
    for name, most in (
        ("rotation", 180),
        ("blur", 28),
        ("weight_noise", 1e4),
        ("update_noise", 1e4),
    ):
        _need(getattr(c, name) <= most, name, getattr(c, name), f"choose at most {most}")
    for name in ("warmup_start", "final_lr", "stop_level"):
        _need(0 <= getattr(c, name) <= 1, name, getattr(c, name), "choose a share from 0 to 1")
    for name in ("warmup_steps", "log_dimension", "label_noise"):
        _need(getattr(c, name) >= 0, name, getattr(c, name), "must not be negative")
    for name in ("num_steps", "log_every", "schedule_steps", "lstm_dim"):
        value = getattr(c, name)
        _need(value is None or value >= 1, name, value, "must be at least 1")
    _need(
        c.clip_norm is None or c.clip_norm > 0,
        "clip_norm",
        c.clip_norm,
        "choose a norm above 0, or drop it for no clipping",
    )
    _need(
        c.log_growth == 0 or c.log_growth > 1,
        "log_growth",
        c.log_growth,
        "choose a factor above 1, such as 1.1, or 0 for none",
    )
    end = c.total_steps if c.schedule_steps is None else c.schedule_steps
    _need(
        c.lr_schedule == "constant" or c.warmup_steps < end,
        "warmup_steps",
        c.warmup_steps,
        f"the {c.lr_schedule} schedule ends at update {end}; choose fewer",
    )
    _need(
        not c.use_lr_scheduler or (c.lr_schedule == "constant" and c.warmup_steps == 0),
        "use_lr_scheduler",
        c.use_lr_scheduler,
        "sets the learning rate itself; drop --lr_schedule and --warmup_steps",
    )
    _need(
        c.label_noise <= c.train_examples,
        "label_noise",
        c.label_noise,
        f"there are {c.train_examples} training examples; choose at most that many",
    )
    _need(
        c.network is None or not c.use_transformer or c.network == "transformer",
        "network",
        c.network,
        "contradicts --use_transformer; give one of them",
    )
    if c.log_dimension:
        fewest = 10
        _need(
            c.dimension_neighbors >= fewest,
            "dimension_neighbors",
            c.dimension_neighbors,
            f"at least {fewest} neighbours make an estimate",
        )
        _need(
            c.dimension_points > c.dimension_neighbors,
            "dimension_points",
            c.dimension_points,
            f"must be above dimension_neighbors {c.dimension_neighbors}",
        )
        _need(
            -c.num_layers <= c.dimension_layer < c.num_layers,
            "dimension_layer",
            c.dimension_layer,
            f"there are {c.num_layers} layers; choose from {-c.num_layers} to {c.num_layers - 1}",
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
        if c.operation.prime:
            _need(
                is_prime(c.modulo),
                "modulo",
                c.modulo,
                f"{c.binary_operation} needs a prime modulus, such as 97 or 113",
            )
            _need(
                c.operands <= c.modulo,
                "input_size",
                c.input_size,
                f"{c.binary_operation} needs operands below the modulus {c.modulo}",
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
    if c.network_entry.tokens:
        _need(
            c.dataset in ("add_mod", "tokens"),
            "dataset",
            c.dataset,
            f"the {c.network_kind} reads tokens; use --dataset add_mod or tokens, or the mlp",
        )
        for name in ("num_layers", "model_dim", "num_heads", "ff_dim", "ff_hidden_layers"):
            _need(getattr(c, name) >= 1, name, getattr(c, name), "must be at least 1")
        _need(
            c.network_kind != "transformer" or c.model_dim % c.num_heads == 0,
            "model_dim",
            c.model_dim,
            f"must be a multiple of num_heads {c.num_heads}",
        )
        _need(0 <= c.dropout < 1, "dropout", c.dropout, "choose a probability from 0 to below 1")
        _need(
            not c.tied_head or c.dataset == "tokens" or c.operands >= c.modulo,
            "tied_head",
            c.tied_head,
            f"needs a token for each of the {c.modulo} results and there are {c.operands}; drop"
            " it or --input_size",
        )


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
        epochs = -(-c.total_steps // c.steps_per_epoch)  # begun ones; num_steps may end one early
        _need(
            0 <= c.induce_collapse_epoch < epochs,
            "induce_collapse_epoch",
            c.induce_collapse_epoch,
            f"choose an epoch from 0 to {epochs - 1}, within the run",
        )


def _check_optimizer(c):
    _need(c.lr > 0, "lr", c.lr, "choose a learning rate above 0")
    for name in ("weight_decay", "lambda_l1", "lambda_l2"):
        _need(getattr(c, name) >= 0, name, getattr(c, name), "must not be negative")
    for name, value in (("beta1", c.beta1), ("beta2", c.betas[1]), ("momentum", c.sgd_momentum)):
        _need(0 <= value < 1, name, value, "choose a number from 0 to below 1")
    if "adam_epsilon" in OPTIMIZERS[c.optimizer].reads:
        least = SMALLEST_POSITIVE[c.train_precision]
        _need(
            c.adam_epsilon >= least,
            "adam_epsilon",
            c.adam_epsilon,
            f"is 0 in float{c.train_precision} and Adam divides by it; use at least {least} or"
            " --train_precision 32",
        )
    if OPTIMIZERS[c.optimizer].by_matrix:
        _need(
            c.network_kind != "lstm",
            "optimizer",
            c.optimizer,
            "has no rule for the gates of an lstm; choose another network or AdamW",
        )
        fewest = {"mlp": 2, "embedding_mlp": 1}.get(c.network_kind, 0)
        _need(
            len(c.hidden_sizes) >= fewest,
            "hidden_sizes",
            c.hidden_sizes,
            f"{c.optimizer} is for matrices between the first layer and the head; give {fewest} or"
            " more widths, or choose AdamW",
        )
    _need(
        c.filter_strength > 0,
        "filter_strength",
        c.filter_strength,
        "choose a factor above 0, or drop --gradient_filter",
    )
    _need(
        0 <= c.filter_decay < 1, "filter_decay", c.filter_decay, "choose a number from 0 to below 1"
    )
    _need(
        1 <= c.filter_window <= WIDEST_WINDOW,
        "filter_window",
        c.filter_window,
        f"choose from 1 to {WIDEST_WINDOW} gradients, each of which is held",
    )
    _need(1e-6 <= abs(c.alpha) <= 1e6, "alpha", c.alpha, "choose 1e-6 to 1e6, either sign")
    for name, plain in ABSORBING.items() if c.log_absorption else ():
        value = getattr(c, name)
        _need(
            value == plain or (name == "dropout" and c.network_kind != "transformer"),
            name,
            value,
            "makes another update than lr times the gradient of the loss, which --log_absorption"
            " measures; drop one of them",
        )
    _need(
        0 <= c.label_smoothing < 1, "label_smoothing", c.label_smoothing, "choose from 0 to below 1"
    )


def check_seed(seed):
    """Raises ValueError, one line, unless a run can have this seed."""
    if type(seed) is not int or not 0 <= seed < 2**63:
        _refuse("seed", seed, "choose a whole number from 0 to 2^63 - 1")


def _check_run(c):
    for name in ("num_epochs", "log_frequency"):
        _need(getattr(c, name) >= 1, name, getattr(c, name), "must be at least 1")
    check_seed(c.seed)
    _need(all(s >= 0 for s in c.log_steps), "log_steps", c.log_steps, "steps start at 0")
    _need(
        all(s <= c.total_steps for s in c.log_steps),
        "log_steps",
        c.log_steps,
        f"the run ends at step {c.total_steps}",
    )
