"""A ROS domain for each test."""

import os

import pytest

# Read by the middleware when a context is made.
os.environ['ROS_AUTOMATIC_DISCOVERY_RANGE'] = 'LOCALHOST'


@pytest.fixture(autouse=True, scope='module')
def priority_of_the_tests():
    """Take back the real-time priority that a node in the process of the tests has given it.

    All processes that later modules start would inherit it, and two busy ones leave no processor to
    others.
    """
    from nrl_ros.ros.scheduling import set_realtime_priority

    before = os.sched_getscheduler(0)
    yield
    if os.sched_getscheduler(0) != before:
        set_realtime_priority(0)


@pytest.fixture
def domain(monkeypatch):
    """A domain of its own for commands, which read it from the environment."""
    from tests.ros.harness import own_domain

    with own_domain() as number:
        monkeypatch.setenv('ROS_DOMAIN_ID', str(number))
        yield number


@pytest.fixture
def ros(tmp_path):
    """Processes and probes in a domain of their own, gone at the end."""
    from tests.ros.harness import Ros

    made = Ros(tmp_path)
    yield made
    made.close()
