"""Run one slide in forks of this process that die or whose disk fails at a chosen operation.

``lab.py SHIM SLIDE WORKFLOW FOLDER JOB...`` with the shim preloaded prints one line of JSON for each job.
The stages, the store and the runner are wsipipe's own; only the cluster is replaced, by this process.
"""

import ctypes
import errno
import functools
import hashlib
import json
import os
import shutil
import signal
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from wsipipe.common import atomic_files
from wsipipe.errors import WsipipeError
from wsipipe.models.predictor import load_predictor
from wsipipe.pipeline import stage_run
from wsipipe.pipeline.execution import shard_task
from wsipipe.pipeline.planning.plan import Plan
from wsipipe.pipeline.planning.slide_facts import inspect_slide
from wsipipe.pipeline.publishing import publish
from wsipipe.pipeline.slide_run import Device, run_slide
from wsipipe.stages.flow import workflow_cards
from wsipipe.stages.grid import lattice_px
from wsipipe.stages.workflow import load_workflow
from wsipipe.store import arrays, ledger, manifest
from wsipipe.tiling.collect import collect

OFF, KILL_BEFORE, KILL_AFTER, FAIL_ONCE, FAIL_FROM, SHORT, STOP = range(7)


class Here:
    """A task pool that runs everything in this process."""

    def call(self, name: str, function: Callable[..., Any], *arguments: Any) -> Any:
        return function(*arguments, 0)

    def each(self, source: Callable[[tuple[bool, ...]], Any]) -> Iterator[Any]:
        while (call := source((True, False))) is not None:
            yield call.function(*call.arguments, 0)


@dataclass
class Lab:
    """A plan, a work folder, and the shim that injects faults."""

    shim: ctypes.CDLL
    plan: Plan
    folder: Path
    break_law: Callable[[], None] = lambda: None

    def fork(
        self,
        out: Path,
        how: int = OFF,
        n: int = -1,
        error: int = 0,
        at_stop: Callable[[], None] = lambda: None,
    ) -> dict[str, Any]:
        """Run the slide in a child process; return how it ended."""
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(reading)
            self._child(out, how, n, error, writing)
        os.close(writing)
        _, status = os.waitpid(child, os.WUNTRACED)
        while os.WIFSTOPPED(status):
            at_stop()
            os.kill(child, signal.SIGCONT)
            _, status = os.waitpid(child, os.WUNTRACED)
        with os.fdopen(reading) as pipe:
            said = pipe.read()
        if os.WIFSIGNALED(status):
            return {"signal": os.WTERMSIG(status)}
        return json.loads(said) if said else {"code": "NOTHING_SAID"}

    def _child(self, out: Path, how: int, n: int, error: int, writing: int) -> None:
        said: dict[str, Any]
        try:
            self.break_law()
            self.shim.lab_arm(f"{out}/".encode(), how, ctypes.c_long(n), error)
            run_slide(Here(), self.plan, out, Device())
            said = {"code": "OK"}
        except WsipipeError as failure:
            said = {"code": failure.code, "message": str(failure)}
        except BaseException:
            said = {"code": "CRASH", "message": traceback.format_exc()}
        counted = {"syncs": self.shim.lab_syncs(), "writes": self.shim.lab_writes()}
        self.shim.lab_arm(b"", OFF, ctypes.c_long(-1), 0)
        os.write(writing, json.dumps(said | counted).encode())
        os._exit(0)

    def state(self, out: Path) -> str:
        """``absent``, ``damaged``, or the hash of the published slide's manifest."""
        published = out / self.plan.slide.slide_id
        if not published.exists():
            return "absent"
        try:
            if manifest.damaged(published) or list(published.rglob("*.tmp")):
                return "damaged"
        except WsipipeError:
            return "damaged"
        return hashlib.sha256((published / manifest.MANIFEST).read_bytes()).hexdigest()

    def leftovers(self, out: Path) -> list[str]:
        """Files in the work folder, except locks."""
        return sorted(path.name for path in (out / ".work").glob("*") if path.suffix != ".lock")

    def fresh(self, name: str) -> Path:
        out = self.folder / name
        shutil.rmtree(out, ignore_errors=True)
        out.mkdir(parents=True)
        return out


Tree = dict[str, tuple[Path, bool]]
"""File (or folder) by relative path, and whether only half of it exists."""


@dataclass
class Disk:
    """The state of the disk now, and after a power failure, which keeps only what was synced.

    Harsher than most disks: unsynced bytes are cut to half, unsynced names are gone.
    """

    out: Path
    synced: dict[int, Any] = field(default_factory=dict)
    digests: dict[tuple[int, int, int], str] = field(default_factory=dict)

    def sync(self, path: Path) -> None:
        found = path.stat()
        entries = {(each.name, each.inode()) for each in os.scandir(path)} if path.is_dir() else None
        self.synced[found.st_ino] = entries or (found.st_size, found.st_mtime_ns)

    def tree(self, after_cut: bool) -> Tree:
        found: Tree = {}
        self._add(self.out, "", after_cut, found)
        return found

    def _add(self, folder: Path, prefix: str, after_cut: bool, found: Tree) -> None:
        kept = self.synced.get(folder.stat().st_ino, ())
        for each in sorted(os.scandir(folder), key=lambda entry: entry.name):
            if after_cut and (each.name, each.inode()) not in kept:
                continue
            path = folder / each.name
            if each.is_dir():
                found[f"{prefix}{each.name}/"] = (path, False)
                self._add(path, f"{prefix}{each.name}/", after_cut, found)
            else:
                now = each.stat()
                whole = not after_cut or self.synced.get(now.st_ino) == (now.st_size, now.st_mtime_ns)
                found[f"{prefix}{each.name}"] = (path, not whole)

    def hash(self, tree: Tree) -> str:
        """Hash of all names and bytes."""
        digest = hashlib.sha256()
        for name, (path, half) in tree.items():
            digest.update(f"{name}\0{half}\0{self._digest(path)}\n".encode())
        return digest.hexdigest()

    def _digest(self, path: Path) -> str:
        if path.is_dir():
            return ""
        found = path.stat()
        key = (found.st_ino, found.st_size, found.st_mtime_ns)
        if key not in self.digests:
            self.digests[key] = hashlib.sha256(path.read_bytes()).hexdigest()
        return self.digests[key]


def keep(tree: Tree, copy: Path) -> None:
    """Copy a tree; files that are not written again are linked."""
    copy.mkdir()
    for name, (path, half) in tree.items():
        target = copy / name
        if name.endswith("/"):
            target.mkdir()
        elif half or path.suffix != "":
            shutil.copy(path, target)
            os.truncate(target, target.stat().st_size // (2 if half else 1))
        else:
            os.link(path, target)


def crashes(lab: Lab, share: "Share") -> dict[str, Any]:
    """States of the disk before and after every rename, fsync, unlink and mkdir, and at the end, after a kill
    there and after a power cut there; each state that differs is resumed. ``every`` leaves out some points.
    """
    lab.shim.lab_synced.restype = ctypes.c_void_p
    synced = ctypes.cast(lab.shim.lab_synced(), ctypes.c_char_p)
    wanted = lab.state(lab.folder / "warm")
    out, states = lab.fresh("traced"), lab.fresh("states")
    found: dict[str, str] = {}
    points = 0
    disk = Disk(out)
    disk.sync(out)

    def look() -> None:
        for kind in ("kill", "power"):
            tree = disk.tree(after_cut=kind == "power")
            name = found.setdefault(disk.hash(tree), f"{points}-{kind}")
            if name == f"{points}-{kind}":
                keep(tree, states / name)

    def stopped() -> None:
        nonlocal points
        if synced.value:
            disk.sync(Path(os.fsdecode(synced.value)))
            ctypes.memset(synced, 0, 1)
        if points % share.every == 0:
            look()
        points += 1

    ended = lab.fork(out, STOP, at_stop=stopped)
    look()
    faults = [] if ended.get("code") == "OK" else [f"the traced run: {ended}"]
    # From the end, where a slide is published: a broken rule shows there first.
    mine = list(found.values())[::-1][share.part :: share.parts]
    tried = 0
    for name in mine:
        faults += resumed(lab, states / name, name, wanted)
        tried += 1
        if faults and share.law:
            break
    return {"points": points, "states": len(found), "tried": tried, "manifest": wanted, "faults": faults}


def resumed(lab: Lab, out: Path, name: str, wanted: str) -> list[str]:
    """List the faults of a disk state, before and after the run is resumed from it."""
    faults = []
    work = lab.folder / "resumed"
    shutil.rmtree(work, ignore_errors=True)
    shutil.copytree(out, work)
    if lab.state(work) not in ("absent", wanted):
        faults.append(f"{name}: half-published: {lab.state(work)}")
    again = lab.fork(work)
    if again.get("code") != "OK" or lab.state(work) != wanted or lab.leftovers(work):
        faults.append(f"{name}: {again} {lab.state(work)} {lab.leftovers(work)}")
    return faults


def kills(lab: Lab, share: "Share") -> dict[str, Any]:
    """Kill the process (SIGKILL) before and after renames, fsyncs, unlinks and mkdirs, and resume."""
    points = 2 * lab.fork(lab.fresh("clean"))["syncs"]
    wanted = lab.state(lab.folder / "warm")
    faults: list[str] = []
    mine = share.of(list(range(points)))
    for point in mine:
        out = lab.fresh("killed")
        ended = lab.fork(out, KILL_AFTER if point % 2 else KILL_BEFORE, point // 2)
        if ended.get("signal") != signal.SIGKILL:
            faults.append(f"{point}: not killed: {ended}")
        faults += resumed(lab, out, str(point), wanted)
    return {"points": points, "tried": len(mine), "manifest": wanted, "faults": faults}


def disk(lab: Lab, share: "Share") -> dict[str, Any]:
    """Fail writes, truncations and fsyncs: with EIO, with a full disk, or with a short write."""
    count = lab.fork(lab.fresh("clean"))["writes"]
    wanted = lab.state(lab.folder / "warm")
    how = ((FAIL_ONCE, errno.EIO, "STORAGE_IO"), (FAIL_FROM, errno.ENOSPC, "STORAGE_FULL"), (SHORT, 0, "OK"))
    faults: list[str] = []
    codes: Counter[str] = Counter()
    mine = share.of(list(range(3 * count)))
    for point in mine:
        mode, number, expected = how[point % 3]
        out = lab.fresh("failed")
        ended = lab.fork(out, mode, point // 3, number)
        codes[ended.get("code", "signal")] += 1
        if ended.get("code") not in (expected, "OK"):
            faults.append(f"{point}: {expected} expected, {ended}")
        faults += resumed(lab, out, str(point), wanted)
    return {"points": 3 * count, "tried": len(mine), "manifest": wanted, "codes": codes, "faults": faults}


def without_fsync() -> None:
    """Sync folders but no files."""
    for module in (atomic_files, publish, stage_run, arrays, shard_task):
        module.sync_file = lambda path: None


def without_digest() -> None:
    """Trust the ledger without checking files."""
    assert callable(ledger.Ledger._is_intact)
    ledger.Ledger._is_intact = lambda self, file: True


def without_rename() -> None:
    """Publish a result file by file."""
    publish.move = shutil.copytree


LAWS = {"fsync": without_fsync, "digest": without_digest, "rename": without_rename}
VERBS = {"crashes": crashes, "kills": kills, "disk": disk}


@dataclass(frozen=True)
class Share:
    """A job ``verb:part/parts:every:law``: the action, its points, and the rule to break."""

    verb: str
    part: int
    parts: int
    every: int
    law: str

    @classmethod
    def parse(cls, text: str) -> Self:
        verb, share, every, law = (text.split(":") + ["0/1", "1", ""][text.count(":") :])[:4]
        part, parts = share.split("/")
        return cls(verb, int(part), int(parts), int(every), law)

    def of(self, points: list[Any]) -> list[Any]:
        return points[self.part * self.every :: self.parts * self.every]


def open_lab(shim: str, slide: str, workflow: str, folder: str) -> Lab:
    """Import, plan and run everything once, so that the forks are fast."""
    load = functools.cache(lambda weights, _, *how: load_predictor(weights, *how))
    # All forks share a network that is loaded once.
    shard_task._load_model = lambda *key: load(*key[:-1])
    chosen = load_workflow(workflow)
    cards = workflow_cards(chosen)
    facts = inspect_slide(
        collect([slide])[0], chosen.tile.mpp, lattice_px(chosen.tile.mpp, cards), "cpu"
    ).facts
    lab = Lab(ctypes.CDLL(shim), Plan(collect([slide])[0], facts, chosen, cards), Path(folder))
    run_slide(Here(), lab.plan, lab.fresh("warm"), Device())
    return lab


if __name__ == "__main__":
    lab = open_lab(*sys.argv[1:5])
    for text in sys.argv[5:]:
        share = Share.parse(text)
        lab.break_law = LAWS.get(share.law, lambda: None)
        began = time.monotonic()
        said = VERBS[share.verb](lab, share)
        print(json.dumps({"job": text, **said, "seconds": round(time.monotonic() - began)}), flush=True)
