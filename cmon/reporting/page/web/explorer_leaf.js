"use strict";
// A tracked unit's top images at the shown epoch, folded away, and leafed through some at a time.

const LEAF_IMAGES = 20;

function element(tag, classes = "", ...inside) {
  const made = document.createElement(tag);
  if (classes) made.className = classes;
  made.append(...inside);
  return made;
}

function thumbnail(world, image) {
  const picture = element("span", `t t${world.images.ids[image]}`);
  picture.setAttribute("role", "img");
  picture.setAttribute("aria-label", world.images.names[image]);
  picture.title = world.images.names[image];
  return picture;
}

function leafButton(sign, words, turn) {
  const button = element("button", "quiet", sign);
  button.type = "button";
  button.setAttribute("aria-label", words);
  button.addEventListener("click", turn);
  return button;
}

/** The images of a unit of a run; its `showEpoch` shows those of an epoch among those of all runs. */
function leafing(world, run, unit, name) {
  const title = element("summary", "small");
  const place = element("span", "soft small");
  const pictures = element("div", "pictures");
  let images = [], first = 0;
  const turn = by => {
    first = Math.max(0, Math.min(first + by, Math.floor((images.length - 1) / LEAF_IMAGES) * LEAF_IMAGES));
    pictures.replaceChildren(...images.slice(first, first + LEAF_IMAGES).map(image => thumbnail(world, image)));
    place.textContent = `${first + 1} to ${Math.min(first + LEAF_IMAGES, images.length)} of ${images.length}`;
    back.disabled = first === 0;
    on.disabled = first + LEAF_IMAGES >= images.length;
  };
  const back = leafButton("‹", `Images before, of ${name} in ${run.name}`, () => turn(-LEAF_IMAGES));
  const on = leafButton("›", `Images after, of ${name} in ${run.name}`, () => turn(LEAF_IMAGES));
  const leaf = element("details", "leaf", title, pictures, element("div", "bar", back, place, on));
  leaf.showEpoch = at => {
    const step = stepAt(run, at);
    const cell = step * run.units + unit;
    images = step === NONE || !isLive(world, run, cell) ? [] : imagesOf(world, run, cell);
    leaf.hidden = images.length === 0;
    title.textContent = leaf.hidden ? "" : `Its top images at epoch ${world.epochs[run.epochs[step]]}: ${fitOf(run, cell)} “${labelOf(world, run, cell)}”`;
    first = 0;
    turn(0);
  };
  return leaf;
}
