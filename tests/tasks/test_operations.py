"""Every operation over its whole table: against Python's integers, and sympy's permutations."""

import itertools

import pytest
import torch
from sympy.combinatorics import Permutation

from configuration import rules
from configuration.choices import OPERATIONS
from tasks import operations

# Written otherwise than in operations.py, for Python's own integers.
EXACT = {
    "add_mod": lambda x, y, p: (x + y) % p,
    "product_mod": lambda x, y, p: sum([x] * y) % p,
    "subtract_mod": lambda x, y, p: (x + p - y) % p,
    "divide_mod": lambda x, y, p: x * pow(y, -1, p) % p,
    "square_add_mod": lambda x, y, p: (pow(x, 2, p) + y) % p,
    "cube_add_mod": lambda x, y, p: (pow(x, 3, p) + y) % p,
    "x2_y2_mod": lambda x, y, p: ((x + y) ** 2 - 2 * x * y) % p,
    "x2_xy_y2_mod": lambda x, y, p: ((x + y) ** 2 - x * y) % p,
    "x2_xy_y2_x_mod": lambda x, y, p: (x * (x + y + 1) + y * y) % p,
    "x3_xy_mod": lambda x, y, p: x * (x * x + y) % p,
    "x3_xy2_y_mod": lambda x, y, p: (x * (x * x + y * y) + y) % p,
    "odd_divide_mod": lambda x, y, p: (x * pow(y, p - 2, p) if y & 1 else x - y) % p,
    "even_add_odd_product_mod": lambda x, y, p: (x * y if x & 1 else x + y) % p,
    "even_add_odd_subtract_mod": lambda x, y, p: (x - y if x & 1 else x + y) % p,
}
PRIMES = (5, 7, 97)
ROWS = list(itertools.permutations(range(5)))
NUMBER = {row: k for k, row in enumerate(ROWS)}
PAIRS = list(itertools.product(range(120), repeat=2))


def modular_table(name, p):
    """[(x, y, result)] over all pairs that have one."""
    first = int(OPERATIONS[name].nonzero)
    pairs = torch.cartesian_prod(torch.arange(p), torch.arange(first, p))
    results = OPERATIONS[name].load()(pairs[:, 0], pairs[:, 1], p)
    assert results.dtype == torch.int64
    return [(x, y, z) for (x, y), z in zip(pairs.tolist(), results.tolist(), strict=True)]


def permutation_table(name):
    """(120, 120) numbers of the results, a in the rows."""
    a, b = torch.tensor(PAIRS).unbind(1)
    return operations.permutation_result(name, a, b).view(120, 120)


def test_every_operation_of_the_configuration_is_tested_here():
    assert [*EXACT, *BY_SYMPY] == list(OPERATIONS)
    assert [name for name, entry in OPERATIONS.items() if entry.permutations] == list(BY_SYMPY)
    assert [name for name, entry in OPERATIONS.items() if entry.nonzero] == ["divide_mod"]
    assert len(operations.PERMUTATIONS) == rules.PERMUTATIONS


@pytest.mark.parametrize("p", PRIMES)
@pytest.mark.parametrize("name", EXACT)
def test_modular_operation_is_exact_over_its_whole_table(name, p):
    assert all(z == EXACT[name](x, y, p) for x, y, z in modular_table(name, p))


@pytest.mark.parametrize(
    ("name", "x", "y", "result"),
    [  # modulo 7, by hand
        ("divide_mod", 3, 2, 5),  # 5 * 2 = 10 = 3
        ("square_add_mod", 5, 4, 1),  # 29
        ("cube_add_mod", 3, 2, 1),  # 29
        ("x2_y2_mod", 3, 5, 6),  # 34
        ("x2_xy_y2_mod", 3, 5, 0),  # 49
        ("x2_xy_y2_x_mod", 3, 5, 3),  # 52
        ("x3_xy_mod", 2, 3, 0),  # 14
        ("x3_xy2_y_mod", 2, 3, 1),  # 8 + 18 + 3 = 29
        ("odd_divide_mod", 4, 3, 6),  # 6 * 3 = 18 = 4
        ("odd_divide_mod", 3, 4, 6),  # -1
        ("odd_divide_mod", 3, 0, 3),
        ("even_add_odd_product_mod", 4, 5, 2),
        ("even_add_odd_product_mod", 5, 4, 6),  # 20
        ("even_add_odd_subtract_mod", 4, 5, 2),
        ("even_add_odd_subtract_mod", 3, 5, 5),  # -2
    ],
)
def test_worked_out_results_modulo_7(name, x, y, result):
    assert OPERATIONS[name].load()(torch.tensor(x), torch.tensor(y), 7) == result


@pytest.mark.parametrize("p", (2, *PRIMES, 113))
def test_division_inverts_multiplication(p):
    rows = modular_table("divide_mod", p)
    assert len(rows) == p * (p - 1)
    assert all(0 <= z < p and z * y % p == x for x, y, z in rows)


# --------------------------------------------------------------------------- permutations


@pytest.fixture(scope="module")
def group():
    return [Permutation(list(row)) for row in ROWS]


BY_SYMPY = {  # in sympy's products the left factor is applied first
    "s5": lambda a, b: a * b,
    "s5_b_first": lambda a, b: b * a,
    "s5_inverse": lambda a, b: a * b**-1,
    "s5_conj": lambda a, b: a * b * a**-1,
    "s5_aba": lambda a, b: a * b * a,
}
PUBLISHED = {  # the place i of the result, as the three systems write it
    "s5": lambda a, b, i: b[a[i]],
    "s5_b_first": lambda a, b, i: a[b[i]],
    "s5_inverse": lambda a, b, i: b.index(a[i]),
}


def test_permutations_stand_in_the_order_of_itertools_the_identity_first():
    assert [tuple(row) for row in operations.PERMUTATIONS.tolist()] == ROWS
    assert ROWS[0] == (0, 1, 2, 3, 4)


@pytest.mark.parametrize("name", BY_SYMPY)
def test_every_product_is_sympys(name, group):
    table = permutation_table(name).flatten().tolist()
    product = BY_SYMPY[name]
    for (a, b), c in zip(PAIRS, table, strict=True):
        assert group[c] == product(group[a], group[b])


@pytest.mark.parametrize("name", PUBLISHED)
def test_every_place_of_a_product_is_the_published_one(name):
    table = permutation_table(name).flatten().tolist()
    for (a, b), c in zip(PAIRS, table, strict=True):
        assert ROWS[c] == tuple(PUBLISHED[name](ROWS[a], ROWS[b], i) for i in range(5))


def test_the_three_conventions_are_one_table_with_operands_swapped_or_renamed():
    s5, b_first, inverse = map(permutation_table, ("s5", "s5_b_first", "s5_inverse"))
    assert torch.equal(b_first, s5.T)
    inverses = [NUMBER[tuple(row.index(i) for i in range(5))] for row in ROWS]
    assert torch.equal(inverse, s5[:, inverses])
    assert not torch.equal(b_first, s5) and not torch.equal(inverse, s5)
    for table in (s5, b_first, inverse):  # every row and column holds each permutation once
        assert all(torch.equal(t.sort(1).values, torch.arange(120).expand(120, 120))
                   for t in (table, table.T))  # fmt: skip


def test_a_conjugate_moves_as_many_things_as_the_permutation():
    moved = torch.tensor([sum(i != j for i, j in enumerate(row)) for row in ROWS])
    conjugates = permutation_table("s5_conj")
    assert torch.equal(moved[conjugates], moved.expand(120, 120))
