"""The shell scripts, with a stand-in for the base Python: what is installed, and how often."""

import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from checkout import DRAW, Checkout
from house import CATALOG
from launcher import ROOT, wait_until

PYTEST = "pytest -n auto --maxprocesses 8"


@pytest.fixture
def checkout(tmp_path):
    return Checkout(tmp_path)


INSTALLED = ["venv", "pip requirements.txt"]


def test_the_first_start_installs_and_later_ones_do_not(checkout):
    first = checkout.draw()
    assert first.returncode == 0, first.stderr
    assert "installing requirements.txt into" in first.stderr
    assert "figure drawn" in first.stdout
    assert checkout.log() == INSTALLED
    again = checkout.draw()
    assert again.stderr == ""
    assert again.stdout == first.stdout
    assert checkout.log() == INSTALLED


def test_other_pins_are_installed_into_the_same_environment(checkout):
    checkout.draw()
    with open(checkout.folder / "requirements.txt", "a") as file:
        file.write("another==1.0\n")
    assert checkout.draw().returncode == 0
    assert checkout.log() == [*INSTALLED, "pip requirements.txt"]
    checkout.draw()
    assert len(checkout.log()) == 3


def test_an_installation_that_failed_is_made_again(checkout):
    (checkout.fake / "pip_fails").touch()
    failed = checkout.draw()
    assert failed.returncode == 1
    assert failed.stdout == ""
    assert "pip could not install requirements.txt" in failed.stderr
    (checkout.fake / "pip_fails").unlink()
    assert checkout.draw().returncode == 0
    assert checkout.log() == INSTALLED * 2


def test_an_installation_that_was_killed_is_made_again(checkout):
    (checkout.fake / "pip_waits").touch()
    process = checkout.start("run_main_experiments.sh", *DRAW)
    wait_until(lambda: len(checkout.log()) == 2, "pip to be called")
    process.kill()
    (checkout.fake / "pip_waits").unlink()
    process.communicate()
    assert checkout.draw().returncode == 0
    assert checkout.log() == INSTALLED * 2


def test_ctrl_c_while_installing_ends_with_its_code_and_without_blaming_pip(checkout):
    (checkout.fake / "pip_waits").touch()
    process = checkout.start("run_main_experiments.sh", *DRAW)
    wait_until(lambda: len(checkout.log()) == 2, "pip to be called")
    (checkout.fake / "pip_fails").touch()  # as pip does at Ctrl-C
    process.send_signal(signal.SIGINT)
    (checkout.fake / "pip_waits").unlink()
    _, err = process.communicate(timeout=30)
    assert process.returncode == 130 and "pip could not" not in err


@pytest.mark.parametrize("stderr", ["2>/dev/full", "2>&-"])
def test_the_set_up_goes_on_where_nobody_can_read_what_it_says(checkout, stderr):
    words = shlex.join([str(checkout.folder / "run_main_experiments.sh"), *DRAW])
    environment = {"PATH": checkout.path, "HOME": str(checkout.fake)}
    command = ["/bin/bash", "-c", f"bash {words} {stderr}"]
    done = subprocess.run(command, env=environment, cwd="/", capture_output=True, text=True)
    assert done.returncode == 0 and "figure drawn" in done.stdout
    assert checkout.log() == INSTALLED


def test_two_first_starts_at_once_install_once(checkout):
    (checkout.fake / "pip_waits").touch()
    first = checkout.start("run_main_experiments.sh", *DRAW)
    wait_until(lambda: len(checkout.log()) == 2, "pip to be called")
    second = checkout.start("run_main_experiments.sh", *DRAW)
    assert "another start is setting up" in second.stderr.readline()
    (checkout.fake / "pip_waits").unlink()
    outputs = [process.communicate(timeout=30)[0] for process in (first, second)]
    assert [first.returncode, second.returncode] == [0, 0]
    assert "figure drawn" in outputs[0] and outputs[0] == outputs[1]
    assert checkout.log() == INSTALLED


def test_a_moved_folder_is_set_up_again(checkout):
    checkout.draw()
    moved = checkout.folder.rename(checkout.folder.with_name("elsewhere"))
    checkout.folder = moved
    assert checkout.draw().returncode == 0
    assert checkout.log() == INSTALLED * 2


def test_a_complete_active_environment_is_used_as_it_is(checkout):
    active = checkout.fake / "active"
    (active / "bin").mkdir(parents=True)
    (active / "bin" / "python").symlink_to(checkout.fake / "python3")
    for name in ("VIRTUAL_ENV", "CONDA_PREFIX"):
        (checkout.fake / "complete").touch()
        answer = checkout.draw(**{name: str(active)})
        assert answer.returncode == 0
        assert checkout.log() == [] and not (checkout.folder / ".venv").exists()
    (checkout.fake / "complete").unlink()  # now it lacks something
    assert checkout.draw(VIRTUAL_ENV=str(active)).returncode == 0
    assert checkout.log() == INSTALLED


def test_the_pins_decide_whether_an_environment_is_complete(checkout):
    """With the real Python: exact versions, a build tag such as +cpu set aside."""
    import pytest as installed

    python = Path(sys.executable).parent
    (checkout.folder / "requirements-test.txt").write_text("-r requirements.txt\n")
    (checkout.folder / "email.py").write_text("raise SystemExit(1)")  # not a package's own
    for pins, complete in (
        (f"pytest=={installed.__version__}", True),
        (f"# words\n\npytest=={installed.__version__}  # words", True),
        ("pytest==0.0.1", False),
        (f"pytest=={installed.__version__}\nno-such-package==1.0", False),
    ):
        (checkout.folder / "requirements.txt").write_text(pins + "\n")
        for name in ("requirements.txt", "requirements-test.txt"):
            ask = f'source ./setup_environment.sh; has_requirements "{python}/python" {name}'
            answer = subprocess.run(["bash", "-c", ask], cwd=checkout.folder)
            assert (answer.returncode == 0) == complete, (pins, name)


def test_bad_input_is_one_line_and_is_answered_before_anything_is_installed(checkout):
    answer = checkout.run("run_main_experiments.sh", "--figures", "99")
    assert answer.returncode == 2
    choices = CATALOG.choices
    assert answer.stderr == f"unknown figure '99'; choose from {choices}\n"
    assert checkout.log() == []


@pytest.mark.parametrize(
    ("flags", "word"),
    [("--list", "Figure 6"), ("--help", "--dry-run"), ("--dry-run --device cpu", "/train.py")],
)
def test_looking_needs_no_installation(checkout, flags, word):
    answer = checkout.run("run_main_experiments.sh", *flags.split())
    assert answer.returncode == 0
    assert word in answer.stdout
    assert checkout.log() == []


@pytest.mark.skipif(not shutil.which("dash"), reason="needs a shell that is not bash")
@pytest.mark.parametrize("script", ["run_main_experiments.sh", "run_tests.sh"])
def test_another_shell_is_told_in_one_line_what_to_use(script):
    answer = subprocess.run(["dash", ROOT / script, "--list"], capture_output=True, text=True)
    assert (answer.returncode, answer.stdout) == (2, "")
    assert answer.stderr == f"this needs bash: use ./{script} or bash {script}\n"


def test_a_python_that_is_too_old_is_named_in_one_line(checkout):
    (checkout.fake / "old").touch()
    tools = checkout.fake / "tools"  # no other Python in sight
    tools.mkdir()
    for tool in ("cat", "cmp", "dirname", "readlink"):
        (tools / tool).symlink_to(shutil.which(tool))
    (tools / "python3").symlink_to(checkout.fake / "python3")
    checkout.path = str(tools)
    answer = checkout.draw()
    assert answer.returncode == 1
    assert answer.stderr == (
        f"{tools}/python3 is Python 3.9.1, too old; install Python 3.11 or later\n"
    )
    (tools / "python3").unlink()
    answer = checkout.draw()
    assert answer.returncode == 1
    assert answer.stderr == "python3 is not installed; install Python 3.11 or later\n"


def test_the_tests_are_linted_and_run_with_the_arguments_given(checkout):
    answer = checkout.run("run_tests.sh", "-x", "tests/test a.py")
    assert answer.returncode == 0, answer.stderr
    assert checkout.log() == ["venv", "pip requirements-test.txt"]
    assert answer.stdout.splitlines() == [
        "ruff check",
        "ruff format",
        f"{PYTEST} -x tests/test a.py",
    ]
    assert checkout.run("run_tests.sh").stdout.splitlines()[-1] == f"{PYTEST} -q"
    assert checkout.draw().stderr == ""  # what the tests need contains what the runs need
    assert len(checkout.log()) == 2


@pytest.mark.parametrize("trouble", ["lint_fails", "tests_fail"])
def test_a_failure_of_lint_or_of_a_test_fails_the_test_command(checkout, trouble):
    (checkout.fake / trouble).touch()
    answer = checkout.run("run_tests.sh")
    assert answer.returncode == 1
    assert answer.stdout.splitlines()[-1] == f"{PYTEST} -q"


def test_script_may_be_called_by_a_link_from_elsewhere(tmp_path):
    checkout = Checkout(tmp_path)
    link = tmp_path / "grok"
    link.symlink_to(checkout.folder / "run_main_experiments.sh")
    done = subprocess.run(["/bin/bash", str(link), "--list"], env={"PATH": checkout.path},
                          cwd="/", capture_output=True, text=True)  # fmt: skip
    assert done.returncode == 0 and "figure" in done.stdout
