"""Files of settings are read as they stand, or refused in one line that says what to mend."""

from __future__ import annotations

from pathlib import Path

import pytest

from nrl_ros.base.config_files import find_config, read_yaml
from nrl_ros.base.errors import ConfigError
from nrl_ros.base.settings import Settings, load
from nrl_ros.cli.config import parse_override
from nrl_ros.settings.run import read_config


def write(folder: Path, data: str | bytes) -> Path:
    path = folder / 'a.yaml'
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return path


@pytest.mark.parametrize(
    ('text', 'key', 'lines'),
    [
        ('a: 1\nb: 2\na: 3', 'a', (1, 3)),
        ('top:\n  a: {x: 1}\n  b: 2\n  a: {y: 1}', 'top.a', (2, 4)),
        ('a.b: 1\na:\n  b: 2', 'a.b', (1, 3)),
        ('a:\n- b: 1\n  c: 2\n  b: 3', 'a.0.b', (2, 4)),
        ('a: {b: 1, b: 1}', 'a.b', (1, 1)),
        ("1: x\n'1': y", '1', (1, 2)),
    ],
)
def test_a_key_that_stands_twice_is_refused_with_both_lines(tmp_path, text, key, lines) -> None:
    with pytest.raises(ConfigError) as error:
        read_yaml(write(tmp_path, text))
    said = f'key {key!r} stands twice, in line {lines[0]} and in line {lines[1]}'
    assert said in str(error.value)


def test_a_node_that_stands_twice_in_a_task_is_refused(tmp_path) -> None:
    node = '/**/learner:\n  ros__parameters:\n    seed: 1\n'
    with pytest.raises(ConfigError, match=r"'/\*\*/learner' stands twice, in line 1 and in line 4"):
        read_config(write(tmp_path, node + node))
    other = node.replace('/**/learner', '/learner')
    with pytest.raises(ConfigError, match="'seed' below '/learner' and below '/\\*\\*/learner'"):
        read_config(write(tmp_path, node + other))


def test_a_key_of_an_override_that_stands_twice_is_refused() -> None:
    with pytest.raises(ConfigError, match='not a YAML value'):
        parse_override('environment.bridge.options={robot: a, robot: b}')


def test_what_anchors_bring_in_may_be_replaced(tmp_path) -> None:
    text = 'a: &base {x: 1, y: 2}\nb:\n  <<: *base\n  x: 3\nc: *base\n'
    assert read_yaml(write(tmp_path, text))['b'] == {'x': 3, 'y': 2}


ALIASES = 'a: &a {x: 1, y: 2}\n' + ''.join(
    f'b{n}: &b{n} {{p: *{"a" if n == 0 else f"b{n - 1}"}, q: *{"a" if n == 0 else f"b{n - 1}"}}}\n'
    for n in range(30)
)


@pytest.mark.parametrize(
    ('data', 'said'),
    [
        (ALIASES, 'more than 20000 keys'),
        ('a: &a\n  b: *a\n', 'not valid YAML'),
        ('[' * 5000, 'nested too deeply'),
        (b'a: \xff\xfe', 'not valid YAML: byte 3 is none of a text'),
        ('a:\n\tb: 1\n', "line 2, column 1: .*'\\\\t'.* indent with spaces, not with tabs$"),
        ('a: [1,\nb: 2', "line 2, column 5: .* expected ',' or '\\]'"),
        ('a: 2024-13-45', 'not valid YAML'),
        (b'# ' + b'x' * (5 * 2**20), 'is larger than'),
    ],
)
def test_what_is_no_file_of_settings_is_told_in_one_line(tmp_path, data, said) -> None:
    with pytest.raises(ConfigError, match=said) as error:
        read_yaml(write(tmp_path, data))
    assert '\n' not in str(error.value)


@pytest.mark.parametrize('kind', ['file', 'folder'])
def test_a_name_that_is_no_task_but_stands_in_the_folder_is_told_so(
    tmp_path, monkeypatch, kind
) -> None:
    """People give a run folder, or a file without its ending."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'mine').mkdir() if kind == 'folder' else (tmp_path / 'mine').touch()
    with pytest.raises(ConfigError, match=f"unknown task 'mine'.* the {kind} .*\\.yaml"):
        find_config('mine')
    with pytest.raises(ConfigError, match="unknown task ''.* known are"):
        find_config('')


def test_a_folder_in_place_of_a_file_is_refused(tmp_path) -> None:
    with pytest.raises(ConfigError, match='cannot read'):
        read_yaml(tmp_path)


@pytest.mark.parametrize('encoding', ['utf-8', 'utf-8-sig', 'utf-16'])
def test_every_kind_of_unicode_is_read(tmp_path, encoding) -> None:
    assert read_yaml(write(tmp_path, 'name: größe\n'.encode(encoding))) == {'name': 'größe'}


class _Named(Settings):
    name: str = 'a'
    joints: tuple[str, ...] = ()


@pytest.mark.parametrize(
    'given', [{'name': True}, {'name': None}, {'joints': [1]}, {'joints': ['a', 1.5]}]
)
def test_a_name_that_yaml_reads_as_something_else_needs_quotes(given) -> None:
    with pytest.raises(ConfigError, match='need quotes'):
        load(_Named, given, source='a file')
