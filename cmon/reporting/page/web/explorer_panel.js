"use strict";
// What stands around the panels: the card of a unit, the list of what was found, the strips of tracked units.
// Names come from files: they enter the page as text, never as HTML.

const MOST_FOUND = 60;
const CARD_IMAGES = 5;
const STRIP_IMAGES = 3;

function firstThumbnails(world, run, cell, most) {
  return imagesOf(world, run, cell).slice(0, most).map(image => thumbnail(world, image));
}

function rounded(value) {
  if (Number.isNaN(value)) return "–";
  return Math.abs(value) < 1e-3 && value !== 0 ? value.toExponential(1) : value.toFixed(3);
}

function significance(run, cell) {
  const good = run.interpretable[cell] === 1;
  return [element("span", good ? "yes" : "soft", good ? "significant" : "not significant")];
}

/** All that is known of a unit at a step. */
function unitCard(world, run, step, unit) {
  const cell = step * run.units + unit;
  const category = categoryOf(world, run, cell);
  const lines = [
    element("p", "soft", `${unitName(world, run, unit)} · ${run.name} · epoch ${world.epochs[run.epochs[step]]}`),
    element("p", "name", labelOf(world, run, cell), category === NONE ? "" : element("span", "soft", ` ${world.categories[category]}`)),
  ];
  if (!isLive(world, run, cell)) return lines;
  const [anchor, distance] = nearestAnchor(world, placeOf(world, run, cell));
  const numbers = [
    ["score", rounded(run.score[cell])],
    ["margin", rounded(run.margin[cell])],
    ["p", rounded(run.p_value[cell])],
    ["fit", `${run.fit[cell]}%`],
  ].map(([name, value]) => element("span", "", element("span", "soft", `${name} `), value));
  lines.push(element("p", "numbers", ...numbers, ...significance(run, cell)));
  if (anchor !== NONE) lines.push(element("p", "soft", `nearest anchor: ${world.anchors.names[anchor]} (${distance.toFixed(2)})`));
  lines.push(element("div", "row", ...firstThumbnails(world, run, cell, CARD_IMAGES)));
  return lines;
}

function anchorCard(world, anchor) {
  const category = world.anchors.categories[anchor];
  return [
    element("p", "soft", category === NONE ? "anchor" : `anchor · ${world.categories[category]}`),
    element("p", "name", world.anchors.names[anchor]),
  ];
}

/** Beside the pointer, where there is room. */
function placeCard(card, clientX, clientY) {
  const { width, height } = card.getBoundingClientRect();
  const right = document.documentElement.clientWidth;
  const left = clientX + 16 + width > right ? clientX - width - 16 : clientX + 16;
  const top = clientY + 16 + height > window.innerHeight ? clientY - height - 16 : clientY + 16;
  card.style.left = `${Math.max(8, left) + window.scrollX}px`;
  card.style.top = `${Math.max(8, top) + window.scrollY}px`;
}

/** One button for each unit that was found, best score first; `follow` and `show` are called with (run index, unit). */
function foundList(world, views, follow, show) {
  const found = views.flatMap((view, index) => view.found.map(unit => ({ index, unit, cell: view.step * world.runs[index].units + unit })));
  const score = ({ index, cell }) => world.runs[index].score[cell];
  found.sort((one, other) => (score(other) || -Infinity) - (score(one) || -Infinity));
  const items = found.slice(0, MOST_FOUND).map(({ index, unit, cell }) => {
    const run = world.runs[index];
    const button = element("button", "", element("span", "soft", `${run.name} · `), `${unitName(world, run, unit)} · `, element("b", "", labelOf(world, run, cell)));
    button.type = "button";
    button.addEventListener("click", () => follow(index, unit));
    button.addEventListener("focus", () => show(index, unit, button));
    return element("li", "", button);
  });
  if (found.length > MOST_FOUND) items.push(element("li", "soft", `and ${found.length - MOST_FOUND} more`));
  return items;
}

/** A tracked unit: its name, a button to stop tracking it, and for each run a strip of what it detected, epoch by epoch. */
function trackedCard(world, one, forget) {
  const name = `${world.layers[one.layer]}:${one.unit}`;
  const remove = element("button", "quiet", "Remove");
  remove.type = "button";
  remove.setAttribute("aria-label", `Remove ${name}`);
  remove.addEventListener("click", forget);
  const card = element("article", "tracked", element("div", "bar", element("h4", "", name), remove));
  card.style.setProperty("--c", one.color);
  if (one.reason) card.append(element("p", "soft small", one.reason));
  for (const run of world.runs) {
    const unit = unitIndex(run, one.layer, one.unit);
    if (unit !== NONE) card.append(strip(world, run, unit, name));
  }
  return card;
}

function strip(world, run, unit, name) {
  const cells = run.epochs.map((epoch, step) => stripCell(world, run, step, unit));
  const list = element("ol", "film", ...cells);
  list.tabIndex = 0; // so that the arrow keys scroll it
  list.setAttribute("aria-label", `${name} in ${run.name}, epoch by epoch`);
  return element("div", "", element("p", "soft small", run.name), list, leafing(world, run, unit, name));
}

function stripCell(world, run, step, unit) {
  const cell = step * run.units + unit;
  const epoch = element("span", "soft", `epoch ${world.epochs[run.epochs[step]]}`);
  const item = element("li", run.interpretable[cell] === 1 ? "" : "faint");
  item.dataset.at = run.epochs[step];
  if (run.status[cell] === NONE) {
    item.append(epoch, element("div", "shots"), element("span", "soft", "not there"));
    return item;
  }
  const score = isLive(world, run, cell) ? element("span", "soft", ` ${run.score[cell].toFixed(2)}, ${fitOf(run, cell)}`) : "";
  const meaning = run.interpretable[cell] === 1 ? "significant" : "not significant";
  const label = element("span", "label", element("b", "", labelOf(world, run, cell)), score);
  if (isLive(world, run, cell)) label.append(element("span", "unseen", `, ${meaning}`));
  item.append(epoch, element("div", "shots", ...firstThumbnails(world, run, cell, STRIP_IMAGES)), label);
  return item;
}

/** Mark the cells of the shown epoch, bring them into sight without moving the page, and show its top images. */
function markEpoch(box, world, at) {
  for (const leaf of box.querySelectorAll(".leaf")) leaf.showEpoch(at);
  for (const film of box.querySelectorAll(".film")) {
    const cells = [...film.children];
    const now = cells.findLast(cell => Number(cell.dataset.at) <= at);
    for (const cell of cells) cell.classList.toggle("now", cell === now);
    if (now) film.scrollLeft = now.offsetLeft - (film.clientWidth - now.offsetWidth) / 2;
  }
}

function legendItems(world, theme, by) {
  const dot = (color, words) => {
    const mark = element("span", "dot");
    mark.style.background = color;
    return element("li", "", mark, words);
  };
  const star = element("span", "star", "★");
  star.style.color = theme.anchor;
  const items = [element("li", "", star, "anchor")];
  if (by === "layer") return [...items, ...world.layers.map((layer, at) => dot(theme.layers[at], layer))];
  if (by !== "category") return [...items, dot(theme.plain[0], "interpretable unit"), dot(theme.plain[1], "not interpretable")];
  const names = world.categories.map((name, at) => dot(theme.categories[at], name));
  return [...items, ...names, dot(theme.categories.at(-1), "no category"), dot(theme.plain[1], "not interpretable")];
}
