"""Gymnasium environments as other people have them; imported by the bridge as a module of ids."""

import gymnasium
import numpy as np
from gymnasium.spaces import Box, Dict, Discrete, Space, Tuple


class Sound(gymnasium.Env):
    """An environment without a fault; the others change one thing each."""

    observation_space = Box(0.0, 1.0, (2,), np.float32)
    action_space = Discrete(2)
    seen = np.zeros(2, np.float32)
    reward, terminated, truncated = 1.0, False, False

    def reset(self, *, seed=None, options=None):
        return self.seen, {}

    def step(self, action):
        return self.seen, self.reward, self.terminated, self.truncated, {}


class Shown(Sound):
    """Renders a picture whose brightness is the step of the episode."""

    metadata = {'render_modes': ['rgb_array'], 'render_fps': 50}
    length = 9

    def __init__(self, render_mode=None):
        self.render_mode, self.count = render_mode, 0

    def reset(self, *, seed=None, options=None):
        self.count = 0
        return self.seen, {}

    def step(self, action):
        self.count += 1
        return self.seen, 1.0, self.count == self.length, False, {}

    def render(self):
        assert self.render_mode == 'rgb_array'
        return np.full((30, 900, 3), 20 * self.count, np.uint8)


class ShownAsText(Shown):
    metadata = {'render_modes': ['ansi']}

    def render(self):
        return 'a text'


class OldReset(Sound):
    def reset(self):
        return self.seen


class OldResult(Sound):
    def reset(self, seed=None, options=None):
        return self.seen


class OldTuple(Sound):
    """An observation of two parts looks like an observation and an info."""

    observation_space = Tuple((Discrete(2), Discrete(2)))

    def reset(self, seed=None, options=None):
        return (0, 1)


class OldStep(Sound):
    def step(self, action):
        return self.seen, 1.0, False, {}


class NoStep(Sound):
    def step(self, action):
        return None


class Silent(Sound):
    def step(self, action):
        raise NotImplementedError


class Masked(Sound):
    def reset(self, *, seed=None, options=None):
        return self.seen, {'action_mask': np.array([1, 0], np.int8)}

    def step(self, action):
        raise AssertionError


class Lines(Sound):
    def reset(self, *, seed=None, options=None):
        raise RuntimeError('first\nsecond')


class Drifting(Sound):
    def step(self, action):
        return np.zeros(3, np.float32), 1.0, False, False, {}


class Turned(Sound):
    def step(self, action):
        return np.zeros((1, 2), np.float32), 1.0, False, False, {}


class NoObservation(Sound):
    def step(self, action):
        return None, 1.0, False, False, {}


class Bare(Sound):
    observation_space = Box(0.0, 1.0, (1,), np.float32)
    seen = 0.5


class Picture(Sound):
    observation_space = Box(0, 255, (4, 4, 3), np.uint8)
    seen = np.full((4, 4, 3), 7, np.uint8)


class LatePicture(Picture):
    def step(self, action):
        return np.zeros((4, 4), np.uint8), 1.0, False, False, {}


class Parts(Sound):
    observation_space = Dict({'image': Box(0.0, 1.0, (2,), np.float32), 'side': Discrete(2)})
    seen = {'image': np.zeros(2, np.float32), 'side': 1}


class LackingPart(Parts):
    def step(self, action):
        return {'image': np.zeros(2, np.float32)}, 1.0, False, False, {}


class WrongPart(Parts):
    def step(self, action):
        return {'image': np.zeros(3, np.float32), 'side': 1}, 1.0, False, False, {}


class WrongChoice(Parts):
    def step(self, action):
        return {'image': np.zeros(2, np.float32), 'side': 2}, 1.0, False, False, {}


class Mission(Space):
    """A space of a package's own, as MiniGrid's."""


class Spoken(Sound):
    observation_space = Dict({'image': Box(0.0, 1.0, (2,), np.float32), 'mission': Mission()})


class OldSpace(Sound):
    """A space of the package gym, which may not be installed here."""

    observation_space = type(
        'Box', (), {'__module__': 'gym.spaces.box', '__str__': lambda _: 'B'}
    )()


class NoSpace(Sound):
    observation_space = None


class RaisingSpace(Sound):
    @property
    def observation_space(self):
        raise AttributeError('not made yet')


class ArrayReward(Sound):
    reward = np.array([2.0])


class ArrayFlag(Sound):
    terminated = np.array([True])


class TwoRewards(Sound):
    reward = np.array([1.0, 2.0])


class NoReward(Sound):
    reward = None


class NoFlag(Sound):
    truncated = None


class WordFlag(Sound):
    terminated = 'no'


class BadClose(Sound):
    def close(self):
        raise AttributeError("'NoneType' object has no attribute 'finish'")


class OnlyOne(Sound):
    free = True

    def __init__(self):
        if not OnlyOne.free:
            raise OSError('in use')
        OnlyOne.free = False

    def close(self):
        OnlyOne.free = True


class Speaks(Sound):
    """Its package initialises ROS, as this process has done already."""

    def __init__(self):
        raise RuntimeError('Context.init() must only be called once')


for kind in list(vars().values()):
    if isinstance(kind, type) and issubclass(kind, Sound):
        gymnasium.register(f'{kind.__name__}-v0', entry_point=kind)


class Doubled(gymnasium.Wrapper):
    """A wrapper of somebody's own."""

    def __init__(self, env, factor=2.0):
        super().__init__(env)
        self.factor = factor

    def step(self, action):
        seen, reward, terminated, truncated, info = self.env.step(action)
        return seen, self.factor * reward, terminated, truncated, info
