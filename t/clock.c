/*
 * A library to preload that lets a test set the clock of a server.
 *
 * The file named by ACTOR_TEST_CLOCK holds the microseconds, an int64, by
 * which the clock of all processes that have loaded this is ahead.  It is
 * mapped into their memory, so that a test that writes to the file sets the
 * clock of all of them at once, also of those that are asleep.  Monotonic
 * clocks go on as they are, as they do when somebody sets the clock of a
 * machine, and so do timers and waits.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static const int64_t no_offset = 0;
static const volatile int64_t *offset = &no_offset;

__attribute__((constructor)) static void
map_offset(void)
{
	const char *path = getenv("ACTOR_TEST_CLOCK");
	int			fd = path != NULL ? open(path, O_RDONLY | O_CLOEXEC) : -1;
	void	   *page;

	if (fd < 0)
		return;
	page = mmap(NULL, sizeof(*offset), PROT_READ, MAP_SHARED, fd, 0);
	close(fd);
	if (page != MAP_FAILED)
		offset = page;
}

/* the real clock, set by the offset */
static void
now(struct timespec *result)
{
	int64_t		us;

	syscall(SYS_clock_gettime, CLOCK_REALTIME, result);
	us = result->tv_sec * INT64_C(1000000) + result->tv_nsec / 1000 + *offset;
	result->tv_sec = us / 1000000;
	result->tv_nsec = us % 1000000 * 1000 + result->tv_nsec % 1000;
}

int
clock_gettime(clockid_t id, struct timespec *result)
{
	if (id != CLOCK_REALTIME && id != CLOCK_REALTIME_COARSE)
		return (int) syscall(SYS_clock_gettime, id, result);
	now(result);
	return 0;
}

int
gettimeofday(struct timeval *restrict result, void *restrict zone)
{
	struct timespec precise;

	(void) zone;
	now(&precise);
	result->tv_sec = precise.tv_sec;
	result->tv_usec = precise.tv_nsec / 1000;
	return 0;
}

time_t
time(time_t *result)
{
	struct timespec precise;

	now(&precise);
	if (result != NULL)
		*result = precise.tv_sec;
	return precise.tv_sec;
}
