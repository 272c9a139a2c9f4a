-- For wrk: each request has another session. `wrk ... -- PATH FILE OFFSET`, with a cookie a line in
-- FILE. All requests are written before the first is sent.

local requests = {}
local at = 0

-- A prime, so that a walk with this step meets every cookie and no two neighbours in a row.
local STRIDE = 611953

function init(args)
    for cookie in io.lines(args[2]) do
        requests[#requests + 1] = wrk.format("GET", args[1], { Cookie = cookie })
    end
    at = tonumber(args[3]) % #requests
end

function request()
    at = (at + STRIDE) % #requests
    return requests[at + 1]
end
