"""How every command begins a run, or goes on with one.

A command asks `prepare_run` for its settings: those of a new run, or on `--resume` those that the
run was begun with. Then it makes what its work needs (images, weights), and `RunStart.begin` opens
the run with what was found there, so that a resumed run is refused when its data or weights have
changed.

A run remembers the device and the precision that it was begun with, and whether its algorithms were
deterministic, and goes on with them.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, field, fields, is_dataclass, replace
from pathlib import Path
from typing import Any, Generic, TypeVar, cast, get_type_hints

from pipelines.study.text import flag_of
from pipelines.study.workspace import Workspace
from runtime.device import Compute, ComputeChoice, choose_compute, parse_compute
from runtime.files import parse_config
from runtime.options import OptionError
from runtime.run import Run
from runtime.tensorboard import TensorBoardLog, require_tensorboard

Settings = TypeVar("Settings")

WITHOUT_RESUME = "start a new run without --resume"


@dataclass(frozen=True)
class RunRequest:
    """Whether a command goes on with a run, and where it computes.

    Attributes:
        resume: None for a new run, the name of the run to go on with, or "" for the newest
            unfinished one of the command.
        device, precision: As the command line has them; "auto" leaves them to the machine or, on
            going on, to the run.
        deterministic: Whether the same seed is to give the same bytes on CUDA; None leaves it to
            the run, on going on, and is yes otherwise.
        compute: Where this is settled already, by a command that makes the run for itself.
        started: When the command was, by time.monotonic.
        tensorboard: Whether the run's journal is written for TensorBoard too.
    """

    resume: str | None = None
    device: str = "auto"
    precision: str = "auto"
    deterministic: bool | None = None
    compute: Compute | None = None
    started: float = field(default_factory=time.monotonic)
    tensorboard: bool = False

    @classmethod
    def of(cls, begun: Run | None, compute: Compute) -> RunRequest:
        """Ask a command for a run within another one: to go on with one, or for a new one."""
        return cls(resume=begun.name if begun else None, compute=compute)

    def choose_compute(self) -> Compute:
        """Settle where a new run computes. Raises OptionError as `runtime.device` does."""
        if self.compute is not None:
            return self.compute
        return choose_compute(self.device, self.precision, self.deterministic is not False)


@dataclass(frozen=True)
class RunStart(Generic[Settings]):
    """A run that is about to begin or to go on: what it does, and where it computes."""

    workspace: Workspace
    command: str
    settings: Settings
    compute: Compute
    resumed: Run | None
    may_change: frozenset[str]
    tensorboard: bool = False

    def begin(self, facts: Mapping[str, Any]) -> Run:
        """Make the run's folder and hold it, or hold the resumed run; the same run in every
        process.

        facts: what config.json holds beside the settings, such as the data's fingerprint; a fact
        of a setting's name replaces it (an image size that was left open, say).
        Raises ValueError that lists what has changed since a resumed run was begun, or when
        another process is at work on it.
        """
        record = settings_record(self.settings) | dict(facts) | {"compute": str(self.compute)}
        folder = str(self._open(record).folder) if self.compute.is_main_process else ""
        run = Run(Path(self.compute.agree(folder)))
        if self.tensorboard and self.compute.is_main_process:
            return replace(run, on_change=TensorBoardLog(run, record["classes"]).update)
        return run

    def _open(self, record: dict[str, Any]) -> Run:
        if self.resumed is None:
            return self.workspace.create_run(self.command, record)
        saved = self.resumed.config
        changed = [
            f"{name} {saved.get(name)} → {value}"
            for name, value in record.items()
            if name not in {"compute", *self.may_change} and saved.get(name) != value
        ]
        if changed:
            raise ValueError(
                f"{self.resumed.name} cannot go on, this has changed since: "
                f"{', '.join(changed)}; {WITHOUT_RESUME}"
            )
        self.workspace.hold(self.resumed)
        return self.resumed


def prepare_run(
    workspace: Workspace,
    command: str,
    kind: type[Settings],
    given: Mapping[str, Any],
    request: RunRequest,
    *,
    may_grow: Collection[str] = (),
    may_change: Collection[str] = (),
) -> RunStart[Settings]:
    """Settle what a run does and where it computes.

    kind: a dataclass of settings; its field `config`, where it has one, is a configuration whose
    fields stand beside the others in config.json. given: the settings that were asked for, by
    name; None is not asked for. may_grow, may_change: the settings that a resumed run may get
    anew, larger ones only or any.
    Raises ValueError that lists every option that differs from the run's own, and says so when
    this machine lacks the device or the precision that it was begun with. Raises OptionError when
    TensorBoard is asked for and not installed.
    """
    if request.tensorboard:
        require_tensorboard()
    asked = {name: value for name, value in given.items() if value is not None}
    resumed = None
    if request.resume is None:
        settings = make_settings(kind, asked)
    else:
        resumed = workspace.unfinished_run(command, request.resume or None)
        settings = _continued_settings(
            resumed, kind, asked, request, frozenset(may_grow), frozenset(may_change)
        )
    return RunStart(
        workspace=workspace,
        command=command,
        settings=settings,
        compute=_choose_compute(resumed, request),
        resumed=resumed,
        may_change=frozenset(may_grow) | frozenset(may_change),
        tensorboard=request.tensorboard,
    )


def make_settings(kind: type[Settings], given: Mapping[str, Any]) -> Settings:
    """Make settings of what was asked for, with the defaults of everything else.

    Raises ValueError when a value is out of range, or a name unknown.
    """
    config_kind = _config_kind(kind)
    if config_kind is None:
        return kind(**_as_declared(kind, given))
    own = {name: value for name, value in given.items() if name in _own_names(kind)}
    configured = {name: value for name, value in given.items() if name not in own}
    # A preset may have defaults of its own.
    make = getattr(config_kind, "from_options", config_kind)
    return kind(**{"config": make(**configured), **own})


def settings_record(settings: Any) -> dict[str, Any]:
    """What config.json holds of settings: all fields side by side, tuples as lists."""
    values = asdict(settings)
    flat = values.pop("config", {}) | values
    return {
        name: list(value) if isinstance(value, tuple) else value for name, value in flat.items()
    }


def _continued_settings(
    run: Run,
    kind: type[Settings],
    asked: Mapping[str, Any],
    request: RunRequest,
    may_grow: frozenset[str],
    may_change: frozenset[str],
) -> Settings:
    """The run's own settings, and of those that are asked for now what may change."""
    saved = _saved_settings(run, kind)
    wanted = _with_values(saved, asked)
    before, after = settings_record(saved), settings_record(wanted)
    differing = {
        name: (before[name], after[name]) for name in before if before[name] != after[name]
    }
    refused = [
        f"{flag_of(name)} {old} → {new}"
        for name, (old, new) in differing.items()
        if name not in may_change and (name not in may_grow or new < old)
    ]
    refused += _other_compute(run, request)
    if refused:
        flags = " or ".join(flag_of(name) for name in sorted(may_grow))
        allowed = f"; only a larger {flags} may be given" if flags else f"; {WITHOUT_RESUME}"
        raise ValueError(
            f"{run.name} cannot go on with other options ({', '.join(refused)}){allowed}"
        )
    return wanted


def _saved_settings(run: Run, kind: type[Settings]) -> Settings:
    config, path = run.config, run.folder / "config.json"
    config_kind = _config_kind(kind)
    names = [field.name for field in fields(config_kind)] if config_kind else []
    absent = [name for name in (*names, *_own_names(kind)) if name not in config]
    if absent:
        raise ValueError(
            f"{run.folder} cannot go on: another version of cxr began it, which knew no "
            f"{', '.join(absent)}; {WITHOUT_RESUME}"
        )
    values = {name: config[name] for name in _own_names(kind)}
    if config_kind:
        saved = {name: config[name] for name in names}
        values["config"] = parse_config(config_kind, saved, path)
    return kind(**_as_declared(kind, values))


def _with_values(settings: Settings, asked: Mapping[str, Any]) -> Settings:
    own = {name: value for name, value in asked.items() if name in _own_names(type(settings))}
    configured = {name: value for name, value in asked.items() if name not in own}
    if configured:
        own["config"] = replace(cast(Any, settings).config, **configured)
    return replace(cast(Any, settings), **_as_declared(type(settings), own))


def _as_declared(kind: type, values: Mapping[str, Any]) -> dict[str, Any]:
    """The values, lists turned into the tuples that frozen settings hold."""
    return {
        name: tuple(value) if isinstance(value, list) else value for name, value in values.items()
    }


def _other_compute(run: Run, request: RunRequest) -> list[str]:
    """What was asked of device, precision and determinism that is not the run's own."""
    own = _recorded_compute(run)
    # Of CUDA alone: elsewhere it is asked for in vain, on going on as at the beginning.
    deterministic = request.deterministic if own.device.startswith("cuda") else None
    asked: tuple[Any, ...] = request.device, request.precision, deterministic
    if request.compute is not None:
        asked = parse_compute(str(request.compute))
    return [
        f"{flag_of(name)} {_as_typed(old)} → {_as_typed(new)}"
        for name, old, new in zip(own._fields, own, asked, strict=True)
        if new not in ("auto", None, old)
    ]


def _as_typed(value: Any) -> str:
    """A value as the command line has it."""
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)


def _recorded_compute(run: Run) -> ComputeChoice:
    """What a run was begun with; "auto" where an older version noted nothing."""
    recorded = run.config.get("compute")
    return ComputeChoice() if recorded is None else parse_compute(recorded)


def _choose_compute(resumed: Run | None, request: RunRequest) -> Compute:
    if resumed is None or request.compute is not None:
        return request.choose_compute()
    own = _recorded_compute(resumed)
    try:
        return choose_compute(*own)
    except OptionError as error:
        lacking, _, _ = error.problem.partition(";")  # what it advises is for a new run
        raise ValueError(
            f"{resumed.name} was begun on {own.device} in {own.precision}, which this machine "
            f"cannot do ({lacking}); go on where it can, or {WITHOUT_RESUME}"
        ) from error


def _own_names(kind: type) -> list[str]:
    return [own.name for own in fields(kind) if own.name != "config"]


def _config_kind(kind: type) -> Any:
    hint = get_type_hints(kind).get("config")
    return hint if is_dataclass(hint) else None
