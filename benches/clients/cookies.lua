-- For wrk: sessions from a file. `wrk ... -- PATH FILE OFFSET WHOSE`, with a cookie a line in FILE.
--
-- With WHOSE = "own" each thread is a visitor with a few connections, as browsers are: all its
-- requests come with the same session. With "any" each request comes with another one, as from a
-- proxy in front that has mixed the visitors of all of them. All requests are written before the
-- first is sent.

local requests = {}
local at, step = 0, 0
local threads = 0

-- A prime, so that a walk with this step meets every cookie and no two neighbours in a row.
local STRIDE = 611953

function setup(thread)
    thread:set("number", threads)
    threads = threads + 1
end

function init(args)
    for cookie in io.lines(args[2]) do
        requests[#requests + 1] = wrk.format("GET", args[1], { Cookie = cookie })
    end
    at = (tonumber(args[3]) + number) % #requests
    step = args[4] == "any" and STRIDE or 0
end

function request()
    at = (at + step) % #requests
    return requests[at + 1]
end
