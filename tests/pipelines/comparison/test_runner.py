"""A comparison of every arm, cut short and resumed, in two processes, by fractions, and refused."""

from __future__ import annotations

import csv
import shutil
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch

from pipelines.comparison import trials
from pipelines.comparison.arms import ARMS
from pipelines.comparison.preparation import Comparison
from pipelines.metrics.names import MEASURE_TITLES
from pipelines.results.arm_result import ArmResult, PairedDifference
from pipelines.results.comparison_rows import ClassifierRow, read_rows
from pipelines.results.comparison_summary import ComparisonSummary
from pipelines.study.fractions import RealFraction
from pipelines.study.manifest import Row, read_manifest
from pipelines.study.splitting import select_training_rows
from runtime.files import read_json, write_json
from runtime.run import Run, list_runs
from tests.conftest import TINY_CLASSIFIER, cxr, ok
from tests.support.torchrun_pair import TorchrunPair

TWO_SEEDS = ["--seeds", 2, *TINY_CLASSIFIER]


@dataclass(frozen=True)
class Finished:
    """A study with a finished comparison, and what the command printed."""

    study: Path
    output: str

    @property
    def run(self) -> Run:
        return Run(self.study / "runs" / "0004-compare")

    @property
    def summary(self) -> ComparisonSummary:
        return ComparisonSummary.load(self.run)

    @property
    def rows(self) -> list[ClassifierRow]:
        return read_rows(self.run)

    def rows_of(self, arm: str) -> list[ClassifierRow]:
        return [row for row in self.rows if row.arm == arm]


def compare(tiny_study: Path, folder: Path, *options: object) -> Finished:
    """Compare arms in a copy of the tiny study."""
    study = Path(shutil.copytree(tiny_study, folder / "study"))
    return Finished(study, ok(cxr("compare", *options, *TWO_SEEDS, folder=study)))


def timeless_results(folder: Path) -> list[dict[str, str]]:
    """Read results.csv but for the time that each classifier took."""
    with open(folder / "results.csv", newline="", encoding="utf-8") as file:
        return [
            {name: value for name, value in row.items() if name != "seconds"}
            for row in csv.DictReader(file)
        ]


# Every arm that equal classes can have, over generators and seeds.

EQUAL_ARMS = {name: arm for name, arm in ARMS.items() if not arm.fills_classes}


@pytest.fixture(scope="module")
def every_arm(tiny_study: Path, tmp_path_factory: pytest.TempPathFactory) -> Finished:
    options = ("--arms", ",".join(EQUAL_ARMS), "--generators", 2)
    return compare(tiny_study, tmp_path_factory.mktemp("every-arm"), *options)


def test_every_arm_is_repeated_over_the_levels_that_it_has(every_arm: Finished) -> None:
    assert Counter(row.arm for row in every_arm.rows) == {
        name: 4 if arm.synthetic else 2 for name, arm in EQUAL_ARMS.items()
    }


def test_the_budget_is_equal(every_arm: Finished) -> None:
    assert {row.steps for row in every_arm.rows} == {6}


@pytest.mark.parametrize(
    ("arm", "added", "synthetic"),
    [
        ("real", 0, 0),
        ("real+classical", 0, 0),
        ("real+weights", 0, 0),
        ("real+oversampled", 0, 0),
        ("real+duplicates", 24, 0),
        ("real+gan", 24, 24),
        ("real+gan+classical", 24, 24),
        ("gan-pretrain", 24, 24),
        ("real+shuffled", 24, 24),
        ("real+oracle", 24, 0),
    ],
)
def test_an_arm_adds_its_images_to_the_reals(
    every_arm: Finished, arm: str, added: int, synthetic: int
) -> None:
    reals = every_arm.rows_of("real")[0].train_images
    counts = {(row.train_images - reals, row.synthetic_images) for row in every_arm.rows_of(arm)}
    assert counts == {(added, synthetic)}


def test_an_arm_of_synthetic_images_alone_has_no_reals(every_arm: Finished) -> None:
    rows = every_arm.rows_of("gan-only")
    assert {(row.train_images, row.synthetic_images) for row in rows} == {(24, 24)}


def test_further_generators_stand_apart(every_arm: Finished) -> None:
    assert [run.name for run in list_runs(every_arm.study / "replicates")] == [
        "0001-gan-train",
        "0002-synthesize",
    ]


def test_a_further_generator_has_the_next_seed(every_arm: Finished) -> None:
    further = every_arm.study / "replicates" / "0001-gan-train"
    assert [use.run for use in every_arm.summary.generators] == [
        "0001-gan-train",
        "replicates/0001-gan-train",
    ]
    assert Run(further).config["seed"] == 1


def result_of(finished: Finished, arm: str) -> ArmResult:
    return next(result for result in finished.summary.results if result.arm == arm)


def difference_of(finished: Finished, arm: str, reference: str) -> PairedDifference:
    return next(
        own
        for own in finished.summary.differences
        if (own.condition.arm, own.reference.arm) == (arm, reference)
    )


@pytest.mark.parametrize("measure", MEASURE_TITLES)
@pytest.mark.parametrize("arm", ["real", "real+gan", "gan-pretrain"])
def test_a_measure_is_the_mean_of_the_classifiers(
    every_arm: Finished, arm: str, measure: str
) -> None:
    estimate = result_of(every_arm, arm).measures.of(measure)
    values = [getattr(row, measure) for row in every_arm.rows_of(arm)]
    assert estimate.per_replicate == pytest.approx(values)
    assert estimate.value == pytest.approx(np.mean(values))


@pytest.mark.parametrize("measure", MEASURE_TITLES)
@pytest.mark.parametrize(
    ("arm", "reference"),
    [("real+classical", "real"), ("real+gan", "real"), ("real+gan+classical", "real+classical")],
)
def test_differences_are_paired_by_seed(
    every_arm: Finished, arm: str, reference: str, measure: str
) -> None:
    of_reference = {row.seed: getattr(row, measure) for row in every_arm.rows_of(reference)}
    paired = [getattr(row, measure) - of_reference[row.seed] for row in every_arm.rows_of(arm)]
    difference = difference_of(every_arm, arm, reference).differences.of(measure)
    assert difference.value == pytest.approx(np.mean(paired), abs=1e-9)


def test_every_arm_is_held_against_real_and_synthetic_ones_against_the_best(
    every_arm: Finished,
) -> None:
    differences = every_arm.summary.differences
    against_real = [own.condition.arm for own in differences if "real" in own.roles]
    assert against_real == [arm for arm in EQUAL_ARMS if arm != "real"]
    best = max(
        (result_of(every_arm, name) for name, arm in EQUAL_ARMS.items() if arm.is_baseline),
        key=lambda result: result.validation,
    )
    against_best = {own.condition.arm: own.reference for own in differences if "best" in own.roles}
    assert against_best == {
        name: best.condition for name, arm in EQUAL_ARMS.items() if arm.added == "synthetic"
    }


def test_one_difference_is_the_question_and_its_verdict_the_answer(every_arm: Finished) -> None:
    (primary,) = (own for own in every_arm.summary.differences if own.is_primary)
    assert primary.title == "real+gan+classical − real+classical"
    assert primary.p_adjusted == primary.differences.roc_auc.p
    assert every_arm.summary.verdict == primary.verdict


def test_exploratory_differences_share_one_error_rate(every_arm: Finished) -> None:
    exploratory = [own for own in every_arm.summary.differences if not own.is_primary]
    smallest = min(exploratory, key=lambda own: own.differences.roc_auc.p)
    expected = min(1.0, len(exploratory) * smallest.differences.roc_auc.p)
    assert smallest.p_adjusted == pytest.approx(expected)


def test_every_difference_and_verdict_is_printed(every_arm: Finished) -> None:
    for own in every_arm.summary.differences:
        assert f"{own.condition.arm} − {own.reference.arm}" in every_arm.output
        assert own.verdict in every_arm.output


def test_a_dozen_test_patients_are_warned_of(every_arm: Finished) -> None:
    assert "too few for an interval to be trusted" in every_arm.summary.sentence


@pytest.mark.parametrize("pattern", ["classifier.pt", "checkpoints", "*.partial"])
def test_a_comparison_leaves_no_weights_behind(every_arm: Finished, pattern: str) -> None:
    assert not list(every_arm.run.folder.rglob(pattern))


@pytest.mark.parametrize("name", ["report.html", "comparison.png"])
def test_a_comparison_leaves_a_report(every_arm: Finished, name: str) -> None:
    assert (every_arm.run.folder / name).stat().st_size > 10_000


# Two draws of one generator, half of every batch synthetic.


@pytest.fixture(scope="module")
def two_draws(tiny_study: Path, tmp_path_factory: pytest.TempPathFactory) -> Finished:
    options = ("--arms", "real+gan,real+oracle", "--draws", 2, "--synthetic-share", 0.5)
    return compare(tiny_study, tmp_path_factory.mktemp("two-draws"), *options)


def test_added_images_are_drawn_as_often_as_asked(two_draws: Finished) -> None:
    levels = Counter((row.arm, row.draw, row.seed) for row in two_draws.rows)
    drawn = [(arm, draw) for arm in ("real+gan", "real+oracle") for draw in (0, 1)]
    assert levels == {(*key, seed): 1 for key in [("real", None), *drawn] for seed in (0, 1)}


@pytest.mark.parametrize(
    ("arm", "is_same"), [("real", True), ("real+oracle", True), ("real+gan", False)]
)
def test_a_share_of_synthetic_images_changes_no_arm_without_them(
    two_draws: Finished, every_arm: Finished, arm: str, is_same: bool
) -> None:
    with_share, without = (
        [trial.read_bytes() for trial in predictions_of(finished, arm)]
        for finished in (two_draws, every_arm)
    )
    assert (with_share[:2] == without[:2]) == is_same


def predictions_of(finished: Finished, arm: str) -> list[Path]:
    """Return the predictions of an arm's classifiers, those of draw 0 first."""
    return sorted((finished.run.folder / "classifiers").glob(f"{arm}-f1*/predictions.csv"))


def test_further_draws_stand_apart(two_draws: Finished) -> None:
    assert [run.name for run in list_runs(two_draws.study / "replicates")] == ["0001-synthesize"]


def test_results_of_other_images_are_not_gone_on_with(two_draws: Finished, tmp_path: Path) -> None:
    study = Path(shutil.copytree(two_draws.study, tmp_path / "study"))
    (study / "runs" / "0004-compare" / "result.json").unlink()
    manifest = study / "data" / "manifest.csv"
    lines = manifest.read_text().splitlines(keepends=True)
    lines.remove(next(line for line in lines if ",test," in line))
    manifest.write_text("".join(lines))
    message = refusal("compare", "--resume", folder=study)
    assert "data" in message
    assert "→" in message


# In two processes, and options that a resumed one may not get.


@pytest.fixture
def always_shared(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """Have classifiers trained side by side on two threads, however short that is.

    Returns the numbers of processes, as they are chosen.
    """
    threads, chosen = torch.get_num_threads(), []
    count = trials.count_processes

    def count_and_note(comparison: Comparison) -> int:
        chosen.append(count(comparison))
        return chosen[-1]

    monkeypatch.setattr(trials, "SHARED_FROM", 0)
    monkeypatch.setattr(trials, "count_processes", count_and_note)
    torch.set_num_threads(2)
    yield chosen
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def pretrained_by_gan(tiny_study: Path, tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """What one process finds, to be found by more of them too."""
    return compare(tiny_study, tmp_path_factory.mktemp("pretrain"), "--arms", "gan-pretrain")


def test_two_processes_find_what_one_finds(
    pretrained_by_gan: Finished, study: Path, torchrun_pair: TorchrunPair
) -> None:
    done = torchrun_pair.run("compare", "--arms", "gan-pretrain", *TWO_SEEDS, folder=study)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("made: the comparison") == 1, "one process speaks"
    found = timeless_results(study / "runs" / "0004-compare")
    assert found == timeless_results(pretrained_by_gan.run.folder)


def test_side_by_side_they_find_what_one_finds(
    pretrained_by_gan: Finished, tiny_study: Path, tmp_path: Path, always_shared: list[int]
) -> None:
    shared = compare(tiny_study, tmp_path, "--arms", "gan-pretrain")
    assert always_shared == [2]
    assert shared.output.count("made: the comparison") == 1, "one process speaks"
    assert timeless_results(shared.run.folder) == timeless_results(pretrained_by_gan.run.folder)


@pytest.mark.parametrize(
    ("option", "message"),
    [
        (["--seeds", 3], "--seeds 2 → 3"),
        (["--arms", "real+gan"], "--arms real,gan-pretrain → real,real+gan"),
        (["--positive", "normal"], "positive covid → normal"),
        (["--steps", 9], "→ 9"),
    ],
)
def test_an_unfinished_comparison_goes_on_with_no_other_options(
    option: list[object], message: str, pretrained_by_gan: Finished, tmp_path: Path
) -> None:
    study = Path(shutil.copytree(pretrained_by_gan.study, tmp_path / "study"))
    (study / "runs" / "0004-compare" / "result.json").unlink()
    refused = cxr("compare", "--resume", *option, folder=study)
    assert refused.exit_code == 2
    assert message in refused.output


# Fractions of the reals, and ratios of synthetic images to them.


@pytest.fixture(scope="module")
def fractions(tiny_study: Path, tmp_path_factory: pytest.TempPathFactory) -> Finished:
    options = ("--arms", "real+gan", "--real-fractions", "0.5,1", "--synthetic-ratio", "0.25,0.5")
    return compare(tiny_study, tmp_path_factory.mktemp("fractions"), *options)


def training_rows(finished: Finished, fraction: RealFraction) -> list[Row]:
    rows = read_manifest(finished.study / "data" / "manifest.csv")
    return select_training_rows(rows, fraction)


def replicate_of(finished: Finished, command: str) -> Run:
    (run,) = (run for run in list_runs(finished.study / "replicates") if run.command == command)
    return run


def test_a_fraction_gets_a_generator_of_its_own(fractions: Finished) -> None:
    generator = replicate_of(fractions, "gan-train")
    assert generator.config["real_fraction"] == 0.5
    assert generator.result["images"] == len(training_rows(fractions, 0.5))


def test_a_generator_of_a_fraction_saw_its_fraction_alone(fractions: Finished) -> None:
    drawn = replicate_of(fractions, "synthesize")
    expected = {row.sha256 for row in training_rows(fractions, 0.5)}
    assert set(drawn.config["trained_on"]) == expected


def test_ratios_are_of_the_reals_of_the_fraction(fractions: Finished) -> None:
    for row in fractions.rows:
        reals = len(training_rows(fractions, row.fraction))
        assert row.synthetic_images == round((row.ratio or 0) * reals)
        assert row.train_images == reals + row.synthetic_images


def test_the_worth_in_patients_is_told_at_every_fraction_and_ratio(fractions: Finished) -> None:
    entries = fractions.summary.data_efficiency
    assert [(entry.fraction, entry.ratio) for entry in entries] == [
        (0.5, 0.25),
        (0.5, 0.5),
        (1.0, 0.25),
        (1.0, 0.5),
    ]
    assert [entry.sentence for entry in entries if entry.sentence not in fractions.output] == []


def test_the_worth_lies_within_its_interval_and_the_curve(fractions: Finished) -> None:
    rows = [training_rows(fractions, fraction) for fraction in (0.5, 1.0)]
    fewest, most = (len({row.patient for row in of_fraction}) for of_fraction in rows)
    for entry in fractions.summary.data_efficiency:
        assert entry.low.patients <= entry.further.patients <= entry.high.patients
        assert fewest <= entry.real_patients + entry.further.patients <= most


@pytest.mark.parametrize("name", ["learning_curve.png", "ratio_curve.png"])
def test_fractions_and_ratios_are_drawn(fractions: Finished, name: str) -> None:
    assert (fractions.run.folder / name).exists()


# One class thinned, and filled up with synthetic images.


@pytest.fixture(scope="module")
def thinned(tiny_study: Path, tmp_path_factory: pytest.TempPathFactory) -> Finished:
    options = ("--arms", "real+gan-balanced", "--real-fractions", "covid=0.5")
    return compare(tiny_study, tmp_path_factory.mktemp("thinned"), *options)


def test_a_thinned_class_is_filled_up_to_the_largest(thinned: Finished) -> None:
    counts = Counter(row.label for row in training_rows(thinned, "covid=0.5"))
    assert counts["normal"] == Counter(r.label for r in training_rows(thinned, 1.0))["normal"]
    lacking = counts["normal"] - counts["covid"]
    assert lacking > 8
    added = {row.arm: row.synthetic_images for row in thinned.rows}
    assert added == {"real": 0, "real+gan-balanced": lacking}
    assert {row.fraction for row in thinned.rows} == {"covid=0.5"}


def test_a_generator_of_a_thinned_class_saw_the_same_images(thinned: Finished) -> None:
    generator, drawn = (replicate_of(thinned, name) for name in ("gan-train", "synthesize"))
    assert generator.config["real_fraction"] == "covid=0.5"
    expected = {row.sha256 for row in training_rows(thinned, "covid=0.5")}
    assert set(drawn.config["trained_on"]) == expected


def test_the_page_says_which_class_is_thinned(thinned: Finished) -> None:
    page = (thinned.run.folder / "report.html").read_text(encoding="utf-8")
    assert "of the real images of covid, all others" in page
    assert not (thinned.run.folder / "learning_curve.png").exists()


# What is planned, and what is refused.


def test_a_plan_says_what_would_be_and_does_nothing(study: Path) -> None:
    before = sorted(study.rglob("*"))
    output = ok(
        cxr("compare", "--plan", "--generators", 3, "--real-fractions", "0.5,1", folder=study)
    )
    assert "classifiers to train, and 5 generators before them" in output
    assert "% of such studies" in output
    assert "real+gan+classical against real+classical, in ROC AUC" in output
    assert sorted(study.rglob("*")) == before


def refusal(*arguments: object, folder: Path) -> str:
    """What a refused command says."""
    refused = cxr(*arguments, folder=folder)
    assert refused.exit_code == 2
    return refused.output


@pytest.fixture
def bare_study(phantom_study: Path, tmp_path: Path) -> Path:
    """A study of images alone."""
    return Path(shutil.copytree(phantom_study, tmp_path / "bare"))


def test_arms_with_synthetic_images_need_a_set(bare_study: Path) -> None:
    assert "cxr synthesize" in refusal("compare", *TWO_SEEDS, folder=bare_study)


def test_arms_without_synthetic_images_need_none(bare_study: Path) -> None:
    ok(cxr("compare", "--arms", "real+duplicates", *TWO_SEEDS, folder=bare_study))


def test_only_phantoms_have_an_oracle(study: Path) -> None:
    manifest = study / "data" / "manifest.csv"
    renamed = manifest.read_text().replace("images/covid/PHANTOM", "images/covid/patient")
    manifest.write_text(renamed)
    for path in (study / "data" / "images" / "covid").iterdir():
        path.rename(path.with_name(path.name.replace("PHANTOM", "patient")))
    message = refusal("compare", "--arms", "real+oracle", *TWO_SEEDS, folder=study)
    assert "only whole phantoms have an oracle" in message


def test_an_svm_has_no_classical_augmentation(study: Path) -> None:
    assert "svm" in refusal("compare", "--arms", "real+classical", "--arch", "svm", folder=study)


def test_a_generator_of_a_fraction_is_not_taken_for_one_of_all(study: Path) -> None:
    tiny = ["--steps", 2, "--image-size", 32, "--width", 4, "--batch-size", 8]
    ok(cxr("gan-train", "--real-fraction", 0.5, *tiny, folder=study))
    ok(cxr("synthesize", "--n", 8, folder=study))
    assert "was trained on 0.5 of the reals" in refusal("compare", *TWO_SEEDS, folder=study)
    ok(cxr("compare", "--synthetic", "2", "--arms", "real+gan", *TWO_SEEDS, folder=study))


def test_the_answer_tells_of_a_generator_that_collapsed(study: Path) -> None:
    config = study / "runs" / "0002-synthesize" / "config.json"
    write_json(config, read_json(config) | {"unhealthy": ["covid"]})
    output = ok(cxr("compare", "--arms", "real,real+gan", *TWO_SEEDS, folder=study))
    warning = "the generator of 0002-synthesize had collapsed, or drew noise, in covid"
    assert f"Beware: {warning}." in output
    assert warning in ComparisonSummary.load(Run(study / "runs" / "0004-compare")).warnings


def test_a_generator_of_no_reals_is_refused(study: Path) -> None:
    assert "at most 1" in refusal("gan-train", "--real-fraction", 0, folder=study)
