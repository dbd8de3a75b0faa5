"""P1 and P2: after a kill, power failure or disk error at any point, a rerun gives the same store.

``tests/faultlab`` runs all stages of a small slide in one process under a shim between it and libc.
"""

import json
import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import yaml

from wsipipe.stages.workflow import Workflow
from wsipipe.synth.writer import make_slide

LAB = Path(__file__).parents[1] / "faultlab"
pytestmark = pytest.mark.timeout(1200)
Jobs = dict[str, dict[str, Any]]
LAWS = ("crashes:0/1:37", "kills:0/1:200", "disk:0/1:197")
BROKEN = ("crashes:0/1:23:rename", "crashes:0/1:23:fsync", "crashes:0/1:13:digest")
# Of about the same duration. A process has many jobs, since its start takes as long as ten crash points.
SHARES = (LAWS[:2], (*LAWS[2:], *BROKEN))


@pytest.fixture(scope="module")
def jobs(tiny_workflow: Workflow, tmp_path_factory: pytest.TempPathFactory) -> Jobs:
    """Results of all jobs of the fault lab, which run in two processes."""
    if shutil.which("cc") is None:
        pytest.skip("LOUD SKIP: there is no C compiler (cc); kills at crash points are NOT tested")
    folder = tmp_path_factory.mktemp("lab")
    shim = folder / "shim.so"
    subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", shim, LAB / "shim.c", "-ldl"], check=True)
    make_slide(folder / "slide.svs", (512, 640), seed=3)
    workflow = folder / "workflow.yaml"
    workflow.write_text(yaml.safe_dump(tiny_workflow.model_dump(mode="json", exclude_none=True)))

    def run(*names: str) -> list[dict[str, Any]]:
        place = folder / names[0].replace(":", "-").replace("/", "-")
        arguments = [
            sys.executable,
            "-W",
            "ignore",
            LAB / "lab.py",
            shim,
            folder / "slide.svs",
            workflow,
            place,
        ]
        environment = os.environ | {"LD_PRELOAD": str(shim), "OMP_NUM_THREADS": "1"}
        done = subprocess.run([*arguments, *names], env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return [json.loads(line) for line in done.stdout.splitlines()]

    with ThreadPoolExecutor(len(SHARES)) as processes:
        shares = processes.map(lambda names: run(*names), SHARES)
        return {job["job"]: job for share in shares for job in share}


def test_kills_power_cuts_and_bad_disks_end_in_one_manifest(jobs: Jobs) -> None:
    """A sample of the points; ``benchmarks/soak.py crashes`` tries all of them."""
    found = [jobs[name] for name in LAWS]
    faults = [str(fault)[:600] for job in found for fault in job["faults"]]
    assert not faults, "\n".join(faults[:5])
    assert len({job["manifest"] for job in found}) == 1
    assert all(job["points"] > 0 for job in found)
    assert all(job["tried"] >= 5 for job in found)
    codes = found[-1]["codes"]
    assert {"STORAGE_IO", "STORAGE_FULL", "OK"} <= set(codes), codes


def test_sister_every_broken_law_is_found(jobs: Jobs) -> None:
    broken = [jobs[name] for name in BROKEN]
    assert [bool(job["faults"]) for job in broken] == [True, True, True], broken
