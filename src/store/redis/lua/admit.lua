-- Lets a person's session in, as far as there may be so many of them on its site.
--
-- KEYS[1] has, under the name of each session: site, hash, when it ends however busy, when it ends if
-- idle, and perhaps the word that it has to go. Nothing is taken out of it that has to go but may still
-- be there: whoever comes next sees to it.
--
-- ARGV: 1 now, 2 how much later than known a session may be idle, 3 site, 4 name, 5 entry, 6 the most
-- there may be (0: any number), 7 whether the oldest goes, 8 ms to keep all this, 9 the name of one that
-- ends anyway; then, in pairs, names and when they end if idle, or the word gone.
-- Answers: whether it is in; then, in threes, name, hash and end of those that have to go.
local function read(entry)
  return string.match(entry, '^(%S+) (%S+) (%d+) (%d+) ?(%a*)$')
end
local now, slack, most = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[6])
for i = 10, #ARGV, 2 do
  local name, news = ARGV[i], ARGV[i + 1]
  local entry = redis.call('HGET', KEYS[1], name)
  if entry then
    local site, hash, ends, idle, mark = read(entry)
    if news == 'gone' then
      redis.call('HDEL', KEYS[1], name)
    elseif site and tonumber(news) > tonumber(idle) then
      entry = site .. ' ' .. hash .. ' ' .. ends .. ' ' .. news .. (mark ~= '' and ' ' .. mark or '')
      redis.call('HSET', KEYS[1], name, entry)
    end
  end
end
local there, going = {}, {}
local all = redis.call('HGETALL', KEYS[1])
for i = 1, #all, 2 do
  local name, entry = all[i], all[i + 1]
  local site, hash, ends, idle, mark = read(entry)
  if not site then
    return redis.error_reply('DAMAGED list of sessions')
  elseif tonumber(ends) <= now then
    redis.call('HDEL', KEYS[1], name)
  elseif most > 0 and site == ARGV[3] and tonumber(idle) + slack <= now then
    -- Only where sessions are counted is it known when they were last seen.
    redis.call('HDEL', KEYS[1], name)
  elseif site == ARGV[3] and mark ~= '' then
    table.insert(going, {name, hash, ends})
  elseif site == ARGV[3] and name ~= ARGV[4] and name ~= ARGV[9] then
    table.insert(there, {name, hash, ends, entry})
  end
end
local surplus = most > 0 and #there + 1 - most or 0
if surplus > 0 and ARGV[7] == '0' and redis.call('HEXISTS', KEYS[1], ARGV[4]) == 0 then
  return {0}
end
table.sort(there, function(a, b) return a[1] < b[1] end)
for i = 1, surplus do
  redis.call('HSET', KEYS[1], there[i][1], there[i][4] .. ' goes')
  table.insert(going, there[i])
end
-- An attempt that is made again may have been told to go meanwhile.
redis.call('HSETNX', KEYS[1], ARGV[4], ARGV[5])
if redis.call('PTTL', KEYS[1]) < tonumber(ARGV[8]) then
  redis.call('PEXPIRE', KEYS[1], ARGV[8])
end
local answer = {1}
for _, one in ipairs(going) do
  for i = 1, 3 do
    table.insert(answer, one[i])
  end
end
return answer
