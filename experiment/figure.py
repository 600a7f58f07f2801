"""What a figure is made of: Run, Curve, Panel, Figure. Needs no package."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from configuration.config import RunConfig

# The sizes of a run: as published, for two cores in under an hour a figure, a look in minutes; and
# where runs of that size are kept, below the root of all runs.
SIZES = {"full": "", "cpu": "cpu/", "quick": "quick/"}
PUBLISHED_SEED = 42  # of the authors' command lines, so of the published pictures
DEFAULT_SEEDS = (PUBLISHED_SEED,)
# The kinds of panel by name, which plots.py draws.
KINDS = (
    "accuracy", "collapse", "weight_norm", "nlm_cosine", "loss_and_l2", "absorption", "sweep",
    "spectrum", "landscape", "landscape_test", "accuracy_log", "accuracy_log_epochs",
    "accuracy_norm", "attention_norm", "steps_to_level", "best_accuracy", "delay_steps",
    "delay_epochs", "surface", "surface_filter", "dimension", "lead", "ranking", "ranking_grid",
    "test_accuracy_log",
)  # fmt: skip


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

    def __str__(self):
        return self.name

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
        return SIZES[kept] + self.name, config if seed is None else config.at_seed(seed)


@dataclass(frozen=True, kw_only=True)
class Curve:
    """One run in one panel, under the label it has there.

    Attributes:
        published: {column: {epoch: value}} as read off the picture in the authors' notebook;
            accuracy and collapse in percent. Error of reading: 1 point, 300 of a norm, and 0.5 % of
            the epoch axis. Epochs are true ones, also where the published axis is not.
        off_scale: in a panel of ascending values, whether it is none of them.
    """

    run: Run
    label: str
    off_scale: bool = False
    published: Mapping[str, Mapping[float, float]] = field(default_factory=dict, hash=False)


@dataclass(frozen=True, kw_only=True)
class Panel:
    """One set of axes.

    Attributes:
        id: as in the paper, such as "1a".
        kind: how it is drawn: a name in KINDS, such as "accuracy", or draw(axes, lines, end)
            of a list of one axes, of lines (plotting.panels.Line) and the last epoch or None, which
            returns the entries of the legend.
        epochs: the x axis ends here (None: where the runs end); the full form only.
        text: one sentence: what the panel is for.
        letter: on the picture, such as "a"; "": none. None: that of the id, else the next one.
        corrected: what of the published picture is corrected in its points, in a few words.
        log: whether the x axis is logarithmic, for kinds over epochs.
        ordered: whether the curves are of ascending values, and their colours a scale.
    """

    id: str
    title: str
    kind: str | Callable
    curves: tuple[Curve, ...] = ()
    epochs: int | None = None
    text: str = ""
    letter: str | None = None
    corrected: str = ""
    log: bool = False
    ordered: bool = False


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A figure: what is run and drawn, and what it claims in one or two sentences.

    Attributes:
        id: as in the paper, such as "1", or a word.
        checks: of claim.py, the claims in full and in machine form.
        source: the file of one's own that it is from; filled in when that is read.
        seeds: {size: the replicates that are computed unless others are asked for}; a size that is
            not there has DEFAULT_SEEDS.
    """

    id: str
    title: str
    claim: str
    panels: tuple[Panel, ...]
    checks: tuple = ()
    source: str = ""
    seeds: Mapping[str, tuple[int, ...]] = field(default_factory=dict)

    @property
    def runs(self) -> tuple[Run, ...]:
        """The runs of all panels, each once, in order."""
        return tuple({c.run.name: c.run for p in self.panels for c in p.curves}.values())

    def seeds_at(self, size: str) -> tuple[int, ...]:
        """The replicates of this size."""
        return self.seeds.get(check_size(size), DEFAULT_SEEDS)

    def at(self, size: str) -> Figure:
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
