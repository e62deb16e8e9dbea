"""Writes classes with the methods of actor types, as the database knows them.

    pg-actor-stubs "dbname=shop" auction cart > shop_actors.py

The classes are used as Auction(actors, "17").bid(amount=10), and with --async by
AsyncActors. Types that are not named are all that the role may call a method of.
"""

from __future__ import annotations

import argparse
import keyword
import sys
from typing import Any, Optional

import psycopg

PYTHON_TYPES = {
    "smallint": "int",
    "integer": "int",
    "bigint": "int",
    "real": "float",
    "double precision": "float",
    "numeric": "float",
    "boolean": "bool",
    "text": "str",
    "character varying": "str",
    "character": "str",
    "name": "str",
    "uuid": "str",
    "date": "str",
    "timestamp with time zone": "str",
    "timestamp without time zone": "str",
    "interval": "str",
    "void": "None",
}
WHOLE = ("json", "jsonb")

READ_METHODS = """
SELECT actor_type, method, parameters, result, read_only, comment
  FROM actor.method WHERE callable AND (%s::text[] IS NULL OR actor_type = ANY (%s::text[]))
 ORDER BY actor_type COLLATE "C", method COLLATE "C"
"""


def python_type(name: str) -> str:
    """What a value of that type is in JSON; its size does not matter."""
    if name.endswith("[]"):
        return "list[%s]" % python_type(name[:-2])
    if name.startswith("SETOF ") or name.startswith("TABLE("):
        return "list[Any]"
    return PYTHON_TYPES.get(name.split("(")[0].strip(), "Any")


def class_name(actor_type: str) -> Optional[str]:
    words = actor_type.replace("-", "_").split("_")
    name = "".join(word[:1].upper() + word[1:] for word in words)
    return name if is_name(name) else None


def is_name(name: str) -> bool:
    return name.isidentifier() and not keyword.iskeyword(name)


def method_lines(method: dict[str, Any], reserved: set[str], wait: str) -> list[str]:
    """A method; nothing but a remark if Python has no way to name it."""
    name = method["method"]
    parameters = method["parameters"]
    named = [p.get("name") for p in parameters]
    whole = len(parameters) == 1 and parameters[0]["type"] in WHOLE
    by_name = all(n is not None and is_name(n) and n not in ("self", "_given") for n in named)
    if not is_name(name) or name in reserved or name.startswith("_") or not (whole or by_name):
        return ["", "    # %r is called with call()" % name]

    given = []
    for p in sorted(parameters, key=lambda p: "default" in p):
        kind = python_type(p["type"])
        if "default" in p:
            given.append("%s: Optional[%s] = UNSET" % (p.get("name") or "payload", kind))
        else:
            given.append("%s: Optional[%s]" % (p.get("name") or "payload", kind))
    how = "read" if method["read_only"] else "call"
    result = python_type(method["result"] or "void")
    lines = [
        "",
        "    %sdef %s(%s) -> %s:"
        % (
            "async " if wait else "",
            name,
            ", ".join(["self"] + given),
            result if result in ("Any", "None") else "Optional[%s]" % result,
        ),
    ]
    if method["comment"]:
        lines.append("        %r" % method["comment"])
    if not parameters:
        lines.append("        return %sself.%s(%r)" % (wait, how, name))
    elif whole:
        argument = named[0] if named[0] is not None and is_name(named[0]) else "payload"
        lines.append("        return %sself.%s(%r, %s)" % (wait, how, name, argument))
    else:
        members = ", ".join("%r: %s" % (n, n) for n in named)
        lines.append(
            "        _given = {k: v for k, v in {%s}.items() if v is not UNSET}" % members
        )
        lines.append("        return %sself.%s(%r, _given)" % (wait, how, name))
    return lines


def module(methods: list[dict[str, Any]], for_async: bool = False) -> str:
    """The text of a module."""
    base = "AsyncRef" if for_async else "Ref"
    actors = "AsyncActors" if for_async else "Actors"
    from . import AsyncRef, Ref

    reserved = {n for n in dir(AsyncRef if for_async else Ref) if not n.startswith("__")}
    lines = [
        "# Made by pg-actor-stubs; changes will be lost.",
        "from __future__ import annotations",
        "",
        "from typing import Any, Optional",
        "",
        "from pg_actor import UNSET, %s, %s" % (actors, base),
    ]
    for actor_type in dict.fromkeys(m["actor_type"] for m in methods):
        name = class_name(actor_type)
        if name is None:
            lines += ["", "", "# type %r has no name in Python; use ref()" % actor_type]
            continue
        lines += [
            "",
            "",
            "class %s(%s):" % (name, base),
            "    def __init__(self, actors: %s, actor_id: Any, options: Any = None):" % actors,
            "        super().__init__(actors, %r, actor_id, options)" % actor_type,
        ]
        for method in methods:
            if method["actor_type"] == actor_type:
                lines += method_lines(method, reserved, "await " if for_async else "")
    return "\n".join(lines) + "\n"


def read_methods(connection: Any, types: Optional[list[str]]) -> list[dict[str, Any]]:
    cursor = connection.execute(READ_METHODS, (types, types))
    names = ("actor_type", "method", "parameters", "result", "read_only", "comment")
    return [dict(zip(names, row)) for row in cursor.fetchall()]


def main() -> None:
    parser = argparse.ArgumentParser(description="writes classes with the methods of actor types")
    parser.add_argument("--async", dest="for_async", action="store_true", help="for AsyncActors")
    parser.add_argument("conninfo", help="connection string")
    parser.add_argument("types", nargs="*", help="actor types; none: all")
    args = parser.parse_args()
    with psycopg.connect(args.conninfo) as connection:
        sys.stdout.write(module(read_methods(connection, args.types or None), args.for_async))


if __name__ == "__main__":
    main()
