"""Tasks against exact arithmetic, splits and shuffles against torch's own."""

import random
from dataclasses import replace

import pytest
import torch

import datasets
from config import RunConfig

BASE = RunConfig(lr=0.01)
EXACT = {
    "add_mod": lambda x, y, p: (x + y) % p,
    "product_mod": lambda x, y, p: x * y % p,
    "subtract_mod": lambda x, y, p: (x - y) % p,
}


def table(config):
    """[(x, y, target)] of a modular task, decoded from what the MLP or the transformer reads."""
    task = datasets.modular_task(config)
    shift = 0 if config.use_transformer else config.operands
    return [
        (x, y - shift, t)
        for (x, y), t in zip(task.inputs.tolist(), task.targets.tolist(), strict=True)
    ]


@pytest.mark.parametrize("p", [2, 7, 59, 97, 113])
@pytest.mark.parametrize("operation", EXACT)
@pytest.mark.parametrize("transformer", [False, True])
def test_every_pair_has_its_exact_label_for_every_modulus(p, operation, transformer):
    config = replace(BASE, modulo=p, binary_operation=operation, use_transformer=transformer)
    rows = table(config)
    assert [(x, y) for x, y, _ in rows] == [(x, y) for x in range(p) for y in range(p)]
    assert all(t == EXACT[operation](x, y, p) for x, y, t in rows)


@pytest.mark.parametrize("p", [2, 5, 97, 113])
def test_division_inverts_multiplication_on_every_pair(p):
    rows = table(replace(BASE, modulo=p, binary_operation="divide_mod", train_fraction=0.5))
    assert len(rows) == p * (p - 1)
    assert all(y > 0 and t * y % p == x and 0 <= t < p for x, y, t in rows)


def test_labels_are_reduced_when_operands_exceed_the_modulus():
    rows = table(replace(BASE, modulo=10, input_size=25))
    assert len(rows) == 625
    assert all(t == (x + y) % 10 for x, y, t in rows)


def test_authors_token_grid_leaves_zero_out():
    rows = table(replace(BASE, use_transformer=True, exclude_zero=True))
    assert len(rows) == 112 * 112  # 12,544 pairs, of which int(0.4 * 12544) = 5017 are trained on
    assert min(min(x, y) for x, y, _ in rows) == 1
    assert all(t == (x + y) % 113 for x, y, t in rows)


def test_two_hot_positions_fit_the_input_layer():
    task = datasets.modular_task(BASE)
    assert task.num_inputs == 226 and task.num_classes == 113
    assert task.inputs[:, 0].max() == 112
    assert task.inputs[:, 1].min() == 113 and task.inputs[:, 1].max() == 225


def test_parity_is_that_of_the_first_bits_and_rows_are_distinct():
    config = replace(
        BASE,
        dataset="sparse_parity",
        num_parity_features=3,
        num_noise_features=4,
        num_samples=128,
        train_fraction=0.5,
    )
    task = datasets.parity_task(config)
    rows = task.inputs.int().tolist()
    assert len({tuple(r) for r in rows}) == 128 == 2**7  # all rows that exist, each once
    for row, target in zip(rows, task.targets.tolist(), strict=True):
        assert set(row) <= {0, 1}
        assert target == (row[0] ^ row[1] ^ row[2])


def test_parity_bits_are_the_seeds_own_draws():
    config = replace(BASE, dataset="sparse_parity", num_samples=10, seed=7)
    draw = random.Random(7)
    first = [draw.choice((0, 1)) for _ in range(54)]
    assert datasets.parity_task(config).inputs[0].int().tolist() == first


@pytest.mark.parametrize(("bits", "width"), [(None, 7), (7, 7), (14, 14)])
@pytest.mark.parametrize("random_codes", [False, True])
def test_binary_codes_are_distinct_and_name_their_operand(bits, width, random_codes):
    config = replace(BASE, dataset="binary_alg", code_bits=bits, random_codes=random_codes)
    task = datasets.binary_task(config)
    assert task.inputs.shape == (113 * 113, 2 * width) and task.num_inputs == 2 * width
    rows = task.inputs.int().reshape(113, 113, 2, width)
    codes = rows[:, 0, 0]  # the code of x, for each x
    assert len({tuple(c) for c in codes.tolist()}) == 113
    for x in (0, 1, 57, 112):
        for y in (0, 3, 112):
            assert torch.equal(rows[x, y, 0], codes[x]) and torch.equal(rows[x, y, 1], codes[y])
            assert task.targets[x * 113 + y] == (x + y) % 113
    spelled = [int("".join(map(str, c)), 2) for c in codes.tolist()]
    assert (spelled == list(range(113))) is not random_codes


@pytest.mark.parametrize("fraction", [0.4, 0.6, 0.7])
def test_split_is_torchs_random_split(fraction):
    task = datasets.modular_task(BASE)
    torch.manual_seed(42)
    ours = datasets.split(task, fraction)
    torch.manual_seed(42)
    n = int(fraction * 12769)
    theirs = torch.utils.data.random_split(range(12769), [n, 12769 - n])
    assert torch.equal(ours.train_inputs, task.inputs[theirs[0].indices])
    assert torch.equal(ours.test_targets, task.targets[theirs[1].indices])
    assert len(ours.train_targets) == {0.4: 5107, 0.6: 7661, 0.7: 8938}[fraction]


@pytest.mark.parametrize("ahead", [1, 3])
def test_each_epoch_is_one_permutation_drawn_from_torchs_generator(ahead):
    torch.manual_seed(0)
    batches = datasets.Batches(10, 4, ahead=ahead)
    assert batches.steps_per_epoch == 3
    taken = [[batches.next() for _ in range(3)] for _ in range(6)]
    assert [len(b) for b in taken[0]] == [4, 4, 2]
    torch.manual_seed(0)
    for epoch in taken:
        assert torch.equal(torch.cat(epoch), torch.randperm(10))


@pytest.mark.parametrize("ahead", [1, 3])
def test_restored_batches_continue_inside_an_epoch(ahead):
    torch.manual_seed(0)
    batches = datasets.Batches(10, 4, ahead=ahead)
    for _ in range(4):
        batches.next()
    state = {k: v.clone() if torch.is_tensor(v) else v for k, v in batches.state_dict().items()}
    generator = torch.get_rng_state()
    expected = [batches.next() for _ in range(20)]
    other = datasets.Batches(10, 4, ahead=ahead)
    other.load_state_dict(state)
    torch.set_rng_state(generator)
    assert all(torch.equal(a, other.next()) for a in expected)
