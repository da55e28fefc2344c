// What a client of the interface of browsers, theirs or that of npm's ws, says
// to t/apps/ws-clients.c, and what it gets.  Used by t/ws-clients.t.

function opened(WebSocket, url, protocols) {
    const ws = protocols ? new WebSocket(url, protocols) : new WebSocket(url);
    const messages = [], waiting = [];

    ws.binaryType = 'arraybuffer';

    ws.addEventListener('message', event => {
        const wait = waiting.shift();
        if (wait) wait(event.data); else messages.push(event.data);
    });

    ws.next = () => messages.length ? Promise.resolve(messages.shift())
        : new Promise(resolve => waiting.push(resolve));

    ws.closed = new Promise(resolve => ws.addEventListener('close',
        event => resolve([event.code, event.reason, event.wasClean])));

    ws.addEventListener('error', () => {});

    return new Promise((resolve, reject) => {
        ws.addEventListener('open', () => resolve(ws));
        ws.closed.then(reject);
    });
}

function bytes(length, noise) {
    const data = new Uint8Array(length);
    let x = 1;

    for (let i = 0; i < length; i++) {
        x = Math.imul(x, 1103515245) + 12345 >>> 0;
        data[i] = noise ? x >>> 16 : i * 7 + (i >> 8);
    }

    return data;
}

function same(data, buffer) {
    const other = new Uint8Array(buffer);

    return data.length === other.length && data.every((b, i) => b === other[i]);
}

async function talk(WebSocket, base) {
    const result = {}, lengths = [0, 1, 125, 126, 127, 65535, 65536, 1 << 20];
    const strange = 'a\u00e4\u20ac\u{1f600}\u0000\ufffe\uffffz';

    let ws = await opened(WebSocket, base + '/echo', ['v9.test', 'v1.test', 'v2.test']);

    result.protocol = ws.protocol;
    result.extensions = ws.extensions;

    ws.send('hello');
    result.text = await ws.next();
    ws.send(strange);
    result.unicode = await ws.next() === strange;

    result.binary = [];

    for (const length of lengths) {
        for (const noise of [false, true]) {
            const data = bytes(length, noise);
            ws.send(data);
            if (same(data, await ws.next())) result.binary.push(length);
        }
    }

    const long = 'some text, again and again; \u20ac '.repeat(100000);
    ws.send(long);
    result.long = await ws.next() === long;

    result.many = 0;
    for (let i = 0; i < 1000; i++) ws.send('message number ' + i);
    for (let i = 0; i < 1000; i++) {
        if (await ws.next() === 'message number ' + i) result.many++;
    }

    ws.close(4000, 'done');
    result.close = await ws.closed;

    ws = await opened(WebSocket, base + '/parts');
    result.none = ws.protocol;
    ws.send(long);
    result.parts = await ws.next() === long;
    ws.close();
    result.empty = await ws.closed;

    ws = await opened(WebSocket, base + '/closes');
    result.last = await ws.next();
    result.closes = await ws.closed;

    ws = await opened(WebSocket, base + '/returns');
    result.returns = await ws.closed;

    ws = await opened(WebSocket, base + '/fails');
    result.fails = await ws.closed;

    ws = await opened(WebSocket, base + '/short');
    ws.send('x'.repeat(1001));
    result.short = await ws.closed;

    result.refuses = await opened(WebSocket, base + '/refuses').catch(closed => closed);

    return result;
}
