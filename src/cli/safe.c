/* The part of buf.h that knows characters: what may reach a terminal, and how many columns it takes there. */
#include <string.h>

#include "cli/buf.h"

typedef struct range
{
    uint32_t first;
    uint32_t last;
} range;

/* Characters of no width: combining marks, zero-width joiners, variation selectors. */
static const range zero_width[] = {
    {0x0300, 0x036F}, {0x0483, 0x0489}, {0x0591, 0x05BD}, {0x0610, 0x061A},   {0x064B, 0x065F},
    {0x0900, 0x0902}, {0x093C, 0x093C}, {0x0941, 0x0948}, {0x0E31, 0x0E31},   {0x0E34, 0x0E3A},
    {0x0E47, 0x0E4E}, {0x1AB0, 0x1AFF}, {0x1DC0, 0x1DFF}, {0x200B, 0x200D},   {0x20D0, 0x20FF},
    {0xFE00, 0xFE0F}, {0xFE20, 0xFE2F}, {0xFEFF, 0xFEFF}, {0xE0100, 0xE01EF},
};

/* Characters of two columns: East Asian wide and full-width forms, emoji. */
static const range double_width[] = {
    {0x1100, 0x115F},   {0x231A, 0x231B},   {0x2329, 0x232A},   {0x23E9, 0x23EC},   {0x25FD, 0x25FE},
    {0x2614, 0x2615},   {0x2648, 0x2653},   {0x26A1, 0x26A1},   {0x26BD, 0x26BE},   {0x26D4, 0x26D4},
    {0x2705, 0x2705},   {0x270A, 0x270B},   {0x2728, 0x2728},   {0x274C, 0x274C},   {0x2753, 0x2755},
    {0x2795, 0x2797},   {0x2E80, 0x303E},   {0x3041, 0x33FF},   {0x3400, 0x4DBF},   {0x4E00, 0x9FFF},
    {0xA000, 0xA4CF},   {0xA960, 0xA97F},   {0xAC00, 0xD7A3},   {0xF900, 0xFAFF},   {0xFE30, 0xFE6F},
    {0xFF00, 0xFF60},   {0xFFE0, 0xFFE6},   {0x1F300, 0x1F64F}, {0x1F680, 0x1F6FF}, {0x1F7E0, 0x1F7EB},
    {0x1F900, 0x1F9FF}, {0x1FA70, 0x1FAFF}, {0x20000, 0x3FFFD},
};

/* C0, DEL and C1 steer a terminal; line and paragraph separators break lines; the rest turn the reading direction. */
static const range unsafe[] = {
    {0x0000, 0x001F}, {0x007F, 0x009F}, {0x061C, 0x061C},
    {0x200E, 0x200F}, {0x2028, 0x202E}, {0x2066, 0x2069},
};

static bool
is_in(const range *ranges, size_t count, uint32_t c)
{
    for (size_t i = 0; i < count; i++)
    {
        if (c >= ranges[i].first && c <= ranges[i].last)
            return true;
    }
    return false;
}

#define IS_IN(ranges, c) is_in(ranges, sizeof(ranges) / sizeof((ranges)[0]), c)

/* Decode one character; 0 bytes when there is none that is valid (overlong forms and surrogates are not). */
static size_t
decode(const char *text, uint32_t *out)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    unsigned char lead = (unsigned char) text[0];
    size_t length = lead < 0x80   ? 1
                    : lead < 0xC2 ? 0
                    : lead < 0xE0 ? 2
                    : lead < 0xF0 ? 3
                    : lead < 0xF5 ? 4
                                  : 0;
    uint32_t c = lead;

    if (length < 2)
    {
        *out = c;
        return length;
    }
    c = lead & (0xFFu >> (length + 1));
    for (size_t i = 1; i < length; i++)
    {
        unsigned char next = (unsigned char) text[i];

        if ((next & 0xC0) != 0x80)
            return 0;
        c = c << 6 | (next & 0x3Fu);
    }
    if (c < least[length] || c > 0x10FFFF || (c >= 0xD800 && c <= 0xDFFF))
        return 0;

    *out = c;
    return length;
}

/* Append the escape of one bad byte or character; the result says how many bytes were used. */
static size_t
add_escape(pawl_cli_buf *buf, const char *text, size_t length, uint32_t c)
{
    if (length == 0)
    {
        pawl_cli_addf(buf, "\\x%02x", (unsigned int) (unsigned char) text[0]);
        return 1;
    }
    if (c == '\n')
        pawl_cli_add(buf, "\\n");
    else if (c == '\t')
        pawl_cli_add(buf, "\\t");
    else if (c == '\r')
        pawl_cli_add(buf, "\\r");
    else if (c < 0x80)
        pawl_cli_addf(buf, "\\x%02x", (unsigned int) c);
    else
        pawl_cli_addf(buf, "\\u%04x", (unsigned int) c);
    return length;
}

static void
add_safe(pawl_cli_buf *buf, const char *text, const char *indent)
{
    size_t end = strlen(text);
    size_t i = 0;

    while (indent != NULL && end > 0 && (text[end - 1] == '\n' || text[end - 1] == '\r'))
        end--;
    while (i < end)
    {
        uint32_t c = 0;
        size_t length = decode(text + i, &c);

        if (indent != NULL && c == '\n')
        {
            pawl_cli_addf(buf, "\n%s", indent);
            i++;
        }
        else if (indent != NULL && c == '\t')
        {
            pawl_cli_add(buf, "    ");
            i++;
        }
        else if (length == 0 || IS_IN(unsafe, c))
        {
            i += add_escape(buf, text + i, length, c);
        }
        else
        {
            pawl_cli_add_bytes(buf, text + i, length);
            i += length;
        }
    }
}

void
pawl_cli_safe(pawl_cli_buf *buf, const char *text)
{
    add_safe(buf, text, NULL);
}

void
pawl_cli_safe_lines(pawl_cli_buf *buf, const char *text, const char *indent)
{
    add_safe(buf, text, indent);
}

static size_t
columns_of(uint32_t c)
{
    if (c < 0x300)
        return 1;
    if (IS_IN(zero_width, c))
        return 0;
    return IS_IN(double_width, c) ? 2 : 1;
}

size_t
pawl_cli_width(const char *text)
{
    size_t columns = 0;

    while (*text != '\0')
    {
        uint32_t c = 0;
        size_t length = decode(text, &c);

        columns += length == 0 ? 1 : columns_of(c);
        text += length == 0 ? 1 : length;
    }
    return columns;
}

void
pawl_cli_fit(pawl_cli_buf *buf, const char *text, size_t columns)
{
    size_t marks = columns >= 6 ? 3 : 0;
    size_t used = 0;
    size_t i = 0;

    if (pawl_cli_width(text) <= columns)
    {
        pawl_cli_add(buf, text);
        return;
    }
    while (text[i] != '\0')
    {
        uint32_t c = 0;
        size_t length = decode(text + i, &c);
        size_t width = length == 0 ? 1 : columns_of(c);

        if (used + width > columns - marks)
            break;
        used += width;
        i += length == 0 ? 1 : length;
    }
    pawl_cli_add_bytes(buf, text, i);
    pawl_cli_repeat(buf, ".", marks);
}
