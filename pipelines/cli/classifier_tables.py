"""What the commands about classifiers print: options, measures, predictions of single images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from pipelines.metrics.names import PERCENT_MEASURES, POSITIVE_CLASS_MEASURES
from pipelines.study.text import flag_of, one_line

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

    from classifier.metrics import Metrics
    from pipelines.evaluation.prediction import Prediction


def options_table(config: DataclassInstance) -> str:
    """Write every option of a configuration as it would be given."""
    lines = []
    for name, value in asdict(config).items():
        if isinstance(value, bool):
            value = "yes" if value else "no"
        lines.append(f"{flag_of(name):18} {value}")
    return "\n".join(lines)


def metrics_table(metrics: Metrics, image_set: str = "test split") -> str:
    """Write the classification report per class, then every measure with its interval."""
    lines = [f"{'':20}  precision  recall      f1  ROC AUC  support"]
    lines += [
        f"{name:20.20}  {values.precision:9.3f}  {values.recall:6.3f}  {values.f1:6.3f}  "
        f"{values.roc_auc:7.3f}  {values.support:7d}"
        for name, values in metrics.classes.items()
    ]
    lines.append(
        f"{image_set}: {metrics.n} images of {metrics.patients} patients; "
        "95 % intervals by bootstrap over patients"
    )
    for name, estimate in metrics.measures.items():
        title = name.replace("_", " ")
        if name in PERCENT_MEASURES:
            interval = f"[{100 * estimate.low:.1f}, {100 * estimate.high:.1f}]"
            of_class = f"  of {metrics.positive}" if name in POSITIVE_CLASS_MEASURES else ""
            lines.append(f"{title:20}  {100 * estimate.value:5.1f} %  {interval}{of_class}")
        else:
            interval = f"[{estimate.low:.3f}, {estimate.high:.3f}]"
            lines.append(f"{title:20}  {estimate.value:7.3f}  {interval}")
    lines.append(
        f"called {metrics.positive} from probability {metrics.threshold:.2f} on, as chosen on "
        f"validation: sensitivity {100 * metrics.at_threshold['sensitivity'].value:.1f} %, "
        f"specificity {100 * metrics.at_threshold['specificity'].value:.1f} %"
    )
    return "\n".join(lines)


def predictions_table(predictions: Sequence[Prediction]) -> str:
    """Write a line per image: the most probable label, its probability, and any note."""
    files = [one_line(prediction.file) for prediction in predictions]
    width = max(map(len, files))
    lines = [f"{'image':{width}}  {'label':16}  probability"]
    for file, prediction in zip(files, predictions, strict=True):
        if prediction.label:
            probability = max(prediction.probabilities)
            text = f"{prediction.label:16.16}  {probability:11.3f}  {prediction.note}"
        else:
            text = f"not classified: {prediction.fault}"
        lines.append(f"{file:{width}}  {text}".rstrip())
    return "\n".join(lines)
