// The list of objects: what is in it, in which order, and which one is chosen.
const MOST_ROWS = 1000; // that stand in the page at once
let firstRow = 0;

// The slider of sizes is logarithmic: from 0 to 100 it goes from one voxel to the largest object.
const largest = () => volume().objects.reduce((most, one) => Math.max(most, one.voxels), 1);
const leastSize = () => Number(at("least-size").value) === 0 ? 0 : Math.round(largest() ** (at("least-size").value / 100));

function inList() {
  const size = leastSize(), sure = Number(at("least-probability").value), by = at("order").value;
  const wanted = volume().objects.filter((one) => at(`list-${keyOf(one)}`).checked && one.voxels >= size
    && (sure === 0 || one.probability === null || one.probability >= sure));
  return by === "size" ? wanted : wanted.toSorted((a, b) => (b.probability ?? -1) - (a.probability ?? -1));
}

const sharedPart = (one) => `${Math.round(100 * one.shared / one.voxels) || "<1"}\u00a0%\u00a0shared`;

function row(one) {
  const item = document.createElement("li"), button = document.createElement("button");
  const text = document.createElement("span"), more = document.createElement("small"), kind = keyOf(one);
  make("path", { d: "M1 6h28" }, make("svg", { class: `swatch ${kind}`, viewBox: "0 0 30 12", "aria-hidden": "true" }, button));
  const shared = labelled && one.shared ? ` · ${sharedPart(one)}` : "";
  text.textContent = `${one.id} · ${titles[kind]}, ${count(one.voxels)} voxels`;
  const sizes = parts.map((name, part) => one.parts[part] ? ` · ${name} ${count(one.parts[part])}` : ` · no ${name}`);
  const sure = one.probability === null ? "" : ` · p ${one.probability.toFixed(2)}`;
  more.textContent = `at ${one.z}, ${Math.round(one.y)}, ${Math.round(one.x)} · ${cubic(one.voxels)} µm³${sure}${shared}${sizes.join("")}`;
  button.type = "button";
  button.dataset.kind = kind;
  button.dataset.id = one.id;
  button.append(text, more);
  button.addEventListener("click", () => { visit(one); bringIntoView(); });
  item.append(button);
  return item;
}

function list() {
  const wanted = inList(), every = volume().objects.length, size = leastSize();
  firstRow = wanted.length > firstRow ? firstRow : 0;
  at("least-size-is").textContent = `${count(size)} voxels`;
  at("least-probability-is").textContent = Number(at("least-probability").value).toFixed(2);
  const small = volume().objects.filter((one) => one.voxels < size).length;
  const last = Math.min(firstRow + MOST_ROWS, wanted.length);
  const cut = wanted.length > MOST_ROWS ? `; here ${count(firstRow + 1)} to ${count(last)}` : "";
  at("counts").textContent = `${count(wanted.length)} of ${count(every)}${volume().cut ? " largest" : ""}`
    + (small ? `; ${count(small)} ${small === 1 ? "is" : "are"} below ${count(size)} voxels` : "") + cut;
  at("objects").replaceChildren(...wanted.slice(firstRow, last).map(row));
  if (!wanted.length) at("objects").textContent = "none";
  at("turn").hidden = wanted.length <= MOST_ROWS;
  at("earlier-rows").disabled = firstRow === 0;
  at("later-rows").disabled = last === wanted.length;
  point();
}

function turn(by) {
  firstRow = Math.max(0, firstRow + by * MOST_ROWS);
  at("objects").scrollTop = 0;
  list();
}

// Mark the chosen object's row, and scroll the list, not the page, to it.
function point() {
  const before = at("objects").querySelector("[aria-current]"), chosen = state.chosen;
  if (before) before.removeAttribute("aria-current");
  const button = chosen && at("objects").querySelector(`[data-kind="${keyOf(chosen)}"][data-id="${chosen.id}"]`);
  if (!button) return;
  button.setAttribute("aria-current", "true");
  const box = button.getBoundingClientRect(), room = at("objects").getBoundingClientRect();
  if (box.top < room.top) at("objects").scrollTop -= room.top - box.top + 8;
  if (box.bottom > room.bottom) at("objects").scrollTop += box.bottom - room.bottom + 8;
}

// Bring the filters to where the list holds an object, and the list to its row.
function reveal(object) {
  at(`list-${keyOf(object)}`).checked = true;
  if (object.voxels < leastSize()) at("least-size").value = 0;
  if (object.probability !== null && object.probability < Number(at("least-probability").value)) at("least-probability").value = 0;
  const index = inList().indexOf(object);
  firstRow = Math.floor(index / MOST_ROWS) * MOST_ROWS;
  list();
}

// Choose an object where it is seen, without moving the stage.
function choose(object) {
  state.chosen = object;
  if (object) {
    state.cross = { y: object.y, x: object.x };
    reveal(object);
  } else {
    point();
  }
  drawOutlines();
  drawSides();
  remember();
}

// Choose an object and go where most of it is.
function visit(object) {
  state.chosen = object;
  state.cross = { y: object.y, x: object.x };
  at(`show-${keyOf(object)}`).checked = true;
  if (at("closer").checked) {
    const { width } = fitted();
    const pixels = Math.sqrt(object.peak_voxels) * width / volume().shape[2];
    state.zoom = clamp(90 / pixels, 1, 6);
  }
  centreOn(object);
  point();
  show(object.z);
}

// On a small screen the list lies below the stage.
function bringIntoView() {
  const { top, bottom } = stage.getBoundingClientRect();
  if (top >= 0 && bottom <= innerHeight) return;
  const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
  stage.scrollIntoView({ block: "start", behavior: calm ? "auto" : "smooth" });
}

function step(by) {
  const all = inList();
  if (!all.length) return;
  const now = all.indexOf(state.chosen);
  const next = all[now < 0 ? (by > 0 ? 0 : all.length - 1) : (now + by + all.length) % all.length];
  reveal(next);
  visit(next);
}
