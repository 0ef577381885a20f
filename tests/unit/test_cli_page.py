"""The commands that show a page: where it listens, whose runs it shows, what they say."""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip('rclpy')
pytest.importorskip('aiohttp')

from nrl_ros.base.errors import ConfigError, NrlError
from nrl_ros.cli import page
from nrl_ros.cli.options import ArmOptions, PageOptions, TrainOptions
from nrl_ros.page import ready
from nrl_ros.page.access import address_of

TOKEN = 'a-token-of-16-characters'


@pytest.fixture(autouse=True)
def no_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv('NRL_PAGE_TOKEN', raising=False)
    monkeypatch.delenv('ROS_DOMAIN_ID', raising=False)


def test_a_page_is_wanted_by_either_option() -> None:
    for kind in (TrainOptions, ArmOptions):
        assert not kind().shows_page
        assert kind(page=True).shows_page and kind(listen='0.0.0.0').shows_page


def test_the_loopback_needs_no_token_and_anything_else_gets_one() -> None:
    here, there = page.choose_place('127.0.0.1'), page.choose_place('0.0.0.0')
    assert here.url == f'http://127.0.0.1:{here.port}/'
    assert there.url == f'http://{socket.gethostname()}:{there.port}/#token={there.token}'
    assert len(there.token) >= 32


def test_a_token_of_ones_own_is_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv('NRL_PAGE_TOKEN', TOKEN)
    assert page.choose_place('127.0.0.1').token == TOKEN
    monkeypatch.setenv('NRL_PAGE_TOKEN', 'short')
    with pytest.raises(ConfigError, match='16 to 128'):
        page.choose_place('127.0.0.1')


def test_a_port_that_is_taken_is_passed_over() -> None:
    first = page.choose_place('127.0.0.1')
    with socket.create_server(('127.0.0.1', first.port)):
        assert page.choose_place('127.0.0.1').port > first.port


def test_an_address_of_no_machine_is_one_line() -> None:
    with pytest.raises(ConfigError, match=r'--listen 192\.0\.2\.1: the page cannot listen there'):
        page.choose_place('192.0.2.1')


def test_what_is_missing_is_said_with_the_command_that_installs_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ready, 'find_spec', lambda _name: None)
    with pytest.raises(ConfigError, match=r"pip install 'nrl_ros\[page\]'"):
        page.choose_place('127.0.0.1')


@pytest.mark.parametrize(
    ('listen', 'url'),
    [
        ('127.0.0.1', 'http://127.0.0.1:7/'),
        ('::1', 'http://[::1]:7/'),
        ('robot', 'http://robot:7/'),
    ],
)
def test_addresses_are_those_that_a_browser_takes(listen: str, url: str) -> None:
    assert address_of(listen, 7, '') == url
    assert address_of(listen, 7, TOKEN) == f'{url}#token={TOKEN}'


def test_the_token_is_no_argument_since_all_see_those() -> None:
    place = page.Place('::', 8642, TOKEN)
    told = page.arguments(place, '/cart', ['/a/b.yaml', 'c.yaml'])
    assert TOKEN not in ' '.join(told)
    assert told == [
        '-p', 'listen:="::"', '-p', 'within:="/cart"', '-p', 'robots:="/a/b.yaml,c.yaml"',
        '-p', 'port:=8642',
    ]  # fmt: skip


def test_the_folder_of_a_run_says_where_its_nodes_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / 'ros.json').write_text('{"ROS_DOMAIN_ID": 42, "namespace": "/cart"}')
    assert page.where(PageOptions(folder=tmp_path)) == (42, '/cart')
    assert page.where(PageOptions(folder=tmp_path, domain=7, namespace='')) == (7, '')
    assert page.where(PageOptions()) == (0, '')
    assert page.where(PageOptions(domain=3, namespace='/a')) == (3, '/a')
    monkeypatch.setenv('ROS_DOMAIN_ID', '5')
    assert page.where(PageOptions()) == (5, '')
    with pytest.raises(NrlError, match='there is no run folder'):
        page.where(PageOptions(folder=tmp_path / 'none'))
    (tmp_path / 'other').mkdir()
    with pytest.raises(
        NrlError, match=r'other/ros.json, which says .* is not there: .*--domain-id'
    ):
        page.where(PageOptions(folder=tmp_path / 'other'))
    (tmp_path / 'ros.json').write_text('{"ROS_DOMAIN_ID": "x"}')
    with pytest.raises(NrlError, match='is damaged'):
        page.where(PageOptions(folder=tmp_path))


def test_a_description_that_cannot_be_read_is_told_before_the_page_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else an arm is not drawn, and nobody knows why."""
    monkeypatch.setattr(os, 'execve', lambda *_: pytest.fail('the page has begun'))
    with pytest.raises(ConfigError, match='cannot read .*none.yaml'):
        page.show(PageOptions(robot_file=[tmp_path / 'none.yaml']))


class FakeProcesses:
    """Stands where the processes of a run are."""

    def __init__(self, *made: Any, **more: Any) -> None:
        self.made, self.more = made, more
        self.started: list[Any] = []
        self.code: int | None = None
        self.stopped = False

    def start(self, *told: Any) -> None:
        self.started.append(told)

    def ended(self) -> dict[str, int]:
        return {} if self.code is None else {'page': self.code}

    def last_lines(self, _name: str) -> str:
        return 'why'

    def stop(self) -> None:
        self.stopped = True


@pytest.mark.parametrize('code', [None, 1])
def test_a_page_beside_a_run_never_ends_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int | None
) -> None:
    made: list[FakeProcesses] = []

    def make(*told: Any, **more: Any) -> FakeProcesses:
        made.append(FakeProcesses(*told, **more))
        return made[0]

    monkeypatch.setattr(page, 'Processes', make)
    said: list[str] = []
    warned: list[str] = []
    options = TrainOptions(listen='0.0.0.0')
    with page.page_beside(options, tmp_path, '/cart', say=said.append, warn=warned.append):
        made[0].code = code
    (process,) = made
    assert process.stopped and process.more['namespace'] == '/cart'
    (told,) = process.started
    token = process.more['environment']['NRL_PAGE_TOKEN']
    assert told[0] == 'page' and 'within:="/cart"' in told and token not in json.dumps(told)
    assert said == [f'page: {said[0].split()[1]}'] and token in said[0]
    assert warned == ([] if code is None else ['the page ended early with exit code 1:\nwhy'])
    assert 'NRL_PAGE_TOKEN' not in os.environ


def test_without_the_option_nothing_is_started(tmp_path: Path) -> None:
    def never(_text: str) -> None:
        raise AssertionError

    with page.page_beside(TrainOptions(), tmp_path, '', say=never, warn=never):
        pass
