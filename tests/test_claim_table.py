"""The tables on the screen and in the documents say what the runs say."""

import subprocess
import sys

import pytest
from made_runs import EARLY, GOOD, HIGH, LATE, SAME, A, claim, write, write_size

import claims
from claims import CLAIMS
from conftest import ROOT
from experiment.claim import Within, at_least
from experiment.quantity import at
from judging import tables, verdicts


def test_related_claims_have_a_document_of_their_own(places, tmp_path, capsys):
    _, published, _ = places
    write_size(published, SAME, "full", test_accuracy=GOOD)
    related = (claim(Within(at(SAME, "test_accuracy"), at_least(0.9)), panel="s5 50 %"),)
    readme, document = tmp_path / "README.md", tmp_path / "RELATED.md"
    for path in (readme, document):
        path.write_text(f"before\n{tables.BEGIN}\n{tables.END}\nafter\n")

    def table_main(*argv):
        options = {"related": related, "readme": readme, "related_readme": document}
        return tables.main(CHOSEN, [*argv, "--published"], results_root=published, **options)

    before = readme.read_text()
    assert table_main("--related", "--check-readme") == 1
    assert "RELATED.md and the runs disagree; python claims.py --related" in capsys.readouterr().out
    assert table_main("--related", "--write-readme") == 0
    assert "RELATED.md written" in capsys.readouterr().out
    text = document.read_text()
    assert "1 claim: 1 reproduced" in text and "python claims.py --related --write-readme" in text
    assert text.startswith("before") and text.endswith("after\n")
    assert readme.read_text() == before
    assert table_main("--related", "--check-readme") == 0
    for argv, said in (
        (["--related", "--figures", "99"], "unknown figure '99'; choose from s5"),
        (["--related", "--figures", "1"], "figure '1' stands in the other table; add or drop"),
        (["--figures", "s5"], "figure 's5' stands in the other table; add or drop --related"),
    ):
        assert table_main(*argv) == 2
        assert said in capsys.readouterr().err


MARKS = f"{tables.BEGIN}\n{tables.END}\n"
CHOSEN = (claim(EARLY), claim(HIGH, panel="6b", words="Second | claim"))


@pytest.fixture
def readme(tmp_path):
    path = tmp_path / "README.md"
    path.write_text(f"# Title ⊥\n\nbefore  \n{MARKS}\nafter\n")
    return path


@pytest.fixture
def table_main(places, readme):
    """`python claims.py` on CHOSEN, with the synthetic runs."""
    own, published, _ = places
    write(own, A, test_accuracy=LATE)

    def call(*argv):
        argv = [*argv, "--runs", str(own)] if "--published" not in argv else list(argv)
        return tables.main(CHOSEN, argv, readme=readme, results_root=published)

    return call


def test_readme_is_written_between_the_marks_and_nothing_else_changes(table_main, readme):
    assert table_main("--write-readme") == 0
    once = readme.read_text()
    assert once.startswith(f"# Title ⊥\n\nbefore  \n{tables.BEGIN}\n")
    assert once.endswith(f"{tables.END}\n\nafter\n")
    row = next(line for line in once.split("\n") if line.startswith("| 1a "))
    for text in ("It holds", "about 20 [Fig. 1a]", "≥ 50 %: at most 20", "early 30", "seed 42"):
        assert text in row
    assert row.endswith("| not reproduced |")
    assert "Second \\| claim" in once  # would be another column
    assert "2 claims: 1 reproduced, 1 not reproduced" in once
    for verdict, meaning in verdicts.VERDICTS.items():
        assert f"**{verdict}**: {meaning}" in once
    assert table_main("--write-readme") == 0
    assert readme.read_text() == once


def test_readme_names_what_is_not_run_apart_from_the_table(readme, places):
    own, published, _ = places
    argv = ["--write-readme", "--runs", str(own)]
    assert tables.main(CHOSEN, argv, readme=readme, results_root=published) == 0
    table, apart = readme.read_text().split("<details>")
    assert "It holds" not in table and "2 claims: 2 not run" in table
    row = next(line for line in apart.split("\n") if line.startswith("| 1a "))
    assert row.endswith(f"| not run | no complete run of {A} |")
    write(own, A, test_accuracy=LATE, complete=False)
    assert tables.main(CHOSEN, argv, readme=readme, results_root=published) == 0
    table, apart = readme.read_text().split("<details>")
    assert "It holds" not in table and "| so far: early 30 | no complete run of" in apart


def test_check_readme_passes_after_write_and_notices_a_changed_number(table_main, readme, capsys):
    assert table_main("--check-readme") == 1  # nothing written yet
    table_main("--write-readme")
    assert table_main("--check-readme") == 0
    capsys.readouterr()
    readme.write_text(readme.read_text().replace("early 30", "early 20"))
    changed = readme.read_text()
    assert table_main("--check-readme") == 1
    assert "early 20" in capsys.readouterr().out
    assert readme.read_text() == changed  # a check writes nothing


def test_check_readme_notices_changed_runs(table_main, readme, places):
    own = places[0]
    table_main("--write-readme")
    write(own, A, 43, test_accuracy=LATE)
    assert table_main("--check-readme") == 1


def test_published_leaves_own_runs_out(table_main, places, capsys):
    published = places[1]
    assert table_main("--published") == 0
    assert "2 claims: 2 not run" in capsys.readouterr().out
    write(published, A, 5, test_accuracy=GOOD)
    assert table_main("--published") == 0
    assert "2 claims: 2 reproduced" in capsys.readouterr().out


@pytest.mark.parametrize(
    "text, said",
    [
        (None, "does not exist"),
        ("nothing\n", f"no {tables.BEGIN} line"),
        (f"{tables.BEGIN}\n", f"no {tables.END} line"),
        (MARKS + MARKS, f"2 {tables.BEGIN} line"),
        (f"{tables.END}\n{tables.BEGIN}\n", "before"),
        (f"write {tables.BEGIN}\n{tables.END}\n", f"no {tables.BEGIN} line"),
    ],
)
@pytest.mark.parametrize("flag", ["--write-readme", "--check-readme"])
def test_missing_marks_are_said_in_one_line(flag, text, said, table_main, readme, capsys):
    readme.unlink() if text is None else readme.write_text(text)
    assert table_main(flag) == 2
    error = capsys.readouterr().err
    assert said in error and error.count("\n") == 1 and tables.BEGIN in error
    assert (readme.read_text() if readme.exists() else None) == text


@pytest.mark.parametrize(
    "argv, said",
    [
        (["--figures", "99"], "unknown figure '99'; choose from 1, 2, 3, 4"),
        (["--figures"], "choose from 1, 2, 3, 4"),
        (["--figures", "1", "--write-readme"], "drop --figures"),
        (["--figures", "1", "--check-readme"], "drop --figures"),
        (["--runs", "no/such/folder"], "'no/such/folder' is no folder"),
        (["--runs", ".", "--published"], "drop it or --runs"),
        (["--figure", "1"], "did you mean --figures?"),
        (["--runs"], "expected one argument"),
    ],
)
def test_bad_input_is_one_line_and_exit_2(argv, said, capsys):
    try:
        code = tables.main(CLAIMS, argv)
    except SystemExit as stop:
        code = stop.code
    error = capsys.readouterr().err
    assert code == 2 and said in error and error.count("\n") == 1


@pytest.mark.parametrize("words", [["1,3"], ["1 3"], ["1", "3"]])
def test_figures_may_be_listed_in_any_of_three_ways(words):
    chosen = tables.select(CLAIMS, words)
    assert {c.figure for c in chosen} == {"1", "3"}
    assert chosen == [c for c in CLAIMS if c.figure in ("1", "3")]


def test_command_prints_every_claim_of_the_asked_figures_without_loading_torch(tmp_path):
    check = "import claims, sys; claims.main(claims.CLAIMS); print('torch' in sys.modules)"
    command = [sys.executable, "-c", check, "--figures", "3,6", "--runs", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    *lines, torch_loaded = done.stdout.strip().split("\n")
    assert torch_loaded == "False"
    panels = [line.split("|")[0].strip() for line in lines[2:] if "|" in line]
    wanted = [c for c in claims.CLAIMS if c.figure in ("3", "6")]
    said = " ".join(p for p in panels if p)
    assert said == " ".join(c.panel for c in wanted)
