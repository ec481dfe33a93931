/*
 * banned.h - the last include of every .c file: calls that have hurt others become compile errors.
 *
 * Use pawl_fmt and pawl_strbuf for text, pawl_parse_* for numbers, pawl_rng for randomness, the session's own wait
 * for time. Allocation goes through util/alloc.h.
 *
 * Threads: nothing here runs.
 * Memory:  nothing here allocates.
 */
#ifndef PAWL_UTIL_BANNED_H
#define PAWL_UTIL_BANNED_H

#pragma GCC poison strcpy strcat strncpy strncat sprintf vsprintf strtok gets atoi atol atof rand srand
#pragma GCC poison localtime gmtime ctime asctime alloca setenv putenv system

#endif
