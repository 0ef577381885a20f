"""What other tests rely on."""

from __future__ import annotations

import pytest

pytest.importorskip('rclpy')
pytest.importorskip('nrl_ros.msg')

from lifecycle_msgs.srv import GetState

pytestmark = pytest.mark.ros


def test_a_call_to_a_server_that_was_killed_is_answered_by_the_next_one(ros):
    """The killed one is still there for the middleware, and takes the first call with it."""
    probe = ros.probe()
    killed = ros.start('neuromodulator')
    probe.call('neuromodulator', '~/get_state', GetState, GetState.Request())
    killed.kill()
    ros.start('neuromodulator')
    answer = probe.call('neuromodulator', '~/get_state', GetState, GetState.Request())
    assert answer.current_state.label in ('unconfigured', 'inactive', 'active')
