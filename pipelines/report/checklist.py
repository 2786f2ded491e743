"""The pitfalls that the literature warns of, each with the study's own answer, taken from its files.

good: the study keeps clear of it. open: its files cannot tell, or only in part. bad: the study falls into it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from pipelines.metrics.paired_tests import FEW_PATIENTS
from pipelines.report.contents import Study
from pipelines.report.formats import p_value, percent, plural, points, points_range
from pipelines.results.comparison_summary import headline_result, headline_results, kind_of
from pipelines.study.manifest import EXTERNAL, SPLITS

MARKS = {"good": "Avoided", "open": "Open", "bad": "Not avoided"}
SEEDS, GENERATORS = 3, 2  # of an arm, below which luck stays open
FINE, COARSE = (
    0.05,
    0.10,
)  # detectable differences up to which a study is good, and from which on it would miss what CovidGAN claims
BY_FACTS = 0.1  # more of the labels told by size, brightness and borders than by guessing


@dataclass(frozen=True)
class Answer:
    """What the study says to one pitfall."""

    mark: str  # one of MARKS
    text: str
    command: str = ""  # that would close it


@dataclass(frozen=True)
class Item:
    """One line of the checklist."""

    pitfall: str
    source: str  # one of references.REFERENCES
    answer: Answer


def checklist(study: Study) -> list[Item]:
    """The study's answer to every pitfall that it can have."""
    found = [(pitfall, source, answer(study)) for pitfall, source, answer in PITFALLS]
    return [Item(pitfall, source, answer) for pitfall, source, answer in found if answer]


def _patients(study: Study) -> Answer:
    splits: dict[str, set[str]] = {}
    for row in study.rows:
        splits.setdefault(row.patient, set()).add(row.split)
    astray = sum(len(found) > 1 for found in splits.values())
    if astray:
        return Answer(
            "bad",
            f"{plural(astray, 'patient')} of {len(splits)} in more than one split.",
            "cxr data import PATH...",
        )
    counts = Counter(next(iter(found)) for found in splits.values())
    where = ", ".join(f"{counts[split]} {split}" for split in (*SPLITS, EXTERNAL) if counts[split])
    if len(splits) == len(study.rows):
        return Answer(
            "open",
            f"Every one of the {len(splits)} images counts as a patient of its own ({where}): where a patient has several, nothing here can tell.",
        )
    return Answer("good", f"Each of the {len(splits)} patients is in one split alone: {where}.")


def _duplicates(study: Study) -> Answer:
    splits: dict[str, set[str]] = {}
    for row in study.rows:
        splits.setdefault(row.sha256, set()).add(row.split)
    same = sum(len(found) > 1 for found in splits.values())
    split_of = {row.file_name: row.split for row in study.rows}
    pairs = [
        [split_of.get(name) for name in pair["images"]]
        for imported in study.imports
        for pair in imported.get("near_duplicates", [])
    ]
    apart = sum(None not in pair and len(set(pair)) > 1 for pair in pairs)
    if same or apart:
        return Answer(
            "bad",
            f"{plural(same, 'image')} with the same pixels in several splits, {plural(apart, 'pair')} that look like one film in different ones.",
            "cxr data import PATH...",
        )
    text = f"No two splits of these {len(study.rows)} images share one with the same pixels"
    if not study.imports:
        return Answer(
            "open", f"{text}; whether some look alike is not on record (no data/import.json)."
        )
    left_out = sum(
        imported["left_out_counts"].get("exact duplicate", 0) for imported in study.imports
    )
    return Answer(
        "good",
        f"{text}: {plural(left_out, 'exact duplicate')} left out at import, {plural(len(pairs), 'pair')} that look like one film kept, none of them in two splits.",
    )


def _leakage(study: Study) -> Answer | None:
    if not study.sets:
        return None
    held_out = {row.sha256 for row in study.rows if row.split != "train"}
    configs = {name: study.config_of(name) for name in study.sets}
    gone = [name for name, config in configs.items() if not config or not config.get("trained_on")]
    seen = {
        name: len(held_out & set(config["trained_on"]))
        for name, config in configs.items()
        if name not in gone
    }
    if any(seen.values()):
        return Answer(
            "bad",
            f"A generator saw held-out images: {', '.join(f'{count} behind {name}' for name, count in seen.items() if count)}.",
            "cxr gan-train",
        )
    if gone:
        return Answer(
            "open",
            f"What the generator of {', '.join(gone)} was trained on is not on record any more.",
        )
    trained = len({image for config in configs.values() for image in config["trained_on"]})
    return Answer(
        "good",
        f"None of the {trained} images behind {plural(len(seen), 'synthetic set')} is among the {len(held_out)} held out, by hashes of their pixels.",
    )


def _budget(study: Study) -> Answer:
    steps = Counter(int(row["steps"]) for row in study.classifiers)
    least, most = min(steps), max(steps)
    if least == most:
        return Answer(
            "good",
            f"All {len(study.classifiers)} classifiers got {least} optimizer steps of {study.summary['budget']['batch_size']} images.",
        )
    return Answer(
        "bad",
        f"Classifiers got from {least} to {most} optimizer steps: an arm with more images was trained for longer.",
        "cxr compare --budget steps",
    )


def _test_set(study: Study) -> Answer:
    looks = f"The kept weights are those of lowest validation loss; each of the {len(study.classifiers)} classifiers read the test split once"
    earlier = [name for name in study.comparisons if name != study.run.name]
    if earlier:
        return Answer(
            "open",
            f"{looks}. But {plural(len(study.comparisons), 'comparison')} of these data are in the study ({', '.join(study.comparisons)}); choosing among them is tuning on the test split.",
        )
    singles = f", beside {plural(len(study.singles), 'single classifier')}" if study.singles else ""
    return Answer(
        "good", f"{looks}. It is the only comparison of these data in the study{singles}."
    )


def _single_runs(study: Study) -> Answer:
    budget, headline = study.summary["budget"], headline_result(study.summary)
    seeds, generators, replicates = (
        len(budget["seeds"]),
        budget["generators"],
        len(headline["replicates"]),
    )
    text = f"{plural(replicates, 'replicate')} of {headline['arm']}: {plural(seeds, 'classifier seed')}"
    if kind_of(headline["arm"]) == "synthetic":
        text += f", {plural(generators, 'generator')}, {plural(budget['draws'], 'draw')} of images from each"
    if replicates < 2:
        return Answer("bad", f"{text}.", f"cxr compare --seeds {2 * SEEDS - 1}")
    if seeds < SEEDS:
        return Answer("open", f"{text}.", f"cxr compare --seeds {2 * SEEDS - 1}")
    if kind_of(headline["arm"]) == "synthetic" and generators < GENERATORS:
        return Answer(
            "open",
            f"{text}. How much another generator would change it is not in the interval.",
            f"cxr compare --generators {GENERATORS}",
        )
    return Answer("good", f"{text}.")


def _multiple(study: Study) -> Answer:
    compared = [one for one in headline_results(study.summary) if one["against_real"]]
    every = [one for one in study.summary["results"] if one["against_real"]]
    lowest = min(compared, key=lambda one: one["against_real"]["difference"]["accuracy"]["p"])
    p, adjusted = (
        lowest["against_real"]["difference"]["accuracy"]["p"],
        lowest["against_real"]["p_holm"],
    )
    text = f"{plural(len(compared), 'arm')} compared with real; the smallest p, of {lowest['arm']}, is {p_value(p)}, and {p_value(adjusted)} after Holm's adjustment"
    if len(every) > len(compared):
        return Answer(
            "open",
            f"{text}. The adjustment is within a fraction and ratio: the {len(every)} comparisons of all of them have no common error rate.",
        )
    return Answer("good", f"{text}.")


def _classical(study: Study) -> Answer:
    if study.summary["config"].get("augment"):
        return Answer("good", "Every arm, real too, is classically augmented (--augment).")
    for one in headline_results(study.summary):
        if kind_of(one["arm"]) == "classical":
            change = one["against_real"]["difference"]["accuracy"]
            return Answer(
                "good",
                f"{one['arm']} is one of the arms: {points(change['mean'])} points against real ({points_range(change['interval'])}).",
            )
    return Answer(
        "bad",
        "No arm has classical augmentation, which costs nothing and may do as much.",
        "cxr compare --arms real,real+classical,real+gan",
    )


def _controls(study: Study) -> Answer:
    controls = [one for one in headline_results(study.summary) if kind_of(one["arm"]) == "control"]
    if not controls:
        return Answer(
            "open",
            "No control arm: a gain could come from more steps per image, and a study that finds nothing might be blind.",
            "cxr compare --arms real,real+gan,real+duplicates,real+shuffled",
        )
    told = "; ".join(
        f"{one['arm']}: {one['against_real']['verdict']}, {points(one['against_real']['difference']['accuracy']['mean'])} points"
        for one in controls
    )
    verdicts = {one["arm"]: one["against_real"]["verdict"] for one in controls}
    if verdicts.get("real+shuffled") == "helps" or verdicts.get("real+oracle") == "hurts":
        return Answer("bad", f"A control does what it must not: {told}.")
    if verdicts.get("real+oracle") == "cannot tell":
        return Answer("open", f"{told}. Not even fresh true images were found to help.")
    return Answer("good", f"{told}.")


def _sources(study: Study) -> Answer:
    sources: dict[str, Counter[str]] = {}
    for row in study.own:
        sources.setdefault(row.source, Counter())[row.label] += 1
    if len(sources) == 1:
        return Answer(
            "good", f"All {len(study.own)} images come from one source, {next(iter(sources))}."
        )
    told = sum(counts.most_common(1)[0][1] for counts in sources.values()) / len(study.own)
    commonest = Counter(row.label for row in study.own).most_common(1)[0][1] / len(study.own)
    text = f"The source alone tells the label of {percent(told)} of the images; the commonest label is {percent(commonest)}"
    if told - commonest > BY_FACTS:
        return Answer(
            "bad",
            f"{text}. Part of the accuracy may be the hospital or the scanner; images of every label from every source would tell.",
        )
    return Answer("good", f"{text}.")


def _simple_facts(study: Study) -> Answer:
    predictable = study.check["predictable"] if study.check else None
    if not predictable:
        return Answer(
            "open",
            "Whether size, brightness or borders give the label away has not been looked at.",
            "cxr data check",
        )
    gain = predictable["by_facts"] - predictable["commonest"]
    text = f"Size, shape, brightness, contrast and borders alone tell {percent(predictable['by_facts'])} of the labels; the commonest is {percent(predictable['commonest'])}."
    return Answer("bad" if gain > BY_FACTS else "good", text)


def _shortcuts(study: Study) -> Answer:
    if not study.audit:
        return Answer(
            "open",
            "Whether the classes can be told apart without the lungs has not been tried.",
            "cxr audit",
        )
    audit = study.audit.says
    whole = (audit["alterations"][0]["retrained"] or audit["alterations"][0]["as_it_is"])[
        "roc_auc"
    ]["value"]
    told = [
        f"{line['title']} {line['retrained']['roc_auc']['value']:.3f}"
        for line in audit["alterations"][1:]
        if line["retrained"]
    ]
    text = f"ROC AUC {whole:.3f} on whole images; trained and tested on altered ones: {', '.join(told)}"
    return Answer(
        "bad" if audit["warnings"] else "good",
        f"{text}; {plural(len(audit['warnings']), 'warning')}.",
    )


def _external(study: Study) -> Answer:
    external = sum(row.split == EXTERNAL for row in study.rows)
    if external:
        return Answer(
            "open",
            f"{plural(external, 'image')} of another source in the study; the comparison's figures are of the internal test split, single classifiers report both.",
        )
    return Answer(
        "bad",
        f"All {study.summary['test']['images']} test images come from the sources of the training images.",
        "cxr data import PATH... --external PATH",
    )


def _memorised(study: Study) -> Answer | None:
    if not study.sets:
        return None
    memory = study.score.says.get("memorisation", {}) if study.score else {}
    if "pixels" not in memory:
        return Answer(
            "open",
            "Whether synthetic images are copies of training images has not been measured.",
            "cxr score",
        )
    copied, features = memory["pixels"]["copied_share"], memory["features"]["copied_share"]
    text = f"{percent(copied['value'])} of {memory['n_synthetic']} synthetic images are too near to a training image in pixels, {percent(features['value'])} in features; without copying about 1\u00a0% would be"
    return Answer("bad" if memory["warnings"] else "good", f"{text}.")


def _betrayed(study: Study) -> Answer | None:
    if not study.sets:
        return None
    prints = study.score.says.get("fingerprints") if study.score else None
    if not prints:
        return Answer(
            "open",
            "Whether brightness, sharpness or borders give synthetic images away has not been measured.",
            "cxr score",
        )
    furthest = [
        (max(abs(one["value"] - 0.5) for one in values["synthetic_from_real"].values()), name)
        for name, values in prints["by_name"].items()
        if values["synthetic_from_real"]
    ]
    off, name = max(furthest, default=(0.0, "none"))
    return Answer(
        "bad" if prints["warnings"] else "good",
        f"Told apart best by {name}, with a ROC AUC of {percent(0.5 + off)} (50\u00a0%: not at all); {plural(len(prints['warnings']), 'warning')}.",
    )


def _power(study: Study) -> Answer:
    patients = {
        label: len({row.patient for row in study.own if row.split == "test" and row.label == label})
        for label in study.summary["classes"]
    }
    change = headline_result(study.summary)["against_real"]["difference"]["accuracy"]
    text = f"Test patients: {', '.join(f'{count} {label}' for label, count in patients.items())}. The smallest difference found in 80\u00a0% of such studies is {100 * change['detectable']:.1f} points"
    if min(patients.values()) < FEW_PATIENTS or change["detectable"] > COARSE:
        return Answer(
            "bad",
            f"{text}: even the gain of 10 points once claimed for GANs could be missed."
            if change["detectable"] > COARSE
            else f"{text}.",
        )
    return Answer(
        "good" if change["detectable"] <= FINE else "open",
        f"{text}: whether smaller ones exist stays open."
        if change["detectable"] > FINE
        else f"{text}.",
    )


PITFALLS: tuple[tuple[str, str, Callable[[Study], Answer | None]], ...] = (
    ("One patient in several splits", "Roberts et al. 2021", _patients),
    ("Duplicate images across splits", "Roberts et al. 2021", _duplicates),
    ("The generator saw held-out images", "Kapoor & Narayanan 2023", _leakage),
    ("Tuning on the test split", "Varoquaux & Cheplygina 2022", _test_set),
    ("Unequal training budgets", "Lipton & Steinhardt 2019", _budget),
    ("A single run", "Bouthillier et al. 2021", _single_runs),
    ("Many comparisons, one of them lucky", "Holm 1979", _multiple),
    ("Too few test patients", "Varoquaux & Cheplygina 2022", _power),
    ("A baseline without classical augmentation", "Fedoruk et al. 2023", _classical),
    ("No control arm", "Lipton & Steinhardt 2019", _controls),
    ("Label and source are one", "DeGrave et al. 2021", _sources),
    ("Size, brightness or borders tell the label", "DeGrave et al. 2021", _simple_facts),
    ("Shortcuts outside of the lungs", "Maguolo & Nanni 2020", _shortcuts),
    ("No external test", "Zech et al. 2018", _external),
    ("Memorised training images", "Meehan et al. 2020", _memorised),
    ("Synthetic images betray themselves", "Wang et al. 2020", _betrayed),
)
