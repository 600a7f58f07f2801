"""The loss on a plane of weight space around a network, and the surface around a finished run.

A surface has two random directions; landscape.py has the plane of trajectories, and the command
line of both.
"""

import numpy
import pandas
import torch
from torch import Tensor

import metrics
from configuration import runs
from training.session import Session

NORMALISATIONS = tuple(runs.SURFACES)
EXAMPLES = 2_048  # of the training and of the test set, the first ones


# ---------------------------------------------------------------------------------- networks


def load_session(folder) -> Session:
    """The data, loss and initial network of a run folder, on the CPU."""
    return Session(runs.read_config(folder))


def flatten(weights) -> Tensor:
    """(P,) float64: all tensors one after the other."""
    return torch.cat([w.detach().double().flatten() for w in weights])


# ---------------------------------------------------------------------------------- directions


def random_direction(weights: list[Tensor], normalisation: str, seed: int) -> list[Tensor]:
    """A Gaussian direction in weight space, normalised.

    Args:
        weights: the network's tensors.
        normalisation: "tensor": each tensor has norm 1, whatever the weights' norm, as in
            Grokking-in-Transformer. "filter": each row of a matrix (the weights into a unit, the
            vector of a token) has the norm of the weights' row, and vectors (biases, the scale and
            shift of a norm) are 0, as in Li et al.'s own experiments.
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


def loss_on_plane(
    session: Session, centre: list[Tensor], d1, d2, a, b, examples: int | None = None
) -> pandas.DataFrame:
    """The run's own loss at centre + a d1 + b d2, over the run's own training and test set.

    Args:
        session: of the run; its network is used and put back as it was.
        centre: the network's tensors at a = b = 0.
        d1, d2: directions, tensors of the same shapes.
        a, b: coordinates along d1 and d2.
        examples: of each set that are used, the first ones; None: all.

    Returns:
        A row for each pair: a, b, train_loss, test_loss (nats), train_accuracy, test_accuracy (0 to
        1); at a = b = 0, over all examples, exactly what the run records of that network (on the
        CPU, at one thread).
    """
    model, data = session.model, session.data
    parameters = list(model.parameters())
    kept = [p.detach().clone() for p in parameters]
    centre = [c.detach().clone() for c in centre]
    training, rows = model.training, []
    sets = {
        "train": (data.train_inputs[:examples], data.train_targets[:examples]),
        "test": (data.test_inputs[:examples], data.test_targets[:examples]),
    }

    def quantities(logits, targets):
        yield session.loss(logits, targets, reduction="none")
        yield logits.argmax(1) == targets

    model.eval()
    with torch.no_grad():
        for y in b:
            for x in a:
                for p, c, u, v in zip(parameters, centre, d1, d2, strict=True):
                    p.copy_(c.double() + float(x) * u + float(y) * v)
                losses, accuracies = {}, {}
                for name, (inputs, targets) in sets.items():
                    terms, right = metrics.by_example(model, inputs, targets, quantities)
                    losses[f"{name}_loss"] = terms.mean().item()
                    accuracies[f"{name}_accuracy"] = right.sum().item() / len(targets)
                rows.append({"a": float(x), "b": float(y)} | losses | accuracies)
        for p, k in zip(parameters, kept, strict=True):
            p.copy_(k)
    model.train(training)
    return pandas.DataFrame(rows)


# ---------------------------------------------------------------------------------- surfaces


def surface(
    folder,
    normalisation: str = "tensor",
    *,
    seed: int = 0,
    radius: float = 1.0,
    points: int = 21,
    examples: int | None = EXAMPLES,
) -> pandas.DataFrame:
    """The loss around a run's last network, along two random directions.

    Args:
        folder: of a run with a checkpoint, finished or not.
        normalisation: of the directions, see `random_direction`.
        seed: of the directions; runs whose networks have the same shapes get the same ones, but for
            the norms that "filter" gives them.
        radius: the grid goes from -radius to radius along both; in steps of weight space for
            "tensor", in norms of the weights for "filter".
        points: per side, odd, so that the network itself is on the grid.
        examples: of the run's own training set and of its test set, the first ones; None: all.

    Returns:
        What `loss_on_plane` returns, and in each row seed, train_examples and test_examples.

    Raises:
        ValueError: for an unknown normalisation, an even grid, a radius or a number of examples
            that is not above 0.
        runs.RunError: the folder has no configuration or no checkpoint.

    Source: Grokking-in-Transformer, whose surfaces have 100 points per side, without the centre,
    another split than the run's, and directions without a seed.
    """
    if examples is not None and examples < 1:
        raise ValueError(
            f"examples {examples}: at least 1, or leave it out for the first {EXAMPLES}"
        )
    if not 0 < radius < float("inf"):
        raise ValueError(f"radius {radius:g}: choose one above 0, such as 1")
    along = grid(-radius, radius, points)
    session = load_session(folder)
    session.model.load_state_dict(runs.load_final_state(folder))
    centre = list(session.model.parameters())
    d1, d2 = (random_direction(centre, normalisation, 2 * seed + k) for k in (0, 1))
    table = loss_on_plane(session, centre, d1, d2, along, along, examples)
    used = {
        f"{name}_examples": min(len(targets), examples or len(targets))
        for name, targets in (
            ("train", session.data.train_targets),
            ("test", session.data.test_targets),
        )
    }
    return table.assign(seed=seed, **used)
