function json(r, value) {
    r.return(200, JSON.stringify(value));
}

function hello(r) {
    json(r, { message: 'Hello, World!' });
}

function sleep(r) {
    setTimeout(() => json(r, { ok: true }), 1000);
}

async function fetched(r) {
    let reply = await ngx.fetch(r.variables.backend);
    return reply.json();
}

async function captured(r) {
    let reply = await r.subrequest('/backend');
    return JSON.parse(reply.responseText);
}

// njs takes no await in arguments

async function fetch1(r) {
    let value = await fetched(r);
    json(r, value);
}

async function capture1(r) {
    let value = await captured(r);
    json(r, value);
}

async function fetch3(r) {
    let values = await Promise.all([fetched(r), fetched(r), fetched(r)]);
    json(r, values);
}

async function capture3(r) {
    let values = await Promise.all([captured(r), captured(r), captured(r)]);
    json(r, values);
}

export default { hello, sleep, fetch1, fetch3, capture1, capture3 };
