import pytest

from benchmarks.paper.storage import lock, read_json, whole, write_json


def test_a_failed_write_leaves_the_old_file(tmp_path):
    path = tmp_path / "result.json"
    write_json(path, {"accuracy": 1})
    with pytest.raises(OSError, match="No space"), whole(path) as partial:
        partial.write_text('{"accuracy": 2')
        raise OSError(28, "No space left on device")
    assert read_json(path) == {"accuracy": 1}
    assert [p.name for p in tmp_path.iterdir()] == ["result.json"]


@pytest.mark.parametrize("content", [None, "", '{"accuracy": 2'])
def test_what_is_missing_or_damaged_is_no_result(tmp_path, content):
    if content is not None:
        (tmp_path / "result.json").write_text(content)
    assert read_json(tmp_path / "result.json") is None


def test_only_one_works_in_a_folder(tmp_path):
    with lock(tmp_path / "run") as first:
        with lock(tmp_path / "run") as second:
            assert (first, second) == (True, False)
    with lock(tmp_path / "run") as third:
        assert third
