// A small map of store, door and driver on a canvas. There is no ground: the places and a scale are enough.
const EARTH_M = 111_320;
// Below there is room for names under their marks, and for the scale under them.
const SIDE = 46, TOP = 44, BELOW = 64, LEAST_SPAN_M = 400, DENSITY_MAX = 2;

const scaleOf = (lat) => Math.cos((lat * Math.PI) / 180);

export const distanceM = (a, b) => EARTH_M * Math.hypot(a.lat - b.lat, (a.lon - b.lon) * scaleOf((a.lat + b.lat) / 2));

// Colours of the theme: a canvas knows no custom properties, so an element resolves them.
function coloursOf(place) {
  const probe = place.parentElement.appendChild(document.createElement("i"));
  const found = {};
  for (const name of ["go", "t1", "t2", "line", "line2", "map-land", "map-ink"]) {
    probe.style.color = `var(--${name})`;
    found[name] = getComputedStyle(probe).color;
  }
  probe.remove();
  return found;
}

function projection(places, width, height) {
  const lats = places.map((place) => place.lat), lons = places.map((place) => place.lon);
  const middle = { lat: (Math.min(...lats) + Math.max(...lats)) / 2, lon: (Math.min(...lons) + Math.max(...lons)) / 2 };
  const east = scaleOf(middle.lat) * EARTH_M;
  const spanX = Math.max(LEAST_SPAN_M, (Math.max(...lons) - Math.min(...lons)) * east);
  const spanY = Math.max(LEAST_SPAN_M, (Math.max(...lats) - Math.min(...lats)) * EARTH_M);
  const perM = Math.min((width - 2 * SIDE) / spanX, (height - TOP - BELOW) / spanY);
  return { perM, at: ({ lat, lon }) => [width / 2 + (lon - middle.lon) * east * perM, (height + TOP - BELOW) / 2 - (lat - middle.lat) * EARTH_M * perM] };
}

// The longest of 1, 2, 5, 10 … metres that takes at most a third of the width.
function scaleM(perM, width) {
  const most = width / 3 / perM, power = 10 ** Math.floor(Math.log10(most));
  return [5, 2, 1].map((n) => n * power).find((n) => n <= most) ?? power;
}

export function drawMap(canvas, { stores, door, driver }, doorName) {
  const { width, height } = canvas.getBoundingClientRect(), density = Math.min(devicePixelRatio || 1, DENSITY_MAX);
  canvas.width = Math.round(width * density);
  canvas.height = Math.round(height * density);
  const pen = canvas.getContext("2d"), colours = coloursOf(canvas), here = driver?.place;
  pen.scale(density, density);
  const { perM, at } = projection([...stores, door, ...(here ? [here] : [])], width, height);
  ground(pen, colours, width, height, scaleM(perM, width), perM);
  const to = at(door);
  for (const store of stores) line(pen, at(store), to, here ? colours.line2 : colours.t2);
  if (here) line(pen, at(here), to, colours.go, 2.5);
  for (const store of stores) marker(pen, colours, at(store), square, colours["map-ink"], store.name, width, height);
  marker(pen, colours, to, diamond, colours.go, doorName, width, height);
  if (here) face(pen, colours, at(here), driver.first_name.slice(0, 1));
}

function ground(pen, colours, width, height, metres, perM) {
  pen.fillStyle = colours["map-land"];
  pen.fillRect(0, 0, width, height);
  const step = (metres * perM) / 2;
  pen.strokeStyle = colours.line;
  pen.lineWidth = 1;
  pen.beginPath();
  for (let x = step; x < width; x += step) { pen.moveTo(Math.round(x) + 0.5, 0); pen.lineTo(Math.round(x) + 0.5, height); }
  for (let y = step; y < height; y += step) { pen.moveTo(0, Math.round(y) + 0.5); pen.lineTo(width, Math.round(y) + 0.5); }
  pen.stroke();
  const left = 12, low = height - 12, right = left + metres * perM;
  pen.strokeStyle = pen.fillStyle = colours.t2;
  pen.beginPath();
  pen.moveTo(left, low - 4); pen.lineTo(left, low); pen.lineTo(right, low); pen.lineTo(right, low - 4);
  pen.stroke();
  text(pen, metres < 1000 ? `${metres} m` : `${metres / 1000} km`, right + 7, low + 1, "left", 500);
}

function line(pen, [x1, y1], [x2, y2], colour, width = 1.5) {
  pen.strokeStyle = colour;
  pen.lineWidth = width;
  pen.setLineDash([2, 6]);
  pen.lineCap = "round";
  pen.beginPath();
  pen.moveTo(x1, y1); pen.lineTo(x2, y2);
  pen.stroke();
  pen.setLineDash([]);
}

function text(pen, said, x, y, align, weight = 600) {
  pen.font = `${weight} 12px system-ui, sans-serif`;
  pen.textAlign = align;
  pen.textBaseline = "alphabetic";
  pen.fillText(said, x, y);
}

const square = (pen, x, y) => pen.roundRect(x - 8, y - 8, 16, 16, 3);
function diamond(pen, x, y) { pen.moveTo(x, y - 11); pen.lineTo(x + 11, y); pen.lineTo(x, y + 11); pen.lineTo(x - 11, y); pen.closePath(); }

function marker(pen, colours, [x, y], shape, fill, name, width, height) {
  pen.beginPath();
  shape(pen, x, y);
  pen.fillStyle = fill;
  pen.strokeStyle = fill === colours.go ? colours["map-ink"] : colours.t1;
  pen.lineWidth = 2;
  pen.fill();
  pen.stroke();
  const short = name.length > 22 ? `${name.slice(0, 21)}…` : name;
  pen.font = "600 12px system-ui, sans-serif";
  const half = pen.measureText(short).width / 2, middle = Math.max(half + 6, Math.min(x, width - half - 6));
  const below = y < height / 2 ? y - 18 : y + 28;
  pen.lineWidth = 4;
  pen.lineJoin = "round";
  pen.strokeStyle = colours["map-land"];
  pen.textAlign = "center";
  pen.strokeText(short, middle, below);
  pen.fillStyle = colours.t1;
  text(pen, short, middle, below, "center");
}

function face(pen, colours, [x, y], letter) {
  pen.beginPath();
  pen.arc(x, y, 13, 0, 2 * Math.PI);
  pen.fillStyle = colours.go;
  pen.strokeStyle = colours["map-ink"];
  pen.lineWidth = 3;
  pen.fill();
  pen.stroke();
  pen.fillStyle = colours["map-ink"];
  text(pen, letter, x, y + 4.5, "center", 700);
}
