'use strict';

const http = require('http');

const wait = (ms) => new Promise((done) => setTimeout(done, ms));

/* bodies */

async function read(req) {
    const pieces = [];

    for await (const piece of req) {
        pieces.push(piece);
    }

    return Buffer.concat(pieces);
}

async function tree(req) {
    return JSON.parse(await read(req));
}

/* w7: its own fetch(), which keeps connections */

const url = `http://127.0.0.1:${process.env.BACKEND}/json`;
const tls = `https://127.0.0.1:${process.env.BACKEND2}/json`;

const fetched = async (where) => (await fetch(where)).json();

/* what a route returns is JSON */

const routes = {
    '/json': async () => ({ message: 'Hello, World!' }),
    '/sleep': async () => { await wait(1000); return { ok: true }; },
    '/spawn': async () => {
        let sum = 0;
        const one = async () => { sum++; };
        for (let i = 0; i < 1000; i++) {
            await one();
        }
        return { sum };
    },
    '/gather': async () => {
        let sum = 0;
        const one = async () => { sum++; };
        await Promise.all(Array.from({ length: 1000 }, one));
        return { sum };
    },
};

Object.assign(routes, {
    '/tree': tree,
    '/fetch': () => fetched(url),
    '/fetch_tls': () => fetched(tls),
    '/fetch3': () => Promise.all([fetched(url), fetched(url), fetched(url)]),
});

/* pieces, each of which is with the kernel before the next */

const piece = Buffer.alloc(65536);

async function write(res, bytes) {
    await new Promise((done) => res.write(bytes, done));
}

const streams = {
    '/pieces': async (req, res, query) => {
        const mib = +(query.get('mib') || 16);

        res.writeHead(200, { 'Content-Length': mib << 20 });

        for (let i = 0; i < 16 * mib; i++) {
            await write(res, piece);
        }
        res.end();
    },
    '/swallow': async (req, res) => {
        for await (const piece of req);
        res.end('done');
    },
    '/events': async (req, res) => {
        res.writeHead(200, { 'Content-Type': 'text/event-stream' });

        for (let i = 0; i < 100; i++) {
            await write(res, 'data: {"message":"Hello, World!"}\n\n');
        }
        res.end();
    },
    '/text': async (req, res) => {
        const body = await read(req);

        res.writeHead(200, { 'Content-Type': 'application/json',
                             'Content-Length': body.length });
        res.end(body);
    },
};

async function stream(req, res) {
    const { pathname, searchParams } = new URL(req.url, 'http://localhost');

    if (!streams[pathname]) {
        res.writeHead(404).end();
        return;
    }

    try {
        await streams[pathname](req, res, searchParams);
    } catch (error) {
        res.destroy();          /* the client has gone */
    }
}

async function serve(req, res) {
    const route = routes[req.url];

    if (!route) {
        stream(req, res);
        return;
    }

    const body = JSON.stringify(await route(req));

    res.writeHead(200, { 'Content-Type': 'application/json',
                         'Content-Length': Buffer.byteLength(body) });
    res.end(body);
}

function listen() {
    const server = http.createServer(serve);

    server.keepAliveTimeout = 600000;
    server.requestTimeout = 0;
    server.headersTimeout = 0;
    server.listen({ port: +process.env.PORT, host: '127.0.0.1',
                    backlog: 4096 });
}

if (require.main === module) {
    listen();
}

module.exports = { routes, listen };
