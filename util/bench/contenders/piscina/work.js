'use strict';

/* what threads run: see ../work.h; a thread of Node has no clock of its own */

function spin(turns) {
    let x = 1;

    for (let i = 0; i < turns; i++) {
        x = (Math.imul(x, 1103515245) + 12345) & 0x7fffffff;
    }

    return x;
}

function cpu(turns) {
    spin(turns);
    return 'done';
}

function block(ms) {
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
    return 'done';
}

function noop() {
    return 'Hello, World!';
}

module.exports = { spin, cpu, block, noop };
