local cjson = require "cjson"

-- looked up once, as LuaJIT's documentation advises
local encode, header, print, sleep = cjson.encode, ngx.header, ngx.print,
                                     ngx.sleep
local run_worker_thread = ngx.run_worker_thread
local M = {}

local function json(value)
    local body = encode(value)
    header["Content-Length"] = #body
    print(body)
end

function M.hello()
    json({ message = "Hello, World!" })
end

function M.sleep(seconds)
    sleep(seconds)
    json({ ok = true })
end

local spawn, wait = ngx.thread.spawn, ngx.thread.wait

function M.spawn()
    local sum = 0
    local function one() sum = sum + 1 end
    for _ = 1, 1000 do
        wait(spawn(one))
    end
    json({ sum = sum })
end

local piece = string.rep("\0", 65536)

function M.pieces()
    local n = 16 * (tonumber(ngx.var.arg_mib) or 16)
    header["Content-Length"] = n * 65536
    for _ = 1, n do
        print(piece)
        ngx.flush(true)
    end
end

function M.swallow()
    local socket = assert(ngx.req.socket())
    local left = tonumber(ngx.var.content_length)
    while left > 0 do
        left = left - #assert(socket:receiveany(65536))
    end
    print("done")
end

function M.thread(name)
    local ok, message = run_worker_thread("bench", "work", name)
    if not ok then
        error(message)
    end
    json({ message = message })
end

return M
