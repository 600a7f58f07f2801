"""docs/extending.md does what it says, as it stands and from a folder of one's own."""

import os
import re
import shlex
import subprocess
import sys

import pytest

import train
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


def trained(folder, *words):
    """(exit code, stderr) of train.py in a fork of this process, where torch is loaded already."""
    errors, child = folder / "stderr", os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), errors.read_text()
    code = 1
    try:
        os.chdir(folder)
        with open(errors, "w") as sys.stderr, open(os.devnull, "w") as sys.stdout:
            code = train.main(["--figures-from", "my_figure.py", *words])
    finally:
        os._exit(code)


def test_the_page_shows_one_of_each_and_four_commands():
    for kind in ("Operation", "Loss", "Network", "Optimizer", "Figure", "Claim"):
        assert f"{kind}(" in EXAMPLE
    assert len(COMMANDS) == 4


def test_the_figure_of_the_page_is_run_drawn_and_judged(folder):
    first, full, second, third = COMMANDS
    own = ("--runs", "own")
    done = run(folder, first, *own, "--out", "pictures")
    assert done.returncode == 0, done.stderr
    for name in ("softmax", "focal", "linear", "adagrad"):
        assert f"finished  quick/x2_3y_{name} seed 42" in done.stdout
    assert (folder / "pictures" / "figure_mine_quick.png").stat().st_size > 10_000
    judged = run(folder, second, *own)
    assert judged.returncode == 0 and "1 claim: 1 not run" in judged.stdout  # quick is no evidence
    assert "--figures-from my_figure.py --figures mine makes the missing runs" in judged.stdout
    single = run(folder, third, *own)
    assert single.returncode == 0, single.stderr
    assert "complete after" in single.stdout
    assert all(not answer.stderr.count("Traceback") for answer in (done, judged, single))


SLIPS = {  # what stands in the page's file: (what stands there instead, whose run, what is said)
    "return -((1 - log_p.exp()) ** 2) * log_p": ("return log_p.mean()", "focal", "one term per"),
    "(1, targets[:, None])": ("(1, targets)", "focal", "line 13: RuntimeError:"),
    "    return torch.nn.Sequential(": ("    torch.nn.Sequential(", "linear", "torch.nn.Module"),
    "model_dim, num_classes": ("model_dim, 3", "linear", "return logits of shape (2,"),
    "torch.optim:Adagrad": ("torch.optim:Adagrda", "adagrad", "no function torch.optim:Adagrda"),
    '("model_dim",)': ('("modle_dim",)', "linear", "did you mean model_dim?"),
    "log_p.exp()) ** 2": ("log_p.exp()) ** 3", "focal", "computed with another loss focal"),
}


@pytest.mark.parametrize("slip", SLIPS)
def test_a_slip_in_a_file_of_ones_own_is_one_line_and_no_traceback(slip, folder, tmp_path):
    wrong, name, said = SLIPS[slip]
    assert slip in EXAMPLE
    (tmp_path / "my_figure.py").write_text(EXAMPLE.replace(slip, wrong))
    words = ("--quick", "--run", f"x2_3y_{name}", "--runs", str(tmp_path / "own"))
    if "another" in said:  # than that of the run that is there
        assert trained(folder, *words) == (0, "")
    code, errors = trained(tmp_path, *words)
    assert code == 2 and said in errors
    assert errors.count("\n") == 1


def test_a_run_with_names_of_ones_own_is_refused_where_its_file_is_not_named(folder):
    answer = run(folder, "python train.py --binary_operation x2_3y_mod --lr 0.01")
    assert answer.returncode == 2
    assert answer.stderr.count("\n") == 1 and "x2_3y_mod" in answer.stderr
