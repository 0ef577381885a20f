"""The compiled part: the same bits on every processor, and one clear error where it is missing."""

from __future__ import annotations

import ctypes
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nrl_ros.learning.kernels import library as kernels
from nrl_ros.learning.rules import NodePerturbation
from tests.unit.fakes import feed, info_of, learner_of, message_flow

ROOT = Path(__file__).parents[2]
NATIVE = ROOT / 'nrl_ros/learning/kernels/native'


@pytest.fixture(scope='module')
def least(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    """The kernel as the product builds it, for a processor without any of the newer instructions.

    On 64-bit Arm every processor has those that could make a difference.
    """
    if shutil.which('cc') is None:
        pytest.skip('no C compiler')
    options = re.search(r'set\(kernel_options ([^)]*)\)', (ROOT / 'CMakeLists.txt').read_text())
    assert options is not None
    library = tmp_path_factory.mktemp('kernel') / 'least.so'
    subprocess.run(
        ['cc', '-shared', '-fPIC', '-DNRL_CLONES=', *options[1].split()]
        + [str(NATIVE / 'kernel.c'), '-o', str(library), '-lm'],
        check=True,
    )
    return ctypes.CDLL(str(library))


def learned(samples: int) -> list[np.ndarray[Any, Any]]:
    info = info_of(5)
    learner = learner_of(
        info,
        precision='float32',
        hidden_sizes=(33, 9),
        trace_decay=0.9,
        learning_rate=1e-3,
        rule=NodePerturbation(sigma=0.1, samples=samples),
    )
    actions = feed(learner, message_flow(info, steps=60, seed=samples))
    assert learner.updates > 5
    return [*learner.weights, *actions]


@pytest.mark.parametrize('samples', [1, 3])
def test_the_least_processor_learns_the_same_bits(
    samples: int, least: ctypes.CDLL, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = learned(samples)
    for name in kernels._ANSWERS:
        getattr(least, name).restype = ctypes.c_int64
    monkeypatch.setattr(kernels, '_LIBRARY', least)
    for mine, theirs in zip(learned(samples), expected, strict=True):
        assert mine.tobytes() == theirs.tobytes()


def test_the_least_processor_draws_the_same_normal_numbers(
    least: ctypes.CDLL, monkeypatch: pytest.MonkeyPatch
) -> None:
    def numbers() -> bytes:
        state = np.random.default_rng(1).integers(1, 2**32, 64, dtype=np.uint32)
        out = np.zeros(200_000, np.float32)
        kernels.NativeNormal(state, out).draw()
        return out.tobytes()

    expected = numbers()
    monkeypatch.setattr(kernels, '_LIBRARY', least)
    assert numbers() == expected


@pytest.mark.parametrize(
    ('content', 'said'),
    [
        (None, 'libnrl_kernel.so is missing; build it: make setup'),
        ('int x;', 'does not load .*build it: make setup'),
        ('int nrl_kernel_version(void) { return 1; }', r'of build 1, .* needs build \d+; build it'),
    ],
)
def test_without_the_right_library_one_error_says_how_to_build_it(
    content: str | None, said: str, tmp_path: Path
) -> None:
    generated = shutil.ignore_patterns('msg', 'srv', '*.so', '__pycache__')
    shutil.copytree(ROOT / 'nrl_ros', tmp_path / 'nrl_ros', ignore=generated)
    if content is not None:
        if shutil.which('cc') is None:
            pytest.skip('no C compiler')
        library = tmp_path / 'nrl_ros/learning/kernels/libnrl_kernel.so'
        source = tmp_path / 'kernel.c'
        source.write_text(content)
        subprocess.run(['cc', '-shared', '-fPIC', str(source), '-o', str(library)], check=True)
    code = 'import sys; sys.path.insert(0, "."); import nrl_ros.learning.noise'
    done = subprocess.run(
        [sys.executable, '-c', code], capture_output=True, text=True, cwd=tmp_path, check=False
    )
    assert re.search(f'NotBuiltError: .*{said}', done.stderr)
