/* efx submit: the session, what is kept, what is sent again, and what is said about it. */
#include "submit.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static const struct opt options[] = {
    REMOTE_OPTIONS(struct submit_opts, remote),
    {.name = "file",
     .kind = OPT_TEXT,
     .off = offsetof(struct submit_opts, file),
     .arg = "F|-",
     .help = "rows, one a line; .zst and .gz are unpacked; standard input (-) without it"},
    {.name = "format",
     .kind = OPT_TEXT,
     .off = offsetof(struct submit_opts, format),
     .arg = "json|csv|events",
     .values = "json|csv|events",
     .help = "of the file; csv by the ending .csv, else json"},
    {.name = "level",
     .kind = OPT_TEXT,
     .off = offsetof(struct submit_opts, level),
     .arg = "accepted|logged|committed",
     .values = "accepted|logged|committed",
     .help = "how safe a row must be before it counts as done"},
    {.name = "session",
     .kind = OPT_TEXT,
     .off = offsetof(struct submit_opts, session),
     .arg = "NAME",
     .help = "the same input under the same name counts once; without it another one each time"},
    {.name = "batch",
     .kind = OPT_NUMBER,
     .off = offsetof(struct submit_opts, batch),
     .arg = "N",
     .min = 1,
     .max = EFX_STEP_TURNS_MAX,
     .help = "rows in a message"},
    {0},
};

struct submission {
    struct remote remote;
    const struct submit_opts *opts;
    struct input in;
    char session[EFX_CELL_INLINE * 4];
    const char *name; /* of the session */
    uint64_t opening;
    Eventflux__V1__Level level;
    struct efx_grpc_ccall *call; /* NULL: has ended */
    bool opened, ended_input, closing, moving, progress;
    int status; /* -1: goes on */
    /* Parts, oldest first; those before `unsent` are in the call. */
    struct part *first, **last, *unsent;
    size_t kept_bytes;
    uint64_t next_row;       /* of what is read next */
    uint64_t done, accepted; /* rows at the level; numbered */
    uint64_t n_rejects, n_repeats, n_sent_again;
    struct efx_grpc_status end;
    char why[EFX_GRPC_TEXT_BYTES];
    uint64_t start_ns, told_ns;
};

static volatile sig_atomic_t n_signals;

static void on_signal(int no)
{
    (void)no;
    n_signals = n_signals + 1;
    if (n_signals > 1) {
        _exit(CLI_INTERRUPTED);
    }
}

/* ---- parts ---- */

static void drop_done(struct submission *s)
{
    while (s->first != NULL && s->first->first + s->first->n_rows - 1 <= s->done) {
        struct part *p = s->first;
        s->unsent = s->unsent == p ? p->next : s->unsent;
        s->first = p->next;
        s->last = s->first == NULL ? &s->first : s->last;
        s->kept_bytes -= p->n;
        free(p);
    }
}

/* What the node has not numbered goes from here on. */
static void send_from(struct submission *s, uint64_t row)
{
    struct part *p = s->first;
    while (p != NULL && p->first + p->n_rows <= row) {
        p = p->next;
    }
    for (struct part *k = p; k != NULL && k != s->unsent; k = k->next) {
        s->n_sent_again += k->n_rows;
    }
    s->unsent = p;
}

static void add_part(struct submission *s, struct part *p)
{
    *s->last = p;
    s->last = &p->next;
    s->kept_bytes += p->n;
    s->next_row += p->n_rows;
    s->unsent = s->unsent == NULL ? p : s->unsent;
}

static void send_parts(struct submission *s)
{
    const struct efx_grpc_vt *vt = s->remote.vt;
    while (s->call != NULL && s->opened && !s->closing && s->unsent != NULL &&
           vt->call_queued(s->call) < SUBMIT_CALL_BYTES) {
        struct efx_grpc_buf *b = vt->buf(s->unsent->n);
        if (b == NULL) {
            s->status = cli_fail(CLI_FAILED, "efx submit: out of memory");
            return;
        }
        memcpy(b->p, s->unsent->bytes, s->unsent->n);
        b->n = s->unsent->n;
        vt->call_send(s->call, b);
        s->unsent = s->unsent->next;
    }
}

/* ---- acks ---- */

static void tell_rejects(struct submission *s, const Eventflux__V1__SubmitAck *a)
{
    enum { TELL_MAX = 20 };
    for (size_t i = 0; i < a->n_rejects; i++) {
        const Eventflux__V1__Reject *k = a->rejects[i];
        if (s->n_rejects++ < TELL_MAX) {
            (void)fprintf(stderr, "%sefx submit: row %llu: %s: %s (column %s)\n",
                          s->progress ? "\r\033[K" : "", (unsigned long long)k->seq, k->code,
                          k->reason, k->column);
        }
    }
}

/* Rows of a session that a checkpoint held are not known any more: they cannot be sent again. */
static bool lost(struct submission *s, const Eventflux__V1__Opened *o)
{
    if (o->known || s->done == 0 || s->level != EVENTFLUX__V1__LEVEL__LEVEL_COMMITTED) {
        return false;
    }
    s->status = cli_fail(CLI_FAILED,
                         "efx submit: the cluster went back and knows nothing of session %s, of "
                         "which %llu rows were committed",
                         s->name, (unsigned long long)s->done);
    return true;
}

static void on_opened(struct submission *s, const Eventflux__V1__Opened *o)
{
    remote_answers(&s->remote);
    s->opened = true;
    if (lost(s, o)) {
        return;
    }
    if (!o->known && s->first != NULL && s->first->first > 1) {
        s->status = cli_fail(CLI_FAILED,
                             "efx submit: session %s is not known any more and its "
                             "first rows are gone from here",
                             s->name);
        return;
    }
    send_from(s, o->next_seq);
}

static void take(struct submission *s, const Eventflux__V1__SubmitAck *a)
{
    tell_rejects(s, a);
    if (a->opened != NULL) {
        on_opened(s, a->opened);
    }
    s->accepted = a->accepted;
    uint64_t at = s->level == EVENTFLUX__V1__LEVEL__LEVEL_COMMITTED ? a->committed
                  : s->level == EVENTFLUX__V1__LEVEL__LEVEL_LOGGED  ? a->logged
                                                                    : a->accepted;
    s->done = at > s->done ? at : s->done;
    s->n_repeats = a->repeats;
    drop_done(s);
    if (a->resend_from != 0 &&
        (s->first != NULL ? s->first->first : s->next_row) > a->resend_from) {
        s->status = cli_fail(CLI_FAILED,
                             "efx submit: the cluster went back to row %llu, which was %s and is "
                             "gone from here; --level committed keeps rows until they stand",
                             (unsigned long long)a->resend_from, s->opts->level);
    } else if (a->resend_from != 0) {
        s->done = s->done < a->resend_from ? s->done : a->resend_from - 1;
        send_from(s, a->resend_from);
    }
    s->moving = s->moving || a->moving;
}

static void on_message(void *arg, struct efx_grpc_ccall *c, const struct efx_bytes *pieces,
                       uint32_t n)
{
    struct submission *s = arg;
    Eventflux__V1__SubmitAck *a = (Eventflux__V1__SubmitAck *)remote_unpack(
        &eventflux__v1__submit_ack__descriptor, pieces, n);
    if (a == NULL) {
        s->status = cli_fail(CLI_FAILED, "efx submit: an answer cannot be read");
    } else {
        take(s, a);
        protobuf_c_message_free_unpacked(&a->base, NULL);
    }
    s->remote.vt->call_next(c);
}

static void on_ended(void *arg, const struct efx_grpc_status *status)
{
    struct submission *s = arg;
    s->call = NULL;
    s->end = *status;
    (void)snprintf(s->why, sizeof s->why, "%s", status->text);
    s->end.text = s->why;
}

static const struct efx_grpc_client_user user = {on_message, NULL, on_ended};

/* ---- the call ---- */

static int begin(struct submission *s)
{
    Eventflux__V1__Open open;
    eventflux__v1__open__init(&open);
    Eventflux__V1__SubmitRequest m;
    eventflux__v1__submit_request__init(&m);
    struct timespec now;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    uint64_t ms = (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
    s->opening = ms > s->opening ? ms : s->opening + 1;
    open.session = remote_text(s->name);
    open.level = s->level;
    open.opening = s->opening;
    m.open = &open;
    s->opened = s->closing = s->moving = false;
    s->call = s->remote.vt->call(s->remote.client, "/eventflux.v1.EventFlux/Submit", 0, &user, s);
    if (s->call == NULL) {
        return cli_fail(CLI_FAILED, "efx submit: out of memory");
    }
    s->remote.vt->call_send(s->call, remote_pack(&s->remote, &m.base));
    return -1;
}

static bool is_all_done(const struct submission *s)
{
    return s->ended_input && s->first == NULL;
}

/* The call has ended. -1: another one is open, or all is done. */
static int again(struct submission *s)
{
    if (is_all_done(s)) {
        return -1;
    }
    bool gap = s->end.code == EFX_GRPC_OUT_OF_RANGE && s->opened;
    if (s->end.code == EFX_GRPC_OK || s->end.code == EFX_GRPC_UNAVAILABLE || gap) {
        int status = gap ? -1 : remote_next(&s->remote, s->why);
        return status < 0 ? begin(s) : status;
    }
    if (s->end.code == EFX_GRPC_ABORTED) {
        return cli_fail(CLI_FAILED, "efx submit: session %s was opened by somebody else", s->name);
    }
    return remote_failed(&s->remote, &s->end);
}

/* ---- progress, summary ---- */

static void show_progress(struct submission *s)
{
    uint64_t now_ns = s->remote.vt->now_ns(), size = submit_in_size(&s->in);
    if (!s->progress || now_ns - s->told_ns < 200000000) {
        return;
    }
    s->told_ns = now_ns;
    double seconds = (double)(now_ns - s->start_ns) / 1e9;
    char bar[25] = "                        ";
    unsigned percent = size == 0 ? 0 : (unsigned)(submit_in_done(&s->in) * 100 / size);
    memset(bar, '=', percent >= 100 ? 24 : percent * 24 / 100);
    if (size > 0) {
        (void)fprintf(stderr, "\r[%s] %3u %%", bar, percent);
    } else {
        (void)fputc('\r', stderr);
    }
    (void)fprintf(stderr, "  %llu rows read, %llu done, %.0f rows/s \033[K",
                  (unsigned long long)(s->next_row - 1), (unsigned long long)s->done,
                  (double)s->done / seconds);
}

static void summary(const struct submission *s)
{
    double seconds = (double)(s->remote.vt->now_ns() - s->start_ns) / 1e9;
    (void)fprintf(stderr,
                  "%sefx submit: %llu rows read, %llu %s, %llu rejected, %llu unreadable, %llu "
                  "sent again, %llu repeats; %.3f s, %.0f rows/s\n",
                  s->progress ? "\r\033[K" : "", (unsigned long long)(s->next_row - 1),
                  (unsigned long long)s->done, s->opts->level, (unsigned long long)s->n_rejects,
                  (unsigned long long)s->in.n_bad, (unsigned long long)s->n_sent_again,
                  (unsigned long long)s->n_repeats, seconds,
                  seconds > 0 ? (double)(s->next_row - 1) / seconds : 0);
}

/* ---- the loop ---- */

/* Reads as long as there is room for what is not done. True: something was read. */
static bool read_more(struct submission *s)
{
    struct part *p;
    if (s->ended_input || !s->opened || s->kept_bytes >= SUBMIT_KEPT_BYTES ||
        (s->call != NULL && s->remote.vt->call_queued(s->call) >= SUBMIT_CALL_BYTES)) {
        return false;
    }
    switch (submit_in_next(&s->in, s->next_row, &p)) {
    case SUBMIT_IN_PART:
        p->next = NULL;
        add_part(s, p);
        return true;
    case SUBMIT_IN_IDLE: {
        struct pollfd fd = {.fd = submit_in_fd(&s->in), .events = POLLIN};
        (void)poll(&fd, 1, 20);
        return false;
    }
    case SUBMIT_IN_ENDED: s->ended_input = true; return false;
    case SUBMIT_IN_FAILED: s->status = CLI_FAILED; return false;
    }
    return false;
}

static void maybe_close(struct submission *s)
{
    if (s->call != NULL && s->opened && !s->closing && (is_all_done(s) || s->moving)) {
        s->closing = true;
        s->remote.vt->call_half_close(s->call);
    }
}

static int loop(struct submission *s)
{
    int status = begin(s);
    while (status < 0 && s->status < 0 && !(is_all_done(s) && s->call == NULL)) {
        if (n_signals > 0) {
            s->ended_input = true; /* what is read is brought home */
        }
        bool read = read_more(s);
        send_parts(s);
        maybe_close(s);
        (void)s->remote.vt->poll(s->remote.client, read ? 0 : 20);
        if (s->call == NULL && s->status < 0) {
            status = again(s);
        }
        show_progress(s);
    }
    return status >= 0 ? status : s->status >= 0 ? s->status : CLI_OK;
}

static void name_session(struct submission *s)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    (void)snprintf(s->session, sizeof s->session, "submit-%llx-%x",
                   (unsigned long long)now.tv_sec * 1000000000u + (unsigned long long)now.tv_nsec,
                   (unsigned)getpid());
    s->name = s->opts->session != NULL ? s->opts->session : s->session;
}

static int run(int argc, char **argv)
{
    struct submit_opts o = {.level = "accepted", .file = "-", .batch = 1000};
    struct opt_list rest = {0};
    int status = opts_parse(&cmd_submit, argc, argv, &o, &rest);
    if (status >= 0) {
        return status;
    }
    if (rest.n != 1) {
        return cli_fail(CLI_USER, "efx submit: give one STREAM");
    }
    struct submission s = {.opts = &o, .status = -1, .next_row = 1};
    s.last = &s.first;
    s.level = o.level[0] == 'c'   ? EVENTFLUX__V1__LEVEL__LEVEL_COMMITTED
              : o.level[0] == 'l' ? EVENTFLUX__V1__LEVEL__LEVEL_LOGGED
                                  : EVENTFLUX__V1__LEVEL__LEVEL_ACCEPTED;
    s.progress = isatty(STDERR_FILENO) != 0;
    name_session(&s);
    status = remote_open(&s.remote, "submit", &o.remote);
    if (status >= 0) {
        return status;
    }
    status = submit_in_open(&s.in, &s.remote, rest.v[0], &o);
    if (status < 0) {
        struct sigaction a = {.sa_handler = on_signal};
        (void)sigaction(SIGINT, &a, NULL);
        (void)sigaction(SIGTERM, &a, NULL);
        s.start_ns = s.remote.vt->now_ns();
        status = loop(&s);
        summary(&s);
    }
    remote_close(&s.remote);
    submit_in_close(&s.in);
    while (s.first != NULL) {
        struct part *p = s.first;
        s.first = p->next;
        free(p);
    }
    return status;
}

const struct command cmd_submit = {
    .name = "submit",
    .args = "STREAM",
    .help = "sends rows to a cluster, each of which counts once",
    .opts = options,
    .run = run,
};
