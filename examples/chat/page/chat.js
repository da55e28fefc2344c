/*
 * The page of the chat: see chat.c.  What others have said becomes text by
 * textContent, never HTML.
 */

'use strict';

const SHOWN = 500;              // messages and notes in the page
const SLOWEST = 15000;          // ms between attempts to connect

const $ = (id) => document.getElementById(id);

// the pattern WORDS of chat.c
const WORDS = /^[^\p{C}\p{Z}]+( [^\p{C}\p{Z}]+)*$/u;

const room = decodeURIComponent(location.pathname.split('/')[2] || '');

let name = room && sessionStorage.getItem('name');
let socket, timer, tries = 0, unseen = 0;
let early;                      // what comes before the welcome
let sent = '';                  // the last text, in case it is refused

const people = new Map();       // connections: id => name


// ---- elements

function element(tag, className, text) {
    const e = document.createElement(tag);

    if (className) e.className = className;
    if (text !== undefined) e.textContent = text;

    return e;
}

// the same for everybody who sees the name
function hue(text) {
    let h = 7;

    for (const c of text) h = (h * 31 + c.codePointAt(0)) % 3600;

    return h / 10;
}

function badge(text) {
    const e = element('span', 'badge', [...text][0].toUpperCase());

    e.style.setProperty('--hue', hue(text));
    e.setAttribute('aria-hidden', 'true');

    return e;
}


// ---- the log

const log = $('log');

let following = true;           // who has scrolled up stays there

function toEnd() {
    following = true;
    log.scrollTop = log.scrollHeight;
    $('down').hidden = true;
}

log.onscroll = () => {
    following = log.scrollHeight - log.scrollTop - log.clientHeight < 60;
    if (following) $('down').hidden = true;
};

// a keyboard comes up, the box grows
new ResizeObserver(() => following && toEnd()).observe(log);

function put(e, before) {
    log.insertBefore(e, before || null);

    while (log.childElementCount > SHOWN) log.firstChild.remove();

    arrange(e);
    arrange(e.nextElementSibling);

    if (following) toEnd();
}

// one who says several things in a row is named once
function arrange(e) {
    const before = e && e.previousElementSibling;

    if (e) {
        e.classList.toggle('more', e.dataset.name !== undefined && !!before
                           && before.dataset.name === e.dataset.name);
    }
}

function note(text) {
    put(element('li', 'note', text));
}

// Messages stand by their ids, each once: some come again with a welcome.
function show(m, live) {
    let before = log.lastElementChild, next = null;

    while (before && !(Number(before.dataset.id) <= m.id)) {
        if (before.dataset.id) next = before;
        before = before.previousElementSibling;
    }

    if (before && Number(before.dataset.id) === m.id) return;

    const at = new Date(m.at);
    const e = element('li', m.name === name ? 'mine' : '');
    const head = element('p', 'head');
    const time = element('time', '', at.toLocaleTimeString([], { hour: '2-digit', minute: '2-digit' }));

    time.dateTime = m.at;
    time.title = at.toLocaleString();
    head.append(element('b', '', m.name), time);
    e.append(badge(m.name), head, element('p', 'text', m.text));
    e.dataset.id = m.id;
    e.dataset.name = m.name;

    put(e, next);

    if (live && !following) $('down').hidden = false;
    if (live && document.hidden) unseen++;
}


// ---- who is here

function showPeople() {
    const names = [...new Set(people.values())].sort((a, b) => a.localeCompare(b));

    $('people').replaceChildren(...names.map((n) => {
        const e = element('li', n === name ? 'me' : '');

        e.append(badge(n), element('span', '', n));

        return e;
    }));

    $('who').textContent = `${names.length} here`;
}

function here(n) {
    return [...people.values()].includes(n);
}


// ---- what the server says

const events = {
    welcome(m) {
        people.clear();
        for (const p of m.people) people.set(p.id, p.name);

        const wasEmpty = !log.querySelector('[data-id]');

        for (const message of m.messages) show(message, !wasEmpty);
        if (wasEmpty) toEnd();

        tries = 0;
        $('trouble').hidden = true;
        $('send').disabled = false;

        const waiting = early;

        early = null;
        waiting.forEach(receive);
    },

    joined(p) {
        if (!here(p.name)) note(`${p.name} is here`);
        people.set(p.id, p.name);
    },

    left(p) {
        if (people.delete(p.id) && !here(p.name)) note(`${p.name} has left`);
    },

    message(m) {
        show(m, true);
    },

    error(m) {
        $('error').textContent = m.text;
        $('error').hidden = false;
        if (!$('text').value) $('text').value = sent;
        grow();
    },
};

function receive(m) {
    if (early && m.type !== 'welcome') {
        early.push(m);
        return;
    }

    events[m.type]?.(m);
    showPeople();
    showTitle();
}

function showTitle() {
    document.title = (unseen ? `(${unseen}) ` : '') + room;
}


// ---- the connection

function connect() {
    clearTimeout(timer);
    early = [];
    $('send').disabled = true;
    $('why').textContent = 'Connecting…';
    $('now').hidden = true;

    const scheme = location.protocol === 'https:' ? 'wss:' : 'ws:';
    const ws = new WebSocket(`${scheme}//${location.host}/chat/${room}?name=${encodeURIComponent(name)}`);

    socket = ws;
    ws.onmessage = (e) => ws === socket && receive(JSON.parse(e.data));
    ws.onclose = () => ws === socket && again();
}

// Later each time, and not all at once when a server comes back.
function again() {
    const delay = Math.min(SLOWEST, 500 * 2 ** tries++) * (0.5 + Math.random() / 2);

    socket = null;
    wait(Date.now() + delay);
}

function wait(until) {
    const left = until - Date.now();

    $('trouble').hidden = false;
    $('send').disabled = true;
    $('now').hidden = false;
    $('why').textContent = navigator.onLine ? `Connection lost. Trying again in ${Math.max(1, Math.ceil(left / 1000))} s`
                                            : 'There is no network.';

    timer = left > 0 ? setTimeout(wait, Math.min(left, 1000), until) : setTimeout(connect);
}

// something has changed: it may be worth a try
function retry() {
    if (name && !socket) {
        tries = 0;
        connect();
    }
}

addEventListener('online', retry);
$('now').onclick = retry;

document.addEventListener('visibilitychange', () => {
    if (document.hidden) return;

    unseen = 0;
    showTitle();
    retry();
});


// ---- what one says

const text = $('text');

function grow() {
    text.style.setProperty('height', 'auto');
    text.style.setProperty('height', `${text.scrollHeight + text.offsetHeight - text.clientHeight}px`);
}

function say() {
    if (!text.value.trim() || socket?.readyState !== WebSocket.OPEN || early) return;

    sent = text.value;
    socket.send(JSON.stringify({ text: sent }));
    text.value = '';
    $('error').hidden = true;
    grow();
    toEnd();
}

text.oninput = grow;

text.onkeydown = (e) => {
    if (e.key === 'Enter' && !e.shiftKey && !e.isComposing) {
        e.preventDefault();
        say();
    }
};

$('say').onsubmit = (e) => {
    e.preventDefault();
    say();
    text.focus();
};

$('down').onclick = toEnd;

$('who').onclick = () => {
    const open = $('chat').classList.toggle('sided');

    $('who').setAttribute('aria-expanded', open);
};


// ---- where one comes in

function enterRoom() {
    $('door').hidden = true;
    $('chat').hidden = false;
    $('title').textContent = room;
    showTitle();
    connect();

    // no keyboard comes up by itself where it would cover half of the page
    if (matchMedia('(hover: hover)').matches) text.focus();
}

$('name').oninput = (e) => {
    e.target.setCustomValidity(WORDS.test(e.target.value.trim()) ? '' : 'Words with a space between');
};

$('enter').onsubmit = (e) => {
    e.preventDefault();

    name = $('name').value.trim();
    sessionStorage.setItem('name', name);
    localStorage.setItem('name', name);

    if ($('room').value === room) {
        enterRoom();
    } else {
        location.href = `/rooms/${$('room').value}`;
    }
};

if (name && WORDS.test(name)) {
    enterRoom();
} else {
    $('door').hidden = false;
    $('room').value = room;
    $('name').value = sessionStorage.getItem('name') || localStorage.getItem('name') || '';
    (room ? $('name') : $('room')).focus();
}
