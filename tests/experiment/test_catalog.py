"""Figures and runs are found as a person names them, and so is a file of one's own."""

import pytest
from house import CATALOG, PAPER_RUNS, RELATED_RUNS

import launch
from experiment.catalog import load_figures
from paper.figure_1 import ADD_STABLEMAX
from plotting.curves import command


def ids(*words) -> list[str]:
    return [figure.id for figure in CATALOG.figures(words)]


# ---------------------------------------------------------------------------------- ours


def test_figures_stand_in_order_the_papers_first_and_the_paper_is_what_no_word_means():
    paper = [*map(str, range(1, 17)), "controls"]
    assert ids() == list(CATALOG.paper) == paper
    assert list(CATALOG.all) == [*paper, *CATALOG.related]
    assert CATALOG.runs == PAPER_RUNS | RELATED_RUNS


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("1 fig1 Fig.1 figure_1 figure-1 figs1", "1"),
        ("figure_12 controls FIG3", "3 12 controls"),
        ("1-3", "1 2 3"),
        ("fig4-6", "4 5 6"),
        ("figs2-2 1", "1 2"),
        ("15-16 Controls", "15 16 controls"),
        ("delay-map Division", "division delay-map"),
        ("k-sum 2", "2 k-sum"),
    ],
)
def test_a_figure_is_found_under_the_names_that_people_give_it(words, found):
    assert ids(*words.split()) == found.split()


def test_related_and_all_stand_for_many():
    assert ids("related") == ids("Related", "s5") == list(CATALOG.related)
    assert ids("all") == ids("ALL", "1") == list(CATALOG.all)


@pytest.mark.parametrize("word", ["99", "0", "fig", "", "1-99", "3-1", "1-", "a-b", "figure_x"])
def test_an_unknown_figure_is_refused_with_the_choices(word):
    with pytest.raises(ValueError) as refused:
        ids("1", word)
    assert str(refused.value) == f"unknown figure '{word}'; choose from {CATALOG.choices}"
    assert CATALOG.choices.split(", ") == [*CATALOG.all, "related", "all"]


@pytest.mark.parametrize("word", ["17", "fig17", "figure_17", "table1", "Table-1", "table_1"])
def test_what_the_paper_has_and_we_have_not_is_answered_with_the_reason(word):
    with pytest.raises(ValueError, match=f"^{word} is not in: ResNet-18 and GPT-2.*README"):
        ids(word)


@pytest.mark.parametrize(
    ("slip", "meant"),
    [
        ("add_stablemx", "add_stablemax"),
        ("addorthoadamw", "add_orthoadamw"),
        ("add_softmax_64", "add_softmax64"),
        ("s5_toth30", "s5_toth_30"),
    ],
)
def test_an_unknown_run_is_refused_with_the_nearest_few(slip, meant):
    assert CATALOG.run(meant).name == meant
    with pytest.raises(ValueError) as refused:
        CATALOG.run(slip)
    said, _, rest = str(refused.value).partition("? ")
    near = said.removeprefix(f"unknown run '{slip}': did you mean ").split(" or ")
    assert near[0] == meant and set(near) <= set(CATALOG.runs) and len(near) <= 3
    assert rest == "--list of run_main_experiments.sh has all"


def test_a_run_that_is_like_none_names_no_other():
    with pytest.raises(ValueError) as refused:
        CATALOG.run("!")
    assert str(refused.value) == "unknown run '!': --list of run_main_experiments.sh has all"


def test_the_figure_of_a_run_is_the_first_that_shows_it():
    shows = [f.id for f in CATALOG.all.values() if ADD_STABLEMAX in f.runs]
    assert len(shows) > 1 and CATALOG.figure_of(ADD_STABLEMAX).id == shows[0] == "1"


# ---------------------------------------------------------------------------------- one's own

OWN = """
from dataclasses import replace

from experiment.figure import Curve, Figure, Panel, Run
from paper.figure_1 import ADD_STABLEMAX

CONFIG = replace(ADD_STABLEMAX.config, lr=0.02)
MINE = Run(name="{run}", config=CONFIG, quick=replace(CONFIG, num_epochs=2, log_frequency=1))
CURVES = (Curve(run=MINE, label="mine"), Curve(run=ADD_STABLEMAX, label="theirs"))


def figure(name, curves=CURVES):
    panel = Panel(id=name, title="Rates", kind="accuracy", curves=curves)
    return Figure(id=name, title="Rates", claim="", panels=(panel,))


"""

CLAIMED = """
from experiment.claim import Claim, Within, at_least
from experiment.quantity import TEST, largest

HIGH = Within(largest(MINE, TEST), at_least(0.9))
CLAIM = Claim(panel="{panel}", words="It holds", paper="", source="", checks={checks})
FIGURE = replace(figure("a"), checks=(CLAIM,))
"""
NEXT = OWN.count("\n") + 1  # the line after it


@pytest.fixture
def own(tmp_path):
    """Writes a file of one's own: its path."""

    def write(last='FIGURE = figure("rates")\n', run="add_mine", name="rates.py"):
        path = tmp_path / name
        path.write_text(OWN.format(run=run) + last)
        return path

    return write


def test_a_file_of_ones_own_adds_its_figures_and_runs(own):
    catalog = CATALOG.with_file(own())
    assert [f.id for f in catalog.figures()] == ["rates"]  # not the paper's
    assert list(catalog.all) == [*CATALOG.all, "rates"] and "rates" in catalog.choices
    assert catalog.run("add_mine").config.lr == 0.02
    assert catalog.run("add_stablemax") is ADD_STABLEMAX
    assert [f.id for f in catalog.figures(["1", "rates"])] == ["1", "rates"]
    assert catalog.not_in == CATALOG.not_in
    assert "rates" not in CATALOG.all


def test_a_file_may_hold_several_figures(own):
    figures = load_figures(own('FIGURES = (figure("low"), figure("high"))\n'))
    assert [f.id for f in figures] == ["low", "high"]


@pytest.mark.parametrize(
    ("last", "said"),
    [
        (
            "FIGURE = (\n",
            f", line {NEXT}: SyntaxError: '(' was never closed (rates.py, line {NEXT}",
        ),
        ("\nFIGURE = figure(1 / 0)\n", f", line {NEXT + 1}: ZeroDivisionError: division by zero"),
        ("replace(CONFIG, lr=-1)\n", f", line {NEXT}: ValueError: lr -1: choose a learning rate"),
        ("figure()\n", f", line {NEXT}: TypeError: figure() missing 1"),
        (
            "import torch_of_mine\n",
            f", line {NEXT}: ModuleNotFoundError: No module named 'torch",
        ),
        ("", " has no FIGURE; it needs FIGURE = Figure(...) or FIGURES = (...)"),
        ("FIGURE = 3\n", " has no FIGURE; it needs"),
        ('FIGURES = (figure("a"), CONFIG)\n', " has no FIGURE; it needs"),
        ("import sys\nsys.exit('gone')\n", f", line {NEXT + 1}: SystemExit: gone"),
        ("raise OSError('two\\nlines')\n", f", line {NEXT}: OSError: two lines"),
        (
            'FIGURE = replace(figure("a"), panels=figure("a").panels[0])\n',
            ": panels of figure 'a' is no tuple of these",
        ),
        ('FIGURE = figure("a", CURVES[0])\n', ": curves of panel 'a' is no tuple of these"),
        ('FIGURE = figure("a", (Curve(run="x", label="b"),))\n', ": curve 'b' has run 'x', no Run"),
        (
            'FIGURE = figure("a", (Curve(run=replace(MINE, name="a/b c"), label="b"),))\n',
            ": run 'a/b c': use letters",
        ),
        (
            'panel = replace(figure("a").panels[0], kind="acuracy")\n'
            'FIGURE = replace(figure("a"), panels=(panel,))\n',
            ": panel 'a' has kind 'acuracy': did you mean accuracy?",
        ),
        (CLAIMED.format(panel="b", checks="(HIGH,)"), ": a claim speaks of panel 'b'; choose from"),
        (CLAIMED.format(panel="a", checks="HIGH"), ": checks of the claim 'It holds' is no tuple"),
        (CLAIMED.format(panel="a", checks="()"), ": the claim 'It holds' has no check"),
    ],
)
def test_a_file_that_fails_is_told_in_one_line_with_the_place(last, said, own):
    path = own(last)
    with pytest.raises(ValueError) as refused:
        load_figures(path)
    assert str(refused.value).startswith(f"{path}{said}")
    assert "\n" not in str(refused.value)


def test_the_place_is_where_the_file_itself_calls(own):
    path = own("def deep():\n    return replace(CONFIG, lr=-1)\n\n\nFIGURE = figure(deep())\n")
    with pytest.raises(ValueError, match=f", line {NEXT + 1}: ValueError: lr -1"):
        load_figures(path)


def test_a_file_that_is_not_there_or_no_python_is_refused(own, tmp_path):
    with pytest.raises(ValueError, match="none.py does not exist; name a Python file"):
        load_figures(tmp_path / "none.py")
    with pytest.raises(ValueError, match="does not exist"):
        load_figures(tmp_path)
    with pytest.raises(ValueError, match=r"rates.txt is not a Python file; .* ends in .py"):
        load_figures(own(name="rates.txt"))


@pytest.mark.parametrize(
    ("last", "run", "said"),
    [
        ('FIGURE = figure("1")\n', "add_mine", "there is a figure '1' already; rename it"),
        ('FIGURE = figure("s5")\n', "add_mine", "there is a figure 's5' already; rename it"),
        ('FIGURE = figure("x", CURVES[:1])\n', "add_stablemax",
         "there is a run 'add_stablemax' already; rename it"),
        ('FIGURES = (figure("a"), figure("a"))\n', "add_mine", "there is a figure 'a' already"),
        ('FIGURE = figure("a", (CURVES[0], Curve(run=replace(MINE, quick=None), label="b")))\n',
         "add_mine", "there is a run 'add_mine' already; rename it"),
        ('FIGURE = figure("all")\n', "add_mine", "a figure cannot be called 'all'"),
        ('FIGURE = figure("1-3")\n', "add_mine", "a figure cannot be called '1-3'"),
        ('FIGURE = figure("my fig")\n', "add_mine", "a figure cannot be called 'my fig'"),
    ],
)  # fmt: skip
def test_a_name_that_is_taken_is_refused(last, run, said, own):
    path = own(last, run)
    with pytest.raises(ValueError) as refused:
        CATALOG.with_file(path)
    assert str(refused.value).startswith(f"{path}: {said}")


def test_a_figure_knows_its_file_so_that_a_command_can_name_it(own):
    path = own()
    (figure,) = load_figures(path)
    assert figure.source == str(path)
    assert command(figure, "full").endswith(f"--figures rates --figures-from {path}")


def test_the_folder_of_the_file_is_not_where_modules_are_looked_for(own, tmp_path):
    (tmp_path / "beside.py").write_text("")
    with pytest.raises(ValueError, match="No module named 'beside'"):
        load_figures(own("import beside\n"))


def test_the_launcher_lists_and_plans_the_figures_of_the_file(own, capsys, tmp_path):
    path = str(own())
    where = ["--figures-from", path, "--runs", str(tmp_path / "runs"), "--device", "cpu"]
    assert launch.main([*where, "--list"]) == 0
    shown = capsys.readouterr().out
    assert "Figure rates: Rates" in shown and "add_mine" in shown and "Figure 1:" not in shown
    assert launch.main([*where, "--dry-run"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2 and all(f"--figures-from {path}" in line for line in lines)
