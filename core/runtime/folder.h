/*
 * Folders that are made when they are missing.
 */
#ifndef ADIT_CORE_FOLDER_H
#define ADIT_CORE_FOLDER_H

#include <sys/types.h>

/*
 * Makes every folder that leads to the file path, those that are missing with mode. 0, or -errno.
 * Any thread; blocks, so not where a worker turns.
 */
int folder_make_for(const char *path, mode_t mode);

#endif
