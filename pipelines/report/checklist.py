"""The pitfalls that the literature warns of, each with the study's own answer from its files."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from pipelines.report.answers import Answer
from pipelines.report.comparison_pitfalls import (
    classical_baseline,
    control_arms,
    few_test_patients,
    many_comparisons,
    single_run,
    tuning_on_test,
    unequal_budgets,
)
from pipelines.report.contents import Study
from pipelines.report.data_pitfalls import (
    duplicates_across_splits,
    external_test,
    label_and_source,
    patients_in_several_splits,
    shortcuts,
    simple_facts,
)
from pipelines.report.lung_pitfalls import seen_view, source_or_finding
from pipelines.report.synthetic_pitfalls import (
    collapsed_generators,
    generator_leak,
    memorised_images,
    scores_on_test,
    telling_fingerprints,
)


@dataclass(frozen=True)
class Pitfall:
    """A mistake that the literature warns of.

    Attributes:
        source: One of references.REFERENCES.
        ask: Makes a study's answer; None where it cannot have the pitfall.
    """

    name: str
    source: str
    ask: Callable[[Study], Answer | None]


@dataclass(frozen=True)
class Item:
    """One line of the checklist."""

    pitfall: str
    source: str
    answer: Answer


def checklist(study: Study) -> list[Item]:
    """Return the study's answer to every pitfall that it can have."""
    answers = [(pitfall, pitfall.ask(study)) for pitfall in PITFALLS]
    return [Item(pitfall.name, pitfall.source, answer) for pitfall, answer in answers if answer]


PITFALLS = (
    Pitfall("One patient in several splits", "Roberts et al. 2021", patients_in_several_splits),
    Pitfall("Duplicate images across splits", "Roberts et al. 2021", duplicates_across_splits),
    Pitfall("The generator saw held-out images", "Kapoor & Narayanan 2023", generator_leak),
    Pitfall("Tuning on the test split", "Varoquaux & Cheplygina 2022", tuning_on_test),
    Pitfall(
        "Synthetic images chosen on the test split",
        "Varoquaux & Cheplygina 2022",
        scores_on_test,
    ),
    Pitfall("Unequal training budgets", "Lipton & Steinhardt 2019", unequal_budgets),
    Pitfall("A single run", "Bouthillier et al. 2021", single_run),
    Pitfall("Many comparisons, one of them lucky", "Holm 1979", many_comparisons),
    Pitfall("Too few test patients", "Varoquaux & Cheplygina 2022", few_test_patients),
    Pitfall("A baseline without classical augmentation", "Fedoruk et al. 2023", classical_baseline),
    Pitfall("No control arm", "Lipton & Steinhardt 2019", control_arms),
    Pitfall("Label and source are one", "DeGrave et al. 2021", label_and_source),
    Pitfall("Size, brightness or borders tell the label", "DeGrave et al. 2021", simple_facts),
    Pitfall("Nothing makes the classifier look at the lungs", "Teixeira et al. 2021", seen_view),
    Pitfall("Shortcuts outside of the lungs", "Maguolo & Nanni 2020", shortcuts),
    Pitfall("The answer follows the source", "DeGrave et al. 2021", source_or_finding),
    Pitfall("No external test", "Zech et al. 2018", external_test),
    Pitfall("A generator that collapsed", "Saad et al. 2022", collapsed_generators),
    Pitfall("Memorised training images", "Meehan et al. 2020", memorised_images),
    Pitfall("Synthetic images betray themselves", "Wang et al. 2020", telling_fingerprints),
)
