"""How a command ends when something is wrong: one clear line, and an exit code."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import typer
from rich.console import Console
from rich.markup import escape

from nrl_ros.base.errors import ConfigError, NrlError


@contextmanager
def errors() -> Iterator[Console]:
    """Print every error that is meant for the user as one clear line."""
    console = Console(stderr=True)
    try:
        yield console
    except ConfigError as error:
        _fail(console, error, 2)
    except NrlError as error:
        _fail(console, error, 1)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.startswith('nrl_ros'):
            raise
        _fail(console, f'{error}; `nrl doctor` says what is missing and how to mend it', 1)
    except OSError as error:
        _fail(console, f'{error.filename or "system"}: {error.strerror or error}', 1)
    except KeyboardInterrupt:
        raise typer.Exit(130) from None


def _fail(console: Console, error: object, code: int) -> None:
    console.print(f'[bold red]error:[/] {escape(str(error))}', highlight=False, soft_wrap=True)
    raise typer.Exit(code) from None
