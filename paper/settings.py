"""What several figures share: settings that runs start from, one run, words of claims."""

from dataclasses import replace

from configuration.config import RunConfig
from experiment.figure import Run

# All MLP runs: addition mod 113, 40 % of the 12,769 pairs, 226-200-200-113, ReLU, no bias.
MLP = RunConfig(lr=0.01, train_fraction=0.4, num_epochs=80_000, log_frequency=500)
# The quick form is addition mod 59 at 80 %: small enough to grok in minutes.
QUICK_MLP = replace(MLP, modulo=59, train_fraction=0.8, num_epochs=4_000, log_frequency=50)

# Published: 80,000 epochs for figure 1, 100,000 for figure 4, otherwise the same. It runs once.
# D14: figure 1b is the first 80,000 epochs of figure 4's run.
STABLEMAX = replace(MLP, loss_function="stablemax", beta2=0.999, num_epochs=100_000)
QUICK_STABLEMAX = replace(QUICK_MLP, loss_function="stablemax", beta2=0.999)

ADD_STABLEMAX = Run(name="add_stablemax", config=STABLEMAX, quick=QUICK_STABLEMAX)

# Sparse parity as published, figure 4.
PARITY = RunConfig(
    dataset="sparse_parity",
    num_noise_features=40,
    num_parity_features=3,
    num_samples=2000,
    train_fraction=0.5,
    loss_function="stablemax",
    lr=0.01,
    beta2=0.999,
    adam_epsilon=1e-18,
    num_epochs=100_000,
    log_frequency=500,
)

# D2: the published ⊥AdamW asked for beta2 0.99, eps 1e-25, and stepped with torch's defaults.
EFFECTIVE = {"orthogonal_gradients": True, "beta2": 0.999, "adam_epsilon": 1e-8}

# Base of the SGD runs from figure 5 on; nothing of it is published.
SGD = replace(MLP, optimizer="SGD", momentum=0.8, num_epochs=10_000, log_frequency=50)

ISSUES = "issues of the authors' repository, no. "  # words of sources
# A gap of training over test accuracy: from here on a network overfits, below the two go together.
OVERFITTED = 0.5
