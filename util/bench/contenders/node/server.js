'use strict';

const http = require('http');

const wait = (ms) => new Promise((done) => setTimeout(done, ms));

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

async function serve(req, res) {
    const route = routes[req.url];

    if (!route) {
        res.writeHead(404).end();
        return;
    }

    const body = JSON.stringify(await route());

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
