/*
 * tree.h - taking away what a test has put into /tmp.
 *
 * Threads: any thread.
 * Memory:  nothing is kept.
 */
#ifndef PAWL_TEST_TREE_H
#define PAWL_TEST_TREE_H

/* Remove a directory made by mkdtemp, and all that is in it. Says so on stderr when it cannot. */
void pawl_test_remove_tree(const char *dir);

#endif
