// A shopping cart in the database, driven by Dapr's own SDK.  Prints a line
// "name = JSON" for each thing that t/032_dapr_sdk.pl checks.

const { AbstractActor, ActorId, ActorProxyBuilder, CommunicationProtocolEnum, DaprClient,
	Temporal } = require("@dapr/dapr");

// The class names the actor type; the methods are functions of the database.
class ShoppingCart {}

// For what a proxy does not offer, the SDK has methods of a running actor.
const running = {
	ShoppingCart: class ShoppingCart extends AbstractActor {}
}.ShoppingCart;

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
		await new Promise((resolve) => setTimeout(resolve, 50));
	}
}

async function main() {
	const client = new DaprClient({
		daprHost: "127.0.0.1",
		daprPort: process.argv[2],
		daprApiToken: process.argv[3],
		communicationProtocol: CommunicationProtocolEnum.HTTP
	});
	const builder = new ActorProxyBuilder(ShoppingCart, client);
	const id = new ActorId("anna/1 é".replace("/", "-"));
	const cart = builder.build(id);

	// methods
	show("first", await cart.addItem("apple", 2));
	show("second", await cart.addItem("pear"));
	show("object", await cart.addItem({ name: "plum", note: "ripe \"blue\"" }));
	show("items", await cart.items());
	show("count", await cart.count());
	show("nothing", await cart.clearNothing());
	show("error of the method", await failure(cart.addItem("stone", -1)));
	show("no such method", await failure(cart.fly()));
	show("too many arguments", await failure(cart.count(1, 2)));
	show("awaited by accident", await failure(cart.then(null, null)));
	show("forbidden id", await failure(builder.build(new ActorId("a/b")).count()));
	const many = await Promise.all(Array.from({ length: 50 }, () => cart.addItem("nut")));
	show("fifty at once", Math.max(...many));
	const others = await Promise.all(Array.from({ length: 20 },
		(_, i) => builder.build(new ActorId(`cart ${i}`)).addItem("x")));
	show("twenty others", others);

	// state
	const actor = new running(client, id);
	const state = actor.getStateManager();
	await state.setState("colour", { name: "blue", exact: [1.5, null, true] });
	await state.setState("short", "text");
	await state.saveState();
	show("colour", await new running(client, id).getStateManager().getState("colour"));
	await state.removeState("colour");
	await state.saveState();
	show("removed", await new running(client, id).getStateManager().tryGetState("colour"));
	show("kept", await new running(client, id).getStateManager().getState("short"));

	// reminders
	await actor.registerActorReminder("remember", Temporal.Duration.from({ milliseconds: 100 }),
		Temporal.Duration.from({ milliseconds: 200 }), undefined, { what: "milk" });
	await until(async () => (await cart.remembered()) >= 2);
	show("remembered", await cart.lastRemembered());
	await actor.unregisterActorReminder("remember");
	await actor.unregisterActorReminder("remember");
	await actor.registerActorReminder("later", Temporal.Duration.from({ days: 1, hours: 2 }),
		Temporal.Duration.from({ hours: 1, minutes: 30 }), Temporal.Duration.from({ months: 1 }), "tea");
	show("later", await actor.actorClient.actor.reminderGet("ShoppingCart", id, "later"));
	show("unknown reminder", await failure(actor.actorClient.actor.reminderGet("ShoppingCart", id, "never")));

	// timers
	await actor.registerActorTimer("tick", "ticked", Temporal.Duration.from({ milliseconds: 50 }),
		Temporal.Duration.from({ milliseconds: 100 }), undefined, { step: 5 });
	await until(async () => (await cart.ticks()) >= 10);
	await actor.unregisterActorTimer("tick");
	show("ticks", (await cart.ticks()) % 5);
	await actor.actorClient.actor.deactivate("ShoppingCart", id);
	show("after deactivation", await cart.count());

	await client.stop();
	show("end", true);
	process.exit(0);
}

main().catch((error) => {
	console.log(error);
	process.exit(1);
});
