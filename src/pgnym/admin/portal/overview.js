// What is protected, and what has been done of late.

import { bars } from "./chart.js";
import { badge, choice, el, number, table, when } from "./dom.js";

export const id = "overview";
export const title = "Overview";
export const needs = ["showOverview", "showProtection"];

const SPANS = [["1", "last 24 hours"], ["7", "last 7 days"], ["30", "last 30 days"]];

export async function show(root, app, _, query) {
  const days = SPANS.some(([value]) => value === query.get("days")) ? query.get("days") : "1";
  const since = new Date(Date.now() - days * 86_400_000).toISOString();
  const [found, protection] = await Promise.all([
    app.client.get("/v1/overview", { tenant: app.tenant, since }), app.client.get("/v1/protection")]);
  const gateway = found.gateway;
  const sum = (name) => found.parts.reduce((total, part) => total + part[name], 0);
  const span = choice("days", SPANS, days);
  span.addEventListener("change", () => app.go(`#/overview?days=${span.value}`));
  const series = (name) => found.parts.map((part) => ({ start: part.start, value: part[name] }));
  root.append(
    el("h1", {}, "Overview"),
    el("div", { class: "grid" },
      figure(badge("Unsealed", "good"), "the gateway has its keys"),
      figure(number(protection.items.filter((each) => each.state === "protected").length), "protected columns"),
      figure(number(gateway.sessions), `sessions, in ${gateway.workers} worker${gateway.workers === 1 ? "" : "s"}`),
      figure(lag(gateway), "audit log"),
      figure(number(sum("refusals")), `refusals, ${SPANS.find(([value]) => value === days)[1]}`)),
    el("section", { class: "panel", "aria-labelledby": "over-time" },
      el("div", { class: "actions" }, el("h2", { id: "over-time" }, "Over time"), el("label", { class: "quiet", for: "span" }, "Time shown"), Object.assign(span, { id: "span", className: "auto" })),
      el("div", { class: "grid wide" }, bars("Values shown to clients", series("values")), bars("Statements refused", series("refusals"), "refusals")),
      el("details", {}, el("summary", {}, "The numbers as a table"), table("Over time", [
        ["From", (part) => when(part.start)], ["Values shown", (part) => number(part.values), "number"],
        ["By statements", (part) => number(part.statements), "number"], ["Refused", (part) => number(part.refusals), "number"],
        ["Admin calls", (part) => number(part.calls), "number"],
      ], found.parts.filter((part) => part.statements || part.refusals || part.calls)))),
    el("section", { class: "panel" }, table("Shown most, by role", [
      ["Role", (each) => each.role], ["Domain", (each) => each.domain], ["Values", (each) => number(each.values), "number"],
    ], found.shown.slice(0, 10), "No value has been shown in this time.")),
    el("section", { class: "panel" }, table("What is protected", [
      ["Table", (each) => each.table], ["Column", (each) => (each.path ? `${each.column} at ${each.path}` : each.column)],
      ["Domain", (each) => each.domain], ["Tokens", (each) => each.tokens], ["Purposes", (each) => each.purposes?.join(", ") || "any"],
      ["Legal basis", (each) => each.legal_basis?.replaceAll("_", " ") ?? "–"], ["State", (each) => state(each.state)],
    ], protection.items, "Nothing yet: configure columns and run pgnym apply.")));
}

const figure = (value, text) => el("div", { class: "panel figure" }, el("b", {}, value), el("span", {}, text));

function lag(gateway) {
  if (gateway.audit_lag > 5) return badge(`${Math.round(gateway.audit_lag)} s behind`, "bad");
  if (gateway.export_lag !== null && gateway.export_lag > 300) return badge(`sending ${Math.round(gateway.export_lag / 60)} min behind`, "warn");
  return badge("up to date", "good");
}

const state = (name) => badge(name, { protected: "good", configured: "warn" }[name] ?? "bad");
