"""Measure CPU seconds of every stage after the networks, on one thread.

Usage: python benchmarks/after_network.py FOLDER [--side-px 8192] [--repeats 3] [--profile STAGE]
       python benchmarks/after_network.py FOLDER --other CHECKOUT

No network runs. Nucleus and centre maps come from the exact truth of a synthetic slide at 0.25 um/px, tissue
classes from a random field. FOLDER keeps slide and maps for the next time. Prints seconds of user time by
stage, nuclei a minute, and digests of the results. With --other a second checkout runs in turn with this
one on the same maps, and ratios of the least seconds are printed.
"""

import argparse
import cProfile
import gzip
import hashlib
import json
import os
import pstats
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from scipy import ndimage

from wsipipe.geometry import Array, Region
from wsipipe.pipeline.execution.shard import ShardTask
from wsipipe.pipeline.execution.shard_task import run_shard
from wsipipe.pipeline.planning.plan import Plan
from wsipipe.pipeline.planning.planner import make_planner
from wsipipe.pipeline.planning.slide_facts import inspect_slide
from wsipipe.pipeline.publishing.publish import write_results
from wsipipe.stages.classify import CLASS_MAP, CLASS_PROBABILITIES
from wsipipe.stages.stage import Stage
from wsipipe.store.arrays import (
    RESULT,
    ShardFile,
    array_path,
    create_array,
    open_array,
    read_region,
    write_shards,
)
from wsipipe.store.encoding import NOT_COMPUTED, PROBABILITY_MAX
from wsipipe.store.tables import write_reduced
from wsipipe.synth.slide import SyntheticSlide
from wsipipe.synth.writer import make_slide
from wsipipe.tiling.collect import collect
from wsipipe.training.sampling.targets import centre_map

MPP, SEED, MARGIN_PX = 0.25, 1, 64


def plan_of(slide: Path) -> Plan:
    """Return the plan of a slide with nuclei and tissue classes."""
    planner = make_planner("nuclei_and_tissue", [], None)
    (found,) = collect([slide])
    facts = inspect_slide(found, planner.workflow.tile.mpp, planner.lattice, "cpu").facts
    return Plan(found, facts, planner.workflow.in_precision("float32"), planner.cards)


def made_nuclei(truth: SyntheticSlide, core: Region, plan: Plan) -> dict[str, Array]:
    """Return nucleus and centre maps of a shard at 0.5 um/px from the truth."""
    offset = [round(value) for value in plan.facts.grid.offset_px0]
    step = round(plan.facts.grid.step_px0)
    around = core.grown(MARGIN_PX)
    fine = Region(offset[0] + around.y * step, offset[1] + around.x * step, *(s * step for s in around.shape))
    numbers, labels = np.unique(truth.nuclei(fine)[::step, ::step], return_inverse=True)
    labels = labels.reshape(around.shape).astype(np.int32)
    if numbers[0] != 0:
        labels += 1
    soft = ndimage.uniform_filter((labels > 0).astype(np.float32), 3)
    inside = core.relative_to(around).slices
    maps = {"nucleus": soft, "centre": centre_map(labels)}
    return {name: np.rint(PROBABILITY_MAX * values[inside]).astype(np.uint8) for name, values in maps.items()}


def made_classes(shape: tuple[int, int], in_tissue: Array, count: int) -> dict[str, Array]:
    """Return class probabilities and classes from smooth noise."""
    random = np.random.default_rng(SEED)
    fields = np.stack([ndimage.gaussian_filter(random.normal(size=shape), 6) for _ in range(count)])
    probabilities = np.exp(40 * fields)
    probabilities = np.rint(PROBABILITY_MAX * probabilities / probabilities.sum(axis=0)).astype(np.uint8)
    probabilities = np.where(in_tissue, probabilities, np.uint8(NOT_COMPUTED))
    classes = np.where(in_tissue, probabilities.argmax(axis=0), NOT_COMPUTED).astype(np.uint8)
    return {CLASS_PROBABILITIES: probabilities, CLASS_MAP: classes}


def write_maps(plan: Plan, stage: Stage, truth: SyntheticSlide, work: Path) -> None:
    """Write the made outputs of a network."""
    grid = plan.facts.grid
    whole = {}
    if stage.name == "classify":
        shape = grid.shape_at(stage.downsample)
        step = grid.step_px0 * stage.downsample
        y, x = (
            ((np.arange(side) + 0.5) * step + offset).astype(int)
            for side, offset in zip(shape, grid.offset_px0, strict=True)
        )
        coarse = truth.tissue(Region(0, 0, *(side // 32 + 1 for side in truth.shape)), 32)
        in_tissue = coarse[
            np.clip(y // 32, 0, len(coarse) - 1)[:, None], np.clip(x // 32, 0, len(coarse[0]) - 1)
        ]
        whole = made_classes(shape, in_tissue, len(plan.cards["classify"].outputs))
    for index in np.ndindex(*stage.grid_shape(grid)):
        core = stage.core(grid, index)
        found = {name: pixels[(..., *core.slices)] for name, pixels in whole.items()}
        if not found:
            made = made_nuclei(truth, core, plan)
            found = {write.name: made[write.name.split("/")[1]] for write in stage.writes}
        for name, pixels in found.items():
            write_shards(work, name, core, pixels, "full")


def run_stage(plan: Plan, stage: Stage, work: Path) -> list[ShardFile]:
    """Run all shards of a stage in this thread, and its reduction."""
    files = {}
    for index in np.ndindex(*stage.grid_shape(plan.facts.grid)):
        files[index] = run_shard(ShardTask(plan, work, stage.name, index)).files
    if stage.reduce:
        parts = {
            index: work / file.path
            for index, done in files.items()
            for file in done
            if file.path.startswith("parts/") and file.path.endswith(".npz")
        }
        write_reduced(work, stage.name, parts, stage.reduce)
    return [file for done in files.values() for file in done]


def make_arrays(plan: Plan, stage: Stage, work: Path) -> None:
    """Create the arrays of a stage that are missing."""
    for spec in plan.specs(stage):
        if not (work / array_path(spec.name) / "zarr.json").is_file():
            create_array(work, spec)


def prepare(folder: Path, side_px: int) -> tuple[Plan, Path]:
    """Return the plan, and a work directory with image, tissue and made maps."""
    slide = folder / f"synthetic_{side_px}.svs"
    if not slide.exists():
        make_slide(slide, side_px, seed=SEED, mpp=MPP, truth=False)
    plan = plan_of(slide)
    work = folder / f"work_{side_px}"
    if (work / "prepared").exists():
        return plan, work
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    truth = SyntheticSlide(SEED, side_px, MPP)
    for stage in plan.stages:
        make_arrays(plan, stage, work)
        if stage.network:
            write_maps(plan, stage, truth, work)
        elif stage.name not in after(plan):
            run_stage(plan, stage, work)
    (work / "prepared").touch()
    return plan, work


def after(plan: Plan) -> list[str]:
    """Return the names of the stages that need a network's maps."""
    nuclei = ("seeds", "grow", "nuclei", "table", "pyramid labels/nuclei", "pyramid labels/tissue_class")
    return [stage.name for stage in plan.stages if stage.name.startswith(nuclei)]


def user_seconds() -> float:
    """Return the CPU seconds of this process in user mode and in the kernel."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def measured(plan: Plan, work: Path, profiled: str) -> dict[str, float]:
    """Return CPU seconds by stage of one pass over all shards."""
    seconds: dict[str, float] = {}
    for name in [*after(plan), "finish"]:
        profile = cProfile.Profile()
        began = user_seconds()
        if profiled == name:
            profile.enable()
        if name == "finish":
            write_results(plan, work)
        else:
            run_stage(plan, plan.stage(name), work)
        profile.disable()
        key = "pyramid labels" if name.startswith("pyramid") else name
        seconds[key] = seconds.get(key, 0.0) + user_seconds() - began
        if profiled == name:
            pstats.Stats(profile).sort_stats("tottime").print_stats(35)
    return seconds


def digests(plan: Plan, work: Path) -> dict[str, str]:
    """Return digests of labels, table, GeoJSON and overview."""
    result = work / RESULT
    labels = open_array(work / array_path("labels/nuclei/0"))
    pixels = read_region(labels, Region(0, 0, *labels.shape), 0)
    table = pq.read_table(result / "nuclei.parquet")
    texts = {
        "labels": np.ascontiguousarray(pixels).tobytes(),
        "table": b"".join(repr(column.to_pylist()).encode() for column in table.columns),
        "geojson": sorted_features(gzip.decompress((result / "nuclei.geojson.gz").read_bytes())),
        "tissue_geojson": (result / "tissue_class.geojson").read_bytes(),
        "checks": (result / "checks.json").read_bytes(),
    }
    return {name: hashlib.sha256(text).hexdigest()[:12] for name, text in texts.items()}


def sorted_features(text: bytes) -> bytes:
    """Return the lines of a GeoJSON file in order of their text; each holds a feature."""
    return b"\n".join(sorted(line.removesuffix(b",") for line in text.splitlines()))


def one(asked: argparse.Namespace) -> dict[str, object]:
    """Prepare and measure with this checkout."""
    plan, work = prepare(asked.folder, asked.side_px)
    passes = [measured(plan, work, asked.profile) for _ in range(asked.repeats)]
    seconds = {stage: min(each[stage] for each in passes) for stage in passes[0]}
    nuclei = pq.read_metadata(work / RESULT / "nuclei.parquet").num_rows
    height, width = plan.facts.grid.shape
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {
        "nuclei": nuclei,
        "canvas_mpx": height * width / 1e6,
        "seconds": seconds,
        "peak_mb": peak_mb,
        "digests": digests(plan, work),
    }


def elsewhere(asked: argparse.Namespace, checkout: Path) -> dict[str, object]:
    """Measure with another checkout, in a process of its own."""
    out = asked.folder / "one.json"
    command = [sys.executable, str(Path(__file__).resolve()), str(asked.folder), "--json", str(out)]
    command += ["--side-px", str(asked.side_px), "--repeats", "1"]
    environment = os.environ | {"PYTHONPATH": str(checkout)}
    subprocess.run(command, check=True, env=environment, stdout=subprocess.DEVNULL)
    return json.loads(out.read_text())


def show(found: dict[str, object], other: dict[str, object] | None = None) -> None:
    """Print seconds and nuclei a minute of every stage."""
    print(f"{found['nuclei']:,} nuclei, canvas {found['canvas_mpx']:.1f} Mpx, peak {found['peak_mb']:.0f} MB")
    print(
        f"{'stage':20} {'CPU s':>8} {'nuclei a minute':>16}"
        + (f" {'other s':>8} {'ratio':>6}" if other else "")
    )
    rows = found["seconds"] | {"all": sum(found["seconds"].values())}
    beside = other["seconds"] | {"all": sum(other["seconds"].values())} if other else {}
    for stage, seconds in rows.items():
        line = f"{stage:20} {seconds:8.2f} {60 * found['nuclei'] / seconds:16,.0f}"
        print(line + (f" {beside[stage]:8.2f} {beside[stage] / seconds:6.2f}" if other else ""))
    print(found["digests"])
    if other:
        print(
            "same digests" if other["digests"] == found["digests"] else f"other digests: {other['digests']}"
        )


def least(measures: list[dict[str, object]]) -> dict[str, object]:
    """Return the last measurement with the least seconds of all."""
    stages = measures[-1]["seconds"]
    return measures[-1] | {
        "seconds": {name: min(each["seconds"][name] for each in measures) for name in stages}
    }


def main() -> None:
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--side-px", type=int, default=8192)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--profile", default="", help="stage to profile, or finish")
    parser.add_argument("--other", type=Path)
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    asked.folder.mkdir(parents=True, exist_ok=True)
    if asked.other:
        prepare(asked.folder, asked.side_px)
        here = Path(__file__).resolve().parents[1]
        both = [(elsewhere(asked, asked.other), elsewhere(asked, here)) for _ in range(asked.repeats)]
        show(least([new for _, new in both]), least([old for old, _ in both]))
        return
    found = one(asked)
    show(found)
    if asked.json:
        asked.json.write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
