"use strict";
(() => {
  const at = (id) => document.getElementById(id);
  const { charts, thresholds, sizes, sections } = JSON.parse(at("tried").textContent);
  const slider = at("threshold"), size = at("min-size");
  const written = (value) => value === null || value === undefined ? "undefined" : String(Number(value.toPrecision(4)));

  // Charts: circles on the lines, and the scores below.
  const figures = [...document.querySelectorAll("figure[data-chart]")].map((figure) => ({
    ...charts[figure.dataset.chart],
    paths: [...figure.querySelectorAll("path.series[d]")].filter((path) => path.closest("svg").getAttribute("role") === "img"),
    picture: figure.querySelector("svg[role=img]"),
    grid: [...figure.querySelectorAll("line.grid")],
    said: [...figure.querySelectorAll("[data-line]")],
  }));

  function follow(figure, i) {
    const [lowest, highest] = [figure.grid[0], figure.grid[figure.grid.length - 1]];
    const [left, right] = ["x1", "x2"].map((end) => Number(lowest.getAttribute(end)));
    const bottom = Number(lowest.getAttribute("y1")), room = bottom - Number(highest.getAttribute("y1"));
    for (const circle of figure.picture.querySelectorAll("circle")) circle.remove();
    let shown = 0;
    figure.lines.forEach((line, number) => {
      const visible = line.size === null || line.size === Number(size.value);
      figure.paths[number].toggleAttribute("hidden", !visible);
      if (!visible) return;
      const value = line.values[i];
      figure.said[shown].textContent = written(value);
      shown += 1;
      if (value === null) return;
      const circle = document.createElementNS("http://www.w3.org/2000/svg", "circle");
      const series = figure.paths[number].getAttribute("class").replace("series ", "");
      const place = { cx: left + thresholds[i] * (right - left), cy: bottom - Math.min(value / figure.top, 1.02) * room, r: 4.5 };
      for (const [key, own] of Object.entries({ class: `chosen ${series}`, ...place })) circle.setAttribute(key, own);
      figure.picture.append(circle);
    });
  }

  // Sections: grey values below, and what the setting finds above them, voxel by voxel.
  const COLORS = ["found", "invented", "missed"].map((kind) => {
    const hex = getComputedStyle(document.documentElement).getPropertyValue(`--${kind}`).trim();
    return [1, 3, 5].map((from) => parseInt(hex.slice(from, from + 2), 16));
  });

  async function pixels(text, type) {
    const image = new Image();
    image.src = `data:image/${type};base64,${text}`;
    await image.decode();
    const sheet = new OffscreenCanvas(image.naturalWidth, image.naturalHeight);
    const pen = sheet.getContext("2d", { willReadFrequently: true });
    pen.drawImage(image, 0, 0);
    return pen.getImageData(0, 0, sheet.width, sheet.height);
  }
  const first = (data) => data.data.filter((_, i) => i % 4 === 0); // of grey pixels

  const decoded = sections.map(async ({ raw, levels, truth }) => ({
    raw: await pixels(raw, "jpeg"),
    levels: await Promise.all(levels.map(async (one) => first(await pixels(one, "png")))),
    truth: first(await pixels(truth, "png")),
  }));

  async function draw(number, canvas) {
    const { raw, levels, truth } = await decoded[number];
    const level = levels[sizes.indexOf(Number(size.value))], above = Number(slider.value), shown = at("show").checked;
    const picture = new ImageData(new Uint8ClampedArray(raw.data), raw.width, raw.height);
    const counts = [0, 0, 0];
    for (let i = 0; i < level.length; i += 1) {
      const kind = level[i] > above ? (truth[i] ? 0 : 1) : truth[i] ? 2 : -1;
      if (kind < 0) continue;
      counts[kind] += 1;
      if (shown) for (let c = 0; c < 3; c += 1) picture.data[4 * i + c] = 0.4 * picture.data[4 * i + c] + 0.6 * COLORS[kind][c];
    }
    canvas.width = raw.width;
    canvas.height = raw.height;
    canvas.getContext("2d").putImageData(picture, 0, 0);
    const percent = (part, whole) => whole ? `${Math.round(100 * part / whole)} %` : "none";
    const [found, invented, missed] = counts;
    at(`share-${number}`).textContent =
      `found: ${percent(found, found + missed)} of the annotated · invented: ${percent(invented, found + invented)} of the predicted`;
  }

  function move() {
    const i = Number(slider.value);
    at("at").textContent = thresholds[i];
    slider.setAttribute("aria-valuetext", `${thresholds[i]}`);
    for (const figure of figures) follow(figure, i);
    document.querySelectorAll(".pictured canvas").forEach((canvas, number) => draw(number, canvas));
  }

  slider.addEventListener("input", move);
  size.addEventListener("change", move);
  if (at("show")) at("show").addEventListener("change", move);
  at("back").addEventListener("click", () => {
    slider.value = slider.dataset.best;
    size.value = size.dataset.best;
    move();
  });
  move();
})();
