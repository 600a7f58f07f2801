"""Puts the repository root on the import path and keeps every test on one thread."""

import os
import signal
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
# One kernel family on every x86 CPU (MKL's conditional numerical reproducibility), before torch is
# loaded: training under OrthoGrad amplifies rounding, and the parity trajectories are AVX2's.
os.environ.setdefault("MKL_CBWR", "AVX2")
slow = pytest.mark.skipif("not config.getoption('--slow')", reason="takes minutes: --slow")

# Begun with & or nohup, the tests and what they start would ignore these.
SIGNALS = {
    signal.SIGINT: signal.default_int_handler,
    signal.SIGQUIT: signal.SIG_DFL,
    signal.SIGHUP: signal.SIG_DFL,
}
for number, handler in SIGNALS.items():
    if signal.getsignal(number) == signal.SIG_IGN:
        signal.signal(number, handler)


def pytest_addoption(parser):
    parser.addoption("--slow", action="store_true", help="the tests that take minutes, too")


@pytest.fixture(autouse=True)
def one_thread():
    """One thread: results do not depend on the machine, and two test runs share two cores."""
    import torch

    torch.set_num_threads(1)


@pytest.fixture
def places(tmp_path):
    """(own runs, published runs, Evidence over both)."""
    from judging.verdicts import Evidence

    own, published = tmp_path / "own", tmp_path / "published"
    own.mkdir()
    published.mkdir()
    return own, published, Evidence(own, published)


def pytest_terminal_summary(terminalreporter):
    """What a test recorded is shown though it passed."""
    for report in terminalreporter.getreports("passed"):
        for name, text in getattr(report, "user_properties", ()):
            terminalreporter.section(f"{report.head_line}: {name}")
            terminalreporter.write_line(text)
