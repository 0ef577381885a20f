"""Start a neuromodulator, which turns rewards into reward-prediction errors."""

from launch import LaunchDescription

from nrl_ros.launch import part, text


def generate_launch_description() -> LaunchDescription:
    """Return the neuromodulator; it starts by itself unless its parameter `autostart` is false."""
    saved = {'critic.folder': text('checkpoint_folder'), 'load': text('load')}
    return part('neuromodulator', saved)
