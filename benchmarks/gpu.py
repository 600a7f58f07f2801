"""What an update, a run and a figure cost on a GPU. `processes` and `figures` ran on none so far.

    python benchmarks/gpu.py                        # everything, some minutes
    python benchmarks/gpu.py --parts updates --kinds stablemax

`updates`: milliseconds of an update, medians by CUDA events, of the authors' form (plain.py: dense
one-hot rows, losses by their formula, autograd, torch's optimizers as they come), of ours eager, as
one CUDA graph and compiled, of five seeds in one stack, and of ours' matrix products alone; and the
kernels that each launches. The forms take turns. `processes`: updates a second of 1, 2, 4 and 8
runs at once on the GPU. `figures`: seconds of figures 1, 2, 4 and 6, from the launcher's start to
the last picture.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from statistics import median

import torch

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.plain import RUNS, PlainRun
from benchmarks.step_time import Products
from configuration import runs, stacking
from training.session import Session
from training.stacked import Stacked

ROOT = Path(__file__).resolve().parent.parent
KINDS = (
    "add_stablemax", "add_softmax32_40", "add_softmax16_40", "add_orthoadamw", "add_orthosgd",
    "add_transformer_adamw", "add_transformer_orthoadamw",
)  # fmt: skip
STACK = 5  # seeds
FORMS = ("authors", "eager", "graphed", "compiled", f"stack of {STACK}", "products")
PROCESSES = (1, 2, 4, 8)
FIGURES = ("1", "2", "4", "6")
PARTS = ("updates", "processes", "figures")


def make_forms(config, device):
    """{name: function that makes one update, or its matrix products} on a device."""
    eager, products = Session(config, device), Products()
    with products:
        eager.update()
    forms = {
        "authors": PlainRun(config, device=device).update,
        "eager": eager.update,
        "compiled": Session(config, device, compile=True).update,
        "products": products.repeat,
    }
    if device.startswith("cuda"):
        forms["graphed"] = Session(config, device, graphed=True).update
    if stacking.why_alone(config) is None:
        forms[f"stack of {STACK}"] = make_stack(config, range(STACK), device).update
    return forms


def make_stack(config, seeds, device):
    """Runs of these seeds in one stack."""
    sessions = []
    for seed in seeds:
        sessions.append(Session(replace(config, seed=seed), device))
        sessions[-1].stream = torch.get_rng_state()
    return Stacked(sessions)


def milliseconds(work, steps, device):
    """Of one of so many calls of `work`, by the device's own clock."""
    if not device.startswith("cuda"):
        started = time.perf_counter()
        for _ in range(steps):
            work()
        return (time.perf_counter() - started) / steps * 1e3
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    start.record()
    for _ in range(steps):
        work()
    end.record()
    end.synchronize()
    return start.elapsed_time(end) / steps


def launches(work, device):
    """Kernels and copies that one call of `work` makes on a CUDA device; None elsewhere."""
    if not device.startswith("cuda"):
        return None
    kinds = [torch.profiler.ProfilerActivity.CPU, torch.profiler.ProfilerActivity.CUDA]
    with torch.profiler.profile(activities=kinds) as profile:
        work()
        torch.cuda.synchronize()
    return sum(e.device_type == torch.autograd.DeviceType.CUDA for e in profile.events())


def measure(config, device, repetitions, steps):
    """{form: (median milliseconds of an update, kernels)}."""
    forms = make_forms(config, device)
    times = {name: [] for name in forms}
    for turn in range(repetitions + 1):  # the first turn warms up
        for name, form in forms.items():
            taken = milliseconds(form, steps, device)
            if turn:
                times[name].append(taken)
    return {name: (median(times[name]), launches(form, device)) for name, form in forms.items()}


def updates_a_second(name, epochs, count, device):
    """Of `count` processes at once, together, each in its training loop."""
    with tempfile.TemporaryDirectory() as root:
        flags = ["--run", name, "--num_epochs", str(epochs), "--device", device]
        folders = [Path(root) / str(i) for i in range(count)]
        command = [sys.executable, str(ROOT / "train.py"), *flags, "--run_dir"]
        started = [subprocess.Popen([*command, str(f)], stdout=subprocess.DEVNULL) for f in folders]
        if any([process.wait() for process in started]):
            sys.exit(f"gpu.py: a run of {name} failed")
        return sum(epochs / runs.read_summary(f)["seconds"] for f in folders)


def figure_seconds(figure, device, *flags):
    """From the start of the launcher to its end, with fresh runs."""
    with tempfile.TemporaryDirectory() as root:
        command = [sys.executable, str(ROOT / "launch.py"), "--figures", figure, "--device", device]
        started = time.monotonic()
        done = subprocess.run(
            [*command, *flags, "--runs", root, "--out", root], stdout=subprocess.DEVNULL
        )
        if done.returncode:
            sys.exit(f"gpu.py: figure {figure} failed")
        return time.monotonic() - started


def show(*cells):
    print(f"{cells[0]:32s}" + "".join(f"{cell:>18}" for cell in cells[1:]), flush=True)


def main():
    parser = argparse.ArgumentParser(prog="gpu.py", description=__doc__.split("\n")[0])
    parser.add_argument("--device", default="cuda:0")
    parser.add_argument("--parts", nargs="*", choices=PARTS, default=PARTS)
    parser.add_argument("--kinds", nargs="*", default=[""], help="parts of the runs' names")
    parser.add_argument("--repetitions", type=int, default=9, help="turns of each form [9]")
    parser.add_argument("--steps", type=int, default=50, help="updates in a turn [50]")
    arguments = parser.parse_args()
    device = arguments.device
    if not (device.startswith("cuda") and torch.cuda.is_available()):
        parser.exit(2, f"gpu.py: no CUDA device {device} here; step_time.py measures on a CPU\n")
    commit = subprocess.run(
        ["git", "-C", str(ROOT), "rev-parse", "HEAD"], capture_output=True, text=True
    )
    print(
        f"{torch.cuda.get_device_name(device)}, torch {torch.__version__}, commit {commit.stdout}"
    )
    if "updates" in arguments.parts:
        show("ms an update (kernels)", *FORMS)
        for name in KINDS:
            if any(part in name for part in arguments.kinds):
                took = measure(RUNS[name].config, device, arguments.repetitions, arguments.steps)
                cells = ("{:.3f} ({})".format(*took[f]) if f in took else "-" for f in FORMS)
                show(name, *cells)
    if "processes" in arguments.parts:
        show("updates a second", *(f"{n} at once" for n in PROCESSES))
        for name in ("add_stablemax", "add_transformer_adamw"):
            rates = [updates_a_second(name, 5_000, n, device) for n in PROCESSES]
            show(name, *map(round, rates))
    if "figures" in arguments.parts:
        forms = {
            "eager": ("--no-graphed",),
            "graphed": ("--graphed",),
            "stacks of 3": ("--batch-runs", "3"),
        }
        show("seconds of a figure", *forms)
        for figure in FIGURES:
            took = [figure_seconds(figure, device, *flags) for flags in forms.values()]
            show(f"figure {figure}", *map(round, took))


if __name__ == "__main__":
    main()
