#include "worker.h"

#include <pthread.h>

struct node_worker {
    struct efx_mem *mem;
    struct efx_loop *loop;
    bool simulated, ending, started;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t more;
    struct node_job *first, *last; /* to run */
    struct node_job *done, *done_last;
    struct efx_task task; /* on the loop: answers, and if simulated the work */
};

static void add(struct node_job **first, struct node_job **last, struct node_job *job)
{
    job->next = NULL;
    if (*last != NULL) {
        (*last)->next = job;
    } else {
        *first = job;
    }
    *last = job;
}

static struct node_job *take(struct node_job **first, struct node_job **last)
{
    struct node_job *job = *first;
    if (job != NULL) {
        *first = job->next;
        *last = *first == NULL ? NULL : *last;
    }
    return job;
}

static void *thread(void *arg)
{
    struct node_worker *w = arg;
    (void)pthread_mutex_lock(&w->lock);
    while (!w->ending) {
        struct node_job *job = take(&w->first, &w->last);
        if (job == NULL) {
            (void)pthread_cond_wait(&w->more, &w->lock);
            continue;
        }
        (void)pthread_mutex_unlock(&w->lock);
        job->run(job->arg);
        (void)pthread_mutex_lock(&w->lock);
        add(&w->done, &w->done_last, job);
        w->loop->vt->post(w->loop, &w->task);
    }
    (void)pthread_mutex_unlock(&w->lock);
    return NULL;
}

static struct node_job *next_done(struct node_worker *w)
{
    (void)pthread_mutex_lock(&w->lock);
    struct node_job *job = w->simulated ? take(&w->first, &w->last) : take(&w->done, &w->done_last);
    (void)pthread_mutex_unlock(&w->lock);
    return job;
}

static void answer(void *arg)
{
    struct node_worker *w = arg;
    for (struct node_job *job; (job = next_done(w)) != NULL;) {
        if (w->simulated) {
            job->run(job->arg);
        }
        job->done(job->arg);
    }
}

enum efx_rc node_worker_create(struct efx_mem *mem, struct efx_loop *loop, bool simulated,
                               struct node_worker **out)
{
    struct node_worker *w = mem->alloc(mem, sizeof *w);
    if (w == NULL) {
        return EFX_ENOMEM;
    }
    memset(w, 0, sizeof *w);
    w->mem = mem;
    w->loop = loop;
    w->simulated = simulated;
    w->task = (struct efx_task){.fn = answer, .arg = w};
    (void)pthread_mutex_init(&w->lock, NULL);
    (void)pthread_cond_init(&w->more, NULL);
    *out = w;
    if (!simulated && pthread_create(&w->thread, NULL, thread, w) != 0) {
        node_worker_destroy(out);
        return EFX_EIO;
    }
    w->started = !simulated;
    return EFX_OK;
}

void node_worker_destroy(struct node_worker **w_of)
{
    struct node_worker *w = *w_of;
    if (w == NULL) {
        return;
    }
    (void)pthread_mutex_lock(&w->lock);
    w->ending = true;
    (void)pthread_cond_signal(&w->more);
    (void)pthread_mutex_unlock(&w->lock);
    if (w->started) {
        (void)pthread_join(w->thread, NULL);
    }
    w->loop->vt->cancel(w->loop, &w->task);
    (void)pthread_cond_destroy(&w->more);
    (void)pthread_mutex_destroy(&w->lock);
    w->mem->free(w->mem, w, sizeof *w);
    *w_of = NULL;
}

void node_worker_submit(struct node_worker *w, struct node_job *job)
{
    (void)pthread_mutex_lock(&w->lock);
    add(&w->first, &w->last, job);
    (void)pthread_cond_signal(&w->more);
    (void)pthread_mutex_unlock(&w->lock);
    if (w->simulated) {
        w->loop->vt->post(w->loop, &w->task);
    }
}
