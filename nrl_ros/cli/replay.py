"""The command ``nrl replay``: learns again from a recording, and compares with the run."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from nrl_ros.cli.config import parse_override
from nrl_ros.cli.replay_life import LifeReplay, Replayed, Snapshots
from nrl_ros.cli.runs import check_can_write, recording_of, write_json
from nrl_ros.learning.what_if import Soundness
from nrl_ros.ros import names
from nrl_ros.ros.recorded import Gap, OrderedRun, RunRecords, Step
from nrl_ros.ros.wire import NANOSECONDS
from nrl_ros.storage.checkpoint import write_checkpoint
from nrl_ros.storage.recording_writer import RecordingError
from nrl_ros.storage.recordings import Recording

_SHOWN_GAPS = 20
# Nodes whose settings may be other ones: all else is in the recorded messages.
_ASKED = (names.LEARNER,)


@dataclass
class Replay:
    """A whole replay.

    Attributes:
        lives: one for each learner of the recording.
        gaps: messages that are missing.
        cut_off: how the recording ends early; empty: it does not.
        recorded_s: length of the recording [s].
        seconds: that the replay took [s].
    """

    lives: list[LifeReplay]
    gaps: list[Gap]
    cut_off: list[str]
    recorded_s: float
    seconds: float

    @property
    def exact(self) -> bool:
        """True if every learner was repeated to equal weights."""
        return all(life.result.exact for life in self.lives)

    def data(self) -> dict[str, Any]:
        """Return the result as plain data."""
        return {
            'exact': self.exact,
            'recorded_s': self.recorded_s,
            'seconds': self.seconds,
            'cut_off': self.cut_off,
            'gaps': [asdict(gap) for gap in self.gaps],
            'learners': [_plain(asdict(life.result)) for life in self.lives],
        }


def _plain(data: Any) -> Any:
    """Return data without numbers that JSON does not have."""
    if isinstance(data, dict):
        return {name: _plain(value) for name, value in data.items()}
    if isinstance(data, list):
        return [_plain(value) for value in data]
    return None if isinstance(data, float) and not math.isfinite(data) else data


def replay(
    path: Path,
    seen: Callable[[LifeReplay, Step], None] | None = None,
    overrides: Iterable[str] = (),
) -> Replay:
    """Learn again from a recording.

    Args:
        path: folder or file of the recording, or folder of a run that was recorded.
        seen: is called after each entry.
        overrides: ``learner.NAME=VALUE``: settings of another learner, which is asked what it would
            have learned.

    Raises:
        NrlError: it cannot be read, or holds no learning; a setting is wrong.
    """
    begin = time.monotonic()
    other = {name: value for _, name, value in (parse_override(text, _ASKED) for text in overrides)}
    recording = Recording(recording_of(path))
    run = OrderedRun(RunRecords(recording))
    snapshots = Snapshots(recording)
    lives: dict[int, LifeReplay] = {}
    for step in run.steps():
        life = lives.get(step.life.identity)
        if life is None:
            life = lives[step.life.identity] = LifeReplay(step.life, run, snapshots, other)
        life.step(step)
        if seen is not None:
            seen(life, step)
    for life in lives.values():
        life.end()
    recorded_s = (run.last_ns - run.first_ns) / NANOSECONDS
    cut_off = list(recording.cut_off.values())
    return Replay([*lives.values()], run.gaps, cut_off, recorded_s, time.monotonic() - begin)


def run_replay(
    path: Path,
    say: Callable[[str], None],
    *,
    overrides: Sequence[str] = (),
    json: Path | None = None,
    out: Path | None = None,
) -> int:
    """Replay and say what it came to.

    Args:
        path: as of ``replay``.
        say: prints a line.
        overrides: as of ``replay``.
        json: file for the result; None: none.
        out: file for a checkpoint of what was learned, with the other settings if there are any;
            None: none.

    Returns:
        Exit code: 0 if all weights came out equal.

    Raises:
        NrlError: of ``replay``, or the checkpoint cannot be written.
    """
    for file in filter(None, (json, out)):
        check_can_write(file)
    done = replay(path, overrides=overrides)
    if out is not None:
        _write(done, out)
    if json is not None:
        write_json(json, done.data())
    for life in done.lives:
        for line in life.result.lines():
            say(line)
        if overrides:
            for line in what_if_lines(life.result, overrides):
                say(line)
    for gap in done.gaps[:_SHOWN_GAPS]:
        say(f'missing: {gap.line()}')
    if len(done.gaps) > _SHOWN_GAPS:
        say(f'missing: {len(done.gaps) - _SHOWN_GAPS:,} more; --json FILE has all of them')
    for text in done.cut_off:
        say(text)
    say(
        f'{done.recorded_s:.1f} s of the run in {done.seconds:.2f} s, '
        f'{done.recorded_s / max(done.seconds, 1e-9):.0f} times as fast'
    )
    return 0 if done.exact else 1


def what_if_lines(result: Replayed, overrides: Sequence[str]) -> list[str]:
    """Return in words what other settings would have learned, and how far that is sound."""
    course = result.what_if
    if not course:
        return [f'{", ".join(overrides)}: nothing could be learned']
    last = course[-1]
    found = [
        f'{", ".join(overrides)}: {last.updates:,} updates, weights {last.distance:.3g} times '
        "their norm away from the run's"
    ]
    sound = None
    for one in course:
        if not one.sound:
            break
        sound = one
    reached = 'the first states' if sound is None else f'state {sound.states:,}'
    if sound is last:
        found.append(f'sound to the end: {_shares(last)}')
    else:
        found.append(
            f'sound up to {reached} of {last.states:,}; in the end {_shares(last)}: what was '
            'recorded is of the policy that acted, and tells little of what this one would have '
            'done'
        )
    if result.what_if_ended:
        found.append(result.what_if_ended)
    return found


def _shares(one: Soundness) -> str:
    """Return effective shares in words."""
    told = {'steps': one.steps, 'episodes': one.episodes}
    known = [f'{share:.0%} of the newest {name}' for name, share in told.items() if share == share]
    return ' and '.join(known) + ' are effective' if known else 'too few steps to say'


def _write(done: Replay, path: Path) -> None:
    """Write what was learned in the end as a checkpoint.

    Raises:
        RecordingError: nothing was.
    """
    life = next((one for one in reversed(done.lives) if one.replayer is not None), None)
    if life is None or life.replayer is None:
        raise RecordingError('nothing was learned to the end of the recording: no checkpoint')
    learner = life.replayer.learner if life.what_if is None else life.what_if.learner
    write_checkpoint(path, names.LEARNER, learner.snapshot() | {'number': 0})
