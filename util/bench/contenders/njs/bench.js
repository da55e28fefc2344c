function json(r, value) {
    r.return(200, JSON.stringify(value));
}

function hello(r) {
    json(r, { message: 'Hello, World!' });
}

function sleep(r) {
    setTimeout(() => json(r, { ok: true }), 1000);
}

// async functions, each awaited or all at once; one of njs 0.7.9 has copies of
// numbers around it, so they count in an object

async function spawn(r) {
    let count = { sum: 0 };
    let one = async () => { count.sum++; };
    for (let i = 0; i < 1000; i++) {
        await one();
    }
    json(r, count);
}

async function gather(r) {
    let count = { sum: 0 };
    let one = async () => { count.sum++; };
    let all = [];
    for (let i = 0; i < 1000; i++) {
        all.push(one());
    }
    await Promise.all(all);
    json(r, count);
}

function integer(text, least, most) {
    let n = Number(text);
    return Number.isInteger(n) && n >= least && !(n > most) ? n : null;
}

function params(r) {
    let shop = integer(r.variables.shop, 1);
    let kind = r.variables.kind;
    let limit = integer(r.args.limit || '20', 1, 100);
    let q = r.args.q;
    let price = Number(r.args.price);

    if (shop === null || kind.length > 20 || limit === null || !(price > 0)) {
        r.return(422);
        return;
    }

    if (shop != 7 || kind != 'shoes' || limit != 10 || q != 'abc'
        || price != 9.5)
    {
        throw new Error('other parameters');
    }

    hello(r);
}

function tree(r) {
    json(r, JSON.parse(r.requestText));
}

function text(r) {
    r.return(200, r.requestBuffer);
}

function events(r) {
    r.status = 200;
    r.headersOut['Content-Type'] = 'text/event-stream';
    r.sendHeader();
    for (let i = 0; i < 100; i++) {
        r.send('data: {"message":"Hello, World!"}\n\n');
    }
    r.finish();
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

export default { hello, sleep, spawn, gather, params, tree, text, events,
                 fetch1, fetch3, capture1, capture3 };
