"""Xacro files: expanded where xacro is installed, else told with the command that does it."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType
from typing import Any
from xml.dom import minidom

import numpy as np
import pytest

from tests.unit.test_arm_descriptions import URDF, YAML, load, refused

NAMESPACE = ' xmlns:xacro="http://www.ros.org/wiki/xacro"'
# The forearm's length is an argument, the upper arm's is a property of a file in a package.
XACRO = (
    URDF.replace('<robot', f'<robot{NAMESPACE}')
    .replace(
        '<link name="base_link"/>',
        '<xacro:arg name="reach" default="0.25"/><xacro:arg name="long" default="false"/>'
        '<xacro:include filename="$(find stub_parts)/lengths.xacro"/><link name="base_link"/>',
    )
    .replace('0.25 0 0"', """$(arg reach) 0 ${0.1 if '$(arg long)' == 'true' else 0}\"""")
    .replace('xyz="0 0 0.3"', 'xyz="0 0 ${upper}"')
)


@pytest.fixture
def parts(tmp_path: Path) -> Path:
    """A package beside the model, as in a workspace: $(find) needs no installation."""
    folder = tmp_path / 'stub_parts'
    folder.mkdir()
    (folder / 'package.xml').write_text('<package><name>stub_parts</name></package>')
    (folder / 'lengths.xacro').write_text(
        f'<robot{NAMESPACE}><xacro:property name="upper" value="${{2 * 0.15}}"/></robot>'
    )
    return tmp_path


def tool_at_zero(folder: Path, text: str) -> list[float]:
    robot = load(folder, XACRO, text)
    return [round(float(x), 9) for x in robot.chain.tool(np.zeros((1, 3)))[0]]


def test_a_xacro_file_is_expanded_with_its_arguments(parts: Path) -> None:
    """At 0 the tool is 0.1 + 0.3 m up, and as far out as the argument says."""
    pytest.importorskip('xacro')
    assert tool_at_zero(parts, YAML) == [0.25, 0.0, 0.4]
    given = YAML + 'xacro_arguments: {reach: 0.2, long: true}\n'
    assert tool_at_zero(parts, given) == [0.2, 0.0, 0.5]


def test_what_xacro_cannot_expand_is_told_with_the_reason(parts: Path) -> None:
    pytest.importorskip('xacro')
    (parts / 'stub_parts' / 'lengths.xacro').write_text(f'<robot{NAMESPACE}/>')
    said = refused(parts, XACRO)
    assert 'this is a xacro file' in said and "name 'upper' is not defined" in said
    (parts / 'stub_parts' / 'package.xml').unlink()
    (parts / 'stub_parts').rename(parts / 'elsewhere')
    assert "package 'stub_parts' is in no folder of package_paths" in refused(parts, XACRO)


def test_xacro_is_given_arguments_as_texts_and_finds_packages(
    parts: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a stand-in for xacro, so that it is checked where xacro is not installed."""
    inner = ModuleType('substitution_args')
    vars(inner)['_eval_find'] = usual = lambda package: f'/opt/{package}'
    given: dict[str, Any] = {}

    def process_file(path: str, mappings: dict[str, str]) -> Any:
        given.update(mappings, path=path, found=vars(inner)['_eval_find']('stub_parts'))
        return minidom.parseString(URDF)

    outer = ModuleType('xacro')
    vars(outer).update(process_file=process_file, substitution_args=inner)
    monkeypatch.setitem(sys.modules, 'xacro', outer)
    monkeypatch.setitem(sys.modules, 'xacro.substitution_args', inner)
    text = YAML + 'xacro_arguments: {reach: 0.2, long: true}\n'
    assert tool_at_zero(parts, text) == [0.25, 0.0, 0.4]
    assert given == {
        'reach': '0.2',
        'long': 'true',
        'path': str(parts / 'arm.urdf'),
        'found': str(parts / 'stub_parts'),
    }
    assert vars(inner)['_eval_find'] is usual


def test_without_xacro_the_command_is_told(parts: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, 'xacro', None)
    said = refused(parts, XACRO, YAML + 'xacro_arguments: {reach: 0.2, long: true}\n')
    assert '`xacro arm.urdf reach:=0.2 long:=true -o arm_expanded.urdf`' in said


def test_arguments_without_a_xacro_file_are_refused(tmp_path: Path) -> None:
    said = refused(tmp_path, URDF, YAML + 'xacro_arguments: {reach: 0.2}\n')
    assert 'is no xacro file: remove them' in said
