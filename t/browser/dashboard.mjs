// Goes through the page for operators as its users do, and says what was not as it
// should be.  The variables URL, TOKEN and BROWSER say where; SCREENSHOTS is a
// folder for pictures, if there are to be any.

import { chromium } from "playwright-core";

const { URL: url, TOKEN: token, BROWSER: executablePath, SCREENSHOTS: folder } = process.env;

function ok(condition, name, found) {
	console.log(`${condition ? "ok" : "not ok"} ${name}${condition || found === undefined ? "" : `: ${found}`}`);
}

const browser = await chromium.launch({ executablePath, args: ["--no-sandbox", "--disable-gpu"] });
const context = await browser.newContext({ viewport: { width: 1200, height: 800 }, locale: "en-GB", timezoneId: "UTC" });
const page = await context.newPage();
page.setDefaultTimeout(60000);
const strange = [];
page.on("request", request => request.url().startsWith(`${url}/`) || strange.push(request.url()));
const errors = [];
page.on("pageerror", error => errors.push(error.message));
page.on("console", message => message.type() === "error" && !/status of (401|403|409|423)/.test(message.text())
	&& errors.push(message.text()));
page.on("dialog", dialog => {
	errors.push(`dialog ${dialog.message()}`);
	dialog.dismiss();
});

const main = page.locator("main");
const text = selector => page.locator(selector).innerText();
const shown = (name, view = page) => folder ? view.screenshot({ path: `${folder}/dashboard-${name}.png` }) : null;

async function go(hash, heading) {
	await page.evaluate(target => { location.hash = target; }, hash);
	await page.locator("main:not([aria-busy]) h1", { hasText: heading }).waitFor();
}

// A row of a table by a text in it.
const row = (title, cell) => page.locator("section", { has: page.locator("h2", { hasText: title }) })
	.locator("tr", { hasText: cell });

// the door
await page.goto(`${url}/`);
await page.fill("#token", "wrong");
await page.press("#token", "Enter");
await page.locator("#notice", { hasText: "opens nothing" }).waitFor();
ok(await page.locator("#top").isHidden(), "a wrong token opens nothing");
ok((await main.innerText()) === "", "and shows nothing");
await page.fill("#token", token);
await page.press("#token", "Enter");
await page.locator("h1", { hasText: "Overview" }).waitFor();
ok(await page.evaluate(() => document.cookie === ""), "there are no cookies");
await page.reload();
await page.locator("h1", { hasText: "Overview" }).waitFor();
ok(true, "the tab remembers the token");

// overview
ok(/box/.test(await text("main")), "types are shown");
await row("Types", "box").locator("text=paused").waitFor({ state: "detached" });
ok(/box\.add/.test(await text("main")), "methods are shown");
await shown("overview");

// with the keyboard alone: search, and open an actor
await page.keyboard.press("/");
ok(await page.evaluate(() => document.activeElement.id) === "search-prefix", "a key goes to the search");
await page.keyboard.press("Shift+Tab");
await page.keyboard.type("box");
await page.keyboard.press("Tab");
await page.keyboard.type("al");
await page.keyboard.press("Enter");
await page.locator("h2", { hasText: "begins with “al”" }).waitFor();
ok(await page.evaluate(() => document.activeElement.id) === "main", "the focus is at what is found");
await page.keyboard.press("Tab");
for (let i = 0; i < 10 && await page.evaluate(() => document.activeElement.textContent) !== "alpha"; i++)
	await page.keyboard.press("Tab");
await page.keyboard.press("Enter");
await page.locator("h1", { hasText: "alpha" }).waitFor();
await page.locator("main:not([aria-busy])").waitFor();

// one actor
ok((await row("Reminders", "daily").innerText()).includes("add"), "its reminders are shown");
ok((await row("Timers", "tick").count()) === 1, "its timers");
ok((await row("Messages", "add").count()) === 1, "its messages");
ok((await row("History", "call").first().innerText()).includes("n: absent → 1"), "its history");
await shown("actor");

// state
await row("State", "n").locator("button", { hasText: "Edit" }).click();
const field = page.getByLabel("Value", { exact: true });
await field.fill("12x");
await page.locator("button", { hasText: "Save" }).click();
ok((await text("form[data-editing] .bad")) !== "", "what is no number is refused");
await field.fill("12345678901234567890.5");
await page.locator("button", { hasText: "Save" }).click();
await row("State", "12345678901234567890.5").waitFor();
ok(true, "a value is edited, and not rounded");
await page.locator("button", { hasText: "Add a key" }).click();
await page.getByLabel("Key", { exact: true }).fill("<b>key</b>");
await field.fill("<img src=x onerror=alert(1)>");
await page.locator("button", { hasText: "Save" }).click();
await row("State", "<b>key</b>").waitFor();
ok((await row("State", "<b>key</b>").innerText()).includes("\"<img src=x onerror=alert(1)>\""), "markup is shown as text");
await row("State", "<b>key</b>").locator("button", { hasText: "Edit" }).click();
ok((await field.inputValue()) === "<img src=x onerror=alert(1)>", "a text is edited as text");
await page.keyboard.press("Escape");
await row("State", "<b>key</b>").locator("button", { hasText: "Remove" }).click();
ok((await text("#confirm")).includes("Remove key"), "removing asks");
await page.keyboard.press("Escape");
ok((await row("State", "<b>key</b>").count()) === 1, "no is the answer of Escape");
await row("State", "<b>key</b>").locator("button", { hasText: "Remove" }).click();
await page.click("#confirm-yes");
await row("State", "<b>key</b>").waitFor({ state: "detached" });
ok(true, "yes removes it");

// pause and resume
await page.locator("button", { hasText: "Pause" }).click();
await page.locator("h1 + p", { hasText: "paused" }).waitFor();
ok((await row("Reminders", "daily").innerText()).includes("held: paused"), "a paused actor's reminders are held");
await row("State", "n").locator("button", { hasText: "Edit" }).click();
await field.fill("7");
await page.locator("button", { hasText: "Save" }).click();
await page.locator("#notice", { hasText: "is paused" }).waitFor();
ok(true, "a refusal is shown");
await page.keyboard.press("Escape");
await page.locator("button", { hasText: "Resume" }).click();
await page.locator("button", { hasText: "Pause" }).waitFor();
await row("Reminders", "daily").locator("button", { hasText: "Delete" }).click();
await page.click("#confirm-yes");
await row("Reminders", "daily").waitFor({ state: "detached" });
ok(true, "a reminder is deleted");

// a turn that is held
await go("#/turns", "Turns now");
await row("Who has a turn", "held").waitFor();
ok(/idle in transaction/.test(await row("Who has a turn", "held").innerText()), "a turn that is held is shown, with who has it");
await shown("turns");

// due
await go("#/due", "What is due");
await page.locator("svg.chart rect.reminder").first().waitFor();
ok((await row("Late", "waits for a host").count()) === 1, "what is late is shown");
await page.locator("a.badge", { hasText: "24 hours" }).click();
await page.locator("h2", { hasText: "24 hours" }).waitFor();
await page.locator("svg.chart rect.message").first().waitFor();
ok((await page.locator("svg.chart").getAttribute("aria-label")).startsWith("What is due:"), "the chart has a text");
await shown("due");
await page.locator("summary").click();
ok((await page.locator("details li").count()) > 1, "and numbers");

// failures
await go("#/failures", "Failures");
ok((await row("Calls that were given up", "poisoned").count()) === 2, "failures are shown");
await row("Calls that were given up", "second").locator("button", { hasText: "Discard" }).click();
await page.click("#confirm-yes");
await row("Calls that were given up", "second").waitFor({ state: "detached" });
ok(true, "one is discarded");
await shown("failures");
await row("Calls that were given up", "first").locator("button", { hasText: "Retry" }).click();
await page.locator("#notice", { hasText: "tried again" }).waitFor();
await page.waitForFunction(() => document.querySelectorAll("main td").length === 0, null, { polling: 100 });
ok(true, "one is retried");

// events
await go("#/events", "Events");
await row("Topics with subscribers", "news").waitFor();
ok(/of type box/.test(await row("Topics with subscribers", "news").innerText()), "a topic of a type is shown");
ok((await row("Topics with subscribers", "weather").locator("a").innerText()) === "box/alpha", "and one of an actor");
ok((await row("Topics whose events are kept", "news").innerText()).includes("2 days"), "and for how long events are kept");
ok((await row("Messages to each actor", "visit").count()) === 1, "and messages to all actors of a type");
await shown("events");
await go("#/actor/box/beta", "beta");
ok((await row("Subscriptions", "weather").innerText()).includes("box/alpha"), "an actor's subscriptions are shown");
ok((await row("Promises", "hear").count()) === 1, "and its promises");

// hosts and doctor
await go("#/hosts", "Hosts and workers");
ok((await row("Background workers", "launcher").count()) === 1, "workers are shown");
await go("#/doctor", /./);
await row("Ok", "preload").waitFor();
ok((await row("Not ok", "hosts").count()) >= 1, "the doctor says what is wrong");
await shown("doctor");

// an id that is markup, and one that is not there
await go("#/actors/box/%3C", "Actors of box");
await page.locator("main a", { hasText: "<img" }).click();
await page.locator("h1", { hasText: "<img src=x onerror=alert(2)>" }).waitFor();
ok(true, "ids are text");
await go("#/actor/box/none", "none");
ok(/nothing of it/.test(await text("main")), "an actor of which there is nothing is said to be that");
await go("#/nothing", "There is nothing here");

// delete
await go("#/actor/box/alpha", "alpha");
await page.locator("h1 + p + p button", { hasText: "Delete" }).click();
await page.click("#confirm-yes");
await page.locator("main", { hasText: "It has no state" }).waitFor();
ok(true, "an actor is deleted");

// what is shown is asked for again, without a click
await go("#/actors/box/", "Actors of box");
await go("#/", "Overview");

// on a phone, dark
const phone = await context.newPage();
await phone.emulateMedia({ colorScheme: "dark" });
await phone.setViewportSize({ width: 390, height: 800 });
await phone.goto(`${url}/`);
await phone.fill("#token", token);
await phone.press("#token", "Enter");
await phone.locator("h1", { hasText: "Overview" }).waitFor();
const back = await phone.evaluate(() => getComputedStyle(document.body).backgroundColor);
ok(back === "rgb(20, 24, 29)", "dark is dark", back);
for (const hash of ["#/", "#/turns", "#/due", "#/failures", "#/events", "#/hosts", "#/doctor", "#/actor/box/beta"]) {
	await phone.evaluate(target => { location.hash = target; }, hash);
	await phone.locator("main:not([aria-busy]) h1").waitFor();
	const width = await phone.evaluate(() => document.documentElement.scrollWidth);
	ok(width <= 390, `${hash} fits a phone`, width);
}
await phone.evaluate(() => scrollTo(0, 0));
await shown("phone", phone);
await phone.click("#theme");
ok(await phone.evaluate(() => getComputedStyle(document.body).backgroundColor) !== back, "light if one wants");

// leaving
await page.click("#leave");
ok(await page.evaluate(() => sessionStorage.length === 0 && document.querySelector("main").childNodes.length === 0), "leaving forgets");
ok(strange.length === 0, "no other host was asked", strange.join(" "));
ok(errors.length === 0, "nothing was wrong with the page", errors.join("; "));
await browser.close();
console.log("done");
