function json(r, value) {
    r.return(200, JSON.stringify(value));
}

function hello(r) {
    json(r, { message: 'Hello, World!' });
}

function sleep(r) {
    setTimeout(() => json(r, { ok: true }), 1000);
}

export default { hello, sleep };
