#include "core/runtime/folder.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>

int
folder_make_for(const char *path, mode_t mode)
{
	char folder[PATH_MAX];

	if (!*path || strlen(path) >= sizeof(folder))
		return *path ? -ENAMETOOLONG : -ENOENT;
	strcpy(folder, path);
	for (char *slash = strchr(folder + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		*slash = 0;
		if (mkdir(folder, mode) < 0 && errno != EEXIST)
			return -errno;
		*slash = '/';
	}
	return 0;
}
