"""Declare a settings model as ROS parameters with range and description, and check changes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar

import annotated_types
from pydantic.fields import FieldInfo
from rcl_interfaces.msg import (
    FloatingPointRange,
    IntegerRange,
    ParameterDescriptor,
    SetParametersResult,
)
from rclpy.node import Node

from nrl_ros.base.errors import NrlError
from nrl_ros.base.parameter_values import SETTINGS_JSON, is_ros_value, unpack
from nrl_ros.base.settings import Settings, fields_of, flatten, load, mark_of
from nrl_ros.ros.rclpy_types import AnyParameter

Model = TypeVar('Model', bound=Settings)

# Names that rclpy itself declares or takes as overrides.
_FOREIGN = ('use_sim_time', 'start_type_description_service', 'qos_overrides.')
_LARGE_INTEGER = 2**63 - 1
_LARGE_FLOAT = 1.7e308


class NodeParameters(Generic[Model]):
    """The settings of one node, kept equal to its ROS parameters.

    All settings are declared when this is made, with the node's overrides as values. Fields marked
    live may change while the node runs, those marked at_start never, and the others only while the
    node is not configured.

    Attributes:
        fixed: True while the node is configured.
        also_fixed: names of parameters that are no settings and may not change while the node is
            configured either.

    Args:
        node: the node.
        model: its settings model.
        changed: called with the new settings before a live change is accepted; may refuse it by
            raising an NrlError.

    Raises:
        ConfigError: an override is unknown or invalid, naming each.
    """

    def __init__(self, node: Node, model: type[Model], changed: Callable[[Model], None]) -> None:
        self._node = node
        self._model = model
        self._changed = changed
        overrides = {
            name: _plain(parameter.value)
            for name, parameter in node._parameter_overrides.items()
            if not name.startswith(_FOREIGN)
        }
        source = f'parameters of {node.get_name()}'
        self.settings = load(model, unpack(overrides, source), source=source)
        self.fixed = False
        self.also_fixed: frozenset[str] = frozenset()
        self._live: set[str] = set()
        self._at_start: set[str] = set()
        fields = fields_of(model)
        for name, value in flatten(self.settings).items():
            if name in fields or is_ros_value(value):
                self._declare(name, value, fields.get(name))
        self._declare_json(overrides.get(SETTINGS_JSON, ''))
        node.add_on_set_parameters_callback(self._on_set)

    def _declare(self, name: str, value: Any, field: FieldInfo | None) -> None:
        mark = '' if field is None else mark_of(field)
        if mark == 'live':
            self._live.add(name)
        elif mark == 'at_start':
            self._at_start.add(name)
        # The type is left open and checked by the model, so that a whole number is accepted for a
        # real one.
        descriptor = ParameterDescriptor(description=_describe(field), dynamic_typing=True)
        if field is not None:
            _set_range(descriptor, field, value)
        self._node.declare_parameter(name, value, descriptor, ignore_override=True)

    def _declare_json(self, text: str) -> None:
        descriptor = ParameterDescriptor(
            description='Settings that ROS parameters cannot hold, as JSON', read_only=True
        )
        self._node.declare_parameter(SETTINGS_JSON, text, descriptor, ignore_override=True)

    def _on_set(self, parameters: Sequence[AnyParameter]) -> SetParametersResult:
        mine = [p for p in parameters if not p.name.startswith(_FOREIGN)]
        named = {p.name for p in parameters}
        now = flatten(self.settings)
        given = [p.name for p in mine if p.name in self._at_start and p.value != now.get(p.name)]
        if given:
            return SetParametersResult(
                successful=False,
                reason=f'{", ".join(given)} is given when the node is started, on its command line '
                'or in its parameter file: start it anew',
            )
        fixed = [p.name for p in mine if p.name not in self._live] if self.fixed else []
        fixed += sorted(self.also_fixed & named) if self.fixed else []
        if not (mine or fixed):
            return SetParametersResult(successful=True)
        if fixed:
            return SetParametersResult(
                successful=False,
                reason=f'{", ".join(fixed)} cannot change while the node is configured; '
                'deactivate and clean it up first (ros2 lifecycle set)',
            )
        flat = now | {p.name: _plain(p.value) for p in mine}
        try:
            settings = load(self._model, flat, source='parameters')
            self._changed(settings)
        except NrlError as error:
            return SetParametersResult(successful=False, reason=str(error))
        self.settings = settings
        return SetParametersResult(successful=True)


def _plain(value: Any) -> Any:
    """Return a parameter's value with lists in place of array types."""
    return list(value) if hasattr(value, 'tolist') and not isinstance(value, bytes) else value


def _describe(field: FieldInfo | None) -> str:
    if field is None:
        return 'Option of the bridge or of the rule'
    text = field.description or ''
    choices = getattr(field.annotation, '__args__', ())
    if choices and all(isinstance(choice, str) for choice in choices):
        text += f' ({", ".join(choices)})'
    return text


def _set_range(descriptor: ParameterDescriptor, field: FieldInfo, value: Any) -> None:
    low: Any = None
    high: Any = None
    for limit in field.metadata:
        if isinstance(limit, annotated_types.Ge):
            low = limit.ge
        elif isinstance(limit, annotated_types.Gt):
            low = limit.gt
        elif isinstance(limit, annotated_types.Le):
            high = limit.le
        elif isinstance(limit, annotated_types.Lt):
            high = limit.lt
    if (low is None and high is None) or isinstance(value, bool):
        return
    if isinstance(value, int):
        descriptor.integer_range = [
            IntegerRange(
                from_value=0 if low is None else int(low),
                to_value=_LARGE_INTEGER if high is None else int(high),
                step=0,
            )
        ]
    elif isinstance(value, float):
        descriptor.floating_point_range = [
            FloatingPointRange(
                from_value=-_LARGE_FLOAT if low is None else float(low),
                to_value=_LARGE_FLOAT if high is None else float(high),
                step=0.0,
            )
        ]
