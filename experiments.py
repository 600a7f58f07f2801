"""The manifest: every run of every figure as data. It says what is run and what it shows.

A run is declared once, as a constant; a figure's panel names the runs it draws, with the label
each curve carries there. A variant is `replace(BASE, ...)`: the difference is the ablation. Every
run has a quick form, a look in minutes on two cores, in folders of its own ("quick/...").

Where the published figure used other settings than the authors' command line says, the effective
ones stand here, with the number of the deviation (see the table in README.md). Imports no torch.
"""

from dataclasses import dataclass, replace

from config import RunConfig

QUICK = "quick/"


@dataclass(frozen=True, kw_only=True)
class Run:
    """A named configuration. `name` reads <task>_<method>[_<variant>]; seeds are its replicates."""

    name: str
    config: RunConfig
    quick: RunConfig

    def form(self, quick: bool, seed: int | None = None) -> tuple[str, RunConfig]:
        """(folder name, configuration) of the full or the quick form at one seed."""
        config = self.quick if quick else self.config
        name = QUICK + self.name if quick else self.name
        return name, config if seed is None else replace(config, seed=seed)


@dataclass(frozen=True, kw_only=True)
class Curve:
    """One run in one panel, under the label it has there."""

    run: Run
    label: str


@dataclass(frozen=True, kw_only=True)
class Panel:
    """One set of axes. `kind` names the drawing function in plots.py.

    Attributes:
        id: as in the paper, such as "1a".
        kind: accuracy, collapse, weight_norm or stablemax_function.
        epochs: the x axis ends here (None: where the runs end); the full form only.
        text: one sentence: what the panel is for.
    """

    id: str
    title: str
    kind: str
    curves: tuple[Curve, ...] = ()
    epochs: int | None = None
    text: str = ""


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A figure of the paper: its panels, and what it claims in one or two sentences."""

    id: str
    title: str
    claim: str
    panels: tuple[Panel, ...]

    @property
    def runs(self) -> tuple[Run, ...]:
        """The runs of all panels, each once, in order."""
        return tuple({c.run.name: c.run for p in self.panels for c in p.curves}.values())


# ---------------------------------------------------------------------------------- figures 1 and 4

# All MLP runs: addition mod 113, 40 % of the 12,769 pairs, 226-200-200-113, ReLU, no bias.
MLP = RunConfig(lr=0.01, train_fraction=0.4, num_epochs=80_000, log_frequency=500)
# The quick form is addition mod 59 at 80 %: small enough to grok in minutes.
QUICK_MLP = replace(MLP, modulo=59, train_fraction=0.8, num_epochs=4_000, log_frequency=50)

# Published: 80,000 epochs for figure 1, 100,000 for figure 4, otherwise the same. It runs once.
STABLEMAX = replace(MLP, loss_function="stablemax", beta2=0.999, num_epochs=100_000)
QUICK_STABLEMAX = replace(QUICK_MLP, loss_function="stablemax", beta2=0.999)

ADD_STABLEMAX = Run(name="add_stablemax", config=STABLEMAX, quick=QUICK_STABLEMAX)
ADD_SOFTMAX64 = Run(
    name="add_softmax64",
    config=replace(MLP, softmax_precision=64),
    quick=replace(QUICK_MLP, softmax_precision=64),
)
# D2: the published run asked for beta2 0.99, eps 1e-25, and stepped with torch's defaults.
ORTHOADAMW = replace(
    MLP, orthogonal_gradients=True, beta2=0.999, adam_epsilon=1e-8, num_epochs=300, log_frequency=10
)
ADD_ORTHOADAMW = Run(
    name="add_orthoadamw", config=ORTHOADAMW, quick=replace(ORTHOADAMW, num_epochs=200)
)

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
    quick=replace(PARITY, num_epochs=20_000, log_frequency=200),
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

COLLAPSE = replace(MLP, lr=0.0005, num_epochs=20_000, log_frequency=100)
# Small, and at twice the learning rate: float16 collapses near epoch 1,000, float32 near 2,500.
QUICK_COLLAPSE = replace(COLLAPSE, modulo=97, lr=0.001, num_epochs=3_000, log_frequency=25)


def _collapse_run(percent: int, bits: int) -> Run:
    change = {"softmax_precision": bits, "train_fraction": percent / 100}
    if percent == 40:
        change["adam_epsilon"] = 1e-30  # as published
    return Run(
        name=f"add_softmax{bits}_{percent}",
        config=replace(COLLAPSE, **change),
        quick=replace(QUICK_COLLAPSE, **change),
    )


COLLAPSE_RUNS = {(f, b): _collapse_run(f, b) for f in (40, 60, 70) for b in (16, 32, 64)}

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
    claim="StableMax groks addition, product and sparse parity while the weight norm grows.",
    panels=(
        Panel(id="4 left", title="Accuracy", kind="accuracy", curves=_STABLEMAX_TASKS),
        Panel(id="4 middle", title="Weight norm", kind="weight_norm", curves=_STABLEMAX_TASKS),
    ),
)

# ---------------------------------------------------------------------------------- figure 6

# The authors' encoder on their token grid 1..112: 12,544 pairs.
TRANSFORMER = RunConfig(
    use_transformer=True,
    exclude_zero=True,
    lr=0.001,
    train_fraction=0.4,
    num_epochs=5_000,
    log_frequency=50,
)
QUICK_TRANSFORMER = replace(
    TRANSFORMER, modulo=59, train_fraction=0.6, ff_dim=256, num_epochs=600, log_frequency=10
)
_EFFECTIVE = {"orthogonal_gradients": True, "beta2": 0.999, "adam_epsilon": 1e-8}  # D2


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
            Curve(run=_transformer_run(operation, "orthoadamw", **_EFFECTIVE), label="⊥AdamW"),
            Curve(run=_transformer_run(operation, "adamw"), label="AdamW"),
            Curve(
                run=_transformer_run(operation, "adamw_wd", weight_decay=1.5),
                label="AdamW, weight decay 1.5",
            ),
        ),
        epochs=2_000,
    )


SHORT = replace(MLP, lr=0.005, num_epochs=500, log_frequency=10)
ADD_ADAMW_LR5E3 = Run(name="add_adamw_lr5e3", config=SHORT, quick=replace(SHORT, num_epochs=400))
ADD_ORTHOADAMW_LR5E3 = Run(
    name="add_orthoadamw_lr5e3",
    config=replace(SHORT, **_EFFECTIVE),
    quick=replace(SHORT, num_epochs=400, **_EFFECTIVE),
)
ORTHOSGD = replace(
    SHORT,
    optimizer="SGD",
    orthogonal_gradients=True,
    momentum=0.8,
    loss_function="stablemax",
    lr=10.0,
    train_precision=64,
    softmax_precision=64,
)
ADD_ORTHOSGD = Run(name="add_orthosgd", config=ORTHOSGD, quick=replace(ORTHOSGD, num_epochs=450))

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
    ),
)

FIGURES = {f.id: f for f in (FIGURE_1, FIGURE_2, FIGURE_3, FIGURE_4, FIGURE_6)}
RUNS = {r.name: r for f in FIGURES.values() for r in f.runs}


def find_figures(ids) -> list[Figure]:
    """The figures of these ids, in the manifest's order; all of them for no ids.

    Raises:
        ValueError: for an unknown id; the message lists the choices.
    """
    ids = list(ids)
    for wanted in ids:
        if wanted not in FIGURES:
            raise ValueError(f"unknown figure '{wanted}'; choose from {', '.join(FIGURES)}")
    return [f for f in FIGURES.values() if not ids or f.id in ids]


def find_run(name: str, quick: bool = False) -> Run:
    """The declared run of this name.

    Raises:
        ValueError: for an unknown name; the message lists the choices.
    """
    if name not in RUNS:
        raise ValueError(f"unknown run '{name}'; choose from {', '.join(RUNS)}")
    return RUNS[name]
