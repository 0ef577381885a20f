"""The command ``nrl approve``: takes a person's decision to a guarded learner."""

from __future__ import annotations

from rich.console import Console
from std_srvs.srv import SetBool

from nrl_ros.cli.waiting import OnlyOne, Waiting, node_of_command
from nrl_ros.ros import names

_SERVICE = names.APPROVE.replace('~', names.LEARNER)
_KIND = 'std_srvs/srv/SetBool'
# Longest wait for the service to be found, and for its answer [s].
_FIND_S, _ANSWER_S = 8.0, 5.0
_WORDS = OnlyOne(
    'learners serve approvals',
    '--namespace',
    'no learner is found',
    'name the domain that the run shows at its start by --domain-id',
)


def run(namespace: str, domain: int | None, console: Console, *, yes: bool) -> int:
    """Call ``approve`` of a learner, and print its answer.

    Args:
        namespace: of the learner; empty: of the only one that is found.
        domain: ROS domain; None: ROS_DOMAIN_ID.
        console: for the answer.
        yes: approve; otherwise reject.

    Returns:
        Exit code: 0, or 1 if nothing waited for approval.

    Raises:
        NrlError: there is no learner, there are several, or it does not answer.
    """
    with node_of_command('approve', domain) as (node, signals):
        waiting = Waiting(node, signals)
        client = node.create_client(SetBool, _find(waiting, namespace))
        request = SetBool.Request(data=yes)
        answer = waiting.call(client, request, find_s=_FIND_S, answer_s=_ANSWER_S, of='node')
        console.print(answer.message, markup=False, highlight=False, soft_wrap=True)
    return 0 if answer.success else 1


def _find(waiting: Waiting, namespace: str) -> str:
    """Return the name of the service.

    Raises:
        NrlError: there is none, or there are several.
    """
    if namespace:
        return f'/{namespace.strip("/")}/{_SERVICE}'.replace('//', '/')

    def found() -> list[str]:
        known = waiting.node.get_service_names_and_types()
        return [name for name, kinds in known if name.endswith(f'/{_SERVICE}') and _KIND in kinds]

    return waiting.only(found, _FIND_S, _WORDS)
