"""Controls that users of the authors' code asked for in its issues, as one more figure.

experiments.py, the one entry, puts it last. Imports no torch.
"""

from dataclasses import replace

from manifest import (
    ADD_ADAMW_LR5E3,
    ADD_ORTHOADAMW,
    ADD_ORTHOADAMW_LR5E3,
    COLLAPSE_RUNS,
    MLP,
    ORTHOADAMW,
    SHORT,
    Curve,
    Figure,
    Panel,
    Run,
    declare,
)

_SOFTMAX64 = replace(MLP, softmax_precision=64)
_QUICK_SOFTMAX64 = {"modulo": 59, "train_fraction": 0.8, "num_epochs": 4_000, "log_frequency": 50}
ADD_SOFTMAX64_LONG = declare(
    "add_softmax64_long", _SOFTMAX64, _QUICK_SOFTMAX64 | {"num_epochs": 8_000}, num_epochs=200_000
)
ADD_SOFTMAX64_LR5E3 = declare("add_softmax64_lr5e3", _SOFTMAX64, _QUICK_SOFTMAX64, lr=0.005)
ADD_SOFTMAX64_BETA999 = declare("add_softmax64_beta999", _SOFTMAX64, _QUICK_SOFTMAX64, beta2=0.999)
_QUICK_ORTHO = {"modulo": 97, "num_epochs": 200}
ADD_ORTHOADAMW_STABLEMAX = declare(
    "add_orthoadamw_stablemax", ORTHOADAMW, _QUICK_ORTHO, loss_function="stablemax"
)
_INTENDED = {"orthogonal_gradients": True, "beta2": 0.99, "adam_epsilon": 1e-25}
ADD_ORTHOADAMW_INTENDED = declare("add_orthoadamw_intended", ORTHOADAMW, _QUICK_ORTHO, **_INTENDED)
ADD_ORTHOADAMW_LR5E3_INTENDED = declare(
    "add_orthoadamw_lr5e3_intended", SHORT, {"num_epochs": 400}, **_INTENDED
)
_COLLAPSE16 = COLLAPSE_RUNS[60, 16]
ADD_SOFTMAX16_60_CPU = Run(
    name="add_softmax16_60_cpu",
    config=replace(_COLLAPSE16.config, half_softmax="cpu"),
    quick=replace(_COLLAPSE16.quick, half_softmax="cpu"),
)
FIGURE_CONTROLS = Figure(
    id="controls",
    title="Controls that users asked for",
    claim=(
        "What changes where the published runs differ from the text: the loss of 1a, the optimizer"
        " settings of ⊥AdamW, and the length and optimizer of the softmax baseline."
    ),
    panels=(
        Panel(
            id="controls 1a",
            title="1a: loss and settings of ⊥AdamW",
            kind="accuracy",
            curves=(
                Curve(run=ADD_ORTHOADAMW, label="softmax, as in 1a"),
                Curve(run=ADD_ORTHOADAMW_STABLEMAX, label="StableMax"),
                Curve(run=ADD_ORTHOADAMW_INTENDED, label="softmax, the intended betas and eps"),
            ),
            text="Issues 7 and 11 of the authors' repository.",
        ),
        Panel(
            id="controls 1c",
            title="1c: the softmax baseline",
            kind="collapse",
            curves=(
                Curve(run=ADD_SOFTMAX64_LONG, label="200,000 epochs"),
                Curve(run=ADD_SOFTMAX64_LR5E3, label="lr 0.005"),
                Curve(run=ADD_SOFTMAX64_BETA999, label="beta2 0.999"),
            ),
            text="Issue 4: it groks late, through slingshots, at these settings only.",
        ),
        Panel(
            id="controls 2b",
            title="2b: float16 as a CPU computes it",
            kind="collapse",
            curves=(
                Curve(run=_COLLAPSE16, label="as CUDA computes it"),
                Curve(run=ADD_SOFTMAX16_60_CPU, label="as a CPU computes it"),
            ),
            text="torch on a CPU rounds the sum of a float16 softmax, too.",
        ),
        Panel(
            id="controls 6b",
            title="6b: settings of ⊥AdamW",
            kind="accuracy",
            curves=(
                Curve(run=ADD_ORTHOADAMW_LR5E3, label="⊥AdamW, as in 6b"),
                Curve(run=ADD_ORTHOADAMW_LR5E3_INTENDED, label="⊥AdamW, intended betas and eps"),
                Curve(run=ADD_ADAMW_LR5E3, label="AdamW"),
            ),
            text="Issue 11; --seeds 42,43,44,45,46 for issue 10.",
        ),
    ),
)
