"""OUT is for one whole run, or for the parts of one batch."""

from contextlib import AbstractContextManager, ExitStack
from pathlib import Path

import pytest

from wsipipe.errors import LockedError
from wsipipe.pipeline.parts import Part
from wsipipe.pipeline.run_lock import active_parts, lock_run, whole_run


def refused(lock: AbstractContextManager[Path]) -> str:
    """Message of the refusal."""
    with pytest.raises(LockedError) as error:
        lock.__enter__()
    return str(error.value)


def test_parts_of_one_batch_share_out(tmp_path: Path) -> None:
    with ExitStack() as locks:
        markers = {locks.enter_context(lock_run(tmp_path, Part(number, 2))) for number in (1, 2)}
        assert {path.name for path in markers} == {"started-1-of-2", "started-2-of-2"}
        assert list(active_parts(tmp_path)) == [Part(1, 2), Part(2, 2)]
        assert active_parts(tmp_path)[Part(1, 2)].startswith("process ")
        assert whole_run(tmp_path) is None
    assert active_parts(tmp_path) == {}


def test_nothing_else_runs_beside_a_part(tmp_path: Path) -> None:
    with lock_run(tmp_path, Part(1, 2)):
        assert refused(lock_run(tmp_path, Part(1, 2))).startswith(
            f"part 1/2 in {tmp_path} is in use by process"
        )
        assert refused(lock_run(tmp_path, None)).startswith(f"{tmp_path} is in use by one or more processes")
        other = refused(lock_run(tmp_path, Part(1, 3)))
        assert other.startswith(f"{tmp_path} is in use by part 1/2 (process ")
        assert "so part 1/3 would share its slides differently" in other
    with lock_run(tmp_path, Part(1, 3)):
        pass


def test_no_part_runs_beside_a_whole_run(tmp_path: Path) -> None:
    with lock_run(tmp_path, None) as markers:
        assert markers == tmp_path / ".work/started"
        assert "is in use by process" in refused(lock_run(tmp_path, Part(1, 2)))
        assert (whole_run(tmp_path) or "").startswith("process ")


def test_marker_folders_go_when_they_are_empty(tmp_path: Path) -> None:
    with lock_run(tmp_path, Part(1, 2)) as markers:
        markers.mkdir()
    assert not markers.exists()
