-- what threads run, in a VM of their own: see ../work.h
local ffi = require "ffi"

ffi.cdef [[
    struct timespec { long sec; long nsec; };
    int clock_gettime(int clock, struct timespec *ts);
    int usleep(unsigned us);
]]

local C = ffi.C
local THREAD_CPUTIME = 3
local ts = ffi.new("struct timespec")
local M = {}

local function clock()
    C.clock_gettime(THREAD_CPUTIME, ts)
    return tonumber(ts.sec) * 1e9 + tonumber(ts.nsec)
end

function M.cpu()
    local stop, x = clock() + 1e6, 1

    repeat
        for i = 1, 1000 do
            x = (x * 1103515245 + 12345) % 2147483648
        end
    until clock() >= stop

    return "done"
end

function M.block()
    C.usleep(10000)
    return "done"
end

function M.noop()
    return "Hello, World!"
end

return M
