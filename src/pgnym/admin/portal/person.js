// What views of persons have in common.

import { badge, el, number, table, when } from "./dom.js";

/** Where the report on somebody is. */
export const path = (of, person) => `#/subjects/${encodeURIComponent(of)}/${encodeURIComponent(person)}`;

export const sum = (counts) => number(Object.values(counts).reduce((total, count) => total + count, 0));

export const state = (erasure) => badge(erasure.state, { finished: "good", pending: "warn", incomplete: "warn" }[erasure.state] ?? "bad");

export function seen(records) {
  return table("Who has seen what", [
    ["Time", (record) => when(record.time)], ["Who", (record) => [record.user, record.role && el("div", { class: "faint" }, `role ${record.role}`)]],
    ["From", (record) => [record.client_address || "–", record.application_name && el("span", { class: "faint clip", title: record.application_name }, record.application_name)]],
    ["Purpose", (record) => record.purpose || "–"],
    ["Values", (record) => Object.entries(record.values).map(([domain, count]) => el("div", {}, `${domain}: ${number(count)}`))],
    ["Statement", (record) => el("code", {}, record.statement ?? record.text), "what"],
  ], records, "Nobody, in this time.");
}
