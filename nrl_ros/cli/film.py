"""A film of one episode of a policy, for environments that show what they do."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from nrl_ros.base.errors import ConfigError, NrlError
from nrl_ros.cli.config import RunSettings
from nrl_ros.cli.evaluate import Acting, AtWork, at_work
from nrl_ros.environments.interfaces import Depictable, Rendering
from nrl_ros.environments.registry import ENVIRONMENTS
from nrl_ros.storage.files import written_whole

if TYPE_CHECKING:
    from PIL.Image import Image

# An environment without a limit of its own must not fill the disk.
_MOST_FRAMES = 1_000
# A larger picture is made smaller by a whole number [pixels].
_WIDTH = 400
# Players show no more pictures in a second, whatever a file says, and files have hundredths [s].
_SHORTEST_S = 0.04
_TICK_S = 0.01
# For environments that do not say how long a step takes [s].
_USUAL_S = 0.05


class Film:
    """The pictures of one episode, each taken when it is asked for.

    Args:
        stage: an environment of one instance, and a learner that acts for it.
        seed: of the environment.

    Attributes:
        period_s: between two pictures [s].
        frames: how many were taken.
        steps: of the episode so far.
        episode_return: of the episode, task units [1]; None while it has not ended.

    Raises:
        NrlError: the environment shows nothing.
    """

    def __init__(self, stage: AtWork, seed: int) -> None:
        spec = stage.episodes.info.spec
        if not isinstance(stage.environment, Rendering):
            if isinstance(stage.environment, Depictable):
                raise NrlError(
                    'this environment draws pictures of its own at the end of nrl train, and '
                    'cannot be filmed otherwise: see the GIF in the run folder'
                )
            raise NrlError(
                f'this environment ({type(stage.environment).__name__}) cannot be filmed: it has '
                'no method frame(), which returns a picture (docs/bridges.md)'
            )
        self._stage, self._seed, self._environment = stage, seed, stage.environment
        step_s = spec.control_period_s or _USUAL_S
        self._every = max(int(np.ceil(_SHORTEST_S / step_s - 1e-9)), 1)
        self.period_s = max(round(step_s * self._every / _TICK_S), 1) * _TICK_S
        self.frames = self.steps = 0
        self.episode_return: float | None = None

    def pictures(self) -> Iterator[Image]:
        """Take the pictures one by one: the first, those of later periods, and that of the end."""
        advances = self._stage.advances(self._seed)
        yield self._picture()
        while self.frames < _MOST_FRAMES and self.episode_return is None:
            advance = next(advances)
            self.steps += 1
            if advance.ends is not None:
                self.episode_return = float(advance.ends.episode_return[0])
            if self.steps % self._every == 0 or self.episode_return is not None:
                yield self._picture()

    def _picture(self) -> Image:
        from PIL import Image

        self.frames += 1
        picture = Image.fromarray(np.ascontiguousarray(self._environment.frame(), np.uint8))
        factor = -(-picture.width // _WIDTH)
        return picture.reduce(factor) if factor > 1 else picture


def film(
    settings: RunSettings,
    snapshot: dict[str, Any] | None,
    path: Path,
    *,
    seed: int,
    acting: Acting = 'greedy',
) -> Film:
    """Make a film of the first episode of one instance, without learning.

    Args:
        settings: of the run.
        snapshot: of the learner; None: untrained weights.
        path: of the GIF.
        seed: of the environment.
        acting: how the policy acts.

    Raises:
        ConfigError: the path has another ending.
        NrlError: the environment shows nothing, or the snapshot does not fit the settings.
        OSError: the file cannot be written.
    """
    if path.suffix.lower() != '.gif':
        raise ConfigError(f'--film: expected a name that ends with .gif, received {path}')
    more = _rendering(settings.environment.bridge.name)
    with at_work(settings, snapshot, instances=1, acting=acting, more=more) as stage:
        made = Film(stage, seed)
        pictures = made.pictures()
        first = next(pictures)
        path.parent.mkdir(parents=True, exist_ok=True)
        with written_whole(path) as temporary:
            first.save(
                temporary,
                format='GIF',
                save_all=True,
                append_images=pictures,
                duration=round(1000 * made.period_s),
                loop=0,
            )
    return made


def _rendering(bridge: str) -> dict[str, Any]:
    """Return the option by which a bridge is told to show what it does, if it has one."""
    model = ENVIRONMENTS.options_of(bridge)
    return {'render': True} if model is not None and 'render' in model.model_fields else {}
