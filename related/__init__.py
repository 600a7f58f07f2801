"""The four related grokking systems and the study of remedies, a file a figure."""

from related import (
    architectures,
    delay_map,
    dimension,
    division,
    k_sum,
    landscape,
    mnist,
    optimizers,
    remedies,
    s5,
)

_MODULES = (
    division, s5, architectures, optimizers, k_sum, delay_map, landscape, mnist, dimension
)  # fmt: skip
FIGURES = (*(module.FIGURE for module in _MODULES), remedies.FIGURE, *remedies.GRIDS)
