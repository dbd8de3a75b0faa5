"""Commands and workers load only the libraries that they need."""

import json
import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest

from wsipipe.common.atomic_files import write_json
from wsipipe.pipeline.execution.shard import ShardTask
from wsipipe.pipeline.planning.plan import Plan
from wsipipe.pipeline.planning.planner import make_planner
from wsipipe.pipeline.planning.slide_facts import inspect_slide
from wsipipe.pipeline.publishing.receipt import write_receipt
from wsipipe.stages.stage import ShardInput
from wsipipe.store import manifest
from wsipipe.store.arrays import create_array, write_shards
from wsipipe.tiling.canvas import Canvas
from wsipipe.tiling.collect import collect
from wsipipe.tiling.slide import open_slide

HEAVY = {
    *("torch", "dask", "distributed", "zarr", "scipy", "skimage", "matplotlib", "pyarrow", "pandas"),
    *("geopandas", "shapely", "napari", "PIL", "openslide"),
}

_RUN_COMMANDS = """
import contextlib, io, json, sys
from wsipipe.cli import main
found = []
for command in json.loads(sys.argv[1]):
    sys.argv[1:] = command
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        try:
            main()
        except SystemExit as end:
            code = end.code
    found.append([code, sorted({name.partition(".")[0] for name in sys.modules})])
print(json.dumps(found))
"""

_RUN_SHARDS = """
import json, pickle, sys
from pathlib import Path
function, *tasks = pickle.loads(Path(sys.argv[1]).read_bytes())
found = []
for task in tasks:
    result = function(task, 0)
    found.append([len(result.files), sorted({name.partition(".")[0] for name in sys.modules})])
print(json.dumps(found))
"""


def _output(code: str, argument: str) -> list:
    done = subprocess.run(
        [sys.executable, "-c", code, argument], capture_output=True, text=True, check=True, env=os.environ
    )
    return json.loads(done.stdout)


def after(*commands: list[str]) -> list[tuple[int, set[str]]]:
    """Exit code of each command, and the heavy libraries that are loaded after it."""
    return [(code, HEAVY & {*names}) for code, names in _output(_RUN_COMMANDS, json.dumps(commands))]


@pytest.fixture
def out(tmp_path: Path) -> Path:
    folder = tmp_path / "out"
    entry = {"slide_id": "a", "path": "/a.svs", "status": "failed", "code": "MPP", "message": "no um/px"}
    write_json(folder / "run.json", {"slides": [entry]})
    return folder


def test_light_commands_load_nothing_heavy(out: Path) -> None:
    found = after(
        ["--help"],
        ["run", "--help"],
        ["version"],
        ["status", str(out)],
        ["status", "--json", str(out)],
        ["status", str(out / "nowhere")],
        ["run", "--nonsense"],
        ["run", "nuclei", "/nowhere.svs", "--out", str(out)],
        ["run", "nuclei", str(out), "--out", str(out), "--set", "segment.nonsense=1"],
        ["clean", str(out)],
    )
    assert [code for code, _ in found] == [0, 0, 0, 2, 2, 64, 64, 64, 64, 0]
    assert [loaded for _, loaded in found] == [set()] * len(found)


def finished_result(slide: Path, out: Path) -> Plan:
    """Publish a result without arrays for ``run tiling_only``, with its receipt."""
    (given,), planner = collect([slide]), make_planner("tiling_only", [], None)
    found = inspect_slide(given, planner.workflow.tile.mpp, planner.lattice, "cpu")
    plan, _ = planner.plan_of(given, found)
    write_json(out / given.slide_id / manifest.MANIFEST, manifest.build(plan.id, []))
    write_receipt(out, plan, (), None)
    return plan


def test_a_run_with_nothing_to_do_loads_nothing_heavy(small_slide: Path, tmp_path: Path) -> None:
    finished_result(small_slide, tmp_path / "out")
    command = ["run", "tiling_only", str(small_slide), "--out", str(tmp_path / "out"), "--device", "cpu"]
    # The sister: a command that opens a slide loads more.
    assert after(command, ["info", str(small_slide)]) == [(0, set()), (0, {"openslide", "PIL"})]


def _work_with_tissue(plan: Plan, work: Path) -> None:
    """Make the arrays of a slide, and compute its tissue."""
    for stage in plan.stages:
        for spec in plan.specs(stage):
            create_array(work, spec)
    stage, grid = plan.stage("tissue"), plan.facts.grid
    core = stage.core(grid, (0, 0))
    with open_slide(plan.slide.path) as slide:
        overview, scanned = Canvas(slide, grid.mpp, plan.facts.lattice_px).read_coarse(stage.downsample)
    patches = {"overview": overview, "scanned": scanned}

    def read(name: str, around: object = None) -> object:
        return type("Patch", (), {"pixels": patches[name]})

    for name, pixels in stage.kernel(ShardInput((0, 0), core, read)).arrays.items():
        write_shards(work, name, core, pixels)


def test_a_worker_that_tiles_loads_only_what_tiles_need(small_slide: Path, tmp_path: Path) -> None:
    from wsipipe.pipeline.execution.shard_task import run_shard

    plan = finished_result(small_slide, tmp_path / "out")
    _work_with_tissue(plan, tmp_path)
    tasks = [ShardTask(plan, tmp_path, stage, (0, 0)) for stage in ("tile", "tissue")]
    path = tmp_path / "tasks.pickle"
    path.write_bytes(pickle.dumps((run_shard, *tasks)))
    tile, tissue = ((files, HEAVY & {*names}) for files, names in _output(_RUN_SHARDS, str(path)))
    assert tile == (1, {"zarr", "openslide", "PIL"})
    # The sister: the check sees the library that another stage needs.
    assert tissue == (1, {"zarr", "openslide", "PIL", "scipy"})
