"""The page of figures stands alone, says what claims.py says, and leads to the rows."""

import base64
from html.parser import HTMLParser

import pytest
from house import CATALOG
from pictures import write

import launch
from documents import report
from judging.verdicts import FAILED, PARTLY, REPRODUCED, Evidence, Judgement, judge

VOID = {"meta", "img", "br"}
PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)  # one pixel


class Page(HTMLParser):
    """The elements of a page; an assertion fails where they are not nested."""

    def __init__(self, text):
        super().__init__()
        self.open, self.found, self.text = [], [], ""
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))
        self.open += [] if tag in VOID else [tag]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data if "style" not in self.open else ""

    def every(self, tag, name):
        return [attrs[name] for t, attrs in self.found if t == tag and name in attrs]


@pytest.fixture
def made(tmp_path):
    """(page of figures 1 and 2, its roots); of figure 2 nothing has run, a name is dangerous."""
    figures = [CATALOG.paper["1"], CATALOG.paper["2"]]
    roots = {"runs_root": tmp_path / "own", "results_root": tmp_path / "published"}
    for run in figures[0].runs:
        for seed in (42, 43):
            write(roots["runs_root"], run, seed)
    drawn = dict.fromkeys("12", PNG)
    text = report.page(figures, drawn, **roots, place=tmp_path / "figures")
    return Page(text), text, figures, roots


def test_the_page_needs_no_other_file_no_script_and_no_network(made, tmp_path):
    page, text, figures, _ = made
    assert not {"script", "link", "iframe"} & {tag for tag, _ in page.found}
    assert "http" not in text and "@import" not in text and "url(" not in text
    assert all(src.startswith("data:image/png;base64,") for src in page.every("img", "src"))
    assert len(page.every("img", "src")) == len(figures)
    assert all(page.every("img", "alt"))
    assert {"name": "viewport", "content": "width=device-width, initial-scale=1"} in [
        attrs for _, attrs in page.found
    ]
    assert "prefers-color-scheme: dark" in text


def test_links_lead_to_sections_of_the_page_and_to_the_rows_of_each_seed(made, tmp_path):
    page, _, figures, _ = made
    ids = {attrs["id"] for _, attrs in page.found if "id" in attrs}
    links = page.every("a", "href")
    assert {link[1:] for link in links if link.startswith("#")} == ids
    rows = [link for link in links if link.endswith("metrics.csv")]
    assert len(rows) == len(set(rows)) == 2 * len(figures[0].runs)
    (tmp_path / "figures").mkdir()
    assert all((tmp_path / "figures" / link).is_file() for link in links if link[0] != "#")


def test_the_page_has_every_claim_with_its_numbers_and_verdict(made):
    page, _, figures, roots = made
    said = page.text.replace("\xa0", " ")
    evidence = Evidence(*roots.values())
    for claim in (c for f in figures for c in f.checks):
        found = judge(claim, evidence)
        start = said.index(f"{claim.panel} {claim.words}: {found.verdict}")
        block = said[start : start + 3000]
        for text in (claim.paper, found.measured, claim.held_to, claim.source, found.provenance):
            assert text in block


def test_a_claim_that_fails_says_what_was_tried_and_one_that_holds_does_not():
    (of,) = (c for c in CATALOG.paper["6"].checks if c.words == "⊥AdamW generalizes")
    for verdict, says in ((PARTLY, True), (FAILED, True), (REPRODUCED, False)):
        page = Page(report.claim(Judgement(of, verdict, "80 %", "seed 42")))
        assert (of.remark in page.text) is says


def test_every_figure_of_the_bundle_has_the_text_of_its_file():
    for figure in CATALOG.all.values():
        assert report.text_of(figure) or figure.id in ("3", "controls")  # these have no more


def test_the_page_says_what_the_runs_set_beside_the_defaults(made):
    page, _, figures, _ = made
    for run in figures[1].runs:
        assert f"softmax_precision {run.config.softmax_precision}" in page.text
    assert "no complete run" in page.text
    assert f"lr {figures[1].runs[0].config.lr}" in page.text.partition("Figure 2.")[2]


def test_text_of_runs_and_claims_cannot_become_markup():
    assert report._block("a < b `x<y` & c") == "<p>a &lt; b <code>x&lt;y</code> &amp; c</p>"
    assert report._block("- one\n  more\n- two") == "<ul><li>one more</li><li>two</li></ul>"
    page = Page(report._block("| a | b |\n|---|---|\n| 1 | <2 |"))
    assert [tag for tag, _ in page.found if tag in ("th", "td")] == ["th", "th", "td", "td"]


def test_the_front_door_writes_the_report_and_runs_nothing(tmp_path, capfd):
    own = tmp_path / "own"
    words = ["--figures", "3", "--report", "--runs", str(own), "--out", str(tmp_path)]
    assert launch.main(words) == 2
    assert capfd.readouterr().err == (
        f"report: --runs '{own}' is no folder; choose one that holds run folders\n"
    )
    own.mkdir()
    assert launch.main(words) == 0
    path = tmp_path / "report.html"
    assert capfd.readouterr().out == f"{path}\n" and not list(own.iterdir())
    (source,) = Page(path.read_text()).every("img", "src")
    assert base64.b64decode(source.partition(",")[2]).startswith(b"\x89PNG")
    assert launch.main(["--run", "add_stablemax", "--report"]) == 2
    assert capfd.readouterr().err == "--report is of figures; drop it or --run\n"
