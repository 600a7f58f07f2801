"""The two notebooks: a cell of words and a cell with one call for each figure.

python -m documents.notebooks            # writes both
"""

import importlib
import json
import sys

import paper
import related
from documents import blocks
from documents.blocks import ROOT
from experiment.figure import Figure, size_flag

PAPER = ROOT / "paper_plots.ipynb"
RELATED = ROOT / "related_plots.ipynb"

INTRO = (
    "# {title}\n\nEach cell draws one figure from run folders: your own complete runs where there"
    " are any, the published ones otherwise. The line under a figure says which. Where a run is"
    " missing, its panel names the command that makes it. Nothing is trained here, and no GPU is"
    " needed. `python claims.py --figures {example}` holds a figure against the published numbers."
    "\n\n{units}, accuracies are percent, solid lines are test and dashed lines training accuracy."
)
VARIATIONS = (
    ("One replicate of a figure; `./run_main_experiments.sh --figures 1 --seeds 42,43,44` makes"
     " several, which are drawn as a mean with a band.", 'plots.show("1", seeds=[42])'),
    ("The quick look, minutes instead of hours; `./run_main_experiments.sh --figures 1 --quick`"
     " makes it.", 'plots.show("1", quick=True)'),
    ("The measurements of one run as a pandas table: a row per evaluation, fractions from 0 to 1."
     " `./run_main_experiments.sh --list` names the runs.",
     'plots.read_run("add_orthoadamw")'),
)  # fmt: skip


def words(figure: Figure, package: str, size: str) -> str:
    """A figure's cell of words: what it claims, what is ours of its settings, its command."""
    head = f"Figure {figure.id}: {figure.title}" if figure.id[0].isdigit() else figure.title
    module = figure.id.replace("-", "_")
    module = f"figure_{module}" if figure.id[0].isdigit() else module
    doc = importlib.import_module(f"{package}.{module}").__doc__.strip()
    said = doc.partition("\n")[2].partition("\nTried")[0].strip()
    panels = [f"**{p.id}**: {p.text}" for p in figure.panels if p.text]
    command = " ".join(["./run_main_experiments.sh", "--figures", figure.id, *size_flag(size)])
    parts = [f"## {head}", f"Claim: {figure.claim}", said, "\n".join(panels), f"    {command}"]
    return "\n\n".join(part for part in parts if part)


def notebook(intro: str, figures, package: str, size: str, variations=()) -> str:
    """A notebook as it is stored, without outputs."""
    option = "" if size == "full" else f', size="{size}"'
    cells = [("markdown", intro), ("code", "import plots")]
    for figure in figures:
        call = f'plots.measured("{figure.id}"{option})\nplots.show("{figure.id}"{option})'
        cells += [("markdown", words(figure, package, size)), ("code", call)]
    for k, (text, call) in enumerate(variations):
        cells += [("markdown", f"## Variations\n\n{text}" if k == 0 else text), ("code", call)]
    stored = []
    for number, (kind, source) in enumerate(cells):
        cell = {"cell_type": kind, "id": f"cell-{number}", "metadata": {}}
        cell["source"] = source.splitlines(keepends=True)
        stored.append(cell | ({"execution_count": None, "outputs": []} if kind == "code" else {}))
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    metadata = {"kernelspec": kernel, "language_info": {"name": "python"}}
    whole = {"cells": stored, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}
    return json.dumps(whole, ensure_ascii=False, indent=1) + "\n"


def made() -> dict:
    """{path: notebook}."""
    titles = ("Grokking at the edge of numerical stability: the figures",
              "Four related grokking systems: the figures")  # fmt: skip
    intro = INTRO.format(title=titles[0], example="1", units="Epochs are true epochs")
    other = INTRO.format(title=titles[1], example="s5", units="Times are optimizer steps")
    return {
        PAPER: notebook(intro, paper.FIGURES, "paper", "full", VARIATIONS),
        RELATED: notebook(other, related.FIGURES, "related", "cpu"),
    }


def main() -> int:
    for path, text in made().items():
        blocks.write(path, text)
        print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
