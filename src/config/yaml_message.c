#include "config/yaml_message.h"

#include <string.h>

#include "util/banned.h"

typedef struct rule
{
    const char *problem; /* part of libyaml's problem */
    const char *context; /* part of its context, or NULL for any */
    pawl_yaml_message message;
} rule;

#define QUOTE_HINT "put the whole text in quotes, or write it as a block: KEY: |"

/* The first that fits counts. */
static const rule rules[] = {
    {"found unexpected end of stream",
     "quoted scalar",
     {"this quoted text does not end", "add the closing quote", true}},
    {"found unexpected document indicator",
     "quoted scalar",
     {"this quoted text does not end", "add the closing quote", true}},
    {"found unknown escape character",
     NULL,
     {"this escape does not exist in a double-quoted text", "double the backslash, or use single quotes",
      false}},
    {"did not find expected hexdecimal number",
     NULL,
     {"this escape needs hexadecimal digits", "double the backslash, or use single quotes", false}},
    {"invalid Unicode character code", NULL, {"this escape is no Unicode character", NULL, false}},
    {"mapping values are not allowed",
     NULL,
     {"a \": \" is not allowed here",
      "if it is part of a text, put the text in quotes; else look at the indentation", false}},
    {"block sequence entries are not allowed",
     NULL,
     {"a \"- \" is not allowed here", "a list begins on the line below its key", false}},
    {"mapping keys are not allowed", NULL, {"a \"? \" is not allowed here", QUOTE_HINT, false}},
    {"could not find expected ':'",
     NULL,
     {"this line is no KEY: VALUE",
      "add the colon and a blank after the key, or indent the line under the text that it continues", true}},
    {"did not find expected key",
     NULL,
     {"a key is expected here: the indentation fits no line above, or a text goes on behind its closing "
      "quote",
      "indent with the same number of blanks as the lines above; put a text that holds quotes in quotes as a "
      "whole",
      false}},
    {"did not find expected '-' indicator",
     NULL,
     {"an item that begins with \"- \" is expected here", "indent all items of a list alike", false}},
    {"did not find expected ',' or ']'",
     NULL,
     {"this list in [ ] does not end", "separate items with commas and close it with ]", true}},
    {"did not find expected ',' or '}'",
     NULL,
     {"this mapping in { } does not end", "separate entries with commas and close it with }", true}},
    {"did not find expected node content",
     NULL,
     {"a value is expected here", "quote a text that begins with one of , ] } : ?", false}},
    {"did not find expected comment or line break",
     NULL,
     {"only a line break may follow here", "begin a block text on the line below the | or >", false}},
    {"found a tab character", NULL, {"a tab is used for indentation", "indent with blanks", false}},
    {"found undefined tag handle",
     NULL,
     {"tags (!name) are not allowed", "put a text that begins with ! in quotes", false}},
    {"did not find expected <document start>",
     NULL,
     {"nothing may follow here", "there is text behind the end of the document: look at its indentation",
      false}},
    {"did not find expected alphabetic or numeric character",
     "alias",
     {"aliases (*name) are not allowed", "put a text that begins with * in quotes", false}},
    {"did not find expected alphabetic or numeric character",
     "anchor",
     {"anchors (&name) are not allowed", "put a text that begins with & in quotes", false}},
    {"found incompatible YAML document",
     NULL,
     {"this YAML version is not known", "remove the %YAML line", false}},
    {"found an indentation indicator equal to 0",
     NULL,
     {"the indentation of a block text cannot be 0", NULL, false}},
};

static bool
is_fit(const rule *r, const char *problem, const char *context)
{
    return strstr(problem, r->problem) != NULL && (r->context == NULL || strstr(context, r->context) != NULL);
}

static void
explain_character(char at, pawl_yaml_message *out)
{
    if (at == '\t')
        *out = (pawl_yaml_message){"a tab is used where only blanks may stand", "indent with blanks", false};
    else
        *out = (pawl_yaml_message){"a text cannot begin with this character", QUOTE_HINT, false};
}

void
pawl_yaml_message_of(const char *problem, const char *context, char at, pawl_yaml_message *out)
{
    if (problem == NULL)
        problem = "the YAML cannot be read";
    if (context == NULL)
        context = "";

    if (strstr(problem, "found character that cannot start any token") != NULL)
    {
        explain_character(at, out);
        return;
    }
    for (size_t i = 0; i < sizeof rules / sizeof rules[0]; i++)
    {
        if (is_fit(&rules[i], problem, context))
        {
            *out = rules[i].message;
            if (at == '\t' && !out->is_about_context)
                out->hint = "there is a tab here: indent with blanks";
            return;
        }
    }
    *out = (pawl_yaml_message){problem, NULL, false};
}
