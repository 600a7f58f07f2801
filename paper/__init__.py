"""The paper's figures, a file each: what it says, the settings, the runs, the panels, the claims."""

from paper import (
    controls,
    figure_1,
    figure_2,
    figure_3,
    figure_4,
    figure_5,
    figure_6,
    figure_7,
    figure_8,
    figure_9,
    figure_10,
    figure_11,
    figure_12,
    figure_13,
    figure_14,
    figure_15,
    figure_16,
)

FIGURES = tuple(
    module.FIGURE
    for module in (
        figure_1, figure_2, figure_3, figure_4, figure_5, figure_6, figure_7, figure_8, figure_9,
        figure_10, figure_11, figure_12, figure_13, figure_14, figure_15, figure_16, controls,
    )
)  # fmt: skip

# What the paper has and this bundle has not, by the words a person may ask with.
_LARGE = "ResNet-18 and GPT-2 small need data sets and days of GPU time (README, Not in)"
NOT_IN = {"17": _LARGE, "table1": _LARGE, "1table": _LARGE}
