"""One piece of work done for many cases: here one after another, in several processes, or on a Dask cluster.

The work is a plain function of one case, which says all that it needs; it writes its files by `files.atomic_write` and
returns plain values. So a process that is killed leaves nothing half, and its case is done again by another one.
"""

import contextlib
import ipaddress
import itertools
import logging
import os
import secrets
import tempfile
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any, Generic, TypeVar
from urllib.parse import urlsplit

from napari_medfm.errors import ClusterError, MedfmError

C = TypeVar("C")
R = TypeVar("R")

_PATIENCE = 20  # seconds in which a cluster has to answer
_QUIET = logging.CRITICAL + 1  # what Dask logs may name files
# Nobody needs its pages, which any program of this machine could read.
_NO_PAGES: dict[str, Any] = {"distributed.scheduler.http.routes": [], "distributed.worker.http.routes": []}
_THREADS = ("MEDFM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")

_alone = threading.Lock()
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Outcome(Generic[R]):
    """What became of one case.

    Attributes
    ----------
    number : int
        Its place among the cases, from 0.
    result : object or None
        What the work returned; None if there was a problem.
    problem : str
        Why it was not done; empty if it was.
    """

    number: int
    result: R | None
    problem: str = ""


def spread(work: Callable[[C], R], cases: Sequence[C], *, jobs: int = 1, cluster: str = "") -> Iterator[Outcome[R]]:
    """Do the same for every case, and yield what became of each as soon as it is done, in any order.

    A case that fails stops no other, whatever it raises. Where a worker process ends under a case (killed, out of
    memory), another does the case again; a case that ends several of them is given up. Closing the generator stops
    what runs.

    Parameters
    ----------
    work : callable
        A function of a module that the workers can import. Takes a case and returns plain values, both of which can be
        pickled. Does its cases one at a time in each process; what is costly to load it keeps from one to the next.
    cases : sequence
        What `work` takes.
    jobs : int
        Processes of this machine; 1 does without any, 0 means one for every core. The threads of all together are
        as many as there are cores. They talk through this machine only, encrypted by keys of their own.
    cluster : str
        Address of a Dask scheduler whose workers do it instead, such as ``tls://host:8786``; empty for none. It sees
        the cases and can read what they name. Its workers need the same package and the same folders.

    Raises
    ------
    ClusterError
        The package `distributed` is missing, the cluster does not answer, or it has no worker.
    """
    wanted = min(jobs or _cores(), len(cases))
    if not cases:
        return
    if wanted == 1 and not cluster:
        for number, case in enumerate(cases):
            yield Outcome(number, *_attempt(work, case))
        return
    dask = _distributed()
    with _workers_of(dask, cluster) if cluster else _workers_here(dask, wanted) as client:
        yield from _far(dask, client, work, cases)


def warning_about(cluster: str) -> str:
    """Return what a person should know of the way to a cluster; empty if it is encrypted or stays on this machine."""
    parts = urlsplit(cluster if "://" in cluster else f"tcp://{cluster}")
    if parts.scheme in ("tls", "wss", "inproc") or _is_here(parts.hostname or ""):
        return ""
    return f"The way to {parts.hostname} is not encrypted: names of files go there in the open. Use tls:// if you can."


def _is_here(host: str) -> bool:
    with contextlib.suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return host == "localhost"


def _cores() -> int:
    return os.cpu_count() or 1


def _attempt(work: Callable[[C], R], case: C) -> tuple[R | None, str]:
    """Return what came of a case, or why nothing did."""
    with _alone:  # a worker of a cluster may have several threads; models are used by one at a time
        try:
            return work(case), ""
        except MedfmError as error:
            return None, str(error)
        except Exception as error:  # noqa: BLE001 - one case never stops the others
            place = traceback.extract_tb(error.__traceback__)[-1]
            # No message and no values: they may name a patient.
            where = f"{type(error).__name__} in {Path(place.filename).name}:{place.lineno}"
            _log.warning("unexpected %s", where)
            return None, f"unexpected {where}. Please report it."


def _far(dask: ModuleType, client: Any, work: Callable[[C], R], cases: Sequence[C]) -> Iterator[Outcome[R]]:
    """Keep every worker busy, each with the case it works on only: one that is killed is blamed for no other."""
    waiting = iter(enumerate(cases))
    running: dict[str, int] = {}
    name = f"case-{secrets.token_hex(8)}"

    def next_ones() -> list[Any]:
        free = max(1, sum(client.nthreads().values())) - len(running)
        new = {f"{name}-{number}": (number, case) for number, case in itertools.islice(waiting, max(0, free))}
        running.update({key: number for key, (number, _) in new.items()})
        return [client.submit(_attempt, work, case, key=key, pure=False) for key, (_, case) in new.items()]

    done = dask.as_completed(next_ones(), loop=client.loop)
    for future in done:
        number = running.pop(future.key)
        done.update(next_ones())
        yield Outcome(number, *_answer(dask, future))


def _answer(dask: ModuleType, future: Any) -> tuple[Any, str]:
    try:
        result: tuple[Any, str] = future.result()
    except dask.KilledWorker:
        return None, "ended every worker process that tried it. Perhaps they need more memory: use fewer jobs."
    except Exception as error:  # noqa: BLE001 - the cluster's, not the case's
        reason = f"the cluster could not do it ({type(error).__name__})"
        return None, f"{reason}. Check that its workers run, and have the same version of napari-medfm."
    return result


@contextlib.contextmanager
def _workers_here(dask: ModuleType, count: int) -> Iterator[Any]:
    """Start worker processes that only this process can talk to."""
    threads = {name: str(max(1, _cores() // count)) for name in _THREADS}
    with (
        tempfile.TemporaryDirectory() as scratch,
        import_module("dask").config.set(_NO_PAGES),
        dask.LocalCluster(
            n_workers=count,
            threads_per_worker=1,
            host="127.0.0.1",
            security=dask.Security.temporary(),
            dashboard_address="127.0.0.1:0",
            worker_dashboard_address="127.0.0.1:0",
            memory_limit=0,  # what is read is limited where it is read
            local_directory=scratch,
            silence_logs=_QUIET,
            env=threads,
        ) as crew,
        dask.Client(crew, set_as_default=False) as client,
    ):
        yield client


@contextlib.contextmanager
def _workers_of(dask: ModuleType, address: str) -> Iterator[Any]:
    """Join a cluster; the keys for ``tls://`` are those of Dask's own configuration."""
    try:
        client = dask.Client(address, timeout=_PATIENCE, set_as_default=False)
    except (OSError, ValueError, TypeError) as error:
        step = "Check the address, and the keys in Dask's configuration if it is encrypted."
        raise ClusterError(address, f"does not answer as a Dask cluster ({type(error).__name__})", step) from error
    with client:
        if not client.nthreads():
            raise ClusterError(address, "has no worker", "Start workers with 'dask worker ADDRESS', or use --jobs.")
        yield client


def _distributed() -> ModuleType:
    try:
        return import_module("distributed")
    except ImportError as error:
        step = 'Install it with "pip install napari-medfm[cluster]", or do without --jobs and --cluster.'
        raise ClusterError("Several processes", "need the package distributed", step) from error
