-- Puts revision ARGV[2] with the content ARGV[3] in the place of revision ARGV[1], which is 0 for
-- nothing; whether that is what stands there now.
local present = redis.call('HGET', KEYS[1], 'v') or '0'
if present == ARGV[1] then
  redis.call('HSET', KEYS[1], 'v', ARGV[2], 'r', ARGV[3])
  return 1
end
if present == ARGV[2] and redis.call('HGET', KEYS[1], 'r') == ARGV[3] then
  return 1
end
return 0
