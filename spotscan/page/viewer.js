// The picture with its spots: zoom, pan, choose, and place points, without a round trip but for the choice.
// Positions are px of the upright photo; the view is the svg's viewBox.
const SVG = "http://www.w3.org/2000/svg";
const views = new WeakMap();

export default function (component) {
  const { data, parentElement, setTriggerValue } = component;
  if (!views.has(parentElement)) views.set(parentElement, new View(parentElement));
  views.get(parentElement).show(data, (event) => setTriggerValue("event", event));
}

class View {
  constructor(root) {
    this.frame = root.querySelector(".frame");
    this.svg = root.querySelector("svg.photo");
    this.image = this.svg.querySelector("image");
    this.lines = this.svg.querySelector(".lines");
    this.drawn = this.svg.querySelector(".drawn");
    this.bar = root.querySelector(".bar");
    this.legend = root.querySelector(".legend");
    this.live = root.querySelector(".live");
    this.pointers = new Map();
    this.points = [];
    this.numbered = false;
    this.frame.addEventListener("pointerdown", (e) => this.down(e));
    this.frame.addEventListener("pointermove", (e) => this.move(e));
    this.frame.addEventListener("pointerup", (e) => this.up(e));
    for (const end of ["pointercancel", "pointerleave"]) this.frame.addEventListener(end, (e) => this.forget(e));
    this.frame.addEventListener("wheel", (e) => this.wheel(e), { passive: false });
    this.frame.addEventListener("keydown", (e) => this.key(e));
    new ResizeObserver(() => this.data && this.draw()).observe(this.frame);
  }

  show(data, send) {
    const fresh = !this.data || this.data.photo !== data.photo;
    const moded = fresh || this.data.tool !== data.tool;
    const chosen = fresh || this.data.selected !== data.selected;
    this.data = data;
    this.send = send;
    if (fresh) {
      this.box = { x: -0.5, y: -0.5, w: data.width };
      this.frame.style.setProperty("--tall", `${(this.frame.clientWidth * data.height) / data.width}px`);
      this.image.setAttribute("href", data.photo);
      for (const [name, value] of Object.entries({ x: -0.5, y: -0.5, width: data.width, height: data.height }))
        this.image.setAttribute(name, value);
      this.buttons();
    }
    if (moded || data.tool === "add") this.points = []; // an added spot is drawn itself
    if (chosen) this.here = null;
    this.frame.classList.toggle("aim", data.tool !== "look");
    this.paint();
    if (chosen && data.selected != null) this.reveal(this.spot(data.selected));
    if (moded && data.tool !== "look") this.say(data.words[data.tool]);
    else if (moded) this.say(data.words.look);
  }

  get tall() { return (this.box.w * this.data.height) / this.data.width; }
  spot(id) { return this.data.spots.find((spot) => spot.id === id); }
  say(text) { this.live.textContent = text; }

  // How many photo px a CSS px of the screen is.
  get px() {
    const { clientWidth: w, clientHeight: h } = this.frame;
    return Math.max(this.box.w / Math.max(w, 1), this.tall / Math.max(h, 1));
  }

  // ---- drawing ----

  buttons() {
    const { words } = this.data;
    this.bar.setAttribute("aria-label", words.tools);
    const button = (text, label, act, pressed) => {
      const made = document.createElement("button");
      made.type = "button";
      made.textContent = text;
      made.setAttribute("aria-label", label);
      if (pressed !== undefined) made.setAttribute("aria-pressed", pressed);
      made.onclick = () => act(made);
      return made;
    };
    const toggle = (name, inverse) => (made) => {
      const on = this.lines.classList.toggle(name);
      made.setAttribute("aria-pressed", inverse ? !on : on);
    };
    this.lines.classList.remove("bare");
    this.lines.classList.add("unnumbered");
    this.bar.replaceChildren(
      button("+", words.zoom_in, () => this.zoom(1 / 1.5)),
      button("−", words.zoom_out, () => this.zoom(1.5)),
      button(words.whole, words.whole, () => this.zoom(1e9)),
      button(words.outlines, words.outlines, toggle("bare", true), true),
      button(words.numbers, words.numbers, toggle("unnumbered", true), false),
    );
  }

  paint() {
    const { data } = this;
    const others = data.outlines.map((d) => element("path", { d, class: "other" }));
    const spots = data.spots.map((spot) => {
      const group = element("g", { class: "spot", id: `spot-${spot.id}`, role: "option", "aria-label": spot.words });
      const shape = spot.path
        ? { tag: "path", at: { d: spot.path } }
        : { tag: "circle", at: { cx: spot.x, cy: spot.y, r: spot.r } };
      const ring = element("g", { class: "ring", role: "presentation" });
      ring.append(
        element(shape.tag, { ...shape.at, class: "halo", stroke: spot.halo }),
        element(shape.tag, { ...shape.at, class: "line", stroke: spot.colour, "stroke-dasharray": spot.dash }),
      );
      group.append(ring, element("text", {}, spot.id));
      return group;
    });
    this.lines.replaceChildren(...others, ...spots);
    this.legend.replaceChildren(
      ...data.legend.map((entry) => {
        const item = document.createElement("li");
        const swatch = element("svg", { viewBox: "0 0 42 14", "aria-hidden": "true" });
        swatch.append(
          element("path", { d: "M2 7H40", stroke: entry.halo, "stroke-width": 9 }),
          element("path", { d: "M3 7H39", stroke: entry.colour, "stroke-width": 4, "stroke-dasharray": entry.dash }),
        );
        item.append(swatch, document.createTextNode(entry.words));
        return item;
      }),
    );
    this.mark();
    this.draw();
  }

  mark() {
    const { selected, tool, words, spots } = this.data;
    const aim = tool !== "look";
    for (const group of this.lines.querySelectorAll(".spot")) {
      const chosen = group.id === `spot-${selected}`;
      group.classList.toggle("chosen", chosen);
      group.classList.toggle("here", group.id === `spot-${this.here}`);
      group.setAttribute("aria-selected", chosen);
    }
    // One thing for Tab to reach: a list of spots, or a place to aim at.
    this.frame.setAttribute("role", aim ? "application" : spots.length ? "listbox" : "img");
    this.frame.setAttribute("aria-label", aim ? words[tool] : words.label);
    const active = this.here ?? selected;
    if (!aim && active != null) this.frame.setAttribute("aria-activedescendant", `spot-${active}`);
    else this.frame.removeAttribute("aria-activedescendant");
  }

  draw() {
    const { x, y, w } = this.box;
    this.svg.setAttribute("viewBox", `${x} ${y} ${w} ${this.tall}`);
    const px = this.px;
    for (const [place, group] of this.lines.querySelectorAll(".spot").entries()) {
      const spot = this.data.spots[place];
      const [ring, text] = group.children;
      const grown = 1 + (3 * px) / spot.r; // around the mark, never over it
      ring.setAttribute("transform", `translate(${spot.x} ${spot.y}) scale(${grown}) translate(${-spot.x} ${-spot.y})`);
      text.setAttribute("x", spot.x + spot.r + 6 * px);
      text.setAttribute("y", spot.y + 5 * px);
      text.setAttribute("font-size", 14 * px);
      text.setAttribute("stroke-width", 3 * px);
    }
    const whole = w >= this.data.width * 0.999;
    this.frame.style.touchAction = whole ? "pan-y" : "none";
    const crosses = this.points.map(([cx, cy]) => cross(cx, cy, 9 * px));
    const between = this.points.length === 2 ? this.points.map((p) => p.join(" ")).join("L") : null;
    const paths = [...crosses, ...(between ? [`M${between}`] : []), ...(this.aim ? [cross(...this.aim, 16 * px)] : [])];
    this.drawn.replaceChildren(
      ...paths.flatMap((d) => [element("path", { d, class: "shade" }), element("path", { d })]),
    );
  }

  // ---- moving ----

  zoom(factor, at) {
    const { data, box } = this;
    const [cx, cy] = at ?? [box.x + box.w / 2, box.y + this.tall / 2];
    const w = Math.min(data.width, Math.max(data.width / 40, box.w * factor));
    const share = w / box.w;
    this.place(cx - (cx - box.x) * share, cy - (cy - box.y) * share, w);
  }

  place(x, y, w) {
    const { width, height } = this.data;
    const h = (w * height) / width;
    const within = (value, most) => Math.min(Math.max(value, -0.5), most - 0.5);
    this.box = { x: within(x, width - w), y: within(y, height - h), w };
    this.draw();
  }

  // Bring a spot into view; leave the view alone where it is there already.
  reveal(spot) {
    if (!spot) return;
    const { x, y, w } = this.box;
    const inside = spot.x > x && spot.x < x + w && spot.y > y && spot.y < y + this.tall;
    if (!inside) this.place(spot.x - w / 2, spot.y - this.tall / 2, w);
  }

  toPhoto(e) {
    const point = new DOMPoint(e.clientX, e.clientY).matrixTransform(this.svg.getScreenCTM().inverse());
    return [point.x, point.y];
  }

  down(e) {
    if (e.button > 0) return;
    this.pointers.set(e.pointerId, { x: e.clientX, y: e.clientY });
    if (this.pointers.size === 1) this.moved = 0;
    else this.moved = Infinity;
  }

  move(e) {
    const from = this.pointers.get(e.pointerId);
    if (!from) return;
    const before = [...this.pointers.values()].map((p) => ({ ...p }));
    const [dx, dy] = [e.clientX - from.x, e.clientY - from.y];
    from.x = e.clientX;
    from.y = e.clientY;
    this.moved += Math.hypot(dx, dy);
    if (this.pointers.size === 2) {
      const after = [...this.pointers.values()];
      const apart = ([a, b]) => Math.hypot(a.x - b.x, a.y - b.y);
      const middle = { clientX: (after[0].x + after[1].x) / 2, clientY: (after[0].y + after[1].y) / 2 };
      this.zoom(apart(before) / Math.max(apart(after), 1), this.toPhoto(middle));
      this.place(this.box.x - (dx / 2) * this.px, this.box.y - (dy / 2) * this.px, this.box.w);
    } else if (this.moved > 6 && (e.pointerType !== "touch" || this.frame.style.touchAction === "none")) {
      this.place(this.box.x - dx * this.px, this.box.y - dy * this.px, this.box.w);
    }
  }

  up(e) {
    if (!this.pointers.delete(e.pointerId) || this.pointers.size || this.moved > 6) return;
    this.tap(this.toPhoto(e));
  }

  forget(e) { this.pointers.delete(e.pointerId); }

  // The page scrolls under the wheel until the picture is the one in use.
  wheel(e) {
    const inUse = this.frame.getRootNode().activeElement === this.frame;
    if (!e.ctrlKey && !e.metaKey && !inUse) return;
    e.preventDefault();
    this.zoom(Math.exp(Math.max(-60, Math.min(60, e.deltaY)) * 0.004), this.toPhoto(e));
  }

  // ---- choosing ----

  tap([x, y]) {
    const { data } = this;
    if (x < -0.5 || y < -0.5 || x > data.width - 0.5 || y > data.height - 0.5) return;
    if (data.tool === "look") {
      const near = data.spots
        .map((spot) => ({ spot, off: Math.hypot(spot.x - x, spot.y - y) - spot.r }))
        .sort((a, b) => a.off - b.off)[0];
      if (near && near.off < 18 * this.px) this.choose(near.spot.id);
      return;
    }
    const at = [Math.round(x * 100) / 100, Math.round(y * 100) / 100];
    const click_err_px = Math.max(1, this.px * 1.5);
    if (data.tool === "add") {
      this.points = [at];
      this.send({ what: "add", at, click_err_px });
    } else {
      this.points = this.points.length === 2 ? [at] : [...this.points, at];
      if (this.points.length === 2) this.send({ what: "scale", points: this.points, click_err_px });
    }
    this.draw();
  }

  choose(id) {
    this.data.selected = id;
    this.here = null;
    this.mark();
    this.say(this.spot(id).words);
    this.send({ what: "look", id });
  }

  key(e) {
    const act = this.data.tool === "look" ? this.keyList(e) : this.keyAim(e);
    const zoom = { "+": 1 / 1.5, "=": 1 / 1.5, "-": 1.5, 0: 1e9 }[e.key];
    if (zoom) this.zoom(zoom);
    if (act || zoom) e.preventDefault();
  }

  // Arrows go to the nearest spot that way; Home and End to the first and the last.
  keyList(e) {
    const { spots, selected } = this.data;
    if (!spots.length) return false;
    const now = this.spot(this.here ?? selected);
    if ((e.key === "Enter" || e.key === " ") && now) return this.choose(now.id), true;
    const way = { ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowDown: [0, 1], ArrowUp: [0, -1] }[e.key];
    let next = { Home: spots[0], End: spots[spots.length - 1] }[e.key];
    if (way && !now) next = spots[0];
    else if (way)
      next = spots
        .map((spot) => {
          const [dx, dy] = [spot.x - now.x, spot.y - now.y];
          const along = dx * way[0] + dy * way[1];
          const aside = Math.abs(dx * way[1]) + Math.abs(dy * way[0]);
          return { spot, cost: along > 0 && along >= aside / 2 ? along + 2 * aside : Infinity };
        })
        .sort((a, b) => a.cost - b.cost)
        .filter((one) => one.cost < Infinity)[0]?.spot;
    if (!next) return Boolean(way);
    this.here = next.id;
    this.reveal(next);
    this.mark();
    this.say(next.words);
    return true;
  }

  keyAim(e) {
    const step = (e.shiftKey ? 2 : 12) * this.px;
    const way = { ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowDown: [0, 1], ArrowUp: [0, -1] }[e.key];
    if (way) {
      const [x, y] = this.aim ?? [this.box.x + this.box.w / 2, this.box.y + this.tall / 2];
      this.aim = [x + way[0] * step, y + way[1] * step];
      this.reveal({ x: this.aim[0], y: this.aim[1] });
      this.draw();
      return true;
    }
    if ((e.key === "Enter" || e.key === " ") && this.aim) {
      const at = this.aim;
      this.aim = null;
      this.tap(at);
      return true;
    }
    return false;
  }
}

function element(name, attributes, text) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) if (value != null) made.setAttribute(key, value);
  if (text !== undefined) made.textContent = text;
  return made;
}

const cross = (x, y, r) => `M${x - r} ${y}H${x + r}M${x} ${y - r}V${y + r}`;
