"""Layouts of other programs for the topics of a run: Foxglove, PlotJuggler and RViz.

What is shown is said once here, by the names of topics and the fields of their messages; each
program has it in a file of its own form. ``config/views`` holds what ``write_views`` writes for
topics without a namespace, and for the UR5e.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import yaml

from nrl_ros.cli.config import resolve
from nrl_ros.cli.runs import Run, write_whole
from nrl_ros.ros import names

_COLOURS = ('#1f77b4', '#d62728', '#2ca02c', '#9467bd', '#ff7f0e', '#17becf', '#8c564b', '#7f7f7f')
# So many observations and actions of the first instance have a line.
_LINES = 4
_MARKERS = f'{names.ENVIRONMENT}/{names.MARKERS.removeprefix("~/")}'
# The title of a panel: to Foxglove, and to Lichtblick, which is its free successor.
_TITLES = ('foxglovePanelTitle', 'lichtblickPanelTitle')
# What PlotJuggler subscribes with, and how: of a large array the first numbers are kept.
_STREAMER = 'ROS2 Topic Subscriber'
_SUBSCRIBED = {
    'use_header_stamp': 'false',
    'discard_large_arrays': 'false',
    'max_array_size': '100',
    'boolean_strings_to_number': 'true',
    'remove_suffix_from_strings': 'false',
}
# How wide the legend of a chart is in Foxglove [px].
_LEGEND_PX = 180
# How far the camera is from an arm [m].
_DISTANCE_M = 2.5


@dataclass(frozen=True)
class Chart:
    """Lines over time.

    Attributes:
        title: above them.
        lines: topic, relative, and field of its message, as ``rpe[0]``.
    """

    title: str
    lines: tuple[tuple[str, str], ...]


def _numbered(topic: str, field: str, count: int) -> tuple[tuple[str, str], ...]:
    return tuple((topic, f'{field}[{at}]') for at in range(count))


RUN = (
    Chart('return of the newest episodes [1]', ((names.ENV_STATUS, 'mean_return'),)),
    Chart(
        'reward-prediction errors [1]',
        (
            (names.NEUROMODULATOR_STATUS, 'mean_rpe'),
            (names.NEUROMODULATOR_STATUS, 'mean_absolute_rpe'),
        ),
    ),
    Chart(
        'reward and baseline of an instance [1]',
        ((names.NEUROMODULATION, 'reward[0]'), (names.NEUROMODULATION, 'baseline[0]')),
    ),
    Chart('weights [1]', ((names.LEARNER_STATUS, 'weight_norm'),)),
    Chart(
        'learning rate and noise [1]',
        ((names.LEARNER_STATUS, 'learning_rate'), (names.LEARNER_STATUS, 'noise_sigma')),
    ),
    Chart('steps a second', ((names.ENV_STATUS, 'steps_per_second'),)),
    Chart('observation of the first instance', _numbered(names.STATE, 'observation', _LINES)),
    Chart(
        'action of the first instance',
        (*_numbered(names.ACTION, 'continuous', _LINES), (names.ACTION, 'discrete[0]')),
    ),
    Chart(
        'actions late, missing; states sent again',
        (
            (names.ENV_STATUS, 'late_actions'),
            (names.ENV_STATUS, 'missing_actions'),
            (names.ENV_STATUS, 'resent_states'),
        ),
    ),
)


def arm_charts(joints: int) -> tuple[Chart, ...]:
    """Return what is shown of an arm besides.

    Args:
        joints: how many it has.
    """
    state = names.SAFETY_STATE
    return (
        Chart('velocity asked for [rad/s]', _numbered(state, 'wanted', joints)),
        Chart('velocity commanded [rad/s]', _numbered(state, 'velocity', joints)),
        Chart('position measured [rad]', _numbered(state, 'measured', joints)),
        Chart('mode, cause of a stop', ((state, 'mode'), (state, 'cause'), (state, 'limited'))),
        Chart('age of command and joints [s]', ((state, 'command_age_s'), (state, 'state_age_s'))),
    )


@dataclass(frozen=True)
class Arm:
    """What layouts need to know of an arm.

    Attributes:
        root: the frame in which its markers are.
        joints: how many it has.
    """

    root: str
    joints: int


def write_views(folder: Path, namespace: str = '', arm: Arm | None = None) -> list[Path]:
    """Write the layouts of a run, and of an arm, into a folder.

    Args:
        folder: is made if it is missing.
        namespace: of the topics; empty or ``/``: none.
        arm: that acts in real time; None: there is none.

    Returns:
        The files.
    """
    place = _Place(namespace)
    kind = 'run' if arm is None else 'arm'
    charts = RUN if arm is None else (*RUN[:2], *arm_charts(arm.joints))
    texts = {
        f'foxglove_{kind}.json': _foxglove(place, charts, arm),
        f'plotjuggler_{kind}.xml': _plotjuggler(place, charts),
    }
    if arm is not None:
        texts['arm.rviz'] = _rviz(place, arm)
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in texts.items():
        write_whole(folder / name, text)
    return [folder / name for name in texts]


class _Place:
    """A namespace, and the full names of its topics."""

    def __init__(self, namespace: str) -> None:
        self._prefix = f'/{namespace.strip("/")}'.rstrip('/')

    def topic(self, name: str) -> str:
        return f'{self._prefix}/{name}'


def _foxglove(place: _Place, charts: Sequence[Chart], arm: Arm | None) -> str:
    """Return a layout for Foxglove, as its menu imports it."""
    panels: dict[str, Any] = {
        f'Plot!chart{at}': {
            **{name: chart.title for name in _TITLES},
            'paths': [
                {
                    'value': f'{place.topic(topic)}.{field}',
                    'label': field,
                    'enabled': True,
                    'timestampMethod': 'receiveTime',
                    'color': _COLOURS[line % len(_COLOURS)],
                }
                for line, (topic, field) in enumerate(chart.lines)
            ],
            'showLegend': True,
            # Beside the lines: a floating legend covers them.
            'legendDisplay': 'left',
            'sidebarDimension': _LEGEND_PX,
            'showXAxisLabels': True,
            'showYAxisLabels': True,
            'isSynced': True,
            'xAxisVal': 'timestamp',
        }
        for at, chart in enumerate(charts)
    }
    tabs = list(panels)
    panels['RawMessages!learner'] = {'topicPath': place.topic(names.LEARNER_STATUS)}
    others = ['RawMessages!learner']
    if arm is not None:
        panels['3D!arm'] = _scene(place, arm)
        panels['RawMessages!safety'] = {'topicPath': place.topic(names.SAFETY_STATUS)}
        panels['DiagnosticSummary!all'] = {'topicToRender': place.topic(names.DIAGNOSTICS)}
        others = ['3D!arm', 'RawMessages!safety', 'DiagnosticSummary!all']
        del panels['RawMessages!learner']
    middle = (len(tabs) + 1) // 2
    columns = [tabs[:middle], tabs[middle:], others]
    layout = {
        'configById': panels,
        'globalVariables': {},
        'userNodes': {},
        'playbackConfig': {'speed': 1},
        'layout': _mosaic([_mosaic(column, 'column') for column in columns], 'row'),
    }
    return json.dumps(layout, indent=1) + '\n'


def _mosaic(parts: Sequence[Any], direction: str) -> Any:
    """Return panels side by side or below one another, each as large as the others."""
    if len(parts) == 1:
        return parts[0]
    return {
        'direction': direction,
        'first': parts[0],
        'second': _mosaic(parts[1:], direction),
        'splitPercentage': round(100 / len(parts), 1),
    }


def _scene(place: _Place, arm: Arm) -> dict[str, Any]:
    shown = (names.TOOL_FRAME, names.TARGET_FRAME)
    return {
        'cameraState': {
            'perspective': True,
            'distance': _DISTANCE_M,
            'phi': 65,
            'thetaOffset': 35,
            'target': [0, 0, 0],
            'targetOffset': [0.2, 0, 0.3],
            'targetOrientation': [0, 0, 0, 1],
            'fovy': 45,
            'near': 0.01,
            'far': 100,
        },
        'followMode': 'follow-none',
        'followTf': arm.root,
        'scene': {'transforms': {'labelSize': 0.05}},
        'transforms': {f'frame:{frame}': {'visible': True} for frame in shown},
        'topics': {place.topic(_MARKERS): {'visible': True}},
        'layers': {
            'grid': {
                'instanceId': 'grid',
                'layerId': 'foxglove.Grid',
                'label': 'Grid',
                'visible': True,
                'frameId': arm.root,
                'size': 2,
                'divisions': 20,
                'lineWidth': 1,
                'color': '#9aa0a6ff',
                'position': [0, 0, 0],
                'rotation': [0, 0, 0],
                'order': 1,
            }
        },
    }


def _plotjuggler(place: _Place, charts: Sequence[Chart]) -> str:
    """Return a layout for PlotJuggler: three columns of charts."""
    root = ElementTree.Element('root')
    window = _add(root, 'tabbed_widget', parent='main_window', name='Main Window')
    container = _add(_add(window, 'Tab', tab_name='nrl_ros', containers='1'), 'Container')
    columns = [part for at in range(3) if (part := charts[at::3])]
    across = _split(container, '|', len(columns))
    for column in columns:
        down = _split(across, '-', len(column))
        for chart in column:
            area = _add(down, 'DockArea', name=chart.title)
            plot = _add(
                area, 'plot', mode='TimeSeries', style='Lines', flip_x='false', flip_y='false'
            )
            _add(plot, 'limitY')
            for line, (topic, field) in enumerate(chart.lines):
                colour = _COLOURS[line % len(_COLOURS)]
                _add(plot, 'curve', name=f'{place.topic(topic)}/{field}', color=colour)
    _add(window, 'currentTabIndex', index='0')
    _add(root, 'use_relative_time_offset', enabled='1')
    # Without a streamer PlotJuggler drops all lines whose data it does not have yet.
    plugin = _add(_add(root, 'Plugins'), 'plugin', ID=_STREAMER)
    topics = dict.fromkeys(place.topic(topic) for chart in charts for topic, _ in chart.lines)
    for name, value in {**_SUBSCRIBED, 'selected_topics': ';'.join(topics)}.items():
        _add(plugin, name, value=value)
    _add(root, 'previouslyLoaded_Streamer', name=_STREAMER)
    ElementTree.indent(root)
    text = ElementTree.tostring(root, encoding='unicode')
    return f"<?xml version='1.0' encoding='UTF-8'?>\n{text}\n"


def _split(parent: ElementTree.Element, orientation: str, count: int) -> ElementTree.Element:
    sizes = ';'.join([f'{1 / count:.6f}'] * count)
    return _add(parent, 'DockSplitter', orientation=orientation, sizes=sizes, count=str(count))


def _add(parent: ElementTree.Element, tag: str, /, **attributes: str) -> ElementTree.Element:
    return ElementTree.SubElement(parent, tag, attributes)


def _rviz(place: _Place, arm: Arm) -> str:
    """Return a configuration for RViz: markers of the arm, frames of tool and target, a grid."""
    frames = {'All Enabled': False} | {
        frame: {'Value': True} for frame in (names.TOOL_FRAME, names.TARGET_FRAME)
    }
    displays: list[Mapping[str, Any]] = [
        {
            'Class': 'rviz_default_plugins/Grid',
            'Name': 'Grid',
            'Enabled': True,
            'Cell Size': 0.1,
            'Plane Cell Count': 20,
            'Reference Frame': '<Fixed Frame>',
        },
        {
            'Class': 'rviz_default_plugins/MarkerArray',
            'Name': 'Arm, tool and target',
            'Enabled': True,
            'Topic': {
                'Value': place.topic(_MARKERS),
                'Depth': 16,
                'Durability Policy': 'Volatile',
                'History Policy': 'Keep Last',
                'Reliability Policy': 'Reliable',
            },
        },
        {
            'Class': 'rviz_default_plugins/TF',
            'Name': 'Frames of tool and target',
            'Enabled': True,
            'Marker Scale': 0.2,
            'Show Names': True,
            'Frames': frames,
        },
    ]
    panels = [
        {'Class': f'rviz_common/{name}', 'Name': name} for name in ('Displays', 'Views', 'Time')
    ]
    manager = {
        'Class': '',
        'Displays': displays,
        'Enabled': True,
        'Global Options': {
            'Background Color': '238; 240; 243',
            'Fixed Frame': arm.root,
            'Frame Rate': 30,
        },
        'Tools': [
            {'Class': 'rviz_default_plugins/MoveCamera'},
            {'Class': 'rviz_default_plugins/Measure'},
        ],
        'Value': True,
        'Views': {
            'Current': {
                'Class': 'rviz_default_plugins/Orbit',
                'Name': 'Current View',
                'Distance': _DISTANCE_M,
                'Focal Point': {'X': 0.2, 'Y': 0.0, 'Z': 0.3},
                'Pitch': 0.4,
                'Yaw': 5.3,
                'Target Frame': '<Fixed Frame>',
            }
        },
    }
    return yaml.safe_dump({'Panels': panels, 'Visualization Manager': manager}, sort_keys=False)


def arm_of(robot: str) -> Arm:
    """Return what layouts need to know of an arm.

    Args:
        robot: file of ``config/robots``, or a path.

    Raises:
        ConfigError: it cannot be read.
    """
    from nrl_ros.cli.topic_model import fetched_model
    from nrl_ros.robots.arm.chain_parts import root_name
    from nrl_ros.robots.arm.robot import load_robot

    found = load_robot(robot, xml=fetched_model(robot))
    return Arm(root_name(found.model), len(found.joints))


def robot_of(run: Run) -> str:
    """Return the robot of a run of ``nrl arm``; empty for a run of something else.

    Raises:
        ConfigError: its settings cannot be read.
    """
    if not (run.folder / 'arm.yaml').is_file():
        return ''
    return str(resolve(run.config).environment.bridge.options.get('robot', ''))
