"""How many processors this process may use, which in a container are not all that it sees."""

from __future__ import annotations

from functools import cache


@cache
def count_processors() -> int:
    """Count the processors that this process may use.

    They are those of its affinity, as Slurm sets it, and no more than the quota of its control
    group, as Kubernetes and `docker run --cpus` set it, and LOKY_MAX_CPU_COUNT allow.
    """
    from joblib import cpu_count  # with scikit-learn

    count: int = cpu_count()
    return count
