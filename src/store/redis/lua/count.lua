-- How many in each list are not over at ARGV[1]. Forgets by the way what was over at ARGV[2]: a little each
-- time, since nobody else is served meanwhile.
local counts = {}
for i, key in ipairs(KEYS) do
  local over = redis.call('ZRANGEBYSCORE', key, '-inf', ARGV[2], 'LIMIT', 0, 500)
  if #over > 0 then
    redis.call('ZREM', key, unpack(over))
  end
  counts[i] = redis.call('ZCOUNT', key, '(' .. ARGV[1], '+inf')
end
return counts
