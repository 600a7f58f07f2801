"""What the operations of configuration/choices.py need beside arithmetic: inverses, permutations.

No product leaves int64 below p = 10^6.
"""

import itertools

import torch
from torch import Tensor

from configuration.choices import OPERATIONS


def inverses(p: int) -> Tensor:
    """(p,) table of multiplicative inverses modulo a prime p; entry 0 is 0 and never used."""
    return torch.tensor([0] + [pow(y, -1, p) for y in range(1, p)])


def divide(x: Tensor, y: Tensor, p: int) -> Tensor:
    """x y^-1 mod p, the z with z y = x mod p; 0 < y < p, p prime."""
    return (x * inverses(p)[y]) % p


def odd_divide(x: Tensor, y: Tensor, p: int) -> Tensor:
    """x / y for odd y, else x - y; the parity is that of the integer 0 to p - 1, and 0 is even."""
    return torch.where(y % 2 == 1, divide(x, y, p), (x - y) % p)


# (120, 5): permutation k sends i to PERMUTATIONS[k, i]. In lexicographic order; 0 is the identity.
PERMUTATIONS = torch.tensor(list(itertools.permutations(range(5))))


def then(a: Tensor, b: Tensor) -> Tensor:
    """Permutation a followed by b: i -> b[a[i]]; both (..., 5)."""
    return b.gather(-1, a)


def inverse(a: Tensor) -> Tensor:
    """The permutation that undoes a, (..., 5): j -> the i with a[i] = j."""
    return a.argsort(-1)


def before(a: Tensor, b: Tensor) -> Tensor:
    """b first, then a: i -> a[b[i]]."""
    return then(b, a)


def then_inverse(a: Tensor, b: Tensor) -> Tensor:
    """a first, then what undoes b."""
    return then(a, inverse(b))


def conjugate(a: Tensor, b: Tensor) -> Tensor:
    """a b a^-1, a first."""
    return then(then(a, b), inverse(a))


def sandwich(a: Tensor, b: Tensor) -> Tensor:
    """a b a, a first."""
    return then(then(a, b), a)


def permutation_result(name: str, x: Tensor, y: Tensor) -> Tensor:
    """Result of an operation on numbered permutations.

    Args:
        name: of one of OPERATIONS on permutations.
        x, y: (N,) int64, rows of PERMUTATIONS, 0 to 119.

    Returns:
        (N,) int64, row of the result.
    """
    images = OPERATIONS[name].load()(PERMUTATIONS[x], PERMUTATIONS[y])  # (N, 5)
    digits = torch.tensor([5**4, 5**3, 5**2, 5, 1])  # as digits the rows are in rising order
    return torch.searchsorted((PERMUTATIONS * digits).sum(1), (images * digits).sum(1))
