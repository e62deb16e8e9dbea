// A chart of what is due: a bar for each step, with a part for each kind.

const KINDS = ["reminder", "timer", "message"];
const WIDTH = 1000, HEIGHT = 240, LEFT = 48, BOTTOM = 22, TOP = 12;

function svg(name, attributes, text) {
	const element = document.createElementNS("http://www.w3.org/2000/svg", name);
	for (const [key, value] of Object.entries(attributes))
		element.setAttribute(key, value);
	if (text !== undefined)
		element.textContent = text;
	return element;
}

// The next round number that is not lower.
function roundUp(value) {
	const power = 10 ** Math.floor(Math.log10(Math.max(1, value)));
	return [1, 2, 5, 10].map(factor => factor * power).find(candidate => candidate >= value);
}

function timeLabel(time, spanMs) {
	const options = spanMs > 36 * 3600e3 ? { weekday: "short", hour: "2-digit", minute: "2-digit" } :
		{ hour: "2-digit", minute: "2-digit" };
	return time.toLocaleString([], options);
}

// Sums by step, what is late first: [{from, until, reminder, timer, message, estimated}].
export function bucketsOf(due, stepMs, steps) {
	const now = Date.parse(due.now);
	const buckets = [];
	for (let i = -1; i < steps; i++)
		buckets.push({ late: i < 0, from: new Date(now + i * stepMs), until: new Date(now + (i + 1) * stepMs),
			reminder: 0, timer: 0, message: 0, total: 0, estimated: false });
	for (const row of due.counts) {
		const index = row.due_from === "-infinity" ? 0 :
			Math.min(steps, 1 + Math.round((Date.parse(row.due_from) - now) / stepMs));
		buckets[index][row.kind] += row.due;
		buckets[index].total += row.due;
		buckets[index].estimated ||= row.estimated;
	}
	return buckets;
}

export function describe(bucket) {
	const parts = KINDS.filter(kind => bucket[kind] > 0)
		.map(kind => `${bucket[kind].toLocaleString()} ${kind}${bucket[kind] === 1 ? "" : "s"}`);
	const when = bucket.late ? "late" : `${bucket.from.toLocaleString()} to ${bucket.until.toLocaleTimeString()}`;
	return `${when}: ${bucket.estimated ? "about " : ""}${parts.join(", ") || "nothing"}`;
}

export function chart(buckets, stepMs) {
	const most = roundUp(Math.max(1, ...buckets.map(bucket => bucket.total)));
	const total = buckets.reduce((sum, bucket) => sum + bucket.total, 0);
	const slot = (WIDTH - LEFT) / buckets.length;
	const scale = (HEIGHT - TOP - BOTTOM) / most;
	const root = svg("svg", { class: "chart", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img",
		"aria-label": `What is due: ${total.toLocaleString()} in ${buckets.length - 1} steps, ${buckets[0].total.toLocaleString()} of them late` });

	for (const share of [0, 0.5, 1]) {
		const y = HEIGHT - BOTTOM - share * most * scale;
		root.append(svg("line", { x1: LEFT, x2: WIDTH, y1: y, y2: y }));
		if (Number.isInteger(share * most))
			root.append(svg("text", { x: LEFT - 6, y: y + 4, "text-anchor": "end" }, (share * most).toLocaleString()));
	}
	const every = Math.ceil(buckets.length / 8);
	buckets.forEach((bucket, index) => {
		const x = LEFT + index * slot;
		const group = svg("g", bucket.estimated ? { class: "estimated" } : {});
		let y = HEIGHT - BOTTOM;

		group.append(svg("title", {}, describe(bucket)));
		// the whole height says what there is, also where that is nothing
		group.append(svg("rect", { x, y: TOP, width: slot, height: HEIGHT - TOP - BOTTOM, opacity: 0 }));
		for (const kind of KINDS) {
			if (bucket[kind] === 0)
				continue;
			const height = Math.max(1.5, bucket[kind] * scale);
			y -= height;
			group.append(svg("rect", { class: bucket.late ? `${kind} late` : kind, x: x + slot * 0.1, y,
				width: slot * 0.8, height }));
		}
		root.append(group);
		if (index === 0)
			root.append(svg("text", { x: x + slot / 2, y: HEIGHT - 6, "text-anchor": "middle" }, "late"));
		else if ((index - 1) % every === 0 && index > 1)
			root.append(svg("text", { x, y: HEIGHT - 6, "text-anchor": "middle" },
				timeLabel(bucket.from, stepMs * buckets.length)));
	});
	return root;
}

export function chartKey() {
	const key = document.createElement("p");
	key.className = "key";
	for (const kind of KINDS) {
		const mark = svg("svg", { viewBox: "0 0 10 10", "aria-hidden": "true" });
		const item = document.createElement("span");
		mark.append(svg("rect", { class: kind, width: 10, height: 10 }));
		item.append(mark, ` ${kind}s`);
		key.append(item);
	}
	const note = document.createElement("span");
	note.textContent = "paler: estimated";
	key.append(note);
	return key;
}
