-- Ends a session, says so to all nodes, and hands back what it was. With ARGV[3], its bearer is told
-- why, for ARGV[4] ms.
local was = redis.call('HMGET', KEYS[1], 'r', 's', 'p')
if was[1] then
  if ARGV[3] ~= '' then
    redis.call('SET', KEYS[2], ARGV[3], 'PX', ARGV[4])
  end
  redis.call('DEL', KEYS[1])
end
redis.call('PUBLISH', ARGV[1], ARGV[2])
return was
