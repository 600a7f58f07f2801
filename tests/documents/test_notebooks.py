"""The notebooks call plots.py alone, show every figure, and are those that are made."""

import ast
import base64
import io
import json
import os
import re

import nbformat
import numpy
import pytest
from house import CATALOG
from nbclient import NotebookClient
from pictures import write
from PIL import Image

import plots
from conftest import ROOT
from documents import blocks, notebooks
from related import remedies

NOTEBOOKS = {"paper_plots.ipynb": CATALOG.paper, "related_plots.ipynb": CATALOG.related}
SMALL = {"architectures", "optimizers", "delay-map", "landscape", "mnist", "dimension"}
SIZES = {f.id: "cpu" if f.id in SMALL else "full" for f in CATALOG.all.values()}  # as published


@pytest.fixture(scope="module", params=NOTEBOOKS)
def notebook(request):
    found = nbformat.read(ROOT / request.param, as_version=4)
    found.metadata["of"] = request.param
    return found


def code_cells(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def test_the_notebooks_are_those_that_are_made():
    made = notebooks.made()
    assert {path.name for path in made} == set(NOTEBOOKS)
    for path, text in made.items():
        stored = json.loads(path.read_text())
        for cell in stored["cells"]:
            cell |= {"execution_count": None, "outputs": []} if cell["cell_type"] == "code" else {}
        assert stored == json.loads(text), f"{path.name}: python -m documents.notebooks --run"


def test_notebook_is_valid_and_committed_with_what_its_cells_give(notebook):
    nbformat.validate(notebook)
    ids = [cell.id for cell in notebook.cells]
    assert len(set(ids)) == len(ids)
    assert (ROOT / notebook.metadata["of"]).stat().st_size < 3e6
    assert given(notebook) == [c.execution_count for c in code_cells(notebook)]


def test_the_words_of_a_figure_name_only_panels_that_its_size_has_and_say_nothing_twice():
    for figure in CATALOG.all.values():
        size = SIZES[figure.id]
        said = notebooks.words(figure, size)
        panels = ", ".join(re.findall(r"(?m)^\*\*(.+)\*\*: ", said)).split(", ")
        assert {*panels} - {""} <= {p.id for p in figure.at(size).panels}
        sentences = [s for s in re.split(r"(?<=[.;:])\s+", said) if len(s) > 20]
        assert len(sentences) == len(set(sentences))


def given(notebook) -> list[int]:
    """The numbers of the cells, each of which gave what it has to give and no error."""
    numbers = []
    for number, cell in enumerate(code_cells(notebook), 1):
        assert {o.output_type for o in cell.outputs} <= {"display_data", "execute_result"}
        kinds = {kind for o in cell.outputs for kind in o.data}
        call = cell.source.partition("(")[0]
        wanted = {"plots.show": "image/png", "plots.measured": "text/html",
                  "plots.read_run": "text/html"}.get(call)  # fmt: skip
        assert wanted is None and not kinds or wanted in kinds, cell.source
        numbers.append(number)
    return numbers


ALLOWED = (ast.Module, ast.Expr, ast.Call, ast.Attribute, ast.Name, ast.Load, ast.Constant,
           ast.keyword, ast.List)  # fmt: skip


def test_notebook_code_is_only_calls_into_plots(notebook):
    first, *others = code_cells(notebook)
    assert first.source == "import plots"
    for cell in others:
        for node in ast.walk(ast.parse(cell.source)):
            assert isinstance(node, ALLOWED), (cell.id, ast.dump(node))
            if isinstance(node, ast.Name):
                assert node.id == "plots"
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                assert not set("/\\.~") & set(node.value), node.value  # no path
            if isinstance(node, ast.keyword):
                assert node.arg in ("seeds", "quick", "size")


def test_notebook_has_a_text_a_table_and_a_picture_for_every_figure(notebook):
    figures = NOTEBOOKS[notebook.metadata["of"]]
    sources = [cell.source for cell in notebook.cells]
    for figure in (f for f in figures.values() if f not in remedies.GRIDS):
        size = SIZES[figure.id]
        options = "" if size == "full" else f', size="{size}"'
        call = f'("{figure.id}"{options})'
        place = sources.index(f"plots.measured{call}")
        assert sources[place + 1] == f"plots.show{call}"
        text = sources[place - 1]
        assert f"Claim: {figure.claim}" in text
        assert f"--figures {figure.id}" in text
        assert size == "full" or f"--size {size}" in text


def test_notebook_runs_from_fixtures_and_shows_every_figure(notebook, tmp_path, monkeypatch):
    figures = NOTEBOOKS[notebook.metadata["of"]].values()
    wanted = {(r.name, SIZES[f.id]): r for f in figures for r in f.at(SIZES[f.id]).runs}
    for (_, size), run in wanted.items():
        write(tmp_path, run, size=size, rows=3)
    monkeypatch.setenv("GROKKING_RUNS", str(tmp_path))
    copy = nbformat.from_dict(notebook)
    NotebookClient(copy, timeout=60, resources={"metadata": {"path": str(ROOT)}}).execute()
    given(copy)
    for cell in code_cells(copy):
        if "plots.measured" in cell.source:
            table = cell.outputs[0].data["text/html"]
            assert table.startswith("<p>Measured")
            assert "No complete run" not in table
            assert "bundled runs" not in table
        if "plots.read_run" in cell.source:
            assert "weight_norm" in cell.outputs[0].data["text/plain"]


def test_a_notebook_that_is_run_keeps_its_cells_and_takes_nothing_of_the_machine(monkeypatch):
    monkeypatch.setenv("GROKKING_RUNS", "elsewhere")
    text = notebooks.notebook("Words.", [CATALOG.paper["3"]])
    run = json.loads(notebooks.with_outputs(text))
    assert os.environ["GROKKING_RUNS"] == "elsewhere"
    assert run["metadata"] == json.loads(text)["metadata"]
    assert all(not cell["metadata"] for cell in run["cells"])
    *_, shown = run["cells"]
    (output,) = shown["outputs"]
    assert list(output["data"]) == ["image/png"]  # no address of an object
    with Image.open(io.BytesIO(base64.b64decode(output["data"]["image/png"]))) as picture:
        assert picture.size[0] > 500 and len(picture.getcolors()) > 2


def test_a_picture_of_few_colours_looks_the_same():
    canvas = plots.show("3")
    whole = numpy.asarray(Image.open(io.BytesIO(canvas._repr_png_())).convert("RGB"), int)
    few = blocks.fewer_colours(canvas._repr_png_())
    after = numpy.asarray(Image.open(io.BytesIO(few)).convert("RGB"), int)
    assert after.shape == whole.shape and abs(after - whole).mean() < 1
    assert len(few) < len(canvas._repr_png_()) / 2
