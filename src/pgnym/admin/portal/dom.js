// Elements are made here, with text as text: nothing that came from anywhere is ever parsed as HTML.

const SVG = "http://www.w3.org/2000/svg";

function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value === true ? "" : String(value));
  }
  for (const child of children.flat(3)) {
    if (child !== null && child !== undefined && child !== false) node.append(child);
  }
  return node;
}

export function el(name, attributes = {}, ...children) {
  return fill(document.createElement(name), attributes, children);
}

export function svg(name, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG, name), attributes, children);
}

let numbers = 0;
export const fresh = (prefix) => `${prefix}-${++numbers}`;

/** A labelled input. `hint` is read with it. */
export function field(label, input, hint) {
  input.id ||= fresh("field");
  const parts = [el("label", { for: input.id }, label), input];
  if (hint) {
    const id = fresh("hint");
    input.setAttribute("aria-describedby", id);
    parts.push(el("p", { class: "hint", id }, hint));
  }
  return el("div", { class: "field" }, parts);
}

/** A select of [value, text] pairs. */
export function choice(name, options, value = "") {
  const made = el("select", { name }, options.map(([key, text]) => el("option", { value: key }, text)));
  made.value = value;
  return made;
}

/** A table that scrolls by itself where it is too wide. `columns`: [title, cell of row, class]. */
export function table(caption, columns, rows, empty = "Nothing.") {
  if (!rows.length) return [el("p", { class: "label" }, caption), el("p", { class: "faint" }, empty)];
  const head = el("thead", {}, el("tr", {}, columns.map(([title, , kind]) => el("th", { scope: "col", class: kind }, title))));
  const body = el("tbody", {}, rows.map((row) => el("tr", {}, columns.map(([, cell, kind]) => el("td", { class: kind }, cell(row))))));
  return scroll(caption, el("table", {}, el("caption", {}, caption), head, body));
}

export function scroll(label, content) {
  return el("div", { class: "scroll", role: "region", "aria-label": label, tabindex: "0" }, content);
}

export function facts(pairs) {
  return el("dl", { class: "facts" }, pairs.map(([name, value]) => [el("dt", {}, name), el("dd", {}, value ?? "–")]));
}

const FORM = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });
const DAY = new Intl.DateTimeFormat(undefined, { dateStyle: "medium" });

/** A moment, in the reader's time zone. */
export function when(moment, form = FORM) {
  if (!moment) return "–";
  const date = new Date(moment);
  return el("time", { datetime: date.toISOString(), title: date.toISOString() }, form.format(date));
}
export const day = (moment) => when(moment, DAY);

export const number = (value) => new Intl.NumberFormat().format(value);

export function badge(text, kind = "") {
  return el("span", { class: `badge ${kind}`.trim() }, text);
}

export function alert(text, kind = "") {
  return el("div", { class: `alert ${kind}`.trim(), role: kind ? "status" : "alert" }, typeof text === "string" ? el("p", {}, text) : text);
}

/** Read out by screen readers, without moving the focus. */
export function say(text) {
  document.getElementById("said").textContent = text;
}

/** The values of a form by name; without those that are empty. */
export function given(form) {
  return Object.fromEntries([...new FormData(form)].filter(([, value]) => value !== ""));
}

/** What to do on submit. While it is done the button is disabled; what goes wrong is told above the form's actions. */
export function submits(form, work) {
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    doing(form, () => work(given(form)));
  });
  return form;
}

export async function doing(place, work) {
  place.querySelectorAll(":scope > .alert.problem").forEach((old) => old.remove());
  const buttons = [...place.querySelectorAll("button:not([disabled])")];
  for (const button of buttons) button.disabled = true;
  try {
    return await work();
  } catch (error) {
    const told = alert(error.told ?? `The portal failed: ${error.message}`);
    told.classList.add("problem");
    place.prepend(told);
    return undefined;
  } finally {
    for (const button of buttons) button.disabled = false;
  }
}
