-- Files ARGV[1] until ARGV[2], and forgets what is over at ARGV[3]. The list by time is the last key;
-- one in the order of the members may stand before it.
local by_time = KEYS[#KEYS]
local over = redis.call('ZRANGEBYSCORE', by_time, '-inf', ARGV[3], 'LIMIT', 0, 100)
if #over > 0 then
  for _, key in ipairs(KEYS) do
    redis.call('ZREM', key, unpack(over))
  end
end
for _, key in ipairs(KEYS) do
  redis.call('ZADD', key, key == by_time and ARGV[2] or 0, ARGV[1])
  if redis.call('PTTL', key) < tonumber(ARGV[4]) then
    redis.call('PEXPIRE', key, ARGV[4])
  end
end
return 1
