"""Who may import whom, read from the source (ARCHITECTURE.md)."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# What the science must not have: a clock, a log, chance outside of a generator, files, processes.
IMPURE = {
    'time', 'datetime', 'logging', 'random', 'os', 'io', 'pathlib', 'shutil', 'tempfile',
    'socket', 'subprocess', 'threading', 'multiprocessing', 'asyncio', 'pickle', 'shelve',
    'secrets', 'signal',
}  # fmt: skip
PURE = set(sys.stdlib_module_names) - IMPURE
STANDARD = set(sys.stdlib_module_names) - {'pickle', 'shelve', 'marshal'}
ROS = {
    'rclpy', 'action_msgs', 'rcl_interfaces', 'builtin_interfaces', 'std_msgs', 'std_srvs',
    'lifecycle_msgs',
}  # fmt: skip
# What arms speak.
ARM_MESSAGES = {
    'diagnostic_msgs',
    'geometry_msgs',
    'rosgraph_msgs',
    'sensor_msgs',
    'trajectory_msgs',
    'visualization_msgs',
}
BASE, ENVIRONMENTS, LEARNING = 'nrl_ros.base', 'nrl_ros.environments', 'nrl_ros.learning'
ROBOTS, SETTINGS, STORAGE = 'nrl_ros.robots', 'nrl_ros.settings', 'nrl_ros.storage'
MONITOR, PAGE = 'nrl_ros.monitor', 'nrl_ros.page'
EXPERIMENTS, TRANSPORT, VERSION = 'nrl_ros.experiments', 'nrl_ros.ros', 'nrl_ros.__version__'
MESSAGES = {'nrl_ros.msg', 'nrl_ros.srv', 'nrl_ros.action'}
ENTRY = STANDARD | {'nrl_ros', 'numpy', 'yaml'} | ROS

# Each room and what it may import; 'a.b' allows a.b and what is below it, 'nrl_ros' all of it.
# The rooms stand in the order of ARCHITECTURE.md: each imports only those above it.
ROOMS: dict[str, set[str]] = {
    # The way in from Python, imported when it is asked for.
    'nrl_ros/__init__.py': STANDARD | {'nrl_ros.api'},
    'nrl_ros/api.py': ENTRY - ROS,
    # Runs where ros2 launch does, perhaps in a Python without pydantic and the like.
    'nrl_ros/launch.py': PURE | {'launch', 'launch_ros'},
    'nrl_ros/base': PURE | {'pathlib', 'numpy', 'pydantic', 'yaml', BASE},
    'nrl_ros/robots': PURE | {'numpy', 'pydantic', 'yaml', 'pathlib', 'mujoco', BASE, ROBOTS},
    'nrl_ros/robots/safety': PURE | {'numpy', 'pydantic', BASE, 'nrl_ros.robots.safety'},
    'nrl_ros/environments': PURE | {'cython', 'numpy', 'pydantic', BASE, ENVIRONMENTS},
    'nrl_ros/learning': PURE | {'cython', 'numpy', 'pydantic', BASE, ENVIRONMENTS, LEARNING},
    'nrl_ros/monitor': PURE | {'numpy', BASE, ENVIRONMENTS, MONITOR},
    # What browsers are shown; the web server beside it is no part of what is pure.
    'nrl_ros/page': PURE | {'numpy', BASE, ENVIRONMENTS, MONITOR, ROBOTS, PAGE},
    'nrl_ros/settings': PURE
    | {'pathlib', 'pydantic', 'yaml', BASE, ENVIRONMENTS, LEARNING, ROBOTS, SETTINGS},
    'nrl_ros/storage': STANDARD | {'numpy', 'msgpack', BASE, STORAGE, VERSION},
    'nrl_ros/bundles': PURE
    | {'pathlib', 'io', 'logging', 'numpy', 'pydantic', 'yaml'}
    | {'nir', 'onnx', 'onnxruntime', 'torch'}
    | {BASE, ENVIRONMENTS, LEARNING, 'nrl_ros.bundles'},
    'nrl_ros/experiments': STANDARD
    | {'numpy', 'pydantic', 'yaml', 'matplotlib', 'rich', VERSION}
    | {BASE, ENVIRONMENTS, LEARNING, MONITOR, SETTINGS, STORAGE, EXPERIMENTS},
    'nrl_ros/ros': STANDARD
    | {'numpy', 'pydantic', 'annotated_types', BASE, ENVIRONMENTS, ROBOTS, MONITOR, TRANSPORT}
    | {VERSION}
    | MESSAGES
    | ROS,
    'nrl_ros/nodes': ENTRY | ARM_MESSAGES,
    'nrl_ros/cli': ENTRY
    | {'typer', 'rich', 'matplotlib', 'mpl_toolkits', 'pydantic', 'annotated_types'},
    'sim_bridge': STANDARD
    | {'numpy', 'pydantic', 'gymnasium', BASE, ENVIRONMENTS, ROBOTS, 'sim_bridge'},
    'launch': {'launch', 'launch_ros', 'nrl_ros.launch'},
}
EXCEPTIONS: dict[str, set[str]] = {
    # These run before anything else is sure to be there: the standard library alone.
    'nrl_ros/base/doctor.py': STANDARD,
    'nrl_ros/base/installed.py': STANDARD,
    'nrl_ros/base/machine.py': STANDARD,
    'nrl_ros/base/meeting.py': STANDARD,
    # Files of settings are looked for where an installation puts them.
    'nrl_ros/base/identity.py': {'secrets'},
    'nrl_ros/base/config_files.py': {'os', 'nrl_ros'},
    'nrl_ros/experiments/ray_engine.py': {'ray'},
    'nrl_ros/cli/tensorboard.py': {'tensorboardX'},
    'nrl_ros/storage/tables.py': {'pyarrow'},
    # Recordings; imported only where one is written or read.
    'nrl_ros/storage/recording_writer.py': {'mcap', 'zstandard'},
    'nrl_ros/storage/bag_metadata.py': {'yaml'},
    # Makes records of the bytes in recordings.
    'nrl_ros/ros/recorded.py': {'nrl_ros.storage'},
    'nrl_ros/ros/recorded_report.py': {'nrl_ros.storage'},
    'nrl_ros/ros/recorded_tables.py': {'nrl_ros.storage'},
    # Reads COLLADA meshes where it is installed; it is given the content of a file.
    'nrl_ros/robots/arm/hulls.py': {'collada', 'io'},
    # Torch modules as networks; imported only where the settings ask for one.
    **{
        f'nrl_ros/learning/networks/modules/{name}.py': {'torch'}
        for name in ('layers', 'network', 'passes', 'ready')
    },
    # The whole loop on a device; imported only where it is asked for.
    **{
        f'nrl_ros/{name}.py': {'torch'}
        for name in (
            'base/torch_arrays',
            'base/torch_device',
            'experiments/on_device',
            *(f'learning/device/{part}' for part in ('errors', 'exchange', 'heads', 'learning')),
            *(f'learning/device/{part}' for part in ('network', 'stepper')),
        )
    },
    **{f'sim_bridge/device_{name}.py': {'torch'} for name in ('arm', 'cartpole')},
    # Who may steer is decided by random tokens; the server has threads and aiohttp.
    'nrl_ros/page/access.py': {'secrets', 'socket'},
    'nrl_ros/page/web.py': {'aiohttp', 'asyncio', 'threading'},
    # Optional: models that are programs.
    'nrl_ros/robots/arm/xacro_files.py': {'xacro'},
    # What an arm draws of itself; imported when it does.
    'nrl_ros/robots/arm/picture.py': {'matplotlib', 'mpl_toolkits', 'PIL'},
    # Which library draws is said by the process's variables.
    'nrl_ros/robots/arm/render.py': {'os'},
    # Films are written by Pillow, which matplotlib brings.
    'nrl_ros/cli/film.py': {'PIL'},
    # What an arm's environment says of itself.
    'nrl_ros/cli/arm_watch.py': {'diagnostic_msgs'},
    'nrl_ros/cli/arm_standby.py': {'sensor_msgs'},
    'nrl_ros/cli/reach.py': {'geometry_msgs'},
    'nrl_ros/ros/joints.py': ARM_MESSAGES,
    'nrl_ros/ros/diagnostics.py': ARM_MESSAGES,
    'nrl_ros/ros/arm_markers.py': ARM_MESSAGES,
    # Optional: what tf says.
    'nrl_ros/ros/transforms.py': {'geometry_msgs', 'tf2_msgs'},
    # Optional: the controller manager's own messages.
    'nrl_ros/ros/controller.py': {'controller_manager_msgs'},
    # A node of its own, not a bridge: it stands where an arm's hardware stands.
    'sim_bridge/arm_driver.py': {'nrl_ros', *ROS, *ARM_MESSAGES},
}
GENERATED = {'msg', 'srv', 'action', '__pycache__'}


def imports(path: Path) -> set[str]:
    """Dotted names that a file imports, anywhere in it."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f'{path}: relative import'
            # "from nrl_ros.learning import traces" imports nrl_ros.learning.traces.
            found |= {f'{node.module}.{alias.name}' for alias in node.names}
    return found


def allowed(name: str, names: set[str]) -> bool:
    parts = name.split('.')
    return any('.'.join(parts[:length]) in names for length in range(1, len(parts) + 1))


def sources(room: str) -> list[Path]:
    path = ROOT / room
    return [path] if path.is_file() else sorted(path.rglob('*.py'))


@pytest.mark.parametrize('room', list(ROOMS))
def test_a_room_imports_only_what_it_may(room: str) -> None:
    if not (ROOT / room).exists():
        pytest.skip(f'{room} does not exist')
    wrong = []
    for path in sources(room):
        relative = path.relative_to(ROOT).as_posix()
        names = ROOMS[room] | EXCEPTIONS.get(relative, set())
        wrong += [f'{relative}: {name}' for name in imports(path) if not allowed(name, names)]
    assert not wrong


def test_every_room_has_a_rule() -> None:
    known = {Path(room).name for room in ROOMS if room.startswith('nrl_ros/')}
    found = {
        path.name
        for path in (ROOT / 'nrl_ros').iterdir()
        if path.suffix == '.py' or (path.is_dir() and any(path.rglob('*.py')))
    }
    assert found - GENERATED <= known


def test_the_science_loads_nothing_of_its_shells() -> None:
    """Importing it loads nothing of ROS, msgpack, gymnasium or Cython; torch only for modules."""
    code = (
        'import pkgutil, sys, nrl_ros.learning\n'
        'for m in pkgutil.walk_packages(nrl_ros.learning.__path__, "nrl_ros.learning."):\n'
        '    inside = {"modules", "device"} & set(m.name.split("."))\n'
        '    if not inside and not m.name.rpartition(".")[2].startswith("lib"):\n'
        '        __import__(m.name)\n'
        'bad = {"rclpy", "msgpack", "torch", "gymnasium", "yaml", "cython"} & set(sys.modules)\n'
        'assert not bad, bad\n'
    )
    subprocess.run(
        [sys.executable, '-c', code], check=True, env=os.environ | {'PYTHONPATH': str(ROOT)}
    )


@pytest.mark.parametrize(
    ('source', 'room', 'found'),
    [
        ('import time', 'nrl_ros/learning', {'time'}),
        ('def f():\n    import torch.nn', 'nrl_ros/learning', {'torch.nn'}),
        ('from nrl_ros.storage import codec', 'nrl_ros/learning', {'nrl_ros.storage.codec'}),
        ('from nrl_ros import storage', 'nrl_ros/learning', {'nrl_ros.storage'}),
        ('import pickle', 'nrl_ros/storage', {'pickle'}),
        ('import sim_bridge', 'nrl_ros/ros', {'sim_bridge'}),
        ('from nrl_ros.learning import traces\nimport numpy as np', 'nrl_ros/learning', set()),
    ],
)
def test_the_check_sees_what_it_should(
    tmp_path: Path, source: str, room: str, found: set[str]
) -> None:
    path = tmp_path / 'x.py'
    path.write_text(source)
    assert {name for name in imports(path) if not allowed(name, ROOMS[room])} == found


@pytest.mark.parametrize(
    'file', ['progress', 'display', 'train', 'evaluate', 'monitor', 'metrics', 'plan', 'watch']
)
def test_what_serves_every_task_does_not_speak_of_arms(file: str) -> None:
    """What a robot shows of itself comes from its environment."""
    room = 'monitor' if file == 'progress' else 'cli'
    text = (ROOT / f'nrl_ros/{room}/{file}.py').read_text()
    assert not re.findall(r"\barms?\b|\breach\w*|\bwithin \d|'final_distance_m'", text)
