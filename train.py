"""Computes one run: from a configuration to a run folder.

    python train.py --run add_stablemax --seed 42            # a declared run, into runs/
    python train.py --lr 0.01 --train_fraction 0.4 --loss_function stablemax --num_epochs 4000
    python train.py --run add_softmax64 --lr 0.005           # a variant: add_softmax64-lr0.005
    python train.py --run add_stablemax --run_dir somewhere  # exactly there
    python train.py --run add_stablemax --seed 1 --and --run add_stablemax --seed 2   # in one stack

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
from argparse import BooleanOptionalAction
from contextlib import ExitStack
from itertools import combinations, groupby
from pathlib import Path

import paper
import related
from configuration import devices, runs, stacking
from configuration.config import RunConfig
from configuration.flags import (
    OneLineHelp,
    Parser,
    add_config_flags,
    add_own_file,
    add_track,
    given_fields,
    own_file,
    trackers,
)
from configuration.interpreter import require
from configuration.stacking import AND
from configuration.variants import changes, variant_name
from experiment.catalog import Catalog, blame
from experiment.figure import asked_size
from training.course import Course, Stopped, advance
from training.environment import environment
from training.tracking import Mirrors

CATALOG = Catalog(paper.FIGURES, related.FIGURES, not_in=paper.NOT_IN)
HERE = Path(__file__).resolve().parent


# ---------------------------------------------------------------------------------- one run


def train(
    config: RunConfig,
    folder: runs.RunFolder,
    *,
    device: str = "cpu",
    compile: bool = False,
    graphed: bool = False,
    checkpoint_seconds: float = 60.0,
    stop_asked=lambda: False,
    report=lambda row, total: None,
    environment=None,
    allow_device_change: bool = False,
) -> dict:
    """Trains from the folder's checkpoint, or from step 0, to the end or to --stop_at's level.

    Args:
        config: what to run.
        folder: an entered RunFolder for it.
        device: where; "cpu", "cuda:N" or "mps".
        compile: run the update under torch.compile.
        graphed: replay the update as one CUDA graph.
        checkpoint_seconds: at most this much work is lost to a kill.
        stop_asked: asked after every update; True writes a checkpoint and raises Stopped.
        report: called with each new row and the total number of steps.
        environment: called once the device is ready; what env.json holds of this start.
        allow_device_change: go on with what another kind of device has begun.

    Returns:
        The summary, as written.

    Raises:
        Stopped: a checkpoint is written.
        runs.RunError: the folder is damaged or cannot be written, or another kind of device began.
    """
    course = Course(
        config, folder, device=device, compile=compile, graphed=graphed, report=report,
        environment=environment, allow_device_change=allow_device_change,
    )  # fmt: skip
    advance([course], checkpoint_seconds=checkpoint_seconds, stop_asked=stop_asked)
    return course.summary


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
        description="Trains one run into a run folder; continues it when started again. Several"
        f" runs of one shape, {AND} between their flags, are trained in one stack.",
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
    machine.add_argument("--device", default="cpu", help="cpu, cuda:N or mps [cpu]")
    machine.add_argument("--threads", type=int, default=1, metavar="N", help="CPU threads [1]")
    machine.add_argument("--compile", action="store_true", help="update under torch.compile")
    machine.add_argument(
        "--graphed",
        action=BooleanOptionalAction,
        help="update as one CUDA graph [on a CUDA device, where it can be captured]",
    )
    machine.add_argument(
        "--checkpoint_seconds",
        type=float,
        default=60.0,
        metavar="S",
        help="between checkpoints [60]",
    )
    machine.add_argument(
        "--allow_device_change",
        action="store_true",
        help="go on with what a CPU, or another model of GPU, has begun",
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
    arguments.device = devices.device_name(arguments.device)
    devices.check_precision(arguments.device, config)
    if arguments.threads < 1:
        raise ValueError(f"threads {arguments.threads}: at least 1")
    if not arguments.checkpoint_seconds >= 0:
        raise ValueError(f"checkpoint_seconds {arguments.checkpoint_seconds}: 0 or more")
    return config, folder


def printer(interval: float = 10.0, name: str = ""):
    """A `report` that prints a line at most every `interval` seconds, and the last row always.

    `name` opens each line.
    """
    printed = [0.0]

    def report(row, total):
        now = time.monotonic()
        if now - printed[0] >= interval or row["step"] in (0, total):
            printed[0] = now
            print(
                f"{name}step {row['step']}/{total}  epoch {row['epoch']:g}"
                f"  train loss {row['train_loss']:.4g} accuracy {row['train_accuracy']:.2%}"
                f"  test accuracy {row['test_accuracy']:.2%}"
                f"  collapse {row['softmax_collapse']:.1%}  norm {row['weight_norm']:.4g}",
                flush=True,
            )

    return report


def split(argv) -> list[list[str]]:
    """The flags of each run of a command line.

    Raises:
        ValueError: one line, for an --and that is first, last or doubled.
    """
    found = [list(words) for is_and, words in groupby(argv, lambda w: w == AND) if not is_and]
    if len(found) <= argv.count(AND):
        raise ValueError(f"{AND} stands between the flags of two runs; one side of it has none")
    return found


def resolve_together(parsed, catalog) -> list[tuple[RunConfig, Path]]:
    """(configuration, folder) of each run of one process.

    Raises:
        ValueError: one line, for anything that cannot be run, or not in one stack.
    """
    same = "device", "threads", "checkpoint_seconds", "force"
    for name in (*same, "allow_device_change"):
        if len({getattr(arguments, name) for arguments in parsed}) > 1:
            raise ValueError(f"--{name} differs between runs of one process; give one value to all")
    for flag in ("compile", "graphed", "track"):
        if any(getattr(arguments, flag) not in (None, False) for arguments in parsed):
            raise ValueError(f"--{flag} is of a run alone; drop it or {AND}")
    found = [resolve(arguments, catalog) for arguments in parsed]
    for config, path in found:
        why = stacking.why_alone(config)
        if why:
            raise ValueError(f"{path}: {why} cannot be trained in a stack; drop {AND}")
    for (ours, one), (theirs, other) in combinations(found, 2):
        if one.resolve() == other.resolve():
            raise ValueError(f"{one} is named twice; name each run once")
        apart = stacking.differences(ours, theirs)
        if apart:
            raise ValueError(f"{one} and {other} are no runs of one shape ({apart}); drop {AND}")
    return found


def prepare(arguments, alone: bool):
    """Loads what a run needs; `alone`: this process does nothing else.

    Raises:
        ValueError: one line, for a device that cannot be used.
    """
    if alone and arguments.device == "cpu":  # before torch asks
        os.environ.update(devices.HIDDEN)
    require("pandas", "torch")  # in this order: without NumPy torch warns, pandas says so
    devices.check([arguments.device])
    import torch

    torch.set_num_threads(arguments.threads)


def train_together(argv, catalog, stop, alone) -> int:
    """Trains the runs of a command line with --and; returns the exit code of the process."""
    parsed = [make_parser().parse_args(words) for words in split(argv)]
    found = resolve_together(parsed, catalog)
    arguments, code, courses, refused = parsed[0], 0, [], []
    prepare(arguments, alone)
    from training.stacked import Stacked

    with ExitStack() as folders:
        for config, path in found:
            name = f"{path.parent.name} {path.name}: "
            try:
                with ExitStack() as held:  # let go at once where it is not computed here
                    folder = held.enter_context(runs.RunFolder(path, config))
                    if runs.is_complete(path) and not arguments.force:
                        print(f"{path} is complete; --force runs it again")
                        continue
                    if arguments.force:
                        folder.clear()
                    course = Course(
                        config,
                        folder,
                        device=arguments.device,
                        report=printer(10.0, name),
                        environment=lambda config=config: environment(arguments, config),
                        allow_device_change=arguments.allow_device_change,
                    )
                    folders.enter_context(held.pop_all())
                courses.append(course)
                print(f"writing {path}", flush=True)
            except runs.RunError as error:  # the others go on without it
                refused.append(f"train.py: {error}")
                print(refused[-1], file=sys.stderr)
                code = max(code, 2 if not isinstance(error, runs.RunBusy) else runs.EXIT_BUSY)
        advance(
            courses,
            checkpoint_seconds=arguments.checkpoint_seconds,
            stop_asked=lambda: bool(stop),
            stacked=Stacked,
        )
    for course in courses:
        tell(course.summary, course.config, course.folder.path)
    for line in refused if courses else ():  # again: the launcher shows the end of a log
        print(line, file=sys.stderr)
    return code


def main(argv=None) -> int:
    alone, stop = argv is None, []  # a process of its own
    argv = sys.argv[1:] if alone else list(argv)
    # The last two: of batch systems, before they end a job.
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(number, lambda *_: stop.append(True))
    try:
        own = own_file(argv)
        catalog = CATALOG.with_file(own) if own is not None else CATALOG
        if len(split(argv)) > 1:
            return train_together(argv, catalog, stop, alone)
        arguments = make_parser().parse_args(argv)  # with the choices that the file adds
        config, path = resolve(arguments, catalog)
        if runs.is_complete(path) and not arguments.force and runs.read_config(path) == config:
            print(f"{path} is complete; --force runs it again")
            return 0
        tracked = trackers(arguments.track)
        prepare(arguments, alone)
        if arguments.graphed is None:
            from training import graphs

            arguments.graphed = graphs.by_default(config, arguments.device, arguments.compile)
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
            print(f"writing {path}", flush=True)
            summary = train(
                config,
                folder,
                device=arguments.device,
                compile=arguments.compile,
                graphed=arguments.graphed,
                checkpoint_seconds=arguments.checkpoint_seconds,
                stop_asked=lambda: bool(stop),
                report=report,
                environment=lambda: environment(arguments, config),
                allow_device_change=arguments.allow_device_change,
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
        line = devices.trouble(error, arguments.device)
        if line is None and own is None:
            raise
        line = line and line + (f", or fewer with {AND}" if AND in argv else "")
        print(f"train.py: {line or blame(error, own)}", file=sys.stderr)
        return 2
    tell(summary, config, path)
    return 0


def tell(summary: dict, config: RunConfig, path: Path):
    """Prints how a run ended."""
    if summary["diverged_at_step"] is not None:
        print(f"diverged: not finite at step {summary['diverged_at_step']}; its rows are kept")
    if summary["stopped_at_step"] is not None:
        print(
            f"stopped at step {summary['stopped_at_step']}: {config.stop_at} at least "
            f"{config.stop_level:g}"
        )
    print(f"complete after {summary['seconds']:.0f} s: {path}")


if __name__ == "__main__":
    sys.exit(main())
