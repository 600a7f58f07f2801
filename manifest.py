"""What the manifest is made of: Run, Curve, Panel, Figure, and the runs that several files show.

experiments.py, the one entry, hands all of it on; manifest_appendix.py builds on it, too. Imports
no torch.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from config import RunConfig

# The sizes of a run: as published, for two cores in under an hour a figure, a look in minutes; and
# where runs of that size are kept, below the root of all runs.
SIZES = {"full": "", "cpu": "cpu/", "quick": "quick/"}
DEFAULT_SEEDS = (42,)


def check_size(size: str) -> str:
    """The size itself; ValueError, one line, where there is no such size."""
    if size not in SIZES:
        raise ValueError(f"unknown size '{size}'; choose from {', '.join(SIZES)}")
    return size


def asked_size(size: str | None, quick: bool) -> str:
    """The size that --size and --quick ask for; "full" for neither.

    Raises:
        ValueError: for an unknown size, or where the two contradict each other.
    """
    if size is None:
        return "quick" if quick else "full"
    if check_size(size) != "quick" and quick:
        raise ValueError(f"--quick contradicts --size {size}; give one of them")
    return size


def size_flag(size: str) -> list[str]:
    """The flag that asks for a size, on every command line of ours."""
    return {"full": [], "quick": ["--quick"]}.get(size, ["--size", size])


@dataclass(frozen=True, kw_only=True)
class Run:
    """A named configuration. `name` reads <task>_<method>[_<variant>]; seeds are its replicates.

    Attributes:
        config: the full form, of the published size.
        quick: the look in minutes; None: a figure leaves the run out at this size.
        cpu: the form for two cores; "full": the full one, kept and published as that; None: left
            out.
    """

    name: str
    config: RunConfig
    quick: RunConfig | None
    cpu: RunConfig | str | None = "full"

    def kept_as(self, size: str) -> str | None:
        """The size under which this form is kept: "full" where cpu is that; None: no such form.

        Raises:
            ValueError: for an unknown size.
        """
        if check_size(size) == "cpu" and self.cpu == "full":
            return "full"
        return None if self.at(size) is None else size

    def at(self, size: str) -> RunConfig | None:
        """The configuration of this size; None: there is none."""
        forms = {"full": self.config, "cpu": self.cpu, "quick": self.quick}
        config = forms[check_size(size)]
        return self.config if config == "full" else config

    def form(self, size: str, seed: int | None = None) -> tuple[str, RunConfig]:
        """(folder name, configuration) of the form of this size at one seed.

        Raises:
            ValueError: for an unknown size, or one that the run does not have.
        """
        kept = self.kept_as(size)
        if kept is None:
            sizes = [s for s in SIZES if self.kept_as(s)]
            raise ValueError(f"{self.name} has no form of size {size}; choose {', '.join(sizes)}")
        config = self.at(size)
        return SIZES[kept] + self.name, config if seed is None else replace(config, seed=seed)


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
        kind: a name in a table KINDS of panels*.py, such as accuracy.
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
    """A figure: its panels, and what it claims in one or two sentences.

    Attributes:
        id: as in the paper, such as "1", or a word.
        seeds: {size: the replicates that are computed unless others are asked for}; a size that is
            not there has DEFAULT_SEEDS.
    """

    id: str
    title: str
    claim: str
    panels: tuple[Panel, ...]
    seeds: Mapping[str, tuple[int, ...]] = field(default_factory=dict)

    @property
    def runs(self) -> tuple[Run, ...]:
        """The runs of all panels, each once, in order."""
        return tuple({c.run.name: c.run for p in self.panels for c in p.curves}.values())

    def seeds_at(self, size: str) -> tuple[int, ...]:
        """The replicates of this size."""
        return self.seeds.get(check_size(size), DEFAULT_SEEDS)

    def at(self, size: str) -> "Figure":
        """The figure with the runs that have a form of this size; a panel that loses all is out."""
        panels = []
        for panel in self.panels:
            curves = tuple(c for c in panel.curves if c.run.kept_as(size))
            if curves or not panel.curves:
                panels.append(replace(panel, curves=curves))
        return replace(self, panels=tuple(panels))

    def shown_as(self, size: str) -> str:
        """ "full" where a figure of this size shows just what the full one does, else the size."""
        whole = all(run.kept_as(size) == "full" for run in self.runs)
        return "full" if whole and self.seeds_at(size) == self.seeds_at("full") else size


def declare(name: str, config: RunConfig, quick: dict | None, *, cpu="full", **change) -> Run:
    """The run `replace(config, **change)`.

    Args:
        quick: what its quick form has replaced beside that; None: there is no quick form.
        cpu: the same for two cores; "full": that form is the full one.
    """
    config = replace(config, **change)
    forms = {
        size: replace(config, **other) if isinstance(other, dict) else other
        for size, other in (("quick", quick), ("cpu", cpu))
    }
    return Run(name=name, config=config, **forms)


# ---------------------------------------------------------------------------------- figure 1

# All MLP runs: addition mod 113, 40 % of the 12,769 pairs, 226-200-200-113, ReLU, no bias.
MLP = RunConfig(lr=0.01, train_fraction=0.4, num_epochs=80_000, log_frequency=500)
# The quick form is addition mod 59 at 80 %: small enough to grok in minutes.
QUICK_MLP = replace(MLP, modulo=59, train_fraction=0.8, num_epochs=4_000, log_frequency=50)

# Published: 80,000 epochs for figure 1, 100,000 for figure 4, otherwise the same. It runs once.
# D14: figure 1b is the first 80,000 epochs of figure 4's run.
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

# ---------------------------------------------------------------------------------- figure 6b

EFFECTIVE = {"orthogonal_gradients": True, "beta2": 0.999, "adam_epsilon": 1e-8}  # D2
SHORT = replace(MLP, lr=0.005, num_epochs=500, log_frequency=10)
ADD_ADAMW_LR5E3 = Run(name="add_adamw_lr5e3", config=SHORT, quick=replace(SHORT, num_epochs=400))
ADD_ORTHOADAMW_LR5E3 = Run(
    name="add_orthoadamw_lr5e3",
    config=replace(SHORT, **EFFECTIVE),
    quick=replace(SHORT, num_epochs=400, **EFFECTIVE),
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

# Base of the further figures' SGD runs; nothing of it is published.
SGD = replace(MLP, optimizer="SGD", momentum=0.8, num_epochs=10_000, log_frequency=50)


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
