// All that is held on a person: read, saved, printed, erased.

import { askFor } from "./dialog.js";
import { alert, doing, el, facts, number, scroll, when } from "./dom.js";
import { path, seen, state, sum } from "./person.js";
import * as restriction from "./restriction.js";
import { save } from "./saving.js";

const POLL = 1000;

export async function show(root, app, of, person) {
  const place = `/v1/subjects/${encodeURIComponent(person)}`;
  const query = { table: of, tenant: app.tenant };
  const [{ body: found, headers }, restricted] = await Promise.all([
    app.client.ask("GET", `${place}/report`, { query }),
    app.may("showRestriction") ? app.client.get(`${place}/restriction`, query) : null]);
  const actions = el("div", { class: "actions" });
  const name = `report-${person.replace(/[^\w-]/g, "_")}`;
  const page = () => doing(actions, async () => {
    const answer = await app.client.ask("GET", `${place}/report`, { query, accept: "text/html" });
    save(answer.body, "text/html", `${name}.html`);
  });
  actions.append(
    el("button", { type: "button", class: "first", onclick: () => save(JSON.stringify(found, null, 2), "application/json", `${name}.json`) }, "Save as JSON"),
    el("button", { type: "button", onclick: page }, "Save as page"),
    el("button", { type: "button", onclick: () => print() }, "Print"),
    el("a", { href: `${path(of, person)}/audit`, class: "button" }, "All who looked"),
    app.may("showConsents") ? el("a", { href: `${path(of, person)}/consents`, class: "button" }, "Consents") : "");
  if (app.may("eraseSubject")) {
    actions.append(el("button", { type: "button", class: "danger", onclick: () => erase(root, app, place, query, headers.get("ETag"), found) }, "Erase…"));
  }
  root.append(el("h1", {}, `What is held on ${person}`), actions,
    el("section", { class: "panel", "aria-label": "The report" }, facts([
      ["Person", `${found.subject.id}, of ${found.subject.table}`], ["Tenant", found.tenant], ["Made", when(found.made)],
      ["Protected values", number(found.values)],
      ...(found.tokens_without_value ? [["Tokens that don't open", number(found.tokens_without_value)]] : [])])),
    restricted && (restricted.configured || restricted.history.length) ? restriction.panel(app, place, query, found, restricted) : "",
    ...Object.entries(found.tables).map(([table, rows]) => held(table, rows)),
    ...found.elsewhere.map(elsewhere),
    ...[["Processed for", found.processing_activities], ["Legal bases", found.legal_bases], ["Agrees to", found.consents], ["Requests", found.requests]]
      .filter(([, items]) => items.length).map(([title, items]) => held(title, items)),
    el("section", { class: "panel" }, el("p", { class: "faint" }, "Since ", when(found.seen_since)), seen(found.seen)));
}

/** Few rows as name and value beside each other, many as a table. */
function held(table, rows) {
  const title = `${table}: ${number(rows.length)}`;
  if (rows.length < 2) return el("section", { class: "panel" }, el("h2", {}, title), rows.map((row) => facts(Object.entries(row).map(([name, value]) => [name, text(value)]))));
  const columns = Object.keys(rows[0]);
  return el("section", { class: "panel" }, scroll(title, el("table", {}, el("caption", {}, title),
    el("thead", {}, el("tr", {}, columns.map((column) => el("th", { scope: "col" }, column)))),
    el("tbody", {}, rows.map((row) => el("tr", {}, columns.map((column) => el("td", {}, text(row[column])))))))));
}

/** What another system holds; or why that isn't known, which must not be overlooked. */
function elsewhere(part) {
  const each = (one) => facts(Object.entries(one && typeof one === "object" ? one : { value: one }).map(([name, value]) => [name, text(value)]));
  return el("section", { class: "panel" }, el("h2", {}, `Held by ${part.connector}`),
    part.error ? alert(`Not known in full: ${part.error}.`, "bad") : [],
    part.found.map(each), part.found.length || part.error ? [] : el("p", { class: "faint" }, "Nothing."));
}

function text(value) {
  if (value === null || value === undefined) return "–";
  return el("bdi", {}, typeof value === "object" ? JSON.stringify(value) : String(value));
}

async function erase(root, app, place, query, tag, found) {
  const begun = await askFor(found.subject.id, {
    title: `Erase ${found.subject.id}?`, action: "Erase",
    text: [el("p", {}, `What this report shows of ${Object.keys(found.tables).join(", ")} is erased: rows are deleted, or lose what is protected, as configured. Values that nobody else has are destroyed.`), el("p", {}, "This can't be taken back. Save the report first if it is still needed.")],
    work: () => app.client.ask("DELETE", place, { query, headers: { "If-Match": tag } }),
  });
  if (!begun) return;
  const told = el("div", { "aria-live": "polite" });
  root.replaceChildren(el("h1", { tabindex: "-1" }, `Erasing ${found.subject.id}`), told,
    el("div", { class: "actions" }, el("a", { href: "#/subjects", class: "button" }, "Back to persons")));
  root.querySelector("h1").focus();
  let erasure = begun.body;
  while (root.isConnected) {
    told.replaceChildren(progress(erasure));
    if (erasure.state !== "pending" && erasure.state !== "incomplete") return;
    await new Promise((resolve) => setTimeout(resolve, POLL));
    try {
      erasure = await app.client.get(`/v1/erasures/${erasure.id}`, { tenant: app.tenant });
    } catch (error) {
      told.append(alert(error.told ?? error.message));
      return;
    }
  }
}

function progress(erasure) {
  const words = {
    pending: "The rows are done. Values are deleted as soon as it is sure that nobody else needs them: some seconds.",
    incomplete: "Nothing is left here. Other systems have not all done their part yet; they are asked again.",
    finished: "It is done. The proof is in the audit log.",
    undone: "It was undone: nothing has been changed.",
  };
  return el("section", { class: "panel" }, alert(words[erasure.state] ?? erasure.state, { finished: "good", pending: "warn", incomplete: "warn" }[erasure.state]),
    facts([["State", state(erasure)], ["Rows", erasure.rows], ["Values deleted", sum(erasure.deleted)],
      ["Kept, as others have them", sum(erasure.kept)], ...(erasure.problem ? [["In the way", erasure.problem]] : []),
      ...erasure.elsewhere.map((part) => [`Erased by ${part.connector}`, part.done ? number(part.erased) : part.problem || "not yet"])]));
}
