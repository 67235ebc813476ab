// Restriction of processing (GDPR, article 18): whether a person's values are held back, and the change of that.

import { ask } from "./dialog.js";
import { badge, choice, el, facts, field, when } from "./dom.js";

const DONE = { restrict: "restricted", lift: "lifted" };
const SHARED = [["withhold", "held back there too"], ["show", "shown"]];

export function panel(app, place, query, found, { configured, restricted, history }) {
  const change = (dialog) => async () => {
    if (await dialog(app, place, query, found)) app.again();
  };
  const button = restricted
    ? el("button", { type: "button", onclick: change(lift) }, "Lift the restriction…")
    : el("button", { type: "button", onclick: change(restrict) }, "Restrict…");
  return el("section", { class: "panel", "aria-label": "Restriction of processing" }, el("h2", {}, "Restriction of processing"),
    facts([["State", restricted ? badge("restricted", "warn") : badge("not restricted")]]),
    configured && app.may("changeRestriction") ? el("div", { class: "actions" }, button) : "",
    history.length ? el("ol", { class: "timeline" }, [...history].reverse().map(told)) : "");
}

function told(event) {
  return el("li", {}, el("b", {}, DONE[event.action] ?? event.action), event.shared === "show" ? ", but what others have too" : "",
    el("div", {}, el("bdi", {}, event.reason)), el("div", { class: "faint" }, when(event.time), ` · ${event.by}`),
    event.request ? el("div", {}, el("a", { href: `#/requests/${encodeURIComponent(event.request)}` }, "The request")) : "",
    event.sound ? "" : el("div", {}, badge("changed since it was recorded", "bad")));
}

const reason = () => field("Why", el("textarea", { name: "reason", required: true, maxlength: 10_000 }), "It is kept sealed, and is in the report.");

function restrict(app, place, query, found) {
  return ask({
    title: `Restrict the processing of ${found.subject.id}?`, action: "Restrict", danger: true,
    text: el("p", {}, "The person's values are shown to nobody but sessions of a purpose that is exempt, until this is lifted. Rows stay as they are."),
    fields: [reason(), field("Values that others have too", choice("shared", SHARED, "withhold"))],
    work: (values) => app.client.post(`${place}/restriction`, { action: "restrict", ...values }, query),
  });
}

function lift(app, place, query, found) {
  return ask({
    title: `Lift the restriction of ${found.subject.id}?`, action: "Lift it", text: el("p", {}, "The person's values are shown again as before."),
    fields: [reason()], work: (values) => app.client.post(`${place}/restriction`, { action: "lift", ...values }, query),
  });
}
