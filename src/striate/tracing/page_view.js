"use strict";
(() => {
  const doc = JSON.parse(document.getElementById("document").textContent);
  const { number, short, shapeText, key, make, laidOut, draw, rangeBar } = Maps;
  const $ = (id) => document.getElementById(id);
  const MANY = 96; // maps of a panel that are drawn before one asks for more
  const count = doc.boxes.length;
  const steps = [...doc.boxes.keys()].map((box) => ({ box, pass: "forward" })).concat([...doc.boxes.keys()].reverse().map((box) => ({ box, pass: "backward" })));
  const state = { step: 0, of: null, place: null, sample: 0, all: new Set(), hover: null };
  let panels = [];
  let lit = new Map();

  /* Panels: the arrays of a step. `of` is the formula's name for it; `terms` says that clicking tells how the number came about. */
  function panelsOf(step) {
    const box = doc.boxes[step.box];
    const found = [];
    const add = (of, title, index, options = {}) => {
      if (index !== null && index !== undefined) found.push({ of, title, array: doc.arrays[index], ...options });
    };
    const nameOf = (kind, value) => Object.keys(box.operands).find((name) => box.operands[name].kind === kind && box.operands[name].value === value) ?? null;
    const weighs = (name) => name === "weight" || name === "bias"; // a function takes its parameters as inputs: they have no samples
    const several = box.inputs.length > 1;
    const inputs = () =>
      box.inputs.forEach((input, i) => {
        const from = input.source === null ? "" : input.source === "input" ? "the network’s input" : `from ${input.source}`;
        add(nameOf("input", i) ?? `input ${i}`, several ? `Input ${i}` : "Input", input.array, { samples: !weighs(nameOf("input", i)), from, source: input.source });
      });
    const parameters = () => Object.entries(box.parameters).forEach(([name, parameter]) => add(nameOf("parameter", name) ?? name, name, parameter.array));
    const values = () => {
      for (const [name, operand] of Object.entries(box.operands)) if (operand.kind === "value") add(name, name, operand.value);
    };
    if (step.pass === "forward") {
      inputs();
      add("y", "Output", box.output, { samples: true, terms: true });
      parameters();
      values();
    } else {
      add("delta", "Message that comes, δ = ∂loss/∂output", box.message, { samples: true });
      for (const [name, parameter] of Object.entries(box.parameters))
        add(nameOf("parameter", name) ?? name, `Gradient of ${name}`, parameter.gradient, { terms: true, gradient: true });
      box.inputs.forEach((input, i) =>
        add(nameOf("input", i) ?? `input ${i}`, `Message sent back, ∂loss/∂input${several ? ` ${i}` : ""}`, input.message, { samples: !weighs(nameOf("input", i)), terms: true, gradient: true }),
      );
      inputs();
      parameters();
      values();
    }
    for (const panel of found) panel.id = panel.terms ? `${panel.gradient ? "d" : ""}${panel.of}` : panel.of;
    return found.map((panel) => laidOut(panel, state.sample));
  }

  function redraw() {
    for (const panel of panels) for (const [lead, canvas] of panel.canvases.values()) draw(panel, lead, canvas, lit.get(panel.id));
  }

  function showPanels() {
    const step = steps[state.step];
    panels = panelsOf(step);
    const holder = $("panels");
    holder.replaceChildren();
    for (const panel of panels) {
      const head = make("div", { className: "head" }, make("h3", { textContent: panel.title }));
      head.append(make("span", { className: "range", textContent: [shapeText(panel.array.shape), panel.from].filter(Boolean).join(", ") }));
      if (panel.array.data.length > 1) head.append(rangeBar(panel));
      const maps = make("div", { className: "maps" });
      const wanted = state.all.has(panel.id) ? panel.leads : panel.leads.slice(0, MANY);
      wanted.forEach((lead, i) => maps.append(mapOf(panel, lead, i)));
      const node = make("section", { className: "panel" }, head, maps);
      if (wanted.length < panel.leads.length) {
        const more = make("button", { type: "button", textContent: `Show all ${panel.leads.length} maps` });
        more.addEventListener("click", () => {
          state.all.add(panel.id);
          showPanels();
          choose(state.of, state.place);
        });
        node.append(make("p", { className: "more" }, more));
      }
      holder.append(node);
    }
  }

  function mapOf(panel, lead, i) {
    const canvas = make("canvas", { tabIndex: panel.terms && i === 0 ? 0 : -1 });
    const label = lead.slice(panel.samples && panel.leadRank ? 1 : 0).join(", ");
    canvas.setAttribute("role", "application");
    canvas.setAttribute("aria-label", `${panel.title}${label ? `, map ${label}` : ""}: ${panel.rows} rows, ${panel.cols} columns; arrow keys choose a number`);
    panel.canvases.set(key(lead), [lead, canvas]);
    draw(panel, lead, canvas, lit.get(panel.id));
    canvas.addEventListener("click", (event) => {
      const box = canvas.getBoundingClientRect();
      const c = Math.floor(((event.clientX - box.left) / box.width) * panel.cols);
      const r = Math.floor(((event.clientY - box.top) / box.height) * panel.rows);
      const place = panel.toPlace(lead, Math.min(r, panel.rows - 1), Math.min(c, panel.cols - 1));
      if (place) choose(panel.id, place);
    });
    canvas.addEventListener("keydown", (event) => {
      const moves = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0], Enter: [0, 0], " ": [0, 0] };
      const turn = { PageDown: 1, PageUp: -1 }[event.key];
      if (turn) {
        const others = [...panel.canvases.values()];
        const other = others[others.findIndex(([, each]) => each === canvas) + turn];
        if (other) {
          other[1].focus();
          choose(panel.id, panel.toPlace(other[0], 0, 0));
        }
        event.preventDefault();
        return;
      }
      if (!moves[event.key]) return;
      event.preventDefault();
      event.stopPropagation();
      const here = state.of === panel.id && state.place && key(state.place.slice(0, lead.length)) === key(lead) ? panel.toCell(state.place) : null;
      const [r, c] = here ?? [0, 0];
      const [dr, dc] = here ? moves[event.key] : [0, 0];
      const place = panel.toPlace(lead, Math.max(0, Math.min(panel.rows - 1, r + dr)), Math.max(0, Math.min(panel.cols - 1, c + dc)));
      if (place) choose(panel.id, place);
    });
    const figure = make("figure", { className: "map" });
    if (label !== "" && panel.leads.length > 1) figure.append(make("figcaption", { textContent: label }));
    figure.append(canvas);
    return figure;
  }

  /* Choosing a number: its terms on the side, their factors lit on the maps. */
  function choose(id, place) {
    const step = steps[state.step];
    const box = doc.boxes[step.box];
    const panel = panels.find((each) => each.id === id);
    const valid = panel && place && place.length === panel.array.shape.length && place.every((p, a) => p >= 0 && p < panel.array.shape[a]);
    state.of = valid ? id : null;
    state.place = valid ? place : null;
    lit = new Map();
    state.hover = null;
    const body = $("sum-body");
    body.replaceChildren();
    remember();
    if (!valid) {
      const clickable = panels.filter((each) => each.terms).map((each) => each.title.toLowerCase().split(",")[0]);
      body.append(make("p", { className: "none", textContent: clickable.length ? `Choose a number of the ${clickable.join(" or the ")} to see its terms.` : "" }));
      redraw();
      return;
    }
    const value = number(Terms.read(panel.array, place));
    const name = panel.terms ? `${box.name}: ${panel.gradient ? "∂loss/∂" : ""}${panel.of}[${place.join(", ")}]` : `${panel.of}[${place.join(", ")}]`;
    body.append(make("p", { className: "name", textContent: name }), make("p", { className: "value", textContent: `= ${short(value, 7)}` }));
    const mark = (of, at, kind) => {
      const target = panels.find((each) => each.id === of);
      if (!target || !at) return;
      if (!lit.has(of)) lit.set(of, new Map());
      lit.get(of).set(key(at), kind);
    };
    if (panel.terms) {
      const told = Terms.of(doc, box, panel.of, place);
      if (told) body.append(...spelled(told, value, mark));
      else body.append(make("p", { className: "none", textContent: untold(box, panel) }));
    } else body.append(...origin(panel, place));
    mark(id, place, "chosen");
    redraw();
  }

  function untold(box, panel) {
    if (box.untold) return `${box.untold}.`;
    if (!box.formula) return `striate has no formula for ${box.operation}; this number is ${panel.gradient ? "autograd’s" : "torch’s"}.`;
    return `Its terms are too many for this page; .explain("${box.name}", …) tells them.`;
  }

  /* The map a term belongs to; each begins a line of its own. */
  function group(term) {
    const factor = term.find(([, at]) => at && at.length > 2);
    return factor ? `${factor[0]} ${factor[1].slice(0, -2)}` : term.length;
  }

  function spelled(told, value, mark) {
    const list = make("p", { className: "terms" });
    const shown = told.terms.slice(0, 400);
    const paint = (strong) => {
      for (const term of [...told.terms, told.beside ?? []]) for (const [of, at] of term) mark(of, at, "lit");
      if (strong) for (const [of, at] of strong) mark(of, at, "hover");
      mark(state.of, state.place, "chosen");
      redraw();
    };
    if (told.then) list.append(`${told.then}( `);
    shown.forEach((term, i) => {
      const text = term.map(([, , factor]) => (number(factor) < 0 ? `(${short(factor)})` : short(factor))).join("·");
      const zero = term.some(([, , factor]) => number(factor) === 0);
      const node = make("span", { className: `term${zero ? " none" : ""}`, textContent: text });
      node.title = term.map(([of, at, factor, words]) => `${at ? `${of}[${at.join(", ")}]` : words || of} = ${short(factor, 7)}`).join("   ");
      node.addEventListener("pointerenter", () => paint(term));
      node.addEventListener("pointerleave", () => paint(null));
      if (i) list.append(" + ");
      if (i && group(term) !== group(shown[i - 1])) list.append(make("br"));
      list.append(node);
    });
    if (shown.length < told.terms.length) list.append(` + … and ${told.terms.length - shown.length} more`);
    if (told.then) list.append(" )");
    for (const term of [...told.terms, told.beside ?? []]) for (const [of, at] of term) mark(of, at, "lit");
    const sum = Terms.value(told);
    const good = Math.abs(sum - value) <= 1e-6 * Math.max(1, Math.abs(value), ...told.terms.map((term) => Math.abs(term.reduce((all, f) => all * number(f[2]), 1))));
    const check = make("p", { className: `check${good ? "" : " bad"}` });
    const many = told.terms.length;
    check.append(`${many} term${many === 1 ? "" : "s"}; the sum is ${short(sum, 7)} `, make("b", { textContent: good ? "✓ what torch computed" : `▲ torch computed ${short(value, 7)}` }));
    const found = [check, list];
    if (told.note) found.splice(1, 0, make("p", { className: "check", textContent: told.note }));
    return found;
  }

  function origin(panel, place) {
    const from = doc.boxes.findIndex((box) => box.name === panel.source);
    if (from < 0) return [make("p", { className: "none", textContent: panel.from ?? "" })];
    const go = make("button", { type: "button", textContent: `How ${panel.source} made it` });
    go.addEventListener("click", () => {
      const same = doc.arrays[doc.boxes[from].output].shape.length === place.length;
      show(from, same ? { of: "y", place } : {});
    });
    return [make("p", { textContent: `An output of ${panel.source}. ` }), go];
  }

  /* Steps */
  function show(step, { of = null, place = null, focus = false } = {}) {
    state.step = Math.max(0, Math.min(steps.length - 1, step));
    const { box: index, pass } = steps[state.step];
    const box = doc.boxes[index];
    $("count").textContent = `Step ${state.step + 1} of ${steps.length}, ${pass} pass`;
    const title = $("step-title");
    title.textContent = `${box.name}: ${box.operation}`;
    const rules = pass === "forward" ? [box.rules.y] : Object.entries(box.rules).filter(([name]) => name !== "y").map(([, rule]) => rule);
    $("rule").replaceChildren(...rules.filter(Boolean).flatMap((rule, i) => (i ? [make("br"), rule] : [rule])));
    const options = Object.entries(box.options).map(([name, value]) => `${name.replaceAll("_", " ")} ${spelledOption(value)}`);
    const worst = Object.values(box.deviations).map(number);
    const largest = Math.max(0, ...worst);
    const differ = largest ? `agree to ${largest.toExponential(0)} of the largest number` : "agree exactly";
    const checked = worst.length ? (box.agrees ? `Formula and torch ${differ}.` : "Formula and torch differ.") : "";
    $("what").textContent = [options.join(", "), checked, ...box.notes].filter(Boolean).join(options.length ? ". " : " ").replaceAll("..", ".");
    $("back").disabled = state.step === 0;
    $("next").disabled = state.step === steps.length - 1;
    for (const button of $("chain").children) {
      const own = Number(button.dataset.step);
      button.classList.toggle("passed", own < state.step);
      if (own === state.step) button.setAttribute("aria-current", "step");
      else button.removeAttribute("aria-current");
      if (own === state.step) $("chain").scrollLeft = button.offsetLeft - ($("chain").clientWidth - button.offsetWidth) / 2;
    }
    if ($("sample")) $("sample").value = state.sample;
    showPanels();
    choose(of, place);
    if (focus) title.focus({ preventScroll: true });
  }

  const spelledOption = (value) => {
    if (Array.isArray(value)) return value.every((part) => part === value[0]) ? String(value[0]) : value.join("×");
    return value === true ? "yes" : value === false ? "no" : value === null ? "none" : String(value);
  };

  function remember() {
    const { box, pass } = steps[state.step];
    const words = new URLSearchParams({ box: doc.boxes[box].name, pass });
    if (state.sample) words.set("sample", state.sample);
    if (state.of) {
      words.set("array", state.of);
      words.set("at", key(state.place));
    }
    try {
      history.replaceState(null, "", `#${words}`);
    } catch {
      /* a page without an address has none to keep */
    }
  }

  function recall() {
    const words = new URLSearchParams(location.hash.slice(1));
    const box = doc.boxes.findIndex((each) => each.name === words.get("box"));
    const at = words.get("at");
    state.sample = Number(words.get("sample")) || 0;
    if (box < 0) return show(0);
    const step = words.get("pass") === "backward" ? 2 * count - 1 - box : box;
    return show(step, { of: words.get("array"), place: at === null ? null : at === "" ? [] : at.split(",").map(Number) });
  }

  function header() {
    document.title = `${doc.title}: trace`;
    $("title").textContent = doc.title.replaceAll("->", "→");
    $("about").textContent = doc.about;
    $("verdict").textContent = doc.verdict;
    $("verdict").className = doc.agrees ? "good" : "bad";
    $("notes").replaceChildren(...doc.notes.map((note) => make("li", { textContent: note })));
    const first = doc.boxes[0] && doc.boxes[0].inputs[0] && doc.arrays[doc.boxes[0].inputs[0].array];
    const samples = first && first.shape.length > 1 ? first.shape[0] : 1;
    if (samples > 1) {
      const select = make("select", { id: "sample" }, ...Array.from({ length: samples }, (_, i) => make("option", { value: i, textContent: i })));
      select.addEventListener("change", () => {
        state.sample = Number(select.value);
        show(state.step);
      });
      $("notes").after(make("label", { className: "samples" }, "Sample ", select));
    }
    doc.boxes.forEach((box, i) => {
      for (const [step, kind] of [
        [i, "there"],
        [2 * count - 1 - i, "here"],
      ]) {
        const button = make("button", { type: "button", className: kind, textContent: box.name });
        button.dataset.step = step;
        button.setAttribute("aria-label", `${box.name}, ${kind === "there" ? "forward" : "backward"}`);
        button.addEventListener("click", () => show(step));
        $("chain").append(button);
      }
    });
    $("back").addEventListener("click", () => show(state.step - 1));
    $("next").addEventListener("click", () => show(state.step + 1));
    document.addEventListener("keydown", (event) => {
      if (event.altKey || event.ctrlKey || event.metaKey || ["SELECT", "INPUT"].includes(event.target.tagName)) return;
      if (event.key === "ArrowRight") show(state.step + 1, { focus: true });
      else if (event.key === "ArrowLeft") show(state.step - 1, { focus: true });
      else if (event.key === "Escape") choose(null, null);
    });
    window.addEventListener("hashchange", recall);
    window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
  }

  header();
  recall();
})();
