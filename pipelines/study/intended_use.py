"""What a model of this software must not be used for, said wherever one is handed out."""

from __future__ import annotations

INTENDED_USE = (
    "For research on methods. Not a medical device: nothing here may be used to decide about a "
    "patient."
)
