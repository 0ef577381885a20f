"""The recorder node: writes all topics of a run to an MCAP recording (docs/recording.md).

It takes messages as bytes and reads none of them. The nodes of the run do not know of it, and never
wait for it: what it cannot take in time is lost, counted, and said.
"""

from __future__ import annotations

from nrl_ros.nodes.process import prepare_process

if __name__ == '__main__':
    prepare_process()

import os
import time
from collections import Counter
from pathlib import Path
from typing import Any

from nrl_ros.nodes.recorder_checkpoints import RecordedCheckpoints
from nrl_ros.nodes.recorder_topics import RecordedTopics
from nrl_ros.ros import conversion, names, qos
from nrl_ros.ros.draining import DrainingExecutor
from nrl_ros.ros.interfaces import RecorderStatus
from nrl_ros.ros.lifecycle import NrlNode
from nrl_ros.ros.lifecycle import main as run_node
from nrl_ros.settings.recorder import RecorderNodeSettings
from nrl_ros.storage.recording_writer import (
    Attachment,
    RecordingWriter,
    Splitting,
    WriterThread,
)

_MIB = 1 << 20
# How often new topics are looked for [s].
_LOOK_S = 0.25
_NICE = 10


class RecorderNode(NrlNode[RecorderNodeSettings]):
    """Subscribes to all topics in its namespace; publishes ``recorder_status``."""

    def __init__(self, **options: Any) -> None:
        super().__init__(names.RECORDER, RecorderNodeSettings, **options)
        self._thread: WriterThread | None = None
        self._said_lost: Counter[str] = Counter()
        self._said_heard: set[str] = set()

    def configure(self) -> None:
        """Open the recording, and subscribe."""
        settings, split = self.settings, self.settings.split
        named = settings.folder or time.strftime('recording-%Y%m%d-%H%M%S')
        folder = Path(settings.root, named).expanduser().resolve()
        self._writer = RecordingWriter(
            folder,
            {'namespace': self.get_namespace(), 'began': time.strftime('%Y-%m-%dT%H:%M:%S%z')},
            Splitting(split.chunk_kib * 1024, split.chunk_s, split.file_mib * _MIB, split.file_s),
            os.environ.get('ROS_DISTRO', ''),
        )
        self._thread = WriterThread(self._writer, settings.queue_mib * _MIB)
        self._checkpoints = RecordedCheckpoints(
            self, self._keep_file, settings.attached_mib * _MIB, ask=settings.checkpoint
        )
        self._topics = RecordedTopics(self, self._thread, settings.topics, self._checkpoints)
        self._status: Any = self.publisher(RecorderStatus, names.RECORDER_STATUS, qos.latched())
        self.periodic(_LOOK_S, self._look)
        self.periodic(settings.status_period_s, self._report)
        self.get_logger().info(f'records {self.get_namespace()} to {folder}')

    def activate(self) -> None:
        """Say that it listens."""
        self._look()
        self._report()

    def idle(self) -> None:
        """Pass on what was taken."""
        if self._thread is not None:
            self._topics.hand_over()

    def deactivate(self) -> None:
        """Take what has come, and end the recording."""
        if self._thread is None:
            return
        self._topics.drain()
        self._checkpoints.end()
        self._thread.close()
        self._report(recording=False)
        if self._thread.fault:
            return
        facts = self._writer.facts
        files = f'{len(facts.files)} file{"" if len(facts.files) == 1 else "s"}'
        self.get_logger().info(
            f'recorded {sum(facts.counts.values()):,} messages of {len(facts.counts)} topics in '
            f'{files}, {self._writer.file_bytes / _MIB:.1f} MiB: '
            f'{self._writer.folder}'
        )

    def cleanup(self) -> None:
        """Close the recording if that was not done."""
        if self._thread is not None:
            self._thread.close()
            self._thread = None

    def _keep_file(self, attachment: Attachment) -> None:
        assert self._thread is not None
        self._thread.keep_file(attachment)

    def _look(self) -> None:
        self._topics.look()
        self._checkpoints.look()
        if self._topics.heard != self._said_heard:
            self._report()
        assert self._thread is not None
        if self._thread.fault:
            # All that comes is missing from now on, which no setting mends.
            if not self.exit_requested:
                self.fail(
                    f'nothing can be recorded any more: {self._thread.fault}; what was written '
                    f'until then stays in {self._writer.folder}'
                )
            return
        lost = self._thread.lost - self._said_lost
        if lost:
            self._said_lost = Counter(self._thread.lost)
            self.say_seldom(
                'lost',
                'messages came faster than they could be written and are missing in the '
                f'recording: {dict(self._thread.lost)}; raise queue_mib, or record to a faster '
                'disk',
            )

    def _report(self, *, recording: bool = True) -> None:
        thread, writer = self._thread, self._writer
        assert thread is not None
        self._said_heard = set(self._topics.heard)
        counts = dict(writer.facts.counts)
        message = RecorderStatus(
            folder=str(writer.folder),
            recording=recording and not thread.fault,
            messages=sum(counts.values()),
            bytes=writer.bytes,
            file_bytes=writer.file_bytes,
            files=len(writer.facts.files),
            dropped=sum(thread.lost.values()),
            queued_bytes=max(thread.queued_bytes, 0),
            topic=list(counts),
            count=list(counts.values()),
            lost=[thread.lost[name] for name in counts],
            heard=sorted(self._topics.heard),
            fault=thread.fault,
        )
        conversion.set_stamp(message.header.stamp, self.now_ns())
        self._status.publish(message)


def main(argv: list[str] | None = None) -> int:
    """Run the node.

    Args:
        argv: arguments; None: those of the process.
    """
    # Threads of the middleware are made later and have the same: on a busy machine the nodes of the
    # run go first, and keep what the recorder has not taken yet. A batch process interrupts nobody
    # when a message wakes it; the class for idle time costs no less, and starves on a busy machine.
    os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
    os.nice(_NICE)
    return run_node(RecorderNode, argv, kind=DrainingExecutor)


if __name__ == '__main__':
    raise SystemExit(main())
