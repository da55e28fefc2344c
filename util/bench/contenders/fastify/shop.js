'use strict';

/* wq, wj: parameters and bodies, checked and written by JSON Schema */

const integer = { type: 'integer' };
const number = { type: 'number' };
const text = { type: 'string' };

const message = {
    type: 'object',
    properties: { message: text },
};

const task = {
    type: 'object',
    required: ['id', 'title', 'price', 'done'],
    properties: {
        id: integer, title: text, price: number,
        done: { type: 'boolean' },
        priority: { type: ['integer', 'null'] },
    },
};

const person = {
    type: 'object',
    required: ['id', 'name', 'email', 'active', 'score', 'tags', 'tasks'],
    properties: {
        id: integer, name: text, email: text,
        active: { type: 'boolean' },
        score: number,
        tags: { type: 'array', items: text },
        tasks: { type: 'array', items: task },
    },
};

const goods = {
    params: {
        type: 'object',
        properties: {
            shop: { type: 'integer', minimum: 1 },
            kind: { type: 'string', maxLength: 20 },
        },
    },
    querystring: {
        type: 'object',
        required: ['price'],
        properties: {
            limit: { type: 'integer', minimum: 1, maximum: 100, default: 20 },
            q: text,
            price: { type: 'number', exclusiveMinimum: 0 },
        },
    },
    response: { 200: message },
};

module.exports = async function (fastify) {
    fastify.get('/shop/:shop/goods/:kind', { schema: goods }, async (req) => {
        const { shop, kind } = req.params;
        const { limit, q, price } = req.query;

        if (shop !== 7 || kind !== 'shoes' || limit !== 10 || q !== 'abc'
            || price !== 9.5)
        {
            throw new Error('other parameters');
        }

        return { message: 'Hello, World!' };
    });

    fastify.post('/struct',
                 { schema: { body: person, response: { 200: person } } },
                 async (req) => req.body);

    fastify.post('/tree', async (req) => req.body);
};
