/*
 * yaml_message.h - libyaml's error messages in words for people.
 *
 * Threads: any thread.
 * Memory:  texts are static, or libyaml's own (static too).
 */
#ifndef PAWL_CONFIG_YAML_MESSAGE_H
#define PAWL_CONFIG_YAML_MESSAGE_H

#include "util/attr.h"

typedef struct pawl_yaml_message
{
    const char *text;
    const char *hint;      /* may be NULL */
    bool is_about_context; /* the place is where the construct begins, not where it failed */
} pawl_yaml_message;

/* `problem` and `context` as the parser gives them (NULL allowed), `at` the character at the problem's mark. */
void pawl_yaml_message_of(const char *problem, const char *context, char at, pawl_yaml_message *out);

#endif
