#include "shim/guard.h"

#include <signal.h>
#include <sys/mman.h>

#include "shim/cache_layout.h"
#include "shim/sys.h"
#include "shim/view.h"

enum { AREAS_MAX = 2 * VIEW_LOADS_MAX };

static struct area {
    char *base; /* atomic, stored last */
    size_t map_at, bytes;
} areas[AREAS_MAX];
static uint32_t n_areas; /* atomic */

void guard_add(char *base, size_t map_at, size_t bytes)
{
    uint32_t i = __atomic_fetch_add(&n_areas, 1, __ATOMIC_RELAXED);
    if (i >= AREAS_MAX)
        return;
    areas[i].map_at = map_at;
    areas[i].bytes = bytes;
    cache_store_release(&areas[i].base, base);
}

/* The system call: libc's mmap takes locks in musl. */
static bool put_zeros(const struct area *area, char *base)
{
    char *map = base + area->map_at;
    long at = syscall(SYS_mmap, map, area->bytes - area->map_at, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    if (at == -1)
        return false;
    cache_store(&((struct cache_map *)map)->retired, 1);
    return true;
}

static bool is_ours(const char *address)
{
    for (int i = 0; i < AREAS_MAX; i++) {
        char *base = cache_load_acquire(&areas[i].base);
        if (base && address >= base + areas[i].map_at && address < base + areas[i].bytes)
            return put_zeros(&areas[i], base);
    }
    return false;
}

static void on_bus(int signo, siginfo_t *info, void *context)
{
    _keep_errno_;
    if (info->si_code > 0 && is_ours(info->si_addr))
        return;
    struct sigaction by_default = {.sa_handler = SIG_DFL};
    sigaction(signo, &by_default, NULL);
    if (info->si_code <= 0)
        raise(signo); /* somebody sent it; a fault happens again */
}

void guard_install(void)
{
    struct sigaction action = {.sa_sigaction = on_bus, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    struct sigaction old;
    if (sigaction(SIGBUS, NULL, &old) == 0 && (old.sa_flags & SA_SIGINFO) == 0 &&
        old.sa_handler == SIG_DFL)
        sigaction(SIGBUS, &action, NULL);
}
