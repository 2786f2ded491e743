"""What the rungs of a ladder found, in numbers and in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import product

import numpy as np

from pipelines.comparison.paper_protocol import REPORTED_ARMS, REPORTED_MEASURES, PaperProtocol
from pipelines.comparison.protocol_ladder import Protocol, TestedRun
from pipelines.metrics.measures import count_images, pseudo_values
from pipelines.metrics.paired_tests import Replicate, estimate_difference, estimate_share
from pipelines.report.formats import percent, plural, points, points_range
from pipelines.results.reproduction_result import Found, Leak, Rung
from runtime.estimate import Estimate
from runtime.run import Run

Answers = Mapping[str, Sequence[TestedRun]]  # of every seed, by arm


def measure_rung(protocol: Protocol, paper: PaperProtocol, answers: Answers) -> Rung:
    """Measure a rung by the answers of its runs; its sentence is still empty."""
    positive = list(paper.setup.classes).index(paper.setup.positive)
    return Rung(
        name=protocol.name,
        title=protocol.title,
        change=protocol.change,
        leaky=not protocol.by_patient,
        averaged=protocol.averaged,
        steps={
            arm: paper.steps_of("real" if protocol.equal_steps else arm) for arm in REPORTED_ARMS
        },
        first=_find({arm: runs[:1] for arm, runs in answers.items()}, positive),
        mean=_find(answers, positive),
        runs={arm: [float(_right(run).mean()) for run in runs] for arm, runs in answers.items()},
        best_epoch=_best_epochs(answers) if protocol.by_test else None,
        sentence="",
    )


def _find(answers: Answers, positive: int) -> Found:
    """Measure both arms over these runs, and their difference run by run."""
    real, synthetic = (answers[arm] for arm in REPORTED_ARMS)
    changes = [_right(own) - _right(without) for without, own in zip(real, synthetic, strict=True)]
    cells, patients, replicates = _pool(real, changes)
    difference = estimate_difference(cells, patients, replicates, n=len(patients))
    return Found(
        arms={
            arm: {measure: _share(measure, runs, positive) for measure in REPORTED_MEASURES}
            for arm, runs in answers.items()
        },
        difference=Estimate(difference.value, difference.low, difference.high, difference.n),
    )


def _share(measure: str, runs: Sequence[TestedRun], positive: int) -> Estimate:
    values = [
        pseudo_values(measure, run.images.labels, run.images.probabilities[None], positive)[0]
        for run in runs
    ]
    cells, patients, replicates = _pool(runs, values)
    labels = np.concatenate([run.images.labels for run in runs])[: len(patients)]
    n = count_images(measure, labels, positive)
    share = estimate_share(cells, patients, replicates, n=n)
    return Estimate(share.value, share.low, share.high, share.n)


def _pool(
    runs: Sequence[TestedRun], values: Sequence[np.ndarray]
) -> tuple[np.ndarray, list[str], list[Replicate]]:
    """Return the values of R runs as (R, N), the patients of the N images, and R replicates.

    Runs with test images of their own are taken for one run on all of them.
    """
    if all(np.array_equal(run.images.file_names, runs[0].images.file_names) for run in runs):
        cells, patients = np.stack(values), runs[0].images.patients
    else:
        cells = np.concatenate(values)[None]
        patients = np.concatenate([run.images.patients for run in runs])
    return cells, patients.tolist(), [Replicate(None, None, None, row) for row in range(len(cells))]


def _right(run: TestedRun) -> np.ndarray:
    """Whether each answer is right, as 0 or 1, (N,)."""
    return (run.images.probabilities.argmax(axis=1) == run.images.labels).astype(float)


def _best_epochs(answers: Answers) -> dict[str, float]:
    """The accuracy that each arm has where the test images choose the epoch by it, on average.

    They stood in the place of the validation images, which the journal has the accuracy of.
    """
    return {
        arm: float(
            np.mean(
                [
                    max(
                        event.get("validation_accuracy", 0.0) for event in Run(run.folder).journal()
                    )
                    for run in runs
                ]
            )
        )
        for arm, runs in answers.items()
    }


def describe_ladder(ladder: Sequence[Rung], leak: Leak, commonest: float) -> list[Rung]:
    """Put into words what each rung changed."""
    leaky, apart, equal, chosen, fair, *altered = ladder
    sentences = [
        _describe_faults(leaky, leak),
        _describe_leak(leaky, apart),
        _describe_steps(apart, equal),
        _describe_choice(equal, chosen),
        _describe_runs(fair),
        *(_describe_alteration(fair, own, commonest) for own in altered),
    ]
    return [replace(rung, sentence=text) for rung, text in zip(ladder, sentences, strict=True)]


def _accuracy(rung: Rung, arm: str) -> float:
    """The accuracy of an arm on average over the runs."""
    return rung.mean.arms[arm]["accuracy"].value


def _gain(rung: Rung) -> str:
    return f"{points(rung.mean.difference.value)} points [{points_range(rung.mean.difference)}]"


def _describe_faults(rung: Rung, leak: Leak) -> str:
    first, (real, synthetic) = rung.first, REPORTED_ARMS
    return (
        f"One run with every fault goes from {percent(first.arms[real]['accuracy'].value)} to "
        f"{percent(first.arms[synthetic]['accuracy'].value)}; all runs have {_gain(rung)} on "
        f"average. Of {leak.test_images} test images {leak.of_known_patients:.0f} are of a patient "
        f"who is in training too, and the generator was trained on {leak.seen_by_generator:.0f}. "
        "Leaky on purpose: it shows the fault and is no result."
    )


def _describe_leak(leaky: Rung, apart: Rung) -> str:
    changes = {arm: _accuracy(leaky, arm) - _accuracy(apart, arm) for arm in REPORTED_ARMS}
    return (
        f"The leak was worth {points(changes['real'])} points without synthetic images and "
        f"{points(changes['real+gan'])} with them (means of all runs, on other test images, so the "
        "luck of which images are tested is part of it). With patients kept apart the gain is "
        f"{_gain(apart)}."
    )


def _describe_steps(apart: Rung, equal: Rung) -> str:
    change = _accuracy(apart, "real+gan") - _accuracy(equal, "real+gan")
    return (
        f"With synthetic images there were {apart.steps['real+gan']} steps, without them "
        f"{apart.steps['real']}. The further steps were worth {points(change)} points; at "
        f"{equal.steps['real']} steps for both the gain is {_gain(equal)}."
    )


def _describe_choice(equal: Rung, chosen: Rung) -> str:
    by_loss = {arm: _accuracy(equal, arm) - _accuracy(chosen, arm) for arm in REPORTED_ARMS}
    best = equal.best_epoch or {}
    by_accuracy = {arm: best[arm] - _accuracy(chosen, arm) for arm in REPORTED_ARMS}
    return (
        f"To choose the weights by the loss on the test images was worth {points(by_loss['real'])} "
        f"points without and {points(by_loss['real+gan'])} with synthetic images; to take the "
        f"epoch of the best test accuracy would be worth {points(by_accuracy['real'])} and "
        f"{points(by_accuracy['real+gan'])}. Chosen by validation images the gain is "
        f"{_gain(chosen)}."
    )


def _describe_runs(fair: Rung) -> str:
    pairs = [own - without for without, own in product(fair.runs["real"], fair.runs["real+gan"])]
    gains, losses = sum(pair > 0 for pair in pairs), sum(pair < 0 for pair in pairs)
    return (
        f"{plural(len(pairs), 'pair')} of one run without and one with synthetic images go from "
        f"{points(min(pairs))} to {points(max(pairs))} points: {gains} would have been published "
        f"as a gain, {losses} as a loss. On average it is {_gain(fair)}."
    )


def _describe_alteration(fair: Rung, rung: Rung, commonest: float) -> str:
    left = {arm: _accuracy(rung, arm) for arm in REPORTED_ARMS}
    room = _accuracy(fair, "real") - commonest
    share = f"{percent((left['real'] - commonest) / room)} of" if room > 0 else "whatever were"
    return (
        f"With {rung.title} the real images alone still give {percent(left['real'])}: {share} what "
        f"whole images have above the {percent(commonest)} of calling every image alike. With "
        f"synthetic images it is {percent(left['real+gan'])}."
    )
