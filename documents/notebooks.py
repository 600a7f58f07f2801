"""The two notebooks: for each figure a cell of words, one of its measurements, one of its picture.

python -m documents.notebooks --run      # writes both with what their cells give
python -m documents.notebooks            # without: cells alone

They are run from the published results alone, whatever runs there are beside them.
"""

import base64
import json
import os
import sys
import time

import paper
import related
from configuration.flags import Parser
from documents import blocks
from documents.blocks import ROOT
from experiment.figure import Figure, size_flag
from related import remedies

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
     " several, drawn as their median with a band. `plots.show(\"1\", quick=True)` shows the quick"
     " look, in minutes; `./run_main_experiments.sh --figures 1 --quick` makes it.",
     'plots.show("1", seeds=[42])'),
    ("The measurements of one run as a pandas table: a row per evaluation, fractions from 0 to 1."
     " `./run_main_experiments.sh --list` names the runs.",
     'plots.read_run("add_orthoadamw")'),
)  # fmt: skip


def words(figure: Figure, size: str) -> str:
    """A figure's cell of words: what it claims, what is ours of its settings, its command."""
    head = f"Figure {figure.id}: {figure.title}" if figure.id[0].isdigit() else figure.title
    said = blocks.said_of(figure).partition("\nTried")[0].strip()
    texts = {}
    for panel in figure.at(size).panels:
        texts.setdefault(panel.text, []).append(panel.id)
    panels = [f"**{', '.join(ids)}**: {text}" for text, ids in texts.items() if text]
    command = " ".join(["./run_main_experiments.sh", "--figures", figure.id, *size_flag(size)])
    parts = [f"## {head}", f"Claim: {figure.claim}", said, "\n".join(panels), f"    {command}"]
    return "\n\n".join(part for part in parts if part)


def notebook(intro: str, figures, variations=()) -> str:
    """A notebook as it is stored, without outputs."""
    cells = [("markdown", intro), ("code", "import plots")]
    for figure in figures:
        size = blocks.published_size(figure)
        option = "" if size == "full" else f', size="{size}"'
        cells.append(("markdown", words(figure, size)))
        cells += [("code", f'plots.{call}("{figure.id}"{option})') for call in ("measured", "show")]
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
              "Related grokking systems: the figures")  # fmt: skip
    intro = INTRO.format(title=titles[0], example="1", units="Epochs are true epochs")
    other = INTRO.format(title=titles[1], example="s5", units="Times are optimizer steps")
    shown = [f for f in related.FIGURES if f not in remedies.GRIDS]  # a row a cell: too long
    return {
        PAPER: notebook(intro, paper.FIGURES, VARIATIONS),
        RELATED: notebook(other, shown),
    }


def with_outputs(text: str) -> str:
    """The notebook after its cells have run, one after the other, in this Python.

    Nothing of when or where they ran is kept. Pictures have few colours.

    Raises:
        nbclient.exceptions.CellExecutionError: a cell failed.
    """
    import nbformat
    from nbclient import NotebookClient

    run = nbformat.reads(text, as_version=4)
    before = os.environ.get("GROKKING_RUNS")
    os.environ["GROKKING_RUNS"] = os.devnull  # nothing is below it: the published runs
    try:
        client = NotebookClient(
            run, timeout=600, record_timing=False, resources={"metadata": {"path": str(ROOT)}}
        )
        client.execute()
    finally:
        os.environ.pop("GROKKING_RUNS")
        os.environ |= {} if before is None else {"GROKKING_RUNS": before}
    whole = json.loads(text)
    for cell, done in zip(whole["cells"], run.cells, strict=True):
        if cell["cell_type"] == "code":
            cell["execution_count"] = done.execution_count
            cell["outputs"] = [_stored(output) for output in done.outputs]
    return json.dumps(whole, ensure_ascii=False, indent=1) + "\n"


def _stored(output) -> dict:
    """An output as it is stored: text as lines, a picture with few colours."""
    output = json.loads(json.dumps(output))
    data = output.get("data", {})
    if "image/png" in data:
        picture = blocks.fewer_colours(base64.b64decode(data["image/png"]))
        output["data"] = {"image/png": base64.b64encode(picture).decode()}
        return output
    for of, name in ((output, "text"), *((data, name) for name in data)):
        if isinstance(of.get(name), str):
            of[name] = of[name].splitlines(keepends=True)
    return output


def main(argv=None) -> int:
    parser = Parser(prog="notebooks", description="Writes the two notebooks.")
    parser.add_argument("--run", action="store_true", help="with the outputs of their cells")
    options = parser.parse_args(argv)
    for path, text in made().items():
        begun = time.monotonic()
        blocks.write(path, with_outputs(text) if options.run else text)
        ran = f", ran {time.monotonic() - begun:.0f} s" if options.run else ""
        print(f"{path}: {path.stat().st_size / 2**20:.2f} MB{ran}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
