"""What the environment says about the processes."""

import json

import pytest

from keras_tcl.distribution import Process
from keras_tcl.distribution.process import check_addresses, launch

KERAS = {
    "KERAS_DISTRIBUTION_JOB_ADDRESSES": "a:1,b:2",
    "KERAS_DISTRIBUTION_NUM_PROCESSES": "2",
    "KERAS_DISTRIBUTION_PROCESS_ID": "1",
}
TORCHRUN = {
    "RANK": "3",
    "WORLD_SIZE": "4",
    "LOCAL_RANK": "1",
    "MASTER_ADDR": "host",
    "MASTER_PORT": "29500",
}
TF_CONFIG = {"cluster": {"worker": ["a:1", "b:2"]}, "task": {"index": 0}}

pytestmark = pytest.mark.once


def test_without_others_there_is_one_process():
    assert launch({}).process == Process(0, 1)
    assert launch({}).process.is_first


def test_kerass_variables():
    launched = launch(KERAS)
    assert launched.process == (1, 2)
    assert not launched.process.is_first
    assert launched.local_index == 0
    assert launch({**KERAS, "LOCAL_RANK": "1"}).local_index == 1
    assert check_addresses(launched) == [("a", 1), ("b", 2)]


def test_torchrun():
    launched = launch(TORCHRUN)
    assert launched.process == (3, 4)
    assert launched.local_index == 1
    assert check_addresses(launched) == [("host", 29500)]


def test_tf_config():
    launched = launch({"TF_CONFIG": json.dumps(TF_CONFIG)})
    assert launched.process == (0, 2)
    assert check_addresses(launched) == [("a", 1), ("b", 2)]


def test_a_chief_is_the_first_worker():
    cluster = {"chief": ["a:1"], "worker": ["b:2", "c:3"], "ps": ["d:4"]}
    found = [
        launch({"TF_CONFIG": json.dumps({"cluster": cluster, "task": task})})
        for task in (
            {"type": "chief", "index": 0},
            {"type": "worker", "index": 0},
            {"type": "worker", "index": 1},
        )
    ]
    assert [launched.process for launched in found] == [(0, 3), (1, 3), (2, 3)]
    assert {launched.addresses for launched in found} == {("a:1", "b:2", "c:3")}
    other = {"cluster": cluster, "task": {"type": "ps", "index": 0}}
    with pytest.raises(ValueError, match="other tasks train nothing"):
        launch({"TF_CONFIG": json.dumps(other)})


@pytest.mark.parametrize(
    "environment",
    [
        {**KERAS, "KERAS_DISTRIBUTION_PROCESS_ID": "2"},
        {"KERAS_DISTRIBUTION_NUM_PROCESSES": "2"},
        {**TORCHRUN, "RANK": "one"},
        {"TF_CONFIG": "worker"},
        {"TF_CONFIG": json.dumps({"cluster": {}})},
    ],
)
def test_half_of_it_is_refused(environment):
    with pytest.raises(ValueError, match="Received"):
        launch(environment)


@pytest.mark.parametrize("addresses", ["a:1,b", "a:x,b:2", "a:1,b:2,c:3", ""])
def test_addresses_that_are_none_are_refused(addresses):
    launched = launch({**KERAS, "KERAS_DISTRIBUTION_JOB_ADDRESSES": addresses})
    with pytest.raises(ValueError, match="address"):
        check_addresses(launched)
