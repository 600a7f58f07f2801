"""The related grokking systems as configurations: one constant each, every choice written out.

The choices are those that change results between these systems: tokens, norms, activation, dropout,
positions, mask, head, batches, operation. docs/related.md lists them side by side, with the
published numbers and the deviations (R1, R2, ...) that are named here.
"""

from dataclasses import replace

from configuration.config import RunConfig
from experiment.figure import Run

# What all five decoders share: two layers of four heads, width 128, feed-forward 512, a causal
# mask, learned positions, biases, and AdamW at 1e-3 with these betas.
_DECODER = {
    "dataset": "tokens",
    "network": "transformer",
    "num_layers": 2,
    "model_dim": 128,
    "num_heads": 4,
    "ff_dim": 512,
    "dropout": 0.0,
    "positions": "learned",
    "causal": True,
    "bias": True,
    "optimizer": "AdamW",
    "lr": 0.001,
    "beta1": 0.9,
    "beta2": 0.98,
    "adam_epsilon": 1e-8,
    "full_batch": False,
    "batch_size": 512,
}

# -------------------------------------------------------------------------------- 001, K-term sums

# 'x1 + x2 =': post-norm with a final norm, GELU, an untied head over the vocabulary of p + 2.
PKU = RunConfig(
    **_DECODER,
    binary_operation="add_mod",
    terms=2,
    modulo=97,
    full_head=True,
    norm="post",
    final_norm=True,
    activation="gelu",
    dropout_at="ff_output",
    weight_decay=1.0,
    batch_order="shuffled",
    train_fraction=0.5,
    warmup_steps=100,  # R3: 10 epochs of 10 updates at this fraction; see `warmed`
    warmup_start=0.01,
    num_steps=100_000,
    log_every=50,
)
# The smaller one of its K test: p = 11, width 64, and with it the feed-forward width.
PKU_K = replace(PKU, modulo=11, model_dim=64, ff_dim=256)
# Tokens and positions embedded, concatenated (4 * 128), two hidden layers of that width.
PKU_MLP = RunConfig(
    dataset="tokens",
    network="embedding_mlp",
    binary_operation="add_mod",
    terms=2,
    modulo=97,
    full_head=True,
    model_dim=128,
    hidden_sizes=(512, 512),
    positions="learned",
    final_norm=True,
    bias=True,
    optimizer="AdamW",
    lr=0.01,
    weight_decay=0.01,
    beta1=0.9,
    beta2=0.98,
    adam_epsilon=1e-8,
    full_batch=False,
    batch_size=512,
    batch_order="shuffled",
    train_fraction=0.5,
    warmup_steps=100,
    warmup_start=0.01,
    num_steps=100_000,
    log_every=50,
)
PKU_LSTM = RunConfig(
    dataset="tokens",
    network="lstm",
    binary_operation="add_mod",
    terms=2,
    modulo=97,
    full_head=True,
    num_layers=2,
    model_dim=128,
    lstm_dim=128,
    bias=True,
    optimizer="AdamW",
    lr=0.001,
    weight_decay=1.0,
    beta1=0.9,
    beta2=0.98,
    adam_epsilon=1e-8,
    full_batch=False,
    batch_size=512,
    batch_order="shuffled",
    train_fraction=0.5,
    warmup_steps=100,
    warmup_start=0.01,
    num_steps=100_000,
    log_every=50,
)
# Trained shares of the pairs in its two grids, in percent.
FRACTIONS = tuple(range(10, 100, 10))
# Its six optimizer arms: what each changes of PKU. Adam decays by a coupled L2 term; SGD decays
# matrices only, as much as Adam (R19), warms up over a tenth of the run and follows a cosine to 0;
# see `warmed`.
_SGD = {
    "optimizer": "SGD",
    "weight_decay": 1e-4,
    "beta2": None,  # unread by SGD, as is epsilon
    "adam_epsilon": 1e-25,
    "decay_all": False,
    "lr_schedule": "cosine",
    "final_lr": 0.0,
    "warmup_start": 0.0,
}
PKU_ARMS = {
    "SGD": _SGD | {"momentum": 0.0},
    "SGD, momentum 0.9": _SGD | {"momentum": 0.9},
    "Adam, L2 1e-4": {"optimizer": "Adam", "weight_decay": 1e-4},
    "AdamW, weight decay 1": {},
    "Adam, lr 1e-4": {"optimizer": "Adam", "weight_decay": 1e-4, "lr": 0.0001},
    "AdamW, dropout 0.1": {"dropout": 0.1},
}


def pku_batch(examples: int) -> int:
    """Batch size of 001 for a whole data set of that many examples: min(512, ceil(n / 2))."""
    return min(512, -(-examples // 2))


def warmed(config: RunConfig) -> RunConfig:
    """The configuration with 001's warm-up for its own length and data set (R3).

    AdamW and Adam: 10 epochs from lr / 100. SGD: the first tenth of all updates, from 0.
    """
    if config.optimizer == "SGD":
        return replace(config, warmup_steps=max(config.total_steps // 10, 1))
    return replace(config, warmup_steps=10 * config.steps_per_epoch)


def warmed_run(name: str, config: RunConfig, quick: dict | None, *, cpu="full") -> Run:
    """A run of 001, as `declare` makes them, each form with the warm-up of its own length."""

    def form(change):
        return warmed(replace(config, **change)) if isinstance(change, dict) else change

    return Run(name=name, config=form({}), quick=form(quick), cpu=form(cpu))


# ---------------------------------------------------------------------------------- 002

# danielmamay's form of 2022: 'x / y =' with division modulo p (R1), a vocabulary of 2 p + 2. What
# is not trained on tests (R11).
POWER = RunConfig(
    **_DECODER,
    binary_operation="divide_mod",
    modulo=97,
    vocab_size=2 * 97 + 2,
    full_head=True,
    norm="post",
    final_norm=True,
    activation="gelu",
    weight_decay=1.0,
    batch_order="shuffled",
    train_fraction=0.3,
    warmup_steps=9,
    warmup_start=0.1,
    num_steps=100_000,
    log_every=500,
    log_growth=1.05,
)

# Its MNIST part has no code; it is Omnigrok's: all initial weights times 8, squared error.
OMNIGROK = RunConfig(
    dataset="mnist",
    mnist_images="full",
    train_samples=1_000,
    network="mlp",
    hidden_sizes=(200, 200),
    bias=True,
    init_scale=8.0,
    loss_function="mse",
    softmax_precision=64,
    train_precision=64,
    optimizer="AdamW",
    lr=0.001,
    weight_decay=0.01,
    beta1=0.9,
    beta2=0.999,
    adam_epsilon=1e-8,
    full_batch=False,
    batch_size=200,
    batch_order="shuffled",
    num_steps=100_000,
    log_every=500,
    log_growth=1.1,
)

# ---------------------------------------------------------------------------------- 003

# The Grokformer: post-norm, ReLU, no final norm, a head tied to the embedding of p + 2 tokens,
# batches in one fixed order.
TOTH_DIVISION = RunConfig(
    **_DECODER,
    binary_operation="divide_mod",
    modulo=97,
    full_head=True,
    tied_head=True,
    norm="post",
    final_norm=False,
    activation="relu",
    weight_decay=1.0,
    batch_order="fixed",
    train_fraction=0.3,
    warmup_steps=10,
    warmup_start=0.0,
    num_steps=20_000,
    log_every=100,
    log_growth=1.05,
)
# b^-1[a[i]], the identity left out as b: 14,280 pairs.
TOTH_S5 = RunConfig(
    **_DECODER,
    binary_operation="s5_inverse",
    exclude_identity=True,
    full_head=True,
    tied_head=True,
    norm="post",
    final_norm=False,
    activation="relu",
    weight_decay=1.0,
    batch_order="fixed",
    train_fraction=0.5,
    warmup_steps=10,
    warmup_start=0.0,
    num_steps=20_000,
    log_every=100,
    log_growth=1.05,
)

# ---------------------------------------------------------------------------------- 004

# Pre-norm with a final norm, GELU, dropout 0.1 everywhere, embedding times sqrt(128), an untied
# head over the p results; independent draws, a clipped gradient, and the local intrinsic
# dimension of the last layer's output every 500 updates. The schedule falls to 0 over 400,000
# updates, of which the published figure shows the first 60,000 (R9).
LID = RunConfig(
    **_DECODER
    | {
        "dropout": 0.1,
        "adam_epsilon": 1e-6,
    },
    binary_operation="add_mod",
    modulo=197,
    full_head=False,
    norm="pre",
    final_norm=True,
    activation="gelu",
    dropout_at="all",
    scale_embedding=True,
    weight_decay=0.01,
    clip_norm=1.0,
    batch_order="iid",
    train_fraction=0.3,
    lr_schedule="linear",
    warmup_steps=10,
    warmup_start=1 / 3,
    schedule_steps=400_000,
    final_lr=0.0,
    num_steps=60_000,
    log_every=500,
    log_dimension=500,
    dimension_estimator="twonn",
    dimension_points=3_000,
    dimension_neighbors=64,
    dimension_layer=-1,
    dimension_tokens="all",
    dimension_split="train",
)

PRESETS = {
    "pku": PKU,
    "pku-k-sum": PKU_K,
    "pku-mlp": PKU_MLP,
    "pku-lstm": PKU_LSTM,
    "power": POWER,
    "omnigrok-mnist": OMNIGROK,
    "toth-division": TOTH_DIVISION,
    "toth-s5": TOTH_S5,
    "lid-197": LID,
}
