// Signing in with an API token.

import { alert, el, field, submits } from "./dom.js";

export function show(root, signIn, why) {
  const input = el("input", { name: "token", type: "password", required: true, autocomplete: "off", spellcheck: "false", "data-focus": true });
  const form = el("form", { class: "panel" },
    field("API token", input, "It begins with pgnym_. Whoever runs the gateway makes one: pgnym token create --role dpo"),
    el("button", { type: "submit", class: "first" }, "Sign in"));
  submits(form, ({ token }) => signIn(token.trim()));
  root.append(el("h1", {}, "Sign in"), why ? alert(why, "warn") : null, form,
    el("p", { class: "faint" }, "The token stays in this tab, and is forgotten when you sign out or close it."));
}
