"""Runs and figures of the paper's appendix, 8 to 16.

Settings that were never published are ours; SETTINGS.md says which, what was tried and what it
gave. experiments.py, the one entry, puts these figures in their places. Imports no torch.
"""

from dataclasses import replace

from config import RunConfig
from manifest import (
    ADD_ORTHOADAMW,
    ADD_STABLEMAX,
    EFFECTIVE,
    MLP,
    SGD,
    Curve,
    Figure,
    Panel,
    Run,
    declare,
)

BITS = (16, 32, 64)

# ------------------------------------------------------------------------------- figures 8 and 9

# The momentum was not stated; ours is none. With it the schedule divides yesterday's gradients by
# today's norm, and training blew up. Which norm was not stated either: with the sum of magnitudes
# the stated rates give the pace of the published curves, with the Euclidean norm training is over
# before epoch 1,000 (SETTINGS.md).
NORMED = replace(SGD, momentum=0.0, use_lr_scheduler=True)
_QUICK_NORMED = {"modulo": 59, "num_epochs": 3_000, "log_frequency": 25}
METHODS = {1: "sgdl1norm", 2: "sgdnorm"}  # by the order of the norm
QUICK_RATES = {1: 40.0, 2: 1.0}


def _normed_run(percent: int, bits: int, lr: float, order: int, variant: str = "", **change) -> Run:
    return declare(
        f"add_{METHODS[order]}{bits}_{percent}{variant}",
        NORMED,
        _QUICK_NORMED
        | {"lr": QUICK_RATES[order]}
        | ({"induce_collapse_epoch": 1_000} if change else {}),
        train_fraction=percent / 100,
        softmax_precision=bits,
        lr=lr,
        lr_scheduler_norm=order,
        **change,
    )


NORMED_RUNS = {
    (p, b): _normed_run(p, b, 3.0 if p == 40 else 4.0, 1) for p in (40, 60, 70) for b in BITS
}
EUCLIDEAN_RUNS = {b: _normed_run(40, b, 3.0, 2) for b in BITS}
FIGURE_8_RUNS = {
    name: (
        _normed_run(70, 64, 3.0, order, "_lr3"),
        _normed_run(70, 64, 3.0, order, "_lr3_induced", induce_collapse_epoch=6_000),
    )
    for name, order in (("sum of magnitudes", 1), ("Euclidean norm", 2))
}
FIGURE_8 = Figure(
    id="8",
    title="Induced collapse stops learning",
    claim=(
        "With the right logits of the training loss multiplied by 0 from epoch 6,000 on, softmax"
        " collapse sets in within about 100 epochs and test accuracy stands still; with the"
        " Euclidean norm in the schedule (b) all is learned and collapsed long before."
    ),
    panels=tuple(
        Panel(
            id=f"8{letter}",
            title=f"Addition mod 113, 70 %, {title}",
            kind="collapse",
            curves=(Curve(run=free, label="plain"), Curve(run=induced, label="induced collapse")),
        )
        for letter, (title, (free, induced)) in zip("ab", FIGURE_8_RUNS.items(), strict=True)
    ),
)
FIGURE_9 = Figure(
    id="9",
    title="Softmax collapse under SGD",
    claim=(
        "Under SGD with the learning rate over the gradient norm collapse also sets in earlier for"
        " float16 than float32 than float64, and ends generalization there."
    ),
    panels=(
        *(
            Panel(
                id=f"9{letter}",
                title=f"{percent} % training data",
                kind="collapse",
                curves=tuple(
                    Curve(run=NORMED_RUNS[percent, bits], label=f"float{bits}") for bits in BITS
                ),
            )
            for letter, percent in (("a", 40), ("b", 60), ("c", 70))
        ),
        Panel(
            id="9 Euclidean",
            title="40 % training data, Euclidean norm",
            kind="collapse",
            curves=tuple(Curve(run=EUCLIDEAN_RUNS[bits], label=f"float{bits}") for bits in BITS),
        ),
    ),
)

# ------------------------------------------------------------------------------- figures 10 to 13

ABSORBING = replace(
    SGD,
    lr=1.0,
    momentum=0.95,  # ours: the gradient falls 20 times sooner; the metric leaves momentum out
    train_fraction=0.3,
    num_epochs=20_000,
    log_frequency=100,
    log_absorption=True,
)
_QUICK_ABSORBING = {"modulo": 59, "num_epochs": 5_000, "log_frequency": 50}
ADD_SGD_ABSORPTION = declare("add_sgd_absorption", ABSORBING, _QUICK_ABSORBING)
FIGURE_10 = Figure(
    id="10",
    title="Absorbed updates",
    claim=(
        "As the gradient shrinks the share of weights that absorb their update rises, while the"
        " share of exactly zero gradients stays."
    ),
    panels=(
        Panel(
            id="10",
            title="Addition mod 113, SGD, 30 %",
            kind="absorption",
            curves=(Curve(run=ADD_SGD_ABSORPTION, label="SGD"),),
        ),
    ),
)

INTERVENED = replace(MLP, softmax_precision=64, num_epochs=20_000, log_frequency=100)
_QUICK_INTERVENED = {"modulo": 59, "train_fraction": 0.6, "num_epochs": 2_000, "log_frequency": 20}
ADD_UNCHANGED = declare("add_softmax64_20k", INTERVENED, _QUICK_INTERVENED)
ADD_LOGIT_NORM = declare("add_softmax64_logitnorm", INTERVENED, _QUICK_INTERVENED,
                      logit_norm_penalty=1e-4)  # fmt: skip
ADD_TAYLOR = declare("add_taylor", INTERVENED, _QUICK_INTERVENED, loss_function="taylor")
ADD_L1 = declare("add_softmax64_l1", INTERVENED, _QUICK_INTERVENED, regularization="l1",
              lambda_l1=1e-5)  # fmt: skip
FIGURE_11 = Figure(
    id="11",
    title="Other interventions",
    claim=(
        "A penalty on the logits' norm and Taylor-softmax also turn overfitting into grokking; L1"
        " (D.1) is not a reliable remedy."
    ),
    panels=(
        Panel(
            id="11",
            title="Addition mod 113, AdamW",
            kind="accuracy",
            curves=(
                Curve(run=ADD_LOGIT_NORM, label="penalty on the logits' norm"),
                Curve(run=ADD_TAYLOR, label="Taylor-softmax"),
                Curve(run=ADD_L1, label="L1 penalty on the weights"),
                Curve(run=ADD_UNCHANGED, label="none of them"),
            ),
        ),
        Panel(
            id="11 norm",
            title="Weight norm",
            kind="weight_norm",
            curves=(
                Curve(run=ADD_LOGIT_NORM, label="penalty on the logits' norm"),
                Curve(run=ADD_TAYLOR, label="Taylor-softmax"),
                Curve(run=ADD_L1, label="L1 penalty on the weights"),
            ),
        ),
    ),
)

FIGURE_12 = Figure(
    id="12",
    title="Fourier spectrum of the weights",
    claim="Networks that grokked without weight decay are sparse in Fourier space.",
    panels=(
        Panel(
            id="12",
            title="First layer, addition mod 113",
            kind="spectrum",
            curves=(
                Curve(run=ADD_ORTHOADAMW, label="⊥AdamW"),
                Curve(run=ADD_STABLEMAX, label="AdamW, StableMax"),
                Curve(run=ADD_UNCHANGED, label="AdamW, softmax float64"),
            ),
        ),
    ),
)

MSE = replace(MLP, loss_function="mse", lr=0.001, num_epochs=10_000, log_frequency=50)
_QUICK_MSE = {"modulo": 59, "train_fraction": 0.7, "num_epochs": 1_500, "log_frequency": 10}
MSE_RUNS = {
    depth: declare(f"add_mse_{depth}layers", MSE, _QUICK_MSE, hidden_sizes=(200,) * depth)
    for depth in (1, 2, 3)
}
FIGURE_13 = Figure(
    id="13",
    title="Mean squared error and depth",
    claim="With mean squared error only the network with one hidden layer generalizes.",
    panels=(
        Panel(
            id="13",
            title="Addition mod 113, AdamW, mean squared error",
            kind="accuracy",
            curves=tuple(
                Curve(run=run, label=f"{depth} hidden layer{'s' * (depth > 1)}")
                for depth, run in MSE_RUNS.items()
            ),
        ),
    ),
)

# ---------------------------------------------------------------------------------- figure 14

MNIST = RunConfig(
    dataset="mnist",
    train_samples=200,
    init_scale=100.0,
    lr=0.001,
    num_epochs=6_000,
    log_frequency=25,
)
MNIST_PLAIN = declare("mnist_adamw", MNIST, {"num_epochs": 4_500})
MNIST_WD = declare("mnist_adamw_wd", MNIST, {"num_epochs": 4_500}, weight_decay=1.0)
_MNIST_CURVES = (
    Curve(run=MNIST_PLAIN, label="no weight decay"),
    Curve(run=MNIST_WD, label="weight decay 1"),
)
FIGURE_14 = Figure(
    id="14",
    title="MNIST from large weights",
    claim=(
        "From weights scaled by 100 collapse is complete from the beginning; without weight decay"
        " nothing generalizes further (a); with it norm and collapse fall and test accuracy jumps"
        " (b)."
    ),
    panels=(
        Panel(id="14a", title="No weight decay", kind="collapse", curves=_MNIST_CURVES[:1]),
        Panel(id="14b", title="Weight decay", kind="collapse", curves=_MNIST_CURVES[1:]),
        Panel(id="14 norm", title="Weight norm", kind="weight_norm", curves=_MNIST_CURVES),
    ),
)

# ------------------------------------------------------------------------------- figures 15 and 16

DECAYED = replace(MLP, lr=0.003, num_epochs=5_000, log_frequency=10)
_QUICK_DECAYED = {"modulo": 97, "num_epochs": 1_500}
DECAYS = (0.5, 1.0, 2.0, 4.0, 6.0, 8.0)
SWEEP_RUNS = {
    wd: declare(f"add_adamw_wd{wd:g}".replace(".", "p"), DECAYED, _QUICK_DECAYED, weight_decay=wd)
    for wd in DECAYS
}
# At the rate of figure 1a, so that ⊥AdamW meets weight decay at equal rates there, too.
FAST_RUNS = {
    wd: declare(
        f"add_adamw_wd{wd:g}_lr1e2".replace(".", "p"),
        replace(DECAYED, lr=0.01, num_epochs=1_000),
        _QUICK_DECAYED | {"num_epochs": 600},
        weight_decay=wd,
    )
    for wd in DECAYS
}
ADD_ORTHOADAMW_SWEEP = declare("add_orthoadamw_lr3e3", DECAYED, _QUICK_DECAYED, **EFFECTIVE)
_SWEEP = tuple(Curve(run=run, label=f"weight decay {wd:g}") for wd, run in SWEEP_RUNS.items())
_FAST = tuple(
    Curve(run=run, label=f"weight decay {wd:g}, lr 0.01") for wd, run in FAST_RUNS.items()
)
_ORTHO = (
    Curve(run=ADD_ORTHOADAMW_SWEEP, label="⊥AdamW, lr 0.003"),
    Curve(run=ADD_ORTHOADAMW, label="⊥AdamW, lr 0.01 as in figure 1a"),
)
FIGURE_15 = Figure(
    id="15",
    title="Weight decay and the delay",
    claim=(
        "More weight decay shortens the delay up to a point, 8 prevents full generalization; ⊥AdamW"
        " is faster than the best of them."
    ),
    panels=(
        Panel(id="15a", title="AdamW with weight decay", kind="accuracy", curves=_SWEEP),
        Panel(id="15b", title="Delay", kind="sweep", curves=(*_SWEEP, *_FAST, *_ORTHO)),
    ),
)

ALTERNATIVES = replace(MLP, num_epochs=10_000, log_frequency=50)
_QUICK_ALTERNATIVES = {"modulo": 59, "train_fraction": 0.5, "num_epochs": 5_000}
ADD_SOFTMAX32 = declare("add_softmax32", ALTERNATIVES, _QUICK_ALTERNATIVES)
ADD_TEMPERATURE = declare(
    "add_softmax32_temperature",
    replace(ALTERNATIVES, num_epochs=30_000),  # in 10,000 it does not fit the training set
    _QUICK_ALTERNATIVES,
    softmax_temperature=1e5,
)
ADD_SMOOTHED = declare(
    "add_softmax32_smoothed", ALTERNATIVES, _QUICK_ALTERNATIVES, label_smoothing=0.2
)
FIGURE_16 = Figure(
    id="16",
    title="Temperature and label smoothing",
    claim=(
        "A softmax temperature of 100,000 postpones collapse and does not prevent it; label"
        " smoothing prevents it and generalizes partly."
    ),
    panels=(
        Panel(
            id="16",
            title="Addition mod 113, AdamW, softmax float32",
            kind="collapse",
            curves=(
                Curve(run=ADD_TEMPERATURE, label="temperature 100,000"),
                Curve(run=ADD_SMOOTHED, label="label smoothing 0.2"),
                Curve(run=ADD_SOFTMAX32, label="neither"),
            ),
        ),
    ),
)

FIGURES = (
    FIGURE_8,
    FIGURE_9,
    FIGURE_10,
    FIGURE_11,
    FIGURE_12,
    FIGURE_13,
    FIGURE_14,
    FIGURE_15,
    FIGURE_16,
)
