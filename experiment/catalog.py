"""Which figures and runs there are, found as a person names them; figures of one's own.

Needs no package.
"""

import difflib
import importlib.util
import re
import sys
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from experiment.claim import Claim, Less, Within
from experiment.figure import KINDS, Curve, Figure, Panel, Run

RELATED, ALL = "related", "all"  # in a list of figures: all of the related systems; every figure


def runs_of(figures: Iterable[Figure]) -> dict[str, Run]:
    """{name: run} of these figures."""
    return {run.name: run for figure in figures for run in figure.runs}


class Catalog:
    """The paper's figures (with the controls), those of the related systems, and one's own.

    Attributes:
        paper, related, own: {id: figure}, in order; all: the three together.
        runs: {name: run} of all of them.
    """

    def __init__(
        self,
        paper: Iterable[Figure],
        related: Iterable[Figure] = (),
        own: Iterable[Figure] = (),
        not_in: Mapping[str, str] | None = None,
    ):
        self.paper, self.related, self.own = ({f.id: f for f in fs} for fs in (paper, related, own))
        self.all = self.paper | self.related | self.own
        self.not_in = dict(not_in or {})
        self.runs = runs_of(self.all.values())

    def with_file(self, path) -> "Catalog":
        """The same with the figures of a file of one's own; see `load_figures`.

        Raises:
            ValueError: a figure or run of the file has the name of another one, or an odd one.
        """
        own = load_figures(path)
        figures, known = set(self.all), dict(self.runs)
        for figure in own:
            if figure.id in figures:
                raise ValueError(f"{path}: there is a figure '{figure.id}' already; rename it")
            if not re.fullmatch(r"[^\W\d][\w-]*", figure.id) or figure.id in (RELATED, ALL):
                raise ValueError(
                    f"{path}: a figure cannot be called '{figure.id}'; take a word such as mine"
                )
            figures.add(figure.id)
            for run in (curve.run for panel in figure.panels for curve in panel.curves):
                if known.setdefault(run.name, run) != run:
                    raise ValueError(f"{path}: there is a run '{run.name}' already; rename it")
        return Catalog(self.paper.values(), self.related.values(), own, self.not_in)

    @property
    def choices(self) -> str:
        """The words that `figures` takes, for a message."""
        return ", ".join([*self.all, RELATED, ALL])

    def figures(self, words: Iterable[str] = ()) -> list[Figure]:
        """The figures of these words, in the catalog's order.

        Args:
            words: ids, also as fig1 or figure_1, ranges such as 1-3, "related", "all". None at
                all: one's own figures where there are any, else the paper's with the controls.

        Raises:
            ValueError: for another word; the message lists the choices.
        """
        words = list(words)
        if not words:
            return list((self.own or self.paper).values())
        wanted = {figure_id for word in words for figure_id in self._ids(word)}
        return [f for f in self.all.values() if f.id in wanted]

    def _ids(self, word: str) -> list[str]:
        if word in self.all:
            return [word]
        plain = re.sub(r"^fig(ure)?s?[._ -]?", "", word.lower())
        span = re.fullmatch(r"(\d+)-(\d+)", plain)
        if span and int(span[1]) <= int(span[2]):
            numbers = [str(n) for n in range(int(span[1]), int(span[2]) + 1)]
            if all(n in self.all for n in numbers):
                return numbers
        if plain in self.all:
            return [plain]
        if plain in (RELATED, ALL):
            return list(self.related if plain == RELATED else self.all)
        missing = re.sub(r"\W|_", "", word.lower()), re.sub(r"\W", "", plain)
        for name in missing:
            if name in self.not_in:
                raise ValueError(f"{word} is not in: {self.not_in[name]}")
        figure = self.all.get(plain[:-1])
        if figure and plain in (c.panel.split()[0] for c in figure.checks):
            raise ValueError(f"{word} is a panel, drawn with its figure: ask for {plain[:-1]}")
        raise ValueError(f"unknown figure '{word}'; choose from {self.choices}")

    def run(self, name: str) -> Run:
        """The declared run of this name.

        Raises:
            ValueError: for an unknown name; the message has the nearest ones.
        """
        if name in self.runs:
            return self.runs[name]
        near = difflib.get_close_matches(name, self.runs, 3, cutoff=0.5)
        hint = f"did you mean {' or '.join(near)}? " if near else ""
        raise ValueError(f"unknown run '{name}': {hint}--list of run_main_experiments.sh has all")

    def figure_of(self, run: Run) -> Figure:
        """The first figure that shows a run."""
        return next(f for f in self.all.values() if run in f.runs)


def load_figures(path) -> tuple[Figure, ...]:
    """The figures of a Python file: its FIGURE, or its FIGURES.

    The file runs as a module of its own; its folder is not put on the import path.

    Raises:
        ValueError: one line, where it cannot be read, fails, or has no figure.
    """
    path = Path(path).resolve()
    name = f"own_figures_{path.stem}"
    if not path.is_file():
        raise ValueError(f"{path} does not exist; name a Python file with a FIGURE")
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None:
        raise ValueError(f"{path} is not a Python file; name one that ends in .py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses and pickles look there
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:  # whatever a person's file raises
        raise ValueError(blame(error, path)) from None
    found = getattr(module, "FIGURES", None) or (getattr(module, "FIGURE", None),)
    if not isinstance(found, tuple) or not all(isinstance(f, Figure) for f in found):
        raise ValueError(f"{path} has no FIGURE; it needs FIGURE = Figure(...) or FIGURES = (...)")
    for figure in found:
        _check(path, figure)
    return tuple(replace(figure, source=str(path)) for figure in found)


def _check(path, figure: Figure):
    """Raises ValueError, one line, unless a figure is made of what it is made of."""

    def each(what, values, kind):
        if not isinstance(values, tuple) or not all(isinstance(v, kind) for v in values):
            raise ValueError(
                f"{path}: {what} is no tuple of these; write (..., ) even around one alone"
            )
        return values

    panels = each(f"panels of figure '{figure.id}'", figure.panels, Panel)
    for panel in panels:
        if not callable(panel.kind) and panel.kind not in KINDS:
            near = difflib.get_close_matches(str(panel.kind), KINDS, 1)
            hint = f"did you mean {near[0]}? " if near else ""
            raise ValueError(
                f"{path}: panel '{panel.id}' has kind {panel.kind!r}: {hint}choose from"
                f" {', '.join(KINDS)}, or write a function"
            )
        for curve in each(f"curves of panel '{panel.id}'", panel.curves, Curve):
            if not isinstance(curve.run, Run):
                raise ValueError(f"{path}: curve '{curve.label}' has run {curve.run!r}, no Run")
            if not re.fullmatch(r"[\w.-]+", curve.run.name):
                raise ValueError(f"{path}: run '{curve.run.name}': use letters, digits, _ . -")
    places = [figure.id, *(panel.id for panel in panels)]
    for claim in each(f"checks of figure '{figure.id}'", figure.checks, Claim):
        if claim.panel not in places:
            raise ValueError(
                f"{path}: a claim speaks of panel '{claim.panel}'; choose from {', '.join(places)}"
            )
        if not each(f"checks of the claim '{claim.words}'", claim.checks, (Within, Less)):
            raise ValueError(f"{path}: the claim '{claim.words}' has no check")


def blame(error: BaseException, path) -> str:
    """An error of a file of one's own in one line: where in the file, its kind, what it says."""
    path, where = Path(path).resolve(), "called from the bundle"
    if isinstance(error, SyntaxError):
        where = f"line {error.lineno}"
    trace = error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == str(path):
            where = f"line {trace.tb_lineno}"
        trace = trace.tb_next
    return f"{path}, {where}: {type(error).__name__}: {' '.join(str(error).split())}"
