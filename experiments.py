"""The manifest: every run of every figure as data. It says what is run and what it shows.

A run is declared once, as a constant; a figure's panel names the runs it draws, with the label
each curve carries there. A variant is `replace(BASE, ...)`: the difference is the ablation. Every
run has a quick form, a look in minutes on two cores, in folders of its own ("quick/..."). Runs and
figures that the authors' bundle lacks are declared in manifest_body.py, manifest_appendix.py and
manifest_controls.py, those of the related systems in manifest_related*.py; this file hands on all.

Where the published figure used other settings than the authors' command line says, the effective
ones stand here, with the number of the deviation (see the table in README.md). Imports no torch.
"""

from dataclasses import replace

import manifest_appendix
import manifest_body
import manifest_controls
import manifest_related
from config import RunConfig
from manifest import (
    ADD_ADAMW_LR5E3,
    ADD_ORTHOADAMW,
    ADD_ORTHOADAMW_LR5E3,
    ADD_ORTHOSGD,
    ADD_SOFTMAX64,
    ADD_STABLEMAX,
    COLLAPSE_RUNS,
    DEFAULT_SEEDS,  # noqa: F401 - handed on
    EFFECTIVE,
    QUICK_MLP,  # noqa: F401 - handed on
    QUICK_STABLEMAX,
    SIZES,  # noqa: F401 - handed on
    STABLEMAX,
    Curve,
    Figure,
    Panel,
    Run,
    asked_size,  # noqa: F401 - handed on
    check_size,  # noqa: F401 - handed on
    size_flag,  # noqa: F401 - handed on
)

# ---------------------------------------------------------------------------------- figures 1 and 4

PRODUCT_STABLEMAX = Run(
    name="product_stablemax",
    config=replace(STABLEMAX, binary_operation="product_mod"),
    quick=replace(QUICK_STABLEMAX, binary_operation="product_mod"),
)
PARITY = RunConfig(
    dataset="sparse_parity",
    num_noise_features=40,
    num_parity_features=3,
    num_samples=2000,
    train_fraction=0.5,
    loss_function="stablemax",
    lr=0.01,
    beta2=0.999,
    adam_epsilon=1e-18,
    num_epochs=100_000,
    log_frequency=500,
)
PARITY_STABLEMAX = Run(
    name="parity_stablemax",
    config=PARITY,
    quick=replace(PARITY, num_noise_features=20, num_epochs=8_000, log_frequency=100),
)

FIGURE_1 = Figure(
    id="1",
    title="From overfitting to grokking to generalization",
    claim=(
        "Without regularization AdamW on softmax overfits (c); StableMax turns that into grokking"
        " (b); ⊥AdamW removes the delay (a)."
    ),
    panels=(
        Panel(
            id="1a",
            title="Generalization (⊥AdamW)",
            kind="accuracy",
            curves=(Curve(run=ADD_ORTHOADAMW, label="⊥AdamW, softmax"),),
        ),
        Panel(
            id="1b",
            title="Grokking (AdamW, StableMax)",
            kind="accuracy",
            curves=(Curve(run=ADD_STABLEMAX, label="AdamW, StableMax"),),
            epochs=80_000,
        ),
        Panel(
            id="1c",
            title="Overfitting (AdamW, softmax)",
            kind="accuracy",
            curves=(Curve(run=ADD_SOFTMAX64, label="AdamW, softmax float64"),),
        ),
    ),
)

# ---------------------------------------------------------------------------------- figure 2

FIGURE_2 = Figure(
    id="2",
    title="Softmax collapse stops learning",
    claim=(
        "Generalization begins without regularization and stops when softmax collapse sets in:"
        " earlier for float16 than float32 than float64, and earlier for less data."
    ),
    panels=tuple(
        Panel(
            id=f"2{letter}",
            title=f"{percent} % training data",
            kind="collapse",
            curves=tuple(
                Curve(run=COLLAPSE_RUNS[percent, bits], label=f"float{bits}")
                for bits in (16, 32, 64)
            ),
        )
        for letter, percent in (("a", 40), ("b", 60), ("c", 70))
    ),
)

FIGURE_3 = Figure(
    id="3",
    title="s(x) against exp(x)",
    claim="s(x) grows linearly where exp(x) explodes and falls as 1/(1-x) where exp(x) vanishes.",
    panels=(Panel(id="3", title="s(x) and exp(x)", kind="stablemax_function"),),
)

_STABLEMAX_TASKS = (
    Curve(run=ADD_STABLEMAX, label="addition mod 113"),
    Curve(run=PRODUCT_STABLEMAX, label="product mod 113"),
    Curve(run=PARITY_STABLEMAX, label="sparse parity"),
)
FIGURE_4 = Figure(
    id="4",
    title="StableMax groks without regularization",
    claim=(
        "StableMax groks addition, product and sparse parity while the weight norm grows; on binary"
        " codes training and test accuracy rise together without it."
    ),
    panels=(
        Panel(id="4 left", title="Accuracy", kind="accuracy", curves=_STABLEMAX_TASKS),
        Panel(id="4 middle", title="Weight norm", kind="weight_norm", curves=_STABLEMAX_TASKS),
        manifest_body.PANEL_4_RIGHT,
    ),
)

# ---------------------------------------------------------------------------------- figure 6

# The authors' encoder on their token grid 1..112 (D7): 12,544 pairs.
TRANSFORMER = RunConfig(
    use_transformer=True,
    exclude_zero=True,
    lr=0.001,
    train_fraction=0.4,
    num_epochs=5_000,
    log_frequency=50,
)
QUICK_TRANSFORMER = replace(
    TRANSFORMER, modulo=97, train_fraction=0.5, ff_dim=256, num_epochs=1_400, log_frequency=20
)


def _transformer_run(operation: str, method: str, **change) -> Run:
    change["binary_operation"] = f"{operation}_mod"
    return Run(
        name=f"{operation.replace('subtract', 'sub')}_transformer_{method}",
        config=replace(TRANSFORMER, **change),
        quick=replace(QUICK_TRANSFORMER, **change),
    )


def _transformer_panel(operation: str, title: str) -> Panel:
    return Panel(
        id=f"6a {title}",
        title=f"Transformer, {title} mod 113",
        kind="accuracy",
        curves=(
            Curve(run=_transformer_run(operation, "orthoadamw", **EFFECTIVE), label="⊥AdamW"),
            Curve(run=_transformer_run(operation, "adamw"), label="AdamW"),
            Curve(
                run=_transformer_run(operation, "adamw_wd", weight_decay=1.5),
                label="AdamW, weight decay 1.5",
            ),
        ),
        epochs=2_000,
    )


FIGURE_6 = Figure(
    id="6",
    title="⊥Grad generalizes without the delay",
    claim=(
        "⊥AdamW and ⊥SGD generalize at once where AdamW overfits and AdamW with weight decay groks"
        " late."
    ),
    panels=(
        _transformer_panel("subtract", "subtraction"),
        _transformer_panel("add", "addition"),
        Panel(
            id="6b",
            title="MLP, addition mod 113",
            kind="accuracy",
            curves=(
                Curve(run=ADD_ADAMW_LR5E3, label="AdamW"),
                Curve(run=ADD_ORTHOSGD, label="⊥SGD, StableMax float64"),
                Curve(run=ADD_ORTHOADAMW_LR5E3, label="⊥AdamW"),
            ),
        ),
        manifest_body.PANEL_6C,
    ),
)

# The paper's figures with the controls, and those of the related systems.
FIGURES = {
    f.id: f
    for f in (FIGURE_1, FIGURE_2, FIGURE_3, FIGURE_4, manifest_body.FIGURE_5, FIGURE_6,
              manifest_body.FIGURE_7, *manifest_appendix.FIGURES, manifest_controls.FIGURE_CONTROLS)
}  # fmt: skip
RELATED_FIGURES = {f.id: f for f in manifest_related.FIGURES}
ALL_FIGURES = FIGURES | RELATED_FIGURES
RELATED = "related"  # stands for all of RELATED_FIGURES in a list of figures
RUNS = {r.name: r for f in FIGURES.values() for r in f.runs}
RELATED_RUNS = {r.name: r for f in RELATED_FIGURES.values() for r in f.runs}


def find_figures(ids) -> list[Figure]:
    """The figures of these ids, in the manifest's order.

    Args:
        ids: of figures; "related" stands for all of the related systems. None at all: the paper's
            figures and the controls.

    Raises:
        ValueError: for an unknown id; the message lists the choices.
    """
    ids = list(ids)
    for wanted in ids:
        if wanted not in ALL_FIGURES and wanted != RELATED:
            choices = ", ".join([*ALL_FIGURES, RELATED])
            raise ValueError(f"unknown figure '{wanted}'; choose from {choices}")
    if not ids:
        return list(FIGURES.values())
    related = RELATED_FIGURES if RELATED in ids else ()
    return [f for f in ALL_FIGURES.values() if f.id in ids or f.id in related]


def find_run(name: str) -> Run:
    """The declared run of this name.

    Raises:
        ValueError: for an unknown name; the message lists the choices.
    """
    if name in RUNS:
        return RUNS[name]
    if name in RELATED_RUNS:
        return RELATED_RUNS[name]
    raise ValueError(
        f"unknown run '{name}'; choose from {', '.join(RUNS)}, or from the grids that"
        " ./run_main_experiments.sh --list --figures related shows"
    )


def figure_of(run: Run) -> Figure:
    """The first figure that shows a run."""
    return next(f for f in ALL_FIGURES.values() if run in f.runs)
