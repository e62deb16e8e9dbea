// What all views share: elements, numbers and times, requests and commands.
// Whatever comes from the database becomes text, never markup.

let token = sessionStorage.getItem("token");
let onUnauthorized = () => {};

export const hasToken = () => token !== null;
export function setToken(value) {
	token = value;
	if (value === null)
		sessionStorage.removeItem("token");
	else
		sessionStorage.setItem("token", value);
}
export function whenUnauthorized(action) {
	onUnauthorized = action;
}

// elements --------------------------------------------------------------------

// An element; attributes that are null or false are left out, functions are
// handlers, other children than elements become text.
export function h(name, attributes, ...children) {
	const element = document.createElement(name);
	for (const [key, value] of Object.entries(attributes ?? {})) {
		if (value === null || value === undefined || value === false)
			continue;
		if (typeof value === "function")
			element.addEventListener(key, value);
		else
			element.setAttribute(key, value === true ? "" : value);
	}
	element.append(...children.flat(Infinity).filter(child => child !== null && child !== undefined && child !== false)
		.map(child => child instanceof Node ? child : String(child)));
	return element;
}

export function button(text, key, action, options = {}) {
	return h("button", { type: "button", class: options.danger ? "danger" : null, "data-key": key, title: options.title,
		async click(event) {
			event.target.disabled = true;
			try {
				await action();
			} finally {
				event.target.disabled = false;
			}
		} }, text);
}

// A table.  Columns are [title, function of a row, class]; a cell that is an array
// has several children.
export function table(rows, columns, empty) {
	if (rows.length === 0)
		return h("p", { class: "dim" }, empty);
	return h("table", null,
		h("thead", null, h("tr", null, columns.map(([title, , kind]) => h("th", { scope: "col", class: kind }, title)))),
		h("tbody", null, rows.map(row => h("tr", null, columns.map(([title, cell, kind]) => {
			const content = cell(row);
			return h("td", { class: kind, "data-title": title || null }, content);
		})))));
}

export function section(title, ...content) {
	return h("section", null, h("h2", null, title), content);
}

export function actorLink(type, id) {
	if (type === null || type === undefined)
		return h("span", { class: "dim" }, "not known");
	return h("a", { href: actorHref(type, id), class: "mono" }, `${type}/${id}`);
}

export const actorHref = (type, id) => `#/actor/${encodeURIComponent(type)}/${encodeURIComponent(id)}`;

export const badge = (text, kind) => h("span", { class: `badge ${kind ?? "dim"}` }, text);

// numbers and times -----------------------------------------------------------

export const number = value => value === null || value === undefined ? "" : Number(value).toLocaleString();

// One that was counted up to a limit.
export const upTo = (value, most) => value === null ? "" : value >= most ? `${number(value)}+` : number(value);

export function milliseconds(value) {
	if (value === null || value === undefined)
		return "";
	return value >= 1000 ? duration(value / 1000) : value === 0 ? "0" : `${Number(value.toPrecision(2))} ms`;
}

export function duration(seconds) {
	const s = Math.max(0, seconds);
	if (s < 60)
		return `${s < 10 ? s.toFixed(1) : Math.round(s)} s`;
	if (s < 3600)
		return `${Math.floor(s / 60)} min ${Math.round(s % 60)} s`;
	if (s < 2 * 86400)
		return `${Math.floor(s / 3600)} h ${Math.floor(s % 3600 / 60)} min`;
	return `${Math.floor(s / 86400)} d ${Math.floor(s % 86400 / 3600)} h`;
}

function relative(at, form) {
	const seconds = (Date.now() + skew - Date.parse(at)) / 1000;
	if (form === "since")
		return duration(seconds);
	return seconds >= 0 ? `${duration(seconds)} ago` : `in ${duration(-seconds)}`;
}

// how far the clock of the server is before that of the browser
let skew = 0;
export function setNow(now) {
	skew = Date.parse(now) - Date.now();
}

// A time, as a distance that goes on by itself.
export function when(at, form = "distance") {
	if (at === null || at === undefined)
		return "";
	if (at === "infinity" || at === "-infinity")
		return at === "infinity" ? "held" : "";
	return h("time", { datetime: at, title: new Date(at).toLocaleString(), "data-form": form }, relative(at, form));
}

setInterval(() => {
	if (!document.hidden)
		for (const element of document.querySelectorAll("time[data-form]")) {
			const text = relative(element.getAttribute("datetime"), element.dataset.form);
			if (element.textContent !== text)
				element.textContent = text;
		}
}, 1000);

// messages --------------------------------------------------------------------

export function notice(text, said = false) {
	const place = document.getElementById("notice");
	place.className = said ? "said" : "";
	place.textContent = text;
}

// Asks; true if the answer is yes.
export function confirm(text, action) {
	const dialog = document.getElementById("confirm");
	document.getElementById("confirm-text").textContent = text;
	document.getElementById("confirm-yes").textContent = action;
	dialog.returnValue = "no";
	dialog.showModal();
	document.getElementById("confirm-no").focus();
	return new Promise(resolve => dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), { once: true }));
}

// requests --------------------------------------------------------------------

export class Refused extends Error {
	constructor(status, error) {
		const details = error.details ?? {};
		super([error.message, details.detail, details.hint].filter(Boolean).join("  "));
		this.status = status;
	}
}

async function request(path, options) {
	const response = await fetch(path, { ...options, cache: "no-store", redirect: "error",
		headers: { Authorization: `Bearer ${token}` } });
	const text = await response.text();
	if (response.status === 401) {
		onUnauthorized();
		throw new Refused(401, { message: "That token opens nothing." });
	}
	if (!response.ok) {
		let error = { message: `The answer was ${response.status}.` };
		try {
			error = JSON.parse(text);
		} catch {
			// not ours: its status says enough
		}
		throw new Refused(response.status, error);
	}
	return text;
}

// The text of a view, so that whoever has it can see whether it has changed.
export function view(name, parameters = {}) {
	const query = Object.entries(parameters).filter(([, value]) => value !== null && value !== undefined && value !== "")
		.map(([key, value]) => `${key}=${encodeURIComponent(value)}`).join("&");
	return request(`api/${name}${query ? `?${query}` : ""}`, {});
}

// Does something, and says what has become of it.  A value goes as it is, since
// JavaScript would round its numbers.
export async function command(name, members, done, value) {
	let body = JSON.stringify(members);
	if (value !== undefined)
		body = `${body.slice(0, -1)},"value":${value}}`;
	try {
		const answer = JSON.parse(await request(`api/${name}`, { method: "POST", body }));
		notice(answer.changed ? done : "There was nothing to do.", true);
		return true;
	} catch (error) {
		notice(error.message);
		return false;
	}
}
