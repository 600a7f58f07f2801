"""Computes one run: from a configuration to a run folder.

    python train.py --run add_stablemax --seed 42            # a declared run, into runs/
    python train.py --lr 0.01 --train_fraction 0.4 --loss_function stablemax --num_epochs 4000
    python train.py --run add_softmax64 --lr 0.005           # a variant: add_softmax64-lr0.005
    python train.py --run add_stablemax --run_dir somewhere  # exactly there

Started again it continues from its checkpoint; a finished run is left alone (--force to redo it).
Exit codes: 0 complete, 2 bad input, 75 another process writes the folder, 76 stopped on request.
"""

import os
import sys

if __name__ == "__main__":
    sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))  # not with PYTHONSAFEPATH
    from configuration.interpreter import begin

    begin()

import dataclasses
import signal
import time
from pathlib import Path

import paper
import related
from configuration import runs
from configuration.config import RunConfig
from configuration.flags import (
    OneLineHelp,
    Parser,
    add_config_flags,
    add_own_file,
    add_track,
    device_name,
    given_fields,
    own_file,
    trackers,
)
from configuration.interpreter import require
from configuration.variants import changes, variant_name
from experiment.catalog import Catalog, blame
from experiment.figure import asked_size
from training.environment import environment
from training.tracking import Mirrors

CATALOG = Catalog(paper.FIGURES, related.FIGURES, not_in=paper.NOT_IN)
HERE = Path(__file__).resolve().parent


class Stopped(Exception):
    """The run was asked to stop and has written its checkpoint."""


# ---------------------------------------------------------------------------------- one run


def train(
    config: RunConfig,
    folder: runs.RunFolder,
    *,
    device: str = "cpu",
    compile: bool = False,
    checkpoint_seconds: float = 60.0,
    stop_asked=lambda: False,
    report=lambda row, total: None,
) -> dict:
    """Trains from the folder's checkpoint, or from step 0, to the end or to --stop_at's level.

    Args:
        config: what to run.
        folder: an entered RunFolder for it.
        device: where; "cpu" or "cuda:N".
        compile: run the update under torch.compile.
        checkpoint_seconds: at most this much work is lost to a kill.
        stop_asked: asked after every update; True writes a checkpoint and raises Stopped.
        report: called with each new row and the total number of steps.

    Returns:
        The summary, as written.

    Raises:
        Stopped: a checkpoint is written.
        runs.RunError: the folder is damaged or cannot be written.
    """
    from training.session import (
        Session,  # here, so that bad input is answered before torch is loaded
    )

    session = Session(config, device, compile)
    state = folder.load_checkpoint(map_location="cpu")
    step, seconds_before = 0, 0.0
    diverged_at = stopped_at = None
    if state is not None:
        try:
            session.restore(state)
            step, seconds_before = state["step"], float(state["seconds"])
            diverged_at, stopped_at = state["diverged_at"], state["stopped_at"]
            if type(step) is not int or not 0 <= step <= session.total_steps:
                raise ValueError(f"step {step} of {session.total_steps}")
        except (AttributeError, KeyError, RuntimeError, TypeError, ValueError) as error:
            path, reason = folder.path / runs.CHECKPOINT, str(error).strip().split("\n")[0][:120]
            raise runs.RunError(
                f"{path} is not of this run ({reason}); {runs.again(folder.path)}"
            ) from None
    started = saved = time.monotonic()

    def seconds():
        return seconds_before + time.monotonic() - started

    row_due = state is None  # a checkpoint's own row is in metrics.csv already
    while True:
        if row_due and session.is_logged(step):
            row = session.row(step)
            if config.save_weights:
                folder.append_weights(session.flat_weights())
            folder.append(row)
            report(row, session.total_steps)
            if not is_finite(row):
                diverged_at = step
            elif session.has_reached_its_goal(row):
                stopped_at = step
        if step == session.total_steps or diverged_at is not None or stopped_at is not None:
            break
        stopping = stop_asked()
        if stopping or time.monotonic() - saved >= checkpoint_seconds:
            folder.save_checkpoint(session.state(step, seconds()))
            saved = time.monotonic()
            if stopping:
                raise Stopped(f"stopped after {step} of {session.total_steps} steps")
        session.update()
        step += 1
        row_due = True
    folder.save_checkpoint(session.state(step, seconds(), diverged_at, stopped_at))
    return folder.write_summary(summarize(folder, step, seconds(), diverged_at, stopped_at))


def is_finite(row: dict) -> bool:
    """Whether training still computes: finite training loss and weights."""
    import math

    return math.isfinite(row["train_loss"]) and math.isfinite(row["weight_norm"])


def summarize(
    folder: runs.RunFolder,
    step: int,
    seconds: float,
    diverged_at: int | None,
    stopped_at: int | None,
) -> dict:
    """Final values and the first logged step at each threshold, null where it was never reached.

    `stopped_at_step` is the row at which --stop_at ended the run, null for one that used its budget
    or diverged.
    """
    table = runs.read_metrics(folder.path)
    last = table.iloc[-1]
    final = {k: float(v) if v == v and abs(v) != float("inf") else None for k, v in last.items()}
    final["step"] = int(last["step"])
    return {
        "steps": step,
        "seconds": round(seconds, 1),
        "diverged_at_step": diverged_at,
        "stopped_at_step": stopped_at,
        "final": final,
        "first_step": runs.first_steps(table),
    }


# ---------------------------------------------------------------------------------- command line


def task_method(config: RunConfig) -> str:
    """<task>_<method>: the readable part of the folder name of an undeclared run."""
    task = config.binary_operation.removesuffix("_mod")
    if config.dataset != "add_mod":
        named = {
            "sparse_parity": "parity",
            "binary_alg": f"binary_{task}",
            "tokens": f"tokens_{task}",
        }
        task = named.get(config.dataset, config.dataset)
    method = config.loss_function
    if method == "cross_entropy":
        method = f"softmax{config.loss_precision}"
    prefix = "ortho" if config.orthogonal_gradients else ""
    network = "" if config.network_kind == "mlp" else f"_{config.network_kind}"
    return f"{task}{network}_{method}_{prefix}{config.optimizer.lower()}"


def make_parser() -> Parser:
    parser = Parser(
        prog="train.py",
        usage="train.py [--run NAME] [--seed S] [flags of the configuration and the machine]",
        description="Trains one run into a run folder; continues it when started again.",
        formatter_class=OneLineHelp,
        allow_abbrev=False,
    )
    which = parser.add_argument_group("which run, and where it goes")
    which.add_argument(
        "--run", metavar="NAME", help="a declared run; flags beside it make a variant"
    )
    which.add_argument(
        "--size", metavar="SIZE", help="the declared run's form: full, cpu or quick [full]"
    )
    which.add_argument("--quick", action="store_true", help="the same as --size quick")
    add_own_file(which)
    which.add_argument("--runs", metavar="DIR", help="root of the run folders [runs/]")
    which.add_argument("--run_dir", metavar="DIR", help="put this run's folder exactly here")
    which.add_argument("--force", action="store_true", help="start again from step 0")
    machine = parser.add_argument_group(
        "machine: changes nothing that is computed but its rounding"
    )
    machine.add_argument("--device", default="cpu", help="cpu, cuda or cuda:N [cpu]")
    machine.add_argument("--threads", type=int, default=1, metavar="N", help="CPU threads [1]")
    machine.add_argument("--compile", action="store_true", help="update under torch.compile")
    machine.add_argument(
        "--checkpoint_seconds",
        type=float,
        default=60.0,
        metavar="S",
        help="between checkpoints [60]",
    )
    add_track(machine)
    add_config_flags(parser)
    return parser


def resolve(arguments, catalog=CATALOG) -> tuple[RunConfig, Path]:
    """(configuration, folder) of a parsed command line.

    Raises:
        ValueError: one line, for anything that cannot be run.
    """
    given = given_fields(arguments)
    root = Path(arguments.runs) if arguments.runs else HERE / "runs"
    size = asked_size(arguments.size, arguments.quick)
    if arguments.run:
        run = catalog.run(arguments.run)
        name, declared = run.form(size, given.get("seed"))
        config = dataclasses.replace(declared, **given)
    else:
        if arguments.quick or arguments.size is not None:
            flag = "--quick" if arguments.quick else "--size"
            raise ValueError(f"{flag} is a form of a declared run; name it with --run NAME")
        if "lr" not in given:
            raise ValueError(
                "--lr is missing: give a learning rate, such as --lr 0.01, or --run NAME"
            )
        config = RunConfig(**given)
        name, declared = task_method(config), None
    name = variant_name(name, changes(vars(config), declared))
    folder = runs.run_folder(root, name, config.seed)
    for flag in ("run_dir", "runs"):
        if getattr(arguments, flag) == "":
            raise ValueError(f"--{flag} '' is empty; name a folder, or drop it")
    if arguments.run_dir:
        folder = Path(arguments.run_dir)
    device_name(arguments.device)
    if arguments.threads < 1:
        raise ValueError(f"threads {arguments.threads}: at least 1")
    if not arguments.checkpoint_seconds >= 0:
        raise ValueError(f"checkpoint_seconds {arguments.checkpoint_seconds}: 0 or more")
    return config, folder


def check_device(name: str):
    """Raises ValueError, one line, for a device this machine does not have."""
    import torch

    kind, _, index = name.partition(":")
    if kind == "cuda" and int(index or 0) >= torch.cuda.device_count():
        raise ValueError(f"device {name} is not available here; use --device cpu")


def is_out_of_memory(error: BaseException) -> bool:
    """Whether torch, on the CPU or a GPU, or Python could not allocate."""
    words = ("out of memory", "can't allocate memory", "Storage size calculation overflowed")
    lacks = isinstance(error, MemoryError) or isinstance(error.__context__, MemoryError)
    return lacks or any(word in str(error) for word in words)


def printer(interval: float = 10.0):
    """A `report` that prints a line at most every `interval` seconds, and the last row always."""
    printed = [0.0]

    def report(row, total):
        now = time.monotonic()
        if now - printed[0] >= interval or row["step"] in (0, total):
            printed[0] = now
            print(
                f"step {row['step']}/{total}  epoch {row['epoch']:g}"
                f"  train loss {row['train_loss']:.4g} accuracy {row['train_accuracy']:.2%}"
                f"  test accuracy {row['test_accuracy']:.2%}"
                f"  collapse {row['softmax_collapse']:.1%}  norm {row['weight_norm']:.4g}",
                flush=True,
            )

    return report


def main(argv=None) -> int:
    stop = []
    # The last two: of batch systems, before they end a job.
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(number, lambda *_: stop.append(True))
    try:
        own = own_file(argv)
        catalog = CATALOG.with_file(own) if own is not None else CATALOG
        arguments = make_parser().parse_args(argv)  # with the choices that the file adds
        config, path = resolve(arguments, catalog)
        if runs.is_complete(path) and not arguments.force and runs.read_config(path) == config:
            print(f"{path} is complete; --force runs it again")
            return 0
        tracked = trackers(arguments.track)
        require("pandas", "torch")  # in this order: without NumPy torch warns, pandas says so
        check_device(arguments.device)
        import torch

        torch.set_num_threads(arguments.threads)
        mirrors, show = Mirrors(tracked, path, config), printer()

        def report(row, total):
            show(row, total)
            mirrors.row(row)

        with runs.RunFolder(path, config) as folder, mirrors:
            if runs.is_complete(path) and not arguments.force:
                return 0  # finished while this process was starting
            if arguments.force:
                folder.clear()
                mirrors.forget()
            folder.write_env(environment(arguments, config))
            print(f"writing {path}", flush=True)
            summary = train(
                config,
                folder,
                device=arguments.device,
                compile=arguments.compile,
                checkpoint_seconds=arguments.checkpoint_seconds,
                stop_asked=lambda: bool(stop),
                report=report,
            )
    except Stopped as error:
        print(f"{error}; start it again to continue", flush=True)
        return runs.EXIT_STOPPED
    except runs.RunBusy as error:
        print(f"train.py: {error}", file=sys.stderr)
        return runs.EXIT_BUSY
    except (ValueError, runs.RunError) as error:
        print(f"train.py: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"train.py: {error}; choose another --run_dir or --runs", file=sys.stderr)
        return 2
    except Exception as error:
        if own is not None and not is_out_of_memory(error):
            print(f"train.py: {blame(error, own)}", file=sys.stderr)
            return 2
        if not is_out_of_memory(error):
            raise
        reason = str(error).strip().split("\n")[0][:200]
        print(f"train.py: out of memory ({reason}); choose a smaller run", file=sys.stderr)
        return 2
    if summary["diverged_at_step"] is not None:
        print(f"diverged: not finite at step {summary['diverged_at_step']}; its rows are kept")
    if summary["stopped_at_step"] is not None:
        print(
            f"stopped at step {summary['stopped_at_step']}: {config.stop_at} at least "
            f"{config.stop_level:g}"
        )
    print(f"complete after {summary['seconds']:.0f} s: {path}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
