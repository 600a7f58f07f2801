"""The notebooks call plots.py alone, show every figure, and are those that are made."""

import ast

import nbformat
import pytest
from house import CATALOG
from nbclient import NotebookClient
from pictures import write

from conftest import ROOT
from documents import notebooks

# Notebook -> (its figures, what is in the parentheses of a call beside the figure, their size).
NOTEBOOKS = {
    "paper_plots.ipynb": (CATALOG.paper, "", "full"),
    "related_plots.ipynb": (CATALOG.related, ', size="cpu"', "cpu"),
}


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
    assert [path.name for path, text in made.items() if path.read_text() != text] == []


def test_notebook_is_valid_and_committed_without_outputs(notebook):
    nbformat.validate(notebook)
    ids = [cell.id for cell in notebook.cells]
    assert len(set(ids)) == len(ids)
    assert all(not c.outputs and c.execution_count is None for c in code_cells(notebook))


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


def test_notebook_has_a_text_and_one_drawing_cell_for_every_figure(notebook):
    figures, options, size = NOTEBOOKS[notebook.metadata["of"]]
    pairs = {
        cell.source: text.source
        for text, cell in zip(notebook.cells, notebook.cells[1:], strict=False)
        if cell.cell_type == "code" and text.cell_type == "markdown"
    }
    for figure in figures.values():
        call = f'("{figure.id}"{options})'
        text = pairs[f"plots.measured{call}\nplots.show{call}"]
        assert f"Claim: {figure.claim}" in text
        assert f"--figures {figure.id}" in text
        assert size == "full" or f"--size {size}" in text


def test_notebook_runs_from_fixtures_and_shows_every_figure(notebook, tmp_path, monkeypatch):
    figures, _, size = NOTEBOOKS[notebook.metadata["of"]]
    for run in {r.name: r for f in figures.values() for r in f.at(size).runs}.values():
        write(tmp_path, run, size=size, rows=3)
    monkeypatch.setenv("GROKKING_RUNS", str(tmp_path))
    copy = nbformat.from_dict(notebook)
    NotebookClient(copy, timeout=60, resources={"metadata": {"path": str(ROOT)}}).execute()
    for cell in code_cells(copy):
        assert not [o for o in cell.outputs if o.output_type == "error"]
        pictures = [o for o in cell.outputs if "image/png" in o.get("data", {})]
        assert len(pictures) == cell.source.count("plots.show("), cell.id
        printed = "".join(o.text for o in cell.outputs if o.output_type == "stream")
        if "plots.measured" in cell.source:
            assert printed.startswith("Measured")
            assert "No complete run" not in printed
            assert "published results" not in printed
        if "plots.read_run" in cell.source:
            assert "weight_norm" in cell.outputs[0].data["text/plain"]
