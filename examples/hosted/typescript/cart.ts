// A shopping cart whose code is in this process and whose state is in PostgreSQL.
// It counts as left behind when nothing was added for a while: a reminder says so.
//
//	npm install && npm run build
//	actor-http --database='dbname=shop' --app=http://127.0.0.1:3000 &
//	npm start
//	curl -X POST http://127.0.0.1:3500/v1.0/actors/Cart/anna/method/add -d '["tea", 2]'

import { AbstractActor, CommunicationProtocolEnum, DaprServer, Temporal } from "@dapr/dapr";

type Items = Record<string, number>;

const patience = Temporal.Duration.from({ milliseconds: Number(process.env.PATIENCE ?? 600_000) });

class Cart extends AbstractActor {
	async add(item: string, number = 1): Promise<Items> {
		if (number < 1) {
			throw new Error("there must be something to add");
		}
		const items = await this.items();

		items[item] = (items[item] ?? 0) + number;
		await this.getStateManager<Items>().setState("items", items);
		await this.getStateManager<boolean>().setState("leftBehind", false);
		// again and again: the same name replaces the earlier one
		await this.registerActorReminder("patience", patience);
		return items;
	}

	async items(): Promise<Items> {
		const [, items] = await this.getStateManager<Items>().tryGetState("items");

		return items || {};
	}

	async receiveReminder(): Promise<void> {
		await this.getStateManager<boolean>().setState("leftBehind", true);
	}
}

async function main(): Promise<void> {
	const server = new DaprServer({
		serverPort: process.env.APP_PORT ?? "3000",
		communicationProtocol: CommunicationProtocolEnum.HTTP,
		clientOptions: { daprHost: "127.0.0.1", daprPort: process.env.DAPR_HTTP_PORT ?? "3500" }
	});

	await server.actor.init();
	await server.actor.registerActor(Cart);
	await server.start();
}

main();
