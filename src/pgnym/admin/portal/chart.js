// Bars over time as inline SVG, with their text alternative.

import { el, number, svg } from "./dom.js";

const WIDTH = 640, HEIGHT = 170, LEFT = 44, BOTTOM = 24, TOP = 8;

/** `parts`: [{ start, value }] of equal length; `kind` is the class that colours them. */
export function bars(title, parts, kind = "") {
  const total = parts.reduce((sum, part) => sum + part.value, 0);
  const peak = parts.reduce((most, part) => (part.value > most.value ? part : most), parts[0]);
  const top = rounded(peak.value);
  const width = (WIDTH - LEFT) / parts.length;
  const height = (value) => ((HEIGHT - BOTTOM - TOP) * value) / top;
  const spoken = total
    ? `${title}: ${number(total)} in all, at most ${number(peak.value)} from ${new Date(peak.start).toLocaleString()}.`
    : `${title}: none.`;
  const marks = [0, top / 2, top].map((value) => [
    svg("line", { x1: LEFT, x2: WIDTH, y1: HEIGHT - BOTTOM - height(value), y2: HEIGHT - BOTTOM - height(value) }),
    svg("text", { x: LEFT - 6, y: HEIGHT - BOTTOM - height(value) + 4, "text-anchor": "end" }, short(value)),
  ]);
  const drawn = parts.map((part, index) => svg("rect", {
    x: (LEFT + index * width + width * 0.1).toFixed(1), width: (width * 0.8).toFixed(1),
    y: (HEIGHT - BOTTOM - height(part.value)).toFixed(1), height: height(part.value).toFixed(1),
  }));
  const spaced = [0, 1, 2, 3].map((quarter) => Math.floor((quarter * parts.length) / 4));
  const span = new Date(parts.at(-1).start) - new Date(parts[0].start);
  const times = spaced.map((index) => svg("text", { x: LEFT + index * width, y: HEIGHT - 6 }, tick(parts[index].start, span)));
  const total_ = el("span", { class: "faint" }, ` ${number(total)}`);
  return el("figure", {}, el("figcaption", {}, title, total_),
    svg("svg", { class: `chart ${kind}`.trim(), viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": spoken }, marks, drawn, times));
}

function rounded(value) {
  if (value <= 2) return 2;
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 4, 5, 10].map((step) => step * power).find((step) => step >= value);
}

const short = (value) => new Intl.NumberFormat(undefined, { notation: "compact" }).format(value);

function tick(start, span) {
  const days = span > 2 * 86_400_000;
  return new Date(start).toLocaleString(undefined, days ? { month: "short", day: "numeric" } : { hour: "2-digit", minute: "2-digit" });
}
