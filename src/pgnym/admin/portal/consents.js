// Consent: who agrees to a purpose, the texts that they are shown, and what one person has said over time.

import { ask } from "./dialog.js";
import { alert, badge, choice, doing, el, field, number, say, table, when } from "./dom.js";
import { path } from "./person.js";

export const id = "consents";
export const title = "Consents";
export const needs = ["listConsents", "showProtection"];

export async function show(root, app, _, query) {
  const { purposes } = await app.client.get("/v1/protection");
  root.append(el("h1", {}, title));
  if (!purposes.length) {
    root.append(el("p", {}, "The configuration names no purpose, so there is nothing to agree to."));
    return;
  }
  const purpose = purposes.includes(query.get("purpose")) ? query.get("purpose") : purposes[0];
  const select = choice("purpose", purposes.map((name) => [name, name]), purpose);
  select.addEventListener("change", () => app.go(`#/consents?purpose=${encodeURIComponent(select.value)}`));
  const list = el("section", { class: "panel", "aria-label": "Who agrees" });
  const found = [];
  async function more(cursor) {
    const page = await app.client.get("/v1/consents", { purpose, tenant: app.tenant, limit: 50, cursor });
    found.push(...page.items);
    const next = page.next && el("button", { type: "button", onclick: () => doing(list, () => more(page.next)) }, "More");
    list.replaceChildren(...[agreed(purpose, found)].flat(), el("div", { class: "actions" }, next || ""));
    say(`${found.length} persons shown`);
  }
  const [texts] = await Promise.all([app.may("listConsentTexts") ? app.client.get("/v1/consent-texts", { purpose, tenant: app.tenant }) : null, more()]);
  root.append(el("div", { class: "panel" }, field("Purpose", select)), list, texts ? versions(app, purpose, texts.items) : "");
}

function agreed(purpose, events) {
  return table(`Who has said something on ${purpose}`, [
    ["Person", (event) => el("a", { href: `${path(event.table, event.subject)}/consents` }, `${event.subject}, of ${event.table}`)],
    ["Agrees", (event) => holds(event)], ["Since", (event) => when(event.recorded)], ["Until", (event) => (event.expires ? when(event.expires) : "–")],
    ["How", (event) => how(event)], ["Recorded by", (event) => event.recorded_by],
  ], events, "Nobody yet.");
}

function holds(event) {
  if (!event.sound) return badge("record was changed", "bad");
  if (event.agrees) return badge("agrees", "good");
  return event.action === "accept" ? badge("expired", "warn") : badge("withdrawn", "bad");
}

function how(event) {
  const told = [event.channel, event.text_version === null ? "" : `text ${event.text_version}`, event.reference].filter(Boolean);
  return told.join(", ") || "–";
}

function versions(app, purpose, texts) {
  const add = async () => {
    const made = await ask({
      title: `New text for ${purpose}`, action: "Add it", text: el("p", {}, "Older versions stay: people have agreed to them."),
      fields: [field("Text", el("textarea", { name: "text", required: true, maxlength: 100000 }))],
      work: ({ text }) => app.client.post("/v1/consent-texts", { purpose, text, tenant: app.tenant ?? null }),
    });
    if (made) app.again();
  };
  return el("section", { class: "panel" }, table(`Texts for ${purpose}`, [
    ["Version", (text) => number(text.version), "number"], ["Text", (text) => text.text, "what"], ["Added", (text) => when(text.created)], ["By", (text) => text.created_by],
  ], texts, "No text yet."),
  app.may("addConsentText") ? el("div", { class: "actions" }, el("button", { type: "button", onclick: add }, "New text…")) : "");
}

/** What one person has said: now, and over time. */
export async function showPerson(root, app, of, person) {
  const place = `/v1/subjects/${encodeURIComponent(person)}/consents`;
  const query = { table: of, tenant: app.tenant };
  const [found, protection] = await Promise.all([app.client.get(place, query), app.client.get("/v1/protection")]);
  const change = async (options, body) => {
    const done = await ask({ ...options, work: (given) => app.client.post(place, body(given), query) });
    if (done) app.again();
  };
  const ways = () => [field("How they said it", el("input", { name: "channel", maxlength: 200 }), "Such as web form, telephone, letter."), field("Reference", el("input", { name: "reference", maxlength: 200 }), "Where that can be looked up.")];
  const accept = () => change({
    title: `${person} agrees`, action: "Record it",
    fields: [field("Purpose", choice("purpose", protection.purposes.map((name) => [name, name]), protection.purposes[0])), field("Until", el("input", { name: "expires", type: "date" }), "Empty: until they withdraw."), ways()],
  }, ({ purpose, expires, channel = "", reference = "" }) => ({
    action: "accept", purposes: [purpose], expires: expires ? new Date(`${expires}T23:59:59`).toISOString() : null, channel, reference,
  }));
  const withdraw = (purpose) => change({
    title: purpose ? `${person} withdraws ${purpose}` : `${person} withdraws all`, action: "Withdraw", danger: true,
    text: el("p", {}, "It takes effect on the next statement, at every gateway."), fields: ways(),
  }, ({ channel = "", reference = "" }) => ({ action: "withdraw", purposes: purpose ? [purpose] : null, channel, reference }));
  const may = app.may("changeConsents");
  root.append(el("h1", {}, `What ${person} agrees to`),
    may ? el("div", { class: "actions" }, el("button", { type: "button", class: "first", onclick: accept }, "They agree…"),
      found.items.some((event) => event.agrees) ? el("button", { type: "button", class: "danger", onclick: () => withdraw(null) }, "They withdraw all…") : "",
      app.may("reportSubject") ? el("a", { href: path(of, person), class: "button" }, "Report") : "") : "",
    found.items.every((event) => event.sound) ? "" : alert("A record is not as it was written. It counts for nothing."),
    el("section", { class: "panel" }, table("Now", [
      ["Purpose", (event) => event.purpose], ["Agrees", (event) => holds(event)], ["Since", (event) => when(event.recorded)],
      ["Until", (event) => (event.expires ? when(event.expires) : "–")],
      ["", (event) => (may && event.agrees ? el("button", { type: "button", class: "small danger", "aria-label": `They withdraw ${event.purpose}`, onclick: () => withdraw(event.purpose) }, "Withdraw…") : "")],
    ], found.items, "They have said nothing yet.")),
    el("section", { class: "panel", "aria-labelledby": "history" }, el("h2", { id: "history" }, "What they have said"),
      found.history.length ? el("ol", { class: "timeline", reversed: true }, [...found.history].sort((one, other) => other.recorded.localeCompare(one.recorded)).map(said)) : el("p", { class: "faint" }, "Nothing.")));
}

function said(event) {
  const words = event.action === "accept" ? "agreed to" : "withdrew";
  return el("li", { class: event.action === "accept" ? "" : "withdrawn" }, el("b", {}, `${words} ${event.purpose}`), event.sound ? "" : [" ", badge("was changed", "bad")],
    el("div", { class: "faint" }, when(event.recorded), ` · ${how(event)} · recorded by ${event.recorded_by}`, event.expires ? [" · until ", when(event.expires)] : ""));
}
