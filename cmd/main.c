#include <stdio.h>

int
main(void)
{
	printf("adit " ADIT_VERSION "\n");
	return 0;
}
