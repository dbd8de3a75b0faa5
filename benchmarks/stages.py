"""How many Mpx a second does each stage of a workflow do, and how much memory does a worker take?

    python benchmarks/stages.py [SLIDE] [--workflow nuclei_and_tissue] [--repeats 3] [--json FILE]

Without a slide, a synthetic one of 8,192 px at 0.25 um/px. Prints a table of medians; a stage's area is
the canvas's, tissue or not.
"""

import argparse
import json
import platform
import statistics
import tempfile
from pathlib import Path

import wsipipe
from wsipipe.synth.writer import make_slide


def machine() -> str:
    """Processor and cores, in words."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{names[0] if names else platform.processor()}, {len(names)} cores, {platform.system()}"


def measure(workflow: str, slide: Path, repeats: int, workers: int | None) -> dict[str, object]:
    """Median seconds and Mpx/s by stage, and peak memory, over fresh runs."""
    seconds: dict[str, list[float]] = {}
    peaks = []
    with tempfile.TemporaryDirectory() as folder:
        for repeat in range(repeats):
            out = Path(folder) / str(repeat)
            done = wsipipe.run(workflow, slide, out, resources=wsipipe.Resources(workers=workers))
            outcome = done.slides[0]
            if outcome.status != "done":
                raise SystemExit(outcome.message)
            for stage, spent in outcome.seconds.items():
                seconds.setdefault(stage, []).append(spent)
            peaks.append(max(json.loads((out / "run.json").read_text())["peak_memory_mb"].values()))
    shape = outcome.plan["canvas_shape"]
    mpx = shape[0] * shape[1] / 1e6
    medians = {stage: statistics.median(spent) for stage, spent in seconds.items()}
    return {
        "machine": machine(),
        "slide": slide.name,
        "workflow": workflow,
        "canvas_mpx": mpx,
        "seconds": medians,
        "mpx_per_second": {stage: mpx / spent for stage, spent in medians.items()},
        "total_seconds": statistics.median(map(sum, zip(*seconds.values(), strict=True))),
        "peak_memory_mb": max(peaks),
    }


def main() -> None:
    """Parses, measures, prints."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("slide", nargs="?", type=Path)
    parser.add_argument("--workflow", default="nuclei_and_tissue")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--workers", type=int)
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        slide = asked.slide or Path(folder) / "synthetic.svs"
        if asked.slide is None:
            make_slide(slide, 8192, seed=1, truth=False)
        found = measure(asked.workflow, slide, asked.repeats, asked.workers)
    print(f"{found['machine']}; {found['slide']}, canvas {found['canvas_mpx']:.1f} Mpx, {found['workflow']}")
    print(f"{'stage':32} {'seconds':>9} {'Mpx/s':>9}")
    for stage, spent in found["seconds"].items():
        print(f"{stage:32} {spent:9.2f} {found['mpx_per_second'][stage]:9.2f}")
    print(
        f"{'all':32} {found['total_seconds']:9.2f}   peak memory of a worker {found['peak_memory_mb']:.0f} MB"
    )
    if asked.json:
        asked.json.write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
