from pathlib import Path

import pytest

from wsipipe.pipeline.reporting.outcome import SlideOutcome

NETWORKS = {"segment": {"precision": "float32"}, "classify": {"precision": "bfloat16"}}


@pytest.mark.parametrize(
    ("outcome", "says"),
    [
        ({"status": "failed", "code": "MODEL", "message": "no"}, "FAILED MODEL: no"),
        ({"status": "planned", "plan": {"shards": {"tile": 4, "tissue": 1}}}, "planned, 5 shards"),
        ({"status": "kept", "nuclei": 1234}, "kept, finished before with the same plan, 1,234 nuclei"),
        ({"status": "done", "seconds": {"tile": 1.25, "finish": 0.5}}, "done in 1.8 s"),
        ({"status": "done", "seconds": {"tile": 1.0}, "nuclei": 0}, "done in 1.0 s, 0 nuclei"),
        ({"status": "done", "plan": {"parameters": NETWORKS}}, "done in 0.0 s, float32, bfloat16"),
    ],
)
def test_one_line_says_what_became_of_it(outcome: dict, says: str) -> None:
    assert SlideOutcome("id", Path("x.svs"), **outcome).in_words() == says
