/* The nexmark source: the auction benchmark's three streams, told apart by the event's number.
 *
 *   of 50 events   0 person   1 .. 3 auctions   4 .. 49 bids        46 : 3 : 1
 *
 * Row i of a kind is event (i / share) * 50 + first + i % share, and all of it is a function of
 * (seed, event); so the three streams fit together although each source makes only its own.
 * Timestamps: event n happens n / rate seconds after nexmark.first.time, 10,000 a second at rate 0.
 *
 *   Source  the benchmark's usual generator, in outline: half of all bids go to hot auctions, ids
 *           begin at 1,000, prices are 10^(6 r) cents and more
 */
#include "efx_hash.h"
#include "efx_io.h"
#include "efx_pace.h"
#include "efx_put.h"

#include <math.h>
#include <stdio.h>

struct conf {
    const char *type;
    int64_t rate, events, seed, first_ms;
};

static const struct efx_conf_key options[] = {
    {.name = "nexmark.type",
     .kind = EFX_CONF_TEXT,
     .off = offsetof(struct conf, type),
     .values = "person|auction|bid",
     .help = "which of the three streams"},
    {.name = "nexmark.rate",
     .kind = EFX_CONF_LONG,
     .off = offsetof(struct conf, rate),
     .otherwise = "0",
     .min = 0,
     .max = INT64_MAX,
     .help = "events of all three kinds per second; 0: as fast as possible"},
    {.name = "nexmark.events",
     .kind = EFX_CONF_LONG,
     .off = offsetof(struct conf, events),
     .otherwise = "-",
     .min = 0,
     .max = INT64_MAX,
     .help = "events of all three kinds in all; without it no end"},
    {.name = "nexmark.seed",
     .kind = EFX_CONF_LONG,
     .off = offsetof(struct conf, seed),
     .otherwise = "1",
     .help = "the same seed gives the same events"},
    {.name = "nexmark.first.time",
     .kind = EFX_CONF_TIME,
     .off = offsetof(struct conf, first_ms),
     .otherwise = "0",
     .help = "timestamp of the first event"},
    {0},
};

enum { ROUND = 50, FIRST_ID = 1000, AUCTION_MS = 10000 };

struct kind {
    const char *name;
    uint32_t first, share; /* of a round */
};
static const struct kind kinds[] = {{"person", 0, 1}, {"auction", 1, 3}, {"bid", 4, 46}};

enum field {
    F_ID = 1,
    F_NAME,
    F_EMAIL,
    F_CARD,
    F_CITY,
    F_STATE,
    F_TIME,
    F_EXTRA,
    F_ITEM,
    F_DESCRIPTION,
    F_INITIAL,
    F_RESERVE,
    F_EXPIRES,
    F_SELLER,
    F_CATEGORY,
    F_AUCTION,
    F_BIDDER,
    F_PRICE,
    F_CHANNEL,
    F_URL,
};

static const struct {
    uint32_t kind;
    const char *name;
    enum field field;
    enum efx_type type;
} fields[] = {
    {0, "id", F_ID, EFX_TYPE_LONG},
    {0, "name", F_NAME, EFX_TYPE_STRING},
    {0, "emailAddress", F_EMAIL, EFX_TYPE_STRING},
    {0, "creditCard", F_CARD, EFX_TYPE_STRING},
    {0, "city", F_CITY, EFX_TYPE_STRING},
    {0, "state", F_STATE, EFX_TYPE_STRING},
    {0, "dateTime", F_TIME, EFX_TYPE_LONG},
    {0, "extra", F_EXTRA, EFX_TYPE_STRING},
    {1, "id", F_ID, EFX_TYPE_LONG},
    {1, "itemName", F_ITEM, EFX_TYPE_STRING},
    {1, "description", F_DESCRIPTION, EFX_TYPE_STRING},
    {1, "initialBid", F_INITIAL, EFX_TYPE_LONG},
    {1, "reserve", F_RESERVE, EFX_TYPE_LONG},
    {1, "dateTime", F_TIME, EFX_TYPE_LONG},
    {1, "expires", F_EXPIRES, EFX_TYPE_LONG},
    {1, "seller", F_SELLER, EFX_TYPE_LONG},
    {1, "category", F_CATEGORY, EFX_TYPE_LONG},
    {1, "extra", F_EXTRA, EFX_TYPE_STRING},
    {2, "auction", F_AUCTION, EFX_TYPE_LONG},
    {2, "bidder", F_BIDDER, EFX_TYPE_LONG},
    {2, "price", F_PRICE, EFX_TYPE_LONG},
    {2, "channel", F_CHANNEL, EFX_TYPE_STRING},
    {2, "url", F_URL, EFX_TYPE_STRING},
    {2, "dateTime", F_TIME, EFX_TYPE_LONG},
    {2, "extra", F_EXTRA, EFX_TYPE_STRING},
};

struct nexmark_source {
    struct efx_source base;
    struct efx_pace pace;
    const struct kind *kind;
    uint64_t seed;
    int64_t rate, first_ms;
    const struct efx_schema *schema;
    enum field *field; /* [n_cols] */
    uint16_t stream;
};

/* ---- open ---- */

static enum efx_rc find_fields(struct nexmark_source *s, uint32_t kind, struct efx_err *err)
{
    for (uint32_t c = 0; c < s->schema->n_cols; c++) {
        const struct efx_schema_col *col = &s->schema->cols[c];
        for (uint32_t i = 0; i < sizeof fields / sizeof *fields; i++) {
            if (fields[i].kind == kind && strcmp(fields[i].name, col->name) == 0 &&
                fields[i].type == col->type) {
                s->field[c] = fields[i].field;
            }
        }
        if (s->field[c] == 0) {
            return EFX_FAIL(err, EFX_EABSENT, EFX_KIND_USER, 1105,
                            "nexmark: a %s has no column '%s' of type %s", kinds[kind].name,
                            col->name, efx_type_name(col->type));
        }
    }
    return EFX_OK;
}

/* Rows of a kind among the first n events. */
static int64_t rows_among(const struct kind *k, int64_t n)
{
    int64_t rest = n % ROUND - k->first;
    rest = rest < 0 ? 0 : rest > k->share ? k->share : rest;
    return n / ROUND * k->share + rest;
}

static enum efx_rc open_nexmark(struct efx_source *self, const struct efx_source_open *how,
                                struct efx_err *err)
{
    struct nexmark_source *s = (struct nexmark_source *)self;
    const struct conf *conf = how->conf;
    uint32_t kind = 0;
    while (kind < 2 && !efx_str_equal_ci(efx_str_of(kinds[kind].name), efx_str_of(conf->type))) {
        kind++;
    }
    s->kind = &kinds[kind];
    s->rate = conf->rate;
    s->pace = (struct efx_pace){
        .per_s = conf->rate == 0 ? 0 : (conf->rate * s->kind->share + ROUND - 1) / ROUND,
        .total = conf->events < 0 ? EFX_TS_NONE : rows_among(s->kind, conf->events)};
    s->seed = (uint64_t)conf->seed;
    s->first_ms = conf->first_ms;
    self->rewinds = true;
    s->stream = how->stream;
    s->schema = how->streams[how->stream];
    s->field = EFX_NEW_N(how->arena, enum field, s->schema->n_cols + 1);
    return s->field == NULL ? EFX_ENOMEM : find_fields(s, kind, err);
}

/* ---- values ---- */

struct event {
    uint64_t n; /* its number */
    uint64_t h; /* its dice */
    int64_t at_ms;
};

static uint64_t roll(const struct event *e, uint64_t what)
{
    return efx_hash_mix(e->h, what);
}

static int64_t persons_before(uint64_t n)
{
    return (int64_t)(n / ROUND) + 1;
}

static int64_t auctions_before(uint64_t n)
{
    uint64_t k = n % ROUND;
    return (int64_t)(n / ROUND * 3 + (k < 1 ? 0 : k < 4 ? k - 1 : 3));
}

/* One of the last `span` of `count` things. */
static int64_t recent(uint64_t h, int64_t count, int64_t span)
{
    span = span < count ? span : count;
    return FIRST_ID + count - 1 - (span == 0 ? 0 : (int64_t)(h % (uint64_t)span));
}

static int64_t price(uint64_t h)
{
    return (int64_t)(pow(10, (double)(h >> 11) * 0x1p-53 * 6) * 100);
}

static int64_t auction_of(const struct event *e)
{
    int64_t count = auctions_before(e->n);
    if (count > 0 && roll(e, 1) % 2 == 0) {
        return FIRST_ID + (count - 1) / 100 * 100; /* hot */
    }
    return recent(roll(e, 2), count, 100);
}

static int64_t bidder_of(const struct event *e)
{
    int64_t count = persons_before(e->n);
    if (roll(e, 3) % 4 != 0) {
        return FIRST_ID + (count - 1) / 100 * 100;
    }
    return recent(roll(e, 4), count, 1000);
}

static void put_pick(struct efx_put *r, uint32_t c, uint64_t h, const char *const *words,
                     uint32_t n)
{
    const char *word = words[h % n];
    (void)efx_put_bytes(r, c, word, (uint32_t)strlen(word));
}

static void put_letters(struct efx_put *r, uint32_t c, uint64_t h, uint32_t n)
{
    char text[64];
    for (uint32_t i = 0; i < n; i++) {
        if (i % 12 == 0) {
            h = efx_hash_u64(h + 0x9E3779B97F4A7C15u);
        }
        text[i] = (char)('a' + (h >> (i % 12 * 5) & 31) % 26);
    }
    (void)efx_put_bytes(r, c, text, n);
}

static void put_url(struct efx_put *r, uint32_t c, uint64_t h)
{
    char text[96];
    int n =
        snprintf(text, sizeof text, "https://www.nexmark.com/%c%c%c/item.htm?query=1&channel_id=%u",
                 (char)('a' + h % 26), (char)('a' + h / 26 % 26), (char)('a' + h / 676 % 26),
                 (unsigned)(h >> 32) % 10000);
    (void)efx_put_bytes(r, c, text, (uint32_t)n);
}

static void put_person(struct efx_put *r, uint32_t c, enum field f, const struct event *e)
{
    static const char *const names[] = {"Peter Shultz", "Paul Jones",   "Luke Abrams",
                                        "John Smith",   "Saul Noris",   "Vicky Walton",
                                        "Kate White",   "Julie Bartels"};
    static const char *const cities[] = {"Phoenix",  "Los Angeles", "San Francisco", "Boise",
                                         "Portland", "Bend",        "Redmond",       "Seattle",
                                         "Kent",     "Cheyenne"};
    static const char *const states[] = {"AZ", "CA", "ID", "OR", "WA", "WY"};
    char text[48];
    int n;
    uint64_t h = roll(e, 16 + (uint64_t)f);
    if (f == F_NAME) {
        put_pick(r, c, h, names, 8);
    } else if (f == F_CITY) {
        put_pick(r, c, h, cities, 10);
    } else if (f == F_STATE) {
        put_pick(r, c, h, states, 6);
    } else if (f == F_EMAIL) {
        n = snprintf(text, sizeof text, "p%u@%c%c%c.com", (unsigned)(h >> 40), (char)('a' + h % 26),
                     (char)('a' + h / 26 % 26), (char)('a' + h / 676 % 26));
        (void)efx_put_bytes(r, c, text, (uint32_t)n);
    } else {
        n = snprintf(text, sizeof text, "%04u %04u %04u %04u", (unsigned)(h % 10000),
                     (unsigned)((h >> 16) % 10000), (unsigned)((h >> 32) % 10000),
                     (unsigned)((h >> 48) % 10000));
        (void)efx_put_bytes(r, c, text, (uint32_t)n);
    }
}

static void put_field(struct efx_put *r, uint32_t c, enum field f, const struct event *e,
                      const struct nexmark_source *s)
{
    static const char *const channels[] = {"Google", "Facebook", "Baidu", "Apple"};
    uint64_t h = roll(e, 16 + (uint64_t)f);
    switch (f) {
    case F_ID:
        (void)efx_put_long(
            r, c,
            FIRST_ID + (s->kind == &kinds[0] ? (int64_t)(e->n / ROUND) : auctions_before(e->n)));
        break;
    case F_NAME:
    case F_EMAIL:
    case F_CARD:
    case F_CITY:
    case F_STATE: put_person(r, c, f, e); break;
    case F_TIME: (void)efx_put_long(r, c, e->at_ms); break;
    case F_EXTRA: put_letters(r, c, h, 20 + (uint32_t)(h >> 58) % 32); break;
    case F_ITEM: put_letters(r, c, h, 12); break;
    case F_DESCRIPTION: put_letters(r, c, h, 40); break;
    case F_INITIAL: (void)efx_put_long(r, c, price(roll(e, 5))); break;
    case F_RESERVE: (void)efx_put_long(r, c, price(roll(e, 5)) + price(roll(e, 6))); break;
    case F_EXPIRES:
        (void)efx_put_long(r, c, e->at_ms + AUCTION_MS + (int64_t)(h % AUCTION_MS));
        break;
    case F_SELLER: (void)efx_put_long(r, c, bidder_of(e)); break;
    case F_CATEGORY: (void)efx_put_long(r, c, 10 + (int64_t)(h % 5)); break;
    case F_AUCTION: (void)efx_put_long(r, c, auction_of(e)); break;
    case F_BIDDER: (void)efx_put_long(r, c, bidder_of(e)); break;
    case F_PRICE: (void)efx_put_long(r, c, price(h)); break;
    case F_CHANNEL: put_pick(r, c, h, channels, 4); break;
    case F_URL: put_url(r, c, h); break;
    }
}

static enum efx_rc put_row(const struct nexmark_source *s, uint64_t row, struct efx_builder *out)
{
    uint64_t n = row / s->kind->share * ROUND + s->kind->first + row % s->kind->share;
    uint64_t per_s = s->rate == 0 ? 10000 : (uint64_t)s->rate;
    struct event e = {.n = n,
                      .h = efx_hash_mix(s->seed, n),
                      .at_ms =
                          s->first_ms + (int64_t)(n / per_s * 1000 + n % per_s * 1000 / per_s)};
    struct efx_put r = {.b = out, .schema = s->schema};
    EFX_RET(efx_builder_begin(out, s->stream, e.at_ms, &r.set));
    for (uint32_t c = 0; c < s->schema->n_cols; c++) {
        put_field(&r, c, s->field[c], &e, s);
    }
    if (r.full) {
        return EFX_ENOMEM;
    }
    efx_builder_end(out, r.set);
    return EFX_OK;
}

/* ---- the source ---- */

static enum efx_rc read_nexmark(struct efx_source *self, struct efx_chunk *out)
{
    struct nexmark_source *s = (struct nexmark_source *)self;
    enum efx_rc rc = efx_pace_read(&s->pace, self->world, out, &self->wait_ns);
    self->at[0] = s->pace.next;
    return rc;
}

static enum efx_rc seek(struct efx_source *self, const struct efx_pos *pos, uint32_t n,
                        struct efx_err *err)
{
    struct nexmark_source *s = (struct nexmark_source *)self;
    (void)err;
    s->pace.next = s->pace.from = self->at[0] = n > 0 ? pos[0].next[0] : 0;
    return EFX_OK;
}

static enum efx_rc fill(const struct efx_source *self, struct efx_decode *d,
                        struct efx_builder *out)
{
    const struct nexmark_source *s = (const struct nexmark_source *)self;
    for (; d->msg < d->chunk->n_msgs; d->msg++, d->at_bytes = 0) {
        const struct efx_msg *m = &d->chunk->msgs[d->msg];
        for (; d->at_bytes < m->len; d->at_bytes++) {
            EFX_RET(put_row(s, m->pos.next[0] - m->len + d->at_bytes, out));
        }
    }
    return EFX_OK;
}

static void close_nexmark(struct efx_source *self)
{
    (void)self;
}

const struct efx_source_vt efx_nexmark_source_vt = {
    .base = {.abi = EFX_ABI,
             .vt_bytes = sizeof(struct efx_source_vt),
             .name = "nexmark",
             .help = "persons, auctions and bids of the Nexmark benchmark",
             .conf = options,
             .conf_bytes = sizeof(struct conf),
             .self_bytes = sizeof(struct nexmark_source)},
    .open = open_nexmark,
    .read = read_nexmark,
    .seek = seek,
    .fill = fill,
    .close = close_nexmark,
};
