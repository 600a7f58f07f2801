"""docs/numerics.md says what is measured, and the measurements are right where theory is exact."""

import math
import re
from fractions import Fraction

import pytest
import torch

from configuration import runs
from documents import numerics, rounding
from paper.figure_2 import COLLAPSE_RUNS
from stablemax import softmax_cross_entropy

TEXT = numerics.PAGE.read_text()
WRITTEN = numerics.blocks(TEXT)
# Every other table holds on any CPU; these depend on the order of a sum, the last one on the time.
ORDER, TIME = {"absorption", "counting"}, {"product"}
STEP = 0.1  # of the gaps at which a gradient is tried; another order may move its zero by one
HERE = numerics.machine()[1][1]
THERE = WRITTEN["machine"].splitlines()[2].split("|")[2].strip()


def cells(table: str) -> list[list[str]]:
    lines = table.splitlines()
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


# ---------------------------------------------------------------------------------- the page


def test_the_page_has_a_block_for_every_table_and_no_other():
    assert set(WRITTEN) == set(numerics.TABLES)
    assert TEXT.count("<!-- measured:") == TEXT.count("<!-- end -->") == len(WRITTEN)


@pytest.mark.parametrize("key", sorted(set(numerics.TABLES) - TIME - {"machine"}))
def test_a_fresh_measurement_gives_the_tables_of_the_page(key):
    if key in ORDER and HERE != THERE:
        pytest.skip(f"measured with {THERE}, this CPU has {HERE}: sums have another order")
    fresh = numerics.markdown(numerics.TABLES[key]())
    if key == "gradients" and HERE != THERE:
        for found, written in zip(cells(fresh), cells(WRITTEN[key]), strict=True):
            assert found[:4] == written[:4]
            assert [float(v) for v in found[4:]] == pytest.approx(
                [float(v) for v in written[4:]], abs=1.01 * STEP
            )
    else:
        assert fresh == WRITTEN[key]


def test_the_table_of_times_holds_times_and_their_ratio():
    (_, slow, ratio), (_, fast, one) = cells(WRITTEN["product"])
    slow, fast = (float(v.removesuffix(" ms")) for v in (slow, fast))
    assert float(ratio) == pytest.approx(slow / fast, rel=0.02)
    assert one == "1" and slow > fast > 0


def test_measuring_products_leaves_subnormals_alone():
    assert all(v > 0 for v in rounding.product_times(repetitions=1))
    small = torch.tensor([2.0**-130]) * torch.tensor([1.0])
    assert small.item() == 2.0**-130


def test_the_pictures_of_the_page_are_those_that_are_drawn():
    shown = re.findall(r"!\[[^]]*\]\(([^)]+)\)", TEXT)
    assert sorted(shown) == sorted(f"numerics_{key}.png" for key in numerics.PICTURES)
    assert all((numerics.PAGE.parent / path).is_file() for path in shown)
    assert all((numerics.PAGE.parent / path).stat().st_size < 100_000 for path in shown)


def test_filling_replaces_only_what_stands_between_the_marks():
    page = "before\n<!-- measured: a -->\nold\nrows\n<!-- end -->\nafter\n"
    rows = [["x", "y"], ["1", "2"]]
    done = numerics.filled(page, {"a": lambda: rows})
    table = "| x | y |\n| --- | --- |\n| 1 | 2 |"
    assert done == f"before\n<!-- measured: a -->\n{table}\n<!-- end -->\nafter\n"
    assert numerics.filled(done, {"a": lambda: rows}) == done
    with pytest.raises(ValueError, match="b"):
        numerics.filled(page, {"a": lambda: rows, "b": lambda: rows})


# ---------------------------------------------------------------------------------- absorption


@pytest.mark.parametrize("dtype", rounding.BITS)
def test_significant_bits_are_those_of_the_format(dtype):
    assert 2.0 ** (1 - rounding.BITS[dtype]) == torch.finfo(dtype).eps


@pytest.mark.parametrize("dtype", rounding.BITS)
@pytest.mark.parametrize("way", ["sum", "loss", "cpu"])
def test_with_one_competitor_absorption_is_where_theory_says(dtype, way):
    # exp(-gap) at most half a unit in the last place of 1, which is 2^-p.
    spacing = max(rounding.STEP, 16 * torch.finfo(dtype).eps)  # of gaps near the onset
    bits = rounding.BITS[rounding.inside(way, dtype)]
    for onset in rounding.onsets(way, dtype, 2):
        assert abs(onset - bits * math.log(2)) <= 2 * spacing


@pytest.mark.parametrize("dtype", rounding.BITS)
@pytest.mark.parametrize("way", ["sum", "loss", "cpu"])
def test_with_112_competitors_absorption_lies_between_the_two_bounds(dtype, way):
    low, high = rounding.theory(rounding.inside(way, dtype), 113)
    assert high - low == pytest.approx(math.log(112))
    slack = max(rounding.STEP, 16 * torch.finfo(dtype).eps)
    assert all(low - slack <= v <= high + slack for v in rounding.onsets(way, dtype, 113))


def test_the_bounds_are_those_of_exact_addition():
    # Float32 addition done with rational numbers, one by one and summed first.
    def rounded(x: Fraction) -> Fraction:  # to 24 bits, 1 <= x < 2, ties to even
        return Fraction(round(x * 2**23), 2**23)

    alone, together = rounding.theory(torch.float32, 113)
    for gap, one_by_one, first in (
        (alone - 0.01, False, False),
        (alone + 0.01, True, False),
        (together - 0.01, True, False),
        (together + 0.01, True, True),
    ):
        term = Fraction(math.exp(-gap))
        total = Fraction(1)
        for _ in range(112):
            total = rounded(total + term)
        assert (total == 1) is one_by_one
        assert (rounded(1 + 112 * term) == 1) is first


def run_of_figure_2(folder, collapse, config):
    """A run folder with these shares of collapse at epochs 0, 100, 200 ..., and its parent."""
    run = COLLAPSE_RUNS[60, 32]
    with runs.RunFolder(folder / "results" / run.name / "seed_42", config) as made:
        for k, share in enumerate(collapse):
            row = {"step": 100 * k, "epoch": 100 * k, "train_loss": 2.0**-k}
            made.append(row | {"softmax_collapse": share})
    return run


@pytest.mark.parametrize(
    ("collapse", "words"),
    [([0, 0.49, 0.5, 0.4, 0.6], ["200", "6.2e-02"]), ([0, 0.1], ["not by 100", "5.0e-01"])],
)
def test_thresholds_are_the_first_row_with_half_of_the_set(collapse, words, tmp_path, monkeypatch):
    monkeypatch.setattr(numerics, "RESULTS", tmp_path / "results")
    assert {row[4] for row in numerics.thresholds()[1:]} == {"–"}
    run = run_of_figure_2(tmp_path, collapse, COLLAPSE_RUNS[60, 32].config)
    assert numerics.thresholds()[2] == ["60 %", "float32", "3,000", "3,000", *words]
    path = tmp_path / "results" / run.name / "seed_42" / runs.CONFIG
    path.write_text(path.read_text().replace("half_softmax", "of_old"))
    assert numerics.first_half(run) is None  # from before the loss had torch's arithmetic


# ---------------------------------------------------------------------------------- gradients


def test_half_precision_gradients_vanish_at_half_the_smallest_number_times_n():
    for examples, competitors, _, wrong, label, on_cpu in cells(WRITTEN["gradients"]):
        n, k = int(examples.replace(",", "")), int(competitors)

        def gap(p, k=k):  # at which each of k equal competitors has the softmax p
            return -math.log(p / (1 - k * p))

        # A wrong class: p / n < 2^-25. The label: all of them, or what a float32 sum absorbs.
        assert float(wrong) == pytest.approx(gap(2.0**-25 * n), abs=0.06)
        absorbed = rounding.theory(torch.float32, k + 1)
        assert float(label) == pytest.approx(gap(2.0**-25 * n / k), abs=0.11) or (
            n == 1 and absorbed[0] - 0.06 <= float(label) <= absorbed[1]
        )
        assert float(on_cpu) == pytest.approx(rounding.theory(torch.float16, k + 1)[1], abs=0.06)


def gradient(gap, n, precision, scale=1.0):
    """(label's, a wrong class's) gradient of the mean loss over n equal rows."""
    logits, targets = rounding.gap_logits([gap] * n, 113, 3)
    logits.requires_grad_()
    (softmax_cross_entropy(logits, targets, precision=precision) * scale).backward()
    return logits.grad[0, 3].item(), logits.grad[0, 5].item()


def test_loss_scaling_brings_the_half_precision_gradient_back():
    assert gradient(10.0, 5107, torch.float16)[1] == 0
    scaled = gradient(10.0, 5107, torch.float16, scale=5107.0)[1]
    assert scaled == pytest.approx(math.exp(-10.0), rel=0.02)


@pytest.mark.parametrize("precision", [torch.float32, torch.float64])
def test_in_collapse_only_the_labels_gradient_is_zero(precision):
    label, wrong = gradient(50.0, 5107, precision)
    assert label == 0
    assert wrong == pytest.approx(math.exp(-50) / 5107, rel=1e-4)


def test_float32_gradients_are_subnormal_between_the_smallest_normal_and_zero():
    for examples, _, first, last in cells(WRITTEN["subnormals"]):
        n = int(examples.replace(",", ""))
        assert float(first) == pytest.approx(-math.log(2.0**-126 * n), abs=0.11)
        # 0 from half of 2^-149 on; the product of a subnormal and 1/n is rounded twice.
        assert float(last) == pytest.approx(-math.log(2.0**-150 * n), abs=0.7)


# ---------------------------------------------------------------------------------- StableMax


def test_the_exact_stablemax_values_are_those_of_the_definition():
    rest, own = rounding.exact_ratio([-1.0, 0.5, 2.0], 0)
    assert (rest, own) == (Fraction(3, 2) + 3, Fraction(1, 2))
    for row in cells(WRITTEN["kinks"]):
        for x, value in zip((-1.0, 0.0, 1.0), row[2:], strict=True):
            if value != "NaN":
                h = 1e-6  # difference quotient of log(1 + rest / own)

                def loss(x):
                    rest, own = rounding.exact_ratio([x, 0.5, 2.0], 0)
                    return math.log(1 + float(rest / own))

                assert float(value) == pytest.approx(
                    (loss(x + h) - loss(x - h)) / (2 * h), abs=1e-5
                )


def test_ours_is_never_nan_and_the_naive_forms_are_where_the_page_says():
    naive = {(row[0], row[1]): row[2:] for row in cells(WRITTEN["kinks"])}
    ours = [v for (form, _), v in naive.items() if "stablemax" in form]
    assert len(ours) == 2 and "NaN" not in sum(ours, [])
    ratio = naive["s, chosen by `where`", "float32"]
    assert [v == "NaN" for v in ratio] == [False, False, True]
    assert "NaN" not in naive["s, chosen by `where`", "float64"]
    assert naive["log s, chosen by `where`", "float64"][0] == "NaN"


def test_our_loss_of_large_logits_is_exact_in_float32_where_the_ratio_is_absorbed():
    for row in cells(WRITTEN["sizes"]):
        size = float(row[0].removeprefix("±"))
        exact, single, double, ours = rounding.stable_losses(size)
        own = 1 + Fraction(size)  # s(x); the others' s(-x) is its inverse
        # Sizes are float32 numbers up to a relative 6e-8, which counts twice here.
        assert exact == pytest.approx(math.log1p(float(112 / own**2)), rel=2e-7)
        assert ours == pytest.approx(exact, rel=1e-6)
        assert (single == 0) == (size >= 1e6)
        assert (double == 0) == (size >= 1e15)


@pytest.mark.parametrize("argv, code", [(["--help"], 0), (["--page"], 2)])
def test_command_that_asks_for_something_else_measures_nothing(argv, code, monkeypatch):
    monkeypatch.setattr(numerics, "filled", None)  # calling it would fail
    with pytest.raises(SystemExit) as end:
        numerics.main(argv)
    assert end.value.code == code
