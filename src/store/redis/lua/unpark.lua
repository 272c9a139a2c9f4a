-- Hands out what is kept for the page ARGV[1] to the attempt that KEYS[2] names. It may ask twice: for ARGV[2]
-- ms it is remembered what it got.
local kept = redis.call('HGET', KEYS[1], ARGV[1])
if kept then
  redis.call('HDEL', KEYS[1], ARGV[1])
  redis.call('SET', KEYS[2], kept, 'PX', ARGV[2])
  return kept
end
return redis.call('GET', KEYS[2])
