// Curves and bars on a canvas, in the colours of the page.

const colour = name => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

/** Return a number as a person reads it; a dash for none. */
export function shown(value, digits = 3) {
  if (value === null || value === undefined || Number.isNaN(value)) return '–';
  if (typeof value !== 'number') return String(value);
  const size = Math.abs(value);
  if (size >= 1e15) return value.toExponential(2);
  if (Number.isInteger(value)) return value.toLocaleString('en-US');
  if (size >= 1000) return value.toLocaleString('en-US', { maximumFractionDigits: 0 });
  if (size >= 100) return value.toFixed(1);
  if (size !== 0 && size < 1e-4) return value.toExponential(1);
  return String(Number(value.toPrecision(digits)));
}

const short = value => {
  const size = Math.abs(value);
  if (size >= 1e6) return `${Number((value / 1e6).toPrecision(3))}M`;
  if (size >= 1e4) return `${Number((value / 1e3).toPrecision(3))}k`;
  return shown(Number(value.toPrecision(6)));
};

/** Return about `count` round values from low to high. */
function ticks(low, high, count) {
  const raw = (high - low) / count;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map(one => one * power).find(one => one >= raw) ?? raw;
  const found = [];
  for (let value = Math.ceil(low / step) * step; value <= high + step * 1e-9; value += step) {
    found.push(Math.abs(value) < step * 1e-9 ? 0 : value);
  }
  return found;
}

/** Return the context of a canvas, cleared and in CSS pixels; null while it is not on the screen. */
export function begin(canvas) {
  const width = canvas.clientWidth, height = canvas.clientHeight;
  if (!width || !height) return null;
  const ratio = Math.min(window.devicePixelRatio || 1, 2);
  const [w, h] = [Math.round(width * ratio), Math.round(height * ratio)];
  if (canvas.width !== w || canvas.height !== h) { canvas.width = w; canvas.height = h; }
  const context = canvas.getContext('2d');
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, width, height);
  context.font = '11px system-ui, sans-serif';
  return { context, width, height, colour };
}

/**
 * Draw curves over a common axis.
 * rows: arrays of numbers or null; x: column of the axis; lines: [{column, colour, width}];
 * band: [lower column, upper column, colour]; range: [lowest, highest] of the other axis.
 */
export function curves(canvas, rows, { x, lines, band, range, unit }) {
  const page = begin(canvas);
  if (!page) return;
  const { context, width, height } = page;
  const columns = [...lines.map(one => one.column), ...(band ? band.slice(0, 2) : [])];
  const values = rows.flatMap(row => columns.map(at => row[at])).filter(one => one !== null);
  if (!values.length) {
    context.fillStyle = colour('--dim');
    context.fillText('nothing yet', 8, height / 2);
    return;
  }
  let [low, high] = range ?? [Math.min(...values), Math.max(...values)];
  if (!(high > low)) { const room = Math.abs(low) * 0.1 || 1; low -= room; high += room; }
  const last = rows[rows.length - 1][x], first = Math.min(rows[0][x], last);
  const [left, right, top, bottom] = [44, width - 6, 6, height - 18];
  const px = value => left + (right - left) * (last > first ? (value - first) / (last - first) : 1);
  const py = value => bottom - (bottom - top) * (value - low) / (high - low);
  context.strokeStyle = colour('--grid');
  context.fillStyle = colour('--dim');
  context.lineWidth = 1;
  context.textAlign = 'right';
  for (const value of ticks(low, high, 3)) {
    context.beginPath();
    context.moveTo(left, py(value));
    context.lineTo(right, py(value));
    context.stroke();
    context.fillText(short(value), left - 5, py(value) + 4);
  }
  context.textAlign = 'center';
  if (last > first) {
    for (const value of ticks(first, last, Math.max(2, Math.floor(width / 110)))) {
      if (px(value) > left + 12 && px(value) < right - 44) context.fillText(short(value), px(value), height - 4);
    }
  }
  context.textAlign = 'right';
  context.fillText(unit ?? '', right, height - 4);
  if (band) {
    const known = rows.filter(row => row[band[0]] !== null && row[band[1]] !== null);
    context.fillStyle = colour(band[2]);
    context.beginPath();
    known.forEach(row => context.lineTo(px(row[x]), py(row[band[1]])));
    known.reverse().forEach(row => context.lineTo(px(row[x]), py(row[band[0]])));
    context.fill();
  }
  for (const line of lines) {
    context.strokeStyle = colour(line.colour);
    context.lineWidth = line.width ?? 1.8;
    context.lineJoin = 'round';
    context.beginPath();
    let drawn = false;
    for (const row of rows) {
      const value = row[line.column];
      if (value === null) { drawn = false; continue; }
      const at = [px(row[x]), py(Math.min(Math.max(value, low), high))];
      if (drawn) context.lineTo(...at); else context.moveTo(...at);
      drawn = true;
    }
    context.stroke();
  }
}

/** Draw the actions chosen lately: shares of the choices, or mean and spread within the bounds. */
export function actions(canvas, data) {
  const page = begin(canvas);
  if (!page || !data) return;
  const { context, width, height } = page;
  const [top, bottom, left, right] = [6, height - 16, 6, width - 6];
  const bars = data.shares
    ? data.shares.flatMap((shares, at) => shares.map((share, choice) => ({ share, at, choice })))
    : data.mean.map((mean, at) => ({ mean, at }));
  const room = (right - left) / bars.length;
  context.textAlign = 'center';
  bars.forEach((bar, at) => {
    const middle = left + room * (at + 0.5), half = Math.min(room * 0.36, 22);
    context.fillStyle = colour('--grid');
    context.fillRect(middle - half, top, 2 * half, bottom - top);
    if (data.shares) {
      context.fillStyle = colour(bar.at % 2 ? '--two' : '--one');
      const size = (bottom - top) * bar.share;
      context.fillRect(middle - half, bottom - size, 2 * half, size);
    } else {
      const low = data.low[at] ?? Math.min(...data.least), high = data.high[at] ?? Math.max(...data.most);
      const py = value => bottom - (bottom - top) * Math.min(Math.max((value - low) / (high - low || 1), 0), 1);
      context.fillStyle = colour('--band');
      context.fillRect(middle - half, py(data.most[at]), 2 * half, py(data.least[at]) - py(data.most[at]));
      context.fillStyle = colour('--one');
      const [up, down] = [py(bar.mean + data.std[at]), py(bar.mean - data.std[at])];
      context.fillRect(middle - half * 0.5, up, half, Math.max(down - up, 2));
      context.fillStyle = colour('--text');
      context.fillRect(middle - half, py(bar.mean) - 1, 2 * half, 2);
    }
    context.fillStyle = colour('--dim');
    if (room > 14) context.fillText(data.shares ? `${data.shares.length > 1 ? `${bar.at}:` : ''}${bar.choice}` : bar.at, middle, height - 3);
  });
}
