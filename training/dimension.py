"""Local intrinsic dimension of a transformer's hidden states, as grokking-via-lid measures it.

Hidden states of a layer, without repeated rows, sampled without replacement; each point's dimension
is estimated from its nearest neighbours among the sample. All in float64.

Letters: N points, D width, L neighbours, M points of a neighbourhood or of a whole set.
"""

import torch
from torch import Tensor

import metrics

SEED = 778  # of the sample, that of grokking-via-lid; torch's own generator is left alone
SEQUENCES = 51_200  # of a set that are looked at, the first ones: as many as there, 100 x 512
DISCARDED = 0.1  # of a set's ratios, the largest ones
NOISE = 0.05  # of the largest variance, below which a principal direction does not count
CANDIDATES = 8  # nearest points whose distances are formed again, exactly
LOSSY = 1e-4  # squared distance over squared radius, below which a product has lost 4 digits
NEAREST_ROWS = 64  # of the table of all distances that are held at once
CHUNK = 2**17  # numbers of neighbourhoods held at once: one core's cache
ESTIMATORS = ("twonn", "lpca")


# ------------------------------------------------------------------------------- hidden states


def positions(config, count: int) -> list[int]:
    """The places of `count` tokens that config.dimension_tokens takes: all, operands or last.

    The operands of `x op y =` are at 0 and 2, one place later after an end-of-sequence token; a
    data set without signs has nothing but operands.
    """
    if config.dimension_tokens == "last":
        return [count - 1]
    if config.dimension_tokens == "all" or config.dataset != "tokens":
        return list(range(count))
    first = int(config.leading_eos)
    return list(range(first, first + 2 * config.terms, 2))


@torch.no_grad()
def hidden_states(model, tokens: Tensor, layer: int, places: list[int]) -> Tensor:
    """Output of a transformer's layer, before the final norm, in evaluation mode.

    Args:
        model: a `models.Transformer`; handed back in the mode it came in.
        tokens: (n, T) integers.
        layer: from 0, or from the end for negative numbers.
        places: P positions of the T.

    Returns:
        (n P, D) in the model's precision, example by example.
    """
    training = model.training
    model.eval()
    pieces = [
        model.hidden_states(tokens[s], layer)[:, places].flatten(0, 1)
        for s in metrics.slices(tokens)
    ]
    model.train(training)
    return torch.cat(pieces)


def seen(tokens: Tensor, places: list[int], causal: bool) -> Tensor:
    """What the hidden state of each place depends on, in the order of `hidden_states`.

    States that depend on the same are equal, but for rounding where they were computed in pieces of
    unequal size (R18).

    Args:
        tokens: (n, T) integers.
        places: P positions of the T.
        causal: whether a place sees only itself and the places before it.

    Returns:
        (n P, T + 1) integers: the tokens, those that the place does not see as -1, and the place.
    """
    count = tokens.shape[1]
    place = torch.tensor(places, device=tokens.device)[:, None]  # (P, 1)
    hidden = causal & (torch.arange(count, device=tokens.device) > place)  # (P, T)
    rows = tokens[:, None].masked_fill(hidden, -1)  # (n, P, T)
    return torch.cat([rows, place.expand(len(tokens), -1, 1)], dim=2).flatten(0, 1)


def first_of_each(rows: Tensor) -> Tensor:
    """Where each distinct row appears first, in that order."""
    _, which = torch.unique(rows, dim=0, return_inverse=True)
    order = torch.arange(len(rows), device=rows.device)
    first = order.new_full((len(rows),), len(rows)).scatter_reduce(0, which, order, "amin")
    return first[first < len(rows)].sort().values


def distinct(rows: Tensor) -> Tensor:
    """The rows without exact repetitions, in the order of their first appearance."""
    return rows[first_of_each(rows)]


def sample(rows: Tensor, count: int, seed: int = SEED) -> Tensor:
    """`count` of the rows, without replacement; all where there are no more."""
    if len(rows) <= count:
        return rows
    order = torch.randperm(len(rows), generator=torch.Generator().manual_seed(seed))
    return rows[order[:count].to(rows.device)]


# ---------------------------------------------------------------------------------- estimators


def nearest(points: Tensor, count: int) -> Tensor:
    """(N, count) indices of each point's nearest others, nearest first; Euclidean, count < N."""
    centred = points - points.mean(0)  # small numbers: squares below lose few digits
    squares = centred.square().sum(1)  # (N,)
    found = []
    for own in torch.arange(len(points), device=points.device).split(NEAREST_ROWS):
        distances = squares - 2 * centred[own] @ centred.t()  # |x|^2 of the own point left out
        distances.scatter_(1, own[:, None], torch.inf)
        found.append(distances.topk(count, largest=False).indices)
    return torch.cat(found)


def two_nn(ratios: Tensor) -> Tensor:
    """TwoNN: the slope through the origin of -ln(1 - F) on ln(r2 / r1).

    The ratios are sorted, the largest tenth of them is discarded, and the i-th of M has F = i / M.

    Args:
        ratios: (..., M) float64, second-nearest to nearest distance, at least 1.

    Returns:
        (...) dimension; NaN where fewer than 2 ratios are kept, or all kept ones are 1.

    Source: Facco et al. (2017), Estimating the intrinsic dimension of datasets by a minimal
    neighborhood information; details as in scikit-dimension 0.5.0.
    """
    total = ratios.shape[-1]
    kept = int(total * (1 - DISCARDED))
    if kept < 2:
        return ratios.new_full(ratios.shape[:-1], torch.nan)
    x = ratios.sort(-1).values[..., :kept].log()
    rank = torch.arange(1, kept + 1, dtype=ratios.dtype, device=ratios.device)
    y = -(1 - rank / total).log()
    return (x * y).sum(-1) / x.square().sum(-1)


def global_two_nn(points: Tensor, near: Tensor) -> Tensor:
    """TwoNN of all points (N, D) as one set; near: (N, K) each one's nearest, K >= 2."""
    differences = points[near[:, :CANDIDATES]] - points[:, None]  # (N, K, D)
    distances = differences.square().sum(-1).sort(-1).values.sqrt()
    return two_nn(distances[:, 1] / distances[:, 0])


def local_two_nn(points: Tensor, near: Tensor) -> Tensor:
    """TwoNN of each point's neighbourhood, on distances within the neighbourhood.

    Args:
        points: (N, D) float64, distinct.
        near: (N, L) indices of each point's neighbours, itself excluded, L >= 3.

    Returns:
        (N,) dimensions.
    """
    found = []
    itself = torch.eye(near.shape[1], dtype=torch.bool, device=points.device)  # (L, L)
    for group in _neighbourhoods(points, near):  # (B, L, D), centred
        # |x - y|^2 = |x|^2 + |y|^2 - 2 x y, a matrix product, loses digits where it is far smaller
        # than |x|^2; there the nearest few distances are formed from the differences, exactly.
        lengths = group.square().sum(-1)  # (B, L)
        products = torch.bmm(group, group.mT)
        squares = lengths[:, None] + lengths[:, :, None] - 2 * products  # (B, L, L)
        two = squares.masked_fill_(itself, torch.inf).topk(2, largest=False).values  # (B, L, 2)
        lossy = two[..., 0] < LOSSY * lengths.amax(1, keepdim=True)
        which, own = lossy.nonzero(as_tuple=True)
        if len(which):
            few = min(CANDIDATES, near.shape[1] - 1)
            few = squares[which, own].topk(few, largest=False).indices  # (W, K)
            exact = (group[which[:, None], few] - group[which, own][:, None]).square().sum(-1)
            two[which, own] = exact.topk(2, largest=False).values
        found.append(two_nn((two[..., 1] / two[..., 0]).sqrt()))
    return torch.cat(found)


def local_pca(points: Tensor, near: Tensor) -> Tensor:
    """Number of principal directions of each neighbourhood with over 5 % of the largest variance.

    Args, Returns: as for `local_two_nn`; NaN for a neighbourhood that is not finite.

    Source: Fukunaga and Olsen (1971); scikit-dimension's lPCA with ver "FO" and alphaFO 0.05.
    """
    found = []
    for group in _neighbourhoods(points, near):  # (B, L, D), centred
        low = group if group.shape[1] < group.shape[2] else group.mT
        products = low @ low.mT
        # Of a network that has diverged: eigvalsh would raise, and the run lose its last row.
        broken = ~products.isfinite().flatten(1).all(1)  # (B,)
        products = products.masked_fill(broken[:, None, None], 0.0)
        variances = torch.linalg.eigvalsh(products)  # ascending, times L - 1
        directions = (variances > NOISE * variances[:, -1:]).sum(1).double()
        found.append(directions.masked_fill(broken, torch.nan))
    return torch.cat(found)


def _neighbourhoods(points, near):
    """(B, L, D) neighbourhoods of consecutive points, each centred on its mean."""
    for part in near.split(max(1, CHUNK // (near.shape[1] * points.shape[1]))):
        group = points[part]
        yield group - group.mean(1, keepdim=True)


def estimate(states: Tensor, count: int, neighbors: int, estimator: str = "twonn") -> list[Tensor]:
    """Mean and standard deviation of the local dimension over the points, and the global TwoNN.

    Args:
        states: (n, D) hidden states, repeated rows allowed.
        count: N, points that are sampled of the distinct rows.
        neighbors: L, size of each point's neighbourhood.
        estimator: "twonn" or "lpca", of the local dimension.

    Returns:
        Three 0-dimensional float64 tensors; NaN for the first two with L distinct rows or fewer,
        for the third with fewer than 3. A point without an estimate (a lattice's equal
        distances) is left out of mean and standard deviation, the square root of a mean square.

    Raises:
        ValueError: for an unknown estimator.

    Source: grokking-via-lid.
    """
    if estimator not in ESTIMATORS:
        raise ValueError(f"unknown estimator '{estimator}'; choose from {', '.join(ESTIMATORS)}")
    points = sample(distinct(states), count).double()
    missing = torch.full((), torch.nan, dtype=torch.float64, device=points.device)
    if len(points) < 3:
        return [missing] * 3
    enough = len(points) > neighbors
    near = nearest(points, neighbors if enough else min(CANDIDATES, len(points) - 1))
    mean = deviation = missing
    if enough:
        local = (local_two_nn if estimator == "twonn" else local_pca)(points, near)
        mean = local.nanmean()
        deviation = (local - mean).square().nanmean().sqrt()
    return [mean, deviation, global_two_nn(points, near)]


def measure(model, tokens: Tensor, *, layer, places, count, neighbors, estimator) -> list[Tensor]:
    """`estimate` of the hidden states of the first SEQUENCES rows of tokens (n, T).

    Waits for the device: how many distinct states there are decides what is computed.
    """
    tokens = tokens[:SEQUENCES]
    states = hidden_states(model, tokens, layer, places)
    states = states[first_of_each(seen(tokens, places, model.causal))]
    return estimate(states, count, neighbors, estimator)
