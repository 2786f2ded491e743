"""What the commands print: plain text tables of counts, metrics, scores and arms."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from pipelines.metrics.names import MEASURES, OF_POSITIVE, PERCENT, SCORE_NAMES, score_cells
from pipelines.study.text import one_line
from runtime.estimate import Estimate

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

    from classifier.metrics import Metrics
    from pipelines.evaluation.prediction import Answer
    from pipelines.study.manifest import Row


def counts_table(rows: Sequence[Row]) -> str:
    """Images, and patients in brackets, per label and split."""
    splits = (
        "train",
        "validation",
        "test",
        *(["external"] if any(row.split == "external" for row in rows) else []),
        "all",
    )
    lines = [f"{'images (patients)':20}" + "".join(f"{split:>16}" for split in splits)]
    for label in sorted({row.label for row in rows}):
        parts = [
            [row for row in rows if row.label == label and split in (row.split, "all")]
            for split in splits
        ]
        lines.append(
            f"{label:20}"
            + "".join(
                f"{f'{len(part)} ({len({row.patient for row in part})})':>16}" for part in parts
            )
        )
    return "\n".join(lines)


def check_table(report: dict[str, Any]) -> str:
    """The numbers of `cxr data check`: images by label and source, and how well simple facts tell the labels apart."""
    lines = [
        f"{'label':16} {'source':32} {'images':>7} {'patients':>9}  median side   brightness   contrast   dark border"
    ]
    for group in report["groups"]:
        lines.append(
            f"{group['label']:16.16} {group['source']:32.32} {group['images']:7d} {group['patients']:9d}  {group['side']:8.0f} px {group['brightness']:12.0f} {group['contrast']:10.0f} {group['border']:11.0f} %"
        )
    if report["apart"]:
        lines.append(
            "how well one simple fact tells a label from the others (AUC, 50 % is not at all):"
        )
        lines += [
            f"{label:16.16} "
            + "   ".join(f"{name} {100 * auc:.0f} %" for name, auc in values.items())
            for label, values in report["apart"].items()
        ]
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
    values = {
        name: shown[value] if isinstance(value, bool) else value
        for name, value in asdict(config).items()
    }
    return "\n".join(f"--{name.replace('_', '-'):16} {value}" for name, value in values.items())


def metrics_table(metrics: Metrics, which: str = "test split") -> str:
    """The classification report per class, then every measure with its interval."""
    lines = [f"{'':20}  precision  recall      f1  ROC AUC  support"]
    for name, values in metrics.classes.items():
        lines.append(
            f"{name:20.20}  {values.precision:9.3f}  {values.recall:6.3f}  {values.f1:6.3f}  {values.roc_auc:7.3f}  {values.support:7d}"
        )
    lines.append(
        f"{which}: {metrics.n} images of {metrics.patients} patients; 95 % intervals by bootstrap over patients"
    )
    for name, measure in metrics.measures.items():
        shown = name.replace("_", " ")
        if name in PERCENT:
            lines.append(
                f"{shown:20}  {100 * measure.value:5.1f} %  [{100 * measure.low:.1f}, {100 * measure.high:.1f}]{f'  of {metrics.positive}' if name in OF_POSITIVE else ''}"
            )
        else:
            lines.append(f"{shown:20}  {measure.value:7.3f}  [{measure.low:.3f}, {measure.high:.3f}]")
    sensitivity, specificity = (
        metrics.at_threshold[name] for name in ("sensitivity", "specificity")
    )
    lines.append(
        f"called {metrics.positive} from probability {metrics.threshold:.2f} on, as chosen on validation: sensitivity {100 * sensitivity.value:.1f} %, specificity {100 * specificity.value:.1f} %"
    )
    return "\n".join(lines)


def audit_table(audit: dict[str, Any]) -> str:
    """Accuracy and ROC AUC of each alteration: of a classifier trained on images altered alike, and of the audited one shown them."""
    test, config = audit["test"], audit["config"]
    lines = [
        f"{config['arch']}; test: {test['images']} images of {test['patients']} patients; [95 % interval by bootstrap over patients]",
        f"{'':28}{'trained anew on images altered alike':^49}  {audit['classifier'] + ' as it is':^40}",
        f"{'':28}{'accuracy in %':>20}{'ROC AUC':>22}{'kept':>7}  {'accuracy in %':>18}{'ROC AUC':>22}",
    ]
    for line in audit["alterations"]:
        anew, kept, as_it_is = line["retrained"], line["kept"], line["as_it_is"]
        shown = (
            f"{_of_hundred(anew['accuracy']):>20}{_of_one(anew['roc_auc']):>22}"
            if anew
            else f"{'':42}"
        )
        lines.append(
            f"{line['title']:28}{shown}{f'{100 * kept:.0f} %' if kept is not None else '':>7}  {_of_hundred(as_it_is['accuracy']):>18}{_of_one(as_it_is['roc_auc']):>22}"
        )
    lines.append(
        "kept: what is left of the whole images' ROC AUC above one half; lungs are covered by one rounded box for all images, which may leave a rim of them"
    )
    return "\n".join([*lines, f"source: {audit['sources']['sentence']}"])


def answers_table(answers: Sequence[Answer]) -> str:
    """A line per classified image: the most probable label, its probability, and what there is to say besides."""
    files = [one_line(answer.file) for answer in answers]
    width = max(map(len, files))
    lines = [f"{'image':{width}}  {'label':16}  probability"]
    for file, answer in zip(files, answers):
        said = (
            f"{answer.label:16.16}  {max(answer.probabilities):11.3f}  {answer.note}"
            if answer.label
            else f"not classified: {answer.fault}"
        )
        lines.append(f"{file:{width}}  {said}".rstrip())
    return "\n".join(lines)


def scores_table(summary: dict[str, Any]) -> str:
    """Every score per network and group: of synthetic images, of as many held-out reals, and of all synthetic images; with 95 % intervals."""
    about = {
        one["name"]: f"features of {one['name']} ({one['note']}; weights {one['sha256'][:12]})"
        for one in summary["extractors"]
    }
    lines, before = [], (None, None)
    for one in sorted(summary["scores"], key=lambda one: [*about, "pixels"].index(one["features"])):
        if one["features"] != before[0]:
            lines += [
                about.get(one["features"], "pixels"),
                f"{'':38}{'synthetic':>26}{'held-out reals':>26}{'n':>6}{'all synthetic':>15}",
            ]
        if (one["features"], one["group"]) != before:
            lines.append(
                f"{one['group']}: {one['n_train']} training reals, {one['n_held_out']} held-out, {one['n_synthetic']} synthetic"
            )
        before = one["features"], one["group"]
        cells = score_cells(one)
        values = (
            f"{cells[value]} [{cells[interval].replace(' to ', ', ')}]"
            for value, interval in (("value", "interval"), ("floor", "floor_interval"))
        )
        lines.append(
            f"  {cells['name']:36}"
            + "".join(f"{value:>26}" for value in values)
            + f"{one['n']:6d}{cells['of_all']:>15}".rstrip()
        )
        details = [one["detail"]] if one["detail"] else []
        details += (
            [f"p = {one['p']:.3f}, of held-out reals {one['floor_p']:.3f}"]
            if one["p"] is not None
            else []
        )
        lines += [f"      {detail}" for detail in details]
    lines += [
        f"{one['group']}, {one['features']}: no {SCORE_NAMES[one['score']][0].partition(' (')[0]}, {one['reason']}"
        for one in summary["unscored"]
    ]
    return "\n".join(lines)


def checks_table(summary: dict[str, Any]) -> str:
    """What stands beside the scores in a few lines each: memorisation, label audit and fingerprints, then their warnings."""
    lines, warnings = [], []
    found = summary["memorisation"]
    if "left_out" in found:
        lines.append(f"memorisation: left out, {found['left_out']}")
    else:
        lines.append(
            f"memorisation: {found['n_synthetic']} synthetic images, {found['n_training']} training, {found['n_held_out']} held-out; shares and AUC in %, [95 % interval]"
        )
        lines.append(
            f"{'':20}{'too near a training image':>27}{'of reals':>10}{'nearest is training':>21}{'by lot':>8}{'p':>8}{'C_T':>8}{'membership AUC':>22}"
        )
        for space, one in (("pixels", found["pixels"]), (found["extractor"], found["features"])):
            lines.append(
                f"  {space:18}{_of_hundred(one['copied_share']):>27}{100 * one['reals_share']['value']:10.1f}{100 * one['favoured']:21.1f}{100 * one['favoured_by_lot']:8.1f}"
                f"{one['favoured_p']:8.4f}{one['c_t']:8.1f}{_of_hundred(one['membership']):>22}"
            )
        asked = ", ".join(
            f"{label} {_of_hundred(measure)}" for label, measure in found["discriminator"].items()
        )
        lines.append(
            f"  membership AUC of the discriminator ({found['discriminator_note']}){': ' + asked if asked else ''}"
        )
        warnings += found["warnings"]
    audit = summary["label_audit"]
    if "left_out" in audit:
        lines.append(f"label audit: left out, {audit['left_out']}")
    else:
        lines.append(
            f"label audit by {audit['classifier']} ({audit['arch']}), in %: {audit['verdict']}"
        )
        for label, one in audit["classes"].items():
            agreed = (
                f"{_of_hundred(one['agreement'])} of {one['n']} synthetic images called as asked"
                if one["agreement"]
                else "none asked for"
            )
            lines.append(f"  {label:18}{agreed}; test reals {_of_hundred(one['recall'])}")
        warnings += audit["warnings"]
    prints = summary["fingerprints"]
    lines.append(
        "fingerprints, AUC in %: synthetic against real by class (50: alike); a class against the others in training reals, and with the synthetic images added"
    )
    for name, one in prints["by_name"].items():
        apart = ", ".join(
            f"{label} {100 * measure['value']:.0f}"
            for label, measure in one["synthetic_from_real"].items()
        )
        told = ", ".join(
            f"{label} {100 * auc:.0f} → {100 * one['class_in_mixture'][label]:.0f}"
            for label, auc in one["class_in_reals"].items()
        )
        lines.append(f"  {name:18}{apart}; {told}")
    return "\n".join(
        [*lines, *(f"warning: {warning}" for warning in [*warnings, *prints["warnings"]])]
    )


def readings_table(scores: Sequence[dict[str, Any]], agreements: Sequence[dict[str, Any]]) -> str:
    """What each reader made of the images of a reader study, the files misjudged, and how far readers agree."""
    lines = []
    for one in scores:
        lines.append(
            f"{one['reader'] or 'a reader'} ({one['answers']}): {one['n']} images of {one['run']}, half of them of {one['synthetic']}; in %, [95 % interval, exact]"
        )
        p = "p < 0.001" if one["p"] < 0.001 else f"p = {one['p']:.3f}"
        for name, of in (
            ("accuracy", f"images; {p} against guessing"),
            ("sensitivity", "synthetic images, called synthetic"),
            ("specificity", "real images, called real"),
        ):
            share = Estimate(one[name]["value"], *one[name]["interval"], one[name]["n"])
            lines.append(f"  {name:12}{share.percent():>22}  of {share.n} {of}")
        lines.append(f"  median time per image: {one['median_seconds']:.1f} s")
        for what, names in (
            ("synthetic images called real, which fooled the reader", one["fooled_by"]),
            ("reals called synthetic", one["called_synthetic"]),
        ):
            lines += [f"  {what}: {len(names) or 'none'}", *(f"    {name}" for name in names)]
        lines.append(one["limit"])
    for one in agreements:
        kappa = (
            f"Cohen's kappa {one['kappa']:.2f}"
            if one["kappa"] is not None
            else "no kappa, both gave one answer throughout"
        )
        lines.append(
            f"{one['readers'][0]} and {one['readers'][1]} agree on {100 * one['agreement']:.1f} % of {one['n']} images; {kappa}"
        )
    return "\n".join(lines)


def arms_table(summary: dict[str, Any]) -> str:
    """Mean and interval of every measure per arm, the paired difference from `real`, and what it says, in per cent."""
    budget, test = summary["budget"], summary["test"]
    each = (
        f"{budget['steps']} steps each"
        if budget["kind"] == "steps"
        else f"{budget['steps']} steps on the reals and more on longer training sets"
    )
    nested = "".join(
        f", {budget[name]} {name}" for name in ("generators", "draws") if budget[name] > 1
    )
    lines = [
        f"{budget['arch']}, {each}, {len(budget['seeds'])} seeds{nested}; test: {test['images']} images of {test['patients']} patients; mean [95 % interval] in %"
    ]
    for fraction in summary["fractions"]:
        mine = [one for one in summary["results"] if one["fraction"] == fraction]
        reals = f"{mine[0]['real_images']} real images"
        lines.append(
            f"{reals:24}{'training images':>17}"
            + "".join(f"{name:>21}" for name in MEASURES)
            + f"{'difference':>22}{'p (Holm)':>11}  verdict"
        )
        for one in mine:
            name = condition(one)
            line = f"{name:24}{one['train_images']:>17}" + "".join(
                f"{_per_cent(one[measure]):>21}" for measure in MEASURES
            )
            against = one["against_real"]
            lines.append(
                line
                + (
                    f"{_per_cent(against['difference']['accuracy'], '+'):>22}{against['p_holm']:>11.3f}  {against['verdict']}"
                    if against
                    else ""
                )
            )
    varied = [
        one
        for one in summary["results"]
        if sum(value is not None for value in one["spread"].values()) > 1
    ]
    for one in varied:
        levels = ", ".join(
            f"{name} {100 * value:.1f}"
            for name, value in one["spread"].items()
            if value is not None
        )
        lines.append(
            f"standard deviation of accuracy in points, {condition(one)} at {one['real_images']} real images: {levels}"
        )
    return "\n".join([*lines, *(one["sentence"] for one in summary["worth"] or [])])


def reproduction_table(result: dict[str, Any]) -> str:
    """A paper's figures, those of its protocol here, and those of the fair one, in per cent."""

    def cells(measures: dict[str, Any]) -> str:
        shown = []
        for one in measures.values():
            low, high = one["interval"] or (None, None)
            shown.append(
                f"{100 * one['value']:.1f}"
                + (f" [{100 * low:.0f}, {100 * high:.0f}]" if low is not None else "")
            )
        return "".join(f"{text:>18}" for text in shown)

    columns = "".join(f"{name:>18}" for name in MEASURES)
    lines = [f"{'in %, [95 % interval]':42}{'test images':>12}  {'images':10}{columns}"]
    for row in result["rows"]:
        for arm in ("real", "real+gan"):
            first = arm == "real"
            lines.append(
                f"{row['protocol'] if first else '  ' + row['budget']:42}{row['test_images'] if first else '':>12}  {arm:10}{cells(row[arm])}"
            )
    return "\n".join(lines)


def condition(result: dict[str, Any]) -> str:
    """An arm, and how many images stand beside each real one where a ratio says so."""
    return result["arm"] + (f" ×{result['ratio']:g}" if result["ratio"] else "")


def _of_hundred(measure: dict[str, Any]) -> str:
    return Estimate(**measure).percent()


def _of_one(measure: dict[str, Any]) -> str:
    return Estimate(**measure).text()


def _per_cent(estimate: dict[str, Any], sign: str = "") -> str:
    low, high = (100 * value for value in estimate["interval"])
    return f"{100 * estimate['mean']:{sign}.1f} [{low:{sign}.1f}, {high:{sign}.1f}]"
