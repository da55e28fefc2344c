local cjson = require "cjson"

-- looked up once, as LuaJIT's documentation advises
local encode, header, print, sleep = cjson.encode, ngx.header, ngx.print,
                                     ngx.sleep
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

return M
