"""Bars of the report that show what the seconds of each stage were."""

from collections.abc import Mapping

from wsipipe.pipeline.reporting.run_json import UsageEntry

PARTS = ("computing", "reading", "loading", "writing", "waiting")
"""Parts of a bar, from left to right; ``loading`` is that of networks, in ``waiting`` a worker is idle."""


def usage_bars(usage: Mapping[str, UsageEntry]) -> dict[str, list[tuple[str, float, float]]]:
    """Return the parts of the bar of each stage.

    The longest bar has the full width, so bars of one slide can be compared.

    Args:
        usage: Entries of ``run.json`` by stage.

    Returns:
        (part, seconds, width in percent) by stage; parts without time are left out.
    """
    seconds = {stage: _seconds_of(entry) for stage, entry in usage.items()}
    longest_s = max((sum(parts.values()) for parts in seconds.values()), default=0.0)
    return {
        stage: [(part, spent, 100 * spent / longest_s) for part, spent in parts.items() if spent > 0]
        for stage, parts in seconds.items()
    }


def _seconds_of(entry: UsageEntry) -> dict[str, float]:
    found = {
        "reading": entry["reading_s"],
        "loading": entry["loading_s"],
        "writing": entry["writing_s"],
        "waiting": entry["waiting_s"],
    }
    found["computing"] = max(0.0, entry["busy_s"] - found["reading"] - found["loading"] - found["writing"])
    return {part: found[part] for part in PARTS}
