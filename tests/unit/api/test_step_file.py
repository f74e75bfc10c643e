"""File of steps: what the next process of a worker reads."""

from __future__ import annotations

from pathlib import Path

import pytest

from api.work.step_file import StepFile
from dispatch.jobs.ports import LastStep


@pytest.mark.parametrize("job", [None, 1, 2**40])
def test_next_process_reads_where_the_last_one_ended(tmp_path: Path, job: int | None) -> None:
    steps = StepFile(tmp_path / "data", "mall-1")
    assert steps.last() is None
    steps.begin("mall-1/abc")
    steps.enter(5)
    steps.leave()
    if job is not None:
        steps.enter(job)
    assert StepFile(tmp_path / "data", "mall-1").last() == LastStep("mall-1/abc", job)
    assert StepFile(tmp_path / "data", "mall-2").last() is None


def test_process_that_still_ends_does_not_write_into_the_file_of_the_next(tmp_path: Path) -> None:
    former, following = StepFile(tmp_path, "mall-1"), StepFile(tmp_path, "mall-1")
    former.begin("mall-1/a")
    following.begin("mall-1/b")
    former.enter(9)
    assert following.last() == LastStep("mall-1/b", None)


@pytest.mark.parametrize("content", [b"", b"short", b"\0" * 256, b"\0" * 8 + b"\xff" * 248])
def test_file_that_is_none_is_passed_over(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "worker-mall-1.step").write_bytes(content)
    assert StepFile(tmp_path, "mall-1").last() is None


def test_folder_that_cannot_be_written_costs_only_the_record(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    steps = StepFile(tmp_path / "file", "mall-1")
    steps.begin("mall-1/a")
    steps.enter(3)
    assert steps.last() is None
