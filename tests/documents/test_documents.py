"""README.md and docs/: their made blocks are made anew, their links lead somewhere."""

import re
from types import SimpleNamespace

import pytest
from made_runs import write

from conftest import ROOT
from documents import blocks, pages
from judging.verdicts import Evidence, judge

PAGES = {str(path.relative_to(ROOT)): path for path in pages.PAGES}
LINK = re.compile(r"\]\(([^)\s]+)\)|(?:src|href)=\"([^\"]+)\"")
MARKED = """before
<!-- made: a -->
old
rows
<!-- end -->
between
<!-- measured: b -->
2.5
<!-- end -->
after
"""


def test_filling_replaces_only_blocks_of_its_kind():
    done = blocks.filled(MARKED, {"a": lambda: "new"})
    assert done == MARKED.replace("old\nrows", "new")
    assert blocks.filled(done, {"a": lambda: "new"}) == done
    assert blocks.blocks(done) == {"a": "new"}
    measured = blocks.filled(MARKED, {"b": lambda: "3"}, "measured")
    assert measured == MARKED.replace("2.5", "3")
    assert blocks.blocks(measured, "measured") == {"b": "3"}


def test_a_block_that_nothing_makes_is_refused_with_the_choices():
    with pytest.raises(ValueError, match="nothing makes a block 'a'; choose from b, c"):
        blocks.filled(MARKED, {"b": str, "c": str})


def test_a_bar_in_a_cell_is_no_other_column():
    lines = blocks.markdown_table(("x", "y"), [("a|b", 1)], right=("y",))
    assert lines == ["| x | y |", "| --- | ---: |", "| a\\|b | 1 |"]


def test_writing_says_whether_the_page_has_changed(tmp_path):
    path = tmp_path / "page.md"
    assert blocks.write(path, "one") and not blocks.write(path, "one")
    assert blocks.write(path, "two") and path.read_text() == "two"


@pytest.mark.parametrize("name", PAGES)
def test_every_mark_is_one_of_a_block_and_every_block_has_a_maker(name):
    text = PAGES[name].read_text()
    found = blocks.blocks(text) | blocks.blocks(text, "measured")
    assert text.count("<!-- made:") + text.count("<!-- measured:") == len(found)
    assert text.count("<!-- end -->") == len(found)
    assert set(blocks.blocks(text)) <= set(pages.MAKERS)


@pytest.mark.parametrize("name", PAGES)
def test_page_is_what_it_would_be_made(name):
    assert pages.made(PAGES[name]) == PAGES[name].read_text()


def test_pages_are_made_from_the_published_runs_alone(monkeypatch, tmp_path):
    figure = pages.CATALOG.all["10"]
    write(tmp_path, *figure.runs, update_absorbed=[0] * 4, zero_gradients=[0] * 4)
    monkeypatch.setenv("GROKKING_RUNS", str(tmp_path))
    monkeypatch.setattr(pages, "CATALOG", SimpleNamespace(all={"10": figure}))
    found = pages.judgements.__wrapped__()["10"]
    assert found and not any("your runs" in j.provenance for j in found)
    assert any("your runs" in judge(c, Evidence()).provenance for c in figure.checks)


@pytest.mark.parametrize("name", PAGES)
def test_links_lead_to_files_and_headings_that_are_there(name):
    path = PAGES[name]
    for words in LINK.findall(path.read_text()):
        target, _, anchor = "".join(words).partition("#")
        if "://" in target or target.startswith("mailto:"):
            continue
        there = path.parent / target if target else path
        assert there.exists(), target
        if anchor:
            text = there.read_text()
            heads = re.findall(r"(?m)^#+ (.+)$", text)
            slugs = {re.sub(r"[^\w\- ]", "", h.lower()).replace(" ", "-") for h in heads}
            assert anchor in slugs | set(re.findall(r'id="([^"]+)"', text)), f"{target}#{anchor}"
