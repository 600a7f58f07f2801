"""Which figures and runs there are, found as a person names them; figures of one's own.

Needs no package.
"""

import difflib
import importlib.util
import re
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

from experiment.figure import Figure, Run

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
            ValueError: a figure or run of the file has the name of another one.
        """
        own = load_figures(path)
        for figure in own:
            if figure.id in self.all:
                raise ValueError(f"{path}: there is a figure '{figure.id}' already; rename it")
            for run in figure.runs:
                if self.runs.get(run.name, run) != run:
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
        plain = re.sub(r"^fig(ure|s)?[._ -]?", "", word.lower())
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
    except Exception as error:  # whatever a person's file raises
        where = "its syntax"
        for step in _steps(error.__traceback__):
            if step.tb_frame.f_code.co_filename == str(path):
                where = f"line {step.tb_lineno}"
        raise ValueError(f"{path}, {where}: {type(error).__name__}: {error}") from None
    found = getattr(module, "FIGURES", None) or (getattr(module, "FIGURE", None),)
    figures = tuple(f for f in found if isinstance(f, Figure))
    if not figures or len(figures) != len(found):
        raise ValueError(f"{path} has no FIGURE; it needs FIGURE = Figure(...) or FIGURES = (...)")
    return figures


def _steps(trace):
    while trace is not None:
        yield trace
        trace = trace.tb_next
