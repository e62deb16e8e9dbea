"""Calls the virtual actors of the PostgreSQL extension "actor".

    actors = Actors(pool)
    actors.ref("auction", "17").bid({"amount": 10})

README.md has the rest.
"""

from ._async import AsyncActors, AsyncRef
from ._calls import UNSET
from ._sync import Actors, Ref

__all__ = ["Actors", "AsyncActors", "AsyncRef", "Ref", "UNSET"]
