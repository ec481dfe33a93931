#include "cli/suggest.h"

#include <string.h>

#define LONGEST 40

static size_t
least(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Insertions, deletions, replacements and swapped neighbours between two short words. */
static size_t
distance_of(const char *a, size_t na, const char *b, size_t nb)
{
    size_t rows[3][LONGEST + 1];

    for (size_t j = 0; j <= nb; j++)
        rows[0][j] = j;
    for (size_t i = 1; i <= na; i++)
    {
        const size_t *before = rows[(i + 1) % 3]; /* row i - 2 */
        const size_t *above = rows[(i - 1) % 3];
        size_t *row = rows[i % 3];

        row[0] = i;
        for (size_t j = 1; j <= nb; j++)
        {
            size_t cost = a[i - 1] == b[j - 1] ? 0 : 1;

            row[j] = least(least(above[j] + 1, row[j - 1] + 1), above[j - 1] + cost);
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                row[j] = least(row[j], before[j - 2] + 1);
        }
    }
    return rows[na % 3][nb];
}

void
pawl_cli_suggest_offer(pawl_cli_suggest *search, const char *candidate)
{
    size_t na = strlen(search->word);
    size_t nb = strlen(candidate);
    size_t allowed = na < 4 ? 1 : na < 8 ? 2 : 3;
    size_t distance;

    if (na == 0 || na > LONGEST || nb > LONGEST)
        return;

    distance = distance_of(search->word, na, candidate, nb);
    /* Half a word that was typed is meant as well: "stat", "--work". */
    if (distance > allowed && na >= 3 && strncmp(search->word, candidate, na) == 0)
        distance = allowed;
    if (distance <= allowed && distance < nb && (search->best == NULL || distance < search->distance))
    {
        search->best = candidate;
        search->distance = distance;
    }
}
