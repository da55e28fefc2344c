-- w7: a few lines of HTTP over cosockets, as lua-resty-http is not in Debian,
-- and captures
local cjson = require "cjson"

local decode, encode = cjson.decode, cjson.encode
local capture, capture_multi = ngx.location.capture, ngx.location.capture_multi
local header, match, print, tcp = ngx.header, string.match, ngx.print,
                                  ngx.socket.tcp
local spawn, wait = ngx.thread.spawn, ngx.thread.wait

local request = "GET /json HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
local kept_ms, kept = 600000, 256
local host, port, tls_port
local M = {}

function M.with(...)
    host, port, tls_port = ...
    return M
end

local function json(value)
    local body = encode(value)
    header["Content-Length"] = #body
    print(body)
end

local function get(tls)
    local socket = tcp()
    assert(socket:connect(host, tls and tls_port or port))
    if tls and socket:getreusedtimes() == 0 then
        assert(socket:sslhandshake(nil, nil, false))
    end

    assert(socket:send(request))
    assert(match(assert(socket:receive()), "^HTTP/1.1 200 "))

    local n
    while true do
        local line = assert(socket:receive())
        if line == "" then
            break
        end
        n = match(line, "^[Cc]ontent%-[Ll]ength: *(%d+)") or n
    end

    local body = assert(socket:receive(tonumber(n)))
    socket:setkeepalive(kept_ms, kept)
    return body
end

local function parsed()
    return decode(get())
end

function M.one()
    json(parsed())
end

function M.raw()
    local body = get()
    header["Content-Length"] = #body
    print(body)
end

function M.tls()
    json(decode(get(true)))
end

function M.three()
    local a, b, c = spawn(parsed), spawn(parsed), spawn(parsed)
    local _, x = assert(wait(a))
    local _, y = assert(wait(b))
    local _, z = assert(wait(c))
    json({ x, y, z })
end

function M.capture()
    json(decode(capture("/backend").body))
end

local backends = { { "/backend" }, { "/backend" }, { "/backend" } }

function M.capture3()
    local a, b, c = capture_multi(backends)
    json({ decode(a.body), decode(b.body), decode(c.body) })
end

function M.capture3_raw()
    local a, b, c = capture_multi(backends)
    header["Content-Length"] = #a.body + #b.body + #c.body
    print(a.body, b.body, c.body)
end

return M
