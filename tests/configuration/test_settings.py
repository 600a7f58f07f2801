"""The authors' flags: every published command line means here what its figure was made with."""

from dataclasses import MISSING, asdict, fields, replace

import pytest
from house import PAPER_RUNS

from configuration import rules
from configuration.config import RunConfig
from configuration.flags import given_fields
from train import make_parser

COLLAPSE = "--lr 0.0005 --num_epochs 20000 --log_frequency 500"
STABLEMAX = "--loss_function stablemax --beta2 0.999"
TRANSFORMER = (
    "--lr 0.001 --num_epochs 5000 --log_frequency 200 --train_fraction 0.4 --use_transformer"
)
SHORT = "--lr 0.005 --num_epochs 500 --log_frequency 20 --train_fraction 0.4"
# Published line -> (declared run, {field: (value there, value here)} where ours differs, and why
# in the table Deviations of README.md). log_frequency is finer here: it computes nothing else.
EFFECTIVE = {"beta2": (0.99, 0.999), "adam_epsilon": (1e-25, 1e-8)}  # D2
GRID = {"exclude_zero": (False, True)}  # D7
PUBLISHED = [
    (
        f"--lr 0.01 --num_epochs 80000 --log_frequency 5000 --train_fraction 0.4 {STABLEMAX}",
        "add_stablemax",
        {"num_epochs": (80_000, 100_000)},  # shared with figure 4
    ),
    (
        "--lr 0.01 --num_epochs 300 --log_frequency 10 --train_fraction 0.4 --beta2 0.99"
        " --orthogonal_gradients",
        "add_orthoadamw",
        EFFECTIVE,
    ),
    (
        "--lr 0.01 --num_epochs 80000 --log_frequency 5000 --train_fraction 0.4"
        " --softmax_precision 64",
        "add_softmax64",
        {},
    ),
    *(
        (
            f"{COLLAPSE} --train_fraction 0.4 --adam_epsilon 1e-30 --softmax_precision {bits}",
            f"add_softmax{bits}_40",
            {},
        )
        for bits in (16, 32, 64)
    ),
    *(
        (
            f"{COLLAPSE} --train_fraction {fraction} --softmax_precision {bits}",
            f"add_softmax{bits}_{fraction[-1]}0",
            {},
        )
        for fraction in ("0.6", "0.7")
        for bits in (16, 32, 64)
    ),
    (
        f"--lr 0.01 --num_epochs 100000 --log_frequency 5000 --train_fraction 0.4 {STABLEMAX}",
        "add_stablemax",
        {},
    ),
    (
        f"--lr 0.01 --num_epochs 100000 --log_frequency 5000 --train_fraction 0.4 {STABLEMAX}"
        " --binary_operation product_mod",
        "product_stablemax",
        {},
    ),
    (
        "--lr 0.01 --num_epochs 100000 --log_frequency 5000 --train_fraction 0.5 --loss_function"
        " stablemax --dataset sparse_parity --num_noise_features 40 --num_parity_features 3"
        " --num_samples 2000 --adam_epsilon 1e-18 --beta2 0.999",
        "parity_stablemax",
        {},
    ),
    (f"{TRANSFORMER} --orthogonal_gradients", "add_transformer_orthoadamw", EFFECTIVE | GRID),
    (f"{TRANSFORMER} --weight_decay 1.5", "add_transformer_adamw_wd", GRID),
    (TRANSFORMER, "add_transformer_adamw", GRID),
    (SHORT, "add_adamw_lr5e3", {}),
    (f"{SHORT} --orthogonal_gradients", "add_orthoadamw_lr5e3", EFFECTIVE),
    (
        "--lr 10 --num_epochs 500 --log_frequency 20 --train_fraction 0.4 --orthogonal_gradients"
        " --optimizer SGD --train_precision 64 --softmax_precision 64 --loss_function stablemax",
        "add_orthosgd",
        {},
    ),
]


def meaning(config: RunConfig) -> dict:
    """Every field with the defaults that depend on others worked out."""
    derived = {
        "beta2": config.betas[1],
        "momentum": config.sgd_momentum,
        "bias": config.has_bias,
        "input_size": config.operands,
    }
    return asdict(config) | derived


@pytest.mark.parametrize(("line", "name", "deviations"), PUBLISHED, ids=lambda v: str(v)[:40])
def test_published_line_parses_into_its_run_up_to_the_listed_deviations(line, name, deviations):
    theirs = meaning(RunConfig(**given_fields(make_parser().parse_args(line.split()))))
    ours = meaning(PAPER_RUNS[name].config)
    assert ours["log_frequency"] <= theirs["log_frequency"]
    ours["log_frequency"] = theirs["log_frequency"]
    differing = {k: (theirs[k], ours[k]) for k in ours if theirs[k] != ours[k]}
    assert differing == deviations


def test_every_flag_of_the_authors_has_its_default_and_type():
    table = {  # flag -> default, as their parser has it
        "hidden_sizes": (200, 200),
        "num_epochs": 1500,
        "train_fraction": 0.3,
        "modulo": 113,
        "input_size": 113,
        "optimizer": "AdamW",
        "loss_function": "cross_entropy",
        "log_frequency": 50,
        "regularization": "None",
        "lambda_l1": 1e-5,
        "lambda_l2": 5e-5,
        "binary_operation": "add_mod",
        "batch_size": 128,
        "full_batch": True,
        "dataset": "add_mod",
        "num_noise_features": 50,
        "num_parity_features": 4,
        "num_samples": 1000,
        "alpha": 1.0,
        "softmax_precision": 32,
        "train_precision": 32,
        "weight_decay": 0.0,
        "use_lr_scheduler": False,
        "orthogonal_gradients": False,
        "use_transformer": False,
        "beta2": 0.99,
        "adam_epsilon": 1e-25,
        "seed": 42,
    }
    found = meaning(RunConfig(lr=0.01))
    assert {k: found[k] for k in table} == table
    assert make_parser().parse_args([]).device == "cpu"


def test_defaults_that_depend_on_the_optimizer_are_the_authors():
    assert RunConfig(lr=1.0, optimizer="Adam").betas == (0.9, 0.98)
    assert RunConfig(lr=1.0, optimizer="SGD").sgd_momentum == 0.2
    assert RunConfig(lr=1.0, optimizer="SGD", orthogonal_gradients=True).sgd_momentum == 0.8


@pytest.mark.parametrize("name", [f.name for f in fields(RunConfig)])
def test_flag_of_each_field_reaches_the_configuration(name):
    changed = {
        "dataset": "binary_alg", "binary_operation": "product_mod", "modulo": 97, "input_size": 50,
        "exclude_zero": True, "train_fraction": 0.7, "num_noise_features": 9,
        "num_parity_features": 7, "num_samples": 31, "code_bits": 14, "random_codes": True,
        "network": "lstm", "lstm_dim": 64, "dropout_at": "all", "scale_embedding": True,
        "embedding_noise": 0.1, "weight_noise": 0.1, "weight_decay_to": "init", "decay_all": False,
        "lr_schedule": "cosine", "warmup_steps": 10, "warmup_start": 0.1, "schedule_steps": 1000,
        "final_lr": 0.1, "clip_norm": 1.0, "update_noise": 0.1, "gradient_filter": "ma",
        "filter_strength": 5.0, "filter_decay": 0.9, "filter_window": 50,
        "num_steps": 700, "log_every": 10, "log_growth": 1.1, "stop_at": "test_accuracy",
        "stop_level": 0.95,
        "hidden_sizes": (7, 8, 9), "bias": True, "use_transformer": True, "num_layers": 2,
        "model_dim": 64, "num_heads": 2, "ff_dim": 99, "dropout": 0.3, "norm": "pre",
        "final_norm": True, "activation": "gelu", "positions": "learned", "causal": True,
        "tied_head": True, "loss_function": "stablemax", "softmax_precision": 16,
        "stablemax_precision": 32, "label_smoothing": 0.2, "alpha": 3.0, "regularization": "l1",
        "lambda_l1": 0.5, "lambda_l2": 0.25, "optimizer": "SGD", "lr": 0.125, "weight_decay": 2.0,
        "beta1": 0.5, "beta2": 0.5, "adam_epsilon": 1e-3, "momentum": 0.5,
        "orthogonal_gradients": True, "restore_gradient_norm": False, "use_lr_scheduler": True,
        "lr_scheduler_norm": 1, "half_softmax": "cpu",
        "num_epochs": 3, "full_batch": False, "batch_size": 32, "train_precision": 64, "seed": 7,
        "log_frequency": 5, "log_steps": (1, 2), "log_nlm_cosine": True,
        "train_samples": 200, "mnist_images": "full", "init_scale": 100.0, "ff_hidden_layers": 2,
        "softmax_temperature": 1e5, "logit_norm_penalty": 1e-3, "induce_collapse_epoch": 6,
        "log_absorption": True, "save_weights": True,
        "terms": 3, "exclude_identity": True, "leading_eos": True, "vocab_size": 300,
        "full_head": True, "label_noise": 17, "rotation": 30.0, "blur": 1.0, "batch_order": "iid",
        "log_top5": True, "log_gradients": True, "log_attention": True, "log_dimension": 50,
        "dimension_estimator": "lpca", "dimension_points": 1000, "dimension_neighbors": 32,
        "dimension_layer": 0, "dimension_tokens": "operands", "dimension_split": "both",
    }  # fmt: skip
    needed = {  # what has to be said for the field to be read at all
        "num_noise_features": "--dataset sparse_parity", "num_samples": "--dataset sparse_parity",
        "num_parity_features": "--dataset sparse_parity", "code_bits": "--dataset binary_alg",
        "random_codes": "--dataset binary_alg", "stablemax_precision": "--loss_function stablemax",
        "half_softmax": "--softmax_precision 16",
        "lambda_l1": "--regularization l1", "lambda_l2": "--regularization l2",
        "lstm_dim": "--network lstm", "decay_all": "--weight_decay 1",
        "weight_decay_to": "--weight_decay 1",
        "warmup_start": "--warmup_steps 10", "schedule_steps": "--lr_schedule linear",
        "final_lr": "--lr_schedule linear", "stop_level": "--stop_at test_accuracy",
        "dropout_at": "--use_transformer", "scale_embedding": "--use_transformer",
        "embedding_noise": "--use_transformer",
        "momentum": "--optimizer SGD", "restore_gradient_norm": "--orthogonal_gradients",
        "lr_scheduler_norm": "--use_lr_scheduler", "filter_strength": "--gradient_filter ema",
        "filter_decay": "--gradient_filter ema", "filter_window": "--gradient_filter ma",
        "batch_size": "--no-full_batch", "mnist_images": "--dataset mnist",
        "log_absorption": "--optimizer SGD", "batch_order": "--no-full_batch",
        "rotation": "--dataset mnist", "blur": "--dataset mnist",
        "exclude_identity": "--dataset tokens --network lstm --binary_operation s5",
    } | dict.fromkeys(
        ("terms", "leading_eos", "vocab_size", "full_head"), "--dataset tokens --network lstm"
    ) | dict.fromkeys(
        ("num_layers", "model_dim", "num_heads", "ff_dim", "ff_hidden_layers", "dropout", "norm",
         "final_norm", "activation", "positions", "causal", "tied_head", "log_attention",
         "log_dimension"), "--use_transformer"
    ) | dict.fromkeys(
        ("dimension_estimator", "dimension_points", "dimension_neighbors", "dimension_layer",
         "dimension_tokens", "dimension_split"), "--use_transformer --log_dimension 50"
    )  # fmt: skip
    value = changed[name]
    assert value != RunConfig(lr=0.01).__getattribute__(name)
    if isinstance(value, bool):
        words = [f"--{name}" if value else f"--no-{name}"]
    elif isinstance(value, tuple):
        words = [f"--{name}", *map(str, value)]
    else:
        words = [f"--{name}", str(value)]
    if name != "lr":
        words += ["--lr", "0.01"]
    words += needed.get(name, "").split()
    given = given_fields(make_parser().parse_args(words))
    assert given[name] == value
    assert getattr(RunConfig(**given), name) == value


TOKENS = {"dataset": "tokens", "network": "transformer"}
ABSORPTION = {"optimizer": "SGD", "log_absorption": True}


def test_help_has_one_line_for_each_flag_with_its_default():
    text = make_parser().format_help()
    flags, below = text.split("\nchoices:\n")
    lists = {part.split(":")[0]: " ".join(part.split()) for part in below.split("  --")}
    for f in fields(RunConfig):
        names = (f"--{f.name}", f"--[no-]{f.name}")
        (line,) = (x for x in flags.splitlines() if x.split()[:1] and x.split()[0] in names)
        assert f.metadata["help"] in line
        default = " ".join(map(str, f.default)) if isinstance(f.default, tuple) else f.default
        assert f.name == "lr" or line.endswith(f"[{'none' if default == '' else default}]")
        for choice in f.metadata["choices"] or ():
            assert str(choice) in line + lists.get(f.name, "")


BAD = [
    ({"train_fraction": 0.0}, "train_fraction 0.0"),
    ({"train_fraction": 1.0}, "between 0 and 1"),
    ({"train_fraction": 1e-6}, "leaves 0 of 12769"),
    ({"binary_operation": "divide_mod", "modulo": 112}, "prime"),
    ({"binary_operation": "divide_mod", "modulo": 97, "input_size": 98}, "below the modulus 97"),
    ({"dataset": "sparse_parity", "num_parity_features": 2, "num_noise_features": 2,
      "num_samples": 17}, "2^4"),
    ({"train_precision": 16}, "is 0 in float16"),
    ({"adam_epsilon": 0.0}, "adam_epsilon 0.0"),
    ({"lr": 0.0}, "above 0"),
    ({"lr": float("nan")}, "finite"),
    ({"lr": "0.1"}, "finite number"),
    ({"num_epochs": 2.5}, "whole number"),
    ({"softmax_precision": 8}, "16, 32, 64"),
    ({"dataset": "cifar"}, "sparse_parity"),
    ({"beta2": 1.0}, "below 1"),
    ({"hidden_sizes": (200, 0)}, "at least 1"),
    ({"hidden_sizes": [200, 200]}, "whole numbers"),
    ({"use_transformer": True, "model_dim": 130}, "multiple of num_heads"),
    ({"batch_size": 64}, "--no-full_batch"),
    ({"dropout": 0.5}, "--network transformer"),
    ({"optimizer": "SGD", "beta2": 0.5}, "AdamW or Adam or Muon"),
    ({"momentum": 0.5}, "--optimizer SGD"),
    ({"lambda_l1": 0.5}, "--regularization l1"),
    ({"dataset": "sparse_parity", "modulo": 97}, "binary_alg"),
    ({"dataset": "binary_alg", "code_bits": 6}, "at least 7 bits"),
    ({"dataset": "binary_alg", "code_bits": 63}, "at most 62 bits"),
    ({"seed": -1}, "seed -1"),
    ({"log_steps": (-1,)}, "start at 0"),
    ({"train_samples": 12_769}, "from 1 to 12768"),
    ({"train_samples": 0}, "train_samples 0"),
    ({"train_samples": 200, "train_fraction": 0.5}, "no --train_samples"),
    ({"dataset": "mnist", "train_samples": 5_000}, "has 5000 examples"),
    ({"dataset": "mnist", "modulo": 97}, "binary_alg"),
    ({"mnist_images": "full"}, "--dataset mnist"),
    ({"init_scale": 0.0}, "above 0"),
    ({"ff_hidden_layers": 2}, "--network transformer"),
    ({"use_transformer": True, "ff_hidden_layers": 0}, "at least 1"),
    ({"lstm_dim": 64}, "--network lstm;"),
    ({"network": "lstm", "final_norm": True}, "--network transformer or embedding_mlp"),
    ({"network": "lstm", "lstm_dim": 0}, "at least 1"),
    ({"network": "lstm", "use_transformer": True}, "no --network"),
    ({"weight_noise": -0.1}, "must not be negative"),
    ({"weight_decay_to": "init", "optimizer": "Adam", "weight_decay": 1.0}, "--optimizer AdamW"),
    ({"weight_decay_to": "init"}, "--weight_decay"),
    ({"decay_all": False}, "--weight_decay"),
    ({"clip_norm": 0.0}, "above 0"),
    ({"gradient_filter": "fir"}, "choose from ema, ma"),
    ({"filter_strength": 5.0}, "--gradient_filter;"),
    ({"gradient_filter": "ma", "filter_decay": 0.9}, "--gradient_filter ema"),
    ({"gradient_filter": "ema", "filter_window": 50}, "--gradient_filter ma"),
    ({"gradient_filter": "ema", "filter_strength": 0.0}, "above 0"),
    ({"gradient_filter": "ema", "filter_decay": 1.0}, "below 1"),
    ({"gradient_filter": "ma", "filter_window": 0}, "from 1 to 1024"),
    ({"gradient_filter": "ma", "filter_window": 1025}, "from 1 to 1024"),
    ({"optimizer": "Muon", "hidden_sizes": (200,)}, "give 2 or more widths"),
    ({"optimizer": "Muon", "network": "embedding_mlp", "hidden_sizes": ()}, "give 1 or more"),
    ({"optimizer": "Muon", "network": "lstm"}, "gates of an lstm"),
    ({"optimizer": "Muon", "momentum": 0.5}, "--optimizer SGD"),
    ({"optimizer": "Muon", "weight_decay": 1.0, "weight_decay_to": "init"}, "--optimizer AdamW"),
    ({"loss_function": "sparsemax", "label_smoothing": 0.1}, "cross_entropy or stablemax"),
    ({"warmup_start": 0.5}, "--warmup_steps"),
    ({"warmup_steps": 5, "warmup_start": 1.5}, "from 0 to 1"),
    ({"warmup_steps": 1_500, "lr_schedule": "linear"}, "ends at update 1500"),
    ({"final_lr": 0.5}, "linear or cosine"),
    ({"use_lr_scheduler": True, "warmup_steps": 5}, "drop --lr_schedule and --warmup_steps"),
    ({"num_steps": 0}, "at least 1"),
    ({"num_steps": 10, "num_epochs": 9}, "no --num_steps"),
    ({"num_steps": 10, "num_epochs": 9}, "drop one of them"),
    ({"num_steps": 10, "log_steps": (3, 11)}, "ends at step 10"),
    ({"modulo": 10**19}, "a whole number below 2^63"),
    ({"hidden_sizes": (10**19,)}, "whole numbers"),
    ({"alpha": 1e-170}, "1e-6 to 1e6"),
    ({"weight_noise": 1e38}, "at most 10000"),
    ({"log_growth": 1.0}, "above 1"),
    ({"stop_level": 0.5}, "--stop_at"),
    ({"softmax_temperature": 0.0}, "above 0"),
    ({"loss_function": "stablemax", "softmax_temperature": 2.0}, "--loss_function cross_entropy"),
    ({"loss_function": "mse", "label_smoothing": 0.1}, "cross_entropy or stablemax"),
    ({"loss_function": "taylor", "label_smoothing": 0.1}, "cross_entropy or stablemax"),
    ({"loss_function": "mse", "stablemax_precision": 32}, "--loss_function stablemax"),
    ({"logit_norm_penalty": -1.0}, "must not be negative"),
    ({"induce_collapse_epoch": 1_500}, "from 0 to 1499"),
    ({"induce_collapse_epoch": 10, "num_steps": 10}, "from 0 to 9"),
    ({"use_transformer": True, "tied_head": True, "input_size": 50}, "each of the 113 results"),
    ({"induce_collapse_epoch": 5, "loss_function": "mse"}, "--loss_function cross_entropy"),
    ({"log_absorption": True}, "--optimizer SGD"),
    (ABSORPTION | {"alpha": 10.0}, "alpha 10.0: makes another update"),
    (ABSORPTION | {"regularization": "l2"}, "regularization 'l2': makes another update"),
    (ABSORPTION | {"logit_norm_penalty": 1.0}, "--log_absorption measures; drop one"),
    (ABSORPTION | {"clip_norm": 1e-3}, "--log_absorption measures; drop one"),
    (ABSORPTION | {"gradient_filter": "ema"}, "gradient_filter 'ema': makes another update"),
    (ABSORPTION | {"full_batch": False}, "full_batch False: makes another update"),
    (ABSORPTION | {"use_transformer": True}, "dropout 0.1: makes another update"),
    ({"dataset": "tokens"}, "--network transformer or lstm or embedding_mlp"),
    ({"binary_operation": "s5"}, "--dataset tokens"),
    (TOKENS | {"terms": 1}, "at least 2 operands"),
    (TOKENS | {"terms": 5}, "113^5 examples do not fit"),
    (TOKENS | {"terms": 24, "modulo": 2}, "2^24 examples do not fit"),  # of 48 tokens each
    (TOKENS | {"terms": 3, "binary_operation": "product_mod"}, "--binary_operation add_mod"),
    (TOKENS | {"vocab_size": 114}, "at least 115"),
    (TOKENS | {"vocab_size": 115, "leading_eos": True}, "at least 116"),
    (TOKENS | {"vocab_size": 114, "modulo": 113, "input_size": 50}, "at least 115"),
    (TOKENS | {"binary_operation": "odd_divide_mod", "modulo": 112}, "prime"),
    (TOKENS | {"binary_operation": "odd_divide_mod", "input_size": 114}, "below the modulus"),
    (TOKENS | {"binary_operation": "s5", "modulo": 97}, "modular --binary_operation"),
    (TOKENS | {"exclude_identity": True}, "--binary_operation s5 or"),
    ({"leading_eos": True}, "--dataset tokens"),
    ({"label_noise": -1}, "must not be negative"),
    ({"label_noise": 3831}, "3830 training examples"),
    ({"rotation": 30.0}, "--dataset mnist"),
    ({"dataset": "mnist", "rotation": 181.0}, "at most 180"),
    ({"dataset": "mnist", "blur": -1.0}, "must not be negative"),
    ({"dataset": "mnist", "blur": 29.0}, "at most 28"),
    ({"dataset": "mnist", "mnist_images": "digits", "train_samples": 1797}, "has 1797 examples"),
    ({"batch_order": "iid"}, "--no-full_batch"),
    ({"log_attention": True}, "--network transformer"),
    ({"log_dimension": 5}, "--network transformer"),
    ({"use_transformer": True, "log_dimension": -5}, "must not be negative"),
    ({"use_transformer": True, "dimension_points": 50}, "--log_dimension"),
    ({"use_transformer": True, "log_dimension": 5, "dimension_neighbors": 9}, "at least 10"),
    ({"use_transformer": True, "log_dimension": 5, "dimension_points": 64}, "above dimension_n"),
    ({"use_transformer": True, "log_dimension": 5, "dimension_layer": 1}, "from -1 to 0"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "words"), BAD, ids=lambda v: str(v)[:40])
def test_bad_value_is_refused_in_one_line_that_names_it(change, words):
    with pytest.raises(ValueError) as caught:
        RunConfig(**({"lr": 0.01} | change))
    message = str(caught.value)
    assert words in message
    assert "\n" not in message
    assert message.split()[0] in {f.name for f in fields(RunConfig)}


GOOD = [
    {"induce_collapse_epoch": 2_000, "num_steps": 3_000},  # more epochs than num_epochs' default
    {"induce_collapse_epoch": 1, "num_steps": 31, "full_batch": False},  # 30 updates an epoch
    {"network": "lstm", "model_dim": 10},  # no multiple of the 4 heads, which nothing reads
    {"network": "embedding_mlp", "model_dim": 10},
    {"network": "embedding_mlp", "optimizer": "Muon", "hidden_sizes": (30,)},
    {"use_transformer": True, "optimizer": "Muon", "orthogonal_gradients": True},
    {"use_transformer": True, "tied_head": True},
    {"binary_operation": "x2_y2_mod"},
    {"network": "transformer", "dataset": "tokens", "tied_head": True, "input_size": 50},
]


@pytest.mark.parametrize("change", GOOD, ids=str)
def test_setting_that_can_be_run_is_accepted(change):
    config = RunConfig(lr=0.01, **change)
    assert {name: getattr(config, name) for name in change} == change


def test_configuration_is_frozen_and_a_variant_differs_in_one_field():
    base = RunConfig(lr=0.01)
    with pytest.raises(AttributeError):
        base.lr = 0.02
    variant = asdict(replace(base, lr=0.02))
    assert [k for k, v in asdict(base).items() if variant[k] != v] == ["lr"]


def test_authors_defaults_may_be_stated_where_nothing_reads_them():
    assert RunConfig(lr=1.0, optimizer="SGD", beta2=0.99).sgd_momentum == 0.2
    assert RunConfig(lr=1.0, dataset="sparse_parity", input_size=113).num_samples == 1000
    with pytest.raises(ValueError, match="beta2 0.98"):
        RunConfig(lr=1.0, optimizer="SGD", beta2=0.98)


def test_every_default_is_a_value_of_its_type():
    """Of a field that has its default neither is asked again."""
    for f in fields(RunConfig):
        if f.default is not MISSING:
            rules._check_type(f, f.default)


def test_another_seed_is_the_same_configuration_with_it():
    for config in {run.config for run in PAPER_RUNS.values()}:
        for seed in (0, 42, 2**63 - 1):
            assert config.at_seed(seed) == replace(config, seed=seed)


@pytest.mark.parametrize("seed", [-1, 2**63, True, 1.0, "1", None])
def test_a_seed_that_no_run_can_have_is_refused(seed):
    with pytest.raises(ValueError, match="seed"):
        RunConfig(lr=0.1).at_seed(seed)
    with pytest.raises(ValueError, match="seed"):
        RunConfig(lr=0.1, seed=seed)
