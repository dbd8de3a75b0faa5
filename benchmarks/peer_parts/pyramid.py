"""Convert a slide to a sharded Zarr pyramid at its own scale.

``benchmarks/tiling.py`` has the work: wsipipe's workflow ``tiling_only`` on workers that have started, and
loops over OpenSlide and imagecodecs that write by zarr in threads, without sync or digest.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import tiling

from peer_parts.clock import Clock
from wsipipe.pipeline.cluster.client import connect

Request = dict[str, Any]


def by_wsipipe(request: Request) -> dict[str, Any]:
    """Run ``tiling_only``: tissue, synced and digested shards, pyramid, manifest."""
    out = Path(request["out"])
    out.mkdir()
    with connect(workers=request["threads"]) as client:
        # Each worker imports what it needs with its first shard.
        for turn in range(request["threads"]):
            tiling.by_wsipipe(client, tiling.plan_of(Path(request["warm"])), out, out / f"warm {turn}")
        plan = tiling.plan_of(Path(request["slide"]))
        clock, before = Clock(), tiling.cpu_seconds(client)
        tiling.by_wsipipe(client, plan, out, out / "result")
        spent = clock.spent() | {"cpu_s": tiling.cpu_seconds(client) - before}
    return spent | written(out / "result")


def by_openslide(request: Request) -> dict[str, Any]:
    """Run the loop over OpenSlide."""
    return by_hand(request, tiling.openslide_reader)


def by_imagecodecs(request: Request) -> dict[str, Any]:
    """Run the loop over compressed tiles and imagecodecs."""
    return by_hand(request, tiling.segments_reader)


def by_hand(request: Request, opened: Callable[[Path], AbstractContextManager[Any]]) -> dict[str, Any]:
    """Run one of the loops."""
    out = Path(request["out"])
    tiling.WORKERS = request["threads"]
    with opened(Path(request["warm"])) as reader:
        tiling.by_hand(reader, out / "warm")
    out /= "result"
    clock = Clock()
    with opened(Path(request["slide"])) as reader:
        tiling.by_hand(reader, out)
    return clock.spent() | written(out)


def written(out: Path) -> dict[str, Any]:
    """Return the MB written as a fact."""
    size = sum(path.stat().st_size for path in out.rglob("*") if path.is_file())
    return {"facts": {"MB written": size / 1e6}}
