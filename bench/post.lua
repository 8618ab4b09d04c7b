-- wrk's side of load.py: one prepared POST, with a number in the place of $NUMBER$; the result as one line of JSON.
function init(arguments)
   wrk.method = "POST"
   wrk.headers["Authorization"] = "Bearer " .. arguments[1]
   wrk.headers["Content-Type"] = "application/json"
   wrk.body = arguments[2]
   request_bytes = wrk.format()
   before, after = request_bytes:match("^(.*)%$NUMBER%$(.*)$")
   number = 0
end

function request()
   if not before then
      return request_bytes
   end
   number = number + 1
   return before .. ("%08d"):format(number) .. after
end

function done(summary, latency)
   local errors = summary.errors
   local failed = errors.connect + errors.read + errors.write + errors.status + errors.timeout
   local line = '{"answered":%d,"seconds":%.6f,"p50":%.3f,"p99":%.3f,"failed":%d}\n'
   io.write(line:format(summary.requests, summary.duration / 1e6, latency:percentile(50) / 1e3,
                        latency:percentile(99) / 1e3, failed))
end
