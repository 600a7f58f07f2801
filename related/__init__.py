"""The four related grokking systems: their presets, what is measured, and one file per figure."""

from related import (
    architectures,
    delay_map,
    dimension,
    division,
    k_sum,
    landscape,
    mnist,
    optimizers,
    s5,
)

_MODULES = (
    division, s5, architectures, optimizers, k_sum, delay_map, landscape, mnist, dimension
)  # fmt: skip
FIGURES = tuple(module.FIGURE for module in _MODULES)
