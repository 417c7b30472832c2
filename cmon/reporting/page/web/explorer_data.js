"use strict";
// The data behind the panels, as cmon/explorer.py wrote it. A run's columns are matrices of its own epochs ("steps")
// by its units; `cell` is a place in them, `at` an epoch among those of all runs.

const ARRAYS = { int8: Int8Array, int16: Int16Array, int32: Int32Array, float32: Float32Array };
const NOWHERE = -32768;
const FINEST = 32767;
const NONE = -1;

function decoded({ type, data }) {
  const text = atob(data);
  const bytes = new Uint8Array(text.length);
  for (let at = 0; at < text.length; at++) bytes[at] = text.charCodeAt(at);
  return new ARRAYS[type](bytes.buffer);
}

function readWorld(text) {
  const world = JSON.parse(text);
  for (const run of world.runs) {
    for (const [name, value] of Object.entries(run)) if (value.type) run[name] = decoded(value);
  }
  return world;
}

/** The run's latest step that is not after the epoch `at`; NONE before its first. */
function stepAt(run, at) {
  return run.epochs.findLastIndex(epoch => epoch <= at);
}

function isPlaced(run, cell) {
  return run.x[cell] !== NOWHERE;
}

function placeOf(world, run, cell) {
  const scale = Math.max(...world.half) / FINEST;
  return [run.x[cell] * scale, run.y[cell] * scale];
}

/** Where a unit is drawn: at an offset from its place that never changes, so that units in one place lie side by side. */
function drawnAt(world, run, cell) {
  const [x, y] = placeOf(world, run, cell);
  const unit = cell % run.units;
  return [x + run.beside_x[unit], y + run.beside_y[unit]];
}

/** The unit's position among the run's units; NONE if the run has no such unit. */
function unitIndex(run, layer, unit) {
  for (let at = 0; at < run.units; at++) if (run.unit[at] === unit && run.layer[at] === layer) return at;
  return NONE;
}

function unitName(world, run, unit) {
  return `${world.layers[run.layer[unit]]}:${run.unit[unit]}`;
}

function statusOf(world, run, cell) {
  return world.statuses[run.status[cell]];
}

function isLive(world, run, cell) {
  return statusOf(world, run, cell) === "ok";
}

function labelOf(world, run, cell) {
  return run.label[cell] === NONE ? statusOf(world, run, cell) : world.labels.names[run.label[cell]];
}

function categoryOf(world, run, cell) {
  return run.label[cell] === NONE ? NONE : world.labels.categories[run.label[cell]];
}

/** Positions in `world.images`, most activating first. */
function imagesOf(world, run, cell) {
  const { each } = world.images;
  return [...run.images.subarray(cell * each, (cell + 1) * each)].filter(image => image !== NONE);
}

/** '74% fit', of its most activating images; nothing for a unit that is not live. */
function fitOf(run, cell) {
  return run.fit[cell] === NONE ? "" : `${run.fit[cell]}% fit`;
}

/** The anchor that is nearest in the plane, and how far it is: [anchor, distance]; [NONE, Infinity] without anchors. */
function nearestAnchor(world, [x, y]) {
  let best = NONE, distance = Infinity;
  world.anchors.x.forEach((left, anchor) => {
    const here = Math.hypot(left - x, world.anchors.y[anchor] - y);
    if (here < distance) [best, distance] = [anchor, here];
  });
  return [best, distance];
}
