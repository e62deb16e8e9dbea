/*-------------------------------------------------------------------------
 *
 * histogram.c
 *		Histograms of durations on a logarithmic scale.
 *
 * The unit is a microsecond, rounded up, so that a bucket has its upper bound
 * and not its lower one, as Prometheus wants it.  Each power of two has four
 * buckets: a quantile is wrong by an eighth at most.
 *
 * Knows nothing of the server; whoever has a histogram protects it.
 *
 * IDENTIFICATION
 *		src/stat/histogram.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "port/pg_bitutils.h"

#include "base/base.h"
#include "stat/stat.h"

/*
 * The bucket of a duration: up to 4 us there is one each, and from there on
 * four for each power of two.
 */
static int
bucket_of(double ms)
{
	double		us = ms * 1000.0;
	uint64		whole;
	int			power;
	int			bucket;

	if (us <= 1.0)
		return 0;
	if (us >= 1e15)
		return ACTOR_HISTOGRAM_BUCKETS - 1;
	/* one less than the duration rounded up */
	whole = (uint64) us;
	if ((double) whole == us)
		whole--;
	if (whole < 4)
		return (int) whole;
	power = pg_leftmost_one_pos64(whole);
	bucket = (power - 1) * 4 + (int) ((whole >> (power - 2)) & 3);
	return Min(bucket, ACTOR_HISTOGRAM_BUCKETS - 1);
}

/*
 * Upper bound of a bucket in microseconds, which is the lower one of the next.
 */
static double
upper_bound(int bucket)
{
	int			next = bucket + 1;

	if (next < 4)
		return next;
	return (double) (UINT64CONST(1) << (next / 4 - 1)) * (4 + next % 4);
}

/*
 * actor_histogram_add
 *		Counts a duration.  One that is negative, because a clock was set back,
 *		counts as none.
 */
void
actor_histogram_add(ActorHistogram *histogram, double ms)
{
	ms = Max(ms, 0.0);
	histogram->buckets[bucket_of(ms)]++;
	histogram->min = histogram->count == 0 ? ms : Min(histogram->min, ms);
	histogram->max = histogram->count == 0 ? ms : Max(histogram->max, ms);
	histogram->sum += ms;
	histogram->count++;
}

/*
 * actor_histogram_quantile
 *		The duration in milliseconds that so much of all (0 to 1) does not
 *		exceed, as well as the buckets tell.
 */
double
actor_histogram_quantile(const ActorHistogram *histogram, double share)
{
	double		wanted = share * histogram->count;
	uint64		seen = 0;

	for (int i = 0; i < ACTOR_HISTOGRAM_BUCKETS; i++)
	{
		uint64		here = histogram->buckets[i];

		if (here > 0 && seen + here >= wanted)
		{
			double		lower = i > 0 ? upper_bound(i - 1) : 0.0;
			double		part = (wanted - seen) / here;
			double		ms = (lower + part * (upper_bound(i) - lower)) / 1000.0;

			return Min(Max(ms, histogram->min), histogram->max);
		}
		seen += here;
	}
	return histogram->max;
}

/*
 * actor_histogram_below
 *		How many durations are not longer than two to that power microseconds;
 *		the exponent is at least 2.
 */
uint64
actor_histogram_below(const ActorHistogram *histogram, int exponent)
{
	int			end = Min((exponent - 1) * 4, ACTOR_HISTOGRAM_BUCKETS);
	uint64		count = 0;

	Assert(exponent >= 2);
	for (int i = 0; i < end; i++)
		count += histogram->buckets[i];
	return count;
}
