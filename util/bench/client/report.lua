-- wrk: one machine-readable line at the end, in microseconds; no hook per
-- request, so that the client stays as cheap as plain wrk

-- the file that is sent, if one is named

init = function(args)
    if args[1] then
        wrk.method = "POST"
        wrk.body = io.open(args[1], "rb"):read("*a")
        wrk.headers["Content-Type"] = "application/json"
    end
end

done = function(summary, latency)
    local e = summary.errors

    io.write(string.format(
        '\nJSON {"requests":%d,"duration_us":%d,"bad":%d,' ..
        '"p50":%d,"p99":%d,"max":%d}\n',
        summary.requests, summary.duration,
        e.connect + e.read + e.write + e.status + e.timeout,
        latency:percentile(50), latency:percentile(99), latency.max))
end
