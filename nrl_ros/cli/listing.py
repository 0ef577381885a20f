"""What there is to choose from, by kind: files of ``config`` and parts with a registry."""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from nrl_ros.base.config_files import config_files
from nrl_ros.base.errors import ConfigError, NrlError, closest
from nrl_ros.base.registry import Registry
from nrl_ros.environments.registry import ENVIRONMENTS
from nrl_ros.learning.baselines import BASELINES
from nrl_ros.learning.heads import HEADS
from nrl_ros.learning.networks.passes import NETWORKS
from nrl_ros.learning.noise import NOISE_SHAPES
from nrl_ros.learning.optimisers import OPTIMISERS
from nrl_ros.learning.rules import RULES

Listing = dict[str, str]


def _files(group: str) -> Listing:
    return {name: _first_comment(path) for name, path in config_files(group).items()}


def _first_comment(path: Path) -> str:
    """Return the first sentence of the comment that a file begins with; '' if it has none."""
    lines = []
    for line in path.read_text(encoding='utf-8').splitlines():
        if not line.startswith('#'):
            break
        lines.append(line.lstrip('# '))
    return _first_sentence(' '.join(lines))


def _first_sentence(text: str) -> str:
    sentence, dot, _ = ' '.join(text.split()).partition('. ')
    return sentence + ('.' if dot else '')


def _parts(registry: Registry[Any], *, modules: bool = False) -> Listing:
    """Return the parts of a registry with the first line of what makes them.

    Args:
        registry: of one kind of part.
        modules: the docstring of the module says what the part is, that of the function does not.
    """
    found = {}
    for name in registry.names():
        try:
            entry = registry[name]
        except NrlError as error:
            # One that another package has broken must not hide the others.
            found[name] = str(error)
            continue
        if isinstance(entry, functools.partial):
            entry = next(filter(callable, entry.args), entry.func)
        told = sys.modules.get(entry.__module__) if modules else entry
        found[name] = (inspect.getdoc(told) or '').partition('\n')[0]
    return found


KINDS: dict[str, Callable[[], Listing]] = {
    'tasks': lambda: _files(''),
    'robots': lambda: _files('robots'),
    'studies': lambda: _files('study'),
    'bridges': lambda: _parts(ENVIRONMENTS, modules=True),
    'rules': lambda: _parts(RULES),
    'noises': lambda: _parts(NOISE_SHAPES),
    'neurons': lambda: _parts(NETWORKS),
    'heads': lambda: _parts(HEADS),
    'optimisers': lambda: _parts(OPTIMISERS),
    'baselines': lambda: _parts(BASELINES),
}


def listing(kind: str) -> Listing:
    """Return the names of one kind, each with a line that says what it is.

    Args:
        kind: one of KINDS.

    Raises:
        ConfigError: there is no such kind.
    """
    if kind not in KINDS:
        raise ConfigError(f'nrl list: unknown kind {kind!r}{closest(kind, KINDS)}')
    return KINDS[kind]()


def lines(found: Listing) -> list[str]:
    """Return one line for each name: the name, and what it is, in columns."""
    width = max(map(len, found), default=0)
    return [f'{name:<{width}}  {what}'.rstrip() for name, what in found.items()]
