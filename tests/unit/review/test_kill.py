"""After kill -9 at most the edit in progress is lost, and the journal opens again.

``WSIPIPE_KILLS`` is the number of kills; the full soak is 20.
"""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from wsipipe.geometry import Region
from wsipipe.review import Session
from wsipipe.review.journal.journal_file import read_journal
from wsipipe.review.reviewed_store import reviewed_levels, write_reviewed_labels
from wsipipe.review.sample import SIDE_PX
from wsipipe.store.result import Result

KILLS = int(os.environ.get("WSIPIPE_KILLS", "1"))
ACTS = 200
WORKER = """
import sys
from pathlib import Path
import numpy as np
sys.path.insert(0, sys.argv[3])
from conftest import random_edit
from wsipipe.review import Session
from wsipipe.review.reviewed_store import write_reviewed_labels
rng = np.random.default_rng(int(sys.argv[2]))
with Session.open(sys.argv[1], "ann") as session:
    print("ready", flush=True)
    derived = 0
    while session.history.entry_count < 200:
        before = session.history.entry_count
        random_edit(session, rng)
        if session.history.entry_count > before:
            print(session.history.entry_count, flush=True)
        if session.history.entry_count - derived >= 40:
            write_reviewed_labels(session)
            derived = session.history.entry_count
print("all", flush=True)
"""


@pytest.mark.parametrize("seed", range(KILLS))
@pytest.mark.filterwarnings("ignore:.*the last line was torn")
def test_a_kill_loses_at_most_the_edit_in_flight(slide: Result, seed: int) -> None:
    here = Path(__file__).parent
    command = [sys.executable, "-c", WORKER, str(slide.folder), str(seed), str(here)]
    worker = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert worker.stdout is not None
    assert worker.stdout.readline() == "ready\n"
    stop_after = random.Random(seed).randrange(ACTS)
    last = "0"
    for _ in range(stop_after):
        last = worker.stdout.readline()
    time.sleep(random.Random(seed).random() * 0.01)
    os.kill(worker.pid, signal.SIGKILL)
    rest = worker.communicate()[0].split()
    lines = [int(line) for line in rest if line.isdigit()] or [int(last)]
    with Session.open(slide.folder, "ann") as session:
        assert lines[-1] <= session.history.entry_count <= lines[-1] + 1
        whole = Region(0, 0, SIDE_PX, SIDE_PX)
        write_reviewed_labels(session)
        np.testing.assert_array_equal(reviewed_levels(session, "nuclei")[0][...], session.labels(whole))
        session.comment(1, 1, "after the kill")
    assert read_journal(slide.folder / "reviews" / "ann.journal").torn_bytes == 0
    assert slide.damaged() == []
