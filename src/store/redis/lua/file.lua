-- Files ARGV[1] until ARGV[2], and forgets what is over at ARGV[3]. KEYS[1] is the list by time. Of
-- sessions there are two more: KEYS[2], in the order of the members, and KEYS[3], by which its site's are
-- counted: ARGV[5] stands there until ARGV[6].
local over = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', ARGV[3], 'LIMIT', 0, 100)
if #over > 0 then
  redis.call('ZREM', KEYS[1], unpack(over))
  if KEYS[2] then
    redis.call('ZREM', KEYS[2], unpack(over))
  end
end
redis.call('ZADD', KEYS[1], ARGV[2], ARGV[1])
if KEYS[2] then
  redis.call('ZADD', KEYS[2], 0, ARGV[1])
  redis.call('ZADD', KEYS[3], ARGV[6], ARGV[5])
end
for _, key in ipairs(KEYS) do
  if redis.call('PTTL', key) < tonumber(ARGV[4]) then
    redis.call('PEXPIRE', key, ARGV[4])
  end
end
return 1
