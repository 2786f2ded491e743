"use strict";

// The study as the page carries it: its id and, in the order to be shown, {id, png} of each image. Nothing here knows an answer.
const study = JSON.parse(document.getElementById("study").textContent);
const images = study.images;
const store = `cxr-reader-study-${study.id}`;
const MOST_ZOOM = 16;
const at = (name) => document.getElementById(name);

// All there is to keep: answers and milliseconds by image id, the place of the image shown, the reader, smooth scaling or pixels.
const fresh = () => ({ reader: "", place: 0, begun: false, smooth: true, answers: {}, ms: {} });
let state = fresh();
let view = { zoom: 1, x: 0, y: 0 }; // x, y: the image's centre, in CSS pixels from that of the stage
let since = null; // when the reader began to look; null while there is nothing to see

function load() {
  try {
    const kept = JSON.parse(localStorage.getItem(store));
    if (kept) state = { ...fresh(), ...kept };
  } catch {
    // nothing kept, or nothing that can be read
  }
  keep();
}

function keep() {
  try {
    localStorage.setItem(store, JSON.stringify(state));
  } catch {
    at("forgetful").hidden = false;
  }
}

// Screens.

function turnTo(screen) {
  tally();
  since = null;
  for (const name of ["start", "reading", "end"]) at(name).hidden = name !== screen;
  document.body.dataset.screen = screen;
}

function welcome() {
  turnTo("start");
  const judged = Object.keys(state.answers).length;
  at("reader").value = state.reader;
  at("begin").textContent = state.begun ? `Go on (${judged} of ${images.length} judged)` : "Begin";
}

function begin() {
  state.reader = at("reader").value.trim() || state.reader || `anonymous-${anyLetters()}`;
  state.begun = true;
  show(state.place);
}

function anyLetters() {
  return Array.from(crypto.getRandomValues(new Uint8Array(6)), (number) => "abcdefghjkmnpqrstuvwxyz"[number % 23]).join("");
}

function show(place) {
  turnTo("reading");
  state.place = place;
  keep();
  const { id, png } = images[place];
  const said = state.answers[id];
  at("count").textContent = `Image ${place + 1} of ${images.length}`;
  at("said").textContent = said ? `you said ${said}; judge again` : "";
  at("progress").value = Object.keys(state.answers).length;
  at("back").disabled = place === 0;
  at("image").alt = `X-ray ${place + 1} of ${images.length}`;
  at("image").src = png;
  at("stage").ariaBusy = "true";
  look({ zoom: 1, x: 0, y: 0 });
  at("image").decode().catch(() => {}).then(() => {
    if (state.place !== place || at("reading").hidden) return;
    at("stage").ariaBusy = "false";
    watch();
  });
}

function finish() {
  turnTo("end");
  keep();
  at("saved").textContent = "";
  at("anew").hidden = true;
  at("save").focus();
}

// Time counts from when an image is there to be seen, and only while the page is.

function watch() {
  const seen = !at("reading").hidden && at("stage").ariaBusy === "false" && !document.hidden;
  since = seen ? performance.now() : null;
}

function tally() {
  if (since === null) return;
  const { id } = images[state.place];
  const now = performance.now();
  state.ms[id] = (state.ms[id] || 0) + now - since;
  since = now;
}

// Answers.

function judge(answer) {
  if (since === null) return; // the image is not there yet
  tally();
  state.answers[images[state.place].id] = answer;
  const next = images.findIndex(({ id }) => !(id in state.answers));
  if (next < 0) finish();
  else show(next);
}

function back() {
  if (!at("end").hidden) show(images.length - 1);
  else if (state.place > 0) show(state.place - 1);
}

function save() {
  const answers = images.map(({ id }) => ({ image: id, answer: state.answers[id], ms: Math.round(state.ms[id]) }));
  const text = JSON.stringify({ study: study.id, reader: state.reader, answers }, null, 1) + "\n";
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type: "application/json" }));
  link.download = `answers-${study.id.slice(0, 8)}-${state.reader.replace(/[^\p{L}\p{N}_-]+/gu, "-")}.json`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60000);
  at("saved").textContent = `Saved as ${link.download}, where this browser puts its downloads. Send that file to whoever gave you this page.`;
  at("anew").hidden = false;
}

function anew() {
  state = fresh();
  keep();
  welcome();
  at("reader").focus();
}

// The view: zoomed about a point of the stage, moved, and never lost from sight.

function look(wanted) {
  const stage = at("stage").getBoundingClientRect();
  const side = Math.min(stage.width, stage.height);
  const zoom = Math.min(Math.max(wanted.zoom, 1), MOST_ZOOM);
  const held = (offset, room) => Math.min(Math.max(offset, -room), room);
  view = { zoom, x: held(wanted.x, Math.max(zoom * side - stage.width, 0) / 2), y: held(wanted.y, Math.max(zoom * side - stage.height, 0) / 2) };
  const image = at("image");
  image.style.width = image.style.height = `${side}px`;
  image.style.transform = `translate(-50%, -50%) translate(${view.x}px, ${view.y}px) scale(${view.zoom})`;
  image.classList.toggle("pixels", !state.smooth);
  at("pixels").ariaPressed = String(!state.smooth);
}

function zoomBy(factor, x = 0, y = 0) {
  const zoom = Math.min(Math.max(view.zoom * factor, 1), MOST_ZOOM);
  const ratio = zoom / view.zoom;
  look({ zoom, x: x - (x - view.x) * ratio, y: y - (y - view.y) * ratio });
}

const move = (x, y) => look({ ...view, x: view.x + x, y: view.y + y });
const whole = () => look({ zoom: 1, x: 0, y: 0 });

function pixels() {
  state.smooth = !state.smooth;
  keep();
  look(view);
}

const pointers = new Map(); // those that hold the image, by id: one drags, two pinch

function grip() {
  const held = [...pointers.values()];
  const middle = (axis) => held.reduce((sum, one) => sum + one[axis], 0) / held.length;
  const [x, y] = [middle(0), middle(1)];
  return { x, y, spread: held.length > 1 ? Math.hypot(held[0][0] - held[1][0], held[0][1] - held[1][1]) : 1 };
}

function fromCentre(event) {
  const stage = at("stage").getBoundingClientRect();
  return [event.clientX - stage.left - stage.width / 2, event.clientY - stage.top - stage.height / 2];
}

at("stage").addEventListener("pointerdown", (event) => {
  if (event.button > 0) return;
  pointers.set(event.pointerId, fromCentre(event));
  at("stage").setPointerCapture(event.pointerId);
});
at("stage").addEventListener("pointermove", (event) => {
  if (!pointers.has(event.pointerId)) return;
  const before = grip();
  pointers.set(event.pointerId, fromCentre(event));
  const after = grip();
  move(after.x - before.x, after.y - before.y);
  if (before.spread > 0) zoomBy(after.spread / before.spread, after.x, after.y);
});
for (const end of ["pointerup", "pointercancel"]) at("stage").addEventListener(end, (event) => pointers.delete(event.pointerId));
at("stage").addEventListener("wheel", (event) => {
  event.preventDefault();
  zoomBy(Math.exp(-event.deltaY * (event.deltaMode === 1 ? 0.05 : 0.002)), ...fromCentre(event));
}, { passive: false });

// Keys and buttons.

const STEP = 60; // CSS pixels that an arrow key moves the image
const keys = {
  r: () => judge("real"), s: () => judge("synthetic"), Backspace: back, p: pixels,
  "+": () => zoomBy(1.5), "=": () => zoomBy(1.5), "-": () => zoomBy(1 / 1.5), 0: whole,
  ArrowLeft: () => move(STEP, 0), ArrowRight: () => move(-STEP, 0), ArrowUp: () => move(0, STEP), ArrowDown: () => move(0, -STEP),
};
const mayRepeat = ["+", "=", "-", "ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown"];

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  const plain = !event.target.closest("input, button");
  if (document.body.dataset.screen === "start") {
    if (key === "Enter" && plain) begin();
  } else if (event.repeat && !mayRepeat.includes(key) && key !== "Tab") {
    event.preventDefault(); // a key held down judges one image, not all
  } else if (key in keys && (document.body.dataset.screen === "reading" || key === "Backspace")) {
    event.preventDefault();
    keys[key]();
  }
});

at("form").addEventListener("submit", (event) => {
  event.preventDefault();
  begin();
});
const buttons = { real: keys.r, synthetic: keys.s, back, again: back, pixels, more: keys["+"], less: keys["-"], whole, save, anew };
for (const [name, act] of Object.entries(buttons)) at(name).addEventListener("click", act);

document.addEventListener("visibilitychange", () => {
  tally();
  watch();
  keep();
});
window.addEventListener("pagehide", () => {
  tally();
  keep();
});
window.addEventListener("resize", () => look(view));

load();
at("progress").max = images.length;
if (images.every(({ id }) => id in state.answers)) finish();
else welcome();
