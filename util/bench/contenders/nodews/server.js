'use strict';

const http = require('http');
const { WebSocketServer } = require('ws');

function answer(req, res) {
    res.writeHead(200, { 'Content-Type': 'application/json' });
    res.end('{}');
}

const server = http.createServer(answer);
const echo = new WebSocketServer({ noServer: true });
const cast = new WebSocketServer({ noServer: true });

echo.on('connection', (socket) => {
    socket.on('message', (data, binary) => socket.send(data, { binary }));
    socket.on('error', () => {});
});

cast.on('connection', (socket) => {
    socket.on('message', (data, binary) => {
        cast.clients.forEach((client) => client.send(data, { binary }));
    });
    socket.on('error', () => {});
});

server.on('upgrade', (req, socket, head) => {
    const ws = req.url === '/cast' ? cast : echo;

    ws.handleUpgrade(req, socket, head,
                     (client) => ws.emit('connection', client, req));
});

server.listen({ port: +process.env.PORT, host: '127.0.0.1', backlog: 4096 });
