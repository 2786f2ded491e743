"""How the command line is made of configurations, and how mistakes become one clear line."""

from __future__ import annotations

import contextlib
import errno
import functools
import io
import logging
import os
import re
import sys
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args, get_type_hints

import click

from pipelines.study.text import flag_of, one_line
from pipelines.study.view_names import VIEWS

if TYPE_CHECKING:
    from runtime.options import OptionError

Command = Callable[..., Any]

weights_option = click.option(
    "--weights",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE|none",
    help="ImageNet weights as torchvision saves them, whole or only the trunk; without it "
    "they are downloaded once; none: fresh ones.",
)
positive_option = click.option(
    "--positive",
    metavar="LABEL",
    help="The class that sensitivity is about.  [default: covid, where there is one]",
)

verbose_option = click.option(
    "--verbose", is_flag=True, help="Also print how many seconds each part took."
)
view_option = click.option(
    "--view",
    type=click.Choice(VIEWS),
    help="What of each image is seen: whole, the box of the lungs (lung-box), or the lungs alone "
    "(lungs); the two need cxr data lungs first.  [default: that of the synthetic set or of the "
    "newest generator, or whole]",
)

OURS = ("runtime", "gan", "classifier", "pipelines")


def config_options(kind: type) -> Callable[[Command], Command]:
    """A click option per field of a configuration; the command gets `options`, the fields that were
    asked for.

    A field's default stands in the dataclass alone and is shown in the help; an option that is not
    given is not passed on, so that a resumed run keeps its own value.
    """
    hints = get_type_hints(kind)
    names = [field.name for field in fields(kind)]

    def decorate(command: Command) -> Command:
        @functools.wraps(command)
        def collected(**arguments: Any) -> Any:
            options = {name: arguments.pop(name) for name in names}
            return command(
                options={name: value for name, value in options.items() if value is not None},
                **arguments,
            )

        wrapped = collected
        for field in reversed(fields(kind)):
            hint = hints[field.name]
            accepted = (
                click.Choice(field.metadata["choices"])
                if "choices" in field.metadata
                else next(iter(get_args(hint)), hint)  # float of `float | None`
            )
            default = field.metadata.get("unset", field.default)
            text = f"{field.metadata['help']}  [default: {default}]"
            wrapped = click.option(
                flag_of(field.name),
                field.name,
                type=accepted,
                default=None,
                help=text,
                metavar="yes|no" if accepted is bool else None,
            )(wrapped)
        return wrapped

    return decorate


def workspace_option(default: Path = Path()) -> Callable[[Command], Command]:
    """`-C DIR`, after the command or before it; the command gets a `workspace`."""

    def decorate(command: Command) -> Command:
        @functools.wraps(command)
        def opened(folder: Path | None, **arguments: Any) -> Any:
            from pipelines.study.workspace import Workspace

            outer = click.get_current_context().find_root().params.get("folder")
            workspace = Workspace(folder or outer or default)
            workspace.check_links()
            try:
                return command(workspace=workspace, **arguments)
            finally:
                workspace.release()

        shown = default if default.name else "the current folder"
        text = f"The study's folder.  [default: {shown}]"
        return click.option(
            "-C",
            "folder",
            type=click.Path(path_type=Path, file_okay=False),
            metavar="DIR",
            help=text,
        )(opened)

    return decorate


def compute_options(command: Command) -> Command:
    """`--device` and the like of a command that runs in one process; it gets a `compute`."""

    @functools.wraps(command)
    def chosen(device: str, precision: str, deterministic: bool | None, **arguments: Any) -> Any:
        from pipelines.study.runs import RunRequest

        _refuse_torchrun()
        request = RunRequest(None, device, precision, deterministic)
        return command(compute=request.choose_compute(), **arguments)

    return _device_options(chosen)


def run_options(
    *, several_processes: bool = False, resumable: bool = True, tensorboard: bool = False
) -> Callable[[Command], Command]:
    """`--resume [RUN]`, `--device` and the like; the command gets a `request` for its run.

    several_processes: whether the command may be started by torchrun; then only the main process
    writes to standard output. resumable: False for a command that finds by itself what to go on
    with, and has no `--resume`. tensorboard: whether its run keeps a journal that TensorBoard can
    show.
    """

    def decorate(command: Command) -> Command:
        @functools.wraps(command)
        def requested(
            device: str,
            precision: str,
            deterministic: bool | None,
            resume: str | None = None,
            tensorboard: bool = False,
            **arguments: Any,
        ) -> Any:
            started = time.monotonic()  # before what takes longest to be imported
            from pipelines.study.runs import RunRequest

            if not several_processes:
                _refuse_torchrun()
            silenced = os.environ.get("RANK", "0") != "0"
            output = contextlib.redirect_stdout(io.StringIO())
            with output if silenced else contextlib.nullcontext():
                request = RunRequest(
                    resume,
                    device,
                    precision,
                    deterministic,
                    started=started,
                    tensorboard=tensorboard,
                )
                return command(request=request, **arguments)

        with_device = _device_options(requested)
        if tensorboard:
            with_device = _tensorboard_option(with_device)
        if not resumable:
            return with_device
        text = (
            "Continue the newest unfinished run of this command, or the one named, with its own "
            "options, device and precision."
        )
        with_resume = click.option(
            "--resume", is_flag=False, flag_value="", default=None, metavar="[RUN]", help=text
        )
        return with_resume(with_device)

    return decorate


def _tensorboard_option(command: Command) -> Command:
    return click.option(
        "--tensorboard",
        is_flag=True,
        help="Write the journal and sample grids for TensorBoard too, into the run's folder; needs "
        "the package tensorboard.",
    )(command)


def _device_options(command: Command) -> Command:
    with_determinism = click.option(
        "--deterministic",
        type=bool,
        default=None,
        metavar="yes|no",
        help="Whether the same seed gives the same bytes on CUDA too, which may cost speed; on a "
        "CPU it always does.  [default: yes]",
    )
    with_precision = click.option(
        "--precision",
        type=click.Choice(["auto", "fp32", "bf16"]),
        default="auto",
        help="Arithmetic of training; auto takes bf16 where the hardware is fast at it. What is "
        "chosen by or reported is computed in fp32.",
    )
    with_device = click.option(
        "--device", default="auto", metavar="DEVICE", help="auto, cpu, cuda, cuda:N or mps."
    )
    return with_device(with_precision(with_determinism(command)))


def _refuse_torchrun() -> None:
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        name = click.get_current_context().info_name
        raise ValueError(f"cxr {name} runs in one process; start it without torchrun")


class Commands(click.Group):
    """A group whose commands answer a mistake with one line on standard error and exit code 2, and
    a signal with 130.
    """

    def make_context(self, *arguments: Any, **options: Any) -> click.Context:
        _open_streams()
        with _mistakes():
            return super().make_context(*arguments, **options)

    def invoke(self, context: click.Context) -> Any:
        ours = (
            logging.StreamHandler()
        )  # warnings of the trainers, on standard error; not what libraries think of a damaged file
        ours.addFilter(lambda record: record.name.split(".")[0] in OURS)
        logging.basicConfig(format="cxr: %(message)s", handlers=[ours])
        if not sys.warnoptions:
            warnings.simplefilter("ignore")
        with _mistakes():
            return super().invoke(context)


@contextlib.contextmanager
def _mistakes() -> Iterator[None]:
    from runtime.options import OptionError
    from runtime.run import Interrupted

    try:
        yield
    except click.exceptions.NoArgsIsHelpError:
        raise  # the help
    except click.UsageError as error:
        command = error.ctx.command_path if error.ctx else "cxr"
        fail(f"{one_line(error.format_message()).rstrip('.')}; see: {command} --help")
    except OSError as error:
        fail(one_line(_disk_line(error)))
    except OptionError as error:
        fail(one_line(_option_line(error)))
    except (ValueError, FloatingPointError) as error:
        fail(one_line(_with_flags(str(error))))
    except Interrupted as error:
        say(f"cxr: {_with_flags(str(error))}")
        sys.exit(130)
    except (RuntimeError, MemoryError) as error:
        from runtime.memory import is_out_of_memory

        if not is_out_of_memory(error):
            raise
        fail(_memory_line(error))


def done(what: str, where: Path, next_step: str) -> None:
    """The last words of a command."""
    click.echo(f"made: {what}, in {where}\nnext: {next_step}")


def say(message: str) -> None:
    """A line on standard error, where anybody can still read it."""
    try:
        click.echo(message, err=True)
    except OSError:
        _to_nowhere(2)


def fail(message: str) -> None:
    """End the process with one line on standard error and exit code 2."""
    say(f"cxr: {message}")
    sys.exit(2)


def _option_line(error: OptionError) -> str:
    """The mistake as the command line says it: fields, also those in the text, as flags."""
    return f"{flag_of(error.field)} {error.value}: {_with_flags(error.problem)}"


def _with_flags(text: str) -> str:
    """The text of a library with the fields that it names, in backticks, as flags."""
    return re.sub(r"`([a-z_]+)`", lambda match: flag_of(match.group(1)), text)


def _memory_line(error: BaseException) -> str:
    text = _with_flags(one_line(error))
    if text.startswith("out of memory with"):
        return text  # our own words
    return (
        "out of memory; close other programs, or choose smaller images, or on a GPU --device cpu "
        f"({text[:120]})"
    )


def _disk_line(error: OSError) -> str:
    if any(
        frame.f_code is click.echo.__code__ for frame, _ in traceback.walk_tb(error.__traceback__)
    ):
        _to_nowhere(1)
        return (
            f"standard output cannot be written ({error.strerror or error}); what was still to "
            "be said is lost, what was made is not"
        )
    if error.errno is None and isinstance(error, (FileNotFoundError, ConnectionError)):
        return str(error)  # our own words
    where = f" ({error.filename})" if error.filename else ""
    again = "run the command again, with --resume where it has one"
    if isinstance(error, FileNotFoundError) and error.filename:
        return f"{error.filename} does not exist"
    if error.errno == errno.ENOSPC:
        return f"the disk is full{where}; free some space and {again}"
    if error.errno == errno.EDQUOT:
        return f"the quota on this disk is used up{where}; free some space and {again}"
    if error.errno == errno.EFBIG:
        return f"no file may be so large here{where}; raise the limit (ulimit -f) and {again}"
    if error.errno == errno.EIO:
        return f"the disk does not work: {error.strerror}{where}; see to it, then {again}"
    if error.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
        return (
            f"no permission to write or read here{where}; change that, or choose another "
            "folder (the study's with -C DIR)"
        )
    return f"{error.strerror or error}{where}"


def _to_nowhere(number: int) -> None:
    """Let a standard stream that cannot be written swallow the rest, so that the end of the process
    does not stumble over it.
    """
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, number)
    os.close(nowhere)


def _open_streams() -> None:
    """Let standard streams that came closed lead nowhere.

    A file that is opened would take their numbers, and get what libraries write there.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        with contextlib.suppress(OSError):
            os.fstat(number)
            continue
        os.open(os.devnull, os.O_RDWR)  # which takes the lowest free number
        if getattr(sys, name) is None:
            mode = "r" if number == 0 else "w"
            setattr(sys, name, os.fdopen(number, mode, encoding="utf-8", closefd=False))
