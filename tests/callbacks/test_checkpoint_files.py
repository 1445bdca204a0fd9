"""Files that are whole or not there, without a training."""

import numpy as np
import pytest

from keras_tcl.callbacks.checkpoint_files import CheckpointFiles, _is_good

pytestmark = pytest.mark.once


def state(value):
    """Some facts, and enough bytes for damage in the middle of them."""
    return {"value": value}, {"network/0": np.full(999, value, "float32")}


def write(folder, *positions, process=(0, 1)):
    files = CheckpointFiles(folder, process)
    for value, position in enumerate(positions):
        files.write(position, state(value))
    return files


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_two_newest_are_kept_and_found_and_deleted(tmp_path):
    files = write(tmp_path / "new", (0, 0), (0, 2), (1, 0))
    assert names(files.folder) == [
        "epoch-00000-step-0000002.npz",
        "epoch-00001-step-0000000.npz",
    ]
    path, position, (facts, arrays) = files.newest()
    assert (path.name, position) == (names(files.folder)[1], (1, 0))
    assert facts == {"value": 2}
    np.testing.assert_array_equal(arrays["network/0"], state(2)[1]["network/0"])
    files.delete()
    assert not files.folder.exists() and files.newest() is None


@pytest.mark.parametrize("damage", ["cut", "bit", "empty"])
def test_damaged_file_is_put_aside_and_the_one_before_it_taken(
    tmp_path, damage
):
    files = write(tmp_path, (0, 0), (0, 2))
    newest = max(tmp_path.iterdir())
    content = bytearray(newest.read_bytes())
    if damage == "bit":
        content[len(content) // 2] ^= 1
    newest.write_bytes(content[: {"cut": 2000, "empty": 0}.get(damage)])
    with pytest.warns(UserWarning, match="damaged"):
        _, position, (facts, _) = files.newest()
    assert (position, facts) == ((0, 0), {"value": 0})
    assert f"{newest.name}.damaged" in names(tmp_path)


def test_damaged_file_that_another_process_put_aside(tmp_path):
    """Processes of one training look at the same files at the same time."""
    with pytest.warns(UserWarning, match="damaged"):
        assert not _is_good(tmp_path / "epoch-00000-step-0000002.npz")


def test_all_files_damaged_is_an_error_at_every_start(tmp_path):
    """What starts a failed program again must not begin the training anew."""
    files = write(tmp_path, (0, 0), (0, 2))
    for path in tmp_path.iterdir():
        path.write_bytes(b"")
    with pytest.warns(UserWarning, match="damaged"):
        with pytest.raises(ValueError, match="All checkpoints .* are damaged"):
            files.newest()
    with pytest.raises(ValueError, match="All checkpoints .* are damaged"):
        files.newest()


def test_half_written_files_are_deleted_and_others_not(tmp_path):
    files = write(tmp_path, (0, 0))
    (tmp_path / "epoch-00000-step-0000002.npz.tmp").write_bytes(b"PK")
    others = ["notes.tmp", "epoch-00000-step-0000002-process-1-of-2.npz.tmp"]
    for name in others:
        (tmp_path / name).touch()
    files.delete_unfinished()
    assert names(tmp_path) == sorted(["epoch-00000-step-0000000.npz", *others])


def test_newest_is_what_all_processes_have(tmp_path):
    first = write(tmp_path, (0, 0), (0, 2), (0, 4), process=(0, 2))
    # Killed before all of them had written it: nothing is lost.
    assert len(names(tmp_path)) == 3
    second = write(tmp_path, (0, 0), process=(1, 2))
    assert first.newest()[1] == second.newest()[1] == (0, 0)
    # The disk of the second was full: what they have in common is kept.
    first.write((0, 6), state(6))
    assert first.newest()[1] == (0, 0)
    second.write((0, 6), state(6))
    first.write((0, 8), state(8))
    second.write((0, 8), state(8))
    first.write((1, 0), state(9))
    assert first.newest()[1] == second.newest()[1] == (0, 8)
    assert names(tmp_path) == [
        "epoch-00000-step-0000006-process-0-of-2.npz",
        "epoch-00000-step-0000006-process-1-of-2.npz",
        "epoch-00000-step-0000008-process-0-of-2.npz",
        "epoch-00000-step-0000008-process-1-of-2.npz",
        "epoch-00001-step-0000000-process-0-of-2.npz",
    ]
    with pytest.raises(ValueError, match="of 2 process"):
        CheckpointFiles(tmp_path).newest()


def test_checkpoints_without_one_of_all_processes_are_an_error(tmp_path):
    first = write(tmp_path, (0, 0), process=(0, 2))
    # As a kill within the very first one leaves it.
    assert first.newest() is None
    first.write((0, 2), state(2))
    with pytest.raises(ValueError, match="lack the state of a process"):
        first.newest()
