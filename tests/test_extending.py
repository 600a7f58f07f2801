"""docs/extending.md does what it says, as it stands and from a folder of one's own."""

import re
import shlex
import subprocess
import sys

import pytest

from conftest import ROOT

PAGE = (ROOT / "docs" / "extending.md").read_text()
EXAMPLE = re.search(r"```python\n(.*?)```", PAGE, re.DOTALL)[1]
COMMANDS = re.findall(r"(?m)^    (\S.*my_figure.*)$", PAGE)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("of one's own")
    (made / "my_figure.py").write_text(EXAMPLE)
    return made


def run(folder, command, *more):
    """A command of the page, its programs those of this checkout and this Python."""
    words = [*shlex.split(command), *more]
    if words[0].startswith("./"):
        words = ["bash", ROOT / words[0], *words[1:], "--device", "cpu"]
    else:
        words = [sys.executable, ROOT / words[1], *words[2:]]
    return subprocess.run(words, cwd=folder, capture_output=True, text=True)


def test_the_page_shows_one_of_each_and_three_commands():
    for kind in ("Operation", "Loss", "Network", "Optimizer", "Figure", "Claim"):
        assert f"{kind}(" in EXAMPLE
    assert len(COMMANDS) == 3


def test_the_figure_of_the_page_is_run_drawn_and_judged(folder):
    first, second, third = COMMANDS
    own = ("--runs", "own")
    done = run(folder, first, *own, "--out", "pictures")
    assert done.returncode == 0, done.stderr
    for name in ("stablemax", "focal", "linear", "adagrad"):
        assert f"finished  quick/x2_3y_{name} seed 42" in done.stdout
    assert (folder / "pictures" / "figure_mine_quick.png").stat().st_size > 10_000
    judged = run(folder, second, *own)
    assert judged.returncode == 0 and "1 claim: 1 not run" in judged.stdout  # quick is no evidence
    assert "--figures-from my_figure.py --figures mine makes the missing runs" in judged.stdout
    single = run(folder, third, *own)
    assert single.returncode == 0, single.stderr
    assert "complete after" in single.stdout
    assert all(not answer.stderr.count("Traceback") for answer in (done, judged, single))


def test_a_run_with_names_of_ones_own_is_refused_where_its_file_is_not_named(folder):
    answer = run(folder, "python train.py --binary_operation x2_3y_mod --lr 0.01")
    assert answer.returncode == 2
    assert answer.stderr.count("\n") == 1 and "x2_3y_mod" in answer.stderr
