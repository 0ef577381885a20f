"""What the numbers of an arm's observations and actions are, read from its manifest."""

from __future__ import annotations


def arm_names(manifest: str) -> tuple[list[str], list[str]] | None:
    """Return what the numbers of an arm's observation and action are, by its manifest.

    Returns:
        Names of the observation, and those of the action; None for a manifest of something else.
    """
    lines = manifest.splitlines()
    joints = [line.split(':')[0] for line in lines if ' rad/s' in line or ' m/s' in line]
    told = next((line for line in lines if line.startswith('observation: joints ')), '')
    if not joints or not told:
        return None
    sine = told.startswith('observation: joints sine')
    shapes = ('sin', 'cos') if sine else ('position',)
    observed = [f'{shape}.{joint}' for shape in shapes for joint in joints]
    observed += [f'velocity.{joint}' for joint in joints]
    points = ['tool', 'target', 'error']
    if 'rotation about' in told:
        points += ['rotation', 'tool_x_axis', 'tool_z_axis']
    observed += [f'{point}.{axis}' for point in points for axis in 'xyz']
    return observed, joints
