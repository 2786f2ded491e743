"""What the commands print: plain text tables of counts, metrics, scores and arms."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

    from classifier.metrics import Metrics
    from pipelines.data.manifest import Row
    from pipelines.scoring.score import Score

MEASURES = ("accuracy", "sensitivity", "specificity")
OF_POSITIVE = ("sensitivity", "precision", "f1")
PERCENT = (*MEASURES, "balanced_accuracy", "precision", "f1")


def counts_table(rows: Sequence[Row]) -> str:
    """Images, and patients in brackets, per label and split."""
    splits = ("train", "validation", "test", *(["external"] if any(row.split == "external" for row in rows) else []), "all")
    lines = [f"{'images (patients)':20}" + "".join(f"{split:>16}" for split in splits)]
    for label in sorted({row.label for row in rows}):
        parts = [[row for row in rows if row.label == label and split in (row.split, "all")] for split in splits]
        lines.append(f"{label:20}" + "".join(f"{f'{len(part)} ({len({row.patient for row in part})})':>16}" for part in parts))
    return "\n".join(lines)


def check_table(report: dict[str, Any]) -> str:
    """The numbers of `cxr data check`: images by label and source, and how well simple facts tell the labels apart."""
    lines = [f"{'label':16} {'source':32} {'images':>7} {'patients':>9}  median side   brightness   contrast   dark border"]
    for group in report["groups"]:
        lines.append(
            f"{group['label']:16.16} {group['source']:32.32} {group['images']:7d} {group['patients']:9d}  {group['side']:8.0f} px {group['brightness']:12.0f} {group['contrast']:10.0f} {group['border']:11.0f} %"
        )
    if report["apart"]:
        lines.append("how well one simple fact tells a label from the others (AUC, 50 % is not at all):")
        lines += [f"{label:16.16} " + "   ".join(f"{name} {100 * auc:.0f} %" for name, auc in values.items()) for label, values in report["apart"].items()]
    predicted = report["predictable"]
    if predicted:
        lines.append(
            f"the label can be told, with no look at the lungs, by source in {100 * predicted['by_source']:.0f} % of the images, by these facts together in "
            f"{100 * predicted['by_facts']:.0f} %; the commonest label is {100 * predicted['commonest']:.0f} %"
        )
    return "\n".join(lines)


def options_table(config: DataclassInstance) -> str:
    """Every option of a configuration as it would be given."""
    shown = {True: "yes", False: "no"}
    values = {name: shown[value] if isinstance(value, bool) else value for name, value in asdict(config).items()}
    return "\n".join(f"--{name.replace('_', '-'):16} {value}" for name, value in values.items())


def metrics_table(metrics: Metrics, which: str = "test split") -> str:
    """The classification report per class, then every measure with its interval."""
    lines = [f"{'':20}  precision  recall      f1  ROC AUC  support"]
    for name, values in metrics.classes.items():
        lines.append(f"{name:20.20}  {values.precision:9.3f}  {values.recall:6.3f}  {values.f1:6.3f}  {values.roc_auc:7.3f}  {values.support:7d}")
    lines.append(f"{which}: {metrics.n} images of {metrics.patients} patients; 95 % intervals by bootstrap over patients")
    for name, measure in metrics.measures.items():
        low, high = measure.interval
        shown = name.replace("_", " ")
        if name in PERCENT:
            lines.append(f"{shown:20}  {100 * measure.value:5.1f} %  [{100 * low:.1f}, {100 * high:.1f}]{f'  of {metrics.positive}' if name in OF_POSITIVE else ''}")
        else:
            lines.append(f"{shown:20}  {measure.value:7.3f}  [{low:.3f}, {high:.3f}]")
    sensitivity, specificity = (metrics.at_threshold[name] for name in ("sensitivity", "specificity"))
    lines.append(f"called {metrics.positive} from probability {metrics.threshold:.2f} on, as chosen on validation: sensitivity {100 * sensitivity.value:.1f} %, specificity {100 * specificity.value:.1f} %")
    return "\n".join(lines)


def scores_table(scores: Sequence[Score], extractor: dict[str, str]) -> str:
    """Fréchet distances per group, under the name of the network whose features they are of."""
    lines = [f"Fréchet distance in features of {extractor['name']} ({extractor['note']}; weights {extractor['sha256'][:12]})"]
    lines.append(f"{'':10}  n train  n synthetic  n held out    distance  at equal n  floor of reals  ratio")
    for one in scores:
        counts = f"{one.n_train:7d}  {one.n_synthetic:11d}  {one.n_held_out:10d}"
        lines.append(f"{one.group:10}  {counts}  {one.frechet:10.2f}  {one.frechet_matched:10.2f}  {one.frechet_floor:14.2f}  {one.ratio:5.2f}")
    return "\n".join(lines)


def arms_table(summary: dict[str, Any]) -> str:
    """Mean and interval of every measure per arm, and the paired difference, in per cent."""
    budget, test = summary["budget"], summary["test"]
    lines = [
        f"{budget['arch']}, {budget['steps']} steps each, {len(budget['seeds'])} seeds; test: {test['images']} images of {test['patients']} patients; "
        "mean [95 % interval] in %",
        f"{'':12}{'training images':>17}" + "".join(f"{name:>22}" for name in MEASURES),
    ]
    for arm, values in summary["arms"].items():
        lines.append(f"{arm:12}{values['train_images']:>17}" + "".join(f"{_per_cent(values[name]):>22}" for name in MEASURES))
    lines.append(f"{'difference':12}{'':17}" + "".join(f"{_per_cent(summary['difference'][name], '+'):>22}" for name in MEASURES))
    return "\n".join(lines)


def _per_cent(estimate: dict[str, Any], sign: str = "") -> str:
    low, high = (100 * value for value in estimate["interval"])
    return f"{100 * estimate['mean']:{sign}.1f} [{low:{sign}.1f}, {high:{sign}.1f}]"
