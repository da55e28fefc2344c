-- we, wb, wm
local server = require "nginx.websocket.server"
local semaphore = require "ngx.semaphore"

local M = {}

local function accept()
    return assert(server:new{ timeout = 600000, max_payload_len = 65535 })
end

function M.echo()
    local ws = accept()
    while true do
        local data, kind = ws:recv_frame()
        if kind ~= "binary" or not ws:send_binary(data) then
            return
        end
    end
end

-- each has a thread that sends, as only its own request may use a connection

local members = {}

local function member(ws)
    local self = { messages = {}, ready = semaphore.new() }
    return self, ngx.thread.spawn(function()
        while true do
            if self.ready:wait(600) then
                ws:send_binary(table.remove(self.messages, 1))
            end
        end
    end)
end

function M.cast()
    local ws = accept()
    local self, thread = member(ws)
    members[self] = true
    while true do
        local data, kind = ws:recv_frame()
        if kind ~= "binary" then
            break
        end
        for other in pairs(members) do
            table.insert(other.messages, data)
            other.ready:post()
        end
    end
    members[self] = nil
    ngx.thread.kill(thread)
end

return M
