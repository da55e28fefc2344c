-- wq, wj, wv: parameters checked by hand, JSON, events
local cjson = require "cjson"

local decode, encode = cjson.decode, cjson.encode
local flush, header, print, req = ngx.flush, ngx.header, ngx.print, ngx.req
local tonumber, var = tonumber, ngx.var
local M = {}

local function json(value)
    local body = encode(value)
    header["Content-Length"] = #body
    print(body)
end

local function integer(text, least, most)
    local n = tonumber(text)
    if n and n % 1 == 0 and n >= least and (not most or n <= most) then
        return n
    end
end

function M.params()
    local args = req.get_uri_args()
    local shop, kind = integer(var.shop, 1), var.kind
    local limit = integer(args.limit or "20", 1, 100)
    local q, price = args.q, tonumber(args.price)

    if not shop or #kind > 20 or not limit or not price or price <= 0 then
        return ngx.exit(422)
    end

    assert(shop == 7 and kind == "shoes" and limit == 10 and q == "abc"
           and price == 9.5)
    json({ message = "Hello, World!" })
end

function M.tree()
    req.read_body()
    json(decode(req.get_body_data()))
end

function M.text()
    req.read_body()
    local body = req.get_body_data()
    header["Content-Length"] = #body
    print(body)
end

function M.events()
    header["Content-Type"] = "text/event-stream"
    for _ = 1, 100 do
        print('data: {"message":"Hello, World!"}\n\n')
        flush(true)
    end
end

return M
