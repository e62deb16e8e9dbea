"""Makes pg_actor/_async.py of pg_actor/_sync.py."""

import ast
import re
import sys
from pathlib import Path

HEAD = '"""The same over asynchronous connections; made of _sync.py by make_async.py."""'

CHANGES = [
    (r"import copy\nimport time\n", "import asyncio\nimport copy\n"),
    (r"import contextmanager", "import asynccontextmanager"),
    (r"@contextmanager", "@asynccontextmanager"),
    (r"Any, Callable, Iterator,", "Any, AsyncIterator, Awaitable, Callable,"),
    (r"-> Iterator\[", "-> AsyncIterator["),
    (r"time\.sleep", "await asyncio.sleep"),
    (r"psycopg\.Connection", "psycopg.AsyncConnection"),
    (r'bound="Ref"', 'bound="AsyncRef"'),
    (r'(class |\["|> ")Actors\b', r"\1AsyncActors"),
    (r"= Actors\(", "= AsyncActors("),
    (r"actors: Actors\b", "actors: AsyncActors"),
    (r'(class |")Ref\b', r"\1AsyncRef"),
    (r"return Ref\(", "return AsyncRef("),
    (
        r"( +)def (run|execute|_attempts|in_transaction|on_connection|_execute|call|read|send|result|wait|\w+_reminder|\w+_timer)\(",
        r"\1async def \2(",
    ),
    (r"\ndef _connection", "\nasync def _connection"),
    (r"^( +)with ", r"\1async with "),
    (r"return work\(", "return await work("),
    (r"return self\._(execute|attempts)\(", r"return await self._\1("),
    (r"return self\._actors\.execute", "return await self._actors.execute"),
    (r"^( +)self\._execute\(", r"\1await self._execute("),
    (
        r"row = connection\.execute\((.*)\)\.fetchone\(\)",
        r"row = await (await connection.execute(\1)).fetchone()",
    ),
    (r"Callable\[\[(\"AsyncActors\"|Any)\], (T|Any)\]", r"Callable[[\1], Awaitable[\2]]"),
    (r"Runs work\(actors\)", "Runs await work(actors)"),
    (r"ref\.bid\(\{", "await ref.bid({"),
    (r'\A""".*"""', lambda _: HEAD),
]


def translated(text: str) -> str:
    for pattern, replacement in CHANGES:
        text = re.sub(pattern, replacement, text, flags=re.M)
    return text


if __name__ == "__main__":
    folder = Path(__file__).parent / "pg_actor"
    made = translated((folder / "_sync.py").read_text())
    if sys.argv[1:] == ["--check"]:
        same = ast.dump(ast.parse(made)) == ast.dump(ast.parse((folder / "_async.py").read_text()))
        sys.exit(not same)
    (folder / "_async.py").write_text(made)
