// The page: which view is shown, how often it is asked for again, and all views
// but that of one actor.

import { actorHref, actorLink, badge, button, command, confirm, duration, h, hasToken, milliseconds, notice,
	number, section, setNow, setToken, table, upTo, view, when, whenUnauthorized } from "./base.js";
import { bucketsOf, chart, chartKey, describe } from "./chart.js";
import { actorView } from "./actor.js";

const element = id => document.getElementById(id);

// views -----------------------------------------------------------------------

// Turns by actor: who has it, and who waits.
function turnGroups(turns) {
	const groups = new Map();
	for (const turn of turns) {
		const key = turn.actor_type === null ? `?${turn.pid}` : JSON.stringify([turn.actor_type, turn.actor_id]);
		if (!groups.has(key))
			groups.set(key, { type: turn.actor_type, id: turn.actor_id, holders: [], waiters: [] });
		groups.get(key)[turn.state === "holds" ? "holders" : "waiters"].push(turn);
	}
	return [...groups.values()].sort((a, b) => b.waiters.length - a.waiters.length);
}

export function process(turn) {
	if (turn.pid === null)
		return [badge("open turn", "warn"), " between transactions, or of a prepared one"];
	const who = [turn.role_name, turn.application_name, turn.client].filter(Boolean).join(", ");
	return [`process ${turn.pid}`, who ? ` (${who})` : "",
		turn.session === "idle in transaction" ? [" ", badge("idle in transaction", "bad")] :
			turn.session ? [" ", badge(turn.session)] : ""].flat();
}

const overview = {
	title: "Overview",
	parts: [
		{ name: "types", every: 5 }, { name: "turns", every: 5 }, { name: "methods", every: 10 },
		{ name: "due", every: 30, parameters: { step: "1 hour", steps: 1 } }, { name: "doctor", every: 60, optional: true }
	],
	render({ types, turns, methods, due, doctor }) {
		const waiting = turns.filter(turn => turn.state === "waits").length;
		const failures = types.reduce((sum, type) => sum + type.failures, 0);
		const capped = types.some(type => type.failures >= type.counted_max);
		const late = due.counts.filter(row => row.due_from === "-infinity").reduce((sum, row) => sum + row.due, 0);
		const ill = doctor === null ? null : doctor.filter(check => !check.ok).length;
		const deepest = Math.max(1, ...types.map(type => type.messages));
		const methodColumns = [
			["Method", row => h("span", { class: "mono" }, `${row.actor_type}.${row.method}`)],
			["Calls", row => number(row.calls), "number"],
			["Errors", row => row.errors > 0 ? h("span", { class: "bad" }, number(row.errors)) : "0", "number"],
			["Mean", row => milliseconds(row.mean_ms), "number"],
			["95 %", row => milliseconds(row.p95_ms), "number"],
			["Longest", row => milliseconds(row.max_ms), "number"],
			["Waited", row => milliseconds(row.wait_ms), "number"]
		];
		return [
			h("h1", null, "Overview"),
			h("div", { class: "cards" },
				h("a", { href: "#/turns", class: waiting > 0 ? "bad" : null }, h("strong", null, number(waiting)), "wait for a turn"),
				h("a", { href: "#/due", class: late + due.retried.length > 0 ? "bad" : null }, h("strong", null, number(late)),
					due.retried.length > 0 ? `late, ${number(due.retried.length)} tried again` : "late"),
				h("a", { href: "#/failures", class: failures > 0 ? "bad" : null },
					h("strong", null, capped ? `${number(failures)}+` : number(failures)), "failures"),
				h("a", { href: "#/doctor", class: ill === null ? "unknown" : ill > 0 ? "bad" : null },
					h("strong", null, ill === null ? "?" : ill === 0 ? "well" : number(ill)), ill === null ? "doctor: for pg_monitor" :
						ill === 1 ? "check of the doctor fails" : ill > 1 ? "checks of the doctor fail" : "says the doctor")),
			section("Types", table(types, [
				["Type", row => h("a", { href: `#/actors/${encodeURIComponent(row.actor_type)}/`, class: "mono" }, row.actor_type)],
				["", row => [row.paused && badge("paused", "warn"), " ", row.hosted && badge("hosted"), " ",
					row.history !== null && row.history !== "off" && badge(`history: ${row.history}`)]],
				["Active", row => upTo(row.active, row.counted_max), "number"],
				["Paused actors", row => upTo(row.pauses, row.counted_max), "number"],
				["Reminders", row => upTo(row.reminders, row.counted_max), "number"],
				["Timers", row => upTo(row.timers, row.counted_max), "number"],
				["Messages", row => upTo(row.messages, row.counted_max), "number"],
				["", row => row.messages > 0 ? h("meter", { max: deepest, value: row.messages,
					"aria-label": `messages of ${row.actor_type}` }) : ""],
				["Due", row => row.due > 0 ? h("span", { class: row.oldest_due_s > 10 ? "bad" : null },
					`${upTo(row.due, row.counted_max)}, the first for ${duration(row.oldest_due_s)}`) : "0", "number"],
				["Failures", row => row.failures > 0 ? h("a", { class: "bad",
					href: `#/failures/${encodeURIComponent(row.actor_type)}` }, upTo(row.failures, row.counted_max)) : "0", "number"],
				["Owner", row => row.owner_name]
			], "There is no type that you may see.")),
			h("div", { class: "pair" },
				section("Called most", table(methods.busiest, methodColumns, "Nothing was called since the counters were set back.")),
				section("Slowest", table(methods.slowest, methodColumns, "Nothing was called since the counters were set back."))),
			section("Actors that calls have waited for most", table(methods.hot, [
				["Actor", row => actorLink(row.actor_type, row.actor_id)],
				["Waits", row => number(row.waits), "number"],
				["Time", row => milliseconds(row.wait_ms), "number"]], "No call has waited."))
		];
	}
};

const turnsView = {
	title: "Turns",
	parts: [{ name: "turns", every: 3 }],
	render({ turns }) {
		const groups = turnGroups(turns);
		return [
			h("h1", null, "Turns now"),
			section("Who has a turn, and who waits for it", table(groups, [
				["Actor", group => actorLink(group.type, group.id)],
				["Has it", group => group.holders.length === 0 ? h("span", { class: "dim" }, "nobody that is known") :
					group.holders.map(turn => h("div", null, process(turn), turn.method ? ` in ${turn.method}` : ""))],
				["For", group => group.holders.map(turn => h("div", null, when(turn.since, "since"))), "number"],
				["Wait", group => group.waiters.length > 0 ? badge(group.waiters.length, "bad") : "0", "number"],
				["The longest for", group => group.waiters.length > 0 ? when(group.waiters[0].since, "since") : "", "number"],
				["Chain", group => group.holders.map(turn => h("div", { class: "mono" }, turn.chain ?? ""))]
			], "Nobody has a turn now."),
			h("p", { class: "dim" }, "A turn ends with its transaction. ",
				"A session that is idle in transaction has not committed; whoever may end it does so with ",
				h("code", null, "SELECT pg_terminate_backend(process)"), "."))
		];
	}
};

const RANGES = [
	{ name: "hour", title: "Next hour", step: "1 minute", stepMs: 60e3, steps: 60 },
	{ name: "6h", title: "6 hours", step: "10 minutes", stepMs: 600e3, steps: 36 },
	{ name: "day", title: "24 hours", step: "30 minutes", stepMs: 1800e3, steps: 48 },
	{ name: "week", title: "7 days", step: "6 hours", stepMs: 6 * 3600e3, steps: 28 }
];

const dueColumns = [
	["Kind", row => row.kind],
	["Actor", row => actorLink(row.actor_type, row.actor_id)],
	["Name", row => row.name],
	["Method", row => row.method],
	["Role", row => row.role_name],
	["Attempt", row => row.attempt > 1 ? h("span", { class: "bad" }, row.attempt) : row.attempt, "number"]
];

function dueView(rangeName) {
	const range = RANGES.find(candidate => candidate.name === rangeName) ?? RANGES[1];
	return {
		title: "Due",
		parts: [{ name: "due", every: 15, parameters: { step: range.step, steps: range.steps } }],
		render({ due }) {
			const buckets = bucketsOf(due, range.stepMs, range.steps);
			return [
				h("h1", null, "What is due"),
				h("p", { class: "buttons" }, RANGES.map(other => h("a", { href: `#/due/${other.name}`,
					"aria-current": other === range ? "true" : null, class: "badge", "data-key": other.name }, other.title))),
				section(`${range.title}, in steps of ${range.step}`, chart(buckets, range.stepMs), chartKey(),
					h("details", { "data-key": "numbers" }, h("summary", { "data-key": "numbers-summary" }, "As numbers"),
						h("ul", null, buckets.filter(bucket => bucket.total > 0).map(bucket => h("li", null, describe(bucket)))))),
				section("Late", table(due.late, [...dueColumns,
					["Since", row => h("span", { class: "bad" }, when(row.next_try_at, "since")), "number"]], "Nothing is late.")),
				due.retried.length > 0 && section("Failed, and tried again", table(due.retried, [...dueColumns,
					["Tried", row => when(row.next_try_at), "number"]], "")),
				due.held.length > 0 && section("Held: its actor is paused, or other messages come first", table(due.held, [...dueColumns,
					["Scheduled", row => when(row.scheduled_at), "number"]], "")),
				section("Next", table(due.next, [...dueColumns,
					["Tried", row => when(row.next_try_at), "number"]], "Nothing is to come."))
			];
		}
	};
}

export const failureColumns = refresh => [
	["Failed", row => when(row.failed_at)],
	["Kind", row => `${row.kind} ${row.name ?? ""}`],
	["Method", row => h("span", { class: "mono" }, row.method)],
	["Error", row => [h("span", { class: "bad" }, row.sqlstate), " ",
		row.own ? row.message : h("span", { class: "dim" }, "its text is for the owner"),
		row.detail ? h("div", { class: "dim" }, row.detail) : ""]],
	["Attempts", row => row.attempts, "number"],
	["Role", row => row.role_name],
	["", row => row.own ? [
		row.kind !== "deactivate" && button("Retry", `retry-${row.failure_id}`, async () => {
			if (await command("retry", { failure: row.failure_id }, "It is tried again."))
				await refresh();
		}), " ",
		button("Discard", `discard-${row.failure_id}`, async () => {
			if (await confirm(`Discard the failure of ${row.kind} ${row.name ?? ""} of ${row.actor_type}/${row.actor_id}? `
				+ "Nobody will retry it then.", "Discard")
				&& await command("discard", { failure: row.failure_id }, "The failure is discarded."))
				await refresh();
		}, { danger: true })] : "", "actions"]
];

function failuresView(type, before) {
	return {
		title: "Failures",
		parts: [{ name: "failures", every: 10, parameters: { type, before } }],
		render({ failures }) {
			const columns = failureColumns(refresh);
			const base = `#/failures/${encodeURIComponent(type ?? "")}`;
			return [
				h("h1", null, type ? `Failures of ${type}` : "Failures"),
				section("Calls that were given up",
					table(failures, [columns[0], ["Actor", row => actorLink(row.actor_type, row.actor_id)], ...columns.slice(1)],
						before ? "There are no older ones." : "Nothing was given up."),
					h("p", { class: "buttons" },
						type && h("a", { href: "#/failures" }, "Those of all types"),
						before && h("a", { href: base }, "The newest"),
						failures.length >= 100 && h("a", { href: `${base}/${failures.at(-1).failure_id}` }, "Older ones")))
			];
		}
	};
}

const hostsView = {
	title: "Hosts",
	parts: [{ name: "hosts", every: 10 }],
	render({ hosts }) {
		return [
			h("h1", null, "Hosts and workers"),
			section("Background workers of the server", table(hosts.workers, [
				["Kind", row => row.kind],
				["Process", row => row.pid, "number"],
				["Database", row => row.database],
				["Role", row => row.role_name],
				["Started", row => when(row.started_at)],
				["Last active", row => when(row.last_active_at)],
				["Fired", row => number(row.fired), "number"],
				["Failed", row => row.failed > 0 ? h("span", { class: "bad" }, number(row.failed)) : number(row.failed), "number"],
				["Backlog", row => number(row.backlog), "number"],
				["Late, half", row => milliseconds(row.p50_late_ms), "number"],
				["99 %", row => milliseconds(row.p99_late_ms), "number"]
			], "No worker runs.")),
			section("Hosts of applications", table(hosts.hosts, [
				["Application", row => row.app_id],
				["State", row => !row.alive ? badge("gone", "bad") : row.reachable ? badge("lives", "good") :
					badge("application does not answer", "bad")],
				["Address", row => h("span", { class: "mono" }, row.address)],
				["Of the application", row => h("span", { class: "mono" }, row.app_address)],
				["Types", row => (row.actor_types ?? []).join(", ")],
				["Actors", row => upTo(row.placements, 10000), "number"],
				["Role", row => row.role_name],
				["Since", row => when(row.since)]
			], "No application has joined."))
		];
	}
};

// A topic of an actor, or of a type.
const topicName = row => row.actor_id === "" ? [h("span", { class: "mono" }, row.topic), ` of type ${row.actor_type}`] :
	[h("span", { class: "mono" }, row.topic), " of ", actorLink(row.actor_type, row.actor_id)];

const eventsView = {
	title: "Events",
	parts: [{ name: "events", every: 10 }],
	render({ events }) {
		return [
			h("h1", null, "Events, and messages to all actors of a type"),
			section("Events that the workers hand out", table(events.handed_out, [
				["Topic", topicName],
				["Published", row => when(row.published_at)],
				["Subscribers left", row => upTo(row.subscribers_left, 100000), "number"]
			], "Every event has reached its subscribers."),
				events.waiting > events.handed_out.length && h("p", { class: "dim" },
					`These are the first of ${upTo(events.waiting, 1000)}.`)),
			section("Messages to each actor of a type", table(events.runs, [
				["Type", row => h("span", { class: "mono" }, row.actor_type)],
				["Method", row => h("span", { class: "mono" }, row.method)],
				["", row => row.finished_at === null ? badge("sends", "warn") : badge("all are sent", "good")],
				["Sent", row => number(row.sent), "number"],
				["Last to", row => row.last_id === null ? "" : actorLink(row.actor_type, row.last_id)],
				["Began", row => when(row.started_at)],
				["Last sent", row => when(row.moved_at)],
				["At a time", row => number(row.batch), "number"],
				["Role", row => row.role_name]
			], "None is on its way.")),
			section("Topics with subscribers", table(events.topics, [
				["Topic", topicName],
				["Subscribers", row => upTo(row.subscribers, 1000), "number"],
				["Last event", row => row.last_event === null ? "" :
					[number(row.last_event), row.last_published !== null && [", ", when(row.last_published)]], "number"],
				["Oldest kept", row => when(row.oldest_kept)]
			], "There is none of a type of yours.")),
			events.kept.length > 0 && section("Topics whose events are kept", table(events.kept, [
				["Type", row => h("span", { class: "mono" }, row.actor_type)],
				["Topic", row => h("span", { class: "mono" }, row.topic)],
				["For", row => row.retention]
			], ""))
		];
	}
};

const doctorView = {
	title: "Doctor",
	parts: [{ name: "doctor", every: 30 }],
	render({ doctor }) {
		const ill = doctor.filter(check => !check.ok);
		const columns = [
			["Check", row => row.check_name],
			["", row => row.ok ? badge("✓ ok", "good") : badge("✗ not ok", "bad")],
			["Found", row => row.detail ?? ""],
			["What to do", row => row.hint ?? ""]
		];
		return [
			h("h1", null, ill.length === 0 ? "Nothing keeps reminders from firing" : "The doctor has found something"),
			ill.length > 0 && section("Not ok", table(ill, columns, "")),
			section("Ok", table(doctor.filter(check => check.ok), columns.slice(0, 2), "No check is."))
		];
	}
};

function actorsView(type, prefix, after) {
	return {
		title: type,
		parts: [{ name: "actors", every: 30, parameters: { type, prefix, after } }, { name: "types", every: 30 }],
		render({ actors, types }) {
			const status = types.find(row => row.actor_type === type);
			const base = `#/actors/${encodeURIComponent(type)}/${encodeURIComponent(prefix)}`;
			const pause = status?.own && (status.paused ?
				button("Resume the type", "resume-type", async () => {
					if (await command("resume", { type }, `All actors of ${type} go on.`))
						await refresh();
				}) :
				button("Pause the type", "pause-type", async () => {
					if (await confirm(`Pause all actors of ${type}? Calls that write are refused, and nothing fires.`, "Pause")
						&& await command("pause", { type }, `All actors of ${type} are paused.`))
						await refresh();
				}, { danger: true }));
			return [
				h("h1", null, `Actors of ${type}`, status?.paused ? [" ", badge("the type is paused", "warn")] : ""),
				pause && h("p", { class: "buttons" }, pause),
				section(prefix === "" ? "In the order of their ids" : `Whose id begins with “${prefix}”`,
					table(actors, [
						["Actor", row => h("a", { href: actorHref(type, row.actor_id), class: "mono" }, row.actor_id)],
						["", row => [row.active && badge("active", "good"), " ", row.paused && badge("paused", "warn"), " ",
							row.failed && badge("failed", "bad")]]
					], after ? "There are no more." : "There is none."),
					h("p", { class: "buttons" },
						after && h("a", { href: base }, "From the beginning"),
						actors.length >= 100 && h("a", { href: `${base}/${encodeURIComponent(actors.at(-1).actor_id)}` }, "More")))
			];
		}
	};
}

// which one is shown ----------------------------------------------------------

const NAVIGATION = [["Overview", ""], ["Turns", "turns"], ["Due", "due"], ["Failures", "failures"], ["Events", "events"],
	["Hosts", "hosts"], ["Doctor", "doctor"]];

function viewOf(hash) {
	const [name = "", ...rest] = hash.replace(/^#?\/?/, "").split("/").map(decodeURIComponent);
	switch (name) {
		case "": return overview;
		case "turns": return turnsView;
		case "due": return dueView(rest[0]);
		case "failures": return failuresView(rest[0] || null, rest[1] ?? null);
		case "events": return eventsView;
		case "hosts": return hostsView;
		case "doctor": return doctorView;
		case "actors": return actorsView(rest[0] ?? "", rest[1] ?? "", rest[2] ?? null);
		case "actor": return actorView(rest[0] ?? "", rest[1] ?? "", { refresh, process, failureColumns });
		default: return { title: "Nothing", parts: [], render: () => [h("h1", null, "There is nothing here")] };
	}
}

let current = null;		// the view, and what is known of its parts

function isBusy() {
	return element("confirm").open || document.querySelector("[data-editing]") !== null;
}

// Shows what is known, without taking the focus away from what stays.
function show() {
	if (current === null || current.view.parts.some(part => !(part.name in current.data)))
		return;
	const key = document.activeElement?.dataset?.key;
	const open = [...document.querySelectorAll("details[open]")].map(details => details.dataset.key);
	element("main").replaceChildren(...current.view.render(current.data).flat().filter(Boolean));
	for (const details of document.querySelectorAll("details"))
		details.open = open.includes(details.dataset.key);
	if (key !== undefined)
		[...document.querySelectorAll("[data-key]")].find(other => other.dataset.key === key)?.focus();
	element("main").removeAttribute("aria-busy");
}

// Asks for a part of a view, and for it again when its time has come: the later the
// longer the answer has taken, and not while nobody looks.
async function load(shown, part, once = false) {
	const began = performance.now();
	if (!document.hidden || once) {
		try {
			const text = await view(part.name, part.parameters);
			if (shown !== current)
				return;
			if (shown.texts[part.name] !== text && !(isBusy() && !once)) {
				shown.texts[part.name] = text;
				shown.data[part.name] = JSON.parse(text);
				if (shown.data[part.name].now)
					setNow(shown.data[part.name].now);
				show();
			}
			if (shown.troubled === part.name) {
				shown.troubled = null;
				notice("");
			}
		} catch (error) {
			if (shown !== current)
				return;
			if (part.optional && error.status === 403)
				shown.data[part.name] = null;
			else {
				shown.troubled = part.name;
				notice(error.message);
			}
			element("main").removeAttribute("aria-busy");
			show();
		}
	}
	if (!once && shown === current)
		setTimeout(() => shown === current && load(shown, part), Math.max(part.every * 1000, 20 * (performance.now() - began)));
}

// Asks for all parts again, after something was done.
async function refresh() {
	if (current === null)
		return;
	await Promise.all(current.view.parts.map(part => load(current, part, true)));
	// also when nothing has changed: an editor may have left its place
	show();
}

function go() {
	const hash = location.hash || "#/";
	let next;
	try {
		next = viewOf(hash);
	} catch {
		next = viewOf("#/none");
	}
	const name = hash.split("/")[1] ?? "";
	notice("");
	current = { view: next, data: {}, texts: {}, troubled: null };
	document.title = `${next.title} – actors`;
	element("main").setAttribute("aria-busy", "true");
	element("nav").replaceChildren(...NAVIGATION.map(([title, path]) =>
		h("a", { href: `#/${path}`, "aria-current": path === name ? "page" : null }, title)));
	if (next.parts.length === 0)
		show();
	for (const part of next.parts)
		load(current, part);
}

// the door --------------------------------------------------------------------

function lock() {
	setToken(null);
	current = null;
	element("main").replaceChildren();
	element("top").hidden = true;
	element("door").hidden = false;
	element("token").value = "";
	element("token").focus();
}

async function unlock() {
	try {
		const session = JSON.parse(await view("session"));
		const types = JSON.parse(await view("types"));
		setNow(session.now);
		element("where").textContent = `${session.database} as ${session.role}, PostgreSQL ${session.server.split(" ")[0]}`
			+ (session.standby ? ", a standby" : "");
		element("search-type").replaceChildren(...types.map(type => h("option", { value: type.actor_type }, type.actor_type)));
	} catch (error) {
		if (error.status !== 401)
			element("door").hidden = hasToken();
		notice(error.message);
		return;
	}
	notice("");
	element("door").hidden = true;
	element("top").hidden = false;
	go();
}

whenUnauthorized(lock);
element("door").addEventListener("submit", event => {
	event.preventDefault();
	setToken(element("token").value);
	unlock();
});
element("leave").addEventListener("click", lock);
element("theme").addEventListener("click", () => {
	const root = document.documentElement;
	const dark = (root.dataset.theme ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")) === "dark";
	root.dataset.theme = dark ? "light" : "dark";
	localStorage.setItem("theme", root.dataset.theme);
});
if (localStorage.getItem("theme"))
	document.documentElement.dataset.theme = localStorage.getItem("theme");
element("search").addEventListener("submit", event => {
	event.preventDefault();
	location.hash = `#/actors/${encodeURIComponent(element("search-type").value)}/${encodeURIComponent(element("search-prefix").value)}`;
});
document.addEventListener("keydown", event => {
	if (event.key === "/" && !/^(INPUT|TEXTAREA|SELECT)$/.test(event.target.tagName) && !element("top").hidden) {
		event.preventDefault();
		element("search-prefix").focus();
	}
});
document.addEventListener("visibilitychange", () => {
	if (!document.hidden)
		refresh();
});
window.addEventListener("hashchange", () => {
	if (hasToken()) {
		go();
		element("main").focus({ preventScroll: true });
		scrollTo(0, 0);
	}
});

if (hasToken())
	unlock();
else
	lock();
