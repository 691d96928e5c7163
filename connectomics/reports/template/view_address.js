// The place in the address of the page: a link that shows a colleague the same.
const SETTLED = 250; // milliseconds without a change
let waiting = null, restoring = false;

function remember() {
  if (restoring) return;
  clearTimeout(waiting);
  waiting = setTimeout(() => history.replaceState(null, "", `#${written()}`), SETTLED);
}

function written() {
  const round = (value) => String(Math.round(value * 10) / 10), { y, x } = voxelAt();
  const place = new URLSearchParams({ volume: state.volume, z: state.z });
  if (state.zoom > 1) for (const [key, value] of Object.entries({ y, x, zoom: state.zoom })) place.set(key, round(value));
  if (state.chosen) place.set("object", `${keyOf(state.chosen)}-${state.chosen.id}`);
  if (at("show-probability").checked) place.set("probability", 1);
  if (at("show-sides").checked) {
    place.set("sides", 1);
    place.set("cross", `${round(state.cross.y)},${round(state.cross.x)}`);
  }
  return place.toString();
}

// Go where an address says; what makes no sense in it is left out.
function follow() {
  const place = new URLSearchParams(location.hash.slice(1));
  const number = (key, low, high) => place.has(key) && Number.isFinite(Number(place.get(key))) ? clamp(Number(place.get(key)), low, high) : null;
  if (number("z", 0, Infinity) === null) return false;
  restoring = true;
  open(Math.round(number("volume", 0, volumes.length - 1) ?? 0));
  const [depth, rows, columns] = volume().shape;
  const object = objects.get((place.get("object") ?? "").replace("-", " "));
  if (object) {
    state.chosen = object;
    state.cross = { y: object.y, x: object.x };
    at(`show-${keyOf(object)}`).checked = true;
    reveal(object);
  }
  const cross = (place.get("cross") ?? "").split(",").map(Number);
  if (cross.length === 2 && cross.every(Number.isFinite)) state.cross = { y: clamp(cross[0], 0, rows - 1), x: clamp(cross[1], 0, columns - 1) };
  at("show-probability").checked = place.get("probability") === "1" && !at("show-probability").disabled;
  at("show-sides").checked = place.get("sides") === "1";
  toggleSides();
  state.zoom = number("zoom", 1, MAX_ZOOM) ?? 1;
  centreOn({ y: number("y", 0, rows - 1) ?? rows / 2, x: number("x", 0, columns - 1) ?? columns / 2 });
  restoring = false;
  show(number("z", 0, depth - 1));
  return true;
}

addEventListener("hashchange", follow);
