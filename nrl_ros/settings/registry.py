"""Rules and noise shapes by name: those of the core, and those that other packages add.

Another package adds them through entry points (docs/own_rule.md)::

    entry_points={
        'nrl_ros.rules': ['my_rule = my_package.my_module:MyRule'],
        'nrl_ros.noise_shapes': ['my_noise = my_package.my_noise:make'],
    }

where ``MyRule(**settings) -> PlasticityRule`` and ``make(correlation_steps: float) -> NoiseShape``.
What was found is listed in the core's ``RULES`` and ``NOISE_SHAPES`` from then on; the core itself
looks for no packages.
"""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Mapping
from importlib.metadata import entry_points
from typing import Any

from pydantic import TypeAdapter, ValidationError

from nrl_ros.base.errors import ConfigError, NrlError
from nrl_ros.learning.interfaces import PlasticityRule
from nrl_ros.learning.noise import NOISE_SHAPES
from nrl_ros.learning.rules import RULES, make_rule

RULE_GROUP = 'nrl_ros.rules'
NOISE_GROUP = 'nrl_ros.noise_shapes'

_PARTS = ('name', 'trace_form', 'memory', 'sigma', 'samples', 'with_sigma', 'noise_size', 'scales')


def check_rule(name: str) -> None:
    """See that there is a rule of this name, and load it where another package has it.

    Raises:
        ConfigError: there is none, or it cannot be imported or is not a rule.
    """
    if name in RULES:
        return
    kind: Any = _load(RULE_GROUP, name, 'rule', RULES)
    missing = [part for part in ('explorer', *_PARTS[:3]) if not hasattr(kind, part)]
    if missing:
        raise ConfigError(
            f'rule {name!r} is {kind!r} without {", ".join(missing)}, '
            'expected an nrl_ros.learning.interfaces.PlasticityRule'
        )
    if kind.name != name:
        raise ConfigError(
            f'rule {name!r} calls itself {kind.name!r}: its name and the name of its entry point '
            'must be one, checkpoints are told apart by it'
        )
    RULES[name] = kind


def check_noise_shape(name: str) -> None:
    """See that there is a noise of this name, and load it where another package has it.

    Raises:
        ConfigError: there is none, or it cannot be imported.
    """
    if name not in NOISE_SHAPES:
        NOISE_SHAPES[name] = _load(NOISE_GROUP, name, 'noise', NOISE_SHAPES)


def build_rule(
    name: str, settings: Mapping[str, Any], options: Mapping[str, Any]
) -> PlasticityRule:
    """A rule with the settings that all rules share and with options of its own.

    Args:
        name: of the rule.
        settings: of all rules, by name; what a rule does not have is of no meaning to it.
        options: what its constructor takes, by name; these win.

    Raises:
        ConfigError: no such rule, or an option is unknown, of another type, or out of range.
    """
    check_rule(name)
    checked = _check_options(name, options)
    try:
        rule = make_rule(name, {**settings, **checked})
    except NrlError:
        raise
    except Exception as error:  # whatever another package's rule raises
        raise ConfigError(
            f'rule {name!r} could not be made: {type(error).__name__}: {error}; '
            f'its options: {", ".join(_parameters(name)) or "none"}'
        ) from error
    missing = [part for part in _PARTS if not hasattr(rule, part)]
    if missing:
        raise ConfigError(f'rule {name!r} has no {", ".join(missing)}')
    return rule


def _parameters(name: str) -> dict[str, Any]:
    """Options of a rule and their types; sigma is not one, as it may change while it runs."""
    kind = RULES[name]
    try:
        signature = inspect.signature(kind, eval_str=True)
    except NameError:  # a type that its module imports for type checkers only
        signature = inspect.signature(kind)
    return {
        key: parameter.annotation
        for key, parameter in sorted(signature.parameters.items())
        if key != 'sigma' and parameter.kind is not inspect.Parameter.VAR_KEYWORD
    }


def _check_options(name: str, options: Mapping[str, Any]) -> dict[str, Any]:
    known = _parameters(name)
    checked: dict[str, Any] = {}
    for key, value in options.items():
        if key not in known:
            hint = ', which is set by noise.sigma' if key == 'sigma' else _closest(key, known)
            raise ConfigError(
                f'rule {name!r} has no option {key!r}{hint}; '
                f'its options: {", ".join(known) or "none"}'
            )
        kind = known[key]
        if kind is inspect.Parameter.empty or isinstance(kind, str):
            checked[key] = value
            continue
        try:
            checked[key] = TypeAdapter(kind).validate_python(value)
        except ValidationError as error:
            raise ConfigError(
                f'rule {name!r}, option {key!r}: {error.errors()[0]["msg"]}, received {value!r}'
            ) from None
    return checked


def _load(group: str, name: str, what: str, own: Mapping[str, Any]) -> Callable[..., Any]:
    point = next(iter(entry_points(group=group, name=name)), None)
    if point is None:
        known = [*own, *(p.name for p in entry_points(group=group) if p.name not in own)]
        raise ConfigError(
            f'unknown {what} {name!r}{_closest(name, known)}; there are {", ".join(known)}'
        )
    try:
        return point.load()  # type: ignore[no-any-return]
    except Exception as error:  # whatever another package's module raises
        hint = '; install what it needs' if isinstance(error, ImportError) else ''
        raise ConfigError(
            f'{what} {name!r} ({point.value}) cannot be imported: {type(error).__name__}: '
            f'{error}{hint}'
        ) from error


def _closest(name: str, known: Mapping[str, Any] | list[str]) -> str:
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f', did you mean {close[0]!r}?' if close else ''
