"""`python claims.py`: what is printed says what the runs say, of the claims that were asked for."""

import csv
import io
import json
import os
import re
import subprocess
import sys
from dataclasses import replace

import pytest
from house import CATALOG, CLAIMS
from made_runs import BAD, EARLY, GOOD, HIGH, LATE, SMALL, A, claim, write

import claims
from conftest import ROOT
from experiment.catalog import Catalog
from experiment.claim import Within, at_least
from experiment.figure import Figure
from experiment.quantity import at
from judging import tables
from judging.verdicts import Evidence, judge

SECOND = claim(HIGH, panel="1b", words="The second claim")
FIGURES = (
    Figure(id="1", title="The first", claim="", panels=(), checks=(claim(EARLY), SECOND)),
    Figure(id="6", title="The sixth", claim="", panels=(), checks=(claim(HIGH, panel="6b"),)),
)


@pytest.fixture
def call(places, monkeypatch, capsys):
    """`python claims.py` with few claims and runs: what it prints."""
    own, published, _ = places
    monkeypatch.setenv("GROKKING_RUNS", str(own))
    monkeypatch.setattr(claims, "CATALOG", Catalog(FIGURES))
    monkeypatch.setenv("COLUMNS", "250")
    write(own, A, test_accuracy=LATE)

    def call(*argv):
        argv = [*argv, "--runs", str(own)] if "--published" not in argv else list(argv)
        assert claims.main(argv, results_root=published) == 0
        return capsys.readouterr().out

    return call


def blocks(shown: str) -> list[dict]:
    """The blocks of claims in full: {"head": ..., "paper": ...}, wrapped lines joined."""
    found = []
    for block in shown.split("\n\n"):
        last, said = "head", {}
        for line in block.splitlines():
            name = re.match(r" {4}(paper|held to|measured|runs)  ", line)
            last = name[1] if name else last
            said[last] = f"{said.get(last, '')} {line[14:] if name else line.strip()}".strip()
        found.append(said)
    return found


# ---------------------------------------------------------------------------------- what is printed


def test_without_words_a_line_says_how_much_of_each_figure_holds(call):
    first, sixth, total = call().splitlines()
    assert first.split(maxsplit=3)[:3] == ["1", "The", "first"]
    assert first.endswith("1 of 2 checks; 2 claims: 1 reproduced, 1 not reproduced")
    assert sixth.endswith("1 of 1 checks; 1 claim: 1 reproduced")
    assert total == "3 claims: 2 reproduced, 1 not reproduced"


def test_an_asked_figure_is_shown_in_full_and_all_of_them_in_brief(call):
    early, second = blocks(call("--figure", "1"))
    assert early == {
        "head": "1a  not reproduced: It holds",
        "paper": "about 20 [Fig. 1a]",
        "held to": "first epoch with test accuracy ≥ 50 %: at most 20",
        "measured": "early 30",
        "runs": "seed 42 (your runs)",
    }
    assert second["head"] == "1b  reproduced: The second claim"
    assert call("--figure", "1").splitlines()[-1] == "2 claims: 1 reproduced, 1 not reproduced"
    first, second, third, total = call("--all").splitlines()
    assert first == "not reproduced  1a: It holds. Paper: about 20. Measured: early 30."
    assert (second[:19], third[:19]) == ("reproduced      1b:", "reproduced      6b:")


def test_nothing_is_wider_than_the_terminal_and_no_number_is_parted_from_its_unit():
    evidence = Evidence(os.devnull, None)
    judged = [judge(c, evidence) for c in CLAIMS if c.figure in ("2", "8")]
    figures = [CATALOG.paper[i] for i in ("2", "8")]
    for width in (80, 160):
        lines = tables.in_full(judged, width) + "\n" + tables.in_brief(judged, width)
        lines += "\n" + tables.overview(figures, judged, width)
        assert max(map(len, lines.splitlines())) <= width
        assert not re.search(r"(?m)^\s*(%|points|times)", lines)
        assert ("claims: " in lines.splitlines()[-1]) == (width == 160)


def test_records_say_the_same_as_json_and_as_csv(call, places):
    found = json.loads(call("--json"))
    assert [r["panel"] for r in found] == ["1a", "1b", "6b"]
    early = judge(claim(EARLY), places[2])
    assert found[0] == tables.record(early)
    assert found[0]["runs"] == A.name and found[0]["seeds"] == "42"
    assert (found[0]["measured"], found[0]["verdict"]) == ("early 30", "not reproduced")
    assert list(csv.DictReader(io.StringIO(call("--csv")))) == found


def test_published_leaves_own_runs_out(call, places):
    assert call("--published").splitlines()[2] == "3 claims: 3 not run"
    write(places[1], A, 5, test_accuracy=GOOD)
    assert call("--published").splitlines()[-1] == "3 claims: 3 reproduced"


def test_asked_seeds_alone_are_judged(call, places):
    write(places[0], A, 43, test_accuracy=BAD)
    said = {
        (): "2 partly, 1 not reproduced",
        ("--seeds", "42"): "2 reproduced, 1 not reproduced",
        ("--seeds", "43"): "3 not reproduced",
        ("--seeds", "43,42"): "2 partly, 1 not reproduced",
    }
    for words, verdicts in said.items():
        assert call(*words).splitlines()[-1] == f"3 claims: {verdicts}"
    command = "./run_main_experiments.sh --figures 1,6 --seeds 44"
    assert call("--seeds", "44").splitlines()[-1] == f"{command} makes the missing runs"


def test_claims_that_are_not_run_name_the_commands_that_make_their_runs(places):
    high = claim(Within(at(SMALL, "test_accuracy"), at_least(0.9)), panel="s5 30 %", size="cpu")
    none = replace(high, panel="architectures")
    missing = [judge(c, places[2]) for c in (high, claim(EARLY), none, claim(HIGH))]
    assert claims.missing_commands(missing) == [
        "./run_main_experiments.sh --figures s5,architectures --size cpu",
        "./run_main_experiments.sh --figures 1",
    ]


@pytest.mark.parametrize("form", ["--json", "--csv", "--all", "--published"])
def test_the_exit_code_says_what_became_of_the_output(form, places, monkeypatch):
    monkeypatch.setattr(claims, "CATALOG", Catalog(FIGURES))
    monkeypatch.setattr(claims, "told", lambda: 141)
    assert claims.main([form], results_root=places[1]) == 141


# ---------------------------------------------------------------------------------- what is asked


@pytest.mark.parametrize("words", [["1,3"], ["1 3"], ["1", "3"], ["3", "fig1"]])
def test_figures_may_be_listed_in_any_of_several_ways(words):
    chosen = claims.select(CATALOG, words)
    assert chosen == [c for c in CLAIMS if c.figure in ("1", "3")]


def test_panels_may_be_asked_for():
    assert claims.select(CATALOG, ["2b"]) == [c for c in CLAIMS if c.panel == "2b"]
    of_six = claims.select(CATALOG, ["6a,6c"])
    assert {c.panel.split()[0] for c in of_six} == {"6a", "6c"}
    assert claims.select(CATALOG, ["9", "2b"]) == [
        c for c in CLAIMS if c.figure == "9" or c.panel == "2b"
    ]


@pytest.mark.parametrize("panel", ["4 right", "6a subtraction", "controls 1c", "remedies div"])
def test_a_panel_of_two_words_may_be_asked_for_quoted_or_not(panel):
    of_panel = [c for f in CATALOG.all.values() for c in f.checks if c.panel == panel]
    assert claims.select(CATALOG, [panel]) == claims.select(CATALOG, panel.split()) == of_panel
    assert len(of_panel) and {c.panel for c in claims.select(CATALOG, [f"{panel},2b"])} == {
        panel,
        "2b",
    }


def test_related_claims_are_shown_when_they_are_asked_for():
    assert claims.select(CATALOG, None) == CLAIMS
    every = claims.select(CATALOG, ["all"])
    assert every == [c for figure in CATALOG.all.values() for c in figure.checks]
    assert claims.select(CATALOG, ["related"]) == every[len(CLAIMS) :]


@pytest.mark.parametrize(
    "argv, said",
    [
        (["--figures", "99"], "unknown figure '99'; choose from 1, 2, 3, 4"),
        (["--figures"], "choose from 1, 2, 3, 4"),
        (["--seeds", "4x"], "seed '4x': choose a whole number from 0 to 2^63 - 1"),
        (["--runs", "no/such/folder"], "'no/such/folder' is no folder"),
        (["--runs", ".", "--published"], "drop it or --runs"),
        (["--figurs", "1"], "did you mean --figures?"),
        (["--runs"], "expected one argument"),
        (["--figures-from", "none.py"], "none.py does not exist"),
    ],
)
def test_bad_input_is_one_line_and_exit_2(argv, said, capsys):
    try:
        code = claims.main(argv)
    except SystemExit as stop:
        code = stop.code
    error = capsys.readouterr().err
    assert code == 2 and said in error and error.count("\n") == 1


def test_command_prints_every_claim_of_the_asked_figures(tmp_path):
    command = [sys.executable, ROOT / "claims.py", "--figures", "3,6", "--runs", tmp_path]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    panels = re.findall(r"(?m)^(\S.*?)  (?:not )?(?:reproduced|partly|run): ", done.stdout)
    assert panels == [c.panel for c in CLAIMS if c.figure in ("3", "6")]
