"use strict";
/* Arrays as maps on the screen: how they lie, how their numbers are spelled and coloured, which cells are marked. */
const Maps = (() => {
  const colours = JSON.parse(document.getElementById("maps").textContent);
  const FEW = 340; // cells of a panel whose numbers are written into them
  const make = (tag, properties = {}, ...children) => {
    const node = Object.assign(document.createElement(tag), properties);
    node.append(...children);
    return node;
  };
  const number = (value) => (typeof value === "string" ? Number(value) : value);
  const minus = (text) => text.replace("-", "−");
  function short(value, digits = 4) {
    value = number(value);
    if (!Number.isFinite(value)) return Number.isNaN(value) ? "–" : value > 0 ? "∞" : "−∞";
    if (Number.isInteger(value) && Math.abs(value) < 1e6) return minus(String(value));
    const size = Math.abs(value);
    if (size >= 1e6 || size < 1e-4) return minus(value.toExponential(Math.max(digits - 2, 1)).replace("e+", "e"));
    return minus(String(Number(value.toPrecision(digits))));
  }
  const shapeText = (shape) => (shape.length ? shape.join("×") : "one number");
  const key = (place) => place.join(",");

  /* How an array lies on the screen: leading axes make maps, the last two rows and columns; a vector is wrapped. */
  function laidOut(panel, sample) {
    const shape = panel.array.shape;
    const rank = shape.length;
    const vector = rank < 2 || (rank === 2 && panel.samples);
    const leadRank = vector ? Math.max(rank - 1, 0) : rank - 2;
    const length = vector ? (rank ? shape[rank - 1] : 1) : 0;
    const cols = vector ? (length <= 12 ? length : length <= FEW ? 10 : 20) : shape[rank - 1];
    const rows = vector ? Math.ceil(length / cols) : shape[rank - 2];
    const leads = shape.slice(0, leadRank).reduce((all, size) => all.flatMap((place) => Array.from({ length: size }, (_, i) => [...place, i])), [[]]);
    const shown = leads.filter((lead) => !panel.samples || !leadRank || lead[0] === sample);
    const toPlace = (lead, r, c) => {
      if (!vector) return [...lead, r, c];
      if (r * cols + c >= length) return null;
      return rank ? [...lead, r * cols + c] : [];
    };
    const toCell = (place) => {
      if (!vector) return [place[rank - 2], place[rank - 1]];
      const i = rank ? place[rank - 1] : 0;
      return [Math.floor(i / cols), i % cols];
    };
    const values = panel.array.data.map(number).filter(Number.isFinite);
    let low = Infinity;
    let high = -Infinity;
    for (const value of values) {
      if (value < low) low = value;
      if (value > high) high = value;
    }
    const cells = rows * cols * shown.length;
    const written = cells <= FEW;
    const widest = written ? Math.max(1, ...panel.array.data.map((value) => short(value, 3).length)) : 0;
    const width = written ? Math.max(30, 10 + 7.4 * widest) : Math.max(2, Math.min(shown.length > 24 ? 6 : 12, Math.floor((shown.length > 1 ? 260 : 640) / cols)));
    return { ...panel, vector, leadRank, cols, rows, leads: shown, toPlace, toCell, low, high, written, width, height: written ? 30 : width, canvases: new Map() };
  }

  const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
  function colour(value, reach) {
    if (!Number.isFinite(value)) return [128, 128, 128];
    const table = colours.signed;
    const place = ((value / (reach || 1) + 1) / 2) * (table.length - 1);
    const i = Math.max(0, Math.min(table.length - 2, Math.floor(place)));
    return table[i].map((part, channel) => Math.round(part + (table[i + 1][channel] - part) * Math.max(0, Math.min(1, place - i))));
  }
  const reachOf = (panel) => 1.15 * Math.max(Math.abs(panel.low), Math.abs(panel.high)); // the map's darkest ends are left out: words stand on it
  const bright = ([r, g, b]) => 0.299 * r + 0.587 * g + 0.114 * b > 140;

  function draw(panel, lead, canvas, marks) {
    const { rows, cols, width, height, written } = panel;
    const ratio = Math.max(1, window.devicePixelRatio || 1);
    canvas.width = Math.round(cols * width * ratio);
    canvas.height = Math.round(rows * height * ratio);
    canvas.style.width = `${cols * width}px`;
    canvas.style.height = `${rows * height}px`;
    const ink = canvas.getContext("2d");
    ink.scale(ratio, ratio);
    const reach = reachOf(panel);
    const paper = css("paper");
    ink.textAlign = "center";
    ink.textBaseline = "middle";
    ink.font = "13px system-ui, sans-serif";
    const gap = written ? 1 : width > 4 ? 0.5 : 0;
    const cells = [];
    for (let r = 0; r < rows; r++)
      for (let c = 0; c < cols; c++) {
        const place = panel.toPlace(lead, r, c);
        if (!place) continue;
        const value = number(panel.array.data[Terms.flat(panel.array.shape, place)]);
        const paint = colour(value, reach);
        const mark = marks && marks.get(key(place));
        ink.globalAlpha = marks && !mark ? 0.35 : 1;
        ink.fillStyle = `rgb(${paint})`;
        ink.fillRect(c * width, r * height, width - gap, height - gap);
        if (written) {
          ink.globalAlpha = marks && !mark ? 0.75 : 1;
          const faded = marks && !mark;
          ink.fillStyle = faded ? css("ink") : bright(paint) ? "#15171b" : "#ffffff";
          ink.fillText(short(value, 3), c * width + (width - gap) / 2, r * height + (height - gap) / 2 + 0.5);
        }
        if (mark) cells.push([r, c, mark]);
      }
    ink.globalAlpha = 1;
    for (const [r, c, mark] of cells) {
      const strong = mark === "chosen" || mark === "hover";
      const line = written ? (strong ? 3 : 1.5) : strong ? 2 : 1;
      const half = line / 2;
      ink.lineWidth = line;
      ink.strokeStyle = strong ? css("accent") : css("ink");
      ink.strokeRect(c * width + half, r * height + half, width - gap - line, height - gap - line);
      if (written && strong) {
        ink.lineWidth = 1;
        ink.strokeStyle = paper;
        ink.strokeRect(c * width + line + 0.5, r * height + line + 0.5, width - gap - 2 * line - 1, height - gap - 2 * line - 1);
      }
    }
  }

  function rangeBar(panel) {
    const canvas = make("canvas", { width: 80, height: 9 });
    const ink = canvas.getContext("2d");
    const reach = reachOf(panel);
    for (let i = 0; i < 80; i++) {
      ink.fillStyle = `rgb(${colour(panel.low + ((panel.high - panel.low) * i) / 79, reach)})`;
      ink.fillRect(i, 0, 1, 9);
    }
    canvas.setAttribute("aria-hidden", "true");
    return make("span", { className: "range" }, short(panel.low), canvas, short(panel.high));
  }

  return { number, short, shapeText, key, make, laidOut, draw, rangeBar };
})();
