"""Plays the graph of a bundle by onnxruntime."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nrl_ros.base.errors import ConfigError, InvalidValueError, ShapeError, describe
from nrl_ros.bundles.manifest import PolicyManifest, digest, read_manifest
from nrl_ros.learning.heads import PolicySettings, make_head

Array = NDArray[Any]


class OnnxPolicy:
    """A greedy policy of a bundle.

    Args:
        folder: of the bundle.

    Attributes:
        manifest: what the policy takes and gives.

    Raises:
        ConfigError: onnxruntime is not installed, or the bundle is damaged or says something of the
            graph that is not so.
    """

    def __init__(self, folder: Path) -> None:
        self.manifest: PolicyManifest = read_manifest(folder)
        graph = self.manifest.graph
        path = folder / graph.file
        try:
            content = path.read_bytes()
        except OSError as error:
            raise ConfigError(f'{path}: cannot be read: {error.strerror}') from error
        if graph.sha256 and digest(content) != graph.sha256:
            raise ConfigError(
                f'{path}: is not the file that the manifest was written for (sha256 {graph.sha256}'
                '), expected both from one export; export the run again'
            )
        self._session = _session_of(path, content)
        self._inputs = self._checked_inputs(path)
        self._outputs = self._checked_outputs(path)
        space = self.manifest.action.space
        self._sizes = space.sizes
        self._is_real = self.manifest.action.kind == 'continuous'
        self._low = np.asarray(space.low, np.float32)
        self._high = np.asarray(space.high, np.float32)
        # The arithmetic of graphs that give what a learner's network gives.
        self._head = make_head(space, PolicySettings())

    @property
    def memory_size(self) -> int:
        """Numbers that each instance remembers from one step of an episode to the next."""
        return self._memory_size

    def new_memory(self, instances: int) -> Array:
        """Return the memory [B, H] with which episodes begin."""
        return np.zeros((instances, self._memory_size), self._memory_dtype)

    def _checked_inputs(self, path: Path) -> list[str]:
        graph = self.manifest.graph
        known = {item.name: item for item in self._session.get_inputs()}
        wanted = [graph.observation, *([graph.memory] if graph.memory else [])]
        if sorted(known) != sorted(wanted):
            raise ConfigError(
                f'{path}: has the inputs {sorted(known)}, the manifest names {sorted(wanted)}'
            )
        size = known[graph.observation].shape[-1]
        if isinstance(size, int) and size != self.manifest.observation.size:
            raise ConfigError(
                f'{path}: takes {size} observations, the manifest says '
                f'{self.manifest.observation.size}'
            )
        self._observation_dtype = _dtype_of(known[graph.observation].type)
        self._memory_size, self._memory_dtype = 0, np.dtype(np.float32)
        if graph.memory:
            self._memory_size = int(known[graph.memory].shape[-1])
            self._memory_dtype = _dtype_of(known[graph.memory].type)
        return wanted

    def _checked_outputs(self, path: Path) -> list[str]:
        graph = self.manifest.graph
        known = [item.name for item in self._session.get_outputs()]
        wanted = [graph.action, *([graph.new_memory] if graph.memory else [])]
        missing = [name for name in wanted if name not in known]
        if missing:
            raise ConfigError(f'{path}: has the outputs {known}, the manifest names {wanted}')
        return wanted

    def act(self, observation: Array, memory: Array) -> tuple[Array, Array]:
        """Return the actions and the new memory.

        Args:
            observation: [B, O].
            memory: [B, H], as ``new_memory`` and the step before gave it.

        Returns:
            int32 or float32 [B, A], and [B, H].

        Raises:
            ShapeError: the graph gives another number of values than the manifest says.
            InvalidValueError: an action is not a finite number, or no choice.
        """
        rows = np.asarray(observation, self._observation_dtype)
        given = dict(zip(self._inputs, (rows, memory), strict=False))
        made = self._session.run(self._outputs, given)
        new = made[1] if self._memory_size else memory
        return self._action(np.asarray(made[0]), len(rows)), new

    def _action(self, value: Array, rows: int) -> Array:
        value = value.reshape(rows, -1)
        count = len(self._low) if self._is_real else len(self._sizes)
        scaled = self.manifest.graph.scaled
        # A graph may give indices in place of a number for each choice.
        if not (self._is_real or scaled) and value.shape[1] == sum(self._sizes):
            value = self._head.greedy(value)
        if value.shape[1] != count:
            raise ShapeError(
                f'the graph gives {value.shape[1]} values for an observation, the manifest says '
                f'{count}'
            )
        if not np.isfinite(value).all():
            raise InvalidValueError('the policy gave an action that is not a finite number')
        if not self._is_real:
            if ((value < 0) | (value >= np.array(self._sizes))).any():
                raise InvalidValueError(
                    f'the policy gave choices {value[0].tolist()}, expected less than {self._sizes}'
                )
            return value.astype(np.int32)
        if not scaled:
            return self._head.to_action(value.astype(np.float32))
        return np.clip(value, self._low, self._high).astype(np.float32)


def _session_of(path: Path, content: bytes) -> Any:
    try:
        import onnxruntime
    except ImportError as error:
        raise ConfigError(
            f'onnxruntime is not installed ({error}), expected it to play a policy: '
            'python -m pip install "nrl_ros[export]"'
        ) from error
    options = onnxruntime.SessionOptions()
    # One observation at a time: a second thread costs more than it brings.
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(content, options, providers=['CPUExecutionProvider'])
    except Exception as error:  # of onnxruntime, which has no common base class
        raise ConfigError(
            f'{path}: is no ONNX graph, expected one as nrl export --format onnx writes it: '
            f'{describe(error)}'
        ) from error


def _dtype_of(kind: str) -> np.dtype[Any]:
    return np.dtype(np.float64 if kind == 'tensor(double)' else np.float32)
