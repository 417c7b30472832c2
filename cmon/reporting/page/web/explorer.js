"use strict";
// The interactive embedding: what was asked for (`asked`), what follows from it, and the controls that change it.

const GLIDE = { milliseconds: 450, most: 6000 }; // of more points than that a step is drawn at once
const PLAY_MILLISECONDS = 900;
const STILL = window.matchMedia("(prefers-reduced-motion: reduce)");
const DARK = window.matchMedia("(prefers-color-scheme: dark)");

const byId = id => document.getElementById(id);

class Explorer {
  constructor(world, plot) {
    this.world = world;
    this.plot = plot;
    this.asked = { at: world.epochs.length - 1, search: "", layer: "any", category: "any", status: "any", color: "plain" };
    this.tracked = world.tracked.map((one, slot) => ({ ...one, slot }));
    this.ways = world.runs.map(run => this.arrived(stepAt(run, this.asked.at)));
    this.views = [];
    this.painted = [];
    this.playing = null;
    this.moving = null;
  }

  get theme() {
    return this.world.themes[DARK.matches ? "dark" : "light"];
  }

  /** Width and height of a panel in pixels. */
  get frame() {
    const { clientWidth, clientHeight } = byId("plot-0");
    return [clientWidth, clientHeight];
  }

  colorOf(one) {
    return this.theme.tracked[one.slot % this.theme.tracked.length];
  }

  get coloredTracks() {
    return this.tracked.map(one => ({ ...one, color: this.colorOf(one) }));
  }

  arrived(step) {
    return { from: step, to: step, share: 1 };
  }

  /** Follow what was asked for in everything but the motion between two epochs. */
  refresh() {
    const search = searcher(this.world, this.asked.search);
    this.views = this.world.runs.map(run => viewOf(this.world, run, this.asked, search));
    this.colors = this.world.runs.map((run, at) => colorsOf(this.world, run, this.views[at], this.asked, this.theme, search !== null));
    const most = Math.max(...this.world.runs.map(run => run.units));
    this.size = Math.max(2.5, Math.min(6, (this.frame[0] / 90) * Math.min(1, Math.sqrt(1500 / most))));
    this.paint();
    this.showSummary(search !== null);
  }

  /** Draw the units and the tracked paths where they are on their way. */
  paint() {
    const { world, plot, theme, size } = this;
    world.runs.forEach((run, index) => {
      const shown = { view: this.views[index], way: this.ways[index], colors: this.colors[index], theme, size };
      this.painted[index] = drawUnits(plot, index, world, run, shown);
      drawTracked(plot, index, world, run, this.ways[index], this.coloredTracks, theme, this.frame);
    });
  }

  /** What needs drawing when the ground or the frame changes, but not when an epoch does. */
  paintFrame() {
    for (let index = 0; index < this.plot.panels; index++) drawAnchors(this.plot, index, this.world, this.theme);
    drawLabels(this.plot, this.world, this.theme, this.frame);
  }

  showSummary(searching) {
    const { world, asked } = this;
    byId("epoch").value = asked.at;
    byId("epoch").setAttribute("aria-valuetext", `epoch ${world.epochs[asked.at]}`);
    byId("epoch-name").textContent = `epoch ${world.epochs[asked.at]}`;
    const parts = world.runs.map((run, index) => {
      const { drawn, unplaced, found } = this.views[index];
      document.querySelector(`[data-epoch-of="${index}"]`).textContent = epochWords(world, run, asked.at);
      const hidden = unplaced ? `, ${unplaced} more without a place` : "";
      return `${run.name}: ${drawn.length} units${hidden}${searching ? `, ${found.length} found` : ""}`;
    });
    byId("summary").textContent = `Epoch ${world.epochs[asked.at]}. ${parts.join(". ")}.`;
    const wanted = searching ? this.views : this.listed();
    byId("found").replaceChildren(...foundList(world, wanted, (...unit) => this.follow(...unit), (...unit) => this.showUnit(...unit)));
    markEpoch(byId("followed"), world, asked.at);
  }

  /** Units that no panel can show, for want of a place, are listed even if nothing is searched for. */
  listed() {
    const { world, asked } = this;
    if (asked.status === "ok" || !world.statuses.includes(asked.status)) return [];
    const every = () => true;
    return world.runs.map(run => viewOf(world, run, asked, every));
  }

  ask(changes) {
    Object.assign(this.asked, changes);
    this.refresh();
  }

  goTo(at) {
    const { world } = this;
    cancelAnimationFrame(this.moving);
    this.asked.at = at;
    const targets = world.runs.map(run => stepAt(run, at));
    this.ways = this.ways.map((way, index) => ({ from: way.to, to: targets[index], share: this.glides() ? 0 : 1 }));
    this.hideCard();
    this.refresh();
    if (this.glides()) this.glide(performance.now());
  }

  glides() {
    return !STILL.matches && this.world.runs.reduce((sum, run) => sum + run.units, 0) <= GLIDE.most;
  }

  glide(start) {
    this.moving = requestAnimationFrame(now => {
      const share = Math.max(0, Math.min(1, (now - start) / GLIDE.milliseconds));
      const eased = share * share * (3 - 2 * share);
      this.ways = this.ways.map(way => ({ ...way, share: eased }));
      this.paint();
      if (share < 1) this.glide(start);
    });
  }

  play() {
    const last = this.world.epochs.length - 1;
    if (this.playing !== null) return this.pause();
    byId("summary").setAttribute("aria-live", "off"); // not a sentence every second
    byId("play").textContent = "❚❚ Pause";
    this.goTo(this.asked.at === last ? 0 : this.asked.at + 1);
    this.playing = setInterval(() => {
      if (this.asked.at === last) this.pause();
      else this.goTo(this.asked.at + 1);
    }, PLAY_MILLISECONDS);
  }

  pause() {
    clearInterval(this.playing);
    this.playing = null;
    byId("play").textContent = "▶ Play";
    byId("summary").setAttribute("aria-live", "polite");
  }

  trackedAs(index, unit) {
    const run = this.world.runs[index];
    return this.tracked.find(one => one.layer === run.layer[unit] && one.unit === run.unit[unit]);
  }

  /** Track a unit, or stop tracking it. */
  follow(index, unit) {
    const run = this.world.runs[index];
    const known = this.trackedAs(index, unit);
    if (known) return this.forget(known);
    const free = this.theme.tracked.findIndex((_, slot) => !this.tracked.some(one => one.slot === slot));
    if (free === NONE) return this.announce(`${this.tracked.length} units are tracked, and there are no more colours: remove one first.`);
    this.tracked.push({ layer: run.layer[unit], unit: run.unit[unit], slot: free });
    this.announce(`${unitName(this.world, run, unit)} is tracked.`);
    this.paint();
    this.showTracked();
  }

  forget(one) {
    this.tracked = this.tracked.filter(other => other !== one);
    this.announce(`${this.world.layers[one.layer]}:${one.unit} is no longer tracked.`);
    this.paint();
    this.showTracked();
  }

  showTracked() {
    const cards = this.tracked.map(one => trackedCard(this.world, { ...one, color: this.colorOf(one) }, () => {
      this.forget(one);
      byId("followed-title").focus();
    }));
    byId("followed").replaceChildren(...cards);
    byId("nothing-tracked").hidden = cards.length > 0;
    markEpoch(byId("followed"), this.world, this.asked.at);
  }

  showLegend() {
    byId("legend").replaceChildren(...legendItems(this.world, this.theme, this.asked.color));
  }

  announce(words) {
    byId("announcement").textContent = words;
  }

  /** The card of what lies under the pointer; by touch also a button to track it. */
  showHit(index, hit, event, touched) {
    const lines = "unit" in hit ? unitCard(this.world, this.world.runs[index], this.views[index].step, hit.unit) : anchorCard(this.world, hit.anchor);
    if (hit.crowd) lines.push(element("p", "soft crowd", `${hit.crowd} more at this place: zoom in, or search`));
    if (touched && "unit" in hit) lines.push(this.trackButton(index, hit.unit));
    this.showCard(lines, index, hit.place);
    if (!touched) placeCard(byId("card"), event.clientX, event.clientY);
  }

  trackButton(index, unit) {
    const button = element("button", "", this.trackedAs(index, unit) ? "Stop tracking" : "Track this unit");
    button.type = "button";
    button.addEventListener("click", () => {
      this.follow(index, unit);
      this.hideCard();
    });
    return button;
  }

  /** The card of a unit in the list of what was found. */
  showUnit(index, unit, button) {
    const { step } = this.views[index];
    const cell = step * this.world.runs[index].units + unit;
    const place = isPlaced(this.world.runs[index], cell) ? drawnAt(this.world, this.world.runs[index], cell) : null;
    this.showCard(unitCard(this.world, this.world.runs[index], step, unit), index, place);
    const { left, bottom } = button.getBoundingClientRect();
    placeCard(byId("card"), left, bottom);
  }

  showCard(lines, index, place) {
    const card = byId("card");
    card.replaceChildren(...lines);
    card.hidden = false;
    this.world.runs.forEach((_, other) => drawHover(this.plot, other, other === index ? place : null, this.theme));
  }

  hideCard() {
    if (byId("card").hidden) return;
    byId("card").hidden = true;
    this.world.runs.forEach((_, index) => drawHover(this.plot, index, null, this.theme));
  }
}
