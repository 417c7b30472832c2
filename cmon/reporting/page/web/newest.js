"use strict";
// An open page shows the report anew by itself when it was made again, as `cmon watch` does. Every few seconds it loads
// newest.css from its folder, a few bytes that name the newest report, and when that is another one than its own it
// loads itself again; where the reader was and what was chosen is handed over in the history's entry.

const ASK = { seconds: 5, most: 300 }; // less and less often where nothing answers, as for a page that was sent alone
const BUSY_SECONDS = 3; // nobody's hand is taken off the mouse
let shownExplorer = null;
let lastTouched = 0;

function listenForNews() {
  const own = document.querySelector('meta[name="cmon-origin"]').content;
  let seconds = ASK.seconds;
  const later = () => setTimeout(ask, 1000 * seconds);
  const ask = async () => {
    if (document.hidden) return document.addEventListener("visibilitychange", ask, { once: true });
    const newest = await readNewest();
    seconds = newest ? ASK.seconds : Math.min(2 * seconds, ASK.most);
    // What was loaded for once and was not found is not tried for ever: a page that was cut off in the making.
    if (newest && newest !== own && newest !== history.state?.cmon?.newest) await showAnew(newest);
    else later();
  };
  for (const kind of ["pointerdown", "keydown", "input", "wheel"]) {
    document.addEventListener(kind, () => (lastTouched = performance.now()), { capture: true, passive: true });
  }
  later();
}

/** What newest.css says; empty where it is not there. */
function readNewest() {
  return new Promise(resolve => {
    const sheet = document.createElement("link");
    const done = () => {
      resolve(getComputedStyle(document.documentElement).getPropertyValue("--cmon-newest").trim().slice(1, -1));
      sheet.remove();
    };
    sheet.rel = "stylesheet";
    sheet.href = `newest.css?${Date.now()}`; // or it would be answered from memory
    sheet.addEventListener("load", done);
    sheet.addEventListener("error", done);
    document.head.append(sheet);
  });
}

async function showAnew(newest) {
  const busy = () => shownExplorer?.playing != null || performance.now() - lastTouched < 1000 * BUSY_SECONDS;
  while (busy()) await new Promise(resolve => setTimeout(resolve, 500));
  history.replaceState({ cmon: { newest, ...readerPlace(), choices: shownExplorer && explorerChoices(shownExplorer) } }, "");
  location.reload();
}

/** The section that is read, how far it is scrolled, what is unfolded, and the search in the table of units. */
function readerPlace() {
  const sections = [...document.querySelectorAll("main > section")].filter(one => one.offsetParent !== null);
  const section = sections.findLast(one => one.getBoundingClientRect().top <= 1);
  return {
    section: section?.id,
    offset: section ? -section.getBoundingClientRect().top : scrollY,
    unfolded: [...document.querySelectorAll("details")].map(one => one.open),
    focus: document.activeElement?.id,
    search: document.getElementById("search").value,
    only: document.getElementById("only").checked,
  };
}

/** By names, since a newer report may count layers and categories in another order. */
function explorerChoices({ world, plot, asked, tracked }) {
  const named = one => ({ layer: world.layers[one.layer], unit: one.unit, slot: one.slot });
  const chosen = JSON.stringify(tracked.map(named)) !== JSON.stringify(world.tracked.map((one, slot) => named({ ...one, slot })));
  return {
    epoch: asked.at === world.epochs.length - 1 ? null : world.epochs[asked.at], // the last stays the last
    find: asked.search,
    filters: FILTERS.map(id => byId(id).selectedOptions[0].text),
    tracked: chosen ? tracked.map(named) : null,
    zoom: isZoomed(plot) ? [plot.x, plot.y].map(({ start, end }) => [start, end]) : null,
  };
}

const FILTERS = ["only-layer", "only-category", "only-status", "color-by"];

/** Called once the panels are there. */
function restoreReader(explorer) {
  shownExplorer = explorer;
  const kept = history.state?.cmon;
  if (!kept?.choices) return;
  restoreChoices(explorer, kept.choices);
  document.querySelectorAll("details").forEach((one, at) => (one.open = kept.unfolded[at] ?? false));
  document.getElementById("only").checked = kept.only;
  enter("search", kept.search, "input");
  document.getElementById(kept.focus || "")?.focus({ preventScroll: true });
  const section = document.getElementById(kept.section || "");
  const top = section ? section.getBoundingClientRect().top + scrollY : 0;
  history.scrollRestoration = "manual";
  scrollTo({ top: top + kept.offset, behavior: "instant" });
  explorer.announce("The report was made again, and is shown anew.");
  history.replaceState({ cmon: { newest: kept.newest } }, "");
}

function restoreChoices(explorer, { epoch, find, filters, tracked, zoom }) {
  const { world, plot } = explorer;
  FILTERS.forEach((id, at) => {
    const same = [...byId(id).options].find(option => option.text === filters[at]);
    if (same) enter(id, same.value, "change");
  });
  enter("find", find, "input");
  if (world.epochs.includes(epoch)) explorer.goTo(world.epochs.indexOf(epoch));
  if (tracked) {
    const found = tracked.map(one => ({ ...one, layer: world.layers.indexOf(one.layer) }));
    explorer.tracked = found.filter(one => world.runs.some(run => unitIndex(run, one.layer, one.unit) !== NONE));
    explorer.paint();
    explorer.showTracked();
  }
  if (zoom) [plot.x, plot.y].forEach((range, axis) => range.setv({ start: zoom[axis][0], end: zoom[axis][1] }));
}

/** As if it had been typed or chosen. */
function enter(id, value, kind) {
  document.getElementById(id).value = value;
  document.getElementById(id).dispatchEvent(new Event(kind));
}

listenForNews();
