-- wrk's side of cycled.py: the requests of a file by turns, each a line (method, path, token, body; `-`: no token); the result
-- as one line of JSON. wrk drops what `request` gives first: it looks at it before the run.
local threads = {}

function setup(thread)
   table.insert(threads, thread)
end

function init(arguments)
   requests, place, others = {}, 0, 0
   expected = tonumber(arguments[2])
   for line in io.lines(arguments[1]) do
      local method, path, token, body = line:match("^(%S+) (%S+) (%S+) ?(.*)$")
      local headers = {["Content-Type"] = body ~= "" and "application/json" or nil}
      headers["Authorization"] = token ~= "-" and "Bearer " .. token or nil
      table.insert(requests, wrk.format(method, path, headers, body ~= "" and body or nil))
   end
end

function request()
   place = place % #requests + 1
   return requests[place]
end

function response(status)
   if status ~= expected then
      others = others + 1
   end
end

function done(summary, latency)
   local errors = summary.errors
   local failed = errors.connect + errors.read + errors.write + errors.timeout + threads[1]:get("others")
   local line = '{"answered":%d,"seconds":%.6f,"p50":%.3f,"p99":%.3f,"p999":%.3f,"failed":%d}\n'
   io.write(line:format(summary.requests, summary.duration / 1e6, latency:percentile(50) / 1e3,
                        latency:percentile(99) / 1e3, latency:percentile(99.9) / 1e3, failed))
end
