"""The commands that make a study again, as far as its files tell."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import fields
from typing import Any

from classifier.config import ClassifierConfig
from gan.config import GanConfig
from pipelines.report.contents import Study
from runtime.run import Run

LINE = 76


def commands(study: Study) -> list[str]:
    """Shell commands, one per step of the study, long ones folded. What a comparison trains for itself needs none."""
    found = [_import(imported) for imported in study.imports]
    if study.check:
        found.append(["cxr data check"])
    found += [
        _gan_train(study, name)
        for name in _of_hand(
            [study.summary["generator"], *(one["run"] for one in study.summary["generators"])]
        )
    ]
    found += [_synthesize(study, name) for name in _of_hand(study.sets)]
    if study.given_set:
        found.append(["cxr score", f"--synthetic {study.given_set}"])
    if study.audit:
        found.append(["cxr audit", study.audit.says["classifier"]])
    found.append(_compare(study.summary, study.given_set))
    return [folded(words) for words in found if words]


def folded(words: Sequence[str]) -> str:
    """A shell command in lines of at most LINE characters, as far as its words allow."""
    lines = [words[0]]
    for word in words[1:]:
        if len(lines[-1]) + len(word) + 3 > LINE:
            lines.append("   ")
        lines[-1] += f" {word}"
    return " \\\n".join(lines)


def _of_hand(names: Sequence[str | None]) -> list[str]:
    """The generators or synthetic sets that were there before; the further ones lie in replicates/, and a comparison makes them itself."""
    return [name for name in dict.fromkeys(names) if name and "/" not in name]


def _import(imported: dict[str, Any]) -> list[str]:
    seed = f"--seed {imported['split_seed']}"
    if [source["source"] for source in imported["sources"]] == ["phantom"]:
        return ["cxr data phantom", f"--n {imported['sources'][0]['images']}", seed]
    paths = [
        ("--external " if source.get("external") else "") + shlex.quote(f"PATH/{source['source']}")
        for source in imported["sources"]
    ]
    return ["cxr data import", *paths, seed]


def _gan_train(study: Study, name: str) -> list[str]:
    config = study.config_of(name)
    if config is None:
        return []
    run = Run(study.workspace.folder_of(name))
    steps = (
        {"steps": run.result["step"]} if run.finished else {}
    )  # as many as were trained, not as were asked for
    fraction = config.get("real_fraction", 1.0)
    return [
        "cxr gan-train",
        *_options(GanConfig, config | steps),
        *([f"--real-fraction {fraction:g}"] if fraction != 1 else []),
    ]


def _synthesize(study: Study, name: str) -> list[str]:
    config = study.config_of(name)
    if config is None:
        return []
    labels = [f"--label {shlex.quote(label)}" for label in config["labels"]]
    snapshot = (
        [f"--snapshot {config['snapshot']}"] if config.get("snapshot", "best") != "best" else []
    )
    return [
        "cxr synthesize",
        f"--generator {config['generator']}",
        f"--n {config['n']}",
        f"--seed {config['seed']}",
        *labels,
        *snapshot,
        *(["--reject-copies"] if "reject_copies" in config else []),
    ]


def _compare(summary: dict[str, Any], given_set: str | None) -> list[str]:
    budget = summary["budget"]
    words = ["cxr compare", f"--arms {','.join(summary['arms'])}"]
    if given_set:
        words += [
            f"--synthetic {given_set}",
            f"--generators {budget['generators']}",
            f"--draws {budget['draws']}",
        ]
    words += [f"--seeds {len(budget['seeds'])}", f"--budget {budget['kind']}"]
    if summary["fractions"] != [1.0]:
        words.append(
            f"--real-fractions {','.join(f'{fraction:g}' for fraction in summary['fractions'])}"
        )
    if summary["ratios"] != [None]:
        words.append(
            f"--synthetic-ratio {','.join(f'{ratio:g}' for ratio in summary['ratios'] if ratio is not None)}"
        )
    return [
        *words,
        f"--positive {shlex.quote(summary['positive'])}",
        *_options(ClassifierConfig, summary["config"]),
    ]


def _options(kind: type, config: dict[str, Any]) -> list[str]:
    return [
        f"--{field.name.replace('_', '-')} {_word(config[field.name])}"
        for field in fields(kind)
        if field.name in config
    ]


def _word(value: Any) -> str:
    return ("yes" if value else "no") if isinstance(value, bool) else shlex.quote(str(value))
