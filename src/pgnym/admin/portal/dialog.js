// Questions before what can't be taken back, and small forms.

import { el, field, fresh, submits } from "./dom.js";

/** A form in a dialog. Resolves with what `work` gives once it has gone well, or undefined if it was left. */
export function ask({ title, text, fields = [], action, danger = false, work }) {
  return new Promise((resolve) => {
    const heading = fresh("title");
    let result;
    const form = el("form", { novalidate: false },
      el("h2", { id: heading }, title),
      text,
      fields,
      el("div", { class: "actions" },
        el("button", { type: "button", onclick: () => dialog.close() }, "Cancel"),
        el("button", { type: "submit", class: danger ? "first danger" : "first" }, action)));
    const dialog = el("dialog", { "aria-labelledby": heading }, form);
    submits(form, async (values) => {
      result = (await work(values)) ?? true;
      dialog.close();
    });
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(result);
    });
    document.body.append(dialog);
    dialog.showModal();
  });
}

/** As `ask`, for what is done only if the word is typed. */
export function askFor(word, options) {
  const input = el("input", { name: "word", required: true, autocomplete: "off", spellcheck: "false" });
  const work = () => {
    if (input.value.trim() !== word) throw Object.assign(new Error(), { told: `Type ${word} to go on.` });
    return options.work();
  };
  return ask({ ...options, danger: true, fields: [options.fields ?? [], field(`Type ${word} to confirm`, input)], work });
}
