-- Puts ARGV[2] in the place of ARGV[1]; either may be empty, for nothing. With ARGV[3], for so many
-- ms. Says whether that is so now, and what stands there otherwise.
local present = redis.call('GET', KEYS[1]) or ''
if present ~= ARGV[1] and present ~= ARGV[2] then
  return {0, present}
end
if ARGV[2] == '' then
  redis.call('DEL', KEYS[1])
elseif ARGV[3] ~= '' then
  redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
else
  redis.call('SET', KEYS[1], ARGV[2])
end
return {1, ARGV[2]}
