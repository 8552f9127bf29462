"""Seasonal models that `series.model` may name: point-forecast models of statsforecast."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from typing import Any, get_args, get_origin

from gundog.core.fields import Fields, unknown

# A model's name with its arguments; an argument that is a model itself is written the same way.
SeasonalModel = Mapping[str, Mapping[str, Any]]

DEFAULT = "SeasonalWindowAverage"
# They forecast a variance or nothing, or take an object that YAML cannot hold.
UNUSABLE = {"ARCH", "GARCH", "SklearnModel", "ConstantModel", "ZeroModel", "NaNModel"}
# What statsforecast's models take and a series has no use for.
_NOT_OURS = {"self", "alias", "prediction_intervals"}
_LONGEST_SEASON = 8_760
_KINDS = {int: "a whole number", float: "a number", str: "a text", bool: "true or false"}


def read(fields: Fields, key: str = "model") -> SeasonalModel | None:
    """The model that `key` names; None for the default one.

    A name that statsforecast does not have, or an argument that its model does not take, is a
    problem with the nearest one.
    """
    given = fields.data.get(key)
    if given is None or given in (DEFAULT, {DEFAULT: None}, {DEFAULT: {}}):
        return None
    return _read(fields, key, given)


def make(model: SeasonalModel) -> Any:
    """The model as an object of statsforecast."""
    from statsforecast import models  # takes seconds to import

    ((name, arguments),) = model.items()
    kind = getattr(models, name)
    nested = set(_nested(kind))
    return kind(
        **{key: make(value) if key in nested else value for key, value in arguments.items()}
    )


def _read(fields: Fields, key: str, given: Any) -> SeasonalModel | None:
    from statsforecast import models  # takes seconds to import

    named = {given: None} if isinstance(given, str) else given
    if not isinstance(named, dict) or len(named) != 1:
        fields.problem(
            key, f"is {fields.said(given)}: write one model of statsforecast, such as AutoETS or"
            " {MSTL: {season_length: [24, 168]}}"
        )  # fmt: skip
        return None
    name, arguments = next(iter(named.items()))
    usable = [each for each in models.__all__ if each not in UNUSABLE]
    if name not in usable:
        fields.problem(key, unknown(name, usable, "model"))
        return None
    return _with_arguments(fields, key, name, {} if arguments is None else arguments)


def _with_arguments(fields: Fields, key: str, name: str, given: Any) -> SeasonalModel | None:
    from statsforecast import models

    kind = getattr(models, name)
    taken = _parameters(kind)
    before = len(fields.problems)
    inner = fields.inner(f"{key}.{name}", list(taken), given)
    if isinstance(given, dict) and given and not taken:
        inner.problem("", "takes no arguments: remove them")
    for parameter in taken.values():
        if parameter.default is parameter.empty and parameter.name not in inner.data:
            inner.problem(parameter.name, f"is missing: write {_wanted(parameter.annotation)}")
    arguments = dict(inner.data)
    for argument, value in inner.data.items():
        if argument in _nested(kind):
            arguments[argument] = _read(inner, argument, value)
        elif argument in taken and (why := _wrong(taken[argument], value)):
            inner.problem(argument, f"is {inner.said(value)}: write {why}")
    return {name: arguments} if len(fields.problems) == before else None


def _parameters(kind: Any) -> dict[str, inspect.Parameter]:
    parameters = inspect.signature(kind.__init__).parameters
    return {name: each for name, each in parameters.items() if name not in _NOT_OURS}


def _nested(kind: Any) -> Iterator[str]:
    """The arguments that are models themselves."""
    for name, parameter in _parameters(kind).items():
        if hasattr(parameter.default, "forecast"):
            yield name


def _wrong(parameter: inspect.Parameter, value: Any) -> str:
    """What to write in place of a value; '' where it may be right."""
    if parameter.name == "season_length" and value is not None:
        seasons = value if isinstance(value, list) and value else [value]
        lengths = [each for each in seasons if isinstance(each, int) and each is not True]
        if len(lengths) < len(seasons) or not all(1 <= each <= _LONGEST_SEASON for each in lengths):
            return f"whole numbers of hours from 1 to {_LONGEST_SEASON}, such as 168"
    kinds = _plain_kinds(parameter.annotation)
    if not kinds or any(_fits(value, kind) for kind in kinds):
        return ""
    return _wanted(parameter.annotation)


def _fits(value: Any, kind: Any) -> bool:
    if kind is float:
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    return isinstance(value, kind) and (kind is bool or not isinstance(value, bool))


def _plain_kinds(annotation: Any) -> tuple[Any, ...]:
    """The types that an annotation allows; none where it says too little."""
    kinds = []
    for kind in get_args(annotation) if _is_union(annotation) else (annotation,):
        plain = list if get_origin(kind) in (list, tuple) else get_origin(kind) or kind
        if not isinstance(plain, type) or plain is inspect.Parameter.empty:
            return ()
        kinds.append(plain)
    return tuple(kinds)


def _is_union(annotation: Any) -> bool:
    return bool(get_args(annotation)) and not isinstance(get_origin(annotation), type)


def _wanted(annotation: Any) -> str:
    words = [_KINDS.get(kind, "a list") for kind in _plain_kinds(annotation)
             if kind not in (type(None), dict)]  # fmt: skip
    return " or ".join(dict.fromkeys(words)) or "keys and values"
