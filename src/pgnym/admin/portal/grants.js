// Grants: the reveal budget lifted for somebody, for a purpose and a time.

import { ask } from "./dialog.js";
import { badge, choice, el, field, number, table, when } from "./dom.js";

export const id = "grants";
export const title = "Grants";
export const needs = ["listGrants"];

const TIMES = [["1", "an hour"], ["8", "8 hours"], ["24", "a day"], ["168", "a week"]];

export async function show(root, app) {
  const found = await app.client.get("/v1/grants", { tenant: app.tenant });
  root.append(el("h1", {}, title),
    el("p", { class: "faint" }, "A session that states the purpose may be shown more values than the budget of its role allows, until the grant ends."),
    el("div", { class: "actions" }, app.may("createGrant") ? el("button", { type: "button", class: "first", onclick: () => create(app) }, "New grant…") : ""),
    el("section", { class: "panel" }, table("Grants", [
      ["Number", (grant) => grant.id, "number"], ["For", (grant) => (grant.role ? `role ${grant.role}` : `user ${grant.db_user}`)],
      ["Purpose", (grant) => grant.purpose], ["A statement", (grant) => limit(grant.statement), "number"], ["A minute", (grant) => limit(grant.minute), "number"],
      ["Until", (grant) => when(grant.until)], ["Why", (grant) => [grant.reason, el("div", { class: "faint" }, grant.created_by)]],
      ["State", (grant) => state(grant)], ["", (grant) => revocation(app, grant)],
    ], found.items, "No grant yet.")));
}

const limit = (values) => (values === null ? "any" : number(values));
const state = (grant) => badge(grant.state, { valid: "good", ended: "warn" }[grant.state] ?? "bad");

function revocation(app, grant) {
  if (grant.revoked || new Date(grant.until) < new Date() || !app.may("revokeGrant")) return "";
  const revoke = async () => {
    const done = await ask({
      title: `End grant ${grant.id}?`, text: el("p", {}, "It no longer holds from the next statement on."), action: "End it", danger: true,
      work: () => app.client.ask("DELETE", `/v1/grants/${grant.id}`, { query: { tenant: app.tenant } }),
    });
    if (done) app.again();
  };
  return el("button", { type: "button", class: "small danger", "aria-label": `End grant ${grant.id}`, onclick: revoke }, "End");
}

async function create(app) {
  const count = (name) => el("input", { name, type: "number", min: 0, step: 1, inputmode: "numeric" });
  const made = await ask({
    title: "New grant", action: "Make it",
    fields: [
      el("div", { class: "fields" },
        field("For", choice("kind", [["role", "a role"], ["db_user", "a database user"]], "role")), field("Its name", el("input", { name: "who", required: true, maxlength: 63 }))),
      field("Purpose", el("input", { name: "purpose", required: true, maxlength: 63 }), "The session states it: SET pgnym.purpose = '…'"),
      el("div", { class: "fields" }, field("Values a statement", count("statement"), "Empty: any number."), field("Values a minute", count("minute"), "Empty: any number.")),
      field("For how long", choice("hours", TIMES, "1")), field("Why", el("input", { name: "reason", required: true, maxlength: 500 }), "It is kept with the grant and in the audit log."),
    ],
    work: (given) => app.client.post("/v1/grants", {
      [given.kind]: given.who, purpose: given.purpose, reason: given.reason, tenant: app.tenant ?? null,
      statement: given.statement === undefined ? null : Number(given.statement), minute: given.minute === undefined ? null : Number(given.minute),
      until: new Date(Date.now() + given.hours * 3_600_000).toISOString(),
    }),
  });
  if (made) app.again();
}
