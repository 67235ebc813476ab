// The audit log: filtered, page by page, and whether it is as it was written.

import { alert, badge, choice, doing, el, field, given, number, say, table, when } from "./dom.js";

export const id = "audit";
export const title = "Audit log";
export const needs = ["showAudit"];

const ACTIONS = ["reveal", "tokenize", "search", "refuse", "admin", "erase", "retain", "purge"];
const TEXTS = [["actor", "Who"], ["role", "Role"], ["domain", "Domain"], ["purpose", "Purpose"]];

export async function show(root, app, _, query) {
  const input = (name, type = "text") => el("input", { name, type, value: query.get(name) ?? "" });
  const form = el("form", { class: "panel", "aria-label": "Filter" },
    el("div", { class: "fields" },
      field("From", input("since", "datetime-local")), field("Until", input("until", "datetime-local")),
      field("Action", choice("action", [["", "any"], ...ACTIONS.map((name) => [name, name])], query.get("action") ?? "")),
      field("Decision", choice("decision", [["", "any"], ["allowed", "allowed"], ["denied", "denied"]], query.get("decision") ?? "")),
      TEXTS.map(([name, label]) => field(label, input(name)))),
    el("div", { class: "actions" }, el("button", { type: "submit", class: "first" }, "Show"),
      el("button", { type: "button", onclick: () => app.go("#/audit") }, "Clear")));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const next = `#/audit?${new URLSearchParams(given(form))}`;
    if (location.hash === next) app.again();
    else app.go(next);
  });
  const filter = Object.fromEntries(query);
  for (const name of ["since", "until"]) if (filter[name]) filter[name] = new Date(filter[name]).toISOString();

  const records = [];
  const list = el("section", { class: "panel", "aria-label": "Records" });
  async function more(cursor) {
    const page = await app.client.get("/v1/audit", { ...filter, tenant: app.tenant, limit: 50, cursor });
    records.push(...page.items);
    const next = page.next && el("button", { type: "button", onclick: () => doing(list, () => more(page.next)) }, "Older records");
    list.replaceChildren(...[rows(records)].flat(), el("div", { class: "actions" }, next || ""));
    say(`${records.length} records shown`);
  }
  await more();
  root.append(el("h1", {}, "Audit log"), app.may("verifyAudit") ? verification(app) : "", form, list);
}

function rows(records) {
  return table(`Records, newest first`, [
    ["Time", (record) => when(record.time)],
    ["Action", (record) => [badge(record.action), record.decision === "denied" ? [" ", badge("denied", "bad")] : ""]],
    ["Who", (record) => [record.db_user, record.role && el("div", { class: "faint" }, `role ${record.role}`)]],
    ["From", (record) => [record.client_address || "–", record.application_name && el("span", { class: "faint clip", title: record.application_name }, record.application_name)]],
    ["Values", (record) => Object.entries(record.counts).map(([domain, count]) => el("div", {}, `${domain}: ${number(count)}`))],
    ["What", (record) => (record.opened ? [el("code", {}, record.text), record.purpose && el("div", { class: "faint" }, `for ${record.purpose}`)] : badge("was changed", "bad")), "what"],
  ], records, "No records like this.");
}

function verification(app) {
  const told = el("div", {});
  const place = el("section", { class: "panel", "aria-label": "Verification" });
  const verify = () => doing(place, async () => {
    told.replaceChildren(el("p", { class: "faint" }, "Reading the whole log…"));
    const verdict = await app.client.get("/v1/audit/verify", { tenant: app.tenant }).finally(() => told.replaceChildren());
    told.replaceChildren(verdictOf(verdict));
  });
  place.append(el("div", { class: "actions" }, el("button", { type: "button", onclick: verify }, "Verify the log"),
    el("span", { class: "faint" }, "Is every record there, and as it was written?")), told);
  return place;
}

function verdictOf(verdict) {
  const numbers = `${number(verdict.records)} records by ${number(verdict.writers)} writers, ${number(verdict.checkpoints)} checkpoints`;
  if (verdict.sound) return alert(`The log is sound: ${numbers}.`, "good");
  const more = verdict.more_findings ? [el("li", {}, `and ${number(verdict.more_findings)} more`)] : [];
  return alert([el("p", {}, `The log is not as it was written (${numbers}):`), el("ul", {}, verdict.findings.map((finding) => el("li", {}, finding)), more)]);
}
