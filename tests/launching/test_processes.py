"""A script in a child of the server is the script in a shell, only started sooner.

Where there is no server it is started afresh and is the same, too.
"""

import os
import signal
import subprocess
import sys
import time

import pytest

from conftest import ROOT
from launching import processes

PATIENCE = 60.0  # seconds; longer means a failure


@pytest.fixture(params=[True, False], ids=["forked", "afresh"])
def run(tmp_path, monkeypatch, request):
    """run(source, *arguments) -> (process, log) of a script that imports nothing heavy."""
    monkeypatch.setattr(processes, "PRELOAD", ())
    monkeypatch.setattr(processes, "FORKS", request.param and processes.FORKS)

    def start(source, *arguments):
        script, log = tmp_path / "script.py", tmp_path / "log.txt"
        script.write_text(source)
        return processes.start([sys.executable, str(script), *arguments], log), log

    return start


def wait(condition):
    deadline = time.monotonic() + PATIENCE
    while condition() is None or condition() is False:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return condition()


@pytest.mark.parametrize(
    ("source", "code"),
    [("pass", 0), ("import sys; sys.exit(76)", 76), ("raise ValueError('broken')", 1)],
)
def test_exit_code_is_the_scripts_own(run, source, code):
    process, _ = run(source)
    assert wait(process.poll) == code


def test_script_sees_its_arguments_name_and_folder(run, tmp_path):
    (tmp_path / "beside_it.py").write_text("value = 'found'")
    source = "import sys, beside_it; print(__name__, sys.argv[1:], beside_it.value)"
    process, log = run(source, "--run", "a name")
    assert wait(process.poll) == 0
    assert log.read_text() == "__main__ ['--run', 'a name'] found\n"


def test_output_of_all_kinds_is_appended_to_the_log_at_once(run):
    source = (
        "import os, sys, time\nprint('to stdout')\nprint('to stderr', file=sys.stderr)\n"
        "os.system('echo of a child')\nprint(sys.stdin.read() == '')\ntime.sleep(600)"
    )
    process, log = run(source)
    try:
        wait(lambda: log.exists() and "True" in log.read_text())
        assert log.read_text() == "to stdout\nto stderr\nof a child\nTrue\n"
    finally:
        process.kill()
    wait(process.poll)


def test_traceback_reaches_the_log(run):
    process, log = run("raise ValueError('broken')")
    wait(process.poll)
    assert "ValueError: broken" in log.read_text()


@pytest.mark.parametrize(
    ("stop", "number"), [("terminate", signal.SIGTERM), ("kill", signal.SIGKILL)]
)
def test_signal_that_ended_it_is_its_exit_code(run, stop, number):
    process, log = run("import time; print('ready'); time.sleep(600)")
    wait(lambda: log.exists() and "ready" in log.read_text())
    getattr(process, stop)()
    assert wait(process.poll) == -number


def test_script_may_handle_the_request_to_stop(run):
    source = (
        "import signal, sys, time\nsignal.signal(signal.SIGTERM, lambda *_: sys.exit(76))\n"
        "print('ready')\ntime.sleep(600)"
    )
    process, log = run(source)
    wait(lambda: log.exists() and "ready" in log.read_text())
    process.terminate()
    assert wait(process.poll) == 76


def test_child_leads_a_session_of_its_own(run):
    process, log = run("import os; print(os.getpid() == os.getsid(0) == os.getpgid(0))")
    assert wait(process.poll) == 0
    assert log.read_text() == "True\n"
    assert process.pid != os.getpid()


@pytest.mark.skipif(not processes.FORKS, reason="the server runs on Linux")
def test_a_child_outlives_the_server_and_the_next_script_is_started_afresh(tmp_path, monkeypatch):
    monkeypatch.setattr(processes, "PRELOAD", ())
    monkeypatch.setattr(processes, "_server", None)
    script, log = tmp_path / "script.py", tmp_path / "log.txt"
    script.write_text(
        "import os, pathlib, sys, time\nprint(os.getppid())\n"
        f"while not pathlib.Path({str(tmp_path / 'end')!r}).exists(): time.sleep(0.01)\n"
        "sys.exit(7)"
    )
    first = processes.start([sys.executable, str(script)], log)
    ended = processes.start([sys.executable, str(script)], log)
    wait(lambda: log.exists() and log.read_text().count("\n") == 2)
    ended.kill()
    wait(ended.poll)
    os.kill(int(log.read_text().split()[0]), signal.SIGKILL)
    wait(lambda: processes._server.dead or first.poll())
    assert first.poll() is None and ended.poll() == -signal.SIGKILL
    second = processes.start([sys.executable, str(script)], log)
    (tmp_path / "end").touch()
    assert (wait(first.poll), wait(second.poll)) == (processes.LOST, 7)


@pytest.mark.skipif(not processes.FORKS, reason="the server runs on Linux")
def test_signal_to_the_callers_whole_group_leaves_exit_codes_known(tmp_path):
    (tmp_path / "child.py").write_text(
        "import signal, sys, time\nsignal.signal(signal.SIGTERM, lambda *_: sys.exit(76))\n"
        "print('ready')\ntime.sleep(600)"
    )
    caller = (
        "import pathlib, signal, sys, time\n"
        "from launching import processes\nprocesses.PRELOAD = ()\n"
        f"log = pathlib.Path({str(tmp_path / 'log.txt')!r})\n"
        f"child = processes.start([sys.executable, {str(tmp_path / 'child.py')!r}], log)\n"
        "signal.signal(signal.SIGTERM, lambda *_: child.terminate())\n"
        "while not log.exists() or 'ready' not in log.read_text(): time.sleep(0.01)\n"
        "print('ready', flush=True)\n"
        "while child.poll() is None: time.sleep(0.01)\n"
        "print(child.poll())\n"
    )
    group = subprocess.Popen(
        [sys.executable, "-c", caller], cwd=ROOT, stdout=subprocess.PIPE, text=True,
        start_new_session=True,
    )  # fmt: skip
    assert group.stdout.readline() == "ready\n"
    os.killpg(group.pid, signal.SIGTERM)
    assert group.communicate(timeout=PATIENCE)[0] == "76\n"


@pytest.mark.skipif(not processes.FORKS, reason="the server runs on Linux")
def test_heavy_packages_are_there_before_the_script_asks(tmp_path):
    source = "import sys; print('torch' in sys.modules, 'torch._dynamo' in sys.modules)"
    (tmp_path / "child.py").write_text(source)
    caller = (
        "import pathlib, sys, time\nfrom launching import processes\n"
        f"child = processes.start([sys.executable, {str(tmp_path / 'child.py')!r}],"
        f" pathlib.Path({str(tmp_path / 'log.txt')!r}))\n"
        "while child.poll() is None: time.sleep(0.01)\n"
        "sys.exit('torch' in sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", caller], cwd=ROOT, check=True, timeout=PATIENCE)
    assert (tmp_path / "log.txt").read_text() == "True True\n"
