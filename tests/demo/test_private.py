import stat

import pytest

from deploy.demo import private


def test_written_for_the_owner_only_and_replaced_whole(tmp_path):
    path = tmp_path / "demo.json"
    path.write_text("old")
    path.chmod(0o644)

    private.write_json(path, {"名": 1})

    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert private.read_json(path) == {"名": 1}
    assert [p.name for p in tmp_path.iterdir()] == ["demo.json"], "no scratch file stays"


def test_a_failed_write_leaves_the_old_file(tmp_path):
    path = tmp_path / "demo.json"
    private.write_json(path, {"a": 1})

    with pytest.raises(TypeError):
        private.write_json(path, {"a": object()})

    assert private.read_json(path) == {"a": 1}
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("text", [None, "", '{"half":'])
def test_half_a_file_reads_as_none(tmp_path, text):
    path = tmp_path / "x.json"
    if text is not None:
        path.write_text(text)

    assert private.read_json(path) is None
