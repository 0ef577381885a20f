"""State as data: copy everything that decides an object's future, and restore such a copy.

An object holds its state in one attribute, ``state``: a dict or a dataclass, or None if it
remembers nothing. The values are of these kinds:

- truth values and numbers;
- None for a value that does not exist yet; only a field of a dataclass whose default is None may
  become None again;
- texts, which name the owner of the state: a snapshot with another text is refused;
- arrays, which stay the same ones for ever, since views and compiled code point to them;
- numpy's random generators;
- lists, which may be empty at first and grow;
- dicts, dataclasses, and objects that hold a ``state`` themselves.

``take_snapshot`` copies this tree as plain data, which is what a checkpoint file holds.
``restore_snapshot`` writes such data back. It first checks all of it, so that a snapshot that does
not fit changes nothing.

An object may have three more methods. ``check_snapshot(snapshot)`` raises CheckpointError for
faults that kinds and shapes do not show. ``before_snapshot()`` brings ``state`` up to date, and
``after_restore()`` uses what was restored; an object needs them if a part of its state is
elsewhere, such as in a physics engine. These two must not fail. A value that exists only during a
snapshot, and has another size each time, is a ``transient`` field.

An object of another package may have ``snapshot()`` and ``restore(snapshot)`` instead.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np

from nrl_ros.base.errors import CheckpointError

_HINT = 'it was saved by another version of nrl_ros, or with other settings'
_TRANSIENT = 'transient'
# Errors that are raised for data of another kind, as numpy does for the state of another generator.
_MISFITS = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)
# In Python a truth value is also an integer, so it comes first.
_NUMBERS = (bool, int, float)


class Stateful:
    """An object that is saved and continued by what its ``state`` holds.

    Attributes:
        state: a dict or a dataclass, see the module; None: there is nothing to remember.
    """

    state: Any = None

    def snapshot(self) -> Any:
        """Return everything that decides the future, as plain data and copied arrays."""
        return take_snapshot(self)

    def restore(self, snapshot: Any) -> None:
        """Continue from a snapshot.

        Raises:
            CheckpointError: it does not fit; nothing was changed.
        """
        restore_snapshot(self, snapshot)


def transient() -> Any:
    """Return a field of a dataclass that is None except while a snapshot is taken or restored.

    ``before_snapshot`` fills it. The restored value may be of any kind and size: ``check_snapshot``
    checks it, and ``after_restore`` uses it.
    """
    return dataclasses.field(default=None, metadata={_TRANSIENT: True})


def take_snapshot(part: Any) -> Any:
    """Return an independent copy of all state of an object, as plain data.

    Args:
        part: an object with ``state``, or a state by itself: a dict or a dataclass.

    Returns:
        None, bool, int, float, str, bytes, arrays, and lists and dicts of these.

    Raises:
        TypeError: a value is of a kind that a state may not hold.
    """
    return _copied(part, '')


def restore_snapshot(part: Any, snapshot: Any, name: str = '') -> None:
    """Restore an object of the same kind and size from a snapshot.

    Args:
        part: as in ``take_snapshot``.
        snapshot: as it was returned, or read from a file; it is copied.
        name: of the object; the paths in errors begin with it.

    Raises:
        CheckpointError: a value is missing, unknown, or of another kind or shape; the error names
            its path and what was expected. Nothing was changed.
    """
    plan = _Plan()
    plan.add_part(part, snapshot, name)
    plan.carry_out()


# ------------------------------------------------------------------- the tree


def _is_foreign(part: Any) -> bool:
    """Return True if an object saves and restores itself by its own methods."""
    return hasattr(part, 'snapshot') and hasattr(part, 'restore') and not isinstance(part, Stateful)


def _is_record(value: Any) -> bool:
    return isinstance(value, dict) or (
        dataclasses.is_dataclass(value) and not isinstance(value, type)
    )


def _items(record: Any) -> Iterator[tuple[str, Any]]:
    """Yield names and values of a dict or dataclass."""
    if isinstance(record, dict):
        yield from record.items()
    else:
        for field in dataclasses.fields(record):
            yield field.name, getattr(record, field.name)


def _forget_transient(record: Any) -> None:
    if dataclasses.is_dataclass(record):
        for field in dataclasses.fields(record):
            if _TRANSIENT in field.metadata:
                setattr(record, field.name, None)


def _below(path: str, name: Any) -> str:
    return f'{path}.{name}' if path else str(name)


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value


def _copied(value: Any, path: str) -> Any:
    """Return a value of a state, or of a snapshot, as plain data that shares no array with it."""
    value = _plain(value)
    if value is None or isinstance(value, (*_NUMBERS, str, bytes)):
        return value
    if isinstance(value, np.ndarray):
        return value.copy()
    if isinstance(value, np.random.Generator):
        return dict(value.bit_generator.state)
    if isinstance(value, (list, tuple)):
        return [_copied(item, f'{path}[{index}]') for index, item in enumerate(value)]
    if _is_foreign(value):
        return value.snapshot()
    if hasattr(value, 'state'):
        if hasattr(value, 'before_snapshot'):
            value.before_snapshot()
        return _copied(value.state, path)
    if _is_record(value):
        copied = {name: _copied(item, _below(path, name)) for name, item in _items(value)}
        _forget_transient(value)
        return copied
    raise TypeError(
        f'{path or "the state"} is a {type(value).__name__}, expected None, a number, a text, an '
        'array, a random generator, a list, a dict, a dataclass, or an object with a state'
    )


class _Plan:
    """What restoring a snapshot has to write, collected while the snapshot is checked."""

    def __init__(self) -> None:
        self._foreign: list[tuple[Any, Any, str]] = []
        self._writes: list[Callable[[], object]] = []
        self._hooks: list[Callable[[], object]] = []

    def add_part(self, part: Any, saved: Any, path: str) -> None:
        """Check what was saved of an object or a record, and plan to put it back."""
        if _is_foreign(part):
            self._foreign.append((part, saved, path))
        elif hasattr(part, 'state'):
            if part.state is None:
                _expect(saved is None, path, 'none', saved)
            else:
                self.add_part(part.state, saved, path)
            if hasattr(part, 'check_snapshot'):
                _check(part, saved, path)
            if hasattr(part, 'after_restore'):
                self._hooks.append(part.after_restore)
                self._hooks.append(partial(_forget_transient, part.state))
        elif _is_record(part):
            self._add_record(part, saved, path)
        else:
            raise TypeError(f'{path or "the object"} is a {type(part).__name__} without a state')

    def _add_record(self, record: Any, saved: Any, path: str) -> None:
        now = dict(_items(record))
        _expect(isinstance(saved, dict), path, 'values by name', saved)
        for name, value in now.items():
            # An object of another kind has other names too, but this error names the kind.
            if isinstance(value, str):
                _expect_text(value, saved.get(name, value), _below(path, name))
        if now.keys() != saved.keys():
            _refuse(path, ', '.join(now) or 'nothing', ', '.join(map(str, saved)) or 'nothing')
        if isinstance(record, dict):
            absent: set[str] = set()
            put: Callable[[str, Any], None] = record.__setitem__
        else:
            absent = {field.name for field in dataclasses.fields(record) if field.default is None}
            put = partial(setattr, record)
        for name, value in now.items():
            if saved[name] is None and name in absent:
                self._writes.append(partial(put, name, None))
            else:
                self._add_value(value, saved[name], _below(path, name), partial(put, name))

    def _add_value(self, value: Any, saved: Any, path: str, put: Callable[[Any], object]) -> None:
        """Check what was saved of one value; ``put`` replaces it where it is no part or array."""
        value = _plain(value)
        if value is None:
            self._writes.append(partial(put, _copied(saved, path)))
        elif isinstance(value, _NUMBERS):
            saved, kind = _plain(saved), next(kind for kind in _NUMBERS if isinstance(value, kind))
            _expect(type(saved) is kind, path, kind.__name__, saved)
            self._writes.append(partial(put, saved))
        elif isinstance(value, (str, bytes)):
            _expect_text(value, saved, path)
        elif isinstance(value, np.ndarray):
            fits = isinstance(saved, np.ndarray) and _kind(saved) == _kind(value)
            _expect(fits, path, _kind(value), saved)
            self._writes.append(partial(np.copyto, value, saved))
        elif isinstance(value, np.random.Generator):
            self._add_generator(value.bit_generator, saved, path)
        elif isinstance(value, list):
            self._add_list(value, saved, path, put)
        else:
            self.add_part(value, saved, path)

    def _add_list(
        self, value: list[Any], saved: Any, path: str, put: Callable[[Any], object]
    ) -> None:
        _expect(isinstance(saved, list), path, 'a list', saved)
        if not value or not saved:
            # The list is still empty, so nothing tells the kind of its entries.
            self._writes.append(partial(put, _copied(saved, path)))
            return
        if len(value) != len(saved):
            _refuse(path, f'{len(value)} entries', str(len(saved)))
        for index, (item, item_saved) in enumerate(zip(value, saved, strict=True)):
            put_item = partial(value.__setitem__, index)
            self._add_value(item, item_saved, f'{path}[{index}]', put_item)

    def _add_generator(self, generator: Any, saved: Any, path: str) -> None:
        # numpy offers no other check than to try.
        trial = type(generator)(0)
        try:
            trial.state = saved
        except _MISFITS as error:
            kind = type(generator).__name__
            raise CheckpointError(
                f'{path}: expected the state of a generator {kind}, received what it refuses '
                f'({type(error).__name__}: {error}); {_HINT}'
            ) from error
        self._writes.append(partial(setattr, generator, 'state', trial.state))

    def carry_out(self) -> None:
        """Write everything; steps that may fail come first, and are undone if one fails."""
        with contextlib.ExitStack() as undo:
            for part, saved, path in self._foreign:
                undo.callback(part.restore, part.snapshot())
                try:
                    part.restore(saved)
                except CheckpointError:
                    raise
                except Exception as error:  # whatever another package's object raises
                    raise CheckpointError(
                        f'{path}: {type(part).__name__} does not take its snapshot: '
                        f'{type(error).__name__}: {error}; {_HINT}'
                    ) from error
            undo.pop_all()
        for write in (*self._writes, *self._hooks):
            write()


def _check(part: Any, saved: Any, path: str) -> None:
    """Let an object check what was saved of it; its error gets the path."""
    try:
        part.check_snapshot(saved)
    except CheckpointError as error:
        raise CheckpointError(f'{path}: {error}' if path else str(error)) from error
    except _MISFITS as error:
        raise CheckpointError(
            f'{path or "state"}: expected that of a {type(part).__name__}, received another '
            f'({type(error).__name__}: {error}); {_HINT}'
        ) from error


def _kind(value: Any) -> str:
    """Return the name of a value's kind for errors."""
    if isinstance(value, np.ndarray):
        return f'{value.dtype} {list(value.shape)}'
    return 'none' if value is None else type(value).__name__


def _expect(fits: bool, path: str, expected: str, saved: Any) -> None:
    if not fits:
        _refuse(path, expected, _kind(saved))


def _expect_text(expected: str | bytes, saved: Any, path: str) -> None:
    if type(saved) is not type(expected) or saved != expected:
        shown = repr(saved) if isinstance(saved, (str, bytes)) else _kind(saved)
        _refuse(path, repr(expected), shown)


def _refuse(path: str, expected: str, received: str) -> None:
    raise CheckpointError(f'{path or "state"}: expected {expected}, received {received}; {_HINT}')
