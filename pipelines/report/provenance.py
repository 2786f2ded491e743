"""What a study stands on: hashes of its data and weights, and every configuration."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

from pipelines.report.contents import Study
from pipelines.study.manifest import fingerprint


def hashes(study: Study) -> dict[str, str]:
    """Return the SHA-256 of what the study stands on, as recorded by its runs."""
    summary = study.summary
    named = {"Images, labels, patients and splits": summary.data_fingerprint}
    if trunk := study.run.config.get("trunk_sha256"):
        named[f"Pretrained weights of {summary.config.arch}"] = trunk
    if lung_network := study.run.config.get("lung_network"):
        named["Lung network, whose masks show where the lungs are"] = lung_network
    for training_hash, (first, *others) in _sets_by_training_images(study).items():
        further = f" and {len(others)} other set{'s' * (len(others) > 1)}" if others else ""
        named[f"Training images behind {first}{further}"] = training_hash
    if study.score:
        for extractor in study.score.result.extractors:
            named[f"Weights of {extractor.name}, for the scores"] = extractor.sha256
    if study.audit and (audited := study.audit.run.config.get("classifier_sha256")):
        named[f"Audited classifier, {study.audit.result.classifier}"] = audited
    return named


def _sets_by_training_images(study: Study) -> dict[str, list[str]]:
    """Group the synthetic sets by the fingerprint of the images behind them."""
    names: dict[str, list[str]] = {}
    for name in study.sets:
        config = study.config_of(name)
        if config and config.get("trained_on"):
            names.setdefault(fingerprint(config["trained_on"]), []).append(name)
    return names


def configurations(study: Study) -> dict[str, dict[str, object]]:
    """Return every configuration, by what it is of.

    Of further generators and synthetic sets what differs from the first.
    """
    summary = study.summary
    classifier = dataclasses.asdict(summary.config)
    own = {name: value for name, value in study.run.config.items() if name not in classifier}
    tables = {"Classifiers": classifier, "Comparison": own}
    tables |= _first_and_further(study, study.generators, "Further generators")
    tables |= _first_and_further(study, study.sets, "Further synthetic sets")
    if study.score:
        tables[study.score.run.name] = study.score.run.config
    if study.audit:
        tables[study.audit.run.name] = study.audit.run.config
    return tables | {"Versions": summary.versions | {"device": summary.device}}


def _first_and_further(
    study: Study, names: Sequence[str], further_title: str
) -> dict[str, dict[str, object]]:
    """Return the configuration of the first run that is still there, and what differs in others."""
    configs = {name: _without_hashes(study.config_of(name) or {}) for name in names}
    kept = {name: config for name, config in configs.items() if config}
    if not kept:
        return {}
    first_name, *others = kept
    first = kept[first_name]
    further: dict[str, object] = {
        name: {key: value for key, value in kept[name].items() if first.get(key) != value}
        for name in others
    }
    return {first_name: first, further_title: further} if further else {first_name: first}


def _without_hashes(config: Mapping[str, object]) -> dict[str, object]:
    return {name: value for name, value in config.items() if name != "trained_on"}
