"""What a figure's runs measured is told with what tells the rows apart and what it is about."""

from xml.etree import ElementTree

import pytest
from house import CATALOG
from made_runs import derive
from pictures import write

import plots
from configuration import runs
from judging.readings import Readings
from paper.figure_1 import ADD_ORTHOADAMW


@pytest.fixture
def places(tmp_path):
    return {"runs_root": tmp_path / "own", "results_root": tmp_path / "published"}


def test_measured_counts_in_steps_where_runs_are_so_long_in_steps(places):
    figure = CATALOG.related["division"]
    write(places["runs_root"], figure.runs[0], test_accuracy=[0.0, 0.5, 1.0])
    found = plots.measured("division", **places)
    table = plots.read_run("div_toth_30", **places)["step"]
    (row,) = found.rows
    assert found.title == "Measured (levels: first step)" and row["steps"] == f"{table[2]:,}"
    assert [row[f"test ≥ {x} % at"] for x in (50, 99)] == [f"{table[k]:,}" for k in (1, 2)]


def test_the_batch_is_full_where_an_update_sees_the_whole_training_set(places):
    for figure in ("remedies", "k-sum"):
        write(places["runs_root"], CATALOG.all[figure].runs[0])
    assert {r["batch"] for r in plots.measured("remedies", **places).rows} == {"full"}
    (row,) = plots.measured("k-sum", **places).rows
    assert row["batch"] == f"{CATALOG.all['k-sum'].runs[0].config.batch_size:,}"


def test_measured_tells_cells_of_a_grid_apart_and_names_delay_and_outcome(places):
    cells = CATALOG.related["delay-map"].at("cpu").runs
    train, test = [0.0, 1.0, 1.0, 1.0, 1.0], [0.0, 0.1, 0.2, 0.2, 0.97]
    for run, accuracy in ((cells[0], test), (cells[5], [0.0, 1.0, 1.0, 1.0, 1.0])):
        write(places["runs_root"], run, size="cpu", train_accuracy=train, test_accuracy=accuracy)
    found = plots.measured("delay-map", size="cpu", **places)
    late, at_once = found.rows
    for row, run, outcome in ((late, cells[0], "grokking"), (at_once, cells[5], "comprehension")):
        config = run.cpu
        table = plots.read_run(run.name, size="cpu", **places)
        reached = [table.loc[(table[f"{s}_accuracy"] >= 0.95).idxmax()] for s in ("train", "test")]
        steps, epochs = (reached[1][c] - reached[0][c] for c in ("step", "epoch"))
        assert (row["task"], row["trained on"]) == (
            f"division mod {config.modulo}",
            "50 % of the pairs",
        )
        assert row["batch"] == str(config.batch_size) and row["outcome at 95 %"] == outcome
        assert row["delay at 95 % in steps"] == f"{steps:,.10g}"
        assert row["delay in epochs"] == f"{epochs:,.10g}"
    assert found.notes[0].startswith("No complete run of cpu/") and " and 5 more" in found.notes[0]


def test_measured_has_first_epochs_final_values_and_what_is_missing(places):
    values = {
        "test_accuracy": [0.0, 0.5, 0.9, 0.98765, 0.97],
        "softmax_collapse": [0.0, 0.1, 0.3, 0.2, 0.1],
        "train_accuracy": [0.1, 0.2, 0.3, 0.4, 0.625],
        "zero_terms": [0.0, 0.125, 0.1, 0.1, 0.1],
    }
    epochs, _ = write(places["runs_root"], ADD_ORTHOADAMW, **values)
    found = plots.measured("1", **places)
    (row,) = found.rows
    start = ["1a", "⊥AdamW, softmax", "42", "your runs", f"{epochs[-1]:,}"]
    accuracies = ["62.50", "97.00", f"{epochs[1]}", "never"]
    assert [*row.values()][:-1] == [*start, *accuracies, "12.5", "30", "never", "never"]
    assert [*row][:4] == ["panel", "curve", "seed", "source"]
    (missing,) = found.notes
    assert missing.startswith("No complete run of add_stablemax, add_softmax64; make it: ./run_")


RISING = {"train_accuracy": [0, 1, 1, 1, 1], "zero_terms": [0, 0, 0.25, 0.125, 0]}


def test_measured_says_when_both_levels_of_collapse_are_reached_and_the_share_of_terms_of_0(places):
    run = CATALOG.paper["2"].runs[0]
    collapse = [0, 0.39, 0.4, 0.5, 0.2]
    epochs, _ = write(places["runs_root"], run, softmax_collapse=collapse, **RISING)
    row = plots.measured("2", **places).rows[0]
    for heading, value in (
        ("terms of 0 %, max", "25.0"), ("max collapse %", "50"),
        ("collapse ≥ 40 % at", f"{epochs[2]:,}"), ("collapse ≥ 50 % at", f"{epochs[3]:,}"),
    ):  # fmt: skip
        assert row[heading] == value


def test_measured_speaks_of_no_softmax_where_the_loss_has_none(places):
    write(
        places["runs_root"], CATALOG.paper["1"].runs[1], softmax_collapse=[0, 1, 1, 1, 1], **RISING
    )
    row = plots.measured("1", **places).rows[0]
    assert "collapse" not in " ".join(row) and row["terms of 0 %, max"] == "25.0"


def test_measured_shows_the_cosines_of_figure_5_when_the_training_set_is_fitted(places):
    cosines = {"nlm_cosine": [0.1, 0.7, 0.8, 0.8, 0.8]}
    cosines |= {f"nlm_cosine/layers.{i}.weight": [0, x, 1, 1, 1] for i, x in enumerate((0.5, 0.9))}
    write(places["runs_root"], CATALOG.paper["5"].runs[0], **RISING, **cosines)
    row = plots.measured("5", **places).rows[0]
    assert row["cosine when fitted"] == "0.700"
    assert row["of the output layer when fitted"] == "0.900"


def test_measured_shows_the_l2_term_of_figure_6c_alone(places):
    adamw, decayed = (
        CATALOG.paper["6"].panels[2].curves[0].run,
        CATALOG.paper["6"].panels[-1].curves[0].run,
    )
    norms = {"weight_norm": [1.0, 2.0, 10.0, 4.0, 5.0]}
    for run in (adamw, decayed):
        write(places["runs_root"], run, **RISING, **norms)
    plain, with_term = plots.measured("6", **places).rows
    half = decayed.config.weight_decay / 2
    assert with_term["L2 term"] == f"{25 * half:.4g}"
    assert with_term["largest"] == f"{100 * half:.4g}"
    assert "L2 term" not in plain


def test_measured_shows_the_shares_of_figure_10(places):
    shares = {
        "update_absorbed": [0.01, 0.2, 0.3, 0.35, 0.4],
        "zero_gradients": [0.03, 0, 0, 0, 0.02],
    }
    write(places["runs_root"], CATALOG.paper["10"].runs[0], **RISING, **shares)
    row = plots.measured("10", **places).rows[0]
    assert row["absorbed %, first to last"] == "1.00 to 40.00"
    assert row["zero gradients %, first to last"] == "3.00 to 2.00"


@pytest.mark.parametrize("there", [True, False])
def test_measured_counts_the_frequencies_of_figure_12(there, places):
    run = CATALOG.paper["12"].runs[0]
    write(places["runs_root"], run, **RISING)
    if there:
        table = {"operand": "first", "frequency": [1, 2, 3, 4], "initial": 0.25,
                 "final": [0.9, 0.05, 0.03, 0.02]}  # fmt: skip
        derive(runs.run_folder(places["runs_root"], run.name, 42), runs.SPECTRUM, table)
    row = plots.measured("12", **places).rows[0]
    assert ("frequencies" in " ".join(row)) == there
    if there:
        assert row["frequencies of 90 %, initial"] == "4 of 4"
        assert row["frequencies of 90 %, final"] == "1 of 4"


def test_measured_tells_collapse_of_right_labels_apart_on_mnist(places):
    labelled = {"softmax_collapse_label": [0, 0.1, 0.2, 0.7, 0.8]}
    collapse = {"softmax_collapse": [1, 1, 1, 1, 1]}
    epochs, _ = write(
        places["runs_root"], CATALOG.paper["14"].runs[0], **RISING, **labelled, **collapse
    )
    row = plots.measured("14", **places).rows[0]
    assert row["collapse ≥ 50 % at"] == "0"
    assert row["of right labels"] == f"{epochs[3]:,}"


def readings(rows=4):
    row = {"curve": "float16", "source": "your runs", "seed": "42", "epochs": "20,000"}
    rows = [
        {"panel": "2a" if k < 2 else "2b"} | row | {"test % of <b>": f"{k}.5 to 3,300"}
        for k in range(rows)
    ]
    return Readings("Measured", tuple(rows), ("A note.",))


def test_what_all_rows_have_is_said_once_and_no_name_is_repeated():
    several = str(readings()).splitlines()
    assert several[0] == "Measured; all: seed 42, your runs, epochs 20,000:"
    assert several[1:-1] == [
        "panel  curve    test % of <b>",
        "2a     float16   0.5 to 3,300",
        "                 1.5 to 3,300",
        "2b     float16   2.5 to 3,300",
        "                 3.5 to 3,300",
    ]
    assert several[-1] == "A note."
    assert "your runs" in str(readings(1)).splitlines()[2]  # one row has nothing in common


def test_a_table_wider_than_the_terminal_goes_on_below_with_the_names_again(monkeypatch):
    wide = Readings("Measured", ({"panel": "1a"} | {f"column {i}": "1,234" for i in range(9)},), ())
    monkeypatch.setenv("COLUMNS", "60")
    lines = str(wide).splitlines()
    assert max(map(len, lines)) <= 60
    assert [line.split()[0] for line in lines[1::3]] == ["panel"] * (len(lines) // 3)
    assert sum(line.count("1,234") for line in lines) == 9


def test_html_holds_every_cell_unbroken_and_escaped():
    page = ElementTree.fromstring(f"<div>{readings()._repr_html_()}</div>")
    heads = [cell.text for cell in page.iter("th")]
    assert heads == ["panel", "curve", "test % of <b>"]
    cells = [[cell.text or "" for cell in row.iter("td")] for row in page.iter("tr")][1:]
    assert [row[0] for row in cells] == ["2a", "", "2b", ""]
    assert cells[0][2].split(" ") == ["0.5\xa0to\xa03,300"]  # no place to break a line
    assert [p.text for p in page.iter("p")][-1] == "A note."


def test_a_figure_without_runs_has_measured_nothing():
    found = plots.measured("3")
    assert str(found) == "Measured: nothing, the curves are computed"
    assert "<table>" not in found._repr_html_()
