-- The configuration of record. KEYS: the hash of numbers, the hash of revisions, the hash of their texts, the schema.
-- Answers the schema and, if there is a configuration, its revision and its text.
local number = redis.call('HGET', KEYS[1], 'revision')
local schema = redis.call('GET', KEYS[4]) or ''
if not number then return {schema} end
return {schema, redis.call('HGET', KEYS[2], number) or '', redis.call('HGET', KEYS[3], number) or ''}
