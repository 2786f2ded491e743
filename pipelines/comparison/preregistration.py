"""A preregistration: a study's question and plan, written down before anything of it is trained.

The file is Markdown for its readers with one fenced block of TOML for the machine, or TOML alone.
Of the tables [generator], [synthetic] and [classifier] every name is an option of `gan-train`,
`synthesize` and `classify-train`; [classifier.ARCH] holds what is of one architecture alone.
"""

from __future__ import annotations

import hashlib
import json
import re
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

from classifier.config import ARCHITECTURES, ClassifierConfig
from gan.config import GanConfig
from pipelines.comparison.design import Design
from pipelines.comparison.recipes import parse_arm
from pipelines.results.study_result import StudyQuestion, flatten_plan
from pipelines.study.fractions import RealFraction, fraction_text, parse_fraction
from pipelines.study.view_names import VIEWS
from pipelines.training.synthesis import Synthesis
from runtime.options import OptionError
from runtime.records import RecordError, parse

Table = TypeVar("Table")

MAX_PREREGISTRATION = 1_000_000  # bytes
PLAN_TABLES = ("generator", "synthetic", "classifier", "study", "question")
NOT_IN_SYNTHETIC = ("generator", "labels")  # each comparison has its own, of all classes
TOML_BLOCK = re.compile(r"^```toml\s*\n(.*?)^```\s*$", re.DOTALL | re.MULTILINE)


@dataclass(frozen=True, kw_only=True)
class StudyDesign:
    """What a study compares, and how often: its table [study].

    Attributes:
        measure: As the command line of `compare` has it.
        fractions: Of the reals, each a comparison of its own for every architecture and view.
    """

    arms: tuple[str, ...]
    measure: str
    folds: int
    subsets: int
    generators: int
    seeds: int
    fractions: tuple[RealFraction, ...]
    archs: tuple[str, ...]
    views: tuple[str, ...]

    def of_fraction(self, fraction: RealFraction) -> Mapping[str, Any]:
        """Return the arguments of `Design.from_options` at one fraction of the reals."""
        return {
            "arms": ",".join(self.arms),
            "measure": self.measure,
            "real_fractions": fraction_text(fraction),
            "folds": self.folds,
            "subsets": 1 if fraction == 1 else self.subsets,
            "generators": self.generators,
            "seeds": self.seeds,
        }


@dataclass(frozen=True, kw_only=True)
class Preregistration:
    """A study's plan: the options of all that it trains, what it compares, and its question.

    Attributes:
        generator, synthetic, classifier: Options by name; those of one architecture by its name.
    """

    generator: Mapping[str, Any]
    synthetic: Mapping[str, Any]
    classifier: Mapping[str, Any]
    study: StudyDesign
    question: StudyQuestion

    def gan_config(self) -> GanConfig:
        """Return the configuration of every generator, but for its seed."""
        return GanConfig.from_options(**self.generator)

    def synthesis(self) -> Synthesis:
        """Return how the first synthetic set is made, of which all others are like."""
        return Synthesis(**self.synthetic)

    def classifier_config(self, arch: str) -> ClassifierConfig:
        """Return the configuration of the classifiers of an architecture, but for their seeds."""
        common = {k: v for k, v in self.classifier.items() if k not in ARCHITECTURES}
        return ClassifierConfig(**common | self.classifier.get(arch, {}) | {"arch": arch})

    def changed(self, steps: int | None = None, **study: Any) -> Preregistration:
        """Return a plan with other values in [study], and other steps of every generator.

        None leaves what is planned. Raises OptionError for what cannot be, and where nothing of the
        question would be left.
        """
        given = {name: value for name, value in study.items() if value is not None}
        generator = dict(self.generator) | ({} if steps is None else {"steps": steps})
        changed = replace(self, generator=generator, study=replace(self.study, **given))
        for option, asked, there in (
            ("fractions", self.question.fractions, changed.study.fractions),
            ("archs", (self.question.arch,), changed.study.archs),
            ("views", (self.question.view,), changed.study.views),
        ):
            if not set(asked) & set(there):
                raise OptionError(
                    option, _text(there), f"the question is about {_text(asked)}; take it along"
                )
        changed.check()
        return changed

    def check(self) -> None:
        """Raise ValueError that names the table and the option of what cannot be."""
        with _in_table("generator"):
            self.gan_config()
        with _in_table("synthetic"):
            self.synthesis()
        with _in_table("study"):
            self._check_study()
        with _in_table("classifier"):
            for arch in self.study.archs:
                self.classifier_config(arch)

    def _check_study(self) -> None:
        for name, known in (("archs", ARCHITECTURES), ("views", VIEWS)):
            unknown = [value for value in getattr(self.study, name) if value not in known]
            if unknown or not getattr(self.study, name):
                raise OptionError(
                    name, ", ".join(unknown) or "none", f"expected some of {', '.join(known)}"
                )
        if not self.study.fractions:
            raise OptionError("fractions", "none", "expected one at least, such as 0.1")
        for fraction in self.study.fractions:
            Design.from_options(**self.study.of_fraction(fraction))

    def check_question(self) -> None:
        """Raise ValueError when the question is not one that the study answers."""
        own, study = self.question, self.study
        with _in_table("question"):
            for name, asked, there in (
                ("arm", (own.arm,), study.arms),
                ("fractions", own.fractions, study.fractions),
                ("arch", (own.arch,), study.archs),
                ("view", (own.view,), study.views),
            ):
                if not asked or set(asked) - set(there):
                    raise OptionError(name, _text(asked), f"expected of [study]: {_text(there)}")
            arm = parse_arm(own.arm)
            if arm.added != "synthetic":
                raise OptionError("arm", own.arm, "expected an arm with synthetic images")
            references = ["best", "real"]
            if arm.like and arm.like in study.arms:
                references.append(arm.like)
            if own.reference not in references:
                expected = f"expected {' or '.join(references)}"
                raise OptionError("reference", own.reference, expected)
            if not 0 <= own.points <= 100:
                raise OptionError("points", own.points, "expected 0 to 100 percentage points")

    def record(self) -> dict[str, object]:
        """Return what config.json holds of it: tables by name."""
        record: dict[str, object] = json.loads(json.dumps(asdict(self)))
        return record


def read_preregistration(path: Path) -> tuple[Preregistration, str]:
    """Read a preregistration, and return it with the file's SHA-256.

    Raises ValueError that names the file, and where it can the table and the option.
    """
    if path.stat().st_size > MAX_PREREGISTRATION:
        raise ValueError(f"{path} is no preregistration: it is larger than 1 MB")
    content = path.read_bytes()
    try:
        text = content.decode("utf-8")
        if path.suffix != ".toml":
            text = _only_block(text)
        plan = _parse(tomllib.loads(text))
        plan.check()
        plan.check_question()
    except ValueError as error:  # TOMLDecodeError and UnicodeDecodeError are such
        raise ValueError(f"{path}: {error}") from error
    return plan, hashlib.sha256(content).hexdigest()


def _only_block(text: str) -> str:
    blocks = TOML_BLOCK.findall(text.replace("\r\n", "\n"))
    if len(blocks) != 1:
        raise ValueError(f"expected one block between ```toml and ```, found {len(blocks)}")
    block: str = blocks[0]
    return block


def _parse(tables: Mapping[str, Any]) -> Preregistration:
    unknown = [name for name in tables if name not in PLAN_TABLES]
    absent = [name for name in PLAN_TABLES if not isinstance(tables.get(name), dict)]
    if unknown or absent:
        expected = ", ".join(f"[{name}]" for name in PLAN_TABLES)
        raise ValueError(f"[{(unknown + absent)[0]}]: expected the tables {expected}")
    classifier = dict(tables["classifier"])
    own = {arch: classifier.pop(arch) for arch in ARCHITECTURES if arch in classifier}
    options = _options("classifier", ClassifierConfig, classifier, leave_out=("arch",))
    for arch, table in own.items():
        where = f"classifier.{arch}"
        options[arch] = _options(where, ClassifierConfig, table, leave_out=("arch",))
    return Preregistration(
        generator=_options("generator", GanConfig, tables["generator"]),
        synthetic=_options("synthetic", Synthesis, tables["synthetic"], NOT_IN_SYNTHETIC),
        classifier=options,
        study=_whole_table("study", StudyDesign, tables["study"]),
        question=_whole_table("question", StudyQuestion, tables["question"]),
    )


def _whole_table(where: str, kind: type[Table], table: Mapping[str, Any]) -> Table:
    """Make a dataclass of a table that says all of it; arms and fractions as others write them."""
    values = _options(where, kind, table)
    for name in get_type_hints(kind):
        if name not in values:
            raise ValueError(f"[{where}] {name}: it is missing, and a preregistration says it all")
    with _in_table(where):
        values["fractions"] = tuple(
            parse_fraction(fraction_text(fraction), "fractions") for fraction in values["fractions"]
        )
        if "arms" in values:
            values["arms"] = tuple(parse_arm(name).name for name in values["arms"])
        if "arm" in values:
            values["arm"] = parse_arm(values["arm"]).name
    return kind(**values)


def _options(
    where: str, kind: type, table: Mapping[str, Any], leave_out: tuple[str, ...] = ()
) -> dict[str, Any]:
    """Return the values of a table, each of the type that the field of its name declares."""
    if not isinstance(table, dict):
        raise ValueError(f"[{where}]: expected a table")
    hints, values = get_type_hints(kind), {}
    names = [field.name for field in fields(kind) if field.name not in leave_out]
    for name, value in table.items():
        if name not in names:
            raise ValueError(f"[{where}] {name}: expected one of {', '.join(names)}")
        try:
            values[name] = parse(hints[name], value, f"[{where}] {name}")
        except RecordError as error:
            raise ValueError(str(error)) from error
    return values


@contextmanager
def _in_table(name: str) -> Iterator[None]:
    """Name the table in what is wrong with one of its options."""
    try:
        yield
    except ValueError as error:
        raise ValueError(f"[{name}] {str(error).removeprefix('--')}") from error


def list_departures(registered: Mapping[str, Any], plan: Mapping[str, Any]) -> list[str]:
    """Say what of a plan is not as it was registered; both as `record` returns them."""
    before, after = _described(registered), _described(plan)
    return [
        f"{name} {after.get(name, 'unset')} in place of {before.get(name, 'unset')}"
        for name in dict.fromkeys([*before, *after])
        if before.get(name) != after.get(name)
    ]


def _described(tables: Mapping[str, Any]) -> dict[str, str]:
    """Return every value of nested tables as a sentence has it, by its name there."""
    return {
        name.removeprefix("study").strip(): _text(value) for name, value in flatten_plan(tables)
    }


def _text(value: object) -> str:
    """Write a value as a sentence has it."""
    if isinstance(value, list | tuple):
        return ", ".join(map(_text, value))
    return f"{value:g}" if isinstance(value, float) else str(value)
