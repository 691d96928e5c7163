// What the page holds, and how a section becomes pictures: they lie in the page as text, and are decoded when wanted.
const KEPT = 16; // decoded sections that stay in memory
const SVG = "http://www.w3.org/2000/svg";
const at = (id) => document.getElementById(id);
const { volumes, parts, codes, labelled, noun, kinds: described } = JSON.parse(at("entries").textContent);
const kinds = described.map((one) => one.key), titles = Object.fromEntries(described.map((one) => [one.key, one.title]));
const listable = kinds.filter((kind) => kind !== "annotated");
const keyOf = (object) => object.kind.replaceAll(" ", "_");
const stage = at("stage"), scene = at("scene"), raw = at("raw"), canvas = at("probability"), drawing = at("outlines");
const state = {
  volume: 0, z: 0, zoom: 1, x: 0, y: 0, // x, y: where the section's corner lies on the stage, in pixels
  chosen: null, // an object of the list
  cross: { y: 0, x: 0 }, // where the views from the side cut, in voxels
  shown: null, // the section that is drawn
};
const volume = () => volumes[state.volume];
const count = (number) => number.toLocaleString("en");
const clamp = (value, low, high) => Math.min(high, Math.max(low, value));
const cubic = (voxels) => {
  const [deep, high, wide] = volume().spacing_nm;
  return Number((voxels * deep * high * wide / 1e9).toPrecision(2));
};

function make(name, attributes, parent) {
  const node = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  parent.append(node);
  return node;
}

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

// Objects of the volume that is shown, by what they are drawn as.
let objects = new Map();
function indexObjects() {
  objects = new Map(volume().objects.map((one) => [`${keyOf(one)} ${one.id}`, one]));
}
