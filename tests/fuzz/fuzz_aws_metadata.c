/* The answers of the ECS task metadata endpoint: both kinds take any object. */
#include <string.h>

#include "lib/aws/metadata.h"
#include "tests/fuzz/driver.h"

#define ENDS(text) MUST(memchr(text, '\0', sizeof(text)))

int fuzz_parse(const char *text, size_t length)
{
    struct metadata m;
    struct error err = {0};
    memset(&m, 'x', sizeof(m));
    int task = metadata_parse_task(text, length, &m, &err);
    int container = metadata_parse_container(text, length, &m, &err);
    MUST(task == container && (task < 0) == (err.text[0] != '\0'));
    if (task < 0)
        return -1;
    ENDS(m.cluster);
    ENDS(m.task_arn);
    ENDS(m.task_id);
    ENDS(m.family);
    ENDS(m.revision);
    ENDS(m.availability_zone);
    ENDS(m.availability_zone_id);
    ENDS(m.launch_type);
    ENDS(m.service);
    ENDS(m.desired_status);
    ENDS(m.container);
    ENDS(m.container_arn);
    ENDS(m.image);
    MUST(m.cpu_limit >= 0 && m.memory_limit_mib >= 0 && m.container_memory_limit_mib >= 0);
    return 0;
}
