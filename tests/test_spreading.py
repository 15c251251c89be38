"""Work for many cases: in this process, in several, on a cluster; whatever a case does, the others are done."""

import logging
import os

import psutil
import pytest
import shares

from napari_medfm import spreading
from napari_medfm.errors import ClusterError
from napari_medfm.spreading import spread, warning_about

distributed = pytest.importorskip("distributed")

PROBLEMS = {3: "case 3: is odd. Leave it out.", 4: "unexpected ZeroDivisionError in shares.py:13. Please report it."}


def told(outcomes):
    return {each.number: each for each in outcomes}


def check(found):
    assert sorted(found) == list(range(6))
    assert {number: each.problem for number, each in found.items() if each.problem} == PROBLEMS
    assert all(each.result is None for number, each in found.items() if number in PROBLEMS)
    assert [found[number].result["square"] for number in (0, 1, 2, 5)] == [0, 1, 4, 25]


def test_one_process_works_in_order_and_a_bad_case_stops_no_other():
    outcomes = list(spread(shares.square, range(6)))
    assert [each.number for each in outcomes] == list(range(6))
    check(told(outcomes))
    assert outcomes[0].result["process"] == os.getpid()


def test_a_case_of_a_killed_process_is_done_by_another(tmp_path, capfd):
    marker = tmp_path / "killed"
    before = set(psutil.Process().children(recursive=True))
    found = told(spread(shares.square_or_die, [(number, marker) for number in range(6)], jobs=2))
    assert marker.exists()
    check(found)
    assert os.getpid() not in {each.result["process"] for each in found.values() if each.result}
    left = set(psutil.Process().children(recursive=True)) - before
    assert all("resource_tracker" in " ".join(process.cmdline()) for process in left)
    assert str(tmp_path) not in capfd.readouterr().err, "what dask logs names no folder"


def test_a_cluster_at_an_address_does_the_work_and_a_deadly_case_is_given_up(tmp_path):
    options = {"host": "127.0.0.1", "dashboard_address": "127.0.0.1:0", "silence_logs": logging.CRITICAL}
    with distributed.LocalCluster(n_workers=1, threads_per_worker=1, local_directory=tmp_path, **options) as cluster:
        cluster.scheduler.allowed_failures = 0
        found = told(spread(shares.always_die, [0, 1], cluster=cluster.scheduler_address))
    assert found[1].result == 1
    assert found[0].problem.startswith("ended every worker process that tried it")


def test_no_cluster_and_no_package_are_told(monkeypatch):
    monkeypatch.setattr(spreading, "_PATIENCE", 1)
    with pytest.raises(ClusterError, match="does not answer as a Dask cluster"):
        list(spread(shares.square, [1], cluster="127.0.0.1:9"))
    monkeypatch.setattr(spreading, "import_module", lambda name: __import__(f"no_{name}"))
    with pytest.raises(ClusterError, match=r"pip install napari-medfm\[cluster\]"):
        list(spread(shares.square, [1, 2], jobs=2))


def test_nothing_to_do_starts_nothing():
    assert list(spread(shares.square, [], jobs=2)) == []


@pytest.mark.parametrize(
    ("address", "told"),
    [
        *((address, "") for address in ("tls://a:1", "tcp://127.0.0.1:8786", "localhost:8786", "tcp://[::1]:1")),
        ("tcp://workstation:8786", "The way to workstation is not encrypted"),
        ("10.0.0.3:8786", "The way to 10.0.0.3 is not encrypted"),
    ],
)
def test_a_way_that_is_not_encrypted_is_told(address, told):
    assert warning_about(address).startswith(told)
    assert bool(warning_about(address)) == bool(told)
