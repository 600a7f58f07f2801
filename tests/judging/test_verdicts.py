"""Verdicts follow from the metrics and from nothing else."""

import pandas
import pytest
from house import CATALOG
from made_runs import (
    BAD,
    EARLY,
    GOOD,
    HIGH,
    LATE,
    LOW,
    SAME,
    SMALL,
    A,
    B,
    claim,
    derive,
    write,
    write_size,
)

from configuration import runs
from experiment.claim import Less, Within, at_least, at_most
from experiment.figure import Figure
from experiment.quantity import at, first
from judging import tables
from judging.verdicts import Evidence, judge
from paper.figure_12 import frequencies


@pytest.mark.parametrize(
    "seeds, checks, verdict, measured",
    [
        ([GOOD], [EARLY, HIGH], "reproduced", "early 20; high 90 %"),
        ([GOOD, GOOD], [EARLY, HIGH], "reproduced", "early 20; high 90 %"),
        ([BAD], [EARLY, HIGH], "not reproduced", "early not reached by 30; high 20 %"),
        ([BAD, BAD], [EARLY], "not reproduced", "early not reached by 30 on 2 of 2 seeds"),
        ([LATE], [EARLY, HIGH], "partly", "early 30 (fails); high 90 % (holds)"),
        ([LOW], [EARLY, HIGH], "partly", "early 20 (holds); high 80 % (fails)"),
        (
            [GOOD, LATE],
            [EARLY, HIGH],
            "partly",
            "early 20 to 30 (holds on 1 of 2 seeds); high 90 % (holds)",
        ),
        (
            [BAD, BAD, GOOD],
            [EARLY],
            "partly",
            "early 20, not reached by 30 on 2 of 3 seeds (holds on 1 of 3 seeds)",
        ),
        # One check holds on one seed, the other on the other: neither claim nor its contrary.
        (
            [LATE, LOW],
            [EARLY, HIGH],
            "partly",
            "early 20 to 30 (holds on 1 of 2 seeds); high 80 % to 90 % (holds on 1 of 2 seeds)",
        ),
    ],
)
def test_verdict_over_checks_and_seeds(seeds, checks, verdict, measured, places):
    own, _, evidence = places
    for seed, values in enumerate(seeds):
        write(own, A, seed, test_accuracy=values)
    found = judge(claim(*checks), evidence)
    assert (found.verdict, found.measured) == (verdict, measured)
    assert found.seeds == tuple(range(len(seeds)))


def test_without_a_complete_run_nothing_is_judged(places):
    found = judge(claim(EARLY), places[2])
    assert (found.verdict, found.measured) == ("not run", "not run")
    assert found.provenance == f"no complete run of {A}"


def test_an_unfinished_run_is_not_judged_and_says_its_values_and_how_far_it_came(places):
    own, published, evidence = places
    write(own, A, test_accuracy=GOOD, complete=False)
    write(published, B, test_accuracy=BAD, complete=False)
    found = judge(claim(EARLY, HIGH), evidence)
    assert (found.verdict, found.held) == ("not run", ())  # though both checks would hold
    assert found.measured == "so far: early 20; high 90 %"
    epochs = A.config.num_epochs
    assert found.provenance == f"no complete run of {A} (seed 42 at epoch 30 of {epochs:,})"
    late = claim(Within(first(B, "test_accuracy", 0.5), at_most(20)))
    assert judge(late, evidence).measured == "so far: not reached by 30"


def test_of_unfinished_seeds_each_says_how_far_it_came(places):
    own, _, evidence = places
    write(own, A, 1, test_accuracy=GOOD, complete=False)
    write(own, A, 2, (0, 10), test_accuracy=GOOD[:2], complete=False)
    found = judge(claim(HIGH), evidence)
    assert found.measured == "so far: high 0 % to 90 %"
    epochs = f"{A.config.num_epochs:,}"
    assert found.provenance == (
        f"no complete run of {A} (seed 1 at epoch 30 of {epochs}, seed 2 at epoch 10 of {epochs})"
    )


def test_checks_whose_runs_have_begun_are_measured_though_others_have_not(places):
    own, _, evidence = places
    write(own, A, test_accuracy=GOOD)
    write(own, B, 1, test_accuracy=GOOD, complete=False)  # of another seed: no common one
    both = Less(("a", first(A, "test_accuracy", 0.5)), ("b", first(B, "test_accuracy", 0.5)))
    found = judge(claim(both, HIGH), evidence)
    assert (found.verdict, found.measured) == ("not run", "so far: high 90 %")


def test_an_unfinished_folder_of_another_configuration_is_not_used_and_is_said(places):
    own, _, evidence = places
    write(own, A, test_accuracy=GOOD, complete=False)
    path = runs.run_folder(own, A.name, 42) / runs.CONFIG
    path.write_text(path.read_text().replace('"seed": 42', '"seed": 43'))
    assert judge(claim(HIGH), evidence).measured == "not run"
    assert "seed 43 -> 42" in " ".join(evidence.notes)


def test_a_claim_over_two_runs_needs_both_and_names_the_missing_one(places):
    own, _, evidence = places
    write(own, A, test_accuracy=GOOD)
    order = Less(("a", first(A, "test_accuracy", 0.5)), ("b", first(B, "test_accuracy", 0.5)))
    found = judge(claim(order), evidence)
    assert (found.verdict, found.provenance) == ("not run", f"no complete run of {B}")


def test_a_claim_over_two_runs_is_judged_on_the_seeds_of_both(places):
    own, _, evidence = places
    for seed in (1, 2):
        write(own, A, seed, test_accuracy=GOOD if seed == 2 else BAD)
    for seed in (2, 3):
        write(own, B, seed, test_accuracy=LATE if seed == 2 else BAD)
    order = Less(("a", first(A, "test_accuracy", 0.5)), ("b", first(B, "test_accuracy", 0.5)))
    found = judge(claim(order), evidence)
    assert (found.verdict, found.measured) == ("reproduced", "a 20 < b 30")
    assert found.provenance == "seed 2 (your runs)"


def test_a_line_of_the_overview_is_of_the_claims_of_its_own_figure(places):
    own, _, evidence = places
    write(own, A, test_accuracy=LATE)
    figures = [Figure(id=id, title="", claim="", panels=()) for id in ("1", "16")]
    judged = [judge(claim(c, panel=p), evidence) for c, p in ((EARLY, "1a"), (HIGH, "16b"))]
    first, second = tables.overview(figures, judged).splitlines()
    assert first.endswith("0 of 1 checks; 1 claim: 1 not reproduced")
    assert second.endswith("1 of 1 checks; 1 claim: 1 reproduced")


def test_own_runs_come_before_published_ones(places):
    own, published, evidence = places
    write(published, A, 42, test_accuracy=BAD)
    assert judge(claim(EARLY), evidence).provenance == "seed 42 (bundled runs)"
    write(own, A, 42, test_accuracy=GOOD)
    found = judge(claim(EARLY), Evidence(own, published))
    assert (found.verdict, found.provenance) == ("reproduced", "seed 42 (your runs)")


def test_an_unfinished_run_of_ones_own_stands_in_the_way_of_no_published_one(places):
    own, published, evidence = places
    write(own, A, 42, test_accuracy=BAD, complete=False)
    write(published, A, 42, test_accuracy=GOOD)
    for seeds in (None, (42,)):
        found = judge(claim(EARLY, seeds=seeds), evidence)
        assert (found.verdict, found.measured) == ("reproduced", "early 20")
        assert found.provenance == "seed 42 (bundled runs)"


def test_own_and_published_runs_complete_each_other(places):
    own, published, evidence = places
    write(own, A, 7, test_accuracy=BAD)
    write(published, A, 42, test_accuracy=GOOD)
    write(published, B, 42, test_accuracy=LATE)
    order = Less(("a", first(A, "test_accuracy", 0.5)), ("b", first(B, "test_accuracy", 0.5)))
    found = judge(claim(order), evidence)
    assert (found.verdict, found.provenance) == ("reproduced", "seed 42 (bundled runs)")


def test_only_the_seeds_a_claim_asks_for_are_looked_at(places):
    own, _, evidence = places
    write(own, A, 1, test_accuracy=GOOD)
    write(own, A, 2, test_accuracy=BAD)
    assert judge(claim(EARLY, seeds=(2,)), evidence).verdict == "not reproduced"
    assert judge(claim(EARLY), evidence).verdict == "partly"


def test_a_folder_of_another_configuration_is_no_evidence_and_is_said(places):
    own, _, evidence = places
    write(own, A, test_accuracy=GOOD)
    path = runs.run_folder(own, A.name, 42) / runs.CONFIG
    path.write_text(path.read_text().replace('"lr": 0.01', '"lr": 0.02'))
    assert judge(claim(EARLY), evidence).verdict == "not run"
    assert "lr 0.02 -> 0.01" in next(iter(evidence.notes))


def test_frequencies_are_counted_in_the_table_beside_the_run(places):
    own, _, evidence = places
    write(own, A, test_accuracy=GOOD)
    few = claim(Within(frequencies(A, "final", 0.9), at_most(0.5)), panel="12")
    found = judge(few, evidence)
    assert found.verdict == "not run" and "no spectrum, no checkpoint" in found.provenance
    checkpoint = runs.run_folder(own, A.name, 42) / runs.CHECKPOINT
    checkpoint.touch()
    found = judge(few, Evidence(own, places[1]))
    assert found.verdict == "not run" and "python -m weights.spectrum own/" in found.provenance
    checkpoint.unlink()
    # Averaged over the operands: 0.6, 0.3, 0.06, 0.04; two of four hold 90 %.
    rows = [(o, k, 0.25, s) for o, shares in TWO_OPERANDS.items() for k, s in enumerate(shares, 1)]
    table = pandas.DataFrame(rows, columns=["operand", "frequency", "initial", "final"])
    derive(runs.run_folder(own, A.name, 42), runs.SPECTRUM, table)
    found = judge(few, Evidence(own, places[1]))
    assert (found.verdict, found.measured) == ("reproduced", "50 %")
    even = claim(Within(frequencies(A, "initial", 0.9), at_least(1)))
    assert judge(even, Evidence(own, places[1])).measured == "100 %"
    # A seed without a table is left out, and named.
    write(own, A, 43, test_accuracy=GOOD)
    found = judge(few, Evidence(own, places[1]))
    assert (found.verdict, found.measured, found.seeds) == ("reproduced", "50 %", (42,))
    said = "seed 42 (your runs); not of 43: own/add_orthoadamw/seed_43 has no spectrum"
    assert found.provenance.startswith(said)


TWO_OPERANDS = {"first": [0.9, 0.0, 0.06, 0.04], "second": [0.3, 0.6, 0.06, 0.04]}


def test_a_claim_is_held_against_runs_of_its_size_and_says_so(places):
    _, published, evidence = places
    write_size(published, SMALL, "full", test_accuracy=BAD)
    write_size(published, SMALL, "cpu", test_accuracy=GOOD)
    write_size(published, SAME, "full", test_accuracy=GOOD)
    high = Within(at(SMALL, "test_accuracy"), at_least(0.9))
    both = Less(("a", at(SMALL, "test_accuracy")), ("b", at(SAME, "test_accuracy")), equal=True)
    full, cpu = (judge(claim(high, panel="s5", size=s), evidence) for s in ("full", "cpu"))
    assert (full.verdict, cpu.verdict) == ("not reproduced", "reproduced")
    assert full.provenance == "seed 42 (bundled runs)"
    assert cpu.provenance == "cpu size, seed 42 (bundled runs)"
    assert judge(claim(both, panel="s5", size="cpu"), evidence).verdict == "reproduced"


def test_a_missing_run_is_named_with_its_size(places):
    high = Within(at(SMALL, "test_accuracy"), at_least(0.9))
    found = judge(claim(high, panel="s5 30 %", size="cpu"), places[2])
    assert found.provenance == "no complete run of cpu/s5_toth_30"
    none = Within(at(CATALOG.run("add_pku_lstm_10"), "test_accuracy"), at_least(0.9))
    other = judge(claim(none, panel="architectures", size="cpu"), places[2])
    assert other.provenance == "no complete run of add_pku_lstm_10 (has no cpu size)"
    with pytest.raises(ValueError, match="unknown size 'tiny'"):
        claim(EARLY, size="tiny")


def test_what_each_unfinished_seed_has_not_reached_is_said_as_far_as_it_is_known(places):
    own, _, evidence = places
    write(own, A, 1, test_accuracy=BAD, complete=False)
    write(own, A, 2, (0, 10), test_accuracy=BAD[:2], complete=False)
    found = judge(claim(EARLY), evidence)
    assert found.measured == "so far: early not reached by 10 to 30 on 2 of 2 seeds"


def test_unfinished_seeds_are_told_where_complete_ones_have_none_in_common(places):
    own, _, evidence = places
    write(own, A, 1, test_accuracy=GOOD)
    write(own, A, 2, (0, 10), test_accuracy=GOOD[:2], complete=False)
    write(own, B, 2, test_accuracy=GOOD)
    order = Less(("a", first(A, "test_accuracy", 0.5)), ("b", first(B, "test_accuracy", 0.5)))
    found = judge(claim(order), evidence)
    epochs = f"{A.config.num_epochs:,}"
    assert found.provenance == (
        f"no seed that all of {A} (seed 2 at epoch 10 of {epochs}), {B} have"
    )


def test_run_whose_rows_are_not_all_there_is_no_evidence(places):
    own, _, evidence = places
    write(own, A, test_accuracy=GOOD)
    path = runs.run_folder(own, A.name, 42) / runs.METRICS
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:-1]))
    assert judge(claim(EARLY), evidence).verdict == "not run"
    assert "metrics.csv is not as the run left it" in " ".join(evidence.notes)


def test_metrics_of_another_form_are_said_and_judge_nothing(places):
    own, _, evidence = places
    write(own, A, accuracy=GOOD)
    found = judge(claim(EARLY), evidence)
    assert found.verdict == "not run"
    assert "no column 'test_accuracy'" in found.provenance
