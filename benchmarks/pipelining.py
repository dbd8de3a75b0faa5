"""Compute the time lost when stages wait.

    python benchmarks/pipelining.py [SLIDE] [--workflow nuclei_and_tissue] [--workers 2 4 8] [--json FILE]

Runs the slide once (without one, a synthetic slide of 8,192 px at 0.25 um/px) and takes the processor time
of every shard, which other programs on the machine hardly change. From these it computes how long 2, 4 and 8
workers take if every stage waits for all shards of the one before, and in the order of wsipipe. The end of
the slide (tables, pictures, manifest) is left out of both.
"""

import argparse
import heapq
import json
import tempfile
from pathlib import Path

import wsipipe
from wsipipe.pipeline import slide_run
from wsipipe.pipeline.execution.shard import ShardResult
from wsipipe.pipeline.planning.plan import Plan
from wsipipe.pipeline.planning.shard_graph import ShardGraph
from wsipipe.pipeline.stage_run import _StageCount
from wsipipe.store.ledger import Key
from wsipipe.synth.writer import make_slide

Costs = dict[tuple[str, Key], float]


def measure(workflow: str, slide: Path) -> tuple[Plan, Costs]:
    """Run a slide in one process; return its plan and the processor seconds of its shards.

    The time in which a process loads a network for the first time is left out.
    """
    costs: Costs = {}
    plans: list[Plan] = []
    report, run_stages = _StageCount.report, slide_run.run_stages

    def noted(count: _StageCount, slide_id: str, done: ShardResult, callbacks: object) -> None:
        used = done.usage
        costs[done.stage, done.index] = max(0.0, used.cpu_s - used.loading_s)
        report(count, slide_id, done, callbacks)

    def planned(pool: object, plan: Plan, *more: object) -> object:
        plans.append(plan)
        return run_stages(pool, plan, *more)

    _StageCount.report, slide_run.run_stages = noted, planned
    with tempfile.TemporaryDirectory() as out:
        done = wsipipe.run(
            workflow, slide, out, resources=wsipipe.Resources(workers=1, threads=1, device="cpu")
        )
    if done.slides[0].status != "done":
        raise SystemExit(done.slides[0].message)
    return plans[0], costs


def with_waits(plan: Plan, costs: Costs, workers: int) -> float:
    """Return the seconds if each stage waits for the stage before."""
    total_s = 0.0
    for stage in plan.stages:
        ends = [0.0] * workers
        for (name, _), cost in sorted(costs.items()):
            if name == stage.name:
                heapq.heapreplace(ends, ends[0] + cost)
        total_s += max(ends)
    return total_s


def by_graph(plan: Plan, costs: Costs, workers: int) -> float:
    """Return the seconds if each shard waits for its inputs."""
    graph = ShardGraph(plan.stages, plan.facts.grid, {})
    running: list[tuple[float, str, Key]] = []
    now = 0.0
    while True:
        while len(running) < workers and (ready := graph.take((True, False))) is not None:
            stage, index = ready
            heapq.heappush(running, (now + costs[stage.name, index], stage.name, index))
        if not running:
            return now
        now, name, index = heapq.heappop(running)
        graph.finish(name, index)
        while (full := graph.to_join()) is not None:
            graph.joined(full.name)


def main() -> None:
    """Run the slide and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("slide", nargs="?", type=Path)
    parser.add_argument("--workflow", default="nuclei_and_tissue")
    parser.add_argument("--workers", type=int, nargs="+", default=[2, 4, 8])
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        slide = asked.slide or Path(folder) / "synthetic.svs"
        if asked.slide is None:
            make_slide(slide, 8192, seed=1, truth=False)
        plan, costs = measure(asked.workflow, slide)
    work_s = sum(costs.values())
    print(f"{slide.name}, {asked.workflow}: {len(costs)} shards, {work_s:.1f} processor seconds")
    print(f"{'workers':>8} {'waits, s':>10} {'idle':>6} {'graph, s':>10} {'idle':>6} {'ratio':>6}")
    rows = []
    for workers in asked.workers:
        waits_s, graph_s = with_waits(plan, costs, workers), by_graph(plan, costs, workers)
        idle = [1 - work_s / workers / each for each in (waits_s, graph_s)]
        rows.append({"workers": workers, "waits_s": waits_s, "graph_s": graph_s, "idle": idle})
        seconds = f"{waits_s:10.2f} {idle[0]:6.0%} {graph_s:10.2f} {idle[1]:6.0%}"
        print(f"{workers:8} {seconds} {waits_s / graph_s:6.2f}")
    if asked.json:
        asked.json.write_text(json.dumps({"slide": slide.name, "work_s": work_s, "rows": rows}, indent=1))


if __name__ == "__main__":
    main()
