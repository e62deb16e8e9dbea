"""Tests of the client; t/063_client_python.pl starts the server.  Each function is a
test, and gets actor ids of its own by its name."""

import asyncio
import os
import sys
import types
from contextlib import asynccontextmanager, contextmanager
from datetime import datetime, timedelta, timezone

import psycopg
from psycopg import errors

from pg_actor import Actors, AsyncActors, stubs

CONNINFO = sys.argv[1]
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


class Fresh:
    """A pool that makes a connection for each transaction."""

    def __init__(self, conninfo=CONNINFO, **options):
        self.conninfo = conninfo
        self.options = options
        self.count = 0

    @contextmanager
    def connection(self):
        self.count += 1
        with psycopg.connect(self.conninfo, **self.options) as connection:
            yield connection


class AsyncFresh(Fresh):
    @asynccontextmanager
    async def connection(self):
        self.count += 1
        async with await psycopg.AsyncConnection.connect(self.conninfo) as connection:
            yield connection


def raised(error, work):
    try:
        work()
    except error as e:
        return e
    raise AssertionError("no %r" % error)


def query(statement, *values):
    with psycopg.connect(CONNINFO, autocommit=True) as connection:
        return connection.execute(statement, values).fetchone()[0]


def even_calls():
    """The next call of a flaky method fails."""
    query("SELECT setval('flaky.calls', 2)")


def test_calls(name):
    auction = Actors(Fresh()).ref("auction", name)
    assert auction.bid({"amount": 10}) == 10
    assert auction.bid(amount=20, bidder="ann") == 20
    assert auction.bid([30]) == 30
    assert auction.top() == 30
    assert auction.bidders() == ["nobody"]
    assert auction.call("odd name") == 17
    assert auction.close() is None
    assert auction.echo({"a": [1, None, "ä"]}) == {"a": [1, None, "ä"]}
    assert raised(errors.CheckViolation, lambda: auction.bid(amount=1)).sqlstate == "23514"
    raised(TypeError, lambda: auction.bid({"amount": 40}, bidder="ann"))
    raised(AttributeError, lambda: auction._bid())
    assert Actors(Fresh(), schema="public").ref("auction", name).top() == 30
    raised(
        errors.InvalidSchemaName, lambda: Actors(Fresh(), schema="none").ref("auction", name).top()
    )


def test_reads(name):
    readers = Fresh()
    auction = Actors(Fresh(), readers=readers).ref("auction", name)
    auction.bid(amount=10)
    assert (auction.read("top"), readers.count) == (10, 1)
    raised(errors.ReadOnlySqlTransaction, lambda: auction.read("bid", {"amount": 20}))
    with psycopg.connect(CONNINFO) as connection:
        inside = Actors(connection).ref("auction", name)
        assert inside.read("top") == 10
        assert inside.bid(amount=20) == 20


def test_transaction_of_caller(name):
    with psycopg.connect(CONNINFO) as connection:
        Actors(connection).ref("auction", name).bid(amount=10)
        connection.rollback()
    assert Actors(Fresh()).ref("auction", name).top() == 0
    actors = Actors(Fresh())

    def transfer(inside):
        inside.ref("auction", name).bid(amount=10)
        inside.ref("auction", name + " 2").bid(amount=10)
        return 7

    assert actors.run(transfer) == 7
    assert actors.ref("auction", name + " 2").top() == 10


def test_request_ids(name):
    auction = Actors(Fresh()).ref("auction", name)
    assert auction.call("bid", {"amount": 10}, request_id="r") == 10
    assert auction.options(request_id="r").bid(amount=10) == 10
    raised(errors.InvalidParameterValue, lambda: auction.options(request_id="r").bid(amount=20))


def test_messages(name):
    auction = Actors(Fresh()).ref("auction", name)
    assert auction.send("bid", {"amount": 10}, request_id="m") > 0
    outcome = auction.wait("m", timedelta(minutes=5))
    assert (outcome["state"], outcome["result"]) == ("done", 10)
    assert auction.result("m")["state"] == "done"
    later = auction.send("bid", {"amount": 20}, due=timedelta(hours=1, microseconds=1500))
    waits = "SELECT (due_at - sent_at)::text FROM actor.message WHERE message_id = %s"
    assert query(waits, later) == "01:00:00.0015"
    assert auction.send("bid", {"amount": 20}, due="2h", failure_policy={"drop": {}}) > later
    raised(ValueError, lambda: auction.send("bid", {"amount": 20}, due=datetime(2030, 1, 1)))


def test_reminders(name):
    auction = Actors(Fresh()).ref("auction", name)
    due = datetime(2100, 1, 1, 12, tzinfo=timezone.utc)
    auction.set_reminder("close", due=due, period=timedelta(days=1), firings=3)
    reminder = auction.get_reminder("close")
    assert datetime.fromisoformat(reminder["scheduled_at"]) == due
    assert (reminder["remaining"], reminder["method"]) == (3, "close")
    auction.set_reminder(
        "more", due="1h", period="@daily", data={"amount": 3}, method="bid", catch_up="skip"
    )
    raised(
        errors.DuplicateObject,
        lambda: auction.set_reminder(
            "more", method="bid", due="1h", data={"amount": 3}, overwrite=False
        ),
    )
    assert auction.delete_reminder("close") is True
    assert auction.delete_reminder("close") is False
    assert auction.get_reminder("close") is None
    auction.set_timer("close", due=timedelta(hours=1))
    assert auction.delete_timer("close") is True


def test_traces(name):
    actors = Actors(Fresh(), traceparent=lambda: TRACE)
    auction = actors.ref("auction", name)
    assert auction.trace() == TRACE
    assert auction.options(traceparent=None).trace() == ""
    sent = auction.send("bid", {"amount": 10}, due="1h")
    assert query("SELECT traceparent FROM actor.message WHERE message_id = %s", sent) == TRACE
    connection = psycopg.connect(CONNINFO, autocommit=True)
    assert Actors(connection, traceparent=TRACE).ref("auction", name).trace() == TRACE
    assert Actors(connection).ref("auction", name).trace() == ""


def test_other_attempts(name):
    pool = Fresh()
    actor = Actors(pool).ref("flaky", name)
    for number, code in enumerate(("40P01", "55P03", "40001"), 1):
        even_calls()
        assert actor.fail(code=code) == number
        assert pool.count == 2 * number
    even_calls()
    raised(errors.CheckViolation, lambda: actor.fail(code="23514"))
    even_calls()
    raised(
        errors.DeadlockDetected,
        lambda: Actors(pool, retries=0).ref("flaky", name).fail(code="40P01"),
    )
    with psycopg.connect(CONNINFO, autocommit=True) as connection:
        even_calls()
        assert Actors(connection).ref("flaky", name).fail(code="40P01") == 4


def test_no_other_attempt_in_a_transaction(name):
    for autocommit in (False, True):
        with psycopg.connect(CONNINFO, autocommit=autocommit) as connection:
            if autocommit:
                connection.execute("BEGIN")
            even_calls()
            actor = Actors(connection).ref("flaky", name)
            raised(errors.DeadlockDetected, lambda: actor.fail(code="40P01"))
            raised(errors.InFailedSqlTransaction, actor.effects)
            connection.rollback()
    attempts = []

    def work(inside):
        attempts.append(1)
        inside.ref("flaky", name + " 2").call("fail", {"code": "40P01"})
        return inside.ref("flaky", name + " 2").effects()

    even_calls()
    assert (Actors(Fresh()).run(work), len(attempts)) == (1, 2)


def test_lost_connections(name):
    actor = Actors(Fresh()).ref("flaky", name)
    even_calls()
    raised(psycopg.OperationalError, actor.die)
    even_calls()
    assert actor.options(request_id="once").die() == 1
    assert actor.options(request_id="once").die() == 1
    assert actor.effects() == 1


def test_stubs(name):
    with psycopg.connect(CONNINFO) as connection:
        text = stubs.module(stubs.read_methods(connection, ["auction"]))
        assert "class Flaky(Ref)" in stubs.module(stubs.read_methods(connection, None))
    made = types.ModuleType("made")
    exec(compile(text, "made", "exec"), made.__dict__)
    auction = made.Auction(Actors(Fresh()), name)
    assert auction.bid(10) == 10
    assert auction.bid(20, bidder="bob") == 20
    assert (auction.top(), auction.bidders(), auction.bidders(pattern="x")) == (20, ["bob"], [])
    assert auction.echo([1]) == [1]
    assert made.Auction.bid.__doc__ == 'bids, says "who"'
    assert made.Auction.bid.__annotations__["amount"] == "Optional[int]"
    assert "read('top')" in text and "call('bid'" in text
    assert "# 'class' is called with call()" in text
    assert auction.options(traceparent=TRACE).trace() == TRACE
    with psycopg.connect(CONNINFO) as connection:
        text = stubs.module(stubs.read_methods(connection, ["auction"]), for_async=True)
    compile(text, "made", "exec")
    assert "return await self.call('bid'" in text


def test_async(name):
    async def main():
        pool = AsyncFresh()
        actors = AsyncActors(pool, traceparent=TRACE)
        auction = actors.ref("auction", name)
        assert await auction.bid({"amount": 10}) == 10
        assert await auction.read("top") == 10
        assert await auction.trace() == TRACE
        await auction.set_reminder("close", due="1h")
        assert (await auction.get_reminder("close"))["traceparent"] == TRACE
        assert await auction.delete_reminder("close")
        await auction.send("bid", {"amount": 20}, request_id="m")
        assert (await auction.wait("m", timedelta(minutes=5)))["result"] == 20
        even_calls()
        assert await actors.ref("flaky", name).fail(code="40P01") == 1
        attempts = []

        async def work(inside):
            attempts.append(1)
            return await inside.ref("flaky", name).fail(code="40001")

        even_calls()
        assert (await actors.run(work), len(attempts)) == (2, 2)
        async with await psycopg.AsyncConnection.connect(CONNINFO) as connection:
            even_calls()
            try:
                await AsyncActors(connection).ref("flaky", name).fail(code="40001")
                raise AssertionError("no error")
            except errors.SerializationFailure:
                pass

    asyncio.run(main())


def test_behind_a_pooler(name):
    if "POOLED" not in os.environ:
        return
    first = psycopg.connect(os.environ["POOLED"], autocommit=True)
    second = psycopg.connect(os.environ["POOLED"], autocommit=True)
    for number in range(1, 31):
        for connection in (first, second):
            actors = Actors(connection, prepare=False, traceparent=TRACE)
            actors.ref("auction", "%s %d" % (name, id(connection))).bid(amount=number)
    if "FORGETFUL" in os.environ:
        # what the documents say of a pooler that follows no prepared statements
        def prepared():
            for connection in [first, second] * 10:
                Actors(connection).ref("auction", name).top()

        error = raised(psycopg.DatabaseError, prepared)
        assert error.sqlstate in ("42P05", "26000"), error


for key, test in list(globals().items()):
    if key.startswith("test_"):
        test(key)
        print("ok", key[5:].replace("_", " "))
print("all done")
