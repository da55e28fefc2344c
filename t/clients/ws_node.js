// usage: node ws_node.js MODULE BASE: what npm's ws gets, as JSON; then one that
// stays, until it is closed.  Used by t/ws-clients.t.

const fs = require('fs');
const path = require('path');
const WebSocket = require(path.resolve(process.argv[2]));
const base = process.argv[3];

eval(fs.readFileSync(path.join(__dirname, 'ws.js'), 'utf8')
    + '; globalThis.talk = talk; globalThis.opened = opened;');

process.env.NODE_TLS_REJECT_UNAUTHORIZED = '0';
process.removeAllListeners('warning');

// What the interface of browsers does not have.
async function more() {
    const result = {};
    const ws = await opened(WebSocket, base + '/echo');

    ws.ping('are you there');
    result.pong = await new Promise(resolve => ws.once('pong', data => resolve(String(data))));

    ws.send('in ', { fin: false });
    ws.send('three ', { fin: false });
    ws.send('fragments', { fin: true });
    result.fragments = await ws.next();

    ws.pong('not asked for');
    ws.send('and on');
    result.unasked = await ws.next();

    ws.terminate();

    // each but the first is sent because the one before has been answered
    result.pings = await new Promise(resolve => {
        const ws = new WebSocket(base + '/pinged');
        let count = 0;
        ws.on('ping', () => ++count == 3 && (ws.close(), resolve(count)));
        ws.on('close', () => resolve(count));
    });

    result.refused = await new Promise(resolve => {
        const ws = new WebSocket(base + '/refuses');
        ws.on('error', () => {});
        ws.on('unexpected-response', (request, response) => {
            let body = '';
            response.on('data', data => body += data);
            response.on('end', () => resolve([response.statusCode, body]));
        });
    });

    return result;
}

(async () => {
    console.log(JSON.stringify({ ...await talk(WebSocket, base), ...await more() }));

    const ws = await opened(WebSocket, base + '/echo');
    console.log('stays');
    console.log(JSON.stringify(await ws.closed));
})().catch(error => {
    console.log(JSON.stringify({ error: String(error && error.stack || error) }));
    process.exit(1);
});
