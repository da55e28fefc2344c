'use strict';

/* w7: undici, the client that Node's own fetch() is made of */

const { Agent, request } = require('undici');

const url = `http://127.0.0.1:${process.env.BACKEND}/json`;
const tls = `https://127.0.0.1:${process.env.BACKEND2}/json`;

const dispatcher = new Agent({ connections: 256, keepAliveTimeout: 600000,
                               connect: { rejectUnauthorized: false } });

async function fetched(where) {
    const { body } = await request(where, { dispatcher });

    return body.json();
}

module.exports = async function (fastify) {
    fastify.get('/fetch', () => fetched(url));
    fastify.get('/fetch_tls', () => fetched(tls));
    fastify.get('/fetch3', () => Promise.all(
        [fetched(url), fetched(url), fetched(url)]));
};
