// Unsealing, by shares or by the key. It needs no token: whoever has the shares is entitled.

import { alert, el, field, submits } from "./dom.js";

export function show(root, app, state, unsealed) {
  const told = el("div", { "aria-live": "polite" }, progress(state));
  const words = el("textarea", { name: "share", required: true, autocomplete: "off", spellcheck: "false", autocapitalize: "none", "data-focus": true });
  const byShare = el("form", { class: "panel" },
    field("A share", words, "Its words, with blanks between them. They are sent to the gateway and kept in its memory only."),
    el("div", { class: "actions" },
      el("button", { type: "submit", class: "first" }, "Give the share"),
      el("button", { type: "button", onclick: () => give({ reset: true }) }, "Forget the shares given")));
  const secret = el("input", { name: "key", type: "password", required: true, autocomplete: "off" });
  const byKey = el("form", {}, field("Master key", secret, "In base64, as pgnym keys generate prints it."), el("button", { type: "submit" }, "Unseal with the key"));

  async function give(body) {
    const now = await app.client.post("/v1/unseal", body);
    if (!now.sealed) return unsealed();
    words.value = "";
    words.focus();
    told.replaceChildren(progress(now));
    return undefined;
  }

  submits(byShare, ({ share }) => give({ share: share.trim().replace(/\s+/g, " ") }));
  submits(byKey, ({ key }) => give({ key: key.trim() }));
  root.append(el("h1", {}, "The gateway is sealed"), told, byShare, el("details", { class: "panel" }, el("summary", {}, "Use the master key itself"), byKey));
}

function progress(state) {
  if (!state.shares_given) return alert("It has no master key, so it serves nobody. Give as many shares as it asks for, one after the other.", "warn");
  return alert(`${state.shares_given} of ${state.shares_needed} shares given.`, "good");
}
