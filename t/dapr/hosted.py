"""Actors with Dapr's own SDK for Python, as its samples write them.

	python hosted.py			the application; APP_PORT, DAPR_HTTP_PORT and JOURNAL
	python hosted.py client		calls them by proxies, and prints a line "name = JSON" for
								each thing that t/119_hosted_python.pl checks
"""

import asyncio
import datetime
import json
import os
import signal
import sys
from contextlib import asynccontextmanager

import uvicorn
from dapr.actor import Actor, ActorId, ActorInterface, ActorProxy, Remindable, actormethod
from dapr.actor.runtime.config import ActorReentrancyConfig, ActorRuntimeConfig
from dapr.actor.runtime.runtime import ActorRuntime
from dapr.ext.fastapi import DaprActor
from fastapi import FastAPI


def note(*words):
	with open(os.environ['JOURNAL'], 'a') as journal:
		journal.write(' '.join(words) + '\n')


def milliseconds(number):
	return datetime.timedelta(milliseconds=number)


class BoxInterface(ActorInterface):
	@actormethod(name='Nothing')
	async def nothing(self) -> None: ...

	@actormethod(name='Text')
	async def text(self) -> str: ...

	@actormethod(name='Given')
	async def given(self, argument: object) -> object: ...

	@actormethod(name='Boom')
	async def boom(self) -> None: ...

	@actormethod(name='Put')
	async def put(self, argument: object) -> None: ...

	@actormethod(name='Take')
	async def take(self, key: object) -> object: ...

	@actormethod(name='Remove')
	async def remove(self, key: object) -> None: ...

	@actormethod(name='Variety')
	async def variety(self) -> object: ...

	@actormethod(name='Count')
	async def count(self, step: object) -> object: ...

	@actormethod(name='CountAndFail')
	async def count_and_fail(self, step: object) -> object: ...

	@actormethod(name='CountAndDie')
	async def count_and_die(self, step: object) -> object: ...

	@actormethod(name='Remind')
	async def remind(self, name: object) -> None: ...

	@actormethod(name='RemindOften')
	async def remind_often(self, name: object) -> None: ...

	@actormethod(name='Forget')
	async def forget(self, name: object) -> None: ...

	@actormethod(name='StartTimer')
	async def start_timer(self, name: object) -> None: ...

	@actormethod(name='StopTimer')
	async def stop_timer(self, name: object) -> None: ...

	@actormethod(name='AskOther')
	async def ask_other(self, what: object) -> object: ...

	@actormethod(name='AskAndFail')
	async def ask_and_fail(self, what: object) -> object: ...


class Box(Actor, BoxInterface, Remindable):
	async def _on_activate(self) -> None:
		note('activated', self.id.id)

	async def _on_deactivate(self) -> None:
		note('deactivated', self.id.id)

	async def nothing(self) -> None:
		pass

	async def text(self) -> str:
		return 'plain text'

	async def given(self, argument: object) -> object:
		return {'given': argument}

	async def boom(self) -> None:
		raise ValueError('boom')

	async def put(self, argument: object) -> None:
		await self._state_manager.set_state(argument['key'], argument['value'])

	async def take(self, key: object) -> object:
		found, value = await self._state_manager.try_get_state(key)
		return {'found': found, 'value': value}

	async def remove(self, key: object) -> None:
		await self._state_manager.remove_state(key)

	async def variety(self) -> object:
		state = self._state_manager
		await state.add_state('added', 1)
		tried = await state.try_add_state('added', 2)
		got = await state.get_or_add_state('got', {'a': 1})
		updated = await state.add_or_update_state('added', 5, lambda key, old: old + 10)
		return {'tried': tried, 'got': got, 'updated': updated, 'has': await state.contains_state('added')}

	async def count(self, step: object) -> object:
		found, old = await self._state_manager.try_get_state('count')
		number = (old if found else 0) + step
		await self._state_manager.set_state('count', number)
		return number

	async def count_and_fail(self, step: object) -> object:
		await self.count(step)
		await self._state_manager.save_state()
		raise ValueError('after all')

	async def count_and_die(self, step: object) -> object:
		await self.count(step)
		await self._state_manager.save_state()
		os.kill(os.getpid(), signal.SIGKILL)

	async def remind(self, name: object) -> None:
		await self.register_reminder(name, b'milk', milliseconds(50))

	async def remind_often(self, name: object) -> None:
		await self.register_reminder(name, b'often', milliseconds(10), milliseconds(100))

	async def forget(self, name: object) -> None:
		await self.unregister_reminder(name)

	async def receive_reminder(self, name, state, due_time, period, ttl=None) -> None:
		await self.count(1)
		await self._state_manager.set_state('reminder', f'{name} {state.decode()}')

	async def start_timer(self, name: object) -> None:
		await self.register_timer(name, self.on_timer, 3, milliseconds(10), milliseconds(50))

	async def stop_timer(self, name: object) -> None:
		await self.unregister_timer(name)

	async def on_timer(self, step) -> None:
		found, old = await self._state_manager.try_get_state('ticks')
		await self._state_manager.set_state('ticks', (old if found else 0) + step)

	async def ask_other(self, what: object) -> object:
		own = await self.count(what['step'])
		await self._state_manager.save_state()
		return {'own': own, 'other': await proxy(what['id']).Count(what['step'])}

	async def ask_and_fail(self, what: object) -> object:
		await self.ask_other(what)
		raise ValueError('after the other')


def proxy(name):
	return ActorProxy.create('Box', ActorId(name), BoxInterface)


def serve():
	config = ActorRuntimeConfig(
		actor_idle_timeout=datetime.timedelta(hours=1),
		drain_ongoing_call_timeout=datetime.timedelta(minutes=1),
		drain_rebalanced_actors=True,
		reentrancy=ActorReentrancyConfig(enabled=True))
	ActorRuntime.set_actor_config(config)

	@asynccontextmanager
	async def lifespan(app):
		await actor.register_actor(Box)
		yield

	app = FastAPI(lifespan=lifespan)
	actor = DaprActor(app)
	uvicorn.run(app, host='127.0.0.1', port=int(os.environ['APP_PORT']), log_level='warning')


def show(name, value):
	print(f'{name} = {json.dumps(value, sort_keys=True)}')


async def failure(awaitable):
	try:
		await awaitable
	except Exception:
		return 'failed'
	return 'none'


async def until(condition):
	while not await condition():
		await asyncio.sleep(0.02)


async def call():
	box = proxy('anna é')
	show('nothing', await box.Nothing())
	show('text', await box.Text())
	show('object', await box.Given({'list': [1, 'two', None], 'deep': {'x': 1.5}}))
	show('text argument', await box.Given('blué'))
	show('number', await box.Given(7))
	show('error', await failure(box.Boom()))

	await box.Put({'key': 'colour', 'value': {'name': 'blue'}})
	show('state', await box.Take('colour'))
	show('no such key', await box.Take('never'))
	await box.Remove('colour')
	show('removed', await box.Take('colour'))
	show('variety', await box.Variety())

	show('count', await box.Count(2))
	show('count again', await box.Count(3))
	show('fails', await failure(box.CountAndFail(100)))
	show('count after failure', await box.Count(1))
	many = await asyncio.gather(*(box.Count(1) for _ in range(50)))
	show('fifty at once', max(many))

	reminded = proxy('reminded')
	await reminded.Remind('once')

	async def take(key):
		taken = await reminded.Take(key)
		return taken['value'] if taken['found'] else None

	async def has(key, number):
		return (await take(key) or 0) >= number

	await until(lambda: has('count', 1))
	show('reminder', await take('reminder'))
	await reminded.RemindOften('again')
	await until(lambda: has('count', 4))
	show('reminder with a period', await take('reminder'))
	await reminded.Forget('again')
	await reminded.StartTimer('tick')
	await until(lambda: has('ticks', 9))
	await reminded.StopTimer('tick')
	show('ticks', await take('ticks') % 3)

	show('another actor', await box.AskOther({'id': 'other', 'step': 4}))
	show('itself', await failure(box.AskOther({'id': 'anna é', 'step': 1})))
	show('fails after another', await failure(box.AskAndFail({'id': 'other', 'step': 100})))
	show('that actor', await proxy('other').Count(1))
	show('end', True)


if sys.argv[1:] == ['client']:
	asyncio.run(call())
else:
	serve()
