'use strict';

const { Pool } = require('pg');
const { setTimeout: wait } = require('timers/promises');
const fastify = require('fastify')({ keepAliveTimeout: 600000 });

const ROWS = 20;

/* w8: a pool of pg's, whose named queries are prepared once a connection */

const pool = new Pool({ host: '127.0.0.1', port: +process.env.PGPORT,
                        user: 'bench', database: 'bench', max: 16,
                        idleTimeoutMillis: 600000 });

async function one(client) {
    const result = await client.query({
        name: 'world',
        text: 'SELECT id, randomnumber FROM world WHERE id = $1',
        values: [1 + Math.floor(Math.random() * 10000)],
    });

    const row = result.rows[0];

    return { id: row.id, randomNumber: row.randomnumber };
}

async function twenty() {
    const client = await pool.connect();

    try {
        const rows = [];

        for (let i = 0; i < ROWS; i++) {
            rows.push(await one(client));
        }

        return rows;

    } finally {
        client.release();
    }
}

async function sleep() {
    await wait(1000);
    return { ok: true };
}

/* what it is to write is said beforehand, as its documentation advises */

const schema = (properties) => (
    { schema: { response: { 200: { type: 'object', properties } } } });

fastify.get('/json', schema({ message: { type: 'string' } }),
            async () => ({ message: 'Hello, World!' }));
fastify.get('/sleep', schema({ ok: { type: 'boolean' } }), sleep);
fastify.get('/row', () => one(pool));
fastify.get('/rows', twenty);
fastify.get('/at_once', () => Promise.all(
    Array.from({ length: ROWS }, () => one(pool))));

fastify.register(require('./shop.js'));
fastify.register(require('./fetch.js'));

fastify.listen({ port: +process.env.PORT, host: '127.0.0.1', backlog: 4096 });
