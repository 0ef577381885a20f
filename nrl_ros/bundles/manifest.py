"""The manifest of a bundle: what a policy takes and gives, and where it comes from."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import Field, PositiveInt, model_validator

from nrl_ros.base.config_files import read_yaml
from nrl_ros.base.errors import ConfigError, ShapeError
from nrl_ros.base.manifest import first_difference, sides
from nrl_ros.base.records import ActionKind, ActionSpace, EnvSpec
from nrl_ros.base.settings import Settings, parse

FILE = 'manifest.yaml'
# Of the form of this file; raised when an older nrl_ros could misread it.
FORMAT = 1

_HEAD = """\
# A policy for `nrl play` and other programs: docs/export.md says what each entry means.
"""


class ObservationManifest(Settings):
    """What the policy takes."""

    size: PositiveInt = Field(description='Numbers of an observation, in the units of the task')
    format: Literal['float32', 'uint8'] = Field(
        'float32',
        description='Number format in which the environment sends them; bytes come to the graph as '
        'numbers from 0 to 255',
    )
    meaning: tuple[str, ...] = Field(
        (), description='What they are, with names, units and scales, line by line'
    )


class ActionManifest(Settings):
    """What the policy gives."""

    kind: Literal['discrete', 'multi_discrete', 'continuous']
    sizes: tuple[PositiveInt, ...] = Field((), description='Choices of each component')
    low: tuple[float, ...] = Field((), description='Least value of each number, in its unit')
    high: tuple[float, ...] = Field((), description='Largest value of each number, in its unit')

    @model_validator(mode='after')
    def _fits(self) -> ActionManifest:
        if self.kind == 'continuous':
            if not self.low or len(self.low) != len(self.high):
                raise ValueError('continuous actions: expected low and high of equal length')
        elif not self.sizes:
            raise ValueError(f'{self.kind} actions: expected sizes')
        return self

    @classmethod
    def of(cls, space: ActionSpace) -> ActionManifest:
        """Return the manifest of an action space."""
        kind: Any = space.kind.name.lower()
        if space.kind == ActionKind.CONTINUOUS:
            return cls(kind=kind, low=tuple(space.low), high=tuple(space.high))
        return cls(kind=kind, sizes=tuple(space.sizes))

    @property
    def space(self) -> ActionSpace:
        """The action space."""
        if self.kind == 'continuous':
            return ActionSpace.continuous(self.low, self.high)
        if self.kind == 'discrete':
            return ActionSpace.discrete(self.sizes[0])
        return ActionSpace.multi_discrete(self.sizes)


class GraphManifest(Settings):
    """The graph, and how its inputs and outputs are used."""

    file: str = 'policy.onnx'
    sha256: str = Field('', description='Of the file; empty: not checked')
    observation: str = Field('observation', description='Name of the input for observations')
    action: str = Field('action', description='Name of the output for actions')
    memory: str = Field('', description='Name of the input for what is remembered; empty: nothing')
    new_memory: str = Field('', description='Name of the output for what is remembered')
    scaled: bool = Field(
        True,
        description='The output is the action itself, clipped; false: real actions come from -1 to '
        '1, and those of choices as one number for each, of which the largest is taken',
    )


class PolicyManifest(Settings):
    """All that a manifest says."""

    format: Annotated[int, Field(ge=1)] = FORMAT
    task: str = ''
    observation: ObservationManifest
    action: ActionManifest
    control_period_s: float = Field(
        0.0, ge=0, description='Time between two actions [s]; 0: it has no meaning'
    )
    graph: GraphManifest = GraphManifest()
    trained: dict[str, Any] = Field({}, description='Figures of the training, for people')
    versions: dict[str, str] = Field({}, description='Of what has written it, for people')

    @property
    def meaning(self) -> str:
        """The interface description, as ``EnvSpec.manifest``."""
        return '\n'.join(self.observation.meaning)

    def check(self, agent: str, spec: EnvSpec) -> None:
        """Refuse an environment that does not fit.

        Args:
            agent: its name.
            spec: of the environment.

        Raises:
            ShapeError: naming both sides.
        """
        space, different = self.action.space, ''
        if lines := first_difference(self.meaning, spec.manifest):
            different = (
                f'learned with "{lines[0]}", received "{lines[1]}"'
                f'{sides(self.meaning, spec.manifest)}'
            )
        if spec.observation_size != self.observation.size or not spec.action.equals(space):
            raise ShapeError(
                f'agent {agent!r} has {spec.observation_size} observations and {spec.action}, the '
                f'policy expects {self.observation.size} and {space}'
                f'{f" ({different})" * bool(different)}'
            )
        if str(spec.observation_format.dtype) != self.observation.format:
            raise ShapeError(
                f'agent {agent!r} sends observations of {spec.observation_format.dtype}, the '
                f'policy expects {self.observation.format}, as observation.format of its manifest '
                'says'
            )
        if different:
            raise ShapeError(
                f'agent {agent!r} means other things by the same numbers than the policy: '
                f'{different}; export a policy that was learned with this robot and task'
            )
        mine, other = self.control_period_s, spec.control_period_s
        if mine and other and abs(other - mine) > 0.01 * mine:
            raise ShapeError(
                f'agent {agent!r} acts every {other:g} s, the policy learned with {mine:g} s, '
                'expected the same within 1 %; set the rate of the robot, or action_every of the '
                'task'
            )


def digest(content: bytes) -> str:
    """Return the SHA-256 of a file's content."""
    return hashlib.sha256(content).hexdigest()


def write_manifest(manifest: PolicyManifest, folder: Path) -> None:
    """Write the manifest of a bundle."""
    text = yaml.safe_dump(
        manifest.model_dump(mode='json', exclude_defaults=False), sort_keys=False, width=100
    )
    (folder / FILE).write_text(_HEAD + text, encoding='utf-8')


def read_manifest(folder: Path) -> PolicyManifest:
    """Read the manifest of a bundle.

    Raises:
        ConfigError: there is none, or it says something that cannot be.
    """
    path = folder / FILE
    if not path.is_file():
        raise ConfigError(
            f'{folder}: expected a bundle, a folder with {FILE} and a graph, as `nrl export RUN` '
            'writes it'
        )
    content = read_yaml(path)
    if not isinstance(content, dict):
        raise ConfigError(f'{path}: expected entries such as observation and action')
    manifest = parse(PolicyManifest, content, source=str(path), what='entry')
    if manifest.format > FORMAT:
        raise ConfigError(
            f'{path}: has format {manifest.format}, expected at most {FORMAT}: a later nrl_ros has '
            'written it; install that one'
        )
    return manifest
