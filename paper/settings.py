"""What the runs of several figures start from: the paper's MLP, and the settings of ⊥AdamW."""

from dataclasses import replace

from configuration.config import RunConfig

# All MLP runs: addition mod 113, 40 % of the 12,769 pairs, 226-200-200-113, ReLU, no bias.
MLP = RunConfig(lr=0.01, train_fraction=0.4, num_epochs=80_000, log_frequency=500)
# The quick form is addition mod 59 at 80 %: small enough to grok in minutes.
QUICK_MLP = replace(MLP, modulo=59, train_fraction=0.8, num_epochs=4_000, log_frequency=50)

# D2: the published ⊥AdamW asked for beta2 0.99, eps 1e-25, and stepped with torch's defaults.
EFFECTIVE = {"orthogonal_gradients": True, "beta2": 0.999, "adam_epsilon": 1e-8}

# Base of the SGD runs from figure 5 on; nothing of it is published.
SGD = replace(MLP, optimizer="SGD", momentum=0.8, num_epochs=10_000, log_frequency=50)
