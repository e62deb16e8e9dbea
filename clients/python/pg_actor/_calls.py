"""What a call is, in SQL, and when it may be repeated: all that needs no connection."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Callable, Iterator, Mapping, Optional, Union

import psycopg
from psycopg import sql
from psycopg.pq import TransactionStatus
from psycopg.types.json import Jsonb

# the transaction has had no effect, and another attempt may go better
AGAIN = frozenset({"40P01", "55P03", "40001"})
# the server has gone away, and nobody knows whether the transaction has committed
LOST = frozenset({"57P01", "57P02", "57P03"})

FIRST_PAUSE = 0.01
LONGEST_PAUSE = 1.0

When = Union[str, timedelta, datetime]


class _Unset:
    """An argument that is not given, where None is a value."""

    def __repr__(self) -> str:
        return "UNSET"

    def __bool__(self) -> bool:
        return False


UNSET: Any = _Unset()


@dataclass(frozen=True)
class Options:
    """What goes for all calls of one object."""

    schema: Optional[str] = None
    retries: int = 8
    prepare: Optional[bool] = None
    traceparent: Union[None, str, Callable[[], Optional[str]]] = None
    request_id: Optional[str] = None

    def changed(self, **changes: Any) -> "Options":
        return replace(self, **changes)

    def trace(self) -> Optional[str]:
        return self.traceparent() if callable(self.traceparent) else self.traceparent


@dataclass(frozen=True)
class Call:
    """One function of the extension with its arguments, by name, as (type, value)."""

    function: str
    arguments: Mapping[str, tuple[str, Any]]
    read: bool = False
    repeatable: bool = False
    row: bool = False

    def statement(self, options: Options, alone: bool) -> tuple[sql.Composed, list[Any]]:
        """The statement.  One that is alone in its transaction also makes that
        read-only if nothing is to be written."""
        settings = []
        trace = options.trace()
        if trace is not None:
            settings.append(("actor.traceparent", trace))
        if self.read and alone:
            settings.append(("transaction_read_only", "on"))

        given = {k: v for k, v in self.arguments.items() if v[1] is not UNSET}
        call = sql.SQL("{}({})").format(
            sql.Identifier(*filter(None, (options.schema, self.function))),
            sql.SQL(", ").join(
                sql.SQL("{} => %s::{}").format(sql.Identifier(name), sql.SQL(kind))
                for name, (kind, _) in given.items()
            ),
        )
        values = [_adapt(kind, value) for kind, value in given.values()]
        if self.row:
            call = sql.SQL("pg_catalog.to_jsonb({})").format(call)
        if not settings:
            return sql.SQL("SELECT {}").format(call), values
        # what is in WITH is done before the call, since that needs its row
        before = sql.SQL(", ").join(
            sql.SQL("pg_catalog.set_config(%s, %s, true)") for _ in settings
        )
        query = sql.SQL("WITH settings AS MATERIALIZED (SELECT {}) SELECT {} FROM settings")
        return query.format(before, call), [v for pair in settings for v in pair] + values


def _adapt(kind: str, value: Any) -> Any:
    if kind == "jsonb" and value is not None:
        return Jsonb(value)
    return value


def payload(positional: tuple[Any, ...], named: dict[str, Any]) -> Any:
    """The payload of ref.method(...): one object, or its members as keywords."""
    if positional and named or len(positional) > 1:
        raise TypeError("a method takes one payload, or the members of one as keywords")
    return positional[0] if positional else named if named else UNSET


def when(value: Any) -> Any:
    """An instant or a duration in a text form that the extension knows."""
    if isinstance(value, timedelta):
        return _duration(value)
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise ValueError("an instant needs a time zone")
        return value.isoformat()
    return value


def period(value: Any, firings: Optional[int]) -> Any:
    text = when(value)
    return text if firings is None else "R%d/%s" % (firings, text)


def _duration(value: timedelta) -> str:
    """ISO 8601, or as Go writes it, which knows fractions."""
    seconds, micros = divmod(value // timedelta(microseconds=1), 1000000)
    if seconds < 0:
        raise ValueError("a duration must not be negative")
    return "%d.%06ds" % (seconds, micros) if micros else "PT%dS" % seconds


# the functions ------------------------------------------------------------------

Actor = tuple[str, str]


def _of(actor: Actor, **arguments: tuple[str, Any]) -> dict[str, tuple[str, Any]]:
    return {"actor_type": ("text", actor[0]), "actor_id": ("text", actor[1]), **arguments}


def invoke(
    actor: Actor, method: str, data: Any, read: bool, request_id: Optional[str], reentrancy_id: Any
) -> Call:
    return Call(
        "actor_invoke",
        _of(
            actor,
            method=("text", method),
            payload=("jsonb", data),
            reentrancy_id=("uuid", reentrancy_id),
            request_id=("text", UNSET if request_id is None else request_id),
        ),
        read=read,
        repeatable=read or request_id is not None,
    )


def send(
    actor: Actor, method: str, data: Any, due: Any, request_id: Optional[str], failure_policy: Any
) -> Call:
    return Call(
        "actor_send",
        _of(
            actor,
            method=("text", method),
            payload=("jsonb", data),
            due_time=("text", when(due)),
            request_id=("text", UNSET if request_id is None else request_id),
            failure_policy=("jsonb", failure_policy),
        ),
        repeatable=request_id is not None,
    )


def outcome(actor: Actor, request_id: str) -> Call:
    return Call(
        "actor_result",
        _of(actor, request_id=("text", request_id)),
        read=True,
        repeatable=True,
        row=True,
    )


def wait(actor: Actor, request_id: str, timeout: timedelta) -> Call:
    # in a read-only transaction of its own, which sees each commit
    return Call(
        "actor_wait",
        _of(actor, request_id=("text", request_id), timeout=("interval", timeout)),
        read=True,
        repeatable=True,
        row=True,
    )


def set_due(
    actor: Actor,
    what: str,
    name: str,
    due: Any,
    every: Any,
    ttl: Any,
    data: Any,
    method: Any,
    overwrite: bool,
    firings: Optional[int] = None,
    **more: tuple[str, Any],
) -> Call:
    return Call(
        "actor_set_" + what,
        _of(
            actor,
            name=("text", name),
            due_time=("text", when(due)),
            period=("text", period(every, firings)),
            ttl=("text", when(ttl)),
            data=("jsonb", data),
            method=("text", method),
            overwrite=("boolean", overwrite),
            **more,
        ),
    )


def of_name(actor: Actor, function: str, name: str, read: bool = False) -> Call:
    return Call(function, _of(actor, name=("text", name)), read=read, repeatable=read)


# repeating ------------------------------------------------------------------------


def is_idle(connection: Any) -> bool:
    """Whether it has no transaction."""
    return connection.info.transaction_status == TransactionStatus.IDLE


def may_try_again(error: psycopg.Error, repeatable: bool) -> bool:
    """Whether what has ended with this error, outside of a transaction of the caller,
    has had no effect; or can be repeated even if it had."""
    if error.sqlstate in AGAIN:
        return True
    if not repeatable or not isinstance(error, psycopg.OperationalError):
        return False
    return error.sqlstate is None or error.sqlstate in LOST or error.sqlstate.startswith("08")


def pauses(retries: int) -> Iterator[float]:
    """How long to wait before each further attempt."""
    longest = FIRST_PAUSE
    for _ in range(retries):
        yield random.uniform(0, longest)
        longest = min(longest * 2, LONGEST_PAUSE)
