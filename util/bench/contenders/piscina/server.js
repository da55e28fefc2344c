'use strict';

const path = require('path');
const { Piscina } = require('piscina');
const { routes, listen } = require('../node/server.js');
const { spin } = require('./work.js');

/* how often spin() turns in a millisecond */
function calibrate() {
    let best = 0;

    for (let i = 0; i < 10; i++) {
        const start = process.cpuUsage().user;
        let turns = 0, us;

        do {
            spin(20000);
            turns += 20000;
            us = process.cpuUsage().user - start;
        } while (us < 20000);

        best = Math.max(best, turns / us * 1000);
    }

    return Math.floor(best);
}

const turns = calibrate();

const pool = new Piscina({ filename: path.resolve(__dirname, 'work.js'),
                           minThreads: 32, maxThreads: 32 });

const run = async (name, value) =>
    ({ message: await pool.run(value, { name }) });

routes['/cpu'] = () => run('cpu', turns);
routes['/block'] = () => run('block', 10);
routes['/noop'] = () => run('noop');

listen();
