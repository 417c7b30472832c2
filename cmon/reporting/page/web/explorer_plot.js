"use strict";
// The panels: Bokeh's figures, which cmon/explorer_plots.py made without data. Sources are found by name.


const MOST_LABELS = 40;
const MARK = 6; // pixels from the middle of a tracked unit's mark to its rim
const LABEL_FONT = "11px system-ui, Helvetica, Arial, sans-serif";

/** Draw the panels into #plot-0, #plot-1, ...; gives the means to fill and move them. */
async function embedPanels({ document: json, roots }) {
  Bokeh.set_log_level("error");
  const places = Object.fromEntries(roots.map((root, index) => [root, `plot-${index}`]));
  await Bokeh.embed.embed_items({ page: json }, [{ docid: "page", roots: places, root_ids: roots }]);
  for (const place of Object.values(places)) leaveTabOrder(document.getElementById(place));
  const made = Bokeh.documents.at(-1);
  const model = name => made.get_model_by_name(name);
  return { model, x: model("x"), y: model("y"), home: [model("x").end, model("y").end], panels: roots.length };
}

/** Nothing inside a panel answers to keys: what it shows can be reached through the search and the lists below it. */
function leaveTabOrder(element) {
  for (const inner of element.querySelectorAll("*")) {
    if (inner.tabIndex >= 0) inner.tabIndex = -1;
    if (inner.shadowRoot) leaveTabOrder(inner.shadowRoot);
  }
}

function fill(plot, name, index, columns) {
  plot.model(`${name}-${index}`).data = columns;
}

/** All units of a run that are shown, and over them those that were searched for. Keeps what was drawn for `nearest`. */
function drawUnits(plot, index, world, run, shown) {
  const { view, way, colors, theme, size } = shown;
  const count = view.drawn.length;
  const x = new Float32Array(count), y = new Float32Array(count);
  view.drawn.forEach((unit, at) => ([x[at], y[at]] = drawnOnTheWay(world, run, unit, way)));
  fill(plot, "units", index, { x, y, color: colors, size: new Float32Array(count).fill(size) });
  drawFound(plot, index, view, x, y, theme, size);
  return { units: view.drawn, x, y };
}

function drawFound(plot, index, view, x, y, theme, size) {
  const found = new Set(view.found);
  const at = view.drawn.flatMap((unit, place) => (found.has(unit) ? [place] : []));
  fill(plot, "found", index, {
    x: at.map(place => x[place]),
    y: at.map(place => y[place]),
    color: at.map(() => theme.ink),
    paper: at.map(() => theme.paper),
    size: at.map(() => size + 3),
  });
}

function drawAnchors(plot, index, world, theme) {
  const { x, y, names } = world.anchors;
  fill(plot, "anchors", index, { x, y, color: names.map(() => theme.anchor) });
}

/** Tracked units: their path, a dot at each epoch, a larger one now, and their name. */
function drawTracked(plot, index, world, run, way, tracked, theme, size) {
  const paths = tracked.flatMap(one => {
    const unit = unitIndex(run, one.layer, one.unit);
    return unit === NONE ? [] : [{ ...pathOf(world, run, unit, way), name: unitName(world, run, unit), color: one.color }];
  });
  const alive = paths.filter(path => path.now);
  const steps = paths.flatMap(path => path.places.map(place => ({ place, color: path.color })));
  fill(plot, "paths", index, {
    xs: paths.map(path => path.places.map(place => place[0])),
    ys: paths.map(path => path.places.map(place => place[1])),
    color: paths.map(path => path.color),
  });
  fill(plot, "steps", index, {
    x: steps.map(step => step.place[0]),
    y: steps.map(step => step.place[1]),
    color: steps.map(step => step.color),
  });
  const now = {
    x: alive.map(path => path.now[0]),
    y: alive.map(path => path.now[1]),
    color: alive.map(path => path.color),
    paper: alive.map(() => theme.paper),
  };
  fill(plot, "marks", index, now);
  const names = placedTexts(plot, alive.map(path => path.now), alive.map(path => path.name), size, `bold ${LABEL_FONT}`);
  fill(plot, "names", index, {
    ...now,
    text: alive.map(path => path.name),
    dx: names.map(spot => spot?.dx ?? 9),
    dy: names.map(spot => spot?.dy ?? 0),
    align: names.map(spot => spot?.align ?? "left"),
  });
}

function drawHover(plot, index, place, theme) {
  fill(plot, "hover", index, place ? { x: [place[0]], y: [place[1]], color: [theme.ink] } : { x: [], y: [], color: [] });
}

/** Labels of the anchors in sight, the most popular first, where they cover neither each other nor another star. */
function drawLabels(plot, world, theme, size) {
  const { x, y, names } = world.anchors;
  const spots = placedTexts(plot, x.map((left, anchor) => [left, y[anchor]]), names, size, LABEL_FONT);
  const shown = spots.flatMap((spot, anchor) => (spot ? [{ anchor, ...spot }] : [])).slice(0, MOST_LABELS);
  const columns = {
    x: shown.map(one => x[one.anchor]),
    y: shown.map(one => y[one.anchor]),
    text: shown.map(one => names[one.anchor]),
    dx: shown.map(one => one.dx),
    dy: shown.map(one => one.dy),
    align: shown.map(one => one.align),
    color: shown.map(() => theme.ink),
    paper: shown.map(() => theme.paper),
  };
  for (let index = 0; index < plot.panels; index++) fill(plot, "labels", index, columns);
}

/** For each text a spot beside its place where it covers no earlier text and no other place; null where none is free. */
function placedTexts(plot, places, texts, size, font) {
  const pen = document.createElement("canvas").getContext("2d");
  pen.font = font;
  const pixels = places.map(place => toPixels(plot, place, size));
  const boxes = [];
  return texts.map((text, own) => {
    const [x, y] = pixels[own];
    if (x < 0 || y < 0 || x > size[0] || y > size[1]) return null;
    const spots = spotsAround(pixels[own], pen.measureText(text).width);
    const spot = spots.find(({ box }) => isFree(box, size, boxes, pixels, own));
    if (spot) boxes.push(spot.box);
    return spot ?? null;
  });
}

/** Right, left, above and below: how a text is shifted, and the box [left, top, right, bottom] that it takes. */
function spotsAround([x, y], width) {
  const [gap, half, line] = [9, 7, 14];
  const beside = (align, left, dx, dy) => ({ align, dx, dy, box: [left, y + dy - half, left + width, y + dy + half] });
  return [
    beside("left", x + gap, gap, 0),
    beside("right", x - gap - width, -gap, 0),
    beside("center", x - width / 2, 0, -line),
    beside("center", x - width / 2, 0, line),
  ];
}

function isFree([left, top, right, bottom], [width, height], boxes, places, own) {
  if (left < 0 || top < 0 || right > width || bottom > height) return false;
  if (boxes.some(other => left < other[2] && right > other[0] && top < other[3] && bottom > other[1])) return false;
  return places.every(([x, y], place) => place === own || x < left || x > right || y < top || y > bottom);
}

function toPixels(plot, [x, y], [width, height]) {
  const scale = width / (plot.x.end - plot.x.start);
  return [(x - plot.x.start) * scale, height - (y - plot.y.start) * scale];
}

/**
 * What is nearest to a place in pixels and not farther than `reach`: { unit } or { anchor } with its place, or null.
 * A tracked unit's mark lies over others. `crowd` is the number of units in the same place.
 */
function nearest(plot, world, painted, isTracked, pixel, size, reach) {
  const distances = painted.units.map((_, at) => pixelsApart(plot, [painted.x[at], painted.y[at]], pixel, size));
  const ahead = painted.units.map((unit, at) => (distances[at] < MARK && isTracked(unit) ? distances[at] - MARK : distances[at]));
  const first = ahead.reduce((best, value, at) => (value < (ahead[best] ?? reach) ? at : best), NONE);
  const stars = world.anchors.x.map((x, anchor) => pixelsApart(plot, [x, world.anchors.y[anchor]], pixel, size));
  const star = stars.reduce((best, value, at) => (value < (stars[best] ?? reach) ? at : best), NONE);
  // A star is in the way of the units that lie on it, so it must be met better.
  if (star !== NONE && (first === NONE || stars[star] < Math.min(ahead[first], 3))) {
    return { anchor: star, place: [world.anchors.x[star], world.anchors.y[star]] };
  }
  if (first === NONE) return null;
  const place = [painted.x[first], painted.y[first]];
  const spot = toPixels(plot, place, size);
  const crowd = painted.units.filter((_, at) => pixelsApart(plot, [painted.x[at], painted.y[at]], spot, size) < 3).length - 1;
  return { unit: painted.units[first], place, crowd };
}

function pixelsApart(plot, place, pixel, size) {
  const [x, y] = toPixels(plot, place, size);
  return Math.hypot(x - pixel[0], y - pixel[1]);
}

function zoom(plot, factor) {
  [plot.x, plot.y].forEach((range, axis) => {
    const home = plot.home[axis];
    const half = Math.min(((range.end - range.start) / 2) * factor, home);
    const middle = Math.max(half - home, Math.min(home - half, (range.start + range.end) / 2));
    range.setv({ start: middle - half, end: middle + half });
  });
}

function isZoomed(plot) {
  return plot.x.end - plot.x.start < 2 * plot.home[0] * 0.999;
}

/** While everything is in sight a drag scrolls the page, and moves the plane only when there is more of it. */
function letDragsPan(plot) {
  for (let index = 0; index < plot.panels; index++) plot.model(`pan-${index}`).active = isZoomed(plot);
}
