"use strict";
// From the data and what was asked for to what is shown. Nothing here touches the page.

/** What `text` looks for: a test of (run, unit, cell), or null where nothing was asked for. */
function searcher(world, text) {
  const wanted = text.trim().toLowerCase();
  if (!wanted) return null;
  const named = /^(.*?):?(\d+)$/.exec(wanted);
  const layer = named && world.layers.findIndex(name => name.toLowerCase() === named[1]);
  if (named && (layer !== NONE || !named[1])) {
    const unit = Number(named[2]);
    return (run, at) => run.unit[at] === unit && (layer === NONE || run.layer[at] === layer);
  }
  const matching = labelsWith(world, wanted);
  return (run, _, cell) => run.label[cell] !== NONE && matching[run.label[cell]] === 1;
}

/** Marks the label that is `wanted`, or if there is none, all that hold it. */
function labelsWith(world, wanted) {
  const names = world.labels.names.map(name => name.toLowerCase());
  const exact = names.includes(wanted);
  return Uint8Array.from(names, name => Number(exact ? name === wanted : name.includes(wanted)));
}

function passes(world, run, unit, cell, asked) {
  if (asked.layer !== "any" && run.layer[unit] !== Number(asked.layer)) return false;
  if (asked.category !== "any" && categoryOf(world, run, cell) !== Number(asked.category)) return false;
  return hasStatus(world, run, cell, asked.status);
}

function hasStatus(world, run, cell, wanted) {
  if (wanted === "any") return true;
  if (wanted === "interpretable") return run.interpretable[cell] === 1;
  if (wanted === "chance") return isLive(world, run, cell) && run.interpretable[cell] === 0;
  return statusOf(world, run, cell) === wanted;
}

/**
 * The units of a run that pass the filters: `drawn` have a place, `unplaced` is the number of those that have none,
 * `found` are those of both that the search looks for.
 */
function viewOf(world, run, asked, search) {
  const step = stepAt(run, asked.at);
  const view = { step, drawn: [], found: [], unplaced: 0 };
  for (let unit = 0; step !== NONE && unit < run.units; unit++) {
    const cell = step * run.units + unit;
    if (run.status[cell] === NONE || !passes(world, run, unit, cell, asked)) continue;
    if (isPlaced(run, cell)) view.drawn.push(unit);
    else view.unplaced++;
    if (search && search(run, unit, cell)) view.found.push(unit);
  }
  return view;
}

/** The colour of each drawn unit as 0xRRGGBBAA; what a search does not look for is faint. */
function colorsOf(world, run, view, asked, theme, searching) {
  const colors = new Uint32Array(view.drawn.length);
  const found = new Set(view.found);
  view.drawn.forEach((unit, at) => {
    const cell = view.step * run.units + unit;
    const faint = searching && !found.has(unit);
    colors[at] = packed(colorOf(world, run, unit, cell, asked.color, theme), faint ? 0.25 : 0.85);
  });
  return colors;
}

function colorOf(world, run, unit, cell, by, theme) {
  if (by === "layer") return theme.layers[run.layer[unit]];
  if (!run.interpretable[cell] || by !== "category") return theme.plain[run.interpretable[cell] ? 0 : 1];
  const category = categoryOf(world, run, cell);
  return category === NONE ? theme.categories.at(-1) : theme.categories[category];
}

function packed(hex, alpha = 1) {
  return ((parseInt(hex.slice(1, 7), 16) << 8) | Math.round(alpha * 255)) >>> 0;
}

/**
 * Where a unit is drawn while its run is on its way between two steps: `share` of the way from one to the other.
 * A unit that has a place at only one of them stands there.
 */
function drawnOnTheWay(world, run, unit, { from, to, share }) {
  const [before, after] = [from, to].map(step => (step === NONE ? NONE : step * run.units + unit));
  if (after === NONE || !isPlaced(run, after)) return null;
  const [x, y] = drawnAt(world, run, after);
  if (share >= 1 || before === NONE || !isPlaced(run, before)) return [x, y];
  const [left, top] = drawnAt(world, run, before);
  return [left + (x - left) * share, top + (y - top) * share];
}

/** Where a unit has been up to now, oldest first, and where it is. */
function pathOf(world, run, unit, way) {
  const places = [];
  const passed = Math.min(way.from === NONE ? way.to : way.from, way.to);
  for (let step = 0; step <= passed; step++) {
    const cell = step * run.units + unit;
    if (isPlaced(run, cell)) places.push(drawnAt(world, run, cell));
  }
  const now = drawnOnTheWay(world, run, unit, way);
  return { places: now ? [...places, now] : places, now };
}

/** "epoch 3", and where a run has no such epoch, which of its own is shown. */
function epochWords(world, run, at) {
  const step = stepAt(run, at);
  const name = world.epochs[at];
  if (step === NONE) return `begins at epoch ${world.epochs[run.epochs[0]]}`;
  if (run.epochs[step] === at) return `epoch ${name}`;
  return `epoch ${world.epochs[run.epochs[step]]} (has no epoch ${name})`;
}
