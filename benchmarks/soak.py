"""Long trials of the promises of docs/robustness.md on a real cluster; each prints and writes JSON.

python benchmarks/soak.py kills --times 500         whole process group killed at random moments
python benchmarks/soak.py workers --times 200 --size 20480     single workers killed, one stopped for a minute
python benchmarks/soak.py crashes                   every rename, fsync, unlink, mkdir; kills and power cuts
python benchmarks/soak.py disk                      every write: EIO, full, short
python benchmarks/soak.py corrupt --times 200       so many of each of five kinds of harm a slide
python benchmarks/soak.py determinism               workers x patches x order x killed or not
python benchmarks/soak.py memory --sizes 4096 8192 16384 [--budget 2GB]
"""

import argparse
import importlib.util
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import tifffile

from wsipipe.errors import WsipipeError
from wsipipe.pipeline.maintenance import finished_slides, status
from wsipipe.pipeline.reporting.run_record import read_record
from wsipipe.store import manifest
from wsipipe.synth.writer import make_slide

TESTS = Path(__file__).resolve().parents[1] / "tests"
COMMAND = [sys.executable, "-c", "from wsipipe.cli import main; main()", "run"]
SMALL = ["--set", "tile.shard_px=256", "--set", "tile.chunk_px=128"]
Answer = dict[str, Any]


def start(workflow: str, slides: list[Path], out: Path, *options: str) -> subprocess.Popen[bytes]:
    """A run in a process group of its own."""
    command = [*COMMAND, workflow, *map(str, slides), "--out", str(out), "--device", "cpu", *options]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    return subprocess.Popen(command, start_new_session=True, **quiet)


def hashes(out: Path) -> dict[str, str]:
    """Digest of the manifest of every finished slide; all files are as it says."""
    found = {}
    for folder in finished_slides(out):
        assert manifest.damaged(folder) == [], folder
        found[folder.name] = manifest.read(folder)["digest"]
    return found


def made_slides(folder: Path, count: int, size_px: int) -> list[Path]:
    """Synthetic slides."""
    paths = [folder / f"slide-{i}.svs" for i in range(count)]
    for i, path in enumerate(paths):
        make_slide(path, size_px, seed=i, truth=False)
    return paths


def kills(folder: Path, options: argparse.Namespace) -> Answer:
    """Kills the whole process group of a run of three slides at random moments, over and over."""
    slides = made_slides(folder, 3, options.size)
    began = time.monotonic()
    assert start(options.workflow, slides, folder / "clean", *SMALL).wait() == 0
    duration, wanted = time.monotonic() - began, hashes(folder / "clean")
    draw, done = random.Random(options.seed), Counter[str]()
    while done["kills"] < options.times:
        shutil.rmtree(folder / "out", ignore_errors=True)
        while True:
            run = start(options.workflow, slides, folder / "out", *SMALL)
            try:
                code = run.wait(timeout=draw.uniform(0.1, duration))
            except subprocess.TimeoutExpired:
                os.killpg(run.pid, signal.SIGKILL)
                run.wait()
                done["kills"] += 1
                # Workers end with their driver; a new run must not need them to.
                for slide in (folder / "out").glob("*/slide.zarr"):
                    done["half-published"] += bool(manifest.damaged(slide.parent))
                continue
            done["runs"] += 1
            done["other results"] += code != 0 or hashes(folder / "out") != wanted
            break
    return {"seconds_of_a_run": round(duration, 1), **done}


def workers(folder: Path, options: argparse.Namespace) -> Answer:
    """Kills a worker of a long run each time so many shards are done; stops one for a minute."""
    slides = made_slides(folder, 1, options.size)
    assert start(options.workflow, slides, folder / "clean", *SMALL).wait() == 0
    shards = sum(read_record(folder / "clean")["slides"][0]["plan"]["shards"].values())
    done, draw = Counter[str](), random.Random(options.seed)
    run = start(options.workflow, slides, folder / "out", *SMALL, "--workers", "2")
    while run.poll() is None and done["kills"] < options.times:
        time.sleep(draw.uniform(0, 0.3))
        if _shards_done(folder / "out") < (done["kills"] + draw.random()) * shards / options.times:
            continue
        for victim in draw.sample(found := _workers_of(run.pid), min(1, len(found))):
            with suppress(psutil.NoSuchProcess):
                if done["kills"] == options.times // 2 and not done["stops"]:
                    victim.send_signal(signal.SIGSTOP)
                    done["stops"] += 1
                    time.sleep(60)
                    victim.send_signal(signal.SIGCONT)
                else:
                    victim.kill()
                    done["kills"] += 1
    code = run.wait()
    same = code == 0 and hashes(folder / "out") == hashes(folder / "clean")
    slide = read_record(folder / "out")["slides"][0]
    told = {key: slide[key] for key in ("code", "message") if slide.get(key)}
    return {**done, "shards": shards, "exit": code, "same result": same, **told}


def _shards_done(out: Path) -> int:
    """Of the slide in work."""
    with suppress(LookupError, WsipipeError):
        return int(status(out)["slides"][0]["shards_done"])
    return 0


def _workers_of(pid: int) -> list[psutil.Process]:
    """Worker processes of a run; those that are just dying cannot be asked."""
    found = []
    with suppress(psutil.NoSuchProcess):
        for child in psutil.Process(pid).children():
            with suppress(psutil.NoSuchProcess):
                if "spawn_main" in str(child.cmdline()):
                    found.append(child)
    return found


def lab(verb: str, folder: Path, options: argparse.Namespace) -> Answer:
    """All points of ``tests/faultlab``, over so many processes."""
    shim, slide, workflow = folder / "shim.so", folder / "slide.svs", folder / "workflow.yaml"
    subprocess.run(
        ["cc", "-shared", "-fPIC", "-O1", "-o", shim, TESTS / "faultlab/shim.c", "-ldl"], check=True
    )
    make_slide(slide, (512, 640), seed=3, truth=False)
    sections = "name: lab\ntile: {shard_px: 256, chunk_px: 128}\nsegment: {patch_px: 128}\ninstances: {}\n"
    workflow.write_text(sections + "classify: {shard_cells: 8}\n")

    def part(i: int) -> Answer:
        place = folder / f"part-{i}"
        job = f"{verb}:{i}/{options.jobs}:{options.every}"
        command = [
            sys.executable,
            "-W",
            "ignore",
            TESTS / "faultlab/lab.py",
            shim,
            slide,
            workflow,
            place,
            job,
        ]
        done = subprocess.run(
            command, env=os.environ | {"LD_PRELOAD": str(shim)}, capture_output=True, text=True, check=True
        )
        return json.loads(done.stdout.splitlines()[-1])

    with ThreadPoolExecutor(options.jobs) as pool:
        parts = list(pool.map(part, range(options.jobs)))
    return {
        "points": parts[0]["points"],
        "tried": sum(each["tried"] for each in parts),
        "manifests": len({each["manifest"] for each in parts}),
        "faults": [fault for each in parts for fault in each["faults"]],
    }


def corrupt(folder: Path, options: argparse.Namespace) -> Answer:
    """Runs harmed copies of a slide beside whole ones; tells what became of them."""
    spec = importlib.util.spec_from_file_location("harm", TESTS / "integration/test_corrupt_slides.py")
    assert spec is not None
    assert spec.loader is not None
    harm = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(harm)
    source = options.slide or made_slides(folder, 1, 1024)[0]
    data = source.read_bytes()
    with tifffile.TiffFile(source) as tiff:
        pages = [page for page in tiff.pages if page.is_tiled]
        tiles = [t for page in pages for t in zip(page.dataoffsets, page.databytecounts, strict=True)]
        heads = [page.offset for page in tiff.pages]
    slides = folder / "slides"
    slides.mkdir()
    for name, harmed in harm.corruptions(data, tiles, heads, options.times):
        (slides / f"{name}{source.suffix}").write_bytes(harmed)
    for name in ("a-good", "z-good"):
        (slides / f"{name}{source.suffix}").write_bytes(data)
    code = start("tiling_only", [slides], folder / "out", "--set", "tile.mpp=1", *SMALL).wait()
    record = read_record(folder / "out")["slides"]
    good = [each["slide_id"] for each in record if "-good-" in each["slide_id"]]
    pixels = {name: manifest.read(folder / "out" / name)["pixels"] for name in good}
    outcomes = Counter(_outcome(each, folder / "out", pixels[good[0]]) for each in record)
    return {
        "slides": len(record),
        "exit": code,
        "outcomes": outcomes,
        "neighbours identical": len({str(each) for each in pixels.values()}) == 1,
    }


def _outcome(slide: Answer, out: Path, wanted: Answer) -> str:
    if slide["status"] != "done":
        return slide["code"] or slide["status"]
    return "same" if manifest.read(out / slide["slide_id"])["pixels"] == wanted else "other pixels"


def determinism(folder: Path, options: argparse.Namespace) -> Answer:
    """Workers x patches x killed or not; the order of shards is varied in the tests."""
    slides = made_slides(folder, 1, options.size)
    found = Counter[str]()
    for count in ("1", "2"):
        for patch in ("128", "512"):
            for killed in (False, True):
                out = folder / f"{count}-{patch}-{killed}"
                arguments = [*SMALL, "--workers", count, "--set", f"segment.patch_px={patch}"]
                if killed:
                    run = start("nuclei_and_tissue", slides, out, *arguments)
                    time.sleep(15)
                    os.killpg(run.pid, signal.SIGKILL)
                    run.wait()
                assert start("nuclei_and_tissue", slides, out, *arguments).wait() == 0
                found[str(hashes(out))] += 1
    return {"runs": sum(found.values()), "different manifests": len(found)}


def memory(folder: Path, options: argparse.Namespace) -> Answer:
    """Peak resident memory of the largest worker and of the driver, seen from outside, by size of slide."""
    budget = ["--memory-budget", options.budget] if options.budget else ["--set", "tile.shard_px=1024"]
    peaks = {}
    for size in options.sizes:
        path = folder / f"{size}.svs"
        make_slide(path, size, seed=1, truth=False)
        run = start(options.workflow, [path], folder / str(size), *budget)
        largest, driver = 0.0, 0.0
        while run.poll() is None:
            driver = max(driver, _peak_mb(run.pid))
            try:
                children = psutil.Process(run.pid).children()
            except psutil.NoSuchProcess:
                break
            largest = max([largest, *(_peak_mb(child.pid) for child in children)])
            time.sleep(0.5)
        peaks[size] = {"exit": run.wait(), "worker_mb": round(largest), "driver_mb": round(driver)}
        path.unlink()
        shutil.rmtree(folder / str(size), ignore_errors=True)
    first, last = peaks[options.sizes[0]], peaks[options.sizes[-1]]
    return {"peaks": peaks, "growth": round(last["worker_mb"] / first["worker_mb"] - 1, 3)}


def _peak_mb(pid: int) -> float:
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0.0
    found = [line.split()[1] for line in status.splitlines() if line.startswith("VmHWM")]
    return int(found[0]) / 1024 if found else 0.0


def main() -> None:
    """Parses, tries, writes."""
    verbs = {
        "kills": kills,
        "workers": workers,
        "crashes": lambda folder, options: lab("crashes", folder, options),
        "disk": lambda folder, options: lab("disk", folder, options),
        "corrupt": corrupt,
        "determinism": determinism,
        "memory": memory,
    }
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("verb", choices=verbs)
    parser.add_argument("--times", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--size", type=int, default=1024, help="side of synthetic slides, px")
    parser.add_argument("--sizes", type=int, nargs="+", default=[4096, 8192, 16384])
    parser.add_argument("--workflow", default="tiling_only")
    parser.add_argument("--budget")
    parser.add_argument("--slide", type=Path)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--every", type=int, default=1)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="soak-") as folder:
        answer = verbs[options.verb](Path(folder), options)
    answer = {"verb": options.verb, **answer, "seconds": round(time.monotonic() - began)}
    print(json.dumps(answer, indent=1))
    if options.json:
        options.json.write_text(json.dumps(answer, indent=1) + "\n")


if __name__ == "__main__":
    main()
