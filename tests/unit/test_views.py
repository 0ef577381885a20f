"""Layouts for Foxglove, PlotJuggler and RViz name topics, fields and frames that exist."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import yaml
from typer.testing import CliRunner

from nrl_ros.cli.main import app
from nrl_ros.cli.runs import Run
from nrl_ros.cli.views import RUN, Arm, arm_charts, arm_of, write_views
from nrl_ros.ros import names

ROOT = Path(__file__).parents[2]
VIEWS = ROOT / 'config/views'


def topics_of_nodes() -> dict[str, Any]:
    """Return the message of each topic that layouts may show."""
    pytest.importorskip('rclpy')
    from nrl_ros.ros import interfaces

    return {
        names.STATE: interfaces.EnvState,
        names.ACTION: interfaces.Action,
        names.NEUROMODULATION: interfaces.Neuromodulation,
        names.ENV_STATUS: interfaces.EnvStatus,
        names.LEARNER_STATUS: interfaces.LearnerStatus,
        names.NEUROMODULATOR_STATUS: interfaces.NeuromodulatorStatus,
        names.SAFETY_STATE: interfaces.SafetyState,
    }


def test_every_line_is_a_number_of_a_message_that_there_is() -> None:
    kinds = topics_of_nodes()
    for chart in (*RUN, *arm_charts(6)):
        for topic, field in chart.lines:
            name, _, index = field.partition('[')
            kind = kinds[topic].get_fields_and_field_types()[name]
            assert kind.startswith('sequence<') == bool(index), (topic, field, kind)
            assert 'string' not in kind and '/' not in kind, (topic, field, kind)


def test_the_files_that_come_along_are_those_of_today(tmp_path: Path) -> None:
    """``nrl views --out config/views``, and the same with ``--robot ur5e``, write them anew."""
    made = [*write_views(tmp_path), *write_views(tmp_path, '/', arm_of('ur5e'))]
    assert {path.name for path in made} == {path.name for path in VIEWS.iterdir()}
    for path in made:
        assert path.read_text() == (VIEWS / path.name).read_text(), path.name


def panels_in(layout: Any) -> list[str]:
    if isinstance(layout, str):
        return [layout]
    assert layout['direction'] in ('row', 'column') and 0 < layout['splitPercentage'] < 100
    return panels_in(layout['first']) + panels_in(layout['second'])


def test_a_foxglove_layout_places_each_panel_once(tmp_path: Path) -> None:
    write_views(tmp_path, '/lab', Arm('fr3_link0', 7))
    write_views(tmp_path, '/lab')
    for kind in ('run', 'arm'):
        layout = json.loads((tmp_path / f'foxglove_{kind}.json').read_text())
        placed = panels_in(layout['layout'])
        assert sorted(placed) == sorted(layout['configById'])
    # Panels have their titles by these names; Foxglove knows no other (as ``title``).
    plots = [one for name, one in layout['configById'].items() if name.startswith('Plot!')]
    assert all(one['foxglovePanelTitle'] == one['lichtblickPanelTitle'] for one in plots)
    assert {one['legendDisplay'] for one in plots} == {'left'}, 'a legend covers the lines'
    scene = layout['configById']['3D!arm']
    assert scene['followTf'] == 'fr3_link0'
    assert list(scene['topics']) == ['/lab/environment/markers']
    lines = [
        path['value'] for panel in layout['configById'].values() for path in panel.get('paths', ())
    ]
    assert '/lab/safety_state.wanted[6]' in lines and '/lab/safety_state.wanted[7]' not in lines


def test_a_plotjuggler_layout_counts_what_it_splits(tmp_path: Path) -> None:
    write_views(tmp_path, 'lab')
    root = ElementTree.parse(tmp_path / 'plotjuggler_run.xml').getroot()
    for split in root.iter('DockSplitter'):
        assert len(split) == int(split.get('count', 0)) == len(split.get('sizes', '').split(';'))
    curves = {curve.get('name') for curve in root.iter('curve')}
    assert curves == {f'/lab/{topic}/{field}' for chart in RUN for topic, field in chart.lines}
    # It makes places for lines without data only where it is to stream, and drops them elsewhere.
    streamer, plugin = root.find('previouslyLoaded_Streamer'), root.find('Plugins/plugin')
    assert streamer is not None and plugin is not None
    assert streamer.get('name') == plugin.get('ID') == 'ROS2 Topic Subscriber'
    selected = plugin.find('selected_topics')
    assert selected is not None
    topics = selected.get('value', '').split(';')
    assert {name.rpartition('/')[0] for name in curves if name} == set(topics)


def test_rviz_shows_the_markers_and_frames_of_an_arm() -> None:
    manager = yaml.safe_load((VIEWS / 'arm.rviz').read_text())['Visualization Manager']
    assert manager['Global Options']['Fixed Frame'] == 'base_link'
    shown = {display['Class']: display for display in manager['Displays']}
    topic = shown['rviz_default_plugins/MarkerArray']['Topic']
    assert topic['Value'] == '/' + names.MARKERS.replace('~', names.ENVIRONMENT)
    assert {names.TOOL_FRAME, names.TARGET_FRAME} <= shown['rviz_default_plugins/TF'][
        'Frames'
    ].keys()


def test_the_command_takes_the_namespace_of_a_run(tmp_path: Path) -> None:
    run = Run(tmp_path / 'run')
    run.folder.mkdir()
    run.config.write_text('{}')
    (run.folder / 'ros.json').write_text('{"ROS_DOMAIN_ID": 7, "namespace": "/cartpole_s0_1a2b3c"}')
    told = CliRunner().invoke(app, ['views', str(run.folder), '--out', str(tmp_path / 'views')])
    assert told.exit_code == 0, told.output
    assert len(told.output.splitlines()) == 2
    text = (tmp_path / 'views/foxglove_run.json').read_text()
    assert '"/cartpole_s0_1a2b3c/env_status.mean_return"' in text


def test_the_command_knows_the_arm_of_a_run(tmp_path: Path) -> None:
    run = Run(tmp_path / 'run')
    run.folder.mkdir()
    run.config.write_text((ROOT / 'config/fr3.yaml').read_text())
    (run.folder / 'arm.yaml').write_text('{}')
    command = ['views', str(run.folder), '--namespace', 'left', '--out', str(tmp_path / 'views')]
    told = CliRunner().invoke(app, command)
    assert told.exit_code == 0, told.output
    text = (tmp_path / 'views/arm.rviz').read_text()
    assert 'Fixed Frame: fr3_link0' in text and 'Value: /left/environment/markers' in text
