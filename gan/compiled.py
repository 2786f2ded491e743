"""Networks that are compiled before they are trained (torch.compile).

A compiler joins the operations between two convolutions to one pass over memory. What it makes
rounds differently, so that a run says whether its networks were compiled.
"""

from __future__ import annotations

import logging

import torch

from gan.config import GanConfig
from gan.presets import is_steady
from gan.training_state import TrainingState
from runtime.device import Compute
from runtime.options import OptionError


def check_compiling(config: GanConfig, compute: Compute) -> None:
    """Check that the networks of a training can be compiled where it runs.

    Raises OptionError where networks change as they train, or without a working compiler.
    """
    if not is_steady(config):
        raise OptionError("compile", "yes", "is for preset small-data without `stage_steps`")
    problem = find_compiler_problem(compute.device)
    if problem:
        raise OptionError("compile", "yes", f"{problem}; use no")


def find_compiler_problem(device: torch.device) -> str | None:
    """Compile a little function for the device; return what is in the way, None if nothing is."""
    logging.getLogger("torch.utils.cpp_extension").setLevel(logging.ERROR)  # "no CUDA runtime"
    function = torch.compile(lambda x: torch.sin(x) + 1)
    try:
        function(torch.zeros(8, device=device))
    except Exception as error:  # compilers fail in as many ways as there are
        first = str(error).strip().splitlines()
        return f"this machine cannot compile for {device} ({first[0] if first else error!r:.200})"
    return None


def compile_networks(config: GanConfig, state: TrainingState) -> None:
    """Have the networks that are trained compiled at their first step."""
    if not is_steady(config):
        raise ValueError("only networks of small-data that do not grow can be compiled")
    state.generator.compile()
    state.discriminator.compile()
