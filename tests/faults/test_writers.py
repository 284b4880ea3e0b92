"""A kill in the middle of writing a file: under its name there is what was there before, or nothing."""

import signal

import pytest
from writers import NEVER_REPLACED, WRITERS


@pytest.mark.parametrize("name", WRITERS)
def test_a_file_that_was_cut_has_no_name(worker, tmp_path, name):
    file, _ = WRITERS[name]
    (tmp_path / "whole").mkdir()
    code, said = worker.do("write", tmp_path / "whole", writer=name)
    assert code == 0, said
    size = (tmp_path / "whole" / file).stat().st_size
    for place in ("fresh", "again"):
        path = tmp_path / place / file
        path.parent.mkdir()
        if place == "again" and name not in NEVER_REPLACED:
            path.write_bytes(b"old")
        code, said = worker.do("write", path.parent, writer=name, dies_at_bytes=size // 2)
        assert code == -signal.SIGXFSZ, said
        assert (path.read_bytes() if path.exists() else b"old") == b"old"
