"""Who may import whom, read from the source (ARCHITECTURE.md)."""

from __future__ import annotations

import ast
import os
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
ROS = {'rclpy', 'rcl_interfaces', 'builtin_interfaces', 'std_msgs', 'std_srvs', 'lifecycle_msgs'}
# What arms speak.
ARM_MESSAGES = {
    'diagnostic_msgs',
    'geometry_msgs',
    'rosgraph_msgs',
    'sensor_msgs',
    'trajectory_msgs',
    'visualization_msgs',
}
CORE, SCHEMA, STORAGE = 'nrl_ros.core', 'nrl_ros.schema', 'nrl_ros.storage'
STUDY, ARM = 'nrl_ros.study', 'nrl_ros.arm'
MESSAGES = {'nrl_ros.msg', 'nrl_ros.srv'}
ENTRY = STANDARD | {'nrl_ros', 'sim_bridge', 'numpy', 'yaml'} | ROS

# Each room and what it may import; 'a.b' allows a.b and what is below it, 'nrl_ros' all of it.
ROOMS: dict[str, set[str]] = {
    'nrl_ros/__init__.py': STANDARD,
    'nrl_ros/core': PURE | {'numpy', CORE},
    'nrl_ros/arm': PURE | {'numpy', 'pydantic', 'yaml', 'pathlib', 'mujoco', CORE, SCHEMA, ARM},
    'nrl_ros/schema': PURE | {'pathlib', 'pydantic', 'yaml', CORE, SCHEMA},
    'nrl_ros/storage': STANDARD | {'numpy', 'msgpack', CORE, STORAGE, 'nrl_ros.__version__'},
    'nrl_ros/study': STANDARD
    | {'numpy', 'pydantic', 'yaml', 'matplotlib', 'rich', CORE, SCHEMA, STORAGE, STUDY}
    | {'sim_bridge', 'nrl_ros.__version__'},
    'nrl_ros/ros': STANDARD
    | {'numpy', 'pydantic', 'annotated_types', CORE, SCHEMA, 'nrl_ros.ros', 'nrl_ros.__version__'}
    | MESSAGES
    | ROS,
    'nrl_ros/nodes': ENTRY | ARM_MESSAGES,
    'nrl_ros/app.py': ENTRY,
    'nrl_ros/installed.py': STANDARD,
    'nrl_ros/doctor.py': STANDARD | {'nrl_ros.installed'},
    'nrl_ros/cli': ENTRY
    | {'typer', 'rich', 'matplotlib', 'mpl_toolkits', 'pydantic', 'annotated_types'},
    'sim_bridge': STANDARD | {'numpy', 'pydantic', 'gymnasium', CORE, ARM, 'sim_bridge'},
    'launch': STANDARD | {'launch', 'launch_ros', 'ament_index_python', 'yaml'},
}
# The compiled step is the one file of the core that looks for another file.
EXCEPTIONS: dict[str, set[str]] = {
    'nrl_ros/core/kernels.py': {'os', 'pathlib'},
    # Files of settings are looked for where an installation puts them.
    'nrl_ros/schema/files.py': {'os', 'nrl_ros'},
    'nrl_ros/study/ray_engine.py': {'ray'},
    # What an arm's environment says of itself.
    'nrl_ros/cli/arm_watch.py': {'diagnostic_msgs'},
    # A node of its own, not a bridge: it stands where an arm's hardware stands.
    'nrl_ros/ros/joints.py': ARM_MESSAGES,
    # Optional: the controller manager's own messages.
    'nrl_ros/ros/controller.py': {'controller_manager_msgs'},
    'sim_bridge/ros2_control_arm.py': {'nrl_ros.ros', *ROS, *ARM_MESSAGES},
    'sim_bridge/arm_driver.py': {'nrl_ros', *ROS, *ARM_MESSAGES},
    'sim_bridge/arm_markers.py': ROS | ARM_MESSAGES,
}
GENERATED = {'msg', 'srv', '__pycache__', 'native'}


def imports(path: Path) -> set[str]:
    """Dotted names that a file imports, anywhere in it."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f'{path}: relative import'
            # "from nrl_ros.core import traces" imports nrl_ros.core.traces.
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


def test_the_core_is_imported_by_none_of_its_own_shells() -> None:
    """Importing the core loads nothing of ROS, pydantic, msgpack, torch or gymnasium."""
    code = (
        'import pkgutil, sys, nrl_ros.core\n'
        'for m in pkgutil.walk_packages(nrl_ros.core.__path__, "nrl_ros.core."):\n'
        '    if not m.name.rpartition(".")[2].startswith("lib"):\n'
        '        __import__(m.name)\n'
        'bad = {"rclpy", "pydantic", "msgpack", "torch", "gymnasium", "yaml"} & set(sys.modules)\n'
        'assert not bad, bad\n'
    )
    subprocess.run(
        [sys.executable, '-c', code], check=True, env=os.environ | {'PYTHONPATH': str(ROOT)}
    )


@pytest.mark.parametrize(
    ('source', 'room', 'found'),
    [
        ('import time', 'nrl_ros/core', {'time'}),
        ('def f():\n    import torch.nn', 'nrl_ros/core', {'torch.nn'}),
        ('from nrl_ros.storage import codec', 'nrl_ros/core', {'nrl_ros.storage.codec'}),
        ('from nrl_ros import storage', 'nrl_ros/core', {'nrl_ros.storage'}),
        ('import pickle', 'nrl_ros/storage', {'pickle'}),
        ('import sim_bridge', 'nrl_ros/ros', {'sim_bridge'}),
        ('from nrl_ros.core import traces\nimport numpy as np', 'nrl_ros/core', set()),
    ],
)
def test_the_check_sees_what_it_should(
    tmp_path: Path, source: str, room: str, found: set[str]
) -> None:
    path = tmp_path / 'x.py'
    path.write_text(source)
    assert {name for name in imports(path) if not allowed(name, ROOMS[room])} == found
