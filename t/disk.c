/*
 * A library to preload that lets a test hold up the disk of a server.
 *
 * While the file named by ACTOR_TEST_DISK exists, a call that waits until data
 * are on disk does not return, in all processes that have loaded this.
 */
#define _GNU_SOURCE
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static void
wait_for_disk(void)
{
	const char *path = getenv("ACTOR_TEST_DISK");
	const struct timespec pause = {.tv_nsec = 5 * 1000 * 1000};

	while (path != NULL && access(path, F_OK) == 0)
		nanosleep(&pause, NULL);
}

int
fdatasync(int fd)
{
	wait_for_disk();
	return (int) syscall(SYS_fdatasync, fd);
}

int
fsync(int fd)
{
	wait_for_disk();
	return (int) syscall(SYS_fsync, fd);
}
