"""The loss on planes of weight space, as tables beside a run (paper, Figure 7).

    python -m weights.landscape runs/add_sgd/seed_42 runs/add_sgd_wd/seed_42   # one plane
    python -m weights.landscape --surface runs/add_sgd/seed_42 --normalisation filter --radius 1

The first form needs runs with --save_weights. Its plane goes through the initial network of the
first run along the two leading principal directions of all trajectories together; the loss is the
first run's own, on its own split. It writes landscape.csv (the loss on the grid) and
landscape_paths.csv (the trajectories in the plane) into the first folder. weight_panels.py draws
it; plots.py computes it where it is missing.

The second form needs a run with its checkpoint. It writes surface_tensor.csv or surface_filter.csv:
the loss around the run's last network along two random directions, by surface.py.
"""

import sys
from pathlib import Path

from configuration.interpreter import begin, end

if __name__ == "__main__":
    begin("numpy", "pandas", "torch")

import numpy
import pandas
import torch
from torch import Tensor

from configuration import runs
from configuration.flags import Parser
from weights.surface import (
    EXAMPLES,
    NORMALISATIONS,
    flatten,
    grid,
    load_session,
    loss_on_plane,
    surface,
)

ROWS = 201  # of each trajectory that are used, spread evenly
MARGIN = 0.2  # of the trajectories' extent, added to each side of the grid


# ---------------------------------------------------------------------------------- directions


def principal_directions(displacements) -> tuple[numpy.ndarray, numpy.ndarray]:
    """The two orthonormal directions that hold most of the squared length of the rows.

    Args:
        displacements: (R, P), how far each network is from the centre, R >= 2. They are not centred
            on their mean, so that the plane goes through the centre.

    Returns:
        (2, P) float64 directions, each with the sign that makes the rows' mean coordinate positive;
        (2,) shares of the squared length, 0 to 1.

    Raises:
        ValueError: the rows span no plane.
    """
    x = numpy.asarray(displacements, dtype=numpy.float64)
    squares, vectors = numpy.linalg.eigh(x @ x.T)  # (R,), (R, R): P is far larger than R
    top = squares[-2:][::-1]
    if len(squares) < 2 or not top[1] > 1e-12 * top[0]:
        raise ValueError("the trajectories lie on a line; give runs with more rows of weights")
    directions = vectors[:, -2:].T[::-1] @ x / numpy.sqrt(top)[:, None]  # (2, P)
    signs = numpy.where((x @ directions.T).sum(0) < 0, -1.0, 1.0)
    return directions * signs[:, None], top / numpy.trace(x @ x.T)


# ---------------------------------------------------------------------------------- trajectories


def project(steps, displacements, centre, directions) -> pandas.DataFrame:
    """A trajectory in the plane.

    Args:
        steps: (R,) updates applied.
        displacements: (R, P) from the centre.
        centre: (P,) the weights there.
        directions: (2, P) orthonormal.

    Returns:
        A row per step: a, b; radial_a, radial_b, the in-plane part of the unit vector along the
        weights, the direction of naive loss minimization of a homogeneous network (paper, Def. 5
        and 6); in_plane, the share of the displacement's squared length that the plane holds.
    """
    x = numpy.asarray(displacements, dtype=numpy.float64)
    weights = x + numpy.asarray(centre, dtype=numpy.float64)
    ab = x @ directions.T  # (R, 2)
    radial = weights @ directions.T / numpy.linalg.norm(weights, axis=1)[:, None]
    squares = (x**2).sum(1)
    share = numpy.divide((ab**2).sum(1), squares, out=numpy.ones(len(x)), where=squares > 0)
    columns = (steps, ab[:, 0], ab[:, 1], radial[:, 0], radial[:, 1], share)
    names = ("step", "a", "b", "radial_a", "radial_b", "in_plane")
    return pandas.DataFrame(dict(zip(names, columns, strict=True)))


def trajectory_plane(folders, points: int) -> tuple[pandas.DataFrame, pandas.DataFrame]:
    """(loss on the grid, trajectories) of runs with saved weights; see the head of this file.

    Raises:
        ValueError: the runs differ in data, network or initial weights.
        runs.RunError: a run has no saved weights.
    """
    session = load_session(folders[0])
    centre = list(session.model.parameters())
    start = flatten(centre).numpy()  # (P,)
    ways = []
    for folder in folders:
        steps, weights = runs.read_weights(folder)
        data = load_session(folder).data
        same = weights.shape[1:] == start.shape and numpy.array_equal(weights[0], start)
        if not same or not _same_data(session.data, data):
            raise ValueError(
                f"{folder} does not start from the network and data of {folders[0]}; give runs of"
                " one task, network and seed"
            )
        used = numpy.linspace(0, len(steps) - 1, min(ROWS, len(steps))).astype(int)
        ways.append((steps[used], numpy.asarray(weights[used], dtype=numpy.float64) - start))
    directions, _ = principal_directions(numpy.concatenate([way for _, way in ways]))
    paths = pandas.concat(
        [
            project(steps, way, start, directions).assign(run=Path(folder).resolve().parent.name)
            for folder, (steps, way) in zip(folders, ways, strict=True)
        ],
        ignore_index=True,
    )
    axes = []
    for name in "ab":
        low, high = min(paths[name].min(), 0.0), max(paths[name].max(), 0.0)
        margin = MARGIN * (high - low)
        axes.append(grid(low - margin, high + margin, points))
    d1, d2 = (_unflatten(d, centre) for d in directions)
    return loss_on_plane(session, centre, d1, d2, *axes), paths


def _unflatten(vector, like) -> list[Tensor]:
    parts = torch.as_tensor(vector).double().split([w.numel() for w in like])
    return [part.view_as(w) for part, w in zip(parts, like, strict=True)]


def _same_data(one, other) -> bool:
    parts = ("train_inputs", "train_targets", "test_inputs", "test_targets")
    pairs = [(getattr(one, p), getattr(other, p)) for p in parts]
    return all(x.shape == y.shape and torch.equal(x.double(), y.double()) for x, y in pairs)


# ---------------------------------------------------------------------------------- command line


def main(argv=None) -> int:
    """The command line; returns the exit code."""
    parser = Parser(
        prog="landscape.py",
        description="Writes the loss on a plane of weight space as a table.",
        allow_abbrev=False,
    )
    parser.add_argument("folders", nargs="*", metavar="FOLDER", help="runs with --save_weights")
    parser.add_argument("--grid", type=int, help="points per side, odd [31, of a surface 21]")
    around = parser.add_argument_group("the surface around a run's last network")
    around.add_argument("--surface", metavar="RUN_FOLDER", help="the run")
    around.add_argument(
        "--normalisation",
        choices=NORMALISATIONS,
        help="each tensor of a direction has norm 1, or each row the norm of the weights' [tensor]",
    )
    around.add_argument("--radius", type=float, metavar="R", help="of the grid, +- [1]")
    around.add_argument("--seed", type=int, help="of the random directions [0]")
    around.add_argument(
        "--examples", type=int, metavar="N", help=f"of each set, the first ones [{EXAMPLES}]"
    )
    given = parser.parse_args(argv)
    names = ("normalisation", "radius", "seed", "examples")
    options = {n: v for n in names if (v := getattr(given, n)) is not None}
    if given.grid is not None:
        options["points"] = given.grid
    torch.set_num_threads(1)
    try:
        if bool(given.folders) == (given.surface is not None):
            raise ValueError("give run folders for their plane, or --surface and one run folder")
        if given.folders:
            points = options.pop("points", 31)
            if options:
                raise ValueError(f"--{next(iter(options))} is of --surface; add that or drop this")
            first = Path(given.folders[0])
            table, paths = trajectory_plane(given.folders, points)
            written = {runs.LANDSCAPE: table, runs.PATHS: paths}
        else:
            first = Path(given.surface)
            written = {runs.SURFACES[given.normalisation or "tensor"]: surface(first, **options)}
        texts = {name: table.to_csv(index=False) for name, table in written.items()}
        runs.write_derived(first, texts)
        for name in texts:
            print(first / name)
    except (OSError, ValueError, runs.RunError) as error:
        print(f"landscape.py: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    end(main)
