"""Profiles of Fast DDS: found without being asked for, and the same for both of its versions."""

from __future__ import annotations

import re
from importlib import metadata
from pathlib import Path

import pytest

from nrl_ros.ros import middleware
from nrl_ros.ros.middleware import (
    PROFILE_VARIABLES,
    fast_dds_version,
    here_without_shared_memory,
    middleware_variables,
)

FAST_DDS = 'rmw_fastrtps_cpp'
RANGE = 'ROS_AUTOMATIC_DISCOVERY_RANGE'
HERE = {RANGE: 'LOCALHOST'}


def profile(version: int, *, udp_only: bool) -> Path:
    found = middleware_variables({}, udp_only=udp_only, version=version)
    assert PROFILE_VARIABLES[5 - version] not in found
    return Path(found[PROFILE_VARIABLES[version]])


def meaning(file: Path) -> str:
    """A profile without comments, its names spelled in one way: Fast DDS 3 renamed some."""
    text = re.sub(r'<!--.*?-->', '', file.read_text(), flags=re.DOTALL)
    text = re.sub(r'[A-Z]', lambda letter: f'_{letter[0].lower()}', text)
    return re.sub(r'\s+', '', text)


@pytest.mark.parametrize('version', [2, 3])
@pytest.mark.parametrize('udp_only', [False, True])
def test_each_version_of_fast_dds_finds_its_own_file(version: int, udp_only: bool) -> None:
    ending = '_udp.xml' if udp_only else '.xml'
    assert profile(version, udp_only=udp_only).name == f'fast_dds_{version}{ending}'
    assert profile(version, udp_only=udp_only).is_file()


@pytest.mark.parametrize('rclpy, version', [('7.1.6', 2), ('9.1.2', 3), ('10.0.1', 3)])
def test_the_version_follows_from_that_of_ros(
    monkeypatch: pytest.MonkeyPatch, rclpy: str, version: int
) -> None:
    monkeypatch.setattr(middleware.metadata, 'version', lambda _: rclpy)
    assert fast_dds_version() == version


def test_without_ros_there_is_no_profile(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> str:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(middleware.metadata, 'version', missing)
    assert fast_dds_version() is None
    assert middleware_variables({}, udp_only=False, version=None) == {}


def test_the_variable_of_the_launch_file_means_the_same_as_the_argument() -> None:
    asked = middleware_variables({'NRL_UDP_ONLY': '1'}, udp_only=False, version=3)
    assert asked | {'NRL_UDP_ONLY': '1'} == middleware_variables({}, udp_only=True, version=3)
    assert asked['FASTDDS_BUILTIN_TRANSPORTS'] == 'UDPv4'


def test_what_a_user_has_set_stays() -> None:
    own = {'FASTDDS_DEFAULT_PROFILES_FILE': 'mine.xml', 'FASTDDS_BUILTIN_TRANSPORTS': 'SHM'}
    assert not own.keys() & middleware_variables(own, udp_only=True, version=3).keys()


@pytest.mark.parametrize('variable', PROFILE_VARIABLES.values())
@pytest.mark.parametrize('version', PROFILE_VARIABLES)
def test_a_profile_of_the_users_own_under_either_name_stays_the_only_one(
    variable: str, version: int
) -> None:
    """Fast DDS would read both, and Kilted's still reads what the older name says."""
    assert middleware_variables({variable: 'mine.xml'}, udp_only=False, version=version) == {}


@pytest.mark.parametrize('udp_only', [False, True])
def test_both_versions_are_told_the_same(udp_only: bool) -> None:
    older, newer = (meaning(profile(version, udp_only=udp_only)) for version in (2, 3))
    assert older == newer


def test_sharing_no_memory_changes_nothing_else() -> None:
    """The profile of an arm is that of a training and a list of what is listened to."""
    shared, apart = (meaning(profile(3, udp_only=udp_only)) for udp_only in (False, True))
    assert re.sub('<participant.*</participant>', '', apart) == shared


def changed(
    environment: dict[str, str], implementation: str = FAST_DDS, version: int = 3
) -> dict[str, str]:
    """What a process of an arm changes with these variables."""
    whole = environment | middleware_variables(environment, udp_only=True, version=version)
    return here_without_shared_memory(whole, implementation=implementation, version=version)


@pytest.mark.parametrize('version', PROFILE_VARIABLES)
def test_on_this_machine_alone_an_arm_shares_no_memory(version: int) -> None:
    """Of LOCALHOST rmw_fastrtps makes shared memory; so the profile says what LOCALHOST means."""
    found = changed(HERE, version=version)
    assert found.keys() == {RANGE, PROFILE_VARIABLES[version]}
    assert found[RANGE] == 'SYSTEM_DEFAULT'
    text = meaning(Path(found[PROFILE_VARIABLES[version]]))
    assert '<use_builtin_transports>false</use_builtin_transports>' in text
    assert '<type>_u_d_pv4</type>' in text and 's_h_m' not in text
    # Found on this machine alone, and not by multicast.
    peers = '<initial_peers_list><locator><udpv4><address>127.0.0.1</address></udpv4></locator>'
    assert peers in text and '<metatraffic_unicast_locator_list>' in text


def test_the_older_variable_for_this_machine_alone_means_the_same() -> None:
    found = changed({'ROS_LOCALHOST_ONLY': '1'})
    assert found == {**changed(HERE), 'ROS_LOCALHOST_ONLY': '0'}


@pytest.mark.parametrize(
    'environment',
    [
        {},
        {RANGE: 'SUBNET'},
        {RANGE: 'OFF'},
        {**HERE, 'ROS_STATIC_PEERS': '10.0.0.2'},
        {**HERE, 'ROS_DISCOVERY_SERVER': '10.0.0.2:11811'},
        {**HERE, 'FASTDDS_DEFAULT_PROFILES_FILE': 'mine.xml'},
        {**HERE, 'FASTRTPS_DEFAULT_PROFILES_FILE': 'mine.xml'},
    ],
)
def test_a_range_that_the_profile_would_not_keep_stays(environment: dict[str, str]) -> None:
    assert changed(environment) == {}


def test_other_middlewares_keep_their_range() -> None:
    """They would be found by the whole network: the profile is one of Fast DDS."""
    assert changed(HERE, 'rmw_cyclonedds_cpp') == {}


def test_a_process_that_shares_memory_keeps_its_range() -> None:
    shared = HERE | middleware_variables(HERE, udp_only=False, version=3)
    assert here_without_shared_memory(shared, implementation=FAST_DDS, version=3) == {}


def test_the_profiles_of_this_machine_alone_say_the_same_in_both_versions() -> None:
    older, newer = (
        meaning(Path(changed(HERE, version=version)[PROFILE_VARIABLES[version]]))
        for version in (2, 3)
    )
    assert older == newer
    apart = meaning(profile(3, udp_only=True))
    without = re.sub('<transport_descriptors>.*</transport_descriptors>', '', newer)
    assert re.sub('<rtps>.*</rtps>', '', without) == re.sub('<rtps>.*</rtps>', '', apart)
