from __future__ import annotations

from pathlib import Path

from structlog.testing import capture_logs

from resolver_service.adapters.state_directory import claimed


def warnings(directory: Path) -> list[object]:
    with capture_logs() as lines, claimed(directory):
        return [line["event"] for line in lines]


def test_who_comes_second_is_warned(tmp_path: Path) -> None:
    with claimed(tmp_path):
        assert warnings(tmp_path) == ["state_dir_shared"]
        (tmp_path / "of its own").mkdir()
        assert not warnings(tmp_path / "of its own")
    assert not warnings(tmp_path)


def test_a_directory_that_is_none_is_told_of_by_others(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert not warnings(tmp_path / "nowhere")
    assert not warnings(tmp_path / "file" / "below")
