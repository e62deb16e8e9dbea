"""Actors over connections and pools of psycopg."""

from __future__ import annotations

import copy
import time
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, Callable, Iterator, Optional, TypeVar

import psycopg

from . import _calls
from ._calls import UNSET, Call, Options

T = TypeVar("T")
R = TypeVar("R", bound="Ref")


class Actors:
    """The actors of a database.

    source: a psycopg.Connection, or a pool of them (anything with connection()).
    readers: the same, for calls that only read; a standby perhaps.
    schema: schema of the functions of the extension, if it is not in the search_path.
    retries: how often a transaction is tried again that a deadlock, a turn that is
        not free, or a serialization failure has ended.
    prepare: what psycopg is told of each statement; False behind a pooler that knows no
        prepared statements.
    traceparent: a W3C traceparent, or a function that returns the current one or None.
    """

    def __init__(
        self,
        source: Any,
        *,
        readers: Any = None,
        schema: Optional[str] = None,
        retries: int = 8,
        prepare: Optional[bool] = None,
        traceparent: Any = None,
    ):
        self._source = source
        self._readers = readers
        self.options = Options(schema, retries, prepare, traceparent)

    def ref(self, actor_type: str, actor_id: Any) -> "Ref":
        """An actor; it need not have been created."""
        return Ref(self, actor_type, actor_id)

    def on(self, connection: "psycopg.Connection[Any]") -> "Actors":
        """The same actors, called over one connection; in the transaction that it has,
        and without another attempt in there."""
        other = Actors(connection)
        other.options = self.options
        return other

    def run(self, work: Callable[["Actors"], T], *, repeatable: bool = False) -> T:
        """Runs work(actors) in a transaction, and again if that has been ended by what
        another attempt may get over; then all of it is done again. With repeatable also
        when the connection was lost and nobody knows whether it has committed."""

        def in_transaction(connection: Any) -> T:
            with connection.transaction():
                return work(self.on(connection))

        own = not isinstance(self._source, psycopg.Connection) or _calls.is_idle(self._source)
        return self._attempts(self._source, own, in_transaction, repeatable)

    def execute(self, call: Call, options: Options) -> Any:
        """Makes one call."""

        def on_connection(connection: Any) -> Any:
            query, values = call.statement(options, own)
            row = connection.execute(query, values, prepare=options.prepare).fetchone()
            return row[0] if isinstance(row, tuple) else next(iter(row.values()))

        source = self._readers if call.read and self._readers is not None else self._source
        own = not isinstance(source, psycopg.Connection) or (
            source.autocommit and _calls.is_idle(source)
        )
        return self._attempts(source, own, on_connection, call.repeatable)

    def _attempts(self, source: Any, own: bool, work: Callable[[Any], T], repeatable: bool) -> T:
        """Does work, and again if it is a transaction of its own."""
        pauses = _calls.pauses(self.options.retries if own else 0)
        while True:
            try:
                with _connection(source) as connection:
                    return work(connection)
            except psycopg.Error as error:
                # a connection that is lost stays so
                lost = isinstance(source, psycopg.Connection) and source.closed
                pause = next(pauses, None)
                if pause is None or lost or not _calls.may_try_again(error, repeatable):
                    raise
            time.sleep(pause)


@contextmanager
def _connection(source: Any) -> Iterator[Any]:
    if isinstance(source, psycopg.Connection):
        yield source
    else:
        with source.connection() as connection:
            yield connection


class Ref:
    """An actor.  What is no attribute of it is a method of the actor:
    ref.bid({"amount": 10}), or ref.bid(amount=10)."""

    def __init__(
        self, actors: Actors, actor_type: str, actor_id: Any, options: Optional[Options] = None
    ):
        self._actors = actors
        self._actor = (actor_type, str(actor_id))
        self._options = options or actors.options

    def __repr__(self) -> str:
        return "<actor %s/%s>" % self._actor

    def __getattr__(self, method: str) -> Callable[..., Any]:
        if method.startswith("_"):
            raise AttributeError(method)
        return lambda *args, **named: self.call(method, _calls.payload(args, named))

    def options(self: R, **changes: Any) -> R:
        """The same actor with other options: request_id, traceparent, prepare."""
        other = copy.copy(self)
        other._options = self._options.changed(**changes)
        return other

    def _execute(self, call: Call) -> Any:
        return self._actors.execute(call, self._options)

    def call(
        self,
        method: str,
        payload: Any = UNSET,
        *,
        request_id: Optional[str] = None,
        reentrancy_id: Any = UNSET,
    ) -> Any:
        """Calls a method. With a request_id it happens once, however often it is called."""
        return self._execute(
            _calls.invoke(
                self._actor,
                method,
                payload,
                False,
                request_id or self._options.request_id,
                reentrancy_id,
            )
        )

    def read(self, method: str, payload: Any = UNSET) -> Any:
        """Calls a method that only reads; at a reader, if there are some. Outside of a
        transaction of the caller it refuses others (SQLSTATE 25006)."""
        return self._execute(_calls.invoke(self._actor, method, payload, True, None, UNSET))

    def send(
        self,
        method: str,
        payload: Any = UNSET,
        *,
        due: Any = UNSET,
        request_id: Optional[str] = None,
        failure_policy: Any = UNSET,
    ) -> int:
        """Sends a message, which calls the method once this has committed; its id."""
        return self._execute(
            _calls.send(
                self._actor,
                method,
                payload,
                due,
                request_id or self._options.request_id,
                failure_policy,
            )
        )

    def result(self, request_id: str) -> dict[str, Any]:
        """What has become of a request: state, result, error, finished_at."""
        return self._execute(_calls.outcome(self._actor, request_id))

    def wait(self, request_id: str, timeout: timedelta = timedelta(seconds=60)) -> dict[str, Any]:
        """The same, once it is no longer pending, or the time is over."""
        return self._execute(_calls.wait(self._actor, request_id, timeout))

    def set_reminder(
        self,
        name: str,
        *,
        due: Any = UNSET,
        period: Any = UNSET,
        ttl: Any = UNSET,
        firings: Optional[int] = None,
        data: Any = UNSET,
        method: Any = UNSET,
        failure_policy: Any = UNSET,
        catch_up: Any = UNSET,
        overwrite: bool = True,
    ) -> None:
        """Has a method called later; due, period and ttl are texts, timedelta or datetime."""
        self._execute(
            _calls.set_due(
                self._actor,
                "reminder",
                name,
                due,
                period,
                ttl,
                data,
                method,
                overwrite,
                firings,
                failure_policy=("jsonb", failure_policy),
                catch_up=("text", catch_up),
            )
        )

    def get_reminder(self, name: str) -> Optional[dict[str, Any]]:
        return self._execute(_calls.of_name(self._actor, "actor_get_reminder", name, read=True))

    def delete_reminder(self, name: str) -> bool:
        return self._execute(_calls.of_name(self._actor, "actor_delete_reminder", name))

    def set_timer(
        self,
        name: str,
        *,
        due: Any = UNSET,
        period: Any = UNSET,
        ttl: Any = UNSET,
        firings: Optional[int] = None,
        data: Any = UNSET,
        method: Any = UNSET,
        overwrite: bool = True,
    ) -> None:
        """The same for as long as the actor is active."""
        self._execute(
            _calls.set_due(
                self._actor, "timer", name, due, period, ttl, data, method, overwrite, firings
            )
        )

    def delete_timer(self, name: str) -> bool:
        return self._execute(_calls.of_name(self._actor, "actor_delete_timer", name))
