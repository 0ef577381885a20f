"""Builds the messages and the compiled modules with CMake, and puts them where Python finds them.

``setup.py`` calls this for wheels; ``make setup`` calls it as a program to build in place: the
generated modules then lie, ignored by git, inside the checkout's own ``nrl_ros/``.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
STAMP = 'interfaces.sha256'
# Folders of definitions, and of the modules that are generated from them.
INTERFACES = ('msg', 'srv', 'action')
# A module with this line is compiled; CMake looks for it, too.
COMPILED = 'import cython'
_COMPILERS = {'CC': ('cc', 'gcc', 'clang'), 'CXX': ('c++', 'g++', 'clang++')}
# For building against the package and for sourcing it: they name folders of this build.
_LEFT_OUT = ('.cmake', '.sh', '.bash', '.zsh', '.dsv')
_PARENTS = 'parent_prefix_path'
# ROS's CMake files split a path at its blanks, and lose one with letters beyond ASCII.
_PLAIN = re.compile(r'[A-Za-z0-9_./+-]+')
Plain = Callable[[Path], Path]


def digest(root: Path = ROOT) -> str:
    """Fingerprint of everything that decides the result."""
    return _fingerprint([*_interfaces(root), *_compiled(root)])


def _interfaces(root: Path) -> list[Path]:
    """What decides the messages, and how all is built."""
    parts = [path for kind in INTERFACES for path in sorted((root / kind).glob(f'*.{kind}'))]
    parts += [root / 'scripts/message_stubs.py', root / 'CMakeLists.txt', root / 'package.xml']
    return parts


def _compiled(root: Path) -> list[Path]:
    """Sources of the compiled modules, and of the arithmetic in C."""
    found = []
    for path in sorted((root / 'nrl_ros').rglob('*')):
        if path.parts[len(root.parts) + 1] in INTERFACES:
            continue
        marked = path.suffix == '.py' and COMPILED in path.read_text().splitlines()
        if marked or path.suffix in ('.c', '.h', '.pxd'):
            found.append(path)
    return found


def _fingerprint(parts: list[Path]) -> str:
    state = hashlib.sha256(f'{sys.version_info[:2]}{sys.prefix}{_wheels_of()}'.encode())
    for part in parts:
        state.update(part.name.encode() + b'\0' + part.read_bytes())
    return state.hexdigest()


def _wheels_of() -> str:
    """Return the version of the ROS wheels: messages of one distribution do not load in another."""
    try:
        return metadata.version('ros-rclpy')
    except metadata.PackageNotFoundError:
        return ''


def build(build_folder: Path, stage: Path) -> Path:
    """Configure, compile, and install into ``stage``.

    Returns:
        The folder in ``stage`` that holds the generated Python package.

    Raises:
        SystemExit: something is missing, or CMake failed; its output is shown.
    """
    _check_tools()
    with plain_paths() as plain:
        _configure_and_build(build_folder, stage, plain)
    found = sorted(stage.glob('**/nrl_ros/msg/__init__.py'))
    if not found:
        raise SystemExit(f'error: CMake installed no messages below {stage}')
    return found[0].parent.parent


@contextmanager
def plain_paths() -> Iterator[Plain]:
    """Give a function that returns a name of a folder which ROS's CMake files can read.

    That is its own name, or that of a link which lasts as long as the block.
    """
    with tempfile.TemporaryDirectory(prefix='nrl_ros_') as folder:
        links: dict[Path, Path] = {}

        def plain(path: Path) -> Path:
            if _PLAIN.fullmatch(str(path)):
                return path
            if path not in links:
                links[path] = Path(folder, str(len(links)))
                links[path].symlink_to(path.resolve(), target_is_directory=True)
            return links[path]

        yield plain


def _configure_and_build(build_folder: Path, stage: Path, plain: Plain) -> None:
    environment = _environment(plain)
    build_folder.parent.mkdir(parents=True, exist_ok=True)
    stage.parent.mkdir(parents=True, exist_ok=True)
    folder = plain(build_folder.parent) / build_folder.name
    stage = plain(stage.parent) / stage.name
    source = _copy_source(folder.parent / 'source')
    generator = ['-G', 'Ninja'] if shutil.which('ninja', path=environment['PATH']) else []
    commands = [
        ['cmake', '-S', str(source), '-B', str(folder), *generator]
        + [f'-DCMAKE_INSTALL_PREFIX={stage}', f'-DPython3_EXECUTABLE={_python(plain)}']
        + ['-DCMAKE_BUILD_TYPE=Release', '-DBUILD_TESTING=OFF'],
        ['cmake', '--build', str(folder), '--parallel', str(os.cpu_count() or 1)],
        ['cmake', '--install', str(folder)],
    ]
    # A change in a compiled module is built in seconds; what is older than a message or CMake's own
    # file is not worth keeping, nor is what was built through a link that is gone.
    known, now = folder / STAMP, _fingerprint(_interfaces(ROOT))
    if folder != build_folder or not known.is_file() or known.read_text() != now:
        shutil.rmtree(folder, ignore_errors=True)
    known.unlink(missing_ok=True)
    shutil.rmtree(stage, ignore_errors=True)
    _run(commands, environment)
    known.write_text(now)


def _python(plain: Plain) -> Path:
    """Name this Python below its prefix, since it finds a virtual environment beside itself."""
    python, prefix = Path(sys.executable), Path(sys.prefix)
    return plain(prefix) / python.relative_to(prefix) if python.is_relative_to(prefix) else python


def build_checked(build_folder: Path, stage: Path) -> Path:
    """Compile what is no message with sanitizers and checks of indices, and install it.

    Returns:
        The folder in ``stage`` that holds the compiled modules of the package.

    Raises:
        SystemExit: something is missing, or CMake failed; its output is shown.
    """
    _check_tools()
    source = _copy_source(build_folder.parent / 'source')
    shutil.rmtree(stage, ignore_errors=True)
    commands = [
        ['cmake', '-S', str(source), '-B', str(build_folder), '-DNRL_CHECKED=ON']
        + [f'-DCMAKE_INSTALL_PREFIX={stage}', f'-DPython3_EXECUTABLE={sys.executable}']
        + ['-DBUILD_TESTING=OFF'],
        ['cmake', '--build', str(build_folder), '--target', 'compiled', '--parallel'],
        ['cmake', '--install', str(build_folder), '--component', 'compiled'],
    ]
    _run(commands, _environment())
    return next(stage.glob('**/nrl_ros'))


def _run(commands: list[list[str]], environment: dict[str, str]) -> None:
    for command in commands:
        done = subprocess.run(
            command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        if done.returncode:
            sys.stderr.write(done.stdout[-8000:])
            raise SystemExit(
                f'error: {" ".join(command[:2])} failed, see above; without build isolation the '
                'packages of requirements/build.txt must be in this environment'
            )


def _check_tools() -> None:
    """What no wheel brings.

    Raises:
        SystemExit: one of them is missing; says what to install.
    """
    for variable, names in _COMPILERS.items():
        if not os.environ.get(variable) and not any(shutil.which(name) for name in names):
            raise _missing(names[1], 'g++')  # which brings gcc
    if not Path(sysconfig.get_paths()['include'], 'Python.h').is_file():
        raise _missing('Python.h', 'python3-dev')


def _missing(what: str, package: str) -> SystemExit:
    return SystemExit(f'error: {what} is missing; on Debian and Ubuntu: sudo apt install {package}')


def _environment(plain: Plain = Path) -> dict[str, str]:
    """Variables with which CMake and the generators find ROS 2.

    Args:
        plain: names folders so that CMake can read them (``plain_paths``).

    Raises:
        SystemExit: there is none.
    """
    environment = dict(os.environ)

    def known(name: str) -> list[str]:
        return [part for part in environment.get(name, '').split(os.pathsep) if part]

    # The wheels lie in the virtual environment, or in a temporary folder of pip beside it.
    spec = importlib.util.find_spec('ament_package')
    places = [Path(sys.prefix), *(Path(spec.origin).parents if spec and spec.origin else ())]
    wheels = [str(plain(place)) for place in places if (place / 'share/ament_cmake').is_dir()]
    installed = known('AMENT_PREFIX_PATH')
    if not wheels and not installed:
        raise SystemExit(
            'error: no ROS 2 found; source /opt/ros/<distribution>/setup.sh first, or, on x86-64 '
            'Linux, install requirements/jazzy.txt into this environment'
        )
    for name in ('AMENT_PREFIX_PATH', 'CMAKE_PREFIX_PATH'):
        environment[name] = os.pathsep.join([*known(name), *wheels])
    # pip takes PYTHONPATH, and with it the Python side of an installed ROS 2, away from the build.
    version = f'python{sys.version_info.major}.{sys.version_info.minor}'
    below = [f'lib/{version}/site-packages', f'local/lib/{version}/dist-packages']
    modules = [str(Path(prefix, part)) for prefix in installed for part in below]
    environment['PYTHONPATH'] = os.pathsep.join([*known('PYTHONPATH'), *modules])
    environment['PATH'] = os.pathsep.join([str(_python(plain).parent), environment['PATH']])
    return environment


def _copy_source(target: Path) -> Path:
    """The sources beside the virtual environment: CMake refuses one that lies inside of them."""
    shutil.rmtree(target, ignore_errors=True)
    generated = shutil.ignore_patterns('__pycache__', '*.so', *INTERFACES, STAMP)
    for name in ('nrl_ros', 'sim_bridge', 'launch', 'config', 'scripts'):
        shutil.copytree(ROOT / name, target / name, ignore=generated)
    for name in INTERFACES:
        shutil.copytree(ROOT / name, target / name)
    for name in ('CMakeLists.txt', 'package.xml'):
        shutil.copy2(ROOT / name, target / name)
    return target


def copy_package(generated: Path, package: Path) -> None:
    """Copy the generated modules and libraries into a ``nrl_ros`` folder."""
    compiled = shutil.ignore_patterns('__pycache__')
    for name in INTERFACES:
        shutil.rmtree(package / name, ignore_errors=True)
        shutil.copytree(generated / name, package / name, ignore=compiled)
    for library in sorted(generated.rglob('*.so')):
        inside = library.relative_to(generated)
        if inside.parts[0] not in INTERFACES:
            (package / inside.parent).mkdir(parents=True, exist_ok=True)
            _replace(library, package / inside)
    (package / STAMP).write_text(digest() + '\n')


def _replace(source: Path | str, target: Path) -> None:
    """Copy a file to a new one: a process that has the old one loaded keeps it as it was."""
    target.unlink(missing_ok=True)
    shutil.copy2(source, target)


def prefix_files(stage: Path) -> list[tuple[str, list[str]]]:
    """What belongs into the prefix beside the Python package: libraries, index, launch, config."""
    folders: dict[str, list[str]] = {}
    for top in ('lib', 'share'):
        for path in sorted((stage / top).rglob('*')):
            inside = path.relative_to(stage)
            elsewhere = any('python' in part or part == _PARENTS for part in inside.parts)
            if path.is_file() and path.suffix not in _LEFT_OUT and not elsewhere:
                folders.setdefault(str(inside.parent), []).append(str(path))
    return sorted(folders.items())


def main() -> int:
    """Build in place, unless nothing changed."""
    package = ROOT / 'nrl_ros'
    stamp = package / STAMP
    prefix = Path(sys.prefix)
    # The virtual environment may have been made anew under the same name.
    complete = (prefix / 'share/nrl_ros/package.xml').is_file()
    if complete and stamp.exists() and stamp.read_text().strip() == digest():
        return 0
    sys.stdout.write('building messages and compiled modules (once, about a minute)\n')
    sys.stdout.flush()
    stage = ROOT / 'build/stage'
    stamp.unlink(missing_ok=True)
    generated = build(ROOT / 'build/cmake', stage)
    for folder, files in prefix_files(stage):
        (prefix / folder).mkdir(parents=True, exist_ok=True)
        for file in files:
            _replace(file, prefix / folder / Path(file).name)
    copy_package(generated, package)
    return 0


if __name__ == '__main__':
    raise SystemExit(main())
