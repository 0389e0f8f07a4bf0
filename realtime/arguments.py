"""Arguments that a client sent, given to functions that an app wrote: wrong names are its error, never a TypeError."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from realtime.errors import BadArgs

# `_page` and the like belong to the protocol; `_type` comes along when a client sends a published object back.
RESERVED = ("_page", "_snapshot", "_since", "_type")

_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


def split(args: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """(arguments of the verb, reserved ones); BadArgs for unknown names with a leading underscore."""
    own = {name: value for name, value in args.items() if not name.startswith("_")}
    reserved = {name: value for name, value in args.items() if name.startswith("_")}
    for name in reserved:
        if name not in RESERVED:
            raise BadArgs(f"There is no argument {name!r}.")
    return own, reserved


def bind(method: Callable[..., Any], args: Mapping[str, Any]) -> None:
    """BadArgs, naming the argument, unless the bound method can be called with exactly these."""
    parameters = _parameters(method)
    open_ended = any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters)
    known = {p.name for p in parameters if p.kind in (*_POSITIONAL[1:], inspect.Parameter.KEYWORD_ONLY)}
    for name in args:
        if name == "self" or (name not in known and not open_ended):
            raise BadArgs(f"There is no argument {name!r}.")
    for p in parameters:
        if p.name in known and p.default is inspect.Parameter.empty and p.name not in args:
            raise BadArgs(f"The argument {p.name!r} is missing.")


def call_hook(method: Callable[..., Any], /, *given: Any, **args: Any) -> Any:
    """Call an app's hook with a client's arguments after the server's own, which a client cannot displace.

    KeyError and missing parameters are the client's: it left out what the hook looks for.
    """
    parameters = _parameters(method)
    taken = {p.name for p in parameters[: len(given)] if p.kind in _POSITIONAL} | {"self"}
    args = {name: value for name, value in args.items() if name not in taken}
    if not any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters):
        args = {p.name: args[p.name] for p in parameters if p.name in args}
    for p in parameters[len(given) :]:
        named = p.kind in (*_POSITIONAL, inspect.Parameter.KEYWORD_ONLY)
        if named and p.default is inspect.Parameter.empty and p.name not in args:
            raise BadArgs(f"The argument {p.name!r} is missing.")
    try:
        return method(*given, **args)
    except KeyError as error:
        missing = error.args[0] if error.args else None
        # A value of an argument is no name of one: looking it up somewhere in vain is the app's own affair.
        named = isinstance(missing, str) and missing not in args and missing not in args.values()
        if named and _raised_here(error, method):
            raise BadArgs(f"The argument {missing!r} is missing.") from None
        raise


def _parameters(method: Callable[..., Any]) -> Sequence[inspect.Parameter]:
    """Looking them up takes Python longer than most verbs take."""
    if inspect.ismethod(method):
        return _of_function(method.__func__)[1:]
    return _of_function(method) if inspect.isfunction(method) else _looked_up(method)


def _looked_up(method: Callable[..., Any]) -> Sequence[inspect.Parameter]:
    return tuple(inspect.signature(method).parameters.values())


_of_function = functools.lru_cache(maxsize=1000)(_looked_up)


def _raised_here(error: KeyError, method: Callable[..., Any]) -> bool:
    """Whether the hook itself looked for the key, rather than something deeper that it called."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    code = getattr(inspect.unwrap(method), "__code__", None)
    return trace is not None and code is not None and trace.tb_frame.f_code is code
