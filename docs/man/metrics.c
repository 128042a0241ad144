/* The table of metrics as Markdown, and what their defaults cost: what docs/man/update puts into
 * docs/metrics.md. */
#include <stdio.h>

#include "lib/price.h"
#include "sidecar/metric_table.h"

int main(void)
{
    int n_core = 0;
    puts("| name | unit | kind | dimensions | sent | meaning | alarm |\n"
         "|---|---|---|---|---|---|---|");
    for (size_t i = 0; i < METRIC_N; i++) {
        const struct metric *metric = &metrics_table[i];
        n_core += metric->core;
        printf("| `%s` | %s | %s | %s | %s | %s | %s |\n", metric->name,
               metric_unit_names[metric->unit], metric_kind_names[metric->kind],
               metric->per_mount ? "cluster, service, file system" : "cluster, service",
               metric->core ? "core" : "extended", metric->meaning,
               metric_alarms[i] ? metric_alarms[i] : "");
    }
    printf(
        "\nThe %d core metrics of a service with one file system cost %d x $%.2f = $%.2f a month, "
        "all %d cost $%.2f (list prices of " PRICE_REGION ", " PRICE_DATE ").\n",
        n_core, n_core, PRICE_METRIC_MONTH, n_core * PRICE_METRIC_MONTH, METRIC_N,
        METRIC_N * PRICE_METRIC_MONTH);
    return 0;
}
