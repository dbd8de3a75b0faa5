"""Which stages wait for others as a whole, and which go first."""

from collections.abc import Mapping, Sequence

from wsipipe.stages.stage import Stage


def waited_for_whole(stages: Sequence[Stage]) -> dict[str, set[str]]:
    """Return, by stage, the earlier stages that it waits for as a whole.

    These are the stages with a ``reduce``, whose tables every later stage may use, and those whose arrays its
    kernel reads anywhere.

    Args:
        stages: The stages in the order of the flow.
    """
    writers = _writers(stages)
    found: dict[str, set[str]] = {}
    tables: set[str] = set()
    for stage in stages:
        anywhere = {read.name for read in stage.reads if read.anywhere}
        found[stage.name] = tables | {writers[name] for name in anywhere if name in writers}
        if stage.reduce:
            tables = tables | {stage.name}
    return found


def ranks(stages: Sequence[Stage]) -> dict[str, int]:
    """Return the place of each stage among ready shards, from 0.

    First come stages with most waits for whole stages behind them, since everything behind such a wait stands
    still until their last shard; shards of the others fill the time of the wait. Of two equal stages the
    later one comes first, so that shards go through the flow one after the other.

    Args:
        stages: The stages in the order of the flow.
    """
    writers, wholes = _writers(stages), waited_for_whole(stages)
    waits = dict.fromkeys(wholes, 0)
    for stage in reversed(stages):
        read = {writers[read.name] for read in stage.reads if read.name in writers}
        for source in read | wholes[stage.name]:
            waits[source] = max(waits[source], waits[stage.name] + (source in wholes[stage.name]))
    order = sorted(range(len(stages)), key=lambda place: (-waits[stages[place].name], -place))
    return {stages[place].name: rank for rank, place in enumerate(order)}


def _writers(stages: Sequence[Stage]) -> Mapping[str, str]:
    """Return the stage that writes each array, by name."""
    return {write.name: stage.name for stage in stages for write in stage.writes}
