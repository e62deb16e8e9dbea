/*-------------------------------------------------------------------------
 *
 * suspect.c
 *		Firings that were running when the server crashed.
 *
 * A crash takes all shared memory with it, so what runs is also written into
 * a small file that every process has mapped: a store into memory, which the
 * kernel keeps whatever becomes of the process.  When shared memory is made
 * anew, whatever the file says was running becomes a suspect.  Suspects run
 * alone from then on, and are given up after ACTOR_MAX_CRASHES.
 *
 * All this is a hint.  The file is not synced and not checked, and a lost
 * entry costs nothing but another crash.  It lives where the server keeps
 * temporary statistics, so that no backup contains it.
 *
 * The list of suspects is protected by the lock in shared memory.  Each entry
 * of what runs is written by one executor only.
 *
 * IDENTIFICATION
 *		src/shared/suspect.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "pgstat.h"
#include "storage/fd.h"

#include "base/base.h"
#include "shared/shared.h"

#define HINT_FILE		PG_STAT_TMP_DIR "/actor_running"
#define HINT_MAGIC		0x41637401
#define MAX_SUSPECTS	64

typedef struct Suspect
{
	Oid			database;
	int32		crashes;
	int64		generation;		/* of the registration; 0: unused */
} Suspect;

typedef struct Running
{
	volatile Oid database;
	volatile int64 generation;	/* 0: nothing runs */
} Running;

typedef struct HintFile
{
	uint32		magic;
	volatile uint32 accused;	/* how many there have ever been */
	Suspect		suspects[MAX_SUSPECTS];
	Running		running[ACTOR_MAX_WORKERS_LIMIT];
} HintFile;

static HintFile *hints = NULL;

/*
 * Gives a file its length and all blocks it needs.  A store into a block that
 * there is no room for is no error but a signal, which ends the postmaster.
 * Returns false and sets errno if there is no room.
 */
static bool
allocate(int fd, off_t length)
{
	int			error;

	if (ftruncate(fd, length) != 0)
		return false;
	do
		error = posix_fallocate(fd, 0, length);
	while (error == EINTR);
	errno = error;
	return error == 0;
}

/*
 * Maps a file into memory, for this process and all it forks; NULL if that is
 * not possible, with errno set.
 */
static void *
map_file(const char *path, size_t length)
{
	int			fd = BasicOpenFile(path, O_RDWR | O_CREAT | PG_BINARY);
	void	   *address = MAP_FAILED;
	int			error;

	if (fd < 0)
		return NULL;
	if (allocate(fd, length))
		address = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	error = errno;
	close(fd);
	if (address != MAP_FAILED)
		return address;
	/* what room it has got is of more use to others */
	unlink(path);
	errno = error;
	return NULL;
}

static void
map_hints(void)
{
	hints = map_file(HINT_FILE, sizeof(HintFile));
	if (hints == NULL)
		ereport(LOG,
				(errcode_for_file_access(),
				 errmsg("could not map file \"%s\": %m", HINT_FILE),
				 errdetail("Reminders that crash the server will not be recognized.")));
}

static Suspect *
find_suspect(Oid database, int64 generation)
{
	for (int i = 0; i < MAX_SUSPECTS; i++)
	{
		Suspect    *suspect = &hints->suspects[i];

		if (suspect->generation == generation && suspect->database == database)
			return suspect;
	}
	return NULL;
}

/*
 * Adds to the crashes of a firing.  When the list is full the oldest suspect
 * is forgotten.
 */
static void
accuse(Oid database, int64 generation, int32 crashes)
{
	Suspect    *suspect = find_suspect(database, generation);

	if (suspect == NULL)
	{
		suspect = &hints->suspects[hints->accused++ % MAX_SUSPECTS];
		suspect->database = database;
		suspect->generation = generation;
		suspect->crashes = 0;
	}
	suspect->crashes += crashes;
}

/*
 * actor_suspects_attach
 *		Called whenever shared memory is made: finds out what was running when
 *		it was lost.
 */
void
actor_suspects_attach(void)
{
	if (hints == NULL)
		map_hints();
	if (hints == NULL)
		return;
	if (hints->magic != HINT_MAGIC)
	{
		memset(hints, 0, sizeof(HintFile));
		hints->magic = HINT_MAGIC;
	}
	for (int slot = 0; slot < ACTOR_MAX_WORKERS_LIMIT; slot++)
	{
		Running    *running = &hints->running[slot];

		if (running->generation != 0)
			accuse(running->database, running->generation, 1);
		running->generation = 0;
	}
}

/*
 * actor_suspect_running
 *		Notes what the executor in a slot is about to run; a generation of 0
 *		stands for nothing.
 */
void
actor_suspect_running(int slot, Oid database, int64 generation)
{
	if (hints == NULL)
		return;
	hints->running[slot].database = database;
	hints->running[slot].generation = generation;
}

/*
 * actor_suspect_add
 *		Makes a firing run alone from now on.
 */
void
actor_suspect_add(Oid database, int64 generation)
{
	if (hints == NULL)
		return;
	LWLockAcquire(actor_shared->lock, LW_EXCLUSIVE);
	accuse(database, generation, 0);
	LWLockRelease(actor_shared->lock);
}

/*
 * actor_suspect_crashes
 *		How many crashes a firing has been present at; -1 if there is nothing
 *		against it.
 */
int
actor_suspect_crashes(Oid database, int64 generation)
{
	Suspect    *suspect;
	int			crashes;

	if (hints == NULL || hints->accused == 0)
		return -1;
	LWLockAcquire(actor_shared->lock, LW_SHARED);
	suspect = find_suspect(database, generation);
	crashes = suspect != NULL ? suspect->crashes : -1;
	LWLockRelease(actor_shared->lock);
	return crashes;
}

/*
 * actor_suspect_clear
 *		Forgets a firing that has been given up.
 */
void
actor_suspect_clear(Oid database, int64 generation)
{
	Suspect    *suspect;

	if (hints == NULL)
		return;
	LWLockAcquire(actor_shared->lock, LW_EXCLUSIVE);
	suspect = find_suspect(database, generation);
	if (suspect != NULL)
		suspect->generation = 0;
	LWLockRelease(actor_shared->lock);
}
