"use strict";
(() => {
  const KEPT = 16; // decoded sections that stay in memory
  const WHEEL_STEP = 40; // pixels of scrolling for one section
  const MAX_ZOOM = 16;
  const SVG = "http://www.w3.org/2000/svg";
  const at = (id) => document.getElementById(id);
  const { volumes, parts, codes, labelled, noun, kinds: described } = JSON.parse(at("entries").textContent);
  const kinds = described.map((one) => one.key), titles = Object.fromEntries(described.map((one) => [one.key, one.title]));
  const listable = kinds.filter((kind) => kind !== "annotated");
  const MOST_ROWS = 1000; // of the list; the filters bring up what comes after
  const keyOf = (object) => object.kind.replaceAll(" ", "_");
  const stage = at("stage"), scene = at("scene"), raw = at("raw"), canvas = at("probability"), drawing = at("outlines");
  const state = { volume: 0, z: 0, zoom: 1, x: 0, y: 0, chosen: null, shown: null };
  const volume = () => volumes[state.volume];
  const count = (number) => number.toLocaleString("en");
  const clamp = (value, low, high) => Math.min(high, Math.max(low, value));

  function make(name, attributes, parent) {
    const node = document.createElementNS(SVG, name);
    for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
    parent.append(node);
    return node;
  }

  // Sections: data lie in the page as text, and are decoded when they are wanted.
  const pictures = new Map();
  const read = (kind, number, z) => JSON.parse(at(`${kind}-${number}-${z}`).textContent);

  function decode(type, text) {
    const image = new Image();
    image.src = `data:image/${type};base64,${text}`;
    return image.decode().then(() => image);
  }

  function fetchSection(number, z) {
    const key = `${number}-${z}`;
    if (!pictures.has(key)) {
      const data = read("pictures", number, z);
      const wanted = [decode("jpeg", data.raw), data.probability ? decode("png", data.probability).then(tint) : null];
      pictures.set(key, Promise.all(wanted).then(([image, overlay]) => ({ image, overlay, excluded: data.excluded })));
    }
    const found = pictures.get(key);
    pictures.delete(key); // and last again: the map is in order of use
    pictures.set(key, found);
    for (const old of pictures.keys()) {
      if (pictures.size <= KEPT) break;
      pictures.delete(old);
    }
    return found;
  }

  function tint(image) {
    const sheet = new OffscreenCanvas(image.naturalWidth, image.naturalHeight);
    const pen = sheet.getContext("2d", { willReadFrequently: true });
    pen.drawImage(image, 0, 0);
    const pixels = pen.getImageData(0, 0, sheet.width, sheet.height);
    for (let i = 0; i < pixels.data.length; i += 4) {
      const p = pixels.data[i] / 255;
      pixels.data[i] = 192 + 63 * p;
      pixels.data[i + 1] = 38 + 170 * p * p;
      pixels.data[i + 2] = 255;
      pixels.data[i + 3] = p === 0 ? 0 : 40 + 170 * p;
    }
    pen.putImageData(pixels, 0, 0);
    return sheet;
  }

  async function show(z) {
    state.z = clamp(Math.round(z), 0, volume().shape[0] - 1);
    at("section").value = state.z;
    at("where").textContent = `section ${state.z} of 0–${volume().shape[0] - 1}`;
    const number = state.volume, wanted = state.z;
    const section = await fetchSection(number, wanted);
    if (number !== state.volume || wanted !== state.z) return; // another one was asked for meanwhile
    raw.src = section.image.src;
    raw.alt = `section ${wanted} of ${volume().name}`;
    state.shown = { number, z: wanted, section };
    drawOverlay();
    drawOutlines();
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
        make("path", { d, "data-id": id, ...(filled ? { class: `part${part}`, "fill-rule": "evenodd" } : {}) }, parent);
      }
      if (!parts.length || !at("show-arrows").checked) continue;
      for (const [code, id, d] of arrows) {
        if (codes[code] !== kind) continue;
        const parent = parentOf(id);
        make("path", { class: "arrow under", d }, parent);
        make("path", { class: "arrow", d, "data-id": id }, parent);
      }
    }
    if (chosen && chosen.z === z) mark(chosen);
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
    drawScalebar(nm / state.zoom);
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

  function centreOn(object) {
    const { width, height } = fitted(), [, rows, columns] = volume().shape;
    state.x = stage.clientWidth / 2 - (object.x + 0.5) / columns * width * state.zoom;
    state.y = stage.clientHeight / 2 - (object.y + 0.5) / rows * height * state.zoom;
    place();
  }

  // The list of objects.
  const cubic = (voxels) => {
    const [deep, high, wide] = volume().spacing_nm;
    return Number((voxels * deep * high * wide / 1e9).toPrecision(2));
  };
  // The slider of sizes is logarithmic: from 0 to 100 it goes from one voxel to the largest object.
  const largest = () => Math.max(1, ...volume().objects.map((one) => one.voxels));
  const leastSize = () => Number(at("least-size").value) === 0 ? 0 : Math.round(largest() ** (at("least-size").value / 100));
  function inList() {
    const size = leastSize(), sure = Number(at("least-probability").value), by = at("order").value;
    const wanted = volume().objects.filter((one) => at(`list-${keyOf(one)}`).checked && one.voxels >= size
      && (sure === 0 || one.probability === null || one.probability >= sure));
    return by === "size" ? wanted : wanted.toSorted((a, b) => (b.probability ?? -1) - (a.probability ?? -1));
  }

  function row(one) {
    const item = document.createElement("li"), button = document.createElement("button");
    const text = document.createElement("span"), more = document.createElement("small"), kind = keyOf(one);
    make("path", { d: "M1 6h28" }, make("svg", { class: `swatch ${kind}`, viewBox: "0 0 30 12", "aria-hidden": "true" }, button));
    const shared = labelled && one.shared ? ` · ${Math.round(100 * one.shared / one.voxels) || "<1"} % shared` : "";
    text.textContent = `${one.id} · ${titles[kind]}, ${count(one.voxels)} voxels${shared}`;
    const sizes = parts.map((name, part) => one.parts[part] ? ` · ${name} ${count(one.parts[part])}` : ` · no ${name}`);
    const sure = one.probability === null ? "" : ` · p ${one.probability.toFixed(2)}`;
    more.textContent = `at ${one.z}, ${Math.round(one.y)}, ${Math.round(one.x)} · ${cubic(one.voxels)} µm³${sure}${sizes.join("")}`;
    button.type = "button";
    button.dataset.kind = kind;
    button.dataset.id = one.id;
    button.append(text, more);
    button.addEventListener("click", () => visit(one));
    item.append(button);
    return item;
  }

  function list() {
    const wanted = inList(), every = volume().objects.length, size = leastSize();
    at("least-size-is").textContent = `${count(size)} voxels`;
    at("least-probability-is").textContent = `p ${Number(at("least-probability").value).toFixed(2)}`;
    const small = volume().objects.filter((one) => one.voxels < size).length;
    const cut = wanted.length > MOST_ROWS ? `; the first ${count(MOST_ROWS)} are listed` : "";
    at("counts").textContent = `${count(wanted.length)} of ${count(every)}${volume().cut ? " largest" : ""}`
      + (small ? `; ${count(small)} ${small === 1 ? "is" : "are"} below ${count(size)} voxels` : "") + cut;
    at("objects").replaceChildren(...wanted.slice(0, MOST_ROWS).map(row));
    if (!wanted.length) at("objects").textContent = "none";
    point();
  }

  function point() {
    for (const button of at("objects").querySelectorAll("button")) {
      const own = state.chosen && button.dataset.kind === keyOf(state.chosen) && Number(button.dataset.id) === state.chosen.id;
      if (own) button.setAttribute("aria-current", "true"); else button.removeAttribute("aria-current");
      if (own) button.scrollIntoView({ block: "nearest" });
    }
  }

  function visit(object) {
    state.chosen = object;
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

  function step(by) {
    const all = inList();
    if (!all.length) return;
    const now = all.indexOf(state.chosen);
    visit(all[now < 0 ? (by > 0 ? 0 : all.length - 1) : (now + by + all.length) % all.length]);
  }

  function open(number) {
    state.volume = number;
    Object.assign(state, { zoom: 1, chosen: null, shown: null });
    const { shape: [depth, rows, columns], units, has_probability: probable } = volume();
    at("least-size").value = at("least-probability").value = 0;
    at("order").disabled = at("least-probability").disabled = !probable;
    const first = inList();
    at("section").max = depth - 1;
    at("show-probability").disabled = !probable;
    drawing.setAttribute("viewBox", `0 0 ${columns * units} ${rows * units}`);
    const rug = at("rug");
    rug.setAttribute("viewBox", `-0.5 0 ${depth} 8`);
    rug.replaceChildren();
    for (const key of new Set(first.map((one) => `${one.z} ${keyOf(one)}`))) {
      const [z, kind] = key.split(" ");
      make("rect", { x: z - 0.35, width: 0.7, y: kind === "missed" ? 0 : 4, height: 4, fill: `var(--${kind})` }, rug);
    }
    list();
    place();
    show(first.length ? first[0].z : Math.floor(depth / 2));
  }

  // Hands: slider, keys, wheel, drag.
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
  }

  const KEYS = {
    ArrowRight: () => show(state.z + 1), ArrowLeft: () => show(state.z - 1),
    PageDown: () => show(state.z + 10), PageUp: () => show(state.z - 10),
    n: () => step(1), b: () => step(-1), o: flipOutlines, p: () => flip("show-probability"),
    "+": () => zoomTo(state.zoom * 1.5), "=": () => zoomTo(state.zoom * 1.5), "-": () => zoomTo(state.zoom / 1.5),
    0: () => zoomTo(1),
  };
  const ON_STAGE = {
    ArrowUp: KEYS.ArrowRight, ArrowDown: KEYS.ArrowLeft, Home: () => show(0), End: () => show(Infinity),
  };

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const target = event.target;
    if (target.matches("select, summary")) return;
    if (target.matches("input[type=range]") && /^(Arrow|Page)/.test(event.key)) return; // the slider's own keys
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

  let drag = null;
  stage.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    drag = { x: event.clientX - state.x, y: event.clientY - state.y };
    stage.setPointerCapture(event.pointerId);
    stage.classList.add("moving");
  });
  stage.addEventListener("pointermove", (event) => {
    if (!drag) return;
    state.x = event.clientX - drag.x;
    state.y = event.clientY - drag.y;
    place();
  });
  for (const end of ["pointerup", "pointercancel"]) {
    stage.addEventListener(end, () => { drag = null; stage.classList.remove("moving"); });
  }
  stage.addEventListener("dblclick", () => zoomTo(1));

  at("section").addEventListener("input", (event) => show(Number(event.target.value)));
  at("before").addEventListener("click", () => show(state.z - 1));
  at("after").addEventListener("click", () => show(state.z + 1));
  at("in").addEventListener("click", () => zoomTo(state.zoom * 1.5));
  at("out").addEventListener("click", () => zoomTo(state.zoom / 1.5));
  at("all").addEventListener("click", () => zoomTo(1));
  at("volume").addEventListener("change", (event) => open(Number(event.target.value)));
  at("show-probability").addEventListener("change", drawOverlay);
  for (const id of ["order", "least-size", "least-probability"]) at(id).addEventListener("input", list);
  raw.addEventListener("load", place);
  new ResizeObserver(place).observe(stage);

  // Objects in parts, such as the two sides of a synapse: a colour each, and an arrow from the first to the last.
  function offer(where, id, text, shape, swatch, checked = true, act = drawOutlines) {
    const label = document.createElement("label"), box = document.createElement("input");
    Object.assign(box, { type: "checkbox", id, checked });
    box.addEventListener("change", act);
    label.append(box);
    make("path", shape, make("svg", { class: `swatch ${swatch}`, viewBox: "0 0 30 12", "aria-hidden": "true" }, label));
    label.append(text);
    at(where).append(label);
  }
  const LINE = { d: "M1 6h28" };
  for (const kind of kinds) offer("shown-kinds", `show-${kind}`, titles[kind], LINE, kind, kind !== "annotated");
  for (const kind of listable) offer("listed-kinds", `list-${kind}`, titles[kind], LINE, kind, kind !== "found" || volumes.some((one) => !one.detection), list);
  for (const id of ["shown-kinds", "listed-kinds"]) at(id).hidden = !labelled; // without a label all are of one kind
  for (const node of document.querySelectorAll("[data-labelled]")) node.hidden = !labelled;
  at("objects-title").textContent = `${noun[0].toUpperCase()}${noun.slice(1)}`;
  for (const node of document.querySelectorAll("[data-parts]")) node.hidden = !parts.length;
  parts.forEach((name, part) => offer("parts", `show-part-${part}`, name, { class: `part${part}`, d: "M4 1h22v10h-22z" }, ""));
  if (parts.length) {
    offer("parts", "show-arrows", `${parts[0]} to ${parts[parts.length - 1]}`, { d: "M5 6H25M19 2L25 6L19 10" }, "pointer");
  }

  volumes.forEach((one, number) => at("volume").append(new Option(one.name, number)));
  at("volume").parentElement.hidden = volumes.length < 2;
  if (volumes.length) open(0);
})();
