"""A model card beside every trained model: what it is, what it was made of and measured to be, and what it is not for.

The sections are those of Mitchell et al. 2019, "Model Cards for Model Reporting". It says nothing that differs between two runs of the same command on the
same machine, such as times, so that a resumed run's card is an undisturbed one's.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from classifier.metrics import Metrics
from gan.doctor import HIGH, LOW
from gan.train import SCORED
from pipelines.data.published import KINDS
from pipelines.metrics.names import PERCENT
from pipelines.study.intended_use import INTENDED_USE
from pipelines.study.manifest import EXTERNAL, SPLITS, Row
from pipelines.study.text import one_line
from pipelines.study.workspace import Workspace
from runtime.files import write_text
from runtime.run import Run

NAME = "model_card.md"
LISTED = {  # what import.json calls a published collection, and its name in KINDS
    "Actualmed-COVID-chestxray-dataset": "actualmed",
    "covid-chestxray-dataset": "covid-chestxray-dataset",
    "Figure1-COVID-chestxray-dataset": "figure1",
    "COVID-19 Radiography Database": "radiography",
    "COVIDx lists": "covidx",
    "NIH ChestX-ray14": "nih",
}
NOT_FOR = (
    "Not for diagnosis, triage, screening or any other decision about a patient, alone or as a second opinion.",
    "Not for images of other kinds, other hospitals or other ages than those it was trained on, without being tested on them.",
)


def write_classifier_card(
    workspace: Workspace, run: Run, rows: Sequence[Row], metrics: Mapping[str, Metrics]
) -> None:
    """model_card.md of a classify-train run. rows: the study's images. metrics: on `test`, and perhaps on `external`."""
    config = run.config
    test = metrics["test"]
    training = [row for row in rows if row.split == "train"]
    added = f" and the synthetic images of {config['synthetic']}" if config["synthetic"] else ""
    measured = []
    for name, one in metrics.items():
        which = "test split" if name == "test" else "external set"
        measured += [
            f"On the {which}: {one.n} images of {one.patients} patients; 95 % intervals by bootstrap over patients.",
            "",
            "| measure | value | 95 % interval |",
            "|---|---|---|",
        ]
        measured += [
            f"| {measure.replace('_', ' ')} | {_value(measure, found.value)} | {' to '.join(_value(measure, bound) for bound in (found.low, found.high))} |"
            for measure, found in one.measures.items()
        ]
        measured += [
            "",
            f"Recall by label: {', '.join(f'{label} {values.recall:.3f} (n = {values.support})' for label, values in one.classes.items())}.",
            "",
        ]
    measured += [
        f"From probability {test.threshold:.2f} on, chosen on validation, an image is called {config['positive']}."
    ]
    _write(
        run,
        f"Classifier {run.name}",
        {
            "Model details": [
                f"A `{config['arch']}` classifier of {config['image_size']} px gray chest X-rays into {_listed(config['classes'])}, trained by cxr {_version('cxr')} with torch {_version('torch')}.",
                *_configuration(config),
            ],
            "Intended use": [
                INTENDED_USE,
                "It was made to measure how training data change a classifier.",
                *(f"- {one}" for one in NOT_FOR),
            ],
            "Factors": _factors(rows),
            "Metrics": [
                f"Sensitivity, precision and F1 are those of {config['positive']}. The weights kept are those of the lowest validation loss; the test split was read once, at the end."
            ],
            "Evaluation data": _table_of(row for row in rows if row.split in ("test", EXTERNAL)),
            "Training data": [
                *_table_of(training),
                "",
                f"{len(training)} real images{added}; validation: {sum(row.split == 'validation' for row in rows)} images. Fingerprint of the study: `{config['data']}`.",
                "",
                *_licences(workspace),
            ],
            "Quantitative analyses": measured,
            "Ethical considerations": [
                "Age, sex and severity of the patients are hardly known from these sources, so nothing is said about groups of them, and differences between groups are to be expected."
            ],
            "Caveats and recommendations": [
                *_shortcuts(rows),
                "- What it is shown gets one of its labels, whatever it is; its probabilities are no diagnosis.",
                f"- Whether it needs the lungs at all has not been asked yet when this is written: `cxr audit {run.name}` does.",
                *(
                    []
                    if EXTERNAL in metrics
                    else [
                        "- It was tested on images of the sources that it was trained on, and on no others."
                    ]
                ),
            ],
        },
    )


def write_generator_card(
    run: Run,
    workspace: Workspace,
    rows: Sequence[Row],
    training: Sequence[Row],
    result: Mapping[str, Any],
    best: Mapping[str, Any],
) -> None:
    """model_card.md of a gan-train run. rows: the study's images. training: those it was trained on. result: what the run ends with. best: the journal's event of the best snapshot."""
    config = run.config
    validation = Counter(row.label for row in rows if row.split == "validation")
    lines = [
        f"| {_cell(label)} | {diversity:.2f} | {distance:.3g} | {SCORED} | {config['class_counts'][label] + validation[label]} |"
        for label, diversity, distance in zip(
            config["classes"], best["diversity"], best["distance"]
        )
    ]
    unhealthy = [
        label
        for label, diversity in zip(config["classes"], best["diversity"])
        if not LOW <= diversity <= HIGH
    ]
    parameters = result["parameters"]
    _write(
        run,
        f"Generator {run.name}",
        {
            "Model details": [
                f"A class-conditional GAN (preset `{config['preset']}`) that draws {config['image_size']} px gray chest X-rays of {_listed(config['classes'])}, "
                f"trained by cxr {_version('cxr')} with torch {_version('torch')} for {result['step']} steps; the snapshot of step {best['step']} is kept as `generator.pt`. "
                f"{parameters['generator']:,} parameters, its discriminator {parameters['discriminator']:,}.",
                *_configuration(config),
            ],
            "Intended use": [
                INTENDED_USE,
                "It was made to draw images that are added to the training split of this study, and for no other purpose.",
                *(f"- {one}" for one in NOT_FOR),
                "- Not to be shown as X-rays of patients: what it draws is nobody. Its files say so; keep it that way.",
                "- Not as a means of anonymisation: images and weights may hold traces of the patients it was trained on.",
            ],
            "Factors": _factors(rows),
            "Metrics": [
                "Diversity: mean pairwise distance of samples, relative to the reals' own. Distance: Fréchet distance in simple features of gradients, of the samples from training and validation "
                "images; it ranks snapshots of one study and compares with nothing else. Both are single readings, without intervals.",
            ],
            "Evaluation data": ["Training and validation images. No test image was looked at."],
            "Training data": [
                *_table_of(training),
                "",
                f"{len(training)} real images. Fingerprint of their pixels: `{result['data']}`.",
                "",
                *_licences(workspace),
            ],
            "Quantitative analyses": [
                "| class | diversity (1) | distance (lower) | samples | reals |",
                "|---|---|---|---|---|",
                *lines,
            ],
            "Ethical considerations": [
                "Nothing is claimed about privacy. `cxr score` compares a synthetic set with the training images and reports copies that it finds; finding none proves nothing.",
                "Share it only as you could share the images it was trained on.",
            ],
            "Caveats and recommendations": [
                *_shortcuts(rows),
                *(
                    [
                        f"- {_listed(unhealthy)}: diversity outside of {LOW} to {HIGH}, collapsed or noise; do not use these images."
                    ]
                    if unhealthy
                    else []
                ),
                "- It can vary what it has seen; it adds no finding that its training images do not show.",
                "- Whether its images help a classifier is another question: `cxr compare`.",
            ],
        },
    )


def _write(run: Run, title: str, sections: Mapping[str, Sequence[str]]) -> None:
    parts = [
        f"# {title}",
        *(f"## {name}\n\n" + "\n".join(lines) for name, lines in sections.items()),
    ]
    write_text(run.folder / NAME, "\n\n".join(parts) + "\n")


def _configuration(config: Mapping[str, Any]) -> list[str]:
    options = ", ".join(
        f"{name.replace('_', '-')} {_cell(value)}"
        for name, value in config.items()
        if isinstance(value, (bool, int, float, str))
        and name not in ("data", "compute", "positive")
    )
    return ["", f"Options: {options}. Computed on {config['compute']}."]


def _factors(rows: Sequence[Row]) -> list[str]:
    views = Counter(row.view or "not stated" for row in rows)
    return [
        f"Labels and sources: below. Projection: {', '.join(f'{_cell(view)} {count}' for view, count in sorted(views.items()))}. Age, sex and device are not on record."
    ]


def _table_of(rows: Iterable[Row]) -> list[str]:
    """Images and patients by label and source."""
    rows = list(rows)
    lines = ["| label | source | images | patients |", "|---|---|---|---|"]
    for label, source in sorted({(row.label, row.source) for row in rows}):
        mine = [row for row in rows if (row.label, row.source) == (label, source)]
        lines.append(
            f"| {_cell(label)} | {_cell(source)} | {len(mine)} | {len({row.patient for row in mine})} |"
        )
    return lines


def _licences(workspace: Workspace) -> list[str]:
    """What is known of the terms of each source."""
    licences = {kind.name: f"{kind.licence} ({kind.url})" for kind in KINDS if kind.licence}
    found = {}
    for imported in workspace.imports():
        for source in imported["sources"]:
            drawn = (
                "drawn by cxr, of nobody"
                if source["source"] == "phantom"
                else "not known to cxr: ask where they come from"
            )
            found[source["source"]] = licences.get(LISTED.get(source["kind"], ""), drawn)
    return [
        "Licences of the images, which bind what is derived from them:",
        *(f"- {_cell(source)}: {licence}" for source, licence in sorted(found.items())),
    ]


def _shortcuts(rows: Sequence[Row]) -> list[str]:
    own = [row for row in rows if row.split in SPLITS]
    sources_of = {
        label: {row.source for row in own if row.label == label}
        for label in {row.label for row in own}
    }
    every = set.union(*sources_of.values())
    if len(every) == 1:
        return [
            f"- All images come from one source, {_cell(every.pop())}: within it no source gives a label away, and beyond it nothing is known."
        ]
    alone = sorted(label for label, sources in sources_of.items() if len(sources) == 1)
    if alone:
        return [
            f"- {_listed(alone)}: from one source only, so that what tells the sources apart may pass for the label. High figures prove little here."
        ]
    return ["- The labels share sources; how unequally, `cxr data check` says."]


def _value(measure: str, value: float) -> str:
    return f"{100 * value:.1f} %" if measure in PERCENT else f"{value:.3f}"


def _listed(names: Iterable[str]) -> str:
    return ", ".join(map(_cell, names))


def _cell(value: Any) -> str:
    """A text of somebody's file within Markdown."""
    return one_line(value).replace("|", "\\|").replace("`", "'").replace("<", "&lt;")


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "(run from a checkout)"
