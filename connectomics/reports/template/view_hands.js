// Hands: slider, keys, wheel, mouse and fingers.
const WHEEL_STEP = 40; // pixels of scrolling for one section
const STILL = 5; // pixels that a click may move

function flip(id) {
  const box = at(id);
  if (box.disabled) return;
  box.checked = !box.checked;
  box.dispatchEvent(new Event("change"));
}

const anyOutline = () => kinds.some((kind) => at(`show-${kind}`).checked);
let remembered = listable;
function flipOutlines() {
  const shown = kinds.filter((kind) => at(`show-${kind}`).checked);
  const hide = anyOutline();
  if (hide) remembered = shown;
  for (const kind of kinds) at(`show-${kind}`).checked = !hide && remembered.includes(kind);
  drawOutlines();
  drawSides();
}

const KEYS = {
  ArrowRight: () => show(state.z + 1), ArrowLeft: () => show(state.z - 1),
  PageDown: () => show(state.z + 10), PageUp: () => show(state.z - 10),
  n: () => step(1), b: () => step(-1), o: flipOutlines, p: () => flip("show-probability"), v: () => flip("show-sides"),
  "+": () => zoomTo(state.zoom * 1.5), "=": () => zoomTo(state.zoom * 1.5), "-": () => zoomTo(state.zoom / 1.5),
  0: () => zoomTo(1), Escape: () => choose(null),
};
const ON_STAGE = {
  ArrowUp: KEYS.ArrowRight, ArrowDown: KEYS.ArrowLeft, Home: () => show(0), End: () => show(Infinity),
};

function isStageInView() {
  const { top, bottom } = stage.getBoundingClientRect();
  return bottom > 0 && top < innerHeight;
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const target = event.target;
  if (target.matches("select, summary")) return;
  if (target.matches("input[type=range]") && /^(Arrow|Page|Home|End)/.test(event.key)) return; // the slider's own keys
  if (target.closest(".scrolls") && /^(Arrow|Page)/.test(event.key)) return; // as are those of a table
  if (/^Page/.test(event.key) && !isStageInView()) return; // the page scrolls
  const act = KEYS[event.key] || (target === stage && ON_STAGE[event.key]);
  if (!act) return;
  event.preventDefault();
  act();
});

let scrolled = 0;
stage.addEventListener("wheel", (event) => {
  event.preventDefault();
  const box = stage.getBoundingClientRect();
  const by = event.deltaY * (event.deltaMode === 1 ? WHEEL_STEP : event.deltaMode === 2 ? 10 * WHEEL_STEP : 1);
  if (event.ctrlKey || event.metaKey) {
    zoomTo(state.zoom * Math.exp(-by / 300), event.clientX - box.left, event.clientY - box.top);
    return;
  }
  scrolled += by;
  const steps = Math.trunc(scrolled / WHEEL_STEP);
  if (steps) {
    scrolled -= steps * WHEEL_STEP;
    show(state.z + Math.sign(steps) * (event.shiftKey ? 10 : 1));
  }
}, { passive: false });

// What a pointer is over: an object of the list, or the annotation of a detected one, which is not listed.
function objectUnder(event) {
  const path = event.target.closest ? event.target.closest("#outlines [data-id]") : null;
  if (!path) return null;
  const { kind, id } = path.dataset;
  return { kind, id, object: objects.get(`${kind} ${id}`) };
}

// Say what is under a mouse, or what a finger touched.
function tell(event, under = event.pointerType === "touch" ? null : objectUnder(event)) {
  const tip = at("tip");
  tip.hidden = !under;
  stage.classList.toggle("over", Boolean(under && under.object));
  if (!under) return;
  const { kind, id, object } = under;
  const lines = [`${titles[kind]} · ${id}`];
  if (object) {
    lines.push(`${count(object.voxels)} voxels, ${cubic(object.voxels)} µm³`);
    if (object.probability !== null) lines.push(`probability ${object.probability.toFixed(2)}`);
    if (labelled && object.shared) lines.push(sharedPart(object));
  }
  tip.textContent = lines.join("\n");
  const box = stage.getBoundingClientRect(), x = event.clientX - box.left, y = event.clientY - box.top;
  tip.style.left = `${clamp(x + 14, 4, stage.clientWidth - tip.offsetWidth - 4)}px`;
  tip.style.top = `${y + 20 + tip.offsetHeight > stage.clientHeight ? y - tip.offsetHeight - 10 : y + 20}px`;
}

// One pointer drags, two pinch; one that hardly moved is a click.
const pointers = new Map();
let grip = null;

function take() {
  const [one, two] = [...pointers.values()];
  const box = stage.getBoundingClientRect();
  const middle = two ? { x: (one.x + two.x) / 2, y: (one.y + two.y) / 2 } : one;
  const at_stage = { x: middle.x - box.left, y: middle.y - box.top };
  return { ...at_stage, apart: two ? Math.hypot(one.x - two.x, one.y - two.y) : 0, zoom: state.zoom, left: state.x, top: state.y };
}

stage.addEventListener("pointerdown", (event) => {
  if (event.button !== 0) return;
  if (!pointers.size) grip = { from: event, under: objectUnder(event), moved: false };
  pointers.set(event.pointerId, { x: event.clientX, y: event.clientY });
  grip = { ...grip, ...take(), moved: grip.moved || pointers.size > 1 };
  stage.setPointerCapture(event.pointerId);
  stage.classList.add("moving");
});

stage.addEventListener("pointermove", (event) => {
  if (!pointers.has(event.pointerId)) {
    tell(event);
    return;
  }
  pointers.set(event.pointerId, { x: event.clientX, y: event.clientY });
  const now = take();
  grip.moved ||= Math.hypot(event.clientX - grip.from.clientX, event.clientY - grip.from.clientY) > STILL;
  if (!grip.moved) return;
  at("tip").hidden = true;
  state.zoom = grip.apart && now.apart ? clamp(grip.zoom * now.apart / grip.apart, 1, MAX_ZOOM) : grip.zoom;
  state.x = now.x - (grip.x - grip.left) * state.zoom / grip.zoom;
  state.y = now.y - (grip.y - grip.top) * state.zoom / grip.zoom;
  place();
});

function release(event) {
  if (!pointers.delete(event.pointerId)) return;
  if (pointers.size) {
    grip = { ...grip, ...take() };
    return;
  }
  stage.classList.remove("moving");
  if (event.type === "pointerup" && !grip.moved) click(event, grip.under);
}
stage.addEventListener("pointerup", release);
stage.addEventListener("pointercancel", release);
stage.addEventListener("pointerleave", (event) => { if (event.pointerType !== "touch") at("tip").hidden = true; });
stage.addEventListener("dblclick", () => zoomTo(1));

function click(event, under) {
  if (event.pointerType === "touch") tell(event, under);
  if (under) {
    if (under.object) choose(under.object);
    return;
  }
  const box = stage.getBoundingClientRect();
  state.cross = voxelAt(event.clientX - box.left, event.clientY - box.top);
  if (state.chosen) choose(null);
  else if (at("show-sides").checked) {
    drawOutlines();
    drawSides();
  }
  remember();
}
