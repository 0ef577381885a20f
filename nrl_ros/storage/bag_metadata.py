"""The file ``metadata.yaml`` beside the files of a recording, as rosbag2 writes it.

References:
    rosbag2_storage, ``metadata_io``, version 9 (ROS 2 Jazzy and later).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from nrl_ros.storage.files import written_whole

# By which a file in MCAP ends that was closed.
_MCAP_END = b'\x89MCAP0\r\n'
METADATA = 'metadata.yaml'
_VERSION = 9
_INFINITE = {'sec': 9223372036, 'nsec': 854775807}


@dataclass(frozen=True)
class Topic:
    """A recorded topic.

    Attributes:
        name: absolute.
        type: of its messages, such as std_msgs/msg/Bool.
        schema: the definition of the type and of those in it, as ``ros2msg``.
        reliable: its publishers repeat what is lost.
        latched: late subscribers get the newest messages.
        depth: messages that its publishers keep.
        type_hash: of the definition, as ROS 2 computes it; empty: not known.
    """

    name: str
    type: str
    schema: str
    reliable: bool = True
    latched: bool = False
    depth: int = 10
    type_hash: str = ''

    def offered(self) -> list[dict[str, Any]]:
        """Return the QoS that was offered, as rosbag2 keeps it."""
        return [
            {
                'history': 'keep_last',
                'depth': self.depth,
                'reliability': 'reliable' if self.reliable else 'best_effort',
                'durability': 'transient_local' if self.latched else 'volatile',
                'deadline': dict(_INFINITE),
                'lifespan': dict(_INFINITE),
                'liveliness': 'automatic',
                'liveliness_lease_duration': dict(_INFINITE),
                'avoid_ros_namespace_conventions': False,
            }
        ]


@dataclass
class FileFacts:
    """What is in one file of a recording.

    Attributes:
        name: without its folder.
        start_ns: when its first message was received; 0: it has none.
        end_ns: and its last one.
        messages: how many there are.
    """

    name: str
    start_ns: int = 0
    end_ns: int = 0
    messages: int = 0

    def add(self, received_ns: int) -> None:
        """Note a message that was received at a time [ns]."""
        self.start_ns = min(self.start_ns, received_ns) if self.messages else received_ns
        self.end_ns = max(self.end_ns, received_ns)
        self.messages += 1


@dataclass
class BagFacts:
    """What is in a recording.

    Attributes:
        topics: by name.
        counts: messages of each topic.
        files: in their order.
        distribution: of ROS.
    """

    topics: dict[str, Topic] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    files: list[FileFacts] = field(default_factory=list)
    distribution: str = ''

    def text(self) -> str:
        """Return the content of ``metadata.yaml``."""
        filled = [one for one in self.files if one.messages]
        start = min((one.start_ns for one in filled), default=0)
        end = max((one.end_ns for one in filled), default=0)
        information = {
            'version': _VERSION,
            'storage_identifier': 'mcap',
            'duration': {'nanoseconds': end - start},
            'starting_time': {'nanoseconds_since_epoch': start},
            'message_count': sum(self.counts.values()),
            'topics_with_message_count': [
                {
                    'topic_metadata': {
                        'name': topic.name,
                        'type': topic.type,
                        'serialization_format': 'cdr',
                        'offered_qos_profiles': topic.offered(),
                        'type_description_hash': topic.type_hash,
                    },
                    'message_count': self.counts.get(name, 0),
                }
                for name, topic in self.topics.items()
            ],
            'compression_format': '',
            'compression_mode': '',
            'relative_file_paths': [one.name for one in self.files],
            'files': [
                {
                    'path': one.name,
                    'starting_time': {'nanoseconds_since_epoch': one.start_ns},
                    'duration': {'nanoseconds': one.end_ns - one.start_ns},
                    'message_count': one.messages,
                }
                for one in self.files
            ],
            'custom_data': None,
            'ros_distro': self.distribution,
        }
        return yaml.safe_dump({'rosbag2_bagfile_information': information}, sort_keys=False)

    def write(self, folder: Path) -> None:
        """Write ``metadata.yaml``, so that a reader sees the old file or the new one."""
        with written_whole(folder / METADATA) as unfinished:
            unfinished.write_text(self.text(), encoding='utf-8')


def offered_text(topic: Topic) -> str:
    """Return the QoS that was offered as text, which MCAP keeps with a channel."""
    return yaml.safe_dump(topic.offered(), sort_keys=False)


def listed_files(folder: Path) -> Sequence[str]:
    """Return the names of files that ``metadata.yaml`` lists; empty if there is none or it is not.

    A recorder that was killed may have begun a file after it wrote the list.
    """
    return _listed(folder)[0]


def is_empty(folder: Path) -> bool:
    """Return whether a recording was ended without any message.

    One that was killed in its first seconds has messages of which ``metadata.yaml`` does not know
    yet; its last file lacks the end of an MCAP file.
    """
    names, count = _listed(folder)
    try:
        return count == 0 and all(
            (folder / name).read_bytes().endswith(_MCAP_END) for name in names
        )
    except OSError:
        return False


def _listed(folder: Path) -> tuple[list[str], int | None]:
    """Return names of files and the number of messages of ``metadata.yaml``; None: not known."""
    try:
        data = yaml.safe_load((folder / METADATA).read_text(encoding='utf-8'))
        about = data['rosbag2_bagfile_information']
        return [str(name) for name in about['relative_file_paths']], about.get('message_count')
    except (OSError, ValueError, yaml.YAMLError, LookupError, TypeError, AttributeError):
        return [], None
