"""Frames by tf: each chain that leads to a frame of the model, and what is said where none does."""

from __future__ import annotations

import numpy as np
import pytest

from nrl_ros.base.errors import InvalidValueError
from nrl_ros.robots.arm.chain_parts import Pose, inverse
from nrl_ros.robots.arm.rotations import matrices_of_vectors
from nrl_ros.robots.arm.transforms import TransformTree

# The model stands turned in the frame of the workspace.
OWN = Pose(matrices_of_vectors(np.array([[0.0, 0.0, 0.5]]))[0], np.array([0.0, 0.0, 0.7]))


def known(name: str) -> Pose | None:
    return OWN if name == 'base_link' else None


def pose(seed: int) -> Pose:
    generator = np.random.default_rng(seed)
    turn = matrices_of_vectors(generator.standard_normal((1, 3)))[0]
    return Pose(turn, generator.standard_normal(3))


def same(one: Pose, other: Pose) -> bool:
    return np.allclose(one.rotation, other.rotation) and np.allclose(
        one.translation, other.translation
    )


@pytest.mark.parametrize('upwards', [0, 1, 2, 3])
def test_a_chain_leads_to_the_model_up_and_down_the_tree(upwards: int) -> None:
    """From the camera some links lead up to a parent, then down to a child."""
    turned = [at >= upwards for at in range(3)]
    names = ['camera', 'wrist', 'world', 'base_link']
    tree, expected = TransformTree(), Pose()
    for at, (inner, outer, back) in enumerate(zip(names, names[1:], turned, strict=False)):
        one = pose(at)
        expected = one @ expected
        if back:
            tree.hear(0.0, inner, outer, inverse(one), static=True)
        else:
            tree.hear(0.0, outer, f'/{inner}', one, static=True)
    assert same(tree.find(0.0, '/camera', known), OWN @ expected)
    point = np.array([0.1, -0.2, 0.3])
    np.testing.assert_allclose(
        tree.find(0.0, 'camera', known).of(point), OWN.of(expected.of(point))
    )


def test_a_frame_of_the_model_needs_no_tf() -> None:
    assert TransformTree().find(0.0, 'base_link', known) is OWN


def test_what_moves_has_to_come_again_and_the_newest_counts() -> None:
    tree = TransformTree()
    tree.hear(10.0, 'base_link', 'belt', pose(1), static=False)
    tree.hear(10.5, 'base_link', 'belt', pose(2), static=False)
    assert same(tree.find(11.4, 'belt', known), OWN @ pose(2))
    with pytest.raises(InvalidValueError, match="older than 1 s, 'belt' to 'base_link': 1.6 s"):
        tree.find(12.1, 'belt', known)


def test_a_frame_that_is_moved_to_another_parent_has_left_the_first() -> None:
    tree = TransformTree()
    tree.hear(0.0, 'base_link', 'cup', pose(1), static=False)
    tree.hear(0.1, 'elsewhere', 'cup', pose(1), static=False)
    with pytest.raises(InvalidValueError, match='connects it only with elsewhere'):
        tree.find(0.2, 'cup', known)


def test_a_loop_ends() -> None:
    tree = TransformTree()
    for parent, child in (('a', 'b'), ('b', 'c'), ('c', 'a')):
        tree.hear(0.0, parent, child, pose(0), static=True)
    with pytest.raises(InvalidValueError, match='connects it only with b, c'):
        tree.find(0.0, 'a', known)


def test_an_unknown_frame_is_said_to_be_unknown() -> None:
    with pytest.raises(InvalidValueError, match=r'tf does not know it either \(0 frames\)'):
        TransformTree().find(0.0, 'camera', known)


@pytest.mark.parametrize(
    ('parent', 'child', 'shift', 'said'),
    [
        ('', 'a', 0.0, 'expected two names that differ'),
        ('a', '/a', 0.0, 'expected two names that differ'),
        ('a', 'b', np.nan, 'is not finite'),
    ],
)
def test_a_transform_that_makes_no_sense_is_refused(
    parent: str, child: str, shift: float, said: str
) -> None:
    tree = TransformTree()
    with pytest.raises(InvalidValueError, match=said):
        tree.hear(0.0, parent, child, Pose(np.eye(3), np.full(3, shift)), static=True)
    assert not len(tree)


def test_memory_is_bounded() -> None:
    tree = TransformTree()
    for number in range(10_000):
        tree.hear(0.0, 'base_link', f'f{number}', Pose(), static=True)
    with pytest.raises(InvalidValueError, match='one more than 10000'):
        tree.hear(0.0, 'base_link', 'another', Pose(), static=True)
    tree.hear(0.0, 'base_link', 'f0', pose(1), static=True)
    assert same(tree.find(0.0, 'f0', known), OWN @ pose(1))
