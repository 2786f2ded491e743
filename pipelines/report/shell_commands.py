"""The commands that make a study again, as far as its files tell."""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from classifier.config import ClassifierConfig
from gan.config import GanConfig
from pipelines.data.lungs import PACKAGED_NAME
from pipelines.report.contents import Study
from pipelines.study.fractions import fraction_text
from pipelines.study.import_log import ImportSource, ImportSummary
from pipelines.study.lung_counts import LungCounts
from pipelines.study.synthetic import STATED, ForeignOrigin, foreign_origin
from pipelines.study.text import flag_of
from pipelines.study.views import view_of
from runtime.files import read_json
from runtime.run import Run

LINE_LENGTH = 76


def commands(study: Study) -> list[str]:
    """Return shell commands, one per step of the study, long ones folded.

    What a comparison trains for itself needs none.
    """
    steps = [_import(imported) for imported in study.imports]
    if study.check:
        steps.append(["cxr data check"])
    if study.lungs:
        steps.append(_data_lungs(study, study.lungs))
    steps += [_gan_train(study, name) for name in _made_before(study.generators)]
    steps += [_synthesize(study, name) for name in _made_before(study.sets)]
    if study.given_set:
        steps.append(["cxr score", f"--synthetic {study.given_set}", *_final(study)])
    if study.audit:
        steps.append(["cxr audit", study.audit.result.classifier])
    steps.append(_compare(study))
    return [fold(words) for words in steps if words]


def fold(words: Sequence[str]) -> str:
    """Write a shell command in lines of at most LINE_LENGTH, as far as its words allow."""
    lines = [words[0]]
    for word in words[1:]:
        if len(lines[-1]) + len(word) + 3 > LINE_LENGTH:
            lines.append("   ")
        lines[-1] += f" {word}"
    return " \\\n".join(lines)


def _made_before(names: Iterable[str]) -> list[str]:
    """Take the generators or sets that a comparison was given; it makes those in replicates/."""
    return [name for name in names if "/" not in name]


def _import(imported: ImportSummary) -> list[str]:
    seed = f"--seed {imported.split_seed}"
    if [source.source for source in imported.sources] == ["phantom"]:
        return ["cxr data phantom", f"--n {imported.sources[0].images}", seed]
    rules = imported.held_out.rules if imported.held_out else []
    held_out = [f"--hold-out {shlex.quote(rule.rule)}" for rule in rules]
    return ["cxr data import", *map(_path, imported.sources), *held_out, seed]


def _path(source: ImportSource) -> str:
    option = "--external " if source.external else ""
    return option + shlex.quote(f"PATH/{source.source}")


def _data_lungs(study: Study, counts: LungCounts) -> list[str]:
    """Write how the lungs were found: by masks from somewhere, and by which network."""
    words = ["cxr data lungs"]
    if any(own.brought for own in counts.labels):
        words.append("--masks PATH")
    network = read_json(study.workspace.data / "lungs.json").expect(network=str)["network"]
    return [*words, *([f"--network {network}"] if network != PACKAGED_NAME else [])]


def _gan_train(study: Study, name: str) -> list[str]:
    """Write the training of a generator, with as many steps as were trained."""
    config = study.config_of(name)
    if config is None:
        return []
    run = Run(study.workspace.folder_of(name))
    trained = {"steps": run.result["step"]} if run.finished else {}
    view = f"--view {view_of(config)}"
    words = ["cxr gan-train", view, *_options(GanConfig, config | trained)]
    fraction = config.get("real_fraction", 1.0)
    if fraction != 1:
        words.append(f"--real-fraction {shlex.quote(fraction_text(fraction))}")
    return words


def _synthesize(study: Study, name: str) -> list[str]:
    config = study.config_of(name)
    if config is None:
        return []
    if foreign := foreign_origin(config):
        return _import_set(config, foreign)
    words = [
        "cxr synthesize",
        f"--generator {config['generator']}",
        f"--n {config['n']}",
        f"--seed {config['seed']}",
        *(f"--label {shlex.quote(label)}" for label in config["labels"]),
    ]
    if config.get("snapshot", "best") != "best":
        words.append(f"--snapshot {config['snapshot']}")
    if config.get("sampling_scale"):
        words.append(f"--sampling-scale {config['sampling_scale']}")
    if config.get("reject_copies"):
        words.append("--reject-copies")
    return words


def _import_set(config: Mapping[str, Any], foreign: ForeignOrigin) -> list[str]:
    """Write how a set of another program was imported."""
    stated = foreign.statement
    words = [
        "cxr synthesize",
        f"--from {shlex.quote('PATH/' + foreign.source)}",
        f"--trained-on {'PATH/TRAINED_ON.json' if stated == STATED else stated}",
        f"--name {foreign.name}",
        f"--image-size {config['image_size']}",
        f"--view {view_of(config)}",
    ]
    return [*words, *(["--reject-copies"] if config.get("reject_copies") else [])]


def _final(study: Study) -> list[str]:
    """Return the option of a score that looked at the test images, as the page's own did."""
    return ["--final"] if study.score and study.score.result.held_out_split == "test" else []


def _compare(study: Study) -> list[str]:
    summary, budget = study.summary, study.summary.budget
    given_set = study.run.config.get("synthetic") or study.given_set
    arms = study.run.config.get("design", {}).get("arms", summary.arms)  # without sets' names
    words = ["cxr compare", f"--arms {','.join(arms)}", f"--view {summary.view}"]
    if given_set:
        words += [
            f"--synthetic {shlex.quote(given_set)}",
            f"--generators {budget.generators}",
            f"--draws {budget.draws}",
        ]
    words += [f"--seeds {len(budget.seeds)}", f"--budget {budget.kind}"]
    if summary.fractions != (1.0,):
        fractions = ",".join(map(fraction_text, summary.fractions))
        words.append(f"--real-fractions {shlex.quote(fractions)}")
    if summary.ratios != (None,):
        words.append(f"--synthetic-ratio {_numbers(summary.ratios)}")
    measure = summary.question.measure
    words.append(f"--measure {'auc' if measure == 'roc_auc' else measure.replace('_', '-')}")
    if budget.folds > 1:
        words.append(f"--folds {budget.folds}")
    if budget.subsets > 1:
        words.append(f"--subsets {budget.subsets}")
    words.append(f"--positive {shlex.quote(summary.positive)}")
    return [*words, *_options(ClassifierConfig, dataclasses.asdict(summary.config))]


def _numbers(values: Iterable[float | None]) -> str:
    return ",".join(f"{value:g}" for value in values if value is not None)


def _options(
    kind: type[ClassifierConfig] | type[GanConfig], config: Mapping[str, Any]
) -> list[str]:
    """Write the fields of a configuration as options of the command line."""
    return [
        f"{flag_of(field.name)} {_word(config[field.name])}"
        for field in dataclasses.fields(kind)
        if field.name in config
    ]


def _word(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return shlex.quote(str(value))
