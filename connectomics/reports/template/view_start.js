// The controls, each with what it does, and the first section.
function open(number) {
  state.volume = number;
  const { shape: [depth, rows, columns], units, has_probability: probable } = volume();
  Object.assign(state, { zoom: 1, chosen: null, shown: null, cross: { y: rows / 2, x: columns / 2 } });
  indexObjects();
  at("volume").value = number;
  at("least-size").value = at("least-probability").value = firstRow = 0;
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
  fitStage();
  list();
  place();
  if (at("show-sides").checked) copySections();
  show(first.length ? first[0].z : Math.floor(depth / 2));
}

function toggleSides() {
  at("sides").hidden = !at("show-sides").checked;
  fitStage();
  drawSides();
  if (at("show-sides").checked) copySections();
  place();
  drawOutlines();
}

// Grey values and opacities: custom properties of the stage, which its style sheet uses.
const LOOKS = { brightness: "100", contrast: "100", "outline-opacity": "100", "overlay-opacity": "100" };
function look() {
  for (const id of Object.keys(LOOKS)) stage.style.setProperty(`--${id}`, at(id).value / 100);
  drawSides();
}

// The stage ends, with its slider, where the window does; it is no higher than a section needs that is as wide as it.
function fitStage() {
  const above = stage.getBoundingClientRect().top + scrollY;
  const [, rows, columns] = volume().shape, [, high, wide] = volume().spacing_nm;
  stage.style.setProperty("--above", `${Math.round(above)}px`);
  stage.style.setProperty("--needed", `${Math.ceil(stage.clientWidth * rows * high / (columns * wide))}px`);
}

function offer(where, id, text, shape, swatch, checked = true, act = () => { drawOutlines(); drawSides(); }) {
  const label = document.createElement("label"), box = document.createElement("input");
  Object.assign(box, { type: "checkbox", id, checked });
  box.addEventListener("change", act);
  label.append(box);
  make("path", shape, make("svg", { class: `swatch ${swatch}`, viewBox: "0 0 30 12", "aria-hidden": "true" }, label));
  label.append(text);
  at(where).append(label);
}

const LINE = { d: "M1 6h28" }, unlabelled = volumes.some((one) => !one.detection);
for (const kind of kinds) offer("shown-kinds", `show-${kind}`, titles[kind], LINE, kind, kind !== "annotated");
for (const kind of listable) {
  offer("listed-kinds", `list-${kind}`, titles[kind], LINE, kind, kind !== "found" || unlabelled, () => list());
}
for (const id of ["shown-kinds", "listed-kinds"]) at(id).hidden = !labelled; // without a label all are of one kind
for (const node of document.querySelectorAll("[data-labelled]")) node.hidden = !labelled;
at("objects-title").textContent = `${noun[0].toUpperCase()}${noun.slice(1)}`;

// Objects in parts, such as the two sides of a synapse: a colour each, and an arrow from the first to the last.
for (const node of document.querySelectorAll("[data-parts]")) node.hidden = !parts.length;
parts.forEach((name, part) => offer("parts", `show-part-${part}`, name, { class: `part${part}`, d: "M4 1h22v10h-22z" }, ""));
if (parts.length) {
  offer("parts", "show-arrows", `${parts[0]} to ${parts[parts.length - 1]}`, { d: "M5 6H25M19 2L25 6L19 10" }, "pointer");
}

at("section").addEventListener("input", (event) => show(Number(event.target.value)));
at("before").addEventListener("click", () => show(state.z - 1));
at("after").addEventListener("click", () => show(state.z + 1));
at("in").addEventListener("click", () => zoomTo(state.zoom * 1.5));
at("out").addEventListener("click", () => zoomTo(state.zoom / 1.5));
at("all").addEventListener("click", () => zoomTo(1));
at("volume").addEventListener("change", (event) => open(Number(event.target.value)));
at("show-probability").addEventListener("change", () => { drawOverlay(); remember(); });
at("show-sides").addEventListener("change", () => { toggleSides(); remember(); });
for (const id of ["order", "least-size", "least-probability"]) at(id).addEventListener("input", () => { firstRow = 0; list(); });
at("earlier-rows").addEventListener("click", () => turn(-1));
at("later-rows").addEventListener("click", () => turn(1));
for (const id of Object.keys(LOOKS)) at(id).addEventListener("input", look);
at("plain").addEventListener("click", () => {
  for (const [id, value] of Object.entries(LOOKS)) at(id).value = value;
  look();
});
for (const id of ["xz", "yz"]) {
  at(id).addEventListener("pointerdown", (event) => { at(id).setPointerCapture(event.pointerId); goAlong(event, id); });
  at(id).addEventListener("pointermove", (event) => { if (at(id).hasPointerCapture(event.pointerId)) goAlong(event, id); });
}
raw.addEventListener("load", place);
new ResizeObserver(() => { place(); drawSides(); }).observe(stage);
addEventListener("resize", () => { if (volumes.length) fitStage(); });

volumes.forEach((one, number) => at("volume").append(new Option(one.name, number)));
at("volume").parentElement.hidden = volumes.length < 2;
if (volumes.length && !follow()) open(0);
