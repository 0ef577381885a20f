// An arm in three dimensions: its links as thick lines, its workspace, its target; turned by hand.

import { begin } from './charts.js';

const PITCH = [-0.1, 1.5];

/** Draws one arm on a canvas, which a person may turn by dragging. */
export class ArmPicture {
  constructor(canvas) {
    this.canvas = canvas;
    [this.yaw, this.pitch] = [0.9, 0.45];
    this.shape = null;
    this.pose = null;
    this.stopped = false;
    let from = null;
    canvas.addEventListener('pointerdown', event => {
      from = [event.clientX, event.clientY];
      canvas.setPointerCapture(event.pointerId);
    });
    canvas.addEventListener('pointermove', event => {
      if (!from) return;
      this.yaw -= (event.clientX - from[0]) * 0.01;
      this.pitch += (event.clientY - from[1]) * 0.01;
      this.pitch = Math.min(Math.max(this.pitch, PITCH[0]), PITCH[1]);
      from = [event.clientX, event.clientY];
      this.draw();
    });
    for (const end of ['pointerup', 'pointercancel']) canvas.addEventListener(end, () => { from = null; });
  }

  draw() {
    const page = begin(this.canvas);
    if (!page) return;
    const { context, width, height, colour } = page;
    const shape = this.shape, pose = this.pose;
    if (!shape || shape.undrawn !== undefined || !pose || !pose.ends) {
      context.fillStyle = colour('--dim');
      context.textAlign = 'center';
      const text = shape?.undrawn || 'no joint states yet';
      const words = text.split(' ');
      const lines = [''];
      for (const word of words) {
        if (context.measureText(`${lines.at(-1)} ${word}`).width > width - 20) lines.push('');
        lines[lines.length - 1] += `${lines.at(-1) ? ' ' : ''}${word}`;
      }
      lines.forEach((line, at) => context.fillText(line, width / 2, height / 2 + 14 * (at - lines.length / 2)));
      return;
    }
    // So large that the workspace is in the picture, however it is turned.
    const { low, high } = shape;
    const middle = low.map((value, axis) => (value + high[axis]) / 2);
    const half = low.map((value, axis) => (high[axis] - value) / 2);
    const flat = Math.hypot(half[0], half[1]);
    const tall = half[2] * Math.cos(this.pitch) + flat * Math.abs(Math.sin(this.pitch));
    const scale = 0.48 * Math.min(width / flat, height / tall);
    const [sy, cy, sp, cp] = [Math.sin(this.yaw), Math.cos(this.yaw), Math.sin(this.pitch), Math.cos(this.pitch)];
    const place = ([x, y, z]) => {
      const [a, b, c] = [x - middle[0], y - middle[1], z - middle[2]];
      const right = a * cy - b * sy, away = a * sy + b * cy;
      // Screen x, screen y, and nearness to the eye.
      return [width / 2 + right * scale, height / 2 - (c * cp + away * sp) * scale, c * sp - away * cp];
    };
    const line = (from, to, style, size) => {
      const [a, b] = [place(from), place(to)];
      context.strokeStyle = style;
      context.lineWidth = size;
      context.beginPath();
      context.moveTo(a[0], a[1]);
      context.lineTo(b[0], b[1]);
      context.stroke();
    };
    const ball = (at, radius, style) => {
      const [x, y] = place(at);
      context.fillStyle = style;
      context.beginPath();
      context.arc(x, y, radius, 0, 7);
      context.fill();
    };
    context.lineCap = 'round';
    const corner = index => [0, 1, 2].map(axis => ((index >> axis) & 1 ? high : low)[axis]);
    for (let index = 0; index < 8; index += 1) {
      for (let axis = 0; axis < 3; axis += 1) {
        const other = index | (1 << axis);
        if (other !== index) line(corner(index), corner(other), colour('--line'), 1);
      }
    }
    context.globalAlpha = 0.35;
    context.fillStyle = colour('--two');
    for (const face of shape.obstacles) {
      context.beginPath();
      for (let at = 0; at < 12; at += 3) context.lineTo(...place(face.slice(at, at + 3)).slice(0, 2));
      context.fill();
    }
    context.globalAlpha = 1;
    const parts = shape.radius.map((radius, at) => {
      const from = pose.ends.slice(6 * at, 6 * at + 3), to = pose.ends.slice(6 * at + 3, 6 * at + 6);
      return { radius, from, to, near: place(from)[2] + place(to)[2] };
    });
    // The floor under the arm shows how high it is.
    for (const { from, to, radius } of parts) {
      line([from[0], from[1], low[2]], [to[0], to[1], low[2]], colour('--grid'), Math.max(2 * radius * scale, 2));
    }
    parts.sort((one, other) => one.near - other.near);
    for (const { from, to, radius } of parts) {
      const size = Math.max(2 * radius * scale, 2.5);
      line(from, to, colour('--card'), size + 2);
      line(from, to, this.stopped ? colour('--bad') : colour('--arm'), size);
    }
    if (pose.target) {
      line(pose.tool, pose.target, colour('--three'), 1);
      ball(pose.target, 6, colour('--three'));
    }
    ball(pose.tool, 4, colour('--two'));
    context.fillStyle = colour('--dim');
    context.textAlign = 'left';
    const away = pose.distance_m === undefined ? '' : `target ${(100 * pose.distance_m).toFixed(1)} cm away`;
    context.fillText(away, 6, height - 6);
  }
}
