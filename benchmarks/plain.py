"""A run as one would write it from the paper: the measure of `step_time.py` and `throughput.py`.

Dense one-hot rows, `nn.Linear` and `nn.TransformerEncoderLayer`, losses by their formula and
autograd, torch's optimizers as they come. `tests/test_step.py` shows that it computes what train.py
computes. As a program it trains one declared run, with its evaluations, and writes nothing:

    python benchmarks/plain.py add_stablemax --steps 100
"""

import argparse
import sys
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import datasets
import experiments


def stablemax_loss(logits, targets):
    s = torch.where(logits < 0, 1 / (1 - logits), logits + 1)  # paper, Definition 4
    own = s.gather(1, targets[:, None])[:, 0]
    return -torch.log(own / s.sum(1)).mean()


def taylor_loss(logits, targets):
    t = 1 + logits + logits.square() / 2
    own = t.gather(1, targets[:, None])[:, 0]
    return -torch.log(own / t.sum(1)).mean()


def squared_error(logits, targets):
    return F.mse_loss(logits, F.one_hot(targets, logits.shape[1]).to(logits.dtype))


LOSSES = {
    "cross_entropy": F.cross_entropy,
    "stablemax": stablemax_loss,
    "taylor": taylor_loss,
    "mse": squared_error,
}


class Encoder(nn.Module):
    """Embedding, torch's encoder layers, and a head that reads the last position."""

    def __init__(self, vocab, classes, config):
        super().__init__()
        self.embedding = nn.Embedding(vocab, config.model_dim)
        layers = [
            nn.TransformerEncoderLayer(
                config.model_dim, config.num_heads, config.ff_dim, config.dropout, batch_first=True
            )
            for _ in range(config.num_layers)
        ]
        self.layers = nn.Sequential(*layers)
        self.head = nn.Linear(config.model_dim, classes)

    def forward(self, tokens):
        return self.head(self.layers(self.embedding(tokens))[:, -1])


def linear_layers(inputs, classes, config):
    sizes = (inputs, *config.hidden_sizes, classes)
    layers = []
    for n_in, n_out in zip(sizes[:-1], sizes[1:], strict=True):
        layers += [nn.Linear(n_in, n_out, bias=config.has_bias), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def project(weight):
    """The gradient without its part along the weight, its norm restored."""
    w, g = weight.detach().flatten(), weight.grad.flatten()
    off = g - (w @ g) / (w @ w) * w
    weight.grad.copy_((off * (g.norm() / off.norm())).view_as(weight))


class PlainRun:
    """One run of a RunConfig on the CPU, with the random streams of train.py."""

    def __init__(self, config):
        torch.manual_seed(config.seed)
        task = datasets.TASKS[config.dataset](config)
        parts = datasets.split(task, config.train_fraction)
        make = Encoder if config.use_transformer else linear_layers
        dtype = datasets.DTYPES[config.train_precision]
        self.model = make(task.num_inputs, task.num_classes, config).to(dtype)
        self.sets = []
        for x, y in (
            (parts.train_inputs, parts.train_targets),
            (parts.test_inputs, parts.test_targets),
        ):
            if not (x.is_floating_point() or config.use_transformer):
                x = F.one_hot(x, task.num_inputs).sum(1).to(dtype)  # (N, inputs), two ones a row
            self.sets.append((x, y))
        self.config = config
        self.precision = datasets.DTYPES[config.loss_precision]
        options = {"lr": config.lr, "weight_decay": config.weight_decay}
        if config.optimizer == "SGD":
            options["momentum"] = config.sgd_momentum
        else:
            options |= {"betas": config.betas, "eps": config.adam_epsilon}
        self.optimizer = getattr(torch.optim, config.optimizer)(self.model.parameters(), **options)
        self.order = []

    def loss(self, logits, targets):
        return LOSSES[self.config.loss_function](logits.to(self.precision), targets)

    def update(self):
        """One step; a full batch is taken as it lies, mini-batches in a new order every epoch."""
        x, y = self.sets[0]
        if not self.config.full_batch:
            if not self.order:
                self.order = list(torch.randperm(len(y)).split(self.config.batch_size))
            chosen = self.order.pop(0)
            x, y = x[chosen], y[chosen]
        self.optimizer.zero_grad()
        self.loss(self.model(x), y).backward()
        if self.config.orthogonal_gradients:
            for weight in self.model.parameters():
                project(weight)
        self.optimizer.step()

    @torch.no_grad()
    def evaluate(self):
        """[loss, accuracy] of the training and of the test set."""
        self.model.eval()
        rows = []
        for x, y in self.sets:
            logits = self.model(x)
            accuracy = (logits.argmax(1) == y).float().mean()
            rows.append([self.loss(logits, y).item(), accuracy.item()])
        self.model.train()
        return rows


def main():
    parser = argparse.ArgumentParser(prog="plain.py")
    parser.add_argument("run", choices=experiments.RUNS)
    parser.add_argument("--steps", type=int, help="default: all of the run's epochs")
    arguments = parser.parse_args()
    run = PlainRun(experiments.RUNS[arguments.run].config)
    steps = run.config.num_epochs if arguments.steps is None else arguments.steps
    for step in range(steps + 1):
        if step % run.config.log_frequency == 0 or step == steps:
            (train_loss, train_accuracy), (_, test_accuracy) = run.evaluate()
        if step < steps:
            run.update()
    print(f"train loss {train_loss:.6g}, accuracy {train_accuracy:.4f}, test {test_accuracy:.4f}")


if __name__ == "__main__":
    main()
