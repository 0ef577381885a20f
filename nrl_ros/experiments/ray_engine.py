"""Run trials as Ray tasks, on this machine or a cluster; the only file that uses Ray."""

from __future__ import annotations

import os
import socket
from typing import Any

from nrl_ros.experiments.engine import ONE_THREAD, RETRIES, Outcome, StudyError, Work, cores

_STORE_BYTES = 200 * 1024**2
# A cluster that is there accepts a connection within this time [s].
_ANSWER_S = 5.0


class RayEngine:
    """Runs trials with Ray, which repeats a trial whose worker is lost.

    Args:
        workers: trials at once; 0: as many as there are cores, in the cluster if there is one.
        work: makes a record of a job; importable on every machine, as nrl_ros must be.
        address: of a cluster, or 'auto'; empty: start Ray on this machine.

    Raises:
        StudyError: Ray is not installed, or the cluster does not answer.
    """

    def __init__(self, workers: int, work: Work, address: str = '') -> None:
        try:
            os.environ.setdefault('RAY_USAGE_STATS_ENABLED', '0')
            import ray
        except ImportError as error:
            raise StudyError(
                f"--engine ray needs Ray ({error}): pip install 'nrl_ros[ray]', or leave it out "
                'to use processes'
            ) from error
        if address:
            _check_answers(address)
        self._ray: Any = ray
        options: dict[str, Any] = {'log_to_driver': False, 'logging_level': 'ERROR'}
        if address:
            options |= {'address': address, 'runtime_env': {'env_vars': ONE_THREAD}}
        else:
            os.environ.update(ONE_THREAD)
            options |= {
                'num_cpus': workers or cores(),
                'include_dashboard': False,
                'object_store_memory': _STORE_BYTES,
            }
        try:
            ray.init(**options)
        except Exception as error:  # a node that is late to start is told by a bare Exception
            ray.shutdown()
            raise StudyError(_refusal(address, error)) from error
        self.workers = workers or int(self._ray.cluster_resources().get('CPU', 1))
        self._task = ray.remote(num_cpus=1, max_retries=RETRIES)(work)
        self._keys: dict[Any, str] = {}

    def submit(self, key: str, job: dict[str, Any]) -> None:
        """Begin a trial as a Ray task."""
        self._keys[self._task.remote(job)] = key

    def wait(self, timeout_s: float) -> list[Outcome]:
        """Return the trials that have ended, as soon as there is one or the time is up."""
        ready, _ = self._ray.wait(list(self._keys), num_returns=1, timeout=timeout_s)
        outcomes = []
        for reference in ready:
            key = self._keys.pop(reference)
            try:
                outcomes.append(Outcome(key, own(self._ray.get(reference))))
            except self._ray.exceptions.RayTaskError as error:
                outcomes.append(Outcome(key, None, f'{type(error.cause).__name__}: {error.cause}'))
            except self._ray.exceptions.RayError as error:
                outcomes.append(Outcome(key, None, f'{type(error).__name__}: lost'))
        return outcomes

    def close(self) -> None:
        """Shut Ray down."""
        self._ray.shutdown()


def _check_answers(address: str) -> None:
    """Refuse a cluster that does not answer at once; Ray itself would wait for over a minute."""
    host, found, port = address.removeprefix('ray://').rpartition(':')
    if not found:
        if address == 'auto':
            return
        raise StudyError(f'--address: expected HOST:PORT or auto, received {address!r}')
    try:
        socket.create_connection((host, int(port)), _ANSWER_S).close()
    except (OSError, ValueError, OverflowError) as error:
        raise StudyError(_refusal(address, error)) from error


def _refusal(address: str, error: Exception) -> str:
    """Return in one line why Ray is not there, and what to do."""
    said = ' '.join(str(error).split())
    if address:
        return (
            f'Ray cannot join the cluster at {address!r}: {said}; expected HOST:PORT as "ray start '
            '--head" has said it there, or auto on a machine of the cluster'
        )
    return (
        f'Ray cannot start on this machine: {said}; it gives itself half a minute, which a machine '
        'that is busy may exceed: try again when it is idle, or use --engine processes'
    )


def own(record: Any) -> Any:
    """Return a copy whose arrays do not lie in Ray's memory."""
    if isinstance(record, dict):
        return {key: own(value) for key, value in record.items()}
    if isinstance(record, list):
        return [own(value) for value in record]
    return record.copy() if hasattr(record, 'dtype') and hasattr(record, 'copy') else record
