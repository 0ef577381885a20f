"""The version is written in three places and is the same in all."""

import ast
import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from nrl_ros import __version__

ROOT = Path(__file__).parents[2]


def text(name: str) -> str:
    path = ROOT / name
    if not path.exists():
        pytest.skip(f'{name} does not exist')
    return path.read_text()


def test_version_has_three_numbers() -> None:
    assert re.fullmatch(r'\d+\.\d+\.\d+', __version__)


def test_version_of_package_xml() -> None:
    assert ElementTree.fromstring(text('package.xml')).findtext('version') == __version__


def test_version_of_setup_py() -> None:
    """Either written out there, or read from nrl_ros/__init__.py or package.xml."""
    source = text('setup.py')
    found = [
        keyword.value
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Call)
        for keyword in node.keywords
        if keyword.arg == 'version'
    ]
    literal = [value.value for value in found if isinstance(value, ast.Constant)]
    assert all(version == __version__ for version in literal)
    assert literal or '__version__' in source or 'package.xml' in source


def test_version_of_pyproject_toml_if_it_has_one() -> None:
    match = re.search(r'^version\s*=\s*["\'](.+)["\']', text('pyproject.toml'), re.MULTILINE)
    assert match is None or match[1] == __version__
