"""What a script needs of its Python and its streams, and how it ends: `begin` first, `end` last.

Imported before all else, and read by Pythons that are too old, too.
"""

import _signal as signal  # loads nothing: before `begin` Ctrl-C ends in a traceback
import io
import os
import sys

OLDEST = (3, 11)
VENV = os.path.join(os.path.dirname(os.path.dirname(os.path.realpath(__file__))), ".venv")
STOPPED = 128 + signal.SIGINT


class Stream(io.FileIO):
    """A standard stream that never fails: what it cannot take is lost, and why is remembered."""

    failed = None

    def write(self, data):
        try:
            return super().write(data)
        except OSError as error:
            self.failed = self.failed or error
            if isinstance(error, BrokenPipeError):  # for good, and for the processes we start, too
                os.dup2(os.open(os.devnull, os.O_WRONLY), self.fileno())
            return len(data)


_stdout = None  # the Stream of this process, once it has begun


def begin(*packages):
    """What comes before all other imports; exits 2 in one line as `require` does.

    From here on Ctrl-C is one line and exit code 130, and a stream that is full, closed, or no
    longer read, or whose encoding lacks a character, stops nothing. No GPU multiplies in TF32.
    """
    global _stdout
    # Containers ask for TF32 in float32 products; NVIDIA's libraries read this as they are loaded.
    os.environ["NVIDIA_TF32_OVERRIDE"] = "0"
    os.environ.pop("TORCH_ALLOW_TF32_CUBLAS_OVERRIDE", None)
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # else: ignored, by nohup
        signal.signal(signal.SIGINT, _stop)
    require()
    # As Python leaves them, a closed one would be the next file that is opened. What takes their
    # place here fails to read and to write, as they did.
    for number, access in enumerate((os.O_WRONLY, os.O_RDONLY, os.O_RDONLY)):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, access), True)  # the lowest number there is
    _stdout = _mend("stdout", 1, "replace")
    _mend("stderr", 2, "backslashreplace")
    require(*packages)


def _mend(name, number, errors):
    stream = Stream(number, "w", closefd=False)
    encoding = getattr(getattr(sys, name), "encoding", "utf-8")
    text = io.TextIOWrapper(io.BufferedWriter(stream), encoding, errors, line_buffering=True)
    setattr(sys, name, text)
    return stream


def _stop(*_):
    """Ctrl-C while packages are loaded: nothing has begun, and some would swallow an exception."""
    complain("stopped")
    os._exit(STOPPED)


def complain(text):
    """A line on stderr, with the script's name."""
    print(f"{os.path.basename(sys.argv[0])}: {text}", file=sys.stderr, flush=True)


def require(*packages, load=__import__):
    """Ends the script with one line and exit code 2 where this Python is too old or lacks one.

    Args:
        packages: names.
        load: what looks for one; importlib.util.find_spec for those that others import.
    """
    remedy = "use .venv/bin/python, which ./run_main_experiments.sh makes"
    if os.path.realpath(sys.prefix) == VENV:
        remedy = f"delete {VENV}, and ./run_main_experiments.sh makes it anew"
    if sys.version_info < OLDEST:
        version = ".".join(map(str, sys.version_info[:3]))
        complain(f"Python 3.11 or later is needed, this is {version}; {remedy}")
        sys.exit(2)
    for name in packages:
        reason = "is not installed in this Python;"
        try:
            found = load(name)
            # Neither has a folder without __init__.py, which is what is left of a deleted package.
            if getattr(found, "__file__", None) or getattr(found, "origin", None):
                continue
        except (ImportError, OSError, MemoryError) as error:
            if not isinstance(error, ModuleNotFoundError) or error.name != name:
                why = " ".join(str(error).split())[:200] or type(error).__name__
                reason = f"cannot be imported ({why}); free memory, or"
        complain(f"{name} {reason} {remedy}")
        sys.exit(2)


def told():
    """Exit code of a script whose work is what it prints: 0, 1 with a line, 141 after `| head`."""
    sys.stdout.flush()
    failed = _stdout and _stdout.failed
    if isinstance(failed, BrokenPipeError):
        return 128 + signal.SIGPIPE
    if failed:
        complain(f"cannot write to standard output ({failed.strerror}); send it elsewhere")
    return int(bool(failed))


def end(main):
    """Ends the script with the exit code that `main` returns; at Ctrl-C with one line and 130."""
    if signal.getsignal(signal.SIGINT) is _stop:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        code = main()
    except KeyboardInterrupt:
        complain("stopped")
        code = STOPPED
    sys.exit(code)
