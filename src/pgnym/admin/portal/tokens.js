// API tokens: made, shown once, revoked.

import { ask } from "./dialog.js";
import { badge, choice, day, el, field, table, when } from "./dom.js";

export const id = "tokens";
export const title = "Tokens";
export const needs = ["listApiTokens"];

const ROLES = [["dpo", "dpo: reports, erasures, consents, requests"], ["auditor", "auditor: reads"], ["operator", "operator: seals, metrics"], ["app", "app: consents of its tenant"], ["root", "root: everything"]];
const TIMES = [["86400", "a day"], ["2592000", "30 days"], ["31536000", "a year"], ["", "for ever"]];

export async function show(root, app) {
  const [found, tenants] = await Promise.all([app.client.get("/v1/api-tokens"), app.client.get("/v1/tenants")]);
  root.append(el("h1", {}, "Tokens"),
    el("div", { class: "actions" }, app.may("createApiToken") ? el("button", { type: "button", class: "first", onclick: () => create(app, tenants.items) }, "New token…") : ""),
    el("section", { class: "panel" }, table("API tokens", [
      ["Number", (token) => token.id, "number"], ["Name", (token) => token.name], ["Role", (token) => token.role],
      ["Tenant", (token) => token.tenant ?? "all"], ["Made", (token) => [day(token.created), el("div", { class: "faint" }, token.created_by)]],
      ["Last used", (token) => when(token.last_used)], ["Ends", (token) => (token.expires ? day(token.expires) : "never")],
      ["State", (token) => state(token)], ["", (token) => revocation(app, token)],
    ], found.items)));
}

function state(token) {
  if (token.revoked) return badge("revoked", "bad");
  return token.expires && new Date(token.expires) < new Date() ? badge("expired", "warn") : badge("valid", "good");
}

function revocation(app, token) {
  if (token.revoked || !app.may("revokeApiToken")) return "";
  const revoke = async () => {
    const done = await ask({
      title: `Revoke token ${token.id}?`, text: el("p", {}, `${token.name} (${token.role}) is refused from the next call on. This can't be taken back.`),
      action: "Revoke", danger: true, work: () => app.client.ask("DELETE", `/v1/api-tokens/${token.id}`),
    });
    if (done) app.again();
  };
  return el("button", { type: "button", class: "small danger", "aria-label": `Revoke token ${token.id}, ${token.name}`, onclick: revoke }, "Revoke");
}

async function create(app, tenants) {
  const own = app.caller.tenant;
  const names = [...(own ? [] : [["", "all tenants"]]), ...tenants.map(({ name }) => [name, name])];
  const made = await ask({
    title: "New token", action: "Make it",
    fields: [field("Name", el("input", { name: "name", required: true, maxlength: 63 }), "Who or what will use it."), field("Role", choice("role", ROLES, "dpo")), field("Tenant", choice("tenant", names, own ?? app.tenant)), field("Valid for", choice("ttl", TIMES, "2592000"))],
    work: ({ name, role, tenant, ttl }) => app.client.post("/v1/api-tokens", { name, role, tenant: tenant ?? null, ttl: ttl ? Number(ttl) : null }),
  });
  if (!made) return;
  await ask({
    title: "The token", action: "Done", work: () => true,
    text: [el("p", {}, "Copy it now: it is shown this once, and kept nowhere."), el("code", { class: "secret", tabindex: "0", "aria-label": "The token" }, made.secret)],
  });
  app.again();
}
