// Views from the side, xz and yz: made from smaller copies of all sections, which are read when they are first wanted.
const SIDE_PIXELS = 320; // longest side of a copy
const SIDE_VOXELS = 48e6; // of all copies of a volume, one byte each for the grey value and for what is there
const CODE_STEP = 20; // between the reds that stand for what an object is drawn as
let small = null; // the copies of the volume that is shown: they grow from the section in view

function colorOf(kind) {
  const hex = getComputedStyle(document.documentElement).getPropertyValue(`--${kind}`).trim();
  return [1, 3, 5].map((from) => parseInt(hex.slice(from, from + 2), 16));
}

function prepareSides() {
  const [depth, rows, columns] = volume().shape;
  const scale = Math.min(1, SIDE_PIXELS / Math.max(rows, columns), Math.sqrt(SIDE_VOXELS / (depth * rows * columns)));
  const height = Math.max(1, Math.round(rows * scale)), width = Math.max(1, Math.round(columns * scale));
  const sheet = new OffscreenCanvas(width, height);
  small = {
    number: state.volume, depth, height, width, done: 0, read: new Uint8Array(depth),
    gray: new Uint8Array(depth * height * width), code: new Uint8Array(depth * height * width),
    pen: sheet.getContext("2d", { willReadFrequently: true }),
  };
}

async function copySection(copies, z) {
  const { pen, width, height, number } = copies, first = z * width * height;
  const bytes = Uint8Array.from(atob(read("pictures", number, z).raw), (letter) => letter.charCodeAt(0));
  const image = await createImageBitmap(new Blob([bytes]), { resizeWidth: width, resizeHeight: height, resizeQuality: "medium" });
  pen.resetTransform();
  pen.drawImage(image, 0, 0);
  image.close();
  const gray = pen.getImageData(0, 0, width, height).data;
  pen.clearRect(0, 0, width, height);
  const { units, shape: [, rows, columns] } = volumes[number];
  pen.setTransform(width / (columns * units), 0, 0, height / (rows * units), 0, 0);
  for (const [code, , d] of read("outlines", number, z).outlines) {
    if (codes[code] === "annotated") continue; // it lies on what was predicted
    pen.fillStyle = `rgb(${(code + 1) * CODE_STEP} 0 0)`;
    pen.fill(new Path2D(d), "evenodd");
  }
  const drawn = pen.getImageData(0, 0, width, height).data;
  for (let i = 0; i < width * height; i += 1) {
    copies.gray[first + i] = gray[4 * i];
    const red = drawn[4 * i], code = Math.round(red / CODE_STEP); // where two objects touch, their reds mix
    copies.code[first + i] = drawn[4 * i + 3] > 100 && Math.abs(red - code * CODE_STEP) < 3 ? code : 0;
  }
  copies.read[z] = 1;
  copies.done += 1;
}

// Read all sections, those near the one in view first; ends when the views are closed or another volume is opened.
async function copySections() {
  if (!small || small.number !== state.volume) prepareSides();
  const copies = small, order = [...copies.read.keys()].sort((a, b) => Math.abs(a - state.z) - Math.abs(b - state.z));
  for (const z of order) {
    if (copies !== small || !at("show-sides").checked) return;
    if (copies.read[z]) continue;
    await copySection(copies, z);
    if (copies.done % 8 === 0) {
      drawSides();
      await new Promise((resume) => setTimeout(resume)); // hands come first
    }
  }
  drawSides();
}

// Draw one view, at most so high, and return its height: `pixelAt` maps its column and row to a voxel of the copies.
function drawSide(id, most, columns, rows, pixelAt, aspect, cross) {
  const view = at(id), room = view.parentElement;
  const picture = new ImageData(columns, rows), shownKinds = codes.map((kind) => kinds.includes(kind) && at(`show-${kind}`).checked);
  const colors = codes.map(colorOf), solid = 0.6 * at("outline-opacity").value / 100;
  for (let row = 0, i = 0; row < rows; row += 1) {
    for (let column = 0; column < columns; column += 1, i += 4) {
      const voxel = pixelAt(column, row), code = small.code[voxel] - 1, gray = small.gray[voxel];
      const share = code >= 0 && shownKinds[code] ? solid : 0;
      for (let c = 0; c < 3; c += 1) picture.data[i + c] = (1 - share) * gray + (share ? share * colors[code][c] : 0);
      picture.data[i + 3] = 255;
    }
  }
  const sheet = new OffscreenCanvas(columns, rows);
  sheet.getContext("2d").putImageData(picture, 0, 0);
  const width = Math.min(room.clientWidth, most * aspect), ratio = devicePixelRatio || 1;
  Object.assign(view.style, { width: `${width}px`, height: `${width / aspect}px` });
  Object.assign(view, { width: Math.max(1, Math.round(width * ratio)), height: Math.max(1, Math.round(width / aspect * ratio)) });
  const pen = view.getContext("2d");
  pen.filter = getComputedStyle(raw).filter;
  pen.drawImage(sheet, 0, 0, view.width, view.height);
  pen.filter = "none";
  pen.strokeStyle = "#ffffffb0";
  const x = Math.round(cross.x * view.width) + 0.5, y = Math.round(cross.y * view.height) + 0.5;
  pen.stroke(new Path2D(`M0 ${y}H${view.width}M${x} 0V${view.height}`));
  return width / aspect;
}

function drawSides() {
  const open = at("show-sides").checked;
  at("sides").hidden = !open;
  if (!open || !small || small.number !== state.volume) return;
  const [depth, rows, columns] = volume().shape, [deep, high, wide] = volume().spacing_nm;
  const { width, height } = small, { y, x } = state.cross;
  const at_y = clamp(Math.floor((y + 0.5) / rows * height), 0, height - 1);
  const at_x = clamp(Math.floor((x + 0.5) / columns * width), 0, width - 1);
  const most = stage.clientHeight - 70; // without what is written below the views
  const z = (state.z + 0.5) / depth;
  const taken = drawSide("xz", most / 2, width, depth, (column, row) => (row * height + at_y) * width + column,
    columns * wide / (depth * deep), { x: (x + 0.5) / columns, y: z });
  drawSide("yz", most - taken, depth, height, (column, row) => (column * height + row) * width + at_x,
    depth * deep / (rows * high), { x: z, y: (y + 0.5) / rows });
  at("xz-is").textContent = `xz at y ${Math.round(y)}`;
  at("yz-is").textContent = `yz at x ${Math.round(x)}`;
  at("xz").setAttribute("aria-label", `cut along x and z at y ${Math.round(y)}; z grows downward`);
  at("yz").setAttribute("aria-label", `cut along z and y at x ${Math.round(x)}; z grows to the right`);
  at("sides-read").hidden = small.done === depth;
  at("sides-read").textContent = `${small.done} of ${depth} sections read`;
}

function goAlong(event, id) {
  const box = at(id).getBoundingClientRect(), [depth, rows, columns] = volume().shape;
  const x = (event.clientX - box.left) / box.width, y = (event.clientY - box.top) / box.height;
  if (id === "xz") state.cross.x = clamp(x * columns - 0.5, 0, columns - 1);
  else state.cross.y = clamp(y * rows - 0.5, 0, rows - 1);
  show(Math.floor((id === "xz" ? y : x) * depth));
}
