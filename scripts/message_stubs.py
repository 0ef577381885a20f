"""Writes the types of the generated messages: ``__init__.pyi`` of ``msg``, ``srv`` and ``action``.

rosidl generates Python without types, so that nobody would notice a misspelt field before it runs.
CMake calls this with the folder that the stubs go to; they are installed beside the modules.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
_SCALARS = {'bool': 'bool', 'float32': 'float', 'float64': 'float', 'string': 'str'} | {
    f'{sign}int{bits}': 'int' for sign in ('', 'u') for bits in (8, 16, 32, 64)
}
_LINE = re.compile(
    r'(?P<kind>[\w/]+)(?:<=\d+)?(?P<array>\[(?:<=\d+)?\])?\s+(?P<name>\w+)\s*(?:=\s*(?P<value>.+))?'
)
_HEAD = '''"""Types of the generated modules; written by scripts/message_stubs.py."""

from array import array
from collections.abc import Iterable
from typing import Final, TypeAlias

'''


class Field(NamedTuple):
    """A field or a constant.

    Attributes:
        name: of it.
        read: type of what is read.
        written: type of what may be assigned; empty for a constant.
        value: of a constant.
    """

    name: str
    read: str
    written: str
    value: str = ''


def fields(definition: str, source: str) -> Iterator[Field]:
    """Yield what a message definition declares, in its order.

    Raises:
        SystemExit: a line is not understood; says which.
    """
    for line in definition.splitlines():
        code = line.partition('#')[0].strip()
        if not code:
            continue
        found = _LINE.fullmatch(code)
        kind = _SCALARS.get(found['kind'], found['kind'].split('/')[-1]) if found else ''
        if found is None or (found['array'] and kind not in _SCALARS.values()):
            raise SystemExit(
                f'error: {source}: {code!r} is not understood, expected "type name" or '
                '"type NAME=value", where arrays are of numbers or strings and of no fixed length; '
                'teach scripts/message_stubs.py what else there is'
            )
        if found['value']:
            yield Field(found['name'], kind, '', found['value'])
        elif found['array']:
            read = 'list[str]' if kind == 'str' else f'array[{kind}]'
            yield Field(found['name'], read, f'Iterable[{kind}]')
        else:
            yield Field(found['name'], kind, kind)


def message(name: str, definition: str, source: str) -> str:
    """Return the class of a message, or of one part of a service or an action."""
    declared = list(fields(definition, source))
    lines = [f'class {name}:']
    lines += [f'    {one.name}: Final = {one.value}' for one in declared if not one.written]
    lines += ['    def __init__(', '        self,', '        *,']
    lines += [f'        {one.name}: {one.written} = ...,' for one in declared if one.written]
    lines += ['        check_fields: bool = ...,', '    ) -> None: ...']
    for one in declared:
        if one.written:
            lines += ['    @property', f'    def {one.name}(self) -> {one.read}: ...']
            lines += [f'    @{one.name}.setter']
            lines += [f'    def {one.name}(self, value: {one.written}) -> None: ...']
    lines += ['    @classmethod', '    def get_fields_and_field_types(cls) -> dict[str, str]: ...']
    return '\n'.join(lines) + '\n'


def service(name: str, definition: str, source: str) -> str:
    """Return the classes of a service: request, response, and the two by their short names."""
    return _in_parts(name, definition, source, ('Request', 'Response'))


def action(name: str, definition: str, source: str) -> str:
    """Return the classes of an action: goal, result, feedback, and these by their short names."""
    return _in_parts(name, definition, source, ('Goal', 'Result', 'Feedback'))


def _in_parts(name: str, definition: str, source: str, parts: tuple[str, ...]) -> str:
    texts = dict(zip(parts, definition.split('\n---\n'), strict=True))
    made = [message(f'{name}_{part}', text, source) for part, text in texts.items()]
    short = ''.join(f'    {part}: TypeAlias = {name}_{part}\n' for part in texts)
    return '\n'.join([*made, f'class {name}:\n{short}'])


_MAKE = {'msg': message, 'srv': service, 'action': action}


def imports(text: str) -> str:
    """Return the import lines of the messages of other packages that definitions name."""
    names = sorted(set(re.findall(r'^(\w+)/(\w+)(?:\[|\s)', text, re.MULTILINE)))
    return ''.join(f'from {package}.msg import {name} as {name}\n' for package, name in names)


def stub(folder: Path) -> str:
    """Return the stub of the module that is generated from a folder of definitions."""
    paths = sorted(folder.glob(f'*.{folder.name}'))
    texts = {path: path.read_text() for path in paths}
    own = {path.stem for path in (folder.parent / 'msg').glob('*.msg')}
    used = sorted(name for name in own if re.search(rf'^{name}\s', '\n'.join(texts.values()), re.M))
    lines = imports('\n'.join(texts.values()))
    lines += ''.join(f'from nrl_ros.msg import {name}\n' for name in used)
    classes = [_MAKE[folder.name](path.stem, text, path.name) for path, text in texts.items()]
    return '\n'.join([_HEAD + lines, *classes])


def main() -> int:
    """Write the stubs below the folder that is given."""
    for name in _MAKE:
        target = Path(sys.argv[1], name, '__init__.pyi')
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(stub(ROOT / name))
    return 0


if __name__ == '__main__':
    raise SystemExit(main())
