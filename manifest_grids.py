"""Figures of the related systems that rest on a grid of runs: fractions, optimizers, batches.

A cell that is left out at a size has None in its place there. Imports no torch.
"""

from dataclasses import replace

from config import RunConfig
from manifest import Curve, Figure, Panel, Run
from manifest_presets import LID, PKU, PKU_ARMS, PKU_LSTM, PKU_MLP, POWER, warmed

FRACTIONS = tuple(range(10, 100, 10))  # percent


def _warmed_run(name: str, config: RunConfig, cpu: dict | None, quick: dict | None) -> Run:
    """A run of 001: each form with the warm-up of its own length."""
    forms = (
        None if change is None else warmed(replace(config, **change)) for change in (cpu, quick)
    )
    cpu_form, quick_form = forms
    return Run(name=name, config=warmed(config), cpu=cpu_form, quick=quick_form)


# ---------------------------------------------------------------------------------- architectures

_QUICK_ADD = {"modulo": 31, "batch_size": 128, "num_steps": 1_200, "log_every": 25}
# Network -> (label, preset, updates at CPU size, percents there, percents of the quick look).
_NETWORKS = {
    "transformer": ("Transformer", PKU, 6_000, (30, 40, 50, 70, 90), (50, 70, 90)),
    "mlp": ("MLP", PKU_MLP, 12_000, (70, 80, 90), (70, 90)),
    "lstm": ("LSTM", PKU_LSTM, 6_000, (50, 70, 80), (70, 90)),
}


def _architecture_run(network: str, percent: int) -> Run:
    _, preset, steps, on_cpu, in_quick = _NETWORKS[network]
    return _warmed_run(
        f"add_pku_{network}_{percent}",
        replace(preset, train_fraction=percent / 100, stop_at="test_accuracy", stop_level=0.99),
        {"num_steps": steps} if percent in on_cpu else None,
        _QUICK_ADD if percent in in_quick else None,
    )


ARCHITECTURE_RUNS = {(n, f): _architecture_run(n, f) for n in _NETWORKS for f in FRACTIONS}
FIGURE_ARCHITECTURES = Figure(
    id="architectures",
    title="Steps to 99 % test accuracy: transformer, MLP, LSTM",
    claim=(
        "More training data shortens the way to 99 % test accuracy, for the transformer most; at"
        " 10 % none gets there in 100,000 updates."
    ),
    panels=(
        Panel(
            id="architectures",
            title="Addition mod 97, updates to 99 % test accuracy",
            kind="steps_to_level",
            curves=tuple(
                Curve(run=run, label=_NETWORKS[network][0])
                for (network, _), run in ARCHITECTURE_RUNS.items()
            ),
            text="Seed 001, plot_fig1. A run ends where it is there (R5).",
        ),
        Panel(
            id="architectures 70 %",
            title="Addition mod 97, 70 %",
            kind="accuracy_log",
            curves=tuple(
                Curve(run=ARCHITECTURE_RUNS[network, 70], label=_NETWORKS[network][0])
                for network in _NETWORKS
            ),
        ),
    ),
)

# ---------------------------------------------------------------------------------- optimizers

_ARM_NAMES = ("sgd", "sgd_momentum", "adam", "adamw", "adam_lr1e4", "adamw_dropout")
# Nothing beats a test accuracy of 1. The budget is theirs: 10,000 epochs.
_BEST = replace(
    PKU,
    num_steps=None,
    num_epochs=10_000,
    log_every=200,
    stop_at="test_accuracy",
    stop_level=1.0,
)
# Smaller batches, not a smaller modulus: below p = 97 nothing generalizes from 30 % in this time.
_CPU_BEST = {
    "batch_size": 128,
    "num_epochs": 1_500,  # the default, unread: the budget is in updates
    "num_steps": 5_000,
    "log_every": 100,
}
_QUICK_BEST = _CPU_BEST | {"modulo": 23, "batch_size": 64, "num_steps": 600, "log_every": 25}


def _optimizer_run(name: str, arm: str, percent: int) -> Run:
    change = PKU_ARMS[arm]
    # SGD is slow at lr 0.001: where there are fewer updates, as many times more.
    cpu, quick = ({"lr": 0.02}, {"lr": 0.1}) if arm.startswith("SGD") else ({}, {})
    return _warmed_run(
        f"add_pku_{name}_{percent}",
        replace(_BEST, train_fraction=percent / 100, **change),
        _CPU_BEST | cpu if percent in (30, 50, 70) else None,
        _QUICK_BEST | quick if percent in (50, 70) else None,
    )


OPTIMIZER_RUNS = {
    (arm, percent): _optimizer_run(name, arm, percent)
    for name, arm in zip(_ARM_NAMES, PKU_ARMS, strict=True)
    for percent in FRACTIONS
}
FIGURE_OPTIMIZERS = Figure(
    id="optimizers",
    title="Best test accuracy under six optimizers",
    claim=(
        "AdamW with weight decay 1 and Adam generalize from 20 % of the data on; a tenth of the"
        " learning rate or dropout need 40 %, SGD 60 %."
    ),
    panels=(
        Panel(
            id="optimizers",
            title="Addition mod 97, best test accuracy in 10,000 epochs",
            kind="best_accuracy",
            curves=tuple(Curve(run=run, label=arm) for (arm, _), run in OPTIMIZER_RUNS.items()),
            text="Seed 001, plot_fig2.",
        ),
    ),
)

# ---------------------------------------------------------------------------------- delay map

MODULI = (47, 97, 197, 293, 563, 997)
BATCHES = (4, 8, 32, 128, 512, 1024)
# Each cell's three runs; the published cells are means over sweeps of noise, scale and decay (R7).
VARIANTS = {
    "": {},
    "_noise": {"embedding_noise": 0.1},
    "_scale": {"init_scale": 10.0},
}
# Updates of a cell at CPU size: the smaller the batch, the cheaper each.
_CPU_STEPS = {8: 10_000, 32: 8_000, 128: 6_000, 512: 6_000}
_QUICK_STEPS = {8: 800, 32: 600, 128: 400}


def _delay_run(modulus: int, batch: int, variant: str) -> Run:
    config = replace(
        POWER,
        modulo=modulus,
        vocab_size=2 * modulus + 2,
        batch_size=batch,
        stop_at="test_accuracy",
        stop_level=0.99,
        **VARIANTS[variant],
    )
    cpu = quick = None
    if not variant and modulus in (47, 97, 197) and batch in _CPU_STEPS:
        # Half of the pairs: the delays fit into the budget.
        cpu = replace(
            config, train_fraction=0.5, num_steps=_CPU_STEPS[batch], log_every=200, log_growth=1.1
        )
    if not variant and modulus in (47, 97) and batch in _QUICK_STEPS:
        small = {47: 11, 97: 23}[modulus]
        quick = replace(
            config,
            modulo=small,
            vocab_size=2 * small + 2,
            train_fraction=0.6,
            num_steps=_QUICK_STEPS[batch],
            log_every=25,
        )
    return Run(name=f"div_power_p{modulus}_b{batch}{variant}", config=config, cpu=cpu, quick=quick)


DELAY_RUNS = {
    (modulus, batch, variant): _delay_run(modulus, batch, variant)
    for modulus in MODULI
    for batch in BATCHES
    for variant in VARIANTS
}


def _delay_panel(variant: str, title: str, kind: str) -> Panel:
    return Panel(
        id=f"delay-map {kind.removeprefix('delay_')}{variant.replace('_', ' ')}",
        title=f"Division{title}, delay in {'updates' if kind == 'delay_steps' else 'epochs'}",
        kind=kind,
        curves=tuple(
            Curve(run=run, label=f"p = {modulus}, batch {batch}{variant.replace('_', ', ')}")
            for (modulus, batch, of), run in DELAY_RUNS.items()
            if of == variant
        ),
        text="Seed 002, the heat map; a cell is a mean over seeds, never over variants (R7).",
    )


FIGURE_DELAY_MAP = Figure(
    id="delay-map",
    title="Grokking delay over training-set size and batch size",
    claim="The delay is short where training-set size over batch size is between 100 and 800.",
    panels=tuple(
        _delay_panel(variant, title, kind)
        for variant, title in zip(
            VARIANTS, ("", ", embedding noise", ", larger start"), strict=True
        )
        for kind in ("delay_steps", "delay_epochs")
    ),
)

# ---------------------------------------------------------------------------------- dimension

# The published runs up to the step by which 35 % and more have generalized, measured more often. A
# smaller modulus would not do: at p = 97 40 % do not generalize in this time.
_CPU_LID = {"num_steps": 8_000, "log_every": 200, "log_dimension": 200}
# Falls to 0 at 6 2/3 times the run's length, as in the published figure.
_QUICK_LID = {
    "modulo": 23,
    "batch_size": 128,
    "num_steps": 400,
    "schedule_steps": 2_667,
    "log_every": 50,
    "log_dimension": 50,
    "dimension_points": 500,
    "dimension_neighbors": 32,
}


def _dimension_run(percent: int) -> Run:
    config = replace(LID, train_fraction=percent / 100)
    return Run(
        name=f"add_lid_{percent}",
        config=config,
        cpu=replace(config, **_CPU_LID) if percent in (20, 40, 50) else None,
        quick=replace(config, **_QUICK_LID) if percent in (20, 35, 50) else None,
    )


DIMENSION_RUNS = {percent: _dimension_run(percent) for percent in range(10, 55, 5)}
_DIMENSIONS = tuple(Curve(run=run, label=f"{percent} %") for percent, run in DIMENSION_RUNS.items())
FIGURE_DIMENSION = Figure(
    id="dimension",
    title="Local intrinsic dimension and generalization",
    claim=(
        "The mean local dimension of hidden states falls where test accuracy begins to rise, and"
        " stays high for the fractions that do not generalize."
    ),
    panels=(
        Panel(id="dimension", title="Addition mod 197", kind="dimension", curves=_DIMENSIONS,
              text="Seed 004: N = 3,000 states, L = 64 neighbours, training set, all positions."),
        Panel(id="dimension lead", title="Lead of the fall of the dimension", kind="lead",
              curves=_DIMENSIONS, text="The sign is measured, not assumed (R8)."),
    ),
    seeds={"full": (46, 47, 48, 49, 50), "cpu": (46, 47), "quick": (46,)},  # R12: of all draws
)  # fmt: skip
