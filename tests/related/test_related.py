"""The figures of the related systems: published settings, grids, and what each size makes of them.

The values of the presets are typed here from the description of the systems, not read from ours.
"""

import re
from dataclasses import asdict, fields, replace
from math import ceil

import pytest
from house import CATALOG, PAPER_RUNS, RELATED_RUNS

from configuration.config import RunConfig
from experiment.figure import SIZES, Curve, Figure, Panel, Run, declare
from launching import plan, progress
from related import architectures, delay_map, k_sum, landscape, mnist, optimizers, presets

# ---------------------------------------------------------------------------------- presets

ADAMW = {
    "optimizer": "AdamW", "lr": 1e-3, "weight_decay": 1.0, "beta1": 0.9, "beta2": 0.98,
    "adam_epsilon": 1e-8, "full_batch": False, "batch_size": 512,
}  # fmt: skip
DECODER = ADAMW | {
    "dataset": "tokens", "network": "transformer", "num_layers": 2, "model_dim": 128,
    "num_heads": 4, "ff_dim": 512, "dropout": 0.0, "positions": "learned", "causal": True,
    "bias": True, "norm": "post",
}  # fmt: skip
PKU = {
    "binary_operation": "add_mod", "modulo": 97, "terms": 2, "full_head": True,
    "batch_order": "shuffled", "train_fraction": 0.5, "warmup_start": 0.01,
    "warmup_steps": 10 * 10, "num_steps": 100_000, "log_every": 50,
}  # fmt: skip
NOT_TRANSFORMER = ("num_heads", "ff_dim", "dropout", "causal", "norm")
TOTH = DECODER | {
    "full_head": True, "tied_head": True, "final_norm": False, "activation": "relu",
    "batch_order": "fixed", "warmup_steps": 10, "warmup_start": 0.0, "num_steps": 20_000,
    "log_every": 100, "log_growth": 1.05,
}  # fmt: skip


def without(table, *names):
    return {k: v for k, v in table.items() if k not in names}


# Preset -> all it says; every other field has the default of RunConfig.
PUBLISHED = {
    "pku": DECODER | PKU | {"final_norm": True, "activation": "gelu", "dropout_at": "ff_output"},
    "pku-k-sum": DECODER
    | PKU
    | {"final_norm": True, "activation": "gelu", "dropout_at": "ff_output"}
    | {"modulo": 11, "model_dim": 64, "ff_dim": 4 * 64},
    "pku-mlp": without(DECODER | PKU, *NOT_TRANSFORMER, "num_layers")
    | {"network": "embedding_mlp", "hidden_sizes": (4 * 128, 4 * 128), "final_norm": True}
    | {"lr": 1e-2, "weight_decay": 0.01},
    "pku-lstm": without(DECODER | PKU, *NOT_TRANSFORMER, "positions")
    | {"network": "lstm", "lstm_dim": 128},
    "power": DECODER
    | {
        "binary_operation": "divide_mod", "modulo": 97, "vocab_size": 196, "full_head": True,
        "final_norm": True, "activation": "gelu", "batch_order": "shuffled",
        "train_fraction": 0.3, "warmup_steps": 9, "warmup_start": 0.1, "num_steps": 100_000,
        "log_every": 500, "log_growth": 1.05,
    },
    "omnigrok-mnist": ADAMW
    | {
        "dataset": "mnist", "mnist_images": "full", "train_samples": 1_000, "network": "mlp",
        "hidden_sizes": (200, 200), "bias": True, "init_scale": 8.0, "loss_function": "mse",
        "softmax_precision": 64, "train_precision": 64, "weight_decay": 0.01, "beta2": 0.999,
        "batch_size": 200, "batch_order": "shuffled", "num_steps": 100_000, "log_every": 500,
        "log_growth": 1.1,
    },
    "toth-division": TOTH
    | {"binary_operation": "divide_mod", "modulo": 97, "train_fraction": 0.3},
    "toth-s5": TOTH
    | {"binary_operation": "s5_inverse", "exclude_identity": True, "train_fraction": 0.5},
    "lid-197": DECODER
    | {
        "binary_operation": "add_mod", "modulo": 197, "full_head": False, "norm": "pre",
        "final_norm": True, "activation": "gelu", "dropout": 0.1, "dropout_at": "all",
        "scale_embedding": True, "adam_epsilon": 1e-6, "weight_decay": 0.01, "clip_norm": 1.0,
        "batch_order": "iid", "train_fraction": 0.3, "lr_schedule": "linear", "final_lr": 0.0,
        "warmup_steps": 10, "warmup_start": 1 / 3, "schedule_steps": 400_000,
        "num_steps": 60_000, "log_every": 500, "log_dimension": 500,
        "dimension_estimator": "twonn", "dimension_points": 3_000, "dimension_neighbors": 64,
        "dimension_layer": -1, "dimension_tokens": "all", "dimension_split": "train",
    },
}  # fmt: skip


@pytest.mark.parametrize("name", presets.PRESETS)
def test_each_field_of_a_preset_has_the_published_value_and_no_other_is_set(name):
    ours = asdict(presets.PRESETS[name])
    default = {f.name: f.default for f in fields(RunConfig)}
    assert ours == default | PUBLISHED[name]


# Optimizer, lr, weight decay (SGD's: R19), momentum, dropout, decay of biases and norms.
ARMS = {
    "SGD": ("SGD", 1e-3, 1e-4, 0.0, 0.0, False),
    "SGD, momentum 0.9": ("SGD", 1e-3, 1e-4, 0.9, 0.0, False),
    "Adam, L2 1e-4": ("Adam", 1e-3, 1e-4, None, 0.0, True),
    "AdamW, weight decay 1": ("AdamW", 1e-3, 1.0, None, 0.0, True),
    "Adam, lr 1e-4": ("Adam", 1e-4, 1e-4, None, 0.0, True),
    "AdamW, dropout 0.1": ("AdamW", 1e-3, 1.0, None, 0.1, True),
}


def test_the_six_optimizer_arms_are_the_published_ones():
    assert list(presets.PKU_ARMS) == list(ARMS)
    assert list(optimizers.ARMS.values()) == list(ARMS)
    for (arm, percent), run in optimizers.RUNS.items():
        c, values = run.config, ARMS[optimizers.ARMS[arm]]
        found = c.optimizer, c.lr, c.weight_decay, c.momentum, c.dropout, c.decay_all
        assert found == values
        assert (c.train_fraction, c.num_epochs, c.num_steps) == (percent / 100, 10_000, None)
        assert c.dropout_at == "ff_output"
        if c.optimizer == "SGD":
            assert (c.lr_schedule, c.final_lr, c.warmup_start) == ("cosine", 0.0, 0.0)
        else:
            assert c.lr_schedule == "constant" and c.betas == (0.9, 0.98)
    percents = range(10, 100, 10)
    assert set(optimizers.RUNS) == {(arm, p) for arm in optimizers.ARMS for p in percents}


@pytest.mark.parametrize(
    ("name", "examples", "trained_on", "batches"),
    [
        ("pku", 9_409, 4_704, 10),
        ("toth-division", 9_312, 2_793, 6),
        ("toth-s5", 14_280, 7_140, 14),
        ("power", 9_312, 2_793, 6),
        ("omnigrok-mnist", 70_000, 1_000, 5),
        ("lid-197", 38_809, 11_642, 23),
    ],
)
def test_sizes_of_the_data_are_the_published_ones(name, examples, trained_on, batches):
    config = presets.PRESETS[name]
    assert plan.num_examples(config) == examples
    assert config.train_examples == trained_on
    assert config.steps_per_epoch == batches


# ---------------------------------------------------------------------------------- grids


def test_published_grids_are_whole():
    found = {
        (c.network_kind, round(100 * c.train_fraction))
        for c in (run.config for run in architectures.RUNS.values())
    }
    assert found == {
        (kind, percent)
        for kind in ("transformer", "embedding_mlp", "lstm")
        for percent in range(10, 100, 10)
    }
    cells = {}
    for run in CATALOG.related["delay-map"].runs:
        c = run.config
        variant = c.embedding_noise, c.init_scale, c.weight_decay
        cells.setdefault((c.modulo, c.batch_size), []).append(variant)
    assert set(cells) == {
        (p, b) for p in (47, 97, 197, 293, 563, 997) for b in (4, 8, 32, 128, 512, 1024)
    }
    plain, noise, scale = (0.0, 1.0, 1.0), (0.1, 1.0, 1.0), (0.0, 10.0, 1.0)
    assert all(found == [plain, noise, scale] for found in cells.values())
    fractions = [run.config.train_fraction for run in CATALOG.related["dimension"].runs]
    assert fractions == [0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5]


def test_training_set_sizes_of_the_delay_map_are_those_of_its_rows():
    rows = {997: 298, 563: 95, 293: 26, 197: 12, 97: 2.8, 47: 0.6}  # thousands, as printed
    for (modulus, _, _), run in delay_map.RUNS.items():
        thousands = run.config.train_examples / 1000
        assert rows[modulus] == pytest.approx(thousands, rel=0.08)


def test_the_cpu_grid_of_delays_has_cells_inside_and_outside_the_band():
    ratios = [
        run.at("cpu").train_examples / run.at("cpu").batch_size
        for run in CATALOG.related["delay-map"].at("cpu").runs
    ]
    assert sum(100 <= r <= 800 for r in ratios) >= 4
    assert sum(r < 100 for r in ratios) >= 4


def test_the_vocabulary_of_002_follows_the_modulus_in_every_form():
    for figure in ("delay-map", "landscape"):
        for run in CATALOG.related[figure].runs:
            for c in filter(None, map(run.at, SIZES)):
                assert c.vocab_size == 2 * c.modulo + 2


def pku_forms():
    for name, run in RELATED_RUNS.items():
        if "_pku" in name:
            yield from ((name, size, run.at(size)) for size in SIZES if run.at(size))


def test_the_warm_up_of_001_has_the_length_of_each_form():
    for name, size, c in pku_forms():
        if c.optimizer == "SGD":
            assert c.warmup_steps == c.total_steps // 10, (name, size)
        else:
            batches = ceil(c.train_examples / min(c.batch_size, c.train_examples))
            assert c.warmup_steps == 10 * batches, (name, size)


def test_the_batch_of_001_is_half_of_the_whole_data_set_and_at_most_512():
    batches = {name: c.batch_size for name, size, c in pku_forms() if size == "full"}
    assert (batches.pop("sum2_pku"), batches.pop("sum3_pku")) == (61, 512)
    assert set(batches.values()) == {512}
    assert [presets.pku_batch(n) for n in (121, 1_023, 1_024, 14_641)] == [
        61, 512, 512, 512,
    ]  # fmt: skip


def test_the_k_test_is_of_published_size_also_on_a_cpu():
    for terms, run in k_sum.RUNS.items():
        c = run.config
        assert (c.modulo, c.terms, c.train_fraction) == (11, terms, 0.5)
        assert plan.num_examples(c) == 11**terms
        assert run.kept_as("cpu") == "full"
    assert [r.config.num_epochs for r in k_sum.RUNS.values()] == [10_000, 2_000, 300]


def differing(a, b) -> set:
    a, b = asdict(a), asdict(b)
    return {k for k in a if a[k] != b[k]}


@pytest.mark.parametrize("size", SIZES)
def test_grokking_and_comprehension_are_a_matched_pair(size):
    grokking = landscape.GROKKING.at(size)
    for other in (landscape.COMPREHENSION, landscape.MEMORISATION):
        assert differing(grokking, other.at(size)) == {"train_fraction"}
    shares = [
        run.at(size).train_fraction
        for run in (
            landscape.MEMORISATION,
            landscape.GROKKING,
            landscape.COMPREHENSION,
        )
    ]
    assert shares == sorted(shares)
    assert grokking.log_attention and grokking.stop_at == "None"


def test_the_mnist_runs_differ_in_what_is_compared():
    of = {key: run.config for key, run in (
        ("mse", mnist.MSE), ("ce", mnist.CROSS_ENTROPY),
        ("augmented", mnist.AUGMENTED), ("5000", mnist.MORE_IMAGES),
    )}  # fmt: skip
    assert of["mse"] == presets.OMNIGROK
    assert differing(of["mse"], of["ce"]) == {"loss_function"}
    assert differing(of["mse"], of["augmented"]) == {"rotation", "blur"}
    assert (of["augmented"].rotation, of["augmented"].blur) == (30.0, 1.0)
    assert differing(of["mse"], of["5000"]) == {"train_samples"}
    cpu = mnist.MORE_IMAGES.at("cpu")
    assert (cpu.train_samples, plan.num_examples(cpu)) == (4_000, 5_000)
    assert differing(of["mse"], mnist.MSE.at("cpu")) == {
        "mnist_images", "train_precision", "softmax_precision",
    }  # fmt: skip


# ---------------------------------------------------------------------------------- sizes


STUDY = ("remedies", "remedies-grid-add", "remedies-grid-div")


def test_the_figures_stand_behind_those_of_the_paper_and_have_all_sizes():
    assert list(CATALOG.related) == [
        "division", "s5", "architectures", "optimizers", "k-sum", "delay-map", "landscape",
        "mnist", "dimension", *STUDY,
    ]  # fmt: skip
    for figure in CATALOG.related.values():
        ids = [panel.id for panel in figure.panels]
        assert len(set(ids)) == len(ids) and all(i.startswith(figure.id) for i in ids)
        for size in SIZES:
            assert figure.at(size).runs, (figure.id, size)
            lost = {p.id for p in figure.panels} - {p.id for p in figure.at(size).panels}
            # Only the variants of the delay map are for the published size alone.
            assert all(i.startswith("delay-map") and i.split()[2:] for i in lost), (size, lost)


def test_a_name_stands_for_one_run_and_a_configuration_for_one_name():
    runs = [c.run for f in CATALOG.related.values() for p in f.panels for c in p.curves]
    assert len({id(run) for run in runs}) == len(RELATED_RUNS)
    assert not RELATED_RUNS.keys() & PAPER_RUNS.keys()
    for size in ("full", "cpu"):
        # What the study of remedies shows is a cell of its grid, on other seeds.
        runs = [r for n, r in RELATED_RUNS.items() if not re.match("remedies_(add|div)_", n)]
        forms = [r.at(size) for r in runs if r.kept_as(size) == size]
        assert len(set(forms)) == len(forms)


SHRINKS = {
    "modulo", "vocab_size", "train_fraction", "train_samples", "mnist_images", "model_dim",
    "ff_dim", "batch_size", "num_epochs", "num_steps", "schedule_steps", "warmup_steps",
    "log_every", "log_growth", "log_frequency", "log_dimension", "dimension_points",
    "dimension_neighbors", "train_precision", "softmax_precision",
}  # fmt: skip


def test_smaller_forms_change_size_and_length_only():
    for name, run in RELATED_RUNS.items():
        allowed = SHRINKS | ({"lr"} if "pku_sgd" in name else set())
        for size in ("cpu", "quick"):
            form = run.at(size)
            assert form is None or differing(run.config, form) <= allowed, (name, size)
            assert form is None or form.total_steps <= run.config.total_steps, (name, size)


def core_minutes(figures, size) -> float:
    return sum(job.seconds for job in plan.plan(figures, size=size, root="r")) / 60


def test_quick_looks_take_minutes_and_cpu_sizes_less_than_an_hour_on_two_cores():
    figures = CATALOG.related.values()
    assert core_minutes(figures, "quick") < 15
    for figure in (f for f in figures if f.id not in STUDY):  # hours: docs/remedies.md
        jobs = plan.plan([figure], size="cpu", root="r")
        assert progress.makespan([job.seconds for job in jobs], 2) < 3600, figure.id


def config(**change):
    return RunConfig(lr=0.01, modulo=7, num_epochs=2, log_frequency=1, **change)


def test_a_form_is_named_after_its_size_and_the_cpu_form_may_be_the_full_one():
    run = Run(name="x", config=config(), quick=None)
    assert run.form("full") == run.form("cpu") == ("x", config())
    assert [run.kept_as(s) for s in SIZES] == ["full", "full", None]
    small = replace(run, cpu=config(seed=1), quick=config(seed=2))
    assert small.form("cpu", 5) == ("cpu/x", config(seed=5))
    assert small.form("quick")[0] == "quick/x"
    assert [small.at(s).seed for s in SIZES] == [42, 1, 2]


def test_a_size_that_is_unknown_or_that_a_run_lacks_is_refused_with_the_choices():
    run = Run(name="x", config=config(), quick=None, cpu=None)
    with pytest.raises(ValueError, match="unknown size 'tiny'; choose from full, cpu, quick"):
        run.form("tiny")
    for size in ("cpu", "quick"):
        with pytest.raises(ValueError, match=f"x has no form of size {size}; choose full"):
            run.form(size)


def test_declare_replaces_in_each_form_what_that_form_says():
    run = declare("x", config(), {"num_epochs": 1}, cpu={"seed": 3}, train_fraction=0.5)
    assert run.config == config(train_fraction=0.5)
    assert run.quick == replace(run.config, num_epochs=1)
    assert run.cpu == replace(run.config, seed=3)
    assert declare("x", config(), None).quick is None


def test_a_figure_leaves_out_what_a_size_does_not_have():
    def panel(id, *runs):
        return Panel(id=id, title=id, kind="accuracy", curves=tuple(
            Curve(run=r, label=r.name) for r in runs))  # fmt: skip

    both = Run(name="both", config=config(), quick=config(seed=1))
    large = Run(name="large", config=config(), quick=None, cpu=None)
    drawn = Panel(id="c", title="c", kind="stablemax_function")
    figure = Figure(id="f", title="", claim="", panels=(panel("a", both, large), panel("b", large),
                    drawn), seeds={"cpu": (1, 2)})  # fmt: skip
    assert figure.at("full") == figure
    for size in ("cpu", "quick"):
        left = figure.at(size)
        assert [p.id for p in left.panels] == ["a", "c"]
        assert left.runs == (both,)
        assert left.seeds_at("cpu") == (1, 2)
    jobs = plan.plan([figure], size="cpu", root="r")
    assert [(j.run, j.seed, j.size, str(j.folder)) for j in jobs] == [
        ("both", 1, "full", "r/both/seed_1"),
        ("both", 2, "full", "r/both/seed_2"),
    ]


def test_a_figure_is_shown_as_full_where_nothing_is_smaller():
    assert {f.id for f in CATALOG.all.values() if f.shown_as("cpu") == "full"} == {
        *CATALOG.paper, "division", "k-sum", *STUDY,
    }  # fmt: skip
    assert {f.shown_as("quick") for f in CATALOG.all.values() if f.runs} == {"quick"}
    fewer = replace(CATALOG.related["division"], seeds={"full": (1, 2), "cpu": (1,)})
    assert fewer.shown_as("cpu") == "cpu"


def test_each_figure_has_its_seeds_at_each_size_and_asked_ones_replace_them():
    figures = [CATALOG.related["dimension"], CATALOG.related["division"]]
    wanted = {"full": {46, 47, 48, 49, 50}, "cpu": {46, 47}, "quick": {46}}
    for size, seeds in wanted.items():
        jobs = plan.plan(figures, size=size, root="r")
        assert {j.seed for j in jobs if j.run == "add_lid_50"} == seeds
        assert {j.seed for j in jobs if j.run == "div_toth_30"} == {42}
    jobs = plan.plan(figures, size="cpu", seeds=[3], root="r")
    assert {j.seed for j in jobs} == {3}


# ---------------------------------------------------------------------------------- times


@pytest.mark.parametrize("preset", ["pku", "pku-mlp", "pku-lstm", "omnigrok-mnist"])
def test_expected_seconds_of_a_reference_are_its_updates_and_its_rows(preset):
    c = replace(presets.PRESETS[preset], log_growth=0.0, log_every=100_000)
    kind = {"pku": "decoder", "pku-mlp": "embedding_mlp", "pku-lstm": "lstm"}.get(preset, "mnist")
    milliseconds = plan.MEASURED_MS[kind][1]
    one_row = (milliseconds - plan.LEAST_MS[kind]) * plan.num_examples(c) / c.batch_size / 3
    expected = (100_000 * milliseconds + one_row) / 1000
    assert plan.expected_seconds(c) == pytest.approx(expected, rel=1e-6)
    more = replace(c, log_every=1_000)
    assert plan.expected_seconds(more) - plan.expected_seconds(c) == pytest.approx(
        99 * one_row / 1000
    )


def test_expected_seconds_follow_length_batch_tokens_layers_and_measurements():
    base = replace(presets.PKU, log_every=100_000)
    seconds = plan.expected_seconds(base)
    half = plan.expected_seconds(replace(base, num_steps=50_000, log_every=50_000))
    assert half == pytest.approx(seconds / 2, rel=1e-3)
    updates = 100_000 / 1000 * (plan.MEASURED_MS["decoder"][1] - plan.LEAST_MS["decoder"])
    least = 100_000 / 1000 * plan.LEAST_MS["decoder"]
    small = plan.expected_seconds(replace(base, batch_size=64))
    assert small == pytest.approx(least + updates / 8, rel=1e-2)
    deep = plan.expected_seconds(replace(base, num_layers=4))
    assert deep == pytest.approx(least + 2 * updates, rel=2e-2)
    watched = replace(presets.LID, log_dimension=500)
    free = replace(watched, log_dimension=0)
    extra = plan.expected_seconds(watched) - plan.expected_seconds(free)
    assert extra == pytest.approx(60_000 / 500 * plan.DIMENSION_SECONDS)
    both = replace(watched, dimension_split="both", dimension_points=1_500)
    extra = plan.expected_seconds(both) - plan.expected_seconds(free)
    assert extra == pytest.approx(60_000 / 500 * plan.DIMENSION_SECONDS * 2 / 4)


def test_times_of_runs_that_may_stop_are_at_most():
    def times(figure, size):
        return progress.expected(plan.plan([CATALOG.related[figure]], size=size, root="r"))

    assert times("architectures", "cpu").startswith("at most ")
    assert times("division", "cpu").startswith("about ")


def test_a_delay_map_holds_one_variant_and_all_are_drawn():
    panels = CATALOG.related["delay-map"].panels
    for panel in panels:
        settings = [c.run.config for c in panel.curves]
        assert len({(c.embedding_noise, c.init_scale, c.weight_decay) for c in settings}) == 1
        cells = {(c.train_examples, c.batch_size) for c in settings}
        assert len(cells) == len(settings) == 36
    assert len({c.run.name for p in panels for c in p.curves}) == 108
