// Requests of persons: what has come, by when it must be answered, and what was decided.

import { ask } from "./dialog.js";
import { badge, choice, day, doing, el, facts, field, say, table, when } from "./dom.js";
import { path } from "./person.js";

export const id = "requests";
export const title = "Requests";
export const needs = ["listRequests"];

const KINDS = [["access", "access: what is held"], ["erase", "erasure"], ["rectify", "correction"], ["restrict", "restriction"], ["port", "a copy to take along"], ["object", "objection"]];
const STATES = ["submitted", "approved", "rejected", "completed", "withdrawn"];
const SHADES = { submitted: "warn", approved: "", completed: "good", rejected: "bad", withdrawn: "" };
/** [step, its words, in which states, whether a reason is due, dangerous] */
const STEPS = [
  ["approve", "Approve", ["submitted"], false, false], ["complete", "It is done", ["approved"], false, false],
  ["extend", "Extend", ["submitted", "approved"], true, false], ["withdraw", "Withdrawn", ["submitted", "approved"], false, false],
  ["reject", "Reject", ["submitted", "approved"], true, true],
];

const open = (request) => ["submitted", "approved"].includes(request.state);
const kind = (request) => KINDS.find(([name]) => name === request.kind)?.[1] ?? request.kind;

export async function show(root, app, [number], query) {
  if (number) return showOne(root, app, number);
  const state = STATES.includes(query.get("state")) ? query.get("state") : "";
  const select = choice("state", [["", "any"], ...STATES.map((name) => [name, name])], state);
  select.addEventListener("change", () => app.go(select.value ? `#/requests?state=${select.value}` : "#/requests"));
  const list = el("section", { class: "panel", "aria-label": "The queue" });
  const found = [];
  async function more(cursor) {
    const page = await app.client.get("/v1/requests", { state, tenant: app.tenant, limit: 50, cursor });
    found.push(...page.items);
    const next = page.next && el("button", { type: "button", onclick: () => doing(list, () => more(page.next)) }, "More");
    list.replaceChildren(...[queue(found)].flat(), el("div", { class: "actions" }, next || ""));
    say(`${found.length} requests shown`);
  }
  await more();
  root.append(el("h1", {}, title),
    app.may("submitRequest") ? el("div", { class: "actions" }, el("button", { type: "button", class: "first", onclick: () => submit(app) }, "New request…")) : "",
    el("div", { class: "panel" }, field("State", select)), list);
  return undefined;
}

function queue(requests) {
  return table("Requests", [
    ["Due", (request) => [day(request.due), request.overdue ? [" ", badge("overdue", "bad")] : ""]],
    ["What", (request) => el("a", { href: `#/requests/${encodeURIComponent(request.id)}` }, kind(request))],
    ["Person", (request) => whose(request)], ["State", (request) => badge(request.state, SHADES[request.state])], ["Received", (request) => day(request.received)],
  ], requests, "No request.");
}

const whose = (request) => (request.subject ? `${request.subject.id}, of ${request.subject.table}` : request.contact || "not known yet");

async function showOne(root, app, number) {
  const place = `/v1/requests/${encodeURIComponent(number)}`;
  const query = { tenant: app.tenant };
  const { body: request, headers } = await app.client.ask("GET", place, { query });
  const take = async ([step, words, , reason, danger]) => {
    const note = el("textarea", { name: "note", required: reason, maxlength: 5000 });
    const done = await ask({
      title: `${words}?`, action: words, danger, fields: [field(reason ? "Why" : "Note", note, reason ? "The person must be told." : "It is kept with the request.")],
      work: ({ note: said = "" }) => app.client.ask("POST", `${place}/${step}`, { query, body: { note: said }, headers: { "If-Match": headers.get("ETag") } }),
    });
    if (done) app.again();
  };
  const steps = STEPS.filter(([step, , states]) => states.includes(request.state) && app.may(`${step}Request`) && !(step === "extend" && request.extended));
  root.append(el("h1", {}, `Request: ${kind(request).split(":")[0]}`),
    el("div", { class: "actions" }, steps.map((step, index) => el("button", { type: "button", class: `${index ? "" : "first"} ${step[4] ? "danger" : ""}`.trim(), onclick: () => take(step) }, `${step[1]}…`)),
      request.subject && app.may("reportSubject") ? el("a", { class: "button", href: path(request.subject.table, request.subject.id) }, "What is held") : ""),
    el("section", { class: "panel", "aria-label": "The request" }, facts([
      ["State", badge(request.state, SHADES[request.state])], ["Person", whose(request)], ["Contact", request.contact || "–"], ["Received", day(request.received)],
      ["Due", [day(request.due), request.overdue ? [" ", badge("overdue", "bad")] : "", request.extended ? " (extended)" : "", open(request) ? "" : " (closed)"]]])),
    el("section", { class: "panel", "aria-labelledby": "history" }, el("h2", { id: "history" }, "What was done"),
      el("ol", { class: "timeline" }, [...request.history].reverse().map((event) => el("li", { class: event.action === "reject" ? "withdrawn" : "" },
        el("b", {}, event.action), event.note ? el("div", {}, event.note) : "", el("div", { class: "faint" }, when(event.at), ` · ${event.by}`))))));
}

async function submit(app) {
  const protection = await app.client.get("/v1/protection");
  const tables = [...new Set(protection.items.filter((each) => each.subject && !each.subject_table).map((each) => each.table))];
  const made = await ask({
    title: "New request", action: "Submit",
    fields: [
      field("What is asked for", choice("kind", KINDS, "access")),
      el("div", { class: "fields" }, field("Of", choice("table", tables.map((name) => [name, name]), tables[0])), field("Their ID", el("input", { name: "person", maxlength: 500 }), "Empty while it isn't known.")),
      field("How to answer", el("input", { name: "contact", maxlength: 1000 })), field("Note", el("textarea", { name: "note", maxlength: 5000 })),
      field("Received", el("input", { name: "received", type: "date" }), "Empty: now. The month to answer runs from it."),
    ],
    work: ({ kind: asked, table: of, person, contact = "", note = "", received }) => app.client.post("/v1/requests", {
      kind: asked, subject: person ? { table: of, id: person } : null, contact, note, tenant: app.tenant ?? null,
      ...(received ? { received: new Date(received).toISOString() } : {}),
    }),
  });
  if (made) app.go(`#/requests/${encodeURIComponent(made.id)}`);
}
