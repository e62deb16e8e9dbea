/*-------------------------------------------------------------------------
 *
 * format.c
 *		The form in which values are written and read.
 *
 * Settings that change it are fixed while values are converted, so that what
 * one session stores another one reads.
 *
 * IDENTIFICATION
 *		src/base/format.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/float.h"
#include "utils/guc.h"

#include "base/base.h"


/*
 * actor_conversion_begin
 *		Fixes DateStyle, IntervalStyle and extra_float_digits until
 *		actor_conversion_end, or until the (sub)transaction aborts.
 *
 * Returns 0 when they were right already, which costs nothing.
 */
int
actor_conversion_begin(void)
{
	int			nestlevel;

	if (DateStyle == USE_ISO_DATES && DateOrder == DATEORDER_MDY &&
		IntervalStyle == INTSTYLE_POSTGRES && extra_float_digits >= 1)
		return 0;

	nestlevel = NewGUCNestLevel();
	(void) set_config_option("datestyle", "ISO, MDY", PGC_USERSET, PGC_S_SESSION,
							 GUC_ACTION_SAVE, true, 0, false);
	(void) set_config_option("intervalstyle", "postgres", PGC_USERSET, PGC_S_SESSION,
							 GUC_ACTION_SAVE, true, 0, false);
	(void) set_config_option("extra_float_digits", "1", PGC_USERSET, PGC_S_SESSION,
							 GUC_ACTION_SAVE, true, 0, false);
	return nestlevel;
}

void
actor_conversion_end(int nestlevel)
{
	if (nestlevel > 0)
		AtEOXact_GUC(true, nestlevel);
}
