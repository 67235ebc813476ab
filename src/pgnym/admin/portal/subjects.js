// Persons: found by what is known of them, reported on, erased.

import { choice, doing, el, field, say, submits, table, when } from "./dom.js";
import { path, seen, state, sum } from "./person.js";
import * as consents from "./consents.js";
import * as report from "./report.js";

export const id = "subjects";
export const title = "Persons";
export const needs = ["listErasures"];

export async function show(root, app, [of, person, part]) {
  if (person !== undefined) {
    if (part === "consents" && app.may("showConsents")) return consents.showPerson(root, app, of, person);
    const view = part === "audit" || !app.may("reportSubject") ? traces : report.show;
    return view(root, app, of, person);
  }
  const [protection, erasures] = await Promise.all([
    app.client.get("/v1/protection"), app.client.get("/v1/erasures", { tenant: app.tenant, limit: 20 })]);
  root.append(el("h1", {}, title), search(app, protection.items), past(erasures.items));
  return undefined;
}

/** [kind, table, column] of all that a person can be found by: the subject's own id first. */
function ways(app, columns) {
  const own = columns.filter((each) => each.subject && !each.subject_table);
  const ids = new Map(own.map((each) => [each.table, each.subject]));
  const byId = [...ids].map(([name, column]) => ["id", name, column]);
  if (!app.may("searchSubjects")) return byId;
  const found = own.filter((each) => each.tokens === "deterministic" && !each.path && each.state === "protected");
  return [...found.map((each) => ["value", each.table, each.column]), ...byId];
}

function search(app, columns) {
  const known = ways(app, columns);
  if (!known.length) return el("p", {}, "No table says whose data its rows are: set subject in the configuration, and apply it.");
  const several = new Set(known.map(([, name]) => name)).size > 1;
  const label = ([, name, column]) => column.replaceAll("_", " ") + (several ? ` (${name})` : "");
  const first = known.findIndex(([kind, , column]) => kind === "value" && /mail/.test(column));
  const by = choice("by", known.map((way, index) => [index, label(way)]), Math.max(first, 0));
  const told = el("div", { "aria-live": "polite" });
  const form = el("form", { class: "panel" },
    el("h2", {}, "Find a person"),
    el("div", { class: "fields" }, field("What do you know?", by), field("What is it?", el("input", { name: "value", required: true, autocomplete: "off", spellcheck: "false", "data-focus": true }), "Exactly as it is written there.")),
    el("div", { class: "actions" }, el("button", { type: "submit", class: "first" }, "Find")), told);
  return submits(form, async ({ value }) => {
    const [kind, of, column] = known[by.value];
    if (kind === "id") return app.go(path(of, value.trim()));
    told.replaceChildren();
    const found = await app.client.post("/v1/subjects/search", { column, value, table: of, tenant: app.tenant ?? null });
    if (found.items.length === 1) return app.go(path(of, found.items[0].id));
    told.replaceChildren(el("p", {}, found.items.length ? `${found.items.length} persons have it:` : "Nobody has it."),
      el("ul", {}, found.items.map((each) => el("li", {}, el("a", { href: path(each.table, each.id) }, each.id)))));
    return undefined;
  });
}

function past(erasures) {
  return el("section", { class: "panel" }, table("Erasures", [
    ["Begun", (each) => when(each.started)], ["State", (each) => [state(each), each.problem && el("div", { class: "faint" }, each.problem)]],
    ["Rows", (each) => each.rows], ["Values deleted", (each) => sum(each.deleted), "number"],
    ["Kept, as others have them", (each) => sum(each.kept), "number"], ["By", (each) => each.by],
  ], erasures, "No erasure yet."));
}

/** Who has looked at what of a person's, all of it, page by page. */
async function traces(root, app, of, person) {
  const found = [];
  const list = el("section", { class: "panel" });
  async function more(cursor) {
    const page = await app.client.get(`/v1/subjects/${encodeURIComponent(person)}/audit`, { table: of, tenant: app.tenant, limit: 50, cursor });
    found.push(...page.items);
    const next = page.next && el("button", { type: "button", onclick: () => doing(list, () => more(page.next)) }, "Older records");
    list.replaceChildren(...[seen(found)].flat(), el("div", { class: "actions" }, next || ""));
    say(`${found.length} records shown`);
  }
  await more();
  root.append(el("h1", {}, `Who has looked at ${person}`), list);
}
