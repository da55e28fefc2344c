-- w8: PostgreSQL's protocol over cosockets, as pgmoon is not in Debian: a named
-- prepared statement for each connection, and binary values
local bit = require "bit"
local cjson = require "cjson"

local band, rshift = bit.band, bit.rshift
local byte, char = string.byte, string.char
local encode, header, print, tcp = cjson.encode, ngx.header, ngx.print,
                                   ngx.socket.tcp
local random = math.random

-- As many as requests at a time: with a pool of 16 and a backlog, this version
-- keeps closing connections and opening others.
local pool = { pool = "pg", pool_size = 64 }
local kept_ms = 600000
local host, port
local M = {}

function M.with(...)
    host, port = ...
    return M
end

local function int16(n)
    return char(band(rshift(n, 8), 255), band(n, 255))
end

local function int32(n)
    return char(band(rshift(n, 24), 255), band(rshift(n, 16), 255),
                band(rshift(n, 8), 255), band(n, 255))
end

local function at(text, i)
    local a, b, c, d = byte(text, i, i + 3)
    return ((a * 256 + b) * 256 + c) * 256 + d
end

local function message(type, text)
    return type .. int32(#text + 4) .. text
end

local SYNC = message("S", "")
local EXECUTE = message("E", "\0" .. int32(0))
local PARSE = message("P", "world\0SELECT id, randomnumber FROM world "
                      .. "WHERE id = $1\0" .. int16(1) .. int32(23)) .. SYNC
local STARTUP = int32(196608) .. "user\0bench\0database\0bench\0\0"

-- one value of 4 bytes, and columns, in binary
local BIND = "\0world\0" .. int16(1) .. int16(1) .. int16(1) .. int32(4)
local COLUMNS = int16(1) .. int16(1)

local function query()
    return message("B", BIND .. int32(random(10000)) .. COLUMNS) .. EXECUTE
end

-- until the server is ready for the next one
local function rows_of(socket, rows)
    while true do
        local head = assert(socket:receive(5))
        local type, n = byte(head), at(head, 2) - 4
        local body = n > 0 and assert(socket:receive(n)) or ""

        if type == 68 then                          -- D
            rows[#rows + 1] = { id = at(body, 7), randomNumber = at(body, 15) }
        elseif type == 69 then                      -- E
            error(body)
        elseif type == 90 then                      -- Z
            return rows
        end
    end
end

local function connected()
    local socket = tcp()
    assert(socket:connect(host, port, pool))

    if socket:getreusedtimes() == 0 then
        assert(socket:send(int32(#STARTUP + 4) .. STARTUP))
        rows_of(socket, {})
        assert(socket:send(PARSE))
        rows_of(socket, {})
    end

    return socket
end

local function json(socket, value)
    socket:setkeepalive(kept_ms)
    local body = encode(value)
    header["Content-Length"] = #body
    print(body)
end

function M.one()
    local socket = connected()
    assert(socket:send(query() .. SYNC))
    json(socket, rows_of(socket, {})[1])
end

function M.twenty()
    local socket, rows = connected(), {}
    for _ = 1, 20 do
        assert(socket:send(query() .. SYNC))
        rows_of(socket, rows)
    end
    json(socket, rows)
end

function M.pipeline()
    local socket, queries = connected(), {}
    for i = 1, 20 do
        queries[i] = query()
    end
    queries[21] = SYNC
    assert(socket:send(queries))
    json(socket, rows_of(socket, {}))
end

return M
