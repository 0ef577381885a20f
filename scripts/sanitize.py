"""Runs the tests of what is compiled under the address and undefined-behaviour sanitizers.

A copy of the checkout in ``build/checked`` gets modules that check each index and end the process
where memory beyond an array is touched or something has no defined meaning. ``make sanitize`` calls
this.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from scripts import build_interfaces

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / 'build/checked'
COPIED = ('nrl_ros', 'sim_bridge', 'config', 'scripts', 'tests', 'pyproject.toml', 'CMakeLists.txt')
# Words in the names of the files of tests that reach compiled code.
WORDS = (
    'arithmetic', 'cycle', 'episode', 'trace', 'window', 'credit', 'loop', 'learner', 'neuromod',
    'noise', 'head', 'average', 'network', 'gradient',
)  # fmt: skip


def runtime(name: str) -> str:
    """Return the path of a sanitizer's library, which has to be loaded before anything else.

    Raises:
        SystemExit: the compiler has none.
    """
    found = subprocess.run(
        [os.environ.get('CC', 'gcc'), f'-print-file-name={name}'], capture_output=True, text=True
    ).stdout.strip()
    if not Path(found).is_absolute():
        raise SystemExit(f'error: {name} is missing; on Debian and Ubuntu: sudo apt install gcc')
    return found


def copy_checkout(compiled: Path) -> Path:
    """Return a copy of the checkout that has these compiled modules in place of its own."""
    tree = FOLDER / 'tree'
    shutil.rmtree(tree, ignore_errors=True)
    left_out = shutil.ignore_patterns('__pycache__', '*.so')
    for name in COPIED:
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / name).is_file():
            shutil.copy2(ROOT / name, tree / name)
        else:
            shutil.copytree(ROOT / name, tree / name, ignore=left_out)
    for library in compiled.rglob('*.so'):
        shutil.copy2(library, tree / 'nrl_ros' / library.relative_to(compiled))
    return tree


def main() -> int:
    """Build, and run the tests; the exit code is that of pytest."""
    compiled = build_interfaces.build_checked(FOLDER / 'cmake', FOLDER / 'stage')
    tree = copy_checkout(compiled)
    preloaded = [runtime('libasan.so'), runtime('libubsan.so'), runtime('libstdc++.so')]
    environment = os.environ | {
        'LD_PRELOAD': ' '.join(preloaded),
        # Python keeps what it has until it ends. Its own allocator would hide what goes beyond.
        'ASAN_OPTIONS': 'detect_leaks=0',
        'UBSAN_OPTIONS': 'print_stacktrace=1',
        'PYTHONMALLOC': 'malloc',
        'PYTHONPATH': str(tree),
    }
    files = sorted((tree / 'tests/unit').glob('test_*.py'))
    chosen = [str(path) for path in files if any(word in path.stem for word in WORDS)]
    # Digests of weights are those of the ordinary build, whose sums are rounded in another order.
    chosen += ['-k', 'not that_were_recorded']
    # A sanitizer writes to the process's own error output and ends it.
    chosen += ['--capture=sys']
    command = [sys.executable, '-m', 'pytest', *chosen, *sys.argv[1:]]
    return subprocess.run(command, cwd=tree, env=environment).returncode


if __name__ == '__main__':
    raise SystemExit(main())
