"""What `cxr score` prints can be read, whatever the size of its numbers."""

from __future__ import annotations

import re
from dataclasses import replace

from pipelines.cli.score_tables import scores_table
from runtime.estimate import Estimate
from tests.pipelines.report.made_scores import make_score


def test_columns_of_large_numbers_do_not_touch() -> None:
    """Kernel distances in raw VGG16 features are hundreds, with intervals as wide."""
    summary = make_score()
    large = Estimate(342.61191, -75.757, 760.9813, 53)
    kernel = replace(summary.scores[0], name="kernel", synthetic=large, floor=large)
    table = scores_table(replace(summary, scores=[kernel]))
    assert table.count(" 343000 [-75800, 761000] ") == 2
    larger = replace(kernel, synthetic=replace(large, high=760981.3))
    assert re.search(r"\]\d", scores_table(replace(summary, scores=[larger]))) is None
