"""The live page with real nodes: over its WebSocket, and in a real browser if there is one."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import shutil
import threading
from typing import Any

import pytest

pytest.importorskip('rclpy')
pytest.importorskip('nrl_ros.msg')
pytest.importorskip('mujoco')
pytest.importorskip('aiohttp')

import aiohttp
from rclpy.impl.implementation_singleton import rclpy_implementation
from std_msgs.msg import Float32, String
from std_srvs.srv import Trigger

from nrl_ros.cli.config import parameter_file
from nrl_ros.robots.arm.model_files import MODELS_FOLDER
from nrl_ros.robots.arm.robot import Robot, load_robot
from nrl_ros.robots.safety.records import Mode
from nrl_ros.ros import names, qos
from nrl_ros.ros.interfaces import EnvStatus, LearnerStatus, SafetyStatus
from tests.ros.harness import TIMEOUT_S, Probe, Ros, robot_file

pytestmark = pytest.mark.ros

_BROWSERS = ('chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable')
_ARGUMENTS = (
    '--headless', '--no-sandbox', '--disable-gpu', '--disable-background-networking',
    '--disable-component-update', '--no-first-run',
)  # fmt: skip
_LEARNED = {
    'learner': {'seed': 3, 'network.hidden_sizes': [8], 'status_period_s': 0.2},
    'neuromodulator': {'status_period_s': 0.2},
    'environment': {
        'agent': 'scripted',
        'bridge.name': 'scripted',
        'bridge.instances': 3,
        'bridge.options.lengths': [5, 9, 3],
        'bridge.options.endings': ['terminated', 'truncated', 'terminated'],
        'stop.steps': 3_000,
        'stop.exit': False,
        'status_period_s': 0.2,
    },
}
STATUS = {
    'environment': names.ENV_STATUS,
    'learner': names.LEARNER_STATUS,
    'neuromodulator': names.NEUROMODULATOR_STATUS,
}


def start_page(ros: Ros, **settings: Any) -> str:
    """Start the node; returns the address that it prints."""
    process = ros.start('page', {'port': 0, **settings})
    output = process.until_logged('page: http')
    found = re.search(r'page: (http://\S+)\n', output)
    assert found is not None, output
    return found[1]


def start_run(ros: Ros, namespace: str = '') -> None:
    """Start a short training that stays there when it has finished."""
    path = ros.folder / f'all{namespace}.yaml'
    path.write_text(parameter_file(_LEARNED))
    more = ('-r', f'__ns:=/{namespace}') if namespace else ()
    ros.start('app', None, *more, params_file=str(path))


class Safety:
    """Stands where the safety node of an arm stands: what it is asked, and what it reports.

    It reports again and again, as that does: one that is silent for 5 s has left, for the page.
    """

    def __init__(self, probe: Probe) -> None:
        self.asked: list[str] = []
        self._node: Any = probe.node
        name = f'{names.SAFETY}/'
        for word in ('stop', 'clear'):
            probe.node.create_service(Trigger, f'{name}{word}', self._served(word))
        self._status = probe.node.create_publisher(SafetyStatus, names.SAFETY_STATUS, qos.latched())
        self._ended = threading.Event()
        probe.context.on_shutdown(self._ended.set)
        self.report(Mode.HOLDING, '')
        threading.Thread(target=self._go_on, daemon=True).start()

    def _go_on(self) -> None:
        while not self._ended.wait(0.5):
            # It is gone before the context is, where a test ends.
            with contextlib.suppress(rclpy_implementation.InvalidHandle):
                self._status.publish(self._newest)

    def _served(self, word: str) -> Any:
        def serve(_request: Any, response: Any) -> Any:
            self.asked.append(word)
            response.success, response.message = True, f'{word} it is'
            return response

        return serve

    def report(self, mode: Mode, why: str, robot: Robot | None = None) -> None:
        """Publish a status of an arm; None: of the planar one."""
        robot = load_robot('planar') if robot is None else robot
        self._newest = SafetyStatus(
            robot=robot.description.name,
            manifest=robot.digest(),
            mode=int(mode),
            why=why,
            speed_share=0.5,
        )
        self._status.publish(self._newest)


class Reader:
    """A page over a WebSocket, as a browser has it, while a probe spins."""

    def __init__(self, probe: Probe, url: str) -> None:
        self._probe, self._url = probe, url
        self.told: list[dict[str, Any]] = []

    def talk(self, until: Any, *wishes: dict[str, Any]) -> None:
        """Ask for something and take what is told, until something holds."""
        asyncio.run(asyncio.wait_for(self._talk(until, wishes), TIMEOUT_S))

    async def _talk(self, until: Any, wishes: Any) -> None:
        async with (
            aiohttp.ClientSession() as session,
            session.ws_connect(f'{self._url}runs', protocols=('nrl',)) as socket,
        ):
            self.told.append(await socket.receive_json())
            for wish in wishes:
                await socket.send_str(json.dumps(wish))
            while not until(self):
                self._probe.executor.spin_once(timeout_sec=0.01)
                try:
                    self.told.append(await socket.receive_json(timeout=0.05))
                except asyncio.TimeoutError:
                    continue

    def answers(self) -> list[tuple[int, str]]:
        """Numbers and kinds of the answers so far."""
        return [(one['id'], one['how']) for one in self.told if one.get('kind') == 'answer']

    def newest(self, list_name: str, part: str) -> Any:
        """What was told last of a part of a run or an arm."""
        found = [view[part] for one in self.told for view in one.get(list_name, ()) if part in view]
        return found[-1] if found else None


def test_a_run_is_shown_and_steered_over_its_services(ros, tmp_path):
    start_run(ros)
    probe = ros.probe()
    probe.hear(names.LEARNER_STATUS)
    probe.until_heard(names.ENV_STATUS, lambda message: message.finished)
    # It is opened when no episode ends any more, and has the curve since the first one.
    reader = Reader(probe, start_page(ros))
    reader.talk(lambda one: one.newest('runs', 'state') == 'finished' and _offers(one, 'freeze'))
    reader.talk(lambda one: one.newest('runs', 'series')['learning']['rows'])
    rows = reader.newest('runs', 'series')['learning']['rows']
    assert rows[0][0] < rows[-1][0] and 2_900 <= rows[-1][0] <= 3_000 + 3
    node = '/learner'
    reader.talk(
        lambda one: len(one.answers()) >= 3,
        {'id': 1, 'do': 'freeze', 'node': node, 'value': True},
        {'id': 2, 'do': 'learning_rate', 'node': node, 'value': 0.125},
        {'id': 3, 'do': 'noise', 'node': node, 'value': -1.0},
        {'id': 4, 'do': 'save', 'node': node},
    )
    assert {(1, 'done'), (2, 'done'), (4, 'failed')} <= set(reader.answers())
    # The learner has no folder for checkpoints, and a wrong value gets no further than the page.
    refused = [one['why'] for one in reader.told if one.get('kind') == 'refused']
    assert refused == ["noise: expected a number at least 0, received '-1.0'"]
    heard = probe.until_heard(names.LEARNER_STATUS, lambda m: m.frozen and m.learning_rate == 0.125)
    assert heard.frozen


def _offers(reader: Reader, deed: str) -> bool:
    known = [one['controls'] for one in reader.told if 'controls' in one]
    return bool(known) and any(name == deed for name, _ in known[-1])


def test_an_arm_is_stopped_at_once_and_cleared_by_a_second_press(ros):
    probe = ros.probe()
    safety, reader = Safety(probe), Reader(probe, start_page(ros))
    reader.talk(
        lambda one: _offers(one, 'stop') and 'radius' in (one.newest('arms', 'shape') or ())
    )
    safety.report(Mode.STOPPED, 'emergency stop')
    stop, clear = ({'do': do, 'node': f'/{names.SAFETY}'} for do in ('stop', 'clear'))
    reader.talk(lambda one: len(one.answers()) == 2, {'id': 1, **clear}, {'id': 2, **stop})
    assert set(reader.answers()) == {(1, 'again'), (2, 'done')}
    assert safety.asked == ['stop']
    reader.talk(lambda one: (one.newest('arms', 'status') or {}).get('stopped'))
    assert reader.newest('arms', 'status')['why'] == 'emergency stop'
    assert len(reader.newest('arms', 'shape')['radius']) > 3


def test_an_arm_whose_model_is_on_a_topic_is_drawn_in_its_namespace(ros):
    """The page runs in the root namespace, and the arm with its description in another one."""
    probe = ros.probe('cell/left')
    xml = (MODELS_FOLDER / 'planar.xml').read_text()
    latched = probe.node.create_publisher(String, 'robot_description', qos.latched())
    latched.publish(String(data=xml))
    file = robot_file(ros.folder, name='mine', model='robot_description')
    # A description of the same kind under another name is no reason to wait for its model.
    (ros.folder / 'other').mkdir()
    other = robot_file(ros.folder / 'other', name='other', model='robot_description')
    Safety(probe).report(Mode.HOLDING, '', load_robot(file, xml=xml))
    reader = Reader(probe, start_page(ros, robots=f'{other},{file}'))
    reader.talk(lambda one: 'radius' in (one.newest('arms', 'shape') or ()))
    assert reader.newest('arms', 'namespace') == '/cell/left'


def test_all_environments_of_one_learner_are_shown(ros):
    """Their reports are on one topic, and come all at once to a page that is opened later."""
    probe = ros.probe('fleet/one')
    agents = [f'cart_{number}' for number in range(24)]
    for agent in agents:
        latched = probe.node.create_publisher(EnvStatus, names.ENV_STATUS, qos.latched())
        latched.publish(EnvStatus(agent=agent, session=1, steps=5, active=True))
    # What a stranger says in the name of the learner keeps nobody from being shown.
    wrong = probe.node.create_publisher(LearnerStatus, names.LEARNER_STATUS, qos.latched())
    wrong.publish(LearnerStatus(health_name=['snr'], health_value=[]))
    reader = Reader(probe, start_page(ros))
    reader.talk(lambda one: {run['agent'] for run in _runs(one)} == set(agents))
    assert all(run['namespace'] == '/fleet/one' for run in _runs(reader))


def _runs(reader: Reader) -> list[Any]:
    return [run for one in reader.told for run in one.get('runs', ()) if 'facts' in run]


def test_with_steering_switched_off_nothing_is_passed_on(ros):
    probe = ros.probe()
    safety = Safety(probe)
    reader = Reader(probe, start_page(ros, steer=False))
    stop = {'id': 1, 'do': 'stop', 'node': f'/{names.SAFETY}'}
    reader.talk(lambda one: any(told.get('kind') == 'refused' for told in one.told), stop)
    assert reader.told[0]['you']['steers'] is False
    assert not safety.asked


def test_the_reward_of_a_person_reaches_the_environment_that_it_is_for(ros):
    probe = ros.probe()
    given: list[float] = []
    topic = '/human_reward/cart'
    probe.node.create_subscription(Float32, topic, lambda one: given.append(one.data), qos.event())
    reader = Reader(probe, start_page(ros))
    reader.talk(lambda one: _offers(one, 'reward'))
    reader.talk(lambda _: bool(given), {'id': 1, 'do': 'reward', 'node': topic, 'value': -1})
    assert given == [-1.0]
    assert reader.answers() == [(1, 'done')]


# ------------------------------------------------------------------ a browser


@pytest.fixture(scope='module')
def browser():
    """A real browser."""
    module = pytest.importorskip(
        'playwright.sync_api', reason='playwright is not installed: make setup-test'
    )
    program = next(filter(None, map(shutil.which, _BROWSERS)), None)
    if program is None:
        pytest.skip('no Chromium is installed: sudo apt install chromium')
    with module.sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=program, args=list(_ARGUMENTS))
        yield opened
        opened.close()


def open_page(browser: Any, url: str, **options: Any) -> tuple[Any, list[str]]:
    """Open the page; returns it, and what went wrong in it or went elsewhere."""
    page = browser.new_context(**options).new_page()
    wrong: list[str] = []
    page.on('pageerror', lambda error: wrong.append(str(error)))
    page.on('console', lambda line: wrong.append(line.text) if line.type == 'error' else None)
    page.on('request', lambda one: None if one.url.startswith(url) else wrong.append(one.url))
    page.goto(url)
    page.wait_for_selector('#link.live')
    return page, wrong


def test_a_browser_shows_what_the_topics_say_of_runs_side_by_side(ros, browser):
    for namespace in ('first', 'second'):
        start_run(ros, namespace)
    url = start_page(ros)
    probe = ros.probe('first')
    probe.until_heard(names.ENV_STATUS, lambda message: message.finished)
    page, wrong = open_page(browser, url, viewport={'width': 1280, 'height': 900})
    page.wait_for_selector('[data-run="/first:scripted"] .badge.finished', timeout=30_000)
    page.wait_for_selector('[data-run="/second:scripted"] .badge.finished', timeout=30_000)
    for node, topic in STATUS.items():
        # Latched: the newest message comes again.
        probe.heard[topic] = []
        probe.hear(topic)
        for field, value in _plain(probe.until_heard(topic)).items():
            fact = f'[data-run="/first:scripted"] [data-fact="{node}.{field}"]'
            page.wait_for_selector(f"{fact}[data-raw='{json.dumps(value)}']")
    # Charts are drawn after the figures, when the browser finds the time.
    page.wait_for_function(
        """() => [...document.querySelectorAll('[data-run="/first:scripted"] canvas')].filter(one =>
        one.getContext('2d').getImageData(0, 0, one.width, one.height).data.some(x => x)
        ).length >= 5"""
    )
    # A third card makes the others narrower: their charts are drawn anew, and not squeezed.
    Safety(ros.probe('third'))
    page.wait_for_selector('[data-run="arm:/third"]')
    page.wait_for_function(
        """() => [...document.querySelectorAll('.card canvas')].every(one =>
        Math.abs(one.width - one.clientWidth) <= 1)"""
    )
    assert not wrong


def _plain(message: Any) -> dict[str, Any]:
    """Fields of a status that are shown, and stay as they are once the run has finished."""
    shown = ('steps', 'episodes', 'mean_baseline')
    if isinstance(message, LearnerStatus):
        shown = ('updates', 'weight_norm')
    return {field: getattr(message, field) for field in shown if hasattr(message, field)}


def test_a_phone_shows_why_the_arm_is_stopped_and_stops_it(ros, browser):
    probe = ros.probe()
    safety = Safety(probe)
    url = start_page(ros)
    page, wrong = open_page(
        browser, url, viewport={'width': 390, 'height': 844}, is_mobile=True, has_touch=True
    )
    page.wait_for_selector('#stop:not([hidden])')
    safety.report(Mode.STOPPED, 'joint elbow is beyond its limit by 0.2 rad')
    page.wait_for_selector('.why:not([hidden])')
    why = page.locator('.why').text_content()
    assert why == 'Stopped: joint elbow is beyond its limit by 0.2 rad'
    # Nothing is wider than the screen.
    assert page.evaluate('document.documentElement.scrollWidth') <= 390

    def tap(selector: str, times: int) -> None:
        page.locator(selector).first.tap()
        probe.until(lambda: page.wait_for_timeout(50) or len(safety.asked) >= times, selector)

    tap('#stop', 1)
    page.locator('[data-do=clear]').tap()
    page.wait_for_selector('button.again')
    assert safety.asked == ['stop']
    page.wait_for_timeout(500)  # A double click is no second press.
    tap('[data-do=clear]', 2)
    assert safety.asked == ['stop', 'clear']
    assert not wrong


def test_without_the_token_a_browser_only_reads_and_forgets_none_in_its_address(
    ros, browser, monkeypatch
):
    monkeypatch.setenv('NRL_PAGE_TOKEN', 'a-token-of-16-characters')
    probe = ros.probe()
    Safety(probe)
    address = start_page(ros)
    bare, _, token = address.partition('#')
    assert token == 'token=a-token-of-16-characters'
    page, _ = open_page(browser, bare)
    page.wait_for_selector('[data-run="arm:"]')
    assert page.locator('#stop').is_hidden()
    assert 'has no token' in page.locator('#note').text_content()
    page, _ = open_page(browser, address)
    page.wait_for_selector('#stop:not([hidden])')
    assert page.url == bare
    page.reload()
    page.wait_for_selector('#stop:not([hidden])')


def test_the_page_connects_again_by_itself(ros, browser):
    probe = ros.probe()
    Safety(probe)
    url, process = start_page(ros), ros._parts[-1]
    page, _ = open_page(browser, url)
    port = int(url.rpartition(':')[2].rstrip('/'))
    process.interrupt()
    page.wait_for_selector('#link.lost')
    ros.start('page', {'port': port}).until_logged('page: ')
    page.wait_for_selector('#link.live')
    page.wait_for_selector('[data-run="arm:"]')
