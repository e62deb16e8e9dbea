"""Rooms with a limited number of people, whose code is in this process and whose
state is in PostgreSQL.  Who moves from one room to another is never in both and
never in none: both rooms are written in one transaction.

    pip install -r requirements.txt
    actor-http --database='dbname=shop' --app=http://127.0.0.1:3000 &
    python room.py
    curl -X POST http://127.0.0.1:3500/v1.0/actors/Room/blue/method/enter -d '"anna"'
"""

import os
from contextlib import asynccontextmanager

import uvicorn
from dapr.actor import Actor, ActorId, ActorInterface, ActorProxy, actormethod
from dapr.actor.runtime.config import ActorReentrancyConfig, ActorRuntimeConfig
from dapr.actor.runtime.runtime import ActorRuntime
from dapr.ext.fastapi import DaprActor
from fastapi import FastAPI

PLACES = 2


class RoomInterface(ActorInterface):
    @actormethod(name='enter')
    async def enter(self, person: object) -> object: ...

    @actormethod(name='move')
    async def move(self, order: object) -> object: ...

    @actormethod(name='people')
    async def people(self) -> object: ...


class Room(Actor, RoomInterface):
    async def people(self) -> object:
        found, people = await self._state_manager.try_get_state('people')
        return people if found else []

    async def enter(self, person: object) -> object:
        people = await self.people()
        if len(people) >= PLACES:
            raise ValueError(f'room {self.id} is full')
        people = people + [person]
        await self._state_manager.set_state('people', people)
        return people

    async def move(self, order: object) -> object:
        people = await self.people()
        people.remove(order['person'])
        await self._state_manager.set_state('people', people)
        # if this fails, nobody has left
        other = ActorProxy.create('Room', ActorId(order['to']), RoomInterface)
        await other.enter(order['person'])
        return people


@asynccontextmanager
async def lifespan(app):
    await actor.register_actor(Room)
    yield


# calls of other actors belong to the transaction of the caller
ActorRuntime.set_actor_config(ActorRuntimeConfig(reentrancy=ActorReentrancyConfig(enabled=True)))
app = FastAPI(lifespan=lifespan)
actor = DaprActor(app)

if __name__ == '__main__':
    uvicorn.run(app, host='127.0.0.1', port=int(os.environ.get('APP_PORT', '3000')), log_level='warning')
