"""Published runs are as their summaries say, and come out again when they are computed again."""

import hashlib
import json
import math
import random
import shutil
import subprocess
from datetime import date

import pytest
from house import CATALOG

from configuration import runs
from documents import recompute
from documents.recompute import JUDGED, RESULTS, compare

CHEAP = RESULTS / "cpu" / "mnist_omnigrok_mse" / "seed_42"  # a row after each of the first steps
SECONDS = 2  # of the machine that published a run
ROWS = 6  # at most: one of a large decoder takes seconds, and more than its updates


def early_rows(folder) -> int:
    """How many rows a run has up to step JUDGED; 0 where computing them takes long."""
    with open(folder / runs.METRICS) as file:
        if "dimension" in next(file):  # a row takes tens of seconds
            return 0
        steps = [int(line.split(",")[0]) for _, line in zip(range(JUDGED + 1), file, strict=False)]
    steps = [step for step in steps if step <= JUDGED]
    summary = runs.read_json(folder / runs.SUMMARY)
    return len(steps) if summary["seconds"] / summary["steps"] * steps[-1] < SECONDS else 0


COMPLETE = sorted(path.parent for path in RESULTS.rglob(runs.SUMMARY))
PAPERS = {run.name for figure in CATALOG.paper.values() for run in figure.runs}
# Runs of the paper, others, and those of either whose second row comes late: their initial network.
STRATA = {"paper": [], "related": [], "sparse": []}
for _folder in COMPLETE:
    _rows = early_rows(_folder)
    _of = "paper" if _folder.parent.name in PAPERS else "related"
    if _rows:
        STRATA[_of if _rows >= 3 else "sparse"].append(_folder)
DRAW = random.Random(date.today().isoformat())
DRAWN = [DRAW.choice(folders) for folders in STRATA.values()]


@pytest.mark.parametrize("folder", DRAWN, ids=lambda f: f"{f.parent.name}-{f.name}")
def test_the_first_rows_of_three_published_runs_that_the_date_draws_come_out_again(folder):
    rows = min(early_rows(folder), ROWS)
    found = recompute.recompute(folder, rows)
    assert len(found) == rows and min(map(len, STRATA.values())) > 20
    assert [str(d) for d in found if not d.agrees] == []


def test_the_commit_of_every_published_run_is_in_the_history():
    def git(*words, **more):
        return subprocess.run(
            ["git", "-C", RESULTS, *words], capture_output=True, text=True, **more
        )

    if git("rev-parse", "--is-shallow-repository").stdout.strip() != "false":
        pytest.skip("this is no full clone")
    commits = {runs.read_json(path)["commit"] for path in RESULTS.rglob(runs.ENV)}
    found = git("cat-file", "--batch-check", input="\n".join(sorted(commits))).stdout
    missing = [line for line in found.splitlines() if " commit " not in line]
    if len(missing) == len(commits):
        pytest.skip("this is another history")
    assert missing == []


def test_every_published_file_has_the_digest_that_its_summary_holds():
    assert len(COMPLETE) > 90
    for folder in COMPLETE:
        written = json.loads((folder / runs.SUMMARY).read_text())["sha256"]
        assert {runs.CONFIG, runs.METRICS} <= set(written)
        for name in set(written) - {runs.SUMMARY, runs.WEIGHTS}:  # weights are not published
            assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == written[name]
        assert runs.is_complete(folder)


ROW = {"step": 10, "train_loss": 2.0, "test_accuracy": 0.5, "weight_norm/w": 1.0, "test_loss": 1.0}


@pytest.mark.parametrize(
    "step, change, agrees",
    [
        (10, {}, True),
        (10, {"train_loss": 2.0002}, True),
        (10, {"train_loss": 2.01}, False),
        (0, {"train_loss": 2.0001}, False),
        (JUDGED + 1, {"train_loss": 3.0}, True),
        (10, {"test_accuracy": 0.5002}, True),
        (10, {"test_accuracy": 0.52}, False),
        (JUDGED, {"test_accuracy": 0.52}, True),
        (JUDGED, {"test_accuracy": 0.54}, False),
        (10, {"test_loss": None}, False),
        (10, {"test_loss": math.inf}, False),
        (10, {"weight_norm/w": 2.0}, True),
        (10, {"new": 1.0}, True),
    ],
)
def test_rows_agree_within_what_rounding_can_do_by_their_step(step, change, agrees):
    found = compare(ROW | {"step": step}, ROW | {"step": step} | change)
    assert found.agrees is agrees
    assert (found.size > 0) == bool(set(change) & {"train_loss", "test_accuracy", "test_loss"})
    if found.size:
        assert found.column in change and found.here is not found.published


def test_a_cell_that_is_empty_in_both_rows_is_equal():
    assert not compare(ROW | {"test_loss": math.nan}, ROW | {"test_loss": None}).size


def test_rows_that_are_not_the_same_ones_are_refused():
    with pytest.raises(ValueError, match="published row is of step 10, this of 20"):
        compare(ROW, ROW | {"step": 20})
    with pytest.raises(ValueError, match="test_loss of the published table is measured no longer"):
        compare(ROW, {k: v for k, v in ROW.items() if k != "test_loss"})


def test_a_run_whose_numbers_are_others_is_told_and_one_that_was_altered_is_refused(
    tmp_path, capsys
):
    folder = tmp_path / "run"
    shutil.copytree(CHEAP, folder)
    assert recompute.main([str(folder), "--rows", "3"]) == 0
    said = capsys.readouterr().out.splitlines()
    assert len(said) == 5 or "agree within rounding" in said[-1]
    settings = json.loads((folder / runs.CONFIG).read_text())
    (folder / runs.CONFIG).write_text(json.dumps(settings | {"lr": 1.01 * settings["lr"]}))
    with pytest.raises(SystemExit, match="2"):
        recompute.main([str(folder), "--rows", "3"])
    assert "is not as the run left it" in capsys.readouterr().err
    summary = json.loads((folder / runs.SUMMARY).read_text())
    summary = runs.seal_summary(folder, summary, [runs.CONFIG])
    (folder / runs.SUMMARY).write_text(json.dumps(summary))
    assert recompute.main([str(folder), "--rows", "3"]) == 1
    said = capsys.readouterr().out.splitlines()
    assert said[-1] == "not within rounding: 2 rows, first that of step 1"
    assert [line.endswith("DIFFERS") for line in said[1:4]] == [False, True, True]


@pytest.mark.parametrize(
    "argv, said",
    [
        (["add_orthosg"], "run 'add_orthosg' is not published; did you mean add_orthosgd or"),
        (["add_orthosgd", "7"], "seed '7' of add_orthosgd is not published; choose from 42, 43"),
        (["add_orthosgd", "--rows", "0"], "--rows 0: choose a whole number from 1"),
    ],
)
def test_bad_input_is_one_line_and_exit_2(argv, said, capsys):
    with pytest.raises(SystemExit, match="2"):
        recompute.main(argv)
    error = capsys.readouterr().err
    assert said in error and error.count("\n") == 1
