// Sprites of the map, drawn once for each theme and pixel density: one picture is cheaper than one path.
import { CHEVRON, DIAMOND } from "./glyphs.js";

const HEADINGS = 32, BOX = 28;
const NAMES = ["act", "go", "ok", "bad", "off", "t1", "map-land", "map-zone", "map-trace", "map-ink", "map-label"];

export class Sprites {
  constructor(stage) { this.stage = stage; this.clear(); }

  clear() { this.made = new Map(); this.known = null; }

  // Colours of the theme as the canvas understands them: a probe resolves them.
  get colours() {
    if (this.known) return this.known;
    const probe = document.createElement("i"), found = { font: getComputedStyle(this.stage).fontFamily };
    this.stage.append(probe);
    for (const name of NAMES) { probe.style.color = `var(--${name})`; found[name] = getComputedStyle(probe).color; }
    probe.remove();
    return this.known = found;
  }

  #make(key, paint) {
    const dpr = Math.min(2, devicePixelRatio || 1), full = `${key}@${dpr}`;
    let found = this.made.get(full);
    if (!found) {
      const canvas = new OffscreenCanvas(BOX * dpr, BOX * dpr), g = canvas.getContext("2d");
      g.scale(dpr, dpr); g.translate(BOX / 2, BOX / 2); g.lineJoin = "round";
      paint(g, this.colours);
      found = canvas.transferToImageBitmap();
      this.made.set(full, found);
    }
    return found;
  }

  #path(g, text, { fill, stroke, ink, size }) {
    const path = new Path2D(text);
    g.scale(size / 16, size / 16); g.translate(-8, -8);
    g.strokeStyle = ink; g.lineWidth = 4.6; g.stroke(path);
    g.fillStyle = fill; g.fill(path);
    g.strokeStyle = stroke; g.lineWidth = 1.9; g.stroke(path);
  }

  draw(g, key, x, y) { g.drawImage(this.#make(key, (c, colours) => this.#still(key, c, colours)), x - BOX / 2, y - BOX / 2, BOX, BOX); }

  #still(key, g, colour) {
    if (key === "store") {
      g.fillStyle = colour["map-ink"]; g.beginPath(); g.roundRect(-7, -7, 14, 14, 4); g.fill();
      g.fillStyle = colour.t1; g.beginPath(); g.roundRect(-5.5, -5.5, 11, 11, 3); g.fill();
      return;
    }
    const status = key.charCodeAt(5) - 48, tone = status === 0 ? colour.act : colour.go;
    if (key.endsWith("late")) { g.strokeStyle = colour.bad; g.lineWidth = 1.8; g.beginPath(); g.arc(0, 0, 10.5, 0, 7); g.stroke(); }
    this.#path(g, DIAMOND, { fill: status === 2 ? tone : colour["map-land"], stroke: tone, ink: colour["map-ink"], size: 14 });
  }

  driver(g, doing, heading, x, y) {
    const step = heading === null ? 0 : ((Math.round((heading / (2 * Math.PI)) * HEADINGS) % HEADINGS) + HEADINGS) % HEADINGS;
    const image = this.#make(`driver${doing}.${heading === null ? "none" : step}`, (c, colour) => {
      const tone = doing === 0 ? colour.ok : colour.go;
      if (heading !== null) c.rotate((step / HEADINGS) * 2 * Math.PI); else c.rotate(-Math.PI / 2);
      this.#path(c, CHEVRON, { fill: doing === 1 ? colour["map-land"] : tone, stroke: tone, ink: colour["map-ink"], size: doing === 0 ? 11 : 13 });
    });
    g.drawImage(image, x - BOX / 2, y - BOX / 2, BOX, BOX);
  }
}
