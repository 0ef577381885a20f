// The live page: hears what the node tells, keeps it, and shows it. Nothing comes from elsewhere.

import { actions, curves, shown } from './charts.js';
import { ArmPicture } from './arm.js';

const LEARNING = { steps: 0, return: 1, low: 2, high: 3, length: 4, share: 5 };
const SIGNALS = { seconds: 0, absolute: 1, rpe: 2, baseline: 3, speed: 4, norm: 5, busy: 6, latency: 7 };
const PROTOCOL = 'nrl', TOKEN = 'nrl.token.';
// A page in the background says goodbye after a while, so that nobody works for it [ms].
const HIDDEN_MS = 30000, RETRY_MS = [400, 5000];

const known = { runs: new Map(), arms: new Map(), controls: [], you: { steers: false, why: '' }, said: [] };
const cards = new Map();
const waits = new Map();
let socket = null, retry = RETRY_MS[0], numbers = 0, hiddenTimer = 0, due = false;

const $ = id => document.getElementById(id);

/** Make an element: name, attributes and properties, children. */
function el(name, given = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(given)) {
    if (key.startsWith('data-') || key.startsWith('aria-') || key === 'for') made.setAttribute(key, value);
    else made[key] = value;
  }
  made.append(...children);
  return made;
}

// ------------------------------------------------------------------ the node

/** Take the token out of the address into this tab alone, so that no bookmark keeps it. */
function token() {
  const found = /(?:^#|&)token=([A-Za-z0-9._~-]+)/.exec(location.hash);
  if (found) {
    sessionStorage.setItem('token', found[1]);
    history.replaceState(null, '', location.pathname);
  }
  return sessionStorage.getItem('token');
}

function connect() {
  const secret = token(), scheme = location.protocol === 'https:' ? 'wss:' : 'ws:';
  socket = new WebSocket(`${scheme}//${location.host}/runs`, secret ? [PROTOCOL, TOKEN + secret] : [PROTOCOL]);
  socket.onopen = () => { retry = RETRY_MS[0]; };
  socket.onmessage = event => hear(JSON.parse(event.data));
  socket.onclose = () => {
    link('lost', document.hidden ? 'asleep' : 'connecting again');
    for (const wait of waits.values()) wait('failed', 'the connection was lost: nobody knows whether it was done');
    waits.clear();
    if (!document.hidden) setTimeout(connect, retry);
    retry = Math.min(retry * 2, RETRY_MS[1]);
  };
}

function link(state, text) {
  const badge = $('link');
  badge.className = `badge ${state}`;
  badge.textContent = text;
  document.body.dataset.link = state;
}

document.addEventListener('visibilitychange', () => {
  clearTimeout(hiddenTimer);
  if (document.hidden) hiddenTimer = setTimeout(() => socket.close(), HIDDEN_MS);
  else if (socket.readyState > 1) connect();
});

/** Ask a node for something; answer is called with done, failed or again, and what was said. */
function ask(deed, node, value, answer) {
  if (socket.readyState !== 1) { answer('failed', 'not connected'); return; }
  numbers += 1;
  waits.set(numbers, answer);
  socket.send(JSON.stringify({ id: numbers, do: deed, node, value }));
}

function hear(told) {
  if (told.kind === 'answer') {
    waits.get(told.id)?.(told.how, told.text);
    waits.delete(told.id);
    return;
  }
  if (told.kind === 'refused') {
    const [number, answer] = [...waits].at(-1) ?? [];
    answer?.('failed', told.why);
    waits.delete(number);
    return;
  }
  if (told.kind === 'whole') {
    known.runs.clear();
    known.arms.clear();
  }
  for (const one of told.runs) takeRun(one);
  for (const one of told.arms) known.arms.set(one.namespace, { ...known.arms.get(one.namespace), ...one });
  for (const [key, state] of Object.entries(told.states ?? {})) if (known.runs.has(key)) known.runs.get(key).state = state;
  for (const [name, there] of Object.entries(told.there ?? {})) if (known.arms.has(name)) known.arms.get(name).there = there;
  for (const name of ['controls', 'said', 'you']) if (told[name] !== undefined) known[name] = told[name];
  link('live', 'live');
  showSoon();
}

function showSoon() {
  if (due) return;
  due = true;
  requestAnimationFrame(() => { due = false; show(); });
}

function takeRun(one) {
  const run = { series: {}, ...known.runs.get(one.key) };
  const { series, ...parts } = one;
  Object.assign(run, parts);
  for (const [name, part] of Object.entries(series ?? {})) {
    const mine = run.series[name];
    if (!mine || mine.generation !== part.generation) run.series[name] = { generation: part.generation, rows: part.rows };
    else {
      mine.rows.length = Math.min(mine.rows.length, part.start);
      mine.rows.push(...part.rows);
    }
  }
  run.fresh = true;
  known.runs.set(one.key, run);
}

// ------------------------------------------------------------------- showing

function show() {
  const wanted = new Map();
  for (const run of known.runs.values()) wanted.set(run.key, { run, arm: null });
  for (const arm of known.arms.values()) {
    const at = wanted.get(arm.run);
    if (at) at.arm = arm;
    else wanted.set(`arm:${arm.namespace}`, { run: null, arm });
  }
  for (const [key, card] of cards) if (!wanted.has(key)) { card.root.remove(); card.chip.remove(); cards.delete(key); }
  for (const [key, { run, arm }] of wanted) {
    if (!cards.has(key)) cards.set(key, new Card(key));
    cards.get(key).show(run, arm);
  }
  $('empty').hidden = wanted.size > 0;
  $('note').hidden = known.you.steers || !known.you.why;
  $('note').textContent = known.you.why;
  $('said').hidden = !known.said.length;
  $('answers').replaceChildren(...known.said.slice().reverse().map(text => el('li', { textContent: text })));
  const stops = known.controls.filter(([deed]) => deed === 'stop');
  const stop = $('stop');
  stop.hidden = !known.you.steers || !stops.length;
  stop.textContent = stops.length > 1 ? `Stop all ${stops.length} arms` : 'Stop the arm';
}

$('stop').addEventListener('click', () => {
  for (const [deed, node] of known.controls) if (deed === 'stop') ask('stop', node, undefined, () => {});
});

/** A figure with its name; `fact` says where it comes from, `data-raw` has it as it came. */
function figure(name, fact, value, text = shown(value)) {
  return el('div', {}, el('b', { textContent: text, 'data-fact': fact, 'data-raw': JSON.stringify(value ?? null) }),
    el('span', { textContent: name }));
}

const percent = value => value === null || value === undefined ? '–' : `${(100 * value).toFixed(1)} %`;

/** What is shown of one environment with its arm. */
class Card {
  constructor(key) {
    this.root = el('section', { className: 'card', id: `card-${cards.size}-${Date.now()}`, 'data-run': key });
    this.chip = el('a', { href: `#${this.root.id}` });
    this.title = el('h2');
    this.where = el('span', { className: 'where' });
    this.badge = el('span', { className: 'badge' });
    this.figures = el('div', { className: 'figures' });
    this.arm = null;
    this.charts = {};
    this.pair = el('div', { className: 'pair' });
    this.conditions = el('ul', { className: 'conditions' });
    this.counters = el('ul', { className: 'counters' });
    this.ordinary = el('ul', { className: 'counters' });
    this.more = el('details', {}, el('summary', { textContent: 'Counters of any run' }), this.ordinary);
    this.health = el('div', {}, el('h3', { textContent: 'Health' }), this.conditions);
    this.trouble = el('div', {}, el('h3', { textContent: 'Counted' }), this.counters);
    this.steer = new Steering();
    this.body = el('div');
    this.root.append(el('header', {}, this.title, this.where, this.badge), this.figures, this.body, this.pair,
      this.health, this.trouble, this.more, this.steer.root);
    $('runs').append(this.root);
    $('chips').append(this.chip);
    // A card becomes narrower or wider with the number of them, and a chart would only be stretched.
    this.width = 0;
    new ResizeObserver(() => {
      if (this.width === this.root.clientWidth) return;
      this.width = this.root.clientWidth;
      const run = known.runs.get(key);
      if (run) { run.fresh = true; showSoon(); }
    }).observe(this.root);
  }

  /** Return the canvas of a chart, made at its first use. */
  chart(name, title, legend, into) {
    if (!this.charts[name]) {
      const canvas = el('canvas', { role: 'img', ariaLabel: title });
      const keys = el('span', { className: 'legend' });
      for (const [style, text] of legend) keys.append(el('i', { className: style }), text);
      into.append(el('div', { className: 'chart', 'data-chart': name }, keys, el('h3', { textContent: title }), canvas));
      this.charts[name] = canvas;
    }
    return this.charts[name];
  }

  show(run, arm) {
    const name = run ? run.agent : (arm.status?.robot ?? 'arm');
    const namespace = (run ?? arm).namespace || '/';
    this.title.textContent = name;
    this.where.textContent = namespace;
    const stopped = Boolean(arm?.status?.stopped && arm.there);
    const state = stopped ? 'stopped' : run ? run.state : arm.there ? 'running' : 'silent';
    this.badge.textContent = stopped ? arm.status.mode_name : state;
    this.badge.className = `badge ${state.split(' ')[0]}`;
    this.chip.textContent = `${name} · ${state}`;
    this.chip.className = state.split(' ')[0];
    if (run) this.showRun(run);
    if (arm) {
      this.arm ??= new ArmPanel(this.root, this.body);
      this.arm.show(arm);
    }
    this.showHealth(run, arm);
    this.steer.show(run, arm);
  }

  showRun(run) {
    if (!run.fresh) return;
    run.fresh = false;
    const { environment = {}, learner = {}, neuromodulator = {}, info = {}, own = {} } = run.facts;
    const mode = learner.evaluating ? 'greedy' : learner.frozen ? 'frozen' : learner.learning_rate === undefined ? '–' : 'learning';
    this.figures.replaceChildren(
      figure('steps', 'environment.steps', environment.steps),
      figure('episodes', 'environment.episodes', environment.episodes),
      figure('return, last 100', 'own.mean_return', own.mean_return),
      ...Object.entries(own.shares ?? {}).map(([label, share]) => figure(label, `own.shares.${label}`, share, percent(share))),
      figure('steps/s', 'environment.steps_per_second', environment.steps_per_second, shown(Math.round(environment.steps_per_second))),
      figure('state to action, ms', 'own.latency_ms', own.latency_ms),
      figure('|RPE|', 'neuromodulator.mean_absolute_rpe', neuromodulator.mean_absolute_rpe),
      figure('baseline', 'neuromodulator.mean_baseline', neuromodulator.mean_baseline),
      figure('learner busy', 'learner.busy_share', learner.busy_share, percent(learner.busy_share)),
      figure('weight norm', 'learner.weight_norm', learner.weight_norm),
      figure('updates', 'learner.updates', learner.updates),
      figure('mode', 'own.mode', mode),
      ...(info.instances > 1 ? [figure('instances', 'info.instances', info.instances)] : []),
    );
    const learning = run.series.learning?.rows ?? [], signals = run.series.signals?.rows ?? [];
    const of = LEARNING, at = SIGNALS;
    curves(this.chart('return', 'Return', [['one', 'mean of 100 episodes, middle 80 %']], this.body), learning,
      { x: of.steps, lines: [{ column: of.return, colour: '--one' }], band: [of.low, of.high, '--band'], unit: 'steps' });
    const labels = Object.keys(own.shares ?? {});
    if (labels.length) {
      const colours = ['one', 'two', 'three', 'one'];
      curves(this.chart('success', 'Success', labels.map((label, index) => [colours[index], label]), this.body), learning,
        { x: of.steps, range: [0, 1], unit: 'steps',
          lines: labels.slice(0, 4).map((_, index) => ({ column: of.share + index, colour: `--${colours[index]}` })) });
    }
    curves(this.chart('length', 'Episode length', [], this.pair), learning,
      { x: of.steps, lines: [{ column: of.length, colour: '--one' }], unit: 'steps' });
    curves(this.chart('rpe', 'RPE', [['one', 'absolute'], ['two', 'mean']], this.pair), signals,
      { x: at.seconds, lines: [{ column: at.absolute, colour: '--one' }, { column: at.rpe, colour: '--two' }], unit: 's' });
    curves(this.chart('baseline', 'Baseline', [], this.pair), signals,
      { x: at.seconds, lines: [{ column: at.baseline, colour: '--one' }], unit: 's' });
    curves(this.chart('speed', 'Steps a second', [], this.pair), signals,
      { x: at.seconds, lines: [{ column: at.speed, colour: '--one' }], unit: 's' });
    curves(this.chart('norm', 'Weight norm', [], this.pair), signals,
      { x: at.seconds, lines: [{ column: at.norm, colour: '--one' }], unit: 's' });
    if (signals.some(row => row[at.latency] !== null)) {
      curves(this.chart('latency', 'State to action, ms', [], this.pair), signals,
        { x: at.seconds, lines: [{ column: at.latency, colour: '--one' }], unit: 's' });
    }
    if (run.actions) {
      const title = run.actions.shares ? 'Actions: share of each choice' : 'Actions: mean, deviation, range';
      actions(this.chart('actions', title, [], this.pair), run.actions);
    }
  }

  showHealth(run, arm) {
    const learner = run?.facts?.learner ?? {}, measures = health(learner);
    // The learner's own item says the same as the measures.
    const own = measures.length ? `${run.namespace}/learner: plasticity`.replace(/^\//, '') : null;
    const conditions = [...(run?.conditions ?? []).filter(one => !own || !one.name.replace(/^\//, '').startsWith(own)), ...(arm?.conditions ?? [])];
    const wrong = measures.filter(one => one.hint), well = measures.filter(one => !one.hint && one.value !== null);
    this.health.hidden = !conditions.length && !measures.length;
    this.conditions.replaceChildren(...wrong.map(one => el('li', { className: 'level1', 'data-health': one.name }, el('b', { textContent: `${one.title} ` }), one.hint)),
      ...(well.length ? [el('li', { className: 'level0' }, wrong.length ? '' : 'no measure of plasticity is out of range ', values(Object.fromEntries(well.map(one => [one.name.replaceAll('_', ' '), one.range]))))] : []),
      ...conditions.map(one => el('li', { className: `level${one.level}`, 'data-condition': one.name },
      el('span', { className: 'small', textContent: `${one.name}: ` }), one.text, values(one.values))));
    const counters = [...(run?.counters ?? []), ...(arm?.counters ?? [])];
    const line = one => el('li', { className: one.ordinary ? '' : 'level1', 'data-counter': `${one.node}.${one.name}`, 'data-raw': one.value },
      el('b', { textContent: shown(one.value) }), ` ${one.name.replaceAll('_', ' ')} `, el('span', { className: 'small', textContent: one.meaning }));
    const unusual = counters.filter(one => !one.ordinary), ordinary = counters.filter(one => one.ordinary);
    this.trouble.hidden = !unusual.length;
    this.more.hidden = !ordinary.length;
    this.counters.replaceChildren(...unusual.map(line));
    this.ordinary.replaceChildren(...ordinary.map(line));
  }
}

/** The measures of plasticity health in a learner's status, with what to change where one is out of range. */
function health(learner) {
  const unit = at => (learner.health_unit[at] === '1' ? '' : ` ${learner.health_unit[at]}`);
  const bounds = (low, high) => (low === null && high === null ? '' : low === null ? `, healthy up to ${shown(high)}` : high === null ? `, healthy from ${shown(low)}` : `, healthy from ${shown(low)} to ${shown(high)}`);
  return (learner.health_name ?? []).map((name, at) => {
    const value = learner.health_value[at] ?? null;
    const range = `${shown(value)}${unit(at)}${bounds(learner.health_low[at] ?? null, learner.health_high[at] ?? null)}`;
    return { name, value, range, title: `${name.replaceAll('_', ' ')} ${range}:`, hint: learner.health_hint[at] };
  });
}

/** The figures of a condition, folded away; what a person has opened stays open. */
const opened = new Set();
function values(figures) {
  const names = Object.keys(figures).filter(name => figures[name] !== '');
  if (!names.length) return '';
  const rows = names.map(name => el('tr', {}, el('td', { textContent: name }), el('td', { textContent: figures[name] })));
  const key = names.join();
  const folded = el('details', { open: opened.has(key) }, el('summary', { textContent: 'figures' }), el('table', {}, el('tbody', {}, ...rows)));
  folded.addEventListener('toggle', () => { if (folded.open) opened.add(key); else opened.delete(key); });
  return folded;
}

/** An arm: what its safety node says, a picture, its joints within their limits. */
class ArmPanel {
  constructor(root, before) {
    this.state = el('h3');
    this.why = el('div', { className: 'why', role: 'alert', hidden: true, 'data-fact': 'arm.why' });
    this.asks = el('div', { className: 'asks', hidden: true });
    this.canvas = el('canvas', { role: 'img', ariaLabel: 'the arm, its workspace and its target' });
    this.joints = el('div', { className: 'joints' });
    this.picture = new ArmPicture(this.canvas);
    this.bars = null;
    root.insertBefore(el('div', { className: 'arm' }, this.state, this.why, this.asks, this.canvas, this.joints), before);
  }

  show(arm) {
    const status = arm.status ?? {};
    const speed = status.speed_share === undefined || status.speed_share === 1 ? '' : `, ${percent(status.speed_share)} of the speed`;
    this.state.textContent = `${status.robot ?? 'arm'}: ${arm.there ? status.mode_name : 'its safety node is silent'}${status.moves ? `, ${status.moves}` : ''}${speed}`;
    const why = [status.why, status.alarm && !status.why?.includes(status.alarm) ? status.alarm : ''].filter(Boolean).join('\n');
    this.why.hidden = !(arm.there && status.stopped);
    this.why.textContent = why ? `Stopped: ${why}` : 'Stopped';
    this.asks.hidden = !status.asks && !(why && !status.stopped);
    this.asks.textContent = status.asks ? `The arm ${status.asks}` : why;
    this.picture.shape = arm.shape;
    this.picture.pose = arm.pose;
    this.picture.stopped = Boolean(status.stopped);
    this.picture.draw();
    this.showJoints(arm.shape, arm.pose);
  }

  showJoints(shape, pose) {
    if (!pose) return;
    const known = shape?.limits !== undefined;
    if (!this.bars || this.bars.length !== pose.position.length) {
      this.bars = pose.joints.map(name => {
        const bar = el('meter', { min: 0, max: 1, low: 0.05, high: 0.95, optimum: 0.5, ariaLabel: name });
        const output = el('output');
        this.joints.append(el('div', {}, el('span', { textContent: name }), bar, output));
        return [bar, output];
      });
    }
    this.bars.forEach(([bar, output], at) => {
      const value = pose.position[at];
      output.textContent = value === null ? '–' : `${value.toFixed(2)} ${shape?.units?.[at] ?? ''}`;
      bar.hidden = !known;
      if (!known || value === null) return;
      const [low, high] = [shape.limits[0][at], shape.limits[1][at]];
      bar.hidden = low === null || high === null;
      bar.value = (value - low) / (high - low || 1);
    });
  }
}

const ORDER = ['stop', 'clear', 'go', 'approve', 'pause', 'freeze', 'evaluate', 'save', 'reward', 'success', 'failure', 'abort', 'learning_rate', 'noise'];
const LABELS = { clear: 'Clear', go: 'Go', pause: 'Pause', freeze: 'Freeze', evaluate: 'Evaluate', save: 'Save', success: 'End: success', failure: 'End: failure', abort: 'End: abort' };

/** Buttons for what the nodes of a card offer. */
class Steering {
  constructor() {
    this.root = el('div', { className: 'steer', hidden: true });
    this.said = el('div', { className: 'said', role: 'status' });
    this.parts = new Map();
  }

  show(run, arm) {
    const homes = new Set([run?.namespace, arm?.namespace].filter(one => one !== undefined));
    const controls = known.controls.filter(([deed, node]) => {
      const at = node.lastIndexOf('/');
      if (deed === 'reward') return run && node === `${run.namespace}/human_reward/${run.agent}`;
      return homes.has(node.slice(0, at)) && (deed !== 'stop' || arm) && (deed !== 'approve' || run?.facts?.learner?.guard);
    }).sort((one, other) => ORDER.indexOf(one[0]) - ORDER.indexOf(other[0]));
    this.root.hidden = !known.you.steers || !controls.length;
    if (this.root.hidden) return;
    const wanted = controls.map(one => one.join(' '));
    if ([...this.parts.keys()].join() !== wanted.join()) {
      this.parts = new Map(controls.map(([deed, node]) => [`${deed} ${node}`, this.make(deed, node, controls)]));
      this.root.replaceChildren(...[...this.parts.values()].map(one => one.root), this.said);
    }
    const learner = run?.facts?.learner ?? {};
    const newest = { freeze: learner.frozen, evaluate: learner.evaluating, learning_rate: learner.learning_rate, noise: learner.noise_sigma };
    for (const part of this.parts.values()) part.update?.(newest[part.deed]);
  }

  make(deed, node, controls) {
    const name = node.slice(node.lastIndexOf('/') + 1);
    const several = controls.filter(one => one[0] === deed).length > 1 ? ` ${name}` : '';
    if (deed === 'learning_rate' || deed === 'noise') return this.number(deed, node);
    if (deed === 'approve' || deed === 'reward') {
      const words = (deed === 'approve' ? [['Approve', true], ['Reject', false]] : [['Reward +1', 1], ['Reward −1', -1]]).map(([word, value]) => this.button(word, deed, node, () => value));
      return { root: el('span', {}, ...words), deed };
    }
    const switches = deed === 'freeze' || deed === 'evaluate' || deed === 'pause';
    const button = this.button((LABELS[deed] ?? 'Stop') + several, deed, node, () => (switches ? button.getAttribute('aria-pressed') !== 'true' : undefined), (value) => {
      if (switches) button.setAttribute('aria-pressed', String(value));
    });
    if (deed === 'stop') button.className = 'stop';
    if (switches) button.setAttribute('aria-pressed', 'false');
    const update = value => { if (value !== undefined && switches) button.setAttribute('aria-pressed', String(value)); };
    return { root: button, deed, update };
  }

  /** A button that asks for a deed with the value at that moment; done is told the value. */
  button(word, deed, node, valueOf, done = () => {}) {
    const button = el('button', { type: 'button', textContent: word, 'data-do': deed, 'data-node': node });
    button.addEventListener('click', () => {
      const value = valueOf();
      ask(deed, node, value, (how, text) => {
        this.answer(how, `${word}: ${text}`);
        button.classList.toggle('again', how === 'again');
        if (how === 'again') setTimeout(() => button.classList.remove('again'), 6000);
        if (how === 'done') done(value);
      });
    });
    return button;
  }

  number(deed, node) {
    const input = el('input', { type: 'number', step: 'any', min: 0, 'data-do': deed, 'data-node': node });
    const send = () => {
      if (input.value !== '') ask(deed, node, Number(input.value), (how, text) => this.answer(how, `${deed.replace('_', ' ')} ${input.value}: ${text}`));
    };
    input.addEventListener('change', send);
    const update = value => { if (value !== undefined && document.activeElement !== input) input.value = value; };
    return { root: el('label', {}, deed.replace('_', ' '), input), deed, update };
  }

  answer(how, text) {
    this.said.className = `said ${how}`;
    this.said.textContent = text;
  }
}

window.addEventListener('resize', () => { for (const run of known.runs.values()) run.fresh = true; show(); });
matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => { for (const run of known.runs.values()) run.fresh = true; show(); });
window.addEventListener('hashchange', () => { if (location.hash.includes('token=')) { token(); socket.close(); } });
connect();
