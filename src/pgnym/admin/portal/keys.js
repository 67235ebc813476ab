// Keys: which there are, how old and how used. Never a key.

import { alert, badge, day, el, number, table } from "./dom.js";

export const id = "keys";
export const title = "Keys";
export const needs = ["showKeys"];

const NAMES = { kek: "key of keys (KEK)", data: "data", token: "tokens", search: "search", audit: "audit log" };
const OLD = 400; // days

const percent = (share) => (share > 0 && share < 0.001 ? "below 0.1 %" : `${(100 * share).toFixed(1)} %`);

export async function show(root, app) {
  const found = await app.client.get("/v1/keys", { tenant: app.tenant });
  const change = found.change;
  root.append(el("h1", {}, title),
    change ? alert(`The master key is being changed (${change.state}): ${number(change.done)} of ${number(change.total)} tenants are done.`, "warn") : "",
    ...found.tenants.map((tenant) => el("section", { class: "panel" },
      tenant.pending.map((each) => alert(`${each.kind} is under way: ${number(each.done)} of ${number(each.total)} values are done.`, "warn")),
      table(`Keys of tenant ${tenant.tenant}`, [
        ["For", (key) => NAMES[key.purpose] ?? key.purpose], ["Generation", (key) => key.generation, "number"],
        ["Made", (key) => day(key.created)], ["Age", (key) => [`${number(key.age_days)} days`, !key.retired && key.age_days > OLD ? [" ", badge("old", "warn")] : ""]],
        ["Used", (key) => (key.share === null ? "–" : percent(key.share)), "number"],
        ["Values", (key) => (key.values === null ? "–" : number(key.values)), "number"],
        ["State", (key) => (key.retired ? badge("retired", "warn") : badge("in use", "good"))],
      ], tenant.keys))),
    el("p", { class: "faint" }, "Keys are changed by the command line: pgnym keys rotate."));
}
