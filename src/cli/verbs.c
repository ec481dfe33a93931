#include <string.h>

#include "cli/verb.h"

static const pawl_cli_verb *const verbs[] = {
    &pawl_cli_verb_init,
    &pawl_cli_verb_revision,
    &pawl_cli_verb_upgrade,
    &pawl_cli_verb_downgrade,
    &pawl_cli_verb_current,
    &pawl_cli_verb_heads,
    &pawl_cli_verb_branches,
    &pawl_cli_verb_history,
    &pawl_cli_verb_show,
    &pawl_cli_verb_merge,
    &pawl_cli_verb_stamp,
    &pawl_cli_verb_squash,
    &pawl_cli_verb_status,
    &pawl_cli_verb_work,
    &pawl_cli_verb_pause,
    &pawl_cli_verb_resume,
    &pawl_cli_verb_tune,
    &pawl_cli_verb_cutover,
    &pawl_cli_verb_abandon,
    &pawl_cli_verb_preview,
    &pawl_cli_verb_verify,
    &pawl_cli_verb_rejects,
    &pawl_cli_verb_bench,
    &pawl_cli_verb_check,
    &pawl_cli_verb_doctor,
    &pawl_cli_verb_backup,
    &pawl_cli_verb_restore,
    &pawl_cli_verb_completion,
    &pawl_cli_verb_man,
    &pawl_cli_verb_help,
    NULL,
};

const pawl_cli_verb *const *
pawl_cli_verbs(void)
{
    return verbs;
}

const pawl_cli_verb *
pawl_cli_verb_find(const char *name)
{
    for (const pawl_cli_verb *const *v = verbs; *v != NULL; v++)
    {
        if (strcmp((*v)->name, name) == 0 || ((*v)->alias != NULL && strcmp((*v)->alias, name) == 0))
            return *v;
    }
    return NULL;
}
