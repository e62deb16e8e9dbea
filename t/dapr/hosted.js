// Actors with Dapr's own SDK, as its samples write them:
//
//	node hosted.js			the application; APP_PORT, DAPR_HTTP_PORT and JOURNAL
//	node hosted.js client	calls them by proxies, and prints a line "name = JSON"
//							for each thing that t/118_hosted_js.pl checks

const { AbstractActor, ActorId, ActorProxyBuilder, CommunicationProtocolEnum, DaprClient, DaprServer,
	Temporal } = require("@dapr/dapr");
const fs = require("fs");

const clientOptions = {
	daprHost: "127.0.0.1",
	daprPort: process.env.DAPR_HTTP_PORT,
	communicationProtocol: CommunicationProtocolEnum.HTTP
};

function note(...words) {
	fs.appendFileSync(process.env.JOURNAL, words.join(" ") + "\n");
}

class Basket extends AbstractActor {
	async onActivate() {
		note("activated", this.getActorId().getId());
	}

	async onDeactivate() {
		note("deactivated", this.getActorId().getId());
	}

	// arguments and results
	async nothing() {}

	async text() {
		return "plain text";
	}

	async number() {
		return 7;
	}

	async yes() {
		return true;
	}

	async list() {
		return [1, "two", null];
	}

	async object() {
		return { name: "plum", weight: 1.5, tags: ["ripe", "blué"] };
	}

	async given(...all) {
		return { all };
	}

	async boom() {
		throw new Error("boom");
	}

	// state
	async put(key, value) {
		await this.getStateManager().setState(key, value);
	}

	async take(key) {
		return { value: await this.getStateManager().getState(key) };
	}

	async look(key) {
		const [found, value] = await this.getStateManager().tryGetState(key);

		return { found, value };
	}

	async has(key) {
		return { has: await this.getStateManager().containsState(key) };
	}

	async remove(key) {
		await this.getStateManager().removeState(key);
	}

	async variety() {
		const state = this.getStateManager();

		// (addState of this SDK takes only keys that are there)
		const tried = await state.tryAddState("note", 2);
		const got = await state.getOrAddState("got", { a: 1 });

		await state.addOrUpdateState("added", 1, (key, old) => old + 10);
		const updated = await state.addOrUpdateState("added", 1, (key, old) => old + 10);

		return { tried, got, updated, names: await state.getStateNames() };
	}

	async count(step) {
		const [, old] = await this.getStateManager().tryGetState("count");
		const next = (old || 0) + step;

		await this.getStateManager().setState("count", next);
		return next;
	}

	async countAndFail(step) {
		await this.count(step);
		await this.getStateManager().saveState();
		throw new Error("after all");
	}

	async countAndDie(step) {
		await this.count(step);
		await this.getStateManager().saveState();
		process.kill(process.pid, "SIGKILL");
	}

	// reminders and timers
	async remind(name, data) {
		await this.registerActorReminder(name, Temporal.Duration.from({ milliseconds: 50 }), undefined, undefined, data);
	}

	async remindOften(name) {
		await this.registerActorReminder(name, Temporal.Duration.from({ milliseconds: 10 }),
			Temporal.Duration.from({ milliseconds: 100 }), undefined, "often");
	}

	async forget(name) {
		await this.unregisterActorReminder(name);
	}

	async receiveReminder(data) {
		await this.count(1);
		await this.getStateManager().setState("reminder", data === undefined ? "nothing" : data);
	}

	async startTimer(name) {
		await this.registerActorTimer(name, "onTimer", Temporal.Duration.from({ milliseconds: 10 }),
			Temporal.Duration.from({ milliseconds: 50 }), undefined, 3);
	}

	async stopTimer(name) {
		await this.unregisterActorTimer(name);
	}

	async onTimer(step) {
		const [, old] = await this.getStateManager().tryGetState("ticks");

		await this.getStateManager().setState("ticks", (old || 0) + step);
	}

	// other actors
	async askOther(id, step) {
		const other = new ActorProxyBuilder(Basket, this.getDaprClient()).build(new ActorId(id));

		return { other: await other.count(step) };
	}
}

async function serve() {
	const server = new DaprServer({
		serverHost: "127.0.0.1",
		serverPort: process.env.APP_PORT,
		communicationProtocol: CommunicationProtocolEnum.HTTP,
		clientOptions
	});

	await server.actor.init();
	await server.actor.registerActor(Basket);
	await server.start();
}

function show(name, value) {
	console.log(`${name} = ${JSON.stringify(value === undefined ? "undefined" : value)}`);
}

async function failure(promise) {
	try {
		await promise;
	} catch (error) {
		const { status, error_msg } = JSON.parse(error.message);

		return `${status} ${JSON.parse(error_msg).errorCode}`;
	}
	return "none";
}

async function until(condition) {
	while (!(await condition())) {
		await new Promise((resolve) => setTimeout(resolve, 20));
	}
}

async function call() {
	const builder = new ActorProxyBuilder(Basket, new DaprClient(clientOptions));
	const basket = builder.build(new ActorId("anna é"));

	for (const method of ["nothing", "text", "number", "yes", "list", "object", "given"]) {
		show(method, await basket[method]());
	}
	show("one argument", await basket.given("x"));
	show("several arguments", await basket.given(1, "two", { three: [3] }, null, false));
	show("error", await failure(basket.boom()));
	show("no such method", await failure(basket.fly()));

	await basket.put("colour", { name: "blue" });
	show("state", await basket.take("colour"));
	await basket.put("note", "some text");
	show("text in state", await basket.take("note"));
	show("no such key", await basket.look("never"));
	show("has", await basket.has("colour"));
	await basket.remove("colour");
	show("removed", await basket.has("colour"));
	show("variety", await basket.variety());

	show("count", await basket.count(2));
	show("count again", await basket.count(3));
	show("fails", await failure(basket.countAndFail(100)));
	show("count after failure", await basket.count(1));
	show("fifty at once", Math.max(...await Promise.all(Array.from({ length: 50 }, () => basket.count(1)))));

	const reminded = builder.build(new ActorId("reminded"));
	await reminded.remind("once", "milk");
	await until(async () => (await reminded.look("reminder")).found);
	show("reminder", (await reminded.take("reminder")).value);
	await reminded.remindOften("often");
	await until(async () => (await reminded.take("count")).value >= 4);
	show("reminder with a period", (await reminded.take("reminder")).value);
	await reminded.forget("often");
	await reminded.startTimer("tick");
	await until(async () => ((await reminded.look("ticks")).value || 0) >= 9);
	await reminded.stopTimer("tick");
	show("ticks", (await reminded.take("ticks")).value % 3);

	show("another actor", await basket.askOther("other", 4));
	show("that actor", await builder.build(new ActorId("other")).count(1));
	show("end", true);
	process.exit(0);
}

(process.argv[2] === "client" ? call() : serve()).catch((error) => {
	console.log(error);
	process.exit(1);
});
