-- Puts the spent token ARGV[2] in the place of the open one, ARGV[1], for ARGV[3] ms. The same
-- attempt may come twice: what it wrote names it. Says whether it has the token, what stands there
-- otherwise, and how many replicas there are to wait for.
local present = redis.call('GET', KEYS[1])
local taken = 0
if present == ARGV[1] then
  redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
  taken = 1
elseif present == ARGV[2] then
  taken = 1
end
local replicas = 0
for _ in string.gmatch(redis.call('INFO', 'replication'), 'state=online') do
  replicas = replicas + 1
end
return {taken, present or '', replicas}
