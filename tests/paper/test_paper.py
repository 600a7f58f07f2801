"""The paper's figures: published settings, what is compared, and what a quick look changes."""

import os
import re
from dataclasses import asdict

from house import CATALOG, PAPER_RUNS

import plots
from paper.figure_2 import COLLAPSE_RUNS


def fields_that_differ(a, b):
    a, b = asdict(a), asdict(b)
    return {k for k in a if a[k] != b[k]}


def test_there_are_figures_1_to_16_and_the_controls_and_each_can_be_drawn():
    assert list(CATALOG.paper) == [str(i) for i in range(1, 17)] + ["controls"]
    for figure in CATALOG.paper.values():
        assert figure.panels and len({p.id for p in figure.panels}) == len(figure.panels)
        for panel in figure.panels:
            assert callable(panel.kind) or panel.kind in plots.KINDS, panel
            assert bool(panel.curves) == (figure.id != "3")


def test_a_run_name_stands_for_one_configuration_and_a_configuration_for_one_name():
    runs_of = [c.run for f in CATALOG.paper.values() for p in f.panels for c in p.curves]
    assert {r.name for r in runs_of} == set(PAPER_RUNS)
    for form in ("config", "quick"):
        by_name = {r.name: getattr(r, form) for r in runs_of}
        assert all(getattr(r, form) == by_name[r.name] for r in runs_of)
        if form == "config":
            assert len(set(by_name.values())) == len(by_name)


def test_quick_form_changes_size_and_length_only():
    size = {"modulo", "train_fraction", "num_epochs", "log_frequency", "num_samples", "ff_dim",
            "num_noise_features"}  # fmt: skip
    more = {"lr", "induce_collapse_epoch"}  # figures 2, 8 and 9: faster, so that collapse is seen
    for name, run in PAPER_RUNS.items():
        collapse = re.search("sgd(l1)?norm", name) or re.match(r"add_softmax\d\d_\d0(_cpu)?$", name)
        assert fields_that_differ(run.config, run.quick) <= (size | more if collapse else size)
        assert run.quick.num_epochs <= run.config.num_epochs


def test_curves_of_a_comparison_differ_in_what_is_compared():
    run = {name: r.config for name, r in PAPER_RUNS.items()}
    pairs = [
        ("add_sgdnorm64_70_lr3", "add_sgdnorm64_70_lr3_induced", {"induce_collapse_epoch"}),
        ("add_sgdl1norm64_70_lr3", "add_sgdl1norm64_70_lr3_induced", {"induce_collapse_epoch"}),
        ("add_sgdl1norm64_70_lr3", "add_sgdnorm64_70_lr3", {"lr_scheduler_norm"}),
        ("add_sgdl1norm16_60", "add_sgdl1norm64_60", {"softmax_precision"}),
        ("add_sgdl1norm32_60", "add_sgdl1norm32_70", {"train_fraction"}),
        ("add_sgdl1norm32_40", "add_sgdl1norm32_60", {"train_fraction", "lr"}),
        ("add_sgdl1norm32_40", "add_sgdnorm32_40", {"lr_scheduler_norm"}),
        ("mnist_adamw", "mnist_adamw_wd", {"weight_decay"}),
        ("add_mse_1layers", "add_mse_3layers", {"hidden_sizes"}),
        ("add_softmax64_aligned", "add_softmax64_aligned_bias", {"bias"}),
        ("add_adamw_wd0p5", "add_adamw_wd8", {"weight_decay"}),
        ("add_softmax32", "add_softmax32_temperature", {"softmax_temperature", "num_epochs"}),
        ("add_softmax64_20k", "add_taylor", {"loss_function"}),
        ("add_softmax64_20k", "add_softmax64_logitnorm", {"logit_norm_penalty"}),
        ("add_adamw_wd4", "add_adamw_wd4_lr1e2", {"lr", "num_epochs"}),
        ("add_adamw_wd4_lr1e2", "add_adamw_wd8_lr1e2", {"weight_decay"}),
        ("add_adamw_wd8", "add_adamw_wd8_lr1e3", {"lr"}),
        ("add_softmax64", "product_softmax64", {"binary_operation", "num_epochs"}),
        (
            "parity_stablemax",
            "parity_softmax64",
            {"loss_function", "softmax_precision", "beta2", "num_epochs"},
        ),
        ("add_softmax32", "add_softmax32_smoothed", {"label_smoothing", "num_epochs"}),
        ("add_softmax64", "add_softmax64_long", {"num_epochs"}),
        ("add_softmax64", "add_softmax64_lr5e3", {"lr"}),
        ("add_softmax64", "add_softmax64_beta999", {"beta2"}),
        ("add_orthoadamw", "add_orthoadamw_stablemax", {"loss_function"}),
        ("add_orthoadamw", "add_orthoadamw_intended", {"beta2", "adam_epsilon"}),
        ("add_orthoadamw_lr5e3", "add_orthoadamw_lr5e3_intended", {"beta2", "adam_epsilon"}),
        ("add_sgd_path", "add_sgd_wd_path", {"weight_decay"}),
        ("binary_add_adamw_7bits", "binary_add_adamw_14bits", {"code_bits"}),
        ("binary_add_adamw_7bits", "binary_add_adamw_ordered", {"random_codes"}),
    ]
    for a, b, compared in pairs:
        assert fields_that_differ(run[a], run[b]) == compared, (a, b)


def test_further_figures_have_their_published_settings():
    run = {name: r.config for name, r in PAPER_RUNS.items()}
    induced = run["add_sgdl1norm64_70_lr3_induced"]
    assert (induced.lr, induced.num_epochs, induced.induce_collapse_epoch) == (3.0, 10_000, 6_000)
    assert (induced.train_fraction, induced.softmax_precision) == (0.7, 64)
    for percent, lr in ((40, 3.0), (60, 4.0), (70, 4.0)):
        for bits in (16, 32, 64):
            c = run[f"add_sgdl1norm{bits}_{percent}"]
            assert (c.lr, c.num_epochs, c.optimizer) == (lr, 10_000, "SGD") and c.use_lr_scheduler
    mnist = run["mnist_adamw_wd"]
    assert (mnist.train_samples, mnist.init_scale, mnist.has_bias) == (200, 100.0, True)
    assert mnist.hidden_sizes == (200, 200)
    assert run["add_softmax32_temperature"].softmax_temperature == 1e5
    assert run["add_softmax32_smoothed"].label_smoothing == 0.2
    assert run["add_sgd_absorption"].train_fraction == 0.3
    assert run["add_softmax64_long"].num_epochs == 200_000
    first = run["sub_transformer_softmax64_aligned"]
    assert (first.norm, first.bias, first.ff_dim, first.ff_hidden_layers) == ("none", False, 512, 2)


def test_the_published_float16_runs_of_figure_2_stand_still_in_the_end():
    for percent, since in ((60, 5_800), (70, 3_800)):  # docs/claims.md; on a CPU and on an H100
        found = plots.load_curve(COLLAPSE_RUNS[percent, 16], runs_root=os.devnull)
        assert [r.seed for r in found] == [42, 43, 44]
        for run in found:
            rows = run.metrics[run.metrics["epoch"] >= since]
            assert len(rows) > 100 and rows["weight_norm"].nunique() == 1  # no gradient is left
            assert (rows["softmax_collapse"] == 1).all() and (rows["train_loss"] > 0).all()
