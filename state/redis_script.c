/* What Redis decides (C1): scripts that compare and write in one action. Each compares everything
 * before it writes anything, and first of all whether what is asked was done before (C6); then what
 * was done is written once more, so that waiting for replicas waits for it.
 *
 *   answers  {"ok", …}, or {"stale" | "again" | "absent", …, sentence}
 */
#include "redis_place.h"

/* nil, or why `leader` may not decide in `epoch`. */
#define STALE                                                                                      \
    "local function stale(epoch_key, leader_key, epoch, holder, term)\n"                           \
    " local is = redis.call('hget', epoch_key, 'no') or '0'\n"                                     \
    " if is ~= epoch then return 'the epoch is '..is..', not '..epoch end\n"                       \
    " local held = redis.call('hmget', leader_key, 'holder', 'term')\n"                            \
    " if not held[1] then return 'the leader\\'s lease of term '..term..' has ended' end\n"        \
    " if held[1] ~= holder or held[2] ~= term then\n"                                              \
    "  return 'the leader is '..held[1]..' in term '..held[2]..', not '..holder..' in term '"      \
    "..term\n"                                                                                     \
    " end\n"                                                                                       \
    "end\n"

#define NEWEST                                                                                     \
    "local function newest(key)\n"                                                                 \
    " local last = redis.call('zrevrange', key, 0, 0)[1]\n"                                        \
    " return last and string.sub(last, 1, 20) or '00000000000000000000'\n"                         \
    "end\n"

static const char identity[] =
    "local now = redis.call('get', KEYS[1])\n"
    "if ARGV[2] == '' then\n"
    " if now then return {'ok', now} end\n"
    " return {'absent', 'the place has no data'}\n"
    "end\n"
    "if now ~= ARGV[2] and (now or '') ~= ARGV[1] then\n"
    " return {'stale', now or '', 'the place has '..(now and 'other' or 'no')..' data'}\n"
    "end\n"
    "redis.call('set', KEYS[1], ARGV[2])\n"
    "return {'ok', ARGV[2]}\n";

/* epoch leader manifests manifest │ epoch holder term last no entry bytes; '.' follows '-'. */
static const char commit[] =
    STALE NEWEST "local no = ARGV[5]\n"
                 "local have = redis.call('zrangebylex', KEYS[3], '['..no..'-', '('..no..'.')[1]\n"
                 "if have ~= ARGV[6] then\n"
                 " local why = stale(KEYS[1], KEYS[2], ARGV[1], ARGV[2], ARGV[3])\n"
                 " local last = newest(KEYS[3])\n"
                 " if not why and last ~= ARGV[4] then\n"
                 "  why = 'the newest manifest is '..last..', not '..ARGV[4]\n"
                 " end\n"
                 " if why then return {'stale', why} end\n"
                 "end\n"
                 "redis.call('zadd', KEYS[3], 0, ARGV[6])\n"
                 "redis.call('set', KEYS[4], ARGV[7])\n"
                 "return {'ok'}\n";

/* epoch leader manifests chunks chunk │ epoch holder term no name ttl */
static const char del_chunk[] = STALE NEWEST
    "local why = stale(KEYS[1], KEYS[2], ARGV[1], ARGV[2], ARGV[3])\n"
    "local last = newest(KEYS[3])\n"
    "if not why and ARGV[4] > last then\n"
    " why = 'a chunk of checkpoint '..ARGV[4]..' is kept: the newest manifest is '..last\n"
    "end\n"
    "if why then return {'stale', why} end\n"
    "if redis.call('zrem', KEYS[4], ARGV[5]) == 0 then return {'ok'} end\n"
    "if ARGV[6] == '0' then redis.call('unlink', KEYS[5])\n"
    "else redis.call('expire', KEYS[5], ARGV[6]) end\n"
    "return {'ok'}\n";

/* epoch leader manifests manifest │ epoch holder term no ttl */
static const char del_manifest[] =
    STALE NEWEST "local why = stale(KEYS[1], KEYS[2], ARGV[1], ARGV[2], ARGV[3])\n"
                 "local no = ARGV[4]\n"
                 "if not why and no >= newest(KEYS[3]) then\n"
                 " why = 'manifest '..no..' is kept: nothing newer stands'\n"
                 "end\n"
                 "if why then return {'stale', why} end\n"
                 "if redis.call('zremrangebylex', KEYS[3], '['..no..'-', '('..no..'.') == 0 then\n"
                 " return {'ok'}\n"
                 "end\n"
                 "if ARGV[5] == '0' then redis.call('unlink', KEYS[4])\n"
                 "else redis.call('expire', KEYS[4], ARGV[5]) end\n"
                 "return {'ok'}\n";

/* lease terms epoch leases │ name holder ms value over */
static const char take[] =
    "local epoch = redis.call('hget', KEYS[3], 'no') or '0'\n"
    "local held = redis.call('hmget', KEYS[1], 'holder', 'term')\n"
    "local term = held[2]\n"
    "if held[1] ~= ARGV[2] then\n"
    " if held[1] and (ARGV[5] == '0' or term ~= ARGV[5]) then\n"
    "  return {'stale', epoch, term, "
    "'lease '..ARGV[1]..' is held by '..held[1]..' in term '..term}\n"
    " end\n"
    " term = string.format('%.0f', redis.call('incr', KEYS[2]))\n"
    " redis.call('sadd', KEYS[4], ARGV[1])\n"
    "end\n"
    "redis.call('hset', KEYS[1], 'holder', ARGV[2], 'term', term, 'value', ARGV[4])\n"
    "redis.call('pexpire', KEYS[1], ARGV[3])\n"
    "return {'ok', epoch, term}\n";

#define NOT_HELD                                                                                   \
    "local held = redis.call('hmget', KEYS[1], 'holder', 'term')\n"                                \
    "local why\n"                                                                                  \
    "if not held[1] then why = 'lease '..ARGV[1]..' of term '..ARGV[3]..' has ended'\n"            \
    "elseif held[1] ~= ARGV[2] or held[2] ~= ARGV[3] then\n"                                       \
    " why = 'lease '..ARGV[1]..' is held by '..held[1]..' in term '..held[2]\n"                    \
    "end\n"

/* lease epoch │ name holder term ms value */
static const char renew[] = NOT_HELD "local epoch = redis.call('hget', KEYS[2], 'no') or '0'\n"
                                     "if why then return {'stale', epoch, why} end\n"
                                     "redis.call('hset', KEYS[1], 'value', ARGV[5])\n"
                                     "redis.call('pexpire', KEYS[1], ARGV[4])\n"
                                     "return {'ok', epoch}\n";

/* lease leases │ name holder term */
static const char release[] = NOT_HELD "if not why then\n"
                                       " redis.call('del', KEYS[1])\n"
                                       " redis.call('srem', KEYS[2], ARGV[1])\n"
                                       "end\n"
                                       "return {'ok'}\n";

/* leases │ base prefix */
static const char list[] = "local out = {'ok'}\n"
                           "for _, name in ipairs(redis.call('smembers', KEYS[1])) do\n"
                           " local key = ARGV[1]..name\n"
                           " local held = redis.call('hmget', key, 'holder', 'value', 'term')\n"
                           " if not held[1] then redis.call('srem', KEYS[1], name)\n"
                           " elseif string.sub(name, 1, #ARGV[2]) == ARGV[2] then\n"
                           "  local left = string.format('%.0f', redis.call('pttl', key))\n"
                           "  out[#out + 1] = {name, held[1], held[2], held[3], left}\n"
                           " end\n"
                           "end\n"
                           "return out\n";

/* epoch leader manifests leases │ from to start holder term record n_alive_min base evicted … */
static const char next[] = STALE NEWEST
    "local is = redis.call('hmget', KEYS[1], 'no', 'term', 'start', 'record')\n"
    "if is[1] ~= ARGV[2] or is[2] ~= ARGV[5] or is[3] ~= ARGV[3] or is[4] ~= ARGV[6] then\n"
    " local why = stale(KEYS[1], KEYS[2], ARGV[1], ARGV[4], ARGV[5])\n"
    " local last = newest(KEYS[3])\n"
    " if not why and last ~= ARGV[3] then\n"
    "  why = 'the newest manifest is '..last..', not '..ARGV[3]\n"
    " end\n"
    " if why then return {'stale', why} end\n"
    " local gone, alive = {}, 0\n"
    " for i = 9, #ARGV do gone['member:'..ARGV[i]] = true end\n"
    " for _, name in ipairs(redis.call('smembers', KEYS[4])) do\n"
    "  if string.sub(name, 1, 7) == 'member:' and not gone[name] then\n"
    "   alive = alive + redis.call('exists', ARGV[8]..name)\n"
    "  end\n"
    " end\n"
    " if alive < tonumber(ARGV[7]) then\n"
    "  return {'again', alive..' members are there, '..ARGV[7]..' are needed'}\n"
    " end\n"
    " for name in pairs(gone) do\n"
    "  redis.call('del', ARGV[8]..name)\n"
    "  redis.call('srem', KEYS[4], name)\n"
    " end\n"
    "end\n"
    "redis.call('hset', KEYS[1], 'no', ARGV[2], 'term', ARGV[5], 'start', ARGV[3], "
    "'record', ARGV[6])\n"
    "return {'ok'}\n";

const char *const efx_redis__script[EFX_REDIS_SCRIPTS] = {
    [EFX_REDIS_IDENTITY] = identity,   [EFX_REDIS_COMMIT] = commit,
    [EFX_REDIS_DEL_CHUNK] = del_chunk, [EFX_REDIS_DEL_MANIFEST] = del_manifest,
    [EFX_REDIS_TAKE] = take,           [EFX_REDIS_RENEW] = renew,
    [EFX_REDIS_RELEASE] = release,     [EFX_REDIS_LIST] = list,
    [EFX_REDIS_NEXT] = next,
};
