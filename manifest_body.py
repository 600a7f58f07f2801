"""Runs and figures of the paper's main text that the authors' bundle lacks: 4 right, 5, 6c and 7.

Settings that were never published are ours; SETTINGS.md says which, what was tried and what it
gave. experiments.py, the one entry, puts these figures in their places. Imports no torch.
"""

from dataclasses import replace

from manifest import MLP, SGD, Curve, Figure, Panel, declare

# ------------------------------------------------------------------------------- 4 right, 5, 6c

CODES = replace(MLP, lr=0.005, num_epochs=1_000, log_frequency=10)
_QUICK_CODES = {"modulo": 97, "num_epochs": 500}
ADD_TWO_HOT = declare("add_adamw_lr5e3_long", CODES, _QUICK_CODES)
BINARY_RUNS = {
    bits: declare(
        f"binary_add_adamw_{bits}bits",
        CODES,
        _QUICK_CODES,
        dataset="binary_alg",
        random_codes=True,
        code_bits=bits,
    )
    for bits in (7, 14)
}
# What the authors' task class does unless told otherwise: the binary numbers in their order.
BINARY_ORDERED = replace(CODES, dataset="binary_alg", code_bits=7)
BINARY_ADD_ORDERED = declare("binary_add_adamw_ordered", BINARY_ORDERED, _QUICK_CODES)
PANEL_4_RIGHT = Panel(
    id="4 right",
    title="Binary codes, addition mod 113",
    kind="accuracy",
    curves=(
        Curve(run=ADD_TWO_HOT, label="two-hot, 226 inputs"),
        Curve(run=BINARY_RUNS[7], label="random, 7 bits each"),
        Curve(run=BINARY_RUNS[14], label="random, 14 bits each"),
        Curve(run=BINARY_ADD_ORDERED, label="binary numbers, 7 bits each"),
    ),
    text=(
        "Both readings of the paper's random binary vectors 'of dimension 14', and the binary"
        " numbers themselves, as the authors' task class has them."
    ),
)

ALIGNED = replace(
    MLP, lr=0.001, softmax_precision=64, num_epochs=2_000, log_frequency=10, log_nlm_cosine=True
)
_QUICK_ALIGNED = {"modulo": 59, "num_epochs": 600}
ADD_ALIGNED = declare("add_softmax64_aligned", ALIGNED, _QUICK_ALIGNED)
ADD_ALIGNED_BIAS = declare("add_softmax64_aligned_bias", ALIGNED, _QUICK_ALIGNED, bias=True)
# The authors' first transformer: no norms, no biases, learned positions, three matrices.
SUB_TRANSFORMER_ALIGNED = declare(
    "sub_transformer_softmax64_aligned",
    ALIGNED,
    {"modulo": 59, "num_epochs": 300},
    use_transformer=True,
    exclude_zero=True,
    binary_operation="subtract_mod",
    norm="none",
    bias=False,
    positions="learned",
    ff_dim=512,
    ff_hidden_layers=2,
    dropout=0.0,
    num_epochs=500,
    log_frequency=5,
)
FIGURE_5 = Figure(
    id="5",
    title="Updates align with the weights",
    claim=(
        "After overfitting the negative gradient points along the weights, up to a cosine of 0.9 in"
        " the output layer; in the transformer most in embedding and unembedding."
    ),
    panels=tuple(
        Panel(
            id=f"5{letter}", title=title, kind="nlm_cosine", curves=(Curve(run=run, label=title),)
        )
        for letter, title, run in (
            ("a", "MLP without bias", ADD_ALIGNED),
            ("b", "MLP with bias", ADD_ALIGNED_BIAS),
            ("c", "Transformer", SUB_TRANSFORMER_ALIGNED),
        )
    ),
)

ADD_SGD_L2 = declare(
    "add_sgd_l2",
    SGD,
    {"modulo": 59, "num_epochs": 4_000, "log_frequency": 10},
    lr=3.0,
    weight_decay=3e-4,
    train_fraction=0.6,
    log_frequency=20,
)
PANEL_6C = Panel(
    id="6c",
    title="Loss against L2 term, SGD",
    kind="loss_and_l2",
    curves=(Curve(run=ADD_SGD_L2, label="SGD, weight decay"),),
    text="First the loss falls at the cost of the L2 term, then both fall.",
)

# ---------------------------------------------------------------------------------- figure 7

PATH = replace(SGD, lr=3.0, num_epochs=3_000, log_frequency=25, save_weights=True)
_QUICK_PATH = {"modulo": 59, "train_fraction": 0.6, "num_epochs": 1_500}
ADD_SGD_PATH = declare("add_sgd_path", PATH, _QUICK_PATH)
ADD_SGD_WD_PATH = declare("add_sgd_wd_path", PATH, _QUICK_PATH, weight_decay=3e-4)
ADD_ORTHOSGD_PATH = declare(
    "add_orthosgd_path",
    PATH,
    _QUICK_PATH | {"num_epochs": 500},
    orthogonal_gradients=True,
    loss_function="stablemax",
    lr=10.0,
    train_precision=64,
    num_epochs=500,
    log_frequency=5,
)
_PATHS = (
    Curve(run=ADD_SGD_PATH, label="SGD"),
    Curve(run=ADD_SGD_WD_PATH, label="SGD, weight decay"),
    Curve(run=ADD_ORTHOSGD_PATH, label="⊥SGD, StableMax"),
)
FIGURE_7 = Figure(
    id="7",
    title="Trajectories in weight space",
    claim=(
        "SGD follows the direction of naive loss minimization; weight decay turns it back after"
        " overfitting; ⊥SGD goes straight to low training and test loss."
    ),
    panels=(
        Panel(id="7a", title="Training loss", kind="landscape", curves=_PATHS),
        Panel(id="7b", title="Test loss", kind="landscape_test", curves=_PATHS),
    ),
)
