"""Who reads a field of RunConfig, as a table: {reader in words: (condition, names of fields)}.

A flag that the rest of the configuration leaves unread would be recorded and change nothing, so
config_rules.py refuses it unless it has its default.
"""


def is_permutation(c) -> bool:
    """Whether the task composes permutations."""
    return c.binary_operation.startswith("s5")


READERS = {
    "--dataset add_mod, tokens or binary_alg": (
        lambda c: c.dataset in ("add_mod", "binary_alg", "tokens"),
        ("binary_operation",),
    ),
    "a modular --binary_operation (--dataset add_mod, tokens, binary_alg)": (
        lambda c: c.dataset in ("add_mod", "binary_alg", "tokens") and not is_permutation(c),
        ("modulo", "input_size", "exclude_zero"),
    ),
    "--dataset tokens": (
        lambda c: c.dataset == "tokens",
        ("leading_eos", "vocab_size", "full_head"),
    ),
    "--dataset tokens with --binary_operation add_mod": (
        lambda c: c.dataset == "tokens" and c.binary_operation == "add_mod",
        ("terms",),
    ),
    "--dataset tokens with an s5 operation": (is_permutation, ("exclude_identity",)),
    "--dataset sparse_parity": (
        lambda c: c.dataset == "sparse_parity",
        ("num_noise_features", "num_parity_features", "num_samples"),
    ),
    "--dataset binary_alg": (lambda c: c.dataset == "binary_alg", ("code_bits", "random_codes")),
    "--dataset mnist": (lambda c: c.dataset == "mnist", ("mnist_images", "rotation", "blur")),
    "no --train_samples": (lambda c: c.train_samples is None, ("train_fraction",)),
    "no --network": (lambda c: c.network is None, ("use_transformer",)),
    "the transformer (--use_transformer)": (
        lambda c: c.network_kind == "transformer",
        (
            "num_heads",
            "ff_dim",
            "ff_hidden_layers",
            "norm",
            "activation",
            "causal",
            "tied_head",
            "dropout",
            "dropout_at",
            "scale_embedding",
            "embedding_noise",
            "log_attention",
            "log_dimension",
        ),
    ),
    "the transformer or the lstm": (
        lambda c: c.network_kind in ("transformer", "lstm"),
        ("num_layers",),
    ),
    "the transformer or the embedding_mlp": (
        lambda c: c.network_kind in ("transformer", "embedding_mlp"),
        ("final_norm", "positions"),
    ),
    "the transformer, the lstm or the embedding_mlp": (
        lambda c: c.network_kind != "mlp",
        ("model_dim",),
    ),
    "the lstm": (lambda c: c.network_kind == "lstm", ("lstm_dim",)),
    "the mlp or the embedding_mlp": (
        lambda c: c.network_kind in ("mlp", "embedding_mlp"),
        ("hidden_sizes",),
    ),
    "--loss_function stablemax": (
        lambda c: c.loss_function == "stablemax",
        ("stablemax_precision",),
    ),
    "--loss_function cross_entropy": (
        lambda c: c.loss_function == "cross_entropy",
        ("softmax_temperature", "induce_collapse_epoch"),
    ),
    "--loss_function cross_entropy with --softmax_precision 16": (
        lambda c: c.loss_function == "cross_entropy" and c.softmax_precision == 16,
        ("half_softmax",),
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
