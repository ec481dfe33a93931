#include "config/utf8.h"

#include <string.h>

#include "util/strbuf.h"

#include "util/banned.h"

#define BYTE_ORDER_MARK 0xFEFFU
#define NEXT_LINE       0x85U
#define LINE_SEPARATOR  0x2028U
#define PARAGRAPH_END   0x2029U

bool
pawl_utf8_is_tail(char byte)
{
    return ((unsigned char) byte & 0xC0U) == 0x80U;
}

size_t
pawl_utf8_cut(const char *text, size_t limit)
{
    size_t n = strnlen(text, limit + 1);

    if (n <= limit)
        return n;
    n = limit;
    while (n > 0 && pawl_utf8_is_tail(text[n]))
        n--;
    return n;
}

/* Bytes of the character that begins at `s`, and its code point; 0 when that is no valid UTF-8. */
static size_t
decode(const unsigned char *s, size_t left, uint32_t *out)
{
    static const uint32_t least[] = {0, 0, 0x80U, 0x800U, 0x10000U};
    uint32_t value;
    size_t width;

    if (s[0] < 0x80U)
    {
        *out = s[0];
        return 1;
    }
    width = s[0] >= 0xF0U ? 4 : s[0] >= 0xE0U ? 3 : 2;
    if (s[0] < 0xC2U || s[0] > 0xF4U || width > left)
        return 0;
    value = s[0] & (0xFFU >> (width + 1));
    for (size_t i = 1; i < width; i++)
    {
        if ((s[i] & 0xC0U) != 0x80U)
            return 0;
        value = (value << 6) | (s[i] & 0x3FU);
    }
    if (value < least[width] || value > 0x10FFFFU || (value >= 0xD800U && value <= 0xDFFFU))
        return 0;
    *out = value;
    return width;
}

/* The characters that YAML 1.1 allows, but for the byte order mark. */
static bool
is_printable(uint32_t c)
{
    if (c < 0x20U)
        return c == '\t' || c == '\n' || c == '\r';
    if (c < 0xA0U)
        return c < 0x7FU || c == NEXT_LINE;
    return c != BYTE_ORDER_MARK && c != 0xFFFEU && c != 0xFFFFU;
}

static bool
is_break(uint32_t c)
{
    return c == '\n' || c == '\r' || c == NEXT_LINE || c == LINE_SEPARATOR || c == PARAGRAPH_END;
}

static void
describe(const unsigned char *s, size_t width, uint32_t c, pawl_utf8_fault *out)
{
    if (width == 0)
    {
        pawl_fmt(out->message, sizeof out->message, "byte 0x%02X is no valid UTF-8", (unsigned) s[0]);
        out->hint = "save the file as UTF-8";
    }
    else if (c == BYTE_ORDER_MARK)
    {
        pawl_fmt(out->message, sizeof out->message,
                 "there is a byte order mark (the invisible character U+FEFF)");
        out->hint = "save the file as UTF-8 without a byte order mark (BOM)";
    }
    else
    {
        pawl_fmt(out->message, sizeof out->message, "the invisible character U+%04X is not allowed",
                 (unsigned) c);
        out->hint = "remove it; in a double-quoted text it can be written as an escape, like \"\\x1B\"";
    }
}

/* UTF-16 begins with one of two marks that are no UTF-8: say it as it is. */
static bool
is_utf16(const unsigned char *s, size_t length)
{
    return length >= 2 && ((s[0] == 0xFFU && s[1] == 0xFEU) || (s[0] == 0xFEU && s[1] == 0xFFU));
}

bool
pawl_utf8_has_fault(const char *text, size_t length, pawl_utf8_fault *out)
{
    const unsigned char *s = (const unsigned char *) text;
    int line = 1;
    int column = 1;

    if (is_utf16(s, length))
    {
        *out = (pawl_utf8_fault){.line = 1, .column = 1, .hint = "save the file as UTF-8"};
        pawl_fmt(out->message, sizeof out->message, "the file is UTF-16");
        return true;
    }
    for (size_t i = 0; i < length;)
    {
        uint32_t c = 0;
        size_t width = decode(s + i, length - i, &c);

        if (width == 0 || !is_printable(c))
        {
            *out = (pawl_utf8_fault){.line = line, .column = column};
            describe(s + i, width, c, out);
            return true;
        }
        if (c == '\r' && i + 1 < length && s[i + 1] == '\n')
            width = 2;
        column = is_break(c) ? 1 : column + 1;
        line += is_break(c) ? 1 : 0;
        i += width;
    }
    return false;
}
