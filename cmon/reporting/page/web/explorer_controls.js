"use strict";
// What people do with the mouse, a finger or the keyboard, and what the window does; and the beginning of it all.

/** Pointing shows a card and a click tracks; a finger's tap shows the card. A drag does neither. */
function listenToPanel(explorer, index) {
  const panel = byId(`plot-${index}`);
  let pressed = null;
  const hitAt = (event, reach) => {
    const { left, top } = panel.getBoundingClientRect();
    const pixel = [event.clientX - left, event.clientY - top];
    const isTracked = unit => explorer.trackedAs(index, unit) !== undefined;
    return nearest(explorer.plot, explorer.world, explorer.painted[index], isTracked, pixel, explorer.frame, reach);
  };
  panel.addEventListener("pointermove", event => {
    if (event.pointerType === "touch" || event.buttons) return;
    const hit = hitAt(event, 12);
    if (hit) explorer.showHit(index, hit, event, false);
    else explorer.hideCard();
    panel.classList.toggle("pointing", Boolean(hit && "unit" in hit));
  });
  panel.addEventListener("pointerleave", event => event.pointerType === "touch" || explorer.hideCard());
  panel.addEventListener("pointerdown", event => (pressed = event));
  panel.addEventListener("pointerup", event => {
    const still = pressed && Math.hypot(event.clientX - pressed.clientX, event.clientY - pressed.clientY) < 6;
    if (!still || event.button !== 0) return;
    const touched = event.pointerType === "touch";
    const hit = hitAt(event, touched ? 24 : 12);
    if (!hit) explorer.hideCard();
    else if (touched) explorer.showHit(index, hit, event, true);
    else if ("unit" in hit) explorer.follow(index, hit.unit);
  });
}

function listenToControls(explorer) {
  const { plot } = explorer;
  byId("epoch").addEventListener("input", event => {
    explorer.pause();
    explorer.goTo(Number(event.target.value));
  });
  byId("play").addEventListener("click", () => explorer.play());
  byId("find").addEventListener("input", event => explorer.ask({ search: event.target.value }));
  for (const name of ["layer", "category", "status"]) {
    byId(`only-${name}`).addEventListener("change", event => explorer.ask({ [name]: event.target.value }));
  }
  byId("color-by").addEventListener("change", event => {
    explorer.ask({ color: event.target.value });
    explorer.showLegend();
  });
  byId("filters").addEventListener("reset", () => {
    explorer.ask({ search: "", layer: "any", category: "any", status: "any", color: "plain" });
    explorer.showLegend();
  });
  byId("filters").addEventListener("submit", event => event.preventDefault());
  byId("zoom-in").addEventListener("click", () => zoom(plot, 0.6));
  byId("zoom-out").addEventListener("click", () => zoom(plot, 1 / 0.6));
  byId("zoom-home").addEventListener("click", () => zoom(plot, Infinity));
  document.addEventListener("keydown", event => event.key === "Escape" && explorer.hideCard());
  byId("found").addEventListener("focusout", () => explorer.hideCard());
}

/** Whatever changes the frame or the ground: draw what depends on it, once before the next picture. */
function listenToFrame(explorer) {
  const { plot } = explorer;
  let waiting = false;
  const soon = work => () => {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => {
      waiting = false;
      work();
    });
  };
  plot.x.on_change([plot.x.properties.start, plot.x.properties.end], soon(() => {
    letDragsPan(plot);
    explorer.hideCard();
    drawLabels(plot, explorer.world, explorer.theme, explorer.frame);
  }));
  const everything = () => {
    explorer.paintFrame();
    explorer.refresh();
    explorer.showTracked();
    explorer.showLegend();
  };
  DARK.addEventListener("change", everything);
  let width = explorer.frame[0];
  new ResizeObserver(soon(() => {
    if (explorer.frame[0] === width) return;
    width = explorer.frame[0];
    everything();
  })).observe(byId("plot-0"));
}

async function explore() {
  byId("unscripted").hidden = true;
  const world = readWorld(byId("explorer-data").textContent);
  byId("explore").hidden = false;
  const plot = await embedPanels(JSON.parse(byId("explorer-panels").textContent));
  const explorer = new Explorer(world, plot);
  letDragsPan(plot);
  explorer.paintFrame();
  explorer.refresh();
  explorer.showTracked();
  explorer.showLegend();
  world.runs.forEach((_, index) => listenToPanel(explorer, index));
  listenToControls(explorer);
  listenToFrame(explorer);
  restoreReader(explorer);
  byId("explore").dataset.ready = "yes";
  document.documentElement.classList.add("scripted");
}

/** Without panels the page is what it is without scripts. */
function giveUp(error) {
  byId("explore").hidden = true;
  byId("unscripted").hidden = false;
  throw error;
}

explore().catch(giveUp);
