"""A copy of the bundle to start its shell scripts in, with a stand-in for the base Python."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from conftest import ROOT

# As far as the scripts can see, a Python without packages whose venvs and pip succeed at once. It
# keeps a log, fails where the file `pip_fails` is, waits while `pip_waits` is, and hands everything
# else to the real Python. A call that would import from the working directory is in the log, too.
FAKE_PYTHON = r"""#!/bin/bash
here={folder}
case "$1" in
-I | -P) shift ;;
-*) [ "$1" = --version ] || echo "unsafe: $*" >>"$here/log" ;;
esac
case "$1 $2" in
"-c "*) [ -e "$here/old" ] && exit 1; exit 0 ;;
"--version "*) echo "Python 3.9.1" ;;
"- "*) [ -e "$here/complete" ] ;;
"-m venv") echo venv >>"$here/log"; rm -rf "$4"; mkdir -p "$4/bin"; ln -s "$0" "$4/bin/python" ;;
"-m pip")
    [ "$3" = --version ] && exit 0
    last="${{@: -1}}"
    echo "pip ${{last##*/}}" >>"$here/log"
    while [ -e "$here/pip_waits" ]; do sleep 0.02; done
    [ ! -e "$here/pip_fails" ] ;;
"-m ruff") echo "ruff $3"; [ ! -e "$here/lint_fails" ] ;;
"-m pytest") shift 2; echo "pytest $*"; [ ! -e "$here/tests_fail" ] ;;
*) exec {real} "$@" ;;
esac
"""
DRAW = ("--figures", "3", "--device", "cpu")
CACHE = shutil.ignore_patterns("__pycache__")


class Checkout:
    """A copy of the bundle in a folder with spaces, and a PATH whose python3 is the stand-in."""

    def __init__(self, folder: Path):
        self.folder = folder / "a fresh clone"
        self.folder.mkdir()
        for pattern in ("*.py", "*.sh", "requirements*.txt"):
            for path in ROOT.glob(pattern):
                shutil.copy(path, self.folder)
        for init in ROOT.glob("*/__init__.py"):
            package = init.parent.name
            shutil.copytree(init.parent, self.folder / package, ignore=CACHE)
        (self.folder / "plots.py").write_text("print('figure drawn')")
        self.fake = folder / "fake"
        self.fake.mkdir()
        python = self.fake / "python3"
        python.write_text(FAKE_PYTHON.format(folder=self.fake, real=sys.executable))
        python.chmod(0o755)
        self.path = f"{self.fake}:/usr/bin:/bin"
        self.elsewhere = folder

    def start(self, script, *arguments, **extra):
        hidden = ("VIRTUAL_ENV", "CONDA_PREFIX", "PYTHONPATH")
        environment = {k: v for k, v in os.environ.items() if k not in hidden}
        return subprocess.Popen(
            ["/bin/bash", str(self.folder / script), *arguments],
            cwd=self.elsewhere,
            env=environment | {"PATH": self.path} | extra,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, script, *arguments, **extra):
        process = self.start(script, *arguments, **extra)
        out, err = process.communicate(timeout=30)
        return subprocess.CompletedProcess(arguments, process.returncode, out, err)

    def draw(self, **extra):
        """The front door, for a figure that needs no run."""
        return self.run("run_main_experiments.sh", *DRAW, **extra)

    def log(self) -> list[str]:
        path = self.fake / "log"
        return path.read_text().splitlines() if path.exists() else []
