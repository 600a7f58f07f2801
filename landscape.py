"""The loss on a plane of weight space around a network, from run folders (paper, Figure 7).

    python landscape.py runs/add_sgd/seed_42 runs/add_sgd_wd/seed_42      # Figure 7's plane
    python landscape.py runs/add_sgd/seed_42 --directions filter --seed 3  # around its last network

The first form needs runs with --save_weights. Its plane goes through the initial network of the
first run along the two leading principal directions of all trajectories together; the loss is the
first run's own, on its own split. It writes landscape.csv (the loss on the grid) and
landscape_paths.csv (the trajectories in the plane) into the first folder. The second form writes
landscape_filter.csv or landscape_tensor.csv. panels_weights.py draws the first; plots.py computes
it where it is missing.
"""

import argparse
import sys
from pathlib import Path

import numpy
import pandas
import torch
from torch import Tensor

import metrics
import runs
from session import Session

ROWS = 201  # of each trajectory that are used, spread evenly
MARGIN = 0.2  # of the trajectories' extent, added to each side of the grid
NORMALISATIONS = ("tensor", "filter")


# ---------------------------------------------------------------------------------- networks


def load_session(folder) -> Session:
    """The data, loss and initial network of a run folder, on the CPU."""
    return Session(runs.read_config(folder))


def flatten(weights) -> Tensor:
    """(P,) float64: all tensors one after the other."""
    return torch.cat([w.detach().double().flatten() for w in weights])


def _unflatten(vector, like) -> list[Tensor]:
    parts = torch.as_tensor(vector).double().split([w.numel() for w in like])
    return [part.view_as(w) for part, w in zip(parts, like, strict=True)]


# ---------------------------------------------------------------------------------- directions


def random_direction(weights: list[Tensor], normalisation: str, seed: int) -> list[Tensor]:
    """A Gaussian direction in weight space, normalised.

    Args:
        weights: the network's tensors.
        normalisation: "tensor": each tensor has norm 1. "filter": each row of a matrix has the
            norm of the weights' row, and vectors (biases, norms) are 0.
        seed: of the Gaussian; the same seed gives the same direction under either normalisation
            but for these norms.

    Returns:
        float64 tensors of the weights' shapes.

    Raises:
        ValueError: for an unknown normalisation.

    Source: filter normalisation of Li et al. (2018), Visualizing the Loss Landscape of Neural Nets.
    """
    if normalisation not in NORMALISATIONS:
        raise ValueError(
            f"unknown normalisation '{normalisation}'; choose from {', '.join(NORMALISATIONS)}"
        )
    generator = torch.Generator().manual_seed(seed)
    direction = []
    for weight in weights:
        d = torch.randn(weight.shape, dtype=torch.float64, generator=generator)
        if normalisation == "tensor":
            d /= d.norm()
        elif weight.dim() < 2:
            d.zero_()
        else:
            rows = weight.detach().double().flatten(1).norm(dim=1)  # (rows,)
            scale = rows / d.flatten(1).norm(dim=1)
            d *= scale.view(-1, *[1] * (d.dim() - 1))
        direction.append(d)
    return direction


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


# ---------------------------------------------------------------------------------- the plane


def grid(low: float, high: float, points: int) -> numpy.ndarray:
    """`points` evenly spaced values that contain 0 exactly and cover low <= 0 <= high.

    Raises:
        ValueError: points is even or below 3, or the range does not contain 0.
    """
    if points < 3 or points % 2 == 0:
        raise ValueError(f"grid {points}: give an odd number, 3 or more, such as 31")
    if not low <= 0 <= high or not low < high:
        raise ValueError(f"range {low:g} to {high:g}: it has to contain 0, the centre")
    # One interval is spared for moving the grid so that a point falls on 0.
    spare = 0 if low == -high else 1
    step = (high - low) / (points - 1 - spare)
    below = round(-low / step) if spare == 0 else int(numpy.ceil(-low / step - 1e-9))
    return step * (numpy.arange(points) - below)


def loss_on_plane(session: Session, centre: list[Tensor], d1, d2, a, b) -> pandas.DataFrame:
    """The run's own loss at centre + a d1 + b d2, over the run's own training and test set.

    Args:
        session: of the run; its network is used and put back as it was.
        centre: the network's tensors at a = b = 0.
        d1, d2: directions, tensors of the same shapes.
        a, b: coordinates along d1 and d2.

    Returns:
        A row for each pair: a, b, train_loss, test_loss (nats), train_accuracy, test_accuracy (0 to
        1); at a = b = 0 exactly what the run records of that network (on the CPU, at one thread).
    """
    model, data = session.model, session.data
    parameters = list(model.parameters())
    kept = [p.detach().clone() for p in parameters]
    centre = [c.detach().clone() for c in centre]
    training, rows = model.training, []
    sets = {
        "train": (data.train_inputs, data.train_targets),
        "test": (data.test_inputs, data.test_targets),
    }
    model.eval()
    with torch.no_grad():
        for y in b:
            for x in a:
                for p, c, u, v in zip(parameters, centre, d1, d2, strict=True):
                    p.copy_(c.double() + float(x) * u + float(y) * v)
                losses, accuracies = {}, {}
                for name, (inputs, targets) in sets.items():
                    logits = model(inputs)  # (N, C)
                    loss = session.loss(logits, targets, reduction="none").mean()
                    right = metrics.correct_count(logits, targets).item()
                    losses[f"{name}_loss"] = loss.item()
                    accuracies[f"{name}_accuracy"] = right / len(targets)
                rows.append({"a": float(x), "b": float(y)} | losses | accuracies)
        for p, k in zip(parameters, kept, strict=True):
            p.copy_(k)
    model.train(training)
    return pandas.DataFrame(rows)


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


def _same_data(one, other) -> bool:
    parts = ("train_inputs", "train_targets", "test_inputs", "test_targets")
    pairs = [(getattr(one, p), getattr(other, p)) for p in parts]
    return all(x.shape == y.shape and torch.equal(x.double(), y.double()) for x, y in pairs)


def random_plane(folder, normalisation, seed, reach, points) -> pandas.DataFrame:
    """The loss around a run's last network, along two random directions out to +- reach."""
    session = load_session(folder)
    session.model.load_state_dict(runs.load_final_state(folder))
    centre = list(session.model.parameters())
    d1, d2 = (random_direction(centre, normalisation, 2 * seed + k) for k in (0, 1))
    along = grid(-reach, reach, points)
    return loss_on_plane(session, centre, d1, d2, along, along)


# ---------------------------------------------------------------------------------- command line


def main(argv=None) -> int:
    """The command line; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="landscape.py", description="Writes the loss on a plane of weight space as a table."
    )
    parser.add_argument("folders", nargs="+", metavar="FOLDER", help="run folders with weights")
    parser.add_argument(
        "--directions",
        choices=("pca", *NORMALISATIONS),
        default="pca",
        help="principal directions of the trajectories, or random ones of this normalisation [pca]",
    )
    parser.add_argument("--seed", type=int, default=0, help="of the random directions [0]")
    parser.add_argument("--reach", type=float, default=1.0, help="of the random grid, +- [1]")
    parser.add_argument("--grid", type=int, default=31, help="points per side, odd [31]")
    given = parser.parse_args(argv)
    torch.set_num_threads(1)
    first = Path(given.folders[0])
    try:
        if given.directions == "pca":
            table, paths = trajectory_plane(given.folders, given.grid)
            written = {first / runs.LANDSCAPE: table, first / runs.PATHS: paths}
        else:
            if len(given.folders) > 1:
                raise ValueError(f"{given.folders[1]}: random directions are around one network")
            table = random_plane(first, given.directions, given.seed, given.reach, given.grid)
            name = Path(runs.LANDSCAPE).stem
            written = {first / f"{name}_{given.directions}.csv": table}
    except (ValueError, runs.RunError) as error:
        print(f"landscape.py: {error}", file=sys.stderr)
        return 2
    for path, content in written.items():
        content.to_csv(path, index=False)
        print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
