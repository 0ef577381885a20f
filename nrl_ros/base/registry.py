"""Registry of parts by name: those that come with nrl_ros, and those that other packages add.

Rules, noise, optimisers, baselines, policy heads, networks and environments are all found this way.
Another package adds one through an entry point (docs/own_rule.md, docs/bridges.md)::

entry_points={'nrl_ros.rules': ['my_rule = my_package.my_module:MyRule']}

A name such as ``./my_rule.py:MyRule`` finds a part in a plain file.

The object of the entry point is called with the arguments that the kind of part requires, and with
its options, in one of three forms:

- a settings model: the options are its fields; - keyword arguments: the options are these
arguments, checked by their type hints; - one argument ``options``, annotated with a settings model,
or not annotated: a plain dictionary.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, create_model

from nrl_ros.base.errors import ConfigError, NrlError, closest, describe
from nrl_ros.base.part_files import absolute_name, is_file_name, load_part
from nrl_ros.base.settings import Settings, parse

Made = TypeVar('Made')
Entry = Callable[..., Any]
_OPTIONS = 'options'


class Registry(Generic[Made]):
    """The parts of one kind.

    Args:
        what: the kind, for error texts.
        group: entry point group in which other packages add theirs.
        entries: parts that come with nrl_ros, by name: what makes one, or its place as
            ``module:name``, which is imported when it is asked for.
        arguments: how many arguments come before the options.
        parts: attributes that what is made must have.
        elsewhere: options that another setting sets, with the name of that setting.
        error: raised for a name that is not known or cannot be made.
    """

    def __init__(
        self,
        what: str,
        group: str,
        entries: Mapping[str, Entry | str],
        *,
        arguments: int = 0,
        parts: tuple[str, ...] = (),
        elsewhere: Mapping[str, str] | None = None,
        error: type[NrlError] = ConfigError,
    ) -> None:
        self.group = group
        self._what = what
        self._entries: dict[str, Entry | str] = dict(entries)
        self._own = tuple(entries)
        self._arguments = arguments
        self._parts = parts
        self._elsewhere = dict(elsewhere or {})
        self._error = error
        self._models: dict[str, type[BaseModel] | None] = {}

    def __iter__(self) -> Iterator[str]:
        """Return the names that come with nrl_ros."""
        return iter(self._own)

    def names(self) -> list[str]:
        """Return all names: those of nrl_ros, then those of other packages."""
        installed = sorted({point.name for point in entry_points(group=self.group)})
        return [*self._entries, *(name for name in installed if name not in self._entries)]

    def add(self, name: str, entry: Entry | str) -> None:
        """Add a part by hand, as a script does that is not an installed package.

        Args:
            name: of the part.
            entry: what makes it, or its place as ``module:name``.

        Raises:
            ConfigError: the name is taken by another part.
        """
        if self._entries.get(name, entry) != entry:
            raise ConfigError(f'{self._what} {name!r} is there already, expected another name')
        self._entries[name] = entry

    def known(self, name: str) -> str:
        """Return a name after checking that its part can be imported; settings are validated by it.

        The name of a part in a file is returned with the absolute path.

        Raises:
            ConfigError, or the registry's error: there is none, naming the nearest.
        """
        self[name]
        return absolute_name(name)

    def __getitem__(self, name: str) -> Entry:
        """Return what makes a part, imported if that was not done yet.

        Raises:
            ConfigError, or the registry's error: there is none, or it cannot be imported.
        """
        if is_file_name(name):
            # Not kept: a notebook may change the file, and then means the new one.
            part: Entry = load_part(name, self._what)
            return part
        entry = self._entries.get(name)
        if entry is not None and not isinstance(entry, str):
            return entry
        if entry is None:
            point = next(iter(entry_points(group=self.group, name=name)), None)
        else:
            point = EntryPoint(name, entry, self.group)
        if point is None:
            raise self._error(f'unknown {self._what} {name!r}{closest(name, self.names())}')
        try:
            loaded: Entry = point.load()
        except Exception as error:  # whatever another package's module raises
            hint = '; install what it needs' if isinstance(error, ImportError) else ''
            raise self._error(
                f'{self._what} {name!r} ({point.value}) cannot be imported: {describe(error)}{hint}'
            ) from error
        self._entries[name] = loaded
        return loaded

    def check(
        self, name: str, options: Mapping[str, Any], shared: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """Check that options fit a part, as far as that is possible before it is made.

        Args:
            name: of the part.
            options: of its own.
            shared: settings of all parts of the kind, as in ``make``.

        Returns:
            The options.

        Raises:
            ConfigError: one is unknown, of another type or out of range.
        """
        self._parsed(name, options, shared or {})
        return dict(options)

    def make(
        self,
        name: str,
        *arguments: Any,
        options: Mapping[str, Any] | None = None,
        shared: Mapping[str, Any] | None = None,
    ) -> Made:
        """Make a part.

        Args:
            name: of the part.
            arguments: those that every part of the kind takes.
            options: of its own, by name; they replace shared settings of the same name.
            shared: settings of all parts of the kind; a part ignores those that it does not have.

        Raises:
            ConfigError: an option is unknown, of another type or out of range.
            ConfigError, or the registry's error: no such part, or it could not be made.
        """
        entry, parsed = self[name], self._parsed(name, options or {}, shared or {})
        try:
            if isinstance(parsed, BaseModel) and type(parsed) is entry:
                made: Any = parsed
            elif isinstance(parsed, BaseModel) and isinstance(parsed, _Keywords):
                made = entry(*arguments, **{key: getattr(parsed, key) for key in _names(parsed)})
            else:
                made = entry(*arguments, parsed)
        except NrlError:
            raise
        except Exception as error:  # whatever another package's part raises
            raise self._error(
                f'{self._what} {name!r} could not be made: {describe(error)}'
            ) from error
        missing = [part for part in self._parts if not hasattr(made, part)]
        if missing:
            raise self._error(
                f'{self._what} {name!r} is a {type(made).__name__} without {", ".join(missing)}'
            )
        return made  # type: ignore[no-any-return]

    def options_of(self, name: str) -> type[BaseModel] | None:
        """Return the model of a part's options; None if the part checks a dictionary by itself.

        Raises:
            ConfigError, or the registry's error: no such part, or it cannot be imported.
        """
        if is_file_name(name):
            return _model_of(self[name], self._arguments)
        if name not in self._models:
            self._models[name] = _model_of(self[name], self._arguments)
        return self._models[name]

    def _parsed(
        self, name: str, options: Mapping[str, Any], shared: Mapping[str, Any]
    ) -> BaseModel | dict[str, Any]:
        for key in options:
            if key in self._elsewhere:
                where = self._elsewhere[key]
                raise ConfigError(f'{self._what} {name!r}: option {key!r} is set by {where}')
        model = self.options_of(name)
        if model is None:
            return dict(options)
        values = {key: value for key, value in shared.items() if key in model.model_fields}
        return parse(
            model,
            {**values, **options},
            source=f'{self._what} {name!r}',
            what='option',
            hidden=self._elsewhere,
        )


class _Keywords(Settings):
    """Base of the models that are made from the keyword arguments of an entry."""

    model_config = ConfigDict(arbitrary_types_allowed=True)


def _names(model: BaseModel) -> list[str]:
    return list(type(model).model_fields)


def _model_of(entry: Entry, arguments: int) -> type[BaseModel] | None:
    """Return the model of an entry's options; None if it checks a dictionary by itself."""
    if isinstance(entry, type) and issubclass(entry, BaseModel):
        return entry
    try:
        parameters = list(_signature(entry).parameters.values())[arguments:]
    except ValueError:  # a built-in, whose arguments are not known
        parameters = []
    if [parameter.name for parameter in parameters] == [_OPTIONS]:
        kind = parameters[0].annotation
        return kind if isinstance(kind, type) and issubclass(kind, BaseModel) else None
    fields: dict[str, Any] = {}
    for parameter in parameters:
        if parameter.kind in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL):
            continue
        kind, default = parameter.annotation, parameter.default
        unsaid = kind is parameter.empty or isinstance(kind, str)
        fields[parameter.name] = (
            Any if unsaid else kind,
            ... if default is parameter.empty else default,
        )
    return create_model('Options', __base__=_Keywords, **fields)


def _signature(entry: Entry) -> inspect.Signature:
    try:
        return inspect.signature(entry, eval_str=True)
    except NameError:  # a type that its module imports for type checkers only
        return inspect.signature(entry)
