#!/usr/bin/env python3
"""Count the lines of the product by room, code and prose apart, at one commit or at several.

    .venv/bin/python scripts/count_lines.py [COMMIT ...]

Without a commit: HEAD. Prose is docstrings and comments that have a line to themselves. Generated
files are not in a commit, and so they are not counted.
"""

from __future__ import annotations

import ast
import io
import re
import subprocess
import sys
import tokenize
from collections import Counter
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
ROOMS = ('nrl_ros', 'sim_bridge', 'launch')
_LANGUAGES = ('.py', '.c', '.h', '.pxd')
_C_COMMENT = re.compile(r'^[ \t]*(/\*.*?\*/|//[^\n]*)[ \t]*$', re.DOTALL | re.MULTILINE)


class Lines(NamedTuple):
    """Lines of one text."""

    code: int
    prose: int
    blank: int


def count(text: str, *, python: bool) -> Lines:
    """Return how many lines of a text are code, prose, and neither."""
    numbers = _python_prose(text) if python else _c_prose(text)
    lines = text.splitlines()
    blank = sum(not line.strip() for n, line in enumerate(lines, 1) if n not in numbers)
    return Lines(len(lines) - len(numbers) - blank, len(numbers), blank)


def _python_prose(text: str) -> set[int]:
    found: set[int] = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            first = node.body[0] if node.body else None
            if isinstance(first, ast.Expr) and ast.get_docstring(node, clean=False) is not None:
                found |= set(range(first.lineno, (first.end_lineno or first.lineno) + 1))
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT and not token.line[: token.start[1]].strip():
            found.add(token.start[0])
    return found


def _c_prose(text: str) -> set[int]:
    found: set[int] = set()
    for match in _C_COMMENT.finditer(text):
        first = text.count('\n', 0, match.start()) + 1
        found |= set(range(first, first + match[0].strip('\n').count('\n') + 1))
    return found


def room_of(path: str) -> str:
    """Return the folder that a file belongs to: the second one below ``nrl_ros``."""
    parts = path.split('/')
    return '/'.join(parts[: 2 if parts[0] == 'nrl_ros' and len(parts) > 2 else 1])


def rooms_at(commit: str) -> dict[str, Lines]:
    """Return the lines of each room of the product at a commit."""
    totals: dict[str, Counter[str]] = {}
    for path in _git('ls-tree', '-r', '--name-only', commit, *ROOMS).split():
        if Path(path).suffix in _LANGUAGES:
            lines = count(_git('show', f'{commit}:{path}'), python=path.endswith('.py'))
            totals.setdefault(room_of(path), Counter()).update(lines._asdict())
    return {room: Lines(*(totals[room][name] for name in Lines._fields)) for room in sorted(totals)}


def _git(*arguments: str) -> str:
    done = subprocess.run(
        ['git', '-C', str(ROOT), *arguments], capture_output=True, text=True, check=True
    )
    return done.stdout


def main() -> None:
    """Print a table for each commit."""
    for commit in sys.argv[1:] or ['HEAD']:
        rooms = rooms_at(commit)
        total = Lines(*(sum(column) for column in zip(*rooms.values(), strict=True)))
        print(f'\n{_git("log", "-1", "--format=%h %s", commit)}')
        print(f'{"":24}{"code":>8}{"prose":>8}{"blank":>8}{"all":>8}')
        for room, lines in {**rooms, 'all': total}.items():
            print(f'{room:24}' + ''.join(f'{n:8,}' for n in (*lines, sum(lines))))


if __name__ == '__main__':
    main()
