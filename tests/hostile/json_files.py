"""JSON files: values of other types, entries gone, damage."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from hypothesis import strategies as st

from gan.config import GanConfig
from tests.hostile.damage import damaged

WRONG_VALUES = (
    None,
    True,
    "",
    "x",
    "../../outside",
    "=1",
    -1,
    0,
    3.5,
    10**30,
    [],
    ["x"],
    {},
    {"x": 1},
)


@st.composite
def hostile_json(draw: st.DrawFn, value: Any) -> Any:
    """Draw a JSON value with an entry gone, of another type, or another number, anywhere in it."""
    if isinstance(value, dict) and value and draw(st.integers(0, 9)):
        name = draw(st.sampled_from(sorted(value)))
        if draw(st.integers(0, 2)) == 0:
            return {key: entry for key, entry in value.items() if key != name}
        return value | {name: draw(hostile_json(value[name]))}
    if isinstance(value, list) and value and draw(st.booleans()):
        place = draw(st.integers(0, len(value) - 1))
        return [*value[:place], draw(hostile_json(value[place])), *value[place + 1 :]]
    return draw(st.sampled_from(WRONG_VALUES))


def hostile_configurations() -> st.SearchStrategy[bytes]:
    """Draw the config.json of a generator, as JSON that says something else, or damaged."""
    whole = asdict(GanConfig())
    return st.one_of(
        hostile_json(whole).map(lambda value: json.dumps(value).encode()),
        damaged(json.dumps(whole).encode()),
    )
