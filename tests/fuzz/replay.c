/*
 * Runs a fuzz target over every file of the folders named, without a fuzzer: the corpus as a test.
 */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static int
replay_file(const char *path)
{
	struct stat st;
	uint8_t *data;
	FILE *f = fopen(path, "rb");
	size_t n = 0;

	if (!f || fstat(fileno(f), &st) < 0) {
		perror(path);
		exit(1);
	}
	if (!S_ISREG(st.st_mode)) {
		fclose(f);
		return 0;
	}
	/* Exactly as long as the input, so that ASan sees a read past its end. */
	data = malloc(st.st_size ? (size_t)st.st_size : 1);
	if (data)
		n = fread(data, 1, (size_t)st.st_size, f);
	fclose(f);
	LLVMFuzzerTestOneInput(data, n);
	free(data);
	return 1;
}

int
main(int argc, char **argv)
{
	int n = 0;

	for (int i = 1; i < argc; i++) {
		DIR *dir = opendir(argv[i]);
		struct dirent *entry;
		char path[4096];

		if (!dir) {
			perror(argv[i]);
			return 1;
		}
		while ((entry = readdir(dir))) {
			snprintf(path, sizeof(path), "%s/%s", argv[i], entry->d_name);
			n += replay_file(path);
		}
		closedir(dir);
	}
	printf("replayed %d inputs\n", n);
	return n ? 0 : 1;
}
