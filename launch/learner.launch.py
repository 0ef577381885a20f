"""Start a learner, which any number of environments may join."""

from launch import LaunchDescription

from nrl_ros.launch import part, text


def generate_launch_description() -> LaunchDescription:
    """Return the learner; it starts by itself unless its parameter `autostart` is false."""
    saved = {'checkpoint.folder': text('checkpoint_folder'), 'checkpoint.load': text('load')}
    return part('learner', saved)
