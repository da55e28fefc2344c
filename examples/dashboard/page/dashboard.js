/*
 * The page of the dashboard: see dashboard.c.  Values come as
 * {"values": [{"at": ..., "cpu": ..., "memory": ..., "viewers": ...}]}: first
 * those of the last minute, then one after another.
 */

'use strict';

const SPAN = 60000;             // ms that the plot shows
const LATE = 1000;              // ... up to so long ago: the line moves evenly
const SLOWEST = 15000;          // ms between attempts to connect

const $ = (id) => document.getElementById(id);
const still = matchMedia('(prefers-reduced-motion: reduce)');

let values = [];
let lead = 0;                   // of the server's clock


// ---- the values

function receive(text) {
    for (const v of JSON.parse(text).values) {
        if (!values.length || v.at > values.at(-1).at) values.push(v);
        lead = Math.max(first ? -Infinity : lead, v.at - Date.now());
        first = false;
    }

    const from = serverTime() - SPAN - 5000;

    values = values.filter((v) => v.at > from);

    if (values.length) {
        tiles();
        draw();
    }

    live();
}

// As it is there, give or take the way of a message.
function serverTime() {
    return Date.now() + lead;
}

function tiles() {
    const last = values.at(-1);

    for (const what of ['cpu', 'memory']) {
        const all = values.map((v) => v[what]);
        const mean = all.reduce((a, b) => a + b) / all.length;

        $(what).textContent = `${last[what].toFixed(0)} %`;
        $(`${what}-more`).textContent = `mean ${mean.toFixed(0)}\u00a0%, top ${Math.max(...all).toFixed(0)}\u00a0%`;
    }

    $('viewers').textContent = last.viewers;
}


// ---- the plot

const SVG = 'http://www.w3.org/2000/svg';
const pad = { top: 10, right: 12, bottom: 24, left: 34 };

let width = 0, height = 0;      // of what is within
let origin = 0;                 // the time at which x is 0 in the paths

function y(percent) {
    return pad.top + height * (1 - percent / 100);
}

function x(at) {
    return (at - origin) / SPAN * width;
}

function svg(tag, attributes, text) {
    const e = document.createElementNS(SVG, tag);

    for (const name in attributes) e.setAttribute(name, attributes[name]);
    if (text !== undefined) e.textContent = text;

    return e;
}

function layout() {
    const box = $('plot').getBoundingClientRect();

    width = Math.max(1, box.width - pad.left - pad.right);
    height = Math.max(1, box.height - pad.top - pad.bottom);

    $('svg').setAttribute('viewBox', `0 0 ${box.width} ${box.height}`);

    for (const [name, value] of Object.entries({ x: pad.left, y: 0, width, height: box.height })) {
        $('clip-rect').setAttribute(name, value);
    }

    const grid = [];

    for (let percent = 0; percent <= 100; percent += 25) {
        grid.push(svg('line', { x1: pad.left, x2: pad.left + width, y1: y(percent), y2: y(percent) }),
                  svg('text', { x: pad.left - 8, y: y(percent), 'text-anchor': 'end', dy: '.35em' }, percent));
    }

    for (let s = 60; s >= 0; s -= width < 420 ? 30 : 15) {
        grid.push(svg('text', { x: pad.left + width * (1 - s / 60), y: pad.top + height + 18,
                                'text-anchor': s === 60 ? 'start' : s ? 'middle' : 'end' },
                      s ? `${s} s ago` : 'now'));
    }

    $('grid').replaceChildren(...grid);
    draw();
}

// Where nothing came for a while the line has a gap.
function path(what, area) {
    let d = '', start = 0;

    values.forEach((v, i) => {
        const begins = i === 0 || v.at - values[i - 1].at > 5000;
        const ends = i + 1 === values.length || values[i + 1].at - v.at > 5000;
        const at = x(v.at).toFixed(1);

        if (begins) start = at;
        d += `${begins ? 'M' : 'L'}${at} ${y(v[what]).toFixed(1)}`;
        if (area && ends) d += `V${y(0)}H${start}Z`;
    });

    return d;
}

function draw() {
    if (!values.length || !width) return;

    origin = values[0].at;
    $('cpu-line').setAttribute('d', path('cpu'));
    $('cpu-area').setAttribute('d', path('cpu', true));
    $('memory-line').setAttribute('d', path('memory'));
    move();
}

// The paths are as they are until the next value; they move to the left.
function move() {
    const now = still.matches ? values.at(-1).at : serverTime() - LATE;

    $('lines').setAttribute('transform', `translate(${(pad.left + width - x(now)).toFixed(2)} 0)`);
    point(now);
}

function frame() {
    if (values.length && !still.matches) move();
    requestAnimationFrame(frame);
}


// ---- what is under the pointer

let pointer = null;             // its place in the plot

function point(now) {
    const away = pointer === null;

    $('cursor').setAttribute('visibility', away ? 'hidden' : 'visible');
    $('tip').hidden = away;
    if (away) return;

    const left = (v) => pad.left + width + x(v.at) - x(now);
    const shown = values.filter((v) => left(v) >= pad.left && left(v) <= pad.left + width);

    if (!shown.length) {
        pointer = null;
        point(now);
        return;
    }

    const near = shown.reduce((a, b) => Math.abs(left(a) - pointer) < Math.abs(left(b) - pointer) ? a : b);
    const at = left(near);

    for (const [name, value] of Object.entries({ x1: at, x2: at, y1: y(100), y2: y(0) })) {
        $('cursor-line').setAttribute(name, value);
    }

    for (const what of ['cpu', 'memory']) {
        $(`cursor-${what}`).setAttribute('cx', at);
        $(`cursor-${what}`).setAttribute('cy', y(near[what]));
    }

    const tip = $('tip');
    const right = at > pad.left + width / 2;

    tip.textContent = `${new Date(near.at).toLocaleTimeString()}\nProcessors ${near.cpu.toFixed(1)} %\n`
        + `Memory ${near.memory.toFixed(1)} %`;
    tip.style.setProperty('left', right ? 'auto' : `${at + 12}px`);
    tip.style.setProperty('right', right ? `${pad.left + width + pad.right - at + 12}px` : 'auto');
}

$('plot').onpointermove = $('plot').onpointerdown = (e) => {
    pointer = e.clientX - $('plot').getBoundingClientRect().left;
    if (values.length) move();
};

$('plot').onpointerleave = () => {
    pointer = null;
    if (values.length) move();
};

new ResizeObserver(layout).observe($('plot'));
requestAnimationFrame(frame);


// ---- the connection

let by, connection, timer, tries = 0;
let first = true;               // nothing has come by this one

function say(state, text) {
    $('state').className = state;
    $('state').textContent = text;
}

function live() {
    tries = 0;
    say('live', 'Live');
}

function connect() {
    stop();
    say('', 'Connecting…');
    first = true;
    (by === 'socket' ? connectSocket : connectEvents)();
}

function stop() {
    clearTimeout(timer);

    const old = connection;

    connection = null;
    old?.close();
}

function connectSocket() {
    const scheme = location.protocol === 'https:' ? 'wss:' : 'ws:';
    const ws = connection = new WebSocket(`${scheme}//${location.host}/values`);

    ws.onmessage = (e) => ws === connection && receive(e.data);
    ws.onclose = () => ws === connection && again();
}

// A browser connects again by itself, after the server's "retry", but not when
// the answer is an error.
function connectEvents() {
    const events = connection = new EventSource('/values');

    events.onmessage = (e) => events === connection && receive(e.data);

    events.onerror = () => {
        if (events !== connection) return;

        say('lost', 'Connection lost');
        if (events.readyState === EventSource.CLOSED) again();
    };
}

// Later each time, and not all at once when a server comes back.
function again() {
    const delay = Math.min(SLOWEST, 500 * 2 ** tries++) * (0.5 + Math.random() / 2);

    stop();
    say('lost', 'Connection lost');
    timer = setTimeout(connect, delay);
}

addEventListener('online', () => {
    tries = 0;
    connect();
});

for (const input of document.querySelectorAll('[name=by]')) {
    input.onchange = () => {
        by = input.value;
        history.replaceState(null, '', `#${by}`);
        tries = 0;
        connect();
    };
}

by = location.hash === '#socket' ? 'socket' : 'events';
document.querySelector(`[value=${by}]`).checked = true;
connect();
