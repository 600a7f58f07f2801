"""Binary operations as exact integer functions: arithmetic modulo p, permutations of five things.

Names are those of config_rules.MODULAR_OPERATIONS and PERMUTATION_OPERATIONS.
"""

import itertools

import torch
from torch import Tensor


def inverses(p: int) -> Tensor:
    """(p,) table of multiplicative inverses modulo a prime p; entry 0 is 0 and never used."""
    return torch.tensor([0] + [pow(y, -1, p) for y in range(1, p)])


def divide(x: Tensor, y: Tensor, p: int) -> Tensor:
    """x y^-1 mod p, the z with z y = x mod p; 0 < y < p, p prime."""
    return (x * inverses(p)[y]) % p


# name -> result, 0 to p - 1, of int64 tensors x, y of one shape with values from 0. No product
# leaves int64 below p = 10^6. Up to divide_mod those of the paper, then those of Power et al.
# (2022), appendix A.1, as openai/grok computes them.
# D5, D6: the authors reduce modulo 113 whatever p is, and their division is floor division.
OPERATIONS = {
    "add_mod": lambda x, y, p: (x + y) % p,
    "product_mod": lambda x, y, p: (x * y) % p,
    "subtract_mod": lambda x, y, p: (x - y) % p,
    "divide_mod": divide,
    "square_add_mod": lambda x, y, p: (x**2 + y) % p,
    "cube_add_mod": lambda x, y, p: (x**3 + y) % p,
    "x2_y2_mod": lambda x, y, p: (x**2 + y**2) % p,
    "x2_xy_y2_mod": lambda x, y, p: (x**2 + x * y + y**2) % p,
    "x2_xy_y2_x_mod": lambda x, y, p: (x**2 + x * y + y**2 + x) % p,
    "x3_xy_mod": lambda x, y, p: (x**3 + x * y) % p,
    "x3_xy2_y_mod": lambda x, y, p: (x**3 + x * y**2 + y) % p,
    # The parity is that of the integer from 0 to p - 1; 0, even, is never divided by.
    "odd_divide_mod": lambda x, y, p: torch.where(y % 2 == 1, divide(x, y, p), (x - y) % p),
    "even_add_odd_product_mod": lambda x, y, p: torch.where(x % 2 == 0, x + y, x * y) % p,
    "even_add_odd_subtract_mod": lambda x, y, p: torch.where(x % 2 == 0, x + y, x - y) % p,
}

# (120, 5): permutation k sends i to PERMUTATIONS[k, i]. In lexicographic order; 0 is the identity.
PERMUTATIONS = torch.tensor(list(itertools.permutations(range(5))))


def then(a: Tensor, b: Tensor) -> Tensor:
    """Permutation a followed by b: i -> b[a[i]]; both (..., 5)."""
    return b.gather(-1, a)


def inverse(a: Tensor) -> Tensor:
    """The permutation that undoes a, (..., 5): j -> the i with a[i] = j."""
    return a.argsort(-1)


# name -> result of permutations a, b as (..., 5) images.
PERMUTATION_OPERATIONS = {
    "s5": then,  # c[i] = b[a[i]]: openai/grok
    "s5_b_first": lambda a, b: then(b, a),  # c[i] = a[b[i]]: aidos-lab/grokking-via-lid
    "s5_inverse": lambda a, b: then(a, inverse(b)),  # c[i] = b.index(a[i]): BendeguzToth/grokking
    "s5_conj": lambda a, b: then(then(a, b), inverse(a)),  # a b a^-1, a first: openai/grok
    "s5_aba": lambda a, b: then(then(a, b), a),  # a b a, a first: openai/grok
}


def permutation_result(name: str, x: Tensor, y: Tensor) -> Tensor:
    """Result of an operation of PERMUTATION_OPERATIONS on numbered permutations.

    Args:
        name: which one.
        x, y: (N,) int64, rows of PERMUTATIONS, 0 to 119.

    Returns:
        (N,) int64, row of the result.
    """
    images = PERMUTATION_OPERATIONS[name](PERMUTATIONS[x], PERMUTATIONS[y])  # (N, 5)
    digits = torch.tensor([5**4, 5**3, 5**2, 5, 1])  # as digits the rows are in rising order
    return torch.searchsorted((PERMUTATIONS * digits).sum(1), (images * digits).sum(1))
