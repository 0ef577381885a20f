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

ROOT = Path(__file__).parents[2]
KERNELS = ROOT / 'nrl_ros/learning/kernels'
Array = np.ndarray[Any, Any]
KINDS = {'float': np.float32, 'double': np.float64}


def built(path: Path, *options: str) -> ctypes.CDLL:
    """The functions in a library of their own, compiled as the product compiles them."""
    if shutil.which('cc') is None:
        pytest.skip('no C compiler')
    chosen = re.search(r'set\(compiled_options ([^)]*)\)', (ROOT / 'CMakeLists.txt').read_text())
    assert chosen is not None
    command = ['cc', '-shared', '-fPIC', *options, *chosen[1].split()]
    subprocess.run([*command, str(KERNELS / 'arithmetic.c'), '-o', str(path)], check=True)
    return ctypes.CDLL(str(path))


@pytest.fixture(scope='module')
def libraries(tmp_path_factory: pytest.TempPathFactory) -> list[ctypes.CDLL]:
    """One for this processor, and one for a processor without any of the newer instructions.

    On 64-bit Arm every processor has those that could make a difference.
    """
    folder = tmp_path_factory.mktemp('arithmetic')
    return [built(folder / 'own.so'), built(folder / 'least.so', '-DNRL_CLONES=')]


class Call:
    """Calls one function in both libraries, on copies of the same arrays."""

    def __init__(self, libraries: list[ctypes.CDLL], kind: str) -> None:
        self._libraries, self._suffix = libraries, kind
        self.kind: Any = KINDS[kind]
        self._generator = np.random.default_rng(0)

    def normal(self, *shape: int) -> Array:
        return self._generator.standard_normal(shape, self.kind)

    def real(self, value: float) -> Any:
        return (ctypes.c_float if self.kind is np.float32 else ctypes.c_double)(value)

    def same(self, name: str, *arguments: Any) -> None:
        """Whole numbers are int64; every array is the same after both calls."""
        after = []
        for library in self._libraries:
            given, arrays = [], []
            for one in arguments:
                if isinstance(one, np.ndarray):
                    arrays.append(one.copy())
                    given.append(ctypes.c_void_p(arrays[-1].ctypes.data))
                else:
                    given.append(ctypes.c_int64(one) if isinstance(one, int) else one)
            getattr(library, f'nrl_{name}_{self._suffix}')(*given)
            after.append([array.tobytes() for array in arrays])
        assert after[0] == after[1], name
        before = [one.tobytes() for one in arguments if isinstance(one, np.ndarray)]
        assert after[0] != before, f'{name} did nothing'


@pytest.mark.parametrize('kind', list(KINDS))
@pytest.mark.parametrize('rows', [1, 5, 16])
@pytest.mark.parametrize(('n_in', 'n_out'), [(1, 1), (4, 64), (65, 2), (33, 17), (100, 40)])
def test_the_least_processor_passes_the_same_bits(
    libraries: list[ctypes.CDLL], kind: str, rows: int, n_in: int, n_out: int
) -> None:
    call = Call(libraries, kind)
    x, w, a = call.normal(rows, n_in), call.normal(n_out, n_in), call.normal(rows, n_out)
    noise, out = call.normal(rows, n_out), np.zeros((rows, n_out + 1), call.kind)
    call.same('turn', n_out, n_in, w, np.zeros_like(w))
    call.same('product', rows, n_in, n_out, x, n_in, w, out)
    call.same('dots', rows, n_in, n_out, x, n_in, w, out)
    call.same('copy_rows', rows, n_out, a, n_out, out, n_out + 1, 1)
    call.same('add_noise', rows, n_out, call.real(0.3), noise, n_out, a, n_out)
    for given in (noise, ctypes.c_void_p(None)):
        slope, sigma = call.real(0.1), call.real(0.3)
        call.same('activate', rows, n_out, slope, sigma, a, given, n_out, out, n_out + 1, 1)


@pytest.mark.parametrize('kind', list(KINDS))
@pytest.mark.parametrize('sizes', [(2,), (5,), (3, 40)])
@pytest.mark.parametrize('batch', [1, 11])
def test_the_least_processor_chooses_by_the_same_bits(
    libraries: list[ctypes.CDLL], kind: str, sizes: tuple[int, ...], batch: int
) -> None:
    call = Call(libraries, kind)
    z = call.normal(3, batch, sum(sizes))
    uniform = np.random.default_rng(1).random((batch, len(sizes)), np.float32)
    choice, log = np.full((batch, len(sizes)), -1, np.int32), np.zeros((3, batch))
    parts = (len(sizes), np.array(sizes), batch)
    call.same('softmax', *parts, 3, 1, z, uniform, choice, log)
    choice[:] = 1
    call.same('softmax', *parts, 3, -1, z, ctypes.c_void_p(None), choice, log)
    call.same('softmax_gradient', *parts, z[0].copy(), choice, np.zeros_like(z[0]))


@pytest.mark.parametrize('kind', list(KINDS))
def test_the_least_processor_credits_the_same_bits(libraries: list[ctypes.CDLL], kind: str) -> None:
    call = Call(libraries, kind)
    layout = np.array([[64, 5, 1], [2, 65, 0]], np.int64)
    post, pre, out = call.normal(66), call.normal(70), call.normal(64 * 5 + 2 * 65)
    factor = np.random.default_rng(0).standard_normal(1)
    ends, scale = np.array([40, 66]), ctypes.c_double(1.7)
    call.same('normalise', 1, 2, ends, scale, factor, post)
    call.same('scale', len(out), call.real(0.9), out)
    call.same('add_scaled', len(out), call.real(0.9), out[::-1].copy(), out)
    call.same('add_outer', 2, layout, call.real(0.9), post, pre, out)


def test_the_least_processor_draws_the_same_normal_numbers(
    libraries: list[ctypes.CDLL],
) -> None:
    drawn = []
    for library in libraries:
        state = np.random.default_rng(1).integers(1, 2**32, 64, dtype=np.uint32)
        out = np.zeros(200_000, np.float32)
        pointers = [ctypes.c_void_p(array.ctypes.data) for array in (state, out)]
        library.nrl_normal_numbers(pointers[0], ctypes.c_int64(out.size), pointers[1])
        drawn.append(out.tobytes())
        assert out.std() > 0.9
    assert drawn[0] == drawn[1]


def test_without_what_is_compiled_one_error_says_how_to_build_it(tmp_path: Path) -> None:
    generated = shutil.ignore_patterns('msg', 'srv', 'action', '*.so', '__pycache__')
    shutil.copytree(ROOT / 'nrl_ros', tmp_path / 'nrl_ros', ignore=generated)
    code = 'import sys; sys.path.insert(0, "."); import nrl_ros.learning.noise'
    done = subprocess.run(
        [sys.executable, '-c', code], capture_output=True, text=True, cwd=tmp_path, check=False
    )
    said = r'NotBuiltError: nrl_ros\.learning\.\S+ is not compiled; build it: make setup'
    assert re.search(said, done.stderr), done.stderr
