"""Pairs of links that an SRDF, the file of MoveIt beside a URDF, lets touch."""

from __future__ import annotations

from pathlib import Path

from nrl_ros.base.errors import ConfigError
from nrl_ros.robots.arm.model_files import read_model, root_of


def disabled_pairs(path: Path) -> list[tuple[str, str]]:
    """Return the pairs of links of an SRDF's ``disable_collisions``.

    Raises:
        ConfigError: the file cannot be read, has none, or one of them does not name two links.
    """
    root = root_of(read_model(path), str(path))
    found = []
    for element in root.findall('disable_collisions'):
        links = (element.get('link1', ''), element.get('link2', ''))
        if not all(links):
            named = ''.join(links) or 'no link'
            raise ConfigError(
                f'{path}: a disable_collisions names {named}, expected link1 and link2'
            )
        found.append(links)
    if not found:
        raise ConfigError(
            f'{path} has no disable_collisions, expected an SRDF, as MoveIt has one beside a URDF'
        )
    return found
