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

function M.thread(name)
    local ok, message = run_worker_thread("bench", "work", name)
    if not ok then
        error(message)
    end
    json({ message = message })
end

return M
