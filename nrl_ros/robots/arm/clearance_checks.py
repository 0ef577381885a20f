"""What a description says of the clearance, checked with the model, and told to a person."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from nrl_ros.base.errors import ConfigError, closest, some
from nrl_ros.robots.arm.clearance import Clearance, count_of_links, without_shape
from nrl_ros.robots.arm.description import RobotDescription
from nrl_ros.robots.arm.model import ArmModel
from nrl_ros.robots.arm.shape_pairs import Links, link_name
from nrl_ros.robots.arm.srdf import disabled_pairs


def excluded_pairs(description: RobotDescription, model: ArmModel) -> list[tuple[str, str]]:
    """Return the pairs of links that a description and its SRDF exclude from the clearance.

    Raises:
        ConfigError: a link of ``clearance.exclude`` is not in the model, the SRDF cannot be read,
            or names no pair of the model's links.
    """
    group, name = description.clearance, description.name
    links = [link_name(model, body) for body in range(model.mj.nbody)]
    for link in sorted({link for pair in group.exclude for link in pair} - set(links)):
        raise ConfigError(
            f'robot {name!r}: clearance.exclude: the model has no link {link!r}'
            f'{closest(link, links)}'
        )
    pairs = [(one, other) for one, other in group.exclude]
    if not group.srdf:
        return pairs
    disabled = disabled_pairs(Path(group.srdf))
    # An SRDF of a cell or a mobile robot names links that its arm alone has not.
    known = [pair for pair in disabled if set(pair) <= set(links)]
    if not known:
        raise ConfigError(
            f'robot {name!r}: none of the {len(disabled)} pairs in clearance.srdf {group.srdf} is '
            f'in the model: it names {some(sorted({link for pair in disabled for link in pair}))},'
            f' the model has {some(links)}; is there a prefix?'
        )
    return pairs + known


def check_shapes(robot: str, model: ArmModel, clearance: Clearance | None) -> None:
    """Check that the arm has shapes for the clearance that it should keep.

    Args:
        robot: its name.
        model: of it.
        clearance: of the model; None if no clearance is kept.

    Raises:
        ConfigError: no pair of shapes is compared, because shapes are missing.
    """
    if clearance is None or clearance.pairs:
        return
    missing = without_shape(model)
    left_out = [*clearance.choice.touching, *clearance.choice.excluded]
    if not (missing or model.source.lost or left_out) and count_of_links(model) > 1:
        # All links have shapes, but no two of them can come near one another: nothing is missing.
        return
    if not missing and left_out and not model.source.lost:
        raise ConfigError(
            f'robot {robot!r}: no pair of links is left to compare, so that nothing would keep the '
            f'arm from touching itself: {by_link(left_out)} are left out, since they touch in '
            'every pose or clearance excludes them. Give them smaller shapes, or take them from '
            'clearance.exclude; or set workspace.clearance_m: 0, to move it without a clearance'
        )
    lost = f' ({some(model.source.lost, "; ", 3)})' if model.source.lost else ''
    which = f'links without a shape: {some(missing)}' if missing else 'the model has no shapes'
    raise ConfigError(
        f'robot {robot!r}: no pair of shapes is left to compare, so that nothing would keep the '
        f'arm from touching itself; {which}{lost}. Give them collision shapes, or meshes (STL, '
        'OBJ, DAE) that are found: package_paths says where packages are; or set '
        'workspace.clearance_m: 0, to move it without a clearance'
    )


def shape_notes(description: RobotDescription, model: ArmModel, clearance: Clearance) -> list[str]:
    """Return notes on shapes that are missing and on pairs that are left out."""
    notes, choice = [], clearance.choice
    missing, box = without_shape(model), description.workspace
    if missing:
        notes.append(f'links without a shape, of which no clearance is watched: {some(missing)}')
    if model.source.visual:
        notes.append(
            'compared by their visual shapes, since they have no other: '
            f'{some(model.source.visual)}'
        )
    if model.source.lost:
        notes.append(f'meshes that are left out: {some(model.source.lost, "; ", 3)}')
    if model.source.capsules:
        bodies = [model.mj.body(capsule.link).id for capsule in model.source.capsules]
        links = [link_name(model, body) for body in dict.fromkeys(bodies)]
        notes.append(f'compared by the capsules of the description: {some(links)}')
    if choice.touching:
        notes.append(f'not compared, since they touch in every pose: {by_link(choice.touching)}')
    if choice.excluded:
        srdf = ' and its SRDF say' if description.clearance.srdf else ' says'
        notes.append(f'not compared, as clearance{srdf}: {by_link(choice.excluded)}')
    if not box.clearance_m:
        notes.append('the clearance of the arm from itself is not watched (clearance_m: 0)')
    return notes


def pair_lines(clearance: Clearance) -> list[str]:
    """Return lines that say which pairs of links are compared, and why others are not."""
    choice = clearance.choice
    lines = [
        f'{_count(choice.watched)} watched: {by_link(choice.watched)}',
        f'{_count(choice.far)} cannot come near one another: {by_link(choice.far)}',
        f'{_count(choice.touching)} touch in every pose, not compared: {by_link(choice.touching)}',
        f'{_count(choice.fixed)} moved by the same joints, not compared: {by_link(choice.fixed)}',
        f'{_count(choice.excluded)} excluded by the description: {by_link(choice.excluded)}',
    ]
    return [line for line in lines if not line.startswith('0 ')]


def _count(pairs: Sequence[Links]) -> str:
    return f'{len(pairs)} pair{"s" * (len(pairs) != 1)} of links'


def by_link(pairs: Sequence[Links]) -> str:
    """Return pairs of links as text, grouped by the first of both."""
    others: dict[str, list[str]] = {}
    for one, other in pairs:
        others.setdefault(one, []).append(other)
    return '; '.join(f'{one} with {", ".join(names)}' for one, names in others.items())
