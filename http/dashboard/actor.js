// One actor: its state, what is to come, what has failed, what has happened.

import { actorLink, badge, button, command, confirm, h, milliseconds, number, section, table, when } from "./base.js";

// A value of JSON for reading; what is long or deep has lines.
function shown(text, kind) {
	if (text === null || text === undefined)
		return "";
	if (kind === "object" || kind === "array" || text.length > 60)
		return h("pre", null, text);
	return h("code", null, text);
}

// An editor for a value: what is typed goes to the database as it is, so that no
// number is rounded on the way.
function editor(kind, text, save, cancel) {
	const types = ["string", "number", "boolean", "null", "object", "array"];
	const choice = h("select", { "aria-label": "Type of the value" }, types.map(type =>
		h("option", { value: type, selected: type === kind }, type)));
	const place = h("div", null);
	const problem = h("p", { class: "bad", role: "alert" });
	let field;

	function build(initial) {
		switch (choice.value) {
			case "boolean":
				field = h("select", { "aria-label": "Value" }, ["true", "false"].map(value =>
					h("option", { selected: value === initial }, value)));
				break;
			case "number":
				field = h("input", { "aria-label": "Value", inputmode: "decimal", value: initial });
				break;
			case "null":
				field = h("input", { "aria-label": "Value", value: "null", disabled: true });
				break;
			default:
				field = h("textarea", { "aria-label": "Value", spellcheck: "false" });
				field.value = initial;
		}
		place.replaceChildren(field);
	}

	function value() {
		if (choice.value === "string")
			return JSON.stringify(field.value);
		const typed = field.value.trim();
		const parsed = JSON.parse(typed);
		const actual = parsed === null ? "null" : Array.isArray(parsed) ? "array" : typeof parsed;
		if (actual !== choice.value)
			throw new Error(`That is no ${choice.value}, but ${actual}.`);
		return typed;
	}

	choice.addEventListener("change", () => build({ string: "", number: "0", boolean: "true", null: "null",
		object: "{}", array: "[]" }[choice.value]));
	build(kind === "string" ? JSON.parse(text) : text);
	const form = h("form", { "data-editing": true,
		async submit(event) {
			event.preventDefault();
			try {
				problem.textContent = "";
				await save(value());
			} catch (error) {
				problem.textContent = error.message;
			}
		},
		keydown(event) {
			if (event.key === "Escape")
				cancel();
		} },
		choice, place, problem,
		h("p", { class: "buttons" }, h("button", null, "Save"), h("button", { type: "button", click: cancel }, "Cancel")));
	setTimeout(() => field.focus());
	return form;
}

function stateSection(actor, name, refresh) {
	const stop = row => {
		row.replaceChildren();
		return refresh();
	};
	const cellOf = (row, cell) => {
		if (!actor.own)
			return cell;
		if (row.cut)
			return [cell, " ", badge("cut: too long to be edited here")];
		const place = h("div", null, cell, " ", button("Edit", `edit-${row.key}`, () => {
			place.replaceChildren(editor(row.kind, row.value, async value => {
				if (await command("set_state", { ...name, key: row.key }, `Key “${row.key}” is saved.`, value))
					await stop(place);
			}, () => stop(place)));
		}));
		return place;
	};
	const adding = h("div", null);
	return section("State",
		actor.own ? table(actor.state, [
			["Key", row => h("span", { class: "mono" }, row.key)],
			["Value", row => cellOf(row, shown(row.value, row.kind))],
			["Type", row => row.kind],
			["Set", row => when(row.updated_at)],
			["Expires", row => when(row.expires_at)],
			["", row => button("Remove", `remove-${row.key}`, async () => {
				if (await confirm(`Remove key “${row.key}” of ${name.type}/${name.id}?`, "Remove")
					&& await command("remove_state", { ...name, key: row.key }, `Key “${row.key}” is removed.`))
					await refresh();
			}, { danger: true }), "actions"]
		], "It has no state.") : h("p", { class: "dim" }, "Its values are for the owner of the type."),
		actor.own && h("p", { class: "buttons" }, button("Add a key", "add-key", () => {
			const key = h("input", { "aria-label": "Key", placeholder: "Key", autocomplete: "off" });
			adding.replaceChildren(key, editor("string", "\"\"", async value => {
				if (key.value === "")
					throw new Error("A key has a name.");
				if (await command("set_state", { ...name, key: key.value }, `Key “${key.value}” is saved.`, value))
					await stop(adding);
			}, () => stop(adding)));
			setTimeout(() => key.focus());
		})), adding);
}

// When something is tried, or why it is not.
function tried(row, actor) {
	if (actor.paused.length > 0)
		return [badge("held: paused", "warn"), " ", row.next_try_at === "infinity" ? "" : when(row.next_try_at)];
	if (row.next_try_at === "infinity")
		return badge("held: others come first", "warn");
	const late = Date.parse(row.next_try_at) < Date.now() - 5000;
	return late ? h("span", { class: "bad" }, "late since ", when(row.next_try_at, "since")) : when(row.next_try_at);
}

function removing(name, title, commandName, members, refresh, verb = "Delete") {
	return button(verb, `${commandName}-${JSON.stringify(members)}`, async () => {
		if (await confirm(`${verb} ${title} of ${name.type}/${name.id}?`, verb)
			&& await command(commandName, { ...name, ...members }, `${title} is gone.`))
			await refresh();
	}, { danger: true });
}

function comingSections(actor, name, refresh) {
	return [
		section("Reminders", table(actor.reminders, [
			["Name", row => row.name],
			["Method", row => h("span", { class: "mono" }, row.method)],
			["Tried", row => tried(row, actor)],
			["Period", row => row.period ?? ""],
			["Attempt", row => row.attempt, "number"],
			["Fired", row => row.own ? [row.fired, row.last_ok_at ? [", well ", when(row.last_ok_at)] : "",
				row.last_ms !== null ? `, in ${milliseconds(row.last_ms)}` : ""].flat() : ""],
			["Last error", row => h("span", { class: "bad" }, row.last_error ?? "")],
			["Data", row => shown(row.data)],
			["Role", row => row.role_name],
			["", row => row.own ? removing(name, `reminder “${row.name}”`, "delete_reminder", { name: row.name }, refresh) : "", "actions"]
		], "It has no reminder.")),
		section("Timers", table(actor.timers, [
			["Name", row => row.name],
			["Method", row => h("span", { class: "mono" }, row.method)],
			["Tried", row => tried(row, actor)],
			["Attempt", row => row.attempt, "number"],
			["Role", row => row.role_name],
			["", row => actor.own ? removing(name, `timer “${row.name}”`, "delete_timer", { name: row.name }, refresh) : "", "actions"]
		], "It has no timer.")),
		section("Messages", table(actor.messages, [
			["Number", row => row.message_id],
			["Method", row => h("span", { class: "mono" }, row.method)],
			["Tried", row => tried(row, actor)],
			["Sent", row => when(row.sent_at)],
			["Attempt", row => row.attempt, "number"],
			["Last error", row => h("span", { class: "bad" }, row.last_error ?? "")],
			["Payload", row => shown(row.payload)],
			["Role", row => row.role_name],
			["", row => row.own ? removing(name, `message ${row.message_id}`, "cancel_message", { message: row.message_id },
				refresh, "Cancel") : "", "actions"]
		], "No message waits for it."))
	];
}

function eventSections(actor) {
	return [
		actor.subscriptions.length > 0 && section("Subscriptions", table(actor.subscriptions, [
			["Topic", row => h("span", { class: "mono" }, row.topic)],
			["Of", row => row.topic_id === "" ? `type ${row.topic_type}` : actorLink(row.topic_type, row.topic_id)],
			["Method", row => h("span", { class: "mono" }, row.method)],
			["Since", row => when(row.subscribed_at)],
			["Role", row => row.role_name]
		], "")),
		actor.streams.length > 0 && section("Its topics whose events are kept", table(actor.streams, [
			["Topic", row => h("span", { class: "mono" }, row.topic)],
			["Events so far", row => number(row.last_event), "number"]
		], "")),
		actor.promises.length > 0 && section("Promises that nobody has resolved", table(actor.promises, [
			["Method", row => h("span", { class: "mono" }, row.method)],
			["Made", row => when(row.created_at)],
			["Expires", row => when(row.expires_at)],
			["Role", row => row.role_name]
		], ""))
	].filter(Boolean);
}

function historySection(actor) {
	const kept = actor.history_kept !== null && actor.history_kept !== "off";
	return section("History",
		actor.own ? table(actor.history, [
			["Began", row => when(row.started_at)],
			["What", row => `${row.kind} ${row.name ?? ""}`],
			["Method", row => h("span", { class: "mono" }, row.method ?? "")],
			["Took", row => milliseconds(row.duration_ms), "number"],
			["As", row => row.ran_as],
			["Ended", row => row.sqlstate === null ? badge("well", "good") :
				[badge(row.sqlstate, "bad"), " ", row.message ?? ""]],
			["Changed", row => (row.changes ?? []).map(change => h("div", { class: "mono" },
				`${change.key}: ${change.old ?? "absent"} → ${change.new ?? "removed"}`))]
		], kept ? "Nothing has happened since it is kept." : "The type keeps no history.") :
			h("p", { class: "dim" }, "It is for the owner of the type."));
}

function operating(actor, name, refresh) {
	const paused = actor.paused.some(pause => !pause.type);
	const open = actor.turns.some(turn => turn.state === "holds" && turn.pid === null);
	if (!actor.own)
		return null;
	return h("p", { class: "buttons" },
		paused ? button("Resume", "resume", async () => {
			if (await command("resume", name, "It goes on."))
				await refresh();
		}) : button("Pause", "pause", async () => {
			if (await command("pause", name, "It is paused: calls that write are refused, and nothing fires."))
				await refresh();
		}),
		actor.active !== null && button("Deactivate", "deactivate", async () => {
			if (await command("deactivate", name, "It is not active any more."))
				await refresh();
		}),
		open && button("Close the open turn", "close-turn", async () => {
			if (await confirm(`Close the open turn of ${name.type}/${name.id}? Whoever has it can do no more in it.`, "Close")
				&& await command("close_turn", name, "The turn is closed."))
				await refresh();
		}, { danger: true }),
		button("Delete", "delete", async () => {
			if (await confirm(`Delete ${name.type}/${name.id} with its state, reminders and timers?`, "Delete")
				&& await command("delete", name, "It is deleted."))
				await refresh();
		}, { danger: true }));
}

export function actorView(type, id, { refresh, process, failureColumns }) {
	const name = { type, id };
	return {
		title: `${type}/${id}`,
		parts: [{ name: "actor", every: 5, parameters: { type, id } }],
		render({ actor }) {
			const nothing = actor.active === null
				&& ["turns", "state", "reminders", "timers", "messages", "failures", "history", "paused", "subscriptions", "streams",
					"promises"].every(part => actor[part].length === 0);
			return [
				h("h1", null, h("a", { href: `#/actors/${encodeURIComponent(type)}/` }, type), ` / ${id}`),
				h("p", null,
					actor.active !== null ? [badge("active", "good"), " since ", when(actor.active.activated_at, "since"),
						", used ", when(actor.active.last_used_at)] : badge("not active"),
					actor.paused.map(pause => [" ", badge(pause.type ? "the type is paused" : "paused", "warn"), " ",
						when(pause.paused_at), ` by ${pause.role_name}`]),
					actor.host !== null ? [" ", badge(actor.host.alive ? "at a host" : "its host is gone", actor.host.alive ? "dim" : "bad"),
						` ${actor.host.address}`] : "",
					nothing ? [" ", badge("there is nothing of it that you may see", "warn")] : ""),
				operating(actor, name, refresh),
				section("Turn", table(actor.turns, [
					["", row => row.state === "holds" ? badge("has it", "warn") : badge("waits", "bad")],
					["Who", row => process(row)],
					["For", row => when(row.since, "since")],
					["Method", row => h("span", { class: "mono" }, row.method ?? "")],
					["Chain", row => h("span", { class: "mono" }, row.chain ?? "")]
				], "Nobody has its turn now.")),
				actor.failures.length > 0 && section("Failures", table(actor.failures, [
					...failureColumns(refresh).slice(0, 4), ["Payload", row => shown(row.payload)],
					...failureColumns(refresh).slice(4)], "")),
				stateSection(actor, name, refresh),
				...comingSections(actor, name, refresh),
				...eventSections(actor),
				historySection(actor)
			];
		}
	};
}
