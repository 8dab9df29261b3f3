"use strict";
/* The terms of one number of a trace document (docs/tracing.md), worked out from options and arrays; those of other operations stand in the document.
   A term is a list of factors [array name, place or null, value, text]; the sum of the terms' products is the number. */
const Terms = (() => {
  const product = (sizes) => sizes.reduce((all, size) => all.flatMap((place) => Array.from({ length: size }, (_, i) => [...place, i])), [[]]);
  const cross = (lists) => lists.reduce((all, list) => all.flatMap((part) => list.map((item) => [...part, item])), [[]]);

  function flat(shape, place) {
    let index = 0;
    for (let axis = 0; axis < shape.length; axis++) index = index * shape[axis] + place[axis];
    return index;
  }

  const number = (value) => (typeof value === "string" ? Number(value) : value);
  const read = (array, place) => number(array.data[flat(array.shape, place)]);

  /* The arrays of a box by the formula's names; delta is the message that came. */
  function operands(doc, box) {
    const shelf = (index) => (index === null || index === undefined ? null : doc.arrays[index]);
    const found = { delta: shelf(box.message), y: shelf(box.output) };
    for (const [name, { kind, value }] of Object.entries(box.operands)) {
      if (kind === "input") found[name] = shelf(box.inputs[value].array);
      else if (kind === "parameter") found[name] = box.parameters[value] ? shelf(box.parameters[value].array) : null;
      else found[name] = shelf(value);
    }
    return found;
  }

  const spread = (value, axes) => (Array.isArray(value) ? value : Array(axes).fill(value));

  /* Windows over the axes of a map: where each tap looks, which windows see a cell. */
  function grid(size, kernel, out, options) {
    const axes = size.length;
    const stride = spread(options.stride ?? kernel, axes);
    const dilation = spread(options.dilation ?? 1, axes);
    const padding = options.padding ?? 0;
    const before =
      padding === "same" ? kernel.map((k, a) => Math.floor((dilation[a] * (k - 1)) / 2)) : padding === "valid" ? spread(0, axes) : spread(padding, axes);
    const position = (window, tap) => window.map((i, a) => i * stride[a] - before[a] + dilation[a] * tap[a]);
    const inside = (place) => place.every((p, a) => p >= 0 && p < size[a]);
    const taps = product(kernel);
    const seers = (place) =>
      cross(
        place.map((p, a) => {
          const pairs = [];
          for (let i = 0; i < out[a]; i++) for (let u = 0; u < kernel[a]; u++) if (i * stride[a] - before[a] + dilation[a] * u === p) pairs.push([i, u]);
          return pairs;
        }),
      ).map((pairs) => [pairs.map((pair) => pair[0]), pairs.map((pair) => pair[1])]);
    const cells = (window) => taps.map((tap) => position(window, tap)).filter(inside);
    const covered = (window) =>
      window.reduce((all, i, a) => {
        let reached = 0;
        for (let u = 0; u < kernel[a]; u++) if (i * stride[a] - before[a] + u < size[a] + before[a]) reached++;
        return all * reached;
      }, 1);
    return { position, inside, taps, seers, cells, covered };
  }

  function convolution(box, of, place, { x, weight, bias, delta, y }) {
    const [, channels, ...size] = x.shape;
    const [filters, share, ...kernel] = weight.shape;
    const each = filters / box.options.groups;
    const windows = grid(size, kernel, y.shape.slice(2), box.options);
    const seen = (n, c, p) => (windows.inside(p) ? ["x", [n, c, ...p], read(x, [n, c, ...p]), ""] : ["padding", null, 0, "outside the input"]);
    const entry = (name, array, at) => [name, at, read(array, at), ""];
    const terms = [];
    if (of === "y") {
      const [n, k, ...window] = place;
      for (let c = 0; c < share; c++)
        for (const tap of windows.taps)
          terms.push([seen(n, Math.floor(k / each) * share + c, windows.position(window, tap)), entry("weight", weight, [k, c, ...tap])]);
      if (bias) terms.push([entry("bias", bias, [k])]);
    } else if (of === "weight") {
      const [k, c, ...tap] = place;
      for (let n = 0; n < x.shape[0]; n++)
        for (const window of product(y.shape.slice(2)))
          terms.push([entry("delta", delta, [n, k, ...window]), seen(n, Math.floor(k / each) * share + c, windows.position(window, tap))]);
    } else if (of === "bias") {
      for (let n = 0; n < x.shape[0]; n++) for (const window of product(y.shape.slice(2))) terms.push([entry("delta", delta, [n, place[0], ...window])]);
    } else {
      const [n, c, ...cell] = place;
      const first = Math.floor(c / share) * each;
      for (let k = first; k < first + each; k++)
        for (const [window, tap] of windows.seers(cell))
          terms.push([entry("delta", delta, [n, k, ...window]), entry("weight", weight, [k, c % share, ...tap])]);
    }
    return { terms, channels };
  }

  function linear(box, of, place, { x, weight, bias, delta }) {
    const entry = (name, array, at) => [name, at, read(array, at), ""];
    const samples = product(x.shape.slice(0, -1));
    const n = place.slice(0, -1);
    const last = place[place.length - 1];
    const count = (length) => Array.from({ length }, (_, i) => i);
    if (of === "y") {
      const terms = count(weight.shape[1]).map((f) => [entry("x", x, [...n, f]), entry("weight", weight, [last, f])]);
      return { terms: bias ? [...terms, [entry("bias", bias, [last])]] : terms };
    }
    if (of === "weight") return { terms: samples.map((s) => [entry("delta", delta, [...s, place[0]]), entry("x", x, [...s, last])]) };
    if (of === "bias") return { terms: samples.map((s) => [entry("delta", delta, [...s, last])]) };
    return { terms: count(weight.shape[0]).map((k) => [entry("delta", delta, [...n, k]), entry("weight", weight, [k, last])]) };
  }

  function pool(box, of, place, { x, delta, y }) {
    const [n, c, ...cell] = place;
    const size = x.shape.slice(2);
    const windows = grid(size, spread(box.options.kernel, size.length), y.shape.slice(2), box.options);
    const value = (p) => read(x, [n, c, ...p]);
    const distinct = (list) => list.filter((item, i) => list.findIndex((other) => String(other) === String(item)) === i);
    const sees = distinct(of === "y" ? [] : windows.seers(cell).map(([window]) => window));
    if (box.formula.startsWith("max")) {
      const winner = (cells) => cells.reduce((best, p) => (value(p) > value(best) ? p : best), cells[0]);
      if (of === "y") {
        const cells = windows.cells(cell);
        const won = String(winner(cells));
        const equals = cells.filter((p) => value(p) === value(winner(cells))).length;
        const note = equals > 1 ? `${equals} are equally large; the first, row by row, wins` : "";
        return { terms: cells.map((p) => [["x", [n, c, ...p], value(p), ""], ["switch", null, String(p) === won ? 1 : 0, ""]]), note };
      }
      return {
        terms: sees.map((i) => [
          ["delta", [n, c, ...i], read(delta, [n, c, ...i]), ""],
          ["switch", null, String(winner(windows.cells(i))) === String(cell) ? 1 : 0, ""],
        ]),
        beside: [["x", place]],
      };
    }
    const share = (i) => {
      const divisor = box.options.divisor_override ?? (box.options.count_include_pad ? windows.covered(i) : windows.cells(i).length);
      return ["1/n", null, 1 / divisor, `1/${divisor}`];
    };
    if (of === "y") return { terms: windows.cells(cell).map((p) => [["x", [n, c, ...p], value(p), ""], share(cell)]) };
    return { terms: sees.map((i) => [["delta", [n, c, ...i], read(delta, [n, c, ...i]), ""], share(i)]) };
  }

  /* y = f(x) number by number: f′(x) from x and y, and whether y is x times it. */
  const SLOPES = {
    relu: [(x) => (x > 0 ? 1 : 0), true],
    leaky_relu: [(x, _y, options) => (x > 0 ? 1 : options.negative_slope), true],
    sigmoid: [(_x, y) => y * (1 - y), false],
    tanh: [(_x, y) => 1 - y * y, false],
    scaled_tanh: [(_x, y, options) => options.amplitude * options.slope * (1 - (y / options.amplitude) ** 2), false],
  };

  function elementwise(box, of, place, { x, y, delta }) {
    const [slope, gate] = SLOPES[box.formula];
    const factor = ["f′(x)", null, slope(read(x, place), read(y, place), box.options), "f′(x)"];
    if (of !== "y") return { terms: [[["delta", place, read(delta, place), ""], factor]], beside: [["x", place]] };
    if (gate) return { terms: [[["x", place, read(x, place), ""], factor]] };
    return { terms: [[["f(x)", null, read(y, place), `f(${read(x, place)})`]]], beside: [["x", place]] };
  }

  function flatten(box, of, place, { x, y, delta }) {
    const [name, array] = of === "y" ? ["x", x] : ["delta", delta];
    let index = flat(of === "y" ? y.shape : x.shape, place);
    const at = array.shape.map(() => 0);
    for (let axis = array.shape.length - 1; axis >= 0; axis--) {
      at[axis] = index % array.shape[axis];
      index = Math.floor(index / array.shape[axis]);
    }
    return { terms: [[[name, at, read(array, at), ""]]] };
  }

  function add(box, of, place, arrays) {
    if (of !== "y") return { terms: [[["delta", place, read(arrays.delta, place), ""]]] };
    return { terms: Object.keys(box.operands).map((name) => [[name, place, read(arrays[name], place), ""]]) };
  }

  const COUNTED = {
    relu: elementwise,
    leaky_relu: elementwise,
    sigmoid: elementwise,
    tanh: elementwise,
    scaled_tanh: elementwise,
    flatten,
    add,
    conv1d: convolution,
    conv2d: convolution,
    linear,
    max_pool1d: pool,
    max_pool2d: pool,
    avg_pool1d: pool,
    avg_pool2d: pool,
  };

  /* The terms of the number at `place` in `of` ("y", an input's or a parameter's name), or null where they are not known. */
  function of(doc, box, name, place) {
    const written = box.terms[name] && box.terms[name][place.join(",")];
    if (written) return written;
    const count = box.formula && COUNTED[box.formula];
    if (!count) return null;
    const arrays = operands(doc, box);
    if (name !== "y" && !arrays.delta) return null;
    const found = count(box, name, place, arrays);
    return { terms: found.terms, note: found.note ?? "", then: "", beside: found.beside ?? [] };
  }

  const value = (told) => {
    const total = told.terms.reduce((sum, term) => sum + term.reduce((all, factor) => all * number(factor[2]), 1), 0);
    return told.then ? Math.sqrt(total) : total;
  };

  return { of, value, operands, read, flat };
})();
if (typeof module !== "undefined") module.exports = Terms;
