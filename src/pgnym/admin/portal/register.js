// The register of processing activities (GDPR, article 30).

import { ask } from "./dialog.js";
import { choice, doing, el, facts, field, when } from "./dom.js";
import { save } from "./saving.js";

export const id = "register";
export const title = "Register";
export const needs = ["showRegister"];

const KINDS = ["contract", "consent", "legal_obligation", "vital_interests", "public_task", "legitimate_interests"];
const LINES = [["purposes", "Purposes"], ["columns", "Protected columns"], ["subject_categories", "Whose data"], ["data_categories", "What data"], ["recipient_categories", "Who receives it"]];
const WORDS = [["description", "Description"], ["controller", "Controller"], ["transfers", "Transfers to third countries"], ["retention", "Time limits for erasure"], ["measures", "Security measures"]];

export async function show(root, app) {
  const query = { tenant: app.tenant };
  const found = await app.client.get("/v1/register", query);
  const bases = new Map(found.legal_bases.map((basis) => [basis.id, basis]));
  const actions = el("div", { class: "actions" });
  const page = () => doing(actions, async () => save((await app.client.ask("GET", "/v1/register", { query, accept: "text/html" })).body, "text/html", "register.html"));
  if (app.may("createProcessingActivity")) actions.append(el("button", { type: "button", class: "first", onclick: () => edit(app, null, found.legal_bases) }, "New activity…"));
  if (app.may("createLegalBasis")) actions.append(el("button", { type: "button", onclick: () => editBasis(app, null) }, "New legal basis…"));
  actions.append(el("button", { type: "button", onclick: () => save(JSON.stringify(found, null, 2), "application/json", "register.json") }, "Save as JSON"),
    el("button", { type: "button", onclick: page }, "Save as page"), el("button", { type: "button", onclick: () => print() }, "Print"));
  root.append(el("h1", {}, "Register of processing activities"), actions, el("p", { class: "faint" }, `Tenant ${found.tenant}, as of `, when(found.made)));
  for (const activity of found.processing_activities) root.append(shown(app, activity, found.legal_bases, bases));
  if (!found.processing_activities.length) root.append(el("p", {}, "No activity yet."));
  root.append(...found.legal_bases.map((basis) => el("section", { class: "panel" }, el("h2", {}, `Legal basis: ${basis.title}`),
    facts([["Kind", basis.kind.replaceAll("_", " ")], ["Reference", basis.reference || "–"], ["Details", basis.details || "–"]]),
    changes(app, "LegalBasis", "/v1/legal-bases", basis, basis.title, () => editBasis(app, basis)))));
}

function shown(app, activity, all, bases) {
  const told = [...WORDS.slice(0, 2), ...LINES, ["legal_bases", "Legal bases"], ...WORDS.slice(2)].map(([name, label]) => {
    const value = name === "legal_bases" ? activity.legal_bases.map((each) => bases.get(each)?.title ?? each) : activity[name];
    return [label, (Array.isArray(value) ? value.join(", ") : value) || "–"];
  });
  return el("section", { class: "panel" }, el("h2", {}, activity.name), facts(told),
    changes(app, "ProcessingActivity", "/v1/processing-activities", activity, activity.name, () => edit(app, activity, all)));
}

function changes(app, what, path, entry, name, change) {
  const remove = async () => {
    const done = await ask({
      title: `Remove ${name}?`, text: el("p", {}, "It is taken out of the register. The audit log keeps that it was."), action: "Remove", danger: true,
      work: async () => {
        const { headers } = await app.client.ask("GET", `${path}/${entry.id}`, { query: { tenant: app.tenant } });
        return app.client.ask("DELETE", `${path}/${entry.id}`, { query: { tenant: app.tenant }, headers: { "If-Match": headers.get("ETag") } });
      },
    });
    if (done) app.again();
  };
  return el("div", { class: "actions" },
    app.may(`change${what}`) ? el("button", { type: "button", class: "small", "aria-label": `Change ${name}`, onclick: change }, "Change…") : "",
    app.may(`remove${what}`) ? el("button", { type: "button", class: "small danger", "aria-label": `Remove ${name}`, onclick: remove }, "Remove…") : "");
}

/** Add, or change as it was when it was opened: if somebody else has changed it since, that is told. */
async function keep(app, path, entry, options, body) {
  const query = { tenant: app.tenant };
  const tag = entry && (await app.client.ask("GET", `${path}/${entry.id}`, { query })).headers.get("ETag");
  const done = await ask({ ...options, work: (given) => (entry
    ? app.client.ask("PUT", `${path}/${entry.id}`, { query, body: body(given), headers: { "If-Match": tag } })
    : app.client.post(path, body(given), query)) });
  if (done) app.again();
}

function editBasis(app, basis) {
  const kinds = choice("kind", KINDS.map((kind) => [kind, kind.replaceAll("_", " ")]), basis?.kind ?? "contract");
  return keep(app, "/v1/legal-bases", basis, {
    title: basis ? `Change ${basis.title}` : "New legal basis", action: "Keep it",
    fields: [field("Title", el("input", { name: "title", required: true, maxlength: 200, value: basis?.title })), field("Kind", kinds),
      field("Reference", el("input", { name: "reference", value: basis?.reference }), "The contract, the law, the assessment of interests."), field("Details", el("textarea", { name: "details" }, basis?.details))],
  }, ({ title: called, kind, reference = "", details = "" }) => ({ title: called, kind, reference, details }));
}

function edit(app, activity, bases) {
  const chosen = el("select", { name: "bases", multiple: true, size: Math.min(5, Math.max(2, bases.length)) },
    bases.map((basis) => el("option", { value: basis.id, selected: activity?.legal_bases.includes(basis.id) }, basis.title)));
  return keep(app, "/v1/processing-activities", activity, {
    title: activity ? `Change ${activity.name}` : "New activity", action: "Keep it",
    fields: [field("Name", el("input", { name: "name", required: true, maxlength: 200, value: activity?.name })), field("Legal bases", chosen),
      LINES.map(([name, label]) => field(label, el("input", { name, value: activity?.[name].join(", ") }), "With commas between them.")),
      WORDS.map(([name, label]) => field(label, el("textarea", { name }, activity?.[name])))],
  }, (given) => ({
    name: given.name, legal_bases: [...chosen.selectedOptions].map((option) => Number(option.value)),
    ...Object.fromEntries(LINES.map(([name]) => [name, (given[name] ?? "").split(",").map((each) => each.trim()).filter(Boolean)])),
    ...Object.fromEntries(WORDS.map(([name]) => [name, given[name] ?? ""])),
  }));
}
