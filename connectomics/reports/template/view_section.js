// One section on the stage: grey values, probabilities, outlines, and where they lie.
const MAX_ZOOM = 16;

async function show(z) {
  state.z = clamp(Math.round(z), 0, volume().shape[0] - 1);
  at("section").value = state.z;
  at("where").textContent = `section ${state.z} of 0–${volume().shape[0] - 1}`;
  at("tip").hidden = true;
  remember();
  const number = state.volume, wanted = state.z;
  const section = await fetchSection(number, wanted);
  if (number !== state.volume || wanted !== state.z) return; // another one was asked for meanwhile
  raw.src = section.image.src;
  raw.alt = `section ${wanted} of ${volume().name}`;
  state.shown = { number, z: wanted, section };
  drawOverlay();
  drawOutlines();
  drawSides();
  stage.dataset.shown = `${number}-${wanted}`;
  for (const near of [wanted + 1, wanted - 1]) {
    if (near >= 0 && near < volume().shape[0]) fetchSection(number, near);
  }
}

function drawOverlay() {
  const overlay = state.shown && state.shown.section.overlay;
  canvas.hidden = !(overlay && at("show-probability").checked);
  if (canvas.hidden) return;
  canvas.width = overlay.width;
  canvas.height = overlay.height;
  canvas.getContext("2d").drawImage(overlay, 0, 0);
}

function drawOutlines() {
  if (!state.shown) return;
  const { number, z, section } = state.shown;
  const { outlines, arrows = [], left_out: leftOut } = read("outlines", number, z);
  const chosen = state.chosen;
  drawing.replaceChildren();
  if (section.excluded) make("path", { class: "excluded", d: section.excluded, "fill-rule": "evenodd" }, drawing);
  for (const kind of [...kinds].reverse()) { // the annotation lies below
    if (!at(`show-${kind}`).checked) continue;
    const group = make("g", { class: kind }, drawing);
    const parentOf = (id) => chosen && keyOf(chosen) === kind && chosen.id === id ? make("g", { class: "chosen" }, group) : group;
    for (const [code, id, d, part] of outlines) {
      if (codes[code] !== kind) continue;
      const parent = parentOf(id);
      make("path", { class: "under", d }, parent);
      const filled = parts.length && kind !== "annotated" && at(`show-part-${part}`).checked;
      const own = { d, "data-id": id, "data-kind": kind };
      make("path", { ...own, ...(filled ? { class: `part${part}`, "fill-rule": "evenodd" } : {}) }, parent);
    }
    if (!parts.length || !at("show-arrows").checked) continue;
    for (const [code, id, d] of arrows) {
      if (codes[code] !== kind) continue;
      const parent = parentOf(id);
      make("path", { class: "arrow under", d }, parent);
      make("path", { class: "arrow", d, "data-id": id, "data-kind": kind }, parent);
    }
  }
  if (chosen && chosen.z === z) mark(chosen);
  if (at("show-sides").checked) drawCross();
  at("left-out").hidden = leftOut === 0;
  at("left-out").textContent = `${count(leftOut)} small objects of this section are not outlined`;
}

function mark(object) {
  const { units, spacing_nm: [, high, wide] } = volume();
  const reach = (Math.sqrt(object.peak_voxels) + 12) * units;
  const place = { cx: (object.x + 0.5) * units, cy: (object.y + 0.5) * units, rx: reach, ry: reach * wide / high };
  make("ellipse", { class: "mark under", ...place }, drawing);
  make("ellipse", { class: "mark", ...place }, drawing);
}

function drawCross() {
  const { units, shape: [, rows, columns] } = volume();
  const y = (state.cross.y + 0.5) * units, x = (state.cross.x + 0.5) * units;
  make("path", { class: "cross", d: `M0 ${y}H${columns * units}M${x} 0V${rows * units}` }, drawing);
}

// Where the section lies on the stage.
function fitted() {
  const [, rows, columns] = volume().shape, [, high, wide] = volume().spacing_nm;
  const unit = Math.min(stage.clientWidth / (columns * wide), stage.clientHeight / (rows * high));
  return { width: columns * wide * unit, height: rows * high * unit, nm: 1 / unit };
}

function place() {
  const { width, height, nm } = fitted();
  const w = width * state.zoom, h = height * state.zoom;
  const keep = (offset, size, room) => size <= room ? (room - size) / 2 : clamp(offset, room - size, 0);
  state.x = keep(state.x, w, stage.clientWidth);
  state.y = keep(state.y, h, stage.clientHeight);
  Object.assign(scene.style, { width: `${w}px`, height: `${h}px`, transform: `translate(${state.x}px, ${state.y}px)` });
  raw.classList.toggle("sharp", raw.naturalWidth > 0 && w / raw.naturalWidth > 3);
  stage.style.touchAction = state.zoom > 1 ? "none" : "pan-y"; // a section that is shown whole lets the page scroll
  drawScalebar(nm / state.zoom);
  remember();
}

function drawScalebar(nm) {
  const wanted = 130 * nm, power = 10 ** Math.floor(Math.log10(wanted));
  const length = [5, 2, 1].map((step) => step * power).find((step) => step <= wanted);
  at("scalebar").style.width = `${length / nm}px`;
  at("scalebar").firstElementChild.textContent = length >= 1000 ? `${length / 1000} µm` : `${length} nm`;
}

function zoomTo(zoom, x = stage.clientWidth / 2, y = stage.clientHeight / 2) {
  const next = clamp(zoom, 1, MAX_ZOOM), factor = next / state.zoom;
  state.x = x - (x - state.x) * factor;
  state.y = y - (y - state.y) * factor;
  state.zoom = next;
  place();
}

function centreOn({ y, x }) {
  const { width, height } = fitted(), [, rows, columns] = volume().shape;
  state.x = stage.clientWidth / 2 - (x + 0.5) / columns * width * state.zoom;
  state.y = stage.clientHeight / 2 - (y + 0.5) / rows * height * state.zoom;
  place();
}

// The voxel under a place of the stage, in pixels; the middle unless said.
function voxelAt(x = stage.clientWidth / 2, y = stage.clientHeight / 2) {
  const { width, height } = fitted(), [, rows, columns] = volume().shape;
  return {
    y: clamp((y - state.y) / (height * state.zoom) * rows - 0.5, 0, rows - 1),
    x: clamp((x - state.x) / (width * state.zoom) * columns - 0.5, 0, columns - 1),
  };
}
