-- For wrk: many requests at once on each connection, so that the client has little to do. `wrk ... -- PATH FILE`,
-- with a cookie a line in FILE.

local AT_ONCE = 32

local batches = {}
local at = 0

function init(args)
    for cookie in io.lines(args[2]) do
        batches[#batches + 1] = wrk.format("GET", args[1], { Cookie = cookie }):rep(AT_ONCE)
    end
end

function request()
    at = at % #batches + 1
    return batches[at]
end
