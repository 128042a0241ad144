#include "cli/taskdef_add.h"

/* The file itself, which the Terraform module reads too. The path is relative to where make runs.
 */
__asm__(".pushsection .rodata\n"
        ".global taskdef_template\n"
        ".hidden taskdef_template\n"
        "taskdef_template:\n"
        ".incbin \"task-def/template.json\"\n"
        ".byte 0\n"
        ".popsection\n");
