// The frame: sealed or not, signed in or not, and which views there are for whom.

import { Client, kept } from "./client.js";
import { ask } from "./dialog.js";
import { alert, choice, el, say } from "./dom.js";
import * as audit from "./audit.js";
import * as consents from "./consents.js";
import * as grants from "./grants.js";
import * as keys from "./keys.js";
import * as login from "./login.js";
import * as overview from "./overview.js";
import * as register from "./register.js";
import * as requests from "./requests.js";
import * as seal from "./seal.js";
import * as subjects from "./subjects.js";
import * as tokens from "./tokens.js";

/** In the order of the navigation. A view is shown if the token's role may call all that it needs. */
const VIEWS = [overview, subjects, requests, consents, register, audit, grants, keys, tokens];
const IDLE = 30 * 60_000;

const main = document.getElementById("main");
const nav = document.getElementById("views");

const app = {
  client: new Client({ refused: () => signOut("The token is not valid, or no longer."), sealed: () => start() }),
  caller: null,
  tenant: undefined, // that is chosen, where the token is for all
  operations: new Set(),
  may: (...operations) => operations.every((operation) => app.operations.has(operation)),
  go: (path) => { location.hash = path; },
  again: () => route(),
};

let shown = 0; // which start or view is on show: an older one that is still loading must not overwrite it

async function start() {
  const turn = ++shown;
  frame(null);
  try {
    const state = await app.client.get("/v1/seal");
    if (turn !== shown) return;
    if (state.sealed) return present((root) => seal.show(root, app, state, start), "Sealed");
    app.client.token = kept.token;
    if (!app.client.token) return present((root) => login.show(root, signIn), "Sign in");
    await signIn(app.client.token);
  } catch (error) {
    if (turn === shown) present((root) => root.append(el("h1", {}, "pgnym"), alert(error.told ?? error.message), retry()), "pgnym");
  }
}

const retry = () => el("button", { type: "button", class: "first", onclick: start }, "Try again");

/** Raises Problem; a token that is refused is not kept. */
async function signIn(token) {
  app.client.token = token;
  const caller = await app.client.get("/v1/me");
  const described = await app.client.get("/openapi.json");
  app.caller = caller;
  app.operations = new Set(Object.values(described.paths).flatMap(Object.values)
    .filter((operation) => !operation["x-roles"] || operation["x-roles"].includes(caller.role))
    .map((operation) => operation.operationId));
  kept.token = token;
  const tenants = app.may("listTenants") ? (await app.client.get("/v1/tenants")).items.map((each) => each.name) : [];
  if (caller.tenant || !tenants.includes(app.tenant)) app.tenant = caller.tenant ? undefined : tenants[0];
  frame(tenants);
  await route();
}

function signOut(why) {
  kept.token = null;
  app.client.token = app.caller = null;
  const turn = ++shown;
  frame(null);
  present((root) => login.show(root, signIn, why), "Sign in");
  return turn;
}

function frame(tenants) {
  const session = document.getElementById("session");
  session.replaceChildren();
  nav.hidden = tenants === null;
  nav.replaceChildren();
  main.classList.toggle("narrow", tenants === null);
  if (tenants === null) return;
  const caller = app.caller;
  session.append(el("span", {}, `${caller.name} (${caller.role}${caller.tenant ? ` of ${caller.tenant}` : ""})`));
  if (!caller.tenant && tenants.length > 1) {
    const select = choice("tenant", tenants.map((name) => [name, name]), app.tenant);
    select.addEventListener("change", () => { app.tenant = select.value; route(); });
    session.append(el("label", {}, "Tenant", select));
  }
  if (app.may("seal")) session.append(el("button", { type: "button", class: "small danger", onclick: askToSeal }, "Seal"));
  session.append(el("button", { type: "button", class: "small", onclick: () => signOut() }, "Sign out"));
  nav.append(el("ul", {}, views().map((view) => el("li", {}, el("a", { href: `#/${view.id}` }, view.title)))));
}

const views = () => VIEWS.filter((view) => app.may(...view.needs));

async function askToSeal() {
  const text = el("p", {}, "All sessions end, and the keys are wiped from memory. Until it is unsealed, the gateway serves nobody.");
  await ask({ title: "Seal the gateway?", text, action: "Seal", danger: true, work: () => app.client.post("/v1/seal") });
  if ((await app.client.get("/v1/seal")).sealed) await start();
}

async function route() {
  if (!app.caller) return;
  const [path, search] = location.hash.replace(/^#\/?/, "").split("?");
  const [id, ...rest] = path.split("/").map(decoded);
  const view = views().find((each) => each.id === id) ?? views()[0];
  for (const link of nav.querySelectorAll("a")) {
    if (view && link.hash === `#/${view.id}`) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  if (!view) {
    present((root) => root.append(el("h1", {}, "Nothing to show"), el("p", {}, `There is no view for tokens of role ${app.caller.role}.`)), "pgnym");
    return;
  }
  await present((root) => view.show(root, app, rest, new URLSearchParams(search)), view.title);
}

function decoded(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part; // an address that somebody has typed
  }
}

/** Put a view in place of the last one, and the focus on its heading. */
async function present(show, title) {
  const turn = ++shown;
  document.title = `${title} – pgnym`;
  const root = el("div");
  main.setAttribute("aria-busy", "true");
  try {
    await show(root);
  } catch (error) {
    if (turn !== shown) return;
    root.replaceChildren(el("h1", {}, title), alert(error.told ?? `The portal failed: ${error.message}`));
  }
  if (turn !== shown) return;
  main.replaceChildren(root);
  main.removeAttribute("aria-busy");
  const heading = root.querySelector("h1");
  if (heading) {
    heading.tabIndex = -1;
    (root.querySelector("[data-focus]") ?? heading).focus();
  }
  say(title);
}

let idle;
function awake() {
  clearTimeout(idle);
  idle = setTimeout(() => app.caller && signOut("You were signed out after half an hour without a sign of life."), IDLE);
}
for (const sign of ["pointerdown", "keydown"]) addEventListener(sign, awake, { passive: true });
addEventListener("hashchange", route);
document.querySelector("a.skip").addEventListener("click", (event) => {
  event.preventDefault(); // the part behind # names views
  main.focus();
});
awake();
start();
